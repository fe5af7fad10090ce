package store_test

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/tiny-forge/docker-watcher/internal/store"
	"github.com/tiny-forge/docker-watcher/internal/store/storetest"
)

// wantHeld tries to take a store that somebody has, and to be its daemon.
func wantHeld(t *testing.T, o store.Options) {
	t.Helper()
	hold, err := store.Take(t.Context(), o)
	if err == nil {
		t.Fatal("it was taken", hold.Close())
	}
	wantErr(t, err, store.ErrLocked)
	said := wantOpenErr(t, o, store.ErrLocked)
	for _, want := range []string{fmt.Sprintf("process %d", os.Getpid()), filepath.Join(o.DataDir, "docker-watcher.lock")} {
		if !strings.Contains(said, want) {
			t.Errorf("%s: does not say %s", said, want)
		}
	}
}

// TestTheFolderOfADaemonOnAServerIsItsOwn: its key and its certificates lie there, so that no daemon on another database takes it, and no restore.
func TestTheFolderOfADaemonOnAServerIsItsOwn(t *testing.T) {
	dir, elsewhere := t.TempDir(), t.TempDir()
	o := store.Options{DataDir: dir, URL: storetest.Postgres(t)}
	file := store.Options{DataDir: dir}
	closed(t, o, func(db *store.DB) {
		wantHeld(t, file)
		wantHeld(t, store.Options{DataDir: dir, URL: filepath.Join(elsewhere, "other.db")})
		wantHeld(t, store.Options{DataDir: dir, URL: storetest.Postgres(t)})
		for _, name := range []string{filepath.Join(dir, "docker-watcher.db"), filepath.Join(elsewhere, "other.db")} {
			if _, err := os.Stat(name); !errors.Is(err, fs.ErrNotExist) {
				t.Errorf("%s was made: %v", name, err)
			}
		}
		beside, err := store.OpenBeside(t.Context(), o)
		if err == nil {
			err = beside.Close()
		}
		if err := errors.Join(err, db.Ping(t.Context())); err != nil {
			t.Errorf("what takes no lock: %v", err)
		}
	})
	hold, err := store.Take(t.Context(), file)
	if err != nil {
		t.Fatal(err)
	}
	wantHeld(t, o)
	if err := hold.Close(); err != nil {
		t.Fatal(err)
	}
	closed(t, o, func(*store.DB) {}) // free again
}

// TestAFolderIsTakenAlone: its database on a server stays free for who reads it.
func TestAFolderIsTakenAlone(t *testing.T) {
	o := store.Options{DataDir: t.TempDir(), URL: storetest.Postgres(t)}
	closed(t, o, func(*store.DB) {
		if hold, err := store.TakeFolder(o.DataDir); !errors.Is(err, store.ErrLocked) {
			t.Errorf("while a daemon has it: %v, %v", hold, err)
		}
	})
	hold, err := store.TakeFolder(o.DataDir)
	if err != nil {
		t.Fatal(err)
	}
	wantHeld(t, o)
	if found, err := store.SalvageBeside(t.Context(), o); err != nil || len(found.Tables) == 0 {
		t.Errorf("salvage beside: %v", err)
	}
	if err := errors.Join(hold.ReadBeside(), hold.Close()); err != nil {
		t.Fatal(err)
	}
	closed(t, o, func(*store.DB) {}) // free again
}
