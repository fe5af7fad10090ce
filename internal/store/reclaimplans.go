package store

import (
	"context"
	"fmt"
	"time"
)

const reclaimColumns = `id, host_id, engine_id, data_root, state, created_at, created_by, expires_at, applied_at, applied_by, done_at`

func scanReclaim(r row) (p ReclaimPlan, err error) {
	err = r.Scan(&p.ID, &p.HostID, &p.EngineID, &p.DataRoot, &p.State, at{&p.CreatedAt}, &p.CreatedBy, at{&p.ExpiresAt}, at{&p.AppliedAt},
		&p.AppliedBy, at{&p.DoneAt})
	return p, err
}

// ReclaimPlan returns a plan with its items.
func (q queries) ReclaimPlan(ctx context.Context, id string) (ReclaimPlan, error) {
	p, err := one(ctx, q, "read reclaim plan "+id, scanReclaim, `SELECT `+reclaimColumns+` FROM reclaim_plans WHERE id = $1`, id)
	if err != nil {
		return ReclaimPlan{}, err
	}
	p.Items, err = q.reclaimItems(ctx, id)
	return p, err
}

func (q queries) reclaimItems(ctx context.Context, planID string) ([]ReclaimItem, error) {
	return list(ctx, q, "read the items of reclaim plan "+planID, func(r row) (i ReclaimItem, err error) {
		return i, r.Scan(&i.ImageID, fromJSON{&i.Refs}, &i.Bytes, fromJSON{&i.LastUse}, &i.Result, &i.Detail)
	}, `SELECT image_id, refs, bytes, last_use, result, detail FROM reclaim_items WHERE plan_id = $1 ORDER BY position`, planID)
}

// InsertReclaimPlan adds a plan with its items, in their order.
func (tx *Tx) InsertReclaimPlan(ctx context.Context, p ReclaimPlan) error {
	what := "add reclaim plan " + p.ID
	if _, err := tx.exec(ctx, what,
		`INSERT INTO reclaim_plans (`+reclaimColumns+`) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)`,
		p.ID, p.HostID, clean(p.EngineID), clean(p.DataRoot), string(p.State), orNow(p.CreatedAt, now()), clean(p.CreatedBy),
		millis(p.ExpiresAt), millis(p.AppliedAt), clean(p.AppliedBy), millis(p.DoneAt)); err != nil {
		return err
	}
	for position, i := range p.Items {
		refs, err := jsonOf(what, i.Refs)
		if err != nil {
			return err
		}
		use, err := jsonOf(what, i.LastUse)
		if err != nil {
			return err
		}
		if _, err := tx.exec(ctx, what, `INSERT INTO reclaim_items (plan_id, position, image_id, refs, bytes, last_use, result, detail)
			VALUES ($1, $2, $3, $4, $5, $6, $7, $8)`,
			p.ID, position, clean(i.ImageID), clean(refs), i.Bytes, clean(use), string(i.Result), clean(i.Detail)); err != nil {
			return err
		}
	}
	return nil
}

// ClaimReclaimPlan moves a plan from planned to applying; ErrConflict when it was used or has expired by now, as has one that is dated ahead.
func (tx *Tx) ClaimReclaimPlan(ctx context.Context, id, by string, now time.Time) error {
	n, err := tx.exec(ctx, "claim reclaim plan "+id,
		`UPDATE reclaim_plans SET state = $1, applied_at = $2, applied_by = $3 WHERE id = $4 AND state = $5 AND expires_at > $2 AND created_at <= $6`,
		string(PlanApplying), now.UnixMilli(), clean(by), id, string(PlanPlanned), millis(now.Add(aheadAfter)))
	if err != nil || n > 0 {
		return err
	}
	p, err := tx.ReclaimPlan(ctx, id)
	if err != nil {
		return err
	}
	if p.State == PlanPlanned {
		return fmt.Errorf("claim reclaim plan %s: it has expired: %w", id, ErrConflict)
	}
	return fmt.Errorf("claim reclaim plan %s: it is %s already: %w", id, p.State, ErrConflict)
}

// SetReclaimResult writes what became of an image of a plan.
func (tx *Tx) SetReclaimResult(ctx context.Context, planID, imageID string, r CleanupResult, detail string) error {
	return tx.execOne(ctx, "write what became of image "+imageID+" in reclaim plan "+planID, ErrNotFound,
		`UPDATE reclaim_items SET result = $1, detail = $2 WHERE plan_id = $3 AND image_id = $4`, string(r), clean(detail), planID, clean(imageID))
}

// FinishReclaimPlan ends a plan that is being applied.
func (tx *Tx) FinishReclaimPlan(ctx context.Context, id string, at time.Time) error {
	return tx.execOne(ctx, "finish reclaim plan "+id+": it is not being applied", ErrConflict,
		`UPDATE reclaim_plans SET state = $1, done_at = $2 WHERE id = $3 AND state = $4`,
		string(PlanApplied), millis(at), id, string(PlanApplying))
}

// UnfinishedReclaimPlans returns plans left applying by a crash, with their items, oldest first.
func (q queries) UnfinishedReclaimPlans(ctx context.Context) ([]ReclaimPlan, error) {
	plans, err := list(ctx, q, "list the unfinished reclaim plans", scanReclaim,
		`SELECT `+reclaimColumns+` FROM reclaim_plans WHERE state = $1 ORDER BY created_at, id`, string(PlanApplying))
	if err != nil {
		return nil, err
	}
	for n := range plans {
		if plans[n].Items, err = q.reclaimItems(ctx, plans[n].ID); err != nil {
			return nil, err
		}
	}
	return plans, nil
}
