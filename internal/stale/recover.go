package stale

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/tiny-forge/docker-watcher/internal/docker"
	"github.com/tiny-forge/docker-watcher/internal/store"
)

// errWaits is told of a removal that cannot be ended now: it stays as it is for a later Recover.
var errWaits = errors.New("waits")

// Recover ends what a crash left half done: each removal is finished only if the
// container is as recorded, else taken back. Call before serving, and again until it returns nil, above all when an
// unreachable host comes back: what cannot be asked now is left as it is. What this process has in hand is left alone.
func (c *Cleaner) Recover(ctx context.Context) error {
	removals, err := c.db.Removals(ctx)
	if err != nil {
		return fmt.Errorf("list removals: %w", err)
	}
	hosts := c.openHostBook()
	left := make([]bool, len(removals)) // those that had to be left
	errs := make([]error, len(removals))
	besideHosts(len(removals), 1, func(i int) string { return removals[i].HostID }, func(i int) {
		release, ok := c.take(removals[i].InstanceID)
		if !ok {
			left[i] = true
			return
		}
		defer release()
		if err := c.recoverRemoval(ctx, hosts, removals[i]); err != nil {
			left[i], errs[i] = true, fmt.Errorf("recover the removal of instance %s: %w", removals[i].InstanceID, err)
		}
	})
	waiting := map[string]bool{} // their plans
	for i, row := range removals {
		if left[i] {
			waiting[row.PlanID] = true
		}
	}
	return errors.Join(errors.Join(errs...), c.recoverArchives(ctx, hosts), c.recoverPlans(ctx, waiting))
}

// recoverRemoval ends one removal, or says why it waits.
func (c *Cleaner) recoverRemoval(ctx context.Context, hosts *hostBook, row store.Removal) error {
	view, err := c.db.Instance(ctx, row.InstanceID)
	if err == nil && view.Status != store.StatusRemoving { // listed before whoever had it in hand took it back
		return nil
	}
	if err == nil {
		item, plan := c.itemOf(ctx, row, view)
		r := &removal{c: c, view: view, item: item, actor: row.Actor, tagGoneYes: plan.TagGoneYes, bound: bindingOfRemoval(row)}
		if err = r.findCopy(ctx, row); err == nil {
			err = r.recover(ctx, hosts, row)
		}
	}
	if errors.Is(err, store.ErrNotFound) { // whoever had begun it was alive after all, and faster
		return nil
	}
	return err
}

func (r *removal) recover(ctx context.Context, hosts *hostBook, row store.Removal) (err error) {
	if row.Step == store.RemovalIntended {
		return r.takeBack(ctx, "nothing had been done yet")
	}
	if r.on, err = hosts.ask(ctx, row.HostID); err != nil {
		return fmt.Errorf("%w: %w", errWaits, err)
	}
	if !r.on.sameEngine(r.on.host.EngineID, r.on.host.DataRoot) {
		return fmt.Errorf("%w: another engine answers for %s", errWaits, r.on.host.Name)
	}
	if !r.on.sameEngine(row.EngineID, row.DataRoot) || !r.on.sameEngine(r.view.EngineID, "") {
		// An admin has accepted it; the one that this was begun on may never come back.
		r.stopAsked = hadProcess(row.Former)
		return r.takeBack(ctx, "another engine was accepted for "+r.on.host.Name)
	}
	frozen := !r.on.host.FrozenSince.IsZero()
	ct, err := inspect(ctx, r.on.engine, row.ContainerID)
	switch {
	case err == nil && frozen:
		r.stopAsked = hadProcess(row.Former)
		return r.takeBack(ctx, "its host is frozen: "+r.on.host.FrozenReason)
	case err == nil:
		return r.resume(ctx, row, ct)
	case !errors.Is(err, docker.ErrNotFound):
		return fmt.Errorf("%w: %w", errWaits, err)
	case frozen:
		return fmt.Errorf("%w: %s is frozen: %s", errWaits, r.on.host.Name, r.on.host.FrozenReason)
	}
	if err := r.completeCopy(ctx, row.Step); err != nil {
		return fmt.Errorf("%w: %w", errWaits, err)
	}
	if row.Step == store.RemovalDeleting {
		return r.settle(ctx, ending{result: store.ResultRemoved, detail: "finished after an interruption"})
	}
	return r.settle(ctx, ending{result: store.ResultAlreadyGone, detail: "somebody else removed its container"})
}

// findCopy reads the archive that a removal had begun to make.
func (r *removal) findCopy(ctx context.Context, row store.Removal) (err error) {
	if r.settings, err = r.c.db.Settings(ctx); err != nil || row.ArchiveID == "" {
		return err
	}
	r.copy = &keeping{unheard: true}
	if r.copy.row, err = r.c.db.Archive(ctx, row.ArchiveID); err == nil {
		r.copy.contents, err = r.c.db.ArchiveContents(ctx, row.ArchiveID)
	}
	if err != nil {
		return fmt.Errorf("read its archive: %w", err)
	}
	return nil
}

// recoverCopy makes sure of the name that keeps the image: to give it again changes nothing. All else was written
// before the step of the delete was.
func (r *removal) recoverCopy(ctx context.Context) *ending {
	if r.copy == nil {
		return nil
	}
	return r.keepImage(ctx)
}

// completeCopy finds what of an archive was made before a crash, of a container that is gone by now. From the step of
// the delete on only the name of the image may be missing.
func (r *removal) completeCopy(ctx context.Context, step store.RemovalStep) error {
	if r.copy == nil {
		return nil
	}
	r.copy.unsaved, r.gone = true, true
	if end := r.keepImage(ctx); end != nil {
		return errors.New(end.detail)
	}
	if step == store.RemovalDeleting {
		return nil
	}
	row := &r.copy.row
	layer, err := r.on.engine.InspectImage(ctx, layerRef(row.ID))
	switch {
	case err == nil:
		row.LayerImage, r.copy.layerID = layerRef(row.ID), layer.ID
	case !errors.Is(err, docker.ErrNotFound):
		return err
	case row.LayerNote == "":
		row.LayerNote = "its container was removed by somebody else: what it wrote outside of its volumes is not kept"
	}
	return nil
}

// hadProcess reports whether a container of that status must have been stopped by us on the way to its delete.
func hadProcess(former store.Status) bool {
	return former == store.StatusPaused || former == store.StatusRestarting
}

// resume goes on with the delete of a container that is as recorded, and takes everything else back.
func (r *removal) resume(ctx context.Context, row store.Removal, ct docker.Container) error {
	r.stopAsked = hadProcess(row.Former)
	if row.Step != store.RemovalDeleting {
		return r.takeBack(ctx, fmt.Sprintf("interrupted while it was being stopped, it is %s", ct.State))
	}
	if r.stopAsked && ct.State == docker.StateExited && sameTime(ct.StartedAt, row.StartedAt) {
		// our own stop moved the rest
		labels := r.bound.labels
		r.bound = bindingOfContainer(ct)
		r.bound.labels = labels
	}
	if ct.State == docker.StateDead && row.Former != store.StatusDead && r.recoverCopy(ctx) == nil {
		return r.settle(ctx, ending{result: store.ResultError, detail: "interrupted, and the engine left it dead", begun: true})
	}
	if end := r.broken(ct); end != nil && ct.State != docker.StateRemoving {
		return r.takeBack(ctx, end.detail)
	}
	if p := r.protection(r.view); p.Kind != store.ProtectionNone {
		return r.takeBack(ctx, protectionWords(p))
	}
	if r.actor == autoActor && !r.settings.AutoCleanup && ct.State != docker.StateRemoving {
		return r.takeBack(ctx, "automatic cleanup was switched off meanwhile")
	}
	if stop := r.recoverCopy(ctx); stop != nil {
		return r.takeBack(ctx, stop.detail)
	}
	r.deleteAsked = true
	end := ending{result: store.ResultRemoved, detail: "finished after an interruption"}
	// A delete that was under way when we were killed may have ended meanwhile: already gone is our doing, too.
	if stop := r.remove(ctx); stop != nil && stop.result != store.ResultAlreadyGone {
		end = *stop
	}
	if end.left {
		return fmt.Errorf("%w: %s", errWaits, end.detail)
	}
	return r.settle(ctx, end)
}

// takeBack returns the instance to what it was before a removal that a crash cut short.
func (r *removal) takeBack(ctx context.Context, why string) error {
	ctx, cancel := settling(ctx)
	defer cancel()
	end := ending{result: store.ResultError, detail: "interrupted and taken back: " + why}
	if r.stopAsked {
		r.restore(ctx, &end)
	}
	e := itemEvent(r.item, end, r.actor)
	e.Kind, e.Severity = "cleanup.taken_back", store.SeverityWarn
	e.Message = fmt.Sprintf("removal of %s was %s", nameOf(r.item), end.detail)
	err := r.c.db.Update(ctx, func(tx *store.Tx) error {
		if err := tx.TakeBackRemoval(ctx, r.view.ID); err != nil {
			return err
		}
		if err := r.setResult(ctx, tx, end); err != nil {
			return err
		}
		return tx.Emit(ctx, e)
	})
	if err != nil {
		return fmt.Errorf("take back: %w", err)
	}
	r.discardCopy(ctx, end.detail)
	return nil
}

// itemOf is the planned item of a removal with its plan, or what the row tells where that is gone.
func (c *Cleaner) itemOf(ctx context.Context, row store.Removal, view store.InstanceView) (item store.PlanItem, plan store.Plan) {
	if row.PlanID != "" { // one by hand has none
		var err error
		if plan, err = c.db.Plan(ctx, row.PlanID); err != nil {
			c.log.Warn("removal without its plan", "plan_id", row.PlanID, "instance_id", row.InstanceID, "error", err)
		}
	}
	for _, item := range plan.Items {
		if item.InstanceID == row.InstanceID {
			return item, plan
		}
	}
	return store.PlanItem{
		InstanceID: view.ID, HostID: view.HostID, ContainerID: view.ContainerID, Name: view.Name,
		ProjectID: view.ProjectID, StageID: view.StageID, Project: view.Project, Stage: view.Stage, ImageTag: view.ImageTag,
		Status: row.Former, Class: view.Class, LastAliveAt: view.LastAliveAt,
	}, plan
}

// recoverPlans gives the items that a crash kept from being begun their result and closes their plans.
func (c *Cleaner) recoverPlans(ctx context.Context, waiting map[string]bool) error {
	plans, err := c.db.UnfinishedPlans(ctx)
	if err != nil {
		return fmt.Errorf("list unfinished plans: %w", err)
	}
	var errs []error
	for _, plan := range plans {
		if waiting[plan.ID] || !c.hold(c.plans, plan.ID) {
			continue
		}
		errs = append(errs, c.recoverHeld(ctx, plan))
	}
	return errors.Join(errs...)
}

// recoverHeld closes a plan that is held, unless whoever applied it was alive and has closed it since it was listed: the results stand.
func (c *Cleaner) recoverHeld(ctx context.Context, listed store.Plan) error {
	defer c.letGo(c.plans, listed.ID)
	plan, err := c.db.Plan(ctx, listed.ID)
	if err != nil || plan.State != store.PlanApplying {
		return err
	}
	return c.recoverPlan(ctx, plan)
}

func (c *Cleaner) recoverPlan(ctx context.Context, plan store.Plan) error {
	end := ending{result: store.ResultError, detail: "interrupted before it was begun, nothing was done"}
	err := c.db.Update(ctx, func(tx *store.Tx) error {
		for _, item := range plan.Items {
			if item.Result != "" {
				continue
			}
			if err := tx.SetPlanResult(ctx, plan.ID, item.InstanceID, end.result, end.detail, time.Now().UTC()); err != nil {
				return err
			}
			if err := tx.Emit(ctx, itemEvent(item, end, plan.AppliedBy)); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("end the items of plan %s: %w", plan.ID, err)
	}
	_, err = c.finishPlan(ctx, plan.ID, plan.AppliedBy)
	return err
}
