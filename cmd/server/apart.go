package main

import (
	"context"
	"fmt"
	"log/slog"

	"github.com/tiny-forge/docker-watcher/internal/api"
	"github.com/tiny-forge/docker-watcher/internal/config"
	"github.com/tiny-forge/docker-watcher/internal/docker"
	"github.com/tiny-forge/docker-watcher/internal/events"
	"github.com/tiny-forge/docker-watcher/internal/plane"
	"github.com/tiny-forge/docker-watcher/internal/proxy"
	"github.com/tiny-forge/docker-watcher/internal/routing"
	"github.com/tiny-forge/docker-watcher/internal/store"
)

// newApart has the data plane serve, which is a process of its own. One that cannot be reached is no reason not to start.
func newApart(ctx context.Context, cfg config.Config, policy proxy.Policy, db *store.DB, fleet *docker.Fleet, bus *events.Bus, log *slog.Logger) *front {
	f := &front{}
	f.plane = plane.NewClient(plane.ClientOptions{
		Socket: cfg.ProxySocket, Version: buildVersion(), Own: policy.Own,
		Flipped: func(flip proxy.Flip) { f.router.Flipped(ctx, flip) },
		Missed:  func(ref string) { f.router.Missed(ref) },
		Came:    func(h plane.Hello, again bool) { f.router.Came(ctx, again, h.Version) },
		Went:    func(why string) { f.router.Went(ctx, why) },
	})
	if err := f.plane.Connect(ctx); err != nil {
		log.WarnContext(ctx, "the data plane is tried again until it is reached", "error", err)
	}
	f.router = routing.New(db, fleet, bus, f.plane, f.knowing(policy), log)
	return f
}

// knowing is a policy that knows the listeners of the data plane.
func (f *front) knowing(p proxy.Policy) proxy.Policy {
	p.OwnElsewhere = f.plane.Listeners
	return p
}

// apart is what the API tells of the data plane.
func (f *front) apart() api.Apart {
	s := f.plane.Status()
	a := api.Apart{Socket: s.Socket, Version: s.Version, PID: s.PID, Started: s.Started, Away: s.Away}
	if len(s.Listeners) > 0 {
		a.Listen = s.Listeners[0].At
	}
	return a
}

// apartLine says where routes are served, for the person at the terminal.
func (f *front) apartLine() string {
	if s := f.plane.Status(); s.Away != "" {
		return fmt.Sprintf("docker-watcher waits for its data plane: %s\n", s.Away)
	}
	return fmt.Sprintf("docker-watcher has routes served at %s by the data plane at %s\n", f.apart().Listen, f.plane.Status().Socket)
}
