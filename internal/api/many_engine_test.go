package api

import (
	"fmt"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/tiny-forge/docker-watcher/client"
	"github.com/tiny-forge/docker-watcher/internal/docker"
	"github.com/tiny-forge/docker-watcher/internal/docker/enginetest"
)

// deploysUnderLoad is how many are made: an engine takes half a second and more for each, to make, start and stop a container. A hundred
// of them, by DOCKER_WATCHER_TEST_DEPLOYS=100, are for who asks for them.
func deploysUnderLoad(t *testing.T) int {
	t.Helper()
	text := os.Getenv("DOCKER_WATCHER_TEST_DEPLOYS")
	if text == "" {
		return 15
	}
	n, err := strconv.Atoi(text)
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// TestNoRequestFailsOverManyDeploysOnARealEngine brings a stage from one tag to another and back again and again while requests
// come in by the proxy: none fails, and each deploy leads them to what it brought.
func TestNoRequestFailsOverManyDeploysOnARealEngine(t *testing.T) {
	t.Parallel() // it mostly waits
	adapter := enginetest.Engine(t)
	app, err := enginetest.BuildApp(t.Context(), t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	image := enginetest.Registry(t) + "/many"
	for _, tag := range []string{"1.0", "1.1"} {
		if err := enginetest.PushApp(t.Context(), app, image+":"+tag, tag); err != nil {
			t.Fatal(err)
		}
		enginetest.RemoveImageAfter(t, adapter, image+":"+tag)
	}
	f := &frontBed{}
	newBedOn(t, docker.Options{Endpoint: enginetest.Endpoint(t)}, withFront(t, f))
	_, err = f.admin.CreateProject(t.Context(), client.NewProject{Name: "many", Image: image})
	f.must(err)
	st, err := f.admin.CreateStage(t.Context(), client.NewStage{
		ProjectID: "many", Name: "live", Kind: "production", KeepLast: new(0), Drain: "10s",
		Spec: &client.Spec{
			Ports: []client.Port{{Container: enginetest.AppPort, HostIP: "127.0.0.1"}}, StopGrace: "2s",
			Health: &client.Health{Kind: "http", Port: enginetest.AppPort, Path: "/healthz"},
		},
	})
	f.must(err)
	deploy := func(n int) client.Instance {
		t.Helper()
		tag := fmt.Sprintf("1.%d", n%2)
		d, err := f.operator.StartDeploy(t.Context(), st.ID, client.DeployRequest{Tag: tag})
		f.must(err)
		late := time.Now().Add(5 * time.Minute)
		for look := time.NewTicker(20 * time.Millisecond); !d.Ended(); {
			if <-look.C; time.Now().After(late) {
				t.Fatalf("deploy %d does not end: %+v", n, d)
			}
			d, err = f.viewer.Deploy(t.Context(), d.ID)
			f.must(err)
		}
		if d.State != "done" {
			t.Fatalf("deploy %d: %+v", n, d)
		}
		i, err := f.viewer.Instance(t.Context(), d.InstanceID)
		f.must(err)
		enginetest.RemoveAfter(t, adapter, i.ContainerID)
		return i
	}
	deploy(0)
	const domain = "many.example"
	fields := client.StageRouteFields{StageID: st.ID, Port: new(enginetest.AppPort), RouteFields: client.RouteFields{Domains: &[]string{domain}}}
	_, err = f.operator.CreateRoute(t.Context(), fields)
	f.must(err)

	l, end := f.load(domain)
	began := time.Now()
	many := deploysUnderLoad(t)
	for n := range many {
		now := deploy(n + 1)
		if status, body := f.ask(domain, "/"); status != 200 || !strings.Contains(body, now.ImageTag) {
			t.Errorf("after the deploy of %s it answers %d %s", now.ImageTag, status, body)
		}
	}
	took := time.Since(began)
	end()
	t.Logf("%d deploys in %s: %d requests, %d failed", many, took.Round(100*time.Millisecond), l.asked.Load(), l.failed.Load())
	if l.failed.Load() != 0 || l.asked.Load() < int64(10*many) {
		t.Errorf("%d of %d requests failed: %s", l.failed.Load(), l.asked.Load(), l.why)
	}
}
