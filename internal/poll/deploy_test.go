package poll

import (
	"context"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/tiny-forge/docker-watcher/internal/deploy"
	"github.com/tiny-forge/docker-watcher/internal/docker"
	"github.com/tiny-forge/docker-watcher/internal/docker/dockertest"
	"github.com/tiny-forge/docker-watcher/internal/events"
	"github.com/tiny-forge/docker-watcher/internal/store"
)

// withDeployer is a bed whose deploys are carried out on a pretend engine.
func withDeployer(t *testing.T, test func(t *testing.T, b *bed, engine *dockertest.Engine)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		time.Sleep(time.Until(time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)))
		b := newBed(t)
		engine := dockertest.New(t, dockertest.Options{})
		adapter, err := docker.New(docker.Options{Endpoint: engine.Endpoint(), Dial: engine.Dial, Log: slog.New(slog.DiscardHandler)})
		if err != nil {
			t.Fatal(err)
		}
		fleet := docker.NewFleet()
		fleet.Add(b.host.ID, adapter)
		log := slog.New(slog.DiscardHandler)
		bus := events.New(log)
		b.db.OnCommit(bus.Committed)
		deployer := deploy.New(b.db, fleet, bus, log)
		b.poller = New(b.db, NewLooker(b.registry), func(ctx context.Context, stageID, tag, _ string) error {
			_, err := deployer.Start(ctx, deploy.Request{StageID: stageID, Tag: tag, Actor: "system:auto"})
			return err
		}, log)
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan error, 1)
		go func() { ended <- deployer.Run(ctx) }()
		test(t, b, engine)
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
		if err := adapter.Close(); err != nil {
			t.Error(err)
		}
	})
}

// deploysOf waits until no deploy of a stage is open, and returns them, newest first.
func (b *bed) deploysOf(st store.Stage) []store.Deploy {
	b.t.Helper()
	for {
		open, err := b.db.OpenDeploys(b.t.Context())
		if err != nil {
			b.t.Fatal(err)
		}
		if len(open) == 0 {
			break
		}
		time.Sleep(time.Second)
	}
	all, _, err := b.db.Deploys(b.t.Context(), "", st.ID, store.Page{})
	if err != nil {
		b.t.Fatal(err)
	}
	return all
}

// A pushed tag is all that it takes; one that vanishes between poll and pull is a deploy that failed, in words, once, and
// what served goes on serving.
func TestFromThePushToTheContainer(t *testing.T) {
	withDeployer(t, func(t *testing.T, b *bed, engine *dockertest.Engine) {
		st := b.stage("dev", store.ModeAuto, versions)
		engine.Publish(dockertest.Image{Ref: image + ":1.0.0"})
		b.pushed("1.0.0")
		b.round()
		all := b.deploysOf(st)
		if len(all) != 1 || all[0].State != store.DeployDone || all[0].ImageTag != "1.0.0" || all[0].Actor != "system:auto" {
			t.Fatalf("got %+v", all)
		}
		b.round()
		if n := len(b.deploysOf(st)); n != 1 {
			t.Errorf("%d deploys of one push", n)
		}

		b.pushed("1.0.0", "1.1.0") // listed, but no engine can pull it
		for range 3 {
			b.round()
			all = b.deploysOf(st)
		}
		if len(all) != 2 || all[0].State != store.DeployFailed || all[0].ImageTag != "1.1.0" || !strings.Contains(all[0].Error, "not found") {
			t.Fatalf("got %+v", all)
		}
		if why := b.row(st).Why; !strings.Contains(why, "deploy it by hand") {
			t.Error(why)
		}
		live, _, err := b.db.Instances(t.Context(), store.InstanceFilter{StageID: st.ID, Statuses: []store.Status{store.StatusRunning}}, store.Page{})
		if err != nil || len(live) != 1 || live[0].ImageTag != "1.0.0" {
			t.Errorf("serving: %+v, %v", live, err)
		}
		engine.Publish(dockertest.Image{Ref: image + ":1.2.0"})
		b.pushed("1.0.0", "1.1.0", "1.2.0")
		b.round()
		if all = b.deploysOf(st); len(all) != 3 || all[0].State != store.DeployDone || all[0].ImageTag != "1.2.0" {
			t.Errorf("got %+v", all)
		}
	})
}
