package storetest

import (
	"os"
	"syscall"
	"testing"
	"time"

	"github.com/tiny-forge/docker-watcher/internal/store"
)

// kindEnv says on which kind of database Open opens a store: sqlite, as when it is empty, or postgres.
const kindEnv = "DOCKER_WATCHER_TEST_STORE"

// Open returns a fresh store, closed with the test: SQLite, or what the environment names, so that every test that
// does not care can be run on PostgreSQL as well. In a bubble of synctest it is SQLite all the same: the clock of a
// bubble stands still while anything in it waits for a socket, and the leader lock of PostgreSQL waits for ever.
func Open(t testing.TB) *store.DB {
	t.Helper()
	switch kind := os.Getenv(kindEnv); {
	case kind == "" || kind == "sqlite", kind == "postgres" && inBubble(t):
		return SQLite(t)
	case kind == "postgres":
		return With(t, postgresOptions(t))
	default:
		t.Fatalf("%s is %q: sqlite and postgres are known", kindEnv, kind)
		return nil
	}
}

// SQLite is Open for a test of what only SQLite has, and for a store that is used in a bubble and opened outside.
func SQLite(t testing.TB) *store.DB {
	t.Helper()
	return With(t, store.Options{DataDir: Dir(t)})
}

// inBubble tells by the clock: that of a bubble is not the machine's.
func inBubble(t testing.TB) bool {
	t.Helper()
	var now syscall.Timeval
	if err := syscall.Gettimeofday(&now); err != nil {
		t.Fatalf("ask the machine's clock: %v", err)
	}
	return time.Until(time.Unix(now.Unix())).Abs() > time.Minute
}
