package routing

import (
	"context"
	"time"

	"github.com/tiny-forge/docker-watcher/internal/events"
)

const (
	recheck    = 10 * time.Second      // looks for what no event tells of
	gather     = 50 * time.Millisecond // a burst of changes is one table
	leastPause = 2 * time.Second       // between two looks for targets that could not be dialled

	listening = 256 // events that may wait
)

// watch waits until a new table has to be made.
type watch struct {
	r      *Router
	sub    *events.Subscription
	ticker *time.Ticker
	seen   int64     // RouteWrites when the last table was begun
	looked time.Time // when targets were looked for that had been missed
}

// watch begins with a table that has to be made at once.
func (r *Router) watch() *watch {
	return &watch{r: r, sub: r.bus.Subscribe(listening), ticker: time.NewTicker(recheck), seen: -1}
}

func (w *watch) end() {
	w.ticker.Stop()
	w.sub.Close()
}

// next waits for the next reason to make a table; false: ctx has ended, or nobody tells of changes any more.
func (w *watch) next(ctx context.Context) bool {
	for w.r.db.RouteWrites() == w.seen {
		select {
		case <-ctx.Done():
			return false
		case <-w.r.kick:
			if !pause(ctx, leastPause-time.Since(w.looked)) {
				return false
			}
			w.looked = time.Now()
			return w.begin()
		case _, open := <-w.sub.C():
			if open {
				continue
			}
			if !w.sub.Lagged() {
				return false // the bus is closed
			}
			w.sub = w.r.bus.Subscribe(listening) // what it missed is in the rows
		case <-w.ticker.C:
			if w.r.unsettled() {
				return w.begin()
			}
		}
	}
	if w.seen >= 0 && !pause(ctx, gather) {
		return false
	}
	return w.begin()
}

// begin notes up to where the table will have seen the rows.
func (w *watch) begin() bool {
	w.seen = w.r.db.RouteWrites()
	return true
}

func pause(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(max(d, 0))
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}
