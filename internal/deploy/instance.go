package deploy

import (
	"context"
	"fmt"

	"github.com/tiny-forge/docker-watcher/internal/docker"
	"github.com/tiny-forge/docker-watcher/internal/store"
)

// target is an instance that is acted on, as the engine says it stands now.
type target struct {
	eng  *docker.Engine
	view store.InstanceView
	now  docker.Container
}

// StartInstance starts a stopped instance and lets a paused one go on; ErrWrongState says what the state is.
func (d *Deployer) StartInstance(ctx context.Context, id, actor string) error {
	return d.act(ctx, id, "start", func(t target) error {
		told := store.Event{Kind: "instance.started", Actor: actor, Message: t.view.Name + " was started"}
		switch t.now.State {
		case docker.StateCreated, docker.StateExited:
			return d.startStopped(ctx, t, told)
		case docker.StatePaused:
			if err := t.eng.Unpause(ctx, d.owned(t.view.Instance)); err != nil {
				return err
			}
			told.Message = t.view.Name + " goes on after its pause"
			return d.wanted(ctx, t, store.IntendedRunning, func() error { return d.recordStarted(ctx, t.eng, t.view, told) })
		default:
			return wrongState(t, "it can be started only when stopped or paused")
		}
	})
}

// startStopped goes by way of "starting", which keeps scan and cleanup away until the engine has answered.
func (d *Deployer) startStopped(ctx context.Context, t target, told store.Event) error {
	if t.view.Status.CanBecome(store.StatusStarting) {
		err := d.record(ctx, t.eng, t.view.ID, func(_ *store.Tx, _ store.InstanceView, i *store.Instance) error {
			i.Status = store.StatusStarting
			return nil
		})
		if err != nil {
			return err
		}
	}
	return d.wanted(ctx, t, store.IntendedRunning, func() error {
		d.comeBackAsAsked(ctx, t)
		err := d.startContainer(ctx, t.eng, t.view, told)
		if err == nil {
			return nil
		}
		if _, back := d.look(ctx, t); back != nil {
			d.log.WarnContext(ctx, "instance whose start failed could not be looked at; trying again", "instance_id", t.view.ID, "error", back)
		}
		return err
	})
}

// StopInstance stops one that has a process. Its restart policy does not bring it back.
func (d *Deployer) StopInstance(ctx context.Context, id, actor string) error {
	return d.act(ctx, id, "stop", func(t target) error {
		if !hasProcess(t.now) {
			return wrongState(t, "there is nothing to stop")
		}
		_, err := d.stopByHand(ctx, t, actor)
		return err
	})
}

func (d *Deployer) stopByHand(ctx context.Context, t target, actor string) (docker.Container, error) {
	var after docker.Container
	err := d.wanted(ctx, t, store.IntendedStopped, func() (err error) {
		after, err = d.stopContainer(ctx, t.eng, t.view, store.Event{
			Kind: "instance.stopped", Actor: actor, Message: t.view.Name + " was stopped",
		})
		return err
	})
	return after, err
}

// RestartInstance stops and starts one, or starts one that was stopped.
func (d *Deployer) RestartInstance(ctx context.Context, id, actor string) error {
	return d.act(ctx, id, "restart", func(t target) error {
		switch t.now.State {
		case docker.StateRunning, docker.StateRestarting, docker.StateExited, docker.StateCreated:
		default:
			return wrongState(t, "it can be restarted only when running or stopped")
		}
		spec, err := d.db.InstanceSpec(ctx, t.view.ID)
		if err != nil {
			return fmt.Errorf("read spec: %w", err)
		}
		if !hasProcess(t.now) {
			d.comeBackAsAsked(ctx, t)
		}
		if err := t.eng.Restart(ctx, d.owned(t.view.Instance), graceOf(spec)); err != nil {
			return err
		}
		told := store.Event{Kind: "instance.restarted", Actor: actor, Message: t.view.Name + " was restarted"}
		return d.wanted(ctx, t, store.IntendedRunning, func() error { return d.recordStarted(ctx, t.eng, t.view, told) })
	})
}

// Claim keeps the deployer's hands off an instance until release is called. ok is false while a deploy or a
// person's start, stop, restart or removal is at it.
func (d *Deployer) Claim(id string) (release func(), ok bool) {
	if !d.locks.try(id) {
		return nil, false
	}
	return func() { d.locks.release(id) }, true
}

// act does one thing to one instance that nobody else is working on, with the engine's word on how it stands.
func (d *Deployer) act(ctx context.Context, id, verb string, do func(target) error) error {
	if !d.locks.try(id) {
		return fmt.Errorf("%s instance %s: %w: something else is being done to it, try again", verb, id, ErrBusy)
	}
	defer d.locks.release(id)
	t := target{}
	var err error
	if t.view, err = d.db.Instance(ctx, id); err != nil {
		return fmt.Errorf("%s instance %s: %w", verb, id, err)
	}
	if err = d.free(ctx, t.view); err == nil {
		t, err = d.look(ctx, t)
	}
	if err == nil {
		err = do(t)
	}
	if err != nil {
		return fmt.Errorf("%s %s: %w", verb, t.view.Name, err)
	}
	return nil
}

// free refuses an instance that a deploy or a cleanup has in its hands.
func (d *Deployer) free(ctx context.Context, v store.InstanceView) error {
	switch {
	case v.Status == store.StatusRemoving:
		return fmt.Errorf("%w: it is being removed", ErrWrongState)
	case v.Status == store.StatusMissing:
		return fmt.Errorf("%w: it is missing: its container is gone from the engine; deploy again", ErrWrongState)
	case v.Status.Deploying():
		return fmt.Errorf("%w: it is %s: a deploy is bringing it up", ErrWrongState, v.Status)
	case v.ContainerID == "":
		return fmt.Errorf("%w: it is %s and has no container: deploy again", ErrWrongState, v.Status)
	}
	return d.notDeploying(ctx, v)
}

func (d *Deployer) notDeploying(ctx context.Context, v store.InstanceView) error {
	open, err := d.db.OpenDeploys(ctx)
	if err != nil {
		return fmt.Errorf("read open deploys: %w", err)
	}
	for _, dep := range open {
		if dep.InstanceID == v.ID || dep.Replaces == v.ID {
			return fmt.Errorf("%w: a deploy of %s/%s that concerns it is %s; wait until it ends", ErrBusy, v.Project, v.Stage, dep.State)
		}
	}
	return nil
}

// look asks the engine how the instance stands and writes it down if that is news.
func (d *Deployer) look(ctx context.Context, t target) (target, error) {
	var err error
	if t.eng, err = d.fleet.Engine(t.view.HostID); err != nil {
		return t, fmt.Errorf("host %s: %w", t.view.Host, err)
	}
	if t.now, err = t.eng.Inspect(ctx, t.view.ContainerID); err != nil {
		return t, fmt.Errorf("ask the engine: %w", err)
	}
	now := t.eng.Now()
	err = d.record(ctx, t.eng, t.view.ID, func(_ *store.Tx, _ store.InstanceView, i *store.Instance) error {
		if i.Status != statusOf(t.now.State) && (i.Status != store.StatusFailed || hasProcess(t.now)) {
			observe(i, t.now, now)
		}
		return nil
	})
	return t, err
}

// wanted notes what is asked of an instance before it is done.
func (d *Deployer) wanted(ctx context.Context, t target, want store.Intended, do func() error) error {
	err := d.db.Update(ctx, func(tx *store.Tx) error { return tx.SetIntended(ctx, t.view.ID, want) })
	if err != nil {
		return fmt.Errorf("note that it is to be %s: %w", want, err)
	}
	return do()
}

func hasProcess(c docker.Container) bool {
	return c.State == docker.StateRunning || c.State == docker.StatePaused || c.State == docker.StateRestarting
}

func wrongState(t target, why string) error {
	return fmt.Errorf("%w: it is %s: %s", ErrWrongState, t.now.State, why)
}
