package store_test

import (
	"context"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/tiny-forge/docker-watcher/internal/store"
	"github.com/tiny-forge/docker-watcher/internal/store/storetest"
)

func TestLeftovers(t *testing.T) {
	storetest.Both(t, func(t *testing.T, db *store.DB) {
		ctx := t.Context()
		h, other := storetest.Host(t, db), storetest.Host(t, db)
		found := func(kind store.LeftoverKind, subject string, seen time.Duration) store.Leftover {
			return store.Leftover{
				HostID: h.ID, Kind: kind, Subject: subject, Name: "shop-" + subject, InstanceID: "i", ProjectID: "p", StageID: "s", Detail: "why",
				FoundAt: noon.Add(seen), SeenAt: noon.Add(seen),
			}
		}
		set := func(host string, list ...store.Leftover) (added, gone []store.Leftover) {
			t.Helper()
			storetest.Update(t, db, func(ctx context.Context, tx *store.Tx) (err error) {
				added, gone, err = tx.SetLeftovers(ctx, host, list)
				return err
			})
			return added, gone
		}
		subjects := func(list []store.Leftover) (s []string) {
			for _, l := range list {
				s = append(s, string(l.Kind)+" "+l.Subject)
			}
			return s
		}
		changed := func(added, gone []store.Leftover, wantAdded, wantGone []string) {
			t.Helper()
			if diff := cmp.Diff([][]string{wantAdded, wantGone}, [][]string{subjects(added), subjects(gone)}); diff != "" {
				t.Errorf("added, gone (-want +got):\n%s", diff)
			}
		}
		one, two := found(store.LeftoverContainer, "1", 0), found(store.LeftoverDead, "1", 0)
		added, gone := set(h.ID, one, two, one)
		changed(added, gone, []string{"container_without_row 1", "dead 1"}, nil)
		for n, want := range []store.Leftover{one, two} {
			want.ID = added[n].ID
			got, err := db.Leftover(ctx, want.ID)
			if diff := cmp.Diff([]store.Leftover{want, want}, []store.Leftover{got, added[n]}); diff != "" || err != nil || want.ID == "" {
				t.Errorf("%v (-want +got):\n%s", err, diff)
			}
		}
		elsewhere := one
		elsewhere.HostID = h.ID // the host that it is told for counts
		changed2, none := set(other.ID, elsewhere)
		changed(changed2, none, []string{"container_without_row 1"}, nil)

		again, three := found(store.LeftoverContainer, "1", time.Hour), found(store.LeftoverRow, "3", time.Hour)
		again.Name, again.Detail = "renamed", "another why"
		nowAdded, nowGone := set(h.ID, three, again)
		changed(nowAdded, nowGone, []string{"row_without_container 3"}, []string{"dead 1"})
		again.ID, again.FoundAt = added[0].ID, noon // was known before
		three.ID = nowAdded[0].ID
		got, err := db.Leftovers(ctx, h.ID)
		if diff := cmp.Diff([]store.Leftover{again, three}, got); diff != "" || err != nil {
			t.Errorf("%v (-want +got):\n%s", err, diff)
		}
		if all, err := db.Leftovers(ctx, ""); err != nil || len(all) != 3 {
			t.Errorf("of all hosts: %+v, %v", all, err)
		}
		_, nowGone = set(h.ID)
		changed(nil, nowGone, nil, []string{"container_without_row 1", "row_without_container 3"})
		if all, err := db.Leftovers(ctx, ""); err != nil || len(all) != 1 || all[0].HostID != other.ID {
			t.Errorf("left: %+v, %v", all, err)
		}
		remove := func() error {
			return try(t, db, func(ctx context.Context, tx *store.Tx) error { return tx.DeleteLeftover(ctx, changed2[0].ID) })
		}
		if err := remove(); err != nil {
			t.Fatal(err)
		}
		wantErr(t, remove(), store.ErrNotFound)
		_, err = db.Leftover(ctx, "nobody")
		wantErr(t, err, store.ErrNotFound)
	})
}

// TestRemovalForgetsItsLeftovers: what is removed is no longer listed, but a copy of its container is.
func TestRemovalForgetsItsLeftovers(t *testing.T) {
	storetest.Both(t, func(t *testing.T, db *store.DB) {
		_, i := storetest.Shop(t, db, func(i *store.Instance) { i.Status = store.StatusMissing })
		storetest.Update(t, db, func(ctx context.Context, tx *store.Tx) error {
			_, _, err := tx.SetLeftovers(ctx, i.HostID, []store.Leftover{
				{Kind: store.LeftoverRow, Subject: i.ID, InstanceID: i.ID},
				{Kind: store.LeftoverRow, Subject: "another", InstanceID: "another"},
				{Kind: store.LeftoverContainer, Subject: "copy", InstanceID: i.ID},
			})
			if err != nil {
				return err
			}
			if err := tx.BeginRemoval(ctx, store.Removal{InstanceID: i.ID, HostID: i.HostID, Former: i.Status}, 0); err != nil {
				return err
			}
			return tx.FinishRemoval(ctx, i.ID)
		})
		left, err := db.Leftovers(t.Context(), "")
		if err != nil || len(left) != 2 || left[0].Subject+left[1].Subject != "anothercopy" && left[0].Subject+left[1].Subject != "copyanother" {
			t.Errorf("left: %+v, %v", left, err)
		}
	})
}

func TestRoutesToNothing(t *testing.T) {
	storetest.Both(t, func(t *testing.T, db *store.DB) {
		ctx := t.Context()
		s, i := storetest.Shop(t, db)
		route(t, db, i, "shop.example", "/")
		lost := store.NewID()
		store.Exec(t, db, `INSERT INTO routes (id, project_id, stage_id, instance_id, port, tls, options, enabled, created_at, updated_at, revision)
			VALUES ($1, $2, $3, NULL, 80, 'off', '{}', 1, 0, 0, 0)`, lost, s.ProjectID, s.ID)
		for _, path := range []string{"/b", "/a"} {
			store.Exec(t, db, `INSERT INTO domains (domain, path_prefix, route_id) VALUES ('lost.example', $1, $2)`, path, lost)
		}
		got, err := db.RoutesToNothing(ctx, s.HostID)
		want := []store.Leftover{{
			HostID: s.HostID, Kind: store.LeftoverRoute, Subject: lost, Name: "lost.example/a, lost.example/b", ProjectID: s.ProjectID, StageID: s.ID,
		}}
		if diff := cmp.Diff(want, got); diff != "" || err != nil {
			t.Errorf("%v (-want +got):\n%s", err, diff)
		}
		if got, err := db.RoutesToNothing(ctx, "another"); err != nil || len(got) != 0 {
			t.Errorf("of another host: %+v, %v", got, err)
		}
		remove := func(id string) error {
			return try(t, db, func(ctx context.Context, tx *store.Tx) error { return tx.DeleteRoute(ctx, id) })
		}
		if err := remove(lost); err != nil {
			t.Fatal(err)
		}
		wantErr(t, remove(lost), store.ErrNotFound)
		if n := store.Number(t, db, `SELECT (SELECT count(*) FROM routes) * 10 + (SELECT count(*) FROM domains)`); n != 11 {
			t.Errorf("left are routes and addresses: %02d", n)
		}
	})
}

func TestBlindDuring(t *testing.T) {
	storetest.Both(t, func(t *testing.T, db *store.DB) {
		h, other := storetest.Host(t, db), storetest.Host(t, db)
		at := func(hours int) time.Time { return noon.Add(time.Duration(hours) * time.Hour) }
		storetest.Update(t, db, func(ctx context.Context, tx *store.Tx) error {
			for _, b := range []store.BlindInterval{
				{ID: "b2", HostID: h.ID, From: at(10), To: at(12), Reason: "down"},
				{ID: "b1", HostID: h.ID, From: at(0), To: at(2), Reason: "down"},
				{ID: "b3", HostID: h.ID, From: at(20), Reason: "clock"},
				{ID: "b4", HostID: other.ID, From: at(0), Reason: "clock"},
			} {
				if err := tx.OpenBlindInterval(ctx, b); err != nil {
					return err
				}
			}
			return nil
		})
		for _, c := range []struct {
			name     string
			from, to time.Time
			want     string
		}{
			{"all", time.Time{}, time.Time{}, "b1b2b3"},
			{"over all of one", at(-1), at(3), "b1"},
			{"within one", at(1), at(1).Add(time.Second), "b1"},
			{"between two", at(3), at(9), ""},
			{"touching only", at(2), at(10), ""},
			{"the end of one, the begin of another", at(1), at(11), "b1b2"},
			{"one that is open", at(30), at(40), "b3"},
			{"before the open one", at(13), at(20), ""},
			{"from one on", at(11), time.Time{}, "b2b3"},
			{"up to one", time.Time{}, at(11), "b1b2"},
		} {
			items, err := db.BlindDuring(t.Context(), h.ID, c.from, c.to)
			if err != nil {
				t.Fatal(err)
			}
			got := ""
			for _, b := range items {
				got += b.ID
			}
			if got != c.want {
				t.Errorf("%s: %q, want %q", c.name, got, c.want)
			}
		}
	})
}
