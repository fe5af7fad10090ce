package hosts

import (
	"context"
	"fmt"

	"github.com/tiny-forge/docker-watcher/internal/store"
)

// Unusable is an ErrUnusable with all that the test found.
type Unusable struct{ Report Report }

func (u *Unusable) Error() string { return ErrUnusable.Error() + ": " + u.Report.Error }

// Unwrap says what kind of error it is.
func (u *Unusable) Unwrap() error { return ErrUnusable }

// Try tests facts that are not kept.
func (k *Keeper) Try(ctx context.Context, f Facts, by By) (Report, error) {
	f, err := f.checked(false)
	if err != nil {
		return Report{}, fmt.Errorf("test a host: %w", err)
	}
	return k.try(ctx, "", f, by)
}

// Test tests a host as it is, or as a change would make it. A disabled one can be tested too.
func (k *Keeper) Test(ctx context.Context, id string, c Change, by By) (Report, error) {
	h, f, err := k.facts(ctx, id)
	if err != nil {
		return Report{}, err
	}
	if h.Name == store.LocalHost && !c.Empty() {
		return Report{}, fmt.Errorf("test host %s otherwise: %w", h.Name, ErrManaged)
	}
	if f, err = f.with(c).checked(false); err != nil {
		return Report{}, fmt.Errorf("test host %s: %w", h.Name, err)
	}
	return k.try(ctx, id, f, by)
}

// usable is the report of a test that was passed, or an Unusable; of an untested host it is empty.
func (k *Keeper) usable(ctx context.Context, f Facts, untested bool, by By) (Report, error) {
	if untested {
		return Report{}, nil
	}
	r, err := k.try(ctx, "", f, by)
	if err == nil && !r.OK() {
		err = &Unusable{r}
	}
	return r, err
}

// try asks by an engine of its own, so that what is in use is not touched, and tells of it.
func (k *Keeper) try(ctx context.Context, hostID string, f Facts, by By) (r Report, err error) {
	e, err := k.engine(f)
	if err != nil {
		return r, fmt.Errorf("prepare the engine: %w", err)
	}
	r = examine(ctx, e, k.db.InstallationID())
	if err := e.Close(); err != nil {
		return r, err
	}
	if err := ctx.Err(); err != nil {
		return r, err // who asked has left
	}
	if r.SameAs, err = k.sameAs(ctx, hostID, r); err != nil {
		return r, err
	}
	err = k.db.Update(ctx, func(tx *store.Tx) error { return tx.Emit(ctx, tested(hostID, f, r, by)) })
	if err != nil {
		return r, fmt.Errorf("write that host %s was tested: %w", f.Name, err)
	}
	return r, nil
}

// sameAs are the hosts that seem to be the same engine. They need not be: machines that were cloned share their ids.
func (k *Keeper) sameAs(ctx context.Context, hostID string, r Report) ([]string, error) {
	all, err := k.db.Hosts(ctx)
	if err != nil {
		return nil, fmt.Errorf("compare it with the known hosts: %w", err)
	}
	var names []string
	for _, h := range all {
		if h.ID != hostID && r.Info.EngineID != "" && h.EngineID == r.Info.EngineID && h.DataRoot == r.Info.DataRoot {
			names = append(names, h.Name)
		}
	}
	return names, nil
}
