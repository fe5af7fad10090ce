package store_test

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"testing"
	"time"

	"github.com/tiny-forge/docker-watcher/internal/events"
	"github.com/tiny-forge/docker-watcher/internal/notify"
	"github.com/tiny-forge/docker-watcher/internal/store"
	"github.com/tiny-forge/docker-watcher/internal/store/storetest"
)

// TestAChannelWhoseAddressDoesNotOpen is told to fail, as one is whose target is away, with what to do: its messages wait, and are given up in their time.
func TestAChannelWhoseAddressDoesNotOpen(t *testing.T) {
	storetest.Both(t, func(t *testing.T, db *store.DB) {
		log := slog.New(slog.DiscardHandler)
		bus := events.New(log)
		db.OnCommit(bus.Committed)
		c := store.Channel{ID: store.NewID(), Name: "ops", Kind: "webhook", Shown: "https://ops.example", Enabled: true, Revision: 1}
		err := db.Update(t.Context(), func(tx *store.Tx) error {
			r := store.NotifyRule{ID: store.NewID(), Name: "all", Enabled: true, Revision: 1, Channels: []string{c.ID}}
			return errors.Join(tx.InsertChannel(t.Context(), c, store.ChannelAddress{URL: "https://ops.example"}), tx.InsertNotifyRule(t.Context(), r),
				tx.Emit(t.Context(), store.Event{Severity: store.SeverityError, Source: store.SourceDeployer, Kind: "deploy.failed", Message: "shop"}))
		})
		if err != nil {
			t.Fatal(err)
		}
		store.Exec(t, db, `UPDATE notify_channels SET target = $1`, []byte("not what was sealed"))
		sub := bus.Subscribe(100)
		defer sub.Close()
		done := make(chan error, 1)
		n := notify.New(db, bus, notify.Options{Log: log})
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		go func() { done <- n.Run(ctx) }()
		for told := false; !told; {
			evs, err := sub.Next(ctx)
			if err != nil {
				t.Fatal(err)
			}
			told = slices.ContainsFunc(evs, func(e store.Event) bool { return e.Kind == "channel.failing" })
		}
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
		got, err := db.Channel(t.Context(), c.ID)
		if err != nil || got.LastError != "its address cannot be opened: set it anew" || !got.RetryAt.After(time.Now()) {
			t.Errorf("the channel is %+v, %v", got, err)
		}
	})
}
