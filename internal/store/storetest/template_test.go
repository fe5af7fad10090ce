package storetest

import (
	"testing"

	"github.com/tiny-forge/docker-watcher/internal/store"
)

// A copy of the template is as a store that was made just now: nothing in it, an identity of its own, and it is kept.
func TestEachStoreIsItsOwn(t *testing.T) {
	ids := map[string]bool{}
	for range 2 {
		dir := Dir(t)
		db, err := store.Open(t.Context(), store.Options{DataDir: dir})
		if err != nil {
			t.Fatal(err)
		}
		ids[db.InstallationID()] = true
		if err := db.Close(); err != nil {
			t.Fatal(err)
		}
		if again := With(t, store.Options{DataDir: dir}); !ids[again.InstallationID()] {
			t.Error("it has another installation id when it is opened again")
		}
	}
	if ids[""] || len(ids) != 2 {
		t.Errorf("installation ids %v", ids)
	}
}
