package main

import (
	"context"
	"errors"
	"log/slog"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/tiny-forge/docker-watcher/internal/docker"
	"github.com/tiny-forge/docker-watcher/internal/docker/dockertest"
	"github.com/tiny-forge/docker-watcher/internal/store"
	"github.com/tiny-forge/docker-watcher/internal/store/storetest"
)

// watched is an engine watch in a bubble, on a pretend engine and a real store.
func watched(t *testing.T, recover func(context.Context) error) (*dockertest.Engine, *store.DB, store.Host) {
	t.Helper()
	time.Sleep(time.Until(time.Date(2026, 11, 23, 9, 0, 0, 0, time.UTC)))
	log := slog.New(slog.DiscardHandler)
	db := storetest.Open(t)
	pretend := dockertest.New(t, dockertest.Docker28())
	host, err := ensureHost(t.Context(), db, pretend.Endpoint())
	if err != nil {
		t.Fatal(err)
	}
	engine, err := docker.New(docker.Options{Endpoint: pretend.Endpoint(), Dial: pretend.Dial, Log: log})
	if err != nil {
		t.Fatal(err)
	}
	fleet := docker.NewFleet()
	fleet.Add(host.ID, engine)
	w := newEngineWatches(db, fleet, recover, log)
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() {
		var g errgroup.Group
		g.Go(func() error { return w.Run(ctx) })
		g.Go(func() error { return w.Finish(ctx) })
		done <- g.Wait()
	}()
	t.Cleanup(func() {
		cancel()
		if err := errors.Join(<-done, engine.Close()); err != nil {
			t.Error(err)
		}
	})
	return pretend, db, host
}

func factsOf(t *testing.T, db *store.DB, host store.Host) store.Host {
	t.Helper()
	h, err := db.Host(t.Context(), host.ID)
	if err != nil {
		t.Fatal(err)
	}
	return h
}

func TestEngineWatchRecoversWhileTheEngineAnswers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var calls, failures atomic.Int32
		failures.Store(1)
		pretend, db, host := watched(t, func(context.Context) error {
			calls.Add(1)
			if failures.Add(-1) >= 0 {
				return errors.New("half done")
			}
			return nil
		})
		time.Sleep(time.Second)
		if h := factsOf(t, db, host); h.EngineID == "" || h.EngineVersion != "28.5.2" || h.APIVersion == "" || h.DataRoot == "" {
			t.Errorf("facts = %+v", h)
		}
		if n := calls.Load(); n != 1 {
			t.Errorf("recovered %d times at the start, want 1", n)
		}
		time.Sleep(2*lookAgainUp + time.Second)
		if n := calls.Load(); n != 3 {
			t.Errorf("recovered %d times after two more looks, want 3", n)
		}
		pretend.Shutdown()
		time.Sleep(lookAgainUp)
		down := calls.Load()
		time.Sleep(5 * time.Minute)
		if n := calls.Load(); n != down {
			t.Errorf("recovered %d times with the engine down", n-down)
		}
		pretend.Boot()
		time.Sleep(2 * lookAgainDown)
		if n := calls.Load(); n != down+1 {
			t.Errorf("recovered %d times as the engine came back, want 1", n-down)
		}
	})
}

func TestEngineWatchLeavesTheFactsOfAnotherEngineAlone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		pretend, db, host := watched(t, func(context.Context) error { return nil })
		time.Sleep(time.Second)
		first := factsOf(t, db, host)
		pretend.Shutdown()
		time.Sleep(time.Minute)
		pretend.SetEngineID("ANOTHER")
		pretend.Boot()
		time.Sleep(time.Minute)
		if h := factsOf(t, db, host); h.EngineID != first.EngineID {
			t.Errorf("engine id = %q: a changed engine is an admin's to accept", h.EngineID)
		}
	})
}

func TestHostRowIsMadeOnceAndFollowsTheEndpoint(t *testing.T) {
	db := storetest.Open(t)
	first, err := ensureHost(t.Context(), db, "unix:///a.sock")
	if err != nil {
		t.Fatal(err)
	}
	second, err := ensureHost(t.Context(), db, "tcp://10.0.0.5:2375")
	if err != nil {
		t.Fatal(err)
	}
	hosts, err := db.Hosts(t.Context())
	if err != nil || len(hosts) != 1 || first.ID != second.ID || hosts[0].Endpoint != "tcp://10.0.0.5:2375" || hosts[0].Name != "local" {
		t.Errorf("hosts = %+v, %v", hosts, err)
	}
	events, _, err := db.Events(t.Context(), store.EventFilter{}, store.Page{Limit: 10})
	if err != nil || len(events) != 1 || events[0].Kind != "host.plain" || events[0].Severity != store.SeverityWarn {
		t.Errorf("nobody is warned of plain tcp: %+v, %v", events, err)
	}
}
