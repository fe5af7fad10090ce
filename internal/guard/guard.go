// Package guard keeps a panic in one piece of work from ending the daemon, and with it all other work: it is an error of that piece, as if the daemon had
// been killed in the middle of it. What holds locks lets go of them by defer, and what was half done is ended by what ends it after a kill.
//
// A goroutine is guarded where it carries out what a person or a job has asked for. One that the daemon cannot be without is not: its end is the daemon's.
package guard

import (
	"fmt"
	"log/slog"
	"runtime/debug"
	"sync"
	"sync/atomic"
)

// Panic is a panic as the error of the work that it ended.
type Panic struct {
	Cause any
	Stack []byte // of where it came about
}

func (p *Panic) Error() string { return fmt.Sprintf("panic: %v", p.Cause) }

// Caught is what recover has answered, with the stack of where it came about: this one, unless a Group brought it here.
func Caught(cause any) *Panic {
	if p, brought := cause.(*Panic); brought {
		return p
	}
	return &Panic{Cause: cause, Stack: debug.Stack()}
}

// Do carries out a piece of work. A panic in it is logged once, with its stack, and is its error.
func Do(log *slog.Logger, what string, work func() error) (err error) {
	defer func() {
		if cause := recover(); cause != nil {
			p := Caught(cause)
			log.Error("work panicked", "job", what, "panic", p.Cause, "stack", string(p.Stack))
			err = p
		}
	}()
	return work()
}

// Group is a sync.WaitGroup whose Wait panics when a piece has: whoever waits ends as if it had done that piece itself. The zero value is ready.
type Group struct {
	wg    sync.WaitGroup
	first atomic.Pointer[Panic]
}

// Go carries out a piece in a goroutine of its own.
func (g *Group) Go(piece func()) { g.wg.Go(func() { g.Try(piece) }) }

// Try carries out a piece here. It returns also when that panics, so that a worker goes on with the next.
func (g *Group) Try(piece func()) {
	defer func() {
		if cause := recover(); cause != nil {
			g.first.CompareAndSwap(nil, Caught(cause))
		}
	}()
	piece()
}

// Wait waits for all pieces.
func (g *Group) Wait() {
	g.wg.Wait()
	if p := g.first.Load(); p != nil {
		panic(p)
	}
}

// Hold is a piece for an errgroup, of which a panic is the error; Again is to have what its Wait answers.
func Hold(piece func() error) func() error {
	return func() (err error) {
		defer func() {
			if cause := recover(); cause != nil {
				err = Caught(cause)
			}
		}()
		return piece()
	}
}

// Again panics with a panic that Hold has held, and returns any other error.
func Again(err error) error {
	if p, held := err.(*Panic); held { //nolint:errorlint // as it was held: one that work has ended as an error already is none any more
		panic(p)
	}
	return err
}
