package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/stdlib"
	"github.com/pressly/goose/v3"
)

const (
	pgConns       = 8
	pgConnTimeout = 10 * time.Second
	// pgLockClass is the first half of our advisory locks' key ("dwat"); the second
	// is the schema, so that two installations can share a database.
	pgLockClass = 0x64776174
	// pgLockPatience is how long a lock that is held is asked for again: a server notices a moment later than we start anew
	// that the daemon before was killed.
	pgLockPatience = 3 * time.Second
	pgLockAgain    = 100 * time.Millisecond
	// pgLockWatch is how often the connection that holds the lock is asked whether
	// it still lives, beside being told at once when it is closed.
	pgLockWatch = 15 * time.Second
)

// postgresDatabase is a schema of a PostgreSQL server.
type postgresDatabase struct {
	config *pgx.ConnConfig
	pool   *sql.DB
}

func newPostgres(o Options) (*postgresDatabase, error) {
	config, err := pgx.ParseConfig(o.URL)
	if err != nil {
		return nil, fmt.Errorf("read the store's URL: %w", err) // pgx leaves the password out
	}
	host, err := os.Hostname()
	if err != nil {
		return nil, fmt.Errorf("find the name of this machine: %w", err)
	}
	if config.ConnectTimeout == 0 {
		config.ConnectTimeout = pgConnTimeout
	}
	config.RuntimeParams["application_name"] = fmt.Sprintf("docker-watcher %d@%s", os.Getpid(), host)
	pool := stdlib.OpenDB(*config)
	pool.SetMaxOpenConns(pgConns)
	pool.SetMaxIdleConns(pgConns)
	return &postgresDatabase{config: config, pool: pool}, nil
}

func (d *postgresDatabase) pools() (read, write *sql.DB) { return d.pool, d.pool }

func (d *postgresDatabase) lock(ctx context.Context) (leaderLock, error) {
	conn, err := pgx.ConnectConfig(ctx, d.config)
	if err != nil {
		return nil, fault("connect to the database", err)
	}
	got, err := tryLock(ctx, conn)
	if err == nil && !got {
		err = fmt.Errorf("%w (%s)", ErrLocked, pgHolder(ctx, conn))
	}
	if err != nil {
		return nil, errors.Join(fault("take the leader lock", err), conn.Close(ctx))
	}
	return watchLock(context.WithoutCancel(ctx), conn), nil
}

// lockBeside: a daemon that only tells the way out does not hold it.
func (d *postgresDatabase) lockBeside(ctx context.Context) (leaderLock, error) { return d.lock(ctx) }

// tryLock takes the lock, or says false when it is still held after pgLockPatience.
func tryLock(ctx context.Context, conn *pgx.Conn) (got bool, err error) {
	for deadline := time.Now().Add(pgLockPatience); ; {
		err := conn.QueryRow(ctx, `SELECT pg_try_advisory_lock($1::int, hashtext(current_schema()))`, pgLockClass).Scan(&got)
		if err != nil || got || time.Now().After(deadline) {
			return got, err
		}
		select {
		case <-ctx.Done():
			return false, ctx.Err()
		case <-time.After(pgLockAgain):
		}
	}
}

// pgHolder says who has the lock, as far as the server tells.
func pgHolder(ctx context.Context, conn *pgx.Conn) string {
	var name string
	err := conn.QueryRow(ctx, `SELECT a.application_name FROM pg_locks l JOIN pg_stat_activity a ON a.pid = l.pid
		WHERE l.locktype = 'advisory' AND l.granted AND l.database = (SELECT oid FROM pg_database WHERE datname = current_database())
		AND l.classid = $1::bigint::oid AND l.objid = (hashtext(current_schema())::bigint & 4294967295)::oid`, pgLockClass).Scan(&name)
	if err != nil {
		return "holder not known"
	}
	return name
}

// pgLock is an advisory lock on a connection of its own; it lives as long as that.
type pgLock struct {
	stop context.CancelFunc
	gone chan struct{} // the lock is lost
	done chan error    // the watch has ended
}

// watchLock waits on the connection: the only way to hear that the lock is lost.
func watchLock(ctx context.Context, conn *pgx.Conn) *pgLock {
	ctx, stop := context.WithCancel(ctx)
	l := &pgLock{stop: stop, gone: make(chan struct{}), done: make(chan error, 1)}
	go func() {
		for pgAlive(ctx, conn) {
		}
		if ctx.Err() == nil {
			close(l.gone)
		}
		end, cancel := context.WithTimeout(context.WithoutCancel(ctx), pgConnTimeout)
		defer cancel()
		// Given back by name, for the server ends a connection a moment after it was closed, and whoever comes next would be
		// refused. Where that fails the lock goes with the connection.
		_, _ = conn.Exec(end, `SELECT pg_advisory_unlock($1::int, hashtext(current_schema()))`, pgLockClass)
		l.done <- conn.Close(end)
	}()
	return l
}

// pgAlive waits on the connection for a while and then asks whether it lives.
func pgAlive(ctx context.Context, conn *pgx.Conn) bool {
	wait, cancel := context.WithTimeout(ctx, pgLockWatch)
	_, err := conn.WaitForNotification(wait)
	waited := wait.Err() != nil
	cancel()
	if ctx.Err() != nil || err != nil && !waited || conn.IsClosed() {
		return false
	}
	ask, cancel := context.WithTimeout(ctx, pgConnTimeout)
	defer cancel()
	return conn.Ping(ask) == nil
}

func (l *pgLock) lost() <-chan struct{} { return l.gone }

func (l *pgLock) release() error {
	l.stop()
	if err := <-l.done; err != nil {
		return fmt.Errorf("release the leader lock: %w", err)
	}
	return nil
}

// migrate looks before it touches: a newer schema stays as it is.
func (d *postgresDatabase) migrate(ctx context.Context) error {
	p, err := d.migrations()
	if err != nil {
		return err
	}
	has, err := d.version(ctx)
	if err != nil {
		return err
	}
	if err := refuseNewer(has, newest(p)); err != nil {
		return err
	}
	return up(ctx, p)
}

func (d *postgresDatabase) migrations() (*goose.Provider, error) {
	return migrator(goose.DialectPostgres, d.pool, "postgres")
}

// version is that of the schema; 0: there is none.
func (d *postgresDatabase) version(ctx context.Context) (int64, error) {
	counted, err := one(ctx, queries{sql: d.pool}, "look at the database", func(r row) (n int64, err error) { return n, r.Scan(&n) },
		`SELECT count(*) FROM pg_tables WHERE schemaname = current_schema() AND tablename = $1`, versions)
	if err != nil || counted == 0 {
		return 0, err
	}
	return schemaVersion(ctx, d.pool)
}

func (d *postgresDatabase) sealedColumns() string {
	return `SELECT t.relname::text, (SELECT k.attname::text FROM pg_index i JOIN pg_attribute k ON k.attrelid = t.oid AND k.attnum = i.indkey[0]
			WHERE i.indrelid = t.oid AND i.indisprimary), c.attname::text
		FROM pg_class t JOIN pg_attribute c ON c.attrelid = t.oid
		WHERE t.relnamespace = current_schema()::regnamespace AND t.relkind = 'r' AND c.attnum > 0 AND NOT c.attisdropped
			AND c.atttypid = 'bytea'::regtype ORDER BY t.relname, c.attnum`
}

// shrink: the caches are the server's.
func (d *postgresDatabase) shrink(context.Context) error { return nil }

// inPlace: a server keeps what it has said yes to.
func (d *postgresDatabase) inPlace() error { return nil }

// check asks the server; it checks its pages by itself when its checksums are on.
func (d *postgresDatabase) check(ctx context.Context) error {
	return fault("check the database", d.pool.PingContext(ctx))
}

func (d *postgresDatabase) close() error { return d.pool.Close() }
