package main

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/tiny-forge/docker-watcher/internal/backup"
	"github.com/tiny-forge/docker-watcher/internal/failpoint/failpointtest"
	"github.com/tiny-forge/docker-watcher/internal/store"
	"github.com/tiny-forge/docker-watcher/internal/store/storetest"
)

// TestRestoreIsKilled kills a restore at every step: the store is refused until the same restore was run again, and then all of the backup is in
// its place and all of what was there before, with what its log alone holds, in one folder.
func TestRestoreIsKilled(t *testing.T) {
	command := failpointtest.Build(t)
	for _, point := range []string{
		"noted", "aside docker-watcher.db", "aside docker-watcher.db-wal", "brought docker-watcher.db",
		"aside certificates", "brought certificates", "all in place",
	} {
		t.Run(point, func(t *testing.T) {
			t.Parallel()
			b := newBed(t)
			elsewhere := b.crashed()
			to := store.Options{DataDir: b.data, URL: filepath.Join(elsewhere, "docker-watcher.db")}
			b.kill(command, point, to)
			b.refused(to)
			b.again(command, to)
			b.wantRestored(to)
			asides, err := filepath.Glob(filepath.Join(elsewhere, "before-restore-*"))
			if err != nil || len(asides) != 1 {
				t.Fatalf("what was there before is in %v, %v", asides, err)
			}
			b.wantLast(store.Options{DataDir: b.data, URL: filepath.Join(asides[0], "docker-watcher.db")})
			former, err := filepath.Glob(filepath.Join(b.data, "before-restore-*", "certificates", "shop.pem"))
			if err != nil || len(former) != 1 || read(t, former[0]) != "later" {
				t.Errorf("the former certificates: %v, %v", former, err)
			}
		})
	}
}

// TestRestoreIntoAServerIsKilled: rows that are there already are the ones of the restore that is run again.
func TestRestoreIntoAServerIsKilled(t *testing.T) {
	command := failpointtest.Build(t)
	for _, point := range []string{"noted", "rows are there", "brought certificates"} {
		t.Run(point, func(t *testing.T) {
			b := newBed(t)
			to := store.Options{DataDir: b.data, URL: storetest.Postgres(t)}
			b.kill(command, point, to)
			b.refused(to)
			b.again(command, to)
			b.wantRestored(to)
			if _, err := backup.Restore(t.Context(), b.file, to, b.now()); !errors.Is(err, store.ErrInUse) {
				t.Errorf("once more, when it is in use: %v", err)
			}
			b.wantRestored(to) // and is not refused for that
		})
	}
}

// TestFinishedByAnotherName: the command that is told names the data folder whole, however the one that was cut off named it; and what a link leads
// to is the same store while nothing is there.
func TestFinishedByAnotherName(t *testing.T) {
	command := failpointtest.Build(t)
	finish := func(b *bed, to store.Options) {
		b.t.Helper()
		b.refused(to)
		b.again(command, to)
		b.wantRestored(to)
	}
	t.Run("of the data folder", func(t *testing.T) {
		b := newBed(t)
		b.write(filepath.Join(b.data, "certificates", "shop.pem"), "later")
		t.Chdir(filepath.Dir(b.data))
		b.kill(command, "brought docker-watcher.db", store.Options{DataDir: filepath.Base(b.data)})
		t.Chdir(t.TempDir())
		finish(b, store.Options{DataDir: linkTo(t, b.data)})
		former, err := filepath.Glob(filepath.Join(b.data, "before-restore-*", "certificates", "shop.pem"))
		if err != nil || len(former) != 1 || read(t, former[0]) != "later" {
			t.Errorf("the former certificates: %v, %v", former, err)
		}
	})
	t.Run("a link to a data folder without a database", func(t *testing.T) {
		b := newBed(t)
		to := store.Options{DataDir: linkTo(t, b.data)}
		b.kill(command, "brought docker-watcher.db", to)
		finish(b, to)
	})
	t.Run("a link to a database that is moved aside", func(t *testing.T) {
		b := newBed(t)
		to := store.Options{DataDir: b.data, URL: linkTo(t, filepath.Join(b.crashed(), "docker-watcher.db"))}
		b.kill(command, "aside docker-watcher.db", to)
		finish(b, to)
	})
}

func linkTo(t *testing.T, name string) string {
	t.Helper()
	link := filepath.Join(t.TempDir(), "link")
	if err := os.Symlink(name, link); err != nil {
		t.Fatal(err)
	}
	return link
}

// TestAnotherBackupDoesNotFinish what a restore has begun.
func TestAnotherBackupDoesNotFinish(t *testing.T) {
	command := failpointtest.Build(t)
	b := newBed(t)
	to := store.Options{DataDir: b.data, URL: filepath.Join(t.TempDir(), "docker-watcher.db")}
	b.kill(command, "noted", to)
	if _, err := backup.Restore(t.Context(), b.backUp("later"), to, b.now()); !errors.Is(err, store.ErrHalfRestored) || !strings.Contains(err.Error(), b.file) {
		t.Errorf("another backup: %v", err)
	}
	if got := backup.Unfinished(b.data); got != b.file {
		t.Errorf("it was of %q", got)
	}
	b.again(command, to)
	b.wantRestored(to)
}
