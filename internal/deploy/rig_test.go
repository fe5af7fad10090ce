package deploy

import (
	"context"
	"log/slog"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/tiny-forge/docker-watcher/internal/canarytest"
	"github.com/tiny-forge/docker-watcher/internal/docker"
	"github.com/tiny-forge/docker-watcher/internal/docker/dockertest"
	"github.com/tiny-forge/docker-watcher/internal/events"
	"github.com/tiny-forge/docker-watcher/internal/store"
	"github.com/tiny-forge/docker-watcher/internal/store/storetest"
)

const repository = "registry.example/shop"

// rig is a deployer on a pretend engine and a real store, inside a bubble.
type rig struct {
	*Deployer
	t       *testing.T
	pretend *dockertest.Engine
	adapter *docker.Engine
	project store.Project
	stage   store.Stage
	stop    func() // ends Run and waits
}

// bubble runs a test in synctest time that begins in 2026.
func bubble(t *testing.T, spec store.Spec, test func(t *testing.T, r *rig)) {
	t.Helper()
	bubbleOn(t, dockertest.Options{}, spec, test)
}

// bubbleOn is bubble on an engine of another make.
func bubbleOn(t *testing.T, o dockertest.Options, spec store.Spec, test func(t *testing.T, r *rig)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		time.Sleep(time.Until(time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)))
		pretend := dockertest.New(t, o)
		adapter, err := docker.New(docker.Options{Endpoint: pretend.Endpoint(), Dial: pretend.Dial, Log: slog.New(slog.DiscardHandler)})
		if err != nil {
			t.Fatal(err)
		}
		r := newRig(t, adapter, repository, spec)
		r.pretend = pretend
		test(t, r)
		r.stop()
		if err := adapter.Close(); err != nil {
			t.Error(err)
		}
	})
}

func newRig(t *testing.T, adapter *docker.Engine, repository string, spec store.Spec) *rig {
	t.Helper()
	db := storetest.Open(t)
	log := canarytest.Log(t, db)
	bus := events.New(log)
	db.OnCommit(bus.Committed)
	fleet := docker.NewFleet()
	r := &rig{t: t, adapter: adapter, stop: func() {}}
	host := storetest.Host(t, db)
	fleet.Add(host.ID, adapter)
	r.project = storetest.Project(t, db, func(p *store.Project) { p.Name, p.Image = "shop", repository })
	r.stage = storetest.Stage(t, db, host, r.project, func(s *store.Stage) {
		s.Name, s.Spec = "preview", spec
		s.Spec.Env = append(slices.Clone(spec.Env), canarytest.Env())
	})
	r.Deployer = New(db, fleet, bus, log)
	return r
}

// run starts the deployer.
func (r *rig) run() {
	ctx, cancel := context.WithCancel(r.t.Context())
	ended := make(chan error, 1)
	go func() { ended <- r.Run(ctx) }()
	r.stop = func() {
		cancel()
		if err := <-ended; err != nil {
			r.t.Errorf("run: %v", err)
		}
		r.stop = func() {}
	}
}

func (r *rig) begin(tag string) store.Deploy {
	r.t.Helper()
	d, err := r.Start(r.t.Context(), Request{StageID: r.stage.ID, Tag: tag, Actor: "user:anna"})
	if err != nil {
		r.t.Fatal(err)
	}
	return d
}

// end waits until a deploy has ended.
func (r *rig) end(id string) store.Deploy {
	r.t.Helper()
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	late := time.After(pullWithin + 10*time.Minute) // the longest step is a pull
	for {
		d, err := r.db.Deploy(r.t.Context(), id)
		if err != nil {
			r.t.Fatal(err)
		}
		if d.State.Ended() {
			return d
		}
		select {
		case <-tick.C:
		case <-late:
			r.t.Fatalf("deploy %s is still %s", id, d.State)
		}
	}
}

// deploy brings the stage to a tag and returns the instance.
func (r *rig) deploy(tag string) store.InstanceView {
	r.t.Helper()
	d := r.end(r.begin(tag).ID)
	if d.State != store.DeployDone {
		r.t.Fatalf("deploy of %s: %s: %s", tag, d.State, d.Error)
	}
	return r.instance(d.InstanceID)
}

func (r *rig) instance(id string) store.InstanceView {
	r.t.Helper()
	v, err := r.db.Instance(r.t.Context(), id)
	if err != nil {
		r.t.Fatal(err)
	}
	return v
}

func (r *rig) publish(tags ...string) {
	for _, tag := range tags {
		r.pretend.Publish(dockertest.Image{Ref: repository + ":" + tag})
	}
}

// kinds are the kept events of an instance, oldest first.
func (r *rig) kinds(instanceID string) []string {
	r.t.Helper()
	list, _, err := r.db.Events(r.t.Context(), store.EventFilter{InstanceID: instanceID}, store.Page{})
	if err != nil {
		r.t.Fatal(err)
	}
	var kinds []string
	for _, e := range list {
		kinds = append([]string{e.Kind}, kinds...)
	}
	return kinds
}

func (r *rig) event(kind string) store.Event {
	r.t.Helper()
	list, _, err := r.db.Events(r.t.Context(), store.EventFilter{}, store.Page{})
	if err != nil {
		r.t.Fatal(err)
	}
	for _, e := range list {
		if e.Kind == kind {
			return e
		}
	}
	r.t.Fatalf("no event %s among %d", kind, len(list))
	return store.Event{}
}

// state is what the engine says of an instance's container.
func (r *rig) state(v store.InstanceView) string {
	r.t.Helper()
	c := r.pretend.Container(v.ContainerID)
	if c == nil {
		return "gone"
	}
	return c.Facts().State
}

func mustContain(t *testing.T, text string, parts ...string) {
	t.Helper()
	for _, p := range parts {
		if !strings.Contains(text, p) {
			t.Errorf("%q does not say %q", text, p)
		}
	}
}
