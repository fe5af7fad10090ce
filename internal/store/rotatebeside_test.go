package store_test

import (
	"context"
	"errors"
	"testing"

	"github.com/tiny-forge/docker-watcher/internal/store"
	"github.com/tiny-forge/docker-watcher/internal/store/storetest"
)

// TestAnErrandBesideARotationLeavesTheKeys: only the daemon settles which key counts.
func TestAnErrandBesideARotationLeavesTheKeys(t *testing.T) {
	storetest.BothOptions(t, func(t *testing.T, o store.Options) {
		db := storetest.With(t, o)
		w := seal(t, db)
		done, err := db.RotateKey(t.Context(), false, func(*store.Tx, store.Rotation) error {
			before, aside := len(keyOf(t, o)), len(setAside(t, o))
			other, err := store.OpenBeside(t.Context(), o)
			if err != nil {
				return err
			}
			if len(keyOf(t, o)) != before || len(setAside(t, o)) != aside || aside != 1 {
				t.Errorf("the key file has %d bytes after %d, %d keys are aside after %d", len(keyOf(t, o)), before, len(setAside(t, o)), aside)
			}
			return other.Close()
		})
		if err != nil || done.Former == "" || len(setAside(t, o)) != 1 {
			t.Fatalf("%+v, %v", done, err)
		}
		w.wantReadable(t, db)
	})
}

// TestARouteOfAnArchiveOutlivesARotation: its secrets are sealed anew where they are kept, and it comes back so that all routes can be read.
func TestARouteOfAnArchiveOutlivesARotation(t *testing.T) {
	storetest.BothOptions(t, func(t *testing.T, o store.Options) {
		var r store.Route
		closed(t, o, func(db *store.DB) {
			ctx := t.Context()
			_, i := storetest.Shop(t, db, full)
			r = store.Route{
				ID: store.NewID(), ProjectID: i.ProjectID, StageID: i.StageID, InstanceID: i.ID, Port: 80, TLS: "off", Options: "{}", Secrets: `{"x":"y"}`, Enabled: true, Revision: 1,
				Domains: []store.RouteAddress{{Domain: "shop.example", PathPrefix: "/"}},
			}
			storetest.Update(t, db, func(ctx context.Context, tx *store.Tx) error { return tx.InsertRoute(ctx, r) })
			a, c := anArchive(i)
			var err error
			if a.Routes, err = db.ArchivedRoutes(ctx, i.ID); err != nil {
				t.Fatal(err)
			}
			keep(t, db, a, c)
			v := view(t, db, i.ID)
			storetest.Update(t, db, func(ctx context.Context, tx *store.Tx) error {
				return errors.Join(tx.BeginRemoval(ctx, store.Removal{InstanceID: i.ID, HostID: v.HostID, Former: v.Status}, v.Revision), tx.FinishRemoval(ctx, i.ID))
			})
			if _, err := db.RotateKey(ctx, true, quiet); err != nil {
				t.Fatal(err)
			}
			kept, err := db.Archive(ctx, a.ID)
			if err != nil {
				t.Fatal(err)
			}
			back := v.Instance
			back.Spec = i.Spec
			storetest.Update(t, db, func(ctx context.Context, tx *store.Tx) error { return tx.RestoreInstance(ctx, back, kept.Routes) })
		})
		db := storetest.With(t, o)
		if got, err := db.Route(t.Context(), r.ID); err != nil || got.Secrets != r.Secrets {
			t.Errorf("the secrets are %q, %v", got.Secrets, err)
		}
		if _, err := db.RotateKey(t.Context(), true, quiet); err != nil {
			t.Errorf("once more: %v", err)
		}
	})
}
