package store

import (
	"context"
	"errors"
	"fmt"
)

// PointRoutes lets the routes of a stage that lead to an instance lead to another one.
func (tx *Tx) PointRoutes(ctx context.Context, stageID, to string) error {
	_, err := tx.exec(ctx, "point the routes of stage "+stageID+" to instance "+to,
		`UPDATE routes SET instance_id = $1, updated_at = $2, revision = revision + 1
		WHERE stage_id = $3 AND instance_id IS NOT NULL AND instance_id <> $1`, to, now(), stageID)
	return err
}

// PointDomain lets a domain lead to a port of an instance, over the route of its stage that has the domain already, or
// over a new one. ErrConflict, with who has it, when the domain leads elsewhere.
func (tx *Tx) PointDomain(ctx context.Context, i Instance, domain string, port int) error {
	what := "let " + domain + " lead to instance " + i.ID
	holder, err := one(ctx, tx.queries, what, func(r row) (h struct{ route, stage string }, err error) {
		return h, r.Scan(text{&h.route}, text{&h.stage})
	}, `SELECT d.route_id, r.stage_id FROM domains d LEFT JOIN routes r ON r.id = d.route_id WHERE d.domain = $1 AND d.path_prefix = '/'`, clean(domain))
	switch {
	case errors.Is(err, ErrNotFound):
		return tx.restoreRoute(ctx, i, ArchivedRoute{
			ID: NewID(), Port: port, TLS: "off", Options: "{}", Enabled: true, Domains: []RouteAddress{{Domain: domain, PathPrefix: "/"}},
		})
	case err != nil:
		return err
	case holder.stage != i.StageID:
		return fmt.Errorf("%s: it leads elsewhere already: %w", what, ErrConflict)
	}
	_, err = tx.exec(ctx, what, `UPDATE routes SET instance_id = $1, port = $2, updated_at = $3, revision = revision + 1 WHERE id = $4`,
		i.ID, port, now(), holder.route)
	return err
}
