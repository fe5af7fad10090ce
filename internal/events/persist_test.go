package events

import (
	"context"
	"errors"
	"log/slog"
	"math"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/tiny-forge/docker-watcher/internal/store"
)

var errFull = errors.New("disk full")

// shelf stands where the store is: it keeps, or refuses for a while.
type shelf struct {
	bus    *Bus
	refuse func() bool

	mu      sync.Mutex
	batches [][]store.Event
	tries   int
}

func (s *shelf) keep(_ context.Context, evs []store.Event) error {
	s.mu.Lock()
	s.tries++
	s.mu.Unlock()
	if s.refuse != nil && s.refuse() {
		return errFull
	}
	for _, e := range evs {
		if f, ok := e.Data["value"].(float64); ok && math.IsNaN(f) {
			return errors.New("json: unsupported value: NaN")
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.batches = append(s.batches, slices.Clone(evs))
	return nil
}

// kept returns the batches so far, and how often keeping was tried.
func (s *shelf) kept() (batches [][]store.Event, tries int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.batches), s.tries
}

func count(batches [][]store.Event) (n int) {
	for _, b := range batches {
		n += len(b)
	}
	return n
}

func persisting(t *testing.T, s *shelf) (end func() error) {
	t.Helper()
	time.Sleep(time.Until(time.Date(2026, 11, 23, 0, 0, 0, 0, time.UTC)))
	p := &Persister{bus: s.bus, log: slog.New(slog.DiscardHandler), keep: s.keep}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- p.Run(ctx) }()
	return func() error {
		cancel()
		return <-done
	}
}

func warning(kind string) store.Event {
	return store.Event{Severity: store.SeverityWarn, Source: store.SourceSystem, Kind: kind}
}

func TestPersisterBatchesWhileTheStoreIsBusy(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &shelf{bus: newBus()}
		s.refuse = func() bool { time.Sleep(time.Second); return false } // a slow commit
		end := persisting(t, s)
		for range 3000 {
			s.bus.Publish(warning("x"))
		}
		time.Sleep(10 * time.Second)
		synctest.Wait()
		if batches, _ := s.kept(); count(batches) != 3000 || len(batches) > 3 {
			t.Errorf("%d events in %d batches", count(batches), len(batches))
		}
		if err := end(); err != nil {
			t.Error(err)
		}
	})
}

func TestPersisterRetriesWithBackoffAndKeepsTheOrder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &shelf{bus: newBus()}
		var down atomic.Bool
		down.Store(true)
		s.refuse = func() bool { return down.Load() }
		end := persisting(t, s)
		s.bus.Publish(warning("first"))
		time.Sleep(time.Minute)
		s.bus.Publish(warning("second"))
		synctest.Wait()
		if _, n := s.kept(); n > 15 {
			t.Errorf("%d tries in a minute: no backoff", n)
		}
		down.Store(false)
		time.Sleep(lastBackoff + time.Second)
		synctest.Wait()
		if batches, _ := s.kept(); count(batches) != 2 || batches[0][0].Kind != "first" {
			t.Errorf("kept %v", batches)
		}
		if err := end(); err != nil {
			t.Error(err)
		}
	})
}

func TestPersisterTellsOnceOfAnOverflow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		bus := newBus()
		bus.queue.limit = 100
		s := &shelf{bus: bus}
		var down atomic.Bool
		down.Store(true)
		s.refuse = func() bool { return down.Load() }
		end := persisting(t, s)
		bus.Publish(warning("in hand"))
		synctest.Wait()
		for range 130 {
			bus.Publish(warning("flood"))
		}
		down.Store(false)
		time.Sleep(time.Minute)
		synctest.Wait()
		var told []store.Event
		batches, _ := s.kept()
		for _, batch := range batches {
			for _, e := range batch {
				if e.Kind == "system.events_lost" {
					told = append(told, e)
				}
			}
		}
		if len(told) != 1 || told[0].Data["lost"] != 30 || told[0].Severity != store.SeverityError {
			t.Errorf("told %+v", told)
		}
		if count(batches) != 102 || bus.Lost() != 30 {
			t.Errorf("kept %d, lost %d", count(batches), bus.Lost())
		}
		if err := end(); err != nil {
			t.Error(err)
		}
	})
}

func TestOneBadEventDoesNotHoldUpTheRest(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &shelf{bus: newBus()}
		end := persisting(t, s)
		bad := warning("bad")
		bad.Data = map[string]any{"value": math.NaN()}
		s.bus.Publish(warning("one"), bad, warning("two"))
		time.Sleep(time.Second)
		synctest.Wait()
		if batches, _ := s.kept(); count(batches) != 2 {
			t.Errorf("kept %d events", count(batches))
		}
		if err := end(); err != nil {
			t.Error(err)
		}
	})
}

func TestPersisterWritesWhatIsLeftAtTheEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &shelf{bus: newBus()}
		listener := s.bus.Subscribe(10)
		busy := make(chan struct{})
		s.refuse = func() bool { <-busy; return false }
		end := persisting(t, s)
		s.bus.Publish(warning("one"))
		synctest.Wait()
		s.bus.Publish(warning("two"))
		go func() { time.Sleep(time.Second); close(busy) }()
		if err := end(); err != nil {
			t.Error(err)
		}
		if batches, _ := s.kept(); count(batches) != 2 {
			t.Errorf("kept %d events", count(batches))
		}
		if _, err := listener.Next(t.Context()); !errors.Is(err, ErrClosed) {
			t.Errorf("listener: %v", err)
		}
		s.bus.Publish(warning("late"))
		if s.bus.Waiting() != 0 {
			t.Error("an event waits for nobody")
		}
	})
}

func TestPersisterEndIsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &shelf{bus: newBus(), refuse: func() bool { return true }}
		end := persisting(t, s)
		s.bus.Publish(warning("one"))
		synctest.Wait()
		before := time.Now()
		if err := end(); err == nil {
			t.Error("nothing was said about the event that is lost")
		}
		if took := time.Since(before); took > endTimeout+time.Second {
			t.Errorf("the end took %s", took)
		}
	})
}
