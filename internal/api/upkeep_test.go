package api

import (
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/tiny-forge/docker-watcher/client"
	"github.com/tiny-forge/docker-watcher/internal/docker"
	"github.com/tiny-forge/docker-watcher/internal/docker/dockertest"
	"github.com/tiny-forge/docker-watcher/internal/store"
)

func TestCovered(t *testing.T) {
	at := func(h int) time.Time {
		if h < 0 {
			return time.Time{}
		}
		return time.Date(2026, 11, 1, h, 0, 0, 0, time.UTC)
	}
	for name, c := range map[string]struct {
		intervals [][2]int // an end of -1 has not come
		want      int      // hours of 6..18
	}{
		"none":                     {nil, 0},
		"inside":                   {[][2]int{{8, 9}}, 1},
		"before":                   {[][2]int{{1, 5}}, 0},
		"up to the begin":          {[][2]int{{1, 6}}, 0},
		"after":                    {[][2]int{{19, 20}}, 0},
		"over the begin":           {[][2]int{{4, 8}}, 2},
		"over the end":             {[][2]int{{17, 20}}, 1},
		"over all":                 {[][2]int{{0, 23}}, 12},
		"not ended":                {[][2]int{{16, -1}}, 2},
		"not ended, begins after":  {[][2]int{{19, -1}}, 0},
		"two apart":                {[][2]int{{12, 13}, {8, 9}}, 2},
		"two that overlap":         {[][2]int{{8, 11}, {10, 12}}, 4},
		"one in another":           {[][2]int{{8, 12}, {9, 10}}, 4},
		"one in another, reversed": {[][2]int{{9, 10}, {8, 12}}, 4},
		"twice the same":           {[][2]int{{8, 9}, {8, 9}}, 1},
		"joined by a third":        {[][2]int{{8, 10}, {12, 14}, {9, 13}}, 6},
	} {
		t.Run(name, func(t *testing.T) {
			var intervals []store.BlindInterval
			for _, i := range c.intervals {
				intervals = append(intervals, store.BlindInterval{From: at(i[0]), To: at(i[1])})
			}
			if got := covered(intervals, at(6), at(18)); got != time.Duration(c.want)*time.Hour {
				t.Errorf("got %s, want %d h", got, c.want)
			}
		})
	}
}

func TestBlindLedger(t *testing.T) {
	b := newBed(t)
	now := time.Now().UTC().Truncate(time.Second)
	known := b.host
	known.ID, known.Name, known.CreatedAt = store.NewID(), "older", now.Add(-100*24*time.Hour)
	b.update(func(tx *store.Tx) error { return tx.InsertHost(t.Context(), known) })
	for _, i := range []store.BlindInterval{
		{From: now.Add(-50 * 24 * time.Hour), To: now.Add(-49 * 24 * time.Hour), Reason: "down"},
		{From: now.Add(-10 * time.Hour), To: now.Add(-8 * time.Hour), Reason: "unreachable", Detail: "connection refused"},
		{From: now.Add(-9 * time.Hour), To: now.Add(-7 * time.Hour), Reason: "down"},
		{From: now.Add(-time.Hour), Reason: "clock"},
	} {
		i.ID, i.HostID = store.NewID(), known.ID
		b.update(func(tx *store.Tx) error { return tx.OpenBlindInterval(t.Context(), i) })
	}
	l, err := b.viewer.Blind(t.Context(), known.ID, time.Time{}, time.Time{})
	b.must(err)
	if len(l.Items) != 3 || l.Items[0].Reason != "clock" || !l.Items[0].To.IsZero() || l.Items[2].Detail != "connection refused" {
		t.Fatalf("got %+v", l.Items)
	}
	if l.Seconds < 4*3600 || l.Seconds > 4*3600+60 || l.ByReason["unreachable"] != 7200 || l.ByReason["down"] != 7200 || l.Items[1].Seconds != 7200 {
		t.Errorf("got %d seconds, %v", l.Seconds, l.ByReason)
	}
	if l, err = b.viewer.Blind(t.Context(), known.ID, now.Add(-60*24*time.Hour), now.Add(-9*time.Hour)); err != nil || len(l.Items) != 2 || l.Seconds != 86400+3600 {
		t.Errorf("got %+v, %v", l, err)
	}
	// Before a host was known there is nothing to tell of.
	if l, err = b.viewer.Blind(t.Context(), b.host.ID, now.Add(-60*24*time.Hour), time.Time{}); err != nil || l.From.Before(b.host.CreatedAt.Add(-time.Second)) {
		t.Errorf("got %+v, %v; known since %s", l, err, b.host.CreatedAt)
	}
	_, err = b.viewer.Blind(t.Context(), known.ID, now, now.Add(-time.Hour))
	wantProblem(t, err, http.StatusUnprocessableEntity, client.CodeInvalid)
	_, err = b.viewer.Blind(t.Context(), known.ID, now.Add(24*time.Hour), time.Time{})
	wantProblem(t, err, http.StatusUnprocessableEntity, client.CodeInvalid)
}

// TestStaleItemsSayWhatNobodyWatched: the blind part of an age is beside it, and of nothing else.
func TestStaleItemsSayWhatNobodyWatched(t *testing.T) {
	b := newBed(t)
	st := b.shop("shop", "preview")
	old, _ := b.plant(st, "shop-preview-old", 20)
	b.plant(st, "shop-preview-young", 9)
	b.scan()
	blind := store.BlindInterval{
		ID: store.NewID(), HostID: b.host.ID, From: time.Now().Add(-15 * day), To: time.Now().Add(-15 * day).Add(3 * time.Hour), Reason: "down",
	}
	b.update(func(tx *store.Tx) error { return tx.OpenBlindInterval(t.Context(), blind) })
	l, err := b.viewer.Stale(t.Context(), client.StaleFilter{}, client.Page{})
	b.must(err)
	if i := l.Items[0]; i.ID != old.ID || i.BlindSeconds != 3*3600 || len(i.Blind) != 1 || i.Blind[0].Reason != "down" || !strings.Contains(i.BlindWords, "nobody watched") {
		t.Errorf("got %+v", i)
	}
	if i := l.Items[1]; i.BlindSeconds != 0 || len(i.Blind) != 0 || i.BlindWords != "" {
		t.Errorf("got %+v", i)
	}
	if i, err := b.viewer.Instance(t.Context(), old.ID); err != nil || i.BlindSeconds != 3*3600 || i.BlindWords != l.Items[0].BlindWords {
		t.Errorf("got %+v, %v", i, err)
	}
}

func TestLeftoversAreListedAndMended(t *testing.T) {
	b := newBed(t)
	st := b.shop("shop", "preview")
	b.plant(st, "shop-preview-a", 1)
	labels := map[string]string{
		docker.LabelManaged: "true", docker.LabelInstallation: b.db.InstallationID(), docker.LabelInstance: store.NewID(),
		docker.LabelProject: "shop", docker.LabelStage: "preview",
	}
	stray := b.engine.Add(dockertest.Template{Name: "stray", Image: "shop:1.0", State: dockertest.Exited, Created: b.engine.Now().Add(-time.Hour), Labels: labels})
	foreign := b.engine.Add(dockertest.Template{Name: "foreign", Image: "shop:1.0", State: dockertest.Exited, Created: b.engine.Now().Add(-time.Hour)})
	b.scan()
	l, err := b.viewer.Leftovers(t.Context(), "")
	b.must(err)
	if len(l) != 1 || l[0].Kind != "container_without_row" || l[0].Subject != stray.ID || l[0].Host != "local" || l[0].Step == "" || l[0].Detail == "" || !l[0].NeedsYes {
		t.Fatalf("got %+v", l)
	}
	if none, err := b.viewer.Leftovers(t.Context(), "another-host"); err != nil || len(none) != 0 {
		t.Errorf("got %+v, %v", none, err)
	}
	wantProblem(t, b.operator.Mend(t.Context(), l[0].ID, stray.ID), http.StatusForbidden, client.CodeForbidden)
	for _, yes := range []string{"", "yes", stray.ID[:12], foreign.ID} {
		wantProblem(t, b.admin.Mend(t.Context(), l[0].ID, yes), http.StatusConflict, client.CodeNotMended)
	}
	for body, where := range map[string]string{`{"yes":""}`: "body.yes", `{"yes":true}`: "body.yes", `{"force":true}`: "body.force", `{"yes":"a","yes":"b"}`: "body"} {
		status, _, text := b.raw(b.admin, post, "/api/leftovers/"+l[0].ID+"/mend", body)
		if status != http.StatusUnprocessableEntity || !strings.Contains(text, `"location":"`+where+`"`) {
			t.Errorf("%s: %d %s", body, status, text)
		}
	}
	if !stray.Facts().Exists || !foreign.Facts().Exists {
		t.Fatal("a refused mend removed something")
	}
	b.must(b.admin.Mend(t.Context(), l[0].ID, stray.ID))
	if stray.Facts().Exists || !foreign.Facts().Exists {
		t.Error("the engine says otherwise")
	}
	if e := b.event("leftover.mended"); e.Actor != "token:admin" {
		t.Errorf("got %+v", e)
	}
	if l, err = b.viewer.Leftovers(t.Context(), ""); err != nil || len(l) != 0 {
		t.Errorf("got %+v, %v", l, err)
	}
}

// TestReclaim: an image that we brought and that only a removed instance used is planned, applied once and gone; a foreign one stays.
func TestReclaim(t *testing.T) {
	inBubble(t, func(t *testing.T, b *bed) {
		b.engine.Publish(dockertest.Image{Ref: "registry.test/shop:1.0", Size: 5 << 20})
		b.engine.AddImage(dockertest.Image{Ref: "foreign:1"})
		b.engine.AddVolume("somebodys")
		_, err := b.admin.CreateProject(t.Context(), client.NewProject{Name: "shop", Image: "registry.test/shop"})
		b.must(err)
		st, err := b.admin.CreateStage(t.Context(), client.NewStage{ProjectID: "shop", Name: "preview", Kind: "preview", KeepLast: new(0)})
		b.must(err)
		d := b.deploy(st.ID, "1.0")
		b.must(b.operator.RemoveInstance(t.Context(), d.InstanceID, true))

		left, err := b.viewer.Left(t.Context(), b.host.ID)
		b.must(err)
		if len(left.Images) != 1 || left.Images[0].Reclaimable || len(left.Images[0].ArchiveIDs) != 1 || left.Images[0].KeptUntil.IsZero() || left.Images[0].Why == "" {
			t.Fatalf("an archive keeps it: %+v", left.Images)
		}
		b.must(b.admin.DeleteArchive(t.Context(), left.Images[0].ArchiveIDs[0]))
		left, err = b.viewer.Left(t.Context(), b.host.ID)
		b.must(err)
		if len(left.Images) != 1 || !left.Images[0].Reclaimable || left.Images[0].LastUse.Project != "shop" || left.Bytes <= 0 || left.Host != "local" {
			t.Fatalf("got %+v", left)
		}

		_, err = b.operator.PlanReclaim(t.Context(), b.host.ID)
		wantProblem(t, err, http.StatusForbidden, client.CodeForbidden)
		plan, err := b.admin.PlanReclaim(t.Context(), b.host.ID, left.Images[0].ID)
		b.must(err)
		if plan.State != "planned" || len(plan.Items) != 1 || plan.Bytes <= 0 || plan.CreatedBy != "token:admin" || plan.HostID != b.host.ID {
			t.Fatalf("got %+v", plan)
		}
		if !slices.Contains(b.engine.Images(), "registry.test/shop:1.0") {
			t.Fatal("planning removed something")
		}
		plan, err = b.admin.ApplyReclaim(t.Context(), b.host.ID, plan.ID)
		b.must(err)
		if plan.State != "applied" || plan.Items[0].Result != "removed" || plan.AppliedBy != "token:admin" {
			t.Errorf("got %+v", plan)
		}
		if images := strings.Join(b.engine.Images(), " "); strings.Contains(images, "registry.test/shop") || !strings.Contains(images, "foreign:1") {
			t.Errorf("left are %s", images)
		}
		wantProblem(t, second(b.admin.ApplyReclaim(t.Context(), b.host.ID, plan.ID)), http.StatusConflict, client.CodePlanUsed)
		if again, err := b.viewer.ReclaimPlan(t.Context(), plan.ID); err != nil || again.Items[0].Result != "removed" {
			t.Errorf("the plan does not keep its results: %+v, %v", again, err)
		}

		err = b.admin.RemoveVolume(t.Context(), b.host.ID, "somebodys", true)
		if p, ok := client.AsProblem(err); !ok || p.Status < 400 || p.Status >= 500 || !slices.Contains(b.engine.Volumes(), "somebodys") {
			t.Errorf("somebody's volume: %v", err)
		}
	})
}

func TestRemoveVolumeOneByOne(t *testing.T) {
	b := newBed(t)
	inst, ct := b.plant(b.shop("shop", "preview"), "shop-preview-a", 20, func(_ *store.Instance, tpl *dockertest.Template) {
		tpl.Volumes = []string{"shop-data:/data", "/cache"}
	})
	b.scan()
	id := b.cleaned().Items[0].ArchiveID
	if ct.Facts().Exists {
		t.Fatal("it was not removed")
	}
	left, err := b.viewer.Left(t.Context(), b.host.ID)
	b.must(err)
	anonymous := ""
	for _, v := range left.Volumes {
		if v.Anonymous {
			anonymous = v.Name
		}
		if v.LastUse.InstanceID != inst.ID || v.Removable || v.Why == "" || !slices.Equal(v.ArchiveIDs, []string{id}) {
			t.Errorf("got %+v", v)
		}
	}
	if len(left.Volumes) != 2 || anonymous == "" {
		t.Fatalf("got %+v", left.Volumes)
	}
	wantProblem(t, b.operator.RemoveVolume(t.Context(), b.host.ID, anonymous, true), http.StatusForbidden, client.CodeForbidden)
	p := problemIn(t, b.admin.RemoveVolume(t.Context(), b.host.ID, "shop-data", true), http.StatusConflict, client.CodeRefused)
	if !strings.Contains(p.Detail, "docker volume rm") {
		t.Errorf("it does not say how a person does it: %s", p.Detail)
	}
	wantProblem(t, b.admin.RemoveVolume(t.Context(), b.host.ID, anonymous, false), http.StatusConflict, client.CodeRefused)
	wantProblem(t, b.admin.RemoveVolume(t.Context(), b.host.ID, "no-such-volume", true), http.StatusNotFound, client.CodeNotFound)
	if len(b.engine.Volumes()) != 2 {
		t.Fatalf("a refusal removed something: %v", b.engine.Volumes())
	}
	b.must(b.admin.RemoveVolume(t.Context(), b.host.ID, anonymous, true))
	if got := b.engine.Volumes(); !slices.Equal(got, []string{"shop-data"}) {
		t.Errorf("left are %v", got)
	}
	if e := b.event("volume.removed"); e.Actor != "token:admin" || e.Severity != "warn" {
		t.Errorf("got %+v", e)
	}
}

func TestOverview(t *testing.T) {
	b := newBed(t)
	shop, blog := b.shop("shop", "preview"), b.shop("blog", "preview")
	o, err := b.viewer.Overview(t.Context())
	if err != nil || o.Stale != 0 || len(o.ByAge) != 5 || len(o.ByProject) != 0 || len(o.Hosts) != 1 || !o.LastScanAt.IsZero() || o.NextPlan != nil || len(o.FailedDeploys) != 0 {
		t.Fatalf("got %+v, %v", o, err)
	}
	b.plant(shop, "shop-preview-a", 12)
	b.plant(shop, "shop-preview-b", 40)
	kept, _ := b.plant(blog, "blog-preview-c", 400)
	b.plant(blog, "blog-preview-fresh", 1)
	b.scan()
	_, err = b.operator.Pin(t.Context(), kept.ID, "demo")
	b.must(err)
	// The sizes of writable layers become known with a plan.
	_, err = b.admin.PlanCleanup(t.Context(), client.StaleFilter{})
	b.must(err)
	b.update(func(tx *store.Tx) error {
		return errors.Join(
			tx.InsertDeploy(t.Context(), store.Deploy{
				ID: store.NewID(), ProjectID: shop.ProjectID, StageID: shop.ID, HostID: b.host.ID, Image: "shop", ImageTag: "9.9",
				State: store.DeployFailed, Error: "no such image", Actor: "user:anna", CreatedAt: time.Now(), EndedAt: time.Now(),
			}),
			tx.OpenBlindInterval(t.Context(), store.BlindInterval{ID: store.NewID(), HostID: b.host.ID, From: time.Now().Add(-time.Minute), Reason: "unreachable"}),
			tx.SetAutoHeld(t.Context(), b.host.ID, "more would go than may", time.Now()),
			tx.InsertPlan(t.Context(), store.Plan{
				ID: "automatic", State: store.PlanPlanned, Automatic: true, CreatedAt: time.Now(), CreatedBy: "system:auto", ApplyAt: time.Now().Add(time.Minute),
				ExpiresAt: time.Now().Add(time.Hour), Items: []store.PlanItem{{InstanceID: kept.ID}, {InstanceID: "x"}},
			}),
		)
	})
	o, err = b.viewer.Overview(t.Context())
	b.must(err)
	if o.Stale != 3 || o.Kept != 1 || len(o.ByProject) != 2 || o.ByProject[0].Project != "shop" || o.ByProject[0].Count != 2 {
		t.Errorf("stale: %+v", o)
	}
	if got := fmt.Sprint(o.ByAge); got != "[{0 7 0} {7 14 1} {14 30 0} {30 90 1} {90 0 0}]" {
		t.Errorf("by age: %s", got)
	}
	if o.StaleBytes != 2*4096 {
		t.Errorf("%d bytes are known to come back", o.StaleBytes)
	}
	if len(o.FailedDeploys) != 1 || o.FailedDeploys[0].Error != "no such image" {
		t.Errorf("failed deploys: %+v", o.FailedDeploys)
	}
	if h := o.Hosts[0]; h.Name != "local" || h.BlindReason != "unreachable" || h.BlindSince.IsZero() || h.AutoHeld == "" || h.AutoHeldSince.IsZero() || h.LastGoodScanAt.IsZero() {
		t.Errorf("got %+v", h)
	}
	if o.LastScanAt.IsZero() || o.AutoCleanup || o.NextPlan == nil || o.NextPlan.ID != "automatic" || o.NextPlan.Items != 2 || !o.NextPlan.Automatic {
		t.Errorf("got %+v", o)
	}
	if b.engine.Shutdown(); err != nil {
		t.Fatal(err)
	}
	if _, err := b.viewer.Overview(t.Context()); err != nil {
		t.Errorf("it waits for an engine: %v", err)
	}
	h := b.engine
	h.Boot()

	_, _, text := b.raw(b.viewer, get, "/metrics", "")
	for _, line := range []string{
		`docker_watcher_archives 0`, `docker_watcher_archive_bytes 0`, `docker_watcher_auto_held{host="local"} 1`, `docker_watcher_leftovers{kind="dead"} 0`,
	} {
		if !strings.Contains(text, line+"\n") {
			t.Errorf("the figures lack %s", line)
		}
	}
}

func TestSettingsOfUndoAndAutomaticCleanup(t *testing.T) {
	b := newBed(t)
	s, err := b.admin.UpdateSettings(t.Context(), map[string]any{"auto_warm_up": "30m", "archive_layer_max_bytes": 500_000_000, "auto_cleanup": true})
	if err != nil || s.AutoWarmUp != "30m" || s.ArchiveLayerMaxBytes != 500_000_000 || !s.AutoCleanup {
		t.Fatalf("got %+v, %v", s, err)
	}
	for _, change := range []map[string]any{
		{"auto_warm_up": "30s"}, {"auto_warm_up": "8d"}, {"auto_warm_up": 60}, {"archive_layer_max_bytes": -1}, {"archive_layer_max_bytes": "1GiB"}, {"archive_layer_max_bytes": 1 << 41},
	} {
		_, err := b.admin.UpdateSettings(t.Context(), change)
		wantProblem(t, err, http.StatusUnprocessableEntity, client.CodeInvalid)
	}
	if now, err := b.viewer.Settings(t.Context()); err != nil || now != s {
		t.Errorf("got %+v, %v", now, err)
	}
}

func TestStageLeavesItToItsPolicyHowManyAreKept(t *testing.T) {
	b := newBed(t)
	st := b.shop("shop", "preview")
	if status, _, text := b.raw(b.admin, patch, "/api/stages/"+st.ID, `{"keep_last":null}`); status != http.StatusOK || !strings.Contains(text, `"keep_last":null`) {
		t.Errorf("%d %s", status, text)
	}
	if d, err := b.viewer.StagePolicy(t.Context(), st.ID); err != nil || d.InForce.KeepLast != 2 || d.InForce.DecidedBy.KeepLast != "default" {
		t.Errorf("got %+v, %v", d.InForce, err)
	}
	shown, err := b.admin.UpdateStage(t.Context(), st.ID, client.StageChange{KeepLast: new(5)})
	if err != nil || shown.KeepLast == nil || *shown.KeepLast != 5 {
		t.Errorf("got %+v, %v", shown, err)
	}
	for _, wrong := range []string{`-1`, `101`, `"2"`, `1.5`} {
		if status, _, text := b.raw(b.admin, patch, "/api/stages/"+st.ID, `{"keep_last":`+wrong+`}`); status != http.StatusUnprocessableEntity {
			t.Errorf("%s: %d %s", wrong, status, text)
		}
	}
}
