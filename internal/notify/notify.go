// Package notify tells people what happened: it carries events of the log to channels, by rules, through the outbox of the store.
//
// Rules decide (pure: match.go, timing.go, plan.go); Notifier acts. One loop reads the event log, of which each rule remembers
// how far it has seen it, and puts messages into the outbox in the transaction that moves that mark: an event comes in exactly
// once, also after a crash. Another loop sends what is due, one message at a time and in their order for each channel, at least
// once, always under the same key. While there is no rule and nothing in the outbox, only the clock is looked at.
package notify

import (
	"context"
	"log/slog"
	"net/http"
	"net/netip"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/tiny-forge/docker-watcher/internal/events"
	"github.com/tiny-forge/docker-watcher/internal/store"
)

// Notifier carries events to channels.
type Notifier struct {
	db      *store.DB
	bus     *events.Bus
	post    post
	version string
	log     *slog.Logger

	poked chan struct{}    // the outbox may have something new
	seen  map[string]int64 // how far rules have seen the log, where that is not written yet; the spreading loop's own
	noted time.Time        // when that was last written

	tried tries
}

// Options are what a notifier stands on beside the store.
type Options struct {
	// Refuse says why an address may not be dialled; nil: any may.
	Refuse func(ctx context.Context, at netip.AddrPort) error
	// Transport sends in the place of the network; for tests.
	Transport http.RoundTripper
	Version   string
	Log       *slog.Logger
}

// New returns a notifier; it starts nothing.
func New(db *store.DB, bus *events.Bus, o Options) *Notifier {
	return &Notifier{
		db: db, bus: bus, post: newPost(o), version: o.Version, log: o.Log, poked: make(chan struct{}, 1), seen: map[string]int64{},
	}
}

// Run carries events until ctx ends. What a former daemon had in hand is sent again.
func (n *Notifier) Run(ctx context.Context) error {
	group, running := errgroup.WithContext(ctx)
	group.Go(func() error { return n.spreading(running) })
	group.Go(func() error { return n.delivering(running) })
	return group.Wait()
}

// poke has the outbox looked at.
func (n *Notifier) poke() {
	select {
	case n.poked <- struct{}{}:
	default: // it will be
	}
}

// pause waits; false: ctx ended.
func pause(ctx context.Context, long time.Duration) bool {
	timer := time.NewTimer(long)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}
