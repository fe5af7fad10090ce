package store_test

import (
	"bytes"
	"context"
	"errors"
	"os"
	"path/filepath"
	"testing"
	"time"

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
			ctx, cancel := context.WithTimeout(t.Context(), time.Minute) // by then it is told, or never
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
			wantErr(t, err, store.ErrUnreadable)
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
			refusesAll(ctx, t, db)
		})
	}
	db := storetest.Open(t)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := db.WatchDamage(ctx); err != nil {
		t.Errorf("of a whole database: %v", err)
	}
}

// refusesAll: from the first damage on nothing is read or written, also of what is whole.
func refusesAll(ctx context.Context, t *testing.T, db *store.DB) {
	t.Helper()
	err := db.Update(ctx, func(*store.Tx) error {
		t.Error("a transaction was begun")
		return nil
	})
	wantErr(t, err, store.ErrCorrupt)
	_, err = db.Project(ctx, "none")
	wantErr(t, err, store.ErrCorrupt)
	wantErr(t, db.Ping(ctx), store.ErrCorrupt)
	dir := t.TempDir()
	wantErr(t, db.CopyTo(ctx, store.Options{DataDir: dir, URL: filepath.Join(dir, "copy.db")}, nil), store.ErrCorrupt)
	if left, err := os.ReadDir(dir); err != nil || len(left) > 0 {
		t.Errorf("a copy was begun: %v, %v", left, err)
	}
	if err := db.Close(); err != nil {
		t.Errorf("it does not close: %v", err)
	}
}

// TestNothingIsCommittedOnceDamageIsKnown: a transaction that was begun before reads and writes nothing more, and is rolled back.
func TestNothingIsCommittedOnceDamageIsKnown(t *testing.T) {
	o := store.Options{DataDir: t.TempDir()}
	db := storetest.With(t, o)
	told := 0
	db.OnCommit(func([]store.Event) { told++ })
	err := db.Update(t.Context(), func(tx *store.Tx) error {
		if err := tx.Emit(t.Context(), store.Event{Message: "before"}); err != nil {
			return err
		}
		store.Damage(db)
		_, err := tx.Project(t.Context(), "none")
		wantErr(t, err, store.ErrCorrupt)
		wantErr(t, tx.SetSecret(t.Context(), "one", "x"), store.ErrCorrupt)
		return nil
	})
	wantErr(t, err, store.ErrCorrupt)
	if told > 0 {
		t.Error("it was told as if it had been written")
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	closed(t, o, func(db *store.DB) {
		if n := store.Number(t, db, `SELECT count(*) FROM event_log WHERE message = 'before'`); n > 0 {
			t.Error("it was written")
		}
	})
}

// TestWhoWaitsForTheTurnHearsOfDamage: also when the one before never ends.
func TestWhoWaitsForTheTurnHearsOfDamage(t *testing.T) {
	db := storetest.Open(t)
	began, end := make(chan struct{}), make(chan struct{})
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	first := make(chan error, 1)
	go func() {
		first <- db.Update(t.Context(), func(*store.Tx) error { close(began); <-end; return nil })
	}()
	<-began
	waiting := make(chan error, 1)
	go func() { waiting <- db.Update(ctx, func(*store.Tx) error { return nil }) }()
	store.Damage(db)
	wantErr(t, <-waiting, store.ErrCorrupt)
	close(end)
	wantErr(t, <-first, store.ErrCorrupt)
}
