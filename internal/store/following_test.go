package store_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/tiny-forge/docker-watcher/internal/store"
	"github.com/tiny-forge/docker-watcher/internal/store/storetest"
	"github.com/tiny-forge/docker-watcher/internal/tagrule"
)

// follows makes a stage follow the tags of its repository.
func follows(s *store.Stage) {
	s.TagRule = &tagrule.Rule{Kind: tagrule.Glob, Pattern: "v*", Order: tagrule.ByVersion, Ignore: []string{"*-debug", "v0.*"}}
	s.Mode, s.MinImageAge, s.PollInterval = store.ModeAuto, 36*time.Hour, time.Minute
}

func TestHowAStageFollowsIsKept(t *testing.T) {
	storetest.Both(t, func(t *testing.T, db *store.DB) {
		s := storetest.Stage(t, db, storetest.Host(t, db), storetest.Project(t, db), follows)
		got, err := db.Stage(t.Context(), s.ID)
		if err != nil {
			t.Fatal(err)
		}
		same := func(want store.Stage) {
			t.Helper()
			if diff := cmp.Diff(want.TagRule, got.TagRule); diff != "" || got.Mode != want.Mode || got.MinImageAge != want.MinImageAge || got.PollInterval != want.PollInterval {
				t.Errorf("got %+v\n%s", got, diff)
			}
		}
		same(s)
		got.TagRule, got.Mode, got.MinImageAge, got.PollInterval = nil, store.ModeManual, 0, 0
		want := got
		storetest.Update(t, db, func(ctx context.Context, tx *store.Tx) error { return tx.UpdateStage(ctx, want) })
		if got, err = db.Stage(t.Context(), s.ID); err != nil {
			t.Fatal(err)
		}
		same(want)
	})
}

func TestWrongFollowingIsRefused(t *testing.T) {
	storetest.Both(t, func(t *testing.T, db *store.DB) {
		good := storetest.Stage(t, db, storetest.Host(t, db), storetest.Project(t, db), follows)
		for name, c := range map[string]struct {
			edit  func(*store.Stage)
			field string
		}{
			"a rule that cannot be used":   {func(s *store.Stage) { s.TagRule = &tagrule.Rule{Kind: tagrule.Regex, Pattern: "("} }, "tag_rule.pattern"},
			"a part of a rule":             {func(s *store.Stage) { s.TagRule.Ignore = []string{"a", "["} }, "tag_rule.ignore[1]"},
			"auto without a rule":          {func(s *store.Stage) { s.TagRule = nil }, "mode"},
			"notify without a rule":        {func(s *store.Stage) { s.TagRule, s.Mode = nil, store.ModeNotify }, "mode"},
			"an unknown mode":              {func(s *store.Stage) { s.Mode = "always" }, "mode"},
			"an age below zero":            {func(s *store.Stage) { s.MinImageAge = -time.Second }, "min_image_age"},
			"an age over a year":           {func(s *store.Stage) { s.MinImageAge = 366 * 24 * time.Hour }, "min_image_age"},
			"an age of half a second":      {func(s *store.Stage) { s.MinImageAge = time.Second / 2 }, "min_image_age"},
			"polled too often":             {func(s *store.Stage) { s.PollInterval = 29 * time.Second }, "poll_interval"},
			"polled before it was asked":   {func(s *store.Stage) { s.PollInterval = -time.Hour }, "poll_interval"},
			"polled more seldom than that": {func(s *store.Stage) { s.PollInterval = 8 * 24 * time.Hour }, "poll_interval"},
		} {
			s := good
			rule := *good.TagRule
			s.TagRule = &rule
			c.edit(&s)
			for what, write := range map[string]func(ctx context.Context, tx *store.Tx) error{
				"update": func(ctx context.Context, tx *store.Tx) error { return tx.UpdateStage(ctx, s) },
				"insert": func(ctx context.Context, tx *store.Tx) error {
					s := s
					s.ID, s.Name = store.NewID(), "another"
					return tx.InsertStage(ctx, s)
				},
			} {
				var wrong store.FieldError
				if err := try(t, db, write); !errors.As(err, &wrong) || wrong.Field != c.field || wrong.Reason == "" {
					t.Errorf("%s, %s: %v", name, what, err)
				}
			}
		}
		if got, err := db.Stage(t.Context(), good.ID); err != nil || got.Revision != good.Revision || got.Mode != store.ModeAuto {
			t.Errorf("something was written: %+v, %v", got, err)
		}
	})
}

// aPoll is one with a word in every place.
func aPoll(stageID string) store.StagePoll {
	return store.StagePoll{
		StageID: stageID, LastAt: noon, NextAt: noon.Add(time.Minute), Error: "no answer", Since: noon.Add(-time.Hour),
		NewestTag: "v2", NewestDigest: "sha256:2", NewestSeen: noon.Add(-2 * time.Hour), ReadyTag: "v1", ReadyDigest: "sha256:1", Why: "it is old enough",
		ToldDigest: "sha256:0", AskedTag: "v0", AskedDigest: "sha256:00", AskedAt: noon.Add(-3 * time.Hour), AskedDone: true,
	}
}

func TestPollsAreKept(t *testing.T) {
	storetest.Both(t, func(t *testing.T, db *store.DB) {
		ctx := t.Context()
		h, p := storetest.Host(t, db), storetest.Project(t, db)
		s, other := storetest.Stage(t, db, h, p, follows), storetest.Stage(t, db, h, p)
		kept := func(ids ...string) map[string]store.StagePoll {
			t.Helper()
			polls, err := db.StagePolls(ctx, ids...)
			if err != nil {
				t.Fatal(err)
			}
			return polls
		}
		save := func(poll store.StagePoll) error {
			return try(t, db, func(ctx context.Context, tx *store.Tx) error { return tx.SavePoll(ctx, poll) })
		}
		if len(kept()) != 0 {
			t.Error("something is kept that nobody wrote")
		}
		for _, want := range []store.StagePoll{aPoll(s.ID), {StageID: s.ID}, {StageID: s.ID, Why: "nul \x00 and \xff"}, aPoll(s.ID)} {
			if err := save(want); err != nil {
				t.Fatal(err)
			}
			if want.Why != "" {
				want.Why = strings.NewReplacer("\x00", "\uFFFD", "\xff", "\uFFFD").Replace(want.Why)
			}
			if diff := cmp.Diff(map[string]store.StagePoll{s.ID: want}, kept()); diff != "" {
				t.Error(diff)
			}
		}
		wantErr(t, save(aPoll("nobody")), store.ErrConflict)
		if len(kept(other.ID)) != 0 || len(kept(s.ID, other.ID)) != 1 {
			t.Error("others than those named are read")
		}
		storetest.Update(t, db, func(ctx context.Context, tx *store.Tx) error { return tx.DeleteStage(ctx, s.ID) })
		if len(kept()) != 0 {
			t.Error("it outlives its stage")
		}
	})
}

func TestFollowers(t *testing.T) {
	storetest.Both(t, func(t *testing.T, db *store.DB) {
		ctx := t.Context()
		h := storetest.Host(t, db)
		p := storetest.Project(t, db, func(p *store.Project) { p.Name, p.Image = "shop", "ghcr.io/acme/shop" })
		s := storetest.Stage(t, db, h, p, follows)
		without := storetest.Stage(t, db, h, p)
		storetest.Stage(t, db, h, storetest.Project(t, db), follows) // of another repository
		deploy := func(tag string, state store.DeployState) {
			t.Helper()
			storetest.Update(t, db, func(ctx context.Context, tx *store.Tx) error {
				return tx.InsertDeploy(ctx, store.Deploy{
					ID: store.NewID(), ProjectID: p.ID, StageID: s.ID, HostID: h.ID, Image: p.Image, ImageTag: tag, Digest: "sha256:" + tag, State: state, CreatedAt: noon,
				})
			})
		}
		only := func() store.Follower {
			t.Helper()
			all, err := db.Followers(ctx, p.Image)
			if err != nil || len(all) != 1 {
				t.Fatalf("%+v, %v", all, err)
			}
			one, err := db.Follower(ctx, s.ID)
			if diff := cmp.Diff(all[0], one); diff != "" || err != nil {
				t.Errorf("alone it is another: %s, %v", diff, err)
			}
			return one
		}
		want := store.Follower{Stage: store.Stage{
			ID: s.ID, ProjectID: p.ID, HostID: h.ID, Name: s.Name, TagRule: s.TagRule, Mode: s.Mode, MinImageAge: s.MinImageAge, PollInterval: s.PollInterval,
			Strategy: store.StrategyReplace, ParallelMax: s.ParallelMax,
		}, Project: "shop", Image: p.Image, Poll: store.StagePoll{StageID: s.ID}}
		if diff := cmp.Diff(want, only()); diff != "" {
			t.Errorf("before anything: %s", diff)
		}
		deploy("v1", store.DeployDone)
		deploy("v2", store.DeployFailed)
		storetest.Update(t, db, func(ctx context.Context, tx *store.Tx) error { return tx.SavePoll(ctx, aPoll(s.ID)) })
		want.Poll = aPoll(s.ID)
		want.Done = store.Deploy{Image: p.Image, ImageTag: "v1", Digest: "sha256:v1", State: store.DeployDone, CreatedAt: noon}
		want.Last = store.Deploy{Image: p.Image, ImageTag: "v2", Digest: "sha256:v2", State: store.DeployFailed, CreatedAt: noon}
		if diff := cmp.Diff(want, only()); diff != "" {
			t.Errorf("after two deploys: %s", diff)
		}
		if f, err := db.Follower(ctx, without.ID); err != nil || f.Stage.TagRule != nil || f.Image != p.Image {
			t.Errorf("without a rule: %+v, %v", f, err)
		}
		_, err := db.Follower(ctx, "nobody")
		wantErr(t, err, store.ErrNotFound)
	})
}

func TestWhatIsDue(t *testing.T) {
	storetest.Both(t, func(t *testing.T, db *store.DB) {
		ctx := t.Context()
		h := storetest.Host(t, db)
		p := storetest.Project(t, db, func(p *store.Project) { p.Image = "a.example/a" })
		one, two := storetest.Stage(t, db, h, p, follows), storetest.Stage(t, db, h, p, follows)
		q := storetest.Project(t, db, func(p *store.Project) { p.Image = "b.example/b" })
		late := storetest.Stage(t, db, h, q, follows)
		storetest.Stage(t, db, h, storetest.Project(t, db)) // follows nothing
		due := func(want string) {
			t.Helper()
			images, err := db.ImagesToPoll(ctx, noon)
			if got := strings.Join(images, " "); err != nil || got != want {
				t.Errorf("due is %q, %v; want %q", got, err, want)
			}
		}
		next := func(s store.Stage, at time.Time) {
			storetest.Update(t, db, func(ctx context.Context, tx *store.Tx) error {
				return tx.SavePoll(ctx, store.StagePoll{StageID: s.ID, NextAt: at})
			})
		}
		all := func() {
			for _, s := range []store.Stage{one, two, late} {
				next(s, noon.Add(time.Millisecond))
			}
			due("")
		}
		due("a.example/a b.example/b")
		all()
		next(two, noon)
		due("a.example/a")
		all()
		storetest.Update(t, db, func(ctx context.Context, tx *store.Tx) error { // as by a clock that ran ahead
			return tx.SavePoll(ctx, store.StagePoll{StageID: late.ID, LastAt: noon.AddDate(5, 0, 0), NextAt: noon.AddDate(5, 0, 1)})
		})
		due("b.example/b")
		all()

		storetest.Update(t, db, func(ctx context.Context, tx *store.Tx) error { return tx.UpdateStage(ctx, late) })
		due("b.example/b") // what it says may be something else now
		all()
		storetest.Update(t, db, func(ctx context.Context, tx *store.Tx) error {
			p.Image = "c.example/c"
			return tx.UpdateProject(ctx, p)
		})
		due("c.example/c")
		if polls, err := db.StagePolls(ctx); err != nil || len(polls) != 1 {
			t.Errorf("what is known is of another repository: %+v, %v", polls, err)
		}
		all()
		storetest.Update(t, db, func(ctx context.Context, tx *store.Tx) error {
			p.Name, p.Revision = "renamed", p.Revision+1
			return tx.UpdateProject(ctx, p)
		})
		due("")
		storetest.Update(t, db, func(ctx context.Context, tx *store.Tx) error { return tx.PollAtOnce(ctx, one.ID) })
		due("c.example/c")
		all()
		settings := store.DefaultSettings()
		settings.StaleThresholdDays = 3
		save := func(ctx context.Context, tx *store.Tx) error { return tx.SaveSettings(ctx, settings) }
		storetest.Update(t, db, save)
		due("") // that is no affair of registries
		settings.PollInterval = time.Minute
		storetest.Update(t, db, save)
		due("b.example/b c.example/c")
	})
}

// TestHadDeploy: by its digest, or by its tag unless the stage follows one that moves; of its own stage and repository only.
func TestHadDeploy(t *testing.T) {
	storetest.Both(t, func(t *testing.T, db *store.DB) {
		stage, i := storetest.Shop(t, db)
		project, err := db.Project(t.Context(), stage.ProjectID)
		if err != nil {
			t.Fatal(err)
		}
		storetest.Update(t, db, func(ctx context.Context, tx *store.Tx) error {
			return tx.InsertDeploy(ctx, store.Deploy{
				ID: store.NewID(), Kind: store.DeployForward, ProjectID: stage.ProjectID, StageID: stage.ID, HostID: stage.HostID, InstanceID: i.ID,
				Image: project.Image, ImageTag: "1.1", Digest: "sha256:1", State: store.DeployFailed, CreatedAt: noon, EndedAt: noon,
			})
		})
		versions, latest := &tagrule.Rule{Kind: tagrule.Glob, Pattern: "*"}, &tagrule.Rule{Kind: tagrule.Moving, Pattern: "1.1"}
		for name, c := range map[string]struct {
			rule        *tagrule.Rule
			stage       string
			image       string
			tag, digest string
			want        bool
		}{
			"its tag":                        {versions, stage.ID, project.Image, "1.1", "sha256:2", true},
			"its digest by another tag":      {versions, stage.ID, project.Image, "stable", "sha256:1", true},
			"its digest, of a moving tag":    {latest, stage.ID, project.Image, "1.1", "sha256:1", true},
			"a moving tag that moved":        {latest, stage.ID, project.Image, "1.1", "sha256:2", false},
			"another":                        {versions, stage.ID, project.Image, "1.2", "sha256:2", false},
			"a digest that is not known":     {versions, stage.ID, project.Image, "1.2", "", false},
			"the same of another stage":      {versions, "other", project.Image, "1.1", "sha256:1", false},
			"the same of another repository": {versions, stage.ID, "other", "1.1", "sha256:1", false},
		} {
			got, err := db.HadDeploy(t.Context(), store.Follower{Stage: store.Stage{ID: c.stage, TagRule: c.rule}, Image: c.image}, c.tag, c.digest)
			if err != nil || got != c.want {
				t.Errorf("%s: %v, %v", name, got, err)
			}
		}
	})
}
