package store

import (
	"context"
	"fmt"
	"regexp"
)

const projectColumns = `id, name, image, stale_after, created_at, updated_at, revision`

func scanProject(r row) (p Project, err error) {
	err = r.Scan(&p.ID, &p.Name, &p.Image, threshold{&p.StaleAfter}, at{&p.CreatedAt}, at{&p.UpdatedAt}, &p.Revision)
	return p, err
}

// names are what projects and stages are called: they become parts of container names.
var names = regexp.MustCompile(`^[a-z0-9][a-z0-9-]{0,62}$`)

// ValidName reports what is wrong with a name of a project or stage.
func ValidName(name string) error {
	if !names.MatchString(name) {
		return FieldError{"name", "must be 1 to 63 of a-z, 0-9 and -, and not begin with -"}
	}
	return nil
}

// Project returns one project.
func (q queries) Project(ctx context.Context, id string) (Project, error) {
	return one(ctx, q, "read project "+id, scanProject, `SELECT `+projectColumns+` FROM projects WHERE id = $1`, id)
}

// ProjectByName returns one project.
func (q queries) ProjectByName(ctx context.Context, name string) (Project, error) {
	return one(ctx, q, "read project "+name, scanProject, `SELECT `+projectColumns+` FROM projects WHERE name = $1`, clean(name))
}

// Projects returns a page of the projects, by name.
func (q queries) Projects(ctx context.Context, p Page) ([]Project, string, error) {
	return q.ProjectsAmong(ctx, nil, p)
}

// InsertProject adds a project; ErrConflict when its name is taken.
func (tx *Tx) InsertProject(ctx context.Context, p Project) error {
	if err := ValidName(p.Name); err != nil {
		return err
	}
	stamp := now()
	_, err := tx.exec(ctx, "add project "+p.Name, `INSERT INTO projects (`+projectColumns+`) VALUES ($1, $2, $3, $4, $5, $6, $7)`,
		p.ID, p.Name, clean(p.Image), thresholdMillis(p.StaleAfter), orNow(p.CreatedAt, stamp), stamp, p.Revision)
	return err
}

// UpdateProject writes a project if its revision is still the one given; the
// revision rises by one.
func (tx *Tx) UpdateProject(ctx context.Context, p Project) error {
	if err := ValidName(p.Name); err != nil {
		return err
	}
	was, err := tx.Project(ctx, p.ID)
	if err != nil {
		return err
	}
	n, err := tx.exec(ctx, "update project "+p.Name,
		`UPDATE projects SET name = $1, image = $2, stale_after = $3, updated_at = $4, revision = revision + 1 WHERE id = $5 AND revision = $6`,
		p.Name, clean(p.Image), thresholdMillis(p.StaleAfter), now(), p.ID, p.Revision)
	if err != nil {
		return err
	}
	if n > 0 && was.Image != clean(p.Image) {
		return tx.forgetPolls(ctx, p.ID)
	}
	if n > 0 {
		return nil
	}
	return fmt.Errorf("update project %s: changed meanwhile: %w", p.Name, ErrConflict)
}

// DeleteProject deletes a project; ErrConflict while it has stages.
func (tx *Tx) DeleteProject(ctx context.Context, id string) error {
	if err := tx.refuseUsed(ctx, "delete project "+id+": it has stages", `SELECT count(*) FROM stages WHERE project_id = $1`, id); err != nil {
		return err
	}
	return tx.execOne(ctx, "delete project "+id, ErrNotFound, `DELETE FROM projects WHERE id = $1`, id)
}

// refuseUsed returns ErrConflict when a count is not zero. It asks first: a refused
// statement would cost the whole transaction.
func (tx *Tx) refuseUsed(ctx context.Context, what, count string, args ...any) error {
	n, err := one(ctx, tx.queries, what, func(r row) (n int64, err error) { return n, r.Scan(&n) }, count, args...)
	if err == nil && n > 0 {
		err = fmt.Errorf("%s: %w", what, ErrConflict)
	}
	return err
}
