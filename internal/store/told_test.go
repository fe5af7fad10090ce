package store_test

import (
	"context"
	"errors"
	"slices"
	"testing"

	"github.com/tiny-forge/docker-watcher/internal/store"
	"github.com/tiny-forge/docker-watcher/internal/store/storetest"
)

// TestTold keeps of what somebody was told over a start, and not what was told in a transaction that came to nothing.
func TestTold(t *testing.T) {
	o := store.Options{DataDir: t.TempDir()}
	db := storetest.With(t, o)
	want := func(all ...store.Told) {
		t.Helper()
		if got, err := db.Told(t.Context()); err != nil || !slices.Equal(got, all) {
			t.Errorf("it has %+v, %v; want %+v", got, err, all)
		}
	}
	want()
	scan, poll := store.Told{Name: "scan", HostID: "h1"}, store.Told{Name: "registry poll"}
	save := func(ctx context.Context, tx *store.Tx) error { return tx.SaveTold(ctx, []store.Told{scan, poll}) }
	storetest.Update(t, db, save)
	want(scan, poll)
	broken := errors.New("broken")
	err := db.Update(t.Context(), func(tx *store.Tx) error {
		return errors.Join(tx.SaveTold(t.Context(), nil), broken)
	})
	if !errors.Is(err, broken) {
		t.Fatal(err)
	}
	want(scan, poll)
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	db = storetest.With(t, o)
	want(scan, poll)
	storetest.Update(t, db, func(ctx context.Context, tx *store.Tx) error { return tx.SaveTold(ctx, nil) })
	want()
}
