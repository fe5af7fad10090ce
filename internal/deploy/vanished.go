package deploy

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/tiny-forge/docker-watcher/internal/store"
)

// vanished tells that what a deploy needs is not there any more, and what to do; empty: it is. A host out of use comes back perhaps, so
// that only what has nothing on it yet ends.
func (d *Deployer) vanished(ctx context.Context, dep store.Deploy) (why, advice string, err error) {
	_, err = d.db.Instance(ctx, dep.InstanceID)
	switch {
	case errors.Is(err, store.ErrNotFound) && dep.Kind == store.DeployRollback && dep.State == store.DeployQueued:
		return "what was to be gone back to was removed meanwhile", "choose another to go back to, or restore it from its archive", nil
	case errors.Is(err, store.ErrNotFound):
		return "its instance was removed meanwhile", "deploy again", nil
	case err != nil:
		return "", "", fmt.Errorf("read instance %s: %w", dep.InstanceID, err)
	}
	host, err := d.db.Host(ctx, dep.HostID)
	switch {
	case errors.Is(err, store.ErrNotFound):
		return "its host was removed", "give the stage another host, then deploy again", nil
	case err != nil:
		return "", "", fmt.Errorf("read host %s: %w", dep.HostID, err)
	case !host.DisabledSince.IsZero() && (dep.State == store.DeployQueued || dep.State == store.DeployPulling):
		return "host " + host.Name + " is out of use", "enable the host, then deploy again", nil
	}
	return "", "", nil
}

// failVanished ends a deploy that can neither go on nor be tidied up on an engine. A row that was to become an instance and has no
// container is forgotten with it.
func (d *Deployer) failVanished(ctx context.Context, dep store.Deploy, why, advice string) error {
	unmade := dep.State == store.DeployPulling || dep.State == store.DeployQueued && dep.Kind == store.DeployForward
	dep.State, dep.EndedAt, dep.Error = store.DeployFailed, time.Now().UTC(), why+": "+advice
	err := d.db.Update(ctx, func(tx *store.Tx) error {
		if err := tx.UpdateDeploy(ctx, dep); err != nil {
			return err
		}
		if _, err := tx.Instance(ctx, dep.InstanceID); unmade && err == nil {
			if err := tx.ForgetInstance(ctx, dep.InstanceID); err != nil {
				return err
			}
		}
		return tellEnd(ctx, tx, dep, store.SeverityError, fmt.Sprintf("deploy of %s failed: %s", reference(dep.Image, dep.ImageTag), dep.Error),
			map[string]any{"reason": why, "advice": advice})
	})
	if err != nil {
		return fmt.Errorf("write down that the deploy failed (%s): %w", why, err)
	}
	d.newTeller(dep).state(dep)
	return nil
}
