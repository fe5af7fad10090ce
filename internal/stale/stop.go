package stale

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/tiny-forge/docker-watcher/internal/docker"
	"github.com/tiny-forge/docker-watcher/internal/failpoint"
	"github.com/tiny-forge/docker-watcher/internal/store"
)

const (
	defaultGrace = 10 * time.Second
	stopSlack    = 30 * time.Second // for the engine, beyond the grace
	signOfLife   = 10 * time.Second // a run of the restart policy that lasted this long is alive
)

// stop ends the process of a container whose judged class still has one.
func (r *removal) stop(ctx context.Context) *ending {
	if !hasProcess(r.item.Class) {
		return nil
	}
	if !r.byPerson {
		return endf(store.ResultKept, "automatic cleanup never stops a process")
	}
	grace, err := r.grace(ctx)
	if err != nil {
		return endf(store.ResultError, "read the stop grace of its stage: %v", err)
	}
	err = r.c.db.Update(ctx, func(tx *store.Tx) error {
		return tx.SetRemovalStep(ctx, r.view.ID, store.RemovalStopping)
	})
	if err != nil {
		return endf(store.ResultError, "write down the stop: %v", err)
	}
	failpoint.Here("before-stop")
	if end := r.verify(ctx); end != nil {
		return end
	}
	if r.item.Class == store.ClassPaused {
		if end := r.wake(ctx); end != nil {
			return end
		}
	}
	return r.stopNow(ctx, grace)
}

func (r *removal) grace(ctx context.Context) (time.Duration, error) {
	stage, err := r.c.db.Stage(ctx, r.view.StageID)
	if err != nil {
		return 0, err
	}
	if stage.Spec.StopGrace > 0 {
		return stage.Spec.StopGrace, nil
	}
	return defaultGrace, nil
}

// wake thaws a paused container before its stop. A stop does not ask whether it is still
// paused, but a thaw does: it fails on one that somebody woke in the last moment, and that one is left alone.
func (r *removal) wake(ctx context.Context) *ending {
	r.woken = true
	wakeErr := r.on.engine.Unpause(ctx, r.owned())
	failpoint.Here("after-wake")
	if wakeErr == nil {
		return nil
	}
	look, cancel := settling(ctx)
	defer cancel()
	ct, err := inspect(look, r.on.engine, r.view.ContainerID)
	switch {
	case errors.Is(err, docker.ErrNotFound):
		return endf(store.ResultAlreadyGone, "somebody else removed its container")
	case err != nil:
		end := endOfError(err, "it was to be woken for its stop, what became of it could not be asked")
		end.left = true
		return end
	case ct.State == docker.StatePaused, unheard(wakeErr):
		return endOfError(wakeErr, "wake it for its stop")
	}
	r.woken = false
	return endf(store.ResultRevived, "somebody else woke it, it is %s", ct.State)
}

func (r *removal) stopNow(ctx context.Context, grace time.Duration) *ending {
	asked := r.on.engine.Now()
	r.stopAsked = true
	bounded, cancel := context.WithTimeout(ctx, grace+stopSlack)
	defer cancel()
	stopErr := r.on.engine.Stop(bounded, r.owned(), grace)
	failpoint.Here("after-stop")
	look, cancelLook := settling(ctx)
	defer cancelLook()
	ct, err := inspect(look, r.on.engine, r.view.ContainerID)
	switch {
	case errors.Is(err, docker.ErrNotFound):
		return endf(store.ResultAlreadyGone, "somebody else removed its container")
	case err != nil:
		end := endOfError(err, "it was asked to stop, what became of it could not be asked")
		end.left = true
		return end
	}
	return r.stopped(ct, stopErr, asked)
}

// stopped compares what a stop has left with what it was to stop, and binds the rest of
// the removal to it: a stop of ours moves every fact but id, start and labels.
func (r *removal) stopped(ct docker.Container, stopErr error, asked time.Time) *ending {
	anew := !sameTime(ct.StartedAt, r.bound.startedAt)
	another := anew || r.bound.status == store.StatusRunning // a run whose end was not known when it was judged
	now := bindingOfContainer(ct)
	now.containerID, now.labels = r.bound.containerID, r.bound.labels
	switch {
	case !r.bound.loops && anew:
		return endf(store.ResultRevived, "it was started at %s", moment(ct.StartedAt))
	case r.bound.loops && ct.RestartCount < r.bound.restarts:
		return endf(store.ResultRevived, "it was started anew at %s", moment(ct.StartedAt))
	case r.bound.loops && another && earlier(asked, ct.FinishedAt).Sub(ct.StartedAt) >= signOfLife:
		return endf(store.ResultRevived, "it had come to stay at %s", moment(ct.StartedAt))
	case ct.State != docker.StateExited && stopErr != nil:
		return endOfError(stopErr, "stop")
	case ct.State != docker.StateExited:
		return endf(store.ResultRevived, "it is %s after its stop", ct.State)
	}
	if end := now.broken(ct); end != nil {
		return end
	}
	r.bound = now
	return nil
}

func earlier(a, b time.Time) time.Time {
	if b.Before(a) {
		return b
	}
	return a
}

// restore undoes what we did to a process. The removal is taken back either way; that it could not be restored is said.
func (r *removal) restore(ctx context.Context, end *ending) {
	ct, err := inspect(ctx, r.on.engine, r.view.ContainerID)
	if errors.Is(err, docker.ErrNotFound) {
		return
	}
	switch {
	case err != nil:
	case ct.State == docker.StateExited && r.stopAsked:
		if err = r.on.engine.Start(ctx, r.owned()); err == nil {
			end.detail += "; we had stopped it and started it again"
		}
	case ct.State == docker.StateRunning && r.woken && sameTime(ct.StartedAt, r.bound.startedAt):
		if err = r.on.engine.Pause(ctx, r.owned()); err == nil {
			end.detail += "; we had woken it and paused it again"
		}
	}
	if err != nil {
		end.detail += fmt.Sprintf("; we may have stopped it and could not bring it back: %v", err)
		r.c.log.Error("bring back what a cleanup stopped", "instance_id", r.view.ID, "error", err)
	}
}
