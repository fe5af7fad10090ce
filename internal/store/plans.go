package store

import (
	"context"
	"fmt"
	"strconv"
	"time"
)

const planColumns = `id, state, single, created_at, created_by, expires_at, applied_at, applied_by, done_at, left_out,
	automatic, apply_at, tag_gone_yes`

func scanPlan(r row) (p Plan, err error) {
	err = r.Scan(&p.ID, &p.State, truth{&p.Single}, at{&p.CreatedAt}, &p.CreatedBy, at{&p.ExpiresAt}, at{&p.AppliedAt}, &p.AppliedBy,
		at{&p.DoneAt}, &p.LeftOut, truth{&p.Automatic}, at{&p.ApplyAt}, truth{&p.TagGoneYes})
	return p, err
}

const itemColumns = `plan_id, position, instance_id, host_id, engine_id, data_root, container_id, name, project_id, stage_id, project, stage,
	image_tag, status, class, evidence, upper_bound, last_alive_at, reason, started_at, finished_at, restart_count, labels, details,
	protection, result, result_detail, done_at`

func scanItem(r row) (i PlanItem, err error) {
	err = r.Scan(&i.PlanID, &i.Position, &i.InstanceID, &i.HostID, &i.EngineID, &i.DataRoot, &i.ContainerID, &i.Name, &i.ProjectID,
		&i.StageID, &i.Project, &i.Stage, &i.ImageTag, &i.Status, &i.Class, &i.Evidence, truth{&i.UpperBound}, at{&i.LastAliveAt},
		&i.Reason, at{&i.StartedAt}, at{&i.FinishedAt}, &i.RestartCount, fromJSON{&i.Labels}, fromJSON{&i.Details},
		fromJSON{&i.Protection}, &i.Result, &i.ResultDetail, at{&i.DoneAt})
	return i, err
}

// Plan returns a plan with its items.
func (q queries) Plan(ctx context.Context, id string) (Plan, error) {
	p, err := one(ctx, q, "read plan "+id, scanPlan, `SELECT `+planColumns+` FROM plans WHERE id = $1`, id)
	if err != nil {
		return Plan{}, err
	}
	p.Items, err = q.planItems(ctx, id)
	return p, err
}

func (q queries) planItems(ctx context.Context, id string) ([]PlanItem, error) {
	return list(ctx, q, "read the items of plan "+id, scanItem,
		`SELECT `+itemColumns+` FROM plan_items WHERE plan_id = $1 ORDER BY position`, id)
}

// InsertPlan adds a plan with its items, in their order.
func (tx *Tx) InsertPlan(ctx context.Context, p Plan) error {
	if _, err := tx.exec(ctx, "add plan "+p.ID,
		`INSERT INTO plans (`+planColumns+`) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13)`,
		p.ID, string(p.State), bit(p.Single), orNow(p.CreatedAt, now()), clean(p.CreatedBy), millis(p.ExpiresAt), millis(p.AppliedAt),
		clean(p.AppliedBy), millis(p.DoneAt), p.LeftOut, bit(p.Automatic), millis(p.ApplyAt), bit(p.TagGoneYes)); err != nil {
		return err
	}
	for position, i := range p.Items {
		if err := tx.insertItem(ctx, p.ID, position, i); err != nil {
			return err
		}
	}
	return nil
}

func (tx *Tx) insertItem(ctx context.Context, planID string, position int, i PlanItem) error {
	what := "add item " + strconv.Itoa(position) + " of plan " + planID
	labels, err := jsonOf(what, i.Labels)
	if err != nil {
		return err
	}
	details, err := jsonOf(what, i.Details)
	if err != nil {
		return err
	}
	protection, err := jsonOf(what, i.Protection)
	if err != nil {
		return err
	}
	_, err = tx.exec(ctx, what, `INSERT INTO plan_items (`+itemColumns+`)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19, $20, $21, $22, $23, $24, $25, $26, $27, $28)`,
		planID, position, i.InstanceID, i.HostID, clean(i.EngineID), clean(i.DataRoot), clean(i.ContainerID), clean(i.Name), i.ProjectID,
		i.StageID, clean(i.Project), clean(i.Stage), clean(i.ImageTag), string(i.Status), string(i.Class), string(i.Evidence),
		bit(i.UpperBound), millis(i.LastAliveAt), clean(i.Reason), millis(i.StartedAt), millis(i.FinishedAt), i.RestartCount,
		labels, details, protection, string(i.Result), clean(i.ResultDetail), millis(i.DoneAt))
	return err
}

// ClaimPlan moves a plan from planned to applying; ErrConflict when it was used or has expired by now, as has one that is dated ahead.
func (tx *Tx) ClaimPlan(ctx context.Context, id, by string, now time.Time) error {
	n, err := tx.exec(ctx, "claim plan "+id,
		`UPDATE plans SET state = $1, applied_at = $2, applied_by = $3 WHERE id = $4 AND state = $5 AND expires_at > $2 AND created_at <= $6`,
		string(PlanApplying), now.UnixMilli(), clean(by), id, string(PlanPlanned), millis(now.Add(aheadAfter)))
	if err != nil || n > 0 {
		return err
	}
	p, err := tx.Plan(ctx, id)
	if err != nil {
		return err
	}
	if p.State == PlanPlanned {
		return fmt.Errorf("claim plan %s: it has expired: %w", id, ErrConflict)
	}
	return fmt.Errorf("claim plan %s: it is %s already: %w", id, p.State, ErrConflict)
}

// SetPlanResult writes what became of an item.
func (tx *Tx) SetPlanResult(ctx context.Context, planID, instanceID string, r CleanupResult, detail string, at time.Time) error {
	err := tx.execOne(ctx, "write what became of instance "+instanceID+" in plan "+planID, ErrNotFound,
		`UPDATE plan_items SET result = $1, result_detail = $2, done_at = $3 WHERE plan_id = $4 AND instance_id = $5`,
		string(r), clean(detail), millis(at), planID, instanceID)
	if err == nil {
		tx.tally.item(r)
	}
	return err
}

// FinishPlan ends a plan that is being applied.
func (tx *Tx) FinishPlan(ctx context.Context, id string, at time.Time) error {
	return tx.execOne(ctx, "finish plan "+id+": it is not being applied", ErrConflict,
		`UPDATE plans SET state = $1, done_at = $2 WHERE id = $3 AND state = $4`,
		string(PlanApplied), millis(at), id, string(PlanApplying))
}

// CancelPlan calls off a plan that is not applied yet; ErrConflict when it is. AppliedBy and DoneAt say then who did, and when.
func (tx *Tx) CancelPlan(ctx context.Context, id, by string, at time.Time) error {
	n, err := tx.exec(ctx, "cancel plan "+id,
		`UPDATE plans SET state = $1, applied_by = $2, done_at = $3 WHERE id = $4 AND state = $5`,
		string(PlanCancelled), clean(by), millis(at), id, string(PlanPlanned))
	if err != nil || n > 0 {
		return err
	}
	p, err := tx.Plan(ctx, id)
	if err != nil {
		return err
	}
	return fmt.Errorf("cancel plan %s: it is %s already: %w", id, p.State, ErrConflict)
}

// PlanFilter selects plans; zero fields do not filter.
type PlanFilter struct {
	States    []PlanState
	Automatic *bool
}

// Plans returns a page of plans without their items, newest first.
func (q queries) Plans(ctx context.Context, f PlanFilter, p Page) ([]Plan, string, error) {
	c, found, err := parseCursor(p.Cursor, "plans", 0, 1)
	if err != nil {
		return nil, "", err
	}
	var a arguments
	var w where
	if len(f.States) > 0 {
		w.and(`state IN ` + in(&a, plain(f.States)))
	}
	if f.Automatic != nil {
		w.and(`automatic = ` + a.add(bit(*f.Automatic)))
	}
	if found {
		w.and(`id < ` + a.add(c.Texts[0]))
	}
	plans, err := list(ctx, q, "list the plans", scanPlan,
		`SELECT `+planColumns+` FROM plans`+w.String()+` ORDER BY id DESC LIMIT `+a.add(p.limit()+1), a...)
	if err != nil {
		return nil, "", err
	}
	plans, next := cut(plans, p.limit(), func(p Plan) cursor { return cursor{List: "plans", Texts: []string{p.ID}} })
	return plans, next, nil
}

// CalledOff returns the instances of automatic plans that were called off since a moment, with when the last of them was.
func (q queries) CalledOff(ctx context.Context, since time.Time) (map[string]time.Time, error) {
	type off struct {
		instanceID string
		at         time.Time
	}
	offs, err := list(ctx, q, "list what was called off", func(r row) (o off, err error) { return o, r.Scan(&o.instanceID, at{&o.at}) },
		`SELECT i.instance_id, MAX(p.done_at) FROM plans p JOIN plan_items i ON i.plan_id = p.id
		WHERE p.automatic = 1 AND p.state = $1 AND p.done_at > $2 GROUP BY i.instance_id`, string(PlanCancelled), since.UnixMilli())
	if err != nil {
		return nil, err
	}
	when := make(map[string]time.Time, len(offs))
	for _, o := range offs {
		when[o.instanceID] = o.at
	}
	return when, nil
}

// AutomaticPlans returns the plans that automatic cleanup made and that wait for their moment, oldest first; not
// those that had expired by now, nor those that are dated ahead: nothing else would be planned on their hosts until then.
func (q queries) AutomaticPlans(ctx context.Context, now time.Time) ([]Plan, error) {
	return q.wholePlans(ctx, "list the automatic plans", `WHERE state = $1 AND automatic = 1 AND expires_at > $2 AND created_at <= $3`,
		string(PlanPlanned), now.UnixMilli(), millis(now.Add(aheadAfter)))
}

// UnfinishedPlans returns plans left applying by a crash, oldest first.
func (q queries) UnfinishedPlans(ctx context.Context) ([]Plan, error) {
	return q.wholePlans(ctx, "list the unfinished plans", `WHERE state = $1`, string(PlanApplying))
}

// wholePlans returns plans with their items, oldest first.
func (q queries) wholePlans(ctx context.Context, what, where string, args ...any) ([]Plan, error) {
	plans, err := list(ctx, q, what, scanPlan, `SELECT `+planColumns+` FROM plans `+where+` ORDER BY created_at, id`, args...)
	if err != nil {
		return nil, err
	}
	for i := range plans {
		if plans[i].Items, err = q.planItems(ctx, plans[i].ID); err != nil {
			return nil, err
		}
	}
	return plans, nil
}
