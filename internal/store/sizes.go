package store

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
)

// Sizes are how large a store is, in bytes.
type Sizes struct {
	Database int64
	Log      int64 // what is written and not yet in the database file; -1: the server keeps it (PostgreSQL)
}

// Sizes tells how large the store is. That of PostgreSQL is the whole database, of which our schema is a part.
func (db *DB) Sizes(ctx context.Context) (Sizes, error) { return db.base.sizes(ctx) }

func (d *sqliteDatabase) sizes(context.Context) (Sizes, error) {
	database, err := sizeOf(d.file)
	if err != nil {
		return Sizes{}, err
	}
	log, err := sizeOf(d.file + "-wal")
	return Sizes{Database: database, Log: log}, err
}

// sizeOf a file; 0: there is none.
func sizeOf(file string) (int64, error) {
	info, err := os.Stat(file)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return 0, nil
	case err != nil:
		return 0, fmt.Errorf("look at the size of the database: %w", err)
	}
	return info.Size(), nil
}

func (d *postgresDatabase) sizes(ctx context.Context) (Sizes, error) {
	bytes, err := one(ctx, queries{sql: d.pool}, "look at the size of the database", func(r row) (n int64, err error) { return n, r.Scan(&n) },
		`SELECT pg_database_size(current_database())`)
	return Sizes{Database: bytes, Log: -1}, err
}
