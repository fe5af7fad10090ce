package api

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/tiny-forge/docker-watcher/client"
	"github.com/tiny-forge/docker-watcher/internal/docker"
	"github.com/tiny-forge/docker-watcher/internal/docker/dockertest"
	"github.com/tiny-forge/docker-watcher/internal/store"
)

// stranger puts a container on the engine that somebody else has made; ended so many days ago, or running (-1).
func (b *bed) stranger(name string, days int, changes ...func(*dockertest.Template)) *dockertest.Container {
	b.t.Helper()
	tpl := dockertest.Template{Name: name, Image: "acme/" + name + ":1", Created: b.engine.Now().Add(-400 * day), Started: b.engine.Now().Add(-399 * day)}
	if days >= 0 {
		tpl.State, tpl.Finished = dockertest.Exited, b.engine.Now().Add(-time.Duration(days)*day-time.Minute)
	}
	for _, change := range changes {
		change(&tpl)
	}
	return b.engine.Add(tpl)
}

// composed is one of a service of a compose project.
func composed(project, service string) func(*dockertest.Template) {
	return func(tpl *dockertest.Template) {
		tpl.Labels = map[string]string{"com.docker.compose.project": project, "com.docker.compose.service": service}
	}
}

func labelled(labels map[string]string) func(*dockertest.Template) {
	return func(tpl *dockertest.Template) { tpl.Labels = labels }
}

func (b *bed) foreign(f client.ForeignFilter) client.ForeignList {
	b.t.Helper()
	l, err := b.viewer.Foreign(b.t.Context(), f, client.Page{})
	b.must(err)
	return l
}

func foreignNames(l client.ForeignList) []string {
	var all []string
	for _, f := range l.Items {
		all = append(all, f.Name)
	}
	return all
}

func item(ct *dockertest.Container, host, project, stage string) client.AdoptItem {
	return client.AdoptItem{HostID: host, ContainerID: ct.ID, Project: project, Stage: stage}
}

func TestForeignContainersAreListed(t *testing.T) {
	b := newBed(t)
	b.plant(b.shop("shop", "preview"), "ours", 20)
	b.stranger("wiki", 30, func(tpl *dockertest.Template) { tpl.ExitCode = 3; tpl.Env = []string{"PASSWORD=" + canary} })
	b.stranger("web", -1, composed("shop", "web"))
	b.stranger("db", 10, composed("shop", "db"))
	b.stranger("fresh", -1, func(tpl *dockertest.Template) { tpl.State, tpl.Started = dockertest.Created, time.Time{} })
	b.stranger("task", -1, labelled(map[string]string{docker.LabelSwarmTask: "t1"}))
	b.stranger("copy", -1, labelled(map[string]string{docker.LabelInstallation: b.db.InstallationID(), docker.LabelInstance: "no-row"}))
	b.stranger("theirs", -1, labelled(map[string]string{docker.LabelInstallation: "another", docker.LabelInstance: "x"}))
	b.engine.ResetCalls()

	l := b.foreign(client.ForeignFilter{})
	if diff := cmp.Diff([]string{"db", "web", "copy", "fresh", "task", "theirs", "wiki"}, foreignNames(l)); diff != "" {
		t.Fatalf("by compose project, then by name (-want +got):\n%s", diff)
	}
	if l.Total != 7 || len(l.NotAsked) != 0 || l.NextCursor != "" {
		t.Errorf("got total %d, not asked %v, next %q", l.Total, l.NotAsked, l.NextCursor)
	}
	// Two lists, and an inspect only of what does not run.
	if n, m := b.engine.Lists(), b.engine.Inspects(); n != 2 || m != 3 {
		t.Errorf("%d lists, %d inspects", n, m)
	}
	if acts := b.engine.Requests(`^(POST|PUT|DELETE) `); acts != nil {
		t.Errorf("the engine was asked to act: %v", acts)
	}
	by := map[string]client.Foreign{}
	for _, f := range l.Items {
		by[f.Name] = f
	}
	if f := by["wiki"]; f.Class != "failed" || f.DaysStale != 30 || f.Evidence != "finished_at" || !f.Stale || !strings.Contains(f.Reason, "exit code 3") || !f.Adoptable {
		t.Errorf("got %+v", f)
	}
	if f := by["fresh"]; f.Class != "never_started" || f.Evidence != "created_at" || f.DaysStale != 400 {
		t.Errorf("got %+v", f)
	}
	if f := by["web"]; f.Status != "running" || f.Class != "" || f.Stale || f.ComposeProject != "shop" || f.Proposal.Project != "shop-web" || f.Proposal.Stage != "production" ||
		f.Proposal.Image != "acme/web" || f.Proposal.ImageTag != "1" || f.Proposal.ProjectExists {
		t.Errorf("got %+v", f)
	}
	for name, mark := range map[string]string{"task": "swarm_task", "copy": "label_without_row", "theirs": "other_installation", "db": ""} {
		if f := by[name]; f.Mark != mark || f.Adoptable != (name != "task") {
			t.Errorf("%s: mark %q, adoptable %v", name, f.Mark, f.Adoptable)
		}
	}
	if _, _, text := b.raw(b.viewer, get, "/api/containers/foreign", ""); strings.Contains(text, canary) {
		t.Error("a secret of a foreign container is answered")
	}

	for name, c := range map[string]struct {
		f    client.ForeignFilter
		want []string
	}{
		"by text":              {client.ForeignFilter{Text: "ACME/W"}, []string{"web", "wiki"}},
		"by compose project":   {client.ForeignFilter{Compose: "shop"}, []string{"db", "web"}},
		"those that run":       {client.ForeignFilter{Classes: []string{"running"}}, []string{"web", "copy", "task", "theirs"}},
		"by class":             {client.ForeignFilter{Classes: []string{"failed", "never_started"}}, []string{"fresh", "wiki"}},
		"by host, by its name": {client.ForeignFilter{Host: "local", Text: "acme/db"}, []string{"db"}},
		"nothing of that":      {client.ForeignFilter{Compose: "sho"}, nil},
	} {
		if diff := cmp.Diff(c.want, foreignNames(b.foreign(c.f))); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
	_, err := b.viewer.Foreign(t.Context(), client.ForeignFilter{Host: "no-such"}, client.Page{})
	wantProblem(t, err, http.StatusUnprocessableEntity, client.CodeInvalid)
	_, err = b.viewer.Foreign(t.Context(), client.ForeignFilter{}, client.Page{Cursor: "x"})
	wantProblem(t, err, http.StatusUnprocessableEntity, client.CodeInvalid)
	_, err = b.nobody.Foreign(t.Context(), client.ForeignFilter{}, client.Page{})
	wantProblem(t, err, http.StatusUnauthorized, client.CodeUnauthenticated)
}

func TestForeignPagesOnWhileContainersComeAndGo(t *testing.T) {
	b := newBed(t)
	for i := range 7 {
		b.stranger(fmt.Sprintf("c%d", i), i%2-1) // every other one runs
	}
	var seen []string
	page := client.Page{Limit: 2}
	for {
		l, err := b.viewer.Foreign(t.Context(), client.ForeignFilter{Classes: []string{"exited"}}, page)
		b.must(err)
		if len(l.Items) > 2 {
			t.Errorf("%d on a page of 2", len(l.Items))
		}
		seen = append(seen, foreignNames(l)...)
		if page.Cursor = l.NextCursor; page.Cursor == "" {
			break
		}
		b.stranger(fmt.Sprintf("a%d", len(seen)), 5) // before what was shown: it is not shown twice
		b.engine.Container("c5").Remove()
	}
	if diff := cmp.Diff([]string{"c1", "c3"}, seen); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// A host that could not be asked is named; its containers are not taken for none.
func TestForeignNamesTheHostsThatWereNotAsked(t *testing.T) {
	b := newBed(t)
	b.stranger("wiki", 30)
	b.update(func(tx *store.Tx) error {
		return tx.InsertHost(t.Context(), store.Host{ID: store.NewID(), Name: "away", Endpoint: "tcp://10.0.0.9:2376", DisabledSince: time.Now()})
	})
	l := b.foreign(client.ForeignFilter{})
	if len(l.Items) != 1 || len(l.NotAsked) != 1 || l.NotAsked[0].Host != "away" || !strings.Contains(l.NotAsked[0].Why, "disabled") || l.NotAsked[0].Hint == "" {
		t.Fatalf("got %+v", l)
	}

	stop := b.engine.Fail(dockertest.Fault{On: `^GET /containers/[^/]+/json`, Status: 500})
	if l := b.foreign(client.ForeignFilter{Host: "local"}); len(l.Items) != 1 || l.Items[0].CheckError == "" || l.Items[0].Class != "" || l.Items[0].Stale || !l.Items[0].LastAliveAt.IsZero() {
		t.Errorf("one that could not be asked about: %+v", l.Items)
	}
	stop()
	for name, wrong := range map[string]func() (undo func()){
		"half a list":    func() func() { return b.engine.Fail(dockertest.Fault{On: `^GET /containers/json`, CutBody: 10}) },
		"another engine": func() func() { b.engine.SetEngineID("other"); return func() { b.engine.SetEngineID(b.host.EngineID) } },
		"its clock":      func() func() { b.engine.SetClock(time.Hour); return func() { b.engine.SetClock(0) } },
	} {
		undo := wrong()
		l := b.foreign(client.ForeignFilter{Host: b.host.ID})
		if len(l.Items) != 0 || len(l.NotAsked) != 1 || l.NotAsked[0].Why == "" {
			t.Errorf("%s: %+v", name, l)
		}
		undo()
	}
}

func TestAdoptAndGiveBack(t *testing.T) {
	b := newBed(t)
	ct := b.stranger("wiki", -1, func(tpl *dockertest.Template) {
		tpl.Env, tpl.Volumes, tpl.Ports, tpl.Restart = []string{"PASSWORD=" + canary}, []string{"wiki-data:/data"}, []string{"127.0.0.1:8080:80/tcp"}, "unless-stopped"
		tpl.Labels = map[string]string{"traefik.enable": "true", "com.docker.compose.project": "wiki", "com.docker.compose.service": "web"}
	})
	before := ct.Facts()
	b.engine.ResetCalls()
	wish := client.AdoptRequest{Items: []client.AdoptItem{item(ct, "local", "wiki", "production")}, Make: true, DryRun: true}
	wish.Items[0].StaleAfter = "3d"

	plan, err := b.admin.Adopt(t.Context(), wish)
	b.must(err)
	one := plan.Items[0]
	if !plan.DryRun || one.InstanceID != "" || one.ProjectID != "" || !one.MakesProject || !one.MakesStage || one.StageKind != "production" || one.StaleAfter != "3d" ||
		one.Image != "acme/wiki" || one.ImageTag != "1" || one.Status != "running" || one.Stale {
		t.Errorf("got %+v", one)
	}
	if s := one.Spec; len(s.Env) != 1 || s.Env[0].Name != "PASSWORD" || s.Env[0].Value != nil || s.Restart != "unless-stopped" || len(s.Mounts) != 1 || s.Mounts[0].Source != "wiki-data" ||
		len(s.Ports) != 1 || s.Ports[0].Host != 8080 || len(s.Labels) != 1 {
		t.Errorf("the spec read of it: %+v", s)
	}
	if !strings.Contains(strings.Join(one.Warnings, "\n"), "compose still knows it") {
		t.Errorf("warnings: %v", one.Warnings)
	}
	if l, err := b.viewer.Projects(t.Context(), client.Page{}); err != nil || len(l.Items) != 0 || len(b.foreign(client.ForeignFilter{}).Items) != 1 {
		t.Errorf("a dry run has made something: %+v, %v", l, err)
	}

	wish.DryRun = false
	made, err := b.admin.Adopt(t.Context(), wish)
	b.must(err)
	id := made.Items[0].InstanceID
	i, err := b.viewer.Instance(t.Context(), id)
	b.must(err)
	if i.Ownership != "adopted" || i.ContainerID != ct.ID || i.Name != "wiki" || i.Status != "running" || i.Intended != "running" || i.Spec.Env[0].Name != "PASSWORD" || i.Spec.Env[0].Value != nil {
		t.Errorf("got %+v", i)
	}
	e := b.event("instance.adopted")
	if e.InstanceID != id || e.Actor != "token:admin" || e.Data["container_id"] != ct.ID || e.Data["compose_project"] != "wiki" || strings.Contains(fmt.Sprint(e), canary) {
		t.Errorf("got %+v", e)
	}
	b.event("project.created")
	b.event("stage.created")
	if l := b.foreign(client.ForeignFilter{}); len(l.Items) != 0 {
		t.Errorf("it is foreign still: %+v", l.Items)
	}
	stages, err := b.viewer.Stages(t.Context(), i.ProjectID)
	b.must(err)
	if len(stages) != 1 || len(stages[0].Spec.Env) != 1 || stages[0].Mode != "manual" {
		t.Errorf("got %+v", stages)
	}
	deploys, err := b.viewer.Deploys(t.Context(), i.StageID, client.Page{})
	b.must(err)
	if len(deploys.Items) != 1 || deploys.Items[0].Kind != "adoption" || deploys.Items[0].State != "done" {
		t.Errorf("got %+v", deploys.Items)
	}
	_, err = b.admin.Adopt(t.Context(), wish)
	if p := problemIn(t, err, http.StatusConflict, client.CodeConflict); !strings.Contains(p.Detail, "belongs to an instance already") {
		t.Errorf("adopted twice: %v", p)
	}

	b.scan()
	b.must(b.admin.Unadopt(t.Context(), id))
	if e := b.event("instance.unadopted"); e.InstanceID != id || e.Actor != "token:admin" || e.Severity != "info" {
		t.Errorf("got %+v", e)
	}
	_, err = b.viewer.Instance(t.Context(), id)
	wantProblem(t, err, http.StatusNotFound, client.CodeNotFound)
	b.scan() // it has forgotten it
	if l := b.foreign(client.ForeignFilter{}); len(l.Items) != 1 || !l.Items[0].Proposal.StageExists {
		t.Errorf("got %+v", l.Items)
	}
	if acts := b.engine.Requests(`^(POST|PUT|DELETE) `); acts != nil || !cmp.Equal(before, ct.Facts()) {
		t.Errorf("the engine was asked to act: %v", acts)
	}
	again, err := b.admin.Adopt(t.Context(), client.AdoptRequest{Items: []client.AdoptItem{item(ct, b.host.ID, "wiki", "production")}})
	if err != nil || again.Items[0].InstanceID == id || again.Items[0].MakesStage {
		t.Errorf("taken again into the stage that is there: %+v, %v", again, err)
	}
	if strings.Contains(b.logs.String(), canary) {
		t.Error("the daemon's log shows the secret")
	}
}

func TestAdoptionIsRefused(t *testing.T) {
	b := newBed(t)
	st := b.shop("shop", "preview")
	ours, _ := b.plant(st, "ours", 20)
	good, task := b.stranger("good", 3), b.stranger("task", -1, labelled(map[string]string{docker.LabelSwarmTask: "t1"}))
	half := b.stranger("half", -1, func(tpl *dockertest.Template) { tpl.State = dockertest.Dead })
	nameless := b.stranger("nameless", 3, func(tpl *dockertest.Template) { tpl.Image = "sha256:" + strings.Repeat("c", 64) })
	other := store.Host{ID: store.NewID(), Name: "other", Endpoint: "unix:///nowhere", CreatedAt: time.Now()}
	b.update(func(tx *store.Tx) error { return tx.InsertHost(t.Context(), other) })
	elsewhere := st
	elsewhere.ID, elsewhere.Name, elsewhere.HostID = store.NewID(), "elsewhere", other.ID
	b.update(func(tx *store.Tx) error { return tx.InsertStage(t.Context(), elsewhere) })
	one := func(id, host, project, stage string) client.AdoptRequest {
		return client.AdoptRequest{Items: []client.AdoptItem{{HostID: host, ContainerID: id, Project: project, Stage: stage}}, Make: true}
	}
	unmade := one(good.ID, "local", "new", "dev")
	unmade.Make = false
	unmadeStage := one(good.ID, "local", "shop", "dev")
	unmadeStage.Make = false
	oddKind := one(good.ID, "local", "new", "dev")
	oddKind.Items[0].StaleAfter = "0s"
	twice := one(good.ID, "local", "new", "dev")
	twice.Items = append(twice.Items, twice.Items[0])
	oddImage := one(nameless.ID, "local", "new", "dev")
	oddImage.Items[0].Image = "Not A Repository"
	stray := client.AdoptRequest{Compose: &client.AdoptCompose{HostID: "local", Project: "no-such"}, Make: true}

	for name, c := range map[string]struct {
		r      client.AdoptRequest
		status int
		code   string
		says   string
	}{
		"a shortened id":                   {one(good.ID[:12], "local", "new", "dev"), 422, client.CodeInvalid, "items[0].container_id"},
		"a name instead of an id":          {one("good", "local", "new", "dev"), 422, client.CodeInvalid, "full id"},
		"an id in capitals":                {one(strings.ToUpper(good.ID), "local", "new", "dev"), 422, client.CodeInvalid, "full id"},
		"an id that is not there":          {one(strings.Repeat("0", 64), "local", "new", "dev"), 409, client.CodeConflict, "list again"},
		"a task of Swarm":                  {one(task.ID, "local", "new", "dev"), 409, client.CodeNotAdoptable, "Swarm"},
		"one the engine cannot remove":     {one(half.ID, "local", "new", "dev"), 409, client.CodeNotAdoptable, "dead"},
		"ours":                             {one(ours.ContainerID, "local", "new", "dev"), 409, "", "already"},
		"no such host":                     {one(good.ID, "nowhere", "new", "dev"), 422, client.CodeInvalid, "items[0].host_id"},
		"a host that is not in the fleet":  {one(good.ID, "other", "new", "dev"), 409, client.CodeHostDisabled, "other"},
		"a name no project may have":       {one(good.ID, "local", "New Project", "dev"), 422, client.CodeInvalid, "items[0].project"},
		"a name no stage may have":         {one(good.ID, "local", "new", "../x"), 422, client.CodeInvalid, "items[0].stage"},
		"a project that may not be made":   {unmade, 422, client.CodeInvalid, "items[0].project"},
		"a stage that may not be made":     {unmadeStage, 422, client.CodeInvalid, "items[0].stage"},
		"a stage of another host":          {one(good.ID, "local", "shop", "elsewhere"), 422, client.CodeInvalid, "another host"},
		"a threshold that is none":         {oddKind, 422, client.CodeInvalid, "items[0].stale_after"},
		"one named twice":                  {twice, 422, client.CodeInvalid, "items[1].container_id"},
		"an image without a name":          {one(nameless.ID, "local", "new", "dev"), 422, client.CodeInvalid, "items[0].image"},
		"an image that is no repository":   {oddImage, 422, client.CodeInvalid, "items[0].image"},
		"nothing at all":                   {client.AdoptRequest{}, 422, client.CodeInvalid, "items"},
		"a compose project of nothing":     {stray, 422, client.CodeInvalid, "compose"},
		"one good one and one that is not": {client.AdoptRequest{Items: append(one(good.ID, "local", "new", "dev").Items, one(task.ID, "local", "new", "dev").Items...), Make: true}, 409, client.CodeNotAdoptable, "Swarm"},
	} {
		for _, dry := range []bool{true, false} {
			c.r.DryRun = dry
			_, err := b.admin.Adopt(t.Context(), c.r)
			p, ok := client.AsProblem(err)
			if !ok || p.Status != c.status || c.code != "" && p.Code != c.code || !strings.Contains(p.Error(), c.says) {
				t.Errorf("%s: got %v, want %d %s that says %q", name, err, c.status, c.code, c.says)
			}
		}
	}
	for name, wrong := range map[string]struct {
		do   func() (undo func())
		code string
	}{
		"another engine answers": {func() func() { b.engine.SetEngineID("x"); return func() { b.engine.SetEngineID(b.host.EngineID) } }, client.CodeFrozen},
		"its clock is off":       {func() func() { b.engine.SetClock(time.Hour); return func() { b.engine.SetClock(0) } }, client.CodeFrozen},
		"the host is frozen":     {func() func() { b.freeze("mass_change"); return func() { b.freeze("") } }, client.CodeFrozen},
		"the stage is being deployed": {func() func() {
			d := store.Deploy{ID: store.NewID(), StageID: st.ID, ProjectID: st.ProjectID, HostID: b.host.ID, State: store.DeployPulling, CreatedAt: time.Now()}
			b.update(func(tx *store.Tx) error { return tx.InsertDeploy(t.Context(), d) })
			return func() {
				d.State = store.DeployFailed
				b.update(func(tx *store.Tx) error { return tx.UpdateDeploy(t.Context(), d) })
			}
		}, client.CodeBusy},
	} {
		undo := wrong.do()
		_, err := b.admin.Adopt(t.Context(), one(good.ID, "local", "shop", "preview"))
		if p, ok := client.AsProblem(err); !ok || p.Status != http.StatusConflict || p.Code != wrong.code || p.Hint == "" && wrong.code == client.CodeFrozen {
			t.Errorf("%s: got %v, want %s", name, err, wrong.code)
		}
		undo()
	}
	if l, err := b.viewer.Projects(t.Context(), client.Page{}); err != nil || len(l.Items) != 1 {
		t.Errorf("half of it was made: %+v, %v", l, err)
	}
	if l, err := b.viewer.Instances(t.Context(), client.InstanceFilter{}, client.Page{}); err != nil || len(l.Items) != 1 {
		t.Errorf("half of it was made: %+v, %v", l, err)
	}
	if acts := b.engine.Requests(`^(POST|PUT|DELETE) `); acts != nil {
		t.Errorf("the engine was asked to act: %v", acts)
	}
	_, err := b.operator.Adopt(t.Context(), one(good.ID, "local", "shop", "preview"))
	wantProblem(t, err, http.StatusForbidden, client.CodeForbidden)
}

// freeze makes a scan's freeze of the host, or ends it.
func (b *bed) freeze(why string) {
	b.t.Helper()
	b.update(func(tx *store.Tx) error {
		h, err := tx.Host(b.t.Context(), b.host.ID)
		if err != nil {
			return err
		}
		if h.FrozenReason, h.FrozenSince = why, time.Now(); why == "" {
			h.FrozenSince = time.Time{}
		}
		return tx.UpdateHost(b.t.Context(), h)
	})
}

func TestGivingBackIsRefused(t *testing.T) {
	b := newBed(t)
	st := b.shop("shop", "preview")
	ours, _ := b.plant(st, "ours", 20)
	ct := b.stranger("wiki", 3)
	made, err := b.admin.Adopt(t.Context(), client.AdoptRequest{Items: []client.AdoptItem{item(ct, "local", "shop", "preview")}})
	b.must(err)
	id := made.Items[0].InstanceID
	wantProblem(t, b.admin.Unadopt(t.Context(), ours.ID), http.StatusConflict, client.CodeNotAdopted)
	wantProblem(t, b.operator.Unadopt(t.Context(), id), http.StatusForbidden, client.CodeForbidden)
	wantProblem(t, b.admin.Unadopt(t.Context(), ct.ID), http.StatusNotFound, client.CodeNotFound)

	d := store.Deploy{ID: store.NewID(), StageID: st.ID, ProjectID: st.ProjectID, HostID: b.host.ID, State: store.DeployPulling, CreatedAt: time.Now()}
	b.update(func(tx *store.Tx) error { return tx.InsertDeploy(t.Context(), d) })
	wantProblem(t, b.admin.Unadopt(t.Context(), id), http.StatusConflict, client.CodeBusy)
	d.State = store.DeployFailed
	b.update(func(tx *store.Tx) error { return tx.UpdateDeploy(t.Context(), d) })

	v, err := b.db.Instance(t.Context(), id)
	b.must(err)
	b.update(func(tx *store.Tx) error { return tx.PointDomain(t.Context(), v.Instance, "wiki.example.com", 80) })
	if p := problemIn(t, b.admin.Unadopt(t.Context(), id), http.StatusConflict, client.CodeInUse); !strings.Contains(p.Detail, "wiki.example.com") {
		t.Errorf("got %v", p)
	}
	b.update(func(tx *store.Tx) error { return tx.PointDomain(t.Context(), ours, "wiki.example.com", 80) })

	release, ok := b.deps.Deployer.Claim(id)
	if !ok {
		t.Fatal("somebody is at it")
	}
	wantProblem(t, b.admin.Unadopt(t.Context(), id), http.StatusConflict, client.CodeBusy)
	release()
	b.update(func(tx *store.Tx) error {
		return tx.BeginRemoval(t.Context(), store.Removal{InstanceID: id, HostID: v.HostID, ContainerID: v.ContainerID, Former: v.Status}, v.Revision)
	})
	wantProblem(t, b.admin.Unadopt(t.Context(), id), http.StatusConflict, client.CodeBusy)
	b.update(func(tx *store.Tx) error { return tx.TakeBackRemoval(t.Context(), id) })
	b.must(b.admin.Unadopt(t.Context(), id))
}

func TestComposeProjectIsAdoptedWhole(t *testing.T) {
	b := newBed(t)
	web, db := b.stranger("shop-web-1", -1, composed("shop", "web")), b.stranger("shop-db-1", 20, composed("shop", "db"))
	b.stranger("blog", -1, composed("blog", "web"))
	r := client.AdoptRequest{
		Compose: &client.AdoptCompose{HostID: "local", Project: "shop"}, Make: true,
		Items: []client.AdoptItem{item(db, "local", "store", "staging")},
	}
	foreignTo := r
	foreignTo.Items = []client.AdoptItem{item(b.engine.Container("blog"), "local", "blog", "production")}
	_, err := b.admin.Adopt(t.Context(), foreignTo)
	wantProblem(t, err, http.StatusUnprocessableEntity, client.CodeInvalid)

	// All or nothing: one of them cannot be taken.
	stop := b.engine.Fail(dockertest.Fault{On: `^GET /containers/` + web.ID, Status: 500})
	_, err = b.admin.Adopt(t.Context(), r)
	if _, ok := client.AsProblem(err); !ok {
		t.Errorf("got %v", err)
	}
	stop()
	if l, err := b.viewer.Instances(t.Context(), client.InstanceFilter{}, client.Page{}); err != nil || len(l.Items) != 0 {
		t.Fatalf("half of it was made: %+v, %v", l.Items, err)
	}

	a, err := b.admin.Adopt(t.Context(), r)
	b.must(err)
	var got []string
	for _, i := range a.Items {
		got = append(got, i.Name+" "+i.Project+"/"+i.Stage)
	}
	slices.Sort(got)
	if diff := cmp.Diff([]string{"shop-db-1 store/staging", "shop-web-1 shop-web/production"}, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if l := b.foreign(client.ForeignFilter{}); len(l.Items) != 1 || l.Items[0].Name != "blog" {
		t.Errorf("got %v", foreignNames(l))
	}
}

// What can never be adopted keeps the rest of its compose project from nothing, and is named.
func TestComposeProjectIsAdoptedWithoutWhatCannotBe(t *testing.T) {
	b := newBed(t)
	self, web := b.stranger("watcher", -1, composed("shop", "watcher")), b.stranger("web", -1, composed("shop", "web"))
	b.deps.Adopter = b.adopter(self.ID)
	b.serve(New(b.deps))
	secret, _, err := b.deps.Auth.CreateToken(t.Context(), "again", admin, time.Time{}, "system")
	b.must(err)
	b.admin, b.viewer = b.nobody.As(secret), b.nobody.As(secret)
	task := b.stranger("task", -1, composed("shop", "task"))
	task.Label(docker.LabelSwarmTask, "t1")
	b.stranger("half", 3, composed("shop", "half"), func(tpl *dockertest.Template) { tpl.State = dockertest.Dead })
	b.stranger("going", 3, composed("shop", "going"), func(tpl *dockertest.Template) { tpl.State = dockertest.Removing })
	b.stranger("alone", -1, composed("alone", "watcher"), func(tpl *dockertest.Template) { tpl.State = dockertest.Dead })
	why := map[string]string{"watcher": "docker-watcher itself", "task": "Swarm", "half": "removal (dead)", "going": "removal (removing)"}
	for _, f := range b.foreign(client.ForeignFilter{Compose: "shop"}).Items {
		if f.Adoptable != (why[f.Name] == "") || !strings.Contains(f.Why, why[f.Name]) {
			t.Errorf("%s: adoptable %v, why %q", f.Name, f.Adoptable, f.Why)
		}
	}

	r := client.AdoptRequest{Compose: &client.AdoptCompose{HostID: "local", Project: "shop"}, Make: true, DryRun: true}
	for _, r.DryRun = range []bool{true, false} {
		a, err := b.admin.Adopt(t.Context(), r)
		b.must(err)
		if len(a.Items) != 1 || a.Items[0].ContainerID != web.ID || len(a.LeftOut) != len(why) {
			t.Errorf("dry %v: %+v", r.DryRun, a)
		}
		for _, l := range a.LeftOut {
			if why[l.Name] == "" || !strings.Contains(l.Why, why[l.Name]) || l.HostID != b.host.ID || l.Host != "local" || l.ContainerID != b.engine.Container(l.Name).ID {
				t.Errorf("got %+v", l)
			}
		}
	}
	if l, err := b.viewer.Instances(t.Context(), client.InstanceFilter{}, client.Page{}); err != nil || len(l.Items) != 1 {
		t.Errorf("got %+v, %v", l.Items, err)
	}

	// Who names one gets a no; and so does who asks for a project that has nothing else.
	r.DryRun, r.Items = true, []client.AdoptItem{item(self, "local", "shop", "watcher")}
	_, err = b.admin.Adopt(t.Context(), r)
	wantProblem(t, err, http.StatusConflict, client.CodeNotAdoptable)
	r.Items = nil
	for _, project := range []string{"shop", "alone"} {
		r.Compose.Project = project
		_, err = b.admin.Adopt(t.Context(), r)
		if p := problemIn(t, err, http.StatusConflict, client.CodeNotAdoptable); !strings.Contains(p.Detail, "removal (dead)") {
			t.Errorf("%s: %v", project, p)
		}
	}
}

// A variable that the stage calls plain may have had a value of its own in the container, and nobody has called that one plain.
func TestDiffKeepsTheSecretsOfAnAdopted(t *testing.T) {
	b := newBed(t)
	ct := b.stranger("wiki", -1, func(tpl *dockertest.Template) { tpl.Env = []string{"PASSWORD=" + canary, "MODE=one"} })
	made, err := b.admin.Adopt(t.Context(), client.AdoptRequest{Items: []client.AdoptItem{item(ct, "local", "wiki", "production")}, Make: true})
	b.must(err)
	stage := made.Items[0].StageID
	_, err = b.admin.UpdateStage(t.Context(), stage, client.StageChange{Spec: &client.Spec{
		Env: []client.EnvVar{client.PlainEnv("PASSWORD", "public"), client.PlainEnv("MODE", "one")}, Restart: "no",
	}})
	b.must(err)
	for _, who := range []*client.Client{b.viewer, b.operator, b.admin} {
		d, err := who.DiffStage(t.Context(), stage, "")
		b.must(err)
		want := []client.Difference{{Field: "env", Name: "PASSWORD", Change: "changed", Secret: true}}
		if diff := cmp.Diff(want, d.Instances[0].Differences); d.Instances[0].Unsure != "" || diff != "" {
			t.Errorf("unsure %q (-want +got):\n%s", d.Instances[0].Unsure, diff)
		}
		if _, _, text := b.raw(who, get, "/api/stages/"+stage+"/diff", ""); strings.Contains(text, canary) {
			t.Error("a secret of an adopted container is answered")
		}
	}
}

// An adopted one is warned of, planned, removed and restored like ours; what comes back carries our labels.
func TestAdoptedIsCleanedUpAndRestored(t *testing.T) {
	b := newBed(t)
	ct := b.stranger("wiki", 20, func(tpl *dockertest.Template) { tpl.Env = []string{"PASSWORD=" + canary} })
	made, err := b.admin.Adopt(t.Context(), client.AdoptRequest{Items: []client.AdoptItem{item(ct, "local", "wiki", "production")}, Make: true})
	b.must(err)
	if !made.Items[0].Stale || made.Items[0].DaysStale != 20 {
		t.Errorf("got %+v", made.Items[0])
	}
	id := made.Items[0].InstanceID
	b.scan()
	if e := b.event("instance.stale"); e.InstanceID != id {
		t.Errorf("got %+v", e)
	}
	plan := b.cleaned()
	if len(plan.Items) != 1 || plan.Items[0].Result != "removed" || ct.Facts().Exists {
		t.Fatalf("got %+v", plan.Items)
	}
	back, err := b.admin.Restore(t.Context(), plan.Items[0].ArchiveID, client.RestoreChoices{})
	b.must(err)
	if back.ID != id || back.Ownership != "created" || back.Name != "wiki" || back.ContainerID == ct.ID {
		t.Errorf("got %+v", back)
	}
	got, err := b.fleetEngine().Inspect(t.Context(), back.ContainerID)
	b.must(err)
	if got.Labels[docker.LabelInstance] != id || got.Labels[docker.LabelInstallation] != b.db.InstallationID() || !strings.Contains(string(got.Raw), canary) {
		t.Errorf("got labels %v", got.Labels)
	}
	wantProblem(t, b.admin.Unadopt(t.Context(), id), http.StatusConflict, client.CodeNotAdopted)
}

// A plan that names one that was given back meanwhile leaves the container alone.
func TestGivenBackIsOutOfReachOfItsPlan(t *testing.T) {
	b := newBed(t)
	ct := b.stranger("wiki", 20)
	made, err := b.admin.Adopt(t.Context(), client.AdoptRequest{Items: []client.AdoptItem{item(ct, "local", "wiki", "production")}, Make: true})
	b.must(err)
	b.scan()
	plan, err := b.admin.PlanCleanup(t.Context(), client.StaleFilter{})
	b.must(err)
	b.must(b.admin.Unadopt(t.Context(), made.Items[0].InstanceID))
	plan, err = b.admin.ApplyCleanup(t.Context(), plan.ID)
	b.must(err)
	if plan.Items[0].Result == "removed" || !ct.Facts().Exists || b.engine.Removes() != nil {
		t.Errorf("got %+v", plan.Items[0])
	}
}

func (b *bed) fleetEngine() *docker.Engine {
	b.t.Helper()
	e, err := b.deps.Fleet.Engine(b.host.ID)
	b.must(err)
	return e
}

// Two hosts of ours can be one engine: a container of it is one, whichever of them it is asked of. Podman has no id by which
// that could be seen.
func TestOneEngineUnderTwoNames(t *testing.T) {
	for _, o := range []dockertest.Options{dockertest.Docker29(), dockertest.Podman54()} {
		t.Run(o.Version, func(t *testing.T) {
			b := newBedOf(t, o)
			ct := b.stranger("wiki", 3)
			twin := b.host
			twin.ID, twin.Name = store.NewID(), "twin"
			b.update(func(tx *store.Tx) error { return tx.InsertHost(t.Context(), twin) })
			b.deps.Fleet.Add(twin.ID, b.fleetEngine())
			if l := b.foreign(client.ForeignFilter{}); len(l.Items) != 2 {
				t.Errorf("got %+v", l.Items)
			}
			_, err := b.admin.Adopt(t.Context(), client.AdoptRequest{Items: []client.AdoptItem{item(ct, "local", "wiki", "dev")}, Make: true})
			b.must(err)
			if l := b.foreign(client.ForeignFilter{}); len(l.Items) != 0 || len(l.NotAsked) != 0 {
				t.Errorf("got %+v", l)
			}
			_, err = b.admin.Adopt(t.Context(), client.AdoptRequest{Items: []client.AdoptItem{item(ct, "twin", "wiki", "twin")}, Make: true})
			wantProblem(t, err, http.StatusConflict, client.CodeConflict)
		})
	}
}
