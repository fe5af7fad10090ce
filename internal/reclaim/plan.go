package reclaim

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/tiny-forge/docker-watcher/internal/docker"
	"github.com/tiny-forge/docker-watcher/internal/store"
)

// Plan freezes which images would go; with no ids, all that are reclaimable. An image that is asked for and may not go
// refuses the whole, with its reason.
func (r *Reclaimer) Plan(ctx context.Context, hostID string, imageIDs []string, actor string) (store.ReclaimPlan, error) {
	plan, err := r.draw(ctx, hostID, imageIDs, actor)
	if err != nil {
		return store.ReclaimPlan{}, r.refuse(ctx, refusal{action: "plan", hostID: hostID, actor: actor}, err)
	}
	err = r.db.Update(ctx, func(tx *store.Tx) error {
		if err := tx.InsertReclaimPlan(ctx, plan); err != nil {
			return err
		}
		return tx.Emit(ctx, plannedEvent(plan))
	})
	if err != nil {
		return store.ReclaimPlan{}, fmt.Errorf("keep the plan: %w", err)
	}
	return plan, nil
}

func (r *Reclaimer) draw(ctx context.Context, hostID string, imageIDs []string, actor string) (store.ReclaimPlan, error) {
	on, err := r.fit(ctx, hostID)
	if err != nil {
		return store.ReclaimPlan{}, err
	}
	b, err := r.openBook(ctx, hostID)
	if err != nil {
		return store.ReclaimPlan{}, err
	}
	listed := time.Now()
	images, err := r.images(ctx, on, b, nil)
	if err != nil {
		return store.ReclaimPlan{}, err
	}
	if err := r.forgetGone(ctx, hostID, b, images, listed); err != nil {
		return store.ReclaimPlan{}, err
	}
	if images, err = chosen(images, imageIDs); err != nil {
		return store.ReclaimPlan{}, err
	}
	// What is built on another is younger, and goes first: an engine keeps what something is built on.
	slices.SortStableFunc(images, func(a, b Image) int { return b.created.Compare(a.created) })
	now := time.Now().UTC()
	plan := store.ReclaimPlan{
		ID: store.NewID(), HostID: hostID, EngineID: on.info.EngineID, DataRoot: on.info.DataRoot,
		State: store.PlanPlanned, CreatedAt: now, CreatedBy: actor, ExpiresAt: now.Add(planLife),
	}
	for _, i := range images {
		plan.Items = append(plan.Items, store.ReclaimItem{ImageID: i.ID, Refs: i.Refs, Bytes: i.Bytes, LastUse: i.LastUse})
	}
	return plan, nil
}

// forgetGone forgets images that the engine had no more when it was asked: if they come back it may be by another hand.
func (r *Reclaimer) forgetGone(ctx context.Context, hostID string, b *book, there []Image, listed time.Time) error {
	var pulled, used []string
	has := func(id string) bool { return slices.ContainsFunc(there, func(i Image) bool { return i.ID == id }) }
	for id, p := range b.pulled {
		if !has(id) && p.PulledAt.Before(listed) {
			pulled = append(pulled, id)
		}
	}
	for id := range b.images {
		if !has(id) {
			used = append(used, id)
		}
	}
	if len(pulled)+len(used) == 0 {
		return nil
	}
	err := r.db.Update(ctx, func(tx *store.Tx) error {
		for _, id := range pulled {
			if err := tx.DeletePulledImage(ctx, hostID, id); err != nil && !errors.Is(err, store.ErrNotFound) {
				return err
			}
		}
		for _, id := range used {
			if err := tx.DeleteRemnant(ctx, hostID, store.RemnantImage, id); err != nil && !errors.Is(err, store.ErrNotFound) {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("forget images that are gone: %w", err)
	}
	return nil
}

// chosen are the reclaimable images among those asked for.
func chosen(images []Image, ids []string) ([]Image, error) {
	if len(ids) == 0 {
		return slices.DeleteFunc(images, func(i Image) bool { return !i.Reclaimable }), nil
	}
	picked := make([]Image, 0, len(ids))
	for _, id := range slices.Compact(slices.Sorted(slices.Values(ids))) {
		at := slices.IndexFunc(images, func(i Image) bool { return i.ID == id })
		switch {
		case at < 0:
			return nil, fmt.Errorf("%w: image %s is not one that an instance of ours has used: %w", ErrRefused, id, docker.ErrNotFound)
		case !images[at].Reclaimable:
			return nil, fmt.Errorf("%w: image %s: %s", ErrRefused, id, images[at].Why)
		}
		picked = append(picked, images[at])
	}
	return picked, nil
}

// claim moves a plan from planned to applying, once.
func (r *Reclaimer) claim(ctx context.Context, planID, actor string) error {
	now := time.Now().UTC()
	err := r.db.Update(ctx, func(tx *store.Tx) error { return tx.ClaimReclaimPlan(ctx, planID, actor, now) })
	if !errors.Is(err, store.ErrConflict) {
		if err != nil {
			return fmt.Errorf("claim plan %s: %w", planID, err)
		}
		return nil
	}
	plan, err := r.db.ReclaimPlan(ctx, planID)
	if err != nil {
		return fmt.Errorf("read plan %s: %w", planID, err)
	}
	return notToApply(plan, now)
}

// notToApply says why a plan cannot be applied any more; nil if it can.
func notToApply(plan store.ReclaimPlan, now time.Time) error {
	switch {
	case plan.State != store.PlanPlanned:
		return fmt.Errorf("%w by %s at %s", ErrPlanUsed, plan.AppliedBy, moment(plan.AppliedAt))
	case !plan.ExpiresAt.After(now):
		return fmt.Errorf("%w at %s", ErrPlanExpired, moment(plan.ExpiresAt))
	case plan.CreatedAt.After(now.Add(time.Hour)):
		return fmt.Errorf("%w: it was made while the clock ran ahead", ErrPlanExpired)
	}
	return nil
}
