package api

import (
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/tiny-forge/docker-watcher/client"
	"github.com/tiny-forge/docker-watcher/internal/docker/dockertest"
	"github.com/tiny-forge/docker-watcher/internal/store"
)

// secretive gives an instance a secret in its env, on the engine and in its row.
func secretive(inst *store.Instance, tpl *dockertest.Template) {
	inst.Spec.Env = []store.EnvVar{{Name: "PASSWORD", Value: canary}}
	tpl.Env = []string{"PASSWORD=" + canary}
	tpl.Volumes = []string{"shop-data:/data", "/cache"}
}

// cleaned plans and applies a cleanup of everything stale.
func (b *bed) cleaned() client.Plan {
	b.t.Helper()
	plan, err := b.admin.PlanCleanup(b.t.Context(), client.StaleFilter{})
	b.must(err)
	plan, err = b.admin.ApplyCleanup(b.t.Context(), plan.ID)
	b.must(err)
	return plan
}

func TestUndo(t *testing.T) {
	b := newBed(t)
	st := b.shop("shop", "preview")
	inst, ct := b.plant(st, "shop-preview-a", 20, secretive)
	ct.Write("/srv/notes", "written by hand")
	ct.Write("/data/rows", "in the volume")
	b.scan()

	plan, err := b.operator.PlanOne(t.Context(), inst.ID)
	b.must(err)
	if !plan.Items[0].LayerKept || plan.Automatic || plan.Items[0].ArchiveID != "" {
		t.Errorf("the plan does not say what an undo brings: %+v", plan.Items[0])
	}
	plan, err = b.operator.ApplyOne(t.Context(), inst.ID, plan.ID)
	b.must(err)
	if plan.Items[0].Result != "removed" || plan.Items[0].ArchiveID == "" {
		t.Fatalf("got %+v", plan.Items[0])
	}
	id := plan.Items[0].ArchiveID

	l, err := b.viewer.Archives(t.Context(), client.ArchiveFilter{Project: "shop"}, client.Page{})
	b.must(err)
	if len(l.Items) != 1 || l.Total == nil || *l.Total != 1 || l.Bytes == nil || *l.Bytes != l.Items[0].Bytes {
		t.Fatalf("got %+v", l)
	}
	a, err := b.viewer.Archive(t.Context(), id)
	b.must(err)
	if a.State != "ready" || a.InstanceID != inst.ID || a.PlanID != plan.ID || a.Host != "local" || a.Project != "shop" || a.Stage != "preview" ||
		a.Name != inst.Name || !a.ImageKept || !a.LayerKept || a.Reason == "" || a.RemovedBy != "token:operator" || !a.ExpiresAt.After(time.Now()) || len(a.Volumes) != 2 {
		t.Errorf("got %+v", a)
	}

	wantProblem(t, second(b.viewer.Restore(t.Context(), id, client.RestoreChoices{})), http.StatusForbidden, client.CodeForbidden)
	check, err := b.operator.CheckRestore(t.Context(), id, client.RestoreChoices{})
	b.must(err)
	if len(check.Conflicts) != 0 || len(check.Brings) == 0 || check.Archive.ID != id {
		t.Errorf("got %+v", check)
	}
	if b.engine.Container(inst.Name) != nil {
		t.Fatal("the check made something")
	}
	back, err := b.operator.Restore(t.Context(), id, client.RestoreChoices{})
	b.must(err)
	if back.ID != inst.ID || back.Name != inst.Name || back.Status != "stopped" || back.Intended != "stopped" || back.Stale || back.Class != "never_started" {
		t.Errorf("got %+v", back)
	}
	again := b.engine.Container(inst.Name)
	if text, _ := again.Read("/srv/notes"); text != "written by hand" {
		t.Errorf("the writable layer holds %q", text)
	}
	if text, _ := again.Read("/data/rows"); text != "in the volume" {
		t.Errorf("the volume holds %q", text)
	}
	twice := problemIn(t, second(b.operator.Restore(t.Context(), id, client.RestoreChoices{})), http.StatusConflict, client.CodeConflicts)
	if len(twice.Conflicts) == 0 || twice.Conflicts[0].Kind != "instance_there" || len(twice.Conflicts[0].Choices) != 0 {
		t.Errorf("restored twice: %+v", twice.Conflicts)
	}
	if a, err = b.viewer.Archive(t.Context(), id); err != nil || a.State != "restored" || a.RestoredBy != "token:operator" || a.RestoredAt.IsZero() {
		t.Errorf("got %+v, %v", a, err)
	}
	for _, kind := range []string{"archive.made", "archive.restored"} {
		if e := b.event(kind); e.InstanceID != inst.ID {
			t.Errorf("got %+v", e)
		}
	}
}

// TestViewersSeeNoSecretsOfArchives looks for a secret of a removed instance, and for what it logged, in all that a viewer may read.
func TestViewersSeeNoSecretsOfArchives(t *testing.T) {
	b := newBed(t)
	st := b.shop("shop", "preview")
	inst, ct := b.plant(st, "shop-preview-a", 20, secretive)
	const logged = "l0gged-s3cret"
	ct.Log("stdout", logged+"\n")
	b.scan()
	plan := b.cleaned()
	id := plan.Items[0].ArchiveID

	var log strings.Builder
	b.must(b.operator.ArchiveLogs(t.Context(), id, &log))
	if !strings.Contains(log.String(), logged) {
		t.Errorf("the log of the archive is %q", log.String())
	}
	wantProblem(t, b.viewer.ArchiveLogs(t.Context(), id, &log), http.StatusForbidden, client.CodeForbidden)

	read := 0
	for _, r := range (&server{}).routes() {
		if r.method != get || r.id == "stream-events" {
			continue
		}
		for _, one := range []string{id, plan.ID, inst.ID, st.ID, b.host.ID, "shop"} {
			status, _, text := b.raw(b.viewer, get, replaceID(r.path, one), "")
			if strings.Contains(text, canary) || strings.Contains(text, logged) {
				t.Errorf("GET %s shows a viewer the secret", r.path)
			}
			if status == http.StatusOK {
				read++
			}
		}
	}
	if read < 40 {
		t.Errorf("only %d answers were looked at", read)
	}
	// An operator may not see the env either, whichever way it is asked for.
	for _, body := range []string{`{"dry_run":true}`, `{}`} {
		if _, _, text := b.raw(b.operator, post, "/api/archives/"+id+"/restore", body); strings.Contains(text, canary) {
			t.Errorf("%s shows the secret: %s", body, text)
		}
	}
	if strings.Contains(b.logs.String(), canary) {
		t.Error("the daemon's log shows the secret")
	}
}

// TestRestoreOfPowerNeedsAnAdmin: what the stage of a removed container does not give any more comes back by an admin only, whether
// the spec says so or the engine's own word on one that was adopted.
func TestRestoreOfPowerNeedsAnAdmin(t *testing.T) {
	b := newBed(t)
	st := b.shop("shop", "preview")
	for name, change := range map[string]func(*store.Instance, *dockertest.Template){
		"shop-preview-a": func(inst *store.Instance, _ *dockertest.Template) { inst.Spec.Power.Privileged = true },
		"shop-preview-b": func(inst *store.Instance, tpl *dockertest.Template) {
			inst.Ownership, tpl.Volumes = store.OwnershipAdopted, []string{"/etc:/host"}
			tpl.Labels = nil
		},
		"shop-preview-c": func(_ *store.Instance, tpl *dockertest.Template) {
			tpl.Volumes = []string{"/srv/shop:/srv", "data:/data"}
		},
	} {
		b.plant(st, name, 20, change)
	}
	b.scan()
	ids := map[string]string{}
	for _, item := range b.cleaned().Items {
		ids[item.Name] = item.ArchiveID
	}
	for name, why := range map[string]string{"shop-preview-a": "it is privileged", "shop-preview-b": "it mounts /etc of the host to write"} {
		for _, start := range []bool{true, false} { // it could be started later
			_, err := b.operator.Restore(t.Context(), ids[name], client.RestoreChoices{Start: start})
			if p := problemIn(t, err, http.StatusForbidden, client.CodeForbidden); !strings.Contains(p.Detail, why) {
				t.Errorf("%s: %v", name, p)
			}
		}
		if b.engine.Container(name) != nil {
			t.Errorf("%s was made", name)
		}
		if _, err := b.operator.CheckRestore(t.Context(), ids[name], client.RestoreChoices{}); err != nil {
			t.Errorf("a look at %s: %v", name, err)
		}
	}
	_, err := b.operator.Restore(t.Context(), ids["shop-preview-c"], client.RestoreChoices{Start: true})
	b.must(err)
	_, err = b.admin.Restore(t.Context(), ids["shop-preview-a"], client.RestoreChoices{Start: true})
	b.must(err)
	// What the stage gives itself an operator brings back.
	_, err = b.admin.UpdateStage(t.Context(), st.ID, client.StageChange{Spec: &client.Spec{Mounts: []client.Mount{{Source: "/etc", Target: "/host"}}}})
	b.must(err)
	_, err = b.operator.Restore(t.Context(), ids["shop-preview-b"], client.RestoreChoices{})
	b.must(err)
}

func TestRestoreTellsItsConflicts(t *testing.T) {
	b := newBed(t)
	inst, _ := b.plant(b.shop("shop", "preview"), "shop-preview-a", 20, func(_ *store.Instance, tpl *dockertest.Template) {
		tpl.Volumes = []string{"shop-data:/data"}
	})
	b.scan()
	id := b.cleaned().Items[0].ArchiveID
	foreign := b.engine.Run(dockertest.Template{Name: inst.Name, Image: "other:1"})
	b.engine.RemoveVolume("shop-data")

	p := problemIn(t, second(b.operator.Restore(t.Context(), id, client.RestoreChoices{})), http.StatusConflict, client.CodeConflicts)
	kinds := map[string][]string{}
	for _, c := range p.Conflicts {
		kinds[c.Kind] = c.Choices
		if c.Detail == "" || c.Subject == "" {
			t.Errorf("it does not say what is in the way: %+v", c)
		}
	}
	if len(kinds) != 2 || !slices.Equal(kinds["name_taken"], []string{"name"}) || !slices.Equal(kinds["volume_gone"], []string{"empty_volumes"}) || p.Hint == "" {
		t.Fatalf("got %+v", p)
	}
	if e := b.event("archive.restore_refused"); e.InstanceID != inst.ID || e.Severity != "warn" || e.Actor != "token:operator" {
		t.Errorf("got %+v", e)
	}
	check, err := b.operator.CheckRestore(t.Context(), id, client.RestoreChoices{Name: "shop-preview-again"})
	b.must(err)
	if len(check.Conflicts) != 1 || check.Conflicts[0].Kind != "volume_gone" {
		t.Errorf("got %+v", check.Conflicts)
	}
	back, err := b.operator.Restore(t.Context(), id, client.RestoreChoices{Name: "shop-preview-again", EmptyVolumes: true, Start: true})
	b.must(err)
	if back.Name != "shop-preview-again" || back.Status != "running" || back.ID != inst.ID {
		t.Errorf("got %+v", back)
	}
	if foreign.Facts().State != dockertest.Running {
		t.Error("what was in the way was touched")
	}
}

func TestRestoreBodyIsReadExactly(t *testing.T) {
	b := newBed(t)
	b.plant(b.shop("shop", "preview"), "shop-preview-a", 20)
	b.scan()
	plan := b.cleaned()
	id := plan.Items[0].ArchiveID
	for body, where := range map[string]string{
		`{"any_ports":true}`:               "body.any_ports",
		`{"Start":true}`:                   "body.Start",
		`{"start":"yes"}`:                  "body.start",
		`{"start":null}`:                   "body.start",
		`{"dry_run":1}`:                    "body.dry_run",
		`{"dry_run":true,"dry_run":false}`: "body",
		`{"name":""}`:                      "body.name",
		`{"name":7}`:                       "body.name",
		`{"name":"` + strings.Repeat("a", 201) + `"}`: "body.name",
		`{"skip_networks":true,"make_networks":true}`: "body.make_networks",
		`{} {}`:                         "body",
		`[]`:                            "body",
		`null`:                          "body",
		`{"dry_run":true,"force":true}`: "body.force",
	} {
		for _, path := range []string{"/api/archives/" + id + "/restore", "/api/plans/" + plan.ID + "/restore"} {
			status, _, text := b.raw(b.admin, post, path, body)
			if status != http.StatusUnprocessableEntity || !strings.Contains(text, `"`+where+`"`) {
				t.Errorf("%s %s: %d %s", path, body, status, text)
			}
		}
	}
	status, _, text := b.raw(b.admin, post, "/api/plans/"+plan.ID+"/restore", `{"name":"x"}`)
	if status != http.StatusUnprocessableEntity || !strings.Contains(text, "body.name") {
		t.Errorf("one name for many: %d %s", status, text)
	}
	if a, err := b.viewer.Archive(t.Context(), id); err != nil || a.State != "ready" {
		t.Errorf("something was restored: %+v, %v", a, err)
	}
}

// TestUndoOfAWholePlan: one came to life meanwhile and was not removed, one cannot come back as it was, one does.
func TestUndoOfAWholePlan(t *testing.T) {
	b := newBed(t)
	st := b.shop("shop", "preview")
	a, _ := b.plant(st, "shop-preview-a", 20)
	c, _ := b.plant(st, "shop-preview-c", 20)
	_, revived := b.plant(st, "shop-preview-b", 20)
	b.scan()
	plan, err := b.admin.PlanCleanup(t.Context(), client.StaleFilter{})
	b.must(err)
	revived.Start()
	plan, err = b.admin.ApplyCleanup(t.Context(), plan.ID)
	b.must(err)
	for _, i := range plan.Items {
		if (i.Result == "removed") != (i.ArchiveID != "") || (i.Result == "revived") != (i.Name == "shop-preview-b") {
			t.Errorf("got %+v", i)
		}
	}
	b.engine.Run(dockertest.Template{Name: c.Name, Image: "other:1"})

	wantProblem(t, second(b.operator.RestorePlan(t.Context(), plan.ID, client.RestoreChoices{})), http.StatusForbidden, client.CodeForbidden)
	dry, err := b.admin.CheckRestorePlan(t.Context(), plan.ID, client.RestoreChoices{})
	b.must(err)
	if got := restored(dry); len(got) != 2 || got[a.Name] != "possible" || got[c.Name] != "conflicts" {
		t.Errorf("got %v", got)
	}
	progress := b.chatter("restore.progress")
	done, err := b.admin.RestorePlan(t.Context(), plan.ID, client.RestoreChoices{})
	b.must(err)
	if got := restored(done); len(got) != 2 || got[a.Name] != "restored" || got[c.Name] != "conflicts" {
		t.Errorf("got %v", got)
	}
	for _, r := range done.Results {
		if (r.Instance != nil) != (r.Result == "restored") || (len(r.Conflicts) > 0) != (r.Result == "conflicts") {
			t.Errorf("got %+v", r)
		}
	}
	if got := progress(2); got[1].Data["total"] != float64(2) || got[1].Data["plan_id"] != plan.ID || got[0].ID != "" {
		t.Errorf("progress: %+v", got)
	}
	if back, err := b.viewer.Instance(t.Context(), a.ID); err != nil || back.Status != "stopped" {
		t.Errorf("got %+v, %v", back, err)
	}
	if _, err := b.viewer.Instance(t.Context(), c.ID); !client.HasCode(err, client.CodeNotFound) {
		t.Errorf("what was in conflict is back: %v", err)
	}
}

func restored(r client.PlanRestore) map[string]string {
	results := map[string]string{}
	for _, i := range r.Results {
		results[i.Archive.Name] = i.Result
	}
	return results
}

func TestArchivesFilterAndPage(t *testing.T) {
	b := newBed(t)
	shop, blog := b.shop("shop", "preview"), b.shop("blog", "preview")
	one, _ := b.plant(shop, "shop-preview-a", 20)
	b.plant(shop, "shop-preview-b", 20)
	b.plant(blog, "blog-preview-c", 20)
	b.scan()
	plan := b.cleaned()
	for name, c := range map[string]struct {
		f    client.ArchiveFilter
		want []string
	}{
		"all":              {client.ArchiveFilter{}, []string{"blog-preview-c", "shop-preview-a", "shop-preview-b"}},
		"project by name":  {client.ArchiveFilter{Project: "blog"}, []string{"blog-preview-c"}},
		"project by id":    {client.ArchiveFilter{Project: shop.ProjectID}, []string{"shop-preview-a", "shop-preview-b"}},
		"stage":            {client.ArchiveFilter{Project: "shop", Stage: "preview"}, []string{"shop-preview-a", "shop-preview-b"}},
		"instance":         {client.ArchiveFilter{Instance: one.ID}, []string{"shop-preview-a"}},
		"host":             {client.ArchiveFilter{Host: b.host.ID}, []string{"blog-preview-c", "shop-preview-a", "shop-preview-b"}},
		"plan":             {client.ArchiveFilter{Plan: plan.ID}, []string{"blog-preview-c", "shop-preview-a", "shop-preview-b"}},
		"text":             {client.ArchiveFilter{Text: "PREVIEW-B"}, []string{"shop-preview-b"}},
		"ready":            {client.ArchiveFilter{States: []string{"ready"}}, []string{"blog-preview-c", "shop-preview-a", "shop-preview-b"}},
		"another plan":     {client.ArchiveFilter{Plan: "none"}, nil},
		"another host":     {client.ArchiveFilter{Host: "none"}, nil},
		"restored":         {client.ArchiveFilter{States: []string{"restored"}}, nil},
		"of a stage gone":  {client.ArchiveFilter{Stage: "no-such-stage"}, nil},
		"project not ours": {client.ArchiveFilter{Project: "no-such-project"}, nil},
	} {
		t.Run(name, func(t *testing.T) {
			l, err := b.viewer.Archives(t.Context(), c.f, client.Page{})
			if err != nil {
				t.Fatal(err)
			}
			var got []string
			for _, a := range l.Items {
				got = append(got, a.Name)
			}
			slices.Sort(got)
			if !slices.Equal(got, c.want) {
				t.Errorf("got %v, want %v", got, c.want)
			}
		})
	}
	seen := map[string]bool{}
	for page := (client.Page{Limit: 1}); ; {
		l, err := b.viewer.Archives(t.Context(), client.ArchiveFilter{}, page)
		b.must(err)
		if (l.Total == nil) != (page.Cursor != "") || (l.Bytes == nil) != (page.Cursor != "") {
			t.Errorf("totals belong to the first page: %+v", l)
		}
		for _, a := range l.Items {
			if seen[a.ID] {
				t.Errorf("%s came twice", a.Name)
			}
			seen[a.ID] = true
		}
		if l.NextCursor == "" {
			break
		}
		page.Cursor = l.NextCursor
	}
	if len(seen) != 3 {
		t.Errorf("%d came page by page", len(seen))
	}
	status, _, _ := b.raw(b.viewer, get, "/api/archives?state=gone", "")
	if status != http.StatusUnprocessableEntity {
		t.Errorf("a state that there is not: %d", status)
	}
}

func TestDeleteArchive(t *testing.T) {
	b := newBed(t)
	b.plant(b.shop("shop", "preview"), "shop-preview-a", 20)
	b.scan()
	id := b.cleaned().Items[0].ArchiveID
	wantProblem(t, b.operator.DeleteArchive(t.Context(), id), http.StatusForbidden, client.CodeForbidden)
	b.must(b.admin.DeleteArchive(t.Context(), id))
	wantProblem(t, second(b.operator.Restore(t.Context(), id, client.RestoreChoices{})), http.StatusNotFound, client.CodeNotFound)
	wantProblem(t, b.admin.DeleteArchive(t.Context(), id), http.StatusNotFound, client.CodeNotFound)
	for _, image := range b.engine.Images() {
		if strings.HasPrefix(image, store.ArchiveRepository) {
			t.Errorf("%s is still there", image)
		}
	}
	if e := b.event("archive.deleted"); e.Actor != "token:admin" {
		t.Errorf("got %+v", e)
	}
}

// TestRemoveByHandCanBeUndone: what was removed by hand comes back, too, and has no plan.
func TestRemoveByHandCanBeUndone(t *testing.T) {
	b := newBed(t)
	inst, _ := b.plant(b.shop("shop", "preview"), "shop-preview-a", 1)
	b.must(b.operator.RemoveInstance(t.Context(), inst.ID, false))
	l, err := b.viewer.Archives(t.Context(), client.ArchiveFilter{Instance: inst.ID}, client.Page{})
	b.must(err)
	if len(l.Items) != 1 || l.Items[0].PlanID != "" {
		t.Fatalf("got %+v", l)
	}
	if back, err := b.operator.Restore(t.Context(), l.Items[0].ID, client.RestoreChoices{}); err != nil || back.ID != inst.ID {
		t.Errorf("got %+v, %v", back, err)
	}
}

func TestPlansAreListedAndCalledOff(t *testing.T) {
	b := newBed(t)
	st := b.shop("shop", "preview")
	inst, ct := b.plant(st, "shop-preview-a", 20)
	b.plant(st, "shop-preview-b", 20)
	b.scan()
	first, err := b.admin.PlanCleanup(t.Context(), client.StaleFilter{})
	b.must(err)
	_, err = b.viewer.CancelPlan(t.Context(), first.ID)
	wantProblem(t, err, http.StatusForbidden, client.CodeForbidden)
	off, err := b.operator.CancelPlan(t.Context(), first.ID)
	b.must(err)
	if off.State != "cancelled" || off.AppliedBy != "token:operator" || off.DoneAt.IsZero() {
		t.Errorf("got %+v", off)
	}
	wantProblem(t, second(b.operator.CancelPlan(t.Context(), first.ID)), http.StatusConflict, client.CodePlanUsed)
	wantProblem(t, second(b.admin.ApplyCleanup(t.Context(), first.ID)), http.StatusConflict, client.CodePlanUsed)
	if !ct.Facts().Exists {
		t.Fatal("a plan that was called off removed something")
	}
	second, err := b.operator.PlanOne(t.Context(), inst.ID)
	b.must(err)
	_, err = b.operator.ApplyOne(t.Context(), inst.ID, second.ID)
	b.must(err)

	yes, no := true, false
	for name, c := range map[string]struct {
		f    client.PlanFilter
		want []string
	}{
		"newest first":         {client.PlanFilter{}, []string{second.ID, first.ID}},
		"applied":              {client.PlanFilter{States: []string{"applied"}}, []string{second.ID}},
		"applied or cancelled": {client.PlanFilter{States: []string{"applied", "cancelled"}}, []string{second.ID, first.ID}},
		"waiting":              {client.PlanFilter{States: []string{"planned"}}, nil},
		"by people":            {client.PlanFilter{Automatic: &no}, []string{second.ID, first.ID}},
		"automatic":            {client.PlanFilter{Automatic: &yes}, nil},
	} {
		t.Run(name, func(t *testing.T) {
			l, err := b.viewer.Plans(t.Context(), c.f, client.Page{})
			if err != nil {
				t.Fatal(err)
			}
			var got []string
			for _, p := range l.Items {
				got = append(got, p.ID)
			}
			if !slices.Equal(got, c.want) {
				t.Errorf("got %v, want %v", got, c.want)
			}
		})
	}
	l, err := b.viewer.Plans(t.Context(), client.PlanFilter{}, client.Page{})
	b.must(err)
	if l.Items[0].Items != 1 || l.Items[0].Results["removed"] != 1 || l.Items[1].Items != 2 || len(l.Items[1].Results) != 0 || !l.Items[0].Single || l.Items[1].Single {
		t.Errorf("got %+v", l.Items)
	}
}

// TestPeer22EveryRouteRefusesForeignIDs tries every route that changes something about one thing with an id that is none of its own.
func TestPeer22EveryRouteRefusesForeignIDs(t *testing.T) {
	b := newBed(t)
	st := b.shop("shop", "preview")
	inst, ct := b.plant(st, "shop-preview-a", 20)
	foreign := b.engine.Run(dockertest.Template{Name: "somebody-else", Image: "other:1"})
	b.scan()
	before, err := b.viewer.Instance(t.Context(), inst.ID)
	b.must(err)
	bodies := map[string]string{
		"snooze-instance": `{"for":"7d","reason":"x"}`, "update-project": `{"name":"x"}`, "update-stage": `{"name":"x"}`, "start-deploy": `{"tag":"1.0"}`,
		"put-project-policy": `{"action":"cleanup"}`, "put-stage-policy": `{"action":"cleanup"}`, "reclaim": `{"dry_run":true}`,
		"mend-leftover": `{"yes":"` + foreign.ID + `"}`, "restore-archive": `{}`, "restore-plan": `{}`,
	}
	b.engine.ResetCalls()
	tried := 0
	for _, r := range (&server{}).routes() {
		if r.method == get || !strings.Contains(r.path, "{") {
			continue
		}
		for _, id := range []string{"no-such-id", foreign.ID, "somebody-else", ct.ID, inst.Name, ".", "%2e%2e%2fsettings", st.ID + "x"} {
			tried++
			status, _, text := b.raw(b.admin, r.method, replaceID(r.path, id), bodies[r.id])
			var p Problem
			if err := json.Unmarshal([]byte(text), &p); err != nil && status != http.StatusTemporaryRedirect && status != http.StatusMovedPermanently {
				t.Errorf("%s %s: %d %s", r.method, replaceID(r.path, id), status, text)
				continue
			}
			if status < 300 || status >= 500 {
				t.Errorf("%s %s: %d %s", r.method, replaceID(r.path, id), status, text)
			}
		}
	}
	if tried < 150 {
		t.Errorf("only %d were tried", tried)
	}
	if changed := b.engine.Requests(`^(POST|PUT|DELETE) `); len(changed) != 0 {
		t.Errorf("the engine was asked to act: %v", changed)
	}
	after, err := b.viewer.Instance(t.Context(), inst.ID)
	b.must(err)
	if after.Revision != before.Revision || foreign.Facts().State != dockertest.Running || !ct.Facts().Exists {
		t.Errorf("something was changed: %+v", after)
	}
}

// TestPlansOfAnotherHostAreRefused: the address of one host is no door to the plans of another.
func TestPlansOfAnotherHostAreRefused(t *testing.T) {
	b := newBed(t)
	other := b.host
	other.ID, other.Name = store.NewID(), "other"
	b.update(func(tx *store.Tx) error { return tx.InsertHost(t.Context(), other) })
	plan := store.ReclaimPlan{
		ID: store.NewID(), HostID: other.ID, State: store.PlanPlanned, CreatedAt: time.Now(), CreatedBy: "user:anna", ExpiresAt: time.Now().Add(time.Hour),
	}
	b.update(func(tx *store.Tx) error { return tx.InsertReclaimPlan(t.Context(), plan) })
	wantProblem(t, second(b.admin.ApplyReclaim(t.Context(), b.host.ID, plan.ID)), http.StatusUnprocessableEntity, client.CodeInvalid)
	if now, err := b.viewer.ReclaimPlan(t.Context(), plan.ID); err != nil || now.State != "planned" || now.HostID != other.ID {
		t.Errorf("got %+v, %v", now, err)
	}
}

func TestReadReclaim(t *testing.T) {
	for body, where := range map[string]string{
		``: "body", `{}`: "body", `{"images":["a"]}`: "body", `{"dry_run":false}`: "body.dry_run", `{"dry_run":true,"plan_id":"p"}`: "body",
		`{"plan_id":""}`: "body.plan_id", `{"plan_id":null}`: "body.plan_id", `{"dry_run":true,"images":[]}`: "body.images",
		`{"dry_run":true,"images":[""]}`: "body.images", `{"dry_run":true,"images":"a"}`: "body.images", `{"dry_run":true,"force":true}`: "body.force",
		`{"dry_run":true,"images":["` + strings.Repeat(`a","`, 500) + `a"]}`: "body.images", `[]`: "body", `{"plan_id":"a","plan_id":"b"}`: "body",
	} {
		_, err := readReclaim([]byte(body))
		if p := asProblem(t, err); p.Status != http.StatusUnprocessableEntity || p.Errors[0].Location != where {
			t.Errorf("%.60s: %+v, want it refused at %s", body, p, where)
		}
	}
	if w, err := readReclaim([]byte(`{"dry_run":true,"images":["a","b"]}`)); err != nil || fmt.Sprint(w.images) != "[a b]" || w.planID != "" {
		t.Errorf("got %+v, %v", w, err)
	}
	if w, err := readReclaim([]byte(`{"plan_id":"p"}`)); err != nil || w.planID != "p" {
		t.Errorf("got %+v, %v", w, err)
	}
}
