// Package events spreads what happened inside the process and keeps what must
// be kept. The bus takes events in these ways: Committed for those that a
// transaction kept (they have ids), Publish and Keep for the others. Nothing here ever
// blocks a publisher: a listener that does not keep up loses its subscription
// and resumes from the log, so that it loses no event. The Persister owns the
// end: it writes what is left and closes the bus.
package events

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"time"

	"github.com/tiny-forge/docker-watcher/internal/store"
)

// The ways in which a subscription ends without its owner's doing.
var (
	ErrLagged = errors.New("the listener was too slow: resume from the last event id")
	ErrClosed = errors.New("the event bus is closed")
)

// queueLimit bounds the events that wait for a store that does not answer.
const queueLimit = 1 << 16

// Bus spreads events inside the process. Publish never blocks: a slow
// subscriber loses its subscription, never an event.
type Bus struct {
	log *slog.Logger

	mu     sync.Mutex // guards subs and closed; held while spreading, so that all see one order
	subs   map[*Subscription]struct{}
	closed bool

	queue queue
}

// New returns a bus. Wire db.OnCommit(bus.Committed).
func New(log *slog.Logger) *Bus {
	return &Bus{log: log, subs: make(map[*Subscription]struct{}), queue: newQueue(queueLimit)}
}

// Committed spreads events that a transaction has kept, with their ids. All
// subscribers share the slice: nobody may change it afterwards.
func (b *Bus) Committed(evs []store.Event) {
	if len(evs) == 0 {
		return
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	for s := range b.subs {
		if !s.offer(evs) {
			delete(b.subs, s)
		}
	}
}

// Publish hands over events that no transaction has kept. Warn and error go to the
// persister, which keeps them in batches (they are spread, with ids, after that commit);
// info is chatter: spread at once, neither kept nor numbered.
func (b *Bus) Publish(evs ...store.Event) {
	var chatter, keep []store.Event
	for _, e := range evs {
		if e.Time.IsZero() {
			e.Time = time.Now().UTC()
		}
		if e.Severity == store.SeverityInfo {
			chatter = append(chatter, e)
		} else {
			keep = append(keep, e)
		}
	}
	b.Committed(chatter)
	b.enqueue(keep)
}

// Keep hands over events that no transaction has kept and that are kept whatever their severity, as Publish keeps warnings and errors.
func (b *Bus) Keep(evs ...store.Event) { b.enqueue(evs) }

// enqueue hands events to the persister. What finds no room is at least in the
// daemon's log: the first of a flood in full, the rest counted by the persister.
func (b *Bus) enqueue(evs []store.Event) {
	for i, e := range evs {
		switch b.queue.push(e) {
		case pushed:
		case pushedOut:
			b.log.Error("event queue is full, events are lost until the store answers", "limit", queueLimit, "kind", e.Kind, "message", e.Message)
		case pushedOutAgain:
		case pushedLate:
			for _, late := range evs[i:] {
				b.log.Warn("event came after the end", "kind", late.Kind, "message", late.Message)
			}
			return
		}
	}
}

// Waiting is how many events wait to be kept.
func (b *Bus) Waiting() int { return b.queue.len() }

// Lost is how many events found no room in the queue since the start.
func (b *Bus) Lost() int64 { return b.queue.lostEver() }

// Listeners is the number of open subscriptions.
func (b *Bus) Listeners() int {
	b.mu.Lock()
	defer b.mu.Unlock()
	return len(b.subs)
}

// Close ends every subscription after what it still holds; nothing is spread from
// now on. Events that must be kept are still taken until the persister ends. It may be called twice.
func (b *Bus) Close() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.closed = true
	for s := range b.subs {
		s.end()
		delete(b.subs, s)
	}
}

// Subscribe with a buffer of that many events.
func (b *Bus) Subscribe(buffer int) *Subscription {
	s := &Subscription{bus: b, limit: max(buffer, 1), wake: make(chan struct{}, 1), ended: make(chan struct{}), gone: make(chan struct{})}
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.closed {
		s.end()
		return s
	}
	b.subs[s] = struct{}{}
	return s
}

func (b *Bus) forget(s *Subscription) {
	b.mu.Lock()
	defer b.mu.Unlock()
	delete(b.subs, s)
}

// Subscription receives events until it is closed, by its owner, by the bus at
// shutdown, or because it was too slow (Lagged). It is read by Next or by C, not by both.
type Subscription struct {
	bus   *Bus
	limit int
	wake  chan struct{} // holds one token when there may be something to take
	ended chan struct{}
	gone  chan struct{} // nobody reads what is held any more

	mu      sync.Mutex
	dropped bool
	batches [][]store.Event // shared with all other subscribers
	held    int
	err     error // why it ended

	once sync.Once
	c    chan store.Event
}

// offer adds a batch, or ends the subscription (false) when that is more than its
// buffer. An idle listener takes a batch of any size: it was not slow.
func (s *Subscription) offer(evs []store.Event) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.err != nil {
		return false
	}
	if s.held > 0 && s.held+len(evs) > s.limit {
		s.drop(ErrLagged)
		return false
	}
	s.batches = append(s.batches, evs)
	s.held += len(evs)
	select {
	case s.wake <- struct{}{}:
	default:
	}
	return true
}

// end lets the reader have what is held, and then no more.
func (s *Subscription) end() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.err == nil {
		s.err = ErrClosed
		close(s.ended)
	}
}

// drop ends at once, without what is held. The lock is held.
func (s *Subscription) drop(why error) {
	s.batches, s.held = nil, 0
	if s.err == nil {
		s.err = why
		close(s.ended)
	}
	if !s.dropped {
		s.dropped = true
		close(s.gone)
	}
}

// take returns the next batch without waiting; the error says why there will be no more.
func (s *Subscription) take() ([]store.Event, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.batches) == 0 {
		return nil, s.err
	}
	evs := s.batches[0]
	if len(s.batches) == 1 { // the usual case: keep the room
		s.batches[0], s.batches = nil, s.batches[:0]
	} else {
		s.batches[0], s.batches = nil, s.batches[1:]
	}
	s.held -= len(evs)
	return evs, nil
}

// Next waits for events. The slice is shared with other listeners and must not be
// changed. It ends with ErrLagged, ErrClosed or the error of ctx.
func (s *Subscription) Next(ctx context.Context) ([]store.Event, error) {
	for {
		evs, err := s.take()
		if len(evs) > 0 || err != nil {
			return evs, err
		}
		select {
		case <-s.wake:
		case <-s.ended:
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
}

// C is closed when the subscription ends. A reader that stops reading must call Close.
func (s *Subscription) C() <-chan store.Event {
	s.once.Do(func() {
		s.c = make(chan store.Event)
		go s.pump()
	})
	return s.c
}

// pump feeds C. It ends with the subscription: at once when the owner closed it or
// it lagged, after what is held when the bus closed.
func (s *Subscription) pump() {
	defer close(s.c)
	for {
		evs, err := s.take()
		if err != nil {
			return
		}
		for _, e := range evs {
			if !s.deliver(e) {
				return
			}
		}
		if len(evs) > 0 {
			continue
		}
		select {
		case <-s.wake:
		case <-s.ended:
		}
	}
}

func (s *Subscription) deliver(e store.Event) bool {
	select {
	case s.c <- e:
		return true
	case <-s.gone:
		return false
	}
}

// Lagged reports whether the subscription ended because its reader was too slow.
func (s *Subscription) Lagged() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return errors.Is(s.err, ErrLagged)
}

// Close ends the subscription; what it still holds is let go. It may be called twice.
func (s *Subscription) Close() {
	s.bus.forget(s)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.drop(ErrClosed)
}
