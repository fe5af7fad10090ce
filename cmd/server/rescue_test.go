package main_test

import (
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"

	"github.com/tiny-forge/docker-watcher/internal/docker/dockertest"
	"github.com/tiny-forge/docker-watcher/internal/loopbacktest"
)

// TestDamagedDatabase: the daemon starts all the same, tells what is wrong and the way out, and touches neither the database
// nor an engine.
func TestDamagedDatabase(t *testing.T) {
	for name, damage := range map[string]func(whole []byte){
		"its first page": func(whole []byte) { copy(whole, strings.Repeat("x", 100)) },
		"its schema":     func(whole []byte) { copy(whole[100:], strings.Repeat("\xff", 200)) },
		"pages within":   func(whole []byte) { copy(whole[3*4096:], strings.Repeat("\xa5", len(whole)/2)) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			engine := dockertest.Serve(t, dockertest.Docker29())
			data := t.TempDir()
			args := append(flags(data, engine.Endpoint()), inFile(data)...)
			d := launch(t, args...)
			d.setUp()
			if code := d.end(syscall.SIGTERM); code != 0 {
				t.Fatalf("exit code %d", code)
			}
			file := filepath.Join(data, "docker-watcher.db")
			whole := []byte(read(t, file))
			damage(whole)
			if err := os.WriteFile(file, whole, 0o600); err != nil {
				t.Fatal(err)
			}
			backup := filepath.Join(data, "backups", "docker-watcher-20260102T030405Z.tar.gz")
			for _, name := range []string{backup, strings.Replace(backup, "20260102", "20251231", 1)} {
				if err := os.MkdirAll(filepath.Dir(name), 0o700); err != nil {
					t.Fatal(err)
				}
				if err := os.WriteFile(name, nil, 0o600); err != nil {
					t.Fatal(err)
				}
			}
			engine.ResetCalls()

			d = launch(t, args...)
			if !strings.Contains(d.line, "damaged") {
				t.Errorf("said %q", d.line)
			}
			command := "server restore " + backup + " --data " + data
			code, stdout, stderr := refuse(t, append([]string{"restore", backup, "--data", data}, inFile(data)...)...)
			refused(t, code, stdout, stderr, "another daemon holds this store", "stop the other")
			for path, want := range map[string]struct {
				status int
				says   string
			}{
				"/healthz":      {http.StatusOK, `"ok"`},
				"/readyz":       {http.StatusServiceUnavailable, command},
				"/":             {http.StatusServiceUnavailable, command},
				"/stale":        {http.StatusServiceUnavailable, "damaged"},
				"/api/projects": {http.StatusServiceUnavailable, `"code":"store_unavailable"`},
				"/api/session":  {http.StatusServiceUnavailable, "damaged"},
			} {
				if status, text := d.status(path); status != want.status || !strings.Contains(text, want.says) {
					t.Errorf("%s: %d %s, want %d and %q", path, status, text, want.status, want.says)
				}
			}
			if asked := engine.Requests(""); len(asked) > 0 {
				t.Errorf("an engine was asked: %v", asked)
			}
			if code := d.end(syscall.SIGTERM); code != 0 {
				t.Errorf("exit code %d", code)
			}
			if read(t, file) != string(whole) {
				t.Error("the damaged file was changed")
			}
			if said := d.stderr.String(); !strings.Contains(said, "the database is damaged") || strings.Contains(said, "goroutine ") {
				t.Errorf("the log says:\n%s", said)
			}
		})
	}
}

// TestDamageIsHeardOfAtWork: a database that is damaged while the daemon runs is noticed by the first who reads it, whoever that is, and from then on
// only the way out is told.
func TestDamageIsHeardOfAtWork(t *testing.T) {
	engine := dockertest.Serve(t, dockertest.Docker29())
	data := t.TempDir()
	args := append(flags(data, engine.Endpoint()), inFile(data)...)
	args[1] = loopbacktest.Free(t) // the way out is told at the same place
	d := launch(t, args...)
	credential := d.setUp()
	if code := d.end(syscall.SIGTERM); code != 0 {
		t.Fatalf("exit code %d", code)
	}
	d = launch(t, args...)
	eventually(t, "/readyz is 200", func() bool { code, _ := d.status("/readyz"); return code == http.StatusOK })
	spoil(t, data)
	d.meetsDamage(credential)
	if status, text := d.status("/api/projects"); status != http.StatusServiceUnavailable || !strings.Contains(text, "damaged") {
		t.Errorf("/api/projects: %d %s", status, text)
	}
	if code := d.end(syscall.SIGTERM); code != 0 {
		t.Errorf("exit code %d", code)
	}
	if said := d.stderr.String(); !strings.Contains(said, "the database is damaged: only the way out is told") || strings.Contains(said, "goroutine ") {
		t.Errorf("the log says:\n%s", said)
	}
}

// meetsDamage waits until the daemon has met the damage of its database, and tells the way out.
func (d *daemon) meetsDamage(credential string) {
	d.t.Helper()
	// A reader that is busy knows some of it by heart: ask for much at once.
	eventually(d.t, "the way out is told", func() bool {
		var all sync.WaitGroup
		for _, path := range []string{"/api/events", "/api/instances", "/api/archives", "/api/plans", "/api/overview", "/api/policies"} {
			all.Go(func() { d.ask(path, credential) })
		}
		all.Wait()
		_, text := d.ask("/readyz", "")
		return strings.Contains(text, "server restore")
	})
}

// ask asks a daemon that may be about to end; 0: nobody answered.
func (d *daemon) ask(path, credential string) (int, string) {
	req, err := http.NewRequestWithContext(d.t.Context(), http.MethodGet, d.url+path, nil)
	if err != nil {
		return 0, err.Error()
	}
	req.Header.Set("Authorization", "Bearer "+credential)
	res, err := patient.Do(req)
	if err != nil {
		return 0, err.Error()
	}
	defer func() { _ = res.Body.Close() }()
	body, err := io.ReadAll(res.Body)
	if err != nil {
		return 0, err.Error()
	}
	return res.StatusCode, string(body)
}

// TestWrongKeyIsRefused: neither the key nor the database is touched, and what to do is told.
func TestWrongKeyIsRefused(t *testing.T) {
	data := t.TempDir()
	args := append(flags(data, "unix:///nowhere/d.sock"), inFile(data)...)
	d := launch(t, args...)
	if code := d.end(syscall.SIGTERM); code != 0 {
		t.Fatalf("exit code %d", code)
	}
	key, database := filepath.Join(data, "docker-watcher.key"), filepath.Join(data, "docker-watcher.db")
	wrong, before := strings.Repeat("k", 32), read(t, database)
	if err := os.WriteFile(key, []byte(wrong), 0o600); err != nil {
		t.Fatal(err)
	}
	code, stdout, stderr := refuse(t, args...)
	refused(t, code, stdout, stderr, "does not fit the database", "same backup")
	if read(t, key) != wrong || read(t, database) != before {
		t.Error("the key or the database was changed")
	}
}
