package main

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/tiny-forge/docker-watcher/internal/deploy"
	"github.com/tiny-forge/docker-watcher/internal/docker"
	"github.com/tiny-forge/docker-watcher/internal/docker/dockertest"
	"github.com/tiny-forge/docker-watcher/internal/docker/enginetest"
	"github.com/tiny-forge/docker-watcher/internal/events"
	"github.com/tiny-forge/docker-watcher/internal/failpoint/failpointtest"
	"github.com/tiny-forge/docker-watcher/internal/loopbacktest"
	"github.com/tiny-forge/docker-watcher/internal/store"
	"github.com/tiny-forge/docker-watcher/internal/store/storetest"
)

// scene is what is killed in the middle.
type scene string

const (
	forward    scene = "deploy"
	makesRoom  scene = "deploy with one host port" // the former must be stopped first
	unhealthy  scene = "unhealthy with one host port"
	sideBySide scene = "preview"
	back       scene = "rollback"
	another    scene = "rollback without the container"
	cancel     scene = "cancel"
)

var kills = []struct {
	scene  scene
	points []string
	real   []string // of them, those tried on a real engine as well
}{
	{forward, []string{
		"pulling", "pulled", "before-create", "after-create", "before-start", "after-start", "checking", "before-switch", "after-switch",
		"draining", "after-stop", "before-done", "after-done",
	}, []string{"after-create", "after-stop"}},
	{makesRoom, []string{"made-room", "before-start", "after-start", "before-switch", "after-switch", "before-done"}, []string{"made-room"}},
	{unhealthy, []string{"new-stopped", "before-failed"}, nil},
	{sideBySide, []string{"before-switch", "after-switch", "draining", "after-stop", "before-done"}, nil},
	{back, []string{"before-start", "after-start", "before-switch", "after-switch", "draining", "after-stop", "before-done"}, []string{"after-switch"}},
	{another, []string{"pulled", "after-create", "after-start", "after-switch"}, nil},
	{cancel, []string{"cancel-taken-away"}, nil},
}

// kill -9 at each step of a deploy, then a new start: the deploy comes to its end, one container serves, the routes lead to it, and
// no container is without a row. At the moment of the kill something serves, wherever two can run side by side.
func TestKilledAtEachStep(t *testing.T) {
	killtest := failpointtest.Build(t)
	t.Run("pretend", func(t *testing.T) {
		engine := dockertest.Serve(t, dockertest.Options{})
		for _, tag := range []string{"1.0", "1.1", "1.2"} {
			engine.Publish(dockertest.Image{Ref: "registry.example/shop:" + tag, Life: dockertest.Life{Health: true, HealthAfter: 20 * time.Millisecond}})
		}
		engine.Publish(dockertest.Image{Ref: "registry.example/shop:bad", Life: dockertest.Life{Health: true, HealthAfter: 20 * time.Millisecond, Unhealthy: true}})
		for _, k := range kills {
			for _, point := range k.points {
				t.Run(string(k.scene)+" "+point, func(t *testing.T) {
					killOnce(t, k.scene, point, killtest, engine.Endpoint(), "registry.example/shop")
				})
			}
		}
	})
	t.Run("real", func(t *testing.T) {
		endpoint, image := enginetest.Endpoint(t), publish(t)
		for _, k := range kills {
			for _, point := range k.real {
				t.Run(string(k.scene)+" "+point, func(t *testing.T) { killOnce(t, k.scene, point, killtest, endpoint, image) })
			}
		}
	})
}

func killOnce(t *testing.T, what scene, point, killtest, endpoint, image string) {
	t.Parallel() // they wait most of the time
	s := newSite(t, endpoint, image)
	if what == makesRoom || what == unhealthy {
		s.spec.Ports[0].Host = loopbacktest.Port(t)
	}
	s.open()
	if what == sideBySide {
		s.runTagsSideBySide(2)
	}
	s.start()
	former := s.bring(s.begin("1.0"))
	if what != sideBySide { // whose routes are made for it
		storetest.LayRoute(t, s.dir, former.Instance, "shop.example")
	}
	if what == back || what == another || what == sideBySide {
		s.bring(s.begin("1.1"))
	}
	if what == sideBySide {
		s.runTagsSideBySide(1) // so that 1.0 gives way to the next of 1.1, as the 1.1 of now does
	}
	serves := s.serving()
	if what == another {
		s.remove(former.ContainerID)
	}
	s.stop()
	dep := s.killed(what, former.ID)
	s.leave()
	mode := "carry-out"
	if what == cancel {
		mode = "cancel"
	}
	failpointtest.Kill(t, 2*time.Minute, point, killtest, s.dir, endpoint, s.host.ID, mode)

	s.open()
	stopped := what == makesRoom || what == unhealthy && point == "new-stopped"
	if n := len(s.containers(docker.StateRunning)); n == 0 && !stopped {
		t.Error("nothing serves after the kill")
	}
	led := 1
	if what == sideBySide {
		led = 2
		stopped = point == "before-done" // the one that gave way, whose domain still says where it was
	}
	s.wantRoute("after the kill", led, !stopped)
	s.start()
	dep = s.end(dep.ID)
	want := store.DeployDone
	switch what {
	case cancel:
		want = store.DeployCancelled
	case unhealthy:
		want = store.DeployFailed
	case forward, makesRoom, sideBySide, back, another:
		serves = []string{dep.InstanceID}
	}
	if dep.State != want {
		t.Errorf("the deploy is %s: %s; want %s", dep.State, dep.Error, want)
	}
	if got := s.serving(); !slices.Equal(got, serves) {
		t.Errorf("%v serve, want %v", got, serves)
	}
	s.wantRoute("at the end", led, what != sideBySide)
	if what == sideBySide {
		s.wantDomain(dep.InstanceID, "1-1")
	}
	if what == unhealthy {
		s.wantStoppedOnce(former.ID)
	}
	for _, c := range s.containers() {
		if _, err := s.db.InstanceByContainer(t.Context(), s.host.ID, c.ID); err != nil {
			t.Errorf("container %s has no row: %v", c.Name, err)
		}
	}
	s.wantOneEnd(dep)
	s.bring(s.begin("1.1")) // and the stage works on
}

// publish pushes the versions of the test app and returns their repository.
func publish(t *testing.T) string {
	t.Helper()
	image := enginetest.Registry(t) + "/killed"
	app, err := enginetest.BuildApp(t.Context(), t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	for _, tag := range []string{"1.0", "1.1", "1.2"} {
		if err := enginetest.PushApp(t.Context(), app, image+":"+tag, tag, enginetest.WithHealthcheck(100*time.Millisecond)); err != nil {
			t.Fatal(err)
		}
	}
	return image
}

// site is a data folder with one stage on one engine.
type site struct {
	t       *testing.T
	dir     string
	adapter *docker.Engine
	host    store.Host
	stage   store.Stage
	spec    store.Spec

	db       *store.DB
	deployer *deploy.Deployer
	stop     func()
}

func newSite(t *testing.T, endpoint, image string) *site {
	t.Helper()
	s := &site{
		t: t, dir: t.TempDir(), stop: func() {},
		spec: store.Spec{Ports: []store.Port{{Container: enginetest.AppPort}}, StopGrace: time.Second},
	}
	var err error
	if s.adapter, err = docker.New(docker.Options{Endpoint: endpoint, Log: slog.New(slog.DiscardHandler)}); err != nil {
		t.Fatal(err)
	}
	s.open()
	s.host = storetest.Host(t, s.db)
	project := storetest.Project(t, s.db, func(p *store.Project) { p.Name, p.Image = "shop", image })
	s.stage = storetest.Stage(t, s.db, s.host, project, func(st *store.Stage) {
		st.Name, st.Drain, st.Spec = "killed", time.Millisecond, s.spec
	})
	s.leave()
	t.Cleanup(func() {
		s.open()
		s.clear()
		s.leave()
		if err := s.adapter.Close(); err != nil {
			t.Error(err)
		}
	})
	return s
}

// open opens the store, as a daemon does that starts.
func (s *site) open() {
	s.t.Helper()
	if s.db != nil {
		return
	}
	log := slog.New(slog.DiscardHandler)
	ctx := context.WithoutCancel(s.t.Context())
	db, err := store.Open(ctx, store.Options{DataDir: s.dir, Log: log})
	if err != nil {
		s.t.Fatal(err)
	}
	bus := events.New(log)
	db.OnCommit(bus.Committed)
	fleet := docker.NewFleet()
	fleet.Add(s.host.ID, s.adapter)
	s.db, s.deployer = db, deploy.New(db, fleet, bus, log)
}

// start carries out what waits, until stop.
func (s *site) start() {
	ctx, cancel := context.WithCancel(s.t.Context())
	ended := make(chan error, 1)
	go func() { ended <- s.deployer.Run(ctx) }()
	s.stop = func() {
		s.stop = func() {}
		cancel()
		if err := <-ended; err != nil {
			s.t.Error(err)
		}
	}
}

// leave is the end of the daemon.
func (s *site) leave() {
	s.stop()
	if s.db == nil {
		return
	}
	if err := s.db.Close(); err != nil {
		s.t.Error(err)
	}
	s.db = nil
}

func (s *site) begin(tag string) store.Deploy {
	s.t.Helper()
	d, err := s.deployer.Start(s.t.Context(), deploy.Request{StageID: s.stage.ID, Tag: tag, Spec: &s.spec, Actor: "user:anna"})
	if err != nil {
		s.t.Fatal(err)
	}
	return d
}

func (s *site) rollback(to string) store.Deploy {
	s.t.Helper()
	d, err := s.deployer.Rollback(s.t.Context(), deploy.RollbackRequest{StageID: s.stage.ID, To: to, Actor: "user:anna"})
	if err != nil {
		s.t.Fatal(err)
	}
	return d
}

// end waits until a deploy has ended.
func (s *site) end(id string) store.Deploy {
	s.t.Helper()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	late := time.After(2 * time.Minute)
	for {
		d, err := s.db.Deploy(s.t.Context(), id)
		if err != nil {
			s.t.Fatal(err)
		}
		if d.State.Ended() {
			return d
		}
		select {
		case <-tick.C:
		case <-late:
			s.t.Fatalf("deploy %s is still %s", id, d.State)
		}
	}
}

// killed begins the deploy that is killed in the middle.
func (s *site) killed(what scene, former string) store.Deploy {
	s.t.Helper()
	switch what {
	case back, another:
		return s.rollback(former)
	case unhealthy:
		return s.begin("bad")
	case sideBySide:
		return s.begin("1.1")
	case forward, makesRoom, cancel:
	}
	return s.begin("1.2")
}

// runTagsSideBySide makes the stage one of previews, each at a domain of its own.
func (s *site) runTagsSideBySide(most int) {
	s.t.Helper()
	storetest.Update(s.t, s.db, func(ctx context.Context, tx *store.Tx) error {
		stage, err := tx.Stage(ctx, s.stage.ID)
		if err != nil {
			return err
		}
		stage.Strategy, stage.ParallelMax, stage.Domain = store.StrategyParallel, most, "{{tag}}.shop.example"
		return tx.UpdateStage(ctx, stage)
	})
}

// bring waits until a deploy is done and returns its instance.
func (s *site) bring(d store.Deploy) store.InstanceView {
	s.t.Helper()
	if d = s.end(d.ID); d.State != store.DeployDone {
		s.t.Fatalf("the deploy of %s is %s: %s", d.ImageTag, d.State, d.Error)
	}
	v, err := s.db.Instance(s.t.Context(), d.InstanceID)
	if err != nil {
		s.t.Fatal(err)
	}
	return v
}

// containers of ours, in one of some states, or all.
func (s *site) containers(states ...docker.State) []docker.Summary {
	s.t.Helper()
	list, err := s.adapter.List(context.WithoutCancel(s.t.Context()), docker.ListOptions{Labels: []string{docker.LabelInstallation + "=" + s.db.InstallationID()}})
	if err != nil {
		s.t.Fatal(err)
	}
	return slices.DeleteFunc(list, func(c docker.Summary) bool { return len(states) > 0 && !slices.Contains(states, c.State) })
}

// serving are the instances whose containers run, and whose rows say so.
func (s *site) serving() []string {
	s.t.Helper()
	var ids []string
	for _, c := range s.containers(docker.StateRunning) {
		v, err := s.db.InstanceByContainer(s.t.Context(), s.host.ID, c.ID)
		if err != nil || v.Status != store.StatusRunning {
			s.t.Errorf("container %s runs; its row: %s, %v", c.Name, v.Status, err)
		}
		ids = append(ids, v.ID)
	}
	return ids
}

// wantRoute looks where the routes of the stage lead: to so many instances, whose containers run, if they must.
func (s *site) wantRoute(when string, want int, must bool) {
	s.t.Helper()
	all, _, err := s.db.Instances(s.t.Context(), store.InstanceFilter{StageID: s.stage.ID}, store.Page{Limit: 1000})
	if err != nil {
		s.t.Fatal(err)
	}
	led := 0
	for _, v := range all {
		routes, err := s.db.RoutesOf(s.t.Context(), v.ID)
		if err != nil {
			s.t.Fatal(err)
		}
		if len(routes) == 0 {
			continue
		}
		led++
		if c, err := s.adapter.Inspect(s.t.Context(), v.ContainerID); must && (err != nil || c.State != docker.StateRunning) {
			s.t.Errorf("%s the route leads to %s, which is %s, %v", when, v.Name, c.State, err)
		}
	}
	if led != want {
		s.t.Errorf("%s the routes lead to %d instances, want %d", when, led, want)
	}
}

// wantDomain looks whether the domain of a tag leads to an instance.
func (s *site) wantDomain(id, tag string) {
	s.t.Helper()
	routes, err := s.db.RoutesOf(s.t.Context(), id)
	if err != nil || len(routes) != 1 || !strings.HasPrefix(routes[0], tag) {
		s.t.Errorf("the new one is at %v, %v; want the domain of %s", routes, err, tag)
	}
}

// wantStoppedOnce looks whether an instance was stopped for the deploy and for nothing else: not anew, once it serves again.
func (s *site) wantStoppedOnce(id string) {
	s.t.Helper()
	all, _, err := s.db.Events(s.t.Context(), store.EventFilter{StageID: s.stage.ID}, store.Page{Limit: 1000})
	if err != nil {
		s.t.Fatal(err)
	}
	var told []string
	for _, e := range all {
		if e.InstanceID == id && e.Kind == "instance.stopped" {
			told = append(told, e.Message)
		}
	}
	if len(told) != 1 {
		s.t.Errorf("what served before was stopped %d times: %q", len(told), told)
	}
}

// wantOneEnd looks for the one event that tells how a deploy ended, and for the last line of its log.
func (s *site) wantOneEnd(dep store.Deploy) {
	s.t.Helper()
	all, _, err := s.db.Events(s.t.Context(), store.EventFilter{StageID: s.stage.ID}, store.Page{Limit: 1000})
	if err != nil {
		s.t.Fatal(err)
	}
	n := 0
	for _, e := range all {
		if e.Data["deploy_id"] == dep.ID && e.Kind == "deploy."+string(dep.State) {
			n++
		}
	}
	lines, err := s.db.DeployLog(s.t.Context(), dep.ID, 0, 1000)
	if err != nil || n != 1 || len(lines) < 5 || lines[len(lines)-1].State != dep.State {
		s.t.Errorf("%d events of its end; its log: %+v, %v", n, lines, err)
	}
}

// remove takes a container away behind our back.
func (s *site) remove(containerID string) {
	s.t.Helper()
	if err := s.adapter.Remove(s.t.Context(), docker.Owned{ID: containerID, Adopted: true}); err != nil {
		s.t.Fatal(err)
	}
}

// clear takes what is left off the engine when the test is over.
func (s *site) clear() {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(s.t.Context()), time.Minute)
	defer cancel()
	for _, c := range s.containers() {
		own := docker.Owned{ID: c.ID, Adopted: true}
		if err := errors.Join(s.adapter.Stop(ctx, own, time.Second), s.adapter.Remove(ctx, own)); err != nil {
			s.t.Errorf("clear %s: %v", c.Name, err)
		}
	}
}
