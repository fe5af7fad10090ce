// Command killtest sends what waits in the outbox of a store. Built with the tag failpoint it is what the test of this package
// kills in the middle, as kill -9 or a power cut would.
package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"time"

	"github.com/tiny-forge/docker-watcher/internal/events"
	"github.com/tiny-forge/docker-watcher/internal/notify"
	"github.com/tiny-forge/docker-watcher/internal/store"
)

func main() {
	if err := run(context.Background(), os.Args[1:]); err != nil { //nolint:forbidigo // a command makes its own context
		fmt.Fprintln(os.Stderr, "killtest:", err)
		os.Exit(1) //nolint:forbidigo // and says how it ended
	}
}

func run(ctx context.Context, args []string) (err error) {
	if len(args) != 1 {
		return errors.New("usage: killtest DATA_DIR")
	}
	log := slog.New(slog.NewTextHandler(os.Stderr, nil))
	db, err := store.Open(ctx, store.Options{DataDir: args[0], Log: log})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	bus := events.New(log)
	db.OnCommit(bus.Committed)
	ctx, cancel := context.WithCancel(ctx)
	ended := make(chan error, 1)
	go func() { ended <- notify.New(db, bus, notify.Options{Version: "killtest", Log: log}).Run(ctx) }()
	err = untilSent(ctx, db)
	cancel()
	return errors.Join(err, <-ended)
}

// untilSent returns when something was sent and nothing waits any more.
func untilSent(ctx context.Context, db *store.DB) error {
	for tick := time.Tick(10 * time.Millisecond); ; <-tick {
		all, _, err := db.Messages(ctx, store.MessageFilter{}, store.Page{})
		if err != nil {
			return err
		}
		open := 0
		for _, m := range all {
			if m.State != store.MessageSent {
				open++
			}
		}
		if len(all) > 0 && open == 0 {
			return nil
		}
	}
}
