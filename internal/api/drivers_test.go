package api

import (
	"io"
	"net/http"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/tiny-forge/docker-watcher/client"
	"github.com/tiny-forge/docker-watcher/internal/caddy"
	"github.com/tiny-forge/docker-watcher/internal/caddy/caddytest"
	"github.com/tiny-forge/docker-watcher/internal/docker"
	"github.com/tiny-forge/docker-watcher/internal/docker/dockertest"
	"github.com/tiny-forge/docker-watcher/internal/proxy"
	"github.com/tiny-forge/docker-watcher/internal/routing"
	"github.com/tiny-forge/docker-watcher/internal/traefik"
)

// newDriverBed is a bed whose routes another program serves, as main joins it.
func newDriverBed(t *testing.T, join func(b *bed, turned func(proxy.Turn, string)) (routing.Proxy, Routes)) *frontBed {
	t.Helper()
	pretend := dockertest.New(t, dockertest.Options{})
	f := &frontBed{}
	f.bed = newBedOn(t, docker.Options{Endpoint: pretend.Endpoint(), Dial: pretend.Dial}, func(b *bed) {
		var router *routing.Router
		driver, routes := join(b, func(turn proxy.Turn, why string) { router.Turned(t.Context(), turn, why) })
		router = routing.New(b.db, b.deps.Fleet, b.bus, driver, routes.Policy, b.deps.Log)
		routes.Router = router
		b.deps.Routes = routes
		b.deps.Deployer.SwitchBy(router.Switch)
		b.run("router", router.Run)
	})
	f.engine = pretend
	return f
}

// newCaddyBed is one whose routes a real Caddy serves.
func newCaddyBed(t *testing.T) (*frontBed, *caddytest.Caddy) {
	c := caddytest.Start(t)
	f := newDriverBed(t, func(b *bed, turned func(proxy.Turn, string)) (routing.Proxy, Routes) {
		d, err := caddy.New(caddy.Options{
			Admin: c.Admin(), Site: caddy.Site{Listen: c.Listen}, File: filepath.Join(c.Dir, "table.json"), Mend: true, Tick: 50 * time.Millisecond, Turned: turned, Log: b.deps.Log,
		})
		b.must(err)
		b.run("driver", d.Run)
		return d, Routes{Policy: proxy.Policy{Fits: d.Fits}, Proxy: d, Listen: c.Listen, DriverName: "caddy", Driver: d}
	})
	f.addr = c.Listen
	return f, c
}

// state waits until the routing is in a state.
func (b *bed) state(want string) client.Routing {
	b.t.Helper()
	var s client.Routing
	eventually(b.t, "the state "+want, func() bool {
		var err error
		s, err = b.viewer.Routing(b.t.Context())
		b.must(err)
		return s.State == want
	})
	return s
}

func TestRoutesByCaddy(t *testing.T) {
	f, c := newCaddyBed(t)
	ctx := t.Context()
	a, err := f.operator.CreateProxy(ctx, leadsTo("a.example", target(t, "a")))
	f.must(err)
	f.expect("a.example", 200, "a")
	if a.State != "served" || a.Health == nil || a.Health.Counted {
		t.Errorf("it is %s, its health %+v", a.State, a.Health)
	}
	if s := f.state("in_step"); s.DesiredHash != s.AppliedHash || s.Driver == nil || s.Driver.Name != "caddy" || s.Driver.SeenAt.IsZero() || !s.Driver.Mends {
		t.Errorf("the state is %+v", s)
	}

	// What Caddy cannot do is refused by its field, and nothing is saved.
	bad := leadsTo("b.example", target(t, "b"))
	bad.RequestHeaders = &[]client.Header{{Name: "X-*", Value: "1"}}
	_, err = f.operator.CreateProxy(ctx, bad)
	if p := problemIn(t, err, http.StatusUnprocessableEntity, client.CodeInvalid); p.Errors[0].Location != "body.request_headers[0]" || !strings.Contains(p.Errors[0].Message, "Caddy reads *") {
		t.Errorf("it says %+v", p)
	}

	// While Caddy is down what is asked for is kept, and it is served when Caddy is back, though with an empty configuration.
	c.Stop()
	if s := f.state("unreachable"); s.Driver.Error == "" || s.Driver.ErrorAt.IsZero() {
		t.Errorf("the state is %+v", s.Driver)
	}
	f.event("routing.lost")
	_, err = f.operator.CreateProxy(ctx, leadsTo("b.example", target(t, "b")))
	if p := problemIn(t, err, http.StatusConflict, client.CodeNotServed); !strings.Contains(p.Detail, "Caddy cannot be asked") {
		t.Errorf("it says %+v", p)
	}
	c.Run(c.Empty())
	f.state("in_step")
	f.event("routing.back")
	f.expect("a.example", 200, "a")
	f.expect("b.example", 200, "b")
}

// TestADeployThatCaddyCannotBeToldOf leaves what was served, as the built-in proxy does.
func TestADeployThatCaddyCannotBeToldOf(t *testing.T) {
	f, c := newCaddyBed(t)
	ctx := t.Context()
	st, _, _ := f.routed("shop", "one")
	f.expect("shop.example", 200, "one")
	inst, _ := f.serving(st, "shop-2", target(t, "two"))
	stage, err := f.db.Stage(ctx, st.ID)
	f.must(err)
	view, err := f.db.Instance(ctx, inst.ID)
	f.must(err)
	c.Stop()
	f.state("unreachable")
	if err := f.deps.Routes.Router.Switch(ctx, stage, view); err == nil || !strings.Contains(err.Error(), "Caddy cannot be asked") {
		t.Errorf("the switch says %v", err)
	}
	c.Run(c.Foreign())
	f.state("in_step")
	f.expect("shop.example", 200, "one")
}

const traefikToken = "dwt_0123456789abcdef0123456789abcdef"

// newTraefikBed is one whose routes a Traefik would serve, with what asks as it does.
func newTraefikBed(t *testing.T) (f *frontBed, ask func(authorization string) (int, string)) {
	f = newDriverBed(t, func(b *bed, turned func(proxy.Turn, string)) (routing.Proxy, Routes) {
		d := traefik.New(traefik.Options{Site: traefik.Site{Resolver: "le"}, Interval: traefik.DefaultInterval, Turned: turned, Log: b.deps.Log})
		b.run("driver", d.Run)
		return d, Routes{
			Policy: proxy.Policy{Fits: d.Fits}, Proxy: d, Listen: "Traefik", DriverName: "traefik", Driver: d,
			Fetching: &Fetching{Token: traefikToken, Fetch: d.Fetch}, Labels: &traefik.Site{Resolver: "le"},
		}
	})
	return f, func(authorization string) (int, string) {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://dw"+TraefikPath, nil)
		f.must(err)
		if authorization != "" {
			req.Header.Set("Authorization", authorization)
		}
		resp, err := (&http.Transport{DialContext: f.listener.dial}).RoundTrip(req)
		f.must(err)
		defer resp.Body.Close()
		text, err := io.ReadAll(resp.Body)
		f.must(err)
		return resp.StatusCode, string(text)
	}
}

func TestRoutesByTraefik(t *testing.T) {
	f, ask := newTraefikBed(t)
	ctx := t.Context()
	var asked atomic.Int64
	done := make(chan struct{})
	defer close(done)
	go func() {
		for { // as Traefik does, though more often
			select {
			case <-done:
				return
			case <-time.After(200 * time.Millisecond):
				f.deps.Routes.Fetching.Fetch("10.0.0.2", time.Now())
				asked.Add(1)
			}
		}
	}()
	fields := leadsTo("a.example", "http://10.0.0.5:3000")
	fields.BasicAuth = &[]client.Credential{{User: "anna", Password: "correct horse"}}
	_, err := f.operator.CreateProxy(ctx, fields)
	f.must(err)
	for _, authorization := range []string{"Bearer " + traefikToken, traefikToken} {
		if status, text := ask(authorization); status != 200 || !strings.Contains(text, "Host(`a.example`)") || !strings.Contains(text, "anna:$2a$") {
			t.Errorf("Traefik is told %d %s", status, text)
		}
	}
	if s := f.state("in_step"); s.DesiredHash != s.AppliedHash || s.Driver.Name != "traefik" || s.Driver.SeenAt.IsZero() || s.Driver.SeenFrom == "" || asked.Load() == 0 {
		t.Errorf("the state is %+v", s)
	}
	bad := leadsTo("b.example", "http://10.0.0.5:3000")
	bad.Maintenance = new(true)
	_, err = f.operator.CreateProxy(ctx, bad)
	if p := problemIn(t, err, http.StatusUnprocessableEntity, client.CodeInvalid); p.Errors[0].Location != "body.maintenance" {
		t.Errorf("it says %+v", p)
	}
}

func TestNobodyElseIsToldWhatTraefikIs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) { // where no try comes back meanwhile
		time.Sleep(time.Until(time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)))
		_, ask := newTraefikBed(t)
		first := ""
		for _, authorization := range []string{"", "Bearer", "Bearer " + traefikToken[:20], "Bearer x" + traefikToken, "Basic Ojo="} {
			status, text := ask(authorization)
			if first == "" {
				first = text
			}
			if status != 404 || text != first {
				t.Errorf("%q is answered %d %s", authorization, status, text)
			}
		}
		eventually(t, "an empty table", func() bool {
			status, text := ask("Bearer " + traefikToken)
			return status == 200 && text == "{}"
		})
		last := 0
		for range 20 {
			last, _ = ask("Bearer wrong")
		}
		if last != 429 {
			t.Errorf("whoever guesses on and on is answered %d", last)
		}
		if status, _ := ask("Bearer " + traefikToken); status != 200 {
			t.Errorf("who knows the token pays for those who guess: %d", status)
		}
	})
}

func TestWithoutTraefikNothingIsOffered(t *testing.T) {
	f := newFrontBed(t)
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://dw"+TraefikPath, nil)
	f.must(err)
	req.Header.Set("Authorization", "Bearer ")
	resp, err := (&http.Transport{DialContext: f.listener.dial}).RoundTrip(req)
	f.must(err)
	defer resp.Body.Close()
	if resp.StatusCode != 404 {
		t.Errorf("it answers %d", resp.StatusCode)
	}
}

func TestLabelsOfARoute(t *testing.T) {
	f := newFrontBed(t)
	ctx := t.Context()
	st := f.shop("shop", "preview")
	f.serving(st, "shop-1", target(t, "one"))
	fields := routeTo(st, "shop.example", 80)
	fields.BasicAuth = &[]client.Credential{{User: "anna", Password: "correct horse"}}
	r, err := f.operator.CreateRoute(ctx, fields)
	f.must(err)
	l, err := f.operator.RouteLabels(ctx, "shop.example")
	f.must(err)
	rule, port := "", ""
	for name, value := range l.Labels {
		if strings.Contains(value, "$2a$") {
			t.Errorf("%s tells the hash of a password", name)
		}
		if strings.HasSuffix(name, ".rule") {
			rule = value
		}
		if strings.HasSuffix(name, ".server.port") {
			port = value
		}
	}
	if rule != "Host(`shop.example`)" || port != "80" || l.Labels["traefik.enable"] != "true" || len(l.Missing) != 1 {
		t.Errorf("the labels are %+v", l)
	}
	_, err = f.viewer.RouteLabels(ctx, "shop.example")
	wantProblem(t, err, http.StatusForbidden, client.CodeForbidden)
	_, err = f.operator.UpdateRoute(ctx, r.ID, r.Revision, client.StageRouteFields{RouteFields: client.RouteFields{DenyIPs: &[]string{"10.0.0.1"}, ConnectTimeout: new("1s")}})
	f.must(err)
	_, err = f.operator.RouteLabels(ctx, "shop.example")
	if p := problemIn(t, err, http.StatusUnprocessableEntity, client.CodeInvalid); len(p.Errors) != 2 || p.Errors[0].Location != "connect_timeout" || p.Errors[1].Location != "deny_ips" {
		t.Errorf("it says %+v", p)
	}
}
