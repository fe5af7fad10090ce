package store

import (
	"context"
	"time"
)

const userColumns = `u.id, u.name, u.password_hash, u.role, u.created_at, u.updated_at, u.disabled_at, u.signed_in_at,
	u.link_hash, u.link_until, u.factor_since, u.factor_step, u.provider, u.subject`

// fields are where the columns of a user are scanned to.
func (u *User) fields() []any {
	return []any{
		&u.ID, &u.Name, &u.PasswordHash, &u.Role,
		at{&u.CreatedAt},
		at{&u.UpdatedAt},
		at{&u.DisabledAt},
		at{&u.SignedInAt},
		&u.LinkHash,
		at{&u.LinkUntil},
		at{&u.FactorSince},
		&u.FactorStep, &u.Provider, &u.Subject,
	}
}

func scanUser(r row) (u User, err error) { return u, r.Scan(u.fields()...) }

// UserCount returns how many users there are; none means that nothing is set up yet.
func (q queries) UserCount(ctx context.Context) (int, error) {
	return one(ctx, q, "count the users", func(r row) (n int, err error) { return n, r.Scan(&n) }, `SELECT count(*) FROM users`)
}

// Users returns every user, by name.
func (q queries) Users(ctx context.Context) ([]User, error) {
	return list(ctx, q, "list the users", scanUser, `SELECT `+userColumns+` FROM users u ORDER BY u.name`)
}

// User returns one user.
func (q queries) User(ctx context.Context, id string) (User, error) {
	return one(ctx, q, "read user "+id, scanUser, `SELECT `+userColumns+` FROM users u WHERE u.id = $1`, id)
}

// UserByName returns one user.
func (q queries) UserByName(ctx context.Context, name string) (User, error) {
	return one(ctx, q, "read user by name", scanUser, `SELECT `+userColumns+` FROM users u WHERE u.name = $1`, clean(name))
}

// UserBySubject returns who a subject of an identity provider is here.
func (q queries) UserBySubject(ctx context.Context, provider, subject string) (User, error) {
	return one(ctx, q, "read user by subject", scanUser,
		`SELECT `+userColumns+` FROM users u WHERE u.provider = $1 AND u.subject = $2 AND u.subject <> ''`, clean(provider), clean(subject))
}

// UserByLink returns whose one-time link has this hash; also one that has expired.
func (q queries) UserByLink(ctx context.Context, hash string) (User, error) {
	return one(ctx, q, "read user by link", scanUser, `SELECT `+userColumns+` FROM users u WHERE u.link_hash = $1 AND u.link_hash <> ''`, clean(hash))
}

// OtherAdmins counts the admins but for one who can come in: not disabled, with a password or known to an identity provider that people come in
// by now, of which this is the issuer; empty: there is none.
func (q queries) OtherAdmins(ctx context.Context, but, issuer string) (int, error) {
	return one(ctx, q, "count the admins", func(r row) (n int, err error) { return n, r.Scan(&n) },
		`SELECT count(*) FROM users WHERE role = 'admin' AND disabled_at IS NULL AND id <> $1
		AND (password_hash <> '' OR subject <> '' AND provider <> '' AND provider = $2)`, but, clean(issuer))
}

// InsertUser adds a user; ErrConflict when the name, or the subject of the provider, is taken.
func (tx *Tx) InsertUser(ctx context.Context, u User) error {
	stamp := now()
	_, err := tx.exec(ctx, "add user "+u.Name,
		`INSERT INTO users (id, name, password_hash, role, created_at, updated_at, link_hash, link_until, provider, subject)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)`,
		u.ID, clean(u.Name), u.PasswordHash, string(u.Role), orNow(u.CreatedAt, stamp), stamp, u.LinkHash, millis(u.LinkUntil), clean(u.Provider), clean(u.Subject))
	return err
}

// UpdateUser writes all of a user but the second factor and the last sign-in.
func (tx *Tx) UpdateUser(ctx context.Context, u User) error {
	return tx.execOne(ctx, "update user "+u.Name, ErrNotFound,
		`UPDATE users SET name = $1, password_hash = $2, role = $3, updated_at = $4, disabled_at = $5, link_hash = $6, link_until = $7,
		provider = $8, subject = $9 WHERE id = $10`,
		clean(u.Name), u.PasswordHash, string(u.Role), now(), millis(u.DisabledAt), u.LinkHash, millis(u.LinkUntil), clean(u.Provider), clean(u.Subject), u.ID)
}

// DeleteUser removes a user with their sessions, tokens, recovery codes and grants.
func (tx *Tx) DeleteUser(ctx context.Context, id string) error {
	return tx.execOne(ctx, "remove user "+id, ErrNotFound, `DELETE FROM users WHERE id = $1`, id)
}

// NoteSignIn writes when a user last signed in.
func (tx *Tx) NoteSignIn(ctx context.Context, id string, at time.Time) error {
	return tx.execOne(ctx, "note the sign-in of user "+id, ErrNotFound, `UPDATE users SET signed_in_at = $1 WHERE id = $2`, millis(at), id)
}
