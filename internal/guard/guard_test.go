package guard_test

import (
	"bytes"
	"errors"
	"log/slog"
	"strings"
	"sync/atomic"
	"testing"

	"golang.org/x/sync/errgroup"

	"github.com/tiny-forge/docker-watcher/internal/guard"
)

func stumble() { panic("oops") }

func TestDo(t *testing.T) {
	var told bytes.Buffer
	log := slog.New(slog.NewTextHandler(&told, nil))
	broken := errors.New("no room")
	for _, want := range []error{nil, broken} {
		if err := guard.Do(log, "scan", func() error { return want }); !errors.Is(err, want) || (err == nil) != (want == nil) || told.Len() > 0 {
			t.Errorf("%v, want %v; told %q", err, want, told.String())
		}
	}
	err := guard.Do(log, "scan", func() error { stumble(); return nil })
	if p, ok := errors.AsType[*guard.Panic](err); !ok || err.Error() != "panic: oops" || p.Cause != "oops" {
		t.Errorf("a panic is %v", err)
	}
	if text := told.String(); strings.Count(text, "work panicked") != 1 || !strings.Contains(text, "job=scan panic=oops") || !strings.Contains(text, "guard_test.stumble") {
		t.Errorf("told %s", text)
	}
}

// TestGroup has a worker of two go on after a piece that panics; who waits hears of it when all are through, with the stack of the piece.
func TestGroup(t *testing.T) {
	var told bytes.Buffer
	var done atomic.Int32
	err := guard.Do(slog.New(slog.NewTextHandler(&told, nil)), "cleanup", func() error {
		var g guard.Group
		for range 2 {
			g.Go(func() {
				g.Try(stumble)
				done.Add(1)
			})
		}
		g.Wait()
		t.Error("it goes on as if nothing were")
		return nil
	})
	if err == nil || err.Error() != "panic: oops" || done.Load() != 2 {
		t.Errorf("%v, %d done", err, done.Load())
	}
	if text := told.String(); strings.Count(text, "work panicked") != 1 || !strings.Contains(text, "guard_test.stumble") {
		t.Errorf("told %s", text)
	}
	var quiet guard.Group
	quiet.Go(func() { done.Add(1) })
	quiet.Wait()
	if done.Load() != 3 {
		t.Error("it was not waited for")
	}
}

func TestHold(t *testing.T) {
	broken := errors.New("no room")
	for _, want := range []error{nil, broken} {
		var g errgroup.Group
		g.Go(guard.Hold(func() error { return want }))
		if err := guard.Again(g.Wait()); !errors.Is(err, want) || (err == nil) != (want == nil) {
			t.Errorf("%v, want %v", err, want)
		}
	}
	defer func() {
		if p := guard.Caught(recover()); p.Cause != "oops" || !strings.Contains(string(p.Stack), "guard_test.stumble") {
			t.Errorf("caught %v at %s", p.Cause, p.Stack)
		}
	}()
	var g errgroup.Group
	g.Go(guard.Hold(func() error { stumble(); return nil }))
	t.Errorf("it goes on with %v", guard.Again(g.Wait()))
}
