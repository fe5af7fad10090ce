package store_test

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/tiny-forge/docker-watcher/internal/store"
)

// older makes a SQLite database with the schema of a version, and all that it can hold.
func older(t *testing.T, version int64) (o store.Options, file string) {
	t.Helper()
	o = store.Options{DataDir: t.TempDir()}
	store.NewFixture(t, version).Make(t, o)
	return o, filepath.Join(o.DataDir, "docker-watcher.db")
}

// A copy is kept of a database before its schema is changed, with which the older program could go on at once.
func TestACopyOfTheOlderDatabaseIsKept(t *testing.T) {
	versions := store.Versions(t)
	from := versions[len(versions)-2]
	o, file := older(t, from)
	var log bytes.Buffer
	o.Log = slog.New(slog.NewTextHandler(&log, nil))
	before := store.ReadRows(t, o)
	if err := os.WriteFile(file+".schema.part", []byte("of a crash"), 0o600); err != nil {
		t.Fatal(err)
	}
	closed(t, o, func(*store.DB) {})

	former := fmt.Sprintf("%s.schema-%d", file, from)
	if info, err := os.Stat(former); err != nil || info.Mode() != 0o600 {
		t.Fatalf("%v, %v", info, err)
	}
	if !strings.Contains(log.String(), former) {
		t.Errorf("the log does not tell of it:\n%s", log.String())
	}
	if diff := cmp.Diff(before, store.ReadRows(t, store.Options{DataDir: o.DataDir, URL: former})); diff != "" {
		t.Errorf("the copy (-what was there +copied):\n%s", diff)
	}
	if _, err := os.Stat(file + ".schema.part"); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("left behind: %v", err)
	}
	if got := store.Former(o); got != former {
		t.Errorf("the way back is %q", got)
	}

	// The way back, and up again.
	for _, name := range []string{file, file + "-wal", file + "-shm"} {
		if err := os.Remove(name); err != nil && !errors.Is(err, fs.ErrNotExist) {
			t.Fatal(err)
		}
	}
	if err := os.Rename(former, file); err != nil {
		t.Fatal(err)
	}
	closed(t, o, func(db *store.DB) {
		if db.InstallationID() != store.FixtureInstallation {
			t.Errorf("it is installation %s", db.InstallationID())
		}
		lookAround(t, db, store.ReadRows(t, o))
	})
}

func TestOnlyTwoCopiesStay(t *testing.T) {
	versions := store.Versions(t)
	o, file := older(t, versions[2])
	for _, number := range []int64{1, 2, 99} {
		if err := os.WriteFile(fmt.Sprintf("%s.schema-%d", file, number), nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for _, other := range []string{".schema-x", ".schema-2.gz", ".old"} {
		if err := os.WriteFile(file+other, nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	closed(t, o, func(*store.DB) {})
	var left []string
	for _, name := range namesIn(t, o.DataDir) {
		if rest, is := strings.CutPrefix(name, "docker-watcher.db."); is {
			left = append(left, rest)
		}
	}
	slices.Sort(left)
	want := []string{"old", "schema-2.gz", fmt.Sprint("schema-", versions[2]), "schema-99", "schema-x"}
	if diff := cmp.Diff(want, left); diff != "" {
		t.Error(diff)
	}
	if got, want := store.Former(o), fmt.Sprintf("%s.schema-%d", file, versions[2]); got != want {
		t.Errorf("the way back is %q, want %q: that of a newer program is none", got, want)
	}
}

func TestNoCopyIsMadeWhereNothingChanges(t *testing.T) {
	o := store.Options{DataDir: t.TempDir()}
	for range 2 { // new, and as it should be
		closed(t, o, func(*store.DB) {})
	}
	if names := namesIn(t, o.DataDir); slices.ContainsFunc(names, func(n string) bool { return strings.Contains(n, "schema") }) {
		t.Errorf("files: %v", names)
	}
	if got := store.Former(o); got != "" {
		t.Errorf("the way back is %q", got)
	}
}

// Without a good copy nothing is migrated.
func TestNothingIsMigratedWithoutACopy(t *testing.T) {
	for name, spoil := range map[string]func(t *testing.T, file string) error{
		"no room for it": func(t *testing.T, file string) error {
			return errors.Join(os.Mkdir(file+".schema.part", 0o700), os.WriteFile(filepath.Join(file+".schema.part", "x"), nil, 0o600))
		},
		"a damaged database": func(t *testing.T, file string) error {
			whole, err := os.ReadFile(file)
			if err == nil {
				page := bytes.Index(whole, []byte("event_log.message.0")) &^ 4095 // not one that is read to see which schema it is
				copy(whole[page:], strings.Repeat("\xa5", 4096))
				err = os.WriteFile(file, whole, 0o600)
			}
			return err
		},
	} {
		t.Run(name, func(t *testing.T) {
			o, file := older(t, 1)
			if err := spoil(t, file); err != nil {
				t.Fatal(err)
			}
			before, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			if db, err := store.Open(t.Context(), o); err == nil {
				t.Fatal("it opened", db.Close())
			} else if !strings.Contains(err.Error(), "keep a copy of the database") {
				t.Errorf("said %v", err)
			} else if damaged := name == "a damaged database"; errors.Is(err, store.ErrCorrupt) != damaged {
				t.Errorf("%v is told as damage: %t", err, !damaged)
			}
			if after, err := os.ReadFile(file); err != nil || !bytes.Equal(before, after) {
				t.Errorf("the database was changed (%v)", err)
			}
			if left, err := filepath.Glob(file + ".schema-*"); err != nil || len(left) > 0 {
				t.Errorf("left behind: %v, %v", left, err)
			}
		})
	}
}

// A bad copy of a good database is no reason to put an older backup in its place.
func TestABadCopyIsNotDamage(t *testing.T) {
	o, file := older(t, 1)
	err := store.KeepFormer(t, o, 2) // as if something else had been read back
	if err == nil || errors.Is(err, store.ErrCorrupt) || errors.Is(err, store.ErrConflict) || !strings.Contains(err.Error(), "look at the disk") {
		t.Errorf("said %v", err)
	}
	if left, err := filepath.Glob(file + ".schema*"); err != nil || len(left) > 0 {
		t.Errorf("left behind: %v, %v", left, err)
	}
}

// A copy that would fill the disk is not begun.
func TestACopyNeedsRoom(t *testing.T) {
	for name, tt := range map[string]struct {
		free    int64
		refused bool
	}{
		"a full disk": {0, true}, "room for the copy alone": {32 << 20, true}, "enough": {1 << 30, false}, "not known": {-1, false},
	} {
		t.Run(name, func(t *testing.T) {
			o, file := older(t, 1)
			o.Free = func(folder string) int64 {
				if folder != filepath.Dir(file) {
					t.Errorf("it looks at the disk of %s", folder)
				}
				return tt.free
			}
			if !tt.refused {
				closed(t, o, func(*store.DB) {})
				return
			}
			before, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			db, err := store.Open(t.Context(), o)
			if err == nil {
				t.Fatal("it opened", db.Close())
			}
			if wantErr(t, err, store.ErrDiskFull); !strings.Contains(err.Error(), "MiB are needed in "+o.DataDir) {
				t.Errorf("said %v", err)
			}
			if after, err := os.ReadFile(file); err != nil || !bytes.Equal(before, after) {
				t.Errorf("the database was changed (%v)", err)
			}
			if left, err := filepath.Glob(file + ".schema*"); err != nil || len(left) > 0 {
				t.Errorf("left behind: %v, %v", left, err)
			}
		})
	}
}
