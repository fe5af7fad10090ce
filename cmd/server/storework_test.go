package main_test

import (
	"database/sql"
	"errors"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/tiny-forge/docker-watcher/client"
	"github.com/tiny-forge/docker-watcher/internal/store"
	"github.com/tiny-forge/docker-watcher/internal/store/storetest"
)

// TestMoveAndRestore takes a daemon's store to PostgreSQL and back into a folder of its own by a backup: who could sign in can go on.
func TestMoveAndRestore(t *testing.T) {
	data, none := t.TempDir(), "unix:///none"
	d := launch(t, append(flags(data, none), inFile(data)...)...)
	credential := d.setUp()
	if _, err := d.client(credential).CreateProject(t.Context(), client.NewProject{Name: "shop", Image: "example.com/shop"}); err != nil {
		t.Fatal(err)
	}
	to := storetest.Postgres(t)
	if code, _, stderr := refuse(t, "store", "move", to, "--data", data); code != 1 || !strings.Contains(stderr, "another daemon holds this store") {
		t.Errorf("while the daemon runs: %d, %s", code, stderr)
	}
	d.end(os.Interrupt)
	code, stdout, stderr := refuse(t, "store", "move", to, "--data", data)
	if code != 0 || !strings.Contains(stdout, "rows were copied and compared") {
		t.Fatalf("store move: %d, %s%s", code, stdout, stderr)
	}
	if code, _, stderr := refuse(t, "store", "move", to, "--data", data); code != 1 || !strings.Contains(stderr, "in use already") {
		t.Errorf("once more: %d, %s", code, stderr)
	}
	d = launch(t, append(flags(data, none), "--store", to)...)
	if _, err := d.client(credential).Project(t.Context(), "shop"); err != nil {
		t.Errorf("on the server: %v", err)
	}
	wantHostEvent(t, d.client(credential), "store.moved")
	made, err := d.client(credential).MakeBackup(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	d.end(os.Interrupt)
	other, file := t.TempDir(), filepath.Join(data, "backups", made.Name)
	if code, _, stderr := refuse(t, "restore", file, "--data", other); code != 1 || !strings.Contains(stderr, "docker-watcher.key") {
		t.Errorf("without the key: %d, %s", code, stderr)
	}
	key, err := os.ReadFile(filepath.Join(data, "docker-watcher.key"))
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(other, "docker-watcher.key"), key, 0o600); err != nil {
		t.Fatal(err)
	}
	if code, stdout, stderr := refuse(t, "restore", file, "--data", other); code != 0 || !strings.Contains(stdout, "restored what docker-watcher") {
		t.Fatalf("restore: %d, %s%s", code, stdout, stderr)
	}
	d = launch(t, append(flags(other, none), inFile(other)...)...)
	if _, err := d.client(credential).Project(t.Context(), "shop"); err != nil {
		t.Errorf("restored: %v", err)
	}
	wantHostEvent(t, d.client(credential), "store.restored")
	for _, args := range [][]string{{"store"}, {"store", "move"}, {"store", "move", ""}, {"restore"}, {"dance"}, {"health", "now"}} {
		if code, _, stderr := refuse(t, args...); code != 2 || !strings.Contains(stderr, "no command") {
			t.Errorf("%v: %d, %s", args, code, stderr)
		}
	}
	if code, _, stderr := refuse(t, "store", "move", "other.db", "--data", data); code != 2 || !strings.Contains(stderr, "both stores are files") {
		t.Errorf("from a file to a file: %d, %s", code, stderr)
	}
}

// TestNoRestoreIntoTheFolderOfADaemonOnAServer: its certificates lie there, whatever database the backup is to come into; also while it only tells the way out.
func TestNoRestoreIntoTheFolderOfADaemonOnAServer(t *testing.T) {
	data, url := t.TempDir(), storetest.Postgres(t)
	args := append(flags(data, "unix:///none"), "--store", url)
	d := launch(t, args...)
	made, err := d.client(d.setUp()).MakeBackup(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	certificate := filepath.Join(data, "certificates", "shop.pem")
	mustWrite(t, certificate)
	restored := func() {
		t.Helper()
		code, stdout, stderr := refuse(t, append([]string{"restore", filepath.Join(data, "backups", made.Name), "--data", data}, inFile(data)...)...)
		refused(t, code, stdout, stderr, "another daemon holds this store", "stop the other")
		if _, err := os.Stat(filepath.Join(data, "docker-watcher.db")); err == nil || read(t, certificate) != "x" {
			t.Error("what is there was changed")
		}
	}
	restored()
	d.end(os.Interrupt)
	db, err := sql.Open("pgx", url)
	if err != nil {
		t.Fatal(err)
	}
	_, err = db.ExecContext(t.Context(), `INSERT INTO settings (name, value, updated_at) VALUES ('plan_max_items', 'plenty', 0)`)
	if err := errors.Join(err, db.Close()); err != nil {
		t.Fatal(err)
	}
	d = launch(t, args...)
	if code, _ := d.status("/readyz"); code != http.StatusServiceUnavailable {
		t.Errorf("it tells no way out: %d", code)
	}
	restored()
	if code, stdout, stderr := refuse(t, "salvage", "--data", data, "--store", url); code != 0 {
		t.Errorf("salvage: %d, %s%s", code, stdout, stderr)
	}
	if code := d.end(os.Interrupt); code != 0 {
		t.Errorf("exit code %d", code)
	}
}

// TestAStartClearsWhatWasKilled: keys lie open in what is left of a restore, and what is left of a salvage keeps the room of a database.
func TestAStartClearsWhatWasKilled(t *testing.T) {
	data := t.TempDir()
	left := []string{filepath.Join(data, ".restoring-1"), filepath.Join(data, ".docker-watcher.db.restoring-1"), filepath.Join(data, ".salvage-1")}
	stays := filepath.Join(data, "before-restore-20260102T030405Z", "certificates", "shop.pem")
	for _, folder := range left {
		mustWrite(t, filepath.Join(folder, "backup", "certificates", "shop.pem"))
	}
	mustWrite(t, stays)
	d := launch(t, append(flags(data, "unix:///none"), inFile(data)...)...)
	for _, folder := range left {
		if _, err := os.Stat(folder); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("%s is there still: %v", folder, err)
		}
	}
	if read(t, stays) != "x" {
		t.Error("what a restore has moved aside is gone")
	}
	d.end(os.Interrupt)
}

// TestTheRestoreCommandIsCalledAsItIs holds every place that tells in words how to put a backup back against the program.
func TestTheRestoreCommandIsCalledAsItIs(t *testing.T) {
	const usage = "server restore FILE"
	code, help, stderr := refuse(t, "restore", "--help")
	if code != 0 || !strings.Contains(help, usage+" [flags]") || stderr != "" {
		t.Errorf("%d, %s%s", code, help, stderr)
	}
	for _, file := range []string{"../docker-watcher/testdata/help.golden", "../../docs/operations.md"} {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for _, want := range []string{usage + " --data FOLDER", "docker-watcher-server", "/server"} {
			if !strings.Contains(string(text), want) {
				t.Errorf("%s does not say %s", file, want)
			}
		}
	}
	code, _, stderr = refuse(t, "restore", "FILE", "--data", t.TempDir())
	if code != 1 || !strings.Contains(stderr, "restore FILE: ") || !strings.Contains(stderr, "no such file") {
		t.Errorf("as it is written: %d, %s", code, stderr)
	}
	// The doctor tells it with the program that runs, whatever that is called, and with its folder and store.
	data := t.TempDir()
	if err := os.WriteFile(filepath.Join(data, "docker-watcher.db"), []byte(strings.Repeat("no database ", 1000)), 0o600); err != nil {
		t.Fatal(err)
	}
	_, out, _ := refuse(t, append([]string{"doctor"}, append(flags(data, "unix:///none"), inFile(data)...)...)...)
	if want := binary + " restore FILE --data " + data; !strings.Contains(out, want) {
		t.Errorf("the doctor does not say %s:\n%s", want, out)
	}
	// Of a restore that was cut off it names the backup.
	if err := os.WriteFile(filepath.Join(data, store.RestoreMark), []byte(`{"backup":"/b/x.tar.gz"}`), 0o600); err != nil {
		t.Fatal(err)
	}
	_, out, _ = refuse(t, append([]string{"doctor"}, append(flags(data, "unix:///none"), inFile(data)...)...)...)
	if want := binary + " restore /b/x.tar.gz --data " + data; !strings.Contains(out, want) || !strings.Contains(out, "did not come to its end") {
		t.Errorf("the doctor does not say %s:\n%s", want, out)
	}
}

// wantHostEvent wants one event of what the command line of the host did, and by whose account.
func wantHostEvent(t *testing.T, c *client.Client, kind string) {
	t.Helper()
	l, err := c.Events(t.Context(), client.EventFilter{Actor: "host"}, client.Page{})
	if err != nil {
		t.Fatal(err)
	}
	found := 0
	for _, e := range l.Items {
		if e.Kind != kind {
			continue
		}
		found++
		if name, _ := e.Data["os_user"].(string); name == "" || e.Severity != "warn" {
			t.Errorf("told %+v", e)
		}
	}
	if found != 1 {
		t.Errorf("%s is there %d times: %+v", kind, found, l.Items)
	}
}
