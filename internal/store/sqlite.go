package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"maps"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/pressly/goose/v3"
)

const (
	// applicationID marks a SQLite file as ours ("dwat").
	applicationID = 0x64776174
	liteReaders   = 4
	// liteIdle is how long a connection that reads is kept, with its cache, when nobody reads.
	liteIdle = 5 * time.Second
)

// sqliteDatabase is a SQLite file: one connection writes, a few read. WAL lets
// them do so at the same time.
type sqliteDatabase struct {
	file    string
	dataDir string
	reader  *sql.DB
	writer  *sql.DB
	keeper  *sql.DB     // keeps the log as it is, see keepLog; nil: nothing does
	opened  fs.FileInfo // the file that we have open, once it is migrated

	free       func(folder string) int64 // see Options; nil: not known
	tellFormer *slog.Logger              // who is told of the copy that is made before the schema is changed; nil: none is made
}

func newSQLite(file, dataDir string) (*sqliteDatabase, error) {
	whole, err := filepath.Abs(file)
	if err != nil {
		return nil, fmt.Errorf("find the database file: %w", err)
	}
	// One file must not be locked under two names, nor be another one while it is not there.
	if whole, err = behindLinks(whole); err != nil {
		return nil, fmt.Errorf("find the database file: %w", err)
	}
	d := &sqliteDatabase{file: whole, dataDir: dataDir}
	if d.reader, err = sql.Open("sqlite", d.dsn(liteReading)); err != nil {
		return nil, fmt.Errorf("open the database: %w", err)
	}
	if d.writer, err = sql.Open("sqlite", d.dsn(liteWriting)); err != nil {
		return nil, errors.Join(fmt.Errorf("open the database: %w", err), d.reader.Close())
	}
	d.reader.SetMaxOpenConns(liteReaders)
	d.reader.SetMaxIdleConns(liteReaders)
	d.reader.SetConnMaxIdleTime(liteIdle)
	d.writer.SetMaxOpenConns(1)
	return d, nil
}

// mostLinks is how many links in a row lead to a file.
const mostLinks = 40

// behindLinks is where a file is, or would be made: links are followed also to what is not there.
func behindLinks(file string) (string, error) {
	for range mostLinks {
		real, err := filepath.EvalSymlinks(file)
		if !errors.Is(err, fs.ErrNotExist) {
			return real, err
		}
		folder, err := filepath.EvalSymlinks(filepath.Dir(file))
		if errors.Is(err, fs.ErrNotExist) {
			return file, nil
		}
		if err != nil {
			return "", err
		}
		file = filepath.Join(folder, filepath.Base(file))
		to, err := os.Readlink(file)
		switch {
		case errors.Is(err, fs.ErrNotExist), errors.Is(err, syscall.EINVAL): // no link
			return file, nil
		case err != nil:
			return "", err
		case !filepath.IsAbs(to):
			to = filepath.Join(folder, to)
		}
		file = to
	}
	return "", fmt.Errorf("%s: %w", file, syscall.ELOOP)
}

// The settings of the connections, after those that all of them have.
var (
	liteReading = url.Values{"_query_only": {"1"}, "_pragma": {"cache_size(-4000)"}}
	liteWriting = url.Values{
		"_txlock": {"immediate"},
		"_pragma": {
			"journal_mode(WAL)", "synchronous(NORMAL)", "foreign_keys(1)", "cache_size(-16000)",
			"wal_autocheckpoint(4000)", "journal_size_limit(67108864)", "temp_store(MEMORY)",
		},
	}
)

func (d *sqliteDatabase) dsn(v url.Values) string {
	pragmas := url.Values{"_busy_timeout": {"5000"}}
	maps.Copy(pragmas, v)
	return (&url.URL{Scheme: "file", Path: d.file, RawQuery: pragmas.Encode()}).String()
}

func (d *sqliteDatabase) pools() (read, write *sql.DB) { return d.reader, d.writer }

// lock holds the data folder and, when it lies elsewhere, the database file.
func (d *sqliteDatabase) lock(context.Context) (leaderLock, error) { return d.lockBy(lockFile) }

func (d *sqliteDatabase) lockBeside(context.Context) (leaderLock, error) { return d.lockBy(lockBeside) }

func (d *sqliteDatabase) lockBy(lock func(name string) (*fileLock, error)) (leaderLock, error) {
	names := []string{folderLock(d.dataDir)}
	if dir, err := filepath.EvalSymlinks(d.dataDir); err != nil || dir != filepath.Dir(d.file) {
		names = append(names, d.file+".lock")
	}
	var held locks
	for _, name := range names {
		l, err := lock(name)
		if err != nil {
			return nil, errors.Join(err, held.release())
		}
		if l != nil {
			held = append(held, l)
		}
	}
	return held, nil
}

// migrate looks before it touches: a foreign file or a newer schema stays as it is.
func (d *sqliteDatabase) migrate(ctx context.Context) error {
	if err := d.bringUp(ctx); err != nil {
		return err
	}
	info, err := os.Stat(d.file)
	if err != nil {
		return fmt.Errorf("look at the database file: %w", err)
	}
	d.opened = info
	return nil
}

// shrink drops what the connection that writes has in its cache; those that read are closed when they idle.
func (d *sqliteDatabase) shrink(ctx context.Context) error {
	_, err := d.writer.ExecContext(ctx, `PRAGMA shrink_memory`)
	return fault("give back the memory of the database", err)
}

// inPlace asks whether the file that is open is still the one of that name: SQLite goes on in a file that was
// removed, and all of it would be gone with the process.
func (d *sqliteDatabase) inPlace() error {
	info, err := os.Stat(d.file)
	switch {
	case err == nil && os.SameFile(info, d.opened):
		return nil
	case err == nil, errors.Is(err, fs.ErrNotExist):
		return fmt.Errorf("%w: %s", ErrMoved, d.file)
	default:
		return fmt.Errorf("look at the database file: %w: %w", ErrUnavailable, err)
	}
}

func (d *sqliteDatabase) migrations() (*goose.Provider, error) {
	return migrator(goose.DialectSQLite3, d.writer, "sqlite")
}

func (d *sqliteDatabase) bringUp(ctx context.Context) error {
	p, err := d.migrations()
	if err != nil {
		return err
	}
	has, fresh, err := d.look(ctx)
	if err != nil {
		return err
	}
	if err := refuseNewer(has, newest(p)); err != nil {
		return err
	}
	if fresh {
		if err := d.mark(ctx); err != nil {
			return err
		}
	}
	if has == newest(p) {
		return errors.Join(d.tryWrite(ctx), d.endMigration())
	}
	if has > 0 && d.tellFormer != nil && !d.halfDone(has) {
		if err := d.keepFormer(ctx, has, d.tellFormer); err != nil {
			return err
		}
		if err := d.beginMigration(has); err != nil {
			return err
		}
	}
	if err := up(ctx, p); err != nil {
		return err
	}
	return d.endMigration()
}

// look says which schema the file has; a missing or empty file is fresh.
func (d *sqliteDatabase) look(ctx context.Context) (version int64, fresh bool, err error) {
	info, err := os.Stat(d.file)
	if errors.Is(err, fs.ErrNotExist) || err == nil && info.Size() == 0 {
		return 0, true, nil
	}
	if err != nil {
		return 0, false, fmt.Errorf("look at the database file: %w", err)
	}
	q := queries{sql: d.reader}
	number := func(r row) (n int64, err error) { return n, r.Scan(&n) }
	id, err := one(ctx, q, "look at the database "+d.file, number, `PRAGMA application_id`)
	if err != nil {
		return 0, false, err
	}
	tables, err := one(ctx, q, "look at the database "+d.file, number, `SELECT count(*) FROM sqlite_schema`)
	if err != nil {
		return 0, false, err
	}
	if id != applicationID {
		if id == 0 && tables == 0 {
			return 0, true, nil
		}
		return 0, false, fmt.Errorf("%w: %s is a SQLite file of another program", ErrForeign, d.file)
	}
	counted, err := one(ctx, q, "look at the database "+d.file, number,
		`SELECT count(*) FROM sqlite_schema WHERE type = 'table' AND name = '`+versions+`'`)
	if err != nil || counted == 0 {
		return 0, false, err
	}
	version, err = schemaVersion(ctx, d.reader)
	return version, false, err
}

// mark makes a new file ours, readable by nobody else.
func (d *sqliteDatabase) mark(ctx context.Context) error {
	f, err := os.OpenFile(d.file, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return fmt.Errorf("make the database file: %w", err)
	}
	if err := f.Close(); err != nil {
		return fmt.Errorf("make the database file: %w", err)
	}
	_, err = d.writer.ExecContext(ctx, fmt.Sprintf(`PRAGMA application_id = %d`, applicationID))
	return fault("make the database file", err)
}

// tryWrite finds out at start, not at the first scan, that the file cannot be written.
func (d *sqliteDatabase) tryWrite(ctx context.Context) error {
	return inTx(ctx, d.writer, func(*sql.Tx) error { return nil })
}

func (d *sqliteDatabase) sealedColumns() string {
	return `SELECT t.name, (SELECT k.name FROM pragma_table_info(t.name) k WHERE k.pk = 1), c.name
		FROM sqlite_schema t JOIN pragma_table_info(t.name) c
		WHERE t.type = 'table' AND upper(c.type) = 'BLOB' ORDER BY t.name, c.cid`
}

func (d *sqliteDatabase) check(ctx context.Context) error {
	return d.checkBy(ctx, `PRAGMA quick_check(10)`)
}

// checkAll is check, and compares every index with its table, which takes much longer.
func (d *sqliteDatabase) checkAll(ctx context.Context) error {
	return d.checkBy(ctx, `PRAGMA integrity_check(10)`)
}

func (d *sqliteDatabase) checkBy(ctx context.Context, pragma string) error {
	lines, err := list(ctx, queries{sql: d.reader}, "check the database", func(r row) (s string, err error) {
		return s, r.Scan(&s)
	}, pragma)
	if err != nil {
		return err
	}
	if len(lines) == 1 && lines[0] == "ok" {
		return nil
	}
	return fmt.Errorf("check the database: %w: %s", ErrCorrupt, strings.Join(lines, "; "))
}

func (d *sqliteDatabase) close() error {
	return errors.Join(d.reader.Close(), d.writer.Close(), d.letLogGo())
}
