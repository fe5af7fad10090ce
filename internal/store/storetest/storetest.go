// Package storetest gives each test a fresh store, on SQLite or on both dialects,
// and builds the rows that most tests begin with.
package storetest

import (
	"context"
	"fmt"
	"net/url"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/tiny-forge/docker-watcher/internal/store"
)

// postgresEnv holds the postgres:// URL of a private cluster; scripts/postgres sets it.
const postgresEnv = "DOCKER_WATCHER_TEST_POSTGRES"

// With opens a store of the test's own options, closed with the test.
func With(t testing.TB, o store.Options) *store.DB {
	t.Helper()
	db, err := store.Open(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := db.Close(); err != nil {
			t.Errorf("close the store: %v", err)
		}
	})
	return db
}

// Both runs a test on a fresh SQLite store and on a fresh PostgreSQL one.
func Both(t *testing.T, test func(t *testing.T, db *store.DB)) {
	t.Helper()
	t.Run("sqlite", func(t *testing.T) { test(t, SQLite(t)) })
	t.Run("postgres", func(t *testing.T) { test(t, With(t, postgresOptions(t))) })
}

// BothOptions runs a test with the options of a store that does not exist yet, on
// both dialects: for tests that open it themselves, perhaps twice.
func BothOptions(t *testing.T, test func(t *testing.T, o store.Options)) {
	t.Helper()
	t.Run("sqlite", func(t *testing.T) { test(t, store.Options{DataDir: t.TempDir()}) })
	t.Run("postgres", func(t *testing.T) { test(t, postgresOptions(t)) })
}

func postgresOptions(t testing.TB) store.Options {
	t.Helper()
	return store.Options{DataDir: t.TempDir(), URL: Postgres(t)}
}

// Postgres returns the URL of a fresh schema of the private cluster, dropped with
// the test. Without a cluster the test fails: a suite that ran on one dialect only
// must not look as if it had run on both.
func Postgres(t testing.TB) string {
	t.Helper()
	cluster := os.Getenv(postgresEnv)
	if cluster == "" {
		t.Fatalf("%s is not set: run `make test`, or `scripts/postgres run -- go test ./internal/store/...`", postgresEnv)
	}
	u, err := url.Parse(cluster)
	if err != nil {
		t.Fatalf("read %s: %v", postgresEnv, err)
	}
	schema := "test_" + store.NewID()
	run(t.Context(), t, cluster, `CREATE SCHEMA `+schema)
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(t.Context()), time.Minute)
		defer cancel()
		run(ctx, t, cluster, `DROP SCHEMA `+schema+` CASCADE`)
	})
	q := u.Query()
	q.Set("search_path", schema)
	u.RawQuery = q.Encode()
	return u.String()
}

func run(ctx context.Context, t testing.TB, cluster, statement string) {
	t.Helper()
	conn, err := pgx.Connect(ctx, cluster)
	if err != nil {
		t.Fatalf("connect to the private cluster: %v", err)
	}
	if _, err := conn.Exec(ctx, statement); err != nil {
		t.Errorf("%s: %v", statement, err)
	}
	if err := conn.Close(ctx); err != nil {
		t.Errorf("leave the private cluster: %v", err)
	}
}

// Update runs fn in a transaction that must succeed.
func Update(t testing.TB, db *store.DB, fn func(ctx context.Context, tx *store.Tx) error) {
	t.Helper()
	ctx := t.Context()
	if err := db.Update(ctx, func(tx *store.Tx) error { return fn(ctx, tx) }); err != nil {
		t.Fatal(err)
	}
}

// Host adds a host. Change what the test is about in edit.
func Host(t testing.TB, db *store.DB, edit ...func(*store.Host)) store.Host {
	t.Helper()
	h := store.Host{
		ID: store.NewID(), Endpoint: "unix:///var/run/docker.sock", EngineID: "engine", DataRoot: "/var/lib/docker",
		EngineVersion: "20.10.24", APIVersion: "1.41", OS: "linux", Arch: "amd64",
	}
	h.Name = "host-" + tail(h.ID)
	apply(&h, edit)
	Update(t, db, func(ctx context.Context, tx *store.Tx) error { return tx.InsertHost(ctx, h) })
	return h
}

// Project adds a project.
func Project(t testing.TB, db *store.DB, edit ...func(*store.Project)) store.Project {
	t.Helper()
	p := store.Project{ID: store.NewID(), Image: "registry.example/shop"}
	p.Name = "project-" + tail(p.ID)
	apply(&p, edit)
	Update(t, db, func(ctx context.Context, tx *store.Tx) error { return tx.InsertProject(ctx, p) })
	return p
}

// Stage adds a stage of a project on a host.
func Stage(t testing.TB, db *store.DB, h store.Host, p store.Project, edit ...func(*store.Stage)) store.Stage {
	t.Helper()
	s := store.Stage{ID: store.NewID(), ProjectID: p.ID, HostID: h.ID, Kind: store.StageDev, KeepLast: 2, Mode: store.ModeManual}
	s.Name = "stage-" + tail(s.ID)
	apply(&s, edit)
	Update(t, db, func(ctx context.Context, tx *store.Tx) error { return tx.InsertStage(ctx, s) })
	return s
}

// Instance adds a running instance of a stage.
func Instance(t testing.TB, db *store.DB, s store.Stage, edit ...func(*store.Instance)) store.Instance {
	t.Helper()
	i := NewInstance(s, edit...)
	Update(t, db, func(ctx context.Context, tx *store.Tx) error { return tx.InsertInstance(ctx, i) })
	return i
}

// NewInstance returns what Instance adds, for tests that add many at once.
func NewInstance(s store.Stage, edit ...func(*store.Instance)) store.Instance {
	i := store.Instance{
		ID: store.NewID(), HostID: s.HostID, ProjectID: s.ProjectID, StageID: s.ID, Ownership: store.OwnershipCreated,
		EngineID: "engine", Image: "registry.example/shop", ImageTag: "1.0", ImageID: "sha256:" + strings.Repeat("1", 64),
		Status: store.StatusRunning, Intended: store.IntendedRunning, Evidence: store.EvidenceObserved,
	}
	i.ContainerID = fmt.Sprintf("%064s", i.ID)
	i.Name = "shop-dev-" + tail(i.ID)
	apply(&i, edit)
	return i
}

// Shop adds a host with a project, a stage and a running instance.
func Shop(t testing.TB, db *store.DB, edit ...func(*store.Instance)) (store.Stage, store.Instance) {
	t.Helper()
	s := Stage(t, db, Host(t, db), Project(t, db))
	return s, Instance(t, db, s, edit...)
}

func tail(id string) string { return id[len(id)-6:] }

func apply[T any](v *T, edit []func(*T)) {
	for _, e := range edit {
		e(v)
	}
}
