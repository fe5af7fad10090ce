package main

import (
	"context"
	"log/slog"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/tiny-forge/docker-watcher/internal/plane"
	"github.com/tiny-forge/docker-watcher/internal/proxy"
)

// lines are what was logged.
type lines chan string

func (l lines) Write(line []byte) (int, error) {
	l <- string(line)
	return len(line), nil
}

// TestASuccessorThatHangsIsEnded, and the next signal starts another one.
func TestASuccessorThatHangsIsEnded(t *testing.T) {
	dir, err := os.MkdirTemp("", "dwsu") //nolint:usetesting // a socket's path must be short
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	logged := make(lines, 100)
	log := slog.New(slog.NewTextHandler(logged, nil))
	p, err := plane.New(t.Context(), plane.Options{
		Proxy:  proxy.ServerOptions{File: filepath.Join(dir, tableFile), Log: log},
		Socket: filepath.Join(dir, "proxy", "control.sock"), HTTP: "127.0.0.1:0", Log: log,
		Open: func(ctx context.Context, _, address string) (net.Listener, error) { return listenProxy(ctx, address) },
	})
	if err != nil {
		t.Fatal(err)
	}
	ctx, end := context.WithCancel(t.Context())
	again, started := make(chan os.Signal, 1), make(chan *exec.Cmd, 2)
	s := successors{again: again, plane: p, limit: 300 * time.Millisecond, log: log, command: func(ctx context.Context) (*exec.Cmd, error) {
		cmd := exec.CommandContext(ctx, "cat") // it waits for what never comes
		_, err := cmd.StdinPipe()
		started <- cmd
		return cmd, err
	}}
	served, stopped := make(chan error, 1), make(chan error, 1)
	go func() { served <- p.Run(ctx, func() {}) }()
	go func() { stopped <- s.run(ctx) }()
	for range 2 {
		again <- syscall.SIGHUP
		told := ""
		for late := time.After(time.Minute); !strings.Contains(told, "did not take the place in time"); {
			select {
			case <-started:
			case told = <-logged:
			case <-late:
				t.Fatalf("told last is %q", told)
			}
		}
		if !strings.Contains(told, "signal: killed") {
			t.Errorf("told is %s", told)
		}
	}
	select {
	case <-p.Taken():
		t.Error("the place is taken")
	default:
	}
	end()
	for _, done := range []chan error{served, stopped} {
		if err := <-done; err != nil {
			t.Error(err)
		}
	}
}
