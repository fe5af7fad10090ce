//go:build linux

package main

import (
	"context"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/random"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/types"

	"github.com/tiny-forge/docker-watcher/internal/deploy"
	"github.com/tiny-forge/docker-watcher/internal/docker"
	"github.com/tiny-forge/docker-watcher/internal/docker/enginetest"
	"github.com/tiny-forge/docker-watcher/internal/events"
	"github.com/tiny-forge/docker-watcher/internal/registry"
	"github.com/tiny-forge/docker-watcher/internal/store"
	"github.com/tiny-forge/docker-watcher/internal/store/storetest"
)

// pushGrown pushes an image that is another one of a repository and so many bytes more, which nothing makes smaller.
func pushGrown(t *testing.T, image, from, to string, more int64) {
	t.Helper()
	ref := func(tag string) name.Reference {
		r, err := name.ParseReference(image + ":" + tag)
		if err != nil {
			t.Fatal(err)
		}
		return r
	}
	former, err := remote.Image(ref(from), remote.WithContext(t.Context()))
	if err != nil {
		t.Fatal(err)
	}
	layer, err := random.Layer(more, types.DockerLayer)
	if err != nil {
		t.Fatal(err)
	}
	grown, err := mutate.AppendLayers(former, layer)
	if err != nil {
		t.Fatal(err)
	}
	if err := remote.Write(ref(to), grown, remote.WithContext(t.Context())); err != nil {
		t.Fatal(err)
	}
}

// TestDeployOfWhatDoesNotFitOnARealEngine: an engine whose data root has 40 MB is given an image of more. Nothing of it is pulled, what
// serves goes on, and what fits is deployed.
func TestDeployOfWhatDoesNotFitOnARealEngine(t *testing.T) {
	t.Parallel() // it mostly waits
	private := enginetest.StartPrivateIn(t, "40m")
	engine, err := docker.New(docker.Options{Endpoint: private.Endpoint()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := engine.Close(); err != nil {
			t.Error(err)
		}
	})
	room, err := engine.Room(t.Context())
	if err != nil || room.Bytes < 20_000_000 || room.Bytes > 42_000_000 {
		t.Fatalf("the engine has %+v, %v; want that of its 40 MB", room, err)
	}
	elsewhere := enginetest.Engine(t) // on the same machine, with another data root
	if other, err := elsewhere.Room(t.Context()); err != nil || other.Bytes == room.Bytes {
		t.Errorf("the other engine has %+v, %v", other, err)
	}

	app, err := enginetest.BuildApp(t.Context(), t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	image := enginetest.Registry(t) + "/acme/shop"
	if err := enginetest.PushApp(t.Context(), app, image+":1.0", "1.0"); err != nil {
		t.Fatal(err)
	}
	pushGrown(t, image, "1.0", "1.1", 1<<20)
	pushGrown(t, image, "1.0", "2.0", 50<<20)

	db, log := storetest.Open(t), slog.New(slog.NewTextHandler(t.Output(), nil))
	host := storetest.Host(t, db)
	fleet := docker.NewFleet()
	fleet.Add(host.ID, engine)
	project := storetest.Project(t, db, func(p *store.Project) { p.Image = image })
	stage := storetest.Stage(t, db, host, project, func(s *store.Stage) {
		s.Drain = time.Second
		s.Spec = store.Spec{StopGrace: time.Second, Health: store.Health{Kind: store.HealthTCP, Port: enginetest.AppPort}}
	})
	deployer := deploy.New(db, fleet, events.New(log), log)
	deployer.MeasureBy(measureBy(registry.New(accessFrom(db))))
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- deployer.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
	run := func(tag string) store.Deploy {
		t.Helper()
		ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
		defer cancel()
		d, err := deployer.Start(ctx, deploy.Request{StageID: stage.ID, Tag: tag, Actor: "user:anna"})
		for look := time.NewTicker(20 * time.Millisecond); err == nil && !d.State.Ended(); d, err = db.Deploy(ctx, d.ID) {
			<-look.C
		}
		if err != nil {
			t.Fatal(err)
		}
		return d
	}

	first := run("1.0")
	if first.State != store.DeployDone {
		t.Fatalf("what fits: %s: %s", first.State, first.Error)
	}
	before, err := engine.Room(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	refused := run("2.0")
	if refused.State != store.DeployFailed {
		t.Errorf("what does not fit is %s", refused.State)
	}
	for _, part := range []string{"not enough free space", "a part already, the rest needs at least 53 MB", "MB are free", "docker-watcher reclaim"} {
		if !strings.Contains(refused.Error, part) {
			t.Errorf("%q does not say %q", refused.Error, part)
		}
	}
	lines, err := db.DeployLog(t.Context(), refused.ID, 0, 100)
	if err != nil {
		t.Fatal(err)
	}
	for _, l := range lines {
		if l.TotalBytes > 0 {
			t.Errorf("a pull was begun: %+v", l)
		}
	}
	if after, err := engine.Room(t.Context()); err != nil || before.Bytes-after.Bytes > 100_000 {
		t.Errorf("%d bytes were free, and now %d, %v: something of it was pulled", before.Bytes, after.Bytes, err)
	}
	if i, err := db.Instance(t.Context(), first.InstanceID); err != nil || i.Status != store.StatusRunning {
		t.Errorf("what served is %s, %v", i.Status, err)
	}
	if d := run("1.1"); d.State != store.DeployDone {
		t.Errorf("what fits again: %s: %s", d.State, d.Error)
	}
}
