package store

import (
	"context"
	"time"
)

const sessionColumns = `s.id, s.user_id, s.token_hash, s.user_agent, s.addr, s.created_at, s.expires_at, s.seen_at`

func (s *Session) fields() []any {
	return []any{&s.ID, &s.UserID, &s.TokenHash, &s.UserAgent, &s.Addr, at{&s.CreatedAt}, at{&s.ExpiresAt}, at{&s.SeenAt}}
}

// SessionByHash returns the session of a token's hash, and its user; also one that has expired.
func (q queries) SessionByHash(ctx context.Context, hash string) (Session, User, error) {
	type pair struct {
		s Session
		u User
	}
	p, err := one(ctx, q, "read a session", func(r row) (p pair, err error) {
		return p, r.Scan(append(p.s.fields(), p.u.fields()...)...)
	}, `SELECT `+sessionColumns+`, `+userColumns+` FROM sessions s JOIN users u ON u.id = s.user_id WHERE s.token_hash = $1`, clean(hash))
	return p.s, p.u, err
}

// Sessions returns the sessions of a user that have not expired by now, the one seen last first.
func (q queries) Sessions(ctx context.Context, userID string, now time.Time) ([]Session, error) {
	return list(ctx, q, "list the sessions of user "+userID, func(r row) (s Session, err error) { return s, r.Scan(s.fields()...) },
		`SELECT `+sessionColumns+` FROM sessions s WHERE s.user_id = $1 AND s.expires_at > $2 ORDER BY COALESCE(s.seen_at, s.created_at) DESC, s.id DESC`,
		userID, now.UnixMilli())
}

// TouchSession writes when a session was last seen.
func (tx *Tx) TouchSession(ctx context.Context, id string, at time.Time) error {
	return tx.execOne(ctx, "note the use of session "+id, ErrNotFound, `UPDATE sessions SET seen_at = $1 WHERE id = $2`, millis(at), id)
}

// DeleteSessions ends the sessions of a user but for one, which may be empty, and returns how many they were.
func (tx *Tx) DeleteSessions(ctx context.Context, userID, but string) (int, error) {
	return tx.exec(ctx, "end the sessions of user "+userID, `DELETE FROM sessions WHERE user_id = $1 AND id <> $2`, userID, but)
}

// InsertSession adds a session.
func (tx *Tx) InsertSession(ctx context.Context, s Session) error {
	_, err := tx.exec(ctx, "add a session",
		`INSERT INTO sessions (id, user_id, token_hash, user_agent, addr, created_at, expires_at) VALUES ($1, $2, $3, $4, $5, $6, $7)`,
		s.ID, s.UserID, s.TokenHash, shorten(clean(s.UserAgent), 512), clean(s.Addr), orNow(s.CreatedAt, now()), millis(s.ExpiresAt))
	return err
}

// DeleteSession ends a session.
func (tx *Tx) DeleteSession(ctx context.Context, id string) error {
	return tx.execOne(ctx, "end session "+id, ErrNotFound, `DELETE FROM sessions WHERE id = $1`, id)
}

// DeleteExpiredSessions forgets the sessions that have expired by now.
func (tx *Tx) DeleteExpiredSessions(ctx context.Context, now time.Time) error {
	_, err := tx.exec(ctx, "forget expired sessions", `DELETE FROM sessions WHERE expires_at <= $1`, now.UnixMilli())
	return err
}
