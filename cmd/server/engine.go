package main

import (
	"context"
	"fmt"
	"log/slog"
	"time"

	"github.com/tiny-forge/docker-watcher/internal/docker"
	"github.com/tiny-forge/docker-watcher/internal/store"
)

// localHost is the name of the host of --docker-host.
const localHost = "local"

const (
	lookAgainDown = 3 * time.Second
	lookAgainUp   = 30 * time.Second
)

// ensureHost returns the row of the host that the daemon itself was given, made on first start.
func ensureHost(ctx context.Context, db *store.DB, endpoint string) (host store.Host, err error) {
	now := time.Now().UTC()
	err = db.Update(ctx, func(tx *store.Tx) error {
		hosts, err := tx.Hosts(ctx)
		if err != nil {
			return err
		}
		for _, h := range hosts {
			if h.Name != localHost {
				continue
			}
			host = h
			if h.Endpoint == endpoint {
				return nil
			}
			host.Endpoint, host.UpdatedAt = endpoint, now
			return tx.UpdateHost(ctx, host)
		}
		host = store.Host{ID: store.NewID(), Name: localHost, Endpoint: endpoint, CreatedAt: now, UpdatedAt: now}
		return tx.InsertHost(ctx, host)
	})
	if err != nil {
		return store.Host{}, fmt.Errorf("write the host of %s: %w", endpoint, err)
	}
	return host, nil
}

// engineWatch notices when the engine goes and comes: it notes what the engine says of
// itself, and has ended what a crash or an absence left half done.
type engineWatch struct {
	db      *store.DB
	engine  *docker.Engine
	hostID  string
	recover func(context.Context) error
	log     *slog.Logger

	known, up bool
}

// Run looks until ctx ends.
func (w *engineWatch) Run(ctx context.Context) error {
	for {
		w.look(ctx)
		wait := lookAgainUp
		if !w.up {
			wait = lookAgainDown
		}
		timer := time.NewTimer(wait)
		select {
		case <-timer.C:
		case <-ctx.Done():
			timer.Stop()
			return nil
		}
	}
}

func (w *engineWatch) look(ctx context.Context) {
	err := w.engine.Ping(ctx)
	switch {
	case ctx.Err() != nil:
	case err != nil:
		w.gone(err)
	default:
		if !w.up {
			w.came(ctx)
		}
		if w.up {
			w.finish(ctx)
		}
	}
}

func (w *engineWatch) gone(err error) {
	told := w.known && !w.up
	w.known, w.up = true, false
	if told {
		return
	}
	w.log.Error("the engine does not answer: nothing is judged until it does", "endpoint", w.engine.Endpoint(), "error", err,
		"hint", "start it (systemctl start docker), or give another with --docker-host; this service goes on by itself when it answers")
}

func (w *engineWatch) came(ctx context.Context) {
	info, err := w.engine.Info(ctx)
	if err != nil {
		w.gone(err)
		return
	}
	if err := w.note(ctx, info); err != nil {
		w.log.Error("the engine's facts were not kept", "error", err)
		return
	}
	w.known, w.up = true, true
	w.log.Info("the engine answers", "endpoint", w.engine.Endpoint(), "version", info.Version, "api", info.APIVersion, "containers", info.Containers)
}

// finish is called at every look: a removal may come to wait while the engine stays up, too. It
// costs two reads where nothing is left half done.
func (w *engineWatch) finish(ctx context.Context) {
	if err := w.recover(ctx); err != nil {
		w.log.Warn("a cleanup that was left half done could not be ended yet", "error", err)
	}
}

// note keeps the facts of a host that we see for the first time, and the version of one that is
// still the same engine. A changed engine is the scanner's to notice and an admin's to accept.
func (w *engineWatch) note(ctx context.Context, info docker.Info) error {
	return w.db.Update(ctx, func(tx *store.Tx) error {
		h, err := tx.Host(ctx, w.hostID)
		if err != nil {
			return err
		}
		if h.EngineID == "" && h.DataRoot == "" { // podman has no lasting id of its own
			h.EngineID, h.DataRoot = info.EngineID, info.DataRoot
		}
		if h.EngineID != info.EngineID || h.DataRoot != info.DataRoot {
			return nil
		}
		h.EngineVersion, h.APIVersion, h.OS, h.Arch = info.Version, info.APIVersion, info.OS, info.Arch
		h.ClockSkew, h.UpdatedAt = info.Skew, time.Now().UTC()
		return tx.UpdateHost(ctx, h)
	})
}
