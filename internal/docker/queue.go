package docker

import (
	"context"
	"sync"
)

// queueLimit is how many events wait for a slow handler before they are given up for a Gap.
const queueLimit = 4096

// eventQueue stands between the reader of the stream and the handler. An engine drops events for a slow
// reader without a word and slows down itself, so the reader only appends here. What does not fit is
// replaced, with all that waits, by one Gap: everything will be looked at again anyway.
type eventQueue struct {
	mu      sync.Mutex
	waiting []Event
	filled  chan struct{} // of size 1: there is something
}

func newEventQueue() *eventQueue { return &eventQueue{filled: make(chan struct{}, 1)} }

// put appends and tells whether it overflowed.
func (q *eventQueue) put(ev Event) (overflow bool) {
	q.mu.Lock()
	if overflow = len(q.waiting) >= queueLimit; overflow {
		q.waiting = append(q.waiting[:0], Event{Gap: true, Reason: "overflow", Time: ev.Time})
	}
	q.waiting = append(q.waiting, ev)
	q.mu.Unlock()
	select {
	case q.filled <- struct{}{}:
	default:
	}
	return overflow
}

// take waits for events and returns all there are.
func (q *eventQueue) take(ctx context.Context) ([]Event, error) {
	for {
		select {
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		case <-q.filled:
		}
		q.mu.Lock()
		batch := q.waiting
		q.waiting = nil
		q.mu.Unlock()
		if len(batch) > 0 {
			return batch, nil
		}
	}
}
