package store

import "context"

// Grant is what a user may in one project, beyond their role for all.
type Grant struct {
	UserID    string
	ProjectID string
	Role      Role
}

func scanGrant(r row) (g Grant, err error) { return g, r.Scan(&g.UserID, &g.ProjectID, &g.Role) }

// Grants returns the grants of a user; of every user where none is named.
func (q queries) Grants(ctx context.Context, userID string) ([]Grant, error) {
	var a arguments
	var w where
	if userID != "" {
		w.and(`user_id = ` + a.add(userID))
	}
	return list(ctx, q, "list the grants", scanGrant, `SELECT user_id, project_id, role FROM grants`+w.String()+` ORDER BY user_id, project_id`, a...)
}

// SetGrants replaces the grants of a user; ErrConflict when a project does not exist.
func (tx *Tx) SetGrants(ctx context.Context, userID string, grants []Grant) error {
	what := "write the grants of user " + userID
	if _, err := tx.exec(ctx, what, `DELETE FROM grants WHERE user_id = $1`, userID); err != nil {
		return err
	}
	for _, g := range grants {
		if _, err := tx.exec(ctx, what, `INSERT INTO grants (user_id, project_id, role) VALUES ($1, $2, $3)`, userID, g.ProjectID, string(g.Role)); err != nil {
			return err
		}
	}
	return nil
}
