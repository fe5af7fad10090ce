package stale

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/tiny-forge/docker-watcher/internal/store"
)

// aged puts an instance that ended so many days ago into the bed's store, stale and warned of when it is older than a week.
func (b *autoBed) aged(name string, days int) store.Instance {
	b.t.Helper()
	inst := b.row(name)
	inst.ContainerID = fmt.Sprintf("%064s", inst.ID)
	inst.Status, inst.Class, inst.Evidence = store.StatusStopped, store.ClassExited, store.EvidenceFinishedAt
	inst.LastAliveAt = stamp(b.now().Add(-time.Duration(days)*24*time.Hour - time.Minute))
	if days >= 7 {
		inst.StaleSince = inst.LastAliveAt.Add(7 * 24 * time.Hour)
		inst.WarnedAt = inst.StaleSince
	}
	b.update(func(tx *store.Tx) error { return tx.InsertInstance(b.t.Context(), inst) })
	return inst
}

func (b *autoBed) try(change PolicyChange) PolicyTrial {
	b.t.Helper()
	trial, err := b.cleaner.TryPolicy(b.t.Context(), change)
	if err != nil {
		b.t.Fatal(err)
	}
	return trial
}

func (b *autoBed) wantTrial(trial PolicyTrial, want TrialCounts, considered, rescheduled int) {
	b.t.Helper()
	if trial.Counts != want || trial.Considered != considered || trial.Rescheduled != rescheduled {
		b.t.Errorf("considered %d, %+v, rescheduled %d; want %d, %+v, %d", trial.Considered, trial.Counts, trial.Rescheduled, considered, want, rescheduled)
	}
	if len(trial.NewlyStale) != want.NewlyStale || len(trial.Spared) != want.Spared || len(trial.NewCleaned) != want.NewCleaned || len(trial.NoLonger) != want.NoLonger {
		b.t.Errorf("lists of %d, %d, %d, %d; want %+v", len(trial.NewlyStale), len(trial.Spared), len(trial.NewCleaned), len(trial.NoLonger), want)
	}
}

func days(n int) *store.StaleAfter {
	return &store.StaleAfter{After: time.Duration(n) * 24 * time.Hour}
}

func TestTryPolicy(t *testing.T) {
	inAutoBed(t, func(t *testing.T, b *autoBed) {
		b.aged("young", 1)
		middle := b.aged("middle", 5)
		b.aged("old", 10)
		b.aged("older", 20)
		pinned := b.aged("pinned", 5)
		b.protect(pinned.ID, func(i *store.Instance) { i.PinnedAt = b.now() })
		running := b.row("running")
		running.ContainerID, running.Status, running.LastAliveAt = fmt.Sprintf("%064x", 1), store.StatusRunning, b.now()
		b.update(func(tx *store.Tx) error { return tx.InsertInstance(t.Context(), running) })
		before := b.settingsNow()
		stage := func(p store.Policy) PolicyChange {
			return PolicyChange{Level: store.LevelStage, StageID: b.stage.ID, Policy: p}
		}
		with := func(after *store.StaleAfter) store.Policy {
			p := cleansUp(24*time.Hour, nil)
			p.StaleAfter = after
			return p
		}
		warn, off, on := store.ActionWarn, false, true
		keep := 5

		b.wantTrial(b.try(stage(with(nil))), TrialCounts{}, 5, 0)
		b.wantTrial(b.try(stage(with(days(7)))), TrialCounts{}, 5, 0) // said by another level, and the same
		b.wantTrial(b.try(stage(func() store.Policy { p := with(nil); p.KeepLast = &keep; return p }())), TrialCounts{}, 5, 0)
		b.wantTrial(b.try(stage(with(days(15)))), TrialCounts{Spared: 1, NoLonger: 1}, 5, 0)
		b.wantTrial(b.try(stage(with(&store.StaleAfter{Never: true}))), TrialCounts{Spared: 2, NoLonger: 2}, 5, 0)
		b.wantTrial(b.try(stage(store.Policy{Action: &warn})), TrialCounts{NoLonger: 2}, 5, 0)
		b.wantTrial(b.try(stage(cleansUp(30*24*time.Hour, nil))), TrialCounts{}, 5, 2)
		b.wantTrial(b.try(PolicyChange{Level: store.LevelGlobal, AutoCleanup: &off}), TrialCounts{NoLonger: 2}, 5, 0)
		b.wantTrial(b.try(PolicyChange{Level: store.LevelGlobal, Policy: store.Policy{StaleAfter: days(3)}, AutoCleanup: &on}),
			TrialCounts{NewlyStale: 2, NewCleaned: 1}, 5, 0)

		trial := b.try(stage(with(days(3))))
		b.wantTrial(trial, TrialCounts{NewlyStale: 2, NewCleaned: 1}, 5, 0)
		item := trial.NewCleaned[0]
		if item.View.ID != middle.ID || !item.Now.At.IsZero() || item.Then.At.IsZero() {
			t.Errorf("newly cleaned: %+v", item)
		}
		if at := item.Then.At.Sub(b.now()); at < 23*time.Hour || at > 25*time.Hour {
			t.Errorf("it would go in %s, want after the grace that begins with its warning", at)
		}
		if item.StaleReason == "" || item.Now.Why == "" || item.Then.Why == "" {
			t.Errorf("in words: %+v", item)
		}

		b.settings(func(s *store.Settings) { s.AutoCleanup = false })
		b.wantTrial(b.try(stage(with(days(3)))), TrialCounts{NewlyStale: 2}, 5, 0)
		b.wantTrial(b.try(PolicyChange{Level: store.LevelGlobal, AutoCleanup: &on}), TrialCounts{NewCleaned: 2}, 5, 0)
		b.settings(func(s *store.Settings) { s.AutoCleanup = true })

		if now := b.settingsNow(); now.StaleThresholdDays != before.StaleThresholdDays || now.AutoCleanup != before.AutoCleanup {
			t.Errorf("a trial wrote settings: %+v", now)
		}
		b.wantEvent("policy.updated", "", 0)
	})
}

// What a stage would keep for a rollback is not taken, and what it would keep no more is.
func TestTryKnowsWhatWouldBeKept(t *testing.T) {
	inAutoBed(t, func(t *testing.T, b *autoBed) {
		older, old := b.aged("older", 20), b.aged("old", 10)
		b.update(func(tx *store.Tx) error { return tx.SetRollbackKept(t.Context(), b.stage.ID, []string{older.ID}) })
		b.cleaner.hands.GoodOnes = func(_ context.Context, stageID string, most int) ([]string, error) {
			if stageID != b.stage.ID {
				return nil, fmt.Errorf("asked of %s", stageID)
			}
			return []string{old.ID, older.ID}[:most], nil
		}
		with := func(keep int) PolicyChange {
			p := cleansUp(24*time.Hour, nil)
			p.KeepLast = &keep
			return PolicyChange{Level: store.LevelStage, StageID: b.stage.ID, Policy: p}
		}
		b.wantTrial(b.try(with(0)), TrialCounts{NewCleaned: 1}, 2, 0)
		b.wantTrial(b.try(with(1)), TrialCounts{NewCleaned: 1, NoLonger: 1}, 2, 0)
	})
}

func (b *autoBed) settingsNow() store.Settings {
	b.t.Helper()
	s, err := b.db.Settings(b.t.Context())
	if err != nil {
		b.t.Fatal(err)
	}
	return s
}

// A level reaches its own stages only, and no wider one reaches into production.
func TestTryPolicyOfAProject(t *testing.T) {
	inAutoBed(t, func(t *testing.T, b *autoBed) {
		b.policy(store.Policy{}) // the stage says nothing
		b.aged("old", 10)
		production := b.stage
		production.ID, production.Name, production.Kind = store.NewID(), "production", store.StageProduction
		other := store.Project{ID: store.NewID(), Name: "blog", Image: "blog"}
		elsewhere := b.stage
		elsewhere.ID, elsewhere.ProjectID, elsewhere.KeepLast = store.NewID(), other.ID, store.KeepInherit
		b.update(func(tx *store.Tx) error {
			return errors.Join(tx.InsertStage(t.Context(), production), tx.InsertProject(t.Context(), other), tx.InsertStage(t.Context(), elsewhere))
		})
		shop := b.project.ID
		for _, s := range []store.Stage{production, elsewhere} {
			b.stage, b.project.ID = s, s.ProjectID
			b.aged("of "+s.Name+s.ProjectID, 10)
		}
		change := PolicyChange{Level: store.LevelProject, ProjectID: shop, Policy: cleansUp(0, nil)}
		trial := b.try(change)
		b.wantTrial(trial, TrialCounts{NewCleaned: 1}, 2, 0)
		change.Level, change.ProjectID = store.LevelGlobal, ""
		b.wantTrial(b.try(change), TrialCounts{NewCleaned: 2}, 3, 0)
	})
}

func TestTryPolicyRefuses(t *testing.T) {
	inAutoBed(t, func(t *testing.T, b *autoBed) {
		on, wrong, action := true, 0, store.PolicyAction("delete")
		for field, change := range map[string]PolicyChange{
			"level":         {Level: store.LevelDefault},
			"stage":         {Level: store.LevelStage},
			"project":       {Level: store.LevelProject},
			"auto_cleanup":  {Level: store.LevelStage, StageID: b.stage.ID, AutoCleanup: &on},
			"max_per_run":   {Level: store.LevelGlobal, Policy: store.Policy{MaxPerRun: &wrong}},
			"action":        {Level: store.LevelGlobal, Policy: store.Policy{Action: &action}},
			"stale_after":   {Level: store.LevelGlobal, Policy: store.Policy{StaleAfter: &store.StaleAfter{After: 36 * time.Hour}}},
			"window.from":   {Level: store.LevelGlobal, Policy: store.Policy{Window: &store.Window{From: 25 * 60}}},
			"window.days":   {Level: store.LevelGlobal, Policy: store.Policy{Window: &store.Window{Days: []time.Weekday{9}}}},
			"cleanup_after": {Level: store.LevelGlobal, Policy: cleansUp(-time.Hour, nil)},
		} {
			var refused store.FieldError
			if _, err := b.cleaner.TryPolicy(t.Context(), change); !errors.As(err, &refused) || refused.Field != field {
				t.Errorf("%s: %v", field, err)
			}
			if err := b.cleaner.SetPolicy(t.Context(), change, 0, "user:anna"); !errors.As(err, &refused) || refused.Field != field {
				t.Errorf("set %s: %v", field, err)
			}
		}
		for _, change := range []PolicyChange{{Level: store.LevelStage, StageID: store.NewID()}, {Level: store.LevelProject, ProjectID: store.NewID()}} {
			if _, err := b.cleaner.TryPolicy(t.Context(), change); !errors.Is(err, store.ErrNotFound) {
				t.Errorf("%s that is not there: %v", change.Level, err)
			}
		}
		b.wantEvent("policy.updated", "", 0)
	})
}

func TestSetPolicy(t *testing.T) {
	inAutoBed(t, func(t *testing.T, b *autoBed) {
		b.policy(store.Policy{})
		b.aged("old", 10)
		set := func(change PolicyChange, revision int64) error {
			return b.cleaner.SetPolicy(t.Context(), change, revision, "user:anna")
		}
		stage, err := b.db.Stage(t.Context(), b.stage.ID)
		if err != nil {
			t.Fatal(err)
		}
		change := PolicyChange{Level: store.LevelStage, StageID: stage.ID, Policy: cleansUp(48*time.Hour, nil)}
		if err := set(change, stage.Revision-1); !errors.Is(err, store.ErrConflict) {
			t.Errorf("an old revision: %v", err)
		}
		b.wantEvent("policy.updated", "", 0)
		if err := set(change, stage.Revision); err != nil {
			t.Fatal(err)
		}
		e := b.events("policy.updated", "")[0]
		after, ok := e.Data["after"].(map[string]any)
		if e.Severity != store.SeverityWarn || e.StageID != stage.ID || e.ProjectID != b.project.ID || e.Actor != "user:anna" || !ok || after["cleanup_after"] != "2d" ||
			fmt.Sprint(e.Data["before"]) != "map[]" || fmt.Sprint(e.Data["newly_cleaned"]) != "1" {
			t.Errorf("the event of a policy that newly cleans: %+v", e)
		}
		if p, err := b.db.Policies(t.Context(), stage.ID); err != nil || p[stage.ID].Action != store.ActionCleanup || p[stage.ID].CleanupAfter != 48*time.Hour {
			t.Errorf("in force: %+v, %v", p, err)
		}

		off := false
		if err := set(PolicyChange{Level: store.LevelGlobal, Policy: store.Policy{StaleAfter: days(30)}, AutoCleanup: &off}, 0); err != nil {
			t.Fatal(err)
		}
		if s := b.settingsNow(); s.StaleThresholdDays != 30 || s.AutoCleanup {
			t.Errorf("the settings: %+v", s)
		}
		e = b.events("policy.updated", "")[0]
		if e.Severity != store.SeverityInfo || fmt.Sprint(e.Data["spared"]) != "1" || fmt.Sprint(e.Data["auto_cleanup"]) != "false" {
			t.Errorf("the event of a policy that spares: %+v", e)
		}

		project, err := b.db.Project(t.Context(), b.project.ID)
		if err != nil {
			t.Fatal(err)
		}
		if err := set(PolicyChange{Level: store.LevelProject, ProjectID: project.ID, Policy: store.Policy{StaleAfter: days(3)}}, project.Revision); err != nil {
			t.Fatal(err)
		}
		b.wantEvent("policy.updated", "", 3)
		if p, err := b.db.ProjectPolicy(t.Context(), project.ID); err != nil || p.StaleAfter == nil || p.StaleAfter.After != 3*24*time.Hour {
			t.Errorf("the project says %+v, %v", p, err)
		}
	})
}

// Decisions see what was written a moment before, and cost nothing while nothing is.
func TestDecisionsAreOfNow(t *testing.T) {
	inAutoBed(t, func(t *testing.T, b *autoBed) {
		inst := b.aged("old", 10)
		if d := b.decision(inst); d.At.IsZero() || d.Action != store.ActionCleanup || d.Level != store.LevelStage {
			t.Errorf("decided: %+v", d)
		}
		b.settings(func(s *store.Settings) { s.AutoCleanup = false })
		if d := b.decision(inst); !d.At.IsZero() {
			t.Errorf("switched off, and decided: %+v", d)
		}
		b.settings(func(s *store.Settings) { s.AutoCleanup = true })
		b.policy(store.Policy{})
		if d := b.decision(inst); !d.At.IsZero() || d.Level != store.LevelDefault {
			t.Errorf("no policy, and decided: %+v", d)
		}
		first, err := b.cleaner.footing(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if again, err := b.cleaner.footing(t.Context()); err != nil || again != first {
			t.Errorf("read again although nothing was written: %v", err)
		}
		if none, err := b.cleaner.Decisions(t.Context(), nil); err != nil || len(none) != 0 {
			t.Errorf("of nobody: %v, %v", none, err)
		}
	})
}
