package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/user"
	"strconv"
	"time"

	"github.com/tiny-forge/docker-watcher/internal/auth"
	"github.com/tiny-forge/docker-watcher/internal/store"
)

// tellByHost writes into the event log of a store, which no daemon holds, what the command line of its host did to it.
func tellByHost(ctx context.Context, at store.Options, kind, message string, data map[string]any) (err error) {
	db, err := store.OpenBeside(ctx, at)
	if err != nil {
		return fmt.Errorf("it was done, but could not be written into the event log: %w", err)
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	data["os_user"] = account()
	err = db.Update(ctx, func(tx *store.Tx) error {
		return tx.Emit(ctx, store.Event{
			Time: time.Now().UTC(), Severity: store.SeverityWarn, Source: store.SourceSystem, Kind: kind, Message: message,
			Actor: auth.Host().Actor, Data: data,
		})
	})
	if err != nil {
		return fmt.Errorf("it was done, but could not be written into the event log: %w", err)
	}
	return nil
}

// account is the account of the operating system that runs this program, by its name where it has one.
func account() string {
	if u, err := user.Current(); err == nil && u.Username != "" {
		return u.Username
	}
	return strconv.Itoa(os.Getuid())
}
