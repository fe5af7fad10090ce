package store

import (
	"context"
	"crypto/sha256"
	"database/sql"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// ErrInUse says that a store that is to be copied into holds an installation already.
var ErrInUse = errors.New("the store is in use already")

// copyParams is how many values one statement carries; SQLite takes 32,766 and PostgreSQL 65,535.
const copyParams = 8000

// CopyTo copies the whole store, as it is at one moment, into one that is new, and compares both row by row before it is kept: from one dialect to
// the other, or into a file of its own for a backup. Sealed values stay sealed by the same key. The store goes on being used
// meanwhile. A target that holds an installation is left alone: ErrInUse. Tell, if not nil, is told of each table.
func (db *DB) CopyTo(ctx context.Context, to Options, tell func(table string, rows int)) error {
	if err := db.damage.refuse(); err != nil {
		return err
	}
	err := db.copyInto(ctx, to, tell)
	if errors.Is(err, ErrCorrupt) {
		_ = db.Check(ctx) // says whether it is this one; the copy failed in any case
	}
	return err
}

// CheckFile opens a SQLite file of ours by itself and looks at all of it for damage. It answers the installation whose it is.
func CheckFile(ctx context.Context, file string) (installation string, err error) {
	d, err := openFile(ctx, file)
	if err != nil {
		return "", err
	}
	defer func() { err = errors.Join(err, d.close()) }()
	if err := d.check(ctx); err != nil {
		return "", err
	}
	known, err := queries{sql: d.reader}.meta(ctx)
	if err != nil {
		return "", err
	}
	if known[metaInstallation] == "" {
		return "", fmt.Errorf("check %s: %w: it holds no installation", file, ErrForeign)
	}
	return known[metaInstallation], nil
}

// openFile opens a file that no daemon uses, and brings its schema up to ours.
func openFile(ctx context.Context, file string) (*sqliteDatabase, error) {
	if _, err := os.Stat(file); err != nil {
		return nil, fmt.Errorf("open the database: %w", err)
	}
	d, err := newSQLite(file, filepath.Dir(file))
	if err != nil {
		return nil, err
	}
	if err := d.migrate(ctx); err != nil {
		return nil, errors.Join(err, d.close())
	}
	return d, nil
}

// prove says whether the key file of a data folder is the one that the database was sealed with.
func (d *sqliteDatabase) prove(ctx context.Context, dataDir string) error {
	known, err := queries{sql: d.reader}.meta(ctx)
	if err != nil {
		return err
	}
	seal, err := loadKey(filepath.Join(dataDir, keyFile), false)
	if err != nil {
		return err
	}
	return seal.prove(known[metaKeyCheck])
}

func (db *DB) copyInto(ctx context.Context, to Options, tell func(string, int)) (err error) {
	base, err := connect(to)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, base.close()) }()
	lock, err := db.lockTarget(ctx, base)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, lock.release()) }()
	if err := refuseHalfRestored(to.DataDir); err != nil {
		return err
	}
	return fill(ctx, db.base, base, tell)
}

// lockTarget takes the lock of what is copied into. The data folder of a store on a server, from which a file in it is filled, is ours already.
func (db *DB) lockTarget(ctx context.Context, base database) (leaderLock, error) {
	d, file := base.(*sqliteDatabase)
	if !file || db.folder == nil {
		return base.lock(ctx)
	}
	return d.lockBy(func(name string) (*fileLock, error) {
		if db.folder.is(name) {
			return nil, nil //nolint:nilnil // it has it already
		}
		return lockFile(name)
	})
}

// ownerOf is the installation whose a database is, and changes nothing of it; empty: it is nobody's yet.
func ownerOf(ctx context.Context, base database) (string, error) {
	err := base.examine(ctx)
	if errors.Is(err, ErrNone) {
		return "", nil
	}
	if err != nil {
		return "", err
	}
	read, _ := base.pools()
	known, err := queries{sql: read}.meta(ctx)
	return known[metaInstallation], err
}

// fill copies into a database that nobody else uses. One that is somebody's keeps its schema, too: an older docker-watcher may go on with it.
func fill(ctx context.Context, from, base database, tell func(string, int)) error {
	if tell == nil {
		tell = func(string, int) {}
	}
	if id, err := ownerOf(ctx, base); err != nil {
		return err
	} else if id != "" {
		return inUse(id)
	}
	if err := base.migrate(ctx); err != nil {
		return err
	}
	source, err := from.snapshot(ctx)
	if err != nil {
		return err
	}
	defer func() { _ = source.Rollback() }() // it has only read
	_, write := base.pools()
	return inTx(ctx, write, func(target *sql.Tx) error { return copyRows(ctx, source, target, base, tell) })
}

func inUse(id string) error {
	return fmt.Errorf("%w, by installation %s: give one that is new", ErrInUse, id)
}

// copyRows empties the new target of what its migrations have put in, copies, and compares.
func copyRows(ctx context.Context, source, target *sql.Tx, base database, tell func(string, int)) error {
	known, err := queries{sql: target}.meta(ctx)
	if err != nil {
		return err
	}
	if id := known[metaInstallation]; id != "" {
		return inUse(id)
	}
	tables, err := base.tables(ctx, target)
	if err != nil {
		return err
	}
	for _, table := range slices.Backward(tables) {
		if _, err := target.ExecContext(ctx, `DELETE FROM `+quoted(table)); err != nil {
			return fault("empty the table "+table, err)
		}
	}
	for _, table := range tables {
		c := copying{table: table, target: target}
		if err := c.run(ctx, source); err != nil {
			return err
		}
		kept, err := sumOf(ctx, target, table, nil)
		if err != nil {
			return err
		}
		if kept != c.sum {
			return fmt.Errorf("copy the table %s: %w: what was written is not what was read", table, ErrCorrupt)
		}
		tell(table, c.sum.rows)
	}
	return nil
}

// copying is one table on its way.
type copying struct {
	table   string
	target  *sql.Tx
	columns []string
	pending []any
	sum     tableSum
}

func (c *copying) run(ctx context.Context, source *sql.Tx) (err error) {
	if c.sum, err = sumOf(ctx, source, c.table, func(columns []string, values []any) error {
		c.columns = columns
		c.pending = append(c.pending, values...)
		if len(c.pending)+len(columns) <= copyParams {
			return nil
		}
		return c.flush(ctx)
	}); err != nil {
		return err
	}
	return c.flush(ctx)
}

// flush writes what is pending by one statement.
func (c *copying) flush(ctx context.Context) error {
	if len(c.pending) == 0 {
		return nil
	}
	names := make([]string, len(c.columns))
	for i, name := range c.columns {
		names[i] = quoted(name)
	}
	var b strings.Builder
	fmt.Fprintf(&b, `INSERT INTO %s (%s) VALUES `, quoted(c.table), strings.Join(names, ", "))
	for i := range c.pending {
		switch {
		case i == 0:
			b.WriteByte('(')
		case i%len(names) == 0:
			b.WriteString("), (")
		default:
			b.WriteString(", ")
		}
		fmt.Fprintf(&b, "$%d", i+1)
	}
	b.WriteByte(')')
	if _, err := c.target.ExecContext(ctx, b.String(), c.pending...); err != nil {
		return fault("write the table "+c.table, err)
	}
	c.pending = c.pending[:0]
	return nil
}

// tableSum tells two tables apart, whatever order their rows come in.
type tableSum struct {
	rows int
	sum  [4]uint64
}

func (s *tableSum) add(columns []string, values []any) {
	order := make([]int, len(columns)) // a table that was altered has its columns in another order elsewhere
	for i := range order {
		order[i] = i
	}
	slices.SortFunc(order, func(a, b int) int { return strings.Compare(columns[a], columns[b]) })
	h := sha256.New()
	for _, i := range order {
		fmt.Fprintf(h, "%s\x00%T\x00%v\x00", columns[i], values[i], values[i])
	}
	row := h.Sum(nil)
	for i := range s.sum {
		s.sum[i] += binary.LittleEndian.Uint64(row[8*i:])
	}
	s.rows++
}

// sumOf reads a table whole; each, if not nil, is given every row.
func sumOf(ctx context.Context, tx *sql.Tx, table string, each func(columns []string, values []any) error) (s tableSum, err error) {
	rows, err := tx.QueryContext(ctx, `SELECT * FROM `+quoted(table))
	if err != nil {
		return s, fault("read the table "+table, err)
	}
	defer rows.Close()
	columns, err := rows.Columns()
	if err != nil {
		return s, fault("read the table "+table, err)
	}
	into := make([]any, len(columns))
	for rows.Next() {
		values := make([]any, len(columns))
		for i := range values {
			into[i] = &values[i]
		}
		if err := rows.Scan(into...); err != nil {
			return s, fault("read the table "+table, err)
		}
		s.add(columns, values)
		if each == nil {
			continue
		}
		if err := each(columns, values); err != nil {
			return s, err
		}
	}
	return s, fault("read the table "+table, rows.Err())
}

func quoted(name string) string { return `"` + strings.ReplaceAll(name, `"`, `""`) + `"` }

// reference is that a table has a column which names rows of another; to is empty for one that refers to nothing.
type reference struct{ from, to string }

// inOrder sorts tables so that each comes after those that it refers to.
func inOrder(refs []reference) ([]string, error) {
	needs := map[string]map[string]bool{}
	for _, r := range refs {
		if needs[r.from] == nil {
			needs[r.from] = map[string]bool{}
		}
		if r.to != "" && r.to != r.from {
			needs[r.from][r.to] = true
		}
	}
	var order []string
	for len(needs) > 0 {
		var free []string
		for table, on := range needs {
			if len(on) == 0 {
				free = append(free, table)
			}
		}
		if len(free) == 0 {
			return nil, errors.New("order the tables: they refer to each other in a circle")
		}
		slices.Sort(free)
		for _, table := range free {
			delete(needs, table)
			for _, on := range needs {
				delete(on, table)
			}
		}
		order = append(order, free...)
	}
	return order, nil
}

func readReference(r row) (ref reference, err error) { return ref, r.Scan(&ref.from, &ref.to) }

// tables of the schema, each after those that it refers to.
func (d *sqliteDatabase) tables(ctx context.Context, tx *sql.Tx) ([]string, error) {
	refs, err := list(ctx, queries{sql: tx}, "list the tables", readReference, `SELECT t.name, COALESCE(f."table", '')
		FROM sqlite_schema t LEFT JOIN pragma_foreign_key_list(t.name) f
		WHERE t.type = 'table' AND t.name NOT LIKE 'sqlite~_%' ESCAPE '~' AND t.name <> '`+versions+`'`)
	if err != nil {
		return nil, err
	}
	return inOrder(refs)
}

func (d *postgresDatabase) tables(ctx context.Context, tx *sql.Tx) ([]string, error) {
	refs, err := list(ctx, queries{sql: tx}, "list the tables", readReference, `SELECT t.relname::text, COALESCE(other.relname::text, '')
		FROM pg_class t LEFT JOIN pg_constraint k ON k.conrelid = t.oid AND k.contype = 'f' LEFT JOIN pg_class other ON other.oid = k.confrelid
		WHERE t.relkind = 'r' AND t.relnamespace = current_schema()::regnamespace AND t.relname <> '`+versions+`'`)
	if err != nil {
		return nil, err
	}
	return inOrder(refs)
}

// snapshot is a transaction that reads everything as it is at one moment, while others write.
func (d *sqliteDatabase) snapshot(ctx context.Context) (*sql.Tx, error) {
	tx, err := d.reader.BeginTx(ctx, nil)
	return tx, fault("begin to read the database", err)
}

func (d *postgresDatabase) snapshot(ctx context.Context) (*sql.Tx, error) {
	tx, err := d.pool.BeginTx(ctx, &sql.TxOptions{Isolation: sql.LevelRepeatableRead, ReadOnly: true})
	return tx, fault("begin to read the database", err)
}
