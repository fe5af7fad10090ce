package main

import (
	"errors"
	"testing"
	"time"

	"github.com/tiny-forge/docker-watcher/internal/docker/dockertest"
	"github.com/tiny-forge/docker-watcher/internal/failpoint/failpointtest"
	"github.com/tiny-forge/docker-watcher/internal/store"
)

// kill -9 in the middle of an automatic apply: as after one by a person, every item is untouched or fully removed, the plan
// is over, and nothing is planned again before the next process has warmed up.
func TestKilledDuringAnAutomaticApply(t *testing.T) {
	t.Parallel()
	killtest := failpointtest.Build(t)
	for _, point := range []string{"before-delete", "after-delete"} {
		t.Run(point, func(t *testing.T) {
			t.Parallel() // each waits for a warm-up of a minute
			engine := dockertest.Serve(t, dockertest.Options{})
			engine.AddImage(dockertest.Image{Ref: image})
			s := newSite(t, engine.Endpoint())
			for range 3 {
				inst := s.plant(store.ClassExited)
				ended := time.Now().AddDate(0, 0, -20)
				engine.Container(inst.ContainerID).SetTimes(ended.Add(-time.Hour), ended.Add(-time.Hour), ended)
			}
			planID := s.planAutomatic()
			s.leave()
			failpointtest.Kill(t, patience, point, killtest, s.dir, engine.Endpoint(), s.host.ID, auto)

			s.enter()
			for range 2 {
				if err := s.cleaner.Recover(t.Context()); err != nil {
					t.Fatal(err)
				}
				s.wantWhole(planID)
			}
			if err := s.cleaner.RunAutomatic(t.Context()); err != nil {
				t.Fatal(err)
			}
			if waiting, err := s.db.AutomaticPlans(t.Context(), time.Now()); err != nil || len(waiting) > 0 {
				t.Errorf("planned again before it is warm: %+v, %v", waiting, err)
			}
		})
	}
}

// planAutomatic leaves a plan in the store as automatic cleanup does that made it some minutes ago.
func (s *site) planAutomatic() string {
	s.t.Helper()
	ctx := s.t.Context()
	id := s.plan()
	action, grace, many, all := store.ActionCleanup, time.Duration(0), 500, 100
	s.update(func(tx *store.Tx) error {
		settings, err := tx.Settings(ctx)
		if err != nil {
			return err
		}
		settings.AutoCleanup, settings.AutoWarmUp = true, time.Minute
		stage, err := tx.Stage(ctx, s.stage.ID)
		if err != nil {
			return err
		}
		policy := store.Policy{Action: &action, CleanupAfter: &grace, MaxPerRun: &many, MaxSharePercent: &all}
		plan, err := tx.Plan(ctx, id)
		if err != nil {
			return err
		}
		plan.ID, plan.Automatic, plan.CreatedBy = store.NewID(), true, "system:auto"
		plan.ApplyAt, plan.ExpiresAt = time.Now().UTC(), time.Now().Add(time.Hour).UTC()
		id = plan.ID
		return errors.Join(tx.SaveSettings(ctx, settings), tx.SetStagePolicy(ctx, stage.ID, policy, stage.Revision), tx.InsertPlan(ctx, plan))
	})
	for _, inst := range s.instances {
		view, err := s.db.Instance(ctx, inst.ID)
		if err != nil {
			s.t.Fatal(err)
		}
		next := view.Instance
		next.WarnedAt = time.Now().UTC()
		s.update(func(tx *store.Tx) error { return tx.RecordInstance(ctx, view.Instance, &next, time.Now()) })
	}
	return id
}
