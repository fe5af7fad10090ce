package storetest

import (
	"database/sql"
	"errors"
	"path/filepath"
	"testing"

	"github.com/tiny-forge/docker-watcher/internal/store"
)

// CutRoutes takes the instance from every route of a SQLite store behind its back, which no path of ours does.
func CutRoutes(t testing.TB, dataDir string) {
	t.Helper()
	behindItsBack(t, dataDir, `UPDATE routes SET instance_id = NULL`)
}

// LayRoute lets a domain lead to an instance of a SQLite store.
func LayRoute(t testing.TB, dataDir string, i store.Instance, domain string) {
	t.Helper()
	id := store.NewID()
	behindItsBack(t, dataDir, `INSERT INTO routes (id, project_id, stage_id, instance_id, port, tls, options, enabled, created_at, updated_at, revision)
		VALUES ($1, $2, $3, $4, 80, 'off', '{}', 1, 0, 0, 0)`, id, i.ProjectID, i.StageID, i.ID)
	behindItsBack(t, dataDir, `INSERT INTO domains (domain, path_prefix, route_id) VALUES ($1, '/', $2)`, domain, id)
}

// SpoilChannels has no address of a channel of a SQLite store be what was sealed.
func SpoilChannels(t testing.TB, dataDir string) {
	t.Helper()
	behindItsBack(t, dataDir, `UPDATE notify_channels SET target = x'00'`)
}

func behindItsBack(t testing.TB, dataDir, statement string, args ...any) {
	t.Helper()
	// Who has it open otherwise may be writing.
	raw, err := sql.Open("sqlite", filepath.Join(dataDir, databaseFile)+"?_pragma=busy_timeout(20000)")
	if err != nil {
		t.Fatal(err)
	}
	_, err = raw.ExecContext(t.Context(), statement, args...)
	if err := errors.Join(err, raw.Close()); err != nil {
		t.Fatalf("%s: %v", statement, err)
	}
}
