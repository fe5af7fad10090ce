package store_test

import (
	"bufio"
	"bytes"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/tiny-forge/docker-watcher/internal/store"
	"github.com/tiny-forge/docker-watcher/internal/store/storetest"
)

// closed opens a store, lets the test fill it, and closes it.
func closed(t *testing.T, o store.Options, fill func(db *store.DB)) {
	t.Helper()
	db, err := store.Open(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	fill(db)
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
}

// wantOpenErr tries to open a store that must not open, and returns what was said.
func wantOpenErr(t *testing.T, o store.Options, want error) (said string) {
	t.Helper()
	db, err := store.Open(t.Context(), o)
	if err == nil {
		t.Fatal("the store opened", db.Close())
	}
	wantErr(t, err, want)
	return err.Error()
}

func TestStoreComesBackAsItWas(t *testing.T) {
	storetest.BothOptions(t, func(t *testing.T, o store.Options) {
		var id string
		var i store.Instance
		closed(t, o, func(db *store.DB) {
			id = db.InstallationID()
			_, i = storetest.Shop(t, db, full)
		})
		db := storetest.With(t, o)
		if db.InstallationID() != id || len(id) != 16 {
			t.Errorf("installation id is %q, was %q", db.InstallationID(), id)
		}
		if spec, err := db.InstanceSpec(t.Context(), i.ID); err != nil || spec.Env[0].Value != "swordfish" {
			t.Errorf("spec: %+v, %v", spec, err)
		}
		if err := errors.Join(db.Ping(t.Context()), db.Check(t.Context())); err != nil {
			t.Error(err)
		}
		select {
		case <-db.Lost():
			t.Error("the lock is lost")
		default:
		}
	})
}

func TestSecondDaemonIsRefused(t *testing.T) {
	storetest.BothOptions(t, func(t *testing.T, o store.Options) {
		closed(t, o, func(db *store.DB) {
			other := o
			if o.URL != "" {
				other.DataDir = t.TempDir()
			}
			said := wantOpenErr(t, other, store.ErrLocked)
			if pid := fmt.Sprint(os.Getpid()); !strings.Contains(said, pid) {
				t.Errorf("%s: does not say that process %s has it", said, pid)
			}
			if err := db.Ping(t.Context()); err != nil {
				t.Errorf("the first one suffers: %v", err)
			}
		})
		closed(t, o, func(*store.DB) {}) // free again
	})
}

func TestOneFileIsNotLockedUnderTwoNames(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "shared.db")
	closed(t, store.Options{DataDir: t.TempDir(), URL: file}, func(*store.DB) {
		link := filepath.Join(t.TempDir(), "link")
		if err := os.Symlink(dir, link); err != nil {
			t.Fatal(err)
		}
		for _, name := range []string{file, filepath.Join(link, "shared.db")} {
			wantOpenErr(t, store.Options{DataDir: t.TempDir(), URL: name}, store.ErrLocked)
		}
	})
}

func TestClosedStoreRefuses(t *testing.T) {
	storetest.BothOptions(t, func(t *testing.T, o store.Options) {
		var db *store.DB
		closed(t, o, func(open *store.DB) { db = open })
		err := db.Update(t.Context(), func(*store.Tx) error { t.Error("a transaction ran"); return nil })
		wantErr(t, err, store.ErrClosed)
		if err := db.Close(); err != nil {
			t.Errorf("closing again: %v", err)
		}
		if _, err := db.Hosts(t.Context()); err == nil {
			t.Error("it still reads")
		}
	})
}

func TestNewerSchemaIsLeftAlone(t *testing.T) {
	storetest.BothOptions(t, func(t *testing.T, o store.Options) {
		closed(t, o, func(db *store.DB) {
			store.Exec(t, db, `INSERT INTO goose_db_version (version_id, is_applied) VALUES ($1, $2)`, 99, true)
			store.Exec(t, db, `UPDATE meta SET value = 'written by a newer one' WHERE name = 'key_check'`)
		})
		file := filepath.Join(o.DataDir, "docker-watcher.db")
		before, beforeErr := os.ReadFile(file)
		said := wantOpenErr(t, o, store.ErrNewerSchema)
		if !strings.Contains(said, "version 99") {
			t.Errorf("%s: does not say which", said)
		}
		after, afterErr := os.ReadFile(file)
		if (beforeErr == nil) != (o.URL == "") || (afterErr == nil) != (o.URL == "") || !bytes.Equal(before, after) {
			t.Error("the file was changed")
		}
		wantOpenErr(t, o, store.ErrNewerSchema) // and is not held locked
	})
}

func TestForeignFilesAreLeftAlone(t *testing.T) {
	for name, make := range map[string]func(t *testing.T, file string) error{
		"a database of another program": func(t *testing.T, file string) error {
			db, err := sql.Open("sqlite", file)
			if err != nil {
				return err
			}
			_, err = db.ExecContext(t.Context(), `CREATE TABLE theirs (id INTEGER)`)
			return errors.Join(err, db.Close())
		},
		"not a database": func(_ *testing.T, file string) error {
			return os.WriteFile(file, bytes.Repeat([]byte("a letter to my aunt\n"), 1000), 0o600)
		},
	} {
		t.Run(name, func(t *testing.T) {
			o := store.Options{DataDir: t.TempDir()}
			file := filepath.Join(o.DataDir, "docker-watcher.db")
			if err := make(t, file); err != nil {
				t.Fatal(err)
			}
			before, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			if _, err := store.Open(t.Context(), o); !errors.Is(err, store.ErrForeign) && !errors.Is(err, store.ErrCorrupt) {
				t.Errorf("error is %v", err)
			}
			if after, err := os.ReadFile(file); err != nil || !bytes.Equal(before, after) {
				t.Errorf("the file was changed (%v)", err)
			}
			if _, err := os.Stat(filepath.Join(o.DataDir, "docker-watcher.key")); !errors.Is(err, fs.ErrNotExist) {
				t.Errorf("a key was made: %v", err)
			}
		})
	}
}

func TestUnknownStoreIsRefused(t *testing.T) {
	for _, url := range []string{"mysql://root:canary@localhost/x", "postgres://u:canary@127.0.0.1:1/x?connect_timeout=2", "postgres://u:canary@%zz/"} {
		db, err := store.Open(t.Context(), store.Options{DataDir: t.TempDir(), URL: url})
		if err == nil {
			t.Fatal("it opened", db.Close())
		}
		if strings.Contains(err.Error(), "canary") {
			t.Errorf("the password is told: %v", err)
		}
	}
	wantOpenErr(t, store.Options{DataDir: t.TempDir(), URL: "postgres://u@127.0.0.1:1/x?connect_timeout=2"}, store.ErrUnavailable)
}

func TestKeyFile(t *testing.T) {
	for _, c := range []struct {
		name  string
		spoil func(file string) error
		want  error
	}{
		{"another key", func(f string) error { return os.WriteFile(f, bytes.Repeat([]byte{7}, 32), 0o600) }, store.ErrWrongKey},
		{"missing", os.Remove, store.ErrBadKeyFile},
		{"empty", func(f string) error { return os.Truncate(f, 0) }, store.ErrBadKeyFile},
		{"too short", func(f string) error { return os.Truncate(f, 31) }, store.ErrBadKeyFile},
		{"too long", func(f string) error { return os.Truncate(f, 33) }, store.ErrBadKeyFile},
		{"others may read it", func(f string) error { return os.Chmod(f, 0o640) }, store.ErrBadKeyFile},
		{"a folder", func(f string) error { return errors.Join(os.Remove(f), os.Mkdir(f, 0o700)) }, store.ErrBadKeyFile},
	} {
		t.Run(c.name, func(t *testing.T) {
			o := store.Options{DataDir: t.TempDir()}
			closed(t, o, func(*store.DB) {})
			file := filepath.Join(o.DataDir, "docker-watcher.key")
			if info, err := os.Stat(file); err != nil || info.Mode() != 0o600 || info.Size() != 32 {
				t.Fatalf("key file: %v, %v", info, err)
			}
			if err := c.spoil(file); err != nil {
				t.Fatal(err)
			}
			said := wantOpenErr(t, o, c.want)
			if !strings.Contains(said, "docker-watcher.key") {
				t.Errorf("%s: does not name the file", said)
			}
			left, globErr := filepath.Glob(file + ".*")
			if len(left) > 0 || globErr != nil {
				t.Errorf("left behind: %v, %v", left, globErr)
			}
		})
	}
}

func TestSecretsAreSealedAndBoundToTheirPlace(t *testing.T) {
	storetest.BothOptions(t, func(t *testing.T, o store.Options) {
		const canary = "canary-3f81c"
		secret := store.Spec{Env: []store.EnvVar{{Name: "VISIBLE_NAME", Value: canary}}}
		db := storetest.With(t, o)
		h, p := storetest.Host(t, db), storetest.Project(t, db)
		s := storetest.Stage(t, db, h, p, func(s *store.Stage) { s.Spec = secret })
		a := storetest.Instance(t, db, s, func(i *store.Instance) { i.Spec = secret })
		b := storetest.Instance(t, db, s, func(i *store.Instance) { i.Spec = secret })
		archive, contents := anArchive(a)
		contents.Instance.Spec, contents.Inspect, contents.Logs = secret, []byte(canary), []byte(canary)
		keep(t, db, archive, contents)
		if got, err := db.ArchiveContents(t.Context(), archive.ID); err != nil || got.Instance.Spec.Env[0].Value != canary {
			t.Errorf("archive: %+v, %v", got, err)
		}
		storetest.Update(t, db, func(ctx context.Context, tx *store.Tx) error {
			return errors.Join(tx.SetSecret(ctx, "one", canary), tx.SetSecret(ctx, "two", canary))
		})
		if got, err := db.Secret(t.Context(), "one"); err != nil || got != canary {
			t.Errorf("secret is %q, %v", got, err)
		}
		if got, err := db.Stage(t.Context(), s.ID); err != nil || got.Spec.Env[0].Value != canary {
			t.Errorf("stage: %+v, %v", got, err)
		}
		store.Exec(t, db, `UPDATE instances SET spec_env = (SELECT spec_env FROM instances WHERE id = $1) WHERE id = $2`, a.ID, b.ID)
		_, err := db.InstanceSpec(t.Context(), b.ID)
		wantErr(t, err, store.ErrUnreadable)
		store.Exec(t, db, `UPDATE secrets SET value = (SELECT value FROM secrets WHERE name = 'one') WHERE name = 'two'`)
		_, err = db.Secret(t.Context(), "two")
		wantErr(t, err, store.ErrUnreadable)
		store.Exec(t, db, `UPDATE stages SET spec_env = NULL`)
		_, err = db.Stage(t.Context(), s.ID)
		wantErr(t, err, store.ErrUnreadable)
		if err := db.Close(); err != nil {
			t.Fatal(err)
		}
		var files []byte
		names, err := filepath.Glob(filepath.Join(o.DataDir, "*"))
		if err != nil {
			t.Fatal(err)
		}
		for _, name := range names {
			b, err := os.ReadFile(name)
			if err != nil {
				t.Fatal(err)
			}
			files = append(files, b...)
		}
		if bytes.Contains(files, []byte(canary)) {
			t.Error("a secret is in the files as plain text")
		}
		if o.URL == "" && !bytes.Contains(files, []byte("VISIBLE_NAME")) {
			t.Error("the test looks at the wrong files: even the name is not there")
		}
	})
}

// TestKillInTheMiddleOfATransaction kills a process that has written much and not
// committed. It starts itself for that.
func TestKillInTheMiddleOfATransaction(t *testing.T) {
	const dirEnv, urlEnv = "STORE_TEST_CHILD_DIR", "STORE_TEST_CHILD_URL"
	if dir := os.Getenv(dirEnv); dir != "" {
		writeAndWait(t, store.Options{DataDir: dir, URL: os.Getenv(urlEnv)})
		return
	}
	storetest.BothOptions(t, func(t *testing.T, o store.Options) {
		ctx, cancel := context.WithTimeout(t.Context(), 3*time.Minute)
		defer cancel()
		child := exec.CommandContext(ctx, os.Args[0], "-test.run", "^TestKillInTheMiddleOfATransaction$")
		child.Env = append(os.Environ(), dirEnv+"="+o.DataDir, urlEnv+"="+o.URL)
		child.Stderr = os.Stderr
		out, err := child.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		in, err := child.StdinPipe()
		if err != nil {
			t.Fatal(err)
		}
		defer in.Close()
		if err := child.Start(); err != nil {
			t.Fatal(err)
		}
		if line, err := bufio.NewReader(out).ReadString('\n'); line != "written\n" {
			t.Errorf("the child said %q, %v", line, err)
		}
		if err := child.Process.Kill(); err != nil {
			t.Fatal(err)
		}
		if err := child.Wait(); err == nil {
			t.Error("the child ended by itself")
		}
		db := openFreed(t, o)
		if got := eventPages(t, db, store.EventFilter{}, 10); len(got) != 1 || got[0] != "committed" {
			t.Errorf("events: %v", got)
		}
		if err := db.Check(t.Context()); err != nil {
			t.Error(err)
		}
		emit(t, db, store.Event{Message: "goes on"})
		if last, err := db.LastEventID(t.Context()); err != nil || last != 2 {
			t.Errorf("last id is %d, %v", last, err)
		}
		if err := db.Close(); err != nil {
			t.Error(err)
		}
	})
}

func writeAndWait(t *testing.T, o store.Options) {
	db, err := store.Open(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	emit(t, db, store.Event{Message: "committed"})
	err = db.Update(t.Context(), func(tx *store.Tx) error {
		for range 3000 { // more than the cache holds, so that much of it reaches the disk
			if err := tx.Emit(t.Context(), store.Event{Message: strings.Repeat("never", 800)}); err != nil {
				return err
			}
		}
		fmt.Println("written")
		_, err := bufio.NewReader(os.Stdin).ReadString('\n')
		return err
	})
	t.Fatal("not killed", err)
}

// openFreed opens a store whose holder was killed: PostgreSQL needs a moment to notice.
func openFreed(t *testing.T, o store.Options) *store.DB {
	t.Helper()
	deadline := time.After(time.Minute)
	retry := time.NewTicker(20 * time.Millisecond)
	defer retry.Stop()
	for {
		db, err := store.Open(t.Context(), o)
		if err == nil {
			return db
		}
		if !errors.Is(err, store.ErrLocked) {
			t.Fatal(err)
		}
		select {
		case <-retry.C:
		case <-deadline:
			t.Fatal(err)
		}
	}
}
