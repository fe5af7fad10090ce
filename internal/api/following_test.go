package api

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/tiny-forge/docker-watcher/client"
	"github.com/tiny-forge/docker-watcher/internal/poll"
	"github.com/tiny-forge/docker-watcher/internal/store"
	"github.com/tiny-forge/docker-watcher/internal/tagrule"
)

// tagBook is a registry as a test wants it.
type tagBook struct {
	tags  []string
	made  map[string]time.Time
	err   error
	asked int
}

func (b *tagBook) Tags(context.Context, string) ([]string, error) {
	b.asked++
	return b.tags, b.err
}

func (b *tagBook) Digest(_ context.Context, _, tag string) (string, error) {
	b.asked++
	return "sha256:" + tag, b.err
}

func (b *tagBook) Created(_ context.Context, _, tag string) (time.Time, error) {
	b.asked++
	return b.made[tag], b.err
}

var semverRule = client.TagRule{Kind: "semver", Pattern: "^1", Ignore: []string{"*-debug"}}

func TestAStageFollowsTags(t *testing.T) {
	b := newBed(t)
	p, err := b.admin.CreateProject(t.Context(), client.NewProject{Name: "shop", Image: "shop"})
	b.must(err)
	plain, err := b.admin.CreateStage(t.Context(), client.NewStage{ProjectID: p.ID, Name: "plain", Kind: "dev"})
	if err != nil || plain.TagRule != nil || plain.Mode != "manual" || plain.MinImageAge != "0s" || plain.PollInterval != "" || plain.Poll != nil {
		t.Fatalf("without a rule: %+v, %v", plain, err)
	}
	st, err := b.admin.CreateStage(t.Context(), client.NewStage{
		ProjectID: p.ID, Name: "dev", Kind: "dev", TagRule: &semverRule, Mode: "auto", MinImageAge: "36h", PollInterval: "1m",
	})
	if err != nil || cmp.Diff(&semverRule, st.TagRule) != "" || st.Mode != "auto" || st.MinImageAge != "36h" || st.PollInterval != "1m" {
		t.Fatalf("got %+v, %v", st, err)
	}
	if e := b.event("stage.created"); e.StageID != st.ID || e.Data["mode"] != "auto" {
		t.Errorf("got %+v", e)
	}

	glob := client.TagRule{Kind: "glob", Pattern: "main-*", Order: "created"}
	empty := ""
	st, err = b.admin.UpdateStage(t.Context(), st.ID, client.StageChange{TagRule: &glob, Mode: new("notify"), MinImageAge: new("0s"), PollInterval: &empty, Revision: st.Revision})
	if err != nil || cmp.Diff(&glob, st.TagRule) != "" || st.Mode != "notify" || st.MinImageAge != "0s" || st.PollInterval != "" {
		t.Fatalf("got %+v, %v", st, err)
	}
	e := b.event("stage.updated")
	want := map[string]any{
		"tag_rule": map[string]any{"from": `semver "^1" but not *-debug`, "to": `glob "main-*" by created`}, "mode": map[string]any{"from": "auto", "to": "notify"},
		"min_image_age": map[string]any{"from": "36h", "to": "0s"}, "poll_interval": map[string]any{"from": "1m", "to": nil},
	}
	for name, was := range want {
		if diff := cmp.Diff(was, e.Data[name]); diff != "" {
			t.Errorf("the event's %s: %s", name, diff)
		}
	}
	if e.Data["keep_last"] != nil || e.Data["kind"] != nil || !strings.Contains(e.Message, "tag_rule, mode, min_image_age, poll_interval") {
		t.Errorf("got %+v", e)
	}

	st, err = b.admin.UpdateStage(t.Context(), st.ID, client.StageChange{TagRule: &client.TagRule{}, Mode: new("manual")})
	if err != nil || st.TagRule != nil || st.Mode != "manual" {
		t.Fatalf("got %+v, %v", st, err)
	}
	st, err = b.admin.UpdateStage(t.Context(), st.ID, client.StageChange{Kind: new("staging")})
	if err != nil || st.TagRule != nil || st.Mode != "manual" {
		t.Errorf("a change of something else: %+v, %v", st, err)
	}
	_, err = b.operator.UpdateStage(t.Context(), st.ID, client.StageChange{TagRule: &glob})
	wantProblem(t, err, http.StatusForbidden, client.CodeForbidden)
}

func TestWrongFollowingIsRefused(t *testing.T) {
	b := newBed(t)
	st := b.shop("shop", "preview")
	for body, where := range map[string]string{
		`{"tag_rule":{"kind":"glob","pattern":"["}}`:                                 "body.tag_rule.pattern",
		`{"tag_rule":{"kind":"regex","pattern":"(a)(b)"}}`:                           "body.tag_rule.pattern",
		`{"tag_rule":{"kind":"semver","pattern":"newest"}}`:                          "body.tag_rule.pattern",
		`{"tag_rule":{"kind":"newest","pattern":"x"}}`:                               "body.tag_rule.kind",
		`{"tag_rule":{"pattern":"x"}}`:                                               "body.tag_rule",
		`{"tag_rule":{"kind":"glob","pattern":"*","ignore":["a","b c"]}}`:            "body.tag_rule.ignore[1]",
		`{"tag_rule":{"kind":"glob","pattern":"*","pre_releases":true}}`:             "body.tag_rule.pre_releases",
		`{"tag_rule":{"kind":"exact","pattern":"1","order":"date"}}`:                 "body.tag_rule.order",
		`{"tag_rule":{"kind":"glob","pattern":"*","ordr":"date"}}`:                   "body.tag_rule",
		`{"tag_rule":{"kind":"glob","pattern":"` + strings.Repeat("*", 2000) + `"}}`: "body.tag_rule.pattern",
		`{"tag_rule":"*"}`:         "body.tag_rule",
		`{"mode":"auto"}`:          "body.mode",
		`{"mode":"always"}`:        "body.mode",
		`{"min_image_age":"soon"}`: "body.min_image_age",
		`{"min_image_age":"366d"}`: "body.min_image_age",
		`{"poll_interval":"1s"}`:   "body.poll_interval",
		`{"poll_interval":60}`:     "body.poll_interval",
	} {
		status, _, text := b.raw(b.admin, patch, "/api/stages/"+st.ID, body)
		if status != http.StatusUnprocessableEntity || !strings.Contains(text, `"location":"`+where) {
			t.Errorf("%s: %d %s, want the place %s", body, status, text, where)
		}
		create := `{"project_id":"shop","name":"new","kind":"dev",` + body[1:]
		if status, _, text = b.raw(b.admin, post, "/api/stages", create); status != http.StatusUnprocessableEntity || !strings.Contains(text, `"location":"`+where) {
			t.Errorf("%s: %d %s, want the place %s", create, status, text, where)
		}
		if !strings.Contains(body, "tag_rule") {
			continue
		}
		if status, _, text = b.raw(b.operator, post, "/api/stages/"+st.ID+"/rule/try", body); status != http.StatusUnprocessableEntity || !strings.Contains(text, `"location":"`+where) {
			t.Errorf("try %s: %d %s, want the place %s", body, status, text, where)
		}
	}
	if now, err := b.viewer.Stage(t.Context(), st.ID); err != nil || now.Revision != st.Revision || now.TagRule != nil || now.Mode != "manual" {
		t.Errorf("something was written: %+v, %v", now, err)
	}
	if b.registry.asked != 0 {
		t.Error("a registry was asked")
	}
}

// What polling brought is shown with its stage.
func TestWhatPollingBroughtIsShown(t *testing.T) {
	b := newBed(t)
	st := b.shop("shop", "preview")
	now := time.Now().UTC().Truncate(time.Millisecond)
	b.update(func(tx *store.Tx) error {
		return tx.SavePoll(t.Context(), store.StagePoll{
			StageID: st.ID, LastAt: now, NextAt: now.Add(time.Minute), Error: "no answer", Since: now.Add(-time.Hour), NewestTag: "2", ReadyTag: "1", ReadyDigest: "sha256:1", Why: "because",
		})
	})
	want := &client.StagePoll{
		LastAt: now, NextAt: now.Add(time.Minute), Error: "no answer", Since: now.Add(-time.Hour), NewestTag: "2", ReadyTag: "1", ReadyDigest: "sha256:1", Why: "because",
	}
	one, err := b.viewer.Stage(t.Context(), st.ID)
	b.must(err)
	all, err := b.viewer.Stages(t.Context(), "shop")
	b.must(err)
	for _, got := range []client.Stage{one, all[0]} {
		if diff := cmp.Diff(want, got.Poll); diff != "" {
			t.Error(diff)
		}
	}
}

func TestARuleIsTried(t *testing.T) {
	b := newBed(t)
	st := b.shop("shop", "preview")
	_, err := b.operator.TryRule(t.Context(), st.ID, client.RuleTry{})
	p := problemIn(t, err, http.StatusUnprocessableEntity, client.CodeInvalid)
	if p.Errors[0].Location != "body.tag_rule" {
		t.Errorf("got %+v", p)
	}
	_, err = b.viewer.TryRule(t.Context(), st.ID, client.RuleTry{TagRule: &semverRule})
	wantProblem(t, err, http.StatusForbidden, client.CodeForbidden)
	_, err = b.operator.TryRule(t.Context(), "nobody", client.RuleTry{TagRule: &semverRule})
	wantProblem(t, err, http.StatusNotFound, client.CodeNotFound)

	b.registry.tags = []string{"1.9.0", "1.10.0", "1.11.0-debug", "2.0.0", "latest", "1.10.0.sig"}
	got, err := b.operator.TryRule(t.Context(), st.ID, client.RuleTry{TagRule: &semverRule})
	b.must(err)
	var order []string
	for _, i := range got.Items {
		order = append(order, i.Tag)
		if i.Why == "" || i.Matched != (i.Version != "") || i.Ready != (i.Tag == "1.10.0") {
			t.Errorf("got %+v", i)
		}
	}
	if strings.Join(order, " ") != "1.10.0 1.9.0 latest 2.0.0 1.11.0-debug 1.10.0.sig" || !got.Asked || got.Image != "shop" || got.Considered != 6 || got.Matched != 2 ||
		got.ReadyTag != "1.10.0" || got.NewestTag != "1.10.0" || got.ReadyDigest != "sha256:1.10.0" || got.Why == "" || got.Act != "nothing" || !strings.Contains(got.Decision, "by hand") {
		t.Errorf("%v: %+v", order, got)
	}

	now := time.Now().UTC().Truncate(time.Second)
	b.registry.made = map[string]time.Time{"1.10.0": now.Add(-time.Hour), "1.9.0": now.Add(-48 * time.Hour)}
	got, err = b.operator.TryRule(t.Context(), st.ID, client.RuleTry{TagRule: &semverRule, MinImageAge: "1d"})
	b.must(err)
	if got.ReadyTag != "1.9.0" || got.NewestTag != "1.10.0" || !got.ReadyAt.Equal(now.Add(23*time.Hour)) || !got.Items[1].CreatedAt.Equal(now.Add(-48*time.Hour)) || got.MinImageAge != "1d" {
		t.Errorf("got %+v", got)
	}

	// The stage's own, in its own mode, with what it has.
	rule := tagrule.Rule{Kind: tagrule.Glob, Pattern: "1.*"}
	kept, err := b.db.Stage(t.Context(), st.ID)
	b.must(err)
	kept.TagRule, kept.Mode = &rule, store.ModeAuto
	b.update(func(tx *store.Tx) error {
		return errors.Join(tx.UpdateStage(t.Context(), kept), tx.InsertDeploy(t.Context(), store.Deploy{
			ID: store.NewID(), ProjectID: st.ProjectID, StageID: st.ID, HostID: st.HostID, Image: "shop", ImageTag: "1.9.0", Digest: "sha256:1.9.0", State: store.DeployDone,
		}))
	})
	got, err = b.operator.TryRule(t.Context(), st.ID, client.RuleTry{})
	if err != nil || got.Act != "deploy" || got.TagRule.Kind != "glob" || got.ReadyTag != "1.11.0-debug" {
		t.Errorf("got %+v, %v", got, err)
	}
	if after, err := b.viewer.Stage(t.Context(), st.ID); err != nil || after.Poll != nil || after.Revision != kept.Revision+1 {
		t.Errorf("something was written: %+v, %v", after, err)
	}
}

// Where tags run side by side, what the stage would make of the newest is decided for that tag alone.
func TestARuleIsTriedWhereTagsRunSideBySide(t *testing.T) {
	b := newBed(t)
	st := b.shop("shop", "preview")
	b.registry.tags = []string{"pr-1", "pr-2"}
	rule := tagrule.Rule{Kind: tagrule.Glob, Pattern: "pr-*"}
	kept, err := b.db.Stage(t.Context(), st.ID)
	b.must(err)
	kept.TagRule, kept.Mode, kept.Strategy, kept.ParallelMax = &rule, store.ModeAuto, store.StrategyParallel, 2
	deployed := func(tag string) func(tx *store.Tx) error {
		return func(tx *store.Tx) error {
			return tx.InsertDeploy(t.Context(), store.Deploy{
				ID: store.NewID(), ProjectID: st.ProjectID, StageID: st.ID, HostID: st.HostID, Image: "shop", ImageTag: tag, Digest: "sha256:" + tag, State: store.DeployDone,
			})
		}
	}
	b.update(func(tx *store.Tx) error { return errors.Join(tx.UpdateStage(t.Context(), kept), deployed("pr-9")(tx)) })
	got, err := b.operator.TryRule(t.Context(), st.ID, client.RuleTry{})
	if err != nil || got.Act != "deploy" || got.ReadyTag != "pr-2" {
		t.Errorf("beside another: %+v, %v", got, err)
	}
	b.update(deployed("pr-2"))
	if got, err = b.operator.TryRule(t.Context(), st.ID, client.RuleTry{}); err != nil || got.Act != "nothing" || !strings.Contains(got.Decision, "it was deployed") {
		t.Errorf("what is there: %+v, %v", got, err)
	}
}

func TestARuleIsTriedOnNamedTags(t *testing.T) {
	b := newBed(t)
	st := b.shop("shop", "preview")
	b.registry.err = errors.New("it must not be asked")
	got, err := b.operator.TryRule(t.Context(), st.ID, client.RuleTry{TagRule: &semverRule, Tags: &[]string{"1.0.0", "1.2.0", "no tag", "<b>"}})
	b.must(err)
	if b.registry.asked != 0 || got.Asked || got.ReadyTag != "1.2.0" || got.ReadyDigest != "" || got.Act != "" || got.Matched != 2 || got.Considered != 4 {
		t.Errorf("got %+v", got)
	}
	got, err = b.operator.TryRule(t.Context(), st.ID, client.RuleTry{TagRule: &semverRule, Tags: &[]string{}})
	if err != nil || got.ReadyTag != "" || got.Why != "the repository has no tags" || len(got.Items) != 0 {
		t.Errorf("of none: %+v, %v", got, err)
	}
	got, err = b.operator.TryRule(t.Context(), st.ID, client.RuleTry{TagRule: &semverRule, Tags: &[]string{"1.0.0"}, MinImageAge: "1h"})
	if err != nil || got.ReadyTag != "" || !strings.Contains(got.Why, "not known when") {
		t.Errorf("of an age that nobody knows: %+v, %v", got, err)
	}
	many := make([]string, 5001)
	_, err = b.operator.TryRule(t.Context(), st.ID, client.RuleTry{TagRule: &semverRule, Tags: &many})
	wantProblem(t, err, http.StatusUnprocessableEntity, client.CodeInvalid)
}

// Could not ask is an error that says so, and never that there are no tags.
func TestARuleThatCannotBeTried(t *testing.T) {
	b := newBed(t)
	st := b.shop("shop", "preview")
	try := func() *client.Problem {
		t.Helper()
		_, err := b.operator.TryRule(t.Context(), st.ID, client.RuleTry{TagRule: &semverRule})
		return problemIn(t, err, http.StatusServiceUnavailable, client.CodeRegistry)
	}
	b.registry.err = errors.New("connection refused")
	if p := try(); !strings.Contains(p.Detail, "connection refused") || p.Hint == "" {
		t.Errorf("got %+v", p)
	}
	b.registry.err = poll.Refused{Until: time.Now().Add(90 * time.Second), Err: errors.New("429")}
	status, header, _ := b.raw(b.operator, post, "/api/stages/"+st.ID+"/rule/try", `{"tag_rule":{"kind":"glob","pattern":"*"}}`)
	if after := header.Get("Retry-After"); status != http.StatusServiceUnavailable || after != "90" && after != "89" {
		t.Errorf("%d, Retry-After %q", status, after)
	}
}

// A list of very many tags is counted whole and shown in part.
func TestATrialOfVeryManyTags(t *testing.T) {
	b := newBed(t)
	st := b.shop("shop", "preview")
	for n := range 3000 {
		b.registry.tags = append(b.registry.tags, "a-"+strings.Repeat("x", n%100), "b-"+time.Unix(int64(n), 0).UTC().Format("150405"))
	}
	got, err := b.operator.TryRule(t.Context(), st.ID, client.RuleTry{TagRule: &client.TagRule{Kind: "glob", Pattern: "b-*"}})
	b.must(err)
	if got.Matched != 3000 || got.Considered != 3100 || len(got.Items) != mostMatched+100 || got.Items[0].Tag != "b-004959" {
		t.Errorf("%d of %d match, %d are shown, first %+v", got.Matched, got.Considered, len(got.Items), got.Items[0])
	}
}
