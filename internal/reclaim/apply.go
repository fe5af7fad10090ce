package reclaim

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

// Apply does exactly what a plan says, image by image, looking again before each. What cannot be asked refuses the
// whole before it is begun. When ctx ends, the image in hand is finished and the rest is left alone.
func (r *Reclaimer) Apply(ctx context.Context, planID, actor string, told func(done, total int, i store.ReclaimItem)) (store.ReclaimPlan, error) {
	if !r.hold(planID) {
		return store.ReclaimPlan{}, r.refuse(ctx, refusal{action: "apply", planID: planID, actor: actor}, ErrPlanUsed)
	}
	defer r.letGo(planID)
	plan, err := r.begin(ctx, planID, actor)
	if err != nil {
		return store.ReclaimPlan{}, r.refuse(ctx, refusal{action: "apply", hostID: plan.HostID, planID: planID, actor: actor}, err)
	}
	var errs []error
	for n, item := range plan.Items {
		item.Result, item.Detail = r.item(ctx, plan, item)
		if err := r.record(ctx, plan, item, actor); err != nil {
			errs = append(errs, err)
		}
		if told != nil {
			told(n+1, len(plan.Items), item)
		}
	}
	done, err := r.finish(ctx, planID, actor)
	return done, errors.Join(append(errs, err)...)
}

// begin makes sure that a plan may be applied on the host that it was made for, and claims it.
func (r *Reclaimer) begin(ctx context.Context, planID, actor string) (store.ReclaimPlan, error) {
	plan, err := r.db.ReclaimPlan(ctx, planID)
	if err != nil {
		return plan, fmt.Errorf("read plan %s: %w", planID, err)
	}
	if err := notToApply(plan, time.Now()); err != nil {
		return plan, err
	}
	if _, err := r.ground(ctx, plan); err != nil {
		return plan, err
	}
	return plan, r.claim(ctx, planID, actor)
}

// ground is the host of a plan, if it is the engine that was planned for and may be acted on.
func (r *Reclaimer) ground(ctx context.Context, plan store.ReclaimPlan) (standing, error) {
	on, err := r.fit(ctx, plan.HostID)
	if err == nil && !on.sameEngine(plan.EngineID, plan.DataRoot) {
		err = fmt.Errorf("%w: another engine than planned for answers for %s", ErrRefused, on.host.Name)
	}
	return on, err
}

// item brings one image to its result.
func (r *Reclaimer) item(ctx context.Context, plan store.ReclaimPlan, item store.ReclaimItem) (store.CleanupResult, string) {
	if ctx.Err() != nil {
		return store.ResultError, "interrupted before it was begun, nothing was done"
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), itemTimeout)
	defer cancel()
	on, err := r.ground(ctx, plan)
	if err != nil {
		return store.ResultKept, err.Error()
	}
	names, stop := r.lookAgain(ctx, on, item)
	if stop == nil {
		stop = remove(ctx, on.engine, item.ImageID, names)
	}
	if stop == nil {
		return store.ResultRemoved, ""
	}
	if stop.result == store.ResultAlreadyGone {
		// Only the right engine's word counts for that.
		if _, err := r.ground(ctx, plan); err != nil {
			return store.ResultError, "it seems to be gone, but " + err.Error()
		}
	}
	return stop.result, stop.why
}

// lookAgain judges an image afresh, as if it had not been planned. It returns the names that it has now, the one to go
// last at the end, or what keeps it.
func (r *Reclaimer) lookAgain(ctx context.Context, on standing, item store.ReclaimItem) ([]string, *verdict) {
	var b book
	if err := r.readUse(ctx, on.host.ID, &b); err != nil {
		return nil, &verdict{store.ResultError, fmt.Sprintf("read what instances of ours use: %v", err)}
	}
	img, err := inspect(ctx, on.engine, item.ImageID)
	if errors.Is(err, docker.ErrNotFound) {
		return nil, &verdict{store.ResultAlreadyGone, "somebody else removed it"}
	}
	if err != nil {
		return nil, &verdict{store.ResultError, err.Error()}
	}
	f, err := r.factsOf(ctx, &b, item.ImageID, img.Tags, img.RepoDigests)
	if err != nil {
		return nil, &verdict{store.ResultError, err.Error()}
	}
	if v := judge(f); !v.reclaimable() {
		return nil, &v
	}
	if more := added(img.Tags, item.Refs); len(more) > 0 {
		return nil, &verdict{store.ResultChanged, "it has got another name since: " + some(more)}
	}
	f.containers, err = on.engine.ImageUsers(ctx, item.ImageID)
	switch {
	case errors.Is(err, docker.ErrNotFound):
		return nil, &verdict{store.ResultAlreadyGone, "somebody else removed it"}
	case err != nil:
		return nil, &verdict{store.ResultError, fmt.Sprintf("who uses it could not be asked: %v", err)}
	}
	if v := judge(f); !v.reclaimable() {
		return nil, &v
	}
	return inOrder(img), nil
}

func inspect(ctx context.Context, e *docker.Engine, id string) (docker.Image, error) {
	ctx, cancel := context.WithTimeout(ctx, factsTimeout)
	defer cancel()
	return e.InspectImage(ctx, id)
}

// inOrder are the names of an image in the order in which they go: what an undo was kept by before what people know it by,
// and last the digest that it was deployed by, if that is all that names its repository.
func inOrder(img docker.Image) []string {
	names := slices.Sorted(slices.Values(img.Tags))
	slices.SortStableFunc(names, func(a, b string) int { return archiveRank(a) - archiveRank(b) })
	for _, digest := range img.RepoDigests {
		if !slices.ContainsFunc(names, func(name string) bool { return repositoryOf(name) == repositoryOf(digest) }) {
			names = append(names, digest)
		}
	}
	return names
}

func archiveRank(name string) int {
	if isArchiveTag(name) {
		return 0
	}
	return 1
}

// remove takes an image off its engine: all names but one, then the image by its id, which the engine refuses if anything
// uses it. A refusal gives it back the names that it had. Nil: it is gone by our hand.
func remove(ctx context.Context, e *docker.Engine, id string, names []string) *verdict {
	var taken []string
	for _, name := range names[:max(len(names)-1, 0)] {
		gone, err := untag(ctx, e, id, name)
		if err != nil {
			return kept(ctx, e, id, taken, err)
		}
		taken = append(taken, name)
		if gone {
			return nil // its other names went meanwhile by another hand, so it went with this one
		}
	}
	_, err := e.RemoveImage(ctx, id)
	if err != nil {
		return kept(ctx, e, id, taken, err)
	}
	return nil
}

// untag takes a name off an image, if it is still a name of it. gone: the image went with it.
func untag(ctx context.Context, e *docker.Engine, id, name string) (gone bool, err error) {
	img, err := inspect(ctx, e, name)
	if errors.Is(err, docker.ErrNotFound) || err == nil && img.ID != id {
		return false, nil // somebody has moved it
	}
	if err != nil {
		return false, err
	}
	done, err := e.RemoveImage(ctx, name)
	if errors.Is(err, docker.ErrNotFound) {
		return false, nil
	}
	return slices.ContainsFunc(done.Deleted, func(gone string) bool { return sameID(gone, id) }), err
}

// sameID compares ids of images, which podman writes without the algorithm here and there.
func sameID(a, b string) bool {
	return strings.TrimPrefix(a, "sha256:") == strings.TrimPrefix(b, "sha256:")
}

// kept is what became of an image that the engine did not remove when it was asked to.
func kept(ctx context.Context, e *docker.Engine, id string, taken []string, cause error) *verdict {
	_, err := inspect(ctx, e, id)
	switch {
	case errors.Is(err, docker.ErrNotFound) && unheard(cause):
		return nil // the engine's answer was lost
	case errors.Is(err, docker.ErrNotFound):
		return &verdict{store.ResultAlreadyGone, "somebody else removed it"}
	case err != nil:
		return &verdict{store.ResultError, fmt.Sprintf("%v; what became of it could not be asked: %v", cause, err)}
	}
	v := verdict{store.ResultError, cause.Error()}
	if errors.Is(cause, docker.ErrConflict) {
		v = verdict{store.ResultInUse, "the engine says: " + cause.Error()}
	}
	if err := giveBack(ctx, e, id, taken); err != nil {
		v.why += fmt.Sprintf("; and it could not be given back a name: %v", err)
	}
	return &v
}

// unheard reports whether an engine may have done what it was asked without our hearing of it.
func unheard(err error) bool {
	return errors.Is(err, docker.ErrUnavailable) || errors.Is(err, docker.ErrTimeout) || errors.Is(err, context.DeadlineExceeded)
}

// giveBack names an image again, but takes no name from another.
func giveBack(ctx context.Context, e *docker.Engine, id string, names []string) error {
	var errs []error
	for _, name := range names {
		_, err := inspect(ctx, e, name)
		if errors.Is(err, docker.ErrNotFound) {
			err = e.TagImage(ctx, id, name)
		}
		errs = append(errs, err)
	}
	return errors.Join(errs...)
}

// record writes what became of one image. One that is no more is forgotten, together with who brought it: it may come back by
// another hand.
func (r *Reclaimer) record(ctx context.Context, plan store.ReclaimPlan, item store.ReclaimItem, actor string) error {
	ctx, cancel := settling(ctx)
	defer cancel()
	err := r.db.Update(ctx, func(tx *store.Tx) error {
		if item.Result == store.ResultRemoved || item.Result == store.ResultAlreadyGone {
			if err := tx.DeleteRemnant(ctx, plan.HostID, store.RemnantImage, item.ImageID); err != nil && !errors.Is(err, store.ErrNotFound) {
				return err
			}
			if err := tx.DeletePulledImage(ctx, plan.HostID, item.ImageID); err != nil && !errors.Is(err, store.ErrNotFound) {
				return err
			}
		}
		if err := tx.SetReclaimResult(ctx, plan.ID, item.ImageID, item.Result, item.Detail); err != nil {
			return err
		}
		return tx.Emit(ctx, itemEvent(plan, item, actor))
	})
	if err != nil {
		return fmt.Errorf("write down that image %s ended as %s: %w", item.ImageID, item.Result, err)
	}
	r.log.Info("reclaim ended", "host_id", plan.HostID, "image", nameOf(item), "result", string(item.Result), "detail", item.Detail)
	return nil
}

// finish closes a plan whose items all have a result, with its summary.
func (r *Reclaimer) finish(ctx context.Context, planID, actor string) (store.ReclaimPlan, error) {
	ctx, cancel := settling(ctx)
	defer cancel()
	var done store.ReclaimPlan
	err := r.db.Update(ctx, func(tx *store.Tx) error {
		if err := tx.FinishReclaimPlan(ctx, planID, time.Now().UTC()); err != nil {
			return err
		}
		var err error
		if done, err = tx.ReclaimPlan(ctx, planID); err != nil {
			return err
		}
		return tx.Emit(ctx, appliedEvent(done, actor))
	})
	if err != nil {
		return store.ReclaimPlan{}, fmt.Errorf("finish plan %s: %w", planID, err)
	}
	return done, nil
}

// Recover ends the plans that a crash left half applied: an image that is still there gets back the names that were
// taken from it. Call at start, and again until it returns nil: a host that cannot be asked now is left for later.
func (r *Reclaimer) Recover(ctx context.Context) error {
	plans, err := r.db.UnfinishedReclaimPlans(ctx)
	if err != nil {
		return fmt.Errorf("list unfinished reclaim plans: %w", err)
	}
	var errs []error
	for _, plan := range plans {
		if !r.hold(plan.ID) {
			continue
		}
		if err := r.recoverHeld(ctx, plan); err != nil {
			errs = append(errs, fmt.Errorf("recover reclaim plan %s: %w", plan.ID, err))
		}
	}
	return errors.Join(errs...)
}

// recoverHeld closes a plan that is held, unless whoever applied it was alive and has closed it since it was listed: the results stand.
func (r *Reclaimer) recoverHeld(ctx context.Context, listed store.ReclaimPlan) error {
	defer r.letGo(listed.ID)
	plan, err := r.db.ReclaimPlan(ctx, listed.ID)
	if err != nil || plan.State != store.PlanApplying {
		return err
	}
	return r.recover(ctx, plan)
}

func (r *Reclaimer) recover(ctx context.Context, plan store.ReclaimPlan) error {
	on, err := r.ask(ctx, plan.HostID)
	if err != nil {
		return err
	}
	for _, item := range plan.Items {
		if item.Result != "" {
			continue
		}
		item.Result, item.Detail = store.ResultError, "interrupted"
		if on.sameEngine(plan.EngineID, plan.DataRoot) {
			if item.Result, item.Detail, err = afterCrash(ctx, on.engine, item); err != nil {
				return err
			}
		}
		if err := r.record(ctx, plan, item, plan.AppliedBy); err != nil {
			return err
		}
	}
	_, err = r.finish(ctx, plan.ID, plan.AppliedBy)
	return err
}

// afterCrash finds out how far one image had come.
func afterCrash(ctx context.Context, e *docker.Engine, item store.ReclaimItem) (store.CleanupResult, string, error) {
	_, err := inspect(ctx, e, item.ImageID)
	if errors.Is(err, docker.ErrNotFound) {
		return store.ResultRemoved, "found removed after an interruption", nil
	}
	if err == nil {
		err = giveBack(ctx, e, item.ImageID, item.Refs)
	}
	return store.ResultError, "interrupted, it is still there: plan anew", err
}
