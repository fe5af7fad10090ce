// Package failpointtest builds commands with their fail points, and kills them there.
package failpointtest

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"
	"time"
)

// Build builds the command in the folder of the test with its fail points, and returns its path.
func Build(t testing.TB) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "killtest")
	build := exec.CommandContext(t.Context(), "go", "build", "-trimpath", "-tags", "failpoint", "-o", path, ".")
	build.Env = append(os.Environ(), "CGO_ENABLED=0") // as the daemon is built by other tests, so that little is built again
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("build: %v: %s", err, out)
	}
	return path
}

// Kill runs a command until it kills itself at the fail point, which it has to within a time.
func Kill(t testing.TB, within time.Duration, point, command string, args ...string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), within)
	defer cancel()
	cmd := exec.CommandContext(ctx, command, args...)
	cmd.Env = append(os.Environ(), "DOCKER_WATCHER_FAILPOINT="+point)
	out, err := cmd.CombinedOutput()
	exit, is := errors.AsType[*exec.ExitError](err)
	if !is || ctx.Err() != nil {
		t.Fatalf("it was to be killed at %s: %v: %s", point, err, out)
	}
	if status, ok := exit.Sys().(syscall.WaitStatus); !ok || status.Signal() != syscall.SIGKILL {
		t.Fatalf("it was to be killed at %s: %v: %s", point, err, out)
	}
}
