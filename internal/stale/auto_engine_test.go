package stale

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"testing"
	"time"

	"github.com/tiny-forge/docker-watcher/internal/docker"
	"github.com/tiny-forge/docker-watcher/internal/docker/enginetest"
	"github.com/tiny-forge/docker-watcher/internal/registry"
	"github.com/tiny-forge/docker-watcher/internal/store"
	"github.com/tiny-forge/docker-watcher/internal/store/storetest"
)

// Automatic cleanup on real engines and a real registry, from the scan that warns to the undo.
func TestAutomaticCleanupOnRealEngines(t *testing.T) {
	t.Parallel() // it mostly waits
	app, err := enginetest.BuildApp(t.Context(), t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	t.Run("docker", func(t *testing.T) {
		t.Parallel()
		autoOn(t, enginetest.Engine(t), app)
	})
	t.Run("podman", func(t *testing.T) {
		t.Parallel()
		autoOn(t, enginetest.Podman(t), app)
	})
}

func autoOn(t *testing.T, adapter *docker.Engine, app string) {
	archive, err := enginetest.AppArchive(app, plainImage, "1")
	if err != nil {
		t.Fatal(err)
	}
	if err := adapter.LoadImage(t.Context(), archive); err != nil {
		t.Fatal(err)
	}
	f := newField(t, adapter)
	f.image = plainImage
	image := enginetest.Registry(t) + "/shop"
	if err := enginetest.PushApp(t.Context(), app, image+":1", "1"); err != nil {
		t.Fatal(err)
	}
	scanner := f.automatic(image)
	goes, revives, pinned, paused := f.plant("goes", store.ClassExited), f.plant("revives", store.ClassExited), f.plant("pinned", store.ClassExited), f.plant("paused", store.ClassPaused)
	untagged := f.plant("untagged", store.ClassExited)
	for _, inst := range []store.Instance{goes, revives, pinned, paused, untagged} {
		f.alter(inst.ID, func(i *store.Instance) {
			i.Image, i.ImageTag, i.StaleSince, i.LastAliveAt = image, "1", time.Time{}, time.Time{}
			if i.ID == untagged.ID {
				i.ImageTag = "2"
			}
		})
	}
	run := func() {
		t.Helper()
		if _, err := scanner.Scan(t.Context(), f.host.ID, "manual"); err != nil {
			t.Fatal(err)
		}
		if err := f.cleaner.RunAutomatic(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	f.protect(pinned.ID)
	f.await("a scan that finds all stale", func() bool {
		if _, err := scanner.Scan(t.Context(), f.host.ID, "manual"); err != nil {
			t.Fatal(err)
		}
		_, _, n, err := f.db.StaleInstances(t.Context(), store.StaleFilter{}, store.Page{})
		return err == nil && n == 5
	})
	if err := f.cleaner.CheckTags(t.Context()); err != nil {
		t.Fatal(err)
	}
	var plan store.Plan
	f.await("an automatic plan", func() bool {
		run()
		plans, err := f.db.AutomaticPlans(t.Context(), time.Now())
		if err != nil {
			t.Fatal(err)
		}
		if len(plans) == 1 {
			plan = plans[0]
		}
		return len(plans) == 1
	})
	if len(plan.Items) != 2 || itemOfInstance(plan, goes.ID).InstanceID == "" || itemOfInstance(plan, revives.ID).InstanceID == "" {
		t.Fatalf("planned: %+v", plan.Items)
	}
	if err := adapter.Start(t.Context(), f.owned(revives)); err != nil {
		t.Fatal(err)
	}
	f.await("its apply", func() bool {
		run()
		plan, err = f.db.Plan(t.Context(), plan.ID)
		return err == nil && plan.State == store.PlanApplied
	})
	if got := itemOfInstance(plan, goes.ID); got.Result != store.ResultRemoved || f.exists(goes.ContainerID) {
		t.Errorf("goes: %s (%s)", got.Result, got.ResultDetail)
	}
	for _, inst := range []store.Instance{revives, pinned, paused, untagged} {
		if !f.exists(inst.ContainerID) {
			t.Errorf("%s was removed", inst.Name)
		}
	}
	if ct, err := adapter.Inspect(t.Context(), paused.ContainerID); err != nil || ct.State != docker.StatePaused {
		t.Errorf("the paused one is %s, %v", ct.State, err)
	}
	if v, err := f.db.Instance(t.Context(), untagged.ID); err != nil || v.TagGoneSince.IsZero() {
		t.Errorf("its registry has no such tag, and: %+v, %v", v.Instance, err)
	}
	archives, _, err := f.db.Archives(t.Context(), store.ArchiveFilter{InstanceID: goes.ID}, store.Page{})
	if err != nil || len(archives) != 1 {
		t.Fatalf("archives: %+v, %v", archives, err)
	}
	back, err := f.cleaner.Restore(t.Context(), archives[0].ID, Choices{}, "user:anna")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(t.Context()), time.Minute)
		defer cancel()
		if err := adapter.Remove(ctx, docker.Owned{ID: back.ContainerID, Adopted: true}); err != nil {
			t.Errorf("clear what was restored: %v", err)
		}
	})
	if back.ID != goes.ID || !back.StaleSince.IsZero() || !back.WarnedAt.IsZero() {
		t.Errorf("restored: %+v", back.Instance)
	}
}

// automatic switches automatic cleanup on, as it is after its warm-up, and with a notice of a moment.
func (f *field) automatic(image string) *Scanner {
	f.t.Helper()
	ctx := f.t.Context()
	err := f.db.Update(ctx, func(tx *store.Tx) error {
		settings, err := tx.Settings(ctx)
		if err != nil {
			return err
		}
		settings.AutoCleanup = true
		stage, err := tx.Stage(ctx, f.stage.ID)
		if err != nil {
			return err
		}
		policy := cleansUp(0, nil)
		policy.StaleAfter = &store.StaleAfter{After: time.Second}
		return errors.Join(tx.SaveSettings(ctx, settings), tx.SetStagePolicy(ctx, stage.ID, policy, stage.Revision))
	})
	if err != nil {
		f.t.Fatal(err)
	}
	scanner := NewScanner(f.db, f.cleaner.fleet, slog.New(slog.NewTextHandler(f.t.Output(), nil)))
	f.cleaner.auto.steady = time.Now().Add(-2 * time.Hour)
	f.cleaner.auto.notice = time.Second
	f.cleaner.ScanBy(func(ctx context.Context, hostID string) error {
		_, err := scanner.Scan(ctx, hostID, "automatic")
		return err
	})
	strangers := registry.New(func(context.Context, string) (registry.Access, error) { return registry.Access{}, nil })
	f.cleaner.LookUpTagsBy(func(ctx context.Context, named, tag string) (string, error) {
		if named != image {
			return "", fmt.Errorf("asked for %s", named)
		}
		digest, err := strangers.Digest(ctx, named, tag)
		if errors.Is(err, registry.ErrGone) {
			return "", fmt.Errorf("%w: %w", ErrTagGone, err)
		}
		return digest, err
	})
	return scanner
}

func (f *field) alter(id string, change func(*store.Instance)) {
	f.t.Helper()
	storetest.Update(f.t, f.db, func(ctx context.Context, tx *store.Tx) error {
		v, err := tx.Instance(ctx, id)
		if err != nil {
			return err
		}
		next := v.Instance
		change(&next)
		return tx.RecordInstance(ctx, v.Instance, &next, time.Time{})
	})
}

func (f *field) protect(id string) {
	f.t.Helper()
	storetest.Update(f.t, f.db, func(ctx context.Context, tx *store.Tx) error {
		v, err := tx.Instance(ctx, id)
		if err != nil {
			return err
		}
		v.PinnedAt = time.Now()
		return tx.SetProtection(ctx, v.Instance)
	})
}
