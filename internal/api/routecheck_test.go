package api

import (
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/tiny-forge/docker-watcher/client"
	"github.com/tiny-forge/docker-watcher/internal/proxy"
	"github.com/tiny-forge/docker-watcher/internal/routing"
)

// routesOf is what the doctor finds of the routes.
func (b *bed) routesOf() client.Finding {
	b.t.Helper()
	e, err := b.admin.Doctor(b.t.Context())
	b.must(err)
	for _, f := range e.Findings {
		if f.Name == "routes" {
			return f
		}
	}
	b.t.Fatalf("the doctor did not look at the routes: %+v", e.Findings)
	return client.Finding{}
}

// becomes waits until the daemon is ready, or not.
func (b *bed) becomes(ready bool) {
	b.t.Helper()
	eventually(b.t, "it is noticed", func() bool {
		status, _, _ := b.raw(b.nobody, get, "/readyz", "")
		return (status == http.StatusOK) == ready
	})
}

// TestReadinessOfATableThatIsNotApplied: strangers hear that it is so, and not what is in the table.
func TestReadinessOfATableThatIsNotApplied(t *testing.T) {
	f := newFrontBed(t)
	f.scan()
	f.ready()
	if found := f.routesOf(); !found.OK || found.Detail != "" {
		t.Errorf("while all is well the doctor says %+v", found)
	}
	bad := f.damaged()
	_, err := f.operator.CreateProxy(t.Context(), leadsTo("b.example", target(t, "b")))
	wantProblem(t, err, http.StatusConflict, client.CodeNotServed)
	f.unready("routes", "the table of routes is not applied since ", "docker-watcher proxy state")
	if _, _, text := f.raw(f.nobody, get, "/readyz", ""); strings.Contains(text, bad.ID) || strings.Contains(text, "hsts") {
		t.Errorf("strangers are told %s", text)
	}
	if found := f.routesOf(); found.Severity != "error" || !strings.Contains(found.Detail, bad.ID) || found.Hint == "" {
		t.Errorf("the doctor says %+v", found)
	}
	_, err = f.operator.SwitchProxy(t.Context(), "bad.example", false)
	f.must(err)
	f.ready()
}

// TestReadinessOfADataPlane ends the process that serves, and starts it again.
func TestReadinessOfADataPlane(t *testing.T) {
	a := newApartBed(t)
	a.scan()
	a.becomes(true)
	a.end()
	a.becomes(false)
	a.unready("routes", "the data plane cannot be reached", "systemctl start docker-watcher-proxy")
	if found := a.routesOf(); found.Severity != "error" || !strings.Contains(found.Detail, "nothing new is served: ") {
		t.Errorf("the doctor says %+v", found)
	}
	a.start()
	a.becomes(true)
	a.ready()
}

// TestReadinessOfAnotherProxy ends a real Caddy, and starts it again.
func TestReadinessOfAnotherProxy(t *testing.T) {
	f, c := newCaddyBed(t)
	f.scan()
	f.becomes(true)
	c.Stop()
	f.becomes(false)
	f.unready("routes", "caddy is away since ", "start Caddy")
	if found := f.routesOf(); found.Severity != "error" || !strings.Contains(found.Detail, "nothing new is served: ") {
		t.Errorf("the doctor says %+v", found)
	}
	c.Run(c.Empty())
	eventually(t, "it is told again what it had", func() bool {
		told, err := f.viewer.Events(t.Context(), client.EventFilter{}, client.Page{})
		f.must(err)
		return slices.ContainsFunc(told.Items, func(e client.Event) bool { return e.Kind == "routing.mended" })
	})
	f.becomes(true)
	f.ready()
}

// standing is how a driver is said to stand.
type standing proxy.Standing

func (s standing) Standing() proxy.Standing         { return proxy.Standing(s) }
func (standing) Report(string) (proxy.Report, bool) { return proxy.Report{}, false }

// TestCheckRoutesOfDrift tells what is undone by itself from what somebody has to undo, and neither of a proxy that is in step.
func TestCheckRoutesOfDrift(t *testing.T) {
	f := newFrontBed(t)
	at := time.Date(2026, 11, 30, 12, 0, 0, 0, time.UTC)
	for _, tt := range []struct {
		is   standing
		hint string // empty: it is well
	}{
		{standing{}, ""},
		{standing{Drift: "a route is gone", DriftSince: at}, "--proxy-drift mend"},
		{standing{Drift: "a route is gone", DriftSince: at, Mends: true}, "undone by itself; if this stays"},
		{standing{Error: "connection refused", ErrorAt: at, Drift: "a route is gone", DriftSince: at}, "start Caddy"},
	} {
		s := &server{d: f.deps}
		s.d.Routes.DriverName, s.d.Routes.Driver = "caddy", tt.is
		c, served := s.checkRoutes()
		if !served || c.OK != (tt.hint == "") || !strings.Contains(c.Hint, tt.hint) || c.OK != (c.Detail == "") || !c.OK && !strings.Contains(c.Detail, "since 2026-11-30T12:00:00Z") {
			t.Errorf("%+v: %+v", tt.is, c)
		}
	}
	s := &server{d: f.deps}
	s.d.Routes = Routes{}
	if c, served := s.checkRoutes(); served {
		t.Errorf("where nothing is served it says %+v", c)
	}
}

func TestInStep(t *testing.T) {
	at := time.Date(2026, 11, 30, 12, 0, 0, 0, time.UTC)
	for _, tt := range []struct {
		st   routing.State
		want bool
	}{
		{routing.State{}, true},
		{routing.State{Applied: "of the last start"}, true},
		{routing.State{Desired: "a", Applied: "a", AppliedAt: at}, true},
		{routing.State{Desired: "a", AppliedAt: at}, true}, // nobody knows what is in force: that has a cause that is told
		{routing.State{Desired: "a", Applied: "b", AppliedAt: at}, false},
	} {
		if got := inStep(tt.st); got != tt.want {
			t.Errorf("%+v: %t", tt.st, got)
		}
	}
}
