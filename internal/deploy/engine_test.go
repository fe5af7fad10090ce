package deploy

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/tiny-forge/docker-watcher/internal/docker"
	"github.com/tiny-forge/docker-watcher/internal/docker/enginetest"
	"github.com/tiny-forge/docker-watcher/internal/store"
	"github.com/tiny-forge/docker-watcher/internal/store/storetest"
)

// TestRealEngine deploys on a real engine from a real registry: what the pretend one claims must hold there too.
func TestRealEngine(t *testing.T) {
	engine := enginetest.Engine(t)
	registry := enginetest.Registry(t)
	app, err := enginetest.BuildApp(t.Context(), t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	image := registry + "/shop"
	push := func(tag string, opts ...enginetest.ImageOption) {
		t.Helper()
		if err := enginetest.PushApp(t.Context(), app, image+":"+tag, tag, opts...); err != nil {
			t.Fatal(err)
		}
	}
	push("1.0")
	push("1.1")
	push("checked", enginetest.WithHealthcheck(time.Second))
	push("crash", enginetest.WithEnv("EXIT_AFTER_MS=100", "EXIT_CODE=7"))

	byHTTP := store.Health{Kind: store.HealthHTTP, Port: enginetest.AppPort, Path: "/healthz", Timeout: time.Minute}
	random := []store.Port{{Container: enginetest.AppPort}}
	rig := func(t *testing.T, spec store.Spec) *rig {
		r := newRig(t, engine, image, spec)
		r.run()
		t.Cleanup(func() {
			r.stop()
			r.removeAll(engine)
		})
		return r
	}

	t.Run("good, replaced, found healthy by HTTP", func(t *testing.T) {
		r := rig(t, store.Spec{
			Env:    []store.EnvVar{{Name: "MULTI", Value: "one\ntwo \"quoted\" $HOME=x"}},
			Ports:  random,
			Health: byHTTP, Labels: map[string]string{"team": "shop"},
		})
		first := r.deploy("1.0")
		c, err := engine.Inspect(t.Context(), first.ContainerID)
		if err != nil {
			t.Fatal(err)
		}
		if !strings.Contains(string(c.Raw), `"MULTI=one\ntwo \"quoted\" $HOME=x"`) {
			t.Errorf("the line break of the environment is lost: %s", c.Raw)
		}
		if c.Labels["team"] != "shop" || c.Labels[docker.LabelInstance] != first.ID || !strings.HasPrefix(first.Digest, "sha256:") {
			t.Errorf("labels %v, digest %q", c.Labels, first.Digest)
		}
		second := r.deploy("1.1")
		first = r.instance(first.ID)
		if first.Status != store.StatusStopped || !first.RollbackKept || first.LastAliveAt.After(first.FinishedAt) {
			t.Errorf("former: %s, kept %v, last alive %s, ended %s", first.Status, first.RollbackKept, first.LastAliveAt, first.FinishedAt)
		}
		if err := r.StopInstance(t.Context(), second.ID, "user:anna"); err != nil {
			t.Fatal(err)
		}
		if err := r.StartInstance(t.Context(), first.ID, "user:anna"); err != nil {
			t.Fatal(err)
		}
	})
	t.Run("rolled back to its container, and to another of its digest", func(t *testing.T) {
		r := rig(t, store.Spec{Ports: random, Health: byHTTP})
		first, second := r.deploy("1.0"), r.deploy("1.1")
		d := r.rollback("")
		if v := r.instance(first.ID); d.State != store.DeployDone || d.InstanceID != first.ID || v.Status != store.StatusRunning || v.ContainerID != first.ContainerID {
			t.Fatalf("%+v: %s", d, v.Status)
		}
		if err := engine.Remove(t.Context(), docker.Owned{ID: second.ContainerID, Adopted: true}); err != nil {
			t.Fatal(err)
		}
		push("1.1", enginetest.WithEnv("MOVED=yes")) // the tag leads elsewhere by now
		d = r.rollback(second.Digest)
		v := r.instance(d.InstanceID)
		if d.State != store.DeployDone || v.ID == second.ID || v.Digest != second.Digest || v.ImageID != second.ImageID {
			t.Fatalf("%+v; it is of %s, want %s", d, v.ImageID, second.ImageID)
		}
		if c, err := engine.Inspect(t.Context(), v.ContainerID); err != nil || c.State != docker.StateRunning || strings.Contains(string(c.Raw), "MOVED") {
			t.Errorf("%s, %v", c.State, err)
		}
		push("1.1")
	})
	t.Run("cancelled while it is checked", func(t *testing.T) {
		r := rig(t, store.Spec{Ports: random, Health: byHTTP})
		serves := r.deploy("1.0")
		slow := store.Spec{Ports: random, Health: byHTTP, StopGrace: time.Second, Env: []store.EnvVar{{Name: "START_DELAY_MS", Value: "60000"}}}
		d, err := r.Start(t.Context(), Request{StageID: r.stage.ID, Tag: "1.1", Spec: &slow, Actor: "user:anna"})
		if err != nil {
			t.Fatal(err)
		}
		r.until(d.ID, store.DeployChecking)
		r.cancel(d.ID)
		if d = r.end(d.ID); d.State != store.DeployCancelled {
			t.Errorf("it is %s: %s", d.State, d.Error)
		}
		for id, want := range map[string]docker.State{serves.ContainerID: docker.StateRunning, r.instance(d.InstanceID).ContainerID: docker.StateExited} {
			if c, err := engine.Inspect(t.Context(), id); err != nil || c.State != want {
				t.Errorf("%s is %s, %v; want it %s", c.Name, c.State, err, want)
			}
		}
	})
	t.Run("two tags side by side", func(t *testing.T) {
		r := rig(t, store.Spec{Ports: random, Health: byHTTP})
		stage := r.stage
		stage.Strategy, stage.ParallelMax, stage.Domain = store.StrategyParallel, 2, "{{tag}}.{{project}}.example.com"
		storetest.Update(t, r.db, func(ctx context.Context, tx *store.Tx) error { return tx.UpdateStage(ctx, stage) })
		for _, v := range []store.InstanceView{r.deploy("1.0"), r.deploy("1.1")} {
			c, err := engine.Inspect(t.Context(), v.ContainerID)
			if routes := r.routesOf(t, v); err != nil || c.State != docker.StateRunning || len(routes) != 1 || !strings.HasSuffix(routes[0], ".shop.example.com/") {
				t.Errorf("%s is %s, %v, at %v", v.Name, c.State, err, routes)
			}
		}
	})
	t.Run("healthy by HEALTHCHECK, by TCP", func(t *testing.T) {
		r := rig(t, store.Spec{Ports: random})
		d := r.end(r.begin("checked").ID)
		if d.State != store.DeployDone {
			t.Fatalf("%s: %s", d.State, d.Error)
		}
		if up := d.EndedAt.Sub(r.instance(d.InstanceID).StartedAt); up > upFor {
			t.Errorf("it was up for %s: the HEALTHCHECK did not count", up)
		}
		d, err := r.Start(t.Context(), Request{StageID: r.stage.ID, Tag: "1.0", Actor: "user:anna", Spec: &store.Spec{
			Ports: random, Health: store.Health{Kind: store.HealthTCP, Port: enginetest.AppPort, Timeout: time.Minute},
		}})
		if err != nil {
			t.Fatal(err)
		}
		if d = r.end(d.ID); d.State != store.DeployDone {
			t.Errorf("%s: %s", d.State, d.Error)
		}
	})
	t.Run("failures leave what ran", func(t *testing.T) {
		r := rig(t, store.Spec{Ports: random, Health: byHTTP})
		serves := r.deploy("1.0")
		taken, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = taken.Close() }) // it only holds the port
		busy, ok := taken.Addr().(*net.TCPAddr)
		if !ok {
			t.Fatal(taken.Addr())
		}
		for _, c := range []struct {
			name, tag string
			spec      store.Spec
			says      []string
		}{
			{"image not found", "nope", store.Spec{}, []string{"check the image and the tag"}},
			{"unhealthy", "1.1", store.Spec{Ports: random, Health: store.Health{Kind: store.HealthHTTP, Port: enginetest.AppPort, Path: "/nope", Timeout: 6 * time.Second}}, []string{"answers 404", "serving 1.1"}},
			{"nothing listens there", "1.1", store.Spec{Ports: []store.Port{{Container: 9999}}, Health: store.Health{Kind: store.HealthTCP, Port: 9999, Timeout: 2 * time.Second}}, []string{"not healthy within 2s"}},
			{"crashes", "crash", store.Spec{}, []string{"code 7", "exiting as told"}},
			{"port taken", "1.1", store.Spec{Ports: []store.Port{{Container: enginetest.AppPort, Host: busy.Port}}}, []string{fmt.Sprint(busy.Port), "another host port"}},
			{"a command that it does not know", "1.1", store.Spec{Command: []string{"nope"}}, []string{"code 1", "unknown command"}},
		} {
			d, err := r.Start(t.Context(), Request{StageID: r.stage.ID, Tag: c.tag, Spec: &c.spec, Actor: "user:anna"})
			if err != nil {
				t.Fatal(err)
			}
			if d = r.end(d.ID); d.State != store.DeployFailed {
				t.Errorf("%s: the deploy is %s", c.name, d.State)
			}
			mustContain(t, d.Error, c.says...)
			if v := r.instance(d.InstanceID); v.ContainerID != "" {
				got, err := engine.Inspect(t.Context(), v.ContainerID)
				if err != nil || got.Running {
					t.Errorf("%s: its container runs: %v, %v", c.name, got.Running, err)
				}
			}
			if got, err := engine.Inspect(t.Context(), serves.ContainerID); err != nil || got.State != docker.StateRunning {
				t.Errorf("%s: what ran is %s, %v", c.name, got.State, err)
			}
		}
	})
}

// removeAll takes away every container of the rig's installation.
func (r *rig) removeAll(engine *docker.Engine) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(r.t.Context()), time.Minute)
	defer cancel()
	list, err := engine.List(ctx, docker.ListOptions{Labels: []string{docker.LabelInstallation + "=" + r.db.InstallationID()}})
	if err != nil {
		r.t.Errorf("clean up: %v", err)
	}
	for _, c := range list {
		owned := docker.Owned{ID: c.ID, Adopted: true}
		if err := errors.Join(engine.Stop(ctx, owned, time.Second), engine.Remove(ctx, owned)); err != nil {
			r.t.Errorf("clean up: %v", err)
		}
	}
}

// until waits until a deploy has come to a state.
func (r *rig) until(id string, state store.DeployState) {
	r.t.Helper()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for d := r.deployRow(id); d.State != state; d = r.deployRow(id) {
		if d.State.Ended() {
			r.t.Fatalf("it is %s before it was %s: %s", d.State, state, d.Error)
		}
		<-tick.C
	}
}

// load asks whatever serves shop.example, some hundred times a second, until it is stopped.
type load struct {
	cancel context.CancelFunc
	askers sync.WaitGroup
	asked  atomic.Int64
	failed chan string
}

func newLoad(t *testing.T, served http.Handler, pace time.Duration) *load {
	ctx, cancel := context.WithCancel(t.Context())
	l := &load{cancel: cancel, failed: make(chan string, 1000)}
	for range 4 {
		l.askers.Go(func() {
			tick := time.NewTicker(pace)
			defer tick.Stop()
			for {
				select {
				case <-ctx.Done():
					return
				case <-tick.C:
				}
				l.asked.Add(1)
				w := httptest.NewRecorder()
				served.ServeHTTP(w, httptest.NewRequestWithContext(context.WithoutCancel(ctx), http.MethodGet, "http://shop.example/", nil))
				if w.Code == http.StatusOK {
					continue
				}
				select {
				case l.failed <- fmt.Sprint(w.Code, " ", w.Body):
				default: // the first thousand say enough
				}
			}
		})
	}
	return l
}

func (l *load) stop(t *testing.T) {
	t.Helper()
	l.cancel()
	l.askers.Wait()
	t.Logf("%d requests", l.asked.Load())
	if n := len(l.failed); n > 0 || l.asked.Load() < 100 {
		var first string
		if n > 0 {
			first = <-l.failed
		}
		t.Errorf("of %d requests %d failed, one so: %s", l.asked.Load(), n, first)
	}
}
