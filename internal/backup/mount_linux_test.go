package backup

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/tiny-forge/docker-watcher/internal/store"
)

// TestWhatIsAMountIsNotRestored: it cannot be moved aside. That is said while nothing is done yet, and done with once it is mounted no more.
func TestWhatIsAMountIsNotRestored(t *testing.T) {
	b := newBed(t, 0)
	file := filepath.Join(b.Folder(), b.made().Name)
	key, err := os.ReadFile(filepath.Join(b.data, "docker-watcher.key"))
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{certificates, "docker-watcher.db"} {
		there, elsewhere := t.TempDir(), t.TempDir()
		b.write(filepath.Join(there, "docker-watcher.key"), string(key))
		place := filepath.Join(there, name)
		if name == certificates {
			err = os.Mkdir(place, 0o700)
		} else {
			elsewhere = filepath.Join(elsewhere, name)
			err = errors.Join(os.WriteFile(place, nil, 0o600), os.WriteFile(elsewhere, nil, 0o600))
		}
		if err := errors.Join(err, unix.Mount(elsewhere, place, "", unix.MS_BIND, "")); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = unix.Unmount(place, unix.MNT_DETACH) }) // where the test failed before
		to := store.Options{DataDir: there}
		if _, err := Restore(t.Context(), file, to, b.at); err == nil || !strings.Contains(err.Error(), place+" is a mount of its own") {
			t.Errorf("over a mount: %v", err)
		}
		if _, err := os.Lstat(filepath.Join(there, store.RestoreMark)); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("it was begun: %v", err)
		}
		if err := unix.Unmount(place, 0); err != nil {
			t.Fatal(err)
		}
		if _, err := Restore(t.Context(), file, to, b.at); err != nil {
			t.Errorf("once it is mounted no more: %v", err)
		}
	}
}
