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

// errDeploying keeps a removal from beginning.
var errDeploying = errors.New("its stage is being deployed")

const (
	beginTries   = 3
	removingPoll = 250 * time.Millisecond // while the engine is at a removal
	askTries     = 3                      // after a delete whose outcome is not known
)

// removal is one container on its way out: intention, archive, second look, stop where it must be, delete, row and
// routes. Each step is safe to repeat, and each can still take everything back.
type removal struct {
	c        *Cleaner
	on       standing
	item     store.PlanItem
	view     store.InstanceView
	actor    string
	byPerson bool
	// tagGoneYes: a person said yes to a tag that its registry has no more.
	tagGoneYes bool

	settings    store.Settings
	seen        docker.Container // as it was judged; zero when it is gone
	copy        *keeping         // the archive; nil if a version that made none has begun this
	bound       binding          // what it must still be
	gone        bool             // the engine holds it no more: only row and routes are left to go
	woken       bool             // we may have thawed it: take-back pauses it again
	stopAsked   bool             // we may have stopped it: take-back starts it again
	deleteAsked bool             // we may have asked for its delete before: that one may be under way yet
}

func (r *removal) owned() docker.Owned {
	return docker.Owned{
		ID: r.view.ContainerID, Installation: r.c.db.InstallationID(), Instance: r.view.ID,
		Adopted: r.view.Ownership == store.OwnershipAdopted,
	}
}

// ownable says why a container is not ours to remove, whatever a row may say.
func ownable(row store.Instance, ct docker.Container, installation string) error {
	switch {
	case ct.ID != row.ContainerID:
		return fmt.Errorf("%w: %s answers to the id of %s", docker.ErrNotOwned, ct.ID, row.Name)
	case ct.Labels[docker.LabelSwarmTask] != "":
		return fmt.Errorf("%w: %s is a task of Swarm", docker.ErrNotOwned, row.Name)
	case row.Ownership == store.OwnershipAdopted:
		return nil
	case ct.Labels[docker.LabelInstallation] != installation, ct.Labels[docker.LabelInstance] != row.ID:
		return fmt.Errorf("%w: the labels of %s name another owner", docker.ErrNotOwned, row.Name)
	}
	return nil
}

// judgeAgain looks at the container and judges it as a scan would; nil if it is still what was planned.
func (r *removal) judgeAgain(ctx context.Context) *ending {
	ct, stop := r.look(ctx)
	if stop != nil {
		return stop
	}
	if r.gone { // its age is that of its row
		row := r.view.Instance
		row.CheckError = ""
		now := r.on.engine.Now()
		return r.stillStale(Judge(FactsOf(row, now), PolicyOf(r.view.StaleAfter), now))
	}
	if err := ownable(r.view.Instance, ct, r.c.db.InstallationID()); err != nil {
		return endf(store.ResultChanged, "%v", err)
	}
	r.bound = bindingOfItem(r.item)
	if stop := r.broken(ct); stop != nil {
		return stop
	}
	verdict := rejudge(r.view, ct, false, r.on.engine).verdict
	if stop := r.stillStale(verdict); stop != nil {
		return stop
	}
	if verdict.Class != r.item.Class {
		return endf(store.ResultChanged, "it is %s, was %s when planned", verdict.Class, r.item.Class)
	}
	r.bound, r.seen = bindingOfContainer(ct), ct
	r.bound.loops = r.item.Class == store.ClassCrashLooping
	return nil
}

func (r *removal) stillStale(v Verdict) *ending {
	if !v.Stale {
		return endf(store.ResultKept, "no longer stale: %s", v.Reason)
	}
	return r.foundStale()
}

func (r *removal) foundStale() *ending {
	if r.view.StaleSince.IsZero() {
		return endf(store.ResultKept, "the last scan found it not stale")
	}
	return nil
}

// look inspects once. A container that the right engine does not hold sets gone.
func (r *removal) look(ctx context.Context) (docker.Container, *ending) {
	if r.view.ContainerID == "" {
		r.gone = true
		return docker.Container{}, nil
	}
	ct, err := inspectSized(ctx, r.on.engine, r.view.ContainerID)
	switch {
	case errors.Is(err, docker.ErrNotFound):
		r.gone = true
		return docker.Container{}, nil
	case err != nil:
		return docker.Container{}, endOfError(err, "it could not be looked at, nothing was done")
	case r.item.Class == store.ClassMissing && ct.State == docker.StateRunning:
		return ct, endf(store.ResultRevived, "it is back, and runs")
	case r.item.Class == store.ClassMissing:
		return ct, endf(store.ResultChanged, "it is back, %s", ct.State)
	}
	return ct, nil
}

// begin moves the row to removing and writes the intention, with the archive to come, unless the row moved on
// since it was judged (store.ErrConflict) or its stage is being deployed.
func (r *removal) begin(ctx context.Context) error {
	if err := r.openArchive(ctx); err != nil {
		return fmt.Errorf("prepare its archive: %w", err)
	}
	row := store.Removal{
		InstanceID: r.view.ID, PlanID: r.item.PlanID, HostID: r.view.HostID, EngineID: r.on.info.EngineID, DataRoot: r.on.info.DataRoot,
		ContainerID: r.view.ContainerID, Former: r.view.Status, Step: r.firstStep(), StartedAt: r.bound.startedAt, FinishedAt: r.bound.finishedAt,
		RestartCount: r.bound.restarts, Labels: r.bound.labels, Actor: r.actor, ArchiveID: r.copy.row.ID, CreatedAt: time.Now().UTC(),
	}
	return r.c.db.Update(ctx, func(tx *store.Tx) error {
		// A deploy decides at its end what its stage keeps for a rollback.
		if err := notDeploying(ctx, tx, r.view.StageID); err != nil {
			return err
		}
		if err := tx.BeginRemoval(ctx, row, r.view.Revision); err != nil {
			return err
		}
		if err := r.copy.nameKeeper(ctx, tx); err != nil {
			return err
		}
		if err := tx.InsertArchive(ctx, r.copy.row, r.copy.contents); err != nil {
			return err
		}
		return tx.Emit(ctx, statusEvent(r.view, row.Former, store.StatusRemoving, row.PlanID, r.actor))
	})
}

// firstStep is deleting where nothing comes before the delete but a name for an image, which may be given twice.
func (r *removal) firstStep() store.RemovalStep {
	if r.gone || hasProcess(r.item.Class) || !r.unwritten() {
		return store.RemovalIntended
	}
	return store.RemovalDeleting
}

// notDeploying is errDeploying while a deploy of the stage is under way.
func notDeploying(ctx context.Context, tx *store.Tx, stageID string) error {
	open, err := tx.OpenDeploys(ctx)
	if err != nil {
		return err
	}
	for _, d := range open {
		if d.StageID == stageID {
			return fmt.Errorf("%w to %s since %s", errDeploying, d.ImageTag, moment(d.CreatedAt))
		}
	}
	return nil
}

// run carries out the steps between intention and end.
func (r *removal) run(ctx context.Context) ending {
	steps := []func(context.Context) *ending{r.archive, r.stop, r.archiveStopped, r.stillWanted, r.markDeleting, r.remove}
	switch {
	case r.gone:
		steps = []func(context.Context) *ending{r.archive, r.stayGone}
	case r.firstStep() == store.RemovalDeleting:
		steps = []func(context.Context) *ending{r.archive, r.stillWanted, r.remove}
	}
	for _, step := range steps {
		if end := step(ctx); end != nil {
			return *end
		}
	}
	return ending{result: store.ResultRemoved}
}

// stayGone makes sure that what was gone is gone.
func (r *removal) stayGone(ctx context.Context) *ending {
	if r.view.ContainerID != "" {
		ct, err := inspect(ctx, r.on.engine, r.view.ContainerID)
		switch {
		case err == nil:
			return endf(store.ResultChanged, "it is back, %s", ct.State)
		case !errors.Is(err, docker.ErrNotFound):
			return endOfError(err, "it could not be looked at, nothing was done")
		}
	}
	switch {
	case r.view.ContainerID == "":
		return endf(store.ResultRemoved, "it never had a container")
	case r.item.Class == store.ClassMissing:
		return endf(store.ResultRemoved, "its container was gone before")
	}
	return endf(store.ResultAlreadyGone, "somebody else removed its container")
}

// verify is the look right before a process is stopped.
func (r *removal) verify(ctx context.Context) *ending {
	ct, err := inspect(ctx, r.on.engine, r.view.ContainerID)
	if errors.Is(err, docker.ErrNotFound) {
		return endf(store.ResultAlreadyGone, "somebody else removed its container")
	}
	if err != nil {
		return endOfError(err, "it could not be looked at")
	}
	failpoint.Here("after-verify")
	return r.broken(ct)
}

// broken is that of the binding. A crash loop must also still be judged as one: an engine may
// call it exited between two runs (podman does), and so does one that a person has ended.
func (r *removal) broken(ct docker.Container) *ending {
	end := r.bound.broken(ct)
	if end != nil || !r.bound.loops {
		return end
	}
	switch class := rejudge(r.view, ct, false, r.on.engine).verdict.Class; class {
	case store.ClassCrashLooping:
		return nil
	case store.ClassNone:
		return endf(store.ResultRevived, "it has come to stay since %s", moment(ct.StartedAt))
	default: // it ended otherwise
		return endf(store.ResultChanged, "it is %s and no longer in a crash loop", class)
	}
}

// stillWanted is the last moment at which a pin given meanwhile is heeded, or that automatic cleanup was switched off: its
// archive may have taken minutes.
func (r *removal) stillWanted(ctx context.Context) *ending {
	if r.actor == autoActor && !r.byPerson {
		if end := r.c.stillDue(ctx, r.view); end != nil {
			return end
		}
	}
	view, err := r.c.db.Instance(ctx, r.view.ID)
	if err != nil {
		return endf(store.ResultError, "read the instance: %v", err)
	}
	if p := r.protection(view); p.Kind != store.ProtectionNone {
		return endf(store.ResultKept, "%s", protectionWords(p))
	}
	return nil
}

// markDeleting writes that from now on the container may be gone by our hand, and that its archive is whole.
func (r *removal) markDeleting(ctx context.Context) *ending {
	err := r.c.db.Update(ctx, func(tx *store.Tx) error {
		if err := r.saveCopy(ctx, tx); err != nil {
			return err
		}
		return tx.SetRemovalStep(ctx, r.view.ID, store.RemovalDeleting)
	})
	if err != nil {
		return endf(store.ResultError, "write down the delete: %v", err)
	}
	r.copy.unsaved = false
	return nil
}

// protection is what keeps it from this removal. Who removes one by hand is stopped by a pin alone.
func (r *removal) protection(view store.InstanceView) store.Protection {
	p := heeded(&view.Instance, r.on.engine.Now(), r.tagGoneYes)
	if r.item.PlanID == "" && p.Kind != store.ProtectionPinned {
		return store.Protection{}
	}
	return p
}

// remove looks once more, deletes the container, and finds out what became of it.
func (r *removal) remove(ctx context.Context) *ending {
	if ctx.Err() != nil {
		return endf(store.ResultError, "interrupted before the delete")
	}
	failpoint.Here("before-delete")
	bounded, cancel := context.WithTimeout(ctx, removeTimeout)
	defer cancel()
	var end *ending
	asked := false
	err := r.on.engine.RemoveIf(bounded, r.owned(), func(ct docker.Container) error {
		if end = r.broken(ct); end != nil && (!r.deleteAsked || ct.State != docker.StateRemoving) {
			return errMoved
		}
		failpoint.Here("after-verify")
		asked = true
		return nil
	})
	failpoint.Here("after-delete")
	switch {
	case err == nil:
		return nil
	case errors.Is(err, errMoved):
		return end
	case errors.Is(err, docker.ErrNotFound):
		return endf(store.ResultAlreadyGone, "somebody else removed its container")
	case errors.Is(err, docker.ErrNotOwned):
		return endf(store.ResultChanged, "%v", err)
	case !asked:
		return endOfError(err, "it could not be looked at")
	}
	return r.afterDelete(ctx, err)
}

// errMoved stops a delete whose container is not what it was.
var errMoved = errors.New("it is not what it was")

// afterDelete asks what became of a container whose delete did not simply succeed. It asks
// also when the caller has gone: what has begun must end.
func (r *removal) afterDelete(ctx context.Context, deleteErr error) *ending {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), removeTimeout)
	defer cancel()
	for failures, removing := 0, false; ; {
		ct, err := inspect(ctx, r.on.engine, r.view.ContainerID)
		switch {
		case errors.Is(err, docker.ErrNotFound) && unheard(deleteErr):
			return endf(store.ResultRemoved, "the engine's answer was lost")
		case errors.Is(err, docker.ErrNotFound):
			return endf(store.ResultAlreadyGone, "somebody else removed its container")
		case err != nil && removing && ctx.Err() != nil: // the wait is over
		case err != nil:
			if failures++; failures >= askTries || ctx.Err() != nil {
				end := endOfError(err, fmt.Sprintf("delete: %v; what became of it could not be asked", deleteErr))
				end.left = true
				return end
			}
		case ct.State != docker.StateRemoving:
			return r.survived(ct, deleteErr)
		default:
			removing = true
		}
		select {
		case <-ctx.Done():
			end := endf(store.ResultTimeout, "the engine is still removing it")
			end.begun = removing
			return end
		case <-time.After(removingPoll):
		}
	}
}

// unheard reports whether an engine may have done what it was asked without our hearing of it.
func unheard(err error) bool {
	return errors.Is(err, docker.ErrUnavailable) || errors.Is(err, docker.ErrTimeout) ||
		errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded)
}

// survived is the ending of a container that is still there after its delete.
func (r *removal) survived(ct docker.Container, deleteErr error) *ending {
	if ct.State == docker.StateDead {
		end := endf(store.ResultError, "the engine could not remove all of it and left it dead: %v", deleteErr)
		end.begun = true
		return end
	}
	if end := r.broken(ct); end != nil {
		return end
	}
	if errors.Is(deleteErr, docker.ErrConflict) {
		return endf(store.ResultInUse, "%v", deleteErr)
	}
	return endOfError(deleteErr, "delete")
}

// sure asks once more who answers before "no such container" is believed: an engine that came
// back with another data root knows none of ours, and they are not gone for that.
func (r *removal) sure(ctx context.Context, end ending) ending {
	if end.result != store.ResultAlreadyGone || r.view.ContainerID == "" {
		return end
	}
	ctx, cancel := settling(ctx)
	defer cancel()
	info, err := r.on.engine.Info(ctx)
	if err != nil {
		return *endOfError(err, "it seems to be gone, but its engine could not be asked who it is")
	}
	now := standing{info: info}
	if !now.sameEngine(r.on.info.EngineID, r.on.info.DataRoot) {
		return *endf(store.ResultChanged, "another engine answers for %s now", r.on.host.Name)
	}
	return end
}

// settle writes how a removal ended, in one transaction with its event: row and routes
// gone, or everything as it was before. It does so also when the caller has gone.
func (r *removal) settle(ctx context.Context, end ending) error {
	ctx, cancel := settling(ctx)
	defer cancel()
	if !end.done() && !end.left && (r.woken || r.stopAsked) {
		r.restore(ctx, &end)
	}
	err := r.c.db.Update(ctx, func(tx *store.Tx) error {
		events, err := r.conclude(ctx, tx, end)
		if err != nil {
			return err
		}
		if err := r.setResult(ctx, tx, end); err != nil {
			return err
		}
		return tx.Emit(ctx, append(events, itemEvent(r.item, end, r.actor))...)
	})
	if err != nil {
		return fmt.Errorf("write down that %s ended as %s: %w", r.view.Name, end.result, err)
	}
	if !end.done() && !end.left && !end.begun {
		r.discardCopy(ctx, end.detail)
	}
	r.c.log.Info("removal ended", "instance_id", r.view.ID, "name", r.view.Name, "result", string(end.result), "detail", end.detail)
	return nil
}

// conclude ends the removal in the store and returns what else is to be told.
func (r *removal) conclude(ctx context.Context, tx *store.Tx, end ending) ([]store.Event, error) {
	switch {
	case end.done():
		if err := r.saveCopy(ctx, tx); err != nil {
			return nil, err
		}
		if err := tx.FinishRemoval(ctx, r.view.ID); err != nil {
			return nil, err
		}
		return r.keepCopy(ctx, tx)
	case end.left:
		return nil, nil
	}
	if err := tx.TakeBackRemoval(ctx, r.view.ID); err != nil || !end.begun {
		return nil, err
	}
	if err := r.saveCopy(ctx, tx); err != nil {
		return nil, err
	}
	return r.keepCopy(ctx, tx)
}

// setResult keeps the result in the plan, if the removal came from one.
func (r *removal) setResult(ctx context.Context, tx *store.Tx, end ending) error {
	if r.item.PlanID == "" {
		return nil
	}
	return tx.SetPlanResult(ctx, r.item.PlanID, r.view.ID, end.result, end.detail, time.Now().UTC())
}
