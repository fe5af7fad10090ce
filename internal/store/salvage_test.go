package store_test

import (
	"bytes"
	"cmp"
	"context"
	"crypto/sha256"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/tiny-forge/docker-watcher/internal/store"
	"github.com/tiny-forge/docker-watcher/internal/store/storetest"
)

// salvaged is what is read of a table; it must be one that is told.
func salvaged(t *testing.T, found store.Salvaged, name string) store.SalvagedTable {
	t.Helper()
	i := slices.IndexFunc(found.Tables, func(table store.SalvagedTable) bool { return table.Name == name })
	if i < 0 {
		t.Fatalf("nothing is told of %s", name)
	}
	return found.Tables[i]
}

// TestSalvageTellsNothingSecret reads a database in which every column of every table is filled: all of it is text that says where it stands.
func TestSalvageTellsNothingSecret(t *testing.T) {
	versions := store.Versions(t)
	told := regexp.MustCompile(`\b(hosts|projects|stages|instances|routes|standalone_proxies|domains|registries|users|settings|archives|event_log)\.([a-z_]+)\.[01]\b`)
	storetest.BothOptions(t, func(t *testing.T, o store.Options) {
		f := store.NewFixture(t, versions[len(versions)-1])
		f.Make(t, o)
		found, err := store.Salvage(t.Context(), o)
		if err != nil || len(found.Notes) > 0 {
			t.Fatal(err, found.Notes)
		}
		text, err := json.Marshal(found)
		if err != nil {
			t.Fatal(err)
		}
		for _, table := range found.Tables {
			if len(table.Rows) != 2 || table.Lost != "" || table.More {
				t.Errorf("of %s %d rows are read, lost: %q", table.Name, len(table.Rows), table.Lost)
			}
		}
		rest := told.ReplaceAllString(string(text), "")
		for _, secret := range []string{
			"password", "secret", "token", "hash", "sealed", "swordfish", "sessions.", "tokens.", "recovery", "link_", "factor", "subject", "spec", "options", "target_", "withheld", "key_check", "archive_contents", store.FixtureInstallation,
		} {
			if at := strings.Index(strings.ToLower(rest), secret); at >= 0 {
				t.Errorf("it tells of %s: ...%s", secret, rest[max(0, at-60):min(len(rest), at+60)])
			}
		}
		for _, m := range told.FindAllStringSubmatch(string(text), -1) {
			if column := m[2]; regexp.MustCompile(`password|secret|hash|data|access|spec|username|options|ca$|subject|provider`).MatchString(column) {
				t.Errorf("it tells %s", m[0])
			}
		}
		events := salvaged(t, found, "newest_events")
		if id := slices.Index(events.Columns, "id"); events.Rows[0][id] != int64(2) || events.Rows[1][id] != int64(1) {
			t.Errorf("events are not told from the newest on: %v", events.Rows)
		}
		instances := salvaged(t, found, "instances")
		if at := instances.Rows[0][slices.Index(instances.Columns, "last_alive_at")]; at != "2026-01-01T00:00:00Z" {
			t.Errorf("a moment is told as %v", at)
		}
	})
	for _, version := range versions[:2] {
		o := store.Options{DataDir: t.TempDir()}
		f := store.NewFixture(t, version)
		f.Make(t, o)
		found, err := store.Salvage(t.Context(), o)
		if err != nil || len(salvaged(t, found, "instances").Rows) != 2 || len(salvaged(t, found, "users").Rows) != 2 {
			t.Errorf("of schema %d it reads %v, %v", version, found, err)
		}
	}
}

// TestSalvageWithholdsWhatIsMisplaced: a value that was written where another belongs may be a secret one.
func TestSalvageWithholdsWhatIsMisplaced(t *testing.T) {
	o := store.Options{DataDir: t.TempDir()}
	closed(t, o, func(db *store.DB) {
		storetest.Shop(t, db)
		store.Exec(t, db, `UPDATE projects SET name = '$argon2id$v=19$m=1$canary', image = X'63616e617279'`)
		store.Exec(t, db, `UPDATE stages SET name = $1`, strings.Repeat("é", 10_000)+"canary")
		store.Exec(t, db, `UPDATE hosts SET name = CAST(X'61ff62' AS TEXT), last_good_scan = 'soon'`)
	})
	found, err := store.Salvage(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	if text := fmt.Sprint(found); strings.Contains(text, "canary") || !strings.Contains(text, store.WithheldValue) || !strings.Contains(text, "a\uFFFDb") || !strings.Contains(text, "soon") {
		t.Errorf("it tells %.2000s", text)
	}
}

// wide is a store whose tables have many pages.
func wide(t *testing.T, o store.Options) {
	t.Helper()
	closed(t, o, func(db *store.DB) {
		s, _ := storetest.Shop(t, db)
		storetest.Update(t, db, func(ctx context.Context, tx *store.Tx) error {
			for range 300 {
				if err := tx.InsertInstance(ctx, storetest.NewInstance(s, full)); err != nil {
					return err
				}
			}
			return nil
		})
		var events []store.Event
		for n := range 2000 {
			events = append(events, store.Event{Message: fmt.Sprintf("event %d %s", n, strings.Repeat("x", 200))})
		}
		emit(t, db, events...)
	})
}

// leaf is a page of a table or an index with nothing below it: the one in the middle of those that begin with a row at or above a share of them all.
type leaf struct{ page, cells int }

func leaves(t *testing.T, file, of string) (found []leaf) {
	t.Helper()
	db, err := sql.Open("sqlite", "file:"+file+"?mode=ro")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = db.Close() }()
	rows, err := db.QueryContext(t.Context(), `SELECT pageno, ncell FROM dbstat WHERE name = $1 AND pagetype = 'leaf' ORDER BY path`, of)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = rows.Close() }()
	for rows.Next() {
		var l leaf
		if err := rows.Scan(&l.page, &l.cells); err != nil {
			t.Fatal(err)
		}
		found = append(found, l)
	}
	if err := rows.Err(); err != nil || len(found) == 0 {
		t.Fatalf("pages of %s: %v, %v", of, found, err)
	}
	return found
}

const pageSize = 4096

// spoilPage overwrites a page.
func spoilPage(t *testing.T, file string, page int, by byte) {
	t.Helper()
	f, err := os.OpenFile(file, os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	_, err = f.WriteAt(bytes.Repeat([]byte{by}, pageSize), int64(page-1)*pageSize)
	if err := errors.Join(err, f.Close()); err != nil {
		t.Fatal(err)
	}
}

// footprint is every file of a folder with what is in it.
func footprint(t *testing.T, folder string) string {
	t.Helper()
	entries, err := os.ReadDir(folder)
	if err != nil {
		t.Fatal(err)
	}
	var b strings.Builder
	for _, e := range entries {
		text, err := os.ReadFile(filepath.Join(folder, e.Name()))
		if err != nil {
			t.Fatal(err)
		}
		fmt.Fprintf(&b, "%s %x\n", e.Name(), sha256.Sum256(text))
	}
	return b.String()
}

// salvage reads a store, and sees that no file was changed and none is left.
func salvage(t *testing.T, o store.Options) (store.Salvaged, error) {
	t.Helper()
	before := footprint(t, o.DataDir)
	found, err := store.Salvage(t.Context(), o)
	if after := footprint(t, o.DataDir); after != before {
		t.Errorf("the files were\n%sand are\n%s", before, after)
	}
	return found, err
}

func TestSalvageReadsRoundDamage(t *testing.T) {
	whole := store.Options{DataDir: t.TempDir()}
	wide(t, whole)
	found, err := salvage(t, whole)
	if err != nil {
		t.Fatal(err)
	}
	const instances, events = 301, 200
	middle := func(of []leaf) leaf { return of[len(of)/2] }
	for name, c := range map[string]struct {
		damage func(t *testing.T, file string) (lost int)
		table  string // the only one that loses rows; empty: none does
	}{
		"nothing": {func(*testing.T, string) int { return 0 }, ""},
		"a page of instances": {func(t *testing.T, file string) int {
			l := middle(leaves(t, file, "instances"))
			spoilPage(t, file, l.page, 0xa5)
			return l.cells
		}, "instances"},
		"the first page of instances, and the last": {func(t *testing.T, file string) int {
			all := leaves(t, file, "instances")
			first, last := all[0], all[len(all)-1]
			spoilPage(t, file, first.page, 0xa5)
			spoilPage(t, file, last.page, 0)
			return first.cells + last.cells
		}, "instances"},
		"every third page of instances": {func(t *testing.T, file string) (lost int) {
			for i, l := range leaves(t, file, "instances") {
				if i%3 == 0 {
					spoilPage(t, file, l.page, 0)
					lost += l.cells
				}
			}
			return lost
		}, "instances"},
		"a page of an index": {func(t *testing.T, file string) int {
			spoilPage(t, file, middle(leaves(t, file, "instances_project")).page, 0xa5)
			return 0
		}, ""},
		"a page among the newest events": {func(t *testing.T, file string) int {
			all := leaves(t, file, "event_log")
			spoilPage(t, file, all[len(all)-3].page, 0)
			return 0 // older ones take their place
		}, "newest_events"},
		"the newest events": {func(t *testing.T, file string) int {
			all := leaves(t, file, "event_log")
			spoilPage(t, file, all[len(all)-1].page, 0)
			return 0
		}, "newest_events"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			o := store.Options{DataDir: t.TempDir()}
			file := filepath.Join(o.DataDir, "docker-watcher.db")
			copyTo(t, filepath.Join(whole.DataDir, "docker-watcher.db"), file)
			lost := c.damage(t, file)
			got, err := salvage(t, o)
			if err != nil || len(got.Notes) > 0 {
				t.Fatal(err, got.Notes)
			}
			for i, table := range got.Tables {
				if damaged := table.Name == c.table; (table.Lost != "") != damaged || damaged && !strings.Contains(table.Lost, "malformed") {
					t.Errorf("of %s is said to be lost: %q", table.Name, table.Lost)
				}
				if table.Name != c.table && fmt.Sprint(table) != fmt.Sprint(found.Tables[i]) {
					t.Errorf("%s is not read as it is", table.Name)
				}
			}
			if n := len(salvaged(t, got, "instances").Rows); n != instances-lost {
				t.Errorf("%d instances are read, want %d", n, instances-lost)
			}
			told := salvaged(t, got, "newest_events")
			id := slices.Index(told.Columns, "id")
			if n := len(told.Rows); n != events || !slices.IsSortedFunc(told.Rows, func(a, b []any) int { return cmp.Compare(b[id].(int64), a[id].(int64)) }) {
				t.Errorf("%d events are read, or out of order", n)
			}
		})
	}
}

func copyTo(t *testing.T, from, to string) {
	t.Helper()
	text, err := os.ReadFile(from)
	if err == nil {
		err = os.WriteFile(to, text, 0o600)
	}
	if err != nil {
		t.Fatal(err)
	}
}

// TestSalvageOfWhatIsHardlyThere: whatever is left of a file, nothing is changed, and what cannot be read is said.
func TestSalvageOfWhatIsHardlyThere(t *testing.T) {
	whole := store.Options{DataDir: t.TempDir()}
	wide(t, whole)
	for name, c := range map[string]struct {
		damage func(text []byte) []byte
		some   bool // rows can be read
	}{
		"cut off in the middle": {func(text []byte) []byte { return text[:len(text)/2/pageSize*pageSize] }, true},
		"cut off in a page":     {func(text []byte) []byte { return text[:len(text)/2/pageSize*pageSize+100] }, true},
		"the schema": {func(text []byte) []byte {
			copy(text[100:], bytes.Repeat([]byte{0xff}, pageSize-100))
			return text
		}, false},
		"the head": {func(text []byte) []byte {
			copy(text, bytes.Repeat([]byte{'x'}, 100))
			return text
		}, false},
		"all but the head": {func(text []byte) []byte {
			copy(text[pageSize:], bytes.Repeat([]byte{0xa5}, len(text)))
			return text
		}, false},
		"all":     {func(text []byte) []byte { return bytes.Repeat([]byte{0}, len(text)) }, false},
		"nothing": {func([]byte) []byte { return nil }, false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			o := store.Options{DataDir: t.TempDir()}
			text, err := os.ReadFile(filepath.Join(whole.DataDir, "docker-watcher.db"))
			if err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(filepath.Join(o.DataDir, "docker-watcher.db"), c.damage(text), 0o600); err != nil {
				t.Fatal(err)
			}
			found, err := salvage(t, o)
			if c.some {
				if err != nil || found.Empty() {
					t.Errorf("%v, %v", found, err)
				}
				return
			}
			if err == nil && !found.Empty() {
				t.Errorf("it reads %v", found)
			}
			for _, table := range found.Tables {
				if table.Lost == "" {
					t.Errorf("nothing is said to be lost of %s", table.Name)
				}
			}
		})
	}
	_, err := salvage(t, store.Options{DataDir: t.TempDir()})
	wantErr(t, err, store.ErrNone)
}

// TestSalvageReadsOnWhereAPartOfTheSchemaIsLost: the tables that it no longer names are, the others are not.
func TestSalvageReadsOnWhereAPartOfTheSchemaIsLost(t *testing.T) {
	o := store.Options{DataDir: t.TempDir()}
	wide(t, o)
	file := filepath.Join(o.DataDir, "docker-watcher.db")
	schema := leaves(t, file, "sqlite_schema")
	spoilPage(t, file, schema[len(schema)/2].page, 0xa5)
	found, err := salvage(t, o)
	if err != nil || len(salvaged(t, found, "instances").Rows) != 301 || len(salvaged(t, found, "newest_events").Rows) != 200 {
		t.Errorf("%v, %v", found, err)
	}
	lost := func(t store.SalvagedTable) bool { return strings.Contains(t.Lost, "no such table") && len(t.Rows) == 0 }
	if !slices.ContainsFunc(found.Tables, lost) {
		t.Error("no table is said to be lost")
	}
}

// TestSalvageReadsTheLogOfOneThatWasKilled: what it wrote last is in the log alone, which stays as it is.
func TestSalvageReadsTheLogOfOneThatWasKilled(t *testing.T) {
	for _, index := range []bool{true, false} {
		left := store.Options{DataDir: t.TempDir()}
		o := store.Options{DataDir: t.TempDir()}
		wide(t, o)
		closed(t, o, func(db *store.DB) {
			emit(t, db, store.Event{Message: "the last word"})
			for _, end := range []string{"", "-wal", "-shm"} { // as it would lie there if it were killed now
				if end != "-shm" || index {
					copyTo(t, filepath.Join(o.DataDir, "docker-watcher.db"+end), filepath.Join(left.DataDir, "docker-watcher.db"+end))
				}
			}
		})
		file := filepath.Join(left.DataDir, "docker-watcher.db")
		l := leaves(t, filepath.Join(o.DataDir, "docker-watcher.db"), "instances")[20]
		spoilPage(t, file, l.page, 0xa5)
		found, err := salvage(t, left)
		if err != nil || len(found.Notes) > 0 {
			t.Fatal(err, found.Notes)
		}
		if n := len(salvaged(t, found, "instances").Rows); n != 301-l.cells {
			t.Errorf("%d instances are read", n)
		}
		if events := salvaged(t, found, "newest_events"); events.Rows[0][slices.Index(events.Columns, "message")] != "the last word" {
			t.Errorf("the newest event is %v", events.Rows[0])
		}

		// Without room for it the rest is read all the same, and what is missing is said.
		left.Free = func(string) int64 { return 1 << 20 }
		found, err = salvage(t, left)
		if err != nil || len(found.Notes) != 1 || !strings.Contains(found.Notes[0], "no room") || len(salvaged(t, found, "instances").Rows) != 301-l.cells {
			t.Errorf("without room: %v, %v", found.Notes, err)
		}
	}
}

// TestSalvageOnAServer loses a table, and rows that cannot be read, which an error stands for here: each read is a transaction of its own.
func TestSalvageOnAServer(t *testing.T) {
	o := store.Options{DataDir: t.TempDir(), URL: storetest.Postgres(t)}
	wide(t, o)
	closed(t, o, func(db *store.DB) {
		store.Exec(t, db, `DROP TABLE domains`)
		store.Exec(t, db, `ALTER TABLE event_log RENAME TO events_there`)
		store.Exec(t, db, `CREATE VIEW event_log AS SELECT id, time, severity, source, kind, actor, host_id, project_id, stage_id, instance_id,
			CASE WHEN id BETWEEN 1900 AND 1909 THEN (1 / (id - id))::text ELSE message END AS message FROM events_there`)
	})
	found, err := store.Salvage(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	for _, table := range found.Tables {
		if damaged := table.Name == "domains" || table.Name == "newest_events"; (table.Lost != "") != damaged {
			t.Errorf("of %s is said to be lost: %q", table.Name, table.Lost)
		}
	}
	if n := len(salvaged(t, found, "instances").Rows); n != 301 {
		t.Errorf("%d instances are read", n)
	}
	events := salvaged(t, found, "newest_events")
	if n := len(events.Rows); n != 200 || events.Rows[0][0] != int64(2000) || events.Rows[199][0] != int64(1791) {
		t.Errorf("%d events are read, from %v to %v", n, events.Rows[0][0], events.Rows[n-1][0])
	}
}

// TestSalvageEndsInTime: what was not read by then is said to be lost.
func TestSalvageEndsInTime(t *testing.T) {
	o := store.Options{DataDir: t.TempDir()}
	wide(t, o)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	found, err := store.Salvage(ctx, o)
	if err == nil {
		t.Errorf("it reads %d tables", len(found.Tables))
	}
}

func TestSalvageBesideADaemon(t *testing.T) {
	storetest.BothOptions(t, func(t *testing.T, o store.Options) {
		t.Parallel() // PostgreSQL waits a while for the lock
		closed(t, o, func(*store.DB) {
			if _, err := store.SalvageBeside(t.Context(), o); !errors.Is(err, store.ErrLocked) || !strings.Contains(err.Error(), fmt.Sprint(os.Getpid())) {
				t.Errorf("beside a daemon at work: %v", err)
			}
		})
		if found, err := store.SalvageBeside(t.Context(), o); err != nil || len(found.Tables) == 0 {
			t.Errorf("when it has ended: %v", err)
		}
		closed(t, o, func(*store.DB) {}) // free again
	})
}

// TestSalvageBesideWhoHoldsTheFile: a restore is not read beside, a daemon that only tells the way out is.
func TestSalvageBesideWhoHoldsTheFile(t *testing.T) {
	o := store.Options{DataDir: t.TempDir()}
	closed(t, o, func(*store.DB) {})
	hold, err := store.Take(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := store.SalvageBeside(t.Context(), o); !errors.Is(err, store.ErrLocked) {
		t.Errorf("beside a restore: %v", err)
	}
	if err := hold.ReadBeside(); err != nil {
		t.Fatal(err)
	}
	if _, err := store.SalvageBeside(t.Context(), o); err != nil {
		t.Errorf("beside one that only tells the way out: %v", err)
	}
	if said := wantOpenErr(t, o, store.ErrLocked); !strings.Contains(said, fmt.Sprintf("process %d", os.Getpid())) {
		t.Errorf("%s: does not say who has it", said)
	}
	if err := hold.Close(); err != nil {
		t.Fatal(err)
	}
	closed(t, o, func(*store.DB) {
		if _, err := store.SalvageBeside(t.Context(), o); !errors.Is(err, store.ErrLocked) {
			t.Errorf("beside the daemon that came after: %v", err)
		}
	})
	if err := os.Remove(filepath.Join(o.DataDir, "docker-watcher.lock")); err != nil {
		t.Fatal(err)
	}
	before := footprint(t, o.DataDir)
	if _, err := store.SalvageBeside(t.Context(), o); err != nil {
		t.Error(err)
	}
	if after := footprint(t, o.DataDir); after != before {
		t.Errorf("the files were\n%sand are\n%s", before, after)
	}
}

// TestADamagedFileIsClosedAsItIs: what a daemon that was killed left in its log is not written into a file in which damage is met, be it at once or by a check.
func TestADamagedFileIsClosedAsItIs(t *testing.T) {
	for name, spoil := range map[string]func(t *testing.T, file string){
		"by a check": func(t *testing.T, file string) { spoilPage(t, file, leaves(t, file, "instances")[20].page, 0xa5) },
		"at once":    func(t *testing.T, file string) { spoilPage(t, file, leaves(t, file, "sqlite_schema")[1].page, 0xa5) },
	} {
		t.Run(name, func(t *testing.T) {
			o, left := store.Options{DataDir: t.TempDir()}, store.Options{DataDir: t.TempDir()}
			wide(t, o)
			closed(t, o, func(db *store.DB) {
				emit(t, db, store.Event{Message: "the last word"})
				for _, file := range []string{"docker-watcher.db", "docker-watcher.db-wal", "docker-watcher.key"} {
					copyTo(t, filepath.Join(o.DataDir, file), filepath.Join(left.DataDir, file))
				}
			})
			spoil(t, filepath.Join(left.DataDir, "docker-watcher.db"))
			sums := func() (all [2][sha256.Size]byte) {
				for i, file := range []string{"docker-watcher.db", "docker-watcher.db-wal"} {
					text, err := os.ReadFile(filepath.Join(left.DataDir, file))
					if err != nil {
						t.Fatal(err)
					}
					all[i] = sha256.Sum256(text)
				}
				return all
			}
			before := sums()
			db, err := store.Open(t.Context(), left)
			if err == nil {
				err = errors.Join(db.Check(t.Context()), db.Close())
			}
			wantErr(t, err, store.ErrCorrupt)
			wantErr(t, store.Examine(t.Context(), left), store.ErrCorrupt)
			if sums() != before {
				t.Errorf("the file or its log was changed: %v", err)
			}
		})
	}
}
