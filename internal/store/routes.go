package store

import (
	"context"
	"errors"
	"fmt"
	"time"
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

// RouteLead is where a route of a stage leads.
type RouteLead struct {
	RouteID    string
	InstanceID string
	Port       int
}

// RouteLeads returns where the routes of a stage lead, those that lead to an instance.
func (q queries) RouteLeads(ctx context.Context, stageID string) ([]RouteLead, error) {
	return list(ctx, q, "read where the routes of stage "+stageID+" lead", func(r row) (l RouteLead, err error) {
		return l, r.Scan(&l.RouteID, &l.InstanceID, &l.Port)
	}, `SELECT id, instance_id, port FROM routes WHERE stage_id = $1 AND instance_id IS NOT NULL ORDER BY id`, stageID)
}

// LeadBack takes back that routes lead to an instance: those named lead where they led, and those that were made for it since a
// moment go with their domains.
func (tx *Tx) LeadBack(ctx context.Context, from string, was []RouteLead, since time.Time) error {
	what := "take the routes back from instance " + from
	for _, l := range was {
		if _, err := tx.exec(ctx, what, `UPDATE routes SET instance_id = $1, port = $2, updated_at = $3, revision = revision + 1
			WHERE id = $4 AND instance_id = $5 AND EXISTS (SELECT 1 FROM instances WHERE id = $1)`, l.InstanceID, l.Port, now(), l.RouteID, from); err != nil {
			return err
		}
	}
	_, err := tx.exec(ctx, what, `DELETE FROM routes WHERE instance_id = $1 AND created_at >= $2`, from, since.UnixMilli())
	return err
}
