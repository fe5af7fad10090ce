package stale

import (
	"sync"
	"time"

	"github.com/tiny-forge/docker-watcher/internal/docker"
)

// stream is what is known of the engine's event stream; it is shared with the one who reads it.
type stream struct {
	installation string
	news         chan struct{} // size 1: there is something to do

	mu      sync.Mutex
	ids     map[string]string // container id -> instance id
	events  []docker.Event
	gen     int       // gaps so far
	gapAt   time.Time // our clock, when the last gap was told
	gap     bool      // a gap waits for its scan
	poked   bool      // somebody asked for a scan
	idGen   int       // generation in which the engine was found to be the one we know
	goodGen int       // generation that wholeTo belongs to
	wholeTo time.Time // engine's clock: all until then is known
	due     time.Time // when the next instance is to be looked at
}

func newStream(installation string) *stream {
	return &stream{installation: installation, ids: map[string]string{}, news: make(chan struct{}, 1)}
}

func (q *stream) follow(containerID, instanceID string) {
	if containerID == "" {
		return
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	q.ids[containerID] = instanceID
}

func (q *stream) unfollow(containerID string) {
	q.mu.Lock()
	defer q.mu.Unlock()
	delete(q.ids, containerID)
}

// queueLimit bounds what waits to be folded; beyond it one full scan is cheaper and as good.
const queueLimit = 100_000

// handle takes one event from the engine's stream. It never blocks: an engine is slowed down by slow readers.
func (q *stream) handle(ev docker.Event) {
	q.mu.Lock()
	defer q.mu.Unlock()
	switch {
	case ev.Gap:
		q.gen++
		q.gap, q.gapAt = true, time.Now() // what was told before it still tells when things ended
	case !q.oursLocked(ev):
		return
	case len(q.events) >= queueLimit:
		q.gen++
		q.gap, q.gapAt, q.events = true, time.Now(), nil
	default:
		q.events = append(q.events, ev)
	}
	q.wakeLocked()
}

// oursLocked reports whether an event is about a container of ours. One that is not yet in a row of
// ours, because a deploy is just making it, is known by its label.
func (q *stream) oursLocked(ev docker.Event) bool {
	if _, ok := q.ids[ev.ContainerID]; ok {
		return true
	}
	return q.installation != "" && ev.Attributes[docker.LabelInstallation] == q.installation
}

func (q *stream) wakeLocked() {
	select {
	case q.news <- struct{}{}:
	default:
	}
}

// poke asks the watcher for a scan.
func (q *stream) poke() {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.poked = true
	q.wakeLocked()
}

// state is the generation of the stream and whether it is whole: open, and no gap of it is still to be told.
func (q *stream) state(engine *docker.Engine) (gen int, whole bool) {
	age := engine.StreamAge()
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.gen == 0 || age <= 0 {
		return q.gen, false
	}
	opened := time.Now().Add(-age)
	return q.gen, !opened.After(q.gapAt.Add(time.Second))
}

// since is when the stream, if it is whole, began to be (our clock).
func (q *stream) since() time.Time {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.gapAt
}

// identified notes that the engine behind this generation of the stream is the one we know.
func (q *stream) identified(gen int) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.idGen = max(q.idGen, gen)
}

// confirm notes that in this generation all until at is known; now is what the engine's clock says.
func (q *stream) confirm(gen int, at, now time.Time) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if gen == 0 || gen != q.gen {
		return
	}
	ahead := q.wholeTo.After(now.Add(clockTolerance)) // the clock has been set back since
	if q.goodGen != gen || at.After(q.wholeTo) || ahead {
		q.goodGen, q.wholeTo = gen, at
	}
}

func (q *stream) wholeUntil() (gen int, until time.Time) {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.goodGen, q.wholeTo
}

// caughtUp is the generation of the stream, and the moment up to which all of it is known, if no event waits
// and no gap came after; generation 0 otherwise.
func (q *stream) caughtUp() (gen int, until time.Time) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.goodGen != q.gen || len(q.events) > 0 || q.gap {
		return 0, time.Time{}
	}
	return q.gen, q.wholeTo
}

// knows reports whether the engine behind this generation was found to be ours.
func (q *stream) knows(gen int) bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	return gen != 0 && q.idGen >= gen
}

// takeWish says what asks for a scan, and forgets it.
func (q *stream) takeWish() (gap, poked bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	gap, poked = q.gap, q.poked
	q.gap, q.poked = false, false
	return gap, poked
}

// waiting reports whether there are events to fold or instances to look at.
func (q *stream) waiting() bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	return len(q.events) > 0 || !q.due.IsZero() && !time.Now().Before(q.due)
}

func (q *stream) takeEvents() []docker.Event {
	q.mu.Lock()
	defer q.mu.Unlock()
	events := q.events
	q.events = nil
	return events
}

func (q *stream) instanceOf(containerID string) (id string, ok bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	id, ok = q.ids[containerID]
	return id, ok
}

func (q *stream) plan(due time.Time) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.due = due
}

func (q *stream) nextDue() time.Time {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.due
}
