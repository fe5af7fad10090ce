package deploy

import (
	"context"
	"errors"
	"fmt"

	"github.com/tiny-forge/docker-watcher/internal/store"
)

// KeepForRollback marks anew which former instances each stage keeps, as its policy says now: a policy may have changed since
// the last deploy. A stage with a deploy under way is left to the end of that.
func (d *Deployer) KeepForRollback(ctx context.Context) error {
	stages, err := d.db.Stages(ctx, "")
	if err != nil {
		return fmt.Errorf("list the stages: %w", err)
	}
	var errs []error
	for _, s := range stages {
		errs = append(errs, d.keepAnew(ctx, s))
	}
	return errors.Join(errs...)
}

func (d *Deployer) keepAnew(ctx context.Context, stage store.Stage) error {
	err := d.db.Update(ctx, func(tx *store.Tx) error {
		open, err := tx.OpenDeploys(ctx)
		if err != nil {
			return err
		}
		for _, dep := range open {
			if dep.StageID == stage.ID {
				return nil
			}
		}
		keep, err := keptOf(ctx, tx, stage, "")
		if err != nil {
			return err
		}
		return tx.SetRollbackKept(ctx, stage.ID, keep)
	})
	if err != nil {
		return fmt.Errorf("mark what stage %s keeps for rollback: %w", stage.Name, err)
	}
	return nil
}

// history is what the good ones are found in: the store, or a transaction that also marks them.
type history interface {
	Policies(ctx context.Context, stageIDs ...string) (map[string]store.PolicyInForce, error)
	Deploys(ctx context.Context, projectID, stageID string, page store.Page) ([]store.Deploy, string, error)
	Instance(ctx context.Context, id string) (store.InstanceView, error)
}

// keptOf are the instances that a stage keeps by its policy. Live is the one that serves; empty: that of its last good deploy.
func keptOf(ctx context.Context, in history, stage store.Stage, live string) ([]string, error) {
	policies, err := in.Policies(ctx, stage.ID)
	if err != nil {
		return nil, fmt.Errorf("read how many stage %s keeps for rollback: %w", stage.Name, err)
	}
	return goodOnes(ctx, in, stage, live, policies[stage.ID].KeepLast)
}

// GoodOnes are the ids of the last good former instances of a stage, newest first, at most so many: those that it would
// keep for a rollback.
func (d *Deployer) GoodOnes(ctx context.Context, stageID string, most int) ([]string, error) {
	stage, err := d.db.Stage(ctx, stageID)
	if err != nil {
		return nil, err
	}
	return goodOnes(ctx, d.db, stage, "", most)
}

// goodOnes are those whose deploy was done and whose container is still there, but for the one that serves.
func goodOnes(ctx context.Context, in history, stage store.Stage, live string, most int) ([]string, error) {
	if stage.Strategy == store.StrategyParallel {
		return nil, nil // there is nothing to go back to: what ended may become stale
	}
	var keep []string
	seen := map[string]bool{live: true}
	for page := (store.Page{Limit: 200}); len(keep) < most; {
		deploys, next, err := in.Deploys(ctx, stage.ProjectID, stage.ID, page)
		if err != nil {
			return nil, fmt.Errorf("read the deploys of stage %s: %w", stage.Name, err)
		}
		for _, dep := range deploys {
			if dep.State != store.DeployDone || seen[dep.InstanceID] || len(keep) == most {
				continue
			}
			seen[dep.InstanceID] = true
			if live == "" {
				live = dep.InstanceID
				continue
			}
			good, err := stillThere(ctx, in, dep.InstanceID)
			if err != nil {
				return nil, err
			}
			if good {
				keep = append(keep, dep.InstanceID)
			}
		}
		if next == "" {
			return keep, nil
		}
		page.Cursor = next
	}
	return keep, nil
}

func stillThere(ctx context.Context, in history, id string) (bool, error) {
	inst, err := in.Instance(ctx, id)
	switch {
	case errors.Is(err, store.ErrNotFound):
		return false, nil
	case err != nil:
		return false, fmt.Errorf("read former instance %s: %w", id, err)
	}
	switch inst.Status {
	case store.StatusRunning, store.StatusStopped, store.StatusPaused, store.StatusRestarting:
		return true, nil
	default: // the others have no container to go back to
		return false, nil
	}
}
