package backup

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

func TestRestoreCommand(t *testing.T) {
	here := t.TempDir()
	t.Chdir(here)
	for _, tt := range []struct{ program, file, data, store, want string }{
		{"/server", "/b/x.tar.gz", "/data", "", "/server restore /b/x.tar.gz --data /data"},
		{"/my bin/server", "/my backups/x.tar.gz", "/it's", "", `'/my bin/server' restore '/my backups/x.tar.gz' --data '/it'\''s'`},
		{"/server", "/b/x.tar.gz", "/data", "/other/store.db", "/server restore /b/x.tar.gz --data /data --store /other/store.db"},
		{"/server", "/b/x.tar.gz", "data", "store.db", "/server restore /b/x.tar.gz --data " + here + "/data --store " + here + "/store.db"},               // the shell is elsewhere
		{"/server", "/b/x.tar.gz", "/data", "postgres://anna:secret@db/x", `/server restore /b/x.tar.gz --data /data --store "${DOCKER_WATCHER_STORE:?}"`}, // a password is not shown
	} {
		if got := restoreCommand(tt.program, tt.file, tt.data, tt.store); got != tt.want {
			t.Errorf("got %s, want %s", got, tt.want)
		}
	}
}

// TestRestoreCommandNamesWhatRuns: the name of the program is not one that a package or an image has never heard of.
func TestRestoreCommandNamesWhatRuns(t *testing.T) {
	own, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	if got := RestoreCommand("/b/x.tar.gz", "/data", ""); !strings.HasPrefix(got, Quoted(own)+" restore ") {
		t.Errorf("got %s, want %s first", got, own)
	}
}

// TestRestoreCommandNeedsTheAddress runs the command in a shell: without the variable nothing is started, with it the program has the address.
func TestRestoreCommandNeedsTheAddress(t *testing.T) {
	ran := filepath.Join(t.TempDir(), "ran")
	instead := filepath.Join(t.TempDir(), "server")
	if err := os.WriteFile(instead, []byte("#!/bin/sh\nprintf %s \"$6\" > "+ran+"\n"), 0o700); err != nil {
		t.Fatal(err)
	}
	run := func(env ...string) (string, error) {
		cmd := exec.CommandContext(t.Context(), "sh", "-c", restoreCommand(instead, "/b/x.tar.gz", "/data", "postgres://db/x"))
		cmd.Env = env
		out, err := cmd.CombinedOutput()
		return string(out), err
	}
	for _, env := range [][]string{nil, {"DOCKER_WATCHER_STORE="}} {
		if out, err := run(env...); err == nil || !strings.Contains(out, "DOCKER_WATCHER_STORE") {
			t.Errorf("with %v: %v, %s", env, err, out)
		}
		if _, err := os.Stat(ran); err == nil {
			t.Fatalf("with %v it was started", env)
		}
	}
	if out, err := run("DOCKER_WATCHER_STORE=postgres://anna@db/x?a=b&c=d"); err != nil {
		t.Fatalf("%v, %s", err, out)
	}
	if got, err := os.ReadFile(ran); err != nil || string(got) != "postgres://anna@db/x?a=b&c=d" {
		t.Errorf("the store was %s, %v", got, err)
	}
}

func TestQuoted(t *testing.T) {
	for name, want := range map[string]string{"": "''", "plain-1.db": "plain-1.db", "a b": "'a b'", "$(x)": "'$(x)'", "a;b": "'a;b'"} {
		if got := Quoted(name); got != want {
			t.Errorf("%q: %s, want %s", name, got, want)
		}
	}
}
