package stale

import (
	"context"
	"errors"
	"fmt"

	"github.com/tiny-forge/docker-watcher/internal/docker"
	"github.com/tiny-forge/docker-watcher/internal/store"
)

// Remove removes an instance that is not stale, by hand (stops it first when stop is true). It is archived like a
// stale one, by the same steps. A stale one is for the cleanup, which plans first; a pinned one is kept until it is unpinned.
func (c *Cleaner) Remove(ctx context.Context, instanceID, actor string, stop bool) error {
	view, err := c.db.Instance(ctx, instanceID)
	if err != nil {
		return fmt.Errorf("remove instance %s: %w", instanceID, err)
	}
	if err := c.removeByHand(ctx, view, actor, stop); err != nil {
		return fmt.Errorf("remove %s: %w", view.Name, err)
	}
	return nil
}

func (c *Cleaner) removeByHand(ctx context.Context, view store.InstanceView, actor string, stop bool) error {
	if err := removableByHand(view); err != nil {
		return err
	}
	if err := c.stoppedByHand(ctx, view, actor, stop); err != nil {
		return err
	}
	release, ok := c.take(view.ID)
	if !ok {
		return fmt.Errorf("%w: somebody else has it in hand: a deploy, a cleanup, a start or a restart; try again", ErrWrongState)
	}
	defer release()
	r, err := c.prepareByHand(ctx, view.ID, actor)
	if err != nil {
		return err
	}
	err = r.begin(ctx)
	switch {
	case errors.Is(err, errDeploying):
		return fmt.Errorf("%w: %w", ErrWrongState, err)
	case errors.Is(err, store.ErrConflict):
		return fmt.Errorf("%w: it changed meanwhile, look again", ErrWrongState)
	case err != nil:
		return fmt.Errorf("write down the intention: %w", err)
	}
	end := r.sure(ctx, r.run(ctx))
	if err := r.settle(ctx, end); err != nil {
		return err
	}
	return endByHand(end)
}

// removableByHand says why the row alone forbids a removal by hand.
func removableByHand(v store.InstanceView) error {
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
	return nil
}

// stoppedByHand has a process stopped as a person would have it stopped, which is its own act and its own event.
func (c *Cleaner) stoppedByHand(ctx context.Context, view store.InstanceView, actor string, stop bool) error {
	on, err := c.openHostBook().fit(ctx, view.HostID)
	if err != nil {
		return err
	}
	ct, err := inspectIfMade(ctx, on.engine, view.ContainerID, inspect)
	switch {
	case err != nil:
		return fmt.Errorf("ask the engine: %w", err)
	case !runs(ct):
		return nil
	}
	if err := ownable(view.Instance, ct, c.db.InstallationID()); err != nil {
		return err
	}
	if !stop || c.hands.Stop == nil {
		return fmt.Errorf("%w: it is %s: stop it first, or ask for it to be stopped", ErrWrongState, ct.State)
	}
	return c.hands.Stop(ctx, view.ID, actor)
}

// inspectIfMade is zero for a container that is gone, or was never made.
func inspectIfMade(ctx context.Context, e *docker.Engine, id string,
	inspect func(context.Context, *docker.Engine, string) (docker.Container, error),
) (docker.Container, error) {
	if id == "" {
		return docker.Container{}, nil
	}
	ct, err := inspect(ctx, e, id)
	if errors.Is(err, docker.ErrNotFound) {
		return docker.Container{}, nil
	}
	return ct, err
}

func runs(ct docker.Container) bool {
	return ct.State == docker.StateRunning || ct.State == docker.StatePaused || ct.State == docker.StateRestarting
}

// prepareByHand looks at the instance as it is now: that is what the removal is bound to.
func (c *Cleaner) prepareByHand(ctx context.Context, id, actor string) (*removal, error) {
	view, err := c.db.Instance(ctx, id)
	if err != nil {
		return nil, err
	}
	if err := removableByHand(view); err != nil {
		return nil, err
	}
	on, err := c.openHostBook().fit(ctx, view.HostID)
	if err != nil {
		return nil, err
	}
	settings, err := c.db.Settings(ctx)
	if err != nil {
		return nil, fmt.Errorf("read settings: %w", err)
	}
	r := &removal{c: c, on: on, view: view, actor: actor, byPerson: true, settings: settings}
	if r.seen, err = inspectIfMade(ctx, on.engine, view.ContainerID, inspectSized); err != nil {
		return nil, fmt.Errorf("ask the engine: %w", err)
	}
	r.gone = r.seen.ID == ""
	if !r.gone {
		if err := ownable(view.Instance, r.seen, c.db.InstallationID()); err != nil {
			return nil, err
		}
		if runs(r.seen) {
			return nil, fmt.Errorf("%w: it is %s again", ErrWrongState, r.seen.State)
		}
		r.bound = bindingOfContainer(r.seen)
	}
	seen := rejudge(view, r.seen, r.gone, on.engine)
	r.item = planItem(view, seen, on, r.seen, r.gone)
	r.item.Reason = "removed by hand"
	r.bound.loops = r.item.Class == store.ClassCrashLooping // podman calls it exited between two runs
	return r, nil
}

// endByHand is an ending for the person who asked.
func endByHand(end ending) error {
	switch end.result {
	case store.ResultRemoved, store.ResultAlreadyGone:
		return nil
	case store.ResultRevived, store.ResultChanged, store.ResultKept, store.ResultInUse:
		return fmt.Errorf("%w: %s", ErrWrongState, wordsOf(end))
	case store.ResultTimeout, store.ResultError:
	}
	return errors.New(wordsOf(end))
}
