package store

import (
	"database/sql"
	"errors"
	"fmt"
	"testing"
)

// TestStatementsKeepWhatComesAgain, and no more than a bounded number.
func TestStatementsKeepWhatComesAgain(t *testing.T) {
	db, err := sql.Open("sqlite", ":memory:")
	if err != nil {
		t.Fatal(err)
	}
	db.SetMaxOpenConns(1)
	defer db.Close()
	s := newStatements(db)
	q := queries{sql: s}
	ask := func(n int) {
		t.Helper()
		got, err := one(t.Context(), q, "ask", func(r row) (n int, err error) { return n, r.Scan(&n) }, fmt.Sprintf("SELECT %d", n))
		if err != nil || got != n {
			t.Errorf("asked for %d: %d, %v", n, got, err)
		}
	}
	kept := func() (n int) {
		for _, stmt := range s.seen {
			if stmt != nil {
				n++
			}
		}
		return n
	}
	for n := range 10 * maxPrepared {
		ask(n)
	}
	if n := kept(); n != 0 || len(s.seen) > maxPrepared {
		t.Errorf("%d of %d are kept, though each came once", n, len(s.seen))
	}
	for range 3 {
		for n := range 10 * maxPrepared {
			ask(-1)
			ask(n / 50)
		}
	}
	if n := kept(); n == 0 || len(s.seen) > maxPrepared {
		t.Errorf("%d of %d are kept", n, len(s.seen))
	}
	for range 2 {
		if _, err := s.ExecContext(t.Context(), "SELEKT 1"); err == nil {
			t.Error("nonsense was run")
		}
	}
	if err := errors.Join(s.close(), s.close()); err != nil {
		t.Error(err)
	}
}

// TestTransactionsBorrowWhatIsPrepared: a text of several transactions is prepared once for all of them.
func TestTransactionsBorrowWhatIsPrepared(t *testing.T) {
	db, err := sql.Open("sqlite", ":memory:")
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	db.SetMaxOpenConns(1)
	pool := newStatements(db)
	ask := func(n int) error {
		return inTx(t.Context(), db, func(tx *sql.Tx) error {
			q := queries{sql: pool.inside(tx)}
			for range 3 {
				got, err := one(t.Context(), q, "ask", func(r row) (n int, err error) { return n, r.Scan(&n) }, fmt.Sprintf("SELECT %d", n))
				if err != nil || got != n {
					return fmt.Errorf("asked for %d: %d, %w", n, got, err)
				}
			}
			return nil
		})
	}
	for n, want := range []bool{false, true, true} {
		if err := ask(7); err != nil {
			t.Fatal(err)
		}
		pool.prepareWanted(t.Context())
		if stmt := pool.seen["SELECT 7"]; (stmt != nil) != want {
			t.Errorf("after transaction %d it is prepared: %v, want %v", n+1, stmt != nil, want)
		}
	}
	if err := ask(8); err != nil || pool.seen["SELECT 8"] != nil {
		t.Errorf("a text of one transaction: %v", err)
	}
	var none *statements
	none.prepareWanted(t.Context())
	if err := inTx(t.Context(), db, func(tx *sql.Tx) error {
		_, err := none.inside(tx).ExecContext(t.Context(), "SELECT 9")
		return err
	}); err != nil {
		t.Error(err)
	}
	if err := pool.close(); err != nil {
		t.Error(err)
	}
}
