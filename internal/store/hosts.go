package store

import (
	"context"
	"time"
)

const hostColumns = `id, name, endpoint, engine_id, data_root, engine_version, api_version, os, arch, clock_skew_ms,
	frozen_since, frozen_reason, last_scan_at, last_good_scan, watched_until, auto_held, auto_held_since, access, disabled_since,
	created_at, updated_at, revision`

func scanHost(r row) (h Host, err error) {
	var skew int64
	err = r.Scan(&h.ID, &h.Name, &h.Endpoint, &h.EngineID, &h.DataRoot, &h.EngineVersion, &h.APIVersion, &h.OS, &h.Arch, &skew,
		at{&h.FrozenSince}, &h.FrozenReason, at{&h.LastScanAt}, at{&h.LastGoodScan}, at{&h.WatchedUntil}, &h.AutoHeld,
		at{&h.AutoHeldSince}, fromJSON{&h.Access}, at{&h.DisabledSince}, at{&h.CreatedAt}, at{&h.UpdatedAt}, &h.Revision)
	h.ClockSkew = time.Duration(skew) * time.Millisecond
	return h, err
}

// Host returns one host.
func (q queries) Host(ctx context.Context, id string) (Host, error) {
	return one(ctx, q, "read host "+id, scanHost, `SELECT `+hostColumns+` FROM hosts WHERE id = $1`, id)
}

// Hosts returns every host, by name.
func (q queries) Hosts(ctx context.Context) ([]Host, error) {
	return list(ctx, q, "list the hosts", scanHost, `SELECT `+hostColumns+` FROM hosts ORDER BY name, id`)
}

// HostByName returns one host.
func (q queries) HostByName(ctx context.Context, name string) (Host, error) {
	return one(ctx, q, "read host "+name, scanHost, `SELECT `+hostColumns+` FROM hosts WHERE name = $1`, clean(name))
}

// InsertHost adds a host; ErrConflict when its name is taken.
func (tx *Tx) InsertHost(ctx context.Context, h Host) error {
	access, err := jsonOf("add host "+h.Name, h.Access)
	if err != nil {
		return err
	}
	stamp := now()
	_, err = tx.exec(ctx, "add host "+h.Name,
		`INSERT INTO hosts (`+hostColumns+`) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19, $20, $21, $22)`,
		h.ID, clean(h.Name), clean(h.Endpoint), clean(h.EngineID), clean(h.DataRoot), clean(h.EngineVersion), clean(h.APIVersion),
		clean(h.OS), clean(h.Arch), h.ClockSkew.Milliseconds(), millis(h.FrozenSince), clean(h.FrozenReason),
		millis(h.LastScanAt), millis(h.LastGoodScan), millis(h.WatchedUntil), clean(h.AutoHeld), millis(h.AutoHeldSince),
		clean(access), millis(h.DisabledSince), orNow(h.CreatedAt, stamp), stamp, h.Revision)
	return err
}

// UpdateHost writes what is known of a host, but for WatchedUntil, why automatic cleanup is held, its access and whether it is
// disabled.
func (tx *Tx) UpdateHost(ctx context.Context, h Host) error {
	return tx.execOne(ctx, "update host "+h.ID, ErrNotFound,
		`UPDATE hosts SET name = $1, endpoint = $2, engine_id = $3, data_root = $4, engine_version = $5, api_version = $6, os = $7,
		arch = $8, clock_skew_ms = $9, frozen_since = $10, frozen_reason = $11, last_scan_at = $12, last_good_scan = $13, updated_at = $14
		WHERE id = $15`,
		clean(h.Name), clean(h.Endpoint), clean(h.EngineID), clean(h.DataRoot), clean(h.EngineVersion), clean(h.APIVersion), clean(h.OS),
		clean(h.Arch), h.ClockSkew.Milliseconds(), millis(h.FrozenSince), clean(h.FrozenReason), millis(h.LastScanAt),
		millis(h.LastGoodScan), now(), h.ID)
}

// SetWatchedUntil moves the moment forward up to which everything that happened on a host is in the
// rows; never backwards, but from where a clock that ran ahead has put it.
func (tx *Tx) SetWatchedUntil(ctx context.Context, hostID string, until time.Time) error {
	_, err := tx.exec(ctx, "note until when host "+hostID+" was watched",
		`UPDATE hosts SET watched_until = $1 WHERE id = $2 AND (watched_until IS NULL OR watched_until < $1 OR watched_until > $3)`,
		millis(until), hostID, millis(until.Add(aheadAfter)))
	return err
}

// SetAutoHeld writes why automatic cleanup does nothing on a host (empty: it may act), since when.
func (tx *Tx) SetAutoHeld(ctx context.Context, hostID, reason string, since time.Time) error {
	if reason == "" {
		since = time.Time{}
	}
	return tx.execOne(ctx, "note why automatic cleanup of host "+hostID+" is held", ErrNotFound,
		`UPDATE hosts SET auto_held = $1, auto_held_since = $2, updated_at = $3 WHERE id = $4`, clean(reason), millis(since), now(), hostID)
}

// orNow is when a row was made: as given, or now.
func orNow(t time.Time, stamp int64) int64 {
	if t.IsZero() {
		return stamp
	}
	return t.UnixMilli()
}
