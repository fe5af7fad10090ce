package auth

import (
	"context"
	"errors"
	"fmt"

	"github.com/tiny-forge/docker-watcher/internal/store"
)

// HighestRole is the most that a caller may anywhere, in all projects or in one.
func (s *Service) HighestRole(ctx context.Context, c Caller) (store.Role, error) {
	grants, err := s.Grants(ctx, c)
	if err != nil {
		return "", err
	}
	most := c.Role
	for _, role := range grants {
		if role.Covers(most) {
			most = role
		}
	}
	return most, nil
}

// Grants are what a caller may in single projects, by the id of the project. A token never lends more than its own role.
func (s *Service) Grants(ctx context.Context, c Caller) (map[string]store.Role, error) {
	if c.UserID == "" || c.MustEnrol {
		return nil, nil
	}
	rows, err := s.db.Grants(ctx, c.UserID)
	if err != nil {
		return nil, err
	}
	grants := make(map[string]store.Role, len(rows))
	for _, g := range rows {
		grants[g.ProjectID] = g.Role
		if c.Most != "" {
			grants[g.ProjectID] = g.Role.Least(c.Most)
		}
	}
	return grants, nil
}

// Change is a change of what a user may; what is nil stays.
type Change struct {
	Role   *store.Role           // in all projects
	Grants map[string]store.Role // in single projects, by the id of the project, in place of all that were there
}

// ChangePowers changes what a user may. Their sessions and tokens may no more from the next request on.
func (s *Service) ChangePowers(ctx context.Context, id string, c Change, by By) (store.User, error) {
	grants, err := grantRows(id, c.Grants)
	if c.Role != nil {
		err = errors.Join(err, checkRole(*c.Role))
	}
	if err != nil {
		return store.User{}, err
	}
	return s.change(ctx, id, by, func(tx *store.Tx, u *store.User) (store.Event, error) {
		e := userEvent(by, "user.powers_changed", *u, "what "+u.Name+" may was changed")
		d := store.Difference{}
		if c.Role != nil {
			e.Message = fmt.Sprintf("%s is %s now, was %s", u.Name, roleWord(*c.Role), roleWord(u.Role))
			e.Data["role"] = map[string]any{"from": roleWord(u.Role), "to": roleWord(*c.Role)}
			d.Note("role", roleWord(u.Role), roleWord(*c.Role))
			u.Role = *c.Role
		}
		if c.Grants == nil {
			e.Differ(d)
			return e, nil
		}
		former, err := tx.Grants(ctx, id)
		if err != nil {
			return e, err
		}
		e.Data["grants"] = map[string]any{"from": grantData(former), "to": grantData(grants)}
		d.Note("grants", grantData(former), grantData(grants))
		e.Differ(d)
		return e, tx.SetGrants(ctx, id, grants)
	})
}

func grantRows(userID string, grants map[string]store.Role) ([]store.Grant, error) {
	var rows []store.Grant
	for projectID, role := range grants {
		if role != store.RoleViewer && role != store.RoleOperator {
			return nil, store.FieldError{Field: "grants", Reason: "the role in a project is viewer or operator"}
		}
		rows = append(rows, store.Grant{UserID: userID, ProjectID: projectID, Role: role})
	}
	return rows, nil
}

func grantData(grants []store.Grant) map[string]any {
	data := make(map[string]any, len(grants))
	for _, g := range grants {
		data[g.ProjectID] = string(g.Role)
	}
	return data
}
