package docker

import (
	"fmt"
	"maps"
	"slices"
	"sync"
)

// Fleet is the engines by our host id.
type Fleet struct {
	mu      sync.RWMutex
	engines map[string]*Engine
}

// NewFleet returns a fleet without engines.
func NewFleet() *Fleet { return &Fleet{engines: map[string]*Engine{}} }

// Add puts an engine in under a host id; one that was there is replaced, not closed.
func (f *Fleet) Add(hostID string, e *Engine) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.engines[hostID] = e
}

// Engine of a host; ErrNotFound for an id that is not in the fleet.
func (f *Fleet) Engine(hostID string) (*Engine, error) {
	f.mu.RLock()
	defer f.mu.RUnlock()
	e, ok := f.engines[hostID]
	if !ok {
		return nil, fmt.Errorf("engine of host %q: %w", hostID, ErrNotFound)
	}
	return e, nil
}

// HostIDs in order.
func (f *Fleet) HostIDs() []string {
	f.mu.RLock()
	defer f.mu.RUnlock()
	return slices.Sorted(maps.Keys(f.engines))
}
