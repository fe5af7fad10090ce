package store

import (
	"context"
	"errors"
	"sync"
)

// damage is whether the database was found damaged by what reads and writes it.
type damage struct {
	found chan struct{}
	once  sync.Once
	err   error // set before found is closed
}

func newDamage() *damage { return &damage{found: make(chan struct{})} }

// see takes an error of the work. Only the driver's own word counts: a sealed value that does not open is the fault of one row. A nil
// damage looks away.
func (d *damage) see(err error) {
	if d != nil && errors.Is(kindOf(err), ErrCorrupt) {
		d.tell(err)
	}
}

// tell notes that the database is damaged; the first who says so is heard.
func (d *damage) tell(err error) {
	d.once.Do(func() {
		d.err = err
		close(d.found)
	})
}

// refuse is the damage that was found, for whoever is about to read or write; nil: none is known. A nil damage knows none.
func (d *damage) refuse() error {
	if d == nil {
		return nil
	}
	select {
	case <-d.found:
		return d.err
	default:
		return nil
	}
}

// WatchDamage waits until a read, a write, a copy or a check finds the database damaged, and returns that error, an ErrCorrupt: what is
// read from such a database must not be judged by, so every later read and write is refused with it. Nil when ctx ends first.
func (db *DB) WatchDamage(ctx context.Context) error {
	select {
	case <-db.damage.found:
		return db.damage.err
	case <-ctx.Done():
		return nil
	}
}
