package events

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"time"

	"github.com/tiny-forge/docker-watcher/internal/store"
)

const (
	batchLimit   = 2000
	firstBackoff = 100 * time.Millisecond
	lastBackoff  = 10 * time.Second
	// endTimeout bounds how long the end waits for a store that does not answer.
	endTimeout = 5 * time.Second
)

// Persister writes the warn and error events that were published without an id.
type Persister struct {
	bus  *Bus
	log  *slog.Logger
	keep func(ctx context.Context, evs []store.Event) error
}

// NewPersister joins bus and store.
func NewPersister(b *Bus, db *store.DB, log *slog.Logger) *Persister {
	return &Persister{bus: b, log: log, keep: func(ctx context.Context, evs []store.Event) error {
		return db.Update(ctx, func(tx *store.Tx) error { return tx.Emit(ctx, evs...) })
	}}
}

// Run keeps events in batches until ctx ends, then writes what is left (bounded) and closes the bus.
// A store that cannot be written is retried with backoff; meanwhile events wait in a bounded queue and an overflow is itself told.
func (p *Persister) Run(ctx context.Context) error {
	defer p.bus.Close()
	var batch []store.Event
	for {
		if len(batch) == 0 {
			batch = p.next()
		}
		if len(batch) == 0 {
			select {
			case <-p.bus.queue.wake:
				continue
			case <-ctx.Done():
				return p.finish(ctx, nil)
			}
		}
		if batch = p.write(ctx, batch); len(batch) > 0 {
			return p.finish(ctx, batch)
		}
	}
}

// next takes a batch off the queue; when a flood has ended it closes with how much was lost.
func (p *Persister) next() []store.Event {
	evs, lost := p.bus.queue.take(batchLimit)
	if lost > 0 {
		evs = append(evs, store.Event{
			Time: time.Now().UTC(), Severity: store.SeverityError, Source: store.SourceSystem, Kind: "system.events_lost",
			Message: fmt.Sprintf("%d events found no room while the store could not be written", lost),
			Actor:   "system", Data: map[string]any{"lost": lost},
		})
	}
	return evs
}

// write tries until the batch is kept; what it returns could not be kept before ctx ended.
func (p *Persister) write(ctx context.Context, batch []store.Event) []store.Event {
	failed := 0
	for wait := firstBackoff; ; wait = min(2*wait, lastBackoff) {
		if ctx.Err() != nil {
			return batch
		}
		err := p.keep(ctx, batch)
		if err == nil {
			if failed > 0 {
				p.log.Info("events are kept again", "attempts", failed+1, "events", len(batch))
			}
			return nil
		}
		if batch = p.keepable(batch); len(batch) == 0 {
			return nil
		}
		if failed++; failed == 1 && ctx.Err() == nil {
			p.log.Error("events cannot be kept, they wait until the store answers", "error", err, "events", len(batch))
		}
		timer := time.NewTimer(wait)
		select {
		case <-timer.C:
		case <-ctx.Done():
			timer.Stop()
		}
	}
}

// keepable drops events that no store could ever keep, so that one of them does not hold up the rest.
func (p *Persister) keepable(batch []store.Event) []store.Event {
	kept := make([]store.Event, 0, len(batch))
	for _, e := range batch {
		if _, err := json.Marshal(e.Data); err != nil {
			p.log.Error("event can never be kept", "kind", e.Kind, "message", e.Message, "error", err)
			continue
		}
		kept = append(kept, e)
	}
	return kept
}

// finish writes what is left, once and bounded. What the store does not take then goes to the daemon's log.
func (p *Persister) finish(ctx context.Context, batch []store.Event) error {
	p.bus.queue.end()
	for more := p.next(); len(more) > 0; more = p.next() {
		batch = append(batch, more...)
	}
	if len(batch) == 0 {
		return nil
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), endTimeout)
	defer cancel()
	left := p.write(ctx, batch)
	for _, e := range left {
		p.log.Error("event was not kept", "kind", e.Kind, "message", e.Message, "time", e.Time)
	}
	if len(left) > 0 {
		return fmt.Errorf("keep the last %d events: %w", len(left), ctx.Err())
	}
	return nil
}
