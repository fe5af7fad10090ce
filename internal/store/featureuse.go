package store

import "context"

// FeatureUse counts what tells which parts of the product somebody uses. History of what is gone does not count.
type FeatureUse struct {
	Instances int
	Adopted   int // of the instances
	Deploys   int // to stages that there are
	Following int // stages that deploy by themselves
	Empty     int // stages that have no instance yet, or none any more
	Cleanups  int // plans that were applied or are
	Archives  int // removed instances that are kept, and may be brought back
	Reclaims  int // plans that were applied or are
}

// FeatureUse counts what is there now.
func (q queries) FeatureUse(ctx context.Context) (FeatureUse, error) {
	return one(ctx, q, "count what tells which features are in use", func(r row) (u FeatureUse, err error) {
		return u, r.Scan(&u.Instances, &u.Adopted, &u.Deploys, &u.Following, &u.Empty, &u.Cleanups, &u.Archives, &u.Reclaims)
	}, `SELECT (SELECT count(*) FROM instances),
		(SELECT count(*) FROM instances WHERE ownership = 'adopted'),
		(SELECT count(*) FROM deploys WHERE stage_id IN (SELECT id FROM stages)),
		(SELECT count(*) FROM stages WHERE mode = 'auto'),
		(SELECT count(*) FROM stages s WHERE NOT EXISTS (SELECT 1 FROM instances i WHERE i.stage_id = s.id)),
		(SELECT count(*) FROM plans WHERE state IN ('applying', 'applied')),
		(SELECT count(*) FROM archives WHERE restored_at IS NULL),
		(SELECT count(*) FROM reclaim_plans WHERE state IN ('applying', 'applied'))`)
}
