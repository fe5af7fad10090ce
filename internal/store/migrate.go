package store

import (
	"context"
	"database/sql"
	"embed"
	"fmt"
	"io/fs"

	"github.com/pressly/goose/v3"
)

//go:embed migrations
var migrations embed.FS

// versions is the table in which goose counts.
const versions = "goose_db_version"

// migrator returns the migrations of a dialect for a database.
func migrator(dialect goose.Dialect, db *sql.DB, folder string) (*goose.Provider, error) {
	files, err := fs.Sub(migrations, "migrations/"+folder)
	if err != nil {
		return nil, fmt.Errorf("find the migrations: %w", err)
	}
	p, err := goose.NewProvider(dialect, db, files, goose.WithTableName(versions), goose.WithDisableGlobalRegistry(true))
	if err != nil {
		return nil, fmt.Errorf("read the migrations: %w", err)
	}
	return p, nil
}

// newest is the schema version that this binary knows.
func newest(p *goose.Provider) int64 {
	var version int64
	for _, s := range p.ListSources() {
		version = max(version, s.Version)
	}
	return version
}

// refuseNewer compares the schema of a database with ours, without touching it.
func refuseNewer(has, ours int64) error {
	if has > ours {
		return fmt.Errorf("%w: its schema is version %d, this one knows up to %d: install the newer version again, or restore a backup", ErrNewerSchema, has, ours)
	}
	return nil
}

// up migrates; each step is a transaction of its own.
func up(ctx context.Context, p *goose.Provider) error {
	if _, err := p.Up(ctx); err != nil {
		return fault("migrate the database", err)
	}
	return nil
}

// schemaVersion reads the version of a database that has the table of versions.
func schemaVersion(ctx context.Context, db *sql.DB) (int64, error) {
	q := queries{sql: db}
	return one(ctx, q, "read the schema version", func(r row) (v int64, err error) { return v, r.Scan(&v) },
		`SELECT COALESCE(MAX(version_id), 0) FROM goose_db_version`)
}
