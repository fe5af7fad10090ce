package deploy

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/tiny-forge/docker-watcher/internal/store"
)

// Start validates and queues a deploy. It supersedes one that waits for its turn (where tags run side by side: one of the same
// tag); one that is under way goes on. Its
// progress is in its log, and spread on the bus as info events of kind deploy.progress (data: deploy_id, state, done_bytes,
// total_bytes, and line where it is one of the log).
func (d *Deployer) Start(ctx context.Context, r Request) (store.Deploy, error) {
	stage, project, err := d.place(ctx, r.StageID)
	if err != nil {
		return store.Deploy{}, fmt.Errorf("deploy: %w", err)
	}
	inst, err := d.newInstance(project, stage, r)
	if err != nil {
		return store.Deploy{}, err
	}
	dep := newDeploy(stage, inst, r.Actor)
	dep.Digest = r.Digest
	if stage.Strategy == store.StrategyParallel {
		var wrong []error
		if checkSideBySide(inst.Spec, marking(&wrong)); len(wrong) > 0 {
			return store.Deploy{}, errors.Join(wrong...)
		}
		dep.Lane = inst.ImageTag
	}
	message := fmt.Sprintf("deploy of %s to %s/%s asked for", reference(inst.Image, inst.ImageTag), project.Name, stage.Name)
	err = d.queue(ctx, dep, startedEvent(dep, inst.Spec, message), func(tx *store.Tx) error {
		if err := tx.InsertInstance(ctx, inst); err != nil {
			return fmt.Errorf("write down the new instance: %w", err)
		}
		return nil
	})
	return dep, err
}

// startedEvent tells that a deploy was asked for, and warns of the power over the host that its container gets.
func startedEvent(dep store.Deploy, spec store.Spec, message string) store.Event {
	severity := store.SeverityInfo
	if power := Dangerous(spec); len(power) > 0 {
		severity, message = store.SeverityWarn, message+"; its container gets power over the host: "+strings.Join(power, ", ")
	}
	return deployEvent(dep, severity, "deploy.started", message, nil)
}

// cancelEvent tells who asks a deploy to end, which somebody else may have begun.
func cancelEvent(dep store.Deploy, actor string) store.Event {
	e := deployEvent(dep, store.SeverityInfo, "deploy.cancel_asked", "the deploy of "+reference(dep.Image, dep.ImageTag)+" is to end", nil)
	e.Actor = actor
	return e
}

// place reads a stage and its project; its engine must be one that we know.
func (d *Deployer) place(ctx context.Context, stageID string) (store.Stage, store.Project, error) {
	stage, err := d.db.Stage(ctx, stageID)
	if err != nil {
		return stage, store.Project{}, fmt.Errorf("stage %s: %w", stageID, err)
	}
	project, err := d.db.Project(ctx, stage.ProjectID)
	if err != nil {
		return stage, project, fmt.Errorf("project of stage %s: %w", stage.Name, err)
	}
	if _, err := d.fleet.Engine(stage.HostID); err != nil {
		return stage, project, fmt.Errorf("host of stage %s/%s: %w", project.Name, stage.Name, err)
	}
	return stage, project, d.sameEngine(ctx, stage.HostID)
}

// sameEngine is ErrFrozen while another engine than ours answers for a host: nothing is made or stopped there until an admin
// has accepted it.
func (d *Deployer) sameEngine(ctx context.Context, hostID string) error {
	host, err := d.db.Host(ctx, hostID)
	if err != nil {
		return err
	}
	if host.FrozenReason == store.FrozenEngineChanged {
		return fmt.Errorf("%w: another engine answers for %s since %s", ErrFrozen, host.Name, host.FrozenSince.Format(time.RFC3339))
	}
	return nil
}

// newDeploy is the row of a deploy that waits for its turn.
func newDeploy(stage store.Stage, inst store.Instance, actor string) store.Deploy {
	return store.Deploy{
		ID: store.NewID(), Kind: store.DeployForward, ProjectID: stage.ProjectID, StageID: stage.ID, HostID: stage.HostID,
		InstanceID: inst.ID, Image: inst.Image, ImageTag: inst.ImageTag, State: store.DeployQueued, Actor: actor,
		CreatedAt: time.Now().UTC(),
	}
}

// queue writes down a deploy, in one transaction with what belongs to it and with the end of the one that it supersedes.
func (d *Deployer) queue(ctx context.Context, dep store.Deploy, told store.Event, with func(*store.Tx) error) error {
	var superseded string
	err := d.db.Update(ctx, func(tx *store.Tx) (err error) {
		if superseded, err = d.supersede(ctx, tx, dep); err != nil {
			return err
		}
		if err := with(tx); err != nil {
			return err
		}
		if err := tx.InsertDeploy(ctx, dep); err != nil {
			return fmt.Errorf("write down the deploy: %w", err)
		}
		if err := tx.PruneDeployLogs(ctx, dep.StageID); err != nil {
			return err
		}
		if _, err := tx.AppendDeployLog(ctx, lineOf(dep, "queued: asked for by "+dep.Actor)); err != nil {
			return err
		}
		return tx.Emit(ctx, told)
	})
	if err != nil {
		return fmt.Errorf("queue deploy: %w", err)
	}
	d.crew.cancel(superseded)
	d.nudge()
	return nil
}

// supersede ends the deploy of the same lane that waits for its turn, if there is one, and returns its id. What a person asked for
// gives way to a person only.
func (d *Deployer) supersede(ctx context.Context, tx *store.Tx, by store.Deploy) (id string, err error) {
	waits, err := tx.QueuedDeploy(ctx, by.StageID, by.Lane)
	if errors.Is(err, store.ErrNotFound) {
		return "", nil
	} else if err != nil {
		return "", err
	}
	if by.Actor == AutoActor && waits.Actor != AutoActor {
		return "", fmt.Errorf("%w: a deploy of %s that %s asked for waits for its turn", ErrBusy, reference(waits.Image, waits.ImageTag), waits.Actor)
	}
	return waits.ID, endQueued(ctx, tx, waits, store.DeploySuperseded,
		fmt.Sprintf("superseded before it began: %s asked for %s", by.Actor, reference(by.Image, by.ImageTag)))
}

// endQueued ends a deploy that has not begun. The instance that was to be made is forgotten with it.
func endQueued(ctx context.Context, tx *store.Tx, dep store.Deploy, state store.DeployState, why string) error {
	dep.State, dep.Error, dep.EndedAt = state, why, time.Now().UTC()
	if err := tx.UpdateDeploy(ctx, dep); err != nil {
		return err
	}
	if dep.Kind != store.DeployRollback {
		if err := tx.ForgetInstance(ctx, dep.InstanceID); err != nil {
			return err
		}
	}
	return tellEnd(ctx, tx, dep, store.SeverityInfo, fmt.Sprintf("deploy of %s was %s", reference(dep.Image, dep.ImageTag), why), nil)
}

// tellEnd writes the last line of a deploy's log and the event of its end.
func tellEnd(ctx context.Context, tx *store.Tx, dep store.Deploy, severity store.Severity, message string, data map[string]any) error {
	text := string(dep.State)
	if dep.Error != "" {
		text = strings.TrimPrefix(dep.Error, text+" ")
		text = string(dep.State) + ": " + text
	}
	if _, err := tx.AppendDeployLog(ctx, lineOf(dep, text)); err != nil {
		return err
	}
	return tx.Emit(ctx, deployEvent(dep, severity, "deploy."+string(dep.State), message, data))
}

func lineOf(dep store.Deploy, text string) store.DeployLine {
	return store.DeployLine{DeployID: dep.ID, State: dep.State, Text: text}
}

// Cancel asks a deploy to end. One that waits ends at once; one under way stops what it made and ends soon, and what served
// serves on. ErrWrongState: it has ended, or its new instance serves already.
func (d *Deployer) Cancel(ctx context.Context, id, actor string) (store.Deploy, error) {
	err := d.db.Update(ctx, func(tx *store.Tx) error {
		dep, err := tx.Deploy(ctx, id)
		switch {
		case err != nil:
			return err
		case dep.State.Ended():
			return fmt.Errorf("%w: it is %s already", ErrWrongState, dep.State)
		case dep.State.Serves():
			return fmt.Errorf("%w: it is %s, its new instance serves: roll back instead", ErrWrongState, dep.State)
		case dep.CancelledBy != "":
			return nil
		}
		if err := tx.CancelDeploy(ctx, id, actor); err != nil {
			return err
		}
		if err := tx.Emit(ctx, cancelEvent(dep, actor)); err != nil {
			return err
		}
		if dep.State == store.DeployQueued {
			return endQueued(ctx, tx, dep, store.DeployCancelled, "cancelled by "+actor)
		}
		_, err = tx.AppendDeployLog(ctx, lineOf(dep, actor+" cancels it"))
		return err
	})
	if err != nil {
		return store.Deploy{}, fmt.Errorf("cancel deploy %s: %w", id, err)
	}
	d.crew.cancel(id)
	return d.db.Deploy(ctx, id)
}
