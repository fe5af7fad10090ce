package store

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"
)

// Route leads domains to somewhere: to an instance of a stage, or (standalone) to what somebody wrote down.
type Route struct {
	ID         string
	Standalone bool

	// Of the route of a stage. Its Instance is empty once that is gone.
	ProjectID  string
	StageID    string
	InstanceID string
	Port       int // of the container

	// Of a standalone proxy.
	Targets []string

	Owner     string // who made it
	Notes     string
	TLS       string
	Options   string // JSON, read by the proxy
	Secrets   string // what of the options nobody may read; sealed at rest
	Enabled   bool
	Domains   []RouteAddress
	CreatedAt time.Time
	UpdatedAt time.Time
	Revision  int64
}

// RouteView is a route with what is known of its instance.
type RouteView struct {
	Route
	Project, Stage string // names
	Instance       string
	Container      string // full id
	Status         Status
	HostID         string
	Host           string
	Endpoint       string    // of the host
	HostDisabled   time.Time // since when the host is not asked
	StartedAt      time.Time
	LastAliveAt    time.Time
	StaleSince     time.Time
}

// RouteFilter selects routes.
type RouteFilter struct {
	Standalone                     bool // standalone proxies, not routes of stages
	All                            bool // of both
	ProjectID, StageID, InstanceID string
	Text                           string // in a domain, a target or the notes
	Enabled                        *bool
	LeadsTo                        RouteTarget // of routes of stages only; empty: anything
	Among                          Among
	id                             string
}

// RouteTarget is what has become of the instance that a route leads to.
type RouteTarget string

// What can have become of it.
const (
	TargetGone     RouteTarget = "gone"     // there is no such instance any more
	TargetMissing  RouteTarget = "missing"  // its container is gone from the engine
	TargetStopped  RouteTarget = "stopped"  // it does not run, for whatever reason
	TargetStale    RouteTarget = "stale"    // it was not alive for longer than its stage allows
	TargetLeftover RouteTarget = "leftover" // gone, missing or stale
)

// routeTargets are the conditions on a route x and its instance i.
var routeTargets = map[RouteTarget]string{
	TargetGone:     `x.standalone = 0 AND i.id IS NULL`,
	TargetMissing:  `i.status = 'missing'`,
	TargetStopped:  `(x.standalone = 0 AND i.id IS NULL OR i.status IN ('stopped', 'paused', 'dead', 'missing', 'failed'))`,
	TargetStale:    `i.stale_since IS NOT NULL`,
	TargetLeftover: `(x.standalone = 0 AND i.id IS NULL OR i.status = 'missing' OR i.stale_since IS NOT NULL)`,
}

// allRoutes are both kinds as one table.
const allRoutes = `(SELECT id, 0 AS standalone, project_id, stage_id, instance_id, port, '' AS target, owner, notes, tls, options, secrets, enabled,
		created_at, updated_at, revision, COALESCE((SELECT MIN(d.domain || d.path_prefix) FROM domains d WHERE d.route_id = routes.id), '') AS address FROM routes
	UNION ALL SELECT id, 1 AS standalone, NULL AS project_id, NULL AS stage_id, NULL AS instance_id, 0 AS port, target, owner, notes, tls, options, secrets, enabled,
		created_at, updated_at, revision, COALESCE((SELECT MIN(d.domain || d.path_prefix) FROM domains d WHERE d.proxy_id = standalone_proxies.id), '') AS address FROM standalone_proxies) x`

const selectRoutes = `SELECT x.id, x.standalone, x.project_id, x.stage_id, x.instance_id, x.port, x.target, x.owner, x.notes, x.tls, x.options, x.secrets, x.enabled,
	x.created_at, x.updated_at, x.revision, x.address, p.name, s.name, i.name, i.container_id, i.status, h.id, h.name, h.endpoint, h.disabled_since, i.started_at,
	i.last_alive_at, i.stale_since FROM ` + allRoutes + ` LEFT JOIN projects p ON p.id = x.project_id LEFT JOIN stages s ON s.id = x.stage_id
	LEFT JOIN instances i ON i.id = x.instance_id LEFT JOIN hosts h ON h.id = i.host_id`

// listedRoute is a row of a list, with the address by which the list is ordered.
type listedRoute struct {
	RouteView
	address string
}

func (q queries) scanRoute(r row) (v listedRoute, err error) {
	var targets, status string
	var sealed []byte
	err = r.Scan(&v.ID, truth{&v.Standalone}, text{&v.ProjectID}, text{&v.StageID}, text{&v.InstanceID}, count{&v.Port}, &targets, &v.Owner, &v.Notes, &v.TLS, &v.Options, &sealed,
		truth{&v.Enabled}, at{&v.CreatedAt}, at{&v.UpdatedAt}, &v.Revision, &v.address, text{&v.Project}, text{&v.Stage}, text{&v.Instance}, text{&v.Container}, text{&status},
		text{&v.HostID}, text{&v.Host}, text{&v.Endpoint}, at{&v.HostDisabled}, at{&v.StartedAt}, at{&v.LastAliveAt}, at{&v.StaleSince})
	v.Targets, v.Status = strings.Fields(targets), Status(status)
	if err != nil {
		return v, err
	}
	return v, q.openRoute(&v.Route, sealed)
}

func (f RouteFilter) where(a *arguments) where {
	var w where
	switch {
	case f.id != "":
		w.and(`x.id = ` + a.add(f.id))
	case !f.All:
		w.and(`x.standalone = ` + a.add(bit(f.Standalone)))
	}
	for _, named := range []struct{ column, id string }{{"project_id", f.ProjectID}, {"stage_id", f.StageID}, {"instance_id", f.InstanceID}} {
		if named.id != "" {
			w.and(`x.` + named.column + ` = ` + a.add(named.id))
		}
	}
	f.Among.and(&w, a, `x.project_id`)
	if f.Enabled != nil {
		w.and(`x.enabled = ` + a.add(bit(*f.Enabled)))
	}
	if f.LeadsTo != "" {
		w.and(routeTargets[f.LeadsTo])
	}
	if f.Text != "" {
		has := a.add(contains(f.Text))
		w.and(`(LOWER(x.target) LIKE ` + has + ` ESCAPE '\' OR LOWER(x.notes) LIKE ` + has + ` ESCAPE '\' OR EXISTS
			(SELECT 1 FROM domains d WHERE (d.route_id = x.id OR d.proxy_id = x.id) AND LOWER(d.domain || d.path_prefix) LIKE ` + has + ` ESCAPE '\'))`)
	}
	return w
}

// Routes returns a page of routes or standalone proxies, by their first address.
func (q queries) Routes(ctx context.Context, f RouteFilter, p Page) ([]RouteView, string, error) {
	c, found, err := parseCursor(p.Cursor, "routes", 0, 2)
	if err != nil {
		return nil, "", err
	}
	var a arguments
	w := f.where(&a)
	if found {
		address, id := a.add(c.Texts[0]), a.add(c.Texts[1])
		w.and(`(x.address > ` + address + ` OR x.address = ` + address + ` AND x.id > ` + id + `)`)
	}
	rows, err := list(ctx, q, "list the routes", q.scanRoute, selectRoutes+w.String()+` ORDER BY x.address, x.id LIMIT `+a.add(p.limit()+1), a...)
	if err != nil {
		return nil, "", err
	}
	rows, next := cut(rows, p.limit(), func(r listedRoute) cursor { return cursor{List: "routes", Texts: []string{r.address, r.ID}} })
	views, err := q.withDomains(ctx, rows)
	return views, next, err
}

// EnabledRoutes returns all routes and standalone proxies that are to be served.
func (q queries) EnabledRoutes(ctx context.Context) ([]RouteView, error) {
	rows, err := list(ctx, q, "read the table of routes", q.scanRoute, selectRoutes+` WHERE x.enabled = 1 ORDER BY x.id`)
	if err != nil {
		return nil, err
	}
	return q.withDomains(ctx, rows)
}

// Route returns one route or standalone proxy.
func (q queries) Route(ctx context.Context, id string) (RouteView, error) {
	var a arguments
	w := RouteFilter{id: id}.where(&a)
	r, err := one(ctx, q, "read route "+id, q.scanRoute, selectRoutes+w.String(), a...)
	if err != nil {
		return RouteView{}, err
	}
	views, err := q.withDomains(ctx, []listedRoute{r})
	if err != nil {
		return RouteView{}, err
	}
	return views[0], nil
}

// RouteByDomain returns the route or standalone proxy to which a domain leads, with its path if it has one: app.example.com/api.
func (q queries) RouteByDomain(ctx context.Context, address string) (RouteView, error) {
	domain, path, _ := strings.Cut(address, "/")
	id, err := one(ctx, q, "find where "+address+" leads", func(r row) (id string, err error) { return id, r.Scan(&id) },
		`SELECT COALESCE(route_id, proxy_id) FROM domains WHERE domain = $1 AND path_prefix = $2`, clean(strings.ToLower(domain)), clean("/"+path))
	if err != nil {
		return RouteView{}, err
	}
	return q.Route(ctx, id)
}

// withDomains reads the addresses of routes.
func (q queries) withDomains(ctx context.Context, rows []listedRoute) ([]RouteView, error) {
	views := make([]RouteView, len(rows))
	at := make(map[string]int, len(rows))
	for n, r := range rows {
		views[n], at[r.ID] = r.RouteView, n
	}
	type held struct {
		RouteAddress
		holder string
	}
	collect := func(h held) {
		if n, ok := at[h.holder]; ok {
			views[n].Domains = append(views[n].Domains, h.RouteAddress)
		}
	}
	const query = `SELECT domain, path_prefix, COALESCE(route_id, proxy_id) FROM domains`
	scan := func(r row) (h held, err error) { return h, r.Scan(&h.Domain, &h.PathPrefix, &h.holder) }
	for start := 0; start < len(rows); start += maxListed {
		var a arguments
		var ids []string
		for _, r := range rows[start:min(start+maxListed, len(rows))] {
			ids = append(ids, r.ID)
		}
		routes, proxies := in(&a, ids), in(&a, ids)
		found, err := list(ctx, q, "read the addresses of routes", scan, query+` WHERE route_id IN `+routes+` OR proxy_id IN `+proxies+` ORDER BY domain, path_prefix`, a...)
		if err != nil {
			return nil, err
		}
		for _, h := range found {
			collect(h)
		}
	}
	return views, nil
}

// InsertRoute adds a route or a standalone proxy. ErrConflict, as a FieldError of the address, when it leads elsewhere already.
func (tx *Tx) InsertRoute(ctx context.Context, r Route) error {
	stamp := now()
	var err error
	if r.Standalone {
		_, err = tx.exec(ctx, "add a standalone proxy",
			`INSERT INTO standalone_proxies (id, target, tls, options, secrets, enabled, owner, notes, created_at, updated_at, revision)
			VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)`,
			r.ID, clean(strings.Join(r.Targets, " ")), clean(r.TLS), clean(r.Options), tx.sealRoute(r), bit(r.Enabled), clean(r.Owner), clean(r.Notes), orNow(r.CreatedAt, stamp), stamp, r.Revision)
	} else {
		_, err = tx.exec(ctx, "add a route of stage "+r.StageID,
			`INSERT INTO routes (id, project_id, stage_id, instance_id, port, tls, options, secrets, enabled, owner, notes, created_at, updated_at, revision)
			VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14)`,
			r.ID, r.ProjectID, r.StageID, optional(r.InstanceID), r.Port, clean(r.TLS), clean(r.Options), tx.sealRoute(r), bit(r.Enabled), clean(r.Owner), clean(r.Notes), orNow(r.CreatedAt, stamp), stamp, r.Revision)
	}
	if err != nil {
		return err
	}
	return tx.giveDomains(ctx, r)
}

// UpdateRoute writes a route or a standalone proxy if its revision is still the one given; the revision rises by one.
func (tx *Tx) UpdateRoute(ctx context.Context, r Route) error {
	what := "update route " + r.ID
	var n int
	var err error
	if r.Standalone {
		n, err = tx.exec(ctx, what, `UPDATE standalone_proxies SET target = $1, tls = $2, options = $3, secrets = $4, enabled = $5, notes = $6, updated_at = $7, revision = revision + 1
			WHERE id = $8 AND revision = $9`, clean(strings.Join(r.Targets, " ")), clean(r.TLS), clean(r.Options), tx.sealRoute(r), bit(r.Enabled), clean(r.Notes), now(), r.ID, r.Revision)
	} else {
		n, err = tx.exec(ctx, what, `UPDATE routes SET instance_id = $1, port = $2, tls = $3, options = $4, secrets = $5, enabled = $6, notes = $7, updated_at = $8,
			revision = revision + 1 WHERE id = $9 AND revision = $10`,
			optional(r.InstanceID), r.Port, clean(r.TLS), clean(r.Options), tx.sealRoute(r), bit(r.Enabled), clean(r.Notes), now(), r.ID, r.Revision)
	}
	switch {
	case err != nil:
		return err
	case n == 0:
		return fmt.Errorf("%s: changed meanwhile: %w", what, ErrConflict)
	}
	if _, err := tx.exec(ctx, what, `DELETE FROM domains WHERE route_id = $1 OR proxy_id = $1`, r.ID); err != nil {
		return err
	}
	return tx.giveDomains(ctx, r)
}

// FreeDomains lets the addresses of a route lead nowhere, so that others of the same transaction may take them over.
func (tx *Tx) FreeDomains(ctx context.Context, id string) error {
	_, err := tx.exec(ctx, "free the addresses of route "+id, `DELETE FROM domains WHERE route_id = $1 OR proxy_id = $1`, id)
	return err
}

// giveDomains lets the addresses of a route lead to it.
func (tx *Tx) giveDomains(ctx context.Context, r Route) error {
	route, proxy := optional(r.ID), any(nil)
	if r.Standalone {
		route, proxy = nil, optional(r.ID)
	}
	for i, d := range r.Domains {
		n, err := tx.exec(ctx, "let "+d.Domain+" lead to route "+r.ID,
			`INSERT INTO domains (domain, path_prefix, route_id, proxy_id) VALUES ($1, $2, $3, $4) ON CONFLICT DO NOTHING`, clean(d.Domain), clean(d.PathPrefix), route, proxy)
		if err != nil {
			return err
		}
		if n == 0 {
			reason := d.Domain + d.PathPrefix + " leads elsewhere already"
			if d.PathPrefix == "/" {
				reason = d.Domain + " leads elsewhere already: give this one a path, or take the domain from the other"
			}
			return fmt.Errorf("%w: %w", ErrConflict, FieldError{Field: fmt.Sprintf("domains[%d]", i), Reason: reason})
		}
	}
	return nil
}

// DeleteProxy removes a standalone proxy and its addresses.
func (tx *Tx) DeleteProxy(ctx context.Context, id string) error {
	return tx.execOne(ctx, "remove standalone proxy "+id, ErrNotFound, `DELETE FROM standalone_proxies WHERE id = $1`, id)
}

// IsRouteTaken tells that a route was refused as an address of it leads elsewhere, and which.
func IsRouteTaken(err error) (FieldError, bool) {
	var field FieldError
	return field, errors.Is(err, ErrConflict) && errors.As(err, &field)
}

// DomainHolders are the projects for which a domain is served, on whatever path, but for one route; an empty one is of a standalone proxy.
func (q queries) DomainHolders(ctx context.Context, domain, except string) ([]string, error) {
	return list(ctx, q, "find who has the domain "+domain, func(r row) (id string, err error) { return id, r.Scan(&id) },
		`SELECT DISTINCT COALESCE(r.project_id, '') FROM domains d LEFT JOIN routes r ON r.id = d.route_id
		WHERE d.domain = $1 AND COALESCE(d.route_id, d.proxy_id) <> $2`, clean(domain), except)
}
