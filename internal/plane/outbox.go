package plane

import (
	"sync"

	"github.com/tiny-forge/docker-watcher/internal/proxy"
)

// mostKept is how many flips wait for a daemon that is not there. The oldest go first.
const mostKept = 256

// outbox keeps what the daemon has not been told yet.
type outbox struct {
	mu     sync.Mutex
	flips  []proxy.Flip
	missed map[string]struct{} // names of targets
	wake   chan struct{}       // has one when there is something
}

func newOutbox() *outbox {
	return &outbox{missed: map[string]struct{}{}, wake: make(chan struct{}, 1)}
}

func (o *outbox) flip(flips ...proxy.Flip) {
	o.mu.Lock()
	o.flips = append(o.flips, flips...)
	o.flips = o.flips[max(0, len(o.flips)-mostKept):]
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

// take empties it.
func (o *outbox) take() (flips []proxy.Flip, missed []string) {
	o.mu.Lock()
	defer o.mu.Unlock()
	flips, o.flips = o.flips, nil
	for ref := range o.missed {
		missed = append(missed, ref)
	}
	clear(o.missed)
	return flips, missed
}

// putBack keeps flips that could not be told.
func (o *outbox) putBack(flips []proxy.Flip) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.flips = append(flips, o.flips...)
	o.flips = o.flips[max(0, len(o.flips)-mostKept):]
}
