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
				ID: store.NewID(), Kind: store.DeployForward, ProjectID: s.ProjectID, StageID: stage, HostID: s.HostID, Replaces: "old", Image: "shop", ImageTag: "1.0",
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
		lane := deploy(s.ID)
		lane.Lane, lane.State = "pr-1", store.DeployQueued
		if err := insert(lane); err != nil {
			t.Errorf("of another lane one waits as well: %v", err)
		}
		if waits, err := db.QueuedDeploy(ctx, s.ID, "pr-1"); err != nil || cmp.Diff(lane, waits) != "" {
			t.Errorf("what waits in the lane: %+v, %v", waits, err)
		}
		lane.State = store.DeploySuperseded
		if err := update(lane); err != nil {
			t.Error(err)
		}
		if waits, err := db.QueuedDeploy(ctx, s.ID, ""); err != nil || cmp.Diff(first, waits) != "" {
			t.Errorf("what waits: %+v, %v", waits, err)
		}
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
		second.State = store.DeployPulling
		third := deploy(s.ID)
		if err := errors.Join(update(second), insert(third)); err != nil {
			t.Errorf("one is carried out and one waits: %v", err)
		}
		third.State = store.DeployPulling
		wantErr(t, update(third), store.ErrConflict) // two at a time
		third.State = store.DeploySuperseded
		if err := update(third); err != nil {
			t.Error(err)
		}
		_, err = db.QueuedDeploy(ctx, s.ID, "")
		wantErr(t, err, store.ErrNotFound)
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
		for stage, want := range map[string][]string{s.ID: {third.ID, lane.ID, second.ID, first.ID}, "": {third.ID, lane.ID, elsewhere.ID, second.ID, first.ID}, "nobody": nil} {
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

func TestCancelDeploy(t *testing.T) {
	storetest.Both(t, func(t *testing.T, db *store.DB) {
		s, _ := storetest.Shop(t, db)
		for state, want := range map[store.DeployState]error{
			store.DeployQueued: nil, store.DeployPulling: nil, store.DeployStarting: nil, store.DeployChecking: nil,
			store.DeploySwitching: store.ErrConflict, store.DeployDraining: store.ErrConflict, store.DeployDone: store.ErrConflict,
			store.DeployFailed: store.ErrConflict, store.DeployCancelled: store.ErrConflict, store.DeploySuperseded: store.ErrConflict,
		} {
			d := store.Deploy{ID: store.NewID(), ProjectID: s.ProjectID, StageID: "stage of " + string(state), HostID: s.HostID, State: state, CreatedAt: noon}
			storetest.Update(t, db, func(ctx context.Context, tx *store.Tx) error { return tx.InsertDeploy(ctx, d) })
			cancel := func(by string) error {
				return try(t, db, func(ctx context.Context, tx *store.Tx) error { return tx.CancelDeploy(ctx, d.ID, by) })
			}
			if err := cancel("user:anna"); !errors.Is(err, want) {
				t.Errorf("%s: %v, want %v", state, err, want)
			}
			got, err := db.Deploy(t.Context(), d.ID)
			if by := map[bool]string{true: "user:anna"}[want == nil]; err != nil || got.CancelledBy != by || got.State != state {
				t.Errorf("%s: %+v, %v", state, got, err)
			}
			if err := cancel("user:ben"); !errors.Is(err, want) {
				t.Errorf("%s: again: %v", state, err)
			}
		}
		wantErr(t, try(t, db, func(ctx context.Context, tx *store.Tx) error { return tx.CancelDeploy(ctx, "nope", "user:anna") }), store.ErrNotFound)
	})
}

func TestDeployLog(t *testing.T) {
	storetest.Both(t, func(t *testing.T, db *store.DB) {
		ctx := t.Context()
		s, _ := storetest.Shop(t, db)
		ids := make([]string, 53)
		for n := range ids {
			ids[n] = store.NewID()
			storetest.Update(t, db, func(ctx context.Context, tx *store.Tx) error {
				d := store.Deploy{ID: ids[n], ProjectID: s.ProjectID, StageID: s.ID, HostID: s.HostID, State: store.DeployDone, CreatedAt: noon}
				if err := errors.Join(tx.InsertDeploy(ctx, d), tx.PruneDeployLogs(ctx, s.ID)); err != nil {
					return err
				}
				_, err := tx.AppendDeployLog(ctx, store.DeployLine{DeployID: d.ID, Text: "first"})
				return err
			})
		}
		last := ids[len(ids)-1]
		want := store.DeployLine{
			DeployID: last, Line: 2, Time: noon, State: store.DeployPulling, Text: "a\uFFFDb", DoneBytes: 1 << 40, TotalBytes: 1 << 41,
		}
		storetest.Update(t, db, func(ctx context.Context, tx *store.Tx) error {
			given := want
			given.Line, given.Text = 99, "a\x00b"
			got, err := tx.AppendDeployLog(ctx, given)
			if diff := cmp.Diff(want, got); diff != "" {
				t.Error(diff)
			}
			return err
		})
		if lines, err := db.DeployLog(ctx, last, 1, 10); err != nil || cmp.Diff([]store.DeployLine{want}, lines) != "" {
			t.Errorf("after the first line: %+v, %v", lines, err)
		}
		storetest.Update(t, db, func(ctx context.Context, tx *store.Tx) error {
			for range 600 {
				if _, err := tx.AppendDeployLog(ctx, store.DeployLine{DeployID: last, Text: "more"}); err != nil {
					return err
				}
			}
			return nil
		})
		lines, err := db.DeployLog(ctx, last, 0, 10_000)
		if err != nil || len(lines) != 500 || lines[0].Line != 103 || lines[499].Line != 602 {
			t.Errorf("of 602 lines %d are kept, from %d, %v", len(lines), lines[0].Line, err)
		}
		for n, keeps := range map[int]bool{0: false, 2: false, 3: true, 51: true} {
			if lines, err := db.DeployLog(ctx, ids[n], 0, 10); err != nil || (len(lines) == 1) != keeps {
				t.Errorf("deploy %d of %d: %d lines, %v", n, len(ids), len(lines), err)
			}
		}
		if lines, err := db.DeployLog(ctx, "nope", 0, 10); err != nil || len(lines) > 0 {
			t.Errorf("of a deploy that does not exist: %+v, %v", lines, err)
		}
	})
}

func TestForgetInstance(t *testing.T) {
	storetest.Both(t, func(t *testing.T, db *store.DB) {
		s, _ := storetest.Shop(t, db)
		for _, status := range store.Statuses() {
			i := storetest.Instance(t, db, s, func(i *store.Instance) { i.Status, i.ContainerID = status, "" })
			err := try(t, db, func(ctx context.Context, tx *store.Tx) error { return tx.ForgetInstance(ctx, i.ID) })
			_, gone := db.Instance(t.Context(), i.ID)
			if status.Deploying() != (err == nil) || status.Deploying() != errors.Is(gone, store.ErrNotFound) || err != nil && !errors.Is(err, store.ErrConflict) {
				t.Errorf("%s: %v; it is gone: %v", status, err, gone)
			}
		}
	})
}

func TestPointRoutes(t *testing.T) {
	storetest.Both(t, func(t *testing.T, db *store.DB) {
		s, first := storetest.Shop(t, db)
		second, elsewhere := storetest.Instance(t, db, s), storetest.Instance(t, db, storetest.Stage(t, db, store.Host{ID: s.HostID}, store.Project{ID: s.ProjectID}))
		route(t, db, first, "shop.example", "/")
		route(t, db, second, "www.shop.example", "/")
		route(t, db, elsewhere, "other.example", "/")
		for range 2 {
			storetest.Update(t, db, func(ctx context.Context, tx *store.Tx) error { return tx.PointRoutes(ctx, s.ID, second.ID) })
			for i, want := range map[string][]string{first.ID: nil, second.ID: {"shop.example/", "www.shop.example/"}, elsewhere.ID: {"other.example/"}} {
				if got, err := db.RoutesOf(t.Context(), i); err != nil || cmp.Diff(want, got) != "" {
					t.Errorf("routes of %s: %v, %v", i, got, err)
				}
			}
		}
	})
}

func TestPointDomain(t *testing.T) {
	storetest.Both(t, func(t *testing.T, db *store.DB) {
		s, first := storetest.Shop(t, db)
		second, elsewhere := storetest.Instance(t, db, s), storetest.Instance(t, db, storetest.Stage(t, db, store.Host{ID: s.HostID}, store.Project{ID: s.ProjectID}))
		point := func(i store.Instance) error {
			return try(t, db, func(ctx context.Context, tx *store.Tx) error {
				return tx.PointDomain(ctx, i, "pr-1.shop.example", 8080)
			})
		}
		for _, i := range []store.Instance{first, first, second} {
			if err := point(i); err != nil {
				t.Fatal(err)
			}
			if got, err := db.ArchivedRoutes(t.Context(), i.ID); err != nil || len(got) != 1 || got[0].Port != 8080 || !got[0].Enabled || len(got[0].Domains) != 1 {
				t.Errorf("%+v, %v", got, err)
			}
		}
		wantErr(t, point(elsewhere), store.ErrConflict)
		for id, want := range map[string]int{first.ID: 0, second.ID: 1, elsewhere.ID: 0} {
			if got, err := db.RoutesOf(t.Context(), id); err != nil || len(got) != want {
				t.Errorf("%s: %v, %v", id, got, err)
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
