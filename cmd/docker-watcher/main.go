// Command docker-watcher is the command line of docker-watcher. It speaks to the service over its HTTP API
// only. Installed as ~/.docker/cli-plugins/docker-watcher it is `docker watcher` as well.
package main

import (
	"context"
	"os"
	"os/signal"
	"runtime/debug"
	"strconv"
	"syscall"
	"time"

	"golang.org/x/term"

	"github.com/tiny-forge/docker-watcher/cmd/docker-watcher/screen"
)

// version is set by the linker.
var version = "dev"

func main() { os.Exit(run()) }

func run() int {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	a := &app{
		screen:    newScreen(),
		getenv:    os.Getenv,
		configDir: os.UserConfigDir,
		hostname:  os.Hostname,
		secret:    readSecret,
		version:   buildVersion(),

		rawTerminal:  rawTerminal,
		terminalSize: terminalSize,
	}
	return a.run(ctx, os.Args[1:])
}

func newScreen() *screen.Screen {
	onTerminal := term.IsTerminal(int(os.Stderr.Fd()))
	s := &screen.Screen{
		In: os.Stdin, Out: os.Stdout, Err: os.Stderr,
		Terminal: onTerminal, InputTerminal: term.IsTerminal(int(os.Stdin.Fd())),
		Width: 80, Now: time.Now,
	}
	s.OutTerminal = term.IsTerminal(int(os.Stdout.Fd()))
	if s.OutTerminal && os.Getenv("NO_COLOR") == "" && os.Getenv("TERM") != "dumb" {
		s.Colour = true
	}
	if w, _, err := term.GetSize(int(os.Stderr.Fd())); err == nil && w > 0 {
		s.Width = w
	} else if w, err := strconv.Atoi(os.Getenv("COLUMNS")); err == nil && w > 0 {
		s.Width = w
	}
	return s
}

// readSecret reads a line from the terminal without showing it.
func readSecret() (string, error) {
	text, err := term.ReadPassword(int(os.Stdin.Fd()))
	return string(text), err
}

// rawTerminal makes keys come one by one and unseen.
func rawTerminal() (restore func(), err error) {
	in := int(os.Stdin.Fd())
	before, err := term.MakeRaw(in)
	if err != nil {
		return nil, err
	}
	return func() { _ = term.Restore(in, before) }, nil // there is nothing else to try
}

// terminalSize is asked anew each time: people pull at their windows.
func terminalSize() (width, height int) {
	width, height, err := term.GetSize(int(os.Stdout.Fd()))
	if err != nil || width <= 0 || height <= 0 {
		return 80, 24
	}
	return width, height
}

func buildVersion() string {
	if version == "dev" {
		if info, ok := debug.ReadBuildInfo(); ok && info.Main.Version != "" && info.Main.Version != "(devel)" {
			return info.Main.Version
		}
	}
	return version
}
