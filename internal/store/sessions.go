package store

import (
	"context"
	"time"
)

// SessionByHash returns the session of a token's hash, and its user; also one that has expired.
func (q queries) SessionByHash(ctx context.Context, hash string) (Session, User, error) {
	type pair struct {
		s Session
		u User
	}
	p, err := one(ctx, q, "read a session", func(r row) (p pair, err error) {
		return p, r.Scan(&p.s.ID, &p.s.UserID, &p.s.TokenHash, &p.s.UserAgent, &p.s.Addr, at{&p.s.CreatedAt}, at{&p.s.ExpiresAt},
			&p.u.ID, &p.u.Name, &p.u.PasswordHash, &p.u.Role, at{&p.u.CreatedAt}, at{&p.u.UpdatedAt})
	}, `SELECT s.id, s.user_id, s.token_hash, s.user_agent, s.addr, s.created_at, s.expires_at, `+userColumns+`
		FROM sessions s JOIN users u ON u.id = s.user_id WHERE s.token_hash = $1`, clean(hash))
	return p.s, p.u, err
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
