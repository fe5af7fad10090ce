package store

import (
	"context"
	"slices"
)

const remnantColumns = `host_id, kind, name, refs, anonymous, instance_id, instance, project, stage, image_tag, last_used_at, removed_at`

func scanRemnant(s row) (r Remnant, err error) {
	err = s.Scan(&r.HostID, &r.Kind, &r.Name, fromJSON{&r.Refs}, truth{&r.Anonymous}, &r.InstanceID, &r.Instance, &r.Project, &r.Stage,
		&r.ImageTag, at{&r.LastUsedAt}, at{&r.RemovedAt})
	return r, err
}

// Remnants returns what removed instances left on a host, by name.
func (q queries) Remnants(ctx context.Context, hostID string, kind RemnantKind) ([]Remnant, error) {
	return list(ctx, q, "list what removed instances left", scanRemnant,
		`SELECT `+remnantColumns+` FROM remnants WHERE host_id = $1 AND kind = $2 ORDER BY name`, hostID, string(kind))
}

// PutRemnants remembers what a removed instance used. Of several users the one that was alive last is remembered, with
// the names by which any of them used it.
func (tx *Tx) PutRemnants(ctx context.Context, rs []Remnant) error {
	for _, r := range rs {
		if err := tx.putRemnant(ctx, r); err != nil {
			return err
		}
	}
	return nil
}

func (tx *Tx) putRemnant(ctx context.Context, r Remnant) error {
	what := "remember " + string(r.Kind) + " " + r.Name
	known, err := list(ctx, tx.queries, what, scanRemnant,
		`SELECT `+remnantColumns+` FROM remnants WHERE host_id = $1 AND kind = $2 AND name = $3`, r.HostID, string(r.Kind), clean(r.Name))
	if err != nil {
		return err
	}
	for _, before := range known {
		r = r.after(before)
	}
	refs, err := jsonOf(what, r.Refs)
	if err != nil {
		return err
	}
	_, err = tx.exec(ctx, what,
		`INSERT INTO remnants (`+remnantColumns+`) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12)
		ON CONFLICT (host_id, kind, name) DO UPDATE SET refs = excluded.refs, anonymous = excluded.anonymous,
		instance_id = excluded.instance_id, instance = excluded.instance, project = excluded.project, stage = excluded.stage,
		image_tag = excluded.image_tag, last_used_at = excluded.last_used_at, removed_at = excluded.removed_at`,
		r.HostID, string(r.Kind), clean(r.Name), clean(refs), bit(r.Anonymous), r.InstanceID, clean(r.Instance), clean(r.Project),
		clean(r.Stage), clean(r.ImageTag), millis(r.LastUsedAt), millis(r.RemovedAt))
	return err
}

// after joins a remnant with what was known of it before.
func (r Remnant) after(before Remnant) Remnant {
	refs := append(slices.Clone(before.Refs), r.Refs...)
	slices.Sort(refs)
	removed := r.RemovedAt
	if before.RemovedAt.After(removed) {
		removed = before.RemovedAt
	}
	if before.LastUsedAt.After(r.LastUsedAt) {
		r = before
	}
	r.Refs, r.RemovedAt = slices.Compact(refs), removed
	return r
}

// DeleteRemnant forgets one.
func (tx *Tx) DeleteRemnant(ctx context.Context, hostID string, kind RemnantKind, name string) error {
	return tx.execOne(ctx, "forget "+string(kind)+" "+name, ErrNotFound,
		`DELETE FROM remnants WHERE host_id = $1 AND kind = $2 AND name = $3`, hostID, string(kind), clean(name))
}
