package main

import (
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
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

// TestWhatAKilledRestoreLeftIsCleared: keys lie open in it. The daemon that starts on what was there before removes it, as nothing was moved; where
// something was, none starts, and all stays for the restore that is run again.
func TestWhatAKilledRestoreLeftIsCleared(t *testing.T) {
	command := failpointtest.Build(t)
	work := func(b *bed, file string) (left []string) {
		b.t.Helper()
		for _, shape := range []string{filepath.Join(b.data, ".restoring-*"), filepath.Join(filepath.Dir(file), ".*.restoring-*")} {
			found, err := filepath.Glob(shape)
			if err != nil {
				b.t.Fatal(err)
			}
			left = append(left, found...)
		}
		return left
	}
	for point, on := range map[string]func(b *bed, file string) store.Options{
		"opened": func(b *bed, file string) store.Options { return store.Options{DataDir: b.data, URL: file} },
		"noted":  func(b *bed, file string) store.Options { return store.Options{DataDir: b.data, URL: file} },
		"opened, into a server": func(b *bed, _ string) store.Options {
			return store.Options{DataDir: b.data, URL: storetest.Postgres(b.t)}
		},
	} {
		t.Run(point, func(t *testing.T) {
			t.Parallel()
			b := newBed(t)
			file := filepath.Join(b.crashed(), "docker-watcher.db")
			to := on(b, file)
			point, _, _ := strings.Cut(point, ",")
			b.kill(command, point, to)
			before := work(b, file)
			if len(before) == 0 {
				t.Fatal("it left nothing")
			}
			if point == "noted" {
				b.refused(to)
				if after := work(b, file); !slices.Equal(after, before) {
					t.Errorf("%v is left of %v", after, before)
				}
				b.again(command, to)
				b.wantRestored(to)
				return
			}
			if key, err := filepath.Glob(filepath.Join(before[0], "*", "certificates", "shop.pem")); err != nil || len(key) != 1 || read(t, key[0]) != "a certificate" {
				t.Fatalf("no key lies open: %v, %v", key, err)
			}
			b.write(filepath.Join(filepath.Dir(file), ".docker-watcher.db.restoring-1", "docker-watcher.db"), "as of one that was killed a moment later")
			b.write(filepath.Join(filepath.Dir(file), ".other.db.restoring-1", "other.db"), "of another store")
			db, err := store.Open(t.Context(), to)
			if err != nil {
				t.Fatal(err)
			}
			err = backup.New(db, backup.Options{Data: b.data}, slog.New(slog.DiscardHandler)).ClearRestores()
			if err := errors.Join(err, db.Close()); err != nil {
				t.Fatal(err)
			}
			want := []string{filepath.Join(filepath.Dir(file), ".other.db.restoring-1")}
			if to.URL != file { // nor is the file of a store on a server ours
				want = slices.Insert(want, 0, filepath.Join(filepath.Dir(file), ".docker-watcher.db.restoring-1"))
			}
			if after := work(b, file); !slices.Equal(after, want) {
				t.Errorf("%v is left, want %v", after, want)
			}
			if to.URL == file {
				b.wantProject(to, "last")
			}
			if got := read(t, filepath.Join(b.data, "certificates", "shop.pem")); got != "later" {
				t.Errorf("the certificate is %q", got)
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
