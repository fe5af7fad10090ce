package store_test

import (
	"context"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/tiny-forge/docker-watcher/internal/store"
	"github.com/tiny-forge/docker-watcher/internal/store/storetest"
)

func TestStaleByProject(t *testing.T) {
	storetest.Both(t, func(t *testing.T, db *store.DB) {
		h := storetest.Host(t, db)
		stage := func(project string) store.Stage {
			p := storetest.Project(t, db, func(p *store.Project) { p.Name = project })
			return storetest.Stage(t, db, h, p)
		}
		shop, blog := stage("shop"), stage("blog")
		stage("empty")
		stale := func(s store.Stage, days int, edit ...func(*store.Instance)) {
			storetest.Instance(t, db, s, append([]func(*store.Instance){func(i *store.Instance) {
				i.Status, i.StaleSince, i.SizeRw, i.SizeAt = store.StatusStopped, noon, 100, noon
				i.LastAliveAt = noon.Add(-time.Duration(days) * 24 * time.Hour)
			}}, edit...)...)
		}
		stale(shop, 1)
		stale(shop, 7) // on a bound: the next bucket
		stale(shop, 13, func(i *store.Instance) { i.PinnedAt, i.PinnedBy = noon, "user:anna" })
		stale(shop, 29, func(i *store.Instance) { i.SnoozedUntil = noon.Add(time.Hour) })
		stale(shop, 89, func(i *store.Instance) { i.SnoozedUntil = noon.Add(-time.Hour) }) // over
		stale(shop, 90, func(i *store.Instance) { i.SizeAt = time.Time{} })                // not known
		stale(blog, 400, func(i *store.Instance) { i.LastAliveAt = time.Time{} })          // never seen alive: the oldest
		stale(blog, 20, func(i *store.Instance) { i.Status = store.StatusRemoving })       // on its way out
		stale(blog, 20, func(i *store.Instance) { i.StaleSince = time.Time{} })            // not stale

		got, err := db.StaleByProject(t.Context(), noon, nil)
		if err != nil {
			t.Fatal(err)
		}
		want := []store.StaleFigures{
			{ProjectID: blog.ProjectID, Project: "blog", Count: 1, Bytes: 100, ByAge: []int{0, 0, 0, 0, 1}},
			{ProjectID: shop.ProjectID, Project: "shop", Count: 6, Kept: 2, Bytes: 300, ByAge: []int{1, 1, 0, 1, 1}},
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Error(diff)
		}
	})
}

func TestFailedDeploys(t *testing.T) {
	storetest.Both(t, func(t *testing.T, db *store.DB) {
		s, i := storetest.Shop(t, db)
		deploy := func(state store.DeployState, ended time.Time) string {
			d := store.Deploy{
				ID: store.NewID(), ProjectID: s.ProjectID, StageID: s.ID, HostID: s.HostID, InstanceID: i.ID, Image: "shop", ImageTag: "1", State: state,
				Actor: "user:anna", CreatedAt: ended.Add(-time.Minute), EndedAt: ended,
			}
			storetest.Update(t, db, func(ctx context.Context, tx *store.Tx) error { return tx.InsertDeploy(ctx, d) })
			return d.ID
		}
		deploy(store.DeployFailed, noon.Add(-25*time.Hour))
		first := deploy(store.DeployFailed, noon.Add(-2*time.Hour))
		deploy(store.DeployDone, noon.Add(-time.Hour))
		second := deploy(store.DeployFailed, noon.Add(-time.Minute))
		got, err := db.FailedDeploys(t.Context(), noon.Add(-24*time.Hour), 10)
		if err != nil || len(got) != 2 || got[0].ID != second || got[1].ID != first {
			t.Errorf("got %+v, %v", got, err)
		}
		if got, err = db.FailedDeploys(t.Context(), noon.Add(-24*time.Hour), 1); err != nil || len(got) != 1 || got[0].ID != second {
			t.Errorf("got %+v, %v", got, err)
		}
	})
}

func TestOpenBlind(t *testing.T) {
	storetest.Both(t, func(t *testing.T, db *store.DB) {
		h := storetest.Host(t, db)
		other := storetest.Host(t, db, func(h *store.Host) { h.Name = "other" })
		storetest.Update(t, db, func(ctx context.Context, tx *store.Tx) error {
			for _, b := range []store.BlindInterval{
				{ID: store.NewID(), HostID: h.ID, From: noon.Add(-time.Hour), Reason: "unreachable"},
				{ID: store.NewID(), HostID: h.ID, From: noon.Add(-9 * time.Hour), To: noon.Add(-8 * time.Hour), Reason: "down"},
				{ID: store.NewID(), HostID: other.ID, From: noon.Add(-2 * time.Hour), Reason: "clock"},
			} {
				if err := tx.OpenBlindInterval(ctx, b); err != nil {
					return err
				}
			}
			return nil
		})
		got, err := db.OpenBlind(t.Context())
		if err != nil || len(got) != 2 || got[0].HostID != other.ID || got[1].Reason != "unreachable" {
			t.Errorf("got %+v, %v", got, err)
		}
	})
}

func TestPlanResults(t *testing.T) {
	storetest.Both(t, func(t *testing.T, db *store.DB) {
		plan := func(results ...store.CleanupResult) string {
			p := store.Plan{ID: store.NewID(), State: store.PlanPlanned, CreatedAt: noon, CreatedBy: "user:anna", ExpiresAt: noon.Add(time.Hour)}
			for _, r := range results {
				p.Items = append(p.Items, store.PlanItem{InstanceID: store.NewID(), Result: r})
			}
			storetest.Update(t, db, func(ctx context.Context, tx *store.Tx) error { return tx.InsertPlan(ctx, p) })
			return p.ID
		}
		a, b := plan(store.ResultRemoved, store.ResultRemoved, store.ResultRevived), plan("", "")
		plan(store.ResultKept)
		got, err := db.PlanResults(t.Context(), []string{a, b, "no-such-plan"})
		want := map[string]map[store.CleanupResult]int{a: {store.ResultRemoved: 2, store.ResultRevived: 1}, b: {"": 2}}
		if diff := cmp.Diff(want, got); err != nil || diff != "" {
			t.Errorf("%v %s", err, diff)
		}
		if got, err = db.PlanResults(t.Context(), nil); err != nil || len(got) != 0 {
			t.Errorf("of no plans: %v, %v", got, err)
		}
	})
}
