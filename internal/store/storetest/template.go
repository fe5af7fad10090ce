package storetest

import (
	"database/sql"
	"errors"
	"os"
	"path/filepath"
	"sync"
	"testing"

	"github.com/tiny-forge/docker-watcher/internal/store"
)

// databaseFile is the name of a SQLite store in its data folder.
const databaseFile = "docker-watcher.db"

// template is a SQLite file of the newest schema that no store has used yet. To migrate one costs more than most
// tests do with it; that migrations work is for the tests of the store.
var template struct {
	sync.Mutex
	file []byte
}

// Dir returns a data folder with a fresh SQLite store, for tests that open it themselves.
func Dir(t testing.TB) string {
	t.Helper()
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, databaseFile), migratedFile(t), 0o600); err != nil {
		t.Fatal(err)
	}
	return dir
}

func migratedFile(t testing.TB) []byte {
	t.Helper()
	template.Lock()
	defer template.Unlock()
	if template.file == nil {
		template.file = migrate(t)
	}
	return template.file
}

func migrate(t testing.TB) []byte {
	t.Helper()
	dir := t.TempDir()
	db, err := store.Open(t.Context(), store.Options{DataDir: dir})
	if err != nil {
		t.Fatal(err)
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	name := filepath.Join(dir, databaseFile)
	raw, err := sql.Open("sqlite", name)
	if err != nil {
		t.Fatal(err)
	}
	// Without these rows it was never used: each store has an installation id and a key of its own.
	_, err = raw.ExecContext(t.Context(), `DELETE FROM meta`)
	if err := errors.Join(err, raw.Close()); err != nil {
		t.Fatal(err)
	}
	file, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	return file
}
