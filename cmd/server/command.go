package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"slices"
	"strings"

	"github.com/tiny-forge/docker-watcher/internal/config"
)

// work is what the program does once it knows its configuration.
type work func(context.Context, config.Config, *slog.Logger, io.Writer) error

var errUsage = errors.New("bad usage")

// command takes the words before the flags: without any this is the daemon.
func command(args []string) (work, []string, error) {
	words := args
	for i, a := range args {
		if strings.HasPrefix(a, "-") {
			words = args[:i]
			break
		}
	}
	flags := args[len(words):]
	switch {
	case len(flags) > 0 && slices.Contains([]string{"-h", "-help", "--help"}, flags[0]):
		return nil, nil, config.ErrHelp // also of a command without its words, which is what is to be known
	case len(words) == 0:
		return runOrRescue, flags, nil
	case len(words) == 1 && words[0] == "health":
		return health, flags, nil
	case len(words) == 1 && words[0] == "doctor":
		return examine, flags, nil
	case len(words) == 1 && words[0] == "salvage":
		return salvageCommand(flags)
	case len(words) == 2 && words[0] == "restore":
		return restoreFrom(words[1]), flags, nil
	case len(words) == 3 && words[0] == "store" && words[1] == "move" && words[2] != "":
		return moveStore(words[2]), flags, nil
	}
	return nil, nil, fmt.Errorf("%w: %q is no command of it", errUsage, strings.Join(words, " "))
}
