package stale

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/tiny-forge/docker-watcher/internal/docker/dockertest"
	"github.com/tiny-forge/docker-watcher/internal/guard"
	"github.com/tiny-forge/docker-watcher/internal/store"
)

// stumbling is a log that panics once, at a message.
type stumbling struct {
	slog.Handler
	at   string
	once *sync.Once
}

func (s stumbling) Enabled(context.Context, slog.Level) bool { return true }

func (s stumbling) Handle(_ context.Context, r slog.Record) error {
	if r.Message == s.at {
		s.once.Do(func() { panic("oops") })
	}
	return nil
}

// TestAPanicWhileAPlanIsApplied ends no more than that: the other items are brought to their end, nothing stays in hand, and the plan is closed as after a kill.
func TestAPanicWhileAPlanIsApplied(t *testing.T) {
	inBed(t, func(t *testing.T, b *cleanBed) {
		b.cleaner = NewCleaner(b.db, b.fleet, slog.New(stumbling{slog.DiscardHandler, "removal ended", &sync.Once{}}))
		for _, name := range []string{"a", "b", "c"} {
			b.plant(name, 30, nil)
		}
		plan := b.planAll()
		var told bytes.Buffer
		err := guard.Do(slog.New(slog.NewTextHandler(&told, nil)), "cleanup", func() error {
			_, err := b.cleaner.Apply(t.Context(), plan.ID, "user:anna", true, nil)
			return err
		})
		if err == nil || err.Error() != "panic: oops" || strings.Count(told.String(), "work panicked") != 1 || !strings.Contains(told.String(), "stale.stumbling.Handle") {
			t.Errorf("it ended with %v, told %s", err, told.String())
		}
		if now, err := b.db.Plan(t.Context(), plan.ID); err != nil || now.State != store.PlanApplying {
			t.Errorf("taken as done: %+v, %v", now.State, err)
		}
		if err := b.cleaner.Recover(t.Context()); err != nil {
			t.Fatal(err)
		}
		done, err := b.db.Plan(t.Context(), plan.ID)
		if err != nil || done.State != store.PlanApplied {
			t.Errorf("the plan: %+v, %v", done.State, err)
		}
		for _, item := range done.Items {
			if item.Result != store.ResultRemoved || b.engine.Container(item.ContainerID) != nil {
				t.Errorf("%s: %s", item.Name, item.Result)
			}
		}
	})
}

// TestAPanicInAScan is an error of it, and nothing that was half seen counts: the next one asks about everybody.
func TestAPanicInAScan(t *testing.T) {
	inScanBed(t, dockertest.Options{}, func(t *testing.T, b *scanBed) {
		var told bytes.Buffer
		s := NewScanner(b.db, b.fleet, slog.New(slog.NewTextHandler(&told, nil)))
		if _, err := s.Scan(t.Context(), b.host.ID, triggerManual); err != nil {
			t.Fatal(err)
		}
		s.wall = func() time.Time { panic("oops") }
		_, err := s.Scan(t.Context(), "", triggerManual)
		if _, panicked := errors.AsType[*guard.Panic](err); !panicked || strings.Count(told.String(), "work panicked") != 1 {
			t.Errorf("it ended with %v, told %s", err, told.String())
		}
		if m := s.memory(b.host.ID); m.loaded {
			t.Error("what is remembered is believed")
		}
		s.wall = time.Now
		if _, err := s.Scan(t.Context(), b.host.ID, triggerManual); err != nil {
			t.Errorf("the next one: %v", err)
		}
	})
}
