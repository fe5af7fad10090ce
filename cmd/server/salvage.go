package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"strings"
	"time"

	"github.com/tiny-forge/docker-watcher/internal/api"
	"github.com/tiny-forge/docker-watcher/internal/config"
	"github.com/tiny-forge/docker-watcher/internal/doctor"
	"github.com/tiny-forge/docker-watcher/internal/store"
)

// salvageLimit is how long the command reads: longer than the page, as nobody waits for a turn behind it.
const salvageLimit = 2 * time.Minute

func storeOptions(cfg config.Config, log *slog.Logger) store.Options {
	return store.Options{URL: cfg.Store, DataDir: cfg.Data, Log: log, Free: doctor.FreeIn}
}

// salvageCommand takes the one flag of `server salvage` that is not the daemon's.
func salvageCommand(flags []string) (work, []string, error) {
	asJSON, rest := false, []string{}
	for i := 0; i < len(flags); i++ {
		name, value, given := strings.Cut(flags[i], "=")
		if !strings.HasPrefix(name, "-") || strings.TrimLeft(name, "-") != "output" {
			rest = append(rest, flags[i])
			continue
		}
		if !given && i+1 < len(flags) {
			i++
			value = flags[i]
		}
		if value != "json" && value != "text" {
			return nil, nil, fmt.Errorf("%w: --output %q: it is text or json", errUsage, value)
		}
		asJSON = value == "json"
	}
	return salvage(asJSON), rest, nil
}

// salvage tells what can still be read of a store that no daemon works with.
func salvage(asJSON bool) work {
	return func(ctx context.Context, cfg config.Config, log *slog.Logger, stdout io.Writer) error {
		ctx, cancel := context.WithTimeout(ctx, salvageLimit)
		defer cancel()
		found, err := store.SalvageBeside(ctx, storeOptions(cfg, log))
		switch {
		case errors.Is(err, store.ErrLocked):
			return fmt.Errorf("a daemon works with this store and shows it itself: %w", err)
		case err != nil:
			return fmt.Errorf("read what can be read: %w", err)
		case asJSON:
			tell(stdout, "%s", api.SalvagedJSON(found))
		default:
			summarise(stdout, found)
		}
		if found.Empty() {
			return errNothingRead
		}
		return nil
	}
}

var errNothingRead = errors.New("not one row could be read")

func summarise(stdout io.Writer, found store.Salvaged) {
	tell(stdout, "%s\n", api.SalvageCaveat)
	for _, note := range found.Notes {
		tell(stdout, "%s\n", note)
	}
	for _, t := range found.Tables {
		lost, more := "", ""
		if t.Lost != "" {
			lost = "  rows are lost, nobody knows how many: " + t.Lost
		}
		if t.More {
			more = "  and more, which are not read"
		}
		tell(stdout, "%-20s %6d%s%s\n", t.Name, len(t.Rows), more, lost)
	}
	tell(stdout, "the rows themselves: the same with --output json\n")
}
