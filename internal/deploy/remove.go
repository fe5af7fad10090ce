package deploy

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/tiny-forge/docker-watcher/internal/docker"
	"github.com/tiny-forge/docker-watcher/internal/store"
)

// RemoveInstance removes one that is not stale (stops it first when stop is true; else ErrWrongState while it runs).
// Volumes stay. A stale one is for the cleanup, which plans first; a pinned one is kept until it is unpinned.
func (d *Deployer) RemoveInstance(ctx context.Context, id, actor string, stop bool) error {
	if !d.locks.try(id) {
		return fmt.Errorf("remove instance %s: %w: something else is being done to it, try again", id, ErrBusy)
	}
	defer d.locks.release(id)
	v, err := d.db.Instance(ctx, id)
	if err != nil {
		return fmt.Errorf("remove instance %s: %w", id, err)
	}
	if err := d.remove(ctx, v, actor, stop); err != nil {
		return fmt.Errorf("remove %s: %w", v.Name, err)
	}
	return nil
}

func (d *Deployer) remove(ctx context.Context, v store.InstanceView, actor string, stop bool) error {
	if err := d.removable(ctx, v); err != nil {
		return err
	}
	eng, err := d.fleet.Engine(v.HostID)
	if err != nil {
		return fmt.Errorf("host %s: %w", v.Host, err)
	}
	t, err := d.stopped(ctx, target{eng: eng, view: v}, actor, stop)
	if err != nil {
		return err
	}
	// What was read above may have moved by our own records: the intention is bound to the row as it is now.
	if v, err = d.db.Instance(ctx, v.ID); err != nil {
		return err
	}
	return d.removeStopped(ctx, eng, v, t.now, actor)
}

func (d *Deployer) removable(ctx context.Context, v store.InstanceView) error {
	switch {
	case v.Status == store.StatusRemoving:
		return fmt.Errorf("%w: it is being removed already", ErrWrongState)
	case v.Status.Deploying():
		return fmt.Errorf("%w: it is %s: a deploy is bringing it up", ErrWrongState, v.Status)
	case !v.StaleSince.IsZero():
		return fmt.Errorf("%w: it is stale: use the cleanup, which shows a plan first", ErrWrongState)
	case !v.PinnedAt.IsZero():
		return fmt.Errorf("%w: it is pinned by %s: unpin it first", ErrWrongState, v.PinnedBy)
	}
	return d.notDeploying(ctx, v)
}

// stopped makes sure that the container has no process. One that is gone already is zero.
func (d *Deployer) stopped(ctx context.Context, t target, actor string, stop bool) (target, error) {
	if t.view.ContainerID == "" {
		return t, nil
	}
	var err error
	t.now, err = t.eng.Inspect(ctx, t.view.ContainerID)
	switch {
	case errors.Is(err, docker.ErrNotFound):
		t.now = docker.Container{}
		return t, nil
	case err != nil:
		return t, fmt.Errorf("ask the engine: %w", err)
	case !hasProcess(t.now):
		return t, nil
	case !stop:
		return t, wrongState(t, "stop it first, or ask for it to be stopped")
	}
	t.now, err = d.stopByHand(ctx, t, actor)
	return t, err
}

// removeStopped goes by the intention row, so that after a crash the cleaner's recovery finishes it or takes it back.
func (d *Deployer) removeStopped(ctx context.Context, eng *docker.Engine, v store.InstanceView, c docker.Container, actor string) error {
	now := time.Now().UTC()
	intent := store.Removal{
		InstanceID: v.ID, HostID: v.HostID, ContainerID: v.ContainerID, Former: v.Status, Step: store.RemovalIntended,
		StartedAt: c.StartedAt, FinishedAt: c.FinishedAt, RestartCount: c.RestartCount, Labels: c.Labels,
		Actor: actor, CreatedAt: now, UpdatedAt: now,
	}
	err := d.db.Update(ctx, func(tx *store.Tx) error {
		if err := tx.BeginRemoval(ctx, intent, v.Revision); err != nil {
			return err
		}
		return tx.SetRemovalStep(ctx, v.ID, store.RemovalDeleting)
	})
	if errors.Is(err, store.ErrConflict) {
		return fmt.Errorf("%w: it changed meanwhile, look again", ErrWrongState)
	} else if err != nil {
		return fmt.Errorf("write down the intention: %w", err)
	}
	// From here on the intention must be ended, also when the caller has gone.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), cleanFor)
	defer cancel()
	if c.ID != "" {
		if err := eng.Remove(ctx, d.owned(v.Instance)); err != nil && !errors.Is(err, docker.ErrNotFound) {
			return errors.Join(removeRefused(err), d.takeBack(ctx, v.ID))
		}
	}
	err = d.db.Update(ctx, func(tx *store.Tx) error {
		if err := tx.FinishRemoval(ctx, v.ID); errors.Is(err, store.ErrNotFound) {
			return nil // the cleaner's recovery found the intention and was faster
		} else if err != nil {
			return err
		}
		return tx.Emit(ctx, instanceEvent(v, store.Event{
			Kind: "instance.removed", Actor: actor, Message: v.Name + " was removed; its volumes stay",
		}))
	})
	if err != nil {
		return fmt.Errorf("write down that it is removed: %w", err)
	}
	return nil
}

func removeRefused(err error) error {
	if errors.Is(err, docker.ErrConflict) {
		return fmt.Errorf("%w: it was started again or is being removed by somebody else: %w", ErrWrongState, err)
	}
	return err
}

func (d *Deployer) takeBack(ctx context.Context, id string) error {
	err := d.db.Update(ctx, func(tx *store.Tx) error { return tx.TakeBackRemoval(ctx, id) })
	if err != nil && !errors.Is(err, store.ErrNotFound) { // the cleaner's recovery may have been faster
		return fmt.Errorf("take the removal back: %w", err)
	}
	return nil
}
