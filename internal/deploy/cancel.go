package deploy

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/tiny-forge/docker-watcher/internal/docker"
	"github.com/tiny-forge/docker-watcher/internal/failpoint"
	"github.com/tiny-forge/docker-watcher/internal/store"
)

// abandon ends a deploy that was cancelled. A container that never ran is taken away, and its row with it; one that ran may have
// written something, so that it stays, stopped, as that of a failed deploy does. What served before serves on. An error means
// that it could not be done now and the deploy is still open.
func (r *rollout) abandon(ctx context.Context) error {
	if r.inst.ContainerID == "" && (r.dep.State == store.DeployStarting || r.dep.State == store.DeployChecking) {
		if err := r.findContainer(ctx); err != nil {
			return err
		}
	}
	var troubles []string
	last, stays, err := r.takeAway(ctx)
	if err != nil {
		if errors.Is(err, docker.ErrUnavailable) || errors.Is(err, docker.ErrTimeout) {
			return err
		}
		troubles = append(troubles, err.Error())
	}
	failpoint.Here("cancel-taken-away")
	if r.madeRoom {
		if err := r.bringBack(ctx, "the deploy of "+r.dep.ImageTag+" was cancelled"); err != nil {
			troubles = append(troubles, fmt.Sprintf("what served before could not be started again (%v): start it by hand", err))
		}
	}
	return r.cancelled(ctx, troubles, last, stays)
}

// takeAway stops the new container, and removes it if it never ran. It tells how it was found, and whether it stays.
func (r *rollout) takeAway(ctx context.Context) (last *docker.Container, stays bool, err error) {
	if r.inst.ContainerID == "" {
		return nil, false, nil
	}
	last, err = r.stopNew(ctx)
	switch {
	case err != nil:
		return last, true, fmt.Errorf("stop %s, whose deploy was cancelled: %w", r.inst.Name, err)
	case last == nil: // somebody else removed it
		return nil, r.reused(), nil
	case r.reused(), last.State != docker.StateCreated, !last.StartedAt.IsZero():
		return last, true, nil
	}
	err = r.eng.RemoveIf(ctx, r.owned(r.inst.Instance), func(c docker.Container) error {
		if c.State != docker.StateCreated {
			return fmt.Errorf("%w: it is %s", ErrWrongState, c.State)
		}
		return nil
	})
	if err != nil && !errors.Is(err, docker.ErrNotFound) {
		return last, true, fmt.Errorf("take %s away, which never ran: %w", r.inst.Name, err)
	}
	return nil, false, r.noteVolumes(ctx, *last)
}

// noteVolumes remembers the anonymous volumes that a removed container leaves, as a cleanup does: no volume goes unasked.
func (r *rollout) noteVolumes(ctx context.Context, c docker.Container) error {
	var left []store.Remnant
	for _, m := range c.Mounts {
		if m.Anonymous {
			left = append(left, store.Remnant{
				HostID: r.inst.HostID, Kind: store.RemnantVolume, Name: m.Name, Anonymous: true, InstanceID: r.inst.ID, Instance: r.inst.Name,
				Project: r.inst.Project, Stage: r.inst.Stage, ImageTag: r.inst.ImageTag, RemovedAt: time.Now().UTC(),
			})
		}
	}
	if len(left) == 0 {
		return nil
	}
	if err := r.db.Update(ctx, func(tx *store.Tx) error { return tx.PutRemnants(ctx, left) }); err != nil {
		return fmt.Errorf("remember the volumes of %s: %w", r.inst.Name, err)
	}
	return nil
}

// cancelled writes down the end.
func (r *rollout) cancelled(ctx context.Context, troubles []string, last *docker.Container, stays bool) error {
	end := r.dep
	end.State, end.EndedAt = store.DeployCancelled, time.Now().UTC()
	end.Error = strings.Join(append([]string{"cancelled by " + end.CancelledBy}, troubles...), "; ")
	severity := store.SeverityInfo
	if len(troubles) > 0 {
		severity = store.SeverityWarn
	}
	finish := func(tx *store.Tx) error {
		if err := tx.UpdateDeploy(ctx, end); err != nil {
			return err
		}
		return tellEnd(ctx, tx, end, severity,
			fmt.Sprintf("deploy of %s to %s/%s was %s", reference(end.Image, end.ImageTag), r.inst.Project, r.inst.Stage, end.Error), nil)
	}
	var err error
	if !stays && !r.reused() {
		err = r.db.Update(ctx, func(tx *store.Tx) error {
			if err := tx.ForgetInstance(ctx, r.inst.ID); err != nil {
				return err
			}
			return finish(tx)
		})
	} else {
		err = r.endInstance(ctx, last, end.Error, finish)
	}
	if err != nil {
		return fmt.Errorf("write down that the deploy was cancelled: %w", err)
	}
	r.dep = end
	r.tell.state(end)
	r.log.InfoContext(ctx, "deploy cancelled", "deploy_id", end.ID, "stage_id", end.StageID, "actor", end.CancelledBy)
	return nil
}

// endInstance writes down how the new instance stands after a deploy that did not come to serve: a kept one that was to be
// gone back to is stopped again, any other has failed.
func (r *rollout) endInstance(ctx context.Context, last *docker.Container, reason string, finish func(*store.Tx) error) error {
	if r.dep.State == store.DeployQueued && r.dep.Kind == store.DeployRollback {
		return r.db.Update(ctx, finish) // it was not touched
	}
	now := r.eng.Now()
	return r.record(ctx, r.eng, r.inst.ID, func(tx *store.Tx, was store.InstanceView, i *store.Instance) error {
		former := was.Status
		if last != nil {
			lived(i, *last, now)
		}
		i.Intended, i.EngineError = store.IntendedStopped, reason
		switch {
		case r.reused() && last != nil && r.dep.CancelledBy != "":
			i.Status = store.StatusStopped
		case former.CanBecome(store.StatusFailed):
			i.Status, i.Class = store.StatusFailed, store.ClassFailed
		case former.CanBecome(store.StatusStopped): // it ran already, and did not come to serve
			i.Status, i.Class = store.StatusStopped, store.ClassFailed
		default:
			i.Status = former
		}
		return finish(tx)
	})
}
