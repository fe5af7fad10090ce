package docker

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"sync"

	"golang.org/x/sync/errgroup"
)

// Fleet is the engines by our host id. Hosts come and go while others use it.
type Fleet struct {
	mu      sync.RWMutex
	engines map[string]*Engine
	changed chan struct{} // closed at the next change
}

// NewFleet returns a fleet without engines.
func NewFleet() *Fleet {
	return &Fleet{engines: map[string]*Engine{}, changed: make(chan struct{})}
}

// Add puts an engine in under a host id; one that was there is replaced and returned, not closed.
func (f *Fleet) Add(hostID string, e *Engine) (former *Engine) {
	f.mu.Lock()
	defer f.mu.Unlock()
	former = f.engines[hostID]
	f.engines[hostID] = e
	f.tellLocked()
	return former
}

// Remove takes the engine of a host out and returns it, not closed; nil if there was none.
func (f *Fleet) Remove(hostID string) (former *Engine) {
	f.mu.Lock()
	defer f.mu.Unlock()
	former = f.engines[hostID]
	delete(f.engines, hostID)
	f.tellLocked()
	return former
}

func (f *Fleet) tellLocked() {
	close(f.changed)
	f.changed = make(chan struct{})
}

// Engine of a host; ErrAbsent for an id that is not in the fleet: that is no word about its containers.
func (f *Fleet) Engine(hostID string) (*Engine, error) {
	f.mu.RLock()
	defer f.mu.RUnlock()
	e, ok := f.engines[hostID]
	if !ok {
		return nil, fmt.Errorf("engine of host %q: %w", hostID, ErrAbsent)
	}
	return e, nil
}

// HostIDs in order.
func (f *Fleet) HostIDs() []string {
	f.mu.RLock()
	defer f.mu.RUnlock()
	return slices.Sorted(maps.Keys(f.engines))
}

func (f *Fleet) now() (engines map[string]*Engine, changed <-chan struct{}) {
	f.mu.RLock()
	defer f.mu.RUnlock()
	return maps.Clone(f.engines), f.changed
}

// shift is the work at one engine.
type shift struct {
	engine *Engine
	end    context.CancelFunc
}

// Follow runs work for each engine, each in a goroutine of its own, as long as it is in the fleet: its ctx ends when
// the engine is taken out or replaced, and of one host no two ever run at once. Follow returns when ctx ends and all of
// them have come back, or when one fails although its engine is still there.
func (f *Fleet) Follow(ctx context.Context, work func(ctx context.Context, hostID string, e *Engine) error) error {
	g, ctx := errgroup.WithContext(ctx)
	shifts, over := map[string]shift{}, map[string]<-chan struct{}{}
	for {
		engines, changed := f.now()
		for id, s := range shifts {
			if engines[id] != s.engine {
				s.end()
				delete(shifts, id)
			}
		}
		maps.DeleteFunc(over, func(id string, done <-chan struct{}) bool { return engines[id] == nil && isClosed(done) })
		for id, e := range engines {
			if _, going := shifts[id]; going {
				continue
			}
			own, end := context.WithCancel(ctx)
			before, done := over[id], make(chan struct{})
			shifts[id], over[id] = shift{e, end}, done
			g.Go(func() error {
				defer end()
				defer close(done)
				if before != nil {
					<-before
				}
				if own.Err() != nil {
					return nil
				}
				if err := work(own, id, e); err != nil && own.Err() == nil {
					return err
				}
				return nil
			})
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return g.Wait()
		}
	}
}

func isClosed(c <-chan struct{}) bool {
	select {
	case <-c:
		return true
	default:
		return false
	}
}
