package store

import (
	"context"
	"time"
)

// ClassFigures counts the stale instances of one project that are of one class.
type ClassFigures struct {
	Project string
	Class   Class
	Count   int
}

// StaleByClass counts the stale instances by project and class; what has none is left out.
func (q queries) StaleByClass(ctx context.Context) ([]ClassFigures, error) {
	return list(ctx, q, "count the stale instances by project and class", func(r row) (f ClassFigures, err error) {
		return f, r.Scan(&f.Project, &f.Class, &f.Count)
	}, `SELECT p.name, i.class, count(*) FROM instances i JOIN projects p ON p.id = i.project_id
		WHERE i.stale_since IS NOT NULL AND i.status <> 'removing' GROUP BY p.name, i.class ORDER BY p.name, i.class`)
}

// OldestDue returns since when the oldest message of each channel is due that was neither sent nor given up.
func (q queries) OldestDue(ctx context.Context) (map[string]time.Time, error) {
	type line struct {
		channel string
		since   time.Time
	}
	lines, err := list(ctx, q, "look for the oldest messages that are due", func(r row) (l line, err error) {
		return l, r.Scan(&l.channel, at{&l.since})
	}, `SELECT channel_id, MIN(due_at) FROM notify_messages WHERE state IN ('pending', 'sending') GROUP BY channel_id`)
	oldest := make(map[string]time.Time, len(lines))
	for _, l := range lines {
		oldest[l.channel] = l.since
	}
	return oldest, err
}

// LastScans returns the newest scan of each host that has one.
func (q queries) LastScans(ctx context.Context) ([]ScanRun, error) {
	return list(ctx, q, "list the newest scans", scanScanRun,
		`SELECT `+scanColumns+` FROM scan_runs WHERE id IN (
			SELECT (SELECT s.id FROM scan_runs s WHERE s.host_id = h.id ORDER BY s.started_at DESC, s.id DESC LIMIT 1) FROM hosts h
		) ORDER BY host_id`)
}

// BlindFigures is how long a host was blind for one reason, and whether it is.
type BlindFigures struct {
	HostID string
	Reason string
	Time   time.Duration
	Open   bool
}

// BlindTimes sums up the blind intervals by host and reason; one that is open lasts until now.
func (q queries) BlindTimes(ctx context.Context, now time.Time) ([]BlindFigures, error) {
	return list(ctx, q, "sum up the blind intervals", func(r row) (f BlindFigures, err error) {
		var ms, open int64
		err = r.Scan(&f.HostID, &f.Reason, &ms, &open)
		f.Time, f.Open = time.Duration(ms)*time.Millisecond, open > 0
		return f, err
	}, `SELECT host_id, reason, CAST(SUM(CASE WHEN ended_at IS NULL THEN CASE WHEN began_at < $1 THEN $1 - began_at ELSE 0 END ELSE ended_at - began_at END) AS BIGINT),
		CAST(SUM(CASE WHEN ended_at IS NULL THEN 1 ELSE 0 END) AS BIGINT)
		FROM blind_intervals GROUP BY host_id, reason ORDER BY host_id, reason`, now.UnixMilli())
}
