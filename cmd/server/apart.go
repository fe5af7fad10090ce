package main

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"

	"github.com/tiny-forge/docker-watcher/internal/api"
	"github.com/tiny-forge/docker-watcher/internal/certs"
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
		Flipped:     func(flip proxy.Flip) { f.router.Flipped(ctx, flip) },
		Missed:      func(ref string) { f.router.Missed(ref) },
		Certificate: func(e certs.Event) { f.router.Certificate(ctx, e) },
		Came: func(h plane.Hello, again bool) {
			if ours := string(certificateFolder(cfg)); h.Folder != "" && !sameFolder(h.Folder, ours) {
				log.WarnContext(ctx, "the data plane keeps certificates elsewhere and does not find uploaded ones: give both the same --data", "its_folder", h.Folder, "folder", ours)
			}
			f.router.Came(ctx, again, h.Version)
		},
		Went: func(why string) { f.router.Went(ctx, why) },
	})
	if err := f.plane.Connect(ctx); err != nil {
		log.WarnContext(ctx, "the data plane is tried again until it is reached", "error", err)
	}
	f.router = routing.New(db, fleet, bus, f.plane, f.knowing(policy), log)
	f.counter = routing.NewCounter(db, f.plane, log)
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
	for _, l := range s.Listeners {
		switch l.Name {
		case "http":
			a.Listen = l.At
		case "https":
			a.HTTPS = l.At
		}
	}
	return a
}

// sameFolder tells whether two paths are one folder, be it there yet or not.
func sameFolder(a, b string) bool {
	x, errX := filepath.Abs(a)
	y, errY := filepath.Abs(b)
	if errX == nil && errY == nil && x == y {
		return true
	}
	i, errI := os.Stat(a)
	j, errJ := os.Stat(b)
	return errI == nil && errJ == nil && os.SameFile(i, j)
}

// apartLine says where routes are served, for the person at the terminal.
func (f *front) apartLine() string {
	if s := f.plane.Status(); s.Away != "" {
		return fmt.Sprintf("docker-watcher waits for its data plane: %s\n", s.Away)
	}
	return fmt.Sprintf("docker-watcher has routes served at %s by the data plane at %s\n", f.apart().Listen, f.plane.Status().Socket)
}
