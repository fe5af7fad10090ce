package deploy

import (
	"context"
	"sync"
)

// locks keeps two acts on one instance apart.
type locks struct {
	mu   sync.Mutex
	held map[string]chan struct{}
}

// try takes the lock of id, or answers false if somebody holds it.
func (l *locks) try(id string) bool {
	_, ok := l.take(id)
	return ok
}

// wait takes the lock of id as soon as it is free.
func (l *locks) wait(ctx context.Context, id string) error {
	for {
		freed, ok := l.take(id)
		if ok {
			return nil
		}
		select {
		case <-freed:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

func (l *locks) take(id string) (freed <-chan struct{}, ok bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.held == nil {
		l.held = map[string]chan struct{}{}
	}
	if c, taken := l.held[id]; taken {
		return c, false
	}
	l.held[id] = make(chan struct{})
	return nil, true
}

func (l *locks) release(id string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	close(l.held[id])
	delete(l.held, id)
}
