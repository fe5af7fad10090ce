// Command killtest applies one cleanup plan. Built with the tag failpoint it is what the tests of this
// package kill at each step of a removal, as kill -9 or a power cut would.
package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"

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
		return errors.New("usage: killtest DATA_DIR ENDPOINT HOST_ID PLAN_ID")
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
	_, err = stale.NewCleaner(db, fleet, log).Apply(ctx, args[3], "user:anna", true, nil)
	return err
}
