package deploy

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/tiny-forge/docker-watcher/internal/docker"
	"github.com/tiny-forge/docker-watcher/internal/store"
)

// RollbackRequest asks to bring a stage back to a former instance.
type RollbackRequest struct {
	StageID string
	To      string // name or id of an instance, a digest, or a tag; empty: what led up to what serves, of what is kept
	Actor   string
	// Allow may refuse the spec of what is gone back to; nil: all are allowed.
	Allow func(store.Spec) error
}

// Rollback queues a deploy that brings a stage back to a former instance: its container is started again if it is there and
// unchanged, else another is made of its spec and digest. It supersedes as Start does. ErrInvalid says what there is to go back to.
func (d *Deployer) Rollback(ctx context.Context, r RollbackRequest) (store.Deploy, error) {
	stage, project, err := d.place(ctx, r.StageID)
	if err != nil {
		return store.Deploy{}, fmt.Errorf("roll back: %w", err)
	}
	if stage.Strategy == store.StrategyParallel {
		return store.Deploy{}, fmt.Errorf("roll back %s/%s: %w: its tags run side by side: deploy the one that you want", project.Name, stage.Name, ErrWrongState)
	}
	former, line, err := d.formerOnes(ctx, stage)
	if err != nil {
		return store.Deploy{}, fmt.Errorf("roll back %s/%s: %w", project.Name, stage.Name, err)
	}
	target, err := choose(former, line, r.To)
	if err != nil {
		return store.Deploy{}, fmt.Errorf("roll back %s/%s: %w", project.Name, stage.Name, err)
	}
	dep := newDeploy(stage, target.Instance, r.Actor)
	dep.Kind, dep.Digest = store.DeployRollback, target.Digest
	spec, err := d.db.InstanceSpec(ctx, target.ID)
	if err != nil {
		return store.Deploy{}, fmt.Errorf("roll back %s/%s: read spec of %s: %w", project.Name, stage.Name, target.Name, err)
	}
	if r.Allow != nil {
		if err := r.Allow(spec); err != nil {
			return store.Deploy{}, err
		}
	}
	message := fmt.Sprintf("rollback of %s/%s to %s (%s) asked for", project.Name, stage.Name, reference(target.Image, target.ImageTag), target.Name)
	return dep, d.queue(ctx, dep, startedEvent(dep, spec, message), func(*store.Tx) error { return nil })
}

// formerOnes are the instances of a stage that were once good: those whose deploy was done, the newest deploy first. The line is what
// serves and what led up to it.
func (d *Deployer) formerOnes(ctx context.Context, stage store.Stage) (list []store.InstanceView, line []string, err error) {
	good, err := goodDeploys(ctx, d.db, stage)
	if err != nil {
		return nil, nil, err
	}
	seen := map[string]bool{}
	for _, dep := range good {
		if seen[dep.InstanceID] {
			continue
		}
		seen[dep.InstanceID] = true
		v, err := d.db.Instance(ctx, dep.InstanceID)
		if errors.Is(err, store.ErrNotFound) {
			continue
		} else if err != nil {
			return nil, nil, fmt.Errorf("read a former instance: %w", err)
		}
		list = append(list, v)
	}
	line, _ = lineage(good)
	return list, line, nil
}

// before are those of the line that led up to what serves, of what is kept, the next to be gone back to first. What was rolled back
// from is not among them.
func before(former []store.InstanceView, line []string) (list []store.InstanceView) {
	views := map[string]store.InstanceView{}
	for _, v := range former {
		views[v.ID] = v
	}
	serves := max(0, slices.IndexFunc(line, func(id string) bool { return lives(views[id]) }))
	for _, id := range line[min(serves+1, len(line)):] {
		if v := views[id]; v.RollbackKept && !lives(v) {
			list = append(list, v)
		}
	}
	return list
}

// choose picks what to go back to among the once good ones of a stage, the newest first.
func choose(former []store.InstanceView, line []string, to string) (store.InstanceView, error) {
	var named []store.InstanceView
	if to == "" {
		named = before(former, line)
	}
	for _, v := range former {
		if to != "" && (v.ID == to || v.Name == to || v.Digest == to || v.ImageTag == to) {
			named = append(named, v)
		}
	}
	for _, v := range named {
		if !lives(v) && v.Status != store.StatusRemoving {
			return v, nil
		}
	}
	switch {
	case len(named) > 0 && lives(named[0]):
		return store.InstanceView{}, fmt.Errorf("%w: %s is %s already", ErrWrongState, named[0].Name, named[0].Status)
	case len(named) > 0:
		return store.InstanceView{}, fmt.Errorf("%w: %s is being removed", ErrWrongState, named[0].Name)
	case to == "":
		return store.InstanceView{}, fmt.Errorf("%w: the stage keeps nothing to go back to%s", ErrWrongState, whatThereIs(former))
	}
	return store.InstanceView{}, fmt.Errorf("%w to: nothing good of this stage is called %q%s", ErrInvalid, to, whatThereIs(former))
}

// lives tells that an instance has a process.
func lives(v store.InstanceView) bool {
	return v.Status == store.StatusRunning || v.Status == store.StatusRestarting || v.Status == store.StatusPaused
}

// whatThereIs lists the newest ones that can be gone back to.
func whatThereIs(former []store.InstanceView) string {
	var names []string
	for _, v := range former {
		if !lives(v) && len(names) < 5 {
			names = append(names, v.ImageTag+" ("+v.Name+")")
		}
	}
	if len(names) == 0 {
		return ": deploy a tag instead"
	}
	return ": there is " + strings.Join(names, ", ")
}

// reused tells that the deploy starts a container that was there before it.
func (r *rollout) reused() bool {
	return r.dep.Kind == store.DeployRollback && r.inst.CreatedAt.Before(r.dep.CreatedAt)
}

// beginRollback leaves the queue: by the container that is there, or by a new row of the same spec and digest.
func (r *rollout) beginRollback(ctx context.Context) error {
	usable, why, err := r.usable(ctx)
	if err != nil {
		return err
	}
	if usable {
		return r.moveWith(ctx, store.DeployStarting, store.StatusStarting, func(tx *store.Tx, dep *store.Deploy, i *store.Instance) error {
			i.Intended = store.IntendedRunning
			return r.replaces(ctx, tx, dep)
		})
	}
	return r.makeAnother(ctx, why)
}

// usable tells whether the kept container can be started again as it is; why says what is in the way.
func (r *rollout) usable(ctx context.Context) (ok bool, why string, err error) {
	switch r.inst.Status {
	case store.StatusStopped, store.StatusFailed:
	case store.StatusDead, store.StatusMissing:
		return false, "it is " + string(r.inst.Status), nil
	default:
		return false, "", because(fmt.Errorf("%w: %s is %s meanwhile", ErrWrongState, r.inst.Name, r.inst.Status), "choose another to go back to")
	}
	if r.inst.ContainerID == "" {
		return false, "it has no container", nil
	}
	c, err := r.eng.Inspect(ctx, r.inst.ContainerID)
	switch {
	case errors.Is(err, docker.ErrNotFound):
		return false, "its container is gone", nil
	case err != nil:
		return false, "", because(fmt.Errorf("look at %s: %w", r.inst.Name, err), "roll back again")
	case c.State == docker.StateDead || c.State == docker.StateRemoving:
		return false, "its container is " + string(c.State), nil
	case r.inst.ImageID != "" && c.ImageID != r.inst.ImageID:
		return false, "its container was made of another image", nil
	}
	return true, "", nil
}

// makeAnother puts a new instance of the same spec and digest in the place of the kept one.
func (r *rollout) makeAnother(ctx context.Context, why string) error {
	if r.dep.Digest == "" {
		why += "; its digest is not known, so that its tag is taken"
	}
	fresh := successor(r.inst, r.spec)
	next := r.dep
	next.InstanceID, next.State = fresh.ID, store.DeployPulling
	err := r.db.Update(ctx, func(tx *store.Tx) error {
		now, err := tx.Deploy(ctx, next.ID)
		if err != nil {
			return err
		}
		if now.CancelledBy != "" {
			return errCancelled
		}
		if err := r.replaces(ctx, tx, &next); err != nil {
			return err
		}
		if err := errors.Join(tx.InsertInstance(ctx, fresh), tx.UpdateDeploy(ctx, next)); err != nil {
			return err
		}
		_, err = tx.AppendDeployLog(ctx, r.tell.line(next, fmt.Sprintf("%s cannot be started again (%s): another is made of its spec and image", r.inst.Name, why)))
		return err
	})
	if err != nil {
		return fmt.Errorf("write down the new instance: %w", err)
	}
	if err := r.hold(ctx, fresh.ID); err != nil {
		return err
	}
	return r.moved(ctx, next)
}

// successor is the row of another instance like one that was there.
func successor(v store.InstanceView, spec store.Spec) store.Instance {
	now := time.Now().UTC()
	id := store.NewID()
	return store.Instance{
		ID: id, HostID: v.HostID, ProjectID: v.ProjectID, StageID: v.StageID, Name: instanceName(v.Project, v.Stage, id),
		Ownership: store.OwnershipCreated, Image: v.Image, ImageTag: v.ImageTag, Spec: spec,
		Status: store.StatusPulling, Intended: store.IntendedRunning, KeepLabel: spec.Labels[docker.LabelKeep] == "true",
		CreatedAt: now, UpdatedAt: now,
	}
}

// instanceName is the name of the container of an instance.
func instanceName(project, stage, id string) string {
	return fmt.Sprintf("%s-%s-%s", project, stage, id[len(id)-6:])
}
