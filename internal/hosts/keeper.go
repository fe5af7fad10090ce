package hosts

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/tiny-forge/docker-watcher/internal/docker"
	"github.com/tiny-forge/docker-watcher/internal/store"
)

// The refusals of this package, each with a reason in its text.
var (
	ErrManaged  = errors.New("it is the host of --docker-host")
	ErrBusy     = errors.New("something is under way on it")
	ErrInUse    = errors.New("something still names it")
	ErrUnusable = errors.New("the host cannot be used as it is given")
)

// By is who changes something, and from where.
type By struct{ Actor, Addr string }

// Keeper changes hosts. It is safe for concurrent use.
type Keeper struct {
	db    *store.DB
	fleet *docker.Fleet
	log   *slog.Logger
	mu    sync.Mutex // a change of the store and the change of the fleet that goes with it are one
}

// New joins its parts; it starts nothing.
func New(db *store.DB, fleet *docker.Fleet, log *slog.Logger) *Keeper {
	return &Keeper{db: db, fleet: fleet, log: log}
}

// Open puts every host in use into the fleet. One that cannot be made an engine of is left out, and told: it must not keep
// the others from being watched.
func (k *Keeper) Open(ctx context.Context) error {
	k.mu.Lock()
	defer k.mu.Unlock()
	all, err := k.db.Hosts(ctx)
	if err != nil {
		return fmt.Errorf("open the hosts: %w", err)
	}
	for _, h := range all {
		if !h.DisabledSince.IsZero() {
			continue
		}
		e, err := k.engineOf(ctx, k.db, h)
		if err != nil {
			k.log.ErrorContext(ctx, "a host cannot be reached as it is written down", "host_id", h.ID, "error", err)
			continue
		}
		k.enter(ctx, h.ID, e)
	}
	return nil
}

// Close takes every host out of the fleet.
func (k *Keeper) Close() error {
	k.mu.Lock()
	defer k.mu.Unlock()
	var errs []error
	for _, id := range k.fleet.HostIDs() {
		if e := k.fleet.Remove(id); e != nil {
			errs = append(errs, e.Close())
		}
	}
	return errors.Join(errs...)
}

// enter puts a host into the fleet, in place of what was there.
func (k *Keeper) enter(ctx context.Context, id string, e *docker.Engine) {
	k.close(ctx, id, k.fleet.Add(id, e))
}

func (k *Keeper) leave(ctx context.Context, id string) { k.close(ctx, id, k.fleet.Remove(id)) }

// close ends the ways of an engine that nobody can come by any more: what it says of that changes nothing.
func (k *Keeper) close(ctx context.Context, id string, e *docker.Engine) {
	if e == nil {
		return
	}
	if err := e.Close(); err != nil {
		k.log.WarnContext(ctx, "the former way to a host was not closed as it should be", "host_id", id, "error", err)
	}
}

// engineOf makes the engine of a host as it is written down.
func (k *Keeper) engineOf(ctx context.Context, q secretsReader, h store.Host) (*docker.Engine, error) {
	secrets, err := q.HostSecrets(ctx, h.ID)
	if err != nil {
		return nil, err
	}
	e, err := k.engine(factsOf(h, secrets))
	if err != nil {
		return nil, fmt.Errorf("prepare the engine of host %s: %w", h.Name, err)
	}
	return e, nil
}

// secretsReader is the store, or a transaction of it.
type secretsReader interface {
	HostSecrets(ctx context.Context, id string) (store.HostSecrets, error)
}

func (k *Keeper) engine(f Facts) (*docker.Engine, error) {
	o := f.options()
	o.Log = k.log
	return docker.New(o)
}

// Create adds a host that was found to be usable, or untested, and puts it to use.
func (k *Keeper) Create(ctx context.Context, f Facts, untested bool, by By) (store.Host, error) {
	f, err := f.checked(true)
	if err != nil {
		return store.Host{}, fmt.Errorf("add a host: %w", err)
	}
	report, err := k.usable(ctx, f, untested, by)
	if err != nil {
		return store.Host{}, fmt.Errorf("add host %s: %w", f.Name, err)
	}
	e, err := k.engine(f)
	if err != nil {
		return store.Host{}, fmt.Errorf("add host %s: %w", f.Name, err)
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	now := time.Now().UTC()
	h := store.Host{
		ID: store.NewID(), Name: f.Name, Endpoint: f.Endpoint, Access: f.access(), CreatedAt: now, UpdatedAt: now, Revision: 1,
		EngineID: report.Info.EngineID, DataRoot: report.Info.DataRoot, EngineVersion: report.Info.Version, APIVersion: report.Info.APIVersion,
		OS: report.Info.OS, Arch: report.Info.Arch, ClockSkew: report.Info.Skew,
	}
	err = k.db.Update(ctx, func(tx *store.Tx) error {
		if err := tx.InsertHost(ctx, h); err != nil {
			return err
		}
		if err := tx.SetHostSecrets(ctx, h.ID, f.secrets()); err != nil {
			return err
		}
		return tx.Emit(ctx, added(h, report, untested, by))
	})
	if err != nil {
		return store.Host{}, errors.Join(fmt.Errorf("add host %s: %w", f.Name, err), e.Close())
	}
	k.enter(ctx, h.ID, e)
	return h, nil
}

func (k *Keeper) facts(ctx context.Context, id string) (store.Host, Facts, error) {
	h, err := k.db.Host(ctx, id)
	if err != nil {
		return h, Facts{}, err
	}
	secrets, err := k.db.HostSecrets(ctx, id)
	return h, factsOf(h, secrets), err
}

// Disable takes a host out of use: it is not asked, not judged and not acted on, which is blind time. A host that is
// disabled already stays so.
func (k *Keeper) Disable(ctx context.Context, id string, by By) error {
	before, err := k.db.Host(ctx, id)
	if err != nil {
		return fmt.Errorf("disable host %s: %w", id, err)
	}
	away, err := k.away(ctx, before)
	if err != nil {
		return fmt.Errorf("disable host %s: %w", before.Name, err)
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	err = k.db.Update(ctx, func(tx *store.Tx) error {
		h, err := tx.Host(ctx, id)
		if err != nil || !h.DisabledSince.IsZero() {
			return err
		}
		left, err := idle(ctx, tx, h, away)
		if err != nil {
			return err
		}
		now := time.Now().UTC()
		if err := tx.SetHostDisabled(ctx, id, now); err != nil {
			return err
		}
		blind := store.BlindInterval{ID: store.NewID(), HostID: id, From: now, Reason: store.BlindDisabled, Detail: "disabled by " + by.Actor}
		if err := tx.OpenBlindInterval(ctx, blind); err != nil {
			return err
		}
		return tx.Emit(ctx, leaving(disabled(h, by), left))
	})
	if err != nil {
		return fmt.Errorf("disable host %s: %w", id, err)
	}
	k.leave(ctx, id)
	return nil
}

// Enable puts a host to use again. Its blind time ends with its next good scan.
func (k *Keeper) Enable(ctx context.Context, id string, by By) error {
	k.mu.Lock()
	defer k.mu.Unlock()
	var e *docker.Engine
	err := k.db.Update(ctx, func(tx *store.Tx) error {
		h, err := tx.Host(ctx, id)
		if err != nil || h.DisabledSince.IsZero() {
			return err
		}
		if e, err = k.engineOf(ctx, tx, h); err != nil {
			return err
		}
		if err := tx.SetHostDisabled(ctx, id, time.Time{}); err != nil {
			return err
		}
		return tx.Emit(ctx, enabled(h, by))
	})
	if err != nil {
		k.close(ctx, id, e)
		return fmt.Errorf("enable host %s: %w", id, err)
	}
	if e != nil {
		k.enter(ctx, id, e)
	}
	return nil
}

// Delete forgets a host that nothing names; nothing on the host itself is touched.
func (k *Keeper) Delete(ctx context.Context, id string, by By) error {
	k.mu.Lock()
	defer k.mu.Unlock()
	err := k.db.Update(ctx, func(tx *store.Tx) error {
		h, err := tx.Host(ctx, id)
		if err != nil {
			return err
		}
		if h.Name == store.LocalHost {
			return fmt.Errorf("%w: disable it, if it is not to be used", ErrManaged)
		}
		now := time.Now()
		use, err := tx.UseOfHost(ctx, id, now)
		if err != nil {
			return err
		}
		if use.Used() {
			return fmt.Errorf("%w: %s", ErrInUse, named(use))
		}
		if err := tx.DeleteHost(ctx, id, now); err != nil {
			return err
		}
		return tx.Emit(ctx, removed(h, by))
	})
	if err != nil {
		return fmt.Errorf("remove host %s: %w", id, err)
	}
	k.leave(ctx, id)
	return nil
}
