package main

import (
	"context"
	"log/slog"
	"net/netip"

	"github.com/tiny-forge/docker-watcher/internal/events"
	"github.com/tiny-forge/docker-watcher/internal/notify"
	"github.com/tiny-forge/docker-watcher/internal/proxy"
	"github.com/tiny-forge/docker-watcher/internal/routing"
	"github.com/tiny-forge/docker-watcher/internal/store"
)

// newNotifier sends nothing to where no route may lead either: clouds hand out credentials there, and engines obey.
func newNotifier(db *store.DB, bus *events.Bus, base proxy.Policy, log *slog.Logger) *notify.Notifier {
	refuse := func(ctx context.Context, at netip.AddrPort) error {
		now, err := routing.PolicyNow(ctx, db, base)
		if err != nil {
			return err
		}
		return now.Check(at)
	}
	return notify.New(db, bus, notify.Options{Refuse: refuse, Version: buildVersion(), Log: log})
}
