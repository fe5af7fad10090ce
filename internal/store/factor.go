package store

import (
	"context"
	"time"
)

// FactorSecret is the shared secret of a user's second factor, confirmed or not; ErrNotFound where there is none.
func (q queries) FactorSecret(ctx context.Context, userID string) ([]byte, error) {
	sealed, err := one(ctx, q, "read the second factor of user "+userID, func(r row) (b []byte, err error) { return b, r.Scan(&b) },
		`SELECT factor_secret FROM users WHERE id = $1 AND factor_secret IS NOT NULL`, userID)
	if err != nil {
		return nil, err
	}
	return q.seal.open(sealed, place("users", userID, "factor_secret"))
}

// OfferFactor keeps a secret that is not asked for before ConfirmFactor, over one that was offered before.
func (tx *Tx) OfferFactor(ctx context.Context, userID string, secret []byte) error {
	return tx.execOne(ctx, "offer a second factor to user "+userID, ErrConflict,
		`UPDATE users SET factor_secret = $1, factor_step = 0, updated_at = $2 WHERE id = $3 AND factor_since IS NULL`,
		tx.seal.close(secret, place("users", userID, "factor_secret")), now(), userID)
}

// ConfirmFactor has the second factor asked for from now on; step is the one that its first code was of.
func (tx *Tx) ConfirmFactor(ctx context.Context, userID string, step int64, at time.Time) error {
	return tx.execOne(ctx, "confirm the second factor of user "+userID, ErrConflict,
		`UPDATE users SET factor_since = $1, factor_step = $2, updated_at = $3 WHERE id = $4 AND factor_since IS NULL AND factor_secret IS NOT NULL`,
		millis(at), step, now(), userID)
}

// SpendFactorStep marks a step as used, with those before it; ErrConflict when it, or a later one, was.
func (tx *Tx) SpendFactorStep(ctx context.Context, userID string, step int64) error {
	return tx.execOne(ctx, "spend a code of user "+userID, ErrConflict,
		`UPDATE users SET factor_step = $1 WHERE id = $2 AND factor_step < $1`, step, userID)
}

// DropFactor takes the second factor and the recovery codes of a user away.
func (tx *Tx) DropFactor(ctx context.Context, userID string) error {
	if _, err := tx.exec(ctx, "drop the recovery codes of user "+userID, `DELETE FROM recovery_codes WHERE user_id = $1`, userID); err != nil {
		return err
	}
	return tx.execOne(ctx, "drop the second factor of user "+userID, ErrNotFound,
		`UPDATE users SET factor_secret = NULL, factor_since = NULL, factor_step = 0, updated_at = $1 WHERE id = $2`, now(), userID)
}

// SetRecoveryCodes replaces the recovery codes of a user; only hashes are kept.
func (tx *Tx) SetRecoveryCodes(ctx context.Context, userID string, hashes []string) error {
	what := "write the recovery codes of user " + userID
	if _, err := tx.exec(ctx, what, `DELETE FROM recovery_codes WHERE user_id = $1`, userID); err != nil {
		return err
	}
	for _, hash := range hashes {
		if _, err := tx.exec(ctx, what, `INSERT INTO recovery_codes (user_id, hash) VALUES ($1, $2)`, userID, hash); err != nil {
			return err
		}
	}
	return nil
}

// SpendRecoveryCode uses a recovery code up; ErrNotFound when it is none of the user's, or was used.
func (tx *Tx) SpendRecoveryCode(ctx context.Context, userID, hash string) error {
	return tx.execOne(ctx, "spend a recovery code of user "+userID, ErrNotFound,
		`DELETE FROM recovery_codes WHERE user_id = $1 AND hash = $2`, userID, clean(hash))
}

// RecoveryCodesLeft counts the recovery codes that a user has not used.
func (q queries) RecoveryCodesLeft(ctx context.Context, userID string) (int, error) {
	return one(ctx, q, "count the recovery codes of user "+userID, func(r row) (n int, err error) { return n, r.Scan(&n) },
		`SELECT count(*) FROM recovery_codes WHERE user_id = $1`, userID)
}
