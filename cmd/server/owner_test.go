package main_test

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/tiny-forge/docker-watcher/internal/store/storetest"
)

// nobody is the account that the data folder belongs to in these tests, where they are root's; else it is their own.
func nobody() int {
	if os.Geteuid() == 0 {
		return 65534
	}
	return os.Geteuid()
}

// TestWhatRootRestoresIsTheDaemons: root puts a backup back, and the account that the daemon runs as can use all of it, as it could before. What
// is no part of it stays as it was.
func TestWhatRootRestoresIsTheDaemons(t *testing.T) {
	data, elsewhere := t.TempDir(), t.TempDir()
	d := launch(t, append(flags(data, "unix:///none"), inFile(data)...)...)
	made, err := d.client(d.setUp()).MakeBackup(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	d.end(os.Interrupt)
	mustWrite(t, filepath.Join(data, "certificates", "shop.pem"))
	giveTree(t, data)
	strangers := filepath.Join(data, "root's own")
	mustWrite(t, strangers)
	linked := filepath.Join(elsewhere, "linked")
	mustWrite(t, linked)
	if err := os.Symlink(linked, filepath.Join(data, "docker-watcher.db-wal")); err != nil { // by who owns the folder
		t.Fatal(err)
	}
	file := filepath.Join(data, "backups", made.Name)
	for _, store := range []string{filepath.Join(data, "docker-watcher.db"), filepath.Join(elsewhere, "other.db")} {
		code, stdout, stderr := refuse(t, "restore", file, "--data", data, "--store", store)
		if code != 0 || !strings.Contains(stdout, "restored what") {
			t.Fatalf("restore: %d, %s%s", code, stdout, stderr)
		}
		wantOwner(t, store, nobody())
	}
	wantOwner(t, data, nobody(), strangers)
	for _, name := range []string{strangers, linked, elsewhere} {
		wantOwner(t, name, os.Geteuid(), filepath.Join(elsewhere, "other.db"), filepath.Join(elsewhere, "other.db.lock"))
	}

	// One that is refused leaves nothing behind that keeps the daemon out.
	if err := os.Remove(filepath.Join(data, "docker-watcher.lock")); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(file, []byte("damaged"), 0o600); err != nil {
		t.Fatal(err)
	}
	if code, _, _ := refuse(t, "restore", file, "--data", data); code != 1 {
		t.Errorf("a damaged one: %d", code)
	}
	wantOwner(t, data, nobody(), strangers)
}

// TestWhatRootMovesIsTheDaemons is the same of a store that root takes to PostgreSQL and back.
func TestWhatRootMovesIsTheDaemons(t *testing.T) {
	data := t.TempDir()
	d := launch(t, append(flags(data, "unix:///none"), inFile(data)...)...)
	d.setUp()
	d.end(os.Interrupt)
	giveTree(t, data)
	there, back := storetest.Postgres(t), filepath.Join(data, "back.db")
	for _, args := range [][]string{{"store", "move", there, "--data", data}, {"store", "move", back, "--data", data, "--store", there}} {
		if code, stdout, stderr := refuse(t, args...); code != 0 {
			t.Fatalf("store move: %d, %s%s", code, stdout, stderr)
		}
		wantOwner(t, data, nobody())
	}
	wantOwner(t, back, nobody())
}

func mustWrite(t *testing.T, name string) {
	t.Helper()
	if err := errors.Join(os.MkdirAll(filepath.Dir(name), 0o700), os.WriteFile(name, []byte("x"), 0o600)); err != nil {
		t.Fatal(err)
	}
}

// giveTree gives a folder, and all within it, to nobody.
func giveTree(t *testing.T, folder string) {
	t.Helper()
	err := filepath.WalkDir(folder, func(name string, _ fs.DirEntry, err error) error {
		return errors.Join(err, os.Lchown(name, nobody(), nobody()))
	})
	if err != nil && os.Geteuid() == 0 {
		t.Fatal(err)
	}
}

// wantOwner wants a name, and all within it but for some, to belong to an account. Links are nobody's business.
func wantOwner(t *testing.T, name string, want int, but ...string) {
	t.Helper()
	err := filepath.WalkDir(name, func(name string, e fs.DirEntry, err error) error {
		if slices.Contains(but, name) {
			return nil
		}
		if err != nil || e.Type()&fs.ModeSymlink != 0 {
			return err
		}
		info, err := e.Info()
		if err != nil {
			return err
		}
		if is, ok := info.Sys().(*syscall.Stat_t); !ok || int(is.Uid) != want {
			t.Errorf("%s belongs to %+v, want %d", name, info.Sys(), want)
		}
		return nil
	})
	if err != nil {
		t.Error(err)
	}
}
