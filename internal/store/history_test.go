package store_test

import (
	"context"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/tiny-forge/docker-watcher/internal/store"
	"github.com/tiny-forge/docker-watcher/internal/store/storetest"
)

const oneDay = 24 * time.Hour

func TestHistoryOfWhatWasStale(t *testing.T) {
	storetest.Both(t, func(t *testing.T, db *store.DB) {
		one := storetest.Host(t, db)
		two := storetest.Host(t, db, func(h *store.Host) { h.Name = "two" })
		scan := func(h store.Host, at time.Duration, stale int, outcome store.ScanOutcome) {
			r := store.ScanRun{
				ID: store.NewID(), HostID: h.ID, Trigger: "schedule", StartedAt: noon.Add(at), FinishedAt: noon.Add(at), Stale: stale, Outcome: outcome,
			}
			storetest.Update(t, db, func(ctx context.Context, tx *store.Tx) error { return tx.InsertScanRun(ctx, r) })
		}
		scan(one, time.Hour, 3, store.ScanOK)
		scan(one, 2*time.Hour, 4, store.ScanOK)       // the last of its day
		scan(one, 3*time.Hour, 0, store.ScanBlind)    // a blind one says nothing
		scan(two, oneDay+time.Hour, 10, store.ScanOK) // known from the second day on
		scan(one, 3*oneDay, 1, store.ScanOK)          // on the bound: the fourth day
		scan(one, 5*oneDay, 99, store.ScanOK)         // after the history
		figures := func(from time.Time, n int) (stale []int) {
			days, err := db.History(t.Context(), from, n)
			if err != nil {
				t.Fatal(err)
			}
			for _, d := range days {
				stale = append(stale, d.Stale)
			}
			return stale
		}
		if diff := cmp.Diff([]int{4, 14, 14, 11, 11}, figures(noon, 5)); diff != "" {
			t.Error(diff)
		}
		if diff := cmp.Diff([]int{-1, -1, 4, 14}, figures(noon.Add(-2*oneDay), 4)); diff != "" {
			t.Errorf("before the first scan nothing is known: %s", diff)
		}
		if diff := cmp.Diff([]int{11, 109}, figures(noon.Add(4*oneDay), 2)); diff != "" {
			t.Errorf("the figure of before the begin counts at the begin: %s", diff)
		}
		if diff := cmp.Diff([]int{-1}, figures(noon.Add(13*oneDay), 1)); diff != "" {
			t.Errorf("a figure of long ago is no figure: %s", diff)
		}
	})
}

func TestHistoryOfWhatCameBack(t *testing.T) {
	storetest.Both(t, func(t *testing.T, db *store.DB) {
		h := storetest.Host(t, db)
		item := func(r store.CleanupResult, at time.Time, bytes int64) store.PlanItem {
			return store.PlanItem{InstanceID: store.NewID(), Result: r, DoneAt: at, Details: store.PlanDetails{Bytes: bytes}}
		}
		plan := func(state store.PlanState, made time.Time, items ...store.PlanItem) {
			p := store.Plan{ID: store.NewID(), State: state, CreatedAt: made, CreatedBy: "user:anna", ExpiresAt: made.Add(time.Hour), Items: items}
			storetest.Update(t, db, func(ctx context.Context, tx *store.Tx) error { return tx.InsertPlan(ctx, p) })
		}
		plan(store.PlanApplied, noon.Add(-time.Minute), // made the day before
			item(store.ResultRemoved, noon, 100), item(store.ResultRemoved, noon.Add(time.Hour), 11), item(store.ResultRemoved, noon.Add(time.Hour), -1),
			item(store.ResultRevived, noon, 1000), item(store.ResultKept, noon, 1000), item(store.ResultRemoved, noon.Add(-time.Second), 1000))
		plan(store.PlanApplying, noon.Add(oneDay), item(store.ResultRemoved, noon.Add(oneDay), 7), item("", time.Time{}, 1000))
		plan(store.PlanPlanned, noon, item("", time.Time{}, 1000))
		plan(store.PlanApplied, noon.Add(2*oneDay), item(store.ResultRemoved, noon.Add(2*oneDay), 1000)) // after the history

		reclaim := store.ReclaimPlan{
			ID: store.NewID(), HostID: h.ID, State: store.PlanApplied, CreatedAt: noon, CreatedBy: "user:anna", ExpiresAt: noon.Add(time.Hour), DoneAt: noon.Add(time.Hour),
			Items: []store.ReclaimItem{
				{ImageID: "sha256:1", Bytes: 50, Result: store.ResultRemoved},
				{ImageID: "sha256:2", Bytes: 1000, Result: store.ResultInUse},
				{ImageID: "sha256:3", Bytes: 5, Result: store.ResultRemoved},
			},
		}
		storetest.Update(t, db, func(ctx context.Context, tx *store.Tx) error { return tx.InsertReclaimPlan(ctx, reclaim) })

		got, err := db.History(t.Context(), noon, 2)
		want := []store.DayFigures{
			{Stale: -1, Removed: 3, Bytes: 111, Images: 2, ImageBytes: 55},
			{Stale: -1, Removed: 1, Bytes: 7},
		}
		if diff := cmp.Diff(want, got); err != nil || diff != "" {
			t.Errorf("%v %s", err, diff)
		}
	})
}
