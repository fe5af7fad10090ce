//go:build bench

package bench

import (
	"context"
	"fmt"
	"net/http"
	"testing"
	"time"

	"github.com/tiny-forge/docker-watcher/internal/deploy"
	"github.com/tiny-forge/docker-watcher/internal/docker"
	"github.com/tiny-forge/docker-watcher/internal/docker/dockertest"
	"github.com/tiny-forge/docker-watcher/internal/docker/enginetest"
	"github.com/tiny-forge/docker-watcher/internal/events"
	"github.com/tiny-forge/docker-watcher/internal/store"
	"github.com/tiny-forge/docker-watcher/internal/store/storetest"
)

const deployRounds = 10

// deployYard is a stage with a deployer at work on an engine.
type deployYard struct {
	t        *testing.T
	db       *store.DB
	engine   *docker.Engine
	deployer *deploy.Deployer
	stage    store.Stage
}

func newDeployYard(t *testing.T, engine *docker.Engine, image string, spec store.Spec) *deployYard {
	t.Helper()
	y := &deployYard{t: t, db: storetest.Open(t), engine: engine}
	bus := events.New(quiet)
	y.db.OnCommit(bus.Committed)
	host := storetest.Host(t, y.db)
	fleet := docker.NewFleet()
	fleet.Add(host.ID, engine)
	y.stage = storetest.Stage(t, y.db, host, storetest.Project(t, y.db, func(p *store.Project) { p.Image = image }), func(s *store.Stage) {
		s.Spec, s.Drain = spec, 0
	})
	y.deployer = deploy.New(y.db, fleet, bus, quiet)
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- y.deployer.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		must(t, <-ended)
	})
	return y
}

// bring deploys and waits for the end.
func (y *deployYard) bring(digest string) (store.InstanceView, error) {
	ctx := y.t.Context()
	d, err := y.deployer.Start(ctx, deploy.Request{StageID: y.stage.ID, Tag: "1.0", Digest: digest, Actor: "user:anna"})
	for tick := time.Tick(time.Millisecond); err == nil && !d.State.Ended(); <-tick {
		d, err = y.db.Deploy(ctx, d.ID)
	}
	switch {
	case err != nil:
		return store.InstanceView{}, err
	case d.State != store.DeployDone:
		return store.InstanceView{}, fmt.Errorf("%s: %s", d.State, d.Error)
	}
	return y.db.Instance(ctx, d.InstanceID)
}

// Deploys of an image that is on the engine, found healthy by HTTP, in turn with the bare calls: make, start, ask until it answers,
// stop the former.
func TestDeployOfAPresentImage(t *testing.T) {
	engine := enginetest.Engine(t)
	app, err := enginetest.BuildApp(t.Context(), t.TempDir())
	must(t, err)
	image := enginetest.Registry(t) + "/bench-deploy"
	must(t, enginetest.PushApp(t.Context(), app, image+":1.0", "1.0"))
	y := newDeployYard(t, engine, image, store.Spec{
		Ports: []store.Port{{Container: enginetest.AppPort}}, StopGrace: time.Second,
		Health: store.Health{Kind: store.HealthHTTP, Port: enginetest.AppPort, Path: "/healthz"},
	})
	first, err := y.bring("")
	must(t, err)
	enginetest.RemoveAfter(t, engine, first.ContainerID)
	former := y.bare(first.ImageID, docker.Owned{})
	var takes, floors []time.Duration
	for range deployRounds {
		takes = append(takes, timed(t, func() error {
			v, err := y.bring(first.Digest)
			enginetest.RemoveAfter(t, engine, v.ContainerID)
			return err
		}))
		floors = append(floors, timed(t, func() error {
			former = y.bare(first.ImageID, former)
			return nil
		}))
	}
	measured, floor := typical(takes), typical(floors)
	note(t, figure{
		what:     "deploy of an image that is there, healthy by HTTP, against bare create, start, ask and stop of the former",
		measured: short(measured), floor: short(floor), ratio: fmt.Sprintf("%.2f", float64(measured)/float64(floor)), ok: true,
	})
}

// bare is the least that a deploy could cost.
func (y *deployYard) bare(image string, former docker.Owned) docker.Owned {
	t, ctx := y.t, y.t.Context()
	t.Helper()
	id, err := y.engine.Create(ctx, docker.CreateOptions{
		Name: enginetest.Name(t), Image: image, Ports: []docker.Port{{Container: enginetest.AppPort, HostIP: "127.0.0.1", Protocol: "tcp"}},
	})
	must(t, err)
	enginetest.RemoveAfter(t, y.engine, id)
	own := docker.Owned{ID: id, Adopted: true}
	must(t, y.engine.Start(ctx, own))
	c, err := y.engine.Inspect(ctx, id)
	must(t, err)
	url := fmt.Sprintf("http://127.0.0.1:%d/healthz", c.Ports[0].Host)
	for tick := time.Tick(time.Millisecond); ; <-tick {
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
		must(t, err)
		if resp, err := http.DefaultClient.Do(req); err == nil {
			must(t, resp.Body.Close())
			break
		}
	}
	if former.ID != "" {
		must(t, y.engine.Stop(ctx, former, time.Second))
	}
	return own
}

// What a deploy asks of an engine and of the store, where the engine costs nothing.
func TestOwnPartOfADeploy(t *testing.T) {
	pretend := dockertest.Serve(t, dockertest.Docker28())
	digest := pretend.Publish(dockertest.Image{Ref: "registry.example/shop:1.0", Health: true, Life: dockertest.Life{HealthAfter: time.Nanosecond}})
	engine, err := docker.New(docker.Options{Endpoint: pretend.Endpoint(), Log: quiet})
	must(t, err)
	t.Cleanup(func() { must(t, engine.Close()) })
	y := newDeployYard(t, engine, "registry.example/shop", store.Spec{})
	_, err = y.bring(digest)
	must(t, err)
	asked, written := len(pretend.Requests(".")), y.db.Commits()
	var takes []time.Duration
	for range deployRounds {
		takes = append(takes, timed(t, func() error {
			_, err := y.bring(digest)
			return err
		}))
	}
	note(t, figure{what: "our own part of a deploy that takes the place of another, on an engine that costs nothing", measured: short(typical(takes)), ok: true})
	note(t, figure{what: "requests to the engine of it", measured: fmt.Sprint((len(pretend.Requests(".")) - asked) / deployRounds), ok: true})
	note(t, figure{what: "write transactions of it", measured: fmt.Sprint(int(y.db.Commits()-written) / deployRounds), ok: true})
}
