package store

import (
	"context"
	"fmt"
	"time"
)

// proofAge is how old an event at least is that vouches for the calendar, where what is kept is kept for long.
const proofAge = 7 * day

// ProofAge is how old a proof of the calendar at least is, where what is to be deleted, or the log that proves it, is kept for so long.
func ProofAge(kept time.Duration) time.Duration { return min(proofAge, kept/2) }

// CalendarDoubt says why the calendar is not to be believed by who deletes what is kept for so long; empty: it is. The log has nothing to show for the
// time that it claims has gone by: no event that is at least a week old and not older than two (of half the time that things are kept, where
// that is less). A start with a clock that is months ahead finds none; neither does one after weeks of standing still, until it has run for one itself.
func (q queries) CalendarDoubt(ctx context.Context, kept time.Duration, now time.Time) (why string, err error) {
	age := ProofAge(kept)
	from, to := now.Add(-2*age), now.Add(-age)
	proof, _, err := q.Events(ctx, EventFilter{From: from, To: to}, Page{Limit: 1})
	if err != nil {
		return "", fmt.Errorf("see whether the log vouches for the calendar: %w", err)
	}
	if len(proof) == 0 {
		return "the log has no event from " + from.Format(time.RFC3339) + " to " + to.Format(time.RFC3339) + ", the clock may be ahead", nil
	}
	return "", nil
}

// ClockBehind returns the newest moment in the log that is more than an hour after now, where that speaks for a clock that is behind now; zero: none, or it
// was ahead when that was written. Then there is a proof of the time before now (as CalendarDoubt wants it), and most of the time to the newest
// moment is without any event; a clock that is behind finds what happened all along. Kept is for how long events are.
func (q queries) ClockBehind(ctx context.Context, kept time.Duration, now time.Time) (time.Time, error) {
	type ends struct{ first, last time.Time }
	after, err := one(ctx, q, "see whether the clock is behind the log", func(r row) (e ends, err error) { return e, r.Scan(at{&e.first}, at{&e.last}) },
		`SELECT (SELECT MIN(time) FROM event_log WHERE time > $1), (SELECT MAX(time) FROM event_log WHERE time > $1)`, millis(now.Add(aheadAfter)))
	if err != nil || after.last.IsZero() {
		return time.Time{}, err
	}
	why, err := q.CalendarDoubt(ctx, min(2*proofAge, kept), now)
	if err != nil || why == "" && after.first.Sub(now) > after.last.Sub(now)/2 {
		return time.Time{}, err
	}
	return after.last, nil
}
