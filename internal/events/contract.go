package events

import (
	"context"
	"log/slog"

	"github.com/tiny-forge/docker-watcher/internal/store"
)

// Bus spreads events inside the process. Publish never blocks: a slow
// subscriber loses its subscription, never an event.
type Bus struct{}

// New returns a bus. Wire db.OnCommit(bus.Committed).
func New(log *slog.Logger) *Bus { panic("contract") }

// Committed spreads events that a transaction has kept, with their ids.
func (b *Bus) Committed(evs []store.Event) { panic("contract") }

// Publish hands over events that no transaction has kept. Warn and error go to the
// persister, which keeps them in batches (they are spread, with ids, after that commit);
// info is chatter: spread at once, neither kept nor numbered.
func (b *Bus) Publish(evs ...store.Event) { panic("contract") }

// Subscription receives events until it is closed, by its owner, by the bus at
// shutdown, or because it was too slow (Lagged).
type Subscription struct{}

// Subscribe with a buffer of that many events.
func (b *Bus) Subscribe(buffer int) *Subscription { panic("contract") }

// C is closed when the subscription ends.
func (s *Subscription) C() <-chan store.Event { panic("contract") }
func (s *Subscription) Lagged() bool          { panic("contract") }
func (s *Subscription) Close()                { panic("contract") }

// Persister writes the warn and error events that were published without an id.
type Persister struct{}

// NewPersister joins bus and store.
func NewPersister(b *Bus, db *store.DB, log *slog.Logger) *Persister { panic("contract") }

// Run keeps events in batches until ctx ends, then writes what is left (bounded) and closes the bus.
// A store that cannot be written is retried with backoff; meanwhile events wait in a bounded queue and an overflow is itself told.
func (p *Persister) Run(ctx context.Context) error { panic("contract") }
