package events

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"testing"
	"testing/synctest"

	"go.uber.org/goleak"

	"github.com/tiny-forge/docker-watcher/internal/store"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func newBus() *Bus { return New(slog.New(slog.DiscardHandler)) }

// kept makes events as a commit hands them over: with the ids from first to last.
func kept(first, last int64) []store.Event {
	var evs []store.Event
	for id := first; id <= last; id++ {
		evs = append(evs, store.Event{ID: id, Severity: store.SeverityWarn, Kind: "instance.stale"})
	}
	return evs
}

func ids(evs []store.Event) []int64 {
	var got []int64
	for _, e := range evs {
		got = append(got, e.ID)
	}
	return got
}

func TestCommittedReachesAllInOrder(t *testing.T) {
	b := newBus()
	a, c := b.Subscribe(10), b.Subscribe(10)
	defer a.Close()
	defer c.Close()
	b.Committed(kept(1, 2))
	b.Committed(nil)
	b.Committed(kept(3, 3))
	for _, s := range []*Subscription{a, c} {
		first, err := s.Next(t.Context())
		if err != nil || len(first) != 2 || first[0].ID != 1 {
			t.Fatalf("first batch = %v, %v", ids(first), err)
		}
		second, err := s.Next(t.Context())
		if err != nil || len(second) != 1 || second[0].ID != 3 {
			t.Fatalf("second batch = %v, %v", ids(second), err)
		}
	}
}

func TestSlowListenerLosesItsSubscriptionAndNobodyElseDoes(t *testing.T) {
	b := newBus()
	slow, quick := b.Subscribe(3), b.Subscribe(3)
	defer slow.Close()
	defer quick.Close()
	for id := int64(1); id <= 10; id++ {
		b.Committed(kept(id, id))
		if _, err := quick.Next(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := slow.Next(t.Context()); !errors.Is(err, ErrLagged) || !slow.Lagged() {
		t.Errorf("slow: %v, lagged %t", err, slow.Lagged())
	}
	if quick.Lagged() {
		t.Error("the quick one lost its subscription too")
	}
	if n := b.Listeners(); n != 1 {
		t.Errorf("%d listeners are left", n)
	}
	if _, open := <-slow.C(); open {
		t.Error("an event came after the lag")
	}
}

func TestIdleListenerTakesABatchLargerThanItsBuffer(t *testing.T) {
	b := newBus()
	s := b.Subscribe(1)
	defer s.Close()
	b.Committed(kept(1, 500))
	if evs, err := s.Next(t.Context()); err != nil || len(evs) != 500 {
		t.Errorf("got %d events, %v", len(evs), err)
	}
}

func TestInfoIsSpreadAtOnceAndNothingElseIs(t *testing.T) {
	b := newBus()
	s := b.Subscribe(10)
	defer s.Close()
	b.Publish(
		store.Event{Severity: store.SeverityWarn, Kind: "kept"},
		store.Event{Severity: store.SeverityInfo, Kind: "deploy.progress"},
		store.Event{Severity: store.SeverityError, Kind: "kept"},
	)
	evs, err := s.Next(t.Context())
	if err != nil || len(evs) != 1 || evs[0].Kind != "deploy.progress" || evs[0].ID != 0 || evs[0].Time.IsZero() {
		t.Errorf("got %+v, %v", evs, err)
	}
	if n := b.Waiting(); n != 2 {
		t.Errorf("%d wait to be kept, want 2", n)
	}
}

func TestCloseGivesWhatIsHeldAndThenEnds(t *testing.T) {
	b := newBus()
	s, c := b.Subscribe(10), b.Subscribe(10)
	b.Committed(kept(1, 3))
	b.Close()
	b.Close()
	b.Committed(kept(4, 4)) // into the void
	if evs, err := s.Next(t.Context()); err != nil || len(evs) != 3 {
		t.Errorf("got %v, %v", ids(evs), err)
	}
	if _, err := s.Next(t.Context()); !errors.Is(err, ErrClosed) || s.Lagged() {
		t.Errorf("end = %v", err)
	}
	var n int
	for range c.C() {
		n++
	}
	if n != 3 {
		t.Errorf("C gave %d events", n)
	}
	if _, err := b.Subscribe(1).Next(t.Context()); !errors.Is(err, ErrClosed) {
		t.Errorf("late subscription: %v", err)
	}
}

func TestOwnerClosesWhileNobodyReads(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBus()
		s := b.Subscribe(10)
		c := s.C()
		b.Committed(kept(1, 3))
		synctest.Wait() // the pump offers the first event
		s.Close()
		s.Close()
		synctest.Wait()
		if _, open := <-c; open {
			t.Error("an event came after Close")
		}
		if b.Listeners() != 0 {
			t.Error("the bus still knows it")
		}
	})
}

func TestNextEndsWithItsContext(t *testing.T) {
	b := newBus()
	s := b.Subscribe(1)
	defer s.Close()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := s.Next(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("error = %v", err)
	}
}

// From a commit until the last of a thousand listeners has the event; the spread may not copy events for each of them.
func BenchmarkSpread1000(b *testing.B) {
	bus := newBus()
	var got, over sync.WaitGroup
	for range 1000 {
		s := bus.Subscribe(16)
		over.Go(func() {
			for {
				if _, err := s.Next(b.Context()); err != nil {
					return
				}
				got.Done()
			}
		})
	}
	evs := kept(1, 1)
	b.ReportAllocs()
	for b.Loop() {
		got.Add(1000)
		bus.Committed(evs)
		got.Wait()
	}
	bus.Close()
	over.Wait()
}
