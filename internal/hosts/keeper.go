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
		if err := k.enter(ctx, h); err != nil {
			k.log.ErrorContext(ctx, "a host cannot be reached as it is written down", "host_id", h.ID, "error", err)
		}
	}
	return nil
}

// Close takes every host out of the fleet.
func (k *Keeper) Close() error {
	k.mu.Lock()
	defer k.mu.Unlock()
	var errs []error
	for _, id := range k.fleet.HostIDs() {
		errs = append(errs, k.leave(id))
	}
	return errors.Join(errs...)
}

// enter puts a host into the fleet, in place of what was there.
func (k *Keeper) enter(ctx context.Context, h store.Host) error {
	secrets, err := k.db.HostSecrets(ctx, h.ID)
	if err != nil {
		return err
	}
	e, err := k.engine(factsOf(h, secrets))
	if err != nil {
		return fmt.Errorf("prepare the engine of host %s: %w", h.Name, err)
	}
	return closed(k.fleet.Add(h.ID, e))
}

func (k *Keeper) leave(id string) error { return closed(k.fleet.Remove(id)) }

func closed(e *docker.Engine) error {
	if e == nil {
		return nil
	}
	return e.Close()
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
		return store.Host{}, fmt.Errorf("add host %s: %w", f.Name, err)
	}
	return h, k.entered(ctx, h)
}

// entered is enter after the change itself is done.
func (k *Keeper) entered(ctx context.Context, h store.Host) error {
	if err := k.enter(context.WithoutCancel(ctx), h); err != nil {
		return fmt.Errorf("host %s was changed, but is not in use: %w", h.Name, err)
	}
	return nil
}

// Update changes what people say of a host, if its revision is still the one given. Of how it is reached, only while nothing is
// under way on it.
func (k *Keeper) Update(ctx context.Context, id string, revision int64, c Change, untested bool, by By) (store.Host, error) {
	h, former, err := k.facts(ctx, id)
	if err != nil {
		return h, err
	}
	if h.Name == store.LocalHost {
		return h, fmt.Errorf("change host %s: %w: change the flag and start the daemon anew", h.Name, ErrManaged)
	}
	f, err := former.with(c).checked(true)
	if err != nil {
		return h, fmt.Errorf("change host %s: %w", h.Name, err)
	}
	rerouted := f
	rerouted.Name = former.Name
	moved := rerouted != former
	var report Report
	if moved {
		if report, err = k.usable(ctx, f, untested || !h.DisabledSince.IsZero(), by); err != nil {
			return h, fmt.Errorf("change host %s: %w", h.Name, err)
		}
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	before := h
	h.Name, h.Endpoint, h.Access, h.Revision = f.Name, f.Endpoint, f.access(), revision
	err = k.db.Update(ctx, func(tx *store.Tx) error {
		if moved {
			if err := idle(ctx, tx, before); err != nil {
				return err
			}
		}
		if err := tx.SetHostAccess(ctx, h); err != nil {
			return err
		}
		if err := tx.SetHostSecrets(ctx, id, f.secrets()); err != nil {
			return err
		}
		if before.Endpoint != h.Endpoint {
			if err := freezeUnlessSame(ctx, tx, before, report); err != nil {
				return err
			}
		}
		return tx.Emit(ctx, changed(before, h, former, f, by))
	})
	if err != nil {
		return before, fmt.Errorf("change host %s: %w", before.Name, err)
	}
	if moved && h.DisabledSince.IsZero() {
		return h, k.entered(ctx, h)
	}
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

// idle is ErrBusy while something is under way on a host that would be torn from it.
func idle(ctx context.Context, tx *store.Tx, h store.Host) error {
	use, err := tx.UseOfHost(ctx, h.ID, time.Now())
	if err != nil {
		return err
	}
	if use.Busy() {
		return fmt.Errorf("%w: %s; wait until that has ended", ErrBusy, underWay(use))
	}
	return nil
}

// Disable takes a host out of use: it is not asked, not judged and not acted on, which is blind time. A host that is
// disabled already stays so.
func (k *Keeper) Disable(ctx context.Context, id string, by By) error {
	k.mu.Lock()
	defer k.mu.Unlock()
	err := k.db.Update(ctx, func(tx *store.Tx) error {
		h, err := tx.Host(ctx, id)
		if err != nil || !h.DisabledSince.IsZero() {
			return err
		}
		if err := idle(ctx, tx, h); err != nil {
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
		return tx.Emit(ctx, disabled(h, by))
	})
	if err != nil {
		return fmt.Errorf("disable host %s: %w", id, err)
	}
	return k.leave(id)
}

// Enable puts a host to use again. Its blind time ends with its next good scan.
func (k *Keeper) Enable(ctx context.Context, id string, by By) error {
	k.mu.Lock()
	defer k.mu.Unlock()
	var h store.Host
	was := false
	err := k.db.Update(ctx, func(tx *store.Tx) (err error) {
		if h, err = tx.Host(ctx, id); err != nil || h.DisabledSince.IsZero() {
			return err
		}
		was = true
		if err := tx.SetHostDisabled(ctx, id, time.Time{}); err != nil {
			return err
		}
		return tx.Emit(ctx, enabled(h, by))
	})
	if err != nil {
		return fmt.Errorf("enable host %s: %w", id, err)
	}
	if !was {
		return nil
	}
	return k.entered(ctx, h)
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
	return k.leave(id)
}

// freezeUnlessSame freezes a host that is reached elsewhere from now on, unless that was seen to be the same engine: an engine that
// knows none of ours would have them all look gone. Engines that do not say who they are, such as podman, cannot be told apart.
func freezeUnlessSame(ctx context.Context, tx *store.Tx, before store.Host, report Report) error {
	same := report.OK() && report.Info.EngineID != "" && report.Info.EngineID == before.EngineID && report.Info.DataRoot == before.DataRoot
	if same || before.LastScanAt.IsZero() {
		return nil
	}
	host, err := tx.Host(ctx, before.ID)
	if err != nil {
		return err
	}
	host.FrozenSince, host.FrozenReason = time.Now().UTC(), store.FrozenEngineChanged
	return tx.UpdateHost(ctx, host)
}
