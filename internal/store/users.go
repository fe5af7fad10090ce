package store

import "context"

const userColumns = `u.id, u.name, u.password_hash, u.role, u.created_at, u.updated_at`

func scanUser(r row) (u User, err error) {
	return u, r.Scan(&u.ID, &u.Name, &u.PasswordHash, &u.Role, at{&u.CreatedAt}, at{&u.UpdatedAt})
}

// UserCount returns how many users there are; none means that nothing is set up yet.
func (q queries) UserCount(ctx context.Context) (int, error) {
	return one(ctx, q, "count the users", func(r row) (n int, err error) { return n, r.Scan(&n) }, `SELECT count(*) FROM users`)
}

// User returns one user.
func (q queries) User(ctx context.Context, id string) (User, error) {
	return one(ctx, q, "read user "+id, scanUser, `SELECT `+userColumns+` FROM users u WHERE u.id = $1`, id)
}

// UserByName returns one user.
func (q queries) UserByName(ctx context.Context, name string) (User, error) {
	return one(ctx, q, "read user by name", scanUser, `SELECT `+userColumns+` FROM users u WHERE u.name = $1`, clean(name))
}

// InsertUser adds a user; ErrConflict when the name is taken.
func (tx *Tx) InsertUser(ctx context.Context, u User) error {
	stamp := now()
	_, err := tx.exec(ctx, "add user "+u.Name,
		`INSERT INTO users (id, name, password_hash, role, created_at, updated_at) VALUES ($1, $2, $3, $4, $5, $6)`,
		u.ID, clean(u.Name), u.PasswordHash, string(u.Role), orNow(u.CreatedAt, stamp), stamp)
	return err
}

// UpdateUser writes name, password and role of a user.
func (tx *Tx) UpdateUser(ctx context.Context, u User) error {
	return tx.execOne(ctx, "update user "+u.Name, ErrNotFound,
		`UPDATE users SET name = $1, password_hash = $2, role = $3, updated_at = $4 WHERE id = $5`,
		clean(u.Name), u.PasswordHash, string(u.Role), now(), u.ID)
}
