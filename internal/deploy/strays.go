package deploy

import (
	"context"
	"errors"
	"fmt"

	"github.com/tiny-forge/docker-watcher/internal/docker"
	"github.com/tiny-forge/docker-watcher/internal/store"
)

// settleStrays ends what a crash left in the middle of a start by hand: instances that are "starting" without a
// deploy. The engine says how they stand. One that is being worked on in this process is left alone.
func (d *Deployer) settleStrays(ctx context.Context) error {
	starting, _, err := d.db.Instances(ctx, store.InstanceFilter{Statuses: []store.Status{store.StatusStarting}}, store.Page{Limit: 1000})
	if err != nil {
		return fmt.Errorf("find instances left starting: %w", err)
	}
	if len(starting) == 0 {
		return nil
	}
	open, err := d.db.OpenDeploys(ctx)
	if err != nil {
		return fmt.Errorf("read open deploys: %w", err)
	}
	deploying := map[string]bool{}
	for _, dep := range open {
		deploying[dep.InstanceID] = true
	}
	var all []error
	for _, v := range starting {
		if deploying[v.ID] || !d.locks.try(v.ID) {
			continue
		}
		all = append(all, d.settle(ctx, v))
		d.locks.release(v.ID)
	}
	return errors.Join(all...)
}

func (d *Deployer) settle(ctx context.Context, v store.InstanceView) error {
	eng, err := d.fleet.Engine(v.HostID)
	if err != nil {
		return fmt.Errorf("host of %s: %w", v.Name, err)
	}
	c, err := eng.Inspect(ctx, v.ContainerID)
	gone := errors.Is(err, docker.ErrNotFound)
	if err != nil && !gone {
		return fmt.Errorf("look at %s: %w", v.Name, err)
	}
	now := eng.Now()
	return d.record(ctx, eng, v.ID, func(tx *store.Tx, was store.InstanceView, i *store.Instance) error {
		switch {
		case was.Status != store.StatusStarting:
			return nil // somebody was faster
		case gone:
			i.Status, i.Class = store.StatusMissing, store.ClassMissing
		case c.State == docker.StateRunning:
			alive(i, c, now)
		default:
			observe(i, c, now)
		}
		return tx.Emit(ctx, instanceEvent(was, store.Event{
			Kind: "instance.status", Actor: "system",
			Message: fmt.Sprintf("%s is %s: docker-watcher ended while it was being started", was.Name, i.Status),
		}))
	})
}
