package store_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/tiny-forge/docker-watcher/internal/store"
	"github.com/tiny-forge/docker-watcher/internal/store/storetest"
)

func aPlan(items ...store.PlanItem) store.Plan {
	return store.Plan{
		ID: store.NewID(), State: store.PlanPlanned, Single: true, CreatedAt: noon, CreatedBy: "user:anna", ExpiresAt: noon.Add(15 * time.Minute),
		LeftOut: 3, Items: items,
	}
}

func TestPlans(t *testing.T) {
	storetest.Both(t, func(t *testing.T, db *store.DB) {
		ctx := t.Context()
		item := store.PlanItem{
			InstanceID: "i1", HostID: "h", EngineID: "e", DataRoot: "/d", ContainerID: "c", Name: "n", ProjectID: "p", StageID: "s",
			Project: "shop", Stage: "dev", ImageTag: "1.0", Status: store.StatusStopped, Class: store.ClassOOM, Evidence: store.EvidenceFinishedAt,
			UpperBound: true, LastAliveAt: noon, Reason: "because", StartedAt: noon.Add(-time.Hour), FinishedAt: noon, RestartCount: 2,
			Labels:     map[string]string{"a": "b"},
			Details:    store.PlanDetails{Bytes: -1, Volumes: []string{"data"}, Warnings: []string{"the tag is gone"}},
			Protection: store.Protection{Kind: store.ProtectionSnoozed, Until: noon.Add(time.Hour), By: "user:bert", Why: "later"},
		}
		p := aPlan(item, store.PlanItem{InstanceID: "i2", Name: "m"})
		storetest.Update(t, db, func(ctx context.Context, tx *store.Tx) error { return tx.InsertPlan(ctx, p) })
		want := p
		want.Items = []store.PlanItem{p.Items[0], p.Items[1]}
		for n := range want.Items {
			want.Items[n].PlanID, want.Items[n].Position = p.ID, n
		}
		same := func() {
			t.Helper()
			got, err := db.Plan(ctx, p.ID)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Error(diff)
			}
		}
		same()
		claim := func(id string, now time.Time) error {
			return try(t, db, func(ctx context.Context, tx *store.Tx) error { return tx.ClaimPlan(ctx, id, "user:bert", now) })
		}
		finish := func() error {
			return try(t, db, func(ctx context.Context, tx *store.Tx) error { return tx.FinishPlan(ctx, p.ID, noon.Add(time.Minute)) })
		}
		wantErr(t, claim(p.ID, p.ExpiresAt), store.ErrConflict)
		wantErr(t, claim("nobody", noon), store.ErrNotFound)
		wantErr(t, finish(), store.ErrConflict)
		same()
		if err := claim(p.ID, noon.Add(time.Second)); err != nil {
			t.Fatal(err)
		}
		wantErr(t, claim(p.ID, noon.Add(time.Second)), store.ErrConflict) // only once
		want.State, want.AppliedAt, want.AppliedBy = store.PlanApplying, noon.Add(time.Second), "user:bert"
		same()
		left, err := db.UnfinishedPlans(ctx)
		if err != nil || len(left) != 1 || len(left[0].Items) != 2 {
			t.Errorf("unfinished: %+v, %v", left, err)
		}
		result := func(id string) error {
			return try(t, db, func(ctx context.Context, tx *store.Tx) error {
				return tx.SetPlanResult(ctx, p.ID, id, store.ResultRevived, "runs again", noon.Add(2*time.Second))
			})
		}
		if err := errors.Join(result("i2"), finish()); err != nil {
			t.Fatal(err)
		}
		wantErr(t, result("nobody"), store.ErrNotFound)
		want.Items[1].Result, want.Items[1].ResultDetail, want.Items[1].DoneAt = store.ResultRevived, "runs again", noon.Add(2*time.Second)
		want.State, want.DoneAt = store.PlanApplied, noon.Add(time.Minute)
		same()
		if left, err := db.UnfinishedPlans(ctx); err != nil || len(left) != 0 {
			t.Errorf("unfinished: %+v, %v", left, err)
		}
		_, err = db.Plan(ctx, "nobody")
		wantErr(t, err, store.ErrNotFound)
	})
}

// TestOnePlanIsClaimedOnce, also by many at the same time.
func TestOnePlanIsClaimedOnce(t *testing.T) {
	storetest.Both(t, func(t *testing.T, db *store.DB) {
		p := aPlan()
		storetest.Update(t, db, func(ctx context.Context, tx *store.Tx) error { return tx.InsertPlan(ctx, p) })
		results := make(chan error)
		for range 8 {
			go func() {
				results <- db.Update(t.Context(), func(tx *store.Tx) error { return tx.ClaimPlan(t.Context(), p.ID, "x", noon) })
			}()
		}
		won := 0
		for range 8 {
			if err := <-results; err == nil {
				won++
			} else {
				wantErr(t, err, store.ErrConflict)
			}
		}
		if won != 1 {
			t.Errorf("%d have it", won)
		}
	})
}

func TestRemovals(t *testing.T) {
	storetest.Both(t, func(t *testing.T, db *store.DB) {
		ctx := t.Context()
		s, i := storetest.Shop(t, db, func(i *store.Instance) { i.Status = store.StatusStopped })
		r := store.Removal{
			InstanceID: i.ID, PlanID: "plan", HostID: s.HostID, ContainerID: i.ContainerID, Former: store.StatusStopped, StartedAt: noon,
			FinishedAt: noon.Add(time.Hour), RestartCount: 1, Labels: map[string]string{"a": "b"}, Actor: "user:anna", CreatedAt: noon,
			EngineID: "ENGINE", DataRoot: "/var/lib/docker",
		}
		begin := func(r store.Removal, revision int64) error {
			return try(t, db, func(ctx context.Context, tx *store.Tx) error { return tx.BeginRemoval(ctx, r, revision) })
		}
		running := r
		running.Former = store.StatusRunning
		removing := r
		removing.Former = store.StatusRemoving
		nobody := r
		nobody.InstanceID = "nobody"
		wantErr(t, begin(r, 7), store.ErrConflict)
		wantErr(t, begin(running, 0), store.ErrConflict)
		wantErr(t, begin(removing, 0), store.ErrBadTransition)
		wantErr(t, begin(nobody, 0), store.ErrNotFound)
		if rows, err := db.Removals(ctx); err != nil || len(rows) != 0 || view(t, db, i.ID).Status != store.StatusStopped {
			t.Fatalf("after refusals: %+v, %v", rows, err)
		}
		if err := begin(r, 0); err != nil {
			t.Fatal(err)
		}
		wantErr(t, begin(r, 0), store.ErrConflict)
		v := view(t, db, i.ID)
		if v.Status != store.StatusRemoving || v.Revision != 1 {
			t.Errorf("status is %s, revision %d", v.Status, v.Revision)
		}
		escaped := v.Instance
		escaped.Status = store.StatusStopped
		wantErr(t, try(t, db, func(ctx context.Context, tx *store.Tx) error {
			return tx.RecordInstance(ctx, v.Instance, &escaped, noon)
		}), store.ErrBadTransition)

		step := func(id string) error {
			return try(t, db, func(ctx context.Context, tx *store.Tx) error {
				return tx.SetRemovalStep(ctx, id, store.RemovalDeleting)
			})
		}
		if err := step(i.ID); err != nil {
			t.Error(err)
		}
		wantErr(t, step("nobody"), store.ErrNotFound)
		rows, err := db.Removals(ctx)
		if err != nil || len(rows) != 1 {
			t.Fatalf("removals: %+v, %v", rows, err)
		}
		want := r
		want.Step, want.UpdatedAt = store.RemovalDeleting, rows[0].UpdatedAt
		if diff := cmp.Diff(want, rows[0]); diff != "" {
			t.Error(diff)
		}

		takeBack := func() error {
			return try(t, db, func(ctx context.Context, tx *store.Tx) error { return tx.TakeBackRemoval(ctx, i.ID) })
		}
		finish := func() error {
			return try(t, db, func(ctx context.Context, tx *store.Tx) error { return tx.FinishRemoval(ctx, i.ID) })
		}
		if err := takeBack(); err != nil {
			t.Fatal(err)
		}
		wantErr(t, takeBack(), store.ErrNotFound)
		wantErr(t, finish(), store.ErrNotFound)
		if v := view(t, db, i.ID); v.Status != store.StatusStopped || v.Revision != 2 {
			t.Errorf("taken back: %s, revision %d", v.Status, v.Revision)
		}

		other := storetest.Instance(t, db, s)
		route(t, db, i, "shop.example", "/")
		route(t, db, i, "shop.example", "/api")
		route(t, db, other, "other.example", "/")
		if routes, err := db.RoutesOf(ctx, i.ID); err != nil || cmp.Diff([]string{"shop.example/", "shop.example/api"}, routes) != "" {
			t.Errorf("routes: %v, %v", routes, err)
		}
		if err := errors.Join(begin(r, 2), finish()); err != nil {
			t.Fatal(err)
		}
		_, err = db.Instance(ctx, i.ID)
		wantErr(t, err, store.ErrNotFound)
		if n := store.Number(t, db, `SELECT (SELECT count(*) FROM routes) * 100 + (SELECT count(*) FROM domains) * 10 + (SELECT count(*) FROM removals)`); n != 110 {
			t.Errorf("left are routes, domains, removals: %03d", n)
		}
		if view(t, db, other.ID).Status != store.StatusRunning {
			t.Error("another one was touched")
		}
	})
}

func route(t *testing.T, db *store.DB, i store.Instance, domain, path string) {
	t.Helper()
	id := store.NewID()
	store.Exec(t, db, `INSERT INTO routes (id, project_id, stage_id, instance_id, port, tls, options, enabled, created_at, updated_at, revision)
		VALUES ($1, $2, $3, $4, 80, 'off', '{}', 1, 0, 0, 0)`, id, i.ProjectID, i.StageID, i.ID)
	store.Exec(t, db, `INSERT INTO domains (domain, path_prefix, route_id) VALUES ($1, $2, $3)`, domain, path, id)
}
