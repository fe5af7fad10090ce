package api

import (
	"bufio"
	"context"
	"fmt"
	"net"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/tiny-forge/docker-watcher/client"
	"github.com/tiny-forge/docker-watcher/internal/docker"
	"github.com/tiny-forge/docker-watcher/internal/docker/enginetest"
	"github.com/tiny-forge/docker-watcher/internal/routing"
)

// askEvery leaves the engine and the proxy the processors that they need.
const askEvery = 5 * time.Millisecond

// load asks for a domain on and on, over several connections, until it is ended.
type load struct {
	asked, failed atomic.Int64
	first         sync.Once
	why           string
}

func (f *frontBed) load(host string) (l *load, end func()) {
	l = &load{}
	ctx, cancel := context.WithCancel(f.t.Context())
	var all sync.WaitGroup
	for n := range 4 {
		all.Go(func() {
			transport := &http.Transport{DisableKeepAlives: n%2 == 0}
			defer transport.CloseIdleConnections()
			tick := time.NewTicker(askEvery)
			defer tick.Stop()
			for ; ctx.Err() == nil; <-tick.C {
				l.ask(ctx, transport, "http://"+f.addr+"/", host)
			}
		})
	}
	return l, func() { cancel(); all.Wait() }
}

func (l *load) ask(ctx context.Context, transport *http.Transport, url, host string) {
	req, _ := http.NewRequestWithContext(ctx, http.MethodPost, url, strings.NewReader("body"))
	req.Host = host
	resp, err := transport.RoundTrip(req)
	if ctx.Err() != nil {
		return // the test ended it
	}
	l.asked.Add(1)
	status := 0
	if err == nil {
		status = resp.StatusCode
		err = resp.Body.Close()
	}
	if err != nil || status != http.StatusOK {
		l.failed.Add(1)
		l.first.Do(func() { l.why = fmt.Sprintf("it answers %d, %v", status, err) })
	}
}

// TestRoutesOnARealEngine deploys under load through the proxy without a failed request, and follows a route through a stop, a cleanup
// and its undo.
func TestRoutesOnARealEngine(t *testing.T) {
	t.Parallel()
	adapter := enginetest.Engine(t)
	registry := enginetest.Registry(t)
	app, err := enginetest.BuildApp(t.Context(), t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	image := registry + "/routed"
	for _, tag := range []string{"1.0", "1.1"} {
		if err := enginetest.PushApp(t.Context(), app, image+":"+tag, tag); err != nil {
			t.Fatal(err)
		}
		enginetest.RemoveImageAfter(t, adapter, image+":"+tag)
	}
	f := &frontBed{}
	newBedOn(t, docker.Options{Endpoint: enginetest.Endpoint(t)}, withFront(t, f))
	_, err = f.admin.CreateProject(t.Context(), client.NewProject{Name: "routed", Image: image, StaleAfter: "1s"})
	f.must(err)
	st, err := f.admin.CreateStage(t.Context(), client.NewStage{
		ProjectID: "routed", Name: "live", Kind: "production", KeepLast: new(0), Drain: "10m",
		Spec: &client.Spec{
			Ports: []client.Port{{Container: enginetest.AppPort, HostIP: "127.0.0.1"}}, StopGrace: "2s",
			Health: &client.Health{Kind: "http", Port: enginetest.AppPort, Path: "/healthz"},
		},
	})
	f.must(err)
	deploy := func(tag string) client.Instance {
		t.Helper()
		d, err := f.operator.StartDeploy(t.Context(), st.ID, client.DeployRequest{Tag: tag})
		f.must(err)
		await(t, "the deploy ends", func() bool {
			d, err = f.viewer.Deploy(t.Context(), d.ID)
			f.must(err)
			return d.Ended()
		})
		if d.State != "done" {
			t.Fatalf("got %+v", d)
		}
		i, err := f.viewer.Instance(t.Context(), d.InstanceID)
		f.must(err)
		enginetest.RemoveAfter(t, adapter, i.ContainerID)
		return i
	}
	now := deploy("1.0")
	fields := client.StageRouteFields{StageID: st.ID, Port: new(enginetest.AppPort), RouteFields: client.RouteFields{
		Domains: &[]string{"live.example"}, Notes: new("for the fair"), RequestHeaders: &[]client.Header{{Name: "X-Api-Key", Value: canary}},
	}}
	route, err := f.operator.CreateRoute(t.Context(), fields)
	f.must(err)
	if route.State != "served" || route.Health.Targets[0].State != "up" {
		t.Fatalf("the route is %+v", route.Health)
	}

	l, end := f.load("live.example")
	for n := range 4 {
		began := time.Now()
		now = deploy(fmt.Sprintf("1.%d", (n+1)%2))
		if took := time.Since(began); took > time.Minute {
			t.Errorf("a deploy took %s: it waits on although nothing is open", took)
		}
		if status, body := f.ask("live.example", "/"); status != 200 || !strings.Contains(body, now.ImageTag) {
			t.Errorf("after the deploy of %s it answers %d %s", now.ImageTag, status, body)
		}
	}
	end()
	if l.failed.Load() != 0 || l.asked.Load() < 50 {
		t.Errorf("%d of %d requests failed: %s", l.failed.Load(), l.asked.Load(), l.why)
	}

	// What has begun ends on the former one, while the new one serves already.
	conn, err := net.Dial("tcp", f.addr)
	f.must(err)
	defer conn.Close()
	f.must(conn.SetDeadline(time.Now().Add(time.Minute)))
	const part = "hello"
	_, err = fmt.Fprintf(conn, "POST / HTTP/1.1\r\nHost: live.example\r\nContent-Length: %d\r\n\r\n%s", 2*len(part), part)
	f.must(err)
	await(t, "the request is under way", func() bool {
		h, err := f.viewer.RouteHealth(t.Context(), route.ID)
		f.must(err)
		return h.Open == 1
	})
	d, err := f.operator.StartDeploy(t.Context(), st.ID, client.DeployRequest{Tag: "1.1"})
	f.must(err)
	await(t, "it drains", func() bool {
		d, err = f.viewer.Deploy(t.Context(), d.ID)
		f.must(err)
		return d.State == "draining"
	})
	_, err = fmt.Fprint(conn, part)
	f.must(err)
	resp, err := http.ReadResponse(bufio.NewReader(conn), nil)
	f.must(err)
	f.must(resp.Body.Close())
	if resp.StatusCode != http.StatusOK {
		t.Errorf("a request that had begun is answered by %d", resp.StatusCode)
	}
	await(t, "the deploy ends", func() bool {
		d, err = f.viewer.Deploy(t.Context(), d.ID)
		f.must(err)
		return d.Ended()
	})
	now, err = f.viewer.Instance(t.Context(), d.InstanceID)
	f.must(err)
	enginetest.RemoveAfter(t, adapter, now.ContainerID)

	// Stopped, stale, removed with its route, and back with it.
	_, err = f.operator.StopInstance(t.Context(), now.ID)
	f.must(err)
	f.expect("live.example", 503, "Stopped since")
	await(t, "it is stale", func() bool {
		f.scan()
		i, err := f.viewer.Instance(t.Context(), now.ID)
		f.must(err)
		return !i.StaleSince.IsZero()
	})
	if left, err := f.viewer.Routes(t.Context(), client.RouteQuery{LeadsTo: "leftover"}); err != nil || len(left.Items) != 1 || left.Items[0].ID != route.ID {
		t.Errorf("leftover are %+v, %v", left.Items, err)
	}
	before, err := f.viewer.Route(t.Context(), route.ID)
	f.must(err)
	plan, err := f.operator.CleanupOne(t.Context(), now.ID)
	f.must(err)
	if plan.Items[0].Result != "removed" {
		t.Fatalf("the cleanup: %+v", plan.Items)
	}
	f.expect("live.example", 404, "Nothing is served here")
	_, err = f.viewer.Route(t.Context(), route.ID)
	wantProblem(t, err, http.StatusNotFound, client.CodeNotFound)

	archives, err := f.viewer.Archives(t.Context(), client.ArchiveFilter{Instance: now.ID}, client.Page{})
	f.must(err)
	_, err = f.operator.Restore(t.Context(), archives.Items[0].ID, client.RestoreChoices{})
	f.must(err)
	f.expect("live.example", 503, "Stopped since")
	_, err = f.operator.StartInstance(t.Context(), now.ID)
	f.must(err)
	f.expect("live.example", 200, now.ImageTag)
	back, err := f.viewer.Instance(t.Context(), now.ID)
	f.must(err)
	enginetest.RemoveAfter(t, adapter, back.ContainerID)
	again, err := f.viewer.Route(t.Context(), route.ID)
	f.must(err)
	if again.InstanceID != now.ID || again.Notes != "for the fair" || again.Owner != "token:operator" || !again.RequestHeaders[0].Secret || again.Requests <= before.Requests || before.Requests < 50 {
		t.Errorf("the route is %+v", again)
	}
	row, err := f.db.Route(t.Context(), route.ID)
	f.must(err)
	if o, err := routing.OptionsOf(row.Route); err != nil || o.RequestHeaders[0].Value != canary {
		t.Errorf("its secret header is lost: %v", err)
	}
}
