package events

import (
	"context"
	"fmt"
	"time"

	"github.com/tiny-forge/docker-watcher/internal/store"
)

const (
	// Heartbeat keeps proxies from closing a stream on which nothing happens.
	Heartbeat = 15 * time.Second

	replayPage   = 500
	streamBuffer = 4096 // events that a listener may be behind
)

// Replay sends the kept events after lastID and then joins the live stream, without a
// gap and without a double; lastID below zero starts with now. Chatter without an id is sent
// only live. It ends with ErrLagged (the listener resumes from the last id that it got), ErrClosed at
// shutdown, the error of send or heartbeat, or that of ctx. Send and heartbeat are called from one goroutine.
func Replay(ctx context.Context, db *store.DB, bus *Bus, lastID int64,
	filter func(store.Event) bool, send func(store.Event) error, heartbeat func() error,
) error {
	r := &replay{db: db, last: lastID, filter: filter, send: send, heartbeat: heartbeat, beat: time.NewTicker(Heartbeat)}
	defer r.beat.Stop()
	if lastID >= 0 {
		// A long replay runs before subscribing: it would only overflow the buffer.
		if err := r.catchUp(ctx); err != nil {
			return err
		}
	}
	sub := bus.Subscribe(streamBuffer)
	defer sub.Close()
	if lastID >= 0 {
		if err := r.catchUp(ctx); err != nil {
			return err
		}
	}
	return r.follow(ctx, sub)
}

type replay struct {
	db        *store.DB
	last      int64 // highest id that was sent or filtered out
	filter    func(store.Event) bool
	send      func(store.Event) error
	heartbeat func() error
	beat      *time.Ticker
}

// catchUp reads the log to its end.
func (r *replay) catchUp(ctx context.Context) error {
	newest, err := r.db.LastEventID(ctx)
	if err != nil {
		return fmt.Errorf("read the end of the event log: %w", err)
	}
	// An id from another life of this store (a restored backup) must not hide what comes now.
	r.last = min(r.last, newest)
	for {
		evs, err := r.db.EventsAfter(ctx, r.last, replayPage)
		if err != nil {
			return fmt.Errorf("replay events after %d: %w", r.last, err)
		}
		if err := r.pass(evs); err != nil {
			return err
		}
		if err := r.beatIfDue(); err != nil {
			return err
		}
		if len(evs) < replayPage {
			return nil
		}
	}
}

func (r *replay) follow(ctx context.Context, sub *Subscription) error {
	for {
		if err := ctx.Err(); err != nil {
			return err
		}
		evs, err := sub.take()
		if err != nil {
			return err
		}
		if err := r.pass(evs); err != nil {
			return err
		}
		if len(evs) > 0 {
			if err := r.beatIfDue(); err != nil {
				return err
			}
			continue
		}
		select {
		case <-sub.wake:
		case <-sub.ended:
		case <-r.beat.C:
			if err := r.heartbeat(); err != nil {
				return err
			}
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// pass sends what is new and wanted. An event that was in the log and comes again from the bus is passed over.
func (r *replay) pass(evs []store.Event) error {
	for _, e := range evs {
		if e.ID != 0 {
			if e.ID <= r.last {
				continue
			}
			r.last = e.ID
		}
		if !r.filter(e) {
			continue
		}
		if err := r.send(e); err != nil {
			return err
		}
	}
	return nil
}

func (r *replay) beatIfDue() error {
	select {
	case <-r.beat.C:
		return r.heartbeat()
	default:
		return nil
	}
}
