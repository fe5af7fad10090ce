package docker_test

import (
	"context"
	"errors"
	"slices"
	"sync"
	"testing"
	"testing/synctest"

	"github.com/tiny-forge/docker-watcher/internal/docker"
	"github.com/tiny-forge/docker-watcher/internal/docker/dockertest"
)

// roll says who is at work at which engine, and fails when two are at one host.
type roll struct {
	t  *testing.T
	mu sync.Mutex
	at map[string]*docker.Engine
	n  int // shifts so far
}

func (r *roll) work(ctx context.Context, hostID string, e *docker.Engine) error {
	r.mu.Lock()
	if r.at[hostID] != nil {
		r.t.Errorf("two are at work at %s", hostID)
	}
	r.at[hostID] = e
	r.n++
	r.mu.Unlock()
	<-ctx.Done()
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.at, hostID)
	return context.Cause(ctx)
}

func (r *roll) want(engines map[string]*docker.Engine, shifts int) {
	r.t.Helper()
	synctest.Wait()
	r.mu.Lock()
	defer r.mu.Unlock()
	for id, e := range engines {
		if r.at[id] != e {
			r.t.Errorf("nobody is at the engine of %s", id)
		}
	}
	if len(r.at) != len(engines) || r.n != shifts {
		r.t.Errorf("%d at work after %d shifts, want %d after %d", len(r.at), r.n, len(engines), shifts)
	}
}

func TestFleetIsFollowed(t *testing.T) {
	in2026(t, func(t *testing.T) {
		engine := func() *docker.Engine { return adapterTo(t, dockertest.New(t, dockertest.Options{})) }
		a, b, c := engine(), engine(), engine()
		fleet, r := docker.NewFleet(), &roll{t: t, at: map[string]*docker.Engine{}}
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error, 1)
		go func() { done <- fleet.Follow(ctx, r.work) }()
		r.want(nil, 0)
		if former := fleet.Add("a", a); former != nil {
			t.Error("there was one before the first")
		}
		fleet.Add("b", b)
		both := map[string]*docker.Engine{"a": a, "b": b}
		r.want(both, 2)
		if former := fleet.Add("b", c); former != b {
			t.Error("the one that was there is not returned")
		}
		both["b"] = c
		r.want(both, 3)
		if former := fleet.Remove("a"); former != a {
			t.Error("the one that was there is not returned")
		}
		if fleet.Remove("a") != nil || fleet.Remove("none") != nil {
			t.Error("one is taken out that was not there")
		}
		delete(both, "a")
		r.want(both, 3)
		if _, err := fleet.Engine("a"); !errors.Is(err, docker.ErrAbsent) || errors.Is(err, docker.ErrNotFound) {
			t.Errorf("a host that is not in use: %v", err)
		}
		fleet.Remove("b") // and back at once, as an edit would
		fleet.Add("b", b)
		fleet.Add("a", a)
		r.want(map[string]*docker.Engine{"a": a, "b": b}, 5)
		if ids := fleet.HostIDs(); !slices.Equal(ids, []string{"a", "b"}) {
			t.Errorf("hosts %v", ids)
		}
		cancel()
		if err := <-done; err != nil {
			t.Errorf("it ended with %v", err)
		}
		r.want(nil, 5)
	})
}

// TestFleetEndsWithAFault: work that fails although its engine is there ends all of it.
func TestFleetEndsWithAFault(t *testing.T) {
	in2026(t, func(t *testing.T) {
		fleet, broken := docker.NewFleet(), errors.New("broken")
		fleet.Add("a", adapterTo(t, dockertest.New(t, dockertest.Options{})))
		fleet.Add("b", adapterTo(t, dockertest.New(t, dockertest.Options{})))
		err := fleet.Follow(t.Context(), func(ctx context.Context, hostID string, _ *docker.Engine) error {
			if hostID == "a" {
				return broken
			}
			<-ctx.Done()
			return nil
		})
		if !errors.Is(err, broken) {
			t.Errorf("got %v", err)
		}
	})
}
