package store

import (
	"context"
	"time"
)

// SetSnooze snoozes an instance until a moment (zero: ends it); ErrConflict when its revision moved. As with each change of
// protection, the warning of a standing episode is given anew when nothing protects the instance any more.
func (tx *Tx) SetSnooze(ctx context.Context, instanceID string, until time.Time, by, reason string, revision int64) error {
	if until.IsZero() {
		by, reason = "", ""
	}
	what := "snooze instance " + instanceID
	n, err := tx.exec(ctx, what,
		`UPDATE instances SET snoozed_until = $1, snoozed_by = $2, snooze_reason = $3, warned_at = NULL, updated_at = $4,
		revision = revision + 1
		WHERE id = $5 AND revision = $6`, millis(until), clean(by), clean(reason), now(), instanceID, revision)
	if err != nil || n > 0 {
		return err
	}
	return tx.moved(ctx, what, instanceID)
}
