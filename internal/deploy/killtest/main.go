// Command killtest carries out the deploys that wait in a store. Built with the tag failpoint it is what the tests of this
// package kill at each step of a deploy, as kill -9 or a power cut would.
package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"time"

	"github.com/tiny-forge/docker-watcher/internal/deploy"
	"github.com/tiny-forge/docker-watcher/internal/docker"
	"github.com/tiny-forge/docker-watcher/internal/events"
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
		return errors.New("usage: killtest DATA_DIR ENDPOINT HOST_ID carry-out|cancel")
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
	bus := events.New(log)
	db.OnCommit(bus.Committed)
	deployer := deploy.New(db, fleet, bus, log)

	ctx, cancel := context.WithCancel(ctx)
	ended := make(chan error, 1)
	go func() { ended <- deployer.Run(ctx) }()
	err = untilEnded(ctx, db, deployer, args[3] == "cancel")
	cancel()
	return errors.Join(err, <-ended)
}

// untilEnded returns when no deploy is open any more. Each may be cancelled as soon as its new container runs.
func untilEnded(ctx context.Context, db *store.DB, deployer *deploy.Deployer, cancels bool) error {
	for tick := time.Tick(10 * time.Millisecond); ; <-tick {
		open, err := db.OpenDeploys(ctx)
		if err != nil || len(open) == 0 {
			return err
		}
		for _, dep := range open {
			if cancels && dep.State == store.DeployChecking {
				if _, err := deployer.Cancel(ctx, dep.ID, "user:ben"); err != nil && !errors.Is(err, deploy.ErrWrongState) {
					return err
				}
			}
		}
	}
}
