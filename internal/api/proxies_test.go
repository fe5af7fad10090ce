package api

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/tiny-forge/docker-watcher/client"
	"github.com/tiny-forge/docker-watcher/internal/certs"
	"github.com/tiny-forge/docker-watcher/internal/docker"
	"github.com/tiny-forge/docker-watcher/internal/docker/dockertest"
	"github.com/tiny-forge/docker-watcher/internal/proxy"
	"github.com/tiny-forge/docker-watcher/internal/routing"
	"github.com/tiny-forge/docker-watcher/internal/store"
)

// frontBed is a bed whose routes are served, at a port of its own.
type frontBed struct {
	*bed
	addr string
	file string
}

// withFront has the routes of a bed served as main does.
func withFront(t *testing.T, f *frontBed) func(*bed) {
	return func(b *bed) {
		f.bed, f.file = b, filepath.Join(t.TempDir(), "table.json")
		l, err := net.Listen("tcp", "127.0.0.1:0")
		b.must(err)
		f.addr = l.Addr().String()
		// The addresses of the pretend engine may be somebody's on this machine.
		policy := proxy.Policy{Own: []netip.AddrPort{netip.MustParseAddrPort(f.addr)}, Refused: []netip.Prefix{netip.MustParsePrefix("172.17.0.0/16")}}
		var router *routing.Router
		keeper := certs.New(certs.Options{
			Folder: b.deps.Routes.Folder, Open: func(sealed string) (string, error) { return sealed, nil }, Told: func(e certs.Event) { router.Certificate(t.Context(), e) }, Log: b.deps.Log,
		})
		server := proxy.NewServer(proxy.ServerOptions{
			File: f.file, Policy: policy, Log: b.deps.Log, Certs: keeper,
			Flipped: func(flip proxy.Flip) { router.Flipped(t.Context(), flip) }, Missed: func(ref string) { router.Missed(ref) },
		})
		router = routing.New(b.db, b.deps.Fleet, b.bus, server, policy, b.deps.Log)
		b.deps.Routes = Routes{
			Policy: policy, Router: router, Proxy: server, Counter: routing.NewCounter(b.db, server, b.deps.Log), Listen: f.addr, Certificates: server,
			Folder: b.deps.Routes.Folder, ListenHTTPS: "127.0.0.1:443",
		}
		b.run("certificates", keeper.Run)
		b.deps.Deployer.SwitchBy(router.Switch)
		b.deps.Deployer.DrainBy(router.Drained)
		b.deps.Scanner.OverhearBy(router.Overhear)
		b.run("router", router.Run)
		b.run("health checks", server.Run)
		b.run("proxy", func(ctx context.Context) error { return server.Serve(ctx, l, time.Second) })
	}
}

func newFrontBed(t *testing.T) *frontBed {
	t.Helper()
	f := &frontBed{}
	pretend := dockertest.New(t, dockertest.Options{})
	b := newBedOn(t, docker.Options{Endpoint: pretend.Endpoint(), Dial: pretend.Dial}, withFront(t, f))
	b.engine = pretend
	return f
}

// ask asks the proxy for a path of a domain.
func (f *frontBed) ask(host, path string) (int, string) {
	f.t.Helper()
	ctx, cancel := context.WithTimeout(f.t.Context(), patience)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+f.addr+path, nil)
	f.must(err)
	req.Host = host
	req.Header.Set("Accept", "text/html")
	resp, err := (&http.Transport{DisableKeepAlives: true}).RoundTrip(req)
	f.must(err)
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	f.must(err)
	return resp.StatusCode, string(text)
}

// expect asks until the answer has a status and a text in it.
func (f *frontBed) expect(host string, status int, text string) {
	f.t.Helper()
	eventually(f.t, fmt.Sprintf("%s answers %d %s", host, status, text), func() bool {
		got, body := f.ask(host, "/")
		return got == status && strings.Contains(body, text)
	})
}

// target is something to lead to.
func target(t *testing.T, name string) string {
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, name) }))
	t.Cleanup(srv.Close)
	return srv.URL
}

func leadsTo(domain string, targets ...string) client.ProxyFields {
	return client.ProxyFields{Targets: &targets, RouteFields: client.RouteFields{Domains: &[]string{domain}}}
}

func TestStandaloneProxies(t *testing.T) {
	f := newFrontBed(t)
	ctx := t.Context()
	fields := leadsTo("Bücher.Example", target(t, "books"))
	fields.BasicAuth = &[]client.Credential{{User: "anna", Password: "correct horse"}}
	fields.HealthCheck = &client.HealthCheck{Path: "/"}
	fields.RequestHeaders = &[]client.Header{{Name: "Authorization", Value: "Bearer " + canary}, {Name: "X-Tenant", Value: "a"}}
	made, err := f.operator.CreateProxy(ctx, fields)
	f.must(err)
	if made.Domains[0] != "xn--bcher-kva.example" || made.State != "served" || made.Owner != "token:operator" || !slices.Equal(made.BasicAuth, []string{"anna"}) || !made.WebSockets || made.Health == nil || made.Revision != 1 || made.HealthCheck.Interval != "10s" {
		t.Errorf("made %+v", made)
	}
	if status, _ := f.ask("bücher.example", "/"); status != http.StatusUnauthorized {
		t.Errorf("without a password it answers %d", status)
	}
	if h := made.RequestHeaders; len(h) != 2 || h[0].Value != "" || !h[0].Secret || h[1].Value != "a" {
		t.Errorf("its headers are shown as %+v", h)
	}
	_, err = f.operator.UpdateProxy(ctx, made.ID, 0, client.ProxyFields{RouteFields: client.RouteFields{RequestHeaders: &made.RequestHeaders}})
	f.must(err)
	row, err := f.db.Route(ctx, made.ID)
	f.must(err)
	if o, err := routing.OptionsOf(row.Route); err != nil || o.RequestHeaders[0].Value != "Bearer "+canary || strings.Contains(row.Options, canary) {
		t.Errorf("sent back, the secret is lost, or lies open: %v", err)
	}
	made.Revision++
	none := []client.Credential{}
	changed, err := f.operator.UpdateProxy(ctx, "xn--bcher-kva.example", 2, client.ProxyFields{RouteFields: client.RouteFields{BasicAuth: &none, HealthCheck: &client.HealthCheck{}, PathPrefix: new("/b/")}})
	f.must(err)
	if changed.PathPrefix != "/b" || len(changed.BasicAuth) != 0 || changed.HealthCheck != nil || changed.Revision != 3 || len(changed.Targets) != 1 {
		t.Errorf("changed %+v", changed)
	}
	if status, body := f.ask("xn--bcher-kva.example", "/b/x"); status != 200 || body != "books" {
		t.Errorf("it answers %d %s", status, body)
	}
	if status, _ := f.ask("xn--bcher-kva.example", "/x"); status != 404 {
		t.Errorf("another path answers %d", status)
	}
	_, err = f.operator.UpdateProxy(ctx, made.ID, 1, leadsTo("other.example"))
	wantProblem(t, err, http.StatusPreconditionFailed, client.CodeRevision)
	h, err := f.viewer.ProxyHealth(ctx, made.ID)
	f.must(err)
	if h.Requests < 2 || h.LastRequestAt.IsZero() || h.Targets[0].State != "up" {
		t.Errorf("its health is %+v", h)
	}
	off, err := f.operator.SwitchProxy(ctx, made.ID, false)
	f.must(err)
	if status, _ := f.ask("xn--bcher-kva.example", "/b"); status != 404 || off.State != "disabled" || off.Enabled {
		t.Errorf("switched off it answers %d: %+v", status, off)
	}
	_, err = f.viewer.ProxyHealth(ctx, made.ID)
	wantProblem(t, err, http.StatusConflict, client.CodeNotServed)
	_, err = f.operator.SwitchProxy(ctx, made.ID, true)
	f.must(err)
	l, err := f.viewer.Proxies(ctx, client.RouteQuery{Text: "bcher", Enabled: new(true)})
	f.must(err)
	if len(l.Items) != 1 || l.Items[0].State != "served" {
		t.Errorf("listed: %+v", l.Items)
	}
	if l, err = f.viewer.Routes(ctx, client.RouteQuery{}); err != nil || len(l.Items) != 0 {
		t.Errorf("it is listed as the route of a stage: %+v, %v", l, err)
	}
	_, err = f.viewer.Route(ctx, made.ID)
	wantProblem(t, err, http.StatusNotFound, client.CodeNotFound)
	_, err = f.viewer.CreateProxy(ctx, leadsTo("viewer.example", target(t, "x")))
	wantProblem(t, err, http.StatusForbidden, client.CodeForbidden)
	f.must(f.operator.DeleteProxy(ctx, made.ID))
	if status, _ := f.ask("xn--bcher-kva.example", "/b"); status != 404 {
		t.Errorf("removed it answers %d", status)
	}
	for _, kind := range []string{"proxy.created", "proxy.updated", "proxy.disabled", "proxy.enabled", "proxy.removed", "routing.applied"} {
		if e := f.event(kind); strings.Contains(fmt.Sprint(e), "correct horse") || strings.Contains(fmt.Sprint(e), "$2a$") {
			t.Errorf("%s tells a password: %+v", kind, e)
		}
	}
	if e := f.event("proxy.updated"); fmt.Sprint(e.Data["changed"]) != "[domains basic_auth health_check]" || strings.Contains(fmt.Sprint(e), canary) {
		t.Errorf("the change says %+v", e.Data)
	}
}

func TestWrongRoutesAreRefusedByField(t *testing.T) {
	f := newFrontBed(t)
	ctx := t.Context()
	good := target(t, "good")
	_, err := f.operator.CreateProxy(ctx, leadsTo("a.example", good))
	f.must(err)
	before, err := f.viewer.Routing(ctx)
	f.must(err)
	with := func(change func(*client.ProxyFields)) client.ProxyFields {
		p := leadsTo("b.example", good)
		change(&p)
		return p
	}
	for field, fields := range map[string]client.ProxyFields{
		"body.domains":                {Targets: &[]string{good}},
		"body.domains[0]":             leadsTo("http://b.example", good),
		"body.targets":                leadsTo("b.example"),
		"body.targets[1]":             leadsTo("b.example", good, "http://169.254.169.254/latest"),
		"body.targets[0]":             leadsTo("b.example", "http://"+f.addr),
		"body.path_prefix":            with(func(p *client.ProxyFields) { p.PathPrefix = new("/a/../b") }),
		"body.redirect_code":          with(func(p *client.ProxyFields) { p.RedirectCode = new(200) }),
		"body.connect_timeout":        with(func(p *client.ProxyFields) { p.ConnectTimeout = new("soon") }),
		"body.response_timeout":       with(func(p *client.ProxyFields) { p.ResponseTimeout = new("2h") }),
		"body.basic_auth[0]":          with(func(p *client.ProxyFields) { p.BasicAuth = &[]client.Credential{{User: "anna"}} }),
		"body.basic_auth[0].password": with(func(p *client.ProxyFields) { p.BasicAuth = &[]client.Credential{{User: "anna", Password: "short"}} }),
		"body.allow_ips[0]":           with(func(p *client.ProxyFields) { p.AllowIPs = &[]string{"here"} }),
		"body.request_headers[0]":     with(func(p *client.ProxyFields) { p.RequestHeaders = &[]client.Header{{Name: "Host", Value: "x"}} }),
		"body.targets[2]":             leadsTo("b.example", good, "container:shop-1:80", "container:shop-1:80@nohost"),
		"body.hsts_seconds":           with(func(p *client.ProxyFields) { p.HSTSSeconds = new(-1) }),
		"body.max_body_bytes":         with(func(p *client.ProxyFields) { p.MaxBodyBytes = new(int64(-1)) }),
		"body.health_check.passes":    with(func(p *client.ProxyFields) { p.HealthCheck = &client.HealthCheck{Path: "/", Passes: 101} }),
		"body.health_check.path":      with(func(p *client.ProxyFields) { p.HealthCheck = &client.HealthCheck{Path: "x"} }),
	} {
		_, err := f.operator.CreateProxy(ctx, fields)
		p := problemIn(t, err, http.StatusUnprocessableEntity, client.CodeInvalid)
		if len(p.Errors) == 0 || p.Errors[0].Location != field {
			t.Errorf("%s: %+v", field, p.Errors)
		}
	}
	_, err = f.operator.CreateProxy(ctx, leadsTo("c.example", "container:shop"))
	if p := problemIn(t, err, http.StatusUnprocessableEntity, client.CodeInvalid); p.Errors[0].Location != "body.targets[0]" {
		t.Errorf("a container without a port: %+v", p)
	}
	_, err = f.operator.CreateProxy(ctx, leadsTo("A.example", good))
	if p := problemIn(t, err, http.StatusConflict, client.CodeConflict); p.Errors[0].Location != "body.domains[0]" {
		t.Errorf("a domain that is taken: %+v", p)
	}
	l, err := f.viewer.Proxies(ctx, client.RouteQuery{})
	f.must(err)
	after, err := f.viewer.Routing(ctx)
	f.must(err)
	if len(l.Items) != 1 || after.AppliedHash != before.AppliedHash || after.State != "in_step" {
		t.Errorf("something of it was kept: %+v, %+v", l.Items, after)
	}
}

func TestSecretHeadersThatAreSentBack(t *testing.T) {
	f := newFrontBed(t)
	ctx := t.Context()
	fields := leadsTo("a.example", target(t, "a"))
	fields.RequestHeaders = &[]client.Header{{Name: "Authorization", Value: "one"}, {Name: "Authorization", Value: "two"}, {Name: "X-Token"}}
	made, err := f.operator.CreateProxy(ctx, fields)
	f.must(err)
	send := func(headers ...client.Header) error {
		_, err := f.operator.UpdateProxy(ctx, made.ID, 0, client.ProxyFields{RouteFields: client.RouteFields{RequestHeaders: &headers}})
		return err
	}
	has := func(want ...proxy.Header) {
		t.Helper()
		row, err := f.db.Route(ctx, made.ID)
		f.must(err)
		o, err := routing.OptionsOf(row.Route)
		f.must(err)
		if !slices.Equal(o.RequestHeaders, want) {
			t.Errorf("the rule sets %+v, want %+v", o.RequestHeaders, want)
		}
	}
	f.must(send(client.Header{Name: "authorization", Secret: true}, client.Header{Name: "AUTHORIZATION", Secret: true}))
	has(proxy.Header{Name: "authorization", Value: "one"}, proxy.Header{Name: "AUTHORIZATION", Value: "two"})
	for _, name := range []string{"X-Api-Key", "X-Token"} {
		err := send(client.Header{Name: "authorization", Secret: true}, client.Header{Name: name, Secret: true})
		if p := problemIn(t, err, http.StatusUnprocessableEntity, client.CodeInvalid); len(p.Errors) != 1 || p.Errors[0].Location != "body.request_headers[1]" {
			t.Errorf("%s: %+v", name, p.Errors)
		}
	}
	has(proxy.Header{Name: "authorization", Value: "one"}, proxy.Header{Name: "AUTHORIZATION", Value: "two"})
	f.must(send(client.Header{Name: "authorization", Value: "new"}, client.Header{Name: "authorization", Secret: true}))
	has(proxy.Header{Name: "authorization", Value: "new"}, proxy.Header{Name: "authorization", Value: "two"})
	f.must(send(client.Header{Name: "Authorization"})) // said so, it is taken away
	has(proxy.Header{Name: "Authorization"})
}

// TestPeer28ABadTableLeavesTheOldOneServed: through the API, and the error is shown.
func TestPeer28ABadTableLeavesTheOldOneServed(t *testing.T) {
	f := newFrontBed(t)
	ctx := t.Context()
	_, err := f.operator.CreateProxy(ctx, leadsTo("a.example", target(t, "a")))
	f.must(err)
	kept, err := os.ReadFile(f.file)
	f.must(err)
	bad := f.damaged()

	_, err = f.operator.CreateProxy(ctx, leadsTo("b.example", target(t, "b")))
	p := problemIn(t, err, http.StatusConflict, client.CodeNotServed)
	if !strings.Contains(p.Detail, "hsts_seconds") || !strings.Contains(p.Hint, "former table is served") {
		t.Errorf("it says %+v", p)
	}
	state, err := f.viewer.Routing(ctx)
	f.must(err)
	if state.State != "refused" || !strings.Contains(state.Error, bad.ID) || state.DesiredHash == state.AppliedHash {
		t.Errorf("the state is %+v", state)
	}
	if status, body := f.ask("a.example", "/"); status != 200 || body != "a" {
		t.Errorf("the old route answers %d %s", status, body)
	}
	if status, _ := f.ask("b.example", "/"); status != 404 {
		t.Errorf("the new route answers %d", status)
	}
	if now, err := os.ReadFile(f.file); err != nil || string(now) != string(kept) {
		t.Errorf("the bad table was kept for the next start: %v", err)
	}
	if e := f.event("routing.refused"); e.Severity != "warn" || !strings.Contains(e.Message, "the former one is served") {
		t.Errorf("the event is %+v", e)
	}
	// The bad one can be mended, and all of it is served then.
	_, err = f.operator.UpdateProxy(ctx, bad.ID, 0, client.ProxyFields{RouteFields: client.RouteFields{HSTSSeconds: new(0)}})
	f.must(err)
	if status, body := f.ask("b.example", "/"); status != 200 || body != "b" {
		t.Errorf("the new route answers %d %s", status, body)
	}
	if state, err = f.viewer.Routing(ctx); err != nil || state.State != "in_step" || state.DesiredHash != state.AppliedHash {
		t.Errorf("the state is %+v, %v", state, err)
	}
}

// serving puts a running container of a stage on the engine that is answered for by a target.
func (f *frontBed) serving(st store.Stage, name, target string) (store.Instance, *dockertest.Container) {
	f.t.Helper()
	port := target[strings.LastIndexByte(target, ':')+1:]
	inst, ct := f.plant(st, name, 0, func(_ *store.Instance, tpl *dockertest.Template) {
		tpl.Ports = []string{"127.0.0.1:" + port + ":80/tcp"}
	})
	_, err := f.operator.StartInstance(f.t.Context(), inst.ID)
	f.must(err)
	return inst, ct
}

// routed is a stage of a project with one instance, which answers a text, and the route that leads PROJECT.example to it.
func (f *frontBed) routed(project, text string) (store.Stage, store.Instance, client.Route) {
	f.t.Helper()
	st := f.shop(project, "live")
	inst, _ := f.serving(st, project+"-1", target(f.t, text))
	made, err := f.operator.CreateRoute(f.t.Context(), routeTo(st, project+".example", 80))
	f.must(err)
	return st, inst, made
}

func routeTo(st store.Stage, domain string, port int) client.StageRouteFields {
	return client.StageRouteFields{StageID: st.ID, Port: &port, RouteFields: client.RouteFields{Domains: &[]string{domain}}}
}

func TestRoutesOfStages(t *testing.T) {
	f := newFrontBed(t)
	ctx := t.Context()
	st := f.shop("shop", "preview")
	_, err := f.operator.CreateRoute(ctx, routeTo(st, "shop.example", 80))
	if p := problemIn(t, err, http.StatusConflict, client.CodeWrongState); !strings.Contains(p.Hint, "deploy the stage first") {
		t.Errorf("without an instance: %+v", p)
	}
	inst, ct := f.serving(st, "shop-1", target(t, "one"))
	_, err = f.operator.CreateRoute(ctx, routeTo(store.Stage{ID: "none"}, "shop.example", 80))
	if p := problemIn(t, err, http.StatusUnprocessableEntity, client.CodeInvalid); p.Errors[0].Location != "body.stage_id" {
		t.Errorf("without a stage: %+v", p)
	}
	made, err := f.operator.CreateRoute(ctx, routeTo(st, "shop.example", 80))
	f.must(err)
	if made.InstanceID != inst.ID || made.Instance != "shop-1" || made.Project != "shop" || made.State != "served" || made.Health.Targets[0].State != "up" {
		t.Errorf("made %+v", made)
	}
	f.expect("shop.example", 200, "one")

	// It stops behind our back: the scan sees it, and the page says so.
	ct.SetState(dockertest.Exited, 0)
	f.scan()
	f.expect("shop.example", 503, "Stopped since")
	got, err := f.viewer.Route(ctx, "shop.example")
	f.must(err)
	if got.InstanceStatus != "stopped" || got.Health.Targets[0].State != "stopped" || got.Health.Targets[0].StoppedSince.IsZero() {
		t.Errorf("stopped it is %+v", got)
	}
	_, err = f.operator.StartInstance(ctx, inst.ID)
	f.must(err)
	f.expect("shop.example", 200, "one")

	// A port that it does not publish, where its own address must not be used: no way to it, and what to do.
	wrong, err := f.operator.UpdateRoute(ctx, made.ID, made.Revision, client.StageRouteFields{Port: new(81)})
	f.must(err)
	if h := wrong.Health.Targets[0]; h.State != "unreachable" || !strings.Contains(h.Detail, "refused") || h.Remedy == "" {
		t.Errorf("its health is %+v", h)
	}
	tried, err := f.operator.TestRoute(ctx, made.ID)
	f.must(err)
	if tried.OK || tried.Targets[0].Steps[0].Name != "find" || tried.Targets[0].Remedy == "" {
		t.Errorf("tried: %+v", tried)
	}
	_, err = f.operator.UpdateRoute(ctx, made.ID, 0, client.StageRouteFields{Port: new(80)})
	f.must(err)
	if tried, err = f.operator.TestRoute(ctx, made.ID); err != nil || !tried.OK {
		t.Errorf("tried: %+v, %v", tried, err)
	}
	if l, err := f.viewer.Routes(ctx, client.RouteQuery{StageID: st.ID, ProjectID: st.ProjectID, Text: "shop", Enabled: new(true), Limit: 10}); err != nil || len(l.Items) != 1 {
		t.Errorf("of the stage: %+v, %v", l, err)
	}
	if l, err := f.viewer.Routes(ctx, client.RouteQuery{StageID: "none"}); err != nil || len(l.Items) != 0 {
		t.Errorf("of no stage: %+v, %v", l, err)
	}
	f.must(f.operator.DeleteRoute(ctx, made.ID))
	f.expect("shop.example", 404, "Nothing is served here")
}

func TestAnEngineThatDoesNotAnswerMovesNoRoute(t *testing.T) {
	f := newFrontBed(t)
	ctx := t.Context()
	_, inst, _ := f.routed("shop", "one")
	f.engine.Fail(dockertest.Fault{On: `^GET /containers/` + inst.ContainerID + `/json`, Status: 500})
	f.deps.Routes.Router.Missed("instance:" + inst.ID + ":80")
	_, err := f.operator.CreateProxy(ctx, leadsTo("b.example", target(t, "b")))
	f.must(err)
	if status, body := f.ask("shop.example", "/"); status != 200 || body != "one" {
		t.Errorf("it answers %d %s", status, body)
	}
}

func TestTryingBeforeSaving(t *testing.T) {
	f := newFrontBed(t)
	st := f.shop("shop", "preview")
	f.serving(st, "shop-1", target(t, "one"))
	tried, err := f.operator.TryProxy(t.Context(), client.ProxyTrial{Targets: []string{target(t, "x"), "container:shop-1:80", "container:shop-1:80@local", "container:nobody:80", "container:shop-1:80@mars", "http://169.254.169.254"}})
	f.must(err)
	var got []bool
	for _, r := range tried.Targets {
		got = append(got, r.OK)
	}
	if tried.OK || !slices.Equal(got, []bool{true, true, true, false, false, false}) {
		t.Errorf("tried: %+v", tried)
	}
	if l, err := f.viewer.Proxies(t.Context(), client.RouteQuery{}); err != nil || len(l.Items) != 0 {
		t.Errorf("something was saved: %+v, %v", l, err)
	}
	_, err = f.operator.TryProxy(t.Context(), client.ProxyTrial{Targets: []string{"container:x"}})
	if p := problemIn(t, err, http.StatusUnprocessableEntity, client.CodeInvalid); p.Errors[0].Location != "body.targets[0]" {
		t.Errorf("it says %+v", p)
	}
}

func TestHealthFlipsAreEvents(t *testing.T) {
	f := newFrontBed(t)
	var sick atomic.Bool
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		if sick.Load() {
			w.WriteHeader(500)
		}
	}))
	defer srv.Close()
	fields := leadsTo("a.example", srv.URL)
	fields.HealthCheck = &client.HealthCheck{Path: "/", Interval: "1s", Fails: 1}
	sick.Store(true)
	made, err := f.operator.CreateProxy(t.Context(), fields)
	f.must(err)
	if e := f.event("target.down"); e.Severity != "warn" || e.Data["route_id"] != made.ID || e.Source != "proxy" {
		t.Errorf("the event is %+v", e)
	}
	sick.Store(false)
	f.event("target.up")
}

func TestWithoutAListenerRoutesAreWrittenDown(t *testing.T) {
	b := newBed(t)
	made, err := b.operator.CreateProxy(t.Context(), leadsTo("a.example", "http://10.0.0.5"))
	b.must(err)
	state, err := b.viewer.Routing(t.Context())
	b.must(err)
	if made.State != "no_listener" || made.Health != nil || state.State != "off" || state.Listen != "" {
		t.Errorf("made %+v, %+v", made, state)
	}
	_, err = b.viewer.ProxyHealth(t.Context(), made.ID)
	if p := problemIn(t, err, http.StatusConflict, client.CodeNotServed); !strings.Contains(p.Hint, "--proxy-http") {
		t.Errorf("it says %+v", p)
	}
}

func TestADeployThatCannotBeReachedLeavesTheRoute(t *testing.T) {
	f := newFrontBed(t)
	ctx := t.Context()
	f.engine.Publish(dockertest.Image{Ref: "shop:1.1", Life: dockertest.Life{Health: true, HealthAfter: 10 * time.Millisecond}})
	st, former, made := f.routed("shop", "one")
	d, err := f.operator.StartDeploy(ctx, st.ID, client.DeployRequest{Tag: "1.1"})
	f.must(err)
	eventually(t, "the deploy ends", func() bool {
		if status, body := f.ask("shop.example", "/"); status != 200 || body != "one" {
			t.Errorf("meanwhile it answers %d %s", status, body)
		}
		d, err = f.viewer.Deploy(ctx, d.ID)
		f.must(err)
		return d.Ended()
	})
	if d.State != "failed" || !strings.Contains(d.Error, "shop.example") || !strings.Contains(d.Error, "refused as a target") {
		t.Errorf("it is %s: %s", d.State, d.Error)
	}
	got, err := f.viewer.Route(ctx, made.ID)
	f.must(err)
	if got.InstanceID != former.ID || got.State != "served" || got.Health.Targets[0].State != "up" {
		t.Errorf("the route is %+v", got)
	}
	f.expect("shop.example", 200, "one")
}

func TestADeployMovesNoRouteThatAnotherOneHasYetToSwitch(t *testing.T) {
	f := newFrontBed(t)
	ctx := t.Context()
	shop, one, _ := f.routed("shop", "one")
	blog, _, _ := f.routed("blog", "old")
	next, _ := f.serving(blog, "blog-2", target(t, "new"))
	dep := store.Deploy{
		ID: store.NewID(), Kind: store.DeployForward, ProjectID: blog.ProjectID, StageID: blog.ID, HostID: f.host.ID, InstanceID: next.ID,
		Image: "shop", ImageTag: "1.1", State: store.DeploySwitching, Actor: "system", CreatedAt: time.Now(),
	}
	f.update(func(tx *store.Tx) error {
		return errors.Join(tx.InsertDeploy(ctx, dep), tx.PointRoutes(ctx, blog.ID, next.ID))
	})
	router := f.deps.Routes.Router
	f.must(router.Switch(ctx, shop, store.InstanceView{Instance: one}))
	for host, want := range map[string]string{"shop.example": "one", "blog.example": "old"} {
		if status, body := f.ask(host, "/"); status != 200 || body != want {
			t.Errorf("%s answers %d %s, want %s", host, status, body, want)
		}
	}
	f.must(router.Switch(ctx, blog, store.InstanceView{Instance: next}))
	if status, body := f.ask("blog.example", "/"); status != 200 || body != "new" {
		t.Errorf("after its own deploy it answers %d %s", status, body)
	}
}

func TestABadTableHoldsUpNoDeployOfAStageWithoutRoutes(t *testing.T) {
	f := newFrontBed(t)
	ctx := t.Context()
	shop, one, _ := f.routed("shop", "one")
	blog := f.shop("blog", "live")
	two, _ := f.serving(blog, "blog-1", target(t, "two"))
	bad := f.damaged()
	router := f.deps.Routes.Router
	if err := router.Switch(ctx, shop, store.InstanceView{Instance: one}); err != nil {
		t.Errorf("a stage with a route is not switched: %v", err)
	}
	if err := router.Switch(ctx, blog, store.InstanceView{Instance: two}); err != nil {
		t.Errorf("a stage without a route is not switched: %v", err)
	}
	if state := router.State(); !strings.Contains(state.Error, bad.ID) {
		t.Errorf("the state tells no more of the bad table: %+v", state)
	}
	left, cancel := context.WithCancel(ctx)
	cancel()
	if err := router.Switch(left, blog, store.InstanceView{Instance: two}); err == nil {
		t.Error("what nobody could look up is told to be switched")
	}
}

func TestARefusedNetworkStopsOnlyWhatLeadsThere(t *testing.T) {
	f := newFrontBed(t)
	ctx := t.Context()
	_, inst, made := f.routed("shop", "one")
	_, err := f.admin.UpdateSettings(ctx, map[string]any{"refused_targets": "127.0.0.0/8"})
	f.must(err)
	refused := func(when, why string) {
		t.Helper()
		if status, _ := f.ask("shop.example", "/"); status == 200 {
			t.Errorf("%s, what leads there is served", when)
		}
		got, err := f.viewer.Route(ctx, made.ID)
		f.must(err)
		if h := got.Health.Targets[0]; h.State != "unreachable" || !strings.Contains(h.Detail, why) || h.Remedy == "" {
			t.Errorf("%s, its health is %+v", when, h)
		}
		if state, err := f.viewer.Routing(ctx); err != nil || state.State != "in_step" {
			t.Errorf("%s, the table is %+v, %v", when, state, err)
		}
	}
	refused("refused", "is refused as a target")
	_, err = f.operator.CreateProxy(ctx, client.ProxyFields{RouteFields: client.RouteFields{Domains: &[]string{"b.example"}, RedirectTo: new("https://www.example.com")}})
	f.must(err) // another route is changed as ever
	_, err = f.admin.UpdateSettings(ctx, map[string]any{"refused_targets": ""})
	f.must(err)
	f.expect("shop.example", 200, "one")

	// Its engine does not answer when the network is refused: where it was known to be is no way round.
	f.engine.Fail(dockertest.Fault{On: `^GET /containers/` + inst.ContainerID + `/json`, Status: 500})
	_, err = f.admin.UpdateSettings(ctx, map[string]any{"refused_targets": "127.0.0.0/8"})
	f.must(err)
	refused("refused while its engine is away", "could not be asked")
}

func TestARefusedNetworkLeavesNothingToADeploy(t *testing.T) {
	f := newFrontBed(t)
	ctx := t.Context()
	st, inst, _ := f.routed("shop", "one")
	dep := store.Deploy{
		ID: store.NewID(), Kind: store.DeployForward, ProjectID: st.ProjectID, StageID: st.ID, HostID: f.host.ID, InstanceID: inst.ID,
		Image: "shop", ImageTag: "1.1", State: store.DeploySwitching, Actor: "system", CreatedAt: time.Now(),
	}
	f.update(func(tx *store.Tx) error { return tx.InsertDeploy(ctx, dep) })
	_, err := f.admin.UpdateSettings(ctx, map[string]any{"refused_targets": "127.0.0.0/8"})
	f.must(err)
	if status, _ := f.ask("shop.example", "/"); status == 200 {
		t.Error("while a deploy switches it, what leads there is served")
	}
}

func TestASettingThatARouteForbidsIsNotSaved(t *testing.T) {
	f := newFrontBed(t)
	ctx := t.Context()
	_, err := f.operator.CreateProxy(ctx, leadsTo("a.example", target(t, "a")))
	f.must(err)
	_, err = f.admin.UpdateSettings(ctx, map[string]any{"refused_targets": "10.0.0.0/8, 127.0.0.0/8", "plan_max_items": 7})
	p := problemIn(t, err, http.StatusUnprocessableEntity, client.CodeInvalid)
	if len(p.Errors) != 1 || p.Errors[0].Location != "body.refused_targets" || !strings.Contains(p.Errors[0].Message, "a.example") || !strings.Contains(p.Errors[0].Message, "targets[0]") {
		t.Errorf("it says %+v", p.Errors)
	}
	if s, err := f.db.Settings(ctx); err != nil || s.RefusedTargets != "" || s.PlanMaxItems == 7 {
		t.Errorf("something of it was saved: %+v, %v", s, err)
	}
	if status, body := f.ask("a.example", "/"); status != 200 || body != "a" {
		t.Errorf("it answers %d %s", status, body)
	}
	// What was wrong before is no fault of the setting.
	f.damaged()
	_, err = f.admin.UpdateSettings(ctx, map[string]any{"refused_targets": "10.0.0.0/8"})
	wantProblem(t, err, http.StatusConflict, client.CodeNotServed)
	if s, err := f.db.Settings(ctx); err != nil || s.RefusedTargets != "10.0.0.0/8" {
		t.Errorf("it was not saved: %+v, %v", s, err)
	}
}
