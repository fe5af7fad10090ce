package usage_test

import (
	"context"
	"fmt"
	"log/slog"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/tiny-forge/docker-watcher/internal/docker"
	"github.com/tiny-forge/docker-watcher/internal/docker/dockertest"
	"github.com/tiny-forge/docker-watcher/internal/store"
	"github.com/tiny-forge/docker-watcher/internal/store/storetest"
	"github.com/tiny-forge/docker-watcher/internal/usage"
)

// bed is a meter over a store and pretend engines, in a bubble.
type bed struct {
	t     *testing.T
	db    *store.DB
	fleet *docker.Fleet
	meter *usage.Meter
}

func inBubble(t *testing.T, test func(b *bed)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		time.Sleep(time.Until(time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)))
		b := &bed{t: t, db: storetest.Open(t), fleet: docker.NewFleet()}
		b.meter = usage.New(b.db, b.fleet, slog.New(slog.DiscardHandler))
		test(b)
	})
}

func (b *bed) must(err error) {
	b.t.Helper()
	if err != nil {
		b.t.Fatal(err)
	}
}

// host is a pretend engine with so many running containers, and their instances.
func (b *bed) host(name string, running int) (*dockertest.Engine, []store.RunningInstance) {
	b.t.Helper()
	pretend := dockertest.New(b.t, dockertest.Options{EngineID: name})
	engine, err := docker.New(docker.Options{Endpoint: pretend.Endpoint(), Dial: pretend.Dial, Log: slog.New(slog.DiscardHandler)})
	b.must(err)
	b.t.Cleanup(func() { _ = engine.Close() })
	now := time.Now()
	h := store.Host{ID: store.NewID(), Name: name, Endpoint: pretend.Endpoint(), CreatedAt: now, UpdatedAt: now}
	p := store.Project{ID: store.NewID(), Name: "shop-" + name, Image: "shop", CreatedAt: now, UpdatedAt: now}
	st := store.Stage{ID: store.NewID(), ProjectID: p.ID, HostID: h.ID, Name: "preview", Kind: store.StagePreview, CreatedAt: now, UpdatedAt: now}
	var those []store.RunningInstance
	b.must(b.db.Update(b.t.Context(), func(tx *store.Tx) error {
		ctx := b.t.Context()
		b.must(tx.InsertHost(ctx, h))
		b.must(tx.InsertProject(ctx, p))
		b.must(tx.InsertStage(ctx, st))
		for n := range running {
			ct := pretend.Add(dockertest.Template{Name: fmt.Sprintf("%s-%d", name, n), Image: "shop:1.0", State: dockertest.Running, Started: now.Add(-time.Hour)})
			i := store.Instance{
				ID: store.NewID(), HostID: h.ID, ProjectID: p.ID, StageID: st.ID, Name: ct.Facts().Name, Ownership: store.OwnershipCreated, ContainerID: ct.ID,
				Image: "shop", ImageTag: "1.0", Status: store.StatusRunning, Intended: store.IntendedRunning, CreatedAt: now, UpdatedAt: now,
			}
			b.must(tx.InsertInstance(ctx, i))
			those = append(those, store.RunningInstance{ID: i.ID, HostID: h.ID, ContainerID: ct.ID})
		}
		return nil
	}))
	b.fleet.Add(h.ID, engine)
	return pretend, those
}

func (b *bed) run() (stop func()) {
	ctx, cancel := context.WithCancel(b.t.Context())
	done := make(chan error, 1)
	go func() { done <- b.meter.Run(ctx) }()
	return func() {
		cancel()
		b.must(<-done)
	}
}

const asks = `^GET /containers/[^/]+/stats`

func TestTheLastHour(t *testing.T) {
	inBubble(t, func(b *bed) {
		pretend, those := b.host("local", 1)
		defer b.run()()
		pretend.Container("local-0").SetUsage(0.5, 64<<20)
		time.Sleep(10 * time.Minute)
		h := b.meter.History(those[0].ID, time.Now())
		if n := len(h.Samples); n < 38 || n > 40 {
			t.Errorf("%d samples in ten minutes", n)
		}
		for _, s := range h.Samples[1:] {
			if s.CPUPercent < 49 || s.CPUPercent > 51 || s.MemoryBytes != 64<<20 {
				t.Errorf("%+v", s)
			}
		}
		if h.Step != 15*time.Second || time.Since(h.Since) < 10*time.Minute {
			t.Errorf("%+v", h)
		}
		time.Sleep(65 * time.Minute)
		h = b.meter.History(those[0].ID, time.Now())
		if n := len(h.Samples); n < 236 || n > 241 || time.Since(h.Samples[0].Time()) > usage.Kept {
			t.Errorf("%d samples from %s on", n, h.Samples[0].Time())
		}
		if h := b.meter.History("none", time.Now()); len(h.Samples) != 0 {
			t.Errorf("of one that is not known: %+v", h)
		}
	})
}

// However many run, engines are asked twice a second at most, and nobody is forgotten.
func TestManyCostNoMore(t *testing.T) {
	inBubble(t, func(b *bed) {
		pretend, those := b.host("local", 100)
		defer b.run()()
		time.Sleep(time.Minute)
		pretend.ResetCalls()
		time.Sleep(4 * time.Minute)
		if n := len(pretend.Requests(asks)); n > 4*60*2+10 || n < 4*60*2-30 {
			t.Errorf("asked %d times in four minutes", n)
		}
		for _, i := range those {
			if h := b.meter.History(i.ID, time.Now()); len(h.Samples) < 3 || h.Step != 50*time.Second {
				t.Fatalf("%d samples, step %s", len(h.Samples), h.Step)
			}
		}
	})
}

// An engine that hangs costs a gap, holds nobody up, and is asked little.
func TestEngineThatHangs(t *testing.T) {
	inBubble(t, func(b *bed) {
		hangs, sick := b.host("sick", 8)
		_, well := b.host("well", 1)
		defer b.run()()
		time.Sleep(2 * time.Minute)
		before := len(b.meter.History(sick[0].ID, time.Now()).Samples)
		clear := hangs.Fail(dockertest.Fault{On: asks, Hang: true})
		hangs.ResetCalls()
		time.Sleep(5 * time.Minute)
		if n := len(hangs.Requests(asks)); n == 0 || n > 2*20+2 {
			t.Errorf("the engine that hangs was asked %d times", n)
		}
		if n := len(b.meter.History(well[0].ID, time.Now()).Samples); n < 20 {
			t.Errorf("the other has %d samples", n)
		}
		clear()
		time.Sleep(2 * time.Minute)
		h := b.meter.History(sick[0].ID, time.Now())
		if n := len(h.Samples); n <= before || n > before+10 {
			t.Errorf("%d samples, %d before", n, before)
		}
	})
}

// Many who look at once are one question.
func TestLooksAreShared(t *testing.T) {
	inBubble(t, func(b *bed) {
		pretend, those := b.host("local", 1)
		pretend.ResetCalls()
		var all sync.WaitGroup
		for range 50 {
			all.Go(func() {
				r, err := b.meter.Look(b.t.Context(), those[0])
				if err != nil || r.CPUPercent < 9.9 || r.CPUPercent > 10.1 || r.MemoryBytes != 32<<20 {
					t.Errorf("%+v %v", r, err)
				}
			})
		}
		all.Wait()
		if n := len(pretend.Requests(asks)); n != 2 {
			t.Errorf("asked %d times", n)
		}
	})
}

func TestLookAtOneThatDoesNotRun(t *testing.T) {
	inBubble(t, func(b *bed) {
		pretend, those := b.host("local", 1)
		pretend.Container("local-0").Exit(1)
		begin := time.Now()
		if r, err := b.meter.Look(b.t.Context(), those[0]); err != nil || !r.Time.IsZero() || time.Since(begin) > time.Second {
			t.Errorf("%+v %v", r, err)
		}
		pretend.Container("local-0").Remove()
		if r, err := b.meter.Look(b.t.Context(), those[0]); err == nil {
			t.Errorf("of one that is gone: %+v", r)
		}
		those[0].HostID = "none"
		if r, err := b.meter.Look(b.t.Context(), those[0]); err == nil {
			t.Errorf("on a host that is gone: %+v", r)
		}
	})
}

func TestSurveyIsBounded(t *testing.T) {
	inBubble(t, func(b *bed) {
		pretend, those := b.host("local", 200)
		pretend.ResetCalls()
		if found := b.meter.Survey(b.t.Context(), those); len(found) != 64 {
			t.Errorf("%d at the first look", len(found))
		}
		if n := len(pretend.Requests(asks)); n != 2*64 {
			t.Errorf("asked %d times", n)
		}
		for range 3 {
			b.meter.Survey(b.t.Context(), those)
		}
		if found := b.meter.Survey(b.t.Context(), those); len(found) != 200 {
			t.Errorf("%d in the end", len(found))
		}
		// One that hangs costs its bound, and no more.
		pretend.Fail(dockertest.Fault{On: asks, Hang: true})
		begin := time.Now()
		found := b.meter.Survey(b.t.Context(), those)
		if took := time.Since(begin); took > 7*time.Second || len(found) != 200 {
			t.Errorf("%d after %s", len(found), took)
		}
	})
}
