package main

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"slices"
	"strings"

	"github.com/tiny-forge/docker-watcher/internal/plane"
)

// startSuccessors starts this program anew at each signal, as it is on disk by then, to take the place of this process. One that cannot start changes
// nothing.
func startSuccessors(ctx context.Context, again <-chan os.Signal, p *plane.Plane, log *slog.Logger) error {
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-again:
		}
		ended, err := startSuccessor(ctx)
		if err != nil {
			log.ErrorContext(ctx, "no new data plane could be started; this one serves on", "error", err)
			continue
		}
		select {
		case <-ctx.Done(): // it may have taken the place already
			return nil
		case <-p.Taken():
			return nil
		case err := <-ended:
			log.ErrorContext(ctx, "the new data plane ended before it took the place; this one serves on", "error", err)
		}
	}
}

func startSuccessor(ctx context.Context) (ended <-chan error, err error) {
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
	if err := cmd.Start(); err != nil {
		return nil, fmt.Errorf("start %s: %w", path, err)
	}
	done := make(chan error, 1)
	go func() { done <- cmd.Wait() }()
	return done, nil
}
