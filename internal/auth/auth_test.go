package auth_test

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"github.com/tiny-forge/docker-watcher/internal/auth"
	"github.com/tiny-forge/docker-watcher/internal/canarytest"
	"github.com/tiny-forge/docker-watcher/internal/store"
	"github.com/tiny-forge/docker-watcher/internal/store/storetest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const (
	password = "a very secret password"
	addr     = "192.0.2.7:4711"
)

type fixture struct {
	*auth.Service
	db *store.DB
}

func newFixture(t *testing.T) fixture {
	t.Helper()
	db, err := store.Open(t.Context(), store.Options{DataDir: storetest.Dir(t), Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := db.Close(); err != nil {
			t.Error(err)
		}
	})
	db.OnCommit(func([]store.Event) {})
	return fixture{auth.New(db, canarytest.Log(t, db, password)).Cheap(), db}
}

// Login signs in without a second factor.
func (f fixture) Login(ctx context.Context, name, password, userAgent, addr string) (string, store.Session, error) {
	return f.SignIn(ctx, auth.Credentials{Name: name, Password: password}, userAgent, addr)
}

// setUp makes anna the first admin.
func (f fixture) setUp(t *testing.T) store.User {
	t.Helper()
	code, err := f.SetupCode(t.Context())
	if err != nil || code == "" {
		t.Fatalf("setup code %q, %v", code, err)
	}
	user, err := f.CreateFirstAdmin(t.Context(), code, "Anna ", password, addr)
	if err != nil {
		t.Fatal(err)
	}
	return user
}

// kinds of the events kept so far, oldest first.
func (f fixture) kinds(t *testing.T) []string {
	t.Helper()
	evs, err := f.db.EventsAfter(t.Context(), 0, 1000)
	if err != nil {
		t.Fatal(err)
	}
	var kinds []string
	for _, e := range evs {
		kinds = append(kinds, e.Kind)
		if text := e.Message; strings.Contains(text, password) {
			t.Errorf("a password is in an event: %s", text)
		}
	}
	return kinds
}

func inBubble(t *testing.T, test func(t *testing.T)) {
	synctest.Test(t, func(t *testing.T) {
		time.Sleep(time.Until(time.Date(2026, 11, 23, 9, 0, 0, 0, time.UTC)))
		test(t)
	})
}

func TestFirstAdmin(t *testing.T) {
	f := newFixture(t)
	old, err := f.SetupCode(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	code, err := f.SetupCode(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		what, code, name, password string
		want                       error
	}{
		{"no code", "", "anna", password, auth.ErrDenied},
		{"a wrong code", "!" + code[1:], "anna", password, auth.ErrDenied},
		{"the code of a former start", old, "anna", password, auth.ErrDenied},
		{"a short password", code, "anna", "elevenchars", auth.ErrWeak},
	} {
		if _, err := f.CreateFirstAdmin(t.Context(), tt.code, tt.name, tt.password, addr); !errors.Is(err, tt.want) {
			t.Errorf("%s: error = %v, want %v", tt.what, err, tt.want)
		}
	}
	if n, err := f.db.UserCount(t.Context()); n != 0 || err != nil {
		t.Fatalf("%d users, %v", n, err)
	}
	other := newFixture(t)
	user := other.setUp(t)
	if user.Name != "anna" || user.Role != store.RoleAdmin || strings.Contains(user.PasswordHash, password) || !strings.HasPrefix(user.PasswordHash, "$argon2id$") {
		t.Errorf("user = %+v", user)
	}
	if code, err := other.SetupCode(t.Context()); code != "" || err != nil {
		t.Errorf("a code %q is made although there is a user, %v", code, err)
	}
	if got := other.kinds(t); !slices.Equal(got, []string{"auth.setup"}) {
		t.Errorf("events = %v", got)
	}
}

func TestBadNames(t *testing.T) {
	for _, name := range []string{"", " ", "an na", "-anna", "ännchen", "<script>", strings.Repeat("a", 64), "../x"} {
		f := newFixture(t)
		code, err := f.SetupCode(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if _, err := f.CreateFirstAdmin(t.Context(), code, name, password, addr); !errors.Is(err, auth.ErrInvalid) {
			t.Errorf("%q: error = %v", name, err)
		}
	}
}

func TestSetupCodeWorksOnceEvenForTwoAtOnce(t *testing.T) {
	f := newFixture(t)
	code, err := f.SetupCode(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	results := make(chan error, 2)
	for _, name := range []string{"anna", "eve"} {
		go func() {
			_, err := f.CreateFirstAdmin(t.Context(), code, name, password, addr)
			results <- err
		}()
	}
	first, second := <-results, <-results
	if first != nil {
		first, second = second, first
	}
	if first != nil || !errors.Is(second, auth.ErrSetUp) {
		t.Errorf("results: %v, %v", first, second)
	}
	if n, err := f.db.UserCount(t.Context()); n != 1 || err != nil {
		t.Errorf("%d users, %v", n, err)
	}
}

func TestSetupCodeExpires(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		f := newFixture(t)
		code, err := f.SetupCode(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		time.Sleep(24 * time.Hour)
		if _, err := f.CreateFirstAdmin(t.Context(), code, "anna", password, addr); !errors.Is(err, auth.ErrExpired) {
			t.Errorf("error = %v", err)
		}
	})
}

func TestLoginAndSession(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		f := newFixture(t)
		user := f.setUp(t)
		token, sess, err := f.Login(t.Context(), "ANNA", password, strings.Repeat("ü", 300), addr)
		if err != nil {
			t.Fatal(err)
		}
		if sess.TokenHash == token || strings.Contains(sess.TokenHash, token) || len(token) < 40 || len(sess.UserAgent) > 200 {
			t.Errorf("session = %+v", sess)
		}
		caller, err := f.BySession(t.Context(), token)
		if want := (auth.Caller{Actor: "user:anna", Name: "anna", Role: store.RoleAdmin, SessionID: sess.ID, UserID: user.ID}); err != nil || caller != want {
			t.Errorf("caller = %+v, %v", caller, err)
		}
		for _, wrong := range []string{"", "x", token + "x", sess.TokenHash, sess.ID} {
			if _, err := f.BySession(t.Context(), wrong); !errors.Is(err, auth.ErrDenied) {
				t.Errorf("token %q: error = %v", wrong, err)
			}
		}
		if _, err := f.ByToken(t.Context(), token); !errors.Is(err, auth.ErrDenied) {
			t.Errorf("a session passed as an API token: %v", err)
		}
		time.Sleep(30 * 24 * time.Hour)
		if _, err := f.BySession(t.Context(), token); !errors.Is(err, auth.ErrExpired) {
			t.Errorf("after 30 days: %v", err)
		}
		token, sess, err = f.Login(t.Context(), "anna", password, "", addr)
		if err != nil {
			t.Fatal(err)
		}
		for range 2 {
			if err := f.Logout(t.Context(), auth.By{Caller: auth.Caller{Actor: "user:" + sess.UserID, UserID: sess.UserID, SessionID: sess.ID}}); err != nil {
				t.Error(err)
			}
		}
		if _, err := f.BySession(t.Context(), token); !errors.Is(err, auth.ErrDenied) {
			t.Errorf("after the logout: %v", err)
		}
	})
}

func TestLoginDoesNotTellWhichNamesExist(t *testing.T) {
	f := newFixture(t)
	f.setUp(t)
	_, _, known := f.Login(t.Context(), "anna", "not her password", "", addr)
	_, _, unknown := f.Login(t.Context(), "bert", "not her password", "", addr)
	if !errors.Is(known, auth.ErrDenied) || known.Error() != unknown.Error() {
		t.Errorf("answers differ: %v, %v", known, unknown)
	}
	if _, _, err := f.Login(t.Context(), "bert", "", "", addr); !errors.Is(err, auth.ErrDenied) {
		t.Errorf("empty password: %v", err)
	}
	if got, want := f.kinds(t), []string{"auth.setup", "auth.login_failed", "auth.login_failed", "auth.login_failed"}; !slices.Equal(got, want) {
		t.Errorf("events = %v", got)
	}
}

func TestLoginIsThrottled(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		f := newFixture(t)
		f.setUp(t)
		var refused int
		for range 20 {
			if _, _, err := f.Login(t.Context(), "anna", "a wrong password", "", addr); errors.Is(err, auth.ErrThrottled) {
				refused++
			}
		}
		if refused != 15 {
			t.Errorf("%d of 20 guesses were refused", refused)
		}
		if _, _, err := f.Login(t.Context(), "anna", password, "", "192.0.2.7:9999"); !errors.Is(err, auth.ErrThrottled) {
			t.Errorf("another port of the same address: %v", err)
		}
		if _, _, err := f.Login(t.Context(), "anna", password, "", "198.51.100.1:1"); err != nil {
			t.Errorf("anna is locked out from elsewhere: %v", err)
		}
		var failures int
		for _, kind := range f.kinds(t) {
			if kind == "auth.login_failed" {
				failures++
			}
		}
		if failures != 6 {
			t.Errorf("%d events, want one for each guess and one for the flood", failures)
		}
		time.Sleep(time.Minute)
		if _, _, err := f.Login(t.Context(), "anna", password, "", addr); err != nil {
			t.Errorf("a minute later: %v", err)
		}
	})
}

func TestTokens(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		f := newFixture(t)
		secret, token, err := f.CreateToken(t.Context(), "ci", store.RoleOperator, time.Now().Add(time.Hour), "user:anna")
		if err != nil {
			t.Fatal(err)
		}
		if !strings.HasPrefix(secret, "dw_") || len(secret) != 43 || token.TokenHash == secret {
			t.Errorf("secret %q, token %+v", secret, token)
		}
		caller, err := f.ByToken(t.Context(), secret)
		if want := (auth.Caller{Actor: "token:ci", Name: "ci", Role: store.RoleOperator, Until: token.ExpiresAt}); err != nil || caller != want {
			t.Errorf("caller = %+v, %v", caller, err)
		}
		for _, wrong := range []string{"", "dw_", secret[3:], secret + " ", token.TokenHash} {
			if _, err := f.ByToken(t.Context(), wrong); !errors.Is(err, auth.ErrDenied) {
				t.Errorf("token %q: error = %v", wrong, err)
			}
		}
		time.Sleep(time.Hour)
		if _, err := f.ByToken(t.Context(), secret); !errors.Is(err, auth.ErrExpired) {
			t.Errorf("after its end: %v", err)
		}
		forever, token, err := f.CreateToken(t.Context(), "forever", store.RoleViewer, time.Time{}, "user:anna")
		if err != nil {
			t.Fatal(err)
		}
		time.Sleep(10 * 365 * 24 * time.Hour)
		if _, err := f.ByToken(t.Context(), forever); err != nil {
			t.Errorf("a token without an end: %v", err)
		}
		if err := f.RevokeToken(t.Context(), token.ID, "", "user:anna"); err != nil {
			t.Fatal(err)
		}
		if _, err := f.ByToken(t.Context(), forever); !errors.Is(err, auth.ErrDenied) {
			t.Errorf("after it was revoked: %v", err)
		}
		if err := f.RevokeToken(t.Context(), token.ID, "", "user:anna"); !errors.Is(err, store.ErrNotFound) {
			t.Errorf("revoked twice: %v", err)
		}
		if got, want := f.kinds(t), []string{"token.created", "token.created", "token.revoked"}; !slices.Equal(got, want) {
			t.Errorf("events = %v", got)
		}
	})
}

func TestCreateTokenRefuses(t *testing.T) {
	f := newFixture(t)
	for _, tt := range []struct {
		name    string
		role    store.Role
		expires time.Time
	}{
		{"", store.RoleViewer, time.Time{}},
		{"ci", "", time.Time{}},
		{"ci", "root", time.Time{}},
		{"ci", store.RoleAdmin, time.Now().Add(-time.Second)},
		{"admin-token-file", store.RoleViewer, time.Time{}},
	} {
		if secret, _, err := f.CreateToken(t.Context(), tt.name, tt.role, tt.expires, "user:anna"); !errors.Is(err, auth.ErrInvalid) || secret != "" {
			t.Errorf("%+v: %q, %v", tt, secret, err)
		}
	}
	if tokens, err := f.db.Tokens(t.Context()); len(tokens) != 0 || err != nil {
		t.Errorf("kept %v, %v", tokens, err)
	}
}

func TestLastUseIsWrittenAtMostOnceAMinute(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		f := newFixture(t)
		secret, token, err := f.CreateToken(t.Context(), "ci", store.RoleViewer, time.Time{}, "user:anna")
		if err != nil {
			t.Fatal(err)
		}
		lastUsed := func() time.Time {
			tokens, err := f.db.Tokens(t.Context())
			if err != nil || len(tokens) != 1 || tokens[0].ID != token.ID {
				t.Fatalf("tokens = %v, %v", tokens, err)
			}
			return tokens[0].LastUsedAt
		}
		use := func() {
			if _, err := f.ByToken(t.Context(), secret); err != nil {
				t.Fatal(err)
			}
		}
		use()
		first := lastUsed()
		if first.IsZero() {
			t.Fatal("the first use was not written")
		}
		time.Sleep(59 * time.Second)
		use()
		if got := lastUsed(); !got.Equal(first) {
			t.Errorf("written again after 59 s: %s", got)
		}
		time.Sleep(time.Second)
		use()
		if got := lastUsed(); got.Sub(first) != time.Minute {
			t.Errorf("after a minute: %s later", got.Sub(first))
		}
	})
}

func TestAdminTokenOfAFile(t *testing.T) {
	f := newFixture(t)
	first, second := strings.Repeat("a", 40), strings.Repeat("b", 40)
	for range 2 { // each start
		if err := f.EnsureAdminToken(t.Context(), first+"\n"); err != nil {
			t.Fatal(err)
		}
	}
	if c, err := f.ByToken(t.Context(), first); err != nil || c.Role != store.RoleAdmin {
		t.Errorf("caller = %+v, %v", c, err)
	}
	if err := f.EnsureAdminToken(t.Context(), second); err != nil {
		t.Fatal(err)
	}
	if _, err := f.ByToken(t.Context(), first); !errors.Is(err, auth.ErrDenied) {
		t.Errorf("the former content still opens: %v", err)
	}
	for _, bad := range []string{"", "short", strings.Repeat("a", 20) + "\n" + strings.Repeat("b", 20), strings.Repeat("x", 600)} {
		if err := f.EnsureAdminToken(t.Context(), bad); !errors.Is(err, auth.ErrInvalid) {
			t.Errorf("%q: error = %v", bad, err)
		}
	}
	if tokens, err := f.db.Tokens(t.Context()); len(tokens) != 1 || err != nil {
		t.Errorf("kept %v, %v", tokens, err)
	}
}

func TestPasswordCheckObeysItsContext(t *testing.T) {
	f := newFixture(t)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, _, err := f.Login(ctx, "anna", password, "", addr); err == nil || errors.Is(err, auth.ErrDenied) {
		t.Errorf("error = %v", err)
	}
}
