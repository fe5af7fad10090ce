package store

import (
	"context"
	"database/sql"
)

// statements runs what a transaction asks for. A text that comes again is prepared
// once and kept to the end of the transaction: reading a long text over and over
// costs SQLite more than running it.
type statements struct {
	tx   *sql.Tx
	seen map[string]*sql.Stmt // nil: came once
}

func newStatements(tx *sql.Tx) *statements {
	return &statements{tx: tx, seen: map[string]*sql.Stmt{}}
}

// ExecContext runs a statement.
func (s *statements) ExecContext(ctx context.Context, query string, args ...any) (sql.Result, error) {
	stmt, err := s.prepared(ctx, query)
	if err != nil {
		return nil, err
	}
	if stmt == nil {
		return s.tx.ExecContext(ctx, query, args...)
	}
	return stmt.ExecContext(ctx, args...)
}

// QueryContext runs a query.
func (s *statements) QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error) {
	stmt, err := s.prepared(ctx, query)
	if err != nil {
		return nil, err
	}
	if stmt == nil {
		return s.tx.QueryContext(ctx, query, args...)
	}
	return stmt.QueryContext(ctx, args...)
}

// prepared returns the statement of a text from its second use on; the transaction
// closes it at its end.
func (s *statements) prepared(ctx context.Context, query string) (*sql.Stmt, error) {
	stmt, came := s.seen[query]
	if stmt != nil {
		return stmt, nil
	}
	if !came {
		s.seen[query] = nil
		return nil, nil
	}
	stmt, err := s.tx.PrepareContext(ctx, query)
	if err != nil {
		return nil, err
	}
	s.seen[query] = stmt
	return stmt, nil
}
