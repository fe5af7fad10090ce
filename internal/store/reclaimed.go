package store

import (
	"context"
	"fmt"
)

// DeletePulledImage forgets who brought an image: it has left the engine, and may come back by another hand.
func (tx *Tx) DeletePulledImage(ctx context.Context, hostID, imageID string) error {
	return tx.execOne(ctx, "forget who brought image "+imageID, ErrNotFound,
		`DELETE FROM pulled_images WHERE host_id = $1 AND image_id = $2`, hostID, imageID)
}

// UnfinishedReclaimPlans returns the reclaim plans that were being applied and have not ended, oldest first.
func (q queries) UnfinishedReclaimPlans(ctx context.Context) ([]ReclaimPlan, error) {
	ids, err := list(ctx, q, "list unfinished reclaim plans", func(r row) (id string, err error) { return id, r.Scan(&id) },
		`SELECT id FROM reclaim_plans WHERE state = $1 ORDER BY created_at, id`, string(PlanApplying))
	if err != nil {
		return nil, err
	}
	plans := make([]ReclaimPlan, 0, len(ids))
	for _, id := range ids {
		plan, err := q.ReclaimPlan(ctx, id)
		if err != nil {
			return nil, fmt.Errorf("list unfinished reclaim plans: %w", err)
		}
		plans = append(plans, plan)
	}
	return plans, nil
}
