package api

import (
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/tiny-forge/docker-watcher/client"
	"github.com/tiny-forge/docker-watcher/internal/docker/dockertest"
	"github.com/tiny-forge/docker-watcher/internal/store"
)

// canary is a secret that no answer, event or log may ever show.
const canary = "c4n4ry-s3cret-v4lue"

// TestDeployAndLive walks the main way of a user and looks for the secret in every answer of the API.
func TestDeployAndLive(t *testing.T) {
	inBubble(t, func(t *testing.T, b *bed) {
		b.engine.Publish(dockertest.Image{Ref: "registry.test/shop:1.0", Greeting: []string{"hello from shop"}})
		b.engine.Publish(dockertest.Image{Ref: "registry.test/shop:2.0"})
		p, err := b.admin.CreateProject(t.Context(), client.NewProject{Name: "shop", Image: "registry.test/shop", StaleAfter: "36h"})
		b.must(err)
		keep := 0
		st, err := b.admin.CreateStage(t.Context(), client.NewStage{
			ProjectID: "shop", Name: "preview", Kind: "preview", StaleAfter: "10s", KeepLast: &keep,
			Spec: &client.Spec{
				Env: []client.EnvVar{client.Env("PASSWORD", canary), client.Env("MODE", "demo")}, Ports: []client.Port{{Container: 8080}},
				Restart: "unless-stopped", StopGrace: "2s", Labels: map[string]string{"team": "shop"},
			},
		})
		b.must(err)
		if st.ProjectID != p.ID || st.HostID != b.host.ID || st.StaleAfter != "10s" || st.Spec.StopGrace != "2s" || len(st.Spec.Env) != 2 || st.Spec.Env[0].Value != nil {
			t.Fatalf("got %+v", st)
		}

		_, err = b.viewer.StartDeploy(t.Context(), st.ID, client.DeployRequest{Tag: "1.0"})
		wantProblem(t, err, http.StatusForbidden, client.CodeForbidden)
		d := b.deploy(st.ID, "1.0")
		if d.State != "done" || d.ImageTag != "1.0" || d.InstanceID == "" {
			t.Fatalf("got %+v", d)
		}
		i, err := b.viewer.Instance(t.Context(), d.InstanceID)
		b.must(err)
		if i.Status != "running" || i.Project != "shop" || i.Stage != "preview" || len(i.Ports) != 1 || i.Ports[0].Host == 0 || i.Spec.Env[0].Name != "PASSWORD" ||
			!strings.HasPrefix(i.Name, "shop-preview-") || i.StaleAfter != "10s" || i.Stale {
			t.Fatalf("got %+v", i)
		}
		var log strings.Builder
		b.must(b.viewer.Logs(t.Context(), i.ID, client.LogOptions{}, &log))
		if !strings.Contains(log.String(), "hello from shop") {
			t.Errorf("the log is %q", log.String())
		}

		// The second deploy replaces the first; a variable without a value keeps the one it has.
		st, err = b.admin.UpdateStage(t.Context(), st.ID, client.StageChange{Spec: &client.Spec{
			Env: []client.EnvVar{{Name: "PASSWORD"}}, Ports: []client.Port{{Container: 8080}},
		}, Revision: st.Revision})
		b.must(err)
		if stored, err := b.db.Stage(t.Context(), st.ID); err != nil || stored.Spec.Env[0].Value != canary {
			t.Errorf("the value was not kept: %v", err)
		}
		d2 := b.deploy(st.ID, "2.0")
		if d2.State != "done" || d2.Replaces != d.InstanceID {
			t.Fatalf("got %+v", d2)
		}
		i2, err := b.operator.StopInstance(t.Context(), d2.InstanceID)
		if err != nil || i2.Status != "stopped" || i2.Intended != "stopped" {
			t.Fatalf("got %+v, %v", i2, err)
		}
		p1 := problemIn(t, second(b.operator.StopInstance(t.Context(), d2.InstanceID)), http.StatusConflict, client.CodeWrongState)
		if !strings.Contains(p1.Error(), "exited") {
			t.Errorf("it does not say what the state is: %v", p1)
		}
		if i2, err = b.operator.StartInstance(t.Context(), d2.InstanceID); err != nil || i2.Status != "running" {
			t.Fatalf("got %+v, %v", i2, err)
		}
		wantProblem(t, b.operator.RemoveInstance(t.Context(), d2.InstanceID, false), http.StatusConflict, client.CodeWrongState)
		b.must(b.operator.RemoveInstance(t.Context(), d2.InstanceID, true))

		bad := b.deploy(st.ID, "9.9")
		if bad.State != "failed" || bad.Error == "" {
			t.Errorf("got %+v", bad)
		}
		deploys, err := b.viewer.Deploys(t.Context(), st.ID, client.Page{})
		if err != nil || len(deploys.Items) != 3 || deploys.Items[0].ID != bad.ID {
			t.Errorf("got %+v, %v", deploys, err)
		}
		b.lookForTheCanary(st.ID, d.InstanceID)
	})
}

func second[T any](_ T, err error) error { return err }

// deploy starts a deploy and waits for its end.
func (b *bed) deploy(stageID, tag string) client.Deploy {
	b.t.Helper()
	d, err := b.operator.StartDeploy(b.t.Context(), stageID, client.DeployRequest{Tag: tag})
	b.must(err)
	for begin := time.Now(); !d.Ended(); {
		if time.Since(begin) > 10*time.Minute {
			b.t.Fatalf("the deploy does not end: %+v", d)
		}
		time.Sleep(100 * time.Millisecond) // in the bubble's time
		d, err = b.viewer.Deploy(b.t.Context(), d.ID)
		b.must(err)
	}
	return d
}

// lookForTheCanary reads everything that can be read, as an admin.
func (b *bed) lookForTheCanary(stageID, instanceID string) {
	b.t.Helper()
	for _, r := range (&server{}).routes() {
		if r.method != get || r.id == "stream-events" || r.id == "get-logs" {
			continue
		}
		for _, id := range []string{stageID, instanceID, "shop"} {
			if _, _, text := b.raw(b.admin, get, replaceID(r.path, id), ""); strings.Contains(text, canary) {
				b.t.Errorf("GET %s shows the secret", r.path)
			}
		}
	}
	// A refused request is not repeated in its problem either.
	for _, body := range []string{
		`{"spec":{"env":[{"name":"A B","value":"` + canary + `"}]}}`, `{"spec":{"env":[{"name":"A","value":["` + canary + `"]}]}}`,
		`{"spec":{"env":"` + canary + `"}}`, `{"spec":{"env":[{"name":"A","value":"` + canary + `"`, `{"` + canary[:3] + `":"` + canary + `"}`,
		`{"spec":{"env":[{"name":"A","value":"` + canary + `\u0000"}]}}`, `"` + canary + `"`,
	} {
		for _, method := range []string{patch, post} {
			path := "/api/stages/" + stageID
			if method == post {
				path += "/deploys"
			}
			if status, _, text := b.raw(b.admin, method, path, body); strings.Contains(text, canary) || status < 400 {
				b.t.Errorf("%s %s: %d %s", method, body, status, text)
			}
		}
	}
	if strings.Contains(b.logs.String(), canary) {
		b.t.Error("the daemon's log shows the secret")
	}
	events, err := b.viewer.Events(b.t.Context(), client.EventFilter{Text: canary}, client.Page{})
	if err != nil || len(events.Items) != 0 {
		b.t.Errorf("events show the secret: %v, %v", events, err)
	}
}

func TestSpecIsChecked(t *testing.T) {
	b := newBed(t)
	st := b.shop("shop", "preview")
	for name, c := range map[string]struct {
		spec  string
		where string
	}{
		"env name":            {`{"env":[{"name":"A=B","value":"x"}]}`, "body.spec.env[0].name"},
		"env name of lines":   {`{"env":[{"name":"A\nB","value":"x"}]}`, "body.spec.env[0].name"},
		"env name empty":      {`{"env":[{"name":"","value":"x"}]}`, "body.spec.env[0].name"},
		"env without a value": {`{"env":[{"name":"NEW"}]}`, "body.spec.env[0].value"},
		"env twice":           {`{"env":[{"name":"A","value":"1"},{"name":"A","value":"2"}]}`, "body.spec.env[1].name"},
		"port zero":           {`{"ports":[{"container":0}]}`, "body.spec.ports[0].container"},
		"port huge":           {`{"ports":[{"container":80,"host":65536}]}`, "body.spec.ports[0].host"},
		"port negative":       {`{"ports":[{"container":80,"host":-1}]}`, "body.spec.ports[0].host"},
		"port as text":        {`{"ports":[{"container":"80"}]}`, "body.spec.ports[0].container"},
		"protocol":            {`{"ports":[{"container":80,"protocol":"sctp"}]}`, "body.spec.ports[0].protocol"},
		"host ip":             {`{"ports":[{"container":80,"host_ip":"localhost"}]}`, "body.spec.ports[0].host_ip"},
		"target relative":     {`{"mounts":[{"source":"data","target":"data"}]}`, "body.spec.mounts[0].target"},
		"target root":         {`{"mounts":[{"source":"data","target":"/"}]}`, "body.spec.mounts[0].target"},
		"source with dots":    {`{"mounts":[{"source":"/srv/../etc","target":"/x"}]}`, "body.spec.mounts[0].source"},
		"restart":             {`{"restart":"sometimes"}`, "body.spec.restart"},
		"grace":               {`{"stop_grace":"soon"}`, "body.spec.stop_grace"},
		"grace negative":      {`{"stop_grace":"-1s"}`, "body.spec.stop_grace"},
		"our label":           {`{"labels":{"docker-watcher.managed":"true"}}`, "body.spec.labels.docker-watcher.managed"},
		"our label, loud":     {`{"labels":{"Docker-Watcher.Instance":"x"}}`, "body.spec.labels.Docker-Watcher.Instance"},
		"swarm's label":       {`{"labels":{"com.docker.swarm.task.id":"x"}}`, "body.spec.labels.com.docker.swarm.task.id"},
		"health kind":         {`{"health":{"kind":"icmp"}}`, "body.spec.health.kind"},
		"health without port": {`{"health":{"kind":"tcp"}}`, "body.spec.health.port"},
		"second port":         {`{"ports":[{"container":80,"host":8080},{"container":81,"host":8080}]}`, "body.spec.ports[1].host"},
		"after a wrong one":   {`{"env":[{"name":"NEW"},{"name":"A","value":"a\u0000b"}]}`, "body.spec.env[1].value"},
		"network":             {`{"networks":[{"name":"front"},{"name":"bridge"}]}`, "body.spec.networks[1].name"},
		"alias":               {`{"networks":[{"name":"front","aliases":["web","a b"]}]}`, "body.spec.networks[0].aliases[1]"},
		"network of the host": {`{"networks":[{"name":"front"}],"power":{"host_network":true}}`, "body.spec.power.host_network"},
		"memory":              {`{"resources":{"memory":17}}`, "body.spec.resources.memory"},
		"processors":          {`{"resources":{"cpus":0.001}}`, "body.spec.resources.cpus"},
		"program":             {`{"entrypoint":[""]}`, "body.spec.entrypoint[0]"},
		"command":             {`{"command":["run","a\u0000b"]}`, "body.spec.command[1]"},
		"user":                {`{"user":"a b"}`, "body.spec.user"},
		"working folder":      {`{"workdir":"app"}`, "body.spec.workdir"},
		"check":               {`{"healthcheck":{"test":["true"]}}`, "body.spec.healthcheck.test"},
		"check's interval":    {`{"healthcheck":{"interval":"48h"}}`, "body.spec.healthcheck.interval"},
		"capability":          {`{"power":{"cap_add":["NET_ADMIN","net_raw"]}}`, "body.spec.power.cap_add[1]"},
		"capability dropped":  {`{"cap_drop":["ALL","ALL"]}`, "body.spec.cap_drop[1]"},
		"privileged":          {`{"privileged":true}`, "body.spec.privileged"},
	} {
		t.Run(name, func(t *testing.T) {
			for _, path := range []string{"/api/stages/" + st.ID, "/api/stages/" + st.ID + "/deploys"} {
				method, body := patch, `{"spec":`+c.spec+`}`
				if strings.HasSuffix(path, "/deploys") {
					method, body = post, `{"tag":"1.0","spec":`+c.spec+`}`
				}
				status, _, text := b.raw(b.admin, method, path, body)
				if status != http.StatusUnprocessableEntity || !strings.Contains(text, `"`+c.where+`"`) {
					t.Errorf("%s: %d %s, want the place %s", path, status, text, c.where)
				}
			}
		})
	}
	if b.engine.Requests(`^POST `) != nil {
		t.Error("the engine was asked to act")
	}
	if now, err := b.db.Stage(t.Context(), st.ID); err != nil || now.Revision != st.Revision {
		t.Errorf("the stage was changed: %+v, %v", now, err)
	}
}

func TestDangerousMountsNeedAnAdmin(t *testing.T) {
	b := newBed(t)
	st := b.shop("shop", "preview")
	for _, source := range []string{"/", "/var/run/docker.sock", "/run/docker.sock", "/etc"} {
		_, err := b.operator.StartDeploy(t.Context(), st.ID, client.DeployRequest{Tag: "1.0", Spec: &client.Spec{Mounts: []client.Mount{{Source: source, Target: "/x"}}}})
		if p := problemIn(t, err, http.StatusForbidden, client.CodeForbidden); !strings.Contains(p.Detail, "mounts") {
			t.Errorf("%s: %v", source, p)
		}
	}
	if e := b.event("auth.forbidden"); e.Data["why"] == nil || e.Actor != "token:operator" {
		t.Errorf("got %+v", e)
	}
	// What an admin put into the stage may be deployed by an operator.
	_, err := b.admin.UpdateStage(t.Context(), st.ID, client.StageChange{Spec: &client.Spec{Mounts: []client.Mount{{Source: "/etc", Target: "/x"}}}})
	b.must(err)
	if e := b.event("stage.updated"); e.Severity != "warn" || !strings.Contains(e.Message, "/etc of the host") {
		t.Errorf("the event does not tell of the power given: %+v", e)
	}
	if _, err := b.operator.StartDeploy(t.Context(), st.ID, client.DeployRequest{Tag: "1.0", Spec: &client.Spec{Mounts: []client.Mount{{Source: "/etc", Target: "/x"}}}}); err != nil {
		t.Error(err)
	}
	if e := b.event("deploy.started"); e.Severity != "warn" || !strings.Contains(e.Message, "/etc of the host") {
		t.Errorf("the event does not tell of the power given: %+v", e)
	}
}

func TestStagesSecretsGoToItsOwnProgramOnly(t *testing.T) {
	b := newBed(t)
	st := b.shop("shop", "preview")
	secret, own := "canary", "mine"
	_, err := b.admin.UpdateStage(t.Context(), st.ID, client.StageChange{Spec: &client.Spec{Env: []client.EnvVar{{Name: "KEY", Value: &secret}}}})
	b.must(err)
	for name, r := range map[string]client.DeployRequest{
		"another image":   {Tag: "1.0", Image: "registry.example/evil"},
		"another command": {Tag: "1.0", Spec: &client.Spec{Env: []client.EnvVar{{Name: "KEY"}}, Command: []string{"env"}}},
	} {
		_, err := b.operator.StartDeploy(t.Context(), st.ID, r)
		if p := problemIn(t, err, http.StatusForbidden, client.CodeForbidden); !strings.Contains(p.Detail, "KEY") || strings.Contains(p.Detail, secret) {
			t.Errorf("%s: %v", name, p)
		}
	}
	if e := b.event("auth.forbidden"); e.Actor != "token:operator" {
		t.Errorf("got %+v", e)
	}
	// A spec that brings its own values is handed nothing of the stage's.
	_, err = b.operator.StartDeploy(t.Context(), st.ID, client.DeployRequest{Tag: "1.0", Spec: &client.Spec{Env: []client.EnvVar{{Name: "KEY", Value: &own}}, Command: []string{"env"}}})
	b.must(err)
}

func TestReferencesAreChecked(t *testing.T) {
	b := newBed(t)
	st := b.shop("shop", "preview")
	for _, image := range []string{"Shop", "shop:1.0", "shop@sha256:" + strings.Repeat("a", 64), "a b", "../shop", "http://shop", "-shop", strings.Repeat("a", 300)} {
		_, err := b.admin.CreateProject(t.Context(), client.NewProject{Name: "p", Image: image})
		wantProblem(t, err, http.StatusUnprocessableEntity, client.CodeInvalid)
		_, err = b.operator.StartDeploy(t.Context(), st.ID, client.DeployRequest{Tag: "1", Image: image})
		wantProblem(t, err, http.StatusUnprocessableEntity, client.CodeInvalid)
	}
	for _, tag := range []string{"", "a b", "-x", "1.0/2", "a:b", strings.Repeat("a", 129), "sha256:abc"} {
		_, err := b.operator.StartDeploy(t.Context(), st.ID, client.DeployRequest{Tag: tag})
		wantProblem(t, err, http.StatusUnprocessableEntity, client.CodeInvalid)
	}
}

func TestProjectsAndStages(t *testing.T) {
	b := newBed(t)
	p, err := b.admin.CreateProject(t.Context(), client.NewProject{Name: "shop", Image: "ghcr.io/acme/shop"})
	b.must(err)
	_, err = b.admin.CreateProject(t.Context(), client.NewProject{Name: "shop", Image: "other"})
	if taken := problemIn(t, err, http.StatusConflict, client.CodeConflict); taken.Error() != "there is a project shop already" {
		t.Errorf("it is not said in words: %v", taken)
	}
	for _, name := range []string{"", "Shop", "-a", "a b", strings.Repeat("a", 64)} {
		_, err = b.admin.CreateProject(t.Context(), client.NewProject{Name: name, Image: "x"})
		wantProblem(t, err, http.StatusUnprocessableEntity, client.CodeInvalid)
	}
	for _, after := range []string{"0s", "-1d", "week", "7", "999999d"} {
		_, err = b.admin.CreateProject(t.Context(), client.NewProject{Name: "x", Image: "x", StaleAfter: after})
		wantProblem(t, err, http.StatusUnprocessableEntity, client.CodeInvalid)
	}
	if byName, err := b.viewer.Project(t.Context(), "shop"); err != nil || byName.ID != p.ID {
		t.Fatalf("got %+v, %v", byName, err)
	}
	never, inherit := "never", ""
	changed, err := b.admin.UpdateProject(t.Context(), p.ID, client.ProjectChange{StaleAfter: &never, Revision: p.Revision})
	if err != nil || changed.StaleAfter != "never" || changed.Image != p.Image || changed.Revision == p.Revision {
		t.Fatalf("got %+v, %v", changed, err)
	}
	b.thresholdsChange()
	_, err = b.admin.UpdateProject(t.Context(), p.ID, client.ProjectChange{Name: &never, Revision: p.Revision})
	wantProblem(t, err, http.StatusPreconditionFailed, client.CodeRevision)
	if changed, err = b.admin.UpdateProject(t.Context(), p.ID, client.ProjectChange{StaleAfter: &inherit}); err != nil || changed.StaleAfter != "" {
		t.Fatalf("got %+v, %v", changed, err)
	}

	st, err := b.admin.CreateStage(t.Context(), client.NewStage{ProjectID: p.ID, Name: "production", Kind: "production"})
	if err != nil || st.KeepLast == nil || *st.KeepLast != 2 {
		t.Fatalf("got %+v, %v", st, err)
	}
	_, err = b.admin.CreateStage(t.Context(), client.NewStage{ProjectID: p.ID, Name: "production", Kind: "preview"})
	if taken := problemIn(t, err, http.StatusConflict, client.CodeConflict); taken.Error() != "the project has a stage production already" {
		t.Errorf("it is not said in words: %v", taken)
	}
	_, err = b.admin.CreateStage(t.Context(), client.NewStage{ProjectID: "none", Name: "x", Kind: "preview"})
	wantProblem(t, err, http.StatusUnprocessableEntity, client.CodeInvalid)
	_, err = b.admin.CreateStage(t.Context(), client.NewStage{ProjectID: p.ID, HostID: "none", Name: "x", Kind: "preview"})
	wantProblem(t, err, http.StatusUnprocessableEntity, client.CodeInvalid)
	_, err = b.admin.CreateStage(t.Context(), client.NewStage{ProjectID: p.ID, Name: "x", Kind: "test"})
	wantProblem(t, err, http.StatusUnprocessableEntity, client.CodeInvalid)
	wantProblem(t, b.admin.DeleteProject(t.Context(), p.ID), http.StatusConflict, client.CodeConflict)

	inst, _ := b.plant(store.Stage{ID: st.ID, ProjectID: p.ID, Name: st.Name}, "shop-production-a", 1)
	wantProblem(t, b.admin.DeleteStage(t.Context(), st.ID), http.StatusConflict, client.CodeConflict)
	l, err := b.viewer.Instances(t.Context(), client.InstanceFilter{Project: "shop", Stage: "production", Statuses: []string{"stopped", "running"}}, client.Page{})
	if err != nil || len(l.Items) != 1 || l.Items[0].ID != inst.ID || l.Items[0].Spec != nil {
		t.Errorf("got %+v, %v", l, err)
	}
	b.must(b.operator.RemoveInstance(t.Context(), inst.ID, false))
	b.must(b.admin.DeleteStage(t.Context(), st.ID))
	b.must(b.admin.DeleteProject(t.Context(), "shop"))

	l2, err := b.viewer.Events(t.Context(), client.EventFilter{Project: p.ID}, client.Page{})
	b.must(err)
	var kinds []string
	for _, e := range l2.Items {
		kinds = append(kinds, e.Kind)
	}
	for _, kind := range []string{"project.created", "project.updated", "project.deleted", "stage.created", "stage.deleted"} {
		if !slices.Contains(kinds, kind) {
			t.Errorf("there is no event %s among %v", kind, kinds)
		}
	}
}

// TestPeer25SettingsRefuseWhatMakesNoSense: 0, negative, text and huge values, with the reason and nothing changed.
func TestPeer25SettingsRefuseWhatMakesNoSense(t *testing.T) {
	b := newBed(t)
	before, err := b.viewer.Settings(t.Context())
	b.must(err)
	if before.StaleThresholdDays != 7 || before.ScanInterval != "auto" || before.ScanIntervalSeconds != 24*3600 {
		t.Fatalf("got %+v", before)
	}
	for _, body := range []string{
		`{"stale_threshold_days":0}`, `{"stale_threshold_days":-7}`, `{"stale_threshold_days":"7"}`, `{"stale_threshold_days":"week"}`,
		`{"stale_threshold_days":3651}`, `{"stale_threshold_days":1e30}`, `{"stale_threshold_days":7.5}`, `{"stale_threshold_days":null}`,
		`{"scan_interval":"0s"}`, `{"scan_interval":"fast"}`, `{"scan_interval":60}`, `{"auto_cleanup":"yes"}`, `{"plan_max_items":0}`,
		`{"stale_threshold_days":14,"no_such_setting":1}`, `{"stale_threshold_days":14,"stale_threshold_days":9}`, `{}`, `[]`, `null`, ``,
		`{"Stale_Threshold_Days":14}`,
	} {
		status, _, text := b.raw(b.admin, patch, "/api/settings", body)
		if status != http.StatusUnprocessableEntity || !strings.Contains(text, `"location":"body`) {
			t.Errorf("%s: %d %s", body, status, text)
		}
	}
	if after, err := b.viewer.Settings(t.Context()); err != nil || after != before {
		t.Errorf("something was changed: %+v, %v", after, err)
	}
	if len(b.changed) != 0 {
		t.Error("a scan was asked for")
	}

	_, err = b.operator.UpdateSettings(t.Context(), map[string]any{"stale_threshold_days": 14})
	wantProblem(t, err, http.StatusForbidden, client.CodeForbidden)
	after, err := b.admin.UpdateSettings(t.Context(), map[string]any{"stale_threshold_days": 14, "scan_interval": "36h"})
	if err != nil || after.StaleThresholdDays != 14 || after.ScanInterval != "36h" || after.ScanIntervalSeconds != 36*3600 {
		t.Fatalf("got %+v, %v", after, err)
	}
	b.thresholdsChange()
	if e := b.event("settings.changed"); e.Actor != "token:admin" || e.Data["stale_threshold_days"] == nil || e.Data["plan_max_items"] != nil {
		t.Errorf("got %+v", e)
	}
	if _, err := b.admin.UpdateSettings(t.Context(), map[string]any{"stale_threshold_days": 14}); err != nil || len(b.changed) != 0 {
		t.Errorf("what is the same already is no change: %v", err)
	}
}

func TestEventsFilterAndPage(t *testing.T) {
	b := newBed(t)
	b.emit(1, 30)
	var got []string
	for page := (client.Page{Limit: 7}); ; {
		l, err := b.viewer.Events(t.Context(), client.EventFilter{Severities: []string{"warn"}, Sources: []string{"scanner"}, Text: "NUMBER"}, page)
		b.must(err)
		for _, e := range l.Items {
			got = append(got, e.Message)
		}
		if l.NextCursor == "" {
			break
		}
		page.Cursor = l.NextCursor
	}
	want := numbers(1, 30)
	slices.Reverse(want)
	if !slices.Equal(got, want) {
		t.Errorf("got %v", got)
	}
	l, err := b.viewer.Events(t.Context(), client.EventFilter{Severities: []string{"error"}}, client.Page{})
	if err != nil || len(l.Items) != 0 {
		t.Errorf("got %v, %v", l, err)
	}
	l, err = b.viewer.Events(t.Context(), client.EventFilter{Project: "gone-project"}, client.Page{})
	if err != nil || len(l.Items) != 0 {
		t.Errorf("events of a project that is gone: %v, %v", l, err)
	}
}

func TestHealthAndReadiness(t *testing.T) {
	b := newBed(t)
	if status, _, text := b.raw(b.nobody, get, "/healthz", ""); status != 200 || !strings.Contains(text, `"ok"`) {
		t.Errorf("%d %s", status, text)
	}
	if status, _, text := b.raw(b.nobody, get, "/readyz", ""); status != 200 || !strings.Contains(text, `"name":"engine:local","ok":true`) {
		t.Errorf("%d %s", status, text)
	}
	b.engine.Shutdown()
	status, _, text := b.raw(b.nobody, get, "/readyz", "")
	if status != 503 || !strings.Contains(text, `"name":"engine:local","ok":false`) || !strings.Contains(text, `"hint"`) || !strings.Contains(text, `"name":"store","ok":true`) {
		t.Errorf("%d %s", status, text)
	}
	if !strings.Contains(text, `"detail":"the engine could not be asked"`) || strings.Contains(text, b.host.Endpoint) {
		t.Errorf("a stranger is told %s", text)
	}
	if _, _, text := b.raw(b.viewer, get, "/readyz", ""); !strings.Contains(text, `"detail":"the engine could not be asked: `) || !strings.Contains(text, b.host.Endpoint) {
		t.Errorf("who may see the hosts is told %s", text)
	}
	b.engine.Boot()
	if status, _, text := b.raw(b.nobody, get, "/readyz", ""); status != 200 {
		t.Errorf("it does not recover: %d %s", status, text)
	}
	if status, _, _ := b.raw(b.nobody, get, "/metrics", ""); status != http.StatusUnauthorized {
		t.Errorf("the figures are open: %d", status)
	}
	if status, _, text := b.raw(b.viewer, get, "/metrics", ""); status != 200 || !strings.Contains(text, `docker_watcher_stale_instances{protected="false"} 0`) ||
		!strings.Contains(text, `docker_watcher_http_requests_total{method="GET",route="GET /readyz",status="503"} 2`) {
		t.Errorf("%d %s", status, text)
	}
}

func TestEngineAwayIsAProblemWithAHint(t *testing.T) {
	b := newBed(t)
	inst, _ := b.plant(b.shop("shop", "preview"), "shop-preview-a", 1)
	b.engine.Shutdown()
	_, err := b.operator.StartInstance(t.Context(), inst.ID)
	if p := problemIn(t, err, http.StatusServiceUnavailable, client.CodeUnavailable); p.Hint == "" {
		t.Error("it does not say what to do")
	}
	err = b.viewer.Logs(t.Context(), inst.ID, client.LogOptions{}, &strings.Builder{})
	wantProblem(t, err, http.StatusServiceUnavailable, client.CodeUnavailable)
}
