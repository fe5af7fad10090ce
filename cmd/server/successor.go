package main

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"slices"
	"strings"
	"time"

	"github.com/tiny-forge/docker-watcher/internal/plane"
)

// successorLimit is how long a new data plane has to take the place or to end: no further one is started meanwhile.
const successorLimit = time.Minute

// successors starts this program anew at each signal, as it is on disk by then, to take the place of this process. One that cannot start, or
// does not come to take it, changes nothing.
type successors struct {
	again   <-chan os.Signal
	plane   *plane.Plane
	command func(context.Context) (*exec.Cmd, error)
	limit   time.Duration
	log     *slog.Logger
}

func startSuccessors(ctx context.Context, again <-chan os.Signal, p *plane.Plane, log *slog.Logger) error {
	s := successors{again: again, plane: p, command: successorCommand, limit: successorLimit, log: log}
	return s.run(ctx)
}

func (s successors) run(ctx context.Context) error {
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-s.again:
		}
		if s.replaced(ctx) {
			return nil
		}
	}
}

// replaced starts a successor, and tells whether there is nothing left to do here: it has taken the place, or this process ends.
func (s successors) replaced(ctx context.Context) bool {
	cmd, ended, err := s.start(ctx)
	if err != nil {
		s.log.ErrorContext(ctx, "no new data plane could be started; this one serves on", "error", err)
		return false
	}
	late := time.NewTimer(s.limit)
	defer late.Stop()
	select {
	case <-ctx.Done(): // it may have taken the place already
		return true
	case <-s.plane.Taken():
		return true
	case err := <-ended:
		s.log.ErrorContext(ctx, "the new data plane ended before it took the place; this one serves on", "error", err)
		return false
	case <-late.C:
	}
	return !s.plane.WhileKept(ctx, func() {
		killed := cmd.Process.Kill()
		s.log.ErrorContext(ctx, "the new data plane did not take the place in time and was ended; this one serves on", "after", s.limit, "pid", cmd.Process.Pid, "was", <-ended, "error", killed)
	})
}

func (s successors) start(ctx context.Context) (*exec.Cmd, <-chan error, error) {
	cmd, err := s.command(ctx)
	if err != nil {
		return nil, nil, err
	}
	if err := cmd.Start(); err != nil {
		return nil, nil, fmt.Errorf("start %s: %w", cmd.Path, err)
	}
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	return cmd, ended, nil
}

func successorCommand(ctx context.Context) (*exec.Cmd, error) {
	path, err := os.Executable()
	if err != nil {
		return nil, fmt.Errorf("find this program: %w", err)
	}
	args := os.Args[1:]
	if !slices.Contains(args, "--take-over") {
		args = append(slices.Clip(args), "--take-over")
	}
	cmd := exec.CommandContext(context.WithoutCancel(ctx), path, args...)
	cmd.Stdout, cmd.Stderr = os.Stdout, os.Stderr
	// What systemd opened comes from this process, by the socket.
	cmd.Env = slices.DeleteFunc(os.Environ(), func(v string) bool { return strings.HasPrefix(v, "LISTEN_") })
	return cmd, nil
}
