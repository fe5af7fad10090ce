package events

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"strconv"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/tiny-forge/docker-watcher/internal/store"
	"github.com/tiny-forge/docker-watcher/internal/store/storetest"
)

func openStore(t testing.TB, bus *Bus) *store.DB {
	t.Helper()
	db, err := store.Open(t.Context(), store.Options{DataDir: storetest.Dir(t), Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := db.Close(); err != nil {
			t.Error(err)
		}
	})
	db.OnCommit(bus.Committed)
	return db
}

// write keeps n events, a few in each transaction.
func write(t *testing.T, db *store.DB, n int) {
	t.Helper()
	for i := 0; i < n; {
		size := min(1+i%7, n-i)
		err := db.Update(t.Context(), func(tx *store.Tx) error {
			for range size {
				e := store.Event{Time: time.Now().UTC(), Severity: store.SeverityWarn, Source: store.SourceScanner, Kind: "instance.stale", Message: "number " + strconv.Itoa(i)}
				if err := tx.Emit(t.Context(), e); err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil {
			t.Error(err)
			return
		}
		i += size
	}
}

// listener collects what a stream sends until it has want events, or its stream ends.
type listener struct {
	want   int
	got    []store.Event
	beats  int
	filter func(store.Event) bool
	block  func()
}

var errEnough = errors.New("enough")

func (l *listener) listen(ctx context.Context, db *store.DB, bus *Bus, last int64) error {
	filter := l.filter
	if filter == nil {
		filter = func(store.Event) bool { return true }
	}
	return Replay(ctx, db, bus, last, filter, func(e store.Event) error {
		if l.block != nil {
			l.block()
		}
		l.got = append(l.got, e)
		if len(l.got) == l.want {
			return errEnough
		}
		return nil
	}, func() error { l.beats++; return nil })
}

// inOrder checks that ids are first, first+1, ... without a gap or a double.
func inOrder(evs []store.Event, first int64) error {
	for i, e := range evs {
		if want := first + int64(i); e.ID != want {
			return fmt.Errorf("event %d has id %d, want %d", i, e.ID, want)
		}
	}
	return nil
}

func TestReplayJoinsTheLiveStreamWithoutGapOrDouble(t *testing.T) {
	bus := newBus()
	db := openStore(t, bus)
	write(t, db, 1300) // more than two pages
	const total = 3000
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute) // what is not written is waited for until then
	defer cancel()
	var done sync.WaitGroup
	for i := range 12 {
		last := int64(i * 100)
		done.Go(func() {
			l := &listener{want: total - int(last)}
			if err := l.listen(ctx, db, bus, last); !errors.Is(err, errEnough) {
				t.Errorf("from %d: %v after %d events", last, err, len(l.got))
			}
			if err := inOrder(l.got, last+1); err != nil {
				t.Errorf("from %d: %v", last, err)
			}
		})
	}
	write(t, db, total-1300)
	done.Wait()
	if n := bus.Listeners(); n != 0 {
		t.Errorf("%d subscriptions are left", n)
	}
}

// bubble runs a test of streams on a real store, in time that jumps.
func bubble(t *testing.T, test func(t *testing.T, bus *Bus, db *store.DB)) {
	synctest.Test(t, func(t *testing.T) {
		time.Sleep(time.Until(time.Date(2026, 11, 23, 9, 0, 0, 0, time.UTC)))
		bus := newBus()
		test(t, bus, openStore(t, bus))
	})
}

func TestStreamFromNow(t *testing.T) {
	bubble(t, func(t *testing.T, bus *Bus, db *store.DB) {
		write(t, db, 10)
		l := &listener{want: 3}
		done := make(chan error, 1)
		go func() { done <- l.listen(t.Context(), db, bus, -1) }()
		synctest.Wait()
		bus.Publish(store.Event{Severity: store.SeverityInfo, Kind: "deploy.progress"})
		write(t, db, 2)
		if err := <-done; !errors.Is(err, errEnough) {
			t.Fatal(err)
		}
		if l.got[0].Kind != "deploy.progress" || l.got[0].ID != 0 || l.got[1].ID != 11 || l.got[2].ID != 12 {
			t.Errorf("got %v", ids(l.got))
		}
	})
}

func TestStreamHeartbeat(t *testing.T) {
	bubble(t, func(t *testing.T, bus *Bus, db *store.DB) {
		l := &listener{filter: func(store.Event) bool { return false }}
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error, 1)
		go func() { done <- l.listen(ctx, db, bus, 0) }()
		time.Sleep(Heartbeat - time.Second)
		synctest.Wait()
		if l.beats != 0 {
			t.Errorf("a heartbeat after 14 s")
		}
		for range 10 { // events that this listener does not want must not starve the heartbeat
			write(t, db, 1)
			time.Sleep(Heartbeat / 2)
		}
		synctest.Wait()
		if l.beats != 5 {
			t.Errorf("%d heartbeats in 89 s", l.beats)
		}
		if len(l.got) != 0 {
			t.Errorf("got %v in spite of the filter", ids(l.got))
		}
		cancel()
		if err := <-done; !errors.Is(err, context.Canceled) {
			t.Errorf("end: %v", err)
		}
	})
}

func TestSlowStreamIsCutAndResumes(t *testing.T) {
	bubble(t, func(t *testing.T, bus *Bus, db *store.DB) {
		const total = streamBuffer + 100
		stuck := make(chan struct{})
		slow := &listener{block: func() { <-stuck }}
		done := make(chan error, 1)
		go func() { done <- slow.listen(t.Context(), db, bus, 0) }()
		synctest.Wait()
		write(t, db, total)
		close(stuck)
		if err := <-done; !errors.Is(err, ErrLagged) {
			t.Fatalf("end: %v", err)
		}
		if err := inOrder(slow.got, 1); err != nil || len(slow.got) == 0 {
			t.Fatalf("%d events before the cut, %v", len(slow.got), err)
		}
		last := slow.got[len(slow.got)-1].ID
		again := &listener{want: total - int(last)}
		if err := again.listen(t.Context(), db, bus, last); !errors.Is(err, errEnough) {
			t.Fatal(err)
		}
		if err := inOrder(again.got, last+1); err != nil {
			t.Error(err)
		}
	})
}

func TestStreamOfAnIdFromAnotherStore(t *testing.T) {
	bubble(t, func(t *testing.T, bus *Bus, db *store.DB) {
		write(t, db, 5)
		for _, last := range []int64{999, math.MaxInt64} {
			l := &listener{want: 1}
			done := make(chan error, 1)
			go func() { done <- l.listen(t.Context(), db, bus, last) }()
			synctest.Wait()
			write(t, db, 1)
			if err := <-done; !errors.Is(err, errEnough) {
				t.Fatal(err)
			}
		}
	})
}

func TestStreamEnds(t *testing.T) {
	bubble(t, func(t *testing.T, bus *Bus, db *store.DB) {
		write(t, db, 2)
		l := &listener{}
		done := make(chan error, 1)
		go func() { done <- l.listen(t.Context(), db, bus, 0) }()
		synctest.Wait()
		bus.Close()
		if err := <-done; !errors.Is(err, ErrClosed) || len(l.got) != 2 {
			t.Errorf("end: %v after %d events", err, len(l.got))
		}
		broken := errors.New("connection reset")
		err := Replay(t.Context(), db, newBus(), 0, func(store.Event) bool { return true }, func(store.Event) error { return broken }, func() error { return nil })
		if !errors.Is(err, broken) {
			t.Errorf("end: %v", err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		if err := l.listen(ctx, db, newBus(), 0); !errors.Is(err, context.Canceled) {
			t.Errorf("end: %v", err)
		}
	})
}

func TestPublishedWarningIsKeptAndThenSpreadWithItsID(t *testing.T) {
	bubble(t, func(t *testing.T, bus *Bus, db *store.DB) {
		ctx, cancel := context.WithCancel(t.Context())
		p := NewPersister(bus, db, slog.New(slog.DiscardHandler))
		ended := make(chan error, 1)
		go func() { ended <- p.Run(ctx) }()
		sub := bus.Subscribe(10)
		bus.Publish(store.Event{Severity: store.SeverityError, Source: store.SourceEngine, Kind: "x", Message: "the engine is gone"})
		evs, err := sub.Next(t.Context())
		if err != nil || len(evs) != 1 || evs[0].ID == 0 {
			t.Fatalf("spread %+v, %v", evs, err)
		}
		kept, err := db.EventsAfter(t.Context(), 0, 10)
		if err != nil || len(kept) != 1 || kept[0].Message != "the engine is gone" || kept[0].Time.IsZero() {
			t.Errorf("kept %+v, %v", kept, err)
		}
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
}

func BenchmarkPersist(b *testing.B) {
	bus := newBus()
	db := openStore(b, bus)
	ctx, cancel := context.WithCancel(b.Context())
	ended := make(chan error, 1)
	go func() { ended <- NewPersister(bus, db, slog.New(slog.DiscardHandler)).Run(ctx) }()
	sub := bus.Subscribe(math.MaxInt)
	e := store.Event{Severity: store.SeverityWarn, Source: store.SourceScanner, Kind: "instance.stale", Message: "shop/preview 1.2 has not been alive for 9 days", Actor: "system", Data: map[string]any{"days": 9}}
	for b.Loop() {
		const burst = 10_000
		for range burst {
			bus.Publish(e)
		}
		for got := 0; got < burst; {
			evs, err := sub.Next(b.Context())
			if err != nil {
				b.Fatal(err)
			}
			got += len(evs)
		}
	}
	b.ReportMetric(10_000*float64(b.N)/b.Elapsed().Seconds(), "events/s")
	cancel()
	if err := <-ended; err != nil {
		b.Fatal(err)
	}
}
