package store

import (
	"context"
	"time"
)

// MessagesAhead returns at most limit messages that wait for a moment after now, that are in hand for longer than until, or that were first tried after
// now; those that are furthest ahead first.
func (q queries) MessagesAhead(ctx context.Context, now, until time.Time, limit int) ([]Message, error) {
	return list(ctx, q, "look for messages that wait", scanMessage, `SELECT `+messageColumns+` FROM notify_messages
		WHERE state = 'pending' AND (due_at > $1 OR tried_at > $2) OR state = 'sending' AND (lease_until > $3 OR tried_at > $4) ORDER BY due_at DESC, id LIMIT $5`,
		millis(now), millis(now), millis(until), millis(now), limit)
}

// SetMessageTimes writes when a message is due, until when it is in hand, and when it was first tried, unless its state moved meanwhile.
func (tx *Tx) SetMessageTimes(ctx context.Context, m Message) error {
	_, err := tx.exec(ctx, "set the times of message "+m.ID, `UPDATE notify_messages SET due_at = $1, lease_until = $2, tried_at = $3 WHERE id = $4 AND state = $5`,
		millis(m.DueAt), millis(m.LeaseUntil), millis(m.TriedAt), m.ID, string(m.State))
	return err
}

// RetryChannelsBy has no channel wait for its next attempt beyond a moment, and returns how many did.
func (tx *Tx) RetryChannelsBy(ctx context.Context, latest time.Time) (int, error) {
	return tx.exec(ctx, "have channels tried sooner", `UPDATE notify_channels SET retry_at = $1 WHERE retry_at > $2`, millis(latest), millis(latest))
}
