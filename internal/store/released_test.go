package store_test

import (
	"bufio"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/tiny-forge/docker-watcher/internal/store"
	"github.com/tiny-forge/docker-watcher/internal/store/storetest"
)

// What migrations took away on purpose, by the number of the one that did: rows of tables that nothing wrote to, and a column that led there.
var (
	rowsGone   = map[string]int64{"archives": 2, "registries": 3}
	columnGone = map[string]int64{"projects.registry_id": 3}
)

// dialects are where a store can be, each time a new one.
var dialects = map[string]func(t *testing.T) store.Options{
	"sqlite": func(t *testing.T) store.Options { return store.Options{DataDir: t.TempDir()} },
	"postgres": func(t *testing.T) store.Options {
		return store.Options{DataDir: t.TempDir(), URL: storetest.Postgres(t)}
	},
}

// TestEverySchemaIsBroughtUp takes a full database of each version to the newest one: every row is there, means what it meant, and the schema is
// that of a new database.
func TestEverySchemaIsBroughtUp(t *testing.T) {
	fixtures := []store.Fixture{}
	for _, version := range store.Versions(t) {
		fixtures = append(fixtures, store.NewFixture(t, version))
	}
	for dialect, fresh := range dialects {
		t.Run(dialect, func(t *testing.T) {
			o := fresh(t)
			closed(t, o, func(*store.DB) {})
			want := store.Schema(t, o)
			for _, f := range fixtures {
				t.Run(fmt.Sprint("from ", f.Version), func(t *testing.T) {
					o := fresh(t)
					f.Make(t, o)
					before := store.ReadRows(t, o)
					db := storetest.With(t, o)
					after := store.ReadRows(t, o)
					if diff := cmp.Diff(want, store.Schema(t, o)); diff != "" {
						t.Errorf("the schema (-of a new database +brought up):\n%s", diff)
					}
					compareRows(t, f.Version, before, after)
					if n := store.BrokenReferences(t, db); n > 0 {
						t.Errorf("%d rows refer to none", n)
					}
					if err := db.Check(t.Context()); err != nil {
						t.Error(err)
					}
					lookAround(t, db, after)
					goOn(t, db)
				})
			}
		})
	}
}

// compareRows wants every row of an older database in the newer one, with the same value in each column that there still is.
func compareRows(t *testing.T, version int64, before, after store.Rows) {
	t.Helper()
	if len(before) < 20 || len(before["instances"]) != 2 {
		t.Fatalf("the fixture has %d tables and %d instances", len(before), len(before["instances"]))
	}
	for table, rows := range before {
		if version < rowsGone[table] {
			continue
		}
		left, still := after[table]
		if !still {
			t.Errorf("the table %s is gone", table)
			continue
		}
		var columns []string
		for _, column := range slices.Sorted(maps.Keys(rows[0])) {
			if version >= columnGone[table+"."+column] {
				columns = append(columns, column)
			}
		}
		if diff := cmp.Diff(linesOf(rows, columns), linesOf(left, columns)); diff != "" {
			t.Errorf("the table %s (-before +after):\n%s", table, diff)
		}
	}
}

// linesOf are rows as sorted lines of some columns; a column that is not there says so.
func linesOf(rows []map[string]any, columns []string) (lines []string) {
	for _, r := range rows {
		var b strings.Builder
		for _, c := range columns {
			v, there := r[c]
			if !there {
				v = "(no such column)"
			}
			fmt.Fprintf(&b, "%s=%v ", c, v)
		}
		lines = append(lines, b.String())
	}
	slices.Sort(lines)
	return lines
}

// lookAround reads what a daemon reads, and counts it against the rows.
func lookAround(t *testing.T, db *store.DB, rows store.Rows) {
	t.Helper()
	ctx := t.Context()
	if db.InstallationID() != store.FixtureInstallation {
		t.Errorf("it is installation %s", db.InstallationID())
	}
	for place, opens := range store.SealedValues(t, db, store.FixtureKey) {
		if !opens {
			t.Errorf("%s does not open", place)
		}
	}
	if s, err := db.Settings(ctx); err != nil || s.StaleThresholdDays != 9 || !s.AutoCleanup {
		t.Errorf("settings: %+v, %v", s, err)
	}
	if s, err := db.Stage(ctx, "stages.id.0"); err != nil || s.Spec.Env[0].Value != "swordfish" {
		t.Errorf("stage: %+v, %v", s, err)
	}
	stale, _, total, err := db.StaleInstances(ctx, store.StaleFilter{Now: noon}, store.Page{})
	if err != nil || total != 1 || len(stale) != 1 || stale[0].ID != "instances.id.0" || stale[0].StaleSince.IsZero() {
		t.Errorf("stale: %+v of %d, %v", stale, total, err)
	}
	if evs, _, err := db.Events(ctx, store.EventFilter{Severities: []store.Severity{store.SeverityWarn}}, store.Page{}); err != nil || len(evs) != 1 || evs[0].ID != 1 {
		t.Errorf("events: %+v, %v", evs, err)
	}
	if tokens, err := db.Tokens(ctx); err != nil || !slices.ContainsFunc(tokens, func(k store.Token) bool { return k.UserID == "users.id.0" }) {
		t.Errorf("the token that a user made is not theirs: %+v, %v", tokens, err)
	}
	for table, count := range map[string]func() (int, error){
		"hosts":           counted(func() ([]store.Host, error) { return db.Hosts(ctx) }),
		"projects":        counted(func() (l []store.Project, err error) { l, _, err = db.Projects(ctx, store.Page{}); return l, err }),
		"stages":          counted(func() ([]store.Stage, error) { return db.Stages(ctx, "") }),
		"registries":      counted(func() ([]store.Registry, error) { return db.Registries(ctx) }),
		"users":           counted(func() ([]store.User, error) { return db.Users(ctx) }),
		"removals":        counted(func() ([]store.Removal, error) { return db.Removals(ctx) }),
		"notify_channels": counted(func() ([]store.Channel, error) { return db.Channels(ctx) }),
		"notify_rules":    counted(func() ([]store.NotifyRule, error) { return db.NotifyRules(ctx) }),
		"instances": counted(func() (l []store.InstanceView, err error) {
			l, _, err = db.Instances(ctx, store.InstanceFilter{}, store.Page{})
			return l, err
		}),
		"deploys": counted(func() (l []store.Deploy, err error) { l, _, err = db.Deploys(ctx, "", "", store.Page{}); return l, err }),
		"plans": counted(func() (l []store.Plan, err error) {
			l, _, err = db.Plans(ctx, store.PlanFilter{}, store.Page{})
			return l, err
		}),
		"notify_messages": counted(func() (l []store.Message, err error) {
			l, _, err = db.Messages(ctx, store.MessageFilter{}, store.Page{})
			return l, err
		}),
	} {
		if n, err := count(); err != nil || n != len(rows[table]) {
			t.Errorf("%s: %d of %d, %v", table, n, len(rows[table]), err)
		}
	}
	routes, _, err := db.Routes(ctx, store.RouteFilter{}, store.Page{})
	if err != nil || len(routes) != len(rows["routes"]) {
		t.Errorf("routes: %d, %v", len(routes), err)
	}
	if archives, _, err := db.Archives(ctx, store.ArchiveFilter{}, store.Page{}); err != nil || len(archives) != min(1, len(rows["archives"])) {
		t.Errorf("archives: %+v, %v", archives, err) // one of the two is being made
	}
	_, err = db.Policies(ctx)
	if err != nil {
		t.Error(err)
	}
}

func counted[T any](read func() ([]T, error)) func() (int, error) {
	return func() (int, error) { items, err := read(); return len(items), err }
}

// goOn writes: the numbers of events go on where they were, and names that are taken still are.
func goOn(t *testing.T, db *store.DB) {
	t.Helper()
	emit(t, db, store.Event{Message: "goes on"})
	if last, err := db.LastEventID(t.Context()); err != nil || last != 3 {
		t.Errorf("the last event is %d, %v", last, err)
	}
	err := db.Update(t.Context(), func(tx *store.Tx) error {
		return tx.InsertHost(t.Context(), store.Host{ID: store.NewID(), Name: "hosts.name.0"})
	})
	wantErr(t, err, store.ErrConflict)
	h := storetest.Host(t, db)
	storetest.Instance(t, db, storetest.Stage(t, db, h, storetest.Project(t, db)))
}

// TestReleasedMigrationsStay: a migration that was released is never edited, for there are databases that it made.
func TestReleasedMigrationsStay(t *testing.T) {
	f, err := os.Open("testdata/released.sha256")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	listed := map[string]bool{}
	for lines := bufio.NewScanner(f); lines.Scan(); {
		sum, name, found := strings.Cut(lines.Text(), "  ")
		text, err := os.ReadFile(filepath.Join("migrations", name))
		got := sha256.Sum256(text)
		if err != nil || !found || hex.EncodeToString(got[:]) != sum {
			t.Errorf("%s is released and was changed: write another migration (%v)", name, err)
		}
		listed[name] = true
	}
	last := slices.Max(slices.Collect(maps.Keys(listed)))
	for _, dialect := range []string{"sqlite", "postgres"} {
		files, err := filepath.Glob("migrations/" + dialect + "/*.sql")
		if err != nil || len(files) == 0 {
			t.Fatal(files, err)
		}
		for _, name := range files {
			if filepath.Base(name) <= filepath.Base(last) && !listed[dialect+"/"+filepath.Base(name)] {
				t.Errorf("%s came after a later one was released: a database that has that one never gets it", name)
			}
		}
	}
}

// TestNothingOfANewerSchemaIsTouched, neither on disk nor on a server: no row, no file beside it.
func TestNothingOfANewerSchemaIsTouched(t *testing.T) {
	versions := store.Versions(t)
	f := store.NewFixture(t, slices.Max(versions))
	for dialect, fresh := range dialects {
		t.Run(dialect, func(t *testing.T) {
			o := fresh(t)
			f.Make(t, o)
			// What a newer one may have: a table, and a column that must have a value.
			store.AtVersion(t, o, f.Version, func(exec func(query string, args ...any)) {
				exec(`CREATE TABLE later (id BIGINT NOT NULL PRIMARY KEY)`)
				exec(`ALTER TABLE hosts ADD COLUMN later BIGINT NOT NULL DEFAULT 1`)
				exec(`INSERT INTO goose_db_version (version_id, is_applied) VALUES ($1, $2)`, f.Version+1, true)
			})
			rows, schema, names := store.ReadRows(t, o), store.Schema(t, o), namesIn(t, o.DataDir)
			said := wantOpenErr(t, o, store.ErrNewerSchema)
			for _, want := range []string{fmt.Sprintf("version %d", f.Version+1), fmt.Sprintf("up to %d", f.Version), "newer version", "backup"} {
				if !strings.Contains(said, want) {
					t.Errorf("%s: lacks %q", said, want)
				}
			}
			_, err := store.OpenBeside(t.Context(), o)
			wantErr(t, err, store.ErrNewerSchema)
			wantErr(t, store.Examine(t.Context(), o), store.ErrNewerSchema)
			if diff := cmp.Diff(rows, store.ReadRows(t, o)); diff != "" {
				t.Errorf("rows:\n%s", diff)
			}
			if diff := cmp.Diff(schema, store.Schema(t, o)); diff != "" {
				t.Errorf("schema:\n%s", diff)
			}
			if diff := cmp.Diff(append(names, "docker-watcher.lock"), namesIn(t, o.DataDir)); diff != "" && o.URL == "" {
				t.Errorf("files:\n%s", diff)
			}
		})
	}
}

// namesIn are the files of a folder, without what SQLite has beside an open database.
func namesIn(t *testing.T, dir string) (names []string) {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		if !strings.HasSuffix(e.Name(), "-wal") && !strings.HasSuffix(e.Name(), "-shm") {
			names = append(names, e.Name())
		}
	}
	return names
}
