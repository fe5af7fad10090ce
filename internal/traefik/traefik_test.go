package traefik

import (
	"context"
	"errors"
	"log/slog"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/tiny-forge/docker-watcher/internal/proxy"
)

type bed struct {
	*Driver
	t     *testing.T
	turns []proxy.Turn
}

func newBed(t *testing.T, file string) *bed {
	b := &bed{t: t}
	b.Driver = New(Options{Interval: DefaultInterval, File: file, Log: slog.New(slog.DiscardHandler), Turned: func(turn proxy.Turn, _ string) { b.turns = append(b.turns, turn) }})
	return b
}

// asking has Traefik ask in its interval until end is called.
func (b *bed) asking() (end func()) {
	ctx, cancel := context.WithCancel(b.t.Context())
	done := make(chan struct{})
	go func() {
		defer close(done)
		for {
			select {
			case <-ctx.Done():
				return
			case <-time.After(DefaultInterval):
				b.Fetch("10.0.0.2:1", time.Now())
			}
		}
	}()
	return func() { cancel(); <-done }
}

func (b *bed) run() (end func()) {
	ctx, cancel := context.WithCancel(b.t.Context())
	done := make(chan error, 1)
	go func() { done <- b.Run(ctx) }()
	return func() {
		cancel()
		if err := <-done; err != nil {
			b.t.Error(err)
		}
	}
}

func table(domains ...string) (t proxy.Table) {
	for _, d := range domains {
		t.Rules = append(t.Rules, rule(d, "http://10.0.0.5:80"))
	}
	return t
}

func TestATableIsAppliedWhenItWasFetched(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBed(t, "")
		if text, _ := b.Fetch("x", time.Now()); text != nil {
			t.Errorf("before there is a table it is told %s", text)
		}
		defer b.asking()()
		began := time.Now()
		hash, err := b.Apply(table("a.example"))
		if took := time.Since(began); err != nil || took != DefaultInterval+settle {
			t.Fatalf("it took %s, %v", took, err)
		}
		if _, applied := b.InForce(); applied != hash || hash == "" {
			t.Errorf("in force is %q, want %q", applied, hash)
		}
		if text, got := b.Fetch("x", time.Now()); got != hash || !strings.Contains(string(text), "a.example") {
			t.Errorf("it is told %s", text)
		}
		began = time.Now()
		if _, err := b.Apply(table("a.example")); err != nil || time.Since(began) != 0 {
			t.Errorf("the same once more takes %s, %v", time.Since(began), err)
		}
		if s := b.Standing(); s.Error != "" || s.SeenFrom != "x" {
			t.Errorf("it stands %+v", s)
		}
	})
}

func TestATableThatIsNotFetchedIsNotOffered(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBed(t, "")
		end := b.asking()
		good, err := b.Apply(table("a.example"))
		if err != nil {
			t.Fatal(err)
		}
		end() // it goes down
		if _, err := b.Apply(table("b.example")); err == nil {
			t.Error("a table is applied that nobody fetched")
		}
		if text, hash := b.Fetch("x", time.Now()); hash != good || strings.Contains(string(text), "b.example") {
			t.Errorf("offered is %s", text)
		}
		if _, hash := b.InForce(); hash != good {
			t.Errorf("in force is %s", hash)
		}
		if len(b.turns) != 1 || b.turns[0] != proxy.TurnBack {
			t.Errorf("told was %v: whoever waited in vain has to try again", b.turns)
		}
	})
}

func TestASilentTraefikIsToldOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBed(t, "")
		defer b.run()()
		end := b.asking()
		if _, err := b.Apply(table("a.example")); err != nil {
			t.Fatal(err)
		}
		end()
		time.Sleep(time.Hour)
		synctest.Wait()
		if len(b.turns) != 1 || b.turns[0] != proxy.TurnLost {
			t.Errorf("told was %v", b.turns)
		}
		began := time.Now()
		if _, err := b.Apply(table("b.example")); err == nil || !strings.Contains(err.Error(), "has not asked") || time.Since(began) != 0 {
			t.Errorf("a table is answered %v after %s", err, time.Since(began))
		}
		if s := b.Standing(); s.Error == "" || s.ErrorAt.IsZero() {
			t.Errorf("it stands %+v", s)
		}
		b.Fetch("x", time.Now())
		if len(b.turns) != 2 || b.turns[1] != proxy.TurnBack || b.Standing().Error != "" {
			t.Errorf("told was %v, it stands %+v", b.turns, b.Standing())
		}
	})
}

func TestOneThatNeverAskedIsTold(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBed(t, "")
		end := b.run()
		time.Sleep(time.Minute)
		synctest.Wait()
		end()
		if len(b.turns) != 1 || !strings.Contains(b.Standing().Error, "since the start") {
			t.Errorf("told was %v, it stands %+v", b.turns, b.Standing())
		}
	})
}

func TestTheLastGoodTableIsOfferedAtStart(t *testing.T) {
	file := filepath.Join(t.TempDir(), "table.json")
	synctest.Test(t, func(t *testing.T) {
		b := newBed(t, file)
		defer b.asking()()
		if _, err := b.Apply(table("a.example")); err != nil {
			t.Fatal(err)
		}
	})
	b := newBed(t, file)
	if text, _ := b.Fetch("x", time.Now()); !strings.Contains(string(text), "a.example") {
		t.Errorf("it is told %s", text)
	}
}

func TestABadTableChangesNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBed(t, "")
		defer b.asking()()
		good, err := b.Apply(table("a.example"))
		if err != nil {
			t.Fatal(err)
		}
		bad := table("a.example")
		bad.Rules[0].Options.Maintenance = true
		var field proxy.FieldError
		if _, err := b.Apply(bad); !errors.As(err, &field) || field.Field != "maintenance" {
			t.Errorf("what Traefik cannot do is answered %v", err)
		}
		if _, err := b.Apply(table("a.example", "a.example")); err == nil {
			t.Error("two rules of one address are taken")
		}
		if _, hash := b.Fetch("x", time.Now()); hash != good {
			t.Errorf("offered is %s", hash)
		}
	})
}

func TestWhatNobodyKnowsOfTraefik(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBed(t, "")
		defer b.asking()()
		if _, err := b.Apply(table("a.example")); err != nil {
			t.Fatal(err)
		}
		if r, ok := b.Report("a.example"); !ok || !r.Uncounted || len(r.Targets) != 1 {
			t.Errorf("the report is %+v", r)
		}
		if _, ok := b.Report("b.example"); ok {
			t.Error("there is a report of a rule that is not")
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		if err := b.Drained(ctx, "instance:1:"); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("it is drained: %v", err)
		}
	})
}
