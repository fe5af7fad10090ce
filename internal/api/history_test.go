package api

import (
	"net/http"
	"testing"
	"time"

	"github.com/tiny-forge/docker-watcher/client"
	"github.com/tiny-forge/docker-watcher/internal/store"
)

// TestHistory tells the days as they are even when one begins meanwhile: today is the day of the scan.
func TestHistory(t *testing.T) {
	b := newBed(t)
	st := b.shop("shop", "preview")
	b.plant(st, "shop-preview-a", 20)
	scans, err := b.operator.Scan(t.Context(), "")
	b.must(err)
	today := scans[0].StartedAt.UTC().Truncate(day)
	plan := store.Plan{
		ID: store.NewID(), State: store.PlanApplied, CreatedAt: today.Add(-day), CreatedBy: "user:anna", ExpiresAt: today, DoneAt: today.Add(-time.Hour),
		Items: []store.PlanItem{{InstanceID: store.NewID(), Result: store.ResultRemoved, DoneAt: today.Add(-time.Hour), Details: store.PlanDetails{Bytes: 1 << 20}}},
	}
	b.update(func(tx *store.Tx) error { return tx.InsertPlan(t.Context(), plan) })

	days, err := b.viewer.History(t.Context(), today.Add(-2*day), 3)
	b.must(err)
	if len(days) != 3 || !days[2].From.Equal(today) || days[2].Stale == nil || *days[2].Stale != 1 {
		t.Fatalf("got %+v", days)
	}
	if y := days[1]; y.Stale != nil || y.Removed != 1 || y.Bytes != 1<<20 || y.Images != 0 {
		t.Errorf("yesterday: %+v", y)
	}
	// Days begin where somebody is, and tomorrow is not told.
	from := today.Add(-day).Add(-2 * time.Hour)
	if days, err = b.viewer.History(t.Context(), from, 30); err != nil || len(days) > 3 || !days[0].From.Equal(from) || days[1].From.Sub(from) != day {
		t.Errorf("got %+v, %v", days, err)
	}
	// Where no begin is said, the last day is the one on which it is asked.
	before := time.Now().UTC().Truncate(day)
	days, err = b.viewer.History(t.Context(), time.Time{}, 0)
	if err != nil || len(days) != 30 || days[29].From.Before(before) || days[29].From.After(time.Now().UTC().Truncate(day)) {
		t.Errorf("got %+v, %v", days, err)
	}
	_, err = b.viewer.History(t.Context(), today.Add(2*day), 1)
	wantProblem(t, err, http.StatusUnprocessableEntity, client.CodeInvalid)
	_, err = b.viewer.History(t.Context(), today.AddDate(-20, 0, 0), 1)
	wantProblem(t, err, http.StatusUnprocessableEntity, client.CodeInvalid)
	_, err = b.viewer.History(t.Context(), time.Time{}, 367)
	wantProblem(t, err, http.StatusUnprocessableEntity, client.CodeInvalid)
}
