package auth_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/tiny-forge/docker-watcher/internal/auth"
	"github.com/tiny-forge/docker-watcher/internal/store"
)

const another = "another very secret one"

// by is anna, at her desk.
func by(u store.User) auth.By {
	return auth.By{Caller: auth.Caller{Actor: "user:" + u.Name, Name: u.Name, Role: u.Role, UserID: u.ID}, Addr: addr}
}

// user makes one with a password.
func (f fixture) user(t *testing.T, name string, role store.Role, maker store.User) store.User {
	t.Helper()
	u, code, err := f.CreateUser(t.Context(), auth.NewUser{Name: name, Role: role, Password: password}, by(maker))
	if err != nil || code != "" {
		t.Fatalf("user %s: code %q, %v", name, code, err)
	}
	return u
}

func TestInvitation(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		f := newFixture(t)
		anna := f.setUp(t)
		bert, code, err := f.CreateUser(t.Context(), auth.NewUser{Name: " Bert ", Role: store.RoleOperator}, by(anna))
		if err != nil || bert.Name != "bert" || len(code) < 30 {
			t.Fatalf("user %+v, code %q, %v", bert, code, err)
		}
		if kept, err := f.db.User(t.Context(), bert.ID); err != nil || kept.PasswordHash != "" || strings.Contains(kept.LinkHash, code) {
			t.Errorf("kept %+v, %v", kept, err)
		}
		for _, guess := range []string{"", password} {
			if _, _, err := f.Login(t.Context(), "bert", guess, "", addr); !errors.Is(err, auth.ErrDenied) {
				t.Errorf("bert came in by %q before he had a password: %v", guess, err)
			}
		}
		for wrong, want := range map[string]error{"": auth.ErrDenied, "x": auth.ErrDenied, bert.LinkHash: auth.ErrDenied} {
			if _, err := f.SpendLink(t.Context(), wrong, password, addr); !errors.Is(err, want) {
				t.Errorf("link %q: %v", wrong, err)
			}
		}
		if _, err := f.SpendLink(t.Context(), code, "short", addr); !errors.Is(err, auth.ErrWeak) {
			t.Errorf("a weak password: %v", err)
		}
		time.Sleep(time.Minute)
		if u, err := f.SpendLink(t.Context(), code, password, addr); err != nil || u.Name != "bert" {
			t.Fatalf("%+v, %v", u, err)
		}
		if _, err := f.SpendLink(t.Context(), code, another, addr); !errors.Is(err, auth.ErrDenied) {
			t.Errorf("the link worked twice: %v", err)
		}
		if _, _, err := f.Login(t.Context(), "bert", password, "", addr); err != nil {
			t.Errorf("bert cannot come in: %v", err)
		}

		// A new link leaves the password until it is used, replaces the one before, and has an end.
		_, first, err := f.GiveLink(t.Context(), bert.ID, by(anna))
		if err != nil {
			t.Fatal(err)
		}
		_, second, err := f.GiveLink(t.Context(), bert.ID, by(anna))
		if err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Minute)
		if _, err := f.SpendLink(t.Context(), first, another, addr); !errors.Is(err, auth.ErrDenied) {
			t.Errorf("the former link: %v", err)
		}
		if _, _, err := f.Login(t.Context(), "bert", password, "", addr); err != nil {
			t.Errorf("a link that nobody used took the password away: %v", err)
		}
		time.Sleep(72 * time.Hour)
		if _, err := f.SpendLink(t.Context(), second, another, addr); !errors.Is(err, auth.ErrExpired) {
			t.Errorf("after 72 hours: %v", err)
		}
	})
}

func TestCreateUserRefuses(t *testing.T) {
	f := newFixture(t)
	anna := f.setUp(t)
	for _, tt := range []struct {
		what string
		n    auth.NewUser
		want error
	}{
		{"a name that is taken", auth.NewUser{Name: "ANNA", Role: store.RoleViewer}, store.ErrConflict},
		{"no name", auth.NewUser{Role: store.RoleViewer}, auth.ErrInvalid},
		{"a weak password", auth.NewUser{Name: "bert", Role: store.RoleViewer, Password: "short"}, auth.ErrWeak},
		{"an unknown role", auth.NewUser{Name: "bert", Role: "root"}, store.FieldError{Field: "role", Reason: "must be none, viewer, operator or admin"}},
		{"an admin of one project", auth.NewUser{Name: "bert", Grants: map[string]store.Role{"p": store.RoleAdmin}}, store.FieldError{Field: "grants", Reason: "the role in a project is viewer or operator"}},
		{"a project that does not exist", auth.NewUser{Name: "bert", Grants: map[string]store.Role{"p": store.RoleViewer}}, store.ErrConflict},
	} {
		if _, code, err := f.CreateUser(t.Context(), tt.n, by(anna)); !errors.Is(err, tt.want) || code != "" {
			t.Errorf("%s: code %q, %v", tt.what, code, err)
		}
	}
	if n, err := f.db.UserCount(t.Context()); n != 1 || err != nil {
		t.Errorf("%d users, %v", n, err)
	}
}

func TestTheLastAdminStays(t *testing.T) {
	f := newFixture(t)
	anna := f.setUp(t)
	f.user(t, "bert", store.RoleOperator, anna)
	// An admin who has not used their link yet, and one who is disabled, can let nobody in.
	if _, _, err := f.CreateUser(t.Context(), auth.NewUser{Name: "carla", Role: store.RoleAdmin}, by(anna)); err != nil {
		t.Fatal(err)
	}
	dora := f.user(t, "dora", store.RoleAdmin, anna)
	if _, err := f.Disable(t.Context(), dora.ID, by(anna)); err != nil {
		t.Fatal(err)
	}
	viewer := store.RoleViewer
	for what, try := range map[string]func() error{
		"removed":  func() error { return f.DeleteUser(t.Context(), anna.ID, by(anna)) },
		"disabled": func() error { _, err := f.Disable(t.Context(), anna.ID, by(anna)); return err },
		"demoted": func() error {
			_, err := f.ChangePowers(t.Context(), anna.ID, auth.Change{Role: &viewer}, by(anna))
			return err
		},
	} {
		if err := try(); !errors.Is(err, auth.ErrLastAdmin) {
			t.Errorf("the last admin was %s: %v", what, err)
		}
	}
	if u, err := f.db.User(t.Context(), anna.ID); err != nil || u.Role != store.RoleAdmin || !u.DisabledAt.IsZero() {
		t.Errorf("anna is %+v, %v", u, err)
	}
	if _, err := f.Enable(t.Context(), dora.ID, by(anna)); err != nil {
		t.Fatal(err)
	}
	if err := f.DeleteUser(t.Context(), anna.ID, by(dora)); err != nil {
		t.Errorf("another admin is there, and still: %v", err)
	}
}

// TestAnAdminOfAProviderCountsWhileItIsInForce: one who cannot come in now can let nobody in.
func TestAnAdminOfAProviderCountsWhileItIsInForce(t *testing.T) {
	f := newFixture(t)
	issuer := ""
	f.VouchedBy(func(context.Context, *store.Tx) (string, error) { return issuer, nil })
	anna := f.setUp(t)
	jane := store.User{ID: store.NewID(), Name: "jane", Role: store.RoleAdmin, Provider: "https://id", Subject: "42"}
	if err := f.db.Update(t.Context(), func(tx *store.Tx) error { return tx.InsertUser(t.Context(), jane) }); err != nil {
		t.Fatal(err)
	}
	for _, issuer = range []string{"", "https://other"} {
		if _, err := f.Disable(t.Context(), anna.ID, by(jane)); !errors.Is(err, auth.ErrLastAdmin) {
			t.Errorf("anna was disabled while people come in by %q: %v", issuer, err)
		}
	}
	issuer = "https://id"
	if _, err := f.Disable(t.Context(), anna.ID, by(jane)); err != nil {
		t.Errorf("anna, while jane can come in: %v", err)
	}
	if _, err := f.Disable(t.Context(), jane.ID, by(jane)); !errors.Is(err, auth.ErrLastAdmin) {
		t.Errorf("jane, the last one: %v", err)
	}
	issuer = ""
	if _, err := f.Disable(t.Context(), jane.ID, by(jane)); err != nil {
		t.Errorf("jane, who cannot come in: %v", err)
	}
}

// TestTwoAdminsCannotRemoveEachOther has two admins end each other at the same moment, in each way.
func TestTwoAdminsCannotRemoveEachOther(t *testing.T) {
	f := newFixture(t)
	viewer := store.RoleViewer
	ends := []func(victim, maker store.User) error{
		func(v, m store.User) error { return f.DeleteUser(t.Context(), v.ID, by(m)) },
		func(v, m store.User) error { _, err := f.Disable(t.Context(), v.ID, by(m)); return err },
		func(v, m store.User) error {
			_, err := f.ChangePowers(t.Context(), v.ID, auth.Change{Role: &viewer}, by(m))
			return err
		},
	}
	left := f.setUp(t)
	for i, one := range ends {
		for j, two := range ends {
			other := f.user(t, fmt.Sprintf("admin-%d-%d", i, j), store.RoleAdmin, left)
			results := make(chan error, 2)
			go func() { results <- one(left, other) }()
			go func() { results <- two(other, left) }()
			first, second := <-results, <-results
			if (first == nil) == (second == nil) || !errors.Is(errors.Join(first, second), auth.ErrLastAdmin) {
				t.Fatalf("%d and %d at once: %v, %v", i, j, first, second)
			}
			users, err := f.db.Users(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			admins := slices.DeleteFunc(users, func(u store.User) bool { return u.Role != store.RoleAdmin || !u.DisabledAt.IsZero() })
			if len(admins) != 1 {
				t.Fatalf("%d and %d at once left the admins %+v", i, j, admins)
			}
			left = admins[0]
		}
	}
}

func TestPasswordChange(t *testing.T) {
	inBubble(t, func(t *testing.T) { // where no guess comes back meanwhile
		f := newFixture(t)
		anna := f.setUp(t)
		mine, sess, err := f.Login(t.Context(), "anna", password, "", addr)
		if err != nil {
			t.Fatal(err)
		}
		other, _, err := f.Login(t.Context(), "anna", password, "", addr)
		if err != nil {
			t.Fatal(err)
		}
		me := by(anna)
		me.SessionID = sess.ID
		for _, tt := range []struct {
			old, fresh string
			want       error
		}{{"not the password", another, auth.ErrWrongPassword}, {"", another, auth.ErrWrongPassword}, {password, "short", auth.ErrWeak}} {
			if err := f.ChangePassword(t.Context(), me, tt.old, tt.fresh); !errors.Is(err, tt.want) {
				t.Errorf("%+v: %v", tt, err)
			}
		}
		if _, err := f.BySession(t.Context(), other); err != nil {
			t.Errorf("a refused change ended a session: %v", err)
		}
		if err := f.ChangePassword(t.Context(), me, password, another); err != nil {
			t.Fatal(err)
		}
		if _, err := f.BySession(t.Context(), mine); err != nil {
			t.Errorf("the session that changed it ended: %v", err)
		}
		if _, err := f.BySession(t.Context(), other); !errors.Is(err, auth.ErrDenied) {
			t.Errorf("another session lives on: %v", err)
		}
		if _, _, err := f.Login(t.Context(), "anna", password, "", addr); !errors.Is(err, auth.ErrDenied) {
			t.Errorf("the former password: %v", err)
		}
		if _, _, err := f.Login(t.Context(), "anna", another, "", addr); err != nil {
			t.Errorf("the new password: %v", err)
		}
		// Guessing the old one is slowed down like a sign-in.
		var last error
		for range 10 {
			last = f.ChangePassword(t.Context(), me, "guess", another)
		}
		if !errors.Is(last, auth.ErrThrottled) {
			t.Errorf("the tenth guess: %v", last)
		}
	})
}

func TestADisabledUserIsOutAtOnce(t *testing.T) {
	f := newFixture(t)
	anna := f.setUp(t)
	bert := f.user(t, "bert", store.RoleOperator, anna)
	session, _, err := f.Login(t.Context(), "bert", password, "", addr)
	if err != nil {
		t.Fatal(err)
	}
	token, _, err := f.IssueToken(t.Context(), auth.NewToken{Name: "ci", Role: store.RoleViewer}, by(bert))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.Disable(t.Context(), bert.ID, by(anna)); err != nil {
		t.Fatal(err)
	}
	if _, err := f.BySession(t.Context(), session); !errors.Is(err, auth.ErrDenied) {
		t.Errorf("session: %v", err)
	}
	if _, err := f.ByToken(t.Context(), token); !errors.Is(err, auth.ErrDenied) {
		t.Errorf("token: %v", err)
	}
	_, _, disabled := f.Login(t.Context(), "bert", password, "", addr)
	_, _, unknown := f.Login(t.Context(), "nobody", password, "", addr)
	if !errors.Is(disabled, auth.ErrDenied) || disabled.Error() != unknown.Error() {
		t.Errorf("a disabled user hears %v, an unknown one %v", disabled, unknown)
	}
	if _, err := f.Enable(t.Context(), bert.ID, by(anna)); err != nil {
		t.Fatal(err)
	}
	if _, err := f.BySession(t.Context(), session); !errors.Is(err, auth.ErrDenied) {
		t.Errorf("a session came back to life: %v", err)
	}
	if c, err := f.ByToken(t.Context(), token); err != nil || c.Role != store.RoleViewer {
		t.Errorf("the token of an enabled user: %+v, %v", c, err)
	}
	if err := f.DeleteUser(t.Context(), bert.ID, by(anna)); err != nil {
		t.Fatal(err)
	}
	if _, err := f.ByToken(t.Context(), token); !errors.Is(err, auth.ErrDenied) {
		t.Errorf("the token of a user who is gone: %v", err)
	}
}

func TestATokenIsNeverAboveItsMaker(t *testing.T) {
	f := newFixture(t)
	anna := f.setUp(t)
	bert := f.user(t, "bert", store.RoleOperator, anna)
	if _, _, err := f.IssueToken(t.Context(), auth.NewToken{Name: "up", Role: store.RoleAdmin}, by(bert)); err == nil || !strings.Contains(err.Error(), "above your own") {
		t.Errorf("an operator made an admin's token: %v", err)
	}
	secret, token, err := f.IssueToken(t.Context(), auth.NewToken{Name: "ci", Role: store.RoleOperator}, by(bert))
	if err != nil || token.UserID != bert.ID {
		t.Fatalf("%+v, %v", token, err)
	}
	viewer := store.RoleViewer
	if _, err := f.ChangePowers(t.Context(), bert.ID, auth.Change{Role: &viewer}, by(anna)); err != nil {
		t.Fatal(err)
	}
	if c, err := f.ByToken(t.Context(), secret); err != nil || c.Role != store.RoleViewer {
		t.Errorf("after bert became a viewer his token is %+v, %v", c, err)
	}
	admin := store.RoleAdmin
	if _, err := f.ChangePowers(t.Context(), bert.ID, auth.Change{Role: &admin}, by(anna)); err != nil {
		t.Fatal(err)
	}
	if c, err := f.ByToken(t.Context(), secret); err != nil || c.Role != store.RoleOperator {
		t.Errorf("after bert became an admin his token is %+v, %v", c, err)
	}
	for owner, want := range map[string]error{anna.ID: store.ErrNotFound, bert.ID: nil} {
		if err := f.RevokeToken(t.Context(), token.ID, owner, "user"); !errors.Is(err, want) {
			t.Errorf("revoked as %s's: %v", owner, err)
		}
	}
}

func TestSessionsAreListedAndEnded(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		f := newFixture(t)
		anna := f.setUp(t)
		bert := f.user(t, "bert", store.RoleViewer, anna)
		tokens := map[string]string{}
		for _, device := range []string{"phone", "laptop", "kiosk"} {
			token, _, err := f.Login(t.Context(), "anna", password, device, addr)
			if err != nil {
				t.Fatal(err)
			}
			tokens[device] = token
			time.Sleep(time.Hour)
		}
		if _, err := f.BySession(t.Context(), tokens["phone"]); err != nil { // seen last now
			t.Fatal(err)
		}
		list, err := f.Sessions(t.Context(), anna.ID)
		if err != nil || len(list) != 3 || list[0].UserAgent != "phone" || list[0].SeenAt.Sub(list[0].CreatedAt) != 3*time.Hour || list[1].UserAgent != "kiosk" {
			t.Fatalf("sessions %+v, %v", list, err)
		}
		if err := f.EndSession(t.Context(), bert.ID, list[1].ID, by(bert)); !errors.Is(err, store.ErrNotFound) {
			t.Errorf("bert ended a session of anna: %v", err)
		}
		if err := f.EndSession(t.Context(), anna.ID, list[1].ID, by(anna)); err != nil {
			t.Fatal(err)
		}
		if _, err := f.BySession(t.Context(), tokens["kiosk"]); !errors.Is(err, auth.ErrDenied) {
			t.Errorf("the kiosk: %v", err)
		}
		me := by(anna)
		me.SessionID = list[0].ID
		if n, err := f.EndSessions(t.Context(), anna.ID, me); n != 1 || err != nil {
			t.Errorf("%d ended, %v", n, err)
		}
		if _, err := f.BySession(t.Context(), tokens["phone"]); err != nil {
			t.Errorf("the session that asked: %v", err)
		}
		time.Sleep(30 * 24 * time.Hour)
		if list, err := f.Sessions(t.Context(), anna.ID); len(list) != 0 || err != nil {
			t.Errorf("expired ones are listed: %+v, %v", list, err)
		}
	})
}

func TestResetByHost(t *testing.T) {
	f := newFixture(t)
	anna := f.setUp(t)
	f.user(t, "bert", store.RoleAdmin, anna)
	session, _, err := f.Login(t.Context(), "anna", password, "", addr)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.Disable(t.Context(), anna.ID, by(anna)); err != nil {
		t.Fatal(err)
	}
	if _, _, err := f.ResetByHost(t.Context(), "nobody", auth.Reset{}); !errors.Is(err, store.ErrNotFound) {
		t.Errorf("nobody: %v", err)
	}
	if _, _, err := f.ResetByHost(t.Context(), "anna", auth.Reset{Password: "short"}); !errors.Is(err, auth.ErrWeak) {
		t.Errorf("a weak password: %v", err)
	}
	u, code, err := f.ResetByHost(t.Context(), "Anna", auth.Reset{Account: "root"})
	if err != nil || code == "" || !u.DisabledAt.IsZero() {
		t.Fatalf("%+v, %q, %v", u, code, err)
	}
	if _, err := f.BySession(t.Context(), session); !errors.Is(err, auth.ErrDenied) {
		t.Errorf("a session outlived the reset: %v", err)
	}
	if _, _, err := f.Login(t.Context(), "anna", password, "", addr); !errors.Is(err, auth.ErrDenied) {
		t.Errorf("the former password: %v", err)
	}
	if _, err := f.SpendLink(t.Context(), code, another, addr); err != nil {
		t.Fatal(err)
	}
	if _, code, err = f.ResetByHost(t.Context(), "anna", auth.Reset{Password: password, DropFactor: true, Account: "root"}); err != nil || code != "" {
		t.Fatalf("%q, %v", code, err)
	}
	if _, _, err := f.Login(t.Context(), "anna", password, "", addr); err != nil {
		t.Errorf("the password of the host: %v", err)
	}
	if kinds := f.kinds(t); !slices.Contains(kinds, "user.reset") {
		t.Errorf("events %v", kinds)
	}
}

func TestAdminPasswordOfAFile(t *testing.T) {
	f := newFixture(t)
	give := func(text string, err error) func() (string, error) {
		return func() (string, error) { return text, err }
	}
	broken := errors.New("no such file")
	if err := f.EnsureAdmin(t.Context(), give("", broken)); !errors.Is(err, broken) {
		t.Errorf("a file that is not there: %v", err)
	}
	if err := f.EnsureAdmin(t.Context(), give("short\n", nil)); !errors.Is(err, auth.ErrWeak) {
		t.Errorf("a weak one: %v", err)
	}
	if err := f.EnsureAdmin(t.Context(), give(password+"\n", nil)); err != nil {
		t.Fatal(err)
	}
	// Never again: not with another password, and the file need not be there any more.
	for _, read := range []func() (string, error){give(another, nil), give("", broken)} {
		if err := f.EnsureAdmin(t.Context(), read); err != nil {
			t.Error(err)
		}
	}
	if _, _, err := f.Login(t.Context(), "admin", another, "", addr); !errors.Is(err, auth.ErrDenied) {
		t.Errorf("a later content was taken: %v", err)
	}
	if _, _, err := f.Login(t.Context(), "admin", password, "", addr); err != nil {
		t.Error(err)
	}
	if code, err := f.SetupCode(t.Context()); code != "" || err != nil {
		t.Errorf("a setup link beside it: %q, %v", code, err)
	}
}
