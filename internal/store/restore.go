package store

import (
	"context"
	"fmt"
)

// RestoreInstance puts a removed instance back in its row form, with its old id and its routes; ErrConflict, with what
// is in the way, if the id, the container or an address of a route is taken, or if its stage or host is gone. Its
// revision is above any that it had before: whoever remembers the old row sees that this is another one.
func (tx *Tx) RestoreInstance(ctx context.Context, i Instance, routes []ArchivedRoute) error {
	what := "restore instance " + i.ID
	for _, c := range []struct {
		why, count string
		args       []any
	}{
		{"it is there", `SELECT count(*) FROM instances WHERE id = $1`, []any{i.ID}},
		{
			"another instance is container " + i.ContainerID,
			`SELECT count(*) FROM instances WHERE host_id = $1 AND container_id = $2 AND container_id <> ''`,
			[]any{i.HostID, clean(i.ContainerID)},
		},
		{
			"its stage or its host is gone",
			`SELECT 1 - count(*) FROM stages s JOIN hosts h ON h.id = $1 WHERE s.id = $2 AND s.project_id = $3`,
			[]any{i.HostID, i.StageID, i.ProjectID},
		},
	} {
		if err := tx.refuseUsed(ctx, what+": "+c.why, c.count, c.args...); err != nil {
			return err
		}
	}
	i.Revision = now()
	if err := tx.InsertInstance(ctx, i); err != nil {
		return err
	}
	for _, r := range routes {
		if err := tx.restoreRoute(ctx, i, r); err != nil {
			return err
		}
	}
	return nil
}

// restoreRoute puts a route and its addresses back.
func (tx *Tx) restoreRoute(ctx context.Context, i Instance, r ArchivedRoute) error {
	what := "restore a route of instance " + i.ID
	if err := tx.refuseUsed(ctx, what+": route "+r.ID+" is there", `SELECT count(*) FROM routes WHERE id = $1`, r.ID); err != nil {
		return err
	}
	if len(r.Secrets) > 0 { // one that cannot be opened must not come into a table that is read whole
		if _, err := tx.seal.open(r.Secrets, place("routes", r.ID, "secrets")); err != nil {
			return fmt.Errorf("%s: the secrets of route %s: %w", what, r.ID, err)
		}
	}
	stamp := now()
	if _, err := tx.exec(ctx, what,
		`INSERT INTO routes (id, project_id, stage_id, instance_id, port, tls, options, secrets, enabled, owner, notes, created_at, updated_at, revision)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14)`,
		r.ID, i.ProjectID, i.StageID, i.ID, r.Port, clean(r.TLS), clean(r.Options), blob(r.Secrets), bit(r.Enabled), clean(r.Owner), clean(r.Notes), stamp, stamp, stamp); err != nil {
		return err
	}
	for _, d := range r.Domains {
		n, err := tx.exec(ctx, what, `INSERT INTO domains (domain, path_prefix, route_id) VALUES ($1, $2, $3) ON CONFLICT DO NOTHING`,
			clean(d.Domain), clean(d.PathPrefix), r.ID)
		if err != nil {
			return err
		}
		if n == 0 {
			return fmt.Errorf("%s: the address %s%s is taken: %w", what, d.Domain, d.PathPrefix, ErrConflict)
		}
	}
	return nil
}

// ArchivedRoutes returns the routes of an instance, whole.
func (q queries) ArchivedRoutes(ctx context.Context, instanceID string) ([]ArchivedRoute, error) {
	routes, err := list(ctx, q, "read the routes of instance "+instanceID, func(r row) (a ArchivedRoute, err error) {
		return a, r.Scan(&a.ID, count{&a.Port}, &a.TLS, &a.Options, &a.Secrets, truth{&a.Enabled}, &a.Owner, &a.Notes)
	}, `SELECT id, port, tls, options, secrets, enabled, owner, notes FROM routes WHERE instance_id = $1 ORDER BY id`, instanceID)
	if err != nil {
		return nil, err
	}
	for n := range routes {
		if routes[n].Domains, err = list(ctx, q, "read the addresses of route "+routes[n].ID, func(r row) (d RouteAddress, err error) {
			return d, r.Scan(&d.Domain, &d.PathPrefix)
		}, `SELECT domain, path_prefix FROM domains WHERE route_id = $1 ORDER BY domain, path_prefix`, routes[n].ID); err != nil {
			return nil, err
		}
	}
	return routes, nil
}

// AddressHolders returns which of some addresses are taken, with the name of the instance that they lead to (empty: none,
// or a proxy of its own).
func (q queries) AddressHolders(ctx context.Context, addresses []RouteAddress) (map[RouteAddress]string, error) {
	holders := map[RouteAddress]string{}
	for _, a := range addresses {
		names, err := list(ctx, q, "look for "+a.Domain+a.PathPrefix, func(r row) (name string, err error) { return name, r.Scan(&name) },
			`SELECT COALESCE(i.name, '') FROM domains d LEFT JOIN routes r ON r.id = d.route_id LEFT JOIN instances i ON i.id = r.instance_id
			WHERE d.domain = $1 AND d.path_prefix = $2`, clean(a.Domain), clean(a.PathPrefix))
		if err != nil {
			return nil, err
		}
		for _, name := range names {
			holders[a] = name
		}
	}
	return holders, nil
}
