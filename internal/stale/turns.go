package stale

import (
	"context"
	"sync"
)

// turns lets one at a time at something that has a name.
type turns struct {
	mu   sync.Mutex
	held map[string]chan struct{} // closed when the turn is over
}

// wait waits for the turn and takes it; an error is that of ctx.
func (t *turns) wait(ctx context.Context, name string) (done func(), err error) {
	for {
		busy, mine := t.try(name)
		if mine != nil {
			return func() { t.end(name, mine) }, nil
		}
		select {
		case <-busy:
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
}

// try takes the turn, unless another has it.
func (t *turns) try(name string) (busy, mine chan struct{}) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if busy, taken := t.held[name]; taken {
		return busy, nil
	}
	if t.held == nil {
		t.held = map[string]chan struct{}{}
	}
	mine = make(chan struct{})
	t.held[name] = mine
	return nil, mine
}

func (t *turns) end(name string, mine chan struct{}) {
	t.mu.Lock()
	defer t.mu.Unlock()
	delete(t.held, name)
	close(mine)
}
