package store_test

import (
	"bytes"
	"context"
	"errors"
	"os"
	"path/filepath"
	"testing"

	"github.com/tiny-forge/docker-watcher/internal/store"
	"github.com/tiny-forge/docker-watcher/internal/store/storetest"
)

// TestDamageIsToldToWhoWatches: by the first read, write, copy or check that meets it; what is not damage is not told.
func TestDamageIsToldToWhoWatches(t *testing.T) {
	for name, meet := range map[string]func(ctx context.Context, db *store.DB) error{
		"a read":  func(ctx context.Context, db *store.DB) error { _, err := db.EventsAfter(ctx, 0, 1000); return err },
		"a check": func(ctx context.Context, db *store.DB) error { return db.Check(ctx) },
		"a write": func(ctx context.Context, db *store.DB) error {
			return db.Update(ctx, func(tx *store.Tx) error { _, err := tx.EventsAfter(ctx, 0, 1000); return err })
		},
		"a copy": func(ctx context.Context, db *store.DB) error {
			dir := t.TempDir()
			return db.CopyTo(ctx, store.Options{DataDir: dir, URL: filepath.Join(dir, "copy.db")}, nil)
		},
	} {
		t.Run(name, func(t *testing.T) {
			o := store.Options{DataDir: t.TempDir()}
			closed(t, o, func(db *store.DB) {
				for range 50 {
					emit(t, db, store.Event{Message: "a long story " + string(bytes.Repeat([]byte("x"), 2000))})
				}
			})
			db := storetest.With(t, o)
			told := make(chan error, 1)
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			go func() { told <- db.WatchDamage(ctx) }()

			// Neither of these is damage: a row that is not there, a sealed value that does not open, a reader who has left.
			_, err := db.Project(ctx, "none")
			wantErr(t, err, store.ErrNotFound)
			gone, leave := context.WithCancel(ctx)
			leave()
			if _, err := db.Hosts(gone); err == nil {
				t.Error("it answers whoever has left")
			}
			storetest.Update(t, db, func(ctx context.Context, tx *store.Tx) error { return tx.SetSecret(ctx, "one", "x") })
			store.Exec(t, db, `UPDATE secrets SET name = 'two'`)
			_, err = db.Secret(ctx, "two")
			wantErr(t, err, store.ErrCorrupt)
			select {
			case err := <-told:
				t.Fatalf("told of %v", err)
			default:
			}

			file := filepath.Join(o.DataDir, "docker-watcher.db")
			whole, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			f, err := os.OpenFile(file, os.O_WRONLY, 0)
			if err != nil {
				t.Fatal(err)
			}
			_, err = f.WriteAt(bytes.Repeat([]byte{0xa5}, len(whole)/2), int64(len(whole)/2))
			if err := errors.Join(err, f.Close()); err != nil {
				t.Fatal(err)
			}
			wantErr(t, meet(ctx, db), store.ErrCorrupt)
			wantErr(t, <-told, store.ErrCorrupt)
			wantErr(t, db.WatchDamage(ctx), store.ErrCorrupt) // also who asks later
		})
	}
	db := storetest.Open(t)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := db.WatchDamage(ctx); err != nil {
		t.Errorf("of a whole database: %v", err)
	}
}
