package store

import (
	"context"
	"errors"
	"time"
)

// aheadAfter is how far after now a moment must be for the clock to have run ahead when it was written. Less is a clock that was set back a little since, and
// soon over.
const aheadAfter = time.Hour

// DatedAhead reports whether a moment is so far after now that the clock ran ahead when it was written.
func DatedAhead(t, now time.Time) bool { return t.After(now.Add(aheadAfter)) }

// DateBack dates what a host did while the clock ran ahead to a moment, which is now: the making of its instances and deploys, which else
// would stay the newest for as long, the ends of its deploys, and blind time, in which until then nobody would seem to have watched. Scans that
// are dated ahead are forgotten. What is less than a day ahead is let be, for that is soon over, and it may be this moment that is wrong: a clock in
// another zone, before it is set.
func (tx *Tx) DateBack(ctx context.Context, hostID string, now time.Time) error {
	what, beyond := "date back what is dated ahead on host "+hostID, millis(now.Add(day))
	dated := []string{
		`UPDATE blind_intervals SET began_at = $1 WHERE host_id = $2 AND began_at > $3`,
		`UPDATE blind_intervals SET ended_at = $1 WHERE host_id = $2 AND ended_at > $3`,
	}
	// Whatever makes an instance or a deploy emits an event, and by their moments events have an index.
	newest, err := one(ctx, tx.queries, what, func(r row) (t time.Time, err error) { return t, r.Scan(at{&t}) },
		`SELECT MAX(time) FROM event_log WHERE time > $1`, beyond)
	if err != nil {
		return err
	}
	if !newest.IsZero() {
		dated = append(dated,
			`UPDATE instances SET created_at = $1 WHERE host_id = $2 AND created_at > $3`,
			`UPDATE deploys SET created_at = $1 WHERE host_id = $2 AND created_at > $3`,
			`UPDATE deploys SET ended_at = $1 WHERE host_id = $2 AND ended_at > $3`)
	}
	var errs []error
	for _, query := range dated {
		_, err := tx.exec(ctx, what, query, millis(now), hostID, beyond)
		errs = append(errs, err)
	}
	_, err = tx.exec(ctx, "forget scans of host "+hostID+" that are dated ahead", `DELETE FROM scan_runs WHERE host_id = $1 AND started_at > $2`, hostID, beyond)
	return errors.Join(append(errs, err)...)
}
