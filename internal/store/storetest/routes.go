package storetest

import (
	"database/sql"
	"errors"
	"path/filepath"
	"testing"
)

// CutRoutes takes the instance from every route of a SQLite store behind its back, which no path of ours does.
func CutRoutes(t testing.TB, dataDir string) {
	t.Helper()
	raw, err := sql.Open("sqlite", filepath.Join(dataDir, databaseFile))
	if err != nil {
		t.Fatal(err)
	}
	_, err = raw.ExecContext(t.Context(), `UPDATE routes SET instance_id = NULL`)
	if err := errors.Join(err, raw.Close()); err != nil {
		t.Fatalf("cut the routes: %v", err)
	}
}
