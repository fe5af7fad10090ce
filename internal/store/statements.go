package store

import (
	"context"
	"database/sql"
	"errors"
	"maps"
	"sync"
)

// maxPrepared bounds how many texts are kept: filters make ever new ones.
const maxPrepared = 200

// preparer is a *sql.DB or a *sql.Tx.
type preparer interface {
	runner
	PrepareContext(ctx context.Context, query string) (*sql.Stmt, error)
}

// statements runs SQL, and prepares a text that comes again once: reading a long
// text over and over costs SQLite as much as running it.
type statements struct {
	on   preparer
	mu   sync.Mutex
	seen map[string]*sql.Stmt // nil: came once

	// A transaction borrows what is prepared for its pool, for the same texts come in each.
	tx     *sql.Tx
	pool   *statements // nil: none is kept
	wanted []string    // of a pool: came again, and is to be prepared when its one connection is free
}

func newStatements(on preparer) *statements {
	return &statements{on: on, seen: map[string]*sql.Stmt{}}
}

// inside are the statements of a transaction of the pool that s keeps statements for; s may be nil.
func (s *statements) inside(tx *sql.Tx) *statements {
	t := newStatements(tx)
	t.tx, t.pool = tx, s
	return t
}

// borrow returns the pool's statement for use in a transaction; nil if there is none yet.
func (s *statements) borrow(ctx context.Context, query string) *sql.Stmt {
	if s.pool == nil {
		return nil
	}
	stmt, again := s.pool.look(query)
	if stmt != nil {
		return s.tx.StmtContext(ctx, stmt)
	}
	if again {
		s.pool.mu.Lock()
		s.pool.wanted = append(s.pool.wanted, query)
		s.pool.mu.Unlock()
	}
	return nil
}

// prepareWanted prepares what came again in transactions that are over. What cannot be prepared now is run as it is.
func (s *statements) prepareWanted(ctx context.Context) {
	if s == nil {
		return
	}
	s.mu.Lock()
	wanted := s.wanted
	s.wanted = nil
	s.mu.Unlock()
	for _, query := range wanted {
		if _, _, err := s.prepared(ctx, query); err != nil { //nolint:sqlclosecheck // close does
			return
		}
	}
}

// ExecContext runs a statement.
func (s *statements) ExecContext(ctx context.Context, query string, args ...any) (sql.Result, error) {
	stmt, kept, err := s.prepared(ctx, query) //nolint:sqlclosecheck // close does, or the end of the transaction
	if err != nil {
		return nil, err
	}
	if !kept {
		return s.on.ExecContext(ctx, query, args...)
	}
	return stmt.ExecContext(ctx, args...)
}

// QueryContext runs a query.
func (s *statements) QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error) {
	stmt, kept, err := s.prepared(ctx, query) //nolint:sqlclosecheck // close does, or the end of the transaction
	if err != nil {
		return nil, err
	}
	if !kept {
		return s.on.QueryContext(ctx, query, args...)
	}
	return stmt.QueryContext(ctx, args...)
}

// prepared returns the statement of a text from its second use on. Nobody waits for
// another's preparing: who comes second with one throws it away.
func (s *statements) prepared(ctx context.Context, query string) (stmt *sql.Stmt, kept bool, err error) {
	stmt, again := s.look(query) //nolint:sqlclosecheck // close does, or the end of the transaction
	if stmt != nil {
		return stmt, true, nil
	}
	if !again {
		if stmt = s.borrow(ctx, query); stmt == nil {
			return nil, false, nil
		}
		s.mu.Lock()
		defer s.mu.Unlock()
		s.seen[query] = stmt
		return stmt, true, nil
	}
	fresh, err := s.on.PrepareContext(ctx, query)
	if err != nil {
		return nil, false, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if stmt = s.seen[query]; stmt != nil {
		return stmt, true, fresh.Close() //nolint:sqlclosecheck // ours is one too many
	}
	s.seen[query] = fresh
	return fresh, true, nil
}

// look notes that a text came, and tells whether it came before. When too many are
// known, those that came only once are forgotten.
func (s *statements) look(query string) (stmt *sql.Stmt, again bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if stmt, again = s.seen[query]; again {
		return stmt, true
	}
	if len(s.seen) >= maxPrepared {
		maps.DeleteFunc(s.seen, func(_ string, stmt *sql.Stmt) bool { return stmt == nil })
	}
	if len(s.seen) < maxPrepared {
		s.seen[query] = nil
	}
	return nil, false
}

// close ends the statements of a pool; those of a transaction end with it.
func (s *statements) close() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	var errs []error
	for _, stmt := range s.seen {
		if stmt != nil {
			errs = append(errs, stmt.Close())
		}
	}
	clear(s.seen)
	return errors.Join(errs...)
}
