package store

import (
	"context"
	"fmt"
	"time"
)

const deployColumns = `id, kind, project_id, stage_id, lane, host_id, instance_id, replaces, image, image_tag, digest, state, error, actor,
	cancelled_by, created_at, ended_at`

func scanDeploy(r row) (d Deploy, err error) {
	err = r.Scan(&d.ID, &d.Kind, &d.ProjectID, &d.StageID, &d.Lane, &d.HostID, &d.InstanceID, &d.Replaces, &d.Image, &d.ImageTag, &d.Digest, &d.State,
		&d.Error, &d.Actor, &d.CancelledBy, at{&d.CreatedAt}, at{&d.EndedAt})
	return d, err
}

// Deploy returns one deploy.
func (q queries) Deploy(ctx context.Context, id string) (Deploy, error) {
	return one(ctx, q, "read deploy "+id, scanDeploy, `SELECT `+deployColumns+` FROM deploys WHERE id = $1`, id)
}

// Deploys returns a page of the deploys of a project, a stage or all, newest first.
func (q queries) Deploys(ctx context.Context, projectID, stageID string, p Page) ([]Deploy, string, error) {
	c, found, err := parseCursor(p.Cursor, "deploys", 0, 1)
	if err != nil {
		return nil, "", err
	}
	var a arguments
	var w where
	if projectID != "" {
		w.and(`project_id = ` + a.add(projectID))
	}
	if stageID != "" {
		w.and(`stage_id = ` + a.add(stageID))
	}
	if found {
		w.and(`id < ` + a.add(c.Texts[0]))
	}
	items, err := list(ctx, q, "list the deploys", scanDeploy,
		`SELECT `+deployColumns+` FROM deploys`+w.String()+` ORDER BY id DESC LIMIT `+a.add(p.limit()+1), a...)
	if err != nil {
		return nil, "", err
	}
	items, next := cut(items, p.limit(), func(d Deploy) cursor { return cursor{List: "deploys", Texts: []string{d.ID}} })
	return items, next, nil
}

// OpenDeploys returns the deploys that have not ended, oldest first.
func (q queries) OpenDeploys(ctx context.Context) ([]Deploy, error) {
	return list(ctx, q, "list the open deploys", scanDeploy, `SELECT `+deployColumns+` FROM deploys WHERE ended_at IS NULL ORDER BY id`)
}

// QueuedDeploy returns the deploy of a stage's lane that waits for its turn; ErrNotFound when none does.
func (q queries) QueuedDeploy(ctx context.Context, stageID, lane string) (Deploy, error) {
	return one(ctx, q, "look for a queued deploy of stage "+stageID, scanDeploy,
		`SELECT `+deployColumns+` FROM deploys WHERE stage_id = $1 AND lane = $2 AND state = $3`, stageID, clean(lane), string(DeployQueued))
}

// InsertDeploy queues a deploy; ErrConflict while another of its lane is queued. Of a stage one is carried out
// at most.
func (tx *Tx) InsertDeploy(ctx context.Context, d Deploy) error {
	if d.Kind == "" {
		d.Kind = DeployForward
	}
	n, err := tx.exec(ctx, "start deploy "+d.ID,
		`INSERT INTO deploys (`+deployColumns+`) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17)
		ON CONFLICT DO NOTHING`,
		d.ID, string(d.Kind), d.ProjectID, d.StageID, clean(d.Lane), d.HostID, d.InstanceID, d.Replaces, clean(d.Image), clean(d.ImageTag), clean(d.Digest),
		string(d.State), clean(d.Error), clean(d.Actor), clean(d.CancelledBy), orNow(d.CreatedAt, now()), endOf(d))
	if err != nil || n > 0 {
		tx.tally.deploy(d, err)
		return err
	}
	return fmt.Errorf("start deploy %s: another deploy of the stage is under way: %w", d.ID, ErrConflict)
}

// endOf is when a deploy ended: an end without a time is now, and one that has not
// ended has none.
func endOf(d Deploy) any {
	switch {
	case !d.State.Ended():
		return nil
	case d.EndedAt.IsZero():
		return millis(time.Now())
	}
	return millis(d.EndedAt)
}

// UpdateDeploy writes state, instances, digest, error and end, if the deploy had not ended (ErrConflict).
func (tx *Tx) UpdateDeploy(ctx context.Context, d Deploy) error {
	n, err := tx.exec(ctx, "update deploy "+d.ID,
		`UPDATE deploys SET instance_id = $1, replaces = $2, digest = $3, state = $4, error = $5, ended_at = $6
		WHERE id = $7 AND ended_at IS NULL`,
		d.InstanceID, d.Replaces, clean(d.Digest), string(d.State), clean(d.Error), endOf(d), d.ID)
	if err != nil || n > 0 {
		tx.tally.deploy(d, err)
		return err
	}
	was, err := tx.Deploy(ctx, d.ID)
	if err != nil {
		return err
	}
	return fmt.Errorf("update deploy %s: it is %s already: %w", d.ID, was.State, ErrConflict)
}

// CancelDeploy notes who wants a deploy to end. ErrConflict: it has ended, or is so far that its new instance serves.
func (tx *Tx) CancelDeploy(ctx context.Context, id, by string) error {
	n, err := tx.exec(ctx, "cancel deploy "+id,
		`UPDATE deploys SET cancelled_by = $1 WHERE id = $2 AND ended_at IS NULL AND cancelled_by = '' AND state NOT IN ($3, $4)`,
		clean(by), id, string(DeploySwitching), string(DeployDraining))
	if err != nil || n > 0 {
		return err
	}
	was, err := tx.Deploy(ctx, id)
	if err != nil || was.CancelledBy != "" && !was.State.Ended() {
		return err
	}
	return fmt.Errorf("cancel deploy %s: it is %s already: %w", id, was.State, ErrConflict)
}

// ForgetInstance deletes an instance that a deploy was still bringing up and that has no container on the engine, or none
// any more: that is for the caller to know. ErrConflict for any other.
func (tx *Tx) ForgetInstance(ctx context.Context, id string) error {
	what := "forget instance " + id
	if _, err := tx.exec(ctx, what, `DELETE FROM leftovers WHERE instance_id = $1 AND kind = $2`, id, string(LeftoverRow)); err != nil {
		return err
	}
	return tx.execOne(ctx, what, ErrConflict, `DELETE FROM instances WHERE id = $1 AND status IN ($2, $3, $4)`,
		id, string(StatusPending), string(StatusPulling), string(StatusStarting))
}
