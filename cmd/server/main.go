// Command server is the docker-watcher daemon: it watches the containers of a
// host, tells which have not been alive for too long, and cleans up what is agreed to.
// `server --help` tells how it is run.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/signal"
	"runtime/debug"
	"syscall"
	_ "time/tzdata" // windows of policies name time zones, which not every machine or container knows

	"golang.org/x/term"

	"github.com/tiny-forge/docker-watcher/internal/config"
)

// version is set by the linker.
var version string

// The exit codes.
const (
	exitOK    = 0
	exitFault = 1
	exitUsage = 2
)

func main() { os.Exit(start(os.Args[1:], os.Getenv, os.Stdout, os.Stderr)) }

func start(args []string, getenv func(string) string, stdout, stderr io.Writer) int {
	if len(args) > 0 && args[0] == "user" {
		ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
		defer stop()
		return userCommand(ctx, args[1:], getenv, os.Stdin, stdout, stderr)
	}
	if len(args) > 0 && args[0] == "proxy" {
		return startProxy(args[1:], getenv, stdout, stderr)
	}
	work, args, err := command(args)
	if errors.Is(err, config.ErrHelp) {
		tell(stdout, "%s", config.Help())
		return exitOK
	}
	if err != nil {
		tell(stderr, "server: %v\nhint: server --help explains every command\n", err)
		return exitUsage
	}
	cfg, err := config.Load(args, getenv)
	switch {
	case errors.Is(err, config.ErrHelp):
		tell(stdout, "%s", config.Help())
		return exitOK
	case errors.Is(err, config.ErrVersion):
		tell(stdout, "docker-watcher server %s\n", buildVersion())
		return exitOK
	case err != nil:
		tell(stderr, "server: %v\nhint: server --help explains every flag\n", err)
		return exitUsage
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	context.AfterFunc(ctx, stop) // a second signal ends the process at once
	if err := work(ctx, cfg, newLog(cfg, stderr), stdout); err != nil {
		tellEnd("server", err, cfg, stderr)
		if errors.Is(err, errUsage) {
			return exitUsage
		}
		return exitFault
	}
	return exitOK
}

// tell writes to the terminal; when nobody can be told any more there is nobody to tell that either.
func tell(w io.Writer, format string, args ...any) { _, _ = fmt.Fprintf(w, format, args...) }

// tellEnd tells what ended a program: in words, or as one more line of its log where that is for programs.
func tellEnd(program string, err error, cfg config.Config, stderr io.Writer) {
	hint := hintFor(err, cfg)
	switch {
	case logsJSON(cfg, stderr):
		newLog(cfg, stderr).Error("ended by an error", "program", program, "error", err, "hint", hint)
	case hint == "":
		tell(stderr, "%s: %v\n", program, err)
	default:
		tell(stderr, "%s: %v\nhint: %s\n", program, err, hint)
	}
}

func newLog(cfg config.Config, w io.Writer) *slog.Logger {
	o := &slog.HandlerOptions{Level: cfg.LogLevel}
	if logsJSON(cfg, w) {
		return slog.New(slog.NewJSONHandler(w, o))
	}
	return slog.New(slog.NewTextHandler(w, o))
}

// logsJSON says that what is written there is for programs.
func logsJSON(cfg config.Config, w io.Writer) bool {
	f, is := w.(*os.File)
	terminal := is && term.IsTerminal(int(f.Fd()))
	return cfg.LogFormat == config.LogJSON || cfg.LogFormat == config.LogAuto && !terminal
}

// buildVersion is what the linker was told, else what the Go tool knows of the commit.
func buildVersion() string {
	if version != "" {
		return version
	}
	info, ok := debug.ReadBuildInfo()
	if !ok || info.Main.Version == "" {
		return "dev"
	}
	return info.Main.Version
}
