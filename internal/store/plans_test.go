package store_test

import (
	"context"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/tiny-forge/docker-watcher/internal/store"
	"github.com/tiny-forge/docker-watcher/internal/store/storetest"
)

// anAutomaticPlan is of some instances, applied from noon + 5 min on.
func anAutomaticPlan(instances ...string) store.Plan {
	p := aPlan()
	p.Single, p.Automatic, p.ApplyAt, p.TagGoneYes, p.CreatedBy = false, true, noon.Add(5*time.Minute), true, "system:auto"
	for n, id := range instances {
		p.Items = append(p.Items, store.PlanItem{
			PlanID: p.ID, Position: n, InstanceID: id,
			Details: store.PlanDetails{LayerKept: true, NotRestored: []string{"what was in memory"}},
		})
	}
	return p
}

func insertPlan(t *testing.T, db *store.DB, p store.Plan) {
	t.Helper()
	storetest.Update(t, db, func(ctx context.Context, tx *store.Tx) error { return tx.InsertPlan(ctx, p) })
}

func TestPlansAreCalledOff(t *testing.T) {
	storetest.Both(t, func(t *testing.T, db *store.DB) {
		ctx := t.Context()
		p := anAutomaticPlan("i1", "i2")
		insertPlan(t, db, p)
		cancel := func(id string) error {
			return try(t, db, func(ctx context.Context, tx *store.Tx) error {
				return tx.CancelPlan(ctx, id, "user:bert", noon.Add(time.Minute))
			})
		}
		claim := func(id string) error {
			return try(t, db, func(ctx context.Context, tx *store.Tx) error { return tx.ClaimPlan(ctx, id, "system:auto", noon) })
		}
		if err := cancel(p.ID); err != nil {
			t.Fatal(err)
		}
		p.State, p.AppliedBy, p.DoneAt = store.PlanCancelled, "user:bert", noon.Add(time.Minute)
		got, err := db.Plan(ctx, p.ID)
		if diff := cmp.Diff(p, got); diff != "" || err != nil {
			t.Errorf("%v, %s", err, diff)
		}
		wantErr(t, cancel(p.ID), store.ErrConflict)
		wantErr(t, claim(p.ID), store.ErrConflict)
		wantErr(t, cancel("nobody"), store.ErrNotFound)

		applied := anAutomaticPlan("i3")
		insertPlan(t, db, applied)
		if err := claim(applied.ID); err != nil {
			t.Fatal(err)
		}
		wantErr(t, cancel(applied.ID), store.ErrConflict)
		byHand := aPlan(store.PlanItem{InstanceID: "i4"})
		insertPlan(t, db, byHand)
		if err := cancel(byHand.ID); err != nil {
			t.Fatal(err)
		}
		for since, want := range map[time.Time]map[string]time.Time{
			noon:                  {"i1": noon.Add(time.Minute), "i2": noon.Add(time.Minute)},
			noon.Add(time.Minute): {},
		} {
			if off, err := db.CalledOff(ctx, since); err != nil || cmp.Diff(want, off) != "" {
				t.Errorf("called off since %s: %v, %v", since, off, err)
			}
		}
	})
}

func TestPlansPagesAndFilters(t *testing.T) {
	storetest.Both(t, func(t *testing.T, db *store.DB) {
		var plans []store.Plan
		for n := range 5 {
			p := aPlan()
			if n%2 == 0 {
				p = anAutomaticPlan("i")
			}
			if n > 2 {
				p.State = store.PlanApplied
			}
			insertPlan(t, db, p)
			p.Items = nil
			plans = append(plans, p)
		}
		yes, no := true, false
		for _, c := range []struct {
			name string
			f    store.PlanFilter
			want []int
		}{
			{"all, newest first", store.PlanFilter{}, []int{4, 3, 2, 1, 0}},
			{"automatic", store.PlanFilter{Automatic: &yes}, []int{4, 2, 0}},
			{"by hand, and waiting", store.PlanFilter{Automatic: &no, States: []store.PlanState{store.PlanPlanned}}, []int{1}},
			{"called off", store.PlanFilter{States: []store.PlanState{store.PlanCancelled}}, nil},
		} {
			var want, got []store.Plan
			for _, n := range c.want {
				want = append(want, plans[n])
			}
			for p := (store.Page{Limit: 2}); ; {
				page, next, err := db.Plans(t.Context(), c.f, p)
				if err != nil {
					t.Fatal(err)
				}
				if got = append(got, page...); next == "" {
					break
				}
				p.Cursor = next
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("%s (-want +got):\n%s", c.name, diff)
			}
		}
		_, _, err := db.Plans(t.Context(), store.PlanFilter{}, store.Page{Cursor: "x"})
		wantErr(t, err, store.ErrBadCursor)
	})
}

func TestRemovalNamesItsArchive(t *testing.T) {
	storetest.Both(t, func(t *testing.T, db *store.DB) {
		_, i := storetest.Shop(t, db, func(i *store.Instance) { i.Status = store.StatusStopped })
		storetest.Update(t, db, func(ctx context.Context, tx *store.Tx) error {
			return tx.BeginRemoval(ctx, store.Removal{InstanceID: i.ID, HostID: i.HostID, Former: i.Status, ArchiveID: "a0"}, 0)
		})
		if rows, err := db.Removals(t.Context()); err != nil || len(rows) != 1 || rows[0].ArchiveID != "a0" {
			t.Errorf("removals: %+v, %v", rows, err)
		}
	})
}

func TestAutomaticCleanupIsHeld(t *testing.T) {
	storetest.Both(t, func(t *testing.T, db *store.DB) {
		h, other := storetest.Host(t, db), storetest.Host(t, db)
		hold := func(id, why string, since time.Time) error {
			return try(t, db, func(ctx context.Context, tx *store.Tx) error { return tx.SetAutoHeld(ctx, id, why, since) })
		}
		held := func(want string, since time.Time) {
			t.Helper()
			got, err := db.Host(t.Context(), h.ID)
			if err != nil || got.AutoHeld != want || !got.AutoHeldSince.Equal(since) {
				t.Errorf("held %q since %s, %v", got.AutoHeld, got.AutoHeldSince, err)
			}
		}
		held("", time.Time{})
		if err := hold(h.ID, "too many", noon); err != nil {
			t.Fatal(err)
		}
		storetest.Update(t, db, func(ctx context.Context, tx *store.Tx) error { return tx.UpdateHost(ctx, h) }) // knows nothing of it
		held("too many", noon)
		if err := hold(h.ID, "", noon.Add(time.Hour)); err != nil {
			t.Fatal(err)
		}
		held("", time.Time{})
		if got, err := db.Host(t.Context(), other.ID); err != nil || got.AutoHeld != "" {
			t.Errorf("another host: %+v, %v", got, err)
		}
		wantErr(t, hold("nobody", "x", noon), store.ErrNotFound)
	})
}
