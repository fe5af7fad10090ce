package store

import (
	"context"
	"encoding/json"
	"fmt"
	"time"
)

// HostSecrets opens what a host is reached with.
func (q queries) HostSecrets(ctx context.Context, id string) (s HostSecrets, err error) {
	what := "read the keys of host " + id
	sealed, err := one(ctx, q, what, func(r row) (b []byte, err error) { return b, r.Scan(&b) }, `SELECT secrets FROM hosts WHERE id = $1`, id)
	if err != nil || len(sealed) == 0 {
		return s, err
	}
	plain, err := q.seal.open(sealed, place("hosts", id, "secrets"))
	if err != nil {
		return s, fmt.Errorf("%s: %w", what, err)
	}
	if err := json.Unmarshal(plain, &s); err != nil {
		return s, fmt.Errorf("%s: %w", what, ErrUnreadable)
	}
	return s, nil
}

// SetHostAccess writes name, endpoint and access of a host, if its revision is still the one given; the revision rises by one.
func (tx *Tx) SetHostAccess(ctx context.Context, h Host) error {
	what := "change host " + h.Name
	access, err := jsonOf(what, h.Access)
	if err != nil {
		return err
	}
	return tx.execOne(ctx, what+": it was changed meanwhile", ErrConflict,
		`UPDATE hosts SET name = $1, endpoint = $2, access = $3, updated_at = $4, revision = revision + 1 WHERE id = $5 AND revision = $6`,
		clean(h.Name), clean(h.Endpoint), clean(access), now(), h.ID, h.Revision)
}

// SetHostSecrets seals what a host is reached with; with nothing in it, what was there is forgotten.
func (tx *Tx) SetHostSecrets(ctx context.Context, id string, s HostSecrets) error {
	what := "seal the keys of host " + id
	var sealed any
	if s != (HostSecrets{}) {
		plain, err := json.Marshal(s)
		if err != nil {
			return fmt.Errorf("%s: %w", what, err)
		}
		sealed = tx.seal.close(plain, place("hosts", id, "secrets"))
	}
	return tx.execOne(ctx, what, ErrNotFound, `UPDATE hosts SET secrets = $1 WHERE id = $2`, sealed, id)
}

// SetHostDisabled writes since when a host is not to be asked; zero: it is in use.
func (tx *Tx) SetHostDisabled(ctx context.Context, id string, since time.Time) error {
	return tx.execOne(ctx, "note whether host "+id+" is in use", ErrNotFound,
		`UPDATE hosts SET disabled_since = $1, updated_at = $2, revision = revision + 1 WHERE id = $3`, millis(since), now(), id)
}

// UseOfHost counts what names a host. What is history only does not count.
func (q queries) UseOfHost(ctx context.Context, id string, at time.Time) (HostUse, error) {
	return one(ctx, q, "find what names host "+id, func(r row) (u HostUse, err error) {
		return u, r.Scan(&u.Instances, &u.Stages, &u.Archives, &u.Plans, &u.Deploys, &u.Removals)
	}, `SELECT (SELECT count(*) FROM instances WHERE host_id = $1),
		(SELECT count(*) FROM stages WHERE host_id = $1),
		(SELECT count(*) FROM archives WHERE host_id = $1),
		(SELECT count(DISTINCT p.id) FROM plans p JOIN plan_items i ON i.plan_id = p.id
			WHERE i.host_id = $1 AND (p.state = 'applying' OR p.state = 'planned' AND p.expires_at > $2 AND p.created_at <= $3)) +
		(SELECT count(*) FROM reclaim_plans WHERE host_id = $1 AND (state = 'applying' OR state = 'planned' AND expires_at > $2 AND created_at <= $3)),
		(SELECT count(*) FROM deploys WHERE host_id = $1 AND ended_at IS NULL),
		(SELECT count(*) FROM removals WHERE host_id = $1) +
		(SELECT count(DISTINCT p.id) FROM plans p JOIN plan_items i ON i.plan_id = p.id WHERE i.host_id = $1 AND p.state = 'applying') +
		(SELECT count(*) FROM reclaim_plans WHERE host_id = $1 AND state = 'applying') +
		(SELECT count(*) FROM archives WHERE host_id = $1 AND state IN ('making', 'restoring', 'deleting'))`, id, at.UnixMilli(), millis(at.Add(aheadAfter)))
}

// DeleteHost forgets a host with its scans and blind time; ErrConflict while something names it.
func (tx *Tx) DeleteHost(ctx context.Context, id string, at time.Time) error {
	use, err := tx.UseOfHost(ctx, id, at)
	if err != nil {
		return err
	}
	if use.Used() {
		return fmt.Errorf("delete host %s: something names it: %w", id, ErrConflict)
	}
	for _, query := range []string{`DELETE FROM scan_runs WHERE host_id = $1`, `DELETE FROM blind_intervals WHERE host_id = $1`} {
		if _, err := tx.exec(ctx, "forget what was seen of host "+id, query, id); err != nil {
			return err
		}
	}
	return tx.execOne(ctx, "delete host "+id, ErrNotFound, `DELETE FROM hosts WHERE id = $1`, id)
}
