package store_test

import (
	"context"
	"slices"
	"testing"
	"time"

	"github.com/tiny-forge/docker-watcher/internal/store"
	"github.com/tiny-forge/docker-watcher/internal/store/storetest"
)

// Whenever protection begins or ends, the warning of the standing episode is to be given anew; and only then.
func TestProtectionTakesTheWarningBack(t *testing.T) {
	at := time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)
	for name, c := range map[string]struct {
		act  func(ctx context.Context, tx *store.Tx, i store.InstanceView) error
		back bool
	}{
		"pin": {func(ctx context.Context, tx *store.Tx, i store.InstanceView) error {
			i.PinnedAt = at
			return tx.SetProtection(ctx, i.Instance)
		}, true},
		"snooze": {func(ctx context.Context, tx *store.Tx, i store.InstanceView) error {
			return tx.SetSnooze(ctx, i.ID, at.Add(time.Hour), "user:anna", "demo", i.Revision)
		}, true},
		"unsnooze": {func(ctx context.Context, tx *store.Tx, i store.InstanceView) error {
			return tx.SetSnooze(ctx, i.ID, time.Time{}, "", "", i.Revision)
		}, true},
		"tag gone": {func(ctx context.Context, tx *store.Tx, i store.InstanceView) error {
			return tx.SetTagChecked(ctx, i.Image, i.ImageTag, at, at)
		}, true},
		"tag there": {func(ctx context.Context, tx *store.Tx, i store.InstanceView) error {
			return tx.SetTagChecked(ctx, i.Image, i.ImageTag, at, time.Time{})
		}, false},
		"another tag gone": {func(ctx context.Context, tx *store.Tx, i store.InstanceView) error {
			return tx.SetTagChecked(ctx, i.Image, "another", at, at)
		}, false},
		"kept for rollback": {func(ctx context.Context, tx *store.Tx, i store.InstanceView) error {
			return tx.SetRollbackKept(ctx, i.StageID, []string{i.ID})
		}, true},
		"another one kept for rollback": {func(ctx context.Context, tx *store.Tx, i store.InstanceView) error {
			return tx.SetRollbackKept(ctx, i.StageID, []string{"another"})
		}, false},
		"its size": {func(ctx context.Context, tx *store.Tx, i store.InstanceView) error {
			return tx.SetSize(ctx, i.ID, 1, at)
		}, false},
	} {
		t.Run(name, func(t *testing.T) {
			storetest.Both(t, func(t *testing.T, db *store.DB) {
				stage := storetest.Stage(t, db, storetest.Host(t, db), storetest.Project(t, db))
				inst := storetest.Instance(t, db, stage, func(i *store.Instance) {
					i.Status, i.LastAliveAt = store.StatusStopped, at.Add(-10*24*time.Hour)
					i.StaleSince, i.WarnedAt = at.Add(-time.Hour), at.Add(-time.Hour)
				})
				before := instance(t, db, inst.ID)
				storetest.Update(t, db, func(ctx context.Context, tx *store.Tx) error { return c.act(ctx, tx, before) })
				after := instance(t, db, inst.ID)
				if after.WarnedAt.IsZero() != c.back {
					t.Errorf("warned at %v", after.WarnedAt)
				}
				if !after.StaleSince.Equal(before.StaleSince) || (after.Revision != before.Revision) != c.back {
					t.Errorf("stale since %v, revision %d, was %d", after.StaleSince, after.Revision, before.Revision)
				}
			})
		})
	}
}

func instance(t *testing.T, db *store.DB, id string) store.InstanceView {
	t.Helper()
	v, err := db.Instance(t.Context(), id)
	if err != nil {
		t.Fatal(err)
	}
	return v
}

// A yes to tags that are gone lets those through, and nothing else that is kept.
func TestStaleListWithAYesToGoneTags(t *testing.T) {
	at := time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)
	storetest.Both(t, func(t *testing.T, db *store.DB) {
		stage := storetest.Stage(t, db, storetest.Host(t, db), storetest.Project(t, db))
		stale := func(name string, edit func(*store.Instance)) {
			storetest.Instance(t, db, stage, func(i *store.Instance) {
				i.Name, i.Status, i.LastAliveAt, i.StaleSince = name, store.StatusStopped, at.Add(-10*24*time.Hour), at.Add(-time.Hour)
				edit(i)
			})
		}
		stale("free", func(*store.Instance) {})
		stale("gone", func(i *store.Instance) { i.TagGoneSince = at })
		stale("pinned", func(i *store.Instance) { i.TagGoneSince, i.PinnedAt = at, at })
		for _, c := range []struct {
			protected, yes bool
			want           []string
		}{
			{false, false, []string{"free"}},
			{false, true, []string{"free", "gone"}},
			{true, false, []string{"gone", "pinned"}},
			{true, true, []string{"pinned"}},
		} {
			views, _, _, err := db.StaleInstances(t.Context(), store.StaleFilter{Protected: &c.protected, TagGoneYes: c.yes, Now: at}, store.Page{})
			if err != nil {
				t.Fatal(err)
			}
			var names []string
			for _, v := range views {
				names = append(names, v.Name)
			}
			slices.Sort(names)
			if !slices.Equal(names, c.want) {
				t.Errorf("protected %v, yes %v: %v, want %v", c.protected, c.yes, names, c.want)
			}
		}
	})
}

func TestStaleWithTag(t *testing.T) {
	at := time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)
	storetest.Both(t, func(t *testing.T, db *store.DB) {
		stage := storetest.Stage(t, db, storetest.Host(t, db), storetest.Project(t, db))
		add := func(name, image, tag string, edit func(*store.Instance)) {
			storetest.Instance(t, db, stage, func(i *store.Instance) {
				i.Name, i.Image, i.ImageTag, i.Status, i.StaleSince = name, image, tag, store.StatusStopped, at
				edit(i)
			})
		}
		none := func(*store.Instance) {}
		add("one", "shop", "1.0", none)
		add("two", "shop", "1.0", none)
		add("another tag", "shop", "2.0", none)
		add("another image", "blog", "1.0", none)
		add("not stale", "shop", "1.0", func(i *store.Instance) { i.StaleSince = time.Time{} })
		views, err := db.StaleWithTag(t.Context(), "shop", "1.0")
		if err != nil || len(views) != 2 || views[0].Name != "one" || views[1].Name != "two" || views[0].Project == "" {
			t.Errorf("%+v, %v", views, err)
		}
	})
}

// An automatic plan waits until it expires, is applied or is called off; one of a person never waits.
func TestAutomaticPlansThatWait(t *testing.T) {
	at := time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)
	storetest.Both(t, func(t *testing.T, db *store.DB) {
		plan := func(id string, edit func(*store.Plan)) store.Plan {
			p := store.Plan{
				ID: id, State: store.PlanPlanned, CreatedAt: at, CreatedBy: "system:auto", Automatic: true,
				ApplyAt: at.Add(5 * time.Minute), ExpiresAt: at.Add(20 * time.Minute),
			}
			edit(&p)
			return p
		}
		storetest.Update(t, db, func(ctx context.Context, tx *store.Tx) error {
			for _, p := range []store.Plan{
				plan("waits", func(*store.Plan) {}),
				plan("by hand", func(p *store.Plan) { p.Automatic = false }),
				plan("applying", func(p *store.Plan) { p.State = store.PlanApplying }),
				plan("off", func(p *store.Plan) { p.State = store.PlanCancelled }),
				plan("expired", func(p *store.Plan) { p.ExpiresAt = at.Add(time.Minute) }),
			} {
				if err := tx.InsertPlan(ctx, p); err != nil {
					return err
				}
			}
			return nil
		})
		plans, err := db.AutomaticPlans(t.Context(), at.Add(time.Minute))
		if err != nil || len(plans) != 1 || plans[0].ID != "waits" || !plans[0].ApplyAt.Equal(at.Add(5*time.Minute)) {
			t.Errorf("%+v, %v", plans, err)
		}
	})
}

func TestCommitsAreCounted(t *testing.T) {
	db := storetest.Open(t)
	before := db.Commits()
	if _, err := db.Settings(t.Context()); err != nil {
		t.Fatal(err)
	}
	if db.Commits() != before {
		t.Error("a read was counted")
	}
	storetest.Host(t, db)
	if db.Commits() == before {
		t.Error("a write was not counted")
	}
}
