package auth_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/tiny-forge/docker-watcher/internal/auth"
	"github.com/tiny-forge/docker-watcher/internal/store"
)

const year = 365 * 24 * time.Hour

func (f fixture) update(t *testing.T, fn func(ctx context.Context, tx *store.Tx) error) {
	t.Helper()
	if err := f.db.Update(t.Context(), func(tx *store.Tx) error { return fn(t.Context(), tx) }); err != nil {
		t.Fatal(err)
	}
}

// TestWhatWasGivenWhileTheClockRanAhead: neither a session nor a link lasts as much longer.
func TestWhatWasGivenWhileTheClockRanAhead(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		f := newFixture(t)
		anna := f.setUp(t)
		_, code, err := f.CreateUser(t.Context(), auth.NewUser{Name: "bert", Role: store.RoleViewer}, by(anna))
		if err != nil {
			t.Fatal(err)
		}
		token, sess, err := f.Login(t.Context(), "anna", password, "", addr)
		if err != nil {
			t.Fatal(err)
		}
		bert, err := f.db.UserByName(t.Context(), "bert")
		if err != nil {
			t.Fatal(err)
		}
		lasts := sess.ExpiresAt
		given := func(ahead time.Duration) { // by a clock that ran ahead so far
			f.update(t, func(ctx context.Context, tx *store.Tx) error {
				if err := tx.DeleteSession(ctx, sess.ID); err != nil {
					return err
				}
				sess.ExpiresAt, sess.CreatedAt = lasts.Add(ahead), time.Now().Add(ahead)
				if err := tx.InsertSession(ctx, sess); err != nil {
					return err
				}
				u := bert
				u.LinkUntil = bert.LinkUntil.Add(ahead)
				return tx.UpdateUser(ctx, u)
			})
		}
		given(year)
		if _, err := f.BySession(t.Context(), token); !errors.Is(err, auth.ErrExpired) {
			t.Errorf("a session of a year and a month: %v", err)
		}
		if _, err := f.SpendLink(t.Context(), code, another, addr); !errors.Is(err, auth.ErrExpired) {
			t.Errorf("a link of a year: %v", err)
		}
		given(time.Minute)
		if _, err := f.BySession(t.Context(), token); err != nil {
			t.Errorf("a session beside a clock that was set back a little: %v", err)
		}
		if _, err := f.SpendLink(t.Context(), code, another, addr); err != nil {
			t.Errorf("a link beside a clock that was set back a little: %v", err)
		}
	})
}

// TestALastUseThatIsDatedAheadIsWritten: a token that is used says so, also after the clock ran ahead.
func TestALastUseThatIsDatedAheadIsWritten(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		f := newFixture(t)
		secret, token, err := f.CreateToken(t.Context(), "ci", store.RoleViewer, time.Time{}, "user:anna")
		if err != nil {
			t.Fatal(err)
		}
		f.update(t, func(ctx context.Context, tx *store.Tx) error {
			return tx.TouchToken(ctx, token.ID, time.Now().Add(year))
		})
		for range 2 {
			if _, err := f.ByToken(t.Context(), secret); err != nil {
				t.Fatal(err)
			}
		}
		if kept, err := f.db.Token(t.Context(), token.ID); err != nil || !kept.LastUsedAt.Equal(time.Now()) {
			t.Errorf("last used at %s, %v", kept.LastUsedAt, err)
		}
	})
}
