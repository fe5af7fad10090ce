package store

import (
	"context"
	"time"
)

const tokenColumns = `id, name, token_hash, role, created_by, created_at, expires_at, last_used_at, user_id`

func scanToken(r row) (t Token, err error) {
	return t, r.Scan(&t.ID, &t.Name, &t.TokenHash, &t.Role, &t.CreatedBy, at{&t.CreatedAt}, at{&t.ExpiresAt}, at{&t.LastUsedAt}, text{&t.UserID})
}

// Tokens returns every API token, by name.
func (q queries) Tokens(ctx context.Context) ([]Token, error) {
	return list(ctx, q, "list the tokens", scanToken, `SELECT `+tokenColumns+` FROM tokens ORDER BY name`)
}

// Token returns one API token.
func (q queries) Token(ctx context.Context, id string) (Token, error) {
	return one(ctx, q, "read token "+id, scanToken, `SELECT `+tokenColumns+` FROM tokens WHERE id = $1`, id)
}

// TokenByHash returns the token of a hash; also one that has expired.
func (q queries) TokenByHash(ctx context.Context, hash string) (Token, error) {
	return one(ctx, q, "read a token", scanToken, `SELECT `+tokenColumns+` FROM tokens WHERE token_hash = $1`, clean(hash))
}

// InsertToken adds a token; ErrConflict when the name is taken.
func (tx *Tx) InsertToken(ctx context.Context, t Token) error {
	_, err := tx.exec(ctx, "add token "+t.Name, `INSERT INTO tokens (`+tokenColumns+`) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)`,
		t.ID, clean(t.Name), t.TokenHash, string(t.Role), clean(t.CreatedBy), orNow(t.CreatedAt, now()), millis(t.ExpiresAt), millis(t.LastUsedAt), optional(t.UserID))
	return err
}

// DropExpiredToken lets go of the token of a name that has expired by now, and reports whether there was one.
func (tx *Tx) DropExpiredToken(ctx context.Context, name string, by time.Time) (bool, error) {
	n, err := tx.exec(ctx, "let go of the expired token "+name, `DELETE FROM tokens WHERE name = $1 AND expires_at <= $2`, clean(name), millis(by))
	return n > 0, err
}

// DeleteToken revokes a token.
func (tx *Tx) DeleteToken(ctx context.Context, id string) error {
	return tx.execOne(ctx, "revoke token "+id, ErrNotFound, `DELETE FROM tokens WHERE id = $1`, id)
}

// TouchToken writes when a token was last used.
func (tx *Tx) TouchToken(ctx context.Context, id string, at time.Time) error {
	return tx.execOne(ctx, "note the use of token "+id, ErrNotFound, `UPDATE tokens SET last_used_at = $1 WHERE id = $2`, millis(at), id)
}
