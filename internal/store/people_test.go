package store_test

import (
	"bytes"
	"context"
	"errors"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/tiny-forge/docker-watcher/internal/store"
	"github.com/tiny-forge/docker-watcher/internal/store/storetest"
)

func TestPeopleAreKept(t *testing.T) {
	storetest.Both(t, func(t *testing.T, db *store.DB) {
		ctx := t.Context()
		p := store.Project{ID: store.NewID(), Name: "shop", Image: "shop"}
		u := store.User{ID: store.NewID(), Name: "anna", Role: store.RoleAdmin, LinkHash: "link", LinkUntil: noon, Provider: "https://id", Subject: "42"}
		plain := store.User{ID: store.NewID(), Name: "bert"}
		storetest.Update(t, db, func(ctx context.Context, tx *store.Tx) error {
			return errors.Join(tx.InsertProject(ctx, p), tx.InsertUser(ctx, u), tx.InsertUser(ctx, plain), tx.NoteSignIn(ctx, u.ID, noon))
		})
		for what, read := range map[string]func() (store.User, error){
			"link":    func() (store.User, error) { return db.UserByLink(ctx, "link") },
			"subject": func() (store.User, error) { return db.UserBySubject(ctx, "https://id", "42") },
		} {
			if got, err := read(); err != nil || got.ID != u.ID || !got.SignedInAt.Equal(noon) || !got.LinkUntil.Equal(noon) {
				t.Errorf("by %s: %+v, %v", what, got, err)
			}
		}
		// Whoever has no link and no subject is not found by an empty one.
		_, err := db.UserByLink(ctx, "")
		wantErr(t, err, store.ErrNotFound)
		_, err = db.UserBySubject(ctx, "", "")
		wantErr(t, err, store.ErrNotFound)
		wantErr(t, try(t, db, func(ctx context.Context, tx *store.Tx) error {
			return tx.InsertUser(ctx, store.User{ID: store.NewID(), Name: "eve", Provider: "https://id", Subject: "42"})
		}), store.ErrConflict)

		// An admin who is known to a provider can come in while people do by that one.
		for _, tt := range []struct {
			but, issuer string
			want        int
		}{{plain.ID, "https://id", 1}, {plain.ID, "", 0}, {plain.ID, "https://other", 0}, {u.ID, "https://id", 0}} {
			if n, err := db.OtherAdmins(ctx, tt.but, tt.issuer); n != tt.want || err != nil {
				t.Errorf("%d admins but for %s by %q, %v", n, tt.but, tt.issuer, err)
			}
		}

		want := []store.Grant{{UserID: plain.ID, ProjectID: p.ID, Role: store.RoleOperator}}
		storetest.Update(t, db, func(ctx context.Context, tx *store.Tx) error { return tx.SetGrants(ctx, plain.ID, want) })
		for _, who := range []string{plain.ID, ""} {
			if got, err := db.Grants(ctx, who); err != nil || cmp.Diff(want, got) != "" {
				t.Errorf("grants %+v, %v", got, err)
			}
		}
		wantErr(t, try(t, db, func(ctx context.Context, tx *store.Tx) error {
			return tx.SetGrants(ctx, plain.ID, []store.Grant{{ProjectID: "nowhere", Role: store.RoleViewer}})
		}), store.ErrConflict)

		tok := store.Token{ID: store.NewID(), Name: "ci", TokenHash: "h", Role: store.RoleViewer, UserID: plain.ID}
		sess := store.Session{ID: store.NewID(), UserID: plain.ID, TokenHash: "s", CreatedAt: noon, ExpiresAt: noon.Add(time.Hour)}
		storetest.Update(t, db, func(ctx context.Context, tx *store.Tx) error {
			return errors.Join(tx.InsertToken(ctx, tok), tx.InsertSession(ctx, sess), tx.TouchSession(ctx, sess.ID, noon.Add(time.Minute)))
		})
		if list, err := db.Sessions(ctx, plain.ID, noon); err != nil || len(list) != 1 || !list[0].SeenAt.Equal(noon.Add(time.Minute)) {
			t.Errorf("sessions %+v, %v", list, err)
		}
		if got, err := db.Token(ctx, tok.ID); err != nil || got.UserID != plain.ID {
			t.Errorf("token %+v, %v", got, err)
		}
		storetest.Update(t, db, func(ctx context.Context, tx *store.Tx) error { return tx.DeleteUser(ctx, plain.ID) })
		_, err = db.Token(ctx, tok.ID)
		wantErr(t, err, store.ErrNotFound)
		if list, err := db.Grants(ctx, ""); err != nil || len(list) != 0 {
			t.Errorf("grants of nobody: %+v, %v", list, err)
		}
		wantErr(t, try(t, db, func(ctx context.Context, tx *store.Tx) error { return tx.DeleteUser(ctx, plain.ID) }), store.ErrNotFound)
	})
}

func TestSecondFactorIsKept(t *testing.T) {
	storetest.Both(t, func(t *testing.T, db *store.DB) {
		ctx := t.Context()
		u := store.User{ID: store.NewID(), Name: "anna"}
		storetest.Update(t, db, func(ctx context.Context, tx *store.Tx) error { return tx.InsertUser(ctx, u) })
		_, err := db.FactorSecret(ctx, u.ID)
		wantErr(t, err, store.ErrNotFound)
		do := func(fn func(tx *store.Tx) error) error {
			return try(t, db, func(_ context.Context, tx *store.Tx) error { return fn(tx) })
		}
		wantErr(t, do(func(tx *store.Tx) error { return tx.ConfirmFactor(ctx, u.ID, 7, noon) }), store.ErrConflict)
		secret := []byte("12345678901234567890")
		if err := do(func(tx *store.Tx) error { return tx.OfferFactor(ctx, u.ID, secret) }); err != nil {
			t.Fatal(err)
		}
		if got, err := db.FactorSecret(ctx, u.ID); err != nil || !bytes.Equal(got, secret) {
			t.Errorf("%q, %v", got, err)
		}
		if err := do(func(tx *store.Tx) error { return tx.ConfirmFactor(ctx, u.ID, 7, noon) }); err != nil {
			t.Fatal(err)
		}
		wantErr(t, do(func(tx *store.Tx) error { return tx.OfferFactor(ctx, u.ID, secret) }), store.ErrConflict)
		for step, want := range map[int64]error{7: store.ErrConflict, 6: store.ErrConflict} {
			wantErr(t, do(func(tx *store.Tx) error { return tx.SpendFactorStep(ctx, u.ID, step) }), want)
		}
		if err := do(func(tx *store.Tx) error { return tx.SpendFactorStep(ctx, u.ID, 8) }); err != nil {
			t.Error(err)
		}
		wantErr(t, do(func(tx *store.Tx) error { return tx.SpendFactorStep(ctx, u.ID, 8) }), store.ErrConflict)
		if err := do(func(tx *store.Tx) error { return tx.SetRecoveryCodes(ctx, u.ID, []string{"a", "b"}) }); err != nil {
			t.Error(err)
		}
		if err := do(func(tx *store.Tx) error { return tx.SpendRecoveryCode(ctx, u.ID, "a") }); err != nil {
			t.Error(err)
		}
		wantErr(t, do(func(tx *store.Tx) error { return tx.SpendRecoveryCode(ctx, u.ID, "a") }), store.ErrNotFound)
		if n, err := db.RecoveryCodesLeft(ctx, u.ID); n != 1 || err != nil {
			t.Errorf("%d left, %v", n, err)
		}
		if err := do(func(tx *store.Tx) error { return tx.DropFactor(ctx, u.ID) }); err != nil {
			t.Error(err)
		}
		got, err := db.User(ctx, u.ID)
		if n, countErr := db.RecoveryCodesLeft(ctx, u.ID); err != nil || countErr != nil || n != 0 || !got.FactorSince.IsZero() || got.FactorStep != 0 {
			t.Errorf("%+v, %d codes, %v", got, n, errors.Join(err, countErr))
		}
	})
}

func TestOpenBeside(t *testing.T) {
	storetest.BothOptions(t, func(t *testing.T, o store.Options) {
		if _, err := store.OpenBeside(t.Context(), o); !errors.Is(err, store.ErrNeverStarted) {
			t.Fatalf("a store that was never made: %v", err)
		}
		db := storetest.With(t, o)
		if _, err := store.Open(t.Context(), o); !errors.Is(err, store.ErrLocked) {
			t.Fatalf("two daemons: %v", err)
		}
		beside, err := store.OpenBeside(t.Context(), o)
		if err != nil {
			t.Fatal(err)
		}
		// Both write, in turn, and each sees what the other wrote; ids of events rise over both.
		for i, w := range []*store.DB{db, beside, db, beside} {
			storetest.Update(t, w, func(ctx context.Context, tx *store.Tx) error {
				if err := tx.InsertUser(ctx, store.User{ID: store.NewID(), Name: string(rune('a' + i))}); err != nil {
					return err
				}
				return tx.Emit(ctx, store.Event{Time: noon, Severity: store.SeverityInfo, Source: store.SourceAuth, Kind: "user.created", Message: "x"})
			})
		}
		if n, err := db.UserCount(t.Context()); n != 4 || err != nil {
			t.Errorf("%d users, %v", n, err)
		}
		if last, err := db.LastEventID(t.Context()); last != 4 || err != nil {
			t.Errorf("the last event is %d, %v", last, err)
		}
		if err := beside.Close(); err != nil {
			t.Error(err)
		}
		if err := db.Ping(t.Context()); err != nil {
			t.Errorf("the daemon's after it: %v", err)
		}
	})
}

// TestTokensOfBeforeFindTheirMakers opens a database of the version before.
func TestTokensOfBeforeFindTheirMakers(t *testing.T) {
	storetest.BothOptions(t, func(t *testing.T, o store.Options) {
		store.AtVersion(t, o, 9, func(exec func(query string, args ...any)) {
			exec(`INSERT INTO users (id, name, password_hash, role, created_at, updated_at) VALUES ('u', 'anna', 'x', 'operator', 1, 1)`)
			for name, by := range map[string]string{"hers": "user:anna", "gone": "user:bert", "file": "system"} {
				exec(`INSERT INTO tokens (id, name, token_hash, role, created_by, created_at) VALUES ($1, $1, $1, 'admin', $2, 1)`, name, by)
			}
		})
		db := storetest.With(t, o)
		for id, want := range map[string]string{"hers": "u", "gone": "", "file": ""} {
			if got, err := db.Token(t.Context(), id); err != nil || got.UserID != want {
				t.Errorf("%s: %+v, %v", id, got, err)
			}
		}
	})
}
