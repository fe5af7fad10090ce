package store_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/tiny-forge/docker-watcher/internal/store"
	"github.com/tiny-forge/docker-watcher/internal/store/storetest"
)

func TestDeploys(t *testing.T) {
	storetest.Both(t, func(t *testing.T, db *store.DB) {
		ctx := t.Context()
		s, _ := storetest.Shop(t, db)
		deploy := func(stage string) store.Deploy {
			return store.Deploy{
				ID: store.NewID(), ProjectID: s.ProjectID, StageID: stage, HostID: s.HostID, Replaces: "old", Image: "shop", ImageTag: "1.0",
				State: store.DeployQueued, Actor: "user:anna", CreatedAt: noon,
			}
		}
		insert := func(d store.Deploy) error {
			return try(t, db, func(ctx context.Context, tx *store.Tx) error { return tx.InsertDeploy(ctx, d) })
		}
		update := func(d store.Deploy) error {
			return try(t, db, func(ctx context.Context, tx *store.Tx) error { return tx.UpdateDeploy(ctx, d) })
		}
		first, second, elsewhere := deploy(s.ID), deploy(s.ID), deploy("another stage")
		if err := errors.Join(insert(first), insert(elsewhere)); err != nil {
			t.Fatal(err)
		}
		wantErr(t, insert(second), store.ErrConflict)
		wantErr(t, insert(first), store.ErrConflict)
		first.State, first.InstanceID, first.Digest, first.Error, first.EndedAt = store.DeployFailed, "new", "sha256:d", "not healthy", noon.Add(time.Minute)
		if err := update(first); err != nil {
			t.Fatal(err)
		}
		again := first
		again.State = store.DeployDone
		wantErr(t, update(again), store.ErrConflict) // an end is an end
		wantErr(t, update(deploy(s.ID)), store.ErrNotFound)
		got, err := db.Deploy(ctx, first.ID)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(first, got); diff != "" {
			t.Error(diff)
		}
		if err := insert(second); err != nil {
			t.Errorf("after the first has ended: %v", err)
		}
		open, err := db.OpenDeploys(ctx)
		if err != nil || len(open) != 2 {
			t.Errorf("open: %+v, %v", open, err)
		}
		second.State = store.DeployDone
		if err := update(second); err != nil {
			t.Fatal(err)
		}
		if got, err := db.Deploy(ctx, second.ID); err != nil || got.EndedAt.IsZero() {
			t.Errorf("an end without a time: %+v, %v", got, err)
		}
		for stage, want := range map[string][]string{s.ID: {second.ID, first.ID}, "": {elsewhere.ID, second.ID, first.ID}, "nobody": nil} {
			var ids []string
			for cursor := ""; ; {
				items, next, err := db.Deploys(ctx, s.ProjectID, stage, store.Page{Limit: 1, Cursor: cursor})
				if err != nil {
					t.Fatal(err)
				}
				for _, d := range items {
					ids = append(ids, d.ID)
				}
				if cursor = next; next == "" {
					break
				}
			}
			if diff := cmp.Diff(want, ids); diff != "" {
				t.Errorf("stage %q: %s", stage, diff)
			}
		}
	})
}

func TestScans(t *testing.T) {
	storetest.Both(t, func(t *testing.T, db *store.DB) {
		ctx := t.Context()
		h, other := storetest.Host(t, db), storetest.Host(t, db)
		want := store.ScanRun{
			ID: store.NewID(), HostID: other.ID, Trigger: "manual", StartedAt: noon, FinishedAt: noon.Add(time.Second), ListCalls: 2,
			Inspects: 3, Known: 4, Stale: 5, NewlyStale: 6, Recovered: 7, Unknown: 8, Outcome: store.ScanBlind, Error: "no answer",
		}
		storetest.Update(t, db, func(ctx context.Context, tx *store.Tx) error {
			for n := range 1005 {
				if err := tx.InsertScanRun(ctx, store.ScanRun{
					ID: store.NewID(), HostID: h.ID, StartedAt: noon.Add(time.Duration(n) * time.Second), FinishedAt: noon, Known: n,
				}); err != nil {
					return err
				}
			}
			return tx.InsertScanRun(ctx, want)
		})
		runs, next, err := db.ScanRuns(ctx, other.ID, store.Page{})
		if err != nil || len(runs) != 1 || next != "" || cmp.Diff(want, runs[0]) != "" {
			t.Errorf("of the other host: %+v, %q, %v", runs, next, err)
		}
		var known []int
		for cursor := ""; ; {
			runs, next, err := db.ScanRuns(ctx, h.ID, store.Page{Limit: 333, Cursor: cursor})
			if err != nil {
				t.Fatal(err)
			}
			for _, r := range runs {
				known = append(known, r.Known)
			}
			if cursor = next; next == "" {
				break
			}
		}
		if len(known) != 1000 || known[0] != 1004 || known[999] != 5 {
			t.Errorf("%d are kept, from %d to %d", len(known), known[0], known[len(known)-1])
		}
		all, _, err := db.ScanRuns(ctx, "", store.Page{Limit: 1})
		if err != nil || len(all) != 1 || all[0].Known != 1004 {
			t.Errorf("of all hosts: %+v, %v", all, err)
		}
	})
}

func TestBlindIntervals(t *testing.T) {
	storetest.Both(t, func(t *testing.T, db *store.DB) {
		ctx := t.Context()
		h, other := storetest.Host(t, db), storetest.Host(t, db)
		open := func(host, reason string, from time.Duration) {
			t.Helper()
			storetest.Update(t, db, func(ctx context.Context, tx *store.Tx) error {
				return tx.OpenBlindInterval(ctx, store.BlindInterval{ID: store.NewID(), HostID: host, From: noon.Add(from), Reason: reason, Detail: fmt.Sprint(from)})
			})
		}
		details := func(host string, since time.Time) (details []string) {
			t.Helper()
			items, err := db.BlindIntervals(ctx, host, since)
			if err != nil {
				t.Fatal(err)
			}
			for _, b := range items {
				details = append(details, b.Detail+"/"+b.Reason+"/"+fmt.Sprint(!b.To.IsZero()))
			}
			return details
		}
		open(h.ID, "down", 0)
		open(h.ID, "down", time.Minute) // is open already
		open(h.ID, "clock", time.Second)
		open(other.ID, "down", time.Second)
		storetest.Update(t, db, func(ctx context.Context, tx *store.Tx) error {
			return tx.CloseBlindIntervals(ctx, h.ID, noon.Add(time.Hour))
		})
		open(h.ID, "down", 2*time.Hour)
		for name, c := range map[string]struct{ got, want []string }{
			"all":               {details(h.ID, time.Time{}), []string{"2h0m0s/down/false", "1s/clock/true", "0s/down/true"}},
			"ended before":      {details(h.ID, noon.Add(time.Hour)), []string{"2h0m0s/down/false"}},
			"the other is open": {details(other.ID, noon.Add(9*time.Hour)), []string{"1s/down/false"}},
			"of all hosts":      {details("", noon.Add(time.Hour)), []string{"2h0m0s/down/false", "1s/down/false"}},
		} {
			if diff := cmp.Diff(c.want, c.got); diff != "" {
				t.Errorf("%s: %s", name, diff)
			}
		}
	})
}
