package store

import (
	"context"
	"time"
)

// DayFigures is what one day of a history saw, all hosts together.
type DayFigures struct {
	Stale      int   // instances after the last good scan of each host until its end; -1: no host was judged yet
	Removed    int   // instances that cleanups removed
	Bytes      int64 // of their writable layers, where that was known
	Images     int   // images that were reclaimed
	ImageBytes int64 // that came back with them
}

const (
	// lastJudged is how long before a history a host may have been judged for its figure to count at the begin.
	lastJudged = 7
	// planLife is longer than any plan waits from being made to being carried out.
	planLife = day
)

// History returns the figures of n days of 24 hours, the first of which begins at from.
func (q queries) History(ctx context.Context, from time.Time, n int) ([]DayFigures, error) {
	days := make([]DayFigures, n)
	for _, add := range []func(context.Context, time.Time, []DayFigures) error{q.addStale, q.addRemoved, q.addReclaimed} {
		if err := add(ctx, from, days); err != nil {
			return nil, err
		}
	}
	return days, nil
}

// hostDay is what the last good scan of a host on one day found.
type hostDay struct {
	day    int
	hostID string
	stale  int
}

// addStale carries the last figure of each host on to the days on which it was not judged.
func (q queries) addStale(ctx context.Context, from time.Time, days []DayFigures) error {
	begin := from.Add(-lastJudged * day)
	scans, err := list(ctx, q, "read what was stale each day", func(r row) (d hostDay, err error) {
		return d, r.Scan(&d.day, &d.hostID, &d.stale)
	}, `SELECT day, host_id, stale FROM (
			SELECT (started_at - $1) / $2 AS day, host_id, stale,
				ROW_NUMBER() OVER (PARTITION BY host_id, (started_at - $1) / $2 ORDER BY started_at DESC, id DESC) AS back
			FROM scan_runs WHERE started_at >= $1 AND started_at < $3 AND outcome = $4) AS scans
		WHERE back = 1 ORDER BY day`,
		begin.UnixMilli(), day.Milliseconds(), from.Add(time.Duration(len(days))*day).UnixMilli(), string(ScanOK))
	if err != nil {
		return err
	}
	known := map[string]int{}
	for i := range days {
		for len(scans) > 0 && scans[0].day <= i+lastJudged {
			known[scans[0].hostID], scans = scans[0].stale, scans[1:]
		}
		days[i].Stale = -1
		if len(known) > 0 {
			days[i].Stale = 0
		}
		for _, stale := range known {
			days[i].Stale += stale
		}
	}
	return nil
}

// freed is what one item of a plan gave back, and when.
type freed struct {
	at    time.Time
	bytes int64 // negative: not known
}

func (f freed) into(from time.Time, days []DayFigures) (d *DayFigures, within bool) {
	i := f.at.Sub(from) / day
	if f.at.Before(from) || int(i) >= len(days) {
		return nil, false
	}
	return &days[i], true
}

func (q queries) addRemoved(ctx context.Context, from time.Time, days []DayFigures) error {
	items, err := list(ctx, q, "read what cleanups removed", func(r row) (f freed, err error) {
		var details PlanDetails
		err = r.Scan(at{&f.at}, fromJSON{&details})
		f.bytes = details.Bytes
		return f, err
	}, `SELECT i.done_at, i.details FROM plans p JOIN plan_items i ON i.plan_id = p.id
		WHERE p.state IN ($1, $2) AND p.created_at >= $3 AND i.result = $4 AND i.done_at >= $5`,
		string(PlanApplying), string(PlanApplied), from.Add(-planLife).UnixMilli(), string(ResultRemoved), from.UnixMilli())
	for _, i := range items {
		if d, within := i.into(from, days); within {
			d.Removed++
			d.Bytes += max(0, i.bytes)
		}
	}
	return err
}

func (q queries) addReclaimed(ctx context.Context, from time.Time, days []DayFigures) error {
	items, err := list(ctx, q, "read which images were reclaimed", func(r row) (f freed, err error) { return f, r.Scan(at{&f.at}, &f.bytes) },
		`SELECT p.done_at, i.bytes FROM reclaim_plans p JOIN reclaim_items i ON i.plan_id = p.id
		WHERE p.state = $1 AND p.created_at >= $2 AND i.result = $3 AND p.done_at >= $4`,
		string(PlanApplied), from.Add(-planLife).UnixMilli(), string(ResultRemoved), from.UnixMilli())
	for _, i := range items {
		if d, within := i.into(from, days); within {
			d.Images++
			d.ImageBytes += max(0, i.bytes)
		}
	}
	return err
}
