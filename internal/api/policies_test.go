package api

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/tiny-forge/docker-watcher/client"
	"github.com/tiny-forge/docker-watcher/internal/store"
)

// previewsAtNight is the policy that the documents recommend first.
func previewsAtNight() client.Policy {
	return client.Policy{
		StaleAfter: new("3d"), Action: new("cleanup"), CleanupAfter: new("24h"), KeepLast: new(1), MaxPerRun: new(5), MaxSharePercent: new(30),
		Window: &client.Window{Days: []string{"mon", "fri"}, From: "02:00", Until: "05:00", TimeZone: "Europe/Berlin"},
	}
}

func TestPoliciesOfThreeLevels(t *testing.T) {
	b := newBed(t)
	st := b.shop("shop", "preview")

	global, err := b.viewer.GlobalPolicy(t.Context())
	if err != nil || global.Level != "global" || global.Policy != (client.Policy{}) || global.Revision != 0 || global.InForce != nil {
		t.Fatalf("got %+v, %v", global, err)
	}
	global, err = b.admin.SetGlobalPolicy(t.Context(), client.Policy{CleanupAfter: new("48h"), StaleAfter: new("14d")})
	if err != nil || *global.Policy.StaleAfter != "14d" || global.Policy.Action != nil {
		t.Fatalf("got %+v, %v", global, err)
	}
	b.thresholdsChange()
	if s, err := b.viewer.Settings(t.Context()); err != nil || s.StaleThresholdDays != 14 {
		t.Errorf("the threshold of the settings is another: %+v, %v", s, err)
	}

	project, err := b.viewer.ProjectPolicy(t.Context(), "shop")
	b.must(err)
	project, err = b.admin.SetProjectPolicy(t.Context(), "shop", previewsAtNight(), project.Revision)
	b.must(err)
	if project.ProjectID != st.ProjectID || project.Project != "shop" || *project.Policy.Action != "cleanup" || project.Policy.Window.TimeZone != "Europe/Berlin" ||
		strings.Join(project.Policy.Window.Days, " ") != "mon fri" || *project.Policy.MaxPerRun != 5 {
		t.Errorf("got %+v", project)
	}
	_, err = b.admin.SetProjectPolicy(t.Context(), "shop", client.Policy{}, project.Revision+1)
	wantProblem(t, err, http.StatusPreconditionFailed, client.CodeRevision)

	stage, err := b.admin.SetStagePolicy(t.Context(), st.ID, client.Policy{KeepLast: new(7), Action: new("warn")}, 0)
	b.must(err)
	f := stage.InForce
	if f == nil || f.Action != "warn" || f.KeepLast != 7 || f.StaleAfter != "3d" || f.CleanupAfter != "24h" && f.CleanupAfter != "1d" || f.MaxPerRun != 5 || f.MaxSharePercent != 30 ||
		f.Window.From != "02:00" || f.Window.Until != "05:00" || f.StageKind != "preview" {
		t.Fatalf("in force: %+v", f)
	}
	if d := f.DecidedBy; d.Action != "stage" || d.KeepLast != "stage" || d.StaleAfter != "project" || d.CleanupAfter != "project" || d.Window != "project" {
		t.Errorf("decided by %+v", d)
	}
	if e := b.event("policy.updated"); e.Actor != "token:admin" {
		t.Errorf("got %+v", e)
	}

	// Whole: what is not said is inherited again.
	stage, err = b.admin.SetStagePolicy(t.Context(), st.ID, client.Policy{}, stage.Revision)
	if err != nil || stage.Policy != (client.Policy{}) || stage.InForce.Action != "cleanup" || stage.InForce.KeepLast != 1 || stage.InForce.DecidedBy.KeepLast != "project" {
		t.Fatalf("got %+v %+v, %v", stage, stage.InForce, err)
	}
	if shown, err := b.viewer.Stage(t.Context(), st.ID); err != nil || shown.KeepLast != nil {
		t.Errorf("the stage still says how many it keeps: %+v, %v", shown, err)
	}

	all, err := b.viewer.Policies(t.Context())
	b.must(err)
	if *all.Global.CleanupAfter != "2d" && *all.Global.CleanupAfter != "48h" || len(all.Projects) != 1 || len(all.Stages) != 0 || len(all.InForce) != 1 || all.InForce[0].StageID != st.ID || all.AutoCleanup {
		t.Errorf("got %+v", all)
	}
}

func TestProductionIsOnlyWarnedOfUnlessItSaysOtherwise(t *testing.T) {
	b := newBed(t)
	p, err := b.admin.CreateProject(t.Context(), client.NewProject{Name: "shop", Image: "shop"})
	b.must(err)
	st, err := b.admin.CreateStage(t.Context(), client.NewStage{ProjectID: p.ID, Name: "production", Kind: "production"})
	b.must(err)
	_, err = b.admin.SetGlobalPolicy(t.Context(), client.Policy{Action: new("cleanup")})
	b.must(err)
	_, err = b.admin.SetProjectPolicy(t.Context(), p.ID, client.Policy{Action: new("cleanup")}, 0)
	b.must(err)
	d, err := b.viewer.StagePolicy(t.Context(), st.ID)
	if err != nil || d.InForce.Action != "warn" || d.InForce.DecidedBy.Action != "default" {
		t.Fatalf("got %+v, %v", d.InForce, err)
	}
	d, err = b.admin.SetStagePolicy(t.Context(), st.ID, client.Policy{Action: new("cleanup")}, d.Revision)
	if err != nil || d.InForce.Action != "cleanup" || d.InForce.DecidedBy.Action != "stage" {
		t.Errorf("got %+v, %v", d.InForce, err)
	}
}

func TestWrongPoliciesAreRefused(t *testing.T) {
	b := newBed(t)
	st := b.shop("shop", "preview")
	for body, where := range map[string]string{
		`{"action":"delete"}`:                         "body.action",
		`{"Action":"warn"}`:                           "body.Action",
		`{"action":"warn","action":"cleanup"}`:        "body",
		`{"no_such_part":1}`:                          "body.no_such_part",
		`{"no_such_part":null}`:                       "body.no_such_part",
		`{"cleanup_after":"soon"}`:                    "body.cleanup_after",
		`{"cleanup_after":"-1h"}`:                     "body.cleanup_after",
		`{"cleanup_after":"366d"}`:                    "body.cleanup_after",
		`{"cleanup_after":24}`:                        "body.cleanup_after",
		`{"stale_after":"0s"}`:                        "body.stale_after",
		`{"stale_after":7}`:                           "body.stale_after",
		`{"stale_after":""}`:                          "body.stale_after",
		`{"keep_last":-1}`:                            "body.keep_last",
		`{"keep_last":101}`:                           "body.keep_last",
		`{"keep_last":1.5}`:                           "body.keep_last",
		`{"max_per_run":0}`:                           "body.max_per_run",
		`{"max_per_run":501}`:                         "body.max_per_run",
		`{"max_share_percent":0}`:                     "body.max_share_percent",
		`{"max_share_percent":101}`:                   "body.max_share_percent",
		`{"window":{"time_zone":"Mars/Olympus"}}`:     "body.window",
		`{"window":{"days":["mon","mon"]}}`:           "body.window",
		`{"window":{"days":["monday"]}}`:              "body.window",
		`{"window":{"from":"25:00","until":"26:00"}}`: "body.window",
		`{"window":{"form":"02:00"}}`:                 "body.window",
		`{"window":{"from":"02:00","from":"03:00"}}`:  "body.window",
		`{"window":"always"}`:                         "body.window",
		`[]`:                                          "body",
		`null`:                                        "body",
		`{} {}`:                                       "body",
	} {
		for _, path := range []string{"/api/policies/global", "/api/projects/shop/policy", "/api/stages/" + st.ID + "/policy"} {
			status, _, text := b.raw(b.admin, put, path, body)
			if status != http.StatusUnprocessableEntity || !strings.Contains(text, `"location":"`+where) {
				t.Errorf("%s %s: %d %s, want the place %s", path, body, status, text, where)
			}
		}
		if !strings.HasPrefix(body, "{}") {
			trial := `{"level":"global","policy":` + body + `}`
			status, _, text := b.raw(b.operator, post, "/api/policies/try", trial)
			if status != http.StatusUnprocessableEntity || !strings.Contains(text, `"location":"body.policy`) {
				t.Errorf("%s: %d %s", trial, status, text)
			}
		}
	}
	if status, _, text := b.raw(b.admin, put, "/api/policies/global", `{"stale_after":"36h"}`); status != http.StatusUnprocessableEntity || !strings.Contains(text, "body.stale_after") {
		t.Errorf("the global threshold is of whole days: %d %s", status, text)
	}
	if d, err := b.viewer.StagePolicy(t.Context(), st.ID); err != nil || d.Revision != st.Revision && d.Revision != 1 {
		t.Errorf("something was written: %+v, %v", d, err)
	}
	if len(b.changed) != 0 {
		t.Error("a scan was asked for")
	}
}

func TestPolicyIsTriedFirst(t *testing.T) {
	b := newBed(t)
	st := b.shop("shop", "preview")
	old, _ := b.plant(st, "shop-preview-old", 12)
	fresh, _ := b.plant(st, "shop-preview-fresh", 4)
	b.plant(b.shop("blog", "preview"), "blog-preview-x", 12)
	b.scan()
	_, err := b.admin.UpdateSettings(t.Context(), map[string]any{"auto_cleanup": true})
	b.must(err)
	before, err := b.viewer.Policies(t.Context())
	b.must(err)

	change := client.PolicyChange{Level: "stage", Project: "shop", Stage: "preview", Policy: client.Policy{Action: new("cleanup"), StaleAfter: new("3d"), CleanupAfter: new("0s")}}
	_, err = b.viewer.PolicyTry(t.Context(), change)
	wantProblem(t, err, http.StatusForbidden, client.CodeForbidden)
	trial, err := b.operator.PolicyTry(t.Context(), change)
	b.must(err)
	if trial.Considered != 2 || trial.NewlyStale.Count != 1 || trial.Spared.Count != 0 || trial.NoLongerCleaned.Count != 0 {
		t.Fatalf("got %+v", trial)
	}
	if i := trial.NewlyStale.Items[0]; i.InstanceID != fresh.ID || i.Project != "shop" || i.Stage != "preview" || i.StaleReason == "" || i.Class != "exited" {
		t.Errorf("got %+v", i)
	}
	found := false
	for _, i := range trial.NewlyCleaned.Items {
		if i.InstanceID == old.ID {
			found = i.Now.Action == "warn" && i.Then.Action == "cleanup" && i.Then.Level == "stage" && !i.Then.At.IsZero() && i.Now.At.IsZero() && i.Then.Why != ""
		}
	}
	if !found || trial.NewlyCleaned.Count != len(trial.NewlyCleaned.Items) {
		t.Errorf("newly cleaned: %+v", trial.NewlyCleaned)
	}

	if len(trial.FirstRuns) != 1 || trial.FirstRuns[0].Host != "local" || trial.FirstRuns[0].Takes != trial.FirstRuns[0].Due || !trial.FirstRuns[0].PlanAt.Before(trial.FirstRuns[0].At) {
		t.Errorf("first runs: %+v", trial.FirstRuns)
	}

	change.Policy = client.Policy{StaleAfter: new("never")}
	if trial, err = b.operator.PolicyTry(t.Context(), change); err != nil || trial.Spared.Count != 1 || trial.Spared.Items[0].InstanceID != old.ID || trial.NewlyStale.Count != 0 {
		t.Errorf("got %+v, %v", trial, err)
	}
	after, err := b.viewer.Policies(t.Context())
	b.must(err)
	if diff := cmp.Diff(before, after); diff != "" {
		t.Errorf("the trial wrote something: %s", diff)
	}

	for body, where := range map[string]string{
		`{}`:                              "body.policy",
		`{"level":"global"}`:              "body.policy",
		`{"level":"all","policy":{}}`:     "body.level",
		`{"level":"stage","policy":{}}`:   "body.stage",
		`{"level":"project","policy":{}}`: "body.project",
		`{"level":"global","project":"shop","policy":{}}`:                                   "body.project",
		`{"level":"project","project":"shop","stage":"preview","policy":{}}`:                "body.stage",
		`{"level":"project","project":"none","policy":{}}`:                                  "body.project",
		`{"level":"stage","stage":"none","policy":{}}`:                                      "body.stage",
		`{"level":"stage","project":"blog","stage":"` + st.ID + `","policy":{}}`:            "body.stage",
		`{"level":"global","policy":{},"auto_cleanup":"on"}`:                                "body.auto_cleanup",
		`{"level":"global","policy":{},"force":true}`:                                       "body.force",
		`{"level":"global","level":"stage","policy":{}}`:                                    "body",
		`{"level":"global","policy":null}`:                                                  "body.policy",
		`{"level":"stage","stage":"` + st.ID + `","policy":{"action":"cleanup","x":null}}`:  "body.policy.x",
		`{"level":"stage","stage":"` + st.ID + `","policy":{"keep_last":1,"keep_last":90}}`: "body.policy",
	} {
		status, _, text := b.raw(b.operator, post, "/api/policies/try", body)
		if status != http.StatusUnprocessableEntity || !strings.Contains(text, `"location":"`+where+`"`) {
			t.Errorf("%s: %d %s, want the place %s", body, status, text, where)
		}
	}
}

// TestStaleItemsSayWhatPolicyWillDo: off, warned only, and when.
func TestStaleItemsSayWhatPolicyWillDo(t *testing.T) {
	b := newBed(t)
	st := b.shop("shop", "preview")
	inst, _ := b.plant(st, "shop-preview-a", 12)
	b.scan()
	decision := func() client.Decision {
		t.Helper()
		l, err := b.viewer.Stale(t.Context(), client.StaleFilter{}, client.Page{})
		b.must(err)
		i, err := b.viewer.Instance(t.Context(), inst.ID)
		b.must(err)
		if i.Policy == nil || i.Policy.Action != l.Items[0].Policy.Action || i.Policy.Level != l.Items[0].Policy.Level || i.Policy.At.IsZero() != l.Items[0].Policy.At.IsZero() {
			t.Errorf("the list says %+v, the instance %+v", l.Items[0].Policy, i.Policy)
		}
		return l.Items[0].Policy
	}
	if d := decision(); d.Action != "warn" || d.Level != "default" || !d.At.IsZero() || d.Why == "" {
		t.Errorf("got %+v", d)
	}
	_, err := b.admin.SetStagePolicy(t.Context(), st.ID, client.Policy{Action: new("cleanup"), CleanupAfter: new("24h")}, 0)
	b.must(err)
	if d := decision(); d.Action != "cleanup" || d.Level != "stage" || !d.At.IsZero() || !strings.Contains(d.Why, "switched off") {
		t.Errorf("got %+v", d)
	}
	_, err = b.admin.UpdateSettings(t.Context(), map[string]any{"auto_cleanup": true})
	b.must(err)
	if d := decision(); !d.At.After(time.Now().Add(23*time.Hour)) || !strings.Contains(d.Why, "would be cleaned") || !strings.Contains(d.Why, "unless alive") {
		t.Errorf("got %+v", d)
	}
	_, err = b.operator.Snooze(t.Context(), inst.ID, time.Now().Add(48*time.Hour), "demo")
	b.must(err)
	if d := decision(); !d.At.IsZero() || !strings.Contains(d.Why, "snoozed") {
		t.Errorf("got %+v", d)
	}
}

func TestSnooze(t *testing.T) {
	b := newBed(t)
	inst, ct := b.plant(b.shop("shop", "preview"), "shop-preview-a", 20)
	b.scan()
	for body, where := range map[string]string{
		`{"reason":"x"}`: "body.until",
		`{"until":"2001-01-01T00:00:00Z","reason":"x"}`:            "body.until",
		`{"until":"2999-01-01T00:00:00Z","reason":"x"}`:            "body.until",
		`{"until":"tomorrow","reason":"x"}`:                        "body.until",
		`{"until":"2026-12-01T00:00:00Z","for":"7d","reason":"x"}`: "body.until",
		`{"for":"never","reason":"x"}`:                             "body.for",
		`{"for":"366d","reason":"x"}`:                              "body.for",
		`{"for":"0s","reason":"x"}`:                                "body.for",
		`{"for":"7d"}`:                                             "body.reason",
		`{"for":"7d","reason":""}`:                                 "body.reason",
		`{"for":"7d","reason":"   "}`:                              "body.reason",
		`{"for":"7d","reason":"` + strings.Repeat("a", 201) + `"}`: "body.reason",
		`{"for":"7d","reason":"x","forever":true}`:                 "body.forever",
		``: "body",
	} {
		status, _, text := b.raw(b.operator, post, "/api/instances/"+inst.ID+"/snooze", body)
		if status != http.StatusUnprocessableEntity || !strings.Contains(text, `"location":"`+where+`"`) {
			t.Errorf("%s: %d %s, want the place %s", body, status, text, where)
		}
	}
	_, err := b.viewer.SnoozeFor(t.Context(), inst.ID, "7d", "x")
	wantProblem(t, err, http.StatusForbidden, client.CodeForbidden)
	until := time.Now().Add(7 * day).Truncate(time.Millisecond)
	i, err := b.operator.Snooze(t.Context(), inst.ID, until, "demo on friday")
	b.must(err)
	if i.Protection == nil || i.Protection.Kind != "snoozed" || !i.Protection.Until.Equal(until) || !i.SnoozedUntil.Equal(until) || i.SnoozedBy != "token:operator" || i.SnoozeReason != "demo on friday" {
		t.Errorf("got %+v", i)
	}
	if e := b.event("instance.snoozed"); e.InstanceID != inst.ID || e.Actor != "token:operator" || e.Data["reason"] != "demo on friday" {
		t.Errorf("got %+v", e)
	}
	// Listed, and kept by every cleanup.
	l, err := b.viewer.Stale(t.Context(), client.StaleFilter{Protection: []string{"snoozed"}}, client.Page{})
	if err != nil || len(l.Items) != 1 || *l.Total != 1 {
		t.Errorf("got %+v, %v", l, err)
	}
	if l, err = b.viewer.Stale(t.Context(), client.StaleFilter{Protection: []string{"pinned", "tag_gone"}}, client.Page{}); err != nil || len(l.Items) != 0 {
		t.Errorf("got %+v, %v", l, err)
	}
	if p, err := b.operator.CleanupOne(t.Context(), inst.ID); err != nil || p.Items[0].Result != "kept" || !ct.Facts().Exists {
		t.Errorf("got %+v, %v", p, err)
	}
	if i, err = b.operator.SnoozeFor(t.Context(), inst.ID, "36h", "longer"); err != nil || !i.SnoozedUntil.After(time.Now().Add(35*time.Hour)) || i.SnoozeReason != "longer" {
		t.Errorf("got %+v, %v", i, err)
	}
	if i, err = b.operator.Unsnooze(t.Context(), inst.ID); err != nil || i.Protection != nil || !i.SnoozedUntil.IsZero() || i.SnoozedBy != "" {
		t.Errorf("got %+v, %v", i, err)
	}
	if e := b.event("instance.unsnoozed"); e.InstanceID != inst.ID {
		t.Errorf("got %+v", e)
	}
	if _, err = b.operator.Unsnooze(t.Context(), inst.ID); err != nil {
		t.Errorf("what is so already is no error: %v", err)
	}
}

// TestTagGoneNeedsAnExplicitYes: listed as protected, kept by a plan, and gone by a plan that says so.
func TestTagGoneNeedsAnExplicitYes(t *testing.T) {
	b := newBed(t)
	inst, ct := b.plant(b.shop("shop", "preview"), "shop-preview-a", 20)
	b.scan()
	since := time.Now().UTC().Add(-time.Hour).Truncate(time.Millisecond)
	b.update(func(tx *store.Tx) error { return tx.SetTagChecked(t.Context(), "shop", "1.0", time.Now(), since) })
	l, err := b.viewer.Stale(t.Context(), client.StaleFilter{Protection: []string{"tag_gone"}}, client.Page{})
	b.must(err)
	if len(l.Items) != 1 || l.Items[0].Protection == nil || l.Items[0].Protection.Kind != "tag_gone" || !l.Items[0].TagGoneSince.Equal(since) {
		t.Fatalf("got %+v", l.Items)
	}
	p, err := b.operator.CleanupOne(t.Context(), inst.ID)
	b.must(err)
	if p.Items[0].Result != "kept" || p.TagGone || !ct.Facts().Exists {
		t.Fatalf("got %+v", p)
	}
	p, err = b.operator.PlanOneTagGone(t.Context(), inst.ID)
	b.must(err)
	if !p.TagGone {
		t.Errorf("the plan does not say yes: %+v", p)
	}
	p, err = b.operator.ApplyOne(t.Context(), inst.ID, p.ID)
	b.must(err)
	if p.Items[0].Result != "removed" || ct.Facts().Exists {
		t.Errorf("got %+v", p.Items[0])
	}
	for _, body := range []string{`{"tag_gone":true}`, `{"dry_run":true,"tag_gone":false}`, `{"dry_run":true,"tag_gone":null}`, `{"plan_id":"x","tag_gone":true}`} {
		if status, _, text := b.raw(b.admin, post, "/api/containers/stale/cleanup", body); status != http.StatusUnprocessableEntity {
			t.Errorf("%s: %d %s", body, status, text)
		}
	}
}

// FuzzPolicy: whatever is read as a policy can be shown, and means the same when it is sent again as it is shown.
func FuzzPolicy(f *testing.F) {
	for _, seed := range []string{
		`{}`, `{"action":"cleanup","cleanup_after":"24h","stale_after":"3d","keep_last":1,"max_per_run":5,"max_share_percent":30}`,
		`{"window":{"days":["mon","sun"],"from":"22:00","until":"05:00","time_zone":"Europe/Berlin"}}`, `{"action":null,"window":null}`,
		`{"window":{"from":"00:00","until":"24:00"}}`, `{"stale_after":"never"}`,
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		p, err := readPolicy("body", text)
		if err != nil {
			return
		}
		shown, err := policyOf(p)
		if err != nil {
			t.Fatal(err)
		}
		sent, err := json.Marshal(shown)
		if err != nil {
			t.Fatal(err)
		}
		again, err := readPolicy("body", sent)
		if err != nil {
			t.Fatalf("what is shown of %s cannot be sent again: %s: %v", text, sent, err)
		}
		twice, err := policyOf(again)
		if err != nil {
			t.Fatal(err)
		}
		resent, err := json.Marshal(twice)
		if err != nil || string(resent) != string(sent) {
			t.Fatalf("%s became %s, %v", sent, resent, err)
		}
	})
}
