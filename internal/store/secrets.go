package store

import "context"

// Secret is a small sealed value kept in the store by name (the setup link's hash, cursors' key).
func (q queries) Secret(ctx context.Context, name string) (string, error) {
	sealed, err := one(ctx, q, "read secret "+name, func(r row) (b []byte, err error) { return b, r.Scan(&b) },
		`SELECT value FROM secrets WHERE name = $1`, name)
	if err != nil {
		return "", err
	}
	plain, err := q.seal.open(sealed, place("secrets", name, "value"))
	return string(plain), err
}

// SetSecret writes a secret, also over the one before.
func (tx *Tx) SetSecret(ctx context.Context, name, value string) error {
	_, err := tx.exec(ctx, "write secret "+name,
		`INSERT INTO secrets (name, value, updated_at) VALUES ($1, $2, $3)
		ON CONFLICT (name) DO UPDATE SET value = excluded.value, updated_at = excluded.updated_at`,
		name, tx.seal.close([]byte(value), place("secrets", name, "value")), now())
	return err
}

// DeleteSecret forgets a secret.
func (tx *Tx) DeleteSecret(ctx context.Context, name string) error {
	return tx.execOne(ctx, "forget secret "+name, ErrNotFound, `DELETE FROM secrets WHERE name = $1`, name)
}
