package store_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/tiny-forge/docker-watcher/internal/store"
	"github.com/tiny-forge/docker-watcher/internal/store/storetest"
)

func TestStaleByClass(t *testing.T) {
	storetest.Both(t, func(t *testing.T, db *store.DB) {
		h := storetest.Host(t, db)
		shop := storetest.Stage(t, db, h, storetest.Project(t, db, func(p *store.Project) { p.Name = "shop" }))
		press := storetest.Stage(t, db, h, storetest.Project(t, db, func(p *store.Project) { p.Name = "press" }))
		dead := func(class store.Class) func(*store.Instance) {
			return func(i *store.Instance) {
				i.Status, i.Class, i.StaleSince = store.StatusStopped, class, time.Now()
			}
		}
		storetest.Instance(t, db, shop, dead(store.ClassExited))
		storetest.Instance(t, db, shop, dead(store.ClassExited), func(i *store.Instance) { i.PinnedAt = time.Now() })
		storetest.Instance(t, db, shop, dead(store.ClassOOM))
		storetest.Instance(t, db, shop)
		storetest.Instance(t, db, press, dead(store.ClassExited), func(i *store.Instance) { i.Status = store.StatusRemoving })
		got, err := db.StaleByClass(t.Context())
		want := []store.ClassFigures{{Project: "shop", Class: store.ClassExited, Count: 2}, {Project: "shop", Class: store.ClassOOM, Count: 1}}
		if err != nil || len(got) != 2 || got[0] != want[0] || got[1] != want[1] {
			t.Errorf("got %+v, %v", got, err)
		}
	})
}

func TestLastScans(t *testing.T) {
	storetest.Both(t, func(t *testing.T, db *store.DB) {
		one, two := storetest.Host(t, db), storetest.Host(t, db)
		storetest.Host(t, db) // never scanned
		at := time.Now().UTC().Truncate(time.Millisecond)
		for _, r := range []store.ScanRun{
			{HostID: one.ID, StartedAt: at.Add(-time.Minute), ListCalls: 9},
			{HostID: one.ID, StartedAt: at, FinishedAt: at.Add(time.Second), ListCalls: 2},
			{HostID: two.ID, StartedAt: at.Add(-time.Hour), ListCalls: 3},
		} {
			r.ID, r.Trigger, r.Outcome = store.NewID(), "manual", store.ScanOK
			storetest.Update(t, db, func(ctx context.Context, tx *store.Tx) error { return tx.InsertScanRun(ctx, r) })
		}
		got, err := db.LastScans(t.Context())
		by := map[string]store.ScanRun{}
		for _, r := range got {
			by[r.HostID] = r
		}
		if err != nil || len(got) != 2 || by[one.ID].ListCalls != 2 || by[two.ID].ListCalls != 3 || by[one.ID].FinishedAt.Sub(by[one.ID].StartedAt) != time.Second {
			t.Errorf("got %+v, %v", got, err)
		}
	})
}

func TestBlindTimes(t *testing.T) {
	storetest.Both(t, func(t *testing.T, db *store.DB) {
		h, now := storetest.Host(t, db), time.Now().UTC().Truncate(time.Millisecond)
		for _, b := range []store.BlindInterval{
			{Reason: "down", From: now.Add(-time.Hour), To: now.Add(-50 * time.Minute)},
			{Reason: "down", From: now.Add(-20 * time.Minute), To: now.Add(-19 * time.Minute)},
			{Reason: "clock", From: now.Add(-5 * time.Minute)},
			{Reason: "unreachable", From: now.Add(time.Hour)}, // by a clock that was turned back since
		} {
			b.ID, b.HostID = store.NewID(), h.ID
			storetest.Update(t, db, func(ctx context.Context, tx *store.Tx) error { return tx.OpenBlindInterval(ctx, b) })
		}
		got, err := db.BlindTimes(t.Context(), now)
		want := []store.BlindFigures{
			{HostID: h.ID, Reason: "clock", Time: 5 * time.Minute, Open: true},
			{HostID: h.ID, Reason: "down", Time: 11 * time.Minute},
			{HostID: h.ID, Reason: "unreachable", Open: true},
		}
		if err != nil || len(got) != len(want) {
			t.Fatalf("got %+v, %v", got, err)
		}
		for i := range want {
			if got[i] != want[i] {
				t.Errorf("got %+v, want %+v", got[i], want[i])
			}
		}
	})
}

// TestOldestDue: what was sent or given up is due no more, and each channel is told for itself.
func TestOldestDue(t *testing.T) {
	storetest.Both(t, func(t *testing.T, db *store.DB) {
		ctx := t.Context()
		ops, night, idle := aChannel(t, db, "ops"), aChannel(t, db, "night"), aChannel(t, db, "idle")
		first, second := aMessage(t, db, ops, 1), aMessage(t, db, ops, 2)
		held := aMessage(t, db, night, 1)
		later := noon.Add(time.Hour)
		storetest.Update(t, db, func(ctx context.Context, tx *store.Tx) error {
			return errors.Join(tx.HoldMessage(ctx, second.ID, later), tx.HoldMessage(ctx, held.ID, later.Add(time.Hour)), tx.ClaimMessage(ctx, first.ID, noon, later))
		})
		want := func(what string, want map[string]time.Time) {
			t.Helper()
			got, err := db.OldestDue(ctx)
			if err != nil || len(got) != len(want) || !got[idle.ID].IsZero() {
				t.Fatalf("%s: %v, %v", what, got, err)
			}
			for id, at := range want {
				if !got[id].Equal(at) {
					t.Errorf("%s: %v since %v, want %v", what, id, got[id], at)
				}
			}
		}
		want("one is under way", map[string]time.Time{ops.ID: noon, night.ID: later.Add(time.Hour)})
		first.State = store.MessageSent
		storetest.Update(t, db, func(ctx context.Context, tx *store.Tx) error { return tx.EndAttempt(ctx, first, noon) })
		want("it was sent", map[string]time.Time{ops.ID: later, night.ID: later.Add(time.Hour)})
		held.State = store.MessageDead
		storetest.Update(t, db, func(ctx context.Context, tx *store.Tx) error {
			return errors.Join(tx.ClaimMessage(ctx, held.ID, later, later), tx.EndAttempt(ctx, held, later))
		})
		want("one was given up", map[string]time.Time{ops.ID: later})
	})
}

// What is counted was committed, once.
func TestCounts(t *testing.T) {
	storetest.Both(t, func(t *testing.T, db *store.DB) {
		ctx := t.Context()
		h := storetest.Host(t, db)
		stage := storetest.Stage(t, db, h, storetest.Project(t, db))
		d := store.Deploy{ID: store.NewID(), ProjectID: stage.ProjectID, StageID: stage.ID, HostID: h.ID, State: store.DeployQueued}
		storetest.Update(t, db, func(ctx context.Context, tx *store.Tx) error { return tx.InsertDeploy(ctx, d) })
		if c := db.Counts(); len(c.Deploys) != 0 {
			t.Errorf("one that is queued counts: %v", c)
		}
		d.State = store.DeployFailed
		back := errors.New("rolled back")
		if err := db.Update(ctx, func(tx *store.Tx) error { return errors.Join(tx.UpdateDeploy(ctx, d), back) }); !errors.Is(err, back) {
			t.Fatal(err)
		}
		if c := db.Counts(); len(c.Deploys) != 0 {
			t.Errorf("what was rolled back counts: %v", c)
		}
		storetest.Update(t, db, func(ctx context.Context, tx *store.Tx) error { return tx.UpdateDeploy(ctx, d) })
		if err := db.Update(ctx, func(tx *store.Tx) error { return tx.UpdateDeploy(ctx, d) }); !errors.Is(err, store.ErrConflict) {
			t.Errorf("ended twice: %v", err)
		}
		if c := db.Counts(); len(c.Deploys) != 1 || c.Deploys[store.DeployFailed] != 1 || len(c.Items) != 0 {
			t.Errorf("got %v", c)
		}
	})
}

func TestSizes(t *testing.T) {
	storetest.Both(t, func(t *testing.T, db *store.DB) {
		storetest.Host(t, db)
		got, err := db.Sizes(t.Context())
		if err != nil || got.Database <= 0 {
			t.Errorf("got %+v, %v", got, err)
		}
		if lite := t.Name() == "TestSizes/sqlite"; lite != (got.Log > 0) || !lite && got.Log != -1 {
			t.Errorf("the log has %d bytes", got.Log)
		}
	})
}
