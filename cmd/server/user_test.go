package main_test

import (
	"bytes"
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"

	"github.com/tiny-forge/docker-watcher/client"
	"github.com/tiny-forge/docker-watcher/internal/docker/dockertest"
	"github.com/tiny-forge/docker-watcher/internal/store/storetest"
)

// userReset runs `server user reset` and returns its exit code and what it said.
func userReset(t *testing.T, stdin string, args ...string) (code int, said, complained string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	cmd := exec.CommandContext(ctx, binary, append([]string{"user", "reset"}, args...)...)
	var out, errs bytes.Buffer
	cmd.Env, cmd.Stdin, cmd.Stdout, cmd.Stderr = []string{"PATH=" + os.Getenv("PATH")}, strings.NewReader(stdin), &out, &errs
	_ = cmd.Run() // the code says it
	return cmd.ProcessState.ExitCode(), out.String(), errs.String()
}

var passwordLink = regexp.MustCompile(`(?m)^http://127\.0\.0\.1:\d+/password#code=(\S+)$`)

// TestResetOnTheHost lets anna back in while the daemon runs, and while it does not, on both dialects.
func TestResetOnTheHost(t *testing.T) {
	engine := dockertest.Serve(t, dockertest.Docker29())
	for name, store := range map[string]func(data string) []string{
		"sqlite":   inFile,
		"postgres": func(string) []string { return []string{"--store", storetest.Postgres(t)} },
	} {
		t.Run(name, func(t *testing.T) {
			data := t.TempDir()
			where := append([]string{"--data", data}, store(data)...)
			if code, _, errs := userReset(t, "", append([]string{"anna"}, where...)...); code != 1 || !strings.Contains(errs, "start the daemon once") {
				t.Errorf("before the first start: %d %s", code, errs)
			}
			start := append(flags(data, engine.Endpoint()), where[2:]...)
			d := launch(t, start...)
			former := d.client(d.setUp())

			code, out, errs := userReset(t, "", append([]string{"anna"}, where...)...)
			link := passwordLink.FindStringSubmatch(out)
			if code != 0 || link == nil {
				t.Fatalf("while it runs: %d\n%s%s", code, out, errs)
			}
			_, err := former.Me(t.Context())
			if !client.HasCode(err, client.CodeUnauthenticated) {
				t.Errorf("her session lives on: %v", err)
			}
			if name, err := d.client("").SpendPasswordLink(t.Context(), link[1], "a new secret password"); err != nil || name != "anna" {
				t.Fatalf("the link: %q, %v", name, err)
			}
			credential, _, err := d.client("").Login(t.Context(), "anna", "a new secret password")
			if err != nil {
				t.Fatal(err)
			}
			events, err := d.client(credential).Events(t.Context(), client.EventFilter{Severities: []string{"warn"}}, client.Page{})
			if err != nil || len(events.Items) == 0 || events.Items[0].Kind != "user.reset" || events.Items[0].Actor != "host" || events.Items[0].Data["os_user"] == "" || events.Items[0].Data["os_user"] == nil {
				t.Errorf("events: %+v, %v", events, err)
			}
			if code := d.end(syscall.SIGTERM); code != 0 {
				t.Fatalf("exit code %d: %s", code, d.stderr.String())
			}

			code, out, errs = userReset(t, "a password of the host\n", append([]string{"ANNA", "--password-stdin"}, where...)...)
			if code != 0 || strings.Contains(out+errs, "a password of the host") {
				t.Fatalf("while it does not run: %d\n%s%s", code, out, errs)
			}
			d = launch(t, start...)
			if _, _, err := d.client("").Login(t.Context(), "anna", "a password of the host"); err != nil {
				t.Error(err)
			}
			for _, tt := range []struct {
				args        []string
				stdin, want string
				code        int
			}{
				{[]string{"nobody"}, "", "there is no user", 1},
				{[]string{"anna", "--password-stdin"}, "short\n", "at least 12 characters", 1},
				{[]string{"anna", "--password-stdin"}, "", "standard input is empty", 1},
				{[]string{"anna", "bert"}, "", "it is used so", 2},
				{[]string{"anna", "--listen", "nowhere"}, "", "host:port", 2},
			} {
				if code, out, errs := userReset(t, tt.stdin, append(tt.args, where...)...); code != tt.code || !strings.Contains(errs, tt.want) || out != "" {
					t.Errorf("%v: %d %s%s", tt.args, code, out, errs)
				}
			}
			if _, _, err := d.client("").Login(t.Context(), "anna", "a password of the host"); err != nil {
				t.Errorf("a refused reset changed something: %v", err)
			}
			d.end(syscall.SIGTERM)
		})
	}
}

func TestAdminPasswordFile(t *testing.T) {
	engine := dockertest.Serve(t, dockertest.Docker29())
	data, file := t.TempDir(), filepath.Join(t.TempDir(), "password")
	write := func(text string) {
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	args := append(flags(data, engine.Endpoint()), "--admin-password-file", file)
	if code, _, errs := refuse(t, args...); code != 1 || !strings.Contains(errs, "--admin-password-file") {
		t.Errorf("a file that is not there: %d %s", code, errs)
	}
	write("short")
	if code, _, errs := refuse(t, args...); code != 1 || !strings.Contains(errs, "at least 12 characters") {
		t.Errorf("a weak one: %d %s", code, errs)
	}
	write("a password of a file\n")
	d := launch(t, args...)
	if d.code != "" {
		t.Errorf("a setup link beside it: %s", d.line)
	}
	if _, s, err := d.client("").Login(t.Context(), "admin", "a password of a file"); err != nil || s.Role != "admin" {
		t.Errorf("%+v, %v", s, err)
	}
	d.end(syscall.SIGTERM)
	write("another password of it\n")
	d = launch(t, args...)
	if _, _, err := d.client("").Login(t.Context(), "admin", "another password of it"); err == nil {
		t.Error("a later content was taken")
	}
	if strings.Contains(d.stderr.String(), "password of") {
		t.Error("the log tells a password")
	}
	d.end(syscall.SIGTERM)
}
