package store

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

// keptFormers is how many copies with an older schema stay beside a database.
const keptFormers = 2

// former is a copy of a SQLite file that was made before its schema was changed, so that an older docker-watcher can go on with it.
type former struct {
	name   string
	schema int64
}

const formerMark = ".schema-"

func (d *sqliteDatabase) formerName(schema int64) string {
	return d.file + formerMark + strconv.FormatInt(schema, 10)
}

// keepFormer makes that copy beside the file, under its name and the number of its schema. It is read from end to end before it counts; a
// file that turns out to be damaged is not migrated. The newest ones stay.
func (d *sqliteDatabase) keepFormer(ctx context.Context, schema int64, log *slog.Logger) error {
	const what = "keep a copy of the database before its schema is changed"
	part := d.file + ".schema.part"
	if err := os.Remove(part); err != nil && !errors.Is(err, fs.ErrNotExist) { // of a crash
		return fmt.Errorf("%s: %w", what, err)
	}
	if err := d.roomForFormer(ctx); err != nil {
		return fmt.Errorf("%s: %w", what, err)
	}
	err := d.blame(ctx, d.copyFile(ctx, part, schema))
	name := d.formerName(schema)
	if err == nil {
		err = os.Rename(part, name)
	}
	if err == nil {
		err = syncFolder(filepath.Dir(d.file))
	}
	if err != nil {
		if left := os.Remove(part); left != nil && !errors.Is(left, fs.ErrNotExist) {
			err = errors.Join(err, left)
		}
		return fault(what, err)
	}
	log.Info("the database was copied before its schema is changed", "file", name, "schema", schema)
	if err := d.dropFormers(name); err != nil {
		log.Warn("an old copy of the database stays", "error", err)
	}
	return nil
}

// formerMargin is what must be left beside a copy, for the migration and for whoever else writes to that disk.
const formerMargin = 32 << 20

// roomForFormer refuses with ErrDiskFull to begin a copy that would fill the disk.
func (d *sqliteDatabase) roomForFormer(ctx context.Context) error {
	if d.free == nil {
		return nil
	}
	size, err := one(ctx, queries{sql: d.reader}, "look how large the database is", func(r row) (n int64, err error) { return n, r.Scan(&n) },
		`SELECT page_count * page_size FROM pragma_page_count, pragma_page_size`)
	if err != nil {
		return err
	}
	folder := filepath.Dir(d.file)
	if free, need := d.free(folder), size+formerMargin; free >= 0 && free < need {
		return fmt.Errorf("%w: %d MiB are needed in %s, and %d are free", ErrDiskFull, (need+1<<20-1)>>20, folder, free>>20)
	}
	return nil
}

// blame finds out whose fault it is that a copy is bad: a good database must not be replaced by an older backup because of a bad disk. Only
// damage of the database itself remains an ErrCorrupt.
func (d *sqliteDatabase) blame(ctx context.Context, err error) error {
	if kind := kindOf(err); !errors.Is(err, ErrCorrupt) && !errors.Is(kind, ErrCorrupt) && !errors.Is(kind, ErrConflict) {
		return err
	}
	if own := d.checkAll(ctx); own != nil {
		return own
	}
	return fmt.Errorf("the copy is bad although the database is whole, so look at the disk of %s: %s", filepath.Dir(d.file), err.Error()) // without its kind
}

// copyFile writes what the database holds into a new file, and looks whether it is whole and all there.
func (d *sqliteDatabase) copyFile(ctx context.Context, to string, schema int64) (err error) {
	if err := writeWhole(to, nil); err != nil { // made here, so that nobody else may read it
		return err
	}
	if _, err := d.writer.ExecContext(ctx, `VACUUM INTO $1`, to); err != nil {
		return err
	}
	copied, err := newSQLite(to, d.dataDir)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, copied.close()) }()
	if err := copied.check(ctx); err != nil {
		return err
	}
	has, _, err := copied.look(ctx)
	if err == nil && has != schema {
		err = fmt.Errorf("%w: the copy has schema %d instead of %d", ErrCorrupt, has, schema)
	}
	if err != nil {
		return err
	}
	return syncFile(to)
}

// syncFile has what was written to a file on the disk before it returns.
func syncFile(name string) error {
	f, err := os.OpenFile(name, os.O_RDWR, 0)
	if err != nil {
		return err
	}
	return errors.Join(f.Sync(), f.Close())
}

// dropFormers removes all but the newest copies; the one that was just made stays in any case.
func (d *sqliteDatabase) dropFormers(made string) error {
	all, err := d.formers()
	if err != nil {
		return err
	}
	all = slices.DeleteFunc(all, func(f former) bool { return f.name == made })
	for _, f := range all[:max(0, len(all)-keptFormers+1)] {
		if err := os.Remove(f.name); err != nil {
			return fmt.Errorf("remove an old copy of the database: %w", err)
		}
	}
	return nil
}

// formers are the copies that are there, by schema, the oldest first.
func (d *sqliteDatabase) formers() (found []former, err error) {
	dir, base := filepath.Split(d.file)
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, fmt.Errorf("look for copies of the database: %w", err)
	}
	for _, e := range entries {
		number, is := strings.CutPrefix(e.Name(), base+formerMark)
		schema, err := strconv.ParseInt(number, 10, 64)
		if is && err == nil && e.Type().IsRegular() {
			found = append(found, former{filepath.Join(dir, e.Name()), schema})
		}
	}
	slices.SortFunc(found, func(a, b former) int { return cmp.Compare(a.schema, b.schema) })
	return found, nil
}

// Former is the newest copy beside a database of a newer schema that this program could go on with; empty when there is none. It
// is for a person who is to be told what to do.
func Former(o Options) string {
	base, err := connect(o)
	if err != nil {
		return ""
	}
	defer func() { _ = base.close() }() // nothing was written
	d, ok := base.(*sqliteDatabase)
	if !ok {
		return ""
	}
	p, err := d.migrations()
	if err != nil {
		return ""
	}
	all, err := d.formers()
	if err != nil {
		return ""
	}
	for _, f := range slices.Backward(all) {
		if f.schema <= newest(p) {
			return f.name
		}
	}
	return ""
}
