package e2e

import (
	"bytes"
	"context"
	"crypto/rand"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/tiny-forge/docker-watcher/internal/loopbacktest"
)

// allFlows is how long the stories of a file may take on a busy machine.
const allFlows = 15 * time.Minute

// tell has Node.js tell the stories of a file to the browser of the environment. They know the admin token of the daemons, an address at which
// only they listen, and what else is given.
func tell(t *testing.T, file string, env ...string) {
	t.Helper()
	node(t, allFlows, []string{"--test", "--test-reporter=spec", file}, append(env, "WAY="+loopbacktest.Free(t))...)
}

// node runs Node.js for so long at most. What it says is shown where the test fails.
func node(t *testing.T, within time.Duration, args []string, env ...string) {
	t.Helper()
	browser := os.Getenv("DOCKER_WATCHER_TEST_BROWSER")
	if browser == "" {
		t.Fatal("DOCKER_WATCHER_TEST_BROWSER names no Chromium: run this through scripts/test, or scripts/browser run -- go test ...")
	}
	me, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeoutCause(t.Context(), within, fmt.Errorf("it did not end within %s", within))
	defer cancel()
	if err := run(ctx, t.Output(), "node", args, append(env, "BROWSER="+me, asBrowser+"="+browser, "TOKEN="+manyToken)...); err != nil {
		t.Fatal(err)
	}
}

// run runs a program until it or ctx ends. Nothing that it has started outlives it, of whichever group or session: a browser leads its own.
func run(ctx context.Context, out io.Writer, program string, args []string, env ...string) error {
	said, says, err := os.Pipe()
	if err != nil {
		return err
	}
	defer said.Close()
	mark := "DOCKER_WATCHER_TEST_RUN=" + rand.Text()
	cmd := exec.Command(program, args...)
	cmd.Env = append(append(os.Environ(), env...), mark)
	cmd.Stdout, cmd.Stderr = says, says
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL} // with the test, when that is killed
	err = cmd.Start()
	_ = says.Close() // it is the program's
	if err != nil {
		return err
	}
	heard := make(chan struct{})
	go func() {
		defer close(heard)
		_, _ = io.Copy(out, said) // what can be had of it
	}()
	stop := context.AfterFunc(ctx, func() { end(mark) })
	err = cmd.Wait()
	stop()
	end(mark)
	_ = said.SetReadDeadline(time.Now().Add(patience)) // for what still holds it
	<-heard
	if why := context.Cause(ctx); why != nil {
		return fmt.Errorf("%w: %w", why, err)
	}
	return err
}

// end kills whatever has a mark in its environment, and what that starts meanwhile.
func end(mark string) {
	late := time.After(patience)
	for tick := time.Tick(20 * time.Millisecond); ; {
		there := marked(mark)
		if len(there) == 0 {
			return
		}
		for _, pid := range there {
			_ = syscall.Kill(pid, syscall.SIGKILL) // it may just have ended
		}
		select {
		case <-tick:
		case <-late:
			return
		}
	}
}

// marked are the processes that have a mark in their environment. Those that have ended have none.
func marked(mark string) (pids []int) {
	files, _ := filepath.Glob("/proc/[0-9]*/environ") // the pattern is a good one
	for _, file := range files {
		env, err := os.ReadFile(file)
		if err != nil || !bytes.Contains(append([]byte{0}, env...), []byte("\x00"+mark+"\x00")) {
			continue // it has ended, belongs to somebody else, or is not of this run
		}
		if pid, err := strconv.Atoi(strings.Split(file, "/")[2]); err == nil {
			pids = append(pids, pid)
		}
	}
	return pids
}

// TestNothingOutlivesAStory: neither one that goes on for ever nor one that ends and leaves something behind.
func TestNothingOutlivesAStory(t *testing.T) {
	const leaves = `
		const left = require('node:child_process').spawn(process.execPath, ['-e', 'setInterval(() => {}, 1000)'], { detached: true, stdio: 'inherit' });
		left.once('spawn', () => process.stdout.write('begun', () => `
	for name, then := range map[string]string{"it goes on": "0", "it ends": "process.exit(0)"} {
		t.Run(name, func(t *testing.T) {
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			env := "OF=" + rand.Text()
			began := 0
			err := run(ctx, told(func() {
				began = len(marked(env))
				if name == "it goes on" {
					cancel()
				}
			}), "node", []string{"-e", leaves + then + "))"}, env)
			if began == 0 || (err == nil) != (name == "it ends") {
				t.Errorf("%d began, %v", began, err)
			}
			if left := marked(env); len(left) > 0 {
				t.Errorf("%v live on", left)
			}
		})
	}
}

// told is called when something is written.
type told func()

// Write is where it is called.
func (f told) Write(p []byte) (int, error) {
	f()
	return len(p), nil
}
