package store

import (
	"context"
	"time"
)

// keptScans is how many scans of a host are remembered.
const keptScans = 1000

const scanColumns = `id, host_id, trigger_name, started_at, finished_at, list_calls, inspects, known, stale, newly_stale, recovered,
	not_answered, outcome, error`

func scanScanRun(s row) (r ScanRun, err error) {
	err = s.Scan(&r.ID, &r.HostID, &r.Trigger, at{&r.StartedAt}, at{&r.FinishedAt}, &r.ListCalls, &r.Inspects, &r.Known, &r.Stale,
		&r.NewlyStale, &r.Recovered, &r.Unknown, &r.Outcome, &r.Error)
	return r, err
}

// InsertScanRun adds a scan and keeps the newest 1000 of its host.
func (tx *Tx) InsertScanRun(ctx context.Context, r ScanRun) error {
	stamp := now()
	if _, err := tx.exec(ctx, "add a scan",
		`INSERT INTO scan_runs (`+scanColumns+`) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14)`,
		r.ID, r.HostID, clean(r.Trigger), orNow(r.StartedAt, stamp), orNow(r.FinishedAt, stamp), r.ListCalls, r.Inspects, r.Known,
		r.Stale, r.NewlyStale, r.Recovered, r.Unknown, string(r.Outcome), clean(r.Error)); err != nil {
		return err
	}
	_, err := tx.exec(ctx, "forget old scans",
		`DELETE FROM scan_runs WHERE id IN (SELECT id FROM scan_runs WHERE host_id = $1 ORDER BY started_at DESC, id DESC LIMIT 100 OFFSET $2)`,
		r.HostID, keptScans)
	return err
}

// ScanRuns returns a page of the scans of a host, or of all (hostID ""), newest first.
func (q queries) ScanRuns(ctx context.Context, hostID string, p Page) ([]ScanRun, string, error) {
	c, found, err := parseCursor(p.Cursor, "scans", 1, 1)
	if err != nil {
		return nil, "", err
	}
	var a arguments
	var w where
	if hostID != "" {
		w.and(`host_id = ` + a.add(hostID))
	}
	if found {
		w.and(`(started_at, id) < (` + a.add(c.Numbers[0]) + `, ` + a.add(c.Texts[0]) + `)`)
	}
	items, err := list(ctx, q, "list the scans", scanScanRun,
		`SELECT `+scanColumns+` FROM scan_runs`+w.String()+` ORDER BY started_at DESC, id DESC LIMIT `+a.add(p.limit()+1), a...)
	if err != nil {
		return nil, "", err
	}
	items, next := cut(items, p.limit(), func(r ScanRun) cursor {
		return cursor{List: "scans", Numbers: []int64{r.StartedAt.UnixMilli()}, Texts: []string{r.ID}}
	})
	return items, next, nil
}

const blindColumns = `id, host_id, began_at, ended_at, reason, detail`

func scanBlind(r row) (b BlindInterval, err error) {
	return b, r.Scan(&b.ID, &b.HostID, at{&b.From}, at{&b.To}, &b.Reason, &b.Detail)
}

// OpenBlindInterval adds a blind interval; a no-op while one of the same host and reason is open.
func (tx *Tx) OpenBlindInterval(ctx context.Context, b BlindInterval) error {
	_, err := tx.exec(ctx, "open a blind interval",
		`INSERT INTO blind_intervals (`+blindColumns+`) VALUES ($1, $2, $3, $4, $5, $6) ON CONFLICT DO NOTHING`,
		b.ID, b.HostID, orNow(b.From, now()), millis(b.To), clean(b.Reason), clean(b.Detail))
	return err
}

// CloseBlindIntervals ends every open blind interval of a host.
func (tx *Tx) CloseBlindIntervals(ctx context.Context, hostID string, to time.Time) error {
	_, err := tx.exec(ctx, "close the blind intervals",
		`UPDATE blind_intervals SET ended_at = $1, began_at = CASE WHEN began_at > $1 THEN $1 ELSE began_at END WHERE host_id = $2 AND ended_at IS NULL`,
		orNow(to, now()), hostID)
	return err
}

// BlindIntervals returns the blind intervals of a host, or of all (hostID ""), that are open or ended after since, newest first.
func (q queries) BlindIntervals(ctx context.Context, hostID string, since time.Time) ([]BlindInterval, error) {
	var a arguments
	var w where
	if hostID != "" {
		w.and(`host_id = ` + a.add(hostID))
	}
	if !since.IsZero() {
		w.and(`(ended_at IS NULL OR ended_at > ` + a.add(since.UnixMilli()) + `)`)
	}
	return list(ctx, q, "list the blind intervals", scanBlind,
		`SELECT `+blindColumns+` FROM blind_intervals`+w.String()+` ORDER BY began_at DESC, id DESC`, a...)
}

// BlindDuring returns the blind intervals of a host that overlap from..to, oldest first. A zero from is the beginning, a
// zero to has no end.
func (q queries) BlindDuring(ctx context.Context, hostID string, from, to time.Time) ([]BlindInterval, error) {
	a := arguments{hostID}
	w := where{`host_id = $1`}
	if !from.IsZero() {
		w.and(`(ended_at IS NULL OR ended_at > ` + a.add(from.UnixMilli()) + `)`)
	}
	if !to.IsZero() {
		w.and(`began_at < ` + a.add(to.UnixMilli()))
	}
	return list(ctx, q, "list the blind intervals", scanBlind,
		`SELECT `+blindColumns+` FROM blind_intervals`+w.String()+` ORDER BY began_at, id`, a...)
}
