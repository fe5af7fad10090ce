package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math"
	"net/url"
	"os"
	"path/filepath"

	"github.com/jackc/pgx/v5/stdlib"
)

// wreck opens the file so that nothing of it, and nothing beside it, is written. SQLite would write a log that is still there into the file, or make an
// index of it beside: where there is one, the file is opened by a second name in a folder of its own, with a copy of the log, and by a
// descriptor that cannot write.
func (d *sqliteDatabase) wreck(ctx context.Context) (*wreck, error) {
	if _, err := os.Stat(d.file); errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("%w: there is nothing at %s", ErrNone, d.file)
	}
	from := &wreck{stretch: liteStretch}
	logged, err := sizeOf(d.file + "-wal")
	if err == nil && logged > 0 {
		if from.db, err = d.withLog(ctx, logged); err == nil {
			return from, nil
		}
	}
	if err != nil {
		from.note = fmt.Sprintf("What was written last is left out, as its log %s could not be read as well: %v", d.file+"-wal", err)
	}
	// Immutable: neither locks nor logs are looked at.
	from.db, err = openWreck(ctx, d.file, url.Values{"immutable": {"1"}})
	return from, err
}

// withLog opens the file together with its log. The folder is removed as soon as it is open; so are those of others who were killed before that.
func (d *sqliteDatabase) withLog(ctx context.Context, size int64) (db *sql.DB, err error) {
	folder := filepath.Dir(d.file)
	_ = clearSalvages(folder) // where that is in vain they take room, which is looked at now
	if d.free != nil {
		if free, need := d.free(folder), size+formerMargin; free >= 0 && free < need {
			return nil, fmt.Errorf("%w: %d MiB are needed in %s, and %d are free", ErrDiskFull, (need+1<<20-1)>>20, folder, free>>20)
		}
	}
	own, held, err := makeSalvageFolder(folder)
	if err != nil {
		return nil, err
	}
	defer held.Close()
	defer func() {
		gone := os.RemoveAll(own)
		if gone != nil && db != nil { // where a file that is open keeps its folder
			err = errors.Join(err, gone, db.Close(), os.RemoveAll(own))
			db = nil
			return
		}
		err = errors.Join(err, gone)
	}()
	second := filepath.Join(own, "damaged.db")
	if err := errors.Join(os.Link(d.file, second), copyLog(d.file+"-wal", second+"-wal")); err != nil {
		return nil, err
	}
	return openWreck(ctx, second, nil)
}

func copyLog(from, to string) (err error) {
	in, err := os.Open(from)
	if err != nil {
		return err
	}
	defer in.Close()
	out, err := os.OpenFile(to, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	_, err = io.Copy(out, in)
	return errors.Join(err, out.Close())
}

// openWreck opens a file by one connection, which stays. What is damaged of the schema, and a file that was cut off, do not keep it from the rest.
func openWreck(ctx context.Context, file string, more url.Values) (*sql.DB, error) {
	v := url.Values{"mode": {"ro"}, "_query_only": {"1"}, "_pragma": {"writable_schema(1)", "cell_size_check(1)"}}
	for name := range more {
		v.Set(name, more.Get(name))
	}
	db, err := sql.Open("sqlite", (&url.URL{Scheme: "file", Path: file, RawQuery: v.Encode()}).String())
	if err != nil {
		return nil, fmt.Errorf("open the damaged database: %w", err)
	}
	db.SetMaxOpenConns(1)
	var n int
	if err := db.QueryRowContext(ctx, `PRAGMA schema_version`).Scan(&n); err != nil {
		return nil, errors.Join(fault("read the damaged database", err), db.Close())
	}
	return db, nil
}

// keepLog keeps SQLite from writing a log that is there into the file when all else that has it open is closed. It does so when the last one goes, and
// one that may only read cannot; close lets go of that one last.
func (d *sqliteDatabase) keepLog() {
	if logged, err := sizeOf(d.file + "-wal"); err != nil || logged == 0 || d.keeper != nil {
		return
	}
	keeper, err := sql.Open("sqlite", d.dsn(url.Values{"mode": {"ro"}}))
	if err != nil {
		return
	}
	d.keeper = keeper
	var n int
	_ = keeper.QueryRow(`SELECT count(*) FROM sqlite_schema`).Scan(&n) //nolint:noctx // there is none at a close; whatever it says, the file and its log are open then
}

// letLogGo is for when the file is known to be none that is damaged, or is closed.
func (d *sqliteDatabase) letLogGo() (err error) {
	if d.keeper != nil {
		err = d.keeper.Close()
	}
	d.keeper = nil
	return err
}

// liteStretch goes by the number that each row has, which is the order of its pages, and by no index.
func liteStretch(t salvageTable) stretch {
	query := `SELECT rowid, ` + t.columns + ` FROM ` + t.table + ` NOT INDEXED WHERE rowid BETWEEN $1 AND $2 ORDER BY rowid`
	if t.newest {
		return byKeyDown(query + ` DESC LIMIT $3`)
	}
	return byKey(query + ` LIMIT $3`)
}

// wreck opens the schema by connections that may only read.
func (d *postgresDatabase) wreck(ctx context.Context) (*wreck, error) {
	config := d.config.Copy()
	config.RuntimeParams["default_transaction_read_only"] = "on"
	from := &wreck{db: stdlib.OpenDB(*config), stretch: postgresStretch}
	from.db.SetMaxOpenConns(1)
	if err := from.db.PingContext(ctx); err != nil {
		return nil, errors.Join(fault("connect to the damaged database", err), from.db.Close())
	}
	return from, nil
}

// postgresStretch goes by the number of each page, but for events, which are wanted from the newest on.
func postgresStretch(t salvageTable) stretch {
	if t.newest {
		return byKeyDown(`SELECT id, ` + t.columns + ` FROM ` + t.table + ` WHERE id BETWEEN $1 AND $2 ORDER BY id DESC LIMIT $3`)
	}
	by := byKey(`SELECT (ctid::text::point)[0]::bigint, ` + t.columns + ` FROM ` + t.table + ` WHERE ctid >= $1::text::tid AND ctid < $2::text::tid LIMIT $3`)
	by.last = math.MaxUint32 - 1
	by.bounds = func(lo, hi int64) [2]any { return [2]any{fmt.Sprintf("(%d,0)", lo), fmt.Sprintf("(%d,0)", hi+1)} }
	return by
}
