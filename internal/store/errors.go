package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io"
	"net"

	"github.com/jackc/pgx/v5/pgconn"
	"modernc.org/sqlite"
	sqlite3 "modernc.org/sqlite/lib"
)

// The errors of the store. Everything else that it returns is a fault of the
// database and is wrapped with what was being done.
var (
	ErrNotFound      = errors.New("not found")
	ErrConflict      = errors.New("conflict")       // a unique name is taken, or the row moved on meanwhile
	ErrBadTransition = errors.New("bad transition") // the status table does not allow it
	ErrBadCursor     = errors.New("bad cursor")     // not one that this list handed out
	ErrLocked        = errors.New("another daemon holds this store")
	ErrLockLost      = errors.New("the leader lock of this store is lost: start the daemon anew")
	ErrClosed        = errors.New("the store is closed")
	ErrNewerSchema   = errors.New("the database was written by a newer docker-watcher")
	ErrForeign       = errors.New("the database is not one of docker-watcher")
	ErrWrongKey      = errors.New("the key file does not fit the database")
	ErrBadKeyFile    = errors.New("the key file cannot be used")
)

// The faults of a database that an operator can do something about. Nothing was
// written when one of them is returned.
var (
	ErrBusy        = errors.New("the database is locked by another program")
	ErrDiskFull    = errors.New("no room is left for the database: free some disk space")
	ErrReadOnly    = errors.New("the database cannot be written: check who owns the data folder, and whether its file system is read-only")
	ErrCorrupt     = errors.New("the database is damaged: restore it from a backup")
	ErrUnavailable = errors.New("the database does not answer")
	// ErrUnreadable: one value is not what was written there, which says nothing of the rest of the database.
	ErrUnreadable = errors.New("a value in the database cannot be read: set it anew, or restore a backup")
	// ErrMoved: what were written now would be lost with the file that is open and that nobody finds any more.
	ErrMoved = errors.New("the database file was removed or replaced while it was in use: put it back, or stop the daemon and restore it from a backup")
)

// fault wraps an error of a driver with what was being done and, where its code is
// known, with the error of ours that it stands for. Other errors pass as they are.
func fault(what string, err error) error {
	if err == nil {
		return nil
	}
	kind := kindOf(err)
	switch {
	case kind == nil || errors.Is(err, kind):
	case kind == ErrConflict: //nolint:errorlint // which of ours it is, not what it wraps
		return conflict{what: what, cause: err}
	default:
		return fmt.Errorf("%s: %w: %w", what, kind, err)
	}
	return fmt.Errorf("%s: %w", what, err)
}

// conflict is a rule of the schema that was broken. It is the caller's doing and told to them, so it does not speak SQL.
type conflict struct {
	what  string
	cause error
}

func (c conflict) Error() string   { return c.what + ": " + ErrConflict.Error() }
func (c conflict) Unwrap() []error { return []error{ErrConflict, c.cause} }

// kindOf is the one place that knows the codes of the drivers.
func kindOf(err error) error {
	var lite *sqlite.Error
	var pg *pgconn.PgError
	var connect *pgconn.ConnectError
	var network net.Error
	switch {
	case errors.As(err, &lite):
		return sqliteKind(lite.Code())
	case errors.As(err, &pg):
		return postgresKind(pg.Code)
	case errors.Is(err, sql.ErrNoRows):
		return ErrNotFound
	case errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded):
		return nil // the caller's own doing
	case errors.As(err, &connect), errors.As(err, &network), errors.Is(err, io.ErrUnexpectedEOF), errors.Is(err, io.EOF):
		return ErrUnavailable
	}
	return nil
}

func sqliteKind(code int) error {
	switch code & 0xff { // the low byte is the primary code
	case sqlite3.SQLITE_CONSTRAINT:
		return ErrConflict
	case sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED:
		return ErrBusy
	case sqlite3.SQLITE_FULL:
		return ErrDiskFull
	case sqlite3.SQLITE_READONLY, sqlite3.SQLITE_PERM, sqlite3.SQLITE_CANTOPEN:
		return ErrReadOnly
	case sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB:
		return ErrCorrupt
	}
	return nil
}

func postgresKind(code string) error {
	switch code {
	case "23505", "23503", "23001": // unique, foreign key, restrict
		return ErrConflict
	case "55P03", "40P01", "40001": // lock not available, deadlock, serialization
		return ErrBusy
	case "53100": // disk full
		return ErrDiskFull
	case "25006", "42501": // read-only transaction, insufficient privilege
		return ErrReadOnly
	case "XX001", "XX002": // data corrupted, index corrupted
		return ErrCorrupt
	case "57P01", "57P02", "57P03", "53300": // shutdown, crash, starting up, too many connections
		return ErrUnavailable
	}
	return nil
}
