package main

import (
	"bufio"
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"net"
	"strings"

	"github.com/tiny-forge/docker-watcher/internal/auth"
	"github.com/tiny-forge/docker-watcher/internal/config"
	"github.com/tiny-forge/docker-watcher/internal/store"
)

const userUsage = `Usage:  server user reset NAME [--password-stdin] [--drop-second-factor] [--data FOLDER] [--store FILE|URL]

Lets a user back in who has lost their way: takes their password away, ends their sessions, enables them, and
prints a one-time link with which they set a new password. With --password-stdin the new password is read from
standard input instead. It works on the machine of the store alone, while the daemon runs or not, and is an event.
--data, --store and --listen are those of the daemon, or their DOCKER_WATCHER_* twins.
`

var errUserUsage = errors.New("it is used so: server user reset NAME")

// reset is what `server user reset` was told.
type reset struct {
	name       string
	stdin      bool
	dropFactor bool
	cfg        config.Config
}

// userCommand carries out `server user ...` and returns its exit code.
func userCommand(ctx context.Context, args []string, getenv func(string) string, stdin io.Reader, stdout, stderr io.Writer) int {
	r, err := readReset(args, getenv)
	switch {
	case errors.Is(err, flag.ErrHelp):
		tell(stdout, "%s", userUsage)
		return exitOK
	case err != nil:
		tell(stderr, "server: %v\nhint: server user --help explains it\n", err)
		return exitUsage
	}
	if err := r.run(ctx, stdin, stdout); err != nil {
		tell(stderr, "server: %v\n", err)
		if hint := r.hint(err); hint != "" {
			tell(stderr, "hint: %s\n", hint)
		}
		return exitFault
	}
	return exitOK
}

// readReset reads the words after `user`, in whatever order; the flags of the daemon are read as the daemon does.
func readReset(args []string, getenv func(string) string) (r reset, err error) {
	var words, rest []string
	for i := 0; i < len(args); i++ {
		switch arg := args[i]; {
		case arg == "-h", arg == "--help", arg == "help":
			return r, flag.ErrHelp
		case arg == "--password-stdin":
			r.stdin = true
		case arg == "--drop-second-factor":
			r.dropFactor = true
		case strings.HasPrefix(arg, "-") && !strings.Contains(arg, "=") && i+1 < len(args):
			rest = append(rest, arg, args[i+1])
			i++
		case strings.HasPrefix(arg, "-"):
			rest = append(rest, arg)
		default:
			words = append(words, arg)
		}
	}
	if len(words) != 2 || words[0] != "reset" {
		return r, errUserUsage
	}
	r.name = words[1]
	r.cfg, err = config.Load(rest, getenv)
	return r, err
}

func (r reset) run(ctx context.Context, stdin io.Reader, stdout io.Writer) (err error) {
	password := ""
	if r.stdin {
		line, err := bufio.NewReader(io.LimitReader(stdin, 4096)).ReadString('\n')
		if err != nil && !errors.Is(err, io.EOF) {
			return fmt.Errorf("read the password: %w", err)
		}
		if password = strings.TrimRight(line, "\r\n"); password == "" {
			return errors.New("--password-stdin: standard input is empty")
		}
	}
	log := slog.New(slog.DiscardHandler)
	db, err := store.OpenBeside(ctx, store.Options{URL: r.cfg.Store, DataDir: r.cfg.Data, Log: log})
	if err != nil {
		return fmt.Errorf("open the store: %w", err)
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	user, code, err := auth.New(db, log).ResetByHost(ctx, r.name, auth.Reset{Password: password, DropFactor: r.dropFactor, Account: account()})
	if err != nil {
		return err
	}
	if code == "" {
		tell(stdout, "%s may sign in with the new password; their sessions were ended\n", user.Name)
		return nil
	}
	tell(stdout, "%s sets a new password at (works once, within 72 hours):\n%s/password#code=%s\n", user.Name, r.page(), code)
	return nil
}

// page is where the daemon of these flags is reached from this machine.
func (r reset) page() string {
	host, port, err := net.SplitHostPort(r.cfg.Listen)
	if err != nil {
		return "http://" + r.cfg.Listen
	}
	if ip := net.ParseIP(host); host == "" || ip != nil && ip.IsUnspecified() {
		host = "127.0.0.1"
	}
	return "http://" + net.JoinHostPort(host, port)
}

func (r reset) hint(err error) string {
	switch {
	case errors.Is(err, store.ErrNotFound):
		return fmt.Sprintf("there is no user %q; names are lower case: docker-watcher user ls shows them", r.name)
	case errors.Is(err, auth.ErrWeak):
		return ""
	}
	return hintFor(err, r.cfg)
}
