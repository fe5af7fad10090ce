package events

import (
	"sync"

	"github.com/tiny-forge/docker-watcher/internal/store"
)

// queue holds the events that wait to be kept: bounded, and it counts what found no room.
type queue struct {
	limit int
	wake  chan struct{} // holds one token when there may be something to take

	mu     sync.Mutex
	events []store.Event
	lost   int // since the last take
	ever   int64
	ended  bool
}

func newQueue(limit int) queue {
	return queue{limit: limit, wake: make(chan struct{}, 1)}
}

type pushResult int

const (
	pushed         pushResult = iota
	pushedOut                 // no room: the first of a flood
	pushedOutAgain            // no room again
	pushedLate                // nobody will take it any more
)

func (q *queue) push(e store.Event) pushResult {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.ended {
		return pushedLate
	}
	if len(q.events) >= q.limit {
		q.lost++
		q.ever++
		if q.lost == 1 {
			return pushedOut
		}
		return pushedOutAgain
	}
	q.events = append(q.events, e)
	select {
	case q.wake <- struct{}{}:
	default:
	}
	return pushed
}

// take removes up to limit events and tells how many were lost behind them.
func (q *queue) take(limit int) (evs []store.Event, lost int) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if len(q.events) <= limit {
		evs, q.events = q.events, nil
		lost, q.lost = q.lost, 0
		return evs, lost
	}
	evs = q.events[:limit:limit]
	q.events = q.events[limit:]
	return evs, 0
}

// end refuses what comes from now on.
func (q *queue) end() {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.ended = true
}

func (q *queue) len() int {
	q.mu.Lock()
	defer q.mu.Unlock()
	return len(q.events)
}

func (q *queue) lostEver() int64 {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.ever
}
