package store

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
)

const stageColumns = `id, project_id, host_id, name, kind, stale_after, keep_last, drain_ms, strategy, parallel_max, domain,
	spec, spec_env, created_at, updated_at, revision, tag_rule, mode, min_image_age, poll_interval`

// scanStage reads a stage and opens its env.
func (q queries) scanStage(r row) (s Stage, err error) {
	var env []byte
	if err := r.Scan(&s.ID, &s.ProjectID, &s.HostID, &s.Name, &s.Kind, threshold{&s.StaleAfter}, &s.KeepLast, span{&s.Drain},
		&s.Strategy, &s.ParallelMax, &s.Domain, fromJSON{&s.Spec}, &env, at{&s.CreatedAt}, at{&s.UpdatedAt}, &s.Revision,
		fromJSON{&s.TagRule}, &s.Mode, span{&s.MinImageAge}, span{&s.PollInterval}); err != nil {
		return Stage{}, err
	}
	return s, q.openEnv(&s.Spec, env, "stages", s.ID)
}

// sealSpec splits a spec into JSON that anyone may read and the values of its env, sealed.
func (q queries) sealSpec(s Spec, table, id string) (text string, env any, err error) {
	if text, err = jsonOf("write the spec of "+id, s); err != nil || len(s.Env) == 0 {
		return text, nil, err
	}
	values := make([]string, len(s.Env))
	for i, e := range s.Env {
		values[i] = e.Value
	}
	plain, err := json.Marshal(values)
	if err != nil {
		return "", nil, fmt.Errorf("write the spec of %s: %w", id, err)
	}
	return text, q.seal.close(plain, place(table, id, "spec_env")), nil
}

// openEnv puts the sealed values back to their names.
func (q queries) openEnv(s *Spec, env []byte, table, id string) error {
	if len(s.Env) == 0 {
		return nil
	}
	plain, err := q.seal.open(env, place(table, id, "spec_env"))
	if err != nil {
		return err
	}
	var values []string
	if err := json.Unmarshal(plain, &values); err != nil || len(values) != len(s.Env) {
		return fmt.Errorf("open the env of %s: %w", id, ErrUnreadable)
	}
	for i := range s.Env {
		s.Env[i].Value = values[i]
	}
	return nil
}

// Stage returns one stage, with its Spec, env opened.
func (q queries) Stage(ctx context.Context, id string) (Stage, error) {
	return one(ctx, q, "read stage "+id, q.scanStage, `SELECT `+stageColumns+` FROM stages WHERE id = $1`, id)
}

// StageByName returns a stage of a project.
func (q queries) StageByName(ctx context.Context, projectID, name string) (Stage, error) {
	return one(ctx, q, "read stage "+name, q.scanStage,
		`SELECT `+stageColumns+` FROM stages WHERE project_id = $1 AND name = $2`, projectID, clean(name))
}

// Stages returns the stages of a project, or of all (projectID ""), by name.
func (q queries) Stages(ctx context.Context, projectID string) ([]Stage, error) {
	return q.StagesAmong(ctx, nil, projectID)
}

// InsertStage adds a stage; ErrConflict when its name is taken in the project.
func (tx *Tx) InsertStage(ctx context.Context, s Stage) error {
	if err := errors.Join(ValidName(s.Name), s.ValidFollowing()); err != nil {
		return err
	}
	spec, env, err := tx.sealSpec(s.Spec, "stages", s.ID)
	if err != nil {
		return err
	}
	rule, err := ruleText(s.TagRule)
	if err != nil {
		return err
	}
	stamp := now()
	_, err = tx.exec(ctx, "add stage "+s.Name,
		`INSERT INTO stages (`+stageColumns+`) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19, $20)`,
		s.ID, s.ProjectID, s.HostID, s.Name, string(s.Kind), thresholdMillis(s.StaleAfter), s.KeepLast, s.Drain.Milliseconds(),
		string(cmp.Or(s.Strategy, StrategyReplace)), s.ParallelMax, clean(s.Domain), clean(spec), env, orNow(s.CreatedAt, stamp), stamp, s.Revision,
		clean(rule), string(s.mode()), s.MinImageAge.Milliseconds(), s.PollInterval.Milliseconds())
	return err
}

// UpdateStage writes a stage (not its project) if its revision is still the one
// given; the revision rises by one.
func (tx *Tx) UpdateStage(ctx context.Context, s Stage) error {
	if err := errors.Join(ValidName(s.Name), s.ValidFollowing()); err != nil {
		return err
	}
	spec, env, err := tx.sealSpec(s.Spec, "stages", s.ID)
	if err != nil {
		return err
	}
	rule, err := ruleText(s.TagRule)
	if err != nil {
		return err
	}
	n, err := tx.exec(ctx, "update stage "+s.Name,
		`UPDATE stages SET host_id = $1, name = $2, kind = $3, stale_after = $4, keep_last = $5, drain_ms = $6, strategy = $7,
		parallel_max = $8, domain = $9, spec = $10, spec_env = $11, updated_at = $12, tag_rule = $13, mode = $14, min_image_age = $15,
		poll_interval = $16, revision = revision + 1 WHERE id = $17 AND revision = $18`,
		s.HostID, s.Name, string(s.Kind), thresholdMillis(s.StaleAfter), s.KeepLast, s.Drain.Milliseconds(),
		string(cmp.Or(s.Strategy, StrategyReplace)), s.ParallelMax, clean(s.Domain), clean(spec), env, now(),
		clean(rule), string(s.mode()), s.MinImageAge.Milliseconds(), s.PollInterval.Milliseconds(), s.ID, s.Revision)
	if err != nil {
		return err
	}
	if n > 0 {
		return tx.PollAtOnce(ctx, s.ID) // what polling brought was by what the stage said before
	}
	if _, err := tx.Stage(ctx, s.ID); err != nil {
		return err
	}
	return fmt.Errorf("update stage %s: changed meanwhile: %w", s.Name, ErrConflict)
}

// DeleteStage deletes a stage; ErrConflict while it has instances or routes.
func (tx *Tx) DeleteStage(ctx context.Context, id string) error {
	if err := tx.refuseUsed(ctx, "delete stage "+id+": it has instances or routes",
		`SELECT (SELECT count(*) FROM instances WHERE stage_id = $1) + (SELECT count(*) FROM routes WHERE stage_id = $1)`, id); err != nil {
		return err
	}
	return tx.execOne(ctx, "delete stage "+id, ErrNotFound, `DELETE FROM stages WHERE id = $1`, id)
}
