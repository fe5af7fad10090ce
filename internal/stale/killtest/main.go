// Command killtest applies one cleanup plan, or has automatic cleanup do it. Built with the tag failpoint it is what the tests of this
// package kill at each step of a removal, as kill -9 or a power cut would.
package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"strings"
	"time"

	"github.com/tiny-forge/docker-watcher/internal/docker"
	"github.com/tiny-forge/docker-watcher/internal/stale"
	"github.com/tiny-forge/docker-watcher/internal/store"
)

func main() {
	if err := run(context.Background(), os.Args[1:]); err != nil { //nolint:forbidigo // a command makes its own context
		fmt.Fprintln(os.Stderr, "killtest:", err)
		os.Exit(1) //nolint:forbidigo // and says how it ended
	}
}

func run(ctx context.Context, args []string) (err error) {
	if len(args) != 4 {
		return errors.New("usage: killtest DATA_DIR ENDPOINT HOST_ID PLAN_ID|auto|restore=ARCHIVE_ID|delete=ARCHIVE_ID")
	}
	log := slog.New(slog.NewTextHandler(os.Stderr, nil))
	db, err := store.Open(ctx, store.Options{DataDir: args[0], Log: log})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	engine, err := docker.New(docker.Options{Endpoint: args[1], Log: log})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, engine.Close()) }()
	fleet := docker.NewFleet()
	fleet.Add(args[2], engine)
	cleaner := stale.NewCleaner(db, fleet, log)
	switch what, id, _ := strings.Cut(args[3], "="); what {
	case auto:
		return automatically(ctx, cleaner, stale.NewScanner(db, fleet, log))
	case restore:
		_, err = cleaner.Restore(ctx, id, stale.Choices{}, "user:anna")
		return err
	case forget:
		return cleaner.DeleteArchive(ctx, id, "user:anna")
	}
	_, err = cleaner.Apply(ctx, args[3], "user:anna", true, nil)
	return err
}

// What may stand in place of a plan's id: automatic cleanup until it is killed, or an end of an archive.
const (
	auto    = "auto"
	restore = "restore"
	forget  = "delete"
)

func automatically(ctx context.Context, cleaner *stale.Cleaner, scanner *stale.Scanner) error {
	cleaner.ScanBy(func(ctx context.Context, hostID string) error {
		_, err := scanner.Scan(ctx, hostID, "automatic")
		return err
	})
	for tick := time.Tick(time.Second); ; <-tick {
		if err := cleaner.RunAutomatic(ctx); err != nil {
			return err
		}
	}
}
