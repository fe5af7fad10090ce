package store

import (
	"context"
	"time"
)

const leftoverColumns = `id, host_id, kind, subject, name, instance_id, project_id, stage_id, detail, found_at, seen_at`

func scanLeftover(r row) (l Leftover, err error) {
	err = r.Scan(&l.ID, &l.HostID, &l.Kind, &l.Subject, &l.Name, &l.InstanceID, &l.ProjectID, &l.StageID, &l.Detail, at{&l.FoundAt}, at{&l.SeenAt})
	return l, err
}

// Leftover returns one.
func (q queries) Leftover(ctx context.Context, id string) (Leftover, error) {
	return one(ctx, q, "read leftover "+id, scanLeftover, `SELECT `+leftoverColumns+` FROM leftovers WHERE id = $1`, id)
}

// Leftovers returns what does not fit together, on one host or on all (hostID ""), oldest first.
func (q queries) Leftovers(ctx context.Context, hostID string) ([]Leftover, error) {
	var a arguments
	var w where
	if hostID != "" {
		w.and(`host_id = ` + a.add(hostID))
	}
	return list(ctx, q, "list the leftovers", scanLeftover,
		`SELECT `+leftoverColumns+` FROM leftovers`+w.String()+` ORDER BY found_at, id`, a...)
}

// leftoverKey is what one leftover of a host is told from another by.
type leftoverKey struct {
	kind    LeftoverKind
	subject string
}

func (l Leftover) key() leftoverKey { return leftoverKey{l.Kind, l.Subject} }

// SetLeftovers makes found the leftovers of a host and returns those that are new (with ids) and those that are gone.
// One that stays keeps its id and the moment at which it was first found.
func (tx *Tx) SetLeftovers(ctx context.Context, hostID string, found []Leftover) (added, gone []Leftover, err error) {
	known, err := tx.Leftovers(ctx, hostID)
	if err != nil {
		return nil, nil, err
	}
	left := make(map[leftoverKey]Leftover, len(known))
	for _, l := range known {
		left[l.key()] = l
	}
	stamp, seen := now(), map[leftoverKey]bool{}
	for _, l := range found {
		if seen[l.key()] {
			continue
		}
		seen[l.key()] = true
		l.HostID = hostID
		if before, known := left[l.key()]; known {
			delete(left, l.key())
			if err := tx.seeLeftover(ctx, before.ID, l, stamp); err != nil {
				return nil, nil, err
			}
			continue
		}
		if l, err = tx.addLeftover(ctx, l, stamp); err != nil {
			return nil, nil, err
		}
		added = append(added, l)
	}
	for _, l := range known {
		if _, over := left[l.key()]; !over {
			continue
		}
		if err := tx.DeleteLeftover(ctx, l.ID); err != nil {
			return nil, nil, err
		}
		gone = append(gone, l)
	}
	return added, gone, nil
}

func (tx *Tx) addLeftover(ctx context.Context, l Leftover, stamp int64) (Leftover, error) {
	if l.ID == "" {
		l.ID = NewID()
	}
	found := orNow(l.FoundAt, stamp)
	seen := orNow(l.SeenAt, found)
	l.FoundAt, l.SeenAt = time.UnixMilli(found).UTC(), time.UnixMilli(seen).UTC()
	_, err := tx.exec(ctx, "note a leftover", `INSERT INTO leftovers (`+leftoverColumns+`) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)`,
		l.ID, l.HostID, string(l.Kind), clean(l.Subject), clean(l.Name), l.InstanceID, l.ProjectID, l.StageID, clean(l.Detail), found, seen)
	return l, err
}

// seeLeftover notes that a leftover is still there, as it is now.
func (tx *Tx) seeLeftover(ctx context.Context, id string, l Leftover, stamp int64) error {
	_, err := tx.exec(ctx, "note a leftover",
		`UPDATE leftovers SET name = $1, instance_id = $2, project_id = $3, stage_id = $4, detail = $5, seen_at = $6 WHERE id = $7`,
		clean(l.Name), l.InstanceID, l.ProjectID, l.StageID, clean(l.Detail), orNow(l.SeenAt, stamp), id)
	return err
}

// DeleteLeftover forgets one that was mended.
func (tx *Tx) DeleteLeftover(ctx context.Context, id string) error {
	return tx.execOne(ctx, "forget leftover "+id, ErrNotFound, `DELETE FROM leftovers WHERE id = $1`, id)
}

// RoutesToNothing returns routes of a host whose instance is gone, with their addresses.
func (q queries) RoutesToNothing(ctx context.Context, hostID string) ([]Leftover, error) {
	type address struct {
		Leftover
		at string
	}
	rows, err := list(ctx, q, "look for routes to nothing", func(r row) (a address, err error) {
		return a, r.Scan(&a.Subject, &a.ProjectID, &a.StageID, &a.at)
	}, `SELECT r.id, r.project_id, r.stage_id, COALESCE(d.domain || d.path_prefix, '') FROM routes r JOIN stages s ON s.id = r.stage_id
		LEFT JOIN instances i ON i.id = r.instance_id LEFT JOIN domains d ON d.route_id = r.id
		WHERE s.host_id = $1 AND i.id IS NULL ORDER BY r.id, d.domain, d.path_prefix`, hostID)
	if err != nil {
		return nil, err
	}
	var routes []Leftover
	for _, a := range rows {
		if n := len(routes); n > 0 && routes[n-1].Subject == a.Subject {
			routes[n-1].Name += ", " + a.at
			continue
		}
		a.HostID, a.Kind, a.Name = hostID, LeftoverRoute, a.at
		routes = append(routes, a.Leftover)
	}
	return routes, nil
}

// DeleteRoute removes a route and its addresses.
func (tx *Tx) DeleteRoute(ctx context.Context, id string) error {
	return tx.execOne(ctx, "remove route "+id, ErrNotFound, `DELETE FROM routes WHERE id = $1`, id)
}
