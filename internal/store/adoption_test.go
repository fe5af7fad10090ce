package store_test

import (
	"context"
	"errors"
	"testing"

	"github.com/tiny-forge/docker-watcher/internal/store"
	"github.com/tiny-forge/docker-watcher/internal/store/storetest"
)

func TestAdoptAndUnadopt(t *testing.T) {
	storetest.Both(t, func(t *testing.T, db *store.DB) {
		ctx := t.Context()
		_, ours := storetest.Shop(t, db, full)
		update := func(fn func(tx *store.Tx) error) error { return db.Update(ctx, fn) }
		theirs := ours
		theirs.ID, theirs.Name, theirs.ContainerID = store.NewID(), "wiki", "another-container"

		// A container has one row at most, and the refusal costs nothing of the rest.
		taken := theirs
		taken.ContainerID = ours.ContainerID
		err := update(func(tx *store.Tx) error { return tx.Adopt(ctx, taken) })
		wantErr(t, err, store.ErrTaken)
		wantErr(t, err, store.ErrConflict)
		twin := store.Host{ID: store.NewID(), Name: "the-same-engine", CreatedAt: noon}
		storetest.Update(t, db, func(ctx context.Context, tx *store.Tx) error { return tx.InsertHost(ctx, twin) })
		taken.HostID = twin.ID
		wantErr(t, update(func(tx *store.Tx) error { return tx.Adopt(ctx, taken) }), store.ErrTaken)
		if err := update(func(tx *store.Tx) error { return tx.Adopt(ctx, theirs) }); err != nil {
			t.Fatal(err)
		}
		if v := view(t, db, theirs.ID); v.Ownership != store.OwnershipAdopted {
			t.Errorf("got %+v", v)
		}
		spec, err := db.InstanceSpec(ctx, theirs.ID)
		if err != nil || spec.Env[0].Value != theirs.Spec.Env[0].Value {
			t.Errorf("the spec is %+v, %v", spec, err)
		}
		there := theirs
		there.ID, there.HostID, there.ContainerID = store.NewID(), twin.ID, "on-the-other-host"
		storetest.Update(t, db, func(ctx context.Context, tx *store.Tx) error { return tx.InsertInstance(ctx, there) })
		unmade := theirs
		unmade.ID, unmade.ContainerID = store.NewID(), ""
		storetest.Update(t, db, func(ctx context.Context, tx *store.Tx) error { return tx.InsertInstance(ctx, unmade) })
		known, err := db.Containers(ctx)
		if err != nil || len(known) != 3 || !known[ours.ContainerID] || !known[theirs.ContainerID] || !known[there.ContainerID] {
			t.Errorf("known are %v, %v", known, err)
		}

		// What we made is never given back; nor is what is being removed.
		wantErr(t, update(func(tx *store.Tx) error { return tx.Unadopt(ctx, ours.ID) }), store.ErrConflict)
		v := view(t, db, theirs.ID)
		storetest.Update(t, db, func(ctx context.Context, tx *store.Tx) error {
			return tx.BeginRemoval(ctx, store.Removal{InstanceID: v.ID, HostID: v.HostID, ContainerID: v.ContainerID, Former: v.Status}, v.Revision)
		})
		wantErr(t, update(func(tx *store.Tx) error { return tx.Unadopt(ctx, theirs.ID) }), store.ErrConflict)
		storetest.Update(t, db, func(ctx context.Context, tx *store.Tx) error { return tx.TakeBackRemoval(ctx, v.ID) })

		// Nor what routes lead to.
		storetest.Update(t, db, func(ctx context.Context, tx *store.Tx) error {
			return tx.PointDomain(ctx, v.Instance, "wiki.example.com", 80)
		})
		wantErr(t, update(func(tx *store.Tx) error { return tx.Unadopt(ctx, theirs.ID) }), store.ErrConflict)
		storetest.Update(t, db, func(ctx context.Context, tx *store.Tx) error {
			return tx.PointDomain(ctx, ours, "wiki.example.com", 80)
		})

		writes := db.InstanceWrites()
		if err := update(func(tx *store.Tx) error { return tx.Unadopt(ctx, theirs.ID) }); err != nil {
			t.Fatal(err)
		}
		if db.InstanceWrites() == writes {
			t.Error("whoever remembers instances is not told that one has gone")
		}
		if _, err := db.Instance(ctx, theirs.ID); !errors.Is(err, store.ErrNotFound) {
			t.Errorf("it is there still: %v", err)
		}
		wantErr(t, update(func(tx *store.Tx) error { return tx.Unadopt(ctx, theirs.ID) }), store.ErrConflict)
	})
}
