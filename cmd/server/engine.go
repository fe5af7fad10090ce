package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync/atomic"
	"time"

	"github.com/tiny-forge/docker-watcher/internal/docker"
	"github.com/tiny-forge/docker-watcher/internal/hosts"
	"github.com/tiny-forge/docker-watcher/internal/store"
)

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
			if h.Name != store.LocalHost {
				continue
			}
			host = h
			if h.Endpoint == endpoint {
				return nil
			}
			host.Endpoint, host.UpdatedAt = endpoint, now
			if host.EngineID == "" && !host.LastScanAt.IsZero() { // one that does not say who it is cannot be told from another
				host.FrozenSince, host.FrozenReason = now, store.FrozenEngineChanged
			}
			return errors.Join(tx.UpdateHost(ctx, host), warnOfPlain(ctx, tx, host))
		}
		host = store.Host{ID: store.NewID(), Name: store.LocalHost, Endpoint: endpoint, CreatedAt: now, UpdatedAt: now, Revision: 1}
		return errors.Join(tx.InsertHost(ctx, host), warnOfPlain(ctx, tx, host))
	})
	if err != nil {
		return store.Host{}, fmt.Errorf("write the host of %s: %w", endpoint, err)
	}
	return host, nil
}

// warnOfPlain tells of an engine that is reached without TLS because the flag says so.
func warnOfPlain(ctx context.Context, tx *store.Tx, host store.Host) error {
	if !hosts.IsPlain(host) {
		return nil
	}
	return tx.Emit(ctx, store.Event{
		Time: time.Now().UTC(), Severity: store.SeverityWarn, Source: store.SourceSystem, Kind: "host.plain", HostID: host.ID, Actor: "system",
		Message: "host " + host.Name + " is reached without TLS at " + host.Endpoint + ": whoever is on the way can command its engine",
		Data:    map[string]any{"endpoint": host.Endpoint},
	})
}

// engineWatches notice when engines go and come, each by itself: they note what each says of itself, and have ended what a
// crash or an absence left half done.
type engineWatches struct {
	db    *store.DB
	fleet *docker.Fleet
	log   *slog.Logger
	up    atomic.Int64  // how many answer
	came  chan struct{} // size 1: one came
	// recover ends what was left half done.
	recover func(context.Context) error
}

func newEngineWatches(db *store.DB, fleet *docker.Fleet, recover func(context.Context) error, log *slog.Logger) *engineWatches {
	return &engineWatches{db: db, fleet: fleet, recover: recover, log: log, came: make(chan struct{}, 1)}
}

// Run looks until ctx ends.
func (w *engineWatches) Run(ctx context.Context) error {
	return w.fleet.Follow(ctx, func(ctx context.Context, hostID string, e *docker.Engine) error {
		one := &engineWatch{db: w.db, engine: e, hostID: hostID, log: w.log, tell: w.told}
		defer func() {
			if one.up {
				w.told(false)
			}
		}()
		return one.Run(ctx)
	})
}

// told is told of an engine that came or went.
func (w *engineWatches) told(up bool) {
	if !up {
		w.up.Add(-1)
		return
	}
	w.up.Add(1)
	select {
	case w.came <- struct{}{}:
	default: // one came already
	}
}

// Finish ends what was left half done, until ctx ends: when an engine came, and now and then, for a removal may come to wait
// while all engines stay up, too. It costs two reads where nothing is left.
func (w *engineWatches) Finish(ctx context.Context) error {
	for {
		timer := time.NewTimer(lookAgainUp)
		select {
		case <-timer.C:
			if w.up.Load() == 0 {
				continue
			}
		case <-w.came:
			timer.Stop()
		case <-ctx.Done():
			timer.Stop()
			return nil
		}
		if err := w.recover(ctx); err != nil && ctx.Err() == nil {
			w.log.Warn("a cleanup that was left half done could not be ended yet", "error", err)
		}
	}
}

// engineWatch is one of them.
type engineWatch struct {
	db     *store.DB
	engine *docker.Engine
	hostID string
	tell   func(up bool) // when it came or went
	log    *slog.Logger

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
	}
}

func (w *engineWatch) gone(err error) {
	told := w.known && !w.up
	if w.up {
		w.tell(false)
	}
	w.known, w.up = true, false
	if told {
		return
	}
	w.log.Error("the engine does not answer: nothing is judged until it does", "endpoint", w.engine.Endpoint(), "error", err, "hint",
		cmp.Or(docker.Remedy(err), "start it (systemctl start docker), or give another with --docker-host (of one that was added: docker-watcher hosts edit); this service goes on by itself when it answers"))
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
	w.tell(true)
	w.log.Info("the engine answers", "endpoint", w.engine.Endpoint(), "version", info.Version, "api", info.APIVersion, "containers", info.Containers)
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
