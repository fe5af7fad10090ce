package store

import (
	"bytes"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// FixtureInstallation is whose database every fixture is.
const FixtureInstallation = "fixture000000001"

// FixtureKey is what it is sealed with.
var FixtureKey = bytes.Repeat([]byte{7}, keySize)

// Versions are the schemas that there ever were, the oldest first.
func Versions(t *testing.T) (numbers []int64) {
	t.Helper()
	base, err := connect(Options{DataDir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range migratorOf(t, base).ListSources() {
		numbers = append(numbers, s.Version)
	}
	if err := base.close(); err != nil {
		t.Fatal(err)
	}
	return numbers
}

// Fixture is rows for every table of a schema.
type Fixture struct {
	Version int64
	rows    []fixtureRow
}

type fixtureRow struct {
	query string
	args  []any
}

// perTable is how many rows a table gets: in the first everything is filled, in the second nothing that may be empty is.
const perTable = 2

// NewFixture reads from a schema what its tables ask for. So a table or a column of a migration that is yet to be written is filled too; where
// its values have to mean something to be read, they are added to words.
func NewFixture(t *testing.T, version int64) Fixture {
	t.Helper()
	base := atVersion(t, Options{DataDir: t.TempDir()}, version)
	defer func() {
		if err := base.close(); err != nil {
			t.Error(err)
		}
	}()
	seal, err := newKey(FixtureKey)
	if err != nil {
		t.Fatal(err)
	}
	tables, columns := columnsOf(t, base)
	f := Fixture{Version: version}
	for _, table := range tables {
		for n := range perTable {
			if only, limited := onlyRow[table]; !limited || only == n {
				f.rows = append(f.rows, insertion(table, columns, n, seal))
			}
		}
	}
	f.rows = append(f.rows, fixtureRow{query: `UPDATE sequences SET value = 2 WHERE name = 'event'`})
	return f
}

// Make makes a database of that version with those rows, and its key file.
func (f Fixture) Make(t *testing.T, o Options) {
	t.Helper()
	if err := writeWhole(filepath.Join(o.DataDir, keyFile), FixtureKey); err != nil {
		t.Fatal(err)
	}
	AtVersion(t, o, f.Version, func(exec func(query string, args ...any)) {
		t.Helper()
		for _, r := range f.rows {
			exec(r.query, r.args...)
		}
	})
}

// onlyRow are the tables that get one row or, by -1, none.
var onlyRow = map[string]int{
	"removals":  1, // of the instance that is being removed
	"sequences": -1,
}

// words are what has to mean something, by table and column or by column alone: of the first row and of the second.
var words = map[string][perTable]any{
	"meta.name":         {metaInstallation, metaKeyCheck},
	"settings.name":     {"stale_threshold_days", "auto_cleanup"},
	"settings.value":    {"9", "true"},
	"event_log.id":      {int64(1), int64(2)},
	"domains.proxy_id":  {nil, "standalone_proxies.id.1"}, // a domain is of one or the other
	"tokens.created_by": {"user:users.name.0", "system"}, "grants.role": {"viewer", "operator"},

	"status": {"stopped", "removing"}, "former": {"running", "stopped"}, "intended": {"running", "stopped"}, "ownership": {"created", "adopted"},
	"class": {"exited", "failed"}, "evidence": {"finished_at", "observed"}, "severity": {"warn", "error"}, "source": {"scanner", "api"},
	"mode": {"manual", "auto"}, "strategy": {"replace", "parallel"}, "role": {"viewer", "admin"}, "outcome": {"ok", "blind"},
	"step": {"intended", "deleting"}, "result": {"removed", ""}, "stages.kind": {"dev", "preview"}, "deploys.kind": {"deploy", "rollback"},
	"remnants.kind": {"image", "volume"}, "notify_channels.kind": {"webhook", "ntfy"}, "tls": {"off", "auto"},
	"plans.state": {"planned", "applied"}, "reclaim_plans.state": {"planned", "applied"}, "deploys.state": {"done", "checking"},
	"deploy_log.state": {"pulling", "checking"}, "archives.state": {"ready", "making"}, "notify_messages.state": {"pending", "dead"},

	"spec": {`{"env":[{"name":"TOKEN"}]}`, `{}`}, "policy": {`{}`, `{}`}, "tag_rule": {"", ""}, "labels": {`{"a":"b"}`, `{}`}, "details": {`{"bytes":7}`, `{}`},
	"protection": {`{}`, `{}`}, "options": {`{}`, `{}`}, "access": {`{}`, `{}`}, "refs": {`["a:1"]`, `[]`}, "volumes": {`[]`, `[]`}, "networks": {`[]`, `[]`},
	"archives.routes": {`[]`, `[]`}, "asked": {`{}`, ``}, "last_use": {`{}`, `{}`}, "last_test": {``, ``}, "allowance": {``, ``}, "data": {`{"k":1}`, nil},
	"wanted": {`["1.0"]`, ``}, "wants": {`{}`, `{}`}, "timing": {`{}`, `{}`},
}

// sealedWords are what is sealed where it has to be JSON.
var sealedWords = map[string]string{"spec_env": `["swordfish"]`, "hosts.secrets": `{}`, "routes.secrets": `{}`, "standalone_proxies.secrets": `{}`, "archive_contents.instance_row": `{}`}

// fixtureColumn is what a schema says of a column.
type fixtureColumn struct {
	table, name, kind string
	required          bool
	key               int    // its place in the primary key; 0: none
	refers, to        string // a foreign key
}

// columnsOf are the tables of a SQLite database, each after those that it refers to, and all columns.
func columnsOf(t *testing.T, base database) (tables []string, columns []fixtureColumn) {
	t.Helper()
	tx, err := base.snapshot(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = tx.Rollback() }() // it has only read
	if tables, err = base.tables(t.Context(), tx); err != nil {
		t.Fatal(err)
	}
	columns, err = list(t.Context(), queries{sql: tx}, "list the columns", func(r row) (c fixtureColumn, err error) {
		return c, r.Scan(&c.table, &c.name, &c.kind, &c.required, &c.key, &c.refers, &c.to)
	}, `SELECT t.name, c.name, upper(c.type), c."notnull", c.pk, COALESCE(f."table", ''), COALESCE(f."to", '') FROM sqlite_schema t
		JOIN pragma_table_info(t.name) c LEFT JOIN pragma_foreign_key_list(t.name) f ON f."from" = c.name
		WHERE t.type = 'table' ORDER BY t.name, c.cid`)
	if err != nil {
		t.Fatal(err)
	}
	return tables, columns
}

func insertion(table string, columns []fixtureColumn, n int, seal key) (r fixtureRow) {
	var names, holders []string
	for _, c := range columns {
		if c.table == table {
			names = append(names, quoted(c.name))
			holders = append(holders, fmt.Sprintf("$%d", len(names)))
			r.args = append(r.args, valueOf(c, columns, n, seal))
		}
	}
	r.query = fmt.Sprintf(`INSERT INTO %s (%s) VALUES (%s)`, quoted(table), strings.Join(names, ", "), strings.Join(holders, ", "))
	return r
}

// valueOf is what row n has in a column.
func valueOf(c fixtureColumn, columns []fixtureColumn, n int, seal key) any {
	if c.table == "meta" && c.name == "value" {
		return []any{FixtureInstallation, seal.proof()}[n]
	}
	for _, name := range []string{c.table + "." + c.name, c.name} {
		if said, ok := words[name]; ok {
			return said[n]
		}
	}
	switch {
	case !c.required && n == 1:
		return nil
	case c.refers != "":
		return valueOf(columnNamed(columns, c.refers, c.to), columns, n, seal)
	case c.kind == "BLOB":
		return sealedFor(c, columns, n, seal)
	case c.kind == "TEXT":
		return fmt.Sprintf("%s.%s.%d", c.table, c.name, n)
	case isMoment(c.name):
		return int64(1767225600000 + n*60_000)
	}
	return int64(n)
}

func columnNamed(columns []fixtureColumn, table, name string) fixtureColumn {
	return columns[slices.IndexFunc(columns, func(c fixtureColumn) bool { return c.table == table && c.name == name })]
}

func sealedFor(c fixtureColumn, columns []fixtureColumn, n int, seal key) []byte {
	id := columns[slices.IndexFunc(columns, func(k fixtureColumn) bool { return k.table == c.table && k.key == 1 })]
	plain, known := sealedWords[c.table+"."+c.name]
	if !known {
		if plain, known = sealedWords[c.name]; !known {
			plain = "sealed " + c.table + "." + c.name
		}
	}
	return seal.close([]byte(plain), place(c.table, fmt.Sprint(valueOf(id, columns, n, seal)), c.name))
}

func isMoment(column string) bool {
	for _, end := range []string{"time", "at", "since", "until", "_scan", "_seen"} {
		if strings.HasSuffix(column, end) {
			return true
		}
	}
	return false
}

// Rows are the rows of a database, by table.
type Rows map[string][]map[string]any

// ReadRows reads all of a database that nobody need have open.
func ReadRows(t *testing.T, o Options) Rows {
	t.Helper()
	base, err := connect(o)
	if err != nil {
		t.Fatal(err)
	}
	tx, err := base.snapshot(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	tables, err := base.tables(t.Context(), tx)
	found := Rows{}
	for _, table := range tables {
		found[table] = []map[string]any{}
		_, each := sumOf(t.Context(), tx, table, func(columns []string, values []any) error {
			r := map[string]any{}
			for i, name := range columns {
				r[name] = values[i]
			}
			found[table] = append(found[table], r)
			return nil
		})
		err = errors.Join(err, each)
	}
	if err := errors.Join(err, tx.Rollback(), base.close()); err != nil {
		t.Fatal(err)
	}
	return found
}

// Schema is everything that a database says of its tables, columns, indexes and constraints, but for the table that counts migrations.
func Schema(t *testing.T, o Options) []string {
	t.Helper()
	base, err := connect(o)
	if err != nil {
		t.Fatal(err)
	}
	query := `SELECT type || ' ' || name || ' ' || COALESCE(sql, '') FROM sqlite_schema WHERE tbl_name NOT IN ('` + versions + `', 'sqlite_sequence') ORDER BY 1`
	if _, lite := base.(*sqliteDatabase); !lite {
		query = `SELECT s FROM (
			SELECT 'column ' || table_name || '.' || column_name || ' ' || data_type || ' ' || is_nullable || ' ' || COALESCE(column_default, '') || ' ' || COALESCE(collation_name, '') AS s
				FROM information_schema.columns WHERE table_schema = current_schema() AND table_name <> '` + versions + `'
			UNION ALL SELECT 'index ' || replace(indexdef, current_schema() || '.', '') FROM pg_indexes WHERE schemaname = current_schema() AND tablename <> '` + versions + `'
			UNION ALL SELECT 'constraint ' || c.relname || ' ' || k.conname || ' ' || pg_get_constraintdef(k.oid)
				FROM pg_constraint k JOIN pg_class c ON c.oid = k.conrelid WHERE k.connamespace = current_schema()::regnamespace AND c.relname <> '` + versions + `'
		) all_of_it ORDER BY 1`
	}
	read, _ := base.pools()
	lines, err := list(t.Context(), queries{sql: read}, "read the schema", func(r row) (s string, err error) { return s, r.Scan(&s) }, query)
	if err := errors.Join(err, base.close()); err != nil {
		t.Fatal(err)
	}
	return lines
}

// BrokenReferences counts rows that refer to none.
func BrokenReferences(t *testing.T, db *DB) int {
	t.Helper()
	if _, lite := db.base.(*sqliteDatabase); lite {
		return Number(t, db, `SELECT count(*) FROM pragma_foreign_key_check`)
	}
	return Number(t, db, `SELECT count(*) FROM pg_constraint WHERE connamespace = current_schema()::regnamespace AND NOT convalidated`)
}
