package deploy

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"

	"github.com/tiny-forge/docker-watcher/internal/docker"
	"github.com/tiny-forge/docker-watcher/internal/guard"
	"github.com/tiny-forge/docker-watcher/internal/store"
)

// settleStrays ends what a crash left in the middle of a start by hand: instances that are "starting" without a
// deploy. The engine says how they stand. One that is being worked on in this process is left alone. Each host is asked by a
// worker of its own, for an engine may hang.
func (d *Deployer) settleStrays(ctx context.Context, workers *sync.WaitGroup) error {
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
	hosts := map[string][]store.InstanceView{}
	for _, v := range starting {
		if !deploying[v.ID] {
			hosts[v.HostID] = append(hosts[v.HostID], v)
		}
	}
	for host, strays := range hosts {
		if lock := "strays of " + host; d.locks.try(lock) {
			workers.Go(func() {
				defer d.locks.release(lock)
				d.settleAll(ctx, strays)
			})
		}
	}
	return nil
}

// settleAll settles the strays of one host. What cannot be settled is tried again.
func (d *Deployer) settleAll(ctx context.Context, strays []store.InstanceView) {
	for _, v := range strays {
		release, mine := d.Claim(v.ID)
		if !mine {
			continue
		}
		err := guard.Do(d.log, "settle strays", func() error {
			defer release()
			return d.settle(ctx, v)
		})
		if err != nil && ctx.Err() == nil {
			d.log.WarnContext(ctx, "an instance left starting was not settled; trying again", "instance_id", v.ID, "error", err)
		}
	}
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
		open, err := tx.OpenDeploys(ctx)
		if err != nil {
			return err
		}
		taken := slices.ContainsFunc(open, func(dep store.Deploy) bool { return dep.InstanceID == v.ID })
		switch {
		case taken: // by a deploy, meanwhile
			return nil
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
