package doctor

import (
	"bytes"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/tiny-forge/docker-watcher/internal/docker/dockertest"
	"github.com/tiny-forge/docker-watcher/internal/loopbacktest"
	"github.com/tiny-forge/docker-watcher/internal/store"
	"github.com/tiny-forge/docker-watcher/internal/store/storetest"
)

func want(t *testing.T, f Finding, ok bool, words string) {
	t.Helper()
	if f.OK != ok || !strings.Contains(f.Detail+"\n"+f.Remedy, words) || f.OK != (f.Remedy == "") {
		t.Errorf("%+v; want ok %v with %q", f, ok, words)
	}
}

func TestFolder(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	open := filepath.Join(dir, "open")
	if err := os.Mkdir(open, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(open, 0o777); err != nil {
		t.Fatal(err)
	}
	want(t, Folder(dir), true, "can be written")
	want(t, Folder(filepath.Join(dir, "none")), true, "the first start makes it")
	want(t, Folder(file), false, "is no folder")
	want(t, Folder(open), false, "chmod 700")
	want(t, Folder("/proc/none"), false, "cannot be made")
	want(t, Disk(dir), true, "GiB are free")
}

func TestBackupFolder(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	want(t, BackupFolder(dir), true, "can be written")
	want(t, BackupFolder(filepath.Join(dir, "a", "b")), true, "the first backup makes it")
	want(t, BackupFolder("/proc/none"), false, "--backup-dir")
	want(t, BackupFolder("/proc"), false, "cannot be written")
	want(t, BackupFolder(file), false, "is no folder")
	want(t, BackupFolder(filepath.Join(file, "a")), false, "cannot be looked at")
	left, err := os.ReadDir(dir)
	if err != nil || len(left) != 1 {
		t.Errorf("looking leaves %v, %v", left, err)
	}
}

func TestKey(t *testing.T) {
	o := store.Options{DataDir: t.TempDir()}
	db := storetest.With(t, o)
	key := filepath.Join(o.DataDir, "docker-watcher.key")
	check := func() Finding { return Key(db.CheckKey(t.Context())) }
	want(t, check(), true, "fits the database")
	for _, mode := range []os.FileMode{0o644, 0o600} {
		if err := os.Chmod(key, mode); err != nil {
			t.Fatal(err)
		}
		want(t, check(), mode == 0o600, "")
	}
	right, err := os.ReadFile(key)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(key, key+".away"); err != nil {
		t.Fatal(err)
	}
	want(t, check(), false, "does not start again")
	if _, err := os.Stat(key); err == nil {
		t.Error("a key was made by looking")
	}
	wrong := bytes.Clone(right)
	wrong[0] ^= 1
	if err := os.WriteFile(key, wrong, 0o600); err != nil {
		t.Fatal(err)
	}
	want(t, check(), false, "put back the key")
	if err := os.Rename(key+".away", key); err != nil {
		t.Fatal(err)
	}
	want(t, check(), true, "fits the database")
}

func TestServes(t *testing.T) {
	l, err := net.Listen("tcp", loopbacktest.Free(t))
	if err != nil {
		t.Fatal(err)
	}
	_, port, err := net.SplitHostPort(l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	want(t, Serves(t.Context(), "routes", l.Addr().String()), true, "answers")
	want(t, Serves(t.Context(), "routes", "0.0.0.0:"+port), true, "answers")
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	want(t, Serves(t.Context(), "routes", l.Addr().String()), false, "nobody answers")
	if at := reachable("[::]:80"); at != "[::1]:80" {
		t.Errorf("all addresses of IPv6 are dialled at %s", at)
	}
}

func TestStore(t *testing.T) {
	ctx, o := t.Context(), store.Options{DataDir: t.TempDir()}
	want(t, Store(ctx, o, ""), true, "there is none yet")
	if _, err := os.Stat(filepath.Join(o.DataDir, "docker-watcher.db")); err == nil {
		t.Error("a database was made by looking")
	}
	db := storetest.With(t, o)
	storetest.Shop(t, db)
	want(t, Store(ctx, o, ""), true, "whole") // also while a daemon uses it
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	key := filepath.Join(o.DataDir, "docker-watcher.key")
	if err := os.Chmod(key, 0o644); err != nil {
		t.Fatal(err)
	}
	want(t, Store(ctx, o, ""), false, "mode 0600")
	if err := os.Remove(key); err != nil {
		t.Fatal(err)
	}
	want(t, Store(ctx, o, ""), false, "put back the key file")
	if _, err := os.Stat(key); err == nil {
		t.Error("a key was made by looking")
	}
	mark := filepath.Join(o.DataDir, store.RestoreMark)
	if err := os.WriteFile(mark, []byte("{}"), 0o600); err != nil {
		t.Fatal(err)
	}
	want(t, Store(ctx, o, "/server restore FILE"), false, "to its end: /server restore FILE") // whatever else is there
	want(t, Store(ctx, store.Options{DataDir: o.DataDir, URL: filepath.Join(o.DataDir, "none.db")}, ""), false, "run it again")
	pg := store.Options{DataDir: t.TempDir(), URL: storetest.Postgres(t)}
	want(t, Store(ctx, pg, ""), true, "there is none yet")
	storetest.With(t, pg)
	want(t, Store(ctx, pg, ""), true, "whole")
	want(t, Store(ctx, store.Options{DataDir: t.TempDir(), URL: "postgres://127.0.0.1:1/none"}, ""), false, "database answers")
}

func TestDamagedStore(t *testing.T) {
	o := store.Options{DataDir: t.TempDir()}
	db, err := store.Open(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	storetest.Shop(t, db)
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(o.DataDir, "docker-watcher.db")
	data, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	for i := len(data) / 3; i < len(data); i++ {
		data[i] ^= 0xff
	}
	if err := os.WriteFile(file, data, 0o600); err != nil {
		t.Fatal(err)
	}
	want(t, Store(t.Context(), o, "/server restore FILE"), false, ": /server restore FILE")
	if err := os.WriteFile(file, []byte(strings.Repeat("no database ", 1000)), 0o600); err != nil {
		t.Fatal(err)
	}
	if f := Store(t.Context(), o, ""); f.OK {
		t.Errorf("%+v", f)
	}
}

func TestEngineAndPort(t *testing.T) {
	engine := dockertest.Serve(t, dockertest.Docker29())
	ahead := dockertest.Serve(t, dockertest.Docker29())
	ahead.SetClock(2 * time.Minute)
	want(t, Engine(t.Context(), ahead.Endpoint()), false, "set the clocks")
	want(t, Engine(t.Context(), engine.Endpoint()), true, "API 1.")
	want(t, Engine(t.Context(), "unix:///none"), false, "systemctl start docker")
	want(t, Engine(t.Context(), "gopher://x"), false, "--docker-host")
	l, err := net.Listen("tcp", loopbacktest.Free(t))
	if err != nil {
		t.Fatal(err)
	}
	want(t, Port(t.Context(), "listen", l.Addr().String()), false, "listens on")
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	want(t, Port(t.Context(), "listen", l.Addr().String()), true, "is free")
	want(t, Port(t.Context(), "listen", "203.0.113.1:80"), false, "another address")
}

// TestARestoreThatWasCutOff is told with what brings it to its end, whatever is there of the database.
func TestARestoreThatWasCutOff(t *testing.T) {
	o := store.Options{DataDir: t.TempDir()}
	mark := filepath.Join(o.DataDir, store.RestoreMark)
	check := func() Finding { return Store(t.Context(), o, "server restore B.tar.gz") }
	if err := os.WriteFile(mark, []byte("{}"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, words := range []string{"did not come to its end", mark, "server restore B.tar.gz", "before-restore-", "remove " + store.RestoreMark} {
		want(t, check(), false, words)
	}
	if err := os.Remove(mark); err != nil {
		t.Fatal(err)
	}
	want(t, check(), true, "there is none yet")
}
