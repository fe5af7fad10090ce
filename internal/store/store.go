// Package store keeps what docker-watcher knows, on SQLite or PostgreSQL with one
// SQL text, and holds the leader lock: one daemon a store. All SQL of the product
// is here and nothing else is.
//
// Reads run on DB (a pool of readers) or inside a transaction on Tx. Writes run
// only in DB.Update, one transaction at a time; events emitted in it are published
// after its commit, in the order of their ids. Secrets are sealed with the key
// file of the data folder before they reach the database.
package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// Options say which store to open.
type Options struct {
	// URL is postgres://... or a path of a SQLite file. Empty: docker-watcher.db in DataDir.
	URL string
	// DataDir holds the key file (0600, made on first use), the lock file and the SQLite file.
	DataDir string
	Log     *slog.Logger
	// Free is how many bytes are free on the disk of a folder, -1 where that is not known. Nil: it is not known.
	Free func(folder string) int64
}

// DB is the store. Its read methods (of queries) run on a pool of readers.
type DB struct {
	queries
	base         database
	lock         leaderLock
	folder       *fileLock // see lockFolder
	installation string
	writing      chan struct{} // holds the turn of the one writer
	publishing   sync.Mutex    // taken before the turn is passed on, so that commits are told in their order
	publish      func([]Event)
	reads        *statements
	writes       *statements  // of the one connection that writes; nil where there are several
	instances    atomic.Int64 // commits that changed an instance; see InstanceWrites
	routes       atomic.Int64 // commits that may have changed where routes lead; see RouteWrites
	commits      atomic.Int64
	rules        atomic.Int64 // commits that may have changed a policy in force
	tally        tally
	damage       *damage
	ended        chan struct{}
	closing      sync.Once
	closed       error
}

// Tx is one write transaction. It has the reads of DB too, inside the transaction.
type Tx struct {
	queries
	events []Event
	broken error // the first refusal of the database; the transaction is lost then, on both dialects
	moves  bool  // it changes an instance
	routes bool  // it may change where routes lead
	rules  bool  // it may change a policy in force
	tally  counts
}

// queries are the reads, on whatever runs them.
type queries struct {
	sql      runner
	seal     *sealer
	counted  *staleCount // nil in a transaction, as the next one
	policies *policyCache
	harm     *damage // what a read finds, and what refuses further ones; nil: of a database that is not in use
}

// runner runs SQL.
type runner interface {
	ExecContext(ctx context.Context, query string, args ...any) (sql.Result, error)
	QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error)
}

// database is what the two dialects do differently.
type database interface {
	// lock takes the leader lock.
	lock(ctx context.Context) (leaderLock, error)
	// lockBeside keeps it from a daemon that would begin to work with it, without keeping it from others who read. One that works with it already: ErrLocked.
	lockBeside(ctx context.Context) (leaderLock, error)
	// wreck opens it for nothing but reading, however damaged it is.
	wreck(ctx context.Context) (*wreck, error)
	// migrate checks whose database it is and brings its schema up to ours.
	migrate(ctx context.Context) error
	// recognise checks the same and changes nothing: the schema must be ours already.
	recognise(ctx context.Context) error
	// pools returns where to read and where to write, after migrate.
	pools() (read, write *sql.DB)
	// inPlace says whether what is written now will be found at the next start.
	inPlace() error
	// examine looks at a database that is not open, and changes nothing of it.
	examine(ctx context.Context) error
	// sealedColumns is a query for the table, the key and the name of every column of bytes.
	sealedColumns() string
	// check looks at the whole database for damage.
	check(ctx context.Context) error
	// snapshot is a transaction that reads everything as it is at one moment; tables are those of the schema, each after those that it refers to.
	snapshot(ctx context.Context) (*sql.Tx, error)
	tables(ctx context.Context, tx *sql.Tx) ([]string, error)
	// shrink gives back the memory that is kept for speed.
	shrink(ctx context.Context) error
	// sizes is how large it is.
	sizes(ctx context.Context) (Sizes, error)
	close() error
}

// Open opens the store, takes the leader lock and that of the data folder, checks the database and migrates it.
func Open(ctx context.Context, o Options) (*DB, error) {
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if err := os.MkdirAll(o.DataDir, 0o700); err != nil {
		return nil, fmt.Errorf("make the data folder: %w", err)
	}
	base, err := connect(o)
	if err != nil {
		return nil, err
	}
	db := &DB{base: base, damage: newDamage(), writing: make(chan struct{}, 1), ended: make(chan struct{})}
	if err := db.start(ctx, o); err != nil {
		return nil, errors.Join(err, db.Close())
	}
	return db, nil
}

func connect(o Options) (database, error) {
	if strings.HasPrefix(o.URL, "postgres://") || strings.HasPrefix(o.URL, "postgresql://") {
		return newPostgres(o)
	}
	if scheme, _, found := strings.Cut(o.URL, "://"); found {
		return nil, fmt.Errorf("store %s://: only postgres:// and the path of a SQLite file are known", scheme)
	}
	file := o.URL
	if file == "" {
		file = filepath.Join(o.DataDir, "docker-watcher.db")
	}
	d, err := newSQLite(file, o.DataDir)
	if err != nil {
		return nil, err
	}
	d.tellFormer, d.free = o.Log, o.Free
	return d, nil
}

// start does what Open promises, in an order that changes nothing of a database
// that is not ours to change.
func (db *DB) start(ctx context.Context, o Options) (err error) {
	lock, err := db.base.lock(ctx)
	if err != nil {
		return err
	}
	db.lock = lock
	if db.folder, err = lockFolder(db.base, o.DataDir); err != nil {
		return err
	}
	if err := refuseHalfRestored(o.DataDir); err != nil {
		return err
	}
	if d, ok := db.base.(*sqliteDatabase); ok { // until it is seen that it can be opened
		d.keepLog()
		defer func() {
			if err == nil {
				err = d.letLogGo()
			}
		}()
	}
	if err := db.base.migrate(ctx); err != nil {
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
	db.harm = db.damage
	known, err := db.meta(ctx)
	if err != nil {
		return err
	}
	if err := db.open(ctx, write, o, known); err != nil {
		return err
	}
	if d, ok := db.base.(*sqliteDatabase); ok {
		if err := clearSalvages(filepath.Dir(d.file)); err != nil {
			o.Log.WarnContext(ctx, "what a salvage that was killed left takes room still", "error", err)
		}
	}
	return db.countOn(ctx)
}

// open takes what a database says of itself, and writes it on first use.
func (db *DB) open(ctx context.Context, write *sql.DB, o Options, known map[string]string) (err error) {
	proof, used := known[metaKeyCheck]
	if db.seal, err = loadKey(filepath.Join(o.DataDir, keyFile), !used); err != nil {
		return err
	}
	db.seal.log = o.Log
	if used {
		db.installation = known[metaInstallation]
		if err := db.seal.prove(proof); err != nil {
			return err
		}
		if db.seal.keys.Load().both {
			return db.settle(ctx)
		}
		return db.seal.settle(proof)
	}
	db.installation = NewID()
	return inTx(ctx, write, func(tx *sql.Tx) error {
		_, err := tx.ExecContext(ctx, `INSERT INTO meta (name, value) VALUES ($1, $2), ($3, $4)`,
			metaInstallation, db.installation, metaKeyCheck, db.seal.proof())
		return fault("write the installation id", err)
	})
}

// The rows of meta.
const (
	metaInstallation = "installation_id"
	metaKeyCheck     = "key_check"
	metaTold         = "troubles_told"
)

func (q queries) meta(ctx context.Context) (map[string]string, error) {
	type pair struct{ name, value string }
	pairs, err := list(ctx, q, "read the installation id", func(r row) (p pair, err error) {
		return p, r.Scan(&p.name, &p.value)
	}, `SELECT name, value FROM meta`)
	if err != nil {
		return nil, err
	}
	known := make(map[string]string, len(pairs))
	for _, p := range pairs {
		known[p.name] = p.value
	}
	return known, nil
}

// Close ends the store and releases the lock. It waits for a transaction that is
// under way; further ones are refused. Of a database that is damaged nothing is written at the end either.
func (db *DB) Close() error {
	db.closing.Do(func() {
		close(db.ended)
		db.writing <- struct{}{} // never given back
		if d, ok := db.base.(*sqliteDatabase); ok && db.damage.refuse() != nil {
			d.keepLog()
		}
		for _, kept := range []*statements{db.reads, db.writes} {
			if kept != nil {
				db.closed = errors.Join(db.closed, kept.close())
			}
		}
		db.closed = errors.Join(db.closed, db.base.close())
		if db.folder != nil { // first: who waits for the other takes this next
			db.closed = errors.Join(db.closed, db.folder.release())
		}
		if db.lock != nil {
			db.closed = errors.Join(db.closed, db.lock.release())
		}
	})
	return db.closed
}

// InstallationID is the random id made at first start, put as a label on everything we create.
func (db *DB) InstallationID() string { return db.installation }

// Ping reports whether the database answers (for /readyz).
func (db *DB) Ping(ctx context.Context) error {
	select {
	case <-db.lock.lost():
		return ErrLockLost
	default:
	}
	if err := db.base.inPlace(); err != nil {
		return err
	}
	_, err := one(ctx, db.queries, "ask the database", func(r row) (n int, err error) { return n, r.Scan(&n) },
		`SELECT count(*) FROM meta`)
	return err
}

// Check looks at the whole database for damage. It reads everything and may take
// minutes: it is not part of Open.
func (db *DB) Check(ctx context.Context) error {
	err := db.base.check(ctx)
	if errors.Is(err, ErrCorrupt) {
		db.damage.tell(err)
	}
	return err
}

// Lost is closed when the leader lock is gone (the connection to PostgreSQL that
// held it broke). Nothing is written any more then: end and start anew.
func (db *DB) Lost() <-chan struct{} { return db.lock.lost() }

// OnCommit sets who is told of kept events, once per commit and in the order of
// ids. Set before use. It must not call Update: the next commit waits for it.
func (db *DB) OnCommit(publish func([]Event)) { db.publish = publish }

// GiveBackMemory lets go of what the database keeps in memory for speed. The next reads and writes are slower for it.
func (db *DB) GiveBackMemory(ctx context.Context) error { return db.base.shrink(ctx) }

// Update runs fn in one write transaction, one at a time. Events emitted in it are
// published after the commit. An error or a panic of fn, a refusal of the database
// inside it and the end of ctx roll everything back. Once the database is known to be damaged nothing is written. Fn must not call Update.
func (db *DB) Update(ctx context.Context, fn func(*Tx) error) error {
	if err := db.turn(ctx); err != nil {
		return err
	}
	passed := false
	defer func() {
		if !passed {
			<-db.writing
		}
	}()
	if err := db.base.inPlace(); err != nil {
		return err
	}
	if err := db.settleKeys(ctx); err != nil {
		return err
	}
	_, write := db.base.pools()
	var events []Event
	var moves, routes, rules bool
	var counted counts
	err := inTx(ctx, write, func(raw *sql.Tx) error {
		tx := &Tx{queries: queries{sql: db.writes.inside(raw), seal: db.seal, harm: db.damage}}
		if err := fn(tx); err != nil {
			return err
		}
		events, moves, routes, rules = tx.events, tx.moves, tx.routes || tx.moves, tx.rules
		counted = tx.tally
		if tx.broken != nil {
			return tx.broken
		}
		return db.damage.refuse() // somebody else may have met it meanwhile
	})
	db.damage.see(err)
	db.writes.prepareWanted(ctx)
	db.commits.Add(1)
	if moves { // also when it is not known whether it was committed
		db.instances.Add(1)
	}
	if routes { // as above
		db.routes.Add(1)
	}
	if rules {
		db.rules.Add(1)
	}
	if err == nil {
		db.tally.add(counted)
	}
	if err != nil || len(events) == 0 || db.publish == nil {
		return err
	}
	db.publishing.Lock()
	defer db.publishing.Unlock()
	passed = true
	<-db.writing
	db.publish(events)
	return nil
}

// turn waits until this caller is the one writer.
func (db *DB) turn(ctx context.Context) error {
	select {
	case <-db.lock.lost():
		return ErrLockLost
	case <-db.ended:
		return ErrClosed
	case <-db.damage.found:
		return db.damage.err
	default:
	}
	select {
	case db.writing <- struct{}{}:
		return nil
	case <-db.ended:
		return ErrClosed
	case <-db.damage.found:
		return db.damage.err
	case <-ctx.Done():
		return fmt.Errorf("wait for the turn to write: %w", ctx.Err())
	}
}

// inTx runs fn in a transaction that is rolled back when fn does not end well.
func inTx(ctx context.Context, db *sql.DB, fn func(*sql.Tx) error) (err error) {
	tx, err := db.BeginTx(ctx, nil)
	if err != nil {
		return fault("begin a transaction", err)
	}
	committed := false
	defer func() {
		if committed {
			return
		}
		// After a lost connection or the end of ctx it is rolled back already.
		if back := tx.Rollback(); back != nil && !errors.Is(back, sql.ErrTxDone) && err != nil {
			err = errors.Join(err, fault("roll back", back))
		}
	}()
	if err := fn(tx); err != nil {
		return ended(ctx, err)
	}
	if err := tx.Commit(); err != nil {
		return ended(ctx, fault("commit", err))
	}
	committed = true
	return nil
}

// ended says that a transaction was found rolled back because its context ended:
// database/sql does not.
func ended(ctx context.Context, err error) error {
	if ctx.Err() != nil && errors.Is(err, sql.ErrTxDone) && !errors.Is(err, ctx.Err()) {
		return fmt.Errorf("%w: %w", err, ctx.Err())
	}
	return err
}

// exec runs one statement of the transaction and returns how many rows it touched.
func (tx *Tx) exec(ctx context.Context, what, query string, args ...any) (int, error) {
	if err := tx.harm.refuse(); err != nil {
		return 0, fmt.Errorf("%s: %w", what, err)
	}
	tx.moves = tx.moves || movesInstances(query)
	tx.routes = tx.routes || movesRoutes(query)
	tx.rules = tx.rules || movesPolicies(query)
	res, err := tx.sql.ExecContext(ctx, query, args...)
	if err == nil {
		var n int64
		if n, err = res.RowsAffected(); err == nil {
			return int(n), nil
		}
	}
	err = fault(what, err)
	if tx.broken == nil {
		tx.broken = err
	}
	return 0, err
}

// execOne is exec for a statement that must touch a row: otherwise it returns none.
func (tx *Tx) execOne(ctx context.Context, what string, none error, query string, args ...any) error {
	n, err := tx.exec(ctx, what, query, args...)
	if err != nil {
		return err
	}
	if n == 0 {
		return fmt.Errorf("%s: %w", what, none)
	}
	return nil
}

// row is what a scan function reads: *sql.Rows at a row.
type row interface{ Scan(dest ...any) error }

// list runs a query and scans every row.
func list[T any](ctx context.Context, q queries, what string, scan func(row) (T, error), query string, args ...any) ([]T, error) {
	return listUpTo(ctx, q, 0, what, scan, query, args...)
}

// listUpTo is list for a query that is known to end after so many rows: wide ones are not moved about as they come.
func listUpTo[T any](ctx context.Context, q queries, limit int, what string, scan func(row) (T, error), query string, args ...any) ([]T, error) {
	if err := q.harm.refuse(); err != nil {
		return nil, fmt.Errorf("%s: %w", what, err)
	}
	rows, err := q.sql.QueryContext(ctx, query, args...)
	if err != nil {
		return nil, q.fault(what, err)
	}
	defer rows.Close()
	var items []T
	if limit > 0 {
		items = make([]T, 0, limit)
	}
	for rows.Next() {
		item, err := scan(rows)
		if err != nil {
			return nil, fault(what, err)
		}
		items = append(items, item)
	}
	if err := rows.Err(); err != nil {
		return nil, q.fault(what, err)
	}
	return items, nil
}

// fault is fault for what a read met.
func (q queries) fault(what string, err error) error {
	err = fault(what, err)
	q.harm.see(err)
	return err
}

// one runs a query for a single row; ErrNotFound when there is none.
func one[T any](ctx context.Context, q queries, what string, scan func(row) (T, error), query string, args ...any) (T, error) {
	items, err := list(ctx, q, what, scan, query, args...)
	if err != nil || len(items) == 0 {
		var none T
		if err == nil {
			err = fmt.Errorf("%s: %w", what, ErrNotFound)
		}
		return none, err
	}
	return items[0], nil
}

// now is the time that rows are stamped with.
func now() int64 { return time.Now().UnixMilli() }
