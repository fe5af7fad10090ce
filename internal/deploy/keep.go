package deploy

import (
	"context"
	"errors"
	"fmt"
	"slices"

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
	same, err := d.keptAlready(ctx, stage)
	if err == nil && !same {
		err = d.db.Update(ctx, func(tx *store.Tx) error {
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
	}
	if err != nil {
		return fmt.Errorf("mark what stage %s keeps for rollback: %w", stage.Name, err)
	}
	return nil
}

// keptAlready tells that what is marked is what the policy wants, so that nothing has to be written.
func (d *Deployer) keptAlready(ctx context.Context, stage store.Stage) (bool, error) {
	want, err := keptOf(ctx, d.db, stage, "")
	if err != nil {
		return false, err
	}
	marked, err := d.db.RollbackKept(ctx, stage.ID)
	slices.Sort(want)
	return err == nil && slices.Equal(want, marked), err
}

// former is what the good ones are found in: the store, or a transaction that also marks them.
type former interface {
	history
	Policies(ctx context.Context, stageIDs ...string) (map[string]store.PolicyInForce, error)
	Instance(ctx context.Context, id string) (store.InstanceView, error)
}

// keptOf are the instances that a stage keeps by its policy. Live is the one that serves; empty: that of its last good deploy.
func keptOf(ctx context.Context, in former, stage store.Stage, live string) ([]string, error) {
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

// goodOnes are those whose deploy was done and whose container is still there, but for the one that serves: first those that a
// rollback would go back to, one after the other, then those that were rolled back from. One that has a process, as where another
// container was adopted into the stage beside it, is kept and takes no place of theirs: nobody can go back to it now.
func goodOnes(ctx context.Context, in former, stage store.Stage, live string, most int) (keep []string, err error) {
	if stage.Strategy == store.StrategyParallel {
		return nil, nil // there is nothing to go back to: what ended may become stale
	}
	good, err := goodDeploys(ctx, in, stage)
	if err != nil {
		return nil, err
	}
	line, left := lineage(good)
	if live == "" && len(line) > 0 {
		live = line[0]
	}
	places := most
	for _, id := range slices.Concat(line, left) {
		if places == 0 {
			break
		}
		if id == live || slices.Contains(keep, id) {
			continue
		}
		v, err := in.Instance(ctx, id)
		if err != nil && !errors.Is(err, store.ErrNotFound) {
			return nil, fmt.Errorf("read former instance %s: %w", id, err)
		}
		switch {
		case err != nil: // it is gone
		case v.Status == store.StatusStopped:
			keep = append(keep, id)
			places--
		case lives(v):
			keep = append(keep, id)
		default: // the others have no container to go back to
		}
	}
	return keep, nil
}
