package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"strings"

	"github.com/spf13/cobra"

	"github.com/tiny-forge/docker-watcher/client"
	"github.com/tiny-forge/docker-watcher/cmd/docker-watcher/screen"
)

// The exit codes that scripts can rely on.
const (
	exitError      = 1
	exitUsage      = 2
	exitNotFound   = 3
	exitConflict   = 4
	exitForbidden  = 5
	exitPartly     = 6
	exitSomeStale  = 10
	interruptedTip = "what the service has begun goes on: see docker-watcher status"
)

// usageError is a command line that cannot be understood.
type usageError struct {
	err     error
	command string
}

func (e *usageError) Error() string { return e.err.Error() }
func (e *usageError) Unwrap() error { return e.err }

func usagef(c *cobra.Command, format string, args ...any) error {
	return &usageError{err: fmt.Errorf(format, args...), command: c.CommandPath()}
}

// notFoundError is a name that nothing is called by.
type notFoundError struct{ what, hint string }

func (e *notFoundError) Error() string { return e.what }

// codeError ends a command with a code of its own after everything was said.
type codeError int

func (e codeError) Error() string { return fmt.Sprintf("exit code %d", int(e)) }

// hinted is an error with what to do about it.
type hinted struct {
	error
	hint string
}

func (h *hinted) Unwrap() error { return h.error }

// ended tells an error, and what to do about it, and returns the exit code.
func (a *app) ended(err error) int {
	code, hint := judge(err)
	var silent codeError
	if err == nil || errors.As(err, &silent) {
		return code
	}
	a.screen.Notef("%s %s\n", a.screen.Paint(screen.Cell{Text: "error:", Tone: screen.Bad}), screen.Tame(err.Error()))
	if hint != "" {
		a.screen.Notef("hint:  %s\n", screen.Tame(hint))
	}
	return code
}

func judge(err error) (code int, hint string) {
	var (
		usage   *usageError
		missing *notFoundError
		own     codeError
		h       *hinted
		down    *net.OpError
	)
	switch {
	case err == nil:
		return 0, ""
	case errors.As(err, &own):
		return int(own), ""
	case errors.As(err, &usage):
		if usage.command != "" {
			hint = usage.command + " --help explains it"
		}
		return exitUsage, hint
	case errors.As(err, &missing):
		return exitNotFound, missing.hint
	case errors.As(err, &h):
		code, _ = judge(h.error)
		return code, h.hint
	case errors.Is(err, context.Canceled):
		return exitError, interruptedTip
	case errors.As(err, &down):
		return exitError, "is the service running there? Start it with `server`, or name another with --url or DOCKER_WATCHER_URL"
	}
	if p, ok := client.AsProblem(err); ok {
		return judgeProblem(p)
	}
	return exitError, ""
}

func judgeProblem(p *client.Problem) (code int, hint string) {
	hint = p.Hint
	switch p.Status {
	case http.StatusNotFound:
		return exitNotFound, hint
	case http.StatusConflict, http.StatusPreconditionFailed, http.StatusGone:
		return exitConflict, hint
	case http.StatusUnauthorized:
		if hint == "" || !strings.Contains(hint, "docker-watcher") {
			hint = "sign in with docker-watcher login, or set DOCKER_WATCHER_TOKEN"
		}
		return exitForbidden, hint
	case http.StatusForbidden:
		return exitForbidden, hint
	case http.StatusUnprocessableEntity, http.StatusBadRequest:
		return exitUsage, hint
	}
	return exitError, hint
}
