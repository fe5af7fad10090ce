package api

import (
	"context"
	"errors"
	"net"
	"net/http"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/tiny-forge/docker-watcher/client"
	"github.com/tiny-forge/docker-watcher/internal/certs"
	"github.com/tiny-forge/docker-watcher/internal/docker"
	"github.com/tiny-forge/docker-watcher/internal/docker/dockertest"
	"github.com/tiny-forge/docker-watcher/internal/loopbacktest"
	"github.com/tiny-forge/docker-watcher/internal/plane"
	"github.com/tiny-forge/docker-watcher/internal/proxy"
	"github.com/tiny-forge/docker-watcher/internal/routing"
	"github.com/tiny-forge/docker-watcher/internal/store"
	"github.com/tiny-forge/docker-watcher/internal/waittest"
)

// apartBed is a bed whose routes are served by a data plane that can be ended and started.
type apartBed struct {
	*frontBed
	socket string
	end    func()
}

func newApartBed(t *testing.T) *apartBed {
	t.Helper()
	dir, err := os.MkdirTemp("", "dwa") //nolint:usetesting // a socket's path must be short
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	a := &apartBed{frontBed: &frontBed{addr: loopbacktest.Free(t), file: filepath.Join(dir, "table.json")}, socket: filepath.Join(dir, "p", "sock"), end: func() {}}
	pretend := dockertest.New(t, dockertest.Options{})
	b := newBedOn(t, docker.Options{Endpoint: pretend.Endpoint(), Dial: pretend.Dial}, func(b *bed) {
		a.bed = b
		a.start()
		policy := proxy.Policy{Refused: []netip.Prefix{netip.MustParsePrefix("172.17.0.0/16")}}
		var router *routing.Router
		served := plane.NewClient(plane.ClientOptions{
			Socket: a.socket, Version: "v1", Flipped: func(proxy.Flip) {}, Missed: func(string) {}, Certificate: func(certs.Event) {},
			Came: func(h plane.Hello, again bool) { router.Came(t.Context(), again, h.Version) }, Went: func(why string) { router.Went(t.Context(), why) },
		})
		b.must(served.Connect(t.Context()))
		router = routing.New(b.db, b.deps.Fleet, b.bus, served, policy, b.deps.Log)
		b.deps.Routes = Routes{Policy: policy, Router: router, Proxy: served, Counter: routing.NewCounter(b.db, served, b.deps.Log), Certificates: served, Folder: b.deps.Routes.Folder, Apart: func() Apart {
			s := served.Status()
			return Apart{Listen: a.addr, Socket: s.Socket, Version: s.Version, PID: s.PID, Started: s.Started, Away: s.Away}
		}}
		b.run("router", router.Run)
		b.run("data plane's client", served.Run)
	})
	b.engine = pretend
	t.Cleanup(func() { a.end() })
	return a
}

// start starts the data plane.
func (a *apartBed) start() {
	a.t.Helper()
	p, err := plane.New(a.t.Context(), plane.Options{
		Proxy: proxy.ServerOptions{File: a.file, Log: a.deps.Log}, Socket: a.socket, HTTP: a.addr, Version: "v1", Log: a.deps.Log,
		Open: func(ctx context.Context, _, address string) (net.Listener, error) {
			return (&net.ListenConfig{}).Listen(ctx, "tcp", address)
		},
	})
	a.must(err)
	ctx, cancel := context.WithCancel(context.WithoutCancel(a.t.Context()))
	done, serving := make(chan error, 1), make(chan struct{})
	go func() { done <- p.Run(ctx, func() { close(serving) }) }()
	waittest.Next(a.t, "the data plane serves", serving)
	a.end = func() {
		cancel()
		a.must(waittest.Next(a.t, "the data plane ends", done))
		a.end = func() {}
	}
}

// TestADataPlaneThatIsAwayFailsDeploysAndLosesNothing ends the process that serves, and starts it again.
func TestADataPlaneThatIsAwayFailsDeploysAndLosesNothing(t *testing.T) {
	t.Parallel() // it waits for what does not come back
	a := newApartBed(t)
	ctx := t.Context()
	shop, former, _ := a.routed("shop", "one")
	if status, body := a.ask("shop.example", "/"); status != 200 || body != "one" {
		t.Fatalf("it answers %d %s", status, body)
	}
	eventually(t, "the request is counted", func() bool {
		r, err := a.viewer.Route(ctx, "shop.example")
		a.must(err)
		return r.State == "served" && r.Health.Requests == 1
	})
	next, _ := a.serving(shop, "shop-2", target(t, "two"))
	router := a.deps.Routes.Router
	a.end()

	a.update(func(tx *store.Tx) error { return tx.PointRoutes(ctx, shop.ID, next.ID) })
	if err := router.Switch(ctx, shop, store.InstanceView{Instance: next}); !errors.Is(err, routing.ErrNotServed) || !errors.Is(err, plane.ErrAway) {
		t.Errorf("a deploy switches by %v", err)
	}
	a.update(func(tx *store.Tx) error { return tx.PointRoutes(ctx, shop.ID, former.ID) }) // as a deploy that failed does
	eventually(t, "it is away", func() bool { r, err := a.viewer.Routing(ctx); return err == nil && r.State == "away" })
	if r, err := a.viewer.Route(ctx, "shop.example"); err != nil || r.State != "unknown" || r.Health != nil {
		t.Errorf("the route is %+v, %v", r, err)
	}
	_, err := a.viewer.RouteHealth(ctx, "shop.example")
	if p := problemIn(t, err, http.StatusConflict, client.CodeNotServed); !strings.Contains(p.Hint, "server proxy") {
		t.Errorf("its health is %+v", p)
	}
	_, err = a.operator.CreateProxy(ctx, leadsTo("b.example", target(t, "b")))
	if p := problemIn(t, err, http.StatusConflict, client.CodeNotServed); !strings.Contains(p.Detail, "cannot be reached") {
		t.Errorf("a change says %+v", p)
	}
	if e := a.event("routing.away"); e.Severity != "warn" {
		t.Errorf("the event is %+v", e)
	}

	a.start()
	if status, body := a.ask("shop.example", "/"); status != 200 || body != "one" {
		t.Errorf("from its disk it answers %d %s", status, body)
	}
	eventually(t, "what was changed meanwhile is served", func() bool { status, body := a.ask("b.example", "/"); return status == 200 && body == "b" })
	a.event("routing.back")
	a.update(func(tx *store.Tx) error { return tx.PointRoutes(ctx, shop.ID, next.ID) })
	a.must(router.Switch(ctx, shop, store.InstanceView{Instance: next}))
	if status, body := a.ask("shop.example", "/"); status != 200 || body != "two" {
		t.Errorf("after a deploy it answers %d %s", status, body)
	}
	late, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	a.must(router.Drained(late, former.ID))
}

// TestCertificatesOfADataPlaneThatIsAway answers 503 with what to do: it is nobody's mistake, and none of the daemon's.
func TestCertificatesOfADataPlaneThatIsAway(t *testing.T) {
	t.Parallel() // as above
	a := newApartBed(t)
	ctx := t.Context()
	chain, key := selfSigned(t, 100*24*time.Hour, "wiki.example")
	a.end()
	for what, ask := range map[string]func() error{
		"list":   func() error { _, err := a.viewer.Certificates(ctx); return err },
		"one":    func() error { _, err := a.viewer.Certificate(ctx, "internal:app.internal"); return err },
		"upload": func() error { _, err := a.admin.UploadCertificate(ctx, "wiki", chain, key); return err },
	} {
		p := problemIn(t, ask(), http.StatusServiceUnavailable, client.CodeNotServed)
		if !strings.Contains(p.Detail, "cannot be reached") || !strings.Contains(p.Hint, "server proxy") {
			t.Errorf("%s: %+v", what, p)
		}
	}
	a.start() // what was uploaded meanwhile is there
	eventually(t, "it is back", func() bool { r, err := a.viewer.Routing(ctx); return err == nil && r.State != "away" })
	if l, err := a.viewer.Certificates(ctx); err != nil || len(l) != 1 || l[0].ID != "own:wiki" {
		t.Errorf("listed are %+v, %v", l, err)
	}
	if e := a.event("certificate.uploaded"); e.Data["certificate"] != "own:wiki" {
		t.Errorf("the event is %+v", e)
	}
}
