package store_test

import (
	"context"
	"database/sql"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/tiny-forge/docker-watcher/internal/store"
	"github.com/tiny-forge/docker-watcher/internal/store/storetest"
)

func TestFullDiskLosesOnlyTheTransaction(t *testing.T) {
	db := storetest.SQLite(t)
	storetest.Project(t, db, func(p *store.Project) { p.Name = "before" })
	store.Pragma(t, db, "max_page_count = 200")
	ctx := t.Context()
	fill := func() error {
		return db.Update(ctx, func(tx *store.Tx) error {
			if err := tx.InsertProject(ctx, store.Project{ID: store.NewID(), Name: "during"}); err != nil {
				return err
			}
			for range 1000 {
				if err := tx.Emit(ctx, store.Event{Message: strings.Repeat("x", 4000)}); err != nil {
					return err
				}
			}
			return nil
		})
	}
	for range 3 {
		wantErr(t, fill(), store.ErrDiskFull)
	}
	if _, err := db.ProjectByName(ctx, "before"); err != nil {
		t.Errorf("what was there before: %v", err)
	}
	_, err := db.ProjectByName(ctx, "during")
	wantErr(t, err, store.ErrNotFound)
	if err := db.Check(ctx); err != nil {
		t.Error(err)
	}
	store.Pragma(t, db, "max_page_count = 1073741823")
	if err := fill(); err != nil {
		t.Errorf("with room again: %v", err)
	}
}

// TestRemovedFileTakesNoWrites: SQLite itself goes on in a file that nobody finds any more.
func TestRemovedFileTakesNoWrites(t *testing.T) {
	o := store.Options{DataDir: t.TempDir()}
	db := storetest.With(t, o)
	file := filepath.Join(o.DataDir, "docker-watcher.db")
	saved := file + ".saved"
	write := func(name string) error {
		return db.Update(t.Context(), func(tx *store.Tx) error { return tx.SetSecret(t.Context(), name, "b") })
	}
	if err := os.Rename(file, saved); err != nil {
		t.Fatal(err)
	}
	wantErr(t, write("gone"), store.ErrMoved)
	wantErr(t, db.Ping(t.Context()), store.ErrMoved)
	if _, err := db.Hosts(t.Context()); err != nil {
		t.Errorf("reading meanwhile: %v", err)
	}
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	wantErr(t, write("replaced"), store.ErrMoved)
	if err := os.Rename(saved, file); err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(write("back"), db.Ping(t.Context())); err != nil {
		t.Errorf("put back: %v", err)
	}
}

func TestReadOnlyDatabase(t *testing.T) {
	db := storetest.SQLite(t)
	store.Pragma(t, db, "query_only = 1")
	err := db.Update(t.Context(), func(tx *store.Tx) error { return tx.SetSecret(t.Context(), "a", "b") })
	wantErr(t, err, store.ErrReadOnly)
}

func TestDatabaseLockedByAnotherProgram(t *testing.T) {
	o := store.Options{DataDir: t.TempDir()}
	db := storetest.With(t, o)
	store.Pragma(t, db, "busy_timeout = 50")
	file := filepath.Join(o.DataDir, "docker-watcher.db")
	other, err := sql.Open("sqlite", file+"?_txlock=exclusive")
	if err != nil {
		t.Fatal(err)
	}
	defer other.Close()
	theirs, err := other.BeginTx(t.Context(), nil)
	if err != nil {
		t.Fatal(err)
	}
	write := func() error {
		return db.Update(t.Context(), func(tx *store.Tx) error { return tx.SetSecret(t.Context(), "a", "b") })
	}
	wantErr(t, write(), store.ErrBusy)
	if _, err := db.Hosts(t.Context()); err != nil {
		t.Errorf("reading meanwhile: %v", err)
	}
	if err := theirs.Rollback(); err != nil {
		t.Fatal(err)
	}
	if err := write(); err != nil {
		t.Errorf("after they let go: %v", err)
	}
}

func TestDamagedFileIsFoundByCheck(t *testing.T) {
	o := store.Options{DataDir: t.TempDir()}
	file := filepath.Join(o.DataDir, "docker-watcher.db")
	closed(t, o, func(db *store.DB) {
		for range 20 {
			storetest.Shop(t, db, full)
		}
	})
	raw, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	for at := 20 * 4096; at < len(raw) && at < 60*4096; at += 4096 {
		copy(raw[at:], "overwritten by something else altogether")
	}
	if err := os.WriteFile(file, raw, 0o600); err != nil {
		t.Fatal(err)
	}
	db, err := store.Open(t.Context(), o)
	if err == nil {
		err = db.Check(t.Context())
		if closeErr := db.Close(); closeErr != nil {
			t.Error(closeErr)
		}
	}
	wantErr(t, err, store.ErrCorrupt)
}

// TestWaitingForTheTurnEndsWithTheContext: a writer that hangs holds nobody for longer.
func TestWaitingForTheTurnEndsWithTheContext(t *testing.T) {
	storetest.Both(t, func(t *testing.T, db *store.DB) {
		inside, leave, left := make(chan struct{}), make(chan struct{}), make(chan error, 1)
		go func() {
			left <- db.Update(t.Context(), func(*store.Tx) error {
				close(inside)
				<-leave
				return nil
			})
		}()
		<-inside
		ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
		defer cancel()
		err := db.Update(ctx, func(*store.Tx) error { t.Error("two at once"); return nil })
		wantErr(t, err, context.DeadlineExceeded)
		if _, err := db.Hosts(t.Context()); err != nil {
			t.Errorf("readers wait too: %v", err)
		}
		close(leave)
		if err := <-left; err != nil {
			t.Error(err)
		}
	})
}

// TestReadersSeeNothingOfAnOpenTransaction, and the transaction sees its own.
func TestReadersSeeNothingOfAnOpenTransaction(t *testing.T) {
	storetest.Both(t, func(t *testing.T, db *store.DB) {
		ctx := t.Context()
		p := store.Project{ID: store.NewID(), Name: "new"}
		storetest.Update(t, db, func(ctx context.Context, tx *store.Tx) error {
			if err := tx.InsertProject(ctx, p); err != nil {
				return err
			}
			_, err := db.Project(ctx, p.ID)
			wantErr(t, err, store.ErrNotFound)
			_, err = tx.Project(ctx, p.ID)
			return err
		})
		if _, err := db.Project(ctx, p.ID); err != nil {
			t.Error(err)
		}
	})
}

// TestLostLeaderLock: who lost the lock must not write, for another may have it now.
func TestLostLeaderLock(t *testing.T) {
	o := store.Options{DataDir: t.TempDir(), URL: storetest.Postgres(t)}
	db := storetest.With(t, o)
	store.Number(t, db, `SELECT count(pg_terminate_backend(pid)) FROM pg_locks WHERE locktype = 'advisory'
		AND objid = (hashtext(current_schema())::bigint & 4294967295)::oid`)
	select {
	case <-db.Lost():
	case <-time.After(time.Minute):
		t.Fatal("nobody noticed")
	}
	err := db.Update(t.Context(), func(*store.Tx) error { t.Error("it still writes"); return nil })
	wantErr(t, err, store.ErrLockLost)
	wantErr(t, db.Ping(t.Context()), store.ErrLockLost)
	other := o
	other.DataDir = t.TempDir()
	wantOpenErr(t, other, store.ErrBadKeyFile) // past the lock: only the key is missing there
}

// TestAnswerOfADeadServer: connections of the pool that the server closed are
// replaced, and a statement that met one says what it was.
func TestAnswerOfADeadServer(t *testing.T) {
	db := storetest.With(t, store.Options{DataDir: t.TempDir(), URL: storetest.Postgres(t)})
	ctx := t.Context()
	err := db.Update(ctx, func(tx *store.Tx) error {
		if err := tx.Emit(ctx, store.Event{Message: "never"}); err != nil {
			return err
		}
		store.Number(t, db, `SELECT count(pg_terminate_backend(a.pid)) FROM pg_stat_activity a WHERE a.pid <> pg_backend_pid()
			AND a.application_name = current_setting('application_name') AND a.state = 'idle in transaction' AND a.query LIKE '%event_log%'
			AND a.pid IN (SELECT l.pid FROM pg_locks l WHERE l.relation = 'event_log'::regclass)`)
		return tx.Emit(ctx, store.Event{Message: "never"})
	})
	wantErr(t, err, store.ErrUnavailable)
	if got := eventPages(t, db, store.EventFilter{}, 10); len(got) != 0 {
		t.Errorf("kept: %v", got)
	}
	emit(t, db, store.Event{Message: "goes on"})
}
