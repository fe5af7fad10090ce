package api

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/tiny-forge/docker-watcher/client"
	"github.com/tiny-forge/docker-watcher/internal/docker"
	"github.com/tiny-forge/docker-watcher/internal/docker/dockertest"
	"github.com/tiny-forge/docker-watcher/internal/proxy"
	"github.com/tiny-forge/docker-watcher/internal/routing"
	"github.com/tiny-forge/docker-watcher/internal/store"
	"github.com/tiny-forge/docker-watcher/internal/waittest"
)

// damaged adds a row whose options no path of ours writes: the table with it is a bad one.
func (f *frontBed) damaged() store.Route {
	f.t.Helper()
	bad := store.Route{
		ID: store.NewID(), Standalone: true, Targets: []string{target(f.t, "bad")}, Domains: []store.RouteAddress{{Domain: "bad.example", PathPrefix: "/"}}, TLS: "off",
		Options: `{"hsts_seconds": -5}`, Enabled: true, CreatedAt: time.Now(), Revision: 1,
	}
	f.update(func(tx *store.Tx) error { return tx.InsertRoute(f.t.Context(), bad) })
	return bad
}

func TestAHungEngineHoldsUpNoChangeForLong(t *testing.T) {
	f := newFrontBed(t)
	ctx := t.Context()
	f.routed("shop", "shop")
	tool := target(t, "tool")
	var tools []string
	for n := range 16 {
		name := "tool-" + string(rune('a'+n))
		f.named(name, tool)
		tools = append(tools, "container:"+name+":80")
	}
	_, err := f.operator.CreateProxy(ctx, leadsTo("tool.example", tools...))
	f.must(err)
	f.expect("tool.example", 200, "tool")
	f.engine.Fail(dockertest.Fault{On: `^GET /containers/[^/]+/json`, Hang: true})
	began := time.Now()
	_, err = f.operator.CreateProxy(ctx, leadsTo("b.example", target(t, "b")))
	f.must(err)
	if took := time.Since(began); took > 15*time.Second { // all of them hang, and the looks for them end together after five
		t.Errorf("one change took %s", took)
	}
	// The next one does not wait for it again.
	began = time.Now()
	_, err = f.operator.CreateProxy(ctx, leadsTo("c.example", target(t, "c")))
	f.must(err)
	if took := time.Since(began); took > 2*time.Second { // after which one look is given up
		t.Errorf("the next change took %s", took)
	}
	for host, want := range map[string]string{"b.example": "b", "c.example": "c", "shop.example": "shop", "tool.example": "tool"} {
		if status, body := f.ask(host, "/"); status != 200 || body != want {
			t.Errorf("%s answers %d %s", host, status, body)
		}
	}
	state, err := f.viewer.Routing(ctx)
	if err != nil || state.State != "in_step" {
		t.Errorf("the table is %+v, %v", state, err)
	}
	got, err := f.viewer.Proxy(ctx, "tool.example")
	f.must(err)
	if h := got.Health.Targets[0]; !strings.Contains(h.Detail, "in time") || strings.Contains(h.Detail, "GET") || h.Remedy == "" {
		t.Errorf("its health is %+v", h)
	}
}

func TestWhatAnEngineSaysMakesNoNewTable(t *testing.T) {
	f := newFrontBed(t)
	ctx := t.Context()
	_, inst, made := f.routed("shop", "one")
	ref := "instance:" + inst.ID + ":80"
	var hashes []string
	for _, said := range []string{"disk /dev/sda1 is on fire", "id 4711 is locked"} {
		end := f.engine.Fail(dockertest.Fault{On: `^GET /containers/` + inst.ContainerID + `/json`, Status: 500, Body: `{"message":"` + said + `"}`})
		f.deps.Routes.Router.Missed(ref)
		eventually(t, "the engine is asked", func() bool {
			r, err := f.viewer.Route(ctx, made.ID)
			f.must(err)
			return strings.Contains(r.Health.Targets[0].Detail, "could not be asked")
		})
		f.must(f.deps.Routes.Router.Apply(ctx))
		hashes = append(hashes, f.deps.Routes.Router.State().Applied)
		end()
	}
	if hashes[0] != hashes[1] {
		t.Errorf("what the engine said in particular made a new table: %q", hashes)
	}
	got, err := f.viewer.Route(ctx, made.ID)
	f.must(err)
	if h := got.Health.Targets[0]; strings.Contains(h.Detail, "fire") || !strings.Contains(h.Said, "fire") {
		t.Errorf("it says %+v", h)
	}
}

func TestABadRowHoldsUpNoDeployOfAStageWithRoutes(t *testing.T) {
	f := newFrontBed(t)
	ctx := t.Context()
	shop, _, _ := f.routed("shop", "one")
	f.routed("blog", "blog")
	bad := f.damaged()
	next, _ := f.serving(shop, "shop-2", target(t, "two"))
	f.update(func(tx *store.Tx) error { return tx.PointRoutes(ctx, shop.ID, next.ID) })
	router := f.deps.Routes.Router
	f.must(router.Switch(ctx, shop, store.InstanceView{Instance: next}))
	for host, want := range map[string]string{"shop.example": "two", "blog.example": "blog"} {
		if status, body := f.ask(host, "/"); status != 200 || body != want {
			t.Errorf("%s answers %d %s, want %s", host, status, body, want)
		}
	}
	if status, _ := f.ask("bad.example", "/"); status != 404 {
		t.Errorf("the bad one answers %d", status)
	}
	if state := router.State(); !strings.Contains(state.Error, bad.ID) || state.Desired == state.Applied {
		t.Errorf("nothing tells of the bad row: %+v", state)
	}
	f.event("routing.refused")
	// What its own instance cannot do is still an error, and moves nothing.
	lost, _ := f.plant(shop, "shop-3", 0)
	_, err := f.operator.StartInstance(ctx, lost.ID)
	f.must(err)
	f.update(func(tx *store.Tx) error { return tx.PointRoutes(ctx, shop.ID, lost.ID) })
	if err := router.Switch(ctx, shop, store.InstanceView{Instance: lost}); !errors.Is(err, routing.ErrNotServed) {
		t.Errorf("what cannot be reached is switched to: %v", err)
	}
	if status, body := f.ask("shop.example", "/"); status != 200 || body != "two" {
		t.Errorf("after it, it answers %d %s", status, body)
	}
}

// TestWhatIsInTheWayCanBeSwitchedOff by both ways to do it, though nothing else can be changed of it while it is bad.
func TestWhatIsInTheWayCanBeSwitchedOff(t *testing.T) {
	f := newFrontBed(t)
	ctx := t.Context()
	bad := f.damaged()
	_, err := f.operator.CreateProxy(ctx, leadsTo("b.example", target(t, "b")))
	wantProblem(t, err, http.StatusConflict, client.CodeNotServed)
	off := client.RouteFields{Enabled: new(false)}
	for what, fields := range map[string]client.ProxyFields{
		"a note":    {RouteFields: client.RouteFields{Notes: new("bad")}},
		"something": {RouteFields: client.RouteFields{Enabled: off.Enabled, Notes: new("bad")}},
		"targets":   {RouteFields: off, Targets: &[]string{target(t, "other")}},
	} {
		_, err := f.operator.UpdateProxy(ctx, bad.ID, 0, fields)
		if p := problemIn(t, err, http.StatusUnprocessableEntity, client.CodeInvalid); len(p.Errors) != 1 || p.Errors[0].Location != "body.hsts_seconds" {
			t.Errorf("%s is changed: %+v", what, p)
		}
	}
	ways := map[string]func(int64) (client.Route, error){
		"by itself": func(int64) (client.Route, error) { return f.operator.SwitchProxy(ctx, "bad.example", false) },
		"as a change": func(seen int64) (client.Route, error) {
			return f.operator.UpdateProxy(ctx, bad.ID, seen, client.ProxyFields{RouteFields: off})
		},
	}
	for what, switchOff := range ways {
		got, err := switchOff(f.revision(bad.ID))
		if err != nil || got.State != "disabled" {
			t.Errorf("%s: %+v, %v", what, got, err)
		}
		if status, body := f.ask("b.example", "/"); status != 200 || body != "b" {
			t.Errorf("%s: the other answers %d %s", what, status, body)
		}
		if state, err := f.viewer.Routing(ctx); err != nil || state.State != "in_step" {
			t.Errorf("%s: the table is %+v, %v", what, state, err)
		}
		if again, err := switchOff(0); err != nil || again.Revision != got.Revision {
			t.Errorf("%s, again: %+v, %v", what, again, err)
		}
		_, err = f.operator.UpdateProxy(ctx, bad.ID, 0, client.ProxyFields{RouteFields: client.RouteFields{Enabled: new(true)}})
		wantFields(t, err, "body.hsts_seconds")
		row, err := f.db.Route(ctx, bad.ID)
		f.must(err)
		row.Enabled = true
		f.update(func(tx *store.Tx) error { return tx.UpdateRoute(ctx, row.Route) })
	}
	_, err = f.operator.UpdateProxy(ctx, bad.ID, 1, client.ProxyFields{RouteFields: off})
	wantProblem(t, err, http.StatusPreconditionFailed, client.CodeRevision)
	if e := f.event("proxy.disabled"); e.Data["route_id"] != bad.ID {
		t.Errorf("the event is %+v", e)
	}
}

func (f *frontBed) revision(id string) int64 {
	f.t.Helper()
	row, err := f.db.Route(f.t.Context(), id)
	f.must(err)
	return row.Revision
}

// named puts a container that no row knows on the engine.
func (f *frontBed) named(name, at string) *dockertest.Container {
	f.t.Helper()
	ct := f.engine.Add(dockertest.Template{Name: name, Image: "shop:1.0", State: dockertest.Created, Ports: []string{"127.0.0.1:" + at[strings.LastIndexByte(at, ':')+1:] + ":80/tcp"}})
	ct.Start()
	return ct
}

func TestANamedContainerThatEndsIsLeftAtOnce(t *testing.T) {
	f := newFrontBed(t)
	ctx := t.Context()
	f.scan()
	ct := f.named("tool", target(t, "tool"))
	_, err := f.operator.CreateProxy(ctx, leadsTo("tool.example", "container:tool:80"))
	f.must(err)
	f.expect("tool.example", 200, "tool")
	ct.Exit(0)
	// The engine may give its address to anybody now. Nobody comes in vain before that is known.
	router, died := f.deps.Routes.Router, docker.Event{Action: "die", ContainerID: ct.ID, Attributes: map[string]string{"name": "tool"}}
	router.Overhear("another host", died)
	router.Overhear(f.host.ID, docker.Event{Action: "die", ContainerID: "1234", Attributes: map[string]string{"name": "another"}})
	router.Overhear(f.host.ID, died)
	f.expect("tool.example", 503, "Stopped since")
	ct.Start()
	router.Overhear(f.host.ID, docker.Event{Gap: true})
	f.expect("tool.example", 200, "tool")
}

func TestAnEngineThatIsAddedTakesOnlyTheProxyThatLeadsThere(t *testing.T) {
	f := newFrontBed(t)
	ctx := t.Context()
	there := target(t, "there")
	_, err := f.operator.CreateProxy(ctx, leadsTo("there.example", there))
	f.must(err)
	_, err = f.operator.CreateProxy(ctx, leadsTo("other.example", target(t, "other")))
	f.must(err)
	f.expect("there.example", 200, "there")
	f.update(func(tx *store.Tx) error {
		return tx.InsertHost(ctx, store.Host{ID: store.NewID(), Name: "engine", Endpoint: "tcp" + strings.TrimPrefix(there, "http"), DisabledSince: time.Now(), Revision: 1})
	})
	f.expect("there.example", 502, "Nothing answers here")
	if status, body := f.ask("other.example", "/"); status != 200 || body != "other" {
		t.Errorf("the other answers %d %s", status, body)
	}
	got, err := f.viewer.Proxy(ctx, "there.example")
	f.must(err)
	if h := got.Health.Targets[0]; h.State != "unreachable" || !strings.Contains(h.Detail, "Docker engine listens there") {
		t.Errorf("its health is %+v", h)
	}
	if state, err := f.viewer.Routing(ctx); err != nil || state.State != "in_step" {
		t.Errorf("the table is %+v, %v", state, err)
	}
}

func TestAnEngineThatIsNamedIsNotReachedByItsAddress(t *testing.T) {
	engine := target(t, "engine")
	port := engine[strings.LastIndexByte(engine, ':')+1:]
	stands := []netip.Addr{netip.MustParseAddr("127.0.0.1")}
	policy := proxy.Policy{Engines: []string{"engine.lan:" + port}, Names: &proxy.Names{LookUp: func(_ context.Context, host string) ([]netip.Addr, error) {
		if host != "engine.lan" {
			return nil, errors.New("no such name")
		}
		return stands, nil
	}}}
	for _, to := range []string{engine, "http://localhost:" + port, "http://[::1]:" + port, "http://[::ffff:127.0.0.1]:" + port, "http://ENGINE.lan.:" + port} {
		if _, err := proxy.ParseTarget(to, policy); err == nil || !strings.Contains(err.Error(), "Docker engine") {
			t.Errorf("%s: %v", to, err)
		}
	}
	for _, to := range []string{"http://127.0.0.1:1", "http://10.0.0.9:" + port, "http://other.lan:" + port} {
		if _, err := proxy.ParseTarget(to, policy); err != nil {
			t.Errorf("%s: %v", to, err)
		}
	}
	if err := proxy.Reachable(t.Context(), policy, "127.0.0.1:"+port); err == nil || !strings.Contains(err.Error(), "Docker engine") {
		t.Errorf("dialled it is %v", err)
	}
}

func TestARouteToNothingIsNoBadGateway(t *testing.T) {
	f := newFrontBed(t)
	ctx := t.Context()
	_, inst, made := f.routed("shop", "one")
	row, err := f.db.Route(ctx, made.ID)
	f.must(err)
	r := row.Route
	r.InstanceID = ""
	f.update(func(tx *store.Tx) error { return tx.UpdateRoute(ctx, r) })
	f.expect("shop.example", 503, "Nothing runs here now")
	_, err = f.operator.CreateProxy(ctx, leadsTo("tool.example", "container:nobody:80"))
	f.must(err)
	f.expect("tool.example", 503, "Nothing runs here now")
	_, err = f.operator.CreateProxy(ctx, leadsTo("mars.example", "container:nobody:80@mars"))
	if p := problemIn(t, err, http.StatusUnprocessableEntity, client.CodeInvalid); p.Errors[0].Location != "body.targets[0]" {
		t.Errorf("a host that is not there: %+v", p)
	}
	mars, err := f.operator.CreateProxy(ctx, leadsTo("mars.example", "container:nobody:80"))
	f.must(err)
	row, err = f.db.Route(ctx, mars.ID)
	f.must(err)
	row.Targets = []string{"container:nobody:80@mars"} // which was removed since
	f.update(func(tx *store.Tx) error { return tx.UpdateRoute(ctx, row.Route) })
	_, err = f.operator.UpdateProxy(ctx, mars.ID, 0, client.ProxyFields{RouteFields: client.RouteFields{Notes: new("it can be changed all the same")}})
	f.must(err)
	f.expect("mars.example", 502, "Nothing answers here")

	found := func(leadsTo string, want int) {
		t.Helper()
		l, err := f.viewer.Routes(ctx, client.RouteQuery{LeadsTo: leadsTo})
		if err != nil || len(l.Items) != want {
			t.Errorf("%s: %d of %d found, %v", leadsTo, len(l.Items), want, err)
		}
	}
	found("gone", 1)
	found("leftover", 1)
	found("stopped", 1)
	found("missing", 0)
	found("stale", 0)
	_, err = f.operator.UpdateRoute(ctx, made.ID, 0, client.StageRouteFields{InstanceID: &inst.ID})
	f.must(err)
	found("gone", 0)
	found("leftover", 0)
	if status, _, _ := f.raw(f.viewer, http.MethodGet, "/api/routes?leads_to=nowhere", ""); status != http.StatusUnprocessableEntity {
		t.Errorf("an unknown word answers %d", status)
	}
}

func TestARouteOfAPreviewStageNamesItsInstance(t *testing.T) {
	f := newFrontBed(t)
	ctx := t.Context()
	st := f.shop("shop", "preview")
	st.Strategy, st.ParallelMax = store.StrategyParallel, 3
	f.update(func(tx *store.Tx) error { return tx.UpdateStage(ctx, st) })
	inst, _ := f.serving(st, "shop-1", target(t, "one"))
	_, err := f.operator.CreateRoute(ctx, routeTo(st, "shop.example", 80))
	p := problemIn(t, err, http.StatusUnprocessableEntity, client.CodeInvalid)
	if p.Errors[0].Location != "body.instance_id" || !strings.Contains(p.Errors[0].Message, "side by side") {
		t.Errorf("it says %+v", p.Errors)
	}
	fields := routeTo(st, "shop.example", 80)
	fields.InstanceID = &inst.ID
	made, err := f.operator.CreateRoute(ctx, fields)
	f.must(err)
	if made.InstanceID != inst.ID {
		t.Errorf("made %+v", made)
	}
}

func TestRoutesOfStagesHaveAnOwnerNotesAndASwitch(t *testing.T) {
	f := newFrontBed(t)
	ctx := t.Context()
	st := f.shop("shop", "live")
	f.serving(st, "shop-1", target(t, "one"))
	fields := routeTo(st, "shop.example", 80)
	fields.Notes = new("for the fair")
	fields.RequestHeaders = &[]client.Header{{Name: "X-Api-Key", Value: canary}}
	fields.BasicAuth = &[]client.Credential{{User: "anna", Password: "correct horse"}}
	made, err := f.operator.CreateRoute(ctx, fields)
	f.must(err)
	if made.Owner != "token:operator" || made.Notes != "for the fair" {
		t.Errorf("made %+v", made)
	}
	if l, err := f.viewer.Routes(ctx, client.RouteQuery{Text: "FAIR"}); err != nil || len(l.Items) != 1 {
		t.Errorf("by its note: %+v, %v", l.Items, err)
	}
	if changed, err := f.operator.UpdateRoute(ctx, made.ID, made.Revision, client.StageRouteFields{RouteFields: client.RouteFields{Notes: new("over")}}); err != nil || changed.Notes != "over" {
		t.Errorf("changed: %+v, %v", changed, err)
	}
	off, err := f.operator.SwitchRoute(ctx, "shop.example", false)
	f.must(err)
	if status, _ := f.ask("shop.example", "/"); off.State != "disabled" || status != 404 {
		t.Errorf("off it answers %d: %+v", status, off)
	}
	f.event("route.disabled")
	if again, err := f.operator.SwitchRoute(ctx, made.ID, false); err != nil || again.Revision != off.Revision {
		t.Errorf("off again: %+v, %v", again, err)
	}
	_, err = f.viewer.SwitchRoute(ctx, made.ID, true)
	wantProblem(t, err, http.StatusForbidden, client.CodeForbidden)
	_, err = f.operator.SwitchProxy(ctx, made.ID, true)
	wantProblem(t, err, http.StatusNotFound, client.CodeNotFound)
	_, err = f.operator.SwitchRoute(ctx, made.ID, true)
	f.must(err)
	if status, _ := f.ask("shop.example", "/"); status != http.StatusUnauthorized {
		t.Errorf("on it answers %d", status)
	}
	row, err := f.db.Route(ctx, made.ID)
	f.must(err)
	if strings.Contains(row.Options, canary) || strings.Contains(row.Options, "$2a$") || !strings.Contains(row.Secrets, canary) {
		t.Errorf("its options say %s", row.Options)
	}
	if info, err := os.Stat(f.file); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("the table on disk: %v, %v", info, err)
	}
}

func TestSecretsOfFormerVersionsAreSealed(t *testing.T) {
	f := newFrontBed(t)
	ctx := t.Context()
	seen := make(chan string, 10)
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		seen <- r.Header.Get("X-Api-Key")
		_, _ = io.WriteString(w, "ok")
	}))
	t.Cleanup(srv.Close)
	old := store.Route{
		ID: store.NewID(), Standalone: true, Targets: []string{srv.URL}, Domains: []store.RouteAddress{{Domain: "old.example", PathPrefix: "/"}}, TLS: "off",
		Options: `{"request_headers":[{"name":"X-Tenant","value":"a"},{"name":"X-Api-Key","value":"` + canary + `"}]}`, Enabled: true, CreatedAt: time.Now(), Revision: 3,
	}
	plain := old
	plain.ID, plain.Domains, plain.Options = store.NewID(), []store.RouteAddress{{Domain: "plain.example", PathPrefix: "/"}}, `{"request_headers":[{"name":"X-Tenant","value":"a"}]}`
	f.update(func(tx *store.Tx) error { return errors.Join(tx.InsertRoute(ctx, old), tx.InsertRoute(ctx, plain)) })
	if n, err := routing.SealOptions(ctx, f.db); n != 1 || err != nil {
		t.Fatalf("%d were sealed, %v", n, err)
	}
	if n, err := routing.SealOptions(ctx, f.db); n != 0 || err != nil {
		t.Errorf("%d were sealed again, %v", n, err)
	}
	row, err := f.db.Route(ctx, old.ID)
	f.must(err)
	if strings.Contains(row.Options, canary) || row.Revision != 3 {
		t.Errorf("it is %+v", row.Route)
	}
	f.must(f.deps.Routes.Router.Apply(ctx))
	f.expect("old.example", 200, "ok")
	if got := waittest.Next(t, "the target is asked", seen); got != canary {
		t.Errorf("the target got %q", got)
	}
}

func TestRequestsAreCountedOverRestarts(t *testing.T) {
	f := newFrontBed(t)
	ctx := t.Context()
	st, inst, made := f.routed("shop", "one")
	for range 3 {
		f.ask("shop.example", "/")
	}
	counter := f.deps.Routes.Counter
	commits := f.db.Commits()
	f.must(counter.Keep(ctx))
	if f.db.Commits() != commits+1 {
		t.Error("the figures were not kept in one transaction")
	}
	f.must(counter.Keep(ctx))
	if f.db.Commits() != commits+1 {
		t.Error("something was written although nobody came")
	}
	f.ask("shop.example", "/")
	want := func(when string, requests int64) {
		t.Helper()
		got, err := f.viewer.Route(ctx, made.ID)
		f.must(err)
		if got.Requests != requests || got.LastRequestAt.IsZero() || got.Errors != 0 {
			t.Errorf("%s, the route has %d requests, want %d", when, got.Requests, requests)
		}
		i, err := f.viewer.Instance(ctx, inst.ID)
		f.must(err)
		if i.Requests != requests || !i.LastRequestAt.Equal(got.LastRequestAt) {
			t.Errorf("%s, the instance has %d requests, want %d", when, i.Requests, requests)
		}
	}
	want("with one that is not kept yet", 4)

	// The store is shut: nothing is lost, and nothing counted twice.
	left, cancel := context.WithCancel(ctx)
	cancel()
	f.must(counter.Keep(left)) // also after the end of its context
	want("kept", 4)
	counts, err := f.db.RequestCounts(ctx, made.ID, inst.ID)
	f.must(err)
	if counts[made.ID].Requests != 4 || counts[inst.ID].Requests != 4 {
		t.Errorf("kept are %+v", counts)
	}
	// Another instance begins by nothing, the route goes on.
	next, _ := f.serving(st, "shop-2", target(t, "two"))
	_, err = f.operator.UpdateRoute(ctx, made.ID, 0, client.StageRouteFields{InstanceID: &next.ID})
	f.must(err)
	f.ask("shop.example", "/")
	got, err := f.viewer.Route(ctx, made.ID)
	f.must(err)
	i, err := f.viewer.Instance(ctx, next.ID)
	f.must(err)
	if got.Requests != 5 || got.Health.Requests != 5 || i.Requests != 1 {
		t.Errorf("after a move the route has %d, the instance %d", got.Requests, i.Requests)
	}
}

func TestRequestsMakeNobodyStaleOrAlive(t *testing.T) {
	f := newFrontBed(t)
	ctx := t.Context()
	st := f.shop("shop", "live")
	old, _ := f.plant(st, "shop-old", 30)
	fields := routeTo(st, "old.example", 80)
	fields.InstanceID = &old.ID
	_, err := f.operator.CreateRoute(ctx, fields)
	f.must(err)
	inst, _ := f.serving(st, "shop-1", target(t, "one"))
	f.ask("old.example", "/")
	f.must(f.deps.Routes.Counter.Keep(ctx))
	f.update(func(tx *store.Tx) error {
		return tx.AddRequests(ctx, []store.RequestCount{{ID: inst.ID, Requests: 1, LastAt: time.Now().AddDate(-1, 0, 0)}})
	})
	f.scan()
	l, err := f.viewer.Stale(ctx, client.StaleFilter{}, client.Page{})
	f.must(err)
	if len(l.Items) != 1 || l.Items[0].ID != old.ID || l.Items[0].Requests != 1 || l.Items[0].LastRequest.IsZero() || l.Items[0].DaysStale < 29 {
		t.Errorf("stale are %+v", l.Items)
	}
	if r, err := f.viewer.Routes(ctx, client.RouteQuery{LeadsTo: "leftover"}); err != nil || len(r.Items) != 1 || r.Items[0].InstanceID != old.ID {
		t.Errorf("leftover are %+v, %v", r.Items, err)
	}
}

func TestATargetThatNobodyAskedIsNotCalledUp(t *testing.T) {
	f := newFrontBed(t)
	ctx := t.Context()
	made, err := f.operator.CreateProxy(ctx, leadsTo("a.example", target(t, "a")))
	f.must(err)
	if s := made.Health.Targets[0].State; s != "not_asked" {
		t.Errorf("it is %s", s)
	}
	f.ask("a.example", "/")
	if got, err := f.viewer.Proxy(ctx, made.ID); err != nil || got.Health.Targets[0].State != "up" {
		t.Errorf("asked it is %+v, %v", got.Health, err)
	}
}
