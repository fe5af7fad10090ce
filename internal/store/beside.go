package store

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"

	"github.com/pressly/goose/v3"
)

// ErrNeverStarted is a store that no daemon has made yet, or one that an older version left.
var ErrNeverStarted = errors.New("the daemon of this version has not been started with this store yet")

// OpenBeside opens a store for one short errand, also while a daemon holds it: it takes no lock and migrates nothing, so the schema
// must be ours. A write waits for the daemon's as the daemon's waits for it. What the daemon keeps in memory is not told:
// write only what it reads anew each time, such as users.
func OpenBeside(ctx context.Context, o Options) (*DB, error) {
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	base, err := connect(o)
	if err != nil {
		return nil, err
	}
	db := &DB{base: base, damage: newDamage(), lock: locks(nil), writing: make(chan struct{}, 1), ended: make(chan struct{})}
	if err := db.join(ctx, o); err != nil {
		return nil, errors.Join(err, db.Close())
	}
	return db, nil
}

// join is start for a store that another may hold.
func (db *DB) join(ctx context.Context, o Options) error {
	if err := refuseHalfRestored(o.DataDir); err != nil {
		return err
	}
	if err := db.base.recognise(ctx); err != nil {
		return err
	}
	read, write := db.base.pools()
	db.reads = newStatements(read)
	db.sql = db.reads
	if write.Stats().MaxOpenConnections == 1 {
		db.writes = newStatements(write)
	}
	db.counted = &staleCount{writes: &db.instances}
	db.policies = &policyCache{writes: &db.rules}
	known, err := db.meta(ctx)
	if err != nil {
		return err
	}
	if known[metaKeyCheck] == "" {
		return ErrNeverStarted
	}
	// The keys are settled by the daemon alone: it may be in the middle of a change of them.
	if db.seal, err = loadKey(filepath.Join(o.DataDir, keyFile), false); err != nil {
		return err
	}
	db.seal.log = o.Log
	db.installation = known[metaInstallation]
	return db.seal.proveBeside(known[metaKeyCheck])
}

func (d *sqliteDatabase) recognise(ctx context.Context) error {
	version, fresh, err := d.look(ctx)
	if err != nil {
		return err
	}
	if fresh {
		return fmt.Errorf("%w: there is nothing at %s", ErrNeverStarted, d.file)
	}
	p, err := migrator(goose.DialectSQLite3, d.writer, "sqlite")
	if err != nil {
		return err
	}
	if err := exactly(version, newest(p)); err != nil {
		return err
	}
	if d.opened, err = os.Stat(d.file); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("look at the database file: %w", err)
	}
	return nil
}

func (d *postgresDatabase) recognise(ctx context.Context) error {
	q := queries{sql: d.pool}
	counted, err := one(ctx, q, "look at the database", func(r row) (n int64, err error) { return n, r.Scan(&n) },
		`SELECT count(*) FROM pg_tables WHERE schemaname = current_schema() AND tablename = $1`, versions)
	if err != nil {
		return err
	}
	if counted == 0 {
		return ErrNeverStarted
	}
	version, err := schemaVersion(ctx, d.pool)
	if err != nil {
		return err
	}
	p, err := migrator(goose.DialectPostgres, d.pool, "postgres")
	if err != nil {
		return err
	}
	return exactly(version, newest(p))
}

// exactly compares a schema with ours where it must not be brought up.
func exactly(has, ours int64) error {
	if has < ours {
		return fmt.Errorf("%w: its schema is version %d, this one needs %d", ErrNeverStarted, has, ours)
	}
	return refuseNewer(has, ours)
}
