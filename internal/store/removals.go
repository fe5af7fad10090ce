package store

import (
	"context"
	"fmt"
)

const removalColumns = `instance_id, plan_id, host_id, container_id, former, step, started_at, finished_at, restart_count, labels, actor,
	archive_id, engine_id, data_root, created_at, updated_at`

func scanRemoval(s row) (r Removal, err error) {
	err = s.Scan(&r.InstanceID, &r.PlanID, &r.HostID, &r.ContainerID, &r.Former, &r.Step, at{&r.StartedAt}, at{&r.FinishedAt},
		&r.RestartCount, fromJSON{&r.Labels}, &r.Actor, &r.ArchiveID, &r.EngineID, &r.DataRoot, at{&r.CreatedAt}, at{&r.UpdatedAt})
	return r, err
}

// BeginRemoval moves the instance from r.Former to removing (compare-and-set;
// ErrConflict if the status or revision moved) and writes the intention row.
func (tx *Tx) BeginRemoval(ctx context.Context, r Removal, revision int64) error {
	what := "begin to remove instance " + r.InstanceID
	if r.Former == StatusRemoving || !r.Former.CanBecome(StatusRemoving) {
		return fmt.Errorf("%s: %s to %s: %w", what, r.Former, StatusRemoving, ErrBadTransition)
	}
	labels, err := jsonOf(what, r.Labels)
	if err != nil {
		return err
	}
	stamp := now()
	n, err := tx.exec(ctx, what,
		`UPDATE instances SET status = $1, updated_at = $2, revision = revision + 1 WHERE id = $3 AND status = $4 AND revision = $5`,
		string(StatusRemoving), stamp, r.InstanceID, string(r.Former), revision)
	if err != nil {
		return err
	}
	if n == 0 {
		return tx.moved(ctx, what, r.InstanceID)
	}
	if r.Step == "" {
		r.Step = RemovalIntended
	}
	_, err = tx.exec(ctx, what,
		`INSERT INTO removals (`+removalColumns+`) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16)`,
		r.InstanceID, r.PlanID, r.HostID, clean(r.ContainerID), string(r.Former), string(r.Step), millis(r.StartedAt),
		millis(r.FinishedAt), r.RestartCount, labels, clean(r.Actor), r.ArchiveID, clean(r.EngineID), clean(r.DataRoot), orNow(r.CreatedAt, stamp), stamp)
	return err
}

// SetRemovalStep writes how far a removal has come.
func (tx *Tx) SetRemovalStep(ctx context.Context, instanceID string, step RemovalStep) error {
	return tx.execOne(ctx, "note the step "+string(step)+" of removing instance "+instanceID, ErrNotFound,
		`UPDATE removals SET step = $1, updated_at = $2 WHERE instance_id = $3`, string(step), now(), instanceID)
}

// TakeBackRemoval returns the instance to its former status and forgets the intention.
func (tx *Tx) TakeBackRemoval(ctx context.Context, instanceID string) error {
	what := "take back the removal of instance " + instanceID
	if err := tx.execOne(ctx, what, ErrNotFound,
		`UPDATE instances SET status = (SELECT former FROM removals WHERE instance_id = instances.id), updated_at = $1, revision = revision + 1
		WHERE id = $2 AND status = $3 AND EXISTS (SELECT 1 FROM removals WHERE instance_id = instances.id)`,
		now(), instanceID, string(StatusRemoving)); err != nil {
		return err
	}
	return tx.execOne(ctx, what, ErrNotFound, `DELETE FROM removals WHERE instance_id = $1`, instanceID)
}

// FinishRemoval deletes the instance, its routes, the intention row and what was noted of it as a leftover.
func (tx *Tx) FinishRemoval(ctx context.Context, instanceID string) error {
	what := "finish the removal of instance " + instanceID
	if err := tx.execOne(ctx, what, ErrNotFound, `DELETE FROM removals WHERE instance_id = $1`, instanceID); err != nil {
		return err
	}
	if _, err := tx.exec(ctx, what, `DELETE FROM routes WHERE instance_id = $1`, instanceID); err != nil {
		return err
	}
	if _, err := tx.exec(ctx, what, `DELETE FROM leftovers WHERE host_id = (SELECT host_id FROM instances WHERE id = $1)
		AND instance_id = $1 AND kind IN ($2, $3, $4)`,
		instanceID, string(LeftoverRow), string(LeftoverRemoving), string(LeftoverDead)); err != nil {
		return err
	}
	return tx.execOne(ctx, what, ErrConflict, `DELETE FROM instances WHERE id = $1 AND status = $2`, instanceID, string(StatusRemoving))
}

// Removals returns every removal that is under way, oldest first.
func (q queries) Removals(ctx context.Context) ([]Removal, error) {
	return list(ctx, q, "list the removals", scanRemoval, `SELECT `+removalColumns+` FROM removals ORDER BY created_at, instance_id`)
}

// RoutesOf returns the domains that lead to an instance.
func (q queries) RoutesOf(ctx context.Context, instanceID string) ([]string, error) {
	return list(ctx, q, "list the routes of instance "+instanceID, func(r row) (s string, err error) { return s, r.Scan(&s) },
		`SELECT d.domain || d.path_prefix FROM domains d JOIN routes r ON r.id = d.route_id WHERE r.instance_id = $1
		ORDER BY d.domain, d.path_prefix`, instanceID)
}
