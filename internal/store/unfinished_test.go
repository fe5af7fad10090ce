package store_test

import (
	"database/sql"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/tiny-forge/docker-watcher/internal/store"
)

// A migration that fails halfway, however often, keeps the copy of what was there before it, and makes none of what it left.
func TestWhatIsHalfMigratedIsNotCopied(t *testing.T) {
	o := store.Options{DataDir: t.TempDir()}
	file := filepath.Join(o.DataDir, "docker-watcher.db")
	store.AtVersion(t, o, 1, func(exec func(query string, args ...any)) { exec(`CREATE TABLE notify_rules (in_the_way TEXT)`) })
	copies := func() (names []string) {
		for _, name := range namesIn(t, o.DataDir) {
			if rest, is := strings.CutPrefix(name, "docker-watcher.db."); is {
				names = append(names, rest)
			}
		}
		return names
	}
	for range 3 {
		if db, err := store.Open(t.Context(), o); err == nil {
			t.Fatal("it opened", db.Close())
		}
		if diff := cmp.Diff([]string{"migrating", "schema-1"}, copies()); diff != "" {
			t.Error(diff)
		}
	}
	raw, err := sql.Open("sqlite", file)
	if err != nil {
		t.Fatal(err)
	}
	defer raw.Close()
	if _, err := raw.ExecContext(t.Context(), `DROP TABLE notify_rules`); err != nil {
		t.Fatal(err)
	}
	if err := raw.Close(); err != nil {
		t.Fatal(err)
	}
	closed(t, o, func(*store.DB) {})
	if diff := cmp.Diff([]string{"schema-1"}, copies()); diff != "" {
		t.Error(diff)
	}
}
