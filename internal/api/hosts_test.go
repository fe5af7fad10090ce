package api

import (
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/tiny-forge/docker-watcher/client"
	"github.com/tiny-forge/docker-watcher/internal/docker"
	"github.com/tiny-forge/docker-watcher/internal/docker/dockertest"
	"github.com/tiny-forge/docker-watcher/internal/docker/enginetest"
	"github.com/tiny-forge/docker-watcher/internal/store"
)

// second adds another pretend engine as a host.
func (b *bed) second(name string) (client.Host, *dockertest.Engine) {
	b.t.Helper()
	other := dockertest.Serve(b.t, dockertest.Options{EngineID: "OTHER", DataRoot: "/data/docker", Name: "build-2"})
	h, err := b.admin.CreateHost(b.t.Context(), client.NewHost{Name: name, Endpoint: other.Endpoint()}, false)
	b.must(err)
	b.t.Cleanup(func() {
		if e := b.deps.Fleet.Remove(h.ID); e != nil {
			b.must(e.Close())
		}
	})
	return h, other
}

func TestHostIsAddedWatchedAndRemoved(t *testing.T) {
	b := newBed(t)
	ctx := t.Context()
	h, other := b.second("build-2")
	if h.EngineID != "OTHER" || h.ReachedBy.Way != "unix" || !h.Reachable || h.Managed || !h.DisabledSince.IsZero() || h.Revision != 1 {
		t.Errorf("got %+v", h)
	}
	if e := b.event("host.added"); e.HostID != h.ID || e.Severity != "info" || !strings.HasPrefix(e.Actor, "token:") || e.Data["addr"] == "" {
		t.Errorf("event %+v", e)
	}
	l, err := b.viewer.Hosts(ctx)
	if err != nil || len(l) != 2 || l[0].Name != "build-2" || l[1].Name != "local" || !l[1].Managed {
		t.Errorf("hosts %+v, %v", l, err)
	}

	// A stage is on the host that it names, by id or by name, and on the daemon's own without one.
	p, err := b.admin.CreateProject(ctx, client.NewProject{Name: "shop", Image: "shop"})
	b.must(err)
	for name, c := range map[string]struct{ host, want string }{"a": {"", "local"}, "b": {h.ID, "build-2"}, "c": {"build-2", "build-2"}} {
		st, err := b.admin.CreateStage(ctx, client.NewStage{ProjectID: p.ID, Name: name, Kind: "preview", HostID: c.host})
		if err != nil || st.Host != c.want {
			t.Errorf("stage %s is on %q, %v", name, st.Host, err)
		}
		if name == "b" {
			defer func() {
				_, err := b.admin.CreateStage(ctx, client.NewStage{ProjectID: p.ID, Name: "d", Kind: "preview", HostID: "none"})
				wantProblem(t, err, 422, client.CodeInvalid)
			}()
		}
	}
	if all, err := b.viewer.Stages(ctx, ""); err != nil || !slices.ContainsFunc(all, func(s client.Stage) bool { return s.Name == "c" && s.Host == "build-2" }) {
		t.Errorf("stages %+v, %v", all, err)
	}

	// It is scanned like any other.
	b.scan()
	if got, err := b.viewer.Host(ctx, h.ID); err != nil || got.LastGoodScanAt.IsZero() {
		t.Errorf("got %+v, %v", got, err)
	}

	// While something names it, it stays, and it is said what to do.
	p409 := problemIn(t, b.admin.DeleteHost(ctx, h.ID), 409, client.CodeInUse)
	if !strings.Contains(p409.Detail, "2 stages") || !strings.Contains(p409.Detail, "remove its stages") {
		t.Errorf("it says %q", p409.Detail)
	}
	if got, err := b.viewer.Host(ctx, h.ID); err != nil || got.Uses != (client.HostUses{Stages: 2}) {
		t.Errorf("uses %+v, %v", got.Uses, err)
	}
	all, err := b.viewer.Stages(ctx, "")
	b.must(err)
	for _, s := range all {
		if s.HostID == h.ID {
			b.must(b.admin.DeleteStage(ctx, s.ID))
		}
	}
	calls := len(other.Requests("."))
	b.must(b.admin.DeleteHost(ctx, h.ID))
	b.event("host.removed")
	_, err = b.viewer.Host(ctx, h.ID)
	wantProblem(t, err, 404, client.CodeNotFound)
	if got := other.Requests("."); len(got) != calls {
		t.Errorf("the engine was asked for its removal: %v", got[calls:])
	}
	if _, err := b.deps.Fleet.Engine(h.ID); !errors.Is(err, docker.ErrAbsent) {
		t.Errorf("it is still in use: %v", err)
	}
}

func TestDisabledHost(t *testing.T) {
	b := newBed(t)
	ctx := t.Context()
	inst, ct := b.plant(b.shop("shop", "preview"), "shop-preview-a", 20)
	b.scan()
	plan, err := b.admin.PlanCleanup(ctx, client.StaleFilter{})
	b.must(err)

	h, err := b.admin.DisableHost(ctx, b.host.ID)
	if err != nil || h.DisabledSince.IsZero() || h.Reachable || h.Hint == "" || h.Frozen {
		t.Fatalf("got %+v, %v", h, err)
	}
	if _, err := b.admin.DisableHost(ctx, b.host.ID); err != nil {
		t.Errorf("twice: %v", err)
	}
	if e := b.event("host.disabled"); e.Severity != "warn" || e.HostID != b.host.ID {
		t.Errorf("event %+v", e)
	}
	// What was known is still shown, and shown to be so.
	stale, err := b.viewer.Stale(ctx, client.StaleFilter{}, client.Page{})
	if err != nil || len(stale.Items) != 1 || stale.Items[0].HostDisabled.IsZero() || len(stale.Items[0].Blind) == 0 {
		t.Errorf("stale %+v, %v", stale, err)
	}
	if i, err := b.viewer.Instance(ctx, inst.ID); err != nil || i.HostDisabled.IsZero() || i.Status != "stopped" {
		t.Errorf("instance %+v, %v", i, err)
	}
	if l, err := b.viewer.Blind(ctx, b.host.ID, time.Time{}, time.Time{}); err != nil || len(l.Items) != 1 || l.Items[0].Reason != "disabled" || !l.Items[0].To.IsZero() {
		t.Errorf("blind time %+v, %v", l, err)
	}
	// Nothing is asked, judged or acted on.
	b.engine.ResetCalls()
	if runs, err := b.operator.Scan(ctx, ""); err != nil || len(runs) != 0 {
		t.Errorf("scanned: %+v, %v", runs, err)
	}
	_, err = b.operator.Scan(ctx, b.host.ID)
	wantProblem(t, err, 409, client.CodeHostDisabled)
	applied, err := b.admin.ApplyCleanup(ctx, plan.ID)
	if err == nil && applied.Items[0].Result == "removed" || !ct.Facts().Exists {
		t.Errorf("a plan was applied on it: %+v, %v", applied, err)
	}
	_, err = b.operator.StartInstance(ctx, inst.ID)
	wantProblem(t, err, 409, client.CodeHostDisabled)
	_, err = b.admin.CreateStage(ctx, client.NewStage{ProjectID: "shop", Name: "next", Kind: "preview"})
	wantProblem(t, err, 409, client.CodeHostDisabled)
	if got := b.engine.Requests("."); len(got) > 0 {
		t.Errorf("the engine was asked: %v", got)
	}
	if i, err := b.viewer.Instance(ctx, inst.ID); err != nil || i.Status == "missing" {
		t.Errorf("instance %+v, %v", i, err)
	}
	status, _, text := b.raw(b.nobody, get, "/readyz", "")
	if status != 200 && strings.Contains(text, "engine:local") {
		t.Errorf("a host that is meant to be out of use makes the daemon unready: %s", text)
	}
}

func TestHostsThatCannotBe(t *testing.T) {
	b := newBed(t)
	ctx := t.Context()
	h, _ := b.second("build-2")
	private, public := enginetest.SSHKey(t, "")
	sealed, _ := enginetest.SSHKey(t, "horse")
	for name, c := range map[string]struct {
		path, body string
		status     int
		code, at   string
	}{
		"no endpoint":         {"/api/hosts", `{"name":"x"}`, 422, codeInvalid, "body"},
		"no name":             {"/api/hosts", `{"endpoint":"unix:///x"}`, 422, codeInvalid, "body.name"},
		"a bad name":          {"/api/hosts", `{"name":"My Host","endpoint":"unix:///x"}`, 422, codeInvalid, "body.name"},
		"another scheme":      {"/api/hosts", `{"name":"x","endpoint":"http://10.0.0.5:2375"}`, 422, codeInvalid, "body.endpoint"},
		"plain tcp":           {"/api/hosts", `{"name":"x","endpoint":"tcp://10.0.0.5:2375"}`, 422, codeInvalid, "body.plain"},
		"half of TLS":         {"/api/hosts", `{"name":"x","endpoint":"tcp://10.0.0.5:2376","tls":{"ca":"x"}}`, 422, codeInvalid, "body.tls.ca"},
		"ssh without a key":   {"/api/hosts", `{"name":"x","endpoint":"ssh://a@10.0.0.5"}`, 422, codeInvalid, "body.ssh.key"},
		"an unknown field":    {"/api/hosts", `{"name":"x","endpoint":"unix:///x","tsl":{}}`, 422, codeInvalid, "body.tsl"},
		"a taken name":        {"/api/hosts", `{"name":"build-2","endpoint":"unix:///x","untested":true}`, 409, codeConflict, ""},
		"the daemon's name":   {"/api/hosts", `{"name":"local","endpoint":"unix:///x","untested":true}`, 409, codeConflict, ""},
		"nobody there":        {"/api/hosts", `{"name":"x","endpoint":"unix:///none.sock"}`, 409, codeHostUnusable, ""},
		"try: bad endpoint":   {"/api/hosts/test", `{"endpoint":"x"}`, 422, codeInvalid, "body.endpoint"},
		"test of none":        {"/api/hosts/none/test", ``, 404, codeNotFound, ""},
		"disable none":        {"/api/hosts/none/disable", ``, 404, codeNotFound, ""},
		"enable none":         {"/api/hosts/none/enable", ``, 404, codeNotFound, ""},
		"test the flag's own": {"/api/hosts/" + b.host.ID + "/test", `{"endpoint":"unix:///x"}`, 409, codeManaged, ""},
	} {
		t.Run(name, func(t *testing.T) {
			status, _, text := b.raw(b.admin, post, c.path, c.body)
			if status != c.status || !strings.Contains(text, `"code":"`+c.code+`"`) || !strings.Contains(text, c.at) {
				t.Errorf("got %d %s", status, text)
			}
		})
	}
	for name, c := range map[string]struct {
		id     string
		change client.HostChange
		status int
		code   string
	}{
		"the flag's own":   {b.host.ID, client.HostChange{Name: new("x")}, 409, client.CodeManaged},
		"nothing":          {h.ID, client.HostChange{}, 422, client.CodeInvalid},
		"an old revision":  {h.ID, client.HostChange{Name: new("x"), Revision: 7}, 412, client.CodeRevision},
		"a taken name":     {h.ID, client.HostChange{Name: new("local")}, 409, client.CodeConflict},
		"to plain tcp":     {h.ID, client.HostChange{Endpoint: new("tcp://10.0.0.5:2375")}, 422, client.CodeInvalid},
		"to nobody":        {h.ID, client.HostChange{Endpoint: new("unix:///none.sock")}, 409, client.CodeHostUnusable},
		"no yes to a key":  {h.ID, client.HostChange{Endpoint: new("ssh://a@10.0.0.5"), SSH: &client.HostSSHChange{Key: &private}}, 422, client.CodeInvalid},
		"no passphrase":    {h.ID, client.HostChange{Endpoint: new("ssh://a@10.0.0.5"), SSH: &client.HostSSHChange{Key: &sealed, HostKey: &public}}, 422, client.CodeInvalid},
		"a host not there": {"none", client.HostChange{Name: new("x")}, 404, client.CodeNotFound},
	} {
		if _, err := b.admin.UpdateHost(ctx, c.id, c.change, false); err == nil {
			t.Errorf("%s: done", name)
		} else {
			t.Run(name, func(t *testing.T) { wantProblem(t, err, c.status, c.code) })
		}
	}
	wantProblem(t, b.admin.DeleteHost(ctx, b.host.ID), 409, client.CodeManaged)
	if all, err := b.viewer.Hosts(ctx); err != nil || len(all) != 2 || all[0].Revision != 1 || all[0].Endpoint != h.Endpoint {
		t.Errorf("something was done: %+v, %v", all, err)
	}
	_, _, text := b.raw(b.admin, get, "/api/events?limit=200", "")
	for _, secret := range []string{"OPENSSH", strings.Split(private, "\n")[2]} {
		if strings.Contains(text, secret) || strings.Contains(b.logs.String(), secret) {
			t.Errorf("events or log tell a key")
		}
	}
}

func TestPlainTCPWarns(t *testing.T) {
	b := newBed(t)
	h, err := b.admin.CreateHost(t.Context(), client.NewHost{Name: "old", Endpoint: "tcp://127.0.0.1:1", Plain: true}, true)
	if err != nil || !h.ReachedBy.Plain || h.ReachedBy.Way != "tcp" || h.Reachable {
		t.Fatalf("got %+v, %v", h, err)
	}
	if e := b.event("host.added"); e.Severity != "warn" || !strings.Contains(e.Message, "without TLS") || e.Data["untested"] != true {
		t.Errorf("event %+v", e)
	}
	b.must(b.deps.Hosts.Close())
}

// TestFirstContactWithAnSSHServer: its key is kept only by an admin's word, and no other is accepted then.
func TestFirstContactWithAnSSHServer(t *testing.T) {
	b := newBed(t)
	ctx := t.Context()
	t.Cleanup(func() { b.must(b.deps.Hosts.Close()) })
	s := enginetest.StartSSHD(t)
	other := dockertest.Serve(t, dockertest.Options{EngineID: "OTHER"})
	n := client.NewHost{Name: "far", Endpoint: s.Endpoint(other.Endpoint()), SSH: &client.HostSSH{Key: s.Key}}
	r, err := b.admin.TryHost(ctx, n)
	if err != nil || r.OK || r.Fault != client.FaultHostKey || r.HostKey != s.HostKey || r.Fingerprint != docker.Fingerprint(s.HostKey) || r.Hint == "" {
		t.Fatalf("got %+v, %v", r, err)
	}
	_, err = b.admin.CreateHost(ctx, n, true)
	wantProblem(t, err, 422, client.CodeInvalid)
	if len(other.Requests(".")) > 0 {
		t.Error("the engine was asked before anybody said yes")
	}
	n.SSH.HostKey = "far.example " + r.HostKey // as known_hosts has it
	if r, err := b.admin.TryHost(ctx, n); err != nil || !r.OK || !r.CanList || !r.CanInspect || r.Version == "" || r.APIVersion == "" || r.EngineID != "OTHER" || r.DataRoot == "" || r.LatencyMS <= 0 {
		t.Errorf("got %+v, %v", r, err)
	}
	h, err := b.admin.CreateHost(ctx, n, false)
	if err != nil || h.ReachedBy.Way != "ssh" || h.ReachedBy.HostKey != s.HostKey || !h.Reachable {
		t.Fatalf("got %+v, %v", h, err)
	}
	// Neither keys nor passphrases are ever answered.
	for _, path := range []string{"/api/hosts", "/api/hosts/" + h.ID, "/api/events?limit=200"} {
		if _, _, text := b.raw(b.admin, get, path, ""); strings.Contains(text, "OPENSSH") {
			t.Errorf("%s tells the key", path)
		}
	}
	// Another key there, as somebody on the way would show: refused, and the host stays as it was.
	impostor := enginetest.StartSSHD(t)
	at := impostor.Endpoint(other.Endpoint())
	r, err = b.admin.TestHost(ctx, h.ID, client.HostChange{Endpoint: &at, SSH: &client.HostSSHChange{HostKey: &s.HostKey}})
	if err != nil || r.OK || r.Fault != client.FaultUntrusted || !strings.Contains(r.Error, docker.Fingerprint(impostor.HostKey)) {
		t.Errorf("got %+v, %v", r, err)
	}
	// Another server needs another yes.
	_, err = b.admin.UpdateHost(ctx, h.ID, client.HostChange{Endpoint: &at}, false)
	p := problemIn(t, err, 422, client.CodeInvalid)
	if len(p.Errors) != 1 || p.Errors[0].Location != "body.ssh.host_key" {
		t.Errorf("got %+v", p)
	}
	_, err = b.admin.UpdateHost(ctx, h.ID, client.HostChange{Endpoint: &at, SSH: &client.HostSSHChange{HostKey: &impostor.HostKey}}, false)
	p = problemIn(t, err, 409, client.CodeHostUnusable)
	if p.HostReport == nil || p.HostReport.Fault != client.FaultRejected {
		t.Errorf("a server that does not know our key: %+v", p)
	}
	_, err = b.admin.UpdateHost(ctx, h.ID, client.HostChange{Endpoint: &at, SSH: &client.HostSSHChange{HostKey: &impostor.HostKey, Key: &impostor.Key}}, false)
	b.must(err)
	if e := b.event("host.changed"); e.Severity != "warn" || e.Data["former_fingerprint"] != docker.Fingerprint(s.HostKey) {
		t.Errorf("event %+v", e)
	}
	if got, err := b.viewer.Host(ctx, h.ID); err != nil || !got.Reachable || got.ReachedBy.Fingerprint != docker.Fingerprint(impostor.HostKey) {
		t.Errorf("got %+v, %v", got, err)
	}
}

// TestRightsOfAHost: a proxy before the engine that forbids what must be possible.
func TestRightsOfAHost(t *testing.T) {
	for name, c := range map[string]struct {
		on            string
		list, inspect bool
	}{
		"no list":    {`^GET /containers/json`, false, true},
		"no inspect": {`^GET /containers/[0-9a-f]`, true, false},
	} {
		t.Run(name, func(t *testing.T) {
			b := newBed(t)
			other := dockertest.Serve(t, dockertest.Options{})
			other.Fail(dockertest.Fault{On: c.on, Status: 403})
			r, err := b.admin.TryHost(t.Context(), client.NewHost{Endpoint: other.Endpoint()})
			if err != nil || r.OK || r.Fault != client.FaultDenied || r.CanList != c.list || r.CanInspect != c.inspect || r.Version == "" {
				t.Errorf("got %+v, %v", r, err)
			}
		})
	}
}

// TestSameEngineTwice is told, for it is seldom meant.
func TestSameEngineTwice(t *testing.T) {
	b := newBed(t)
	h, other := b.second("build-2")
	r, err := b.admin.TryHost(t.Context(), client.NewHost{Endpoint: other.Endpoint()})
	if err != nil || !r.OK || !slices.Equal(r.SameAs, []string{"build-2"}) {
		t.Errorf("got %+v, %v", r, err)
	}
	if r, err := b.admin.TestHost(t.Context(), h.ID, client.HostChange{}); err != nil || len(r.SameAs) > 0 {
		t.Errorf("it is itself: %+v, %v", r, err)
	}
	other.SetClock(time.Hour)
	if r, err := b.admin.TestHost(t.Context(), h.ID, client.HostChange{}); err != nil || !r.OK || r.ClockSkewMS < 3_590_000 {
		t.Errorf("its clock: %+v, %v", r, err)
	}
}

// TestBusyHost: what is under way is not torn off.
func TestBusyHost(t *testing.T) {
	b := newBed(t)
	st := b.shop("shop", "preview")
	b.update(func(tx *store.Tx) error {
		return tx.InsertDeploy(t.Context(), store.Deploy{
			ID: store.NewID(), ProjectID: st.ProjectID, StageID: st.ID, HostID: b.host.ID, InstanceID: "none", State: store.DeployPulling, CreatedAt: time.Now(),
		})
	})
	_, err := b.admin.DisableHost(t.Context(), b.host.ID)
	if p := problemIn(t, err, 409, client.CodeBusy); !strings.Contains(p.Detail, "1 deploy") {
		t.Errorf("it says %q", p.Detail)
	}
}

// TestReadinessWaitsForNoHost longer than for one: all four are asked at once, and one that hangs is given up.
func TestReadinessWaitsForNoHost(t *testing.T) {
	b := newBed(t)
	for _, name := range []string{"a", "b", "c", "d"} {
		_, e := b.second(name)
		e.Fail(dockertest.Fault{On: ".", Hang: true})
	}
	began := time.Now()
	status, _, text := b.raw(b.nobody, get, "/readyz", "")
	if took := time.Since(began); took > 3*pingTimeout || status != 503 {
		t.Errorf("%d after %s", status, took)
	}
	for _, want := range []string{`"name":"engine:a","ok":false`, `"name":"engine:d","ok":false`, `"name":"engine:local","ok":true`} {
		if !strings.Contains(text, want) {
			t.Errorf("%s is not in %s", want, text)
		}
	}
}
