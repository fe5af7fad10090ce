package store_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/tiny-forge/docker-watcher/internal/store"
	"github.com/tiny-forge/docker-watcher/internal/store/storetest"
	"github.com/tiny-forge/docker-watcher/internal/tagrule"
)

func TestFeatureUse(t *testing.T) {
	storetest.Both(t, func(t *testing.T, db *store.DB) {
		want := func(want store.FeatureUse) {
			t.Helper()
			if got, err := db.FeatureUse(t.Context()); err != nil || got != want {
				t.Errorf("in use is %+v, %v; want %+v", got, err, want)
			}
		}
		write := func(fn func(ctx context.Context, tx *store.Tx) error) {
			t.Helper()
			storetest.Update(t, db, fn)
		}
		want(store.FeatureUse{})
		s, i := storetest.Shop(t, db)
		used := store.FeatureUse{Instances: 1}
		want(used)
		storetest.Instance(t, db, s, func(i *store.Instance) { i.Ownership = store.OwnershipAdopted })
		used.Instances, used.Adopted = 2, 1
		want(used)

		// What was only planned, what is gone and what was brought back are no use.
		plan := func(state store.PlanState) {
			write(func(ctx context.Context, tx *store.Tx) error {
				return errors.Join(
					tx.InsertPlan(ctx, store.Plan{ID: store.NewID(), State: state, CreatedAt: noon, ExpiresAt: noon.Add(time.Minute)}),
					tx.InsertReclaimPlan(ctx, store.ReclaimPlan{ID: store.NewID(), HostID: s.HostID, State: state, CreatedAt: noon, ExpiresAt: noon.Add(time.Minute)}))
			})
		}
		deploy := func(stage string) {
			write(func(ctx context.Context, tx *store.Tx) error {
				return tx.InsertDeploy(ctx, store.Deploy{ID: store.NewID(), ProjectID: s.ProjectID, StageID: stage, HostID: s.HostID, State: store.DeployDone, EndedAt: noon})
			})
		}
		archive := func(restored time.Time) {
			a, c := anArchive(i)
			a.RestoredAt = restored
			write(func(ctx context.Context, tx *store.Tx) error { return tx.InsertArchive(ctx, a, c) })
		}
		plan(store.PlanPlanned)
		plan(store.PlanCancelled)
		deploy("gone")
		archive(noon)
		want(used)

		plan(store.PlanApplying)
		plan(store.PlanApplied)
		deploy(s.ID)
		archive(time.Time{})
		used.Cleanups, used.Reclaims, used.Deploys, used.Archives = 2, 2, 1, 1
		want(used)

		h, err := db.Host(t.Context(), s.HostID)
		if err != nil {
			t.Fatal(err)
		}
		storetest.Stage(t, db, h, storetest.Project(t, db), func(s *store.Stage) {
			s.Mode, s.TagRule = store.ModeAuto, &tagrule.Rule{Kind: tagrule.Glob, Pattern: "v*", Order: tagrule.ByVersion}
		})
		used.Empty, used.Following = 1, 1
		want(used)
	})
}
