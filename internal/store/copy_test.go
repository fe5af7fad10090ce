package store_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/tiny-forge/docker-watcher/internal/store"
	"github.com/tiny-forge/docker-watcher/internal/store/storetest"
)

// lived fills a store with some of everything that refers to something else.
func lived(t *testing.T, db *store.DB) (store.Stage, store.Instance) {
	t.Helper()
	stage, inst := storetest.Shop(t, db, func(i *store.Instance) {
		i.LastAliveAt = time.Now().Add(-9 * 24 * time.Hour).UTC().Truncate(time.Millisecond)
	})
	storetest.Update(t, db, func(ctx context.Context, tx *store.Tx) error {
		for range 500 {
			if err := tx.Emit(ctx, store.Event{Message: "ü 'quoted' \"text\"", StageID: stage.ID, Data: map[string]any{"n": 1}}); err != nil {
				return err
			}
		}
		return tx.SetSecret(ctx, "mail", "canary too")
	})
	return stage, inst
}

// TestCopy moves a store to the other dialect and back: nothing is lost, what is sealed still opens, and the numbers of events go on.
func TestCopy(t *testing.T) {
	ctx, dir := t.Context(), t.TempDir()
	lite, pg := store.Options{DataDir: dir}, store.Options{DataDir: dir, URL: storetest.Postgres(t)}
	from, err := store.Open(ctx, lite)
	if err != nil {
		t.Fatal(err)
	}
	_, inst := lived(t, from)
	want, err := from.Instance(ctx, inst.ID)
	if err != nil {
		t.Fatal(err)
	}
	tables := map[string]int{}
	err = from.CopyTo(ctx, pg, func(table string, rows int) { tables[table] = rows })
	if err := errors.Join(err, from.Close()); err != nil {
		t.Fatal(err)
	}
	if tables["instances"] != 1 || tables["event_log"] < 500 || tables["settings"] != 0 {
		t.Errorf("told of %v", tables)
	}
	there, err := store.Open(ctx, pg)
	if err != nil {
		t.Fatal(err)
	}
	same := func(db *store.DB) {
		t.Helper()
		got, err := db.Instance(ctx, inst.ID)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("the instance (-want +got):\n%s", diff)
		}
		if secret, err := db.Secret(ctx, "mail"); err != nil || secret != "canary too" {
			t.Errorf("a sealed value: %q, %v", secret, err)
		}
		if db.InstallationID() != from.InstallationID() {
			t.Error("it is another installation")
		}
	}
	same(there)
	storetest.Update(t, there, func(ctx context.Context, tx *store.Tx) error { return tx.Emit(ctx, store.Event{Message: "goes on"}) })

	// Back again, in the same data folder: the old file is in use, so it is another one.
	err = there.CopyTo(ctx, lite, nil)
	if !errors.Is(err, store.ErrInUse) {
		t.Errorf("onto what is there: %v", err)
	}
	back := filepath.Join(dir, "back.db")
	err = there.CopyTo(ctx, store.Options{DataDir: dir, URL: back}, nil)
	if err := errors.Join(err, there.Close()); err != nil {
		t.Fatal(err)
	}
	same(storetest.With(t, store.Options{DataDir: dir, URL: back}))
}

// restore puts a copy into a new file of a data folder.
func restore(ctx context.Context, copied string, to store.Options) (err error) {
	from, err := store.OpenRestorable(ctx, copied, to.DataDir)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, from.Close()) }()
	return from.IntoFile(ctx, filepath.Join(to.DataDir, "docker-watcher.db"))
}

// TestRestore: a copy comes back with its key, and not without it. Its events go on above all that were told.
func TestRestore(t *testing.T) {
	storetest.BothOptions(t, func(t *testing.T, o store.Options) {
		ctx := t.Context()
		from, err := store.Open(ctx, o)
		if err != nil {
			t.Fatal(err)
		}
		_, inst := lived(t, from)
		copied := filepath.Join(t.TempDir(), "copy.db")
		writing := make(chan error, 1)
		go func() { // others write meanwhile
			writing <- from.Update(ctx, func(tx *store.Tx) error { return tx.SetSecret(ctx, "more", "x") })
		}()
		err = from.CopyTo(ctx, store.Options{DataDir: filepath.Dir(copied), URL: copied}, nil)
		if err := errors.Join(err, <-writing); err != nil {
			t.Fatal(err)
		}
		for range 3 {
			emit(t, from, store.Event{Message: "told since, to who listens"})
		}
		told, err := from.LastEventID(ctx)
		if err := errors.Join(err, from.Close()); err != nil {
			t.Fatal(err)
		}
		if id, err := store.CheckFile(ctx, copied); err != nil || id != from.InstallationID() {
			t.Errorf("the copy: %q, %v", id, err)
		}
		elsewhere := t.TempDir()
		if err := restore(ctx, copied, store.Options{DataDir: elsewhere}); !errors.Is(err, store.ErrBadKeyFile) {
			t.Errorf("without the key: %v", err)
		}
		if _, err := os.Stat(filepath.Join(elsewhere, "docker-watcher.db")); err == nil {
			t.Error("a database was made without the key")
		}
		key, err := os.ReadFile(filepath.Join(o.DataDir, "docker-watcher.key"))
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(elsewhere, "docker-watcher.key"), append([]byte{key[0] ^ 1}, key[1:]...), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := restore(ctx, copied, store.Options{DataDir: elsewhere}); !errors.Is(err, store.ErrWrongKey) {
			t.Errorf("with another key: %v", err)
		}
		if err := os.WriteFile(filepath.Join(elsewhere, "docker-watcher.key"), key, 0o600); err != nil {
			t.Fatal(err)
		}
		if err := restore(ctx, copied, store.Options{DataDir: elsewhere}); err != nil {
			t.Fatal(err)
		}
		back := storetest.With(t, store.Options{DataDir: elsewhere})
		emit(t, back, store.Event{Message: "the first one since"})
		if last, err := back.LastEventID(ctx); err != nil || last <= told {
			t.Errorf("who knows event %d is told of %d, %v", told, last, err)
		}
		if got, err := back.Instance(ctx, inst.ID); err != nil || got.Name != inst.Name {
			t.Errorf("what came back: %+v, %v", got, err)
		}
		if secret, err := back.Secret(ctx, "mail"); err != nil || secret != "canary too" {
			t.Errorf("a sealed value: %q, %v", secret, err)
		}
	})
}

func TestCheckFileFindsDamage(t *testing.T) {
	db := storetest.Open(t)
	lived(t, db)
	copied := filepath.Join(t.TempDir(), "copy.db")
	if err := db.CopyTo(t.Context(), store.Options{DataDir: filepath.Dir(copied), URL: copied}, nil); err != nil {
		t.Fatal(err)
	}
	data, err := os.ReadFile(copied)
	if err != nil {
		t.Fatal(err)
	}
	for i := range 3000 {
		data[len(data)/2+i] ^= 0xff
	}
	if err := os.WriteFile(copied, data, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := store.CheckFile(t.Context(), copied); err == nil {
		t.Error("a damaged file was taken as good")
	}
	if _, err := store.CheckFile(t.Context(), filepath.Join(t.TempDir(), "none.db")); err == nil {
		t.Error("a file that is not there was taken as good")
	}
}

// TestWhatIsInUseKeepsItsSchema: who is refused a database of somebody else has changed nothing of it, so that an older program goes on with it.
func TestWhatIsInUseKeepsItsSchema(t *testing.T) {
	o := store.Options{DataDir: t.TempDir(), URL: storetest.Postgres(t)}
	store.AtVersion(t, o, 12, func(exec func(string, ...any)) {
		exec(`INSERT INTO meta (name, value) VALUES ('installation_id', 'of-another')`)
	})
	hold, err := store.Take(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	if id, err := hold.Installation(t.Context()); err != nil || id != "of-another" {
		t.Errorf("it is of %q, %v", id, err)
	}
	if err := hold.Close(); err != nil {
		t.Error(err)
	}
	if err := storetest.SQLite(t).CopyTo(t.Context(), o, nil); !errors.Is(err, store.ErrInUse) {
		t.Errorf("moved into it: %v", err)
	}
	if _, err := store.OpenBeside(t.Context(), o); err == nil || !strings.Contains(err.Error(), "its schema is version 12") {
		t.Errorf("afterwards: %v", err)
	}
}
