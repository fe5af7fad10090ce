package store_test

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/tiny-forge/docker-watcher/internal/store"
)

// killedSalvage is a folder as one that was killed leaves it: it keeps all of the room of the database and of its log.
func killedSalvage(t *testing.T, o store.Options, name string) string {
	t.Helper()
	folder := filepath.Join(o.DataDir, name)
	second := filepath.Join(folder, "damaged.db")
	err := os.Mkdir(folder, 0o700)
	err = errors.Join(err, os.Link(filepath.Join(o.DataDir, "docker-watcher.db"), second), os.WriteFile(second+"-wal", []byte("its log"), 0o600))
	if err != nil {
		t.Fatal(err)
	}
	return folder
}

// hold holds a folder as a salvage under way does.
func hold(t *testing.T, folder string) (release func()) {
	t.Helper()
	f, err := os.Open(folder)
	if err != nil {
		t.Fatal(err)
	}
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_SH|syscall.LOCK_NB); err != nil {
		t.Fatal(err)
	}
	return func() {
		if err := f.Close(); err != nil {
			t.Fatal(err)
		}
	}
}

// TestWhatAKilledSalvageLeftIsCleared by the next daemon and by the next salvage, and never that of one under way.
func TestWhatAKilledSalvageLeftIsCleared(t *testing.T) {
	o := store.Options{DataDir: t.TempDir()}
	wide(t, o)
	left := t.TempDir()
	closed(t, o, func(db *store.DB) { // with its log, so that a salvage opens it in a folder
		emit(t, db, store.Event{Message: "the last word"})
		for _, file := range []string{"docker-watcher.db", "docker-watcher.db-wal"} {
			copyTo(t, filepath.Join(o.DataDir, file), filepath.Join(left, file))
		}
	})
	if info, err := os.Stat(filepath.Join(left, "docker-watcher.db-wal")); err != nil || info.Size() == 0 {
		t.Fatalf("its log: %v, %v", info, err)
	}
	for name, c := range map[string]struct {
		o    store.Options
		next func(t *testing.T, o store.Options)
	}{
		"by a daemon": {o, func(t *testing.T, o store.Options) { closed(t, o, func(*store.DB) {}) }},
		"by a salvage": {store.Options{DataDir: left}, func(t *testing.T, o store.Options) {
			t.Helper()
			if found, err := store.SalvageBeside(t.Context(), o); err != nil || len(found.Notes) > 0 {
				t.Errorf("%v, %v", found.Notes, err)
			}
		}},
	} {
		t.Run(name, func(t *testing.T) {
			killed, held, other := killedSalvage(t, c.o, ".salvage-1"), killedSalvage(t, c.o, ".salvage-2"), killedSalvage(t, c.o, "salvage-of-mine")
			release := hold(t, held)
			c.next(t, c.o)
			if _, err := os.Stat(killed); !errors.Is(err, fs.ErrNotExist) {
				t.Errorf("it is there still: %v", err)
			}
			for _, folder := range []string{held, other} {
				if _, err := os.Stat(filepath.Join(folder, "damaged.db-wal")); err != nil {
					t.Errorf("what is in use, or not ours: %v", err)
				}
			}
			release()
			c.next(t, c.o)
			if _, err := os.Stat(held); !errors.Is(err, fs.ErrNotExist) {
				t.Errorf("once nobody holds it it is there still: %v", err)
			}
		})
	}
}

// TestASalvageUnderWayKeepsItsFolder from others that clear at the same time.
func TestASalvageUnderWayKeepsItsFolder(t *testing.T) {
	dir := t.TempDir()
	for range 50 {
		clearing := make(chan error, 1)
		go func() { clearing <- store.ClearSalvages(dir) }()
		name, held, err := store.MakeSalvageFolder(dir)
		if err != nil {
			t.Fatal(err)
		}
		err = errors.Join(<-clearing, store.ClearSalvages(dir))
		if _, there := os.Lstat(name); err != nil || there != nil {
			t.Fatalf("cleared under way: %v, %v", err, there)
		}
		if err := held.Close(); err != nil {
			t.Fatal(err)
		}
		if err := store.ClearSalvages(dir); err != nil {
			t.Fatal(err)
		}
		if _, there := os.Lstat(name); !errors.Is(there, fs.ErrNotExist) {
			t.Fatalf("it stays: %v", there)
		}
	}
}
