package deploy

import (
	"context"
	"fmt"

	"github.com/tiny-forge/docker-watcher/internal/docker"
	"github.com/tiny-forge/docker-watcher/internal/store"
)

// The policy "always" has an engine that starts bring back also what was stopped, on whose host ports another one may serve by
// then. "unless-stopped" is the same in all else.
const (
	comesBack    = "always"
	staysStopped = "unless-stopped"
)

// stayStopped sees to it that a container that is stopped for good is not brought back when its engine starts.
func (d *Deployer) stayStopped(ctx context.Context, eng *docker.Engine, i store.Instance) error {
	return d.changeRestart(ctx, eng, i, comesBack, staysStopped)
}

// restartAsAsked takes back stayStopped, of one that is to serve again and was made to come back always.
func (d *Deployer) restartAsAsked(ctx context.Context, eng *docker.Engine, i store.Instance, spec store.Spec) error {
	if spec.Restart != comesBack {
		return nil
	}
	return d.changeRestart(ctx, eng, i, staysStopped, comesBack)
}

func (d *Deployer) changeRestart(ctx context.Context, eng *docker.Engine, i store.Instance, from, to string) error {
	c, err := eng.Inspect(ctx, i.ContainerID)
	if err != nil {
		return fmt.Errorf("look at the restart policy of %s: %w", i.Name, err)
	}
	if c.RestartPolicy != from {
		return nil
	}
	return eng.SetRestart(ctx, d.owned(i), to)
}

// stayDown is stayStopped of a deploy, which does not fail for it: some engines cannot change the policy of a container.
func (r *rollout) stayDown(ctx context.Context, i store.Instance) {
	if err := r.stayStopped(ctx, r.eng, i); err != nil {
		r.tell.note(ctx, fmt.Sprintf("%s keeps its restart policy, and may be started by its engine when that starts: %v", i.Name, err))
	}
}

// comeBackAsAsked is restartAsAsked of what a person starts, which does not fail for it.
func (d *Deployer) comeBackAsAsked(ctx context.Context, t target) {
	spec, err := d.db.InstanceSpec(ctx, t.view.ID)
	if err == nil {
		err = d.restartAsAsked(ctx, t.eng, t.view.Instance, spec)
	}
	if err != nil {
		d.log.WarnContext(ctx, "an instance that is started keeps the restart policy of one that is stopped", "instance_id", t.view.ID, "error", err)
	}
}
