package store

import (
	"context"
	"errors"
	"time"
)

// aheadAfter is how far ahead a row must be dated to have been written while the clock ran ahead.
const aheadAfter = time.Hour

// DateBack dates what a host did while the clock ran ahead to a moment, which is now: the making of its instances and deploys, which else
// would stay the newest for as long, the ends of its deploys, and blind time, in which until then nobody would seem to have watched. Scans that
// are dated ahead are forgotten.
func (tx *Tx) DateBack(ctx context.Context, hostID string, now time.Time) error {
	var errs []error
	for _, query := range []string{
		`UPDATE instances SET created_at = $1 WHERE host_id = $2 AND created_at > $3`,
		`UPDATE deploys SET created_at = $1 WHERE host_id = $2 AND created_at > $3`,
		`UPDATE deploys SET ended_at = $1 WHERE host_id = $2 AND ended_at > $3`,
		`UPDATE blind_intervals SET began_at = $1 WHERE host_id = $2 AND began_at > $3`,
		`UPDATE blind_intervals SET ended_at = $1 WHERE host_id = $2 AND ended_at > $3`,
	} {
		_, err := tx.exec(ctx, "date back what is dated ahead on host "+hostID, query, millis(now), hostID, millis(now.Add(aheadAfter)))
		errs = append(errs, err)
	}
	_, err := tx.exec(ctx, "forget scans of host "+hostID+" that are dated ahead",
		`DELETE FROM scan_runs WHERE host_id = $1 AND started_at > $2`, hostID, millis(now.Add(aheadAfter)))
	return errors.Join(append(errs, err)...)
}
