package store

import (
	"context"
	"fmt"
	"log/slog"
	"strings"
	"testing"

	"github.com/pressly/goose/v3"
)

// Step is a line of SQLite's EXPLAIN QUERY PLAN.
type Step string

// Scans reports whether the step reads a table (by its alias).
func (s Step) Scans(table string) bool {
	return strings.HasPrefix(string(s), "SCAN "+table) || strings.HasPrefix(string(s), "SEARCH "+table)
}

// Uses reports whether the step reads by an index.
func (s Step) Uses(index string) bool { return strings.Contains(string(s)+" ", "INDEX "+index+" ") }

// Seeks reports whether the step begins in the middle of its index.
func (s Step) Seeks() bool { return strings.HasPrefix(string(s), "SEARCH ") }

// Sorts reports whether the step sorts rows that it has collected.
func (s Step) Sorts() bool { return strings.Contains(string(s), "TEMP B-TREE") }

// explain says how SQLite would run a query.
func explain(t *testing.T, db *DB, query string, args ...any) []Step {
	t.Helper()
	steps, err := list(t.Context(), db.queries, "explain", func(r row) (s Step, err error) {
		var id, parent, unused int
		return s, r.Scan(&id, &parent, &unused, &s)
	}, "EXPLAIN QUERY PLAN "+query, args...)
	if err != nil {
		t.Fatal(err)
	}
	return steps
}

// ExplainStale says how SQLite finds a page of the stale list.
func ExplainStale(t *testing.T, db *DB, f StaleFilter, p Page) []Step {
	t.Helper()
	order := staleOrders[f.Sort]
	c, found, err := parseCursor(p.Cursor, "stale:"+string(f.Sort), len(order.numbers), len(order.texts))
	if err != nil {
		t.Fatal(err)
	}
	query, args := stalePage(f, order, c, found, p.limit())
	return explain(t, db, query, args...)
}

// ExplainEvents says how SQLite finds the ids of a page of events.
func ExplainEvents(t *testing.T, db *DB, f EventFilter, key []int64) []Step {
	t.Helper()
	var a arguments
	query := f.search().candidates(&a, key, 100)
	return explain(t, db, query, a...)
}

// ExplainArchives says how SQLite finds a page of the archives.
func ExplainArchives(t *testing.T, db *DB, f ArchiveFilter, p Page) []Step {
	t.Helper()
	c, found, err := parseCursor(p.Cursor, "archives", 1, 1)
	if err != nil {
		t.Fatal(err)
	}
	query, args := archivesPage(f, c, found, p.limit())
	return explain(t, db, query, args...)
}

// Pragma sets something on the one connection that writes, to make it fail as an
// engine, a disk or another program would.
func Pragma(t *testing.T, db *DB, pragma string) {
	t.Helper()
	_, write := db.base.pools()
	if _, err := write.ExecContext(t.Context(), "PRAGMA "+pragma); err != nil {
		t.Fatal(err)
	}
}

// Exec runs a statement behind the back of the store.
func Exec(t *testing.T, db *DB, query string, args ...any) {
	t.Helper()
	_, write := db.base.pools()
	if _, err := write.ExecContext(t.Context(), query, args...); err != nil {
		t.Fatal(err)
	}
}

// Number runs a query for one number behind the back of the store.
func Number(t *testing.T, db *DB, query string, args ...any) int {
	t.Helper()
	n, err := one(t.Context(), db.queries, "count", func(r row) (n int, err error) { return n, r.Scan(&n) }, query, args...)
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// AtVersion makes a database with an older schema, fills it by fill and closes it.
func AtVersion(t *testing.T, o Options, version int64, fill func(exec func(query string, args ...any))) {
	t.Helper()
	base := atVersion(t, o, version)
	_, write := base.pools()
	fill(func(query string, args ...any) {
		t.Helper()
		if _, err := write.ExecContext(t.Context(), query, args...); err != nil {
			t.Fatal(err)
		}
	})
	if err := base.close(); err != nil {
		t.Errorf("close the old database: %v", err)
	}
}

// atVersion makes a database with an older schema; whoever calls it closes it.
func atVersion(t *testing.T, o Options, version int64) database {
	t.Helper()
	base, err := connect(o)
	if err != nil {
		t.Fatal(err)
	}
	if d, ok := base.(*sqliteDatabase); ok {
		if err := d.mark(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := migratorOf(t, base).UpTo(t.Context(), version); err != nil {
		t.Fatal(err)
	}
	return base
}

func migratorOf(t *testing.T, base database) *goose.Provider {
	t.Helper()
	p, err := base.(interface {
		migrations() (*goose.Provider, error)
	}).migrations()
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// RestoreRoute puts a route of an archive back, as the restore of its instance does.
func (tx *Tx) RestoreRoute(ctx context.Context, i Instance, r ArchivedRoute) error {
	return tx.restoreRoute(ctx, i, r)
}

// SealedColumns are table, key and name of every column that holds sealed values.
func SealedColumns(t *testing.T, db *DB) (columns [][3]string) {
	t.Helper()
	found, err := db.sealedColumns(t.Context(), db.base.sealedColumns())
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range found {
		columns = append(columns, [3]string{c.table, c.key, c.name})
	}
	return columns
}

// SealedValues tells of every sealed value whether it opens with a key.
func SealedValues(t *testing.T, db *DB, raw []byte) map[string]bool {
	t.Helper()
	with, err := newKey(raw)
	if err != nil {
		t.Fatal(err)
	}
	opens := map[string]bool{}
	for _, c := range SealedColumns(t, db) {
		values, err := list(t.Context(), db.queries, "read what is sealed", func(r row) (v sealedValue, err error) {
			return v, r.Scan(&v.id, &v.sealed)
		}, "SELECT "+c[1]+", "+c[2]+" FROM "+c[0]+" WHERE "+c[2]+" IS NOT NULL")
		if err != nil {
			t.Fatal(err)
		}
		for _, v := range values {
			_, err := with.open(v.sealed, place(c[0], v.id, c[2]))
			opens[c[0]+"."+c[2]+" of "+v.id] = err == nil
		}
	}
	return opens
}

// Damage has the store believe that somebody found it damaged.
func Damage(db *DB) { db.damage.tell(fmt.Errorf("look at it: %w", ErrCorrupt)) }

// KeepFormer makes the copy of a SQLite file that is made before its schema is changed, of which it expects to have such a schema.
func KeepFormer(t *testing.T, o Options, schema int64) error {
	t.Helper()
	base, err := connect(o)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = base.close() }()
	return base.(*sqliteDatabase).keepFormer(t.Context(), schema, slog.New(slog.DiscardHandler))
}

// ClearSalvages and MakeSalvageFolder are those that a start and a salvage do.
var (
	ClearSalvages     = clearSalvages
	MakeSalvageFolder = makeSalvageFolder
)
