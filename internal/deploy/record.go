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

// recordTries is how often a change is made anew when the row moved meanwhile.
const recordTries = 5

// record changes the facts of an instance in one transaction. An instance that is being
// removed belongs to the cleaner and is not changed.
func (d *Deployer) record(ctx context.Context, eng *docker.Engine, id string,
	change func(tx *store.Tx, was store.InstanceView, next *store.Instance) error,
) error {
	for try := 1; ; try++ {
		err := d.db.Update(ctx, func(tx *store.Tx) error {
			was, err := tx.Instance(ctx, id)
			if err != nil {
				return fmt.Errorf("read instance %s: %w", id, err)
			}
			if was.Status == store.StatusRemoving {
				return fmt.Errorf("%w: %s is being removed", ErrWrongState, was.Name)
			}
			next := was.Instance
			if err := change(tx, was, &next); err != nil {
				return err
			}
			return tx.RecordInstance(ctx, was.Instance, &next, eng.Now())
		})
		if !errors.Is(err, store.ErrConflict) || try == recordTries {
			return err
		}
	}
}

// owned is the right to act on an instance's container.
func (d *Deployer) owned(i store.Instance) docker.Owned {
	return docker.Owned{
		ID: i.ContainerID, Installation: d.db.InstallationID(), Instance: i.ID,
		Adopted: i.Ownership == store.OwnershipAdopted,
	}
}

// observe takes over what the engine says.
func observe(i *store.Instance, c docker.Container, now time.Time) {
	i.Status, i.Class = statusOf(c.State), classOf(c)
	i.ContainerCreatedAt, i.StartedAt, i.FinishedAt = c.CreatedAt, c.StartedAt, c.FinishedAt
	i.ExitCode, i.OOMKilled, i.RestartCount, i.EngineError = c.ExitCode, c.OOMKilled, c.RestartCount, c.Error
	i.CheckedAt, i.CheckError = now, ""
	if c.ImageID != "" {
		i.ImageID = c.ImageID
	}
}

// alive takes over a container that was just seen running.
func alive(i *store.Instance, c docker.Container, now time.Time) {
	observe(i, c, now)
	i.LastAliveAt, i.Evidence, i.UpperBound = now, store.EvidenceObserved, false
	i.StaleSince, i.WarnedAt, i.FirstSeenStoppedAt = time.Time{}, time.Time{}, time.Time{}
	i.PolicyRun, i.HeldBack = false, ""
}

// lived takes over when a container that did not come up was last alive: a run that a deploy
// started counts, however short.
func lived(i *store.Instance, c docker.Container, now time.Time) {
	observe(i, c, now)
	switch {
	case c.State == docker.StateRunning:
		i.LastAliveAt, i.Evidence = now, store.EvidenceObserved
	case c.FinishedAt.After(c.StartedAt) && !c.StartedAt.IsZero():
		i.LastAliveAt, i.Evidence = c.FinishedAt, store.EvidenceFinishedAt
	}
}

func statusOf(s docker.State) store.Status {
	switch s {
	case docker.StateRunning:
		return store.StatusRunning
	case docker.StatePaused:
		return store.StatusPaused
	case docker.StateRestarting:
		return store.StatusRestarting
	case docker.StateDead, docker.StateRemoving:
		return store.StatusDead
	case docker.StateCreated, docker.StateExited:
		return store.StatusStopped
	default: // a state of an engine newer than this list is no sign of life
		return store.StatusStopped
	}
}

func classOf(c docker.Container) store.Class {
	switch c.State {
	case docker.StateRunning:
		return store.ClassNone
	case docker.StatePaused:
		return store.ClassPaused
	case docker.StateRestarting:
		return store.ClassCrashLooping
	case docker.StateDead, docker.StateRemoving:
		return store.ClassDead
	case docker.StateCreated:
		return store.ClassNeverStarted
	case docker.StateExited:
	default: // as exited
	}
	switch {
	case c.OOMKilled:
		return store.ClassOOM
	case c.ExitCode != 0:
		return store.ClassFailed
	}
	return store.ClassExited
}

// stopContainer stops the container of an instance and records how it stands now. The moment of last alive is
// the one at which it was seen running before; our own stop is no sign of life.
func (d *Deployer) stopContainer(ctx context.Context, eng *docker.Engine, v store.InstanceView, told store.Event) (docker.Container, error) {
	spec, err := d.db.InstanceSpec(ctx, v.ID)
	if err != nil {
		return docker.Container{}, fmt.Errorf("read spec of %s: %w", v.Name, err)
	}
	before, err := eng.Inspect(ctx, v.ContainerID)
	if err != nil {
		return before, fmt.Errorf("look at %s: %w", v.Name, err)
	}
	seen := eng.Now()
	if !hasProcess(before) {
		return before, d.endedByItself(ctx, eng, v, before, seen)
	}
	if err := eng.Stop(ctx, d.owned(v.Instance), graceOf(spec)); err != nil {
		return before, err
	}
	after, err := eng.Inspect(ctx, v.ContainerID)
	if err != nil {
		return after, fmt.Errorf("look at %s after its stop: %w", v.Name, err)
	}
	now := eng.Now()
	err = d.record(ctx, eng, v.ID, func(tx *store.Tx, was store.InstanceView, i *store.Instance) error {
		observe(i, after, now)
		if i.Status == store.StatusStopped && after.State == docker.StateExited && !after.OOMKilled {
			i.Class = store.ClassExited // the code that our own signal caused is no failure
		}
		if before.State == docker.StateRunning {
			i.LastAliveAt, i.Evidence, i.UpperBound = seen, store.EvidenceObserved, false
		}
		if i.FirstSeenStoppedAt.IsZero() {
			i.FirstSeenStoppedAt = now
		}
		return tx.Emit(ctx, instanceEvent(was, told))
	})
	return after, err
}

// endedByItself records one that was to be stopped and had ended before: that is no stop of ours.
func (d *Deployer) endedByItself(ctx context.Context, eng *docker.Engine, v store.InstanceView, c docker.Container, now time.Time) error {
	return d.record(ctx, eng, v.ID, func(tx *store.Tx, was store.InstanceView, i *store.Instance) error {
		if was.Status == statusOf(c.State) {
			return nil
		}
		lived(i, c, now)
		if i.FirstSeenStoppedAt.IsZero() {
			i.FirstSeenStoppedAt = now
		}
		return tx.Emit(ctx, instanceEvent(was, store.Event{
			Kind: "instance.status", Actor: "system",
			Message: fmt.Sprintf("%s was %s and is %s now (%s, exit code %d)", was.Name, was.Status, i.Status, i.Class, i.ExitCode),
		}))
	})
}

// startContainer starts the container of an instance and records that it lives.
func (d *Deployer) startContainer(ctx context.Context, eng *docker.Engine, v store.InstanceView, told store.Event) error {
	if err := eng.Start(ctx, d.owned(v.Instance)); err != nil {
		return err
	}
	return d.recordStarted(ctx, eng, v, told)
}

// recordStarted writes down how a container stands that a person or a deploy has just started: a run
// that they started is a sign of life, however short.
func (d *Deployer) recordStarted(ctx context.Context, eng *docker.Engine, v store.InstanceView, told store.Event) error {
	c, err := eng.Inspect(ctx, v.ContainerID)
	if err != nil {
		return fmt.Errorf("look at %s after its start: %w", v.Name, err)
	}
	now := eng.Now()
	return d.record(ctx, eng, v.ID, func(tx *store.Tx, was store.InstanceView, i *store.Instance) error {
		alive(i, c, now)
		if c.State != docker.StateRunning {
			i.FirstSeenStoppedAt = now
		}
		told := []store.Event{instanceEvent(was, told)}
		if !was.StaleSince.IsZero() {
			told = append(told, instanceEvent(was, store.Event{
				Kind: "instance.recovered", Actor: told[0].Actor, Message: was.Name + " is alive again and no longer stale",
			}))
		}
		return tx.Emit(ctx, told...)
	})
}

// instanceEvent fills in what an event is about.
func instanceEvent(v store.InstanceView, e store.Event) store.Event {
	e.Time = time.Now().UTC()
	if e.Severity == "" {
		e.Severity = store.SeverityInfo
	}
	e.Source = store.SourceDeployer
	e.ProjectID, e.StageID, e.InstanceID, e.HostID = v.ProjectID, v.StageID, v.ID, v.HostID
	if e.Data == nil {
		e.Data = map[string]any{}
	}
	e.Data["name"], e.Data["image_tag"] = v.Name, v.ImageTag
	return e
}

func deployEvent(dep store.Deploy, severity store.Severity, kind, message string, data map[string]any) store.Event {
	if data == nil {
		data = map[string]any{}
	}
	data["deploy_id"], data["state"], data["image"], data["image_tag"] = dep.ID, string(dep.State), dep.Image, dep.ImageTag
	return store.Event{
		Time: time.Now().UTC(), Severity: severity, Source: store.SourceDeployer, Kind: kind, Message: message,
		ProjectID: dep.ProjectID, StageID: dep.StageID, InstanceID: dep.InstanceID, HostID: dep.HostID, Actor: dep.Actor, Data: data,
	}
}

func newestFirst(list []store.InstanceView) []store.InstanceView {
	slices.SortFunc(list, func(a, b store.InstanceView) int {
		if c := b.CreatedAt.Compare(a.CreatedAt); c != 0 {
			return c
		}
		return strings.Compare(b.ID, a.ID)
	})
	return list
}
