package store_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/tiny-forge/docker-watcher/internal/store"
	"github.com/tiny-forge/docker-watcher/internal/store/storetest"
)

func TestUsersAndSessions(t *testing.T) {
	storetest.Both(t, func(t *testing.T, db *store.DB) {
		ctx := t.Context()
		if n, err := db.UserCount(ctx); err != nil || n != 0 {
			t.Errorf("%d users, %v", n, err)
		}
		u := store.User{ID: store.NewID(), Name: "anna", PasswordHash: "argon", Role: store.RoleViewer}
		s := store.Session{ID: store.NewID(), UserID: u.ID, TokenHash: "h1", UserAgent: strings.Repeat("é", 1000), Addr: "::1", CreatedAt: noon, ExpiresAt: noon.Add(time.Hour)}
		later := store.Session{ID: store.NewID(), UserID: u.ID, TokenHash: "h2", CreatedAt: noon, ExpiresAt: noon.Add(2 * time.Hour)}
		storetest.Update(t, db, func(ctx context.Context, tx *store.Tx) error {
			return errors.Join(tx.InsertUser(ctx, u), tx.InsertSession(ctx, s), tx.InsertSession(ctx, later))
		})
		u.Role, u.PasswordHash = store.RoleAdmin, "argon2"
		storetest.Update(t, db, func(ctx context.Context, tx *store.Tx) error { return tx.UpdateUser(ctx, u) })
		got, err := db.User(ctx, u.ID)
		if err != nil {
			t.Fatal(err)
		}
		u.CreatedAt, u.UpdatedAt = got.CreatedAt, got.UpdatedAt
		byName, err := db.UserByName(ctx, "anna")
		if err != nil || cmp.Diff(u, got) != "" || cmp.Diff(u, byName) != "" {
			t.Errorf("user %+v, by name %+v, %v", got, byName, err)
		}
		_, err = db.UserByName(ctx, "Anna")
		wantErr(t, err, store.ErrNotFound)
		wantErr(t, try(t, db, func(ctx context.Context, tx *store.Tx) error {
			return tx.InsertUser(ctx, store.User{ID: store.NewID(), Name: "anna"})
		}), store.ErrConflict)
		wantErr(t, try(t, db, func(ctx context.Context, tx *store.Tx) error { return tx.UpdateUser(ctx, store.User{ID: "nobody"}) }), store.ErrNotFound)

		session, owner, err := db.SessionByHash(ctx, "h1")
		if err != nil || session.ID != s.ID || owner.Role != store.RoleAdmin || len(session.UserAgent) > 512 || !session.ExpiresAt.Equal(s.ExpiresAt) {
			t.Errorf("session %+v of %+v, %v", session, owner, err)
		}
		storetest.Update(t, db, func(ctx context.Context, tx *store.Tx) error {
			return tx.DeleteExpiredSessions(ctx, noon.Add(time.Hour))
		})
		_, _, err = db.SessionByHash(ctx, "h1")
		wantErr(t, err, store.ErrNotFound)
		_, _, err = db.SessionByHash(ctx, "")
		wantErr(t, err, store.ErrNotFound)
		end := func() error {
			return try(t, db, func(ctx context.Context, tx *store.Tx) error { return tx.DeleteSession(ctx, later.ID) })
		}
		if err := end(); err != nil {
			t.Error(err)
		}
		wantErr(t, end(), store.ErrNotFound)
	})
}

func TestTokensAndSecrets(t *testing.T) {
	storetest.Both(t, func(t *testing.T, db *store.DB) {
		ctx := t.Context()
		a := store.Token{ID: store.NewID(), Name: "ci", TokenHash: "h1", Role: store.RoleOperator, CreatedBy: "user:anna", CreatedAt: noon}
		b := store.Token{ID: store.NewID(), Name: "backup", TokenHash: "h2", Role: store.RoleViewer, CreatedAt: noon, ExpiresAt: noon.Add(time.Hour)}
		storetest.Update(t, db, func(ctx context.Context, tx *store.Tx) error {
			return errors.Join(tx.InsertToken(ctx, a), tx.InsertToken(ctx, b), tx.TouchToken(ctx, a.ID, noon.Add(time.Minute)))
		})
		a.LastUsedAt = noon.Add(time.Minute)
		got, err := db.TokenByHash(ctx, "h1")
		if err != nil || cmp.Diff(a, got) != "" {
			t.Errorf("token %+v, %v", got, err)
		}
		all, err := db.Tokens(ctx)
		if err != nil || cmp.Diff([]store.Token{b, a}, all) != "" {
			t.Errorf("tokens %+v, %v", all, err)
		}
		for name, twin := range map[string]store.Token{"name": {ID: store.NewID(), Name: "ci", TokenHash: "h3"}, "hash": {ID: store.NewID(), Name: "x", TokenHash: "h1"}} {
			err := try(t, db, func(ctx context.Context, tx *store.Tx) error { return tx.InsertToken(ctx, twin) })
			if !errors.Is(err, store.ErrConflict) {
				t.Errorf("the same %s: %v", name, err)
			}
		}
		for _, drop := range []struct {
			name string
			by   time.Time
			want bool
		}{{"backup", noon.Add(time.Hour - time.Millisecond), false}, {"ci", noon.AddDate(10, 0, 0), false}, {"backup", noon.Add(time.Hour), true}, {"backup", noon.Add(time.Hour), false}} {
			storetest.Update(t, db, func(ctx context.Context, tx *store.Tx) error {
				dropped, err := tx.DropExpiredToken(ctx, drop.name, drop.by)
				if dropped != drop.want {
					t.Errorf("the token %s is let go of at %s: %v", drop.name, drop.by, dropped)
				}
				return err
			})
		}
		revoke := func() error {
			return try(t, db, func(ctx context.Context, tx *store.Tx) error { return tx.DeleteToken(ctx, a.ID) })
		}
		if err := revoke(); err != nil {
			t.Error(err)
		}
		wantErr(t, revoke(), store.ErrNotFound)
		wantErr(t, try(t, db, func(ctx context.Context, tx *store.Tx) error { return tx.TouchToken(ctx, a.ID, noon) }), store.ErrNotFound)
		_, err = db.TokenByHash(ctx, "h1")
		wantErr(t, err, store.ErrNotFound)

		for _, value := range []string{"first", "second", ""} {
			storetest.Update(t, db, func(ctx context.Context, tx *store.Tx) error { return tx.SetSecret(ctx, "setup", value) })
			if got, err := db.Secret(ctx, "setup"); err != nil || got != value {
				t.Errorf("secret is %q, %v", got, err)
			}
		}
		forget := func() error {
			return try(t, db, func(ctx context.Context, tx *store.Tx) error { return tx.DeleteSecret(ctx, "setup") })
		}
		if err := forget(); err != nil {
			t.Error(err)
		}
		wantErr(t, forget(), store.ErrNotFound)
		_, err = db.Secret(ctx, "setup")
		wantErr(t, err, store.ErrNotFound)
	})
}
