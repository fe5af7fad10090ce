package api

import (
	"net/http"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/tiny-forge/docker-watcher/client"
	"github.com/tiny-forge/docker-watcher/internal/docker"
	"github.com/tiny-forge/docker-watcher/internal/docker/dockertest"
	"github.com/tiny-forge/docker-watcher/internal/store"
)

func names(items []client.StaleItem) []string {
	var n []string
	for _, i := range items {
		n = append(n, i.Name)
	}
	return n
}

func TestStaleListSaysWhatAndHowWeKnow(t *testing.T) {
	b := newBed(t)
	st := b.shop("shop", "preview")
	inst, ct := b.plant(st, "shop-preview-aaaaaa", 12)
	b.plant(st, "shop-preview-fresh", 3)
	b.scan()

	l, err := b.viewer.Stale(t.Context(), client.StaleFilter{}, client.Page{})
	b.must(err)
	if len(l.Items) != 1 || l.Total == nil || *l.Total != 1 || l.NextCursor != "" {
		t.Fatalf("got %+v", l)
	}
	i := l.Items[0]
	if i.ID != inst.ID || i.Project != "shop" || i.ProjectID != st.ProjectID || i.Stage != "preview" || i.StageID != st.ID || i.StageKind != "preview" ||
		i.Host != "local" || i.HostID != b.host.ID || i.Name != inst.Name || i.ContainerID != ct.ID || i.Image != "shop" || i.ImageTag != "1.0" {
		t.Errorf("what it is: %+v", i)
	}
	if i.DaysStale != 12 || i.StaleAfter != "7d" || i.Class != "exited" || i.Status != "stopped" || i.Reason == "" || i.StaleSince.IsZero() || i.UpperBound {
		t.Errorf("the verdict: %+v", i)
	}
	if !i.LastAliveAt.Equal(inst.LastAliveAt.Truncate(time.Millisecond)) || i.Evidence == "" {
		t.Errorf("how we know: %s %s, want %s", i.LastAliveAt, i.Evidence, inst.LastAliveAt)
	}
	if i.Protection != nil {
		t.Errorf("nothing protects it: %+v", i.Protection)
	}
}

func TestStaleListFiltersSortsAndPages(t *testing.T) {
	b := newBed(t)
	preview, prod := b.shop("shop", "preview"), b.shop("shop", "production")
	other := b.shop("blog", "preview")
	b.plant(preview, "shop-preview-a", 30)
	b.plant(preview, "shop-preview-b", 20)
	b.plant(prod, "shop-production-c", 10)
	pinned, _ := b.plant(other, "blog-preview-d", 40)
	b.scan()
	if _, err := b.operator.Pin(t.Context(), pinned.ID, "demo on friday"); err != nil {
		t.Fatal(err)
	}

	yes, no := true, false
	for name, c := range map[string]struct {
		f    client.StaleFilter
		want []string
	}{
		"oldest first":         {client.StaleFilter{}, []string{"blog-preview-d", "shop-preview-a", "shop-preview-b", "shop-production-c"}},
		"newest first":         {client.StaleFilter{Sort: "-last_alive_at"}, []string{"shop-production-c", "shop-preview-b", "shop-preview-a", "blog-preview-d"}},
		"by name":              {client.StaleFilter{Sort: "project"}, []string{"blog-preview-d", "shop-preview-a", "shop-preview-b", "shop-production-c"}},
		"project by name":      {client.StaleFilter{Project: "blog"}, []string{"blog-preview-d"}},
		"project by id":        {client.StaleFilter{Project: preview.ProjectID}, []string{"shop-preview-a", "shop-preview-b", "shop-production-c"}},
		"stage by name":        {client.StaleFilter{Project: "shop", Stage: "preview"}, []string{"shop-preview-a", "shop-preview-b"}},
		"stage by id":          {client.StaleFilter{Stage: prod.ID}, []string{"shop-production-c"}},
		"text":                 {client.StaleFilter{Text: "PREVIEW-B"}, []string{"shop-preview-b"}},
		"class":                {client.StaleFilter{Classes: []string{"exited", "oom"}}, []string{"blog-preview-d", "shop-preview-a", "shop-preview-b", "shop-production-c"}},
		"another class":        {client.StaleFilter{Classes: []string{"paused"}}, nil},
		"another host":         {client.StaleFilter{Host: "none"}, nil},
		"protected":            {client.StaleFilter{Protected: &yes}, []string{"blog-preview-d"}},
		"unprotected":          {client.StaleFilter{Protected: &no}, []string{"shop-preview-a", "shop-preview-b", "shop-production-c"}},
		"older than 25 days":   {client.StaleFilter{OlderThanDays: 25}, []string{"blog-preview-d", "shop-preview-a"}},
		"older than 9000 days": {client.StaleFilter{OlderThanDays: 9000}, nil},
	} {
		t.Run(name, func(t *testing.T) {
			l, err := b.viewer.Stale(t.Context(), c.f, client.Page{})
			if err != nil {
				t.Fatal(err)
			}
			if got := names(l.Items); !slices.Equal(got, c.want) || *l.Total != len(c.want) {
				t.Errorf("got %v of %d, want %v", got, *l.Total, c.want)
			}
		})
	}

	var got []string
	for page := (client.Page{Limit: 1}); ; {
		l, err := b.viewer.Stale(t.Context(), client.StaleFilter{}, page)
		b.must(err)
		got = append(got, names(l.Items)...)
		if page.Cursor != "" && l.Total != nil {
			t.Error("a later page was counted again")
		}
		if l.NextCursor == "" {
			break
		}
		page.Cursor = l.NextCursor
	}
	if !slices.Equal(got, []string{"blog-preview-d", "shop-preview-a", "shop-preview-b", "shop-production-c"}) {
		t.Errorf("page by page: %v", got)
	}
}

func results(p client.Plan) map[string]string {
	r := map[string]string{}
	for _, i := range p.Items {
		r[i.Name] = i.Result
	}
	return r
}

func TestBulkCleanupPlansAndAppliesExactlyThat(t *testing.T) {
	b := newBed(t)
	st := b.shop("shop", "preview")
	_, gone := b.plant(st, "shop-preview-a", 20)
	_, revived := b.plant(st, "shop-preview-b", 20)
	kept, _ := b.plant(st, "shop-preview-c", 20)
	_, late := b.plant(st, "shop-preview-late", 20)
	b.scan()
	pinned, _ := b.plant(st, "shop-preview-pinned", 20)
	b.scan()
	if _, err := b.operator.Pin(t.Context(), pinned.ID, "keep"); err != nil {
		t.Fatal(err)
	}

	plan, err := b.admin.PlanCleanup(t.Context(), client.StaleFilter{Project: "shop", Text: "preview-"})
	b.must(err)
	if len(plan.Items) != 4 || plan.State != "planned" || plan.Single || plan.CreatedBy != "token:admin" || !plan.ExpiresAt.After(time.Now()) {
		t.Fatalf("got %+v", plan)
	}
	if b.engine.Removes() != nil {
		t.Fatal("planning removed something")
	}
	if plan.Bytes != 4*4096 {
		t.Errorf("the plan gives back %d bytes", plan.Bytes)
	}
	for _, i := range plan.Items {
		if i.Reason == "" || i.Bytes == nil || *i.Bytes != 4096 || i.Result != "" || i.InstanceID == pinned.ID {
			t.Errorf("got %+v", i)
		}
	}
	if _, err := b.operator.Pin(t.Context(), kept.ID, "keep"); err != nil {
		t.Fatal(err)
	}
	revived.Start()
	late.Remove()
	progress := b.chatter("cleanup.progress")
	applied, err := b.admin.ApplyCleanup(t.Context(), plan.ID)
	b.must(err)
	want := map[string]string{"shop-preview-a": "removed", "shop-preview-b": "revived", "shop-preview-c": "kept", "shop-preview-late": "already_gone"}
	if got := results(applied); len(got) != 4 || got["shop-preview-a"] != want["shop-preview-a"] || got["shop-preview-b"] != want["shop-preview-b"] ||
		got["shop-preview-c"] != want["shop-preview-c"] || got["shop-preview-late"] != want["shop-preview-late"] {
		t.Errorf("got %v, want %v: %+v", got, want, applied.Items)
	}
	if applied.State != "applied" || applied.AppliedBy != "token:admin" || applied.DoneAt.IsZero() {
		t.Errorf("got %+v", applied)
	}
	if gone.Facts().Exists || !revived.Facts().Exists {
		t.Error("the engine says otherwise")
	}
	if got := progress(4); got[3].Data["total"] != float64(4) || got[3].Data["plan_id"] != plan.ID || got[0].ID != "" {
		t.Errorf("progress: %+v", got)
	}

	_, err = b.admin.ApplyCleanup(t.Context(), plan.ID)
	wantProblem(t, err, http.StatusConflict, client.CodePlanUsed)
	again, err := b.viewer.Plan(t.Context(), plan.ID)
	if err != nil || len(results(again)) != 4 || again.Items[0].Result == "" {
		t.Errorf("the plan does not keep its results: %+v, %v", again, err)
	}
}

// chatter listens for events of one kind; the function returned waits for so many.
func (b *bed) chatter(kind string) func(n int) []client.Event {
	b.t.Helper()
	got, ready := make(chan client.Event, 1000), make(chan struct{}, 1)
	ended := make(chan error, 1)
	before := b.bus.Listeners()
	go func() {
		ended <- b.viewer.Stream(b.t.Context(), client.StreamOptions{Once: true, Connected: func() { ready <- struct{}{} }}, func(e client.Event) error {
			if e.Kind == kind {
				got <- e
			}
			return nil
		})
	}()
	select {
	case <-ready:
	case err := <-ended:
		b.t.Fatalf("the stream ended: %v", err)
	case <-time.After(patience):
		b.t.Fatal("the stream does not begin")
	}
	// Connected is not yet subscribed: the bus says when.
	eventually(b.t, "the stream listens", func() bool { return b.bus.Listeners() > before })
	return func(n int) []client.Event {
		b.t.Helper()
		deadline := time.NewTimer(patience)
		defer deadline.Stop()
		var events []client.Event
		for len(events) < n {
			select {
			case e := <-got:
				events = append(events, e)
			case err := <-ended:
				b.t.Fatalf("the stream ended after %d events of kind %s: %v", len(events), kind, err)
			case <-deadline.C:
				b.t.Fatalf("%d events of kind %s came, want %d", len(events), kind, n)
			}
		}
		return events
	}
}

func TestBulkCleanupWithoutABodyDoesEverythingStaleAndUnprotected(t *testing.T) {
	b := newBed(t)
	st := b.shop("shop", "preview")
	_, a := b.plant(st, "shop-preview-a", 20)
	kept, keptCt := b.plant(st, "shop-preview-b", 20)
	_, fresh := b.plant(st, "shop-preview-c", 2)
	b.scan()
	if _, err := b.operator.Pin(t.Context(), kept.ID, ""); err != nil {
		t.Fatal(err)
	}
	p, err := b.admin.CleanupAll(t.Context())
	b.must(err)
	if results(p)["shop-preview-a"] != "removed" || p.State != "applied" {
		t.Errorf("got %+v", p)
	}
	if a.Facts().Exists || !keptCt.Facts().Exists || !fresh.Facts().Exists {
		t.Error("the engine says otherwise")
	}
	if _, _, text := b.raw(b.admin, post, "/api/containers/stale/cleanup", "{}"); text == "" || !keptCt.Facts().Exists || !fresh.Facts().Exists {
		t.Errorf("{} did something else than no body: %s", text)
	}
}

// TestPeer21BulkByANonAdmin: 403 and an event, nothing done, whatever the body asks for.
func TestPeer21BulkByANonAdmin(t *testing.T) {
	b := newBed(t)
	st := b.shop("shop", "preview")
	_, ct := b.plant(st, "shop-preview-a", 20)
	b.scan()
	plan, err := b.admin.PlanCleanup(t.Context(), client.StaleFilter{})
	b.must(err)
	for _, who := range []*client.Client{b.viewer, b.operator} {
		_, err := who.CleanupAll(t.Context())
		wantProblem(t, err, http.StatusForbidden, client.CodeForbidden)
		_, err = who.PlanCleanup(t.Context(), client.StaleFilter{})
		wantProblem(t, err, http.StatusForbidden, client.CodeForbidden)
		_, err = who.ApplyCleanup(t.Context(), plan.ID)
		wantProblem(t, err, http.StatusForbidden, client.CodeForbidden)
	}
	// Nor by the door of a single one.
	_, err = b.operator.ApplyOne(t.Context(), plan.Items[0].InstanceID, plan.ID)
	wantProblem(t, err, http.StatusConflict, client.CodeConflict)

	e := b.event("auth.forbidden")
	if e.Severity != "warn" || e.Data["path"] != "/api/containers/stale/cleanup" || e.Data["method"] != "POST" || e.Actor == "" || e.Data["addr"] != "203.0.113.7" {
		t.Errorf("got %+v", e)
	}
	if !ct.Facts().Exists || b.engine.Removes() != nil {
		t.Error("something was removed")
	}
}

func TestCleanupOne(t *testing.T) {
	b := newBed(t)
	st := b.shop("shop", "preview")
	one, ct := b.plant(st, "shop-preview-a", 20)
	two, other := b.plant(st, "shop-preview-b", 20)
	fresh, freshCt := b.plant(st, "shop-preview-c", 1)
	b.scan()

	_, err := b.viewer.CleanupOne(t.Context(), one.ID)
	wantProblem(t, err, http.StatusForbidden, client.CodeForbidden)
	_, err = b.operator.CleanupOne(t.Context(), fresh.ID)
	wantProblem(t, err, http.StatusConflict, client.CodeNotStale)

	plan, err := b.operator.PlanOne(t.Context(), one.ID)
	b.must(err)
	if !plan.Single || len(plan.Items) != 1 || plan.Items[0].InstanceID != one.ID {
		t.Fatalf("got %+v", plan)
	}
	_, err = b.operator.ApplyOne(t.Context(), two.ID, plan.ID)
	wantProblem(t, err, http.StatusConflict, client.CodeConflict)
	if !ct.Facts().Exists {
		t.Fatal("another's plan was applied")
	}
	applied, err := b.operator.ApplyOne(t.Context(), one.ID, plan.ID)
	if err != nil || applied.Items[0].Result != "removed" || ct.Facts().Exists {
		t.Fatalf("got %+v, %v", applied, err)
	}
	p, err := b.operator.CleanupOne(t.Context(), two.ID)
	if err != nil || p.Items[0].Result != "removed" || other.Facts().Exists || !freshCt.Facts().Exists {
		t.Fatalf("got %+v, %v", p, err)
	}
	_, err = b.operator.CleanupOne(t.Context(), two.ID)
	wantProblem(t, err, http.StatusNotFound, client.CodeNotFound)
	_, err = b.viewer.Instance(t.Context(), two.ID)
	wantProblem(t, err, http.StatusNotFound, client.CodeNotFound)
	for _, r := range b.engine.Removes() {
		if r.Query.Get("force") == "1" || r.Query.Get("v") == "1" {
			t.Errorf("removed with %v", r.Query)
		}
	}
}

func TestPlanExpires(t *testing.T) {
	inBubble(t, func(t *testing.T, b *bed) {
		_, ct := b.plant(b.shop("shop", "preview"), "shop-preview-a", 20)
		b.scan()
		plan, err := b.admin.PlanCleanup(t.Context(), client.StaleFilter{})
		b.must(err)
		time.Sleep(15*time.Minute + time.Second)
		_, err = b.admin.ApplyCleanup(t.Context(), plan.ID)
		wantProblem(t, err, http.StatusConflict, client.CodePlanExpired)
		if !ct.Facts().Exists {
			t.Error("it was applied all the same")
		}
	})
}

// TestFrozenHost: another engine behind the endpoint holds everything back until an admin accepts it.
// A cleanup of what a person is starting at this moment is locked out, and the start wins.
func TestPeer23CleanupDuringAStart(t *testing.T) {
	inBubble(t, func(t *testing.T, b *bed) {
		inst, ct := b.plant(b.shop("shop", "preview"), "shop-preview-a", 20)
		b.scan()
		b.engine.Fail(dockertest.Fault{On: `^POST /containers/.*/start`, Delay: 5 * time.Second, Times: 1})
		started := make(chan error, 1)
		go func() {
			_, err := b.operator.StartInstance(t.Context(), inst.ID)
			started <- err
		}()
		time.Sleep(time.Second)
		plan, err := b.operator.CleanupOne(t.Context(), inst.ID)
		if err != nil || len(plan.Items) != 1 || plan.Items[0].Result != "in_use" {
			t.Errorf("got %+v, %v", plan.Items, err)
		}
		if err := <-started; err != nil {
			t.Errorf("the start: %v", err)
		}
		if facts := ct.Facts(); !facts.Exists || facts.State != dockertest.Running || b.engine.Removes() != nil {
			t.Errorf("it is %+v", facts)
		}
	})
}

func TestFrozenHost(t *testing.T) {
	inBubble(t, func(t *testing.T, b *bed) {
		inst, ct := b.plant(b.shop("shop", "preview"), "shop-preview-a", 20)
		b.scan()
		b.engine.SetEngineID("ANOT:HER")
		b.engine.SetDataRoot("/elsewhere")
		if _, err := b.operator.Scan(t.Context(), ""); err != nil {
			t.Fatal(err)
		}
		h, err := b.viewer.Host(t.Context(), b.host.ID)
		if err != nil || !h.Frozen || h.FrozenReason == "" {
			t.Fatalf("got %+v, %v", h, err)
		}
		for name, err := range map[string]error{
			"bulk": second(b.admin.CleanupAll(t.Context())), "one": second(b.operator.CleanupOne(t.Context(), inst.ID)),
		} {
			if !client.HasCode(err, client.CodeFrozen) {
				t.Errorf("%s: %v", name, err)
			}
		}
		if b.engine.Removes() != nil || !ct.Facts().Exists {
			t.Error("something was removed")
		}
		if status, _, text := b.raw(b.nobody, get, "/readyz", ""); status != http.StatusServiceUnavailable || !strings.Contains(text, "hosts accept local") {
			t.Errorf("ready is %d, %s", status, text)
		}
		_, err = b.operator.AcceptHost(t.Context(), b.host.ID)
		wantProblem(t, err, http.StatusForbidden, client.CodeForbidden)
		if h, err = b.admin.AcceptHost(t.Context(), b.host.ID); err != nil || h.Frozen {
			t.Fatalf("got %+v, %v", h, err)
		}
		if e := b.event("host.accepted"); e.Actor != "token:admin" || e.HostID != b.host.ID {
			t.Errorf("got %+v", e)
		}
	})
}

func TestRefusedCleanupsDoNothing(t *testing.T) {
	b := newBed(t)
	st := b.shop("shop", "preview")
	inst, _ := b.plant(st, "shop-preview-a", 20)
	b.scan()
	for _, path := range []string{"/api/containers/stale/cleanup", "/api/containers/stale/" + inst.ID + "/cleanup"} {
		for _, body := range []string{
			`{"dry_run":false}`, `{"project":"shop"}`, `{"dryrun":true}`, `{"plan_id":"x","dry_run":true}`, `null`, `[]`, `{`, ` `, `{"force":true}`,
			`{"dry_run":true,"project":"no-such-project"}`, `{"dry_run":true,"stage":"preview"}`,
		} {
			status, _, text := b.raw(b.admin, post, path, body)
			if status != http.StatusUnprocessableEntity {
				t.Errorf("%s %s: %d %s", path, body, status, text)
			}
		}
	}
	if b.engine.Removes() != nil || b.engine.Requests(`^POST `) != nil {
		t.Errorf("the engine was asked to act: %v", b.engine.Requests(`^(POST|DELETE) `))
	}
}

// TestPeer22ForeignContainersAreOutOfReach walks every route that changes something, with the id and the name of
// containers that are not ours as what it acts upon: one nobody labelled, one with the labels of another
// installation, one with ours but without a row.
func TestPeer22ForeignContainersAreOutOfReach(t *testing.T) {
	b := newBed(t)
	st := b.shop("shop", "preview")
	b.plant(st, "shop-preview-a", 20)
	ended := time.Now().Add(-100 * day)
	foreign := map[string]map[string]string{
		"postgres": nil,
		"stranger": {docker.LabelManaged: "true", docker.LabelInstallation: "another", docker.LabelInstance: "x"},
		"imposter": {docker.LabelManaged: "true", docker.LabelInstallation: b.db.InstallationID(), docker.LabelInstance: "no-such-row"},
	}
	var containers []*dockertest.Container
	for name, labels := range foreign {
		containers = append(containers, b.engine.Add(dockertest.Template{
			Name: name, Image: "postgres:16", State: dockertest.Exited, Created: ended, Started: ended, Finished: ended, Labels: labels,
		}))
	}
	b.scan()
	l, err := b.viewer.Stale(t.Context(), client.StaleFilter{}, client.Page{})
	b.must(err)
	if len(l.Items) != 1 || l.Items[0].Name != "shop-preview-a" {
		t.Errorf("listed as stale: %v", names(l.Items))
	}
	b.engine.ResetCalls()
	for _, c := range containers {
		for _, id := range []string{c.ID, c.ID[:12], c.Name()} {
			for _, r := range (&server{}).routes() {
				if r.method == get || r.path == "/api/session" || r.path == "/api/containers/stale/cleanup" {
					continue
				}
				for _, body := range []string{"", `{}`, `{"dry_run":true}`} {
					b.raw(b.admin, r.method, replaceID(r.path, id), body)
				}
			}
			b.raw(b.admin, remove, "/api/instances/"+id+"?stop=true", "")
			b.raw(b.admin, post, "/api/containers/stale/cleanup", `{"dry_run":true,"ids":["`+id+`"]}`)
		}
	}
	if acts := b.engine.Requests(`^(POST|DELETE|PUT) `); acts != nil {
		t.Errorf("the engine was asked to act: %v", acts)
	}
	if _, err := b.admin.CleanupAll(t.Context()); err != nil {
		t.Error(err)
	}
	for _, c := range containers {
		if !c.Facts().Exists {
			t.Errorf("%s is gone", c.Name())
		}
	}
	if n := len(b.engine.Removes()); n != 1 {
		t.Errorf("%d removals, want that of our own", n)
	}
}

// TestRowThatNamesAForeignContainer: a row alone gives no right either.
func TestRowThatNamesAForeignContainer(t *testing.T) {
	b := newBed(t)
	st := b.shop("shop", "preview")
	inst, _ := b.plant(st, "shop-preview-a", 20)
	ended := time.Now().Add(-100 * day)
	theirs := b.engine.Add(dockertest.Template{Name: "theirs", State: dockertest.Exited, Created: ended, Started: ended, Finished: ended})
	row := inst
	row.ID, row.Name, row.ContainerID = store.NewID(), "shop-preview-b", theirs.ID
	b.update(func(tx *store.Tx) error { return tx.InsertInstance(t.Context(), row) })
	b.scan()
	b.engine.ResetCalls()
	for _, path := range []string{"/start", "/stop", "/restart"} {
		if status, _, text := b.raw(b.admin, post, "/api/instances/"+row.ID+path, ""); status < 400 {
			t.Errorf("%s: %d %s", path, status, text)
		}
	}
	b.raw(b.admin, remove, "/api/instances/"+row.ID+"?stop=true", "")
	b.raw(b.admin, post, "/api/containers/stale/"+row.ID+"/cleanup", "")
	if acts := b.engine.Requests(`^(POST|DELETE|PUT) /containers/` + theirs.ID); acts != nil || !theirs.Facts().Exists {
		t.Errorf("the engine was asked to act: %v", acts)
	}
}

func TestScanTellsItsRunsAndTheHost(t *testing.T) {
	b := newBed(t)
	b.plant(b.shop("shop", "preview"), "shop-preview-a", 20)
	runs, err := b.operator.Scan(t.Context(), b.host.ID)
	if err != nil || len(runs) != 1 || runs[0].Trigger != "manual" || runs[0].Known != 1 || runs[0].NewlyStale != 1 || runs[0].ListCalls == 0 {
		t.Fatalf("got %+v, %v", runs, err)
	}
	l, err := b.viewer.Scans(t.Context(), "", client.Page{})
	if err != nil || len(l.Items) != 1 || l.Items[0].ID != runs[0].ID {
		t.Fatalf("got %+v, %v", l, err)
	}
	hosts, err := b.viewer.Hosts(t.Context())
	if err != nil || len(hosts) != 1 || !hosts[0].Reachable || hosts[0].LastGoodScanAt.IsZero() || hosts[0].Version == "" || hosts[0].APIVersion == "" {
		t.Fatalf("got %+v, %v", hosts, err)
	}

	b.engine.Shutdown()
	runs, err = b.operator.Scan(t.Context(), "")
	if err != nil || len(runs) != 1 || runs[0].Outcome != "blind" || runs[0].Error == "" {
		t.Fatalf("an engine that is away: %+v, %v", runs, err)
	}
	hosts, err = b.viewer.Hosts(t.Context())
	if err != nil || hosts[0].Reachable || hosts[0].Error == "" || hosts[0].Hint == "" ||
		!slices.ContainsFunc(hosts[0].BlindIntervals, func(i client.BlindInterval) bool { return i.Reason == "unreachable" && i.To.IsZero() }) {
		t.Fatalf("got %+v, %v", hosts, err)
	}
	if l, err := b.viewer.Stale(t.Context(), client.StaleFilter{}, client.Page{}); err != nil || len(l.Items) != 1 {
		t.Errorf("what was known is not shown any more: %+v, %v", l, err)
	}
}

func TestPinAndUnpin(t *testing.T) {
	b := newBed(t)
	inst, ct := b.plant(b.shop("shop", "preview"), "shop-preview-a", 20)
	b.scan()
	_, err := b.viewer.Pin(t.Context(), inst.ID, "x")
	wantProblem(t, err, http.StatusForbidden, client.CodeForbidden)
	i, err := b.operator.Pin(t.Context(), inst.ID, "demo on friday")
	if err != nil || i.Protection == nil || i.Protection.Kind != "pinned" || i.Protection.By != "token:operator" || i.Protection.Why != "demo on friday" {
		t.Fatalf("got %+v, %v", i.Protection, err)
	}
	if again, err := b.admin.Pin(t.Context(), inst.ID, "other"); err != nil || again.Protection.Why != "demo on friday" {
		t.Errorf("who pinned first was forgotten: %+v, %v", again.Protection, err)
	}
	p, err := b.operator.CleanupOne(t.Context(), inst.ID)
	if err != nil || p.Items[0].Result != "kept" || !ct.Facts().Exists {
		t.Errorf("a pinned one: %+v, %v", p, err)
	}
	if i, err := b.operator.Unpin(t.Context(), inst.ID); err != nil || i.Protection != nil {
		t.Errorf("got %+v, %v", i.Protection, err)
	}
	if e := b.event("instance.unpinned"); e.InstanceID != inst.ID || e.Actor != "token:operator" {
		t.Errorf("got %+v", e)
	}
}

var idHole = regexp.MustCompile(`\{[a-z]+\}`)

func replaceID(path, id string) string { return idHole.ReplaceAllLiteralString(path, id) }
