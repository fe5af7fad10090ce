package store

import (
	"context"
	"fmt"
	"time"
)

// Registry is where images come from, and how it is reached. Its password is not in it, so that it gets nowhere by
// accident: see RegistryLogin.
type Registry struct {
	ID          string
	Name        string
	Host        string // as in names of images, lower case: docker.io, ghcr.io, 10.0.0.7:5000
	Preset      string // the form that it was filled in with; it changes nothing
	Username    string // empty: it is asked without credentials
	PasswordSet bool
	PlainHTTP   bool   // it may be spoken to without TLS
	CA          string // PEM of the authorities that it is trusted by, beside those of the system
	LastTest    RegistryTest
	Allowance   Allowance // as the last test found it
	Hook        Hook
	CreatedAt   time.Time
	UpdatedAt   time.Time
	Revision    int64
}

// RegistryTest is what somebody saw who tried a registry.
type RegistryTest struct {
	At           time.Time     `json:"at,omitzero"` // zero: it was never tried
	By           string        `json:"by,omitempty"`
	Class        string        `json:"class,omitempty"` // of the error; empty: it went well
	Detail       string        `json:"detail,omitempty"`
	Remedy       string        `json:"remedy,omitempty"`
	Took         time.Duration `json:"took,omitempty"`
	Repository   string        `json:"repository,omitempty"`   // whose tags were asked for
	Tags         int           `json:"tags,omitempty"`         // of Repository
	Repositories int           `json:"repositories,omitempty"` // -1: it does not show them
	More         bool          `json:"more,omitempty"`         // than were counted
}

// Allowance is what a registry says that it may still be asked.
type Allowance struct {
	Limit     int           `json:"limit,omitempty"` // requests in a window; 0: it has told no limit
	Remaining int           `json:"remaining,omitempty"`
	Window    time.Duration `json:"window,omitempty"`
	Source    string        `json:"source,omitempty"`  // whom it counts: an address or an account
	RetryAt   time.Time     `json:"retry_at,omitzero"` // it wants to be left alone until then
	SeenAt    time.Time     `json:"seen_at,omitzero"`  // when it said so; zero: it has said nothing
}

const (
	registryFields  = `id, name, host, preset, username, plain_http, ca, last_test, allowance, created_at, updated_at, revision`
	registryColumns = registryFields + `, hook_made_at, hook_heard_at`
)

func scanRegistry(r row) (g Registry, err error) {
	err = r.Scan(&g.ID, &g.Name, &g.Host, &g.Preset, &g.Username, truth{&g.PlainHTTP}, &g.CA, fromJSON{&g.LastTest}, fromJSON{&g.Allowance},
		at{&g.CreatedAt}, at{&g.UpdatedAt}, &g.Revision, at{&g.Hook.MadeAt}, at{&g.Hook.HeardAt}, truth{&g.PasswordSet})
	return g, err
}

const selectRegistry = `SELECT ` + registryColumns + `, CASE WHEN password IS NULL THEN 0 ELSE 1 END FROM registries`

// Registry returns one registry.
func (q queries) Registry(ctx context.Context, id string) (Registry, error) {
	return one(ctx, q, "read registry "+id, scanRegistry, selectRegistry+` WHERE id = $1`, id)
}

// RegistryByName returns one registry.
func (q queries) RegistryByName(ctx context.Context, name string) (Registry, error) {
	return one(ctx, q, "read registry "+name, scanRegistry, selectRegistry+` WHERE name = $1`, clean(name))
}

// RegistryByHost returns the registry at a host, as names of images write it.
func (q queries) RegistryByHost(ctx context.Context, host string) (Registry, error) {
	return one(ctx, q, "read the registry at "+host, scanRegistry, selectRegistry+` WHERE host = $1`, clean(host))
}

// Registries returns all registries, by name.
func (q queries) Registries(ctx context.Context) ([]Registry, error) {
	return list(ctx, q, "list the registries", scanRegistry, selectRegistry+` ORDER BY name`)
}

// RegistryLogin returns the registry at a host together with its password, opened; empty when it has none. It is one
// read: a password never goes to the host that its registry had before.
func (q queries) RegistryLogin(ctx context.Context, host string) (Registry, string, error) {
	type login struct {
		Registry
		sealed []byte
	}
	found, err := one(ctx, q, "read the login of the registry at "+host, func(r row) (l login, err error) {
		l.Registry, err = scanRegistry(with{r, &l.sealed})
		return l, err
	}, `SELECT `+registryColumns+`, CASE WHEN password IS NULL THEN 0 ELSE 1 END, password FROM registries WHERE host = $1`, clean(host))
	if err != nil || found.sealed == nil {
		return found.Registry, "", err
	}
	plain, err := q.seal.open(found.sealed, place("registries", found.ID, "password"))
	if err != nil {
		return Registry{}, "", fmt.Errorf("open the password of registry %s: %w", found.Name, err)
	}
	return found.Registry, string(plain), nil
}

// with is a row with a column more than its scan function knows of.
type with struct {
	row
	last any
}

// Scan reads the known columns and the last one.
func (w with) Scan(dest ...any) error { return w.row.Scan(append(dest, w.last)...) }

// InsertRegistry adds a registry; ErrConflict when its name or its host is taken.
func (tx *Tx) InsertRegistry(ctx context.Context, g Registry, password string) error {
	if err := ValidName(g.Name); err != nil {
		return err
	}
	stamp := now()
	_, err := tx.exec(ctx, "add registry "+g.Name,
		`INSERT INTO registries (`+registryFields+`, password) VALUES ($1, $2, $3, $4, $5, $6, $7, '', '', $8, $9, $10, $11)`,
		g.ID, g.Name, clean(g.Host), clean(g.Preset), clean(g.Username), bit(g.PlainHTTP), clean(g.CA),
		orNow(g.CreatedAt, stamp), stamp, g.Revision, tx.sealPassword(g.ID, password))
	return err
}

// sealPassword is how a password is kept; an empty one is none.
func (q queries) sealPassword(id, password string) any {
	if password == "" {
		return nil
	}
	return q.seal.close([]byte(password), place("registries", id, "password"))
}

// UpdateRegistry writes a registry if its revision is still the one given; the revision rises by one. A password of nil
// leaves the one it has, an empty one takes it away. What a test found is forgotten when it is reached in another way.
func (tx *Tx) UpdateRegistry(ctx context.Context, g Registry, password *string) error {
	if err := ValidName(g.Name); err != nil {
		return err
	}
	former, err := tx.Registry(ctx, g.ID)
	if err != nil {
		return err
	}
	what := "update registry " + g.Name
	n, err := tx.exec(ctx, what,
		`UPDATE registries SET name = $1, host = $2, preset = $3, username = $4, plain_http = $5, ca = $6, updated_at = $7, revision = revision + 1
		WHERE id = $8 AND revision = $9`,
		g.Name, clean(g.Host), clean(g.Preset), clean(g.Username), bit(g.PlainHTTP), clean(g.CA), now(), g.ID, g.Revision)
	if err != nil {
		return err
	}
	if n == 0 {
		return fmt.Errorf("%s: changed meanwhile: %w", what, ErrConflict)
	}
	if password != nil {
		if _, err := tx.exec(ctx, what, `UPDATE registries SET password = $1 WHERE id = $2`, tx.sealPassword(g.ID, *password), g.ID); err != nil {
			return err
		}
	}
	if password == nil && former.reached() == g.reached() {
		return nil
	}
	_, err = tx.exec(ctx, what, `UPDATE registries SET last_test = '', allowance = '' WHERE id = $1`, g.ID)
	return err
}

// reached is all of a registry, but its password, that says how it is reached.
func (g Registry) reached() Registry {
	return Registry{Host: g.Host, Username: g.Username, PlainHTTP: g.PlainHTTP, CA: g.CA}
}

// SetRegistryTested notes what a test found. No revision moves by it: it says nothing of how the registry is reached.
func (tx *Tx) SetRegistryTested(ctx context.Context, id string, test RegistryTest, allowance Allowance) error {
	what := "note the test of registry " + id
	found, err := jsonOf(what, test)
	if err != nil {
		return err
	}
	may, err := jsonOf(what, allowance)
	if err != nil {
		return err
	}
	return tx.execOne(ctx, what, ErrNotFound, `UPDATE registries SET last_test = $1, allowance = $2 WHERE id = $3`, clean(found), clean(may), id)
}

// DeleteRegistry forgets a registry and its credentials.
func (tx *Tx) DeleteRegistry(ctx context.Context, id string) error {
	return tx.execOne(ctx, "forget registry "+id, ErrNotFound, `DELETE FROM registries WHERE id = $1`, id)
}
