package plane

import (
	"slices"
	"sync"

	"github.com/tiny-forge/docker-watcher/internal/certs"
	"github.com/tiny-forge/docker-watcher/internal/proxy"
)

// mostKept is how much waits for a daemon that is not there. The oldest goes first.
const mostKept = 256

// outbox keeps what the daemon has not been told yet.
type outbox struct {
	telling sync.Mutex // held until what could not be told is back

	mu     sync.Mutex
	kept   []news              // each is an event, and is told once
	missed map[string]struct{} // names of targets
	wake   chan struct{}       // has one when there is something
}

func newOutbox() *outbox {
	return &outbox{missed: map[string]struct{}{}, wake: make(chan struct{}, 1)}
}

func (o *outbox) flip(f proxy.Flip) { o.keep(news{Flip: &f}) }

func (o *outbox) certificate(e certs.Event) { o.keep(news{Certificate: &e}) }

func (o *outbox) keep(all ...news) {
	o.mu.Lock()
	o.kept = append(o.kept, all...)
	o.kept = o.kept[max(0, len(o.kept)-mostKept):]
	o.mu.Unlock()
	o.rouse()
}

// miss keeps the name of a target that could not be dialled, as long as there is room: more of them say nothing new.
func (o *outbox) miss(ref string) {
	o.mu.Lock()
	if len(o.missed) < mostKept {
		o.missed[ref] = struct{}{}
	}
	o.mu.Unlock()
	o.rouse()
}

func (o *outbox) rouse() {
	select {
	case o.wake <- struct{}{}:
	default: // it is awake
	}
}

// tell empties it by telling all of it; events that could not be told wait for the next one who listens.
func (o *outbox) tell(say func(all ...news) error) error {
	o.telling.Lock()
	defer o.telling.Unlock()
	kept, missed := o.take()
	all := slices.Clone(kept)
	for _, ref := range missed {
		all = append(all, news{Missed: ref})
	}
	err := say(all...)
	if err != nil {
		o.putBack(kept)
	}
	return err
}

// giveAway empties it for another plane: misses are noticed again.
func (o *outbox) giveAway() []news {
	o.telling.Lock()
	defer o.telling.Unlock()
	kept, _ := o.take()
	return kept
}

// take empties it.
func (o *outbox) take() (kept []news, missed []string) {
	o.mu.Lock()
	defer o.mu.Unlock()
	kept, o.kept = o.kept, nil
	for ref := range o.missed {
		missed = append(missed, ref)
	}
	clear(o.missed)
	return kept, missed
}

// putBack keeps events that could not be told, for the next one who listens.
func (o *outbox) putBack(kept []news) {
	if len(kept) == 0 {
		return
	}
	o.mu.Lock()
	o.kept = append(kept, o.kept...)
	o.kept = o.kept[max(0, len(o.kept)-mostKept):]
	o.mu.Unlock()
	o.rouse()
}
