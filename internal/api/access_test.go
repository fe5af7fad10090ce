package api

import (
	"encoding/json"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/tiny-forge/docker-watcher/client"
	"github.com/tiny-forge/docker-watcher/internal/store"
)

func sampleEvent() store.Event {
	return store.Event{
		Time: time.Now(), Severity: store.SeverityWarn, Source: store.SourceScanner, Kind: "instance.stale", Message: "shop is stale",
		ProjectID: "p1", StageID: "s1", InstanceID: "i1", HostID: "h1",
	}
}

// TestRoutesByRole asks each route as each role, with ids that do not exist and bodies
// that are wrong, so that what is let through changes nothing.
func TestRoutesByRole(t *testing.T) {
	b := newBed(t)
	callers := []struct {
		role store.Role
		who  *client.Client
	}{{anyone, b.nobody}, {viewer, b.viewer}, {operator, b.operator}, {admin, b.admin}}
	for _, r := range (&server{}).routes() {
		path := replaceID(r.path, "no-such-id")
		body := ""
		if r.method == post || r.method == put || r.method == patch {
			body = `{"no_such_key":1}`
		}
		for _, c := range callers {
			if r.id == "stream-events" && c.role.Covers(r.need) {
				continue // it is let through and does not end
			}
			status, _, text := b.raw(c.who, r.method, path, body)
			switch {
			case r.need == anyone || c.role.Covers(r.need):
				if status == http.StatusForbidden || status == http.StatusUnauthorized {
					t.Errorf("%s %s as %q: %d, although it needs only %q: %s", r.method, path, c.role, status, r.need, text)
				}
			case c.role == anyone:
				wantRefusal(t, r, c.role, status, text, http.StatusUnauthorized, codeUnauthenticated)
			default:
				wantRefusal(t, r, c.role, status, text, http.StatusForbidden, codeForbidden)
			}
			if status >= 500 && r.path != "/readyz" {
				t.Errorf("%s %s as %q: %d %s", r.method, path, c.role, status, text)
			}
		}
	}
	e := b.event("auth.forbidden")
	if !strings.HasPrefix(e.Actor, "token:") || e.Severity != "warn" || e.Data["need"] == nil || e.Data["addr"] != "203.0.113.7" || e.Data["path"] == nil {
		t.Errorf("the event does not say who, from where and what: %+v", e)
	}
}

func wantRefusal(t *testing.T, r route, role store.Role, status int, text string, wantStatus int, wantCode string) {
	t.Helper()
	var p Problem
	if err := json.Unmarshal([]byte(text), &p); err != nil || status != wantStatus || p.Status != wantStatus || p.Code != wantCode {
		t.Errorf("%s %s as %q: %d %s, want %d %s", r.method, r.path, role, status, text, wantStatus, wantCode)
	}
}

func TestMostOfTheAPIIsNotForStrangers(t *testing.T) {
	var open []string
	for _, r := range (&server{}).routes() {
		if r.need == anyone {
			open = append(open, r.method+" "+r.path)
		}
	}
	slices.Sort(open)
	want := []string{
		"GET /api/oidc/callback", "GET /api/oidc/login", "GET /api/openapi.json", "GET /api/proxy/traefik", "GET /api/session", "GET /healthz", "GET /readyz", "POST /api/hooks/{id}", "POST /api/hooks/{id}/{secret}",
		"POST /api/password-link", "POST /api/session", "POST /api/setup",
	}
	if !slices.Equal(open, want) {
		t.Errorf("open to strangers: %v", open)
	}
}

func TestCredentials(t *testing.T) {
	b := newBed(t)
	if _, err := b.admin.CreateToken(t.Context(), client.NewToken{Name: "gone", Role: "admin", ExpiresAt: time.Now().Add(time.Hour)}); err != nil {
		t.Fatal(err)
	}
	made, err := b.admin.CreateToken(t.Context(), client.NewToken{Name: "ci", Role: "operator"})
	b.must(err)
	if !strings.HasPrefix(made.Secret, tokenPrefix) {
		t.Fatalf("the secret is %q", made.Secret)
	}
	ci := b.nobody.As(made.Secret)
	if s, err := ci.Session(t.Context()); err != nil || s.State != "user" || s.Role != "operator" || s.Actor != "token:ci" {
		t.Fatalf("got %+v, %v", s, err)
	}
	tokens, err := b.admin.Tokens(t.Context())
	b.must(err)
	for _, token := range tokens {
		if token.Secret != "" {
			t.Errorf("the list of tokens tells a secret: %+v", token)
		}
	}
	b.must(b.admin.RevokeToken(t.Context(), made.ID))
	_, err = ci.Projects(t.Context(), client.Page{})
	wantProblem(t, err, http.StatusUnauthorized, client.CodeUnauthenticated)

	_, err = b.nobody.As("dw_wrong").Projects(t.Context(), client.Page{})
	wantProblem(t, err, http.StatusUnauthorized, client.CodeUnauthenticated)
	for _, header := range []string{"Bearer", "Bearer ", "Basic YTpi", "x"} {
		if status, h, _ := b.raw(b.nobody, get, "/api/projects", "", "Authorization", header); status != http.StatusUnauthorized || h.Get("Www-Authenticate") == "" {
			t.Errorf("%q: %d %v", header, status, h)
		}
	}
	_, err = b.admin.CreateToken(t.Context(), client.NewToken{Name: "past", Role: "viewer", ExpiresAt: time.Now().Add(-time.Hour)})
	wantProblem(t, err, http.StatusUnprocessableEntity, client.CodeInvalid)
	_, err = b.admin.CreateToken(t.Context(), client.NewToken{Name: "root", Role: "root"})
	wantProblem(t, err, http.StatusUnprocessableEntity, client.CodeInvalid)
}

// TestAnExpiredTokenIsTold: whoever shows it hears why it is of no use any more, and nothing is done for them.
func TestAnExpiredTokenIsTold(t *testing.T) {
	inBubble(t, func(t *testing.T, b *bed) {
		secret, _, err := b.deps.Auth.CreateToken(t.Context(), "ci", admin, time.Now().Add(time.Minute), "user:anna")
		b.must(err)
		ci := b.nobody.As(secret)
		_, err = ci.Projects(t.Context(), client.Page{})
		b.must(err)
		time.Sleep(time.Minute)
		_, err = ci.CreateProject(t.Context(), client.NewProject{Name: "late", Image: "registry.example/late"})
		if p := problemIn(t, err, http.StatusUnauthorized, client.CodeUnauthenticated); !strings.Contains(p.Detail, "has expired") {
			t.Errorf("said %+v", p)
		}
		_, err = b.admin.Project(t.Context(), "late")
		wantProblem(t, err, http.StatusNotFound, client.CodeNotFound)
		if s, err := ci.Session(t.Context()); err != nil || s.State == "user" {
			t.Errorf("the session is %+v, %v", s, err)
		}
	})
}

func TestSetupAndSession(t *testing.T) {
	b := newBed(t)
	s, err := b.nobody.Session(t.Context())
	if err != nil || s.State != "setup" || s.Version != "1.2.3-test" || s.Banner == "" {
		t.Fatalf("got %+v, %v", s, err)
	}
	code, err := b.deps.Auth.SetupCode(t.Context())
	b.must(err)
	_, _, err = b.nobody.Setup(t.Context(), "wrong-code", "anna", "a long password")
	wantProblem(t, err, http.StatusUnauthorized, client.CodeUnauthenticated)
	_, _, err = b.nobody.Setup(t.Context(), code, "anna", "short")
	wantProblem(t, err, http.StatusUnprocessableEntity, client.CodeInvalid)
	credential, s, err := b.nobody.Setup(t.Context(), code, "anna", "a long password")
	if err != nil || s.Role != "admin" || s.Actor != "user:anna" || credential == "" {
		t.Fatalf("got %+v, %v", s, err)
	}
	_, _, err = b.nobody.Setup(t.Context(), code, "eve", "a long password")
	wantProblem(t, err, http.StatusConflict, client.CodeSetUp)
	if s, err := b.nobody.Session(t.Context()); err != nil || s.State != "anonymous" {
		t.Fatalf("got %+v, %v", s, err)
	}

	anna := b.nobody.As(credential)
	if _, err := anna.Tokens(t.Context()); err != nil {
		t.Fatal(err)
	}
	credential, _, err = b.nobody.Login(t.Context(), "anna", "a long password")
	b.must(err)
	_, _, err = b.nobody.Login(t.Context(), "anna", "another password")
	wantProblem(t, err, http.StatusUnauthorized, client.CodeUnauthenticated)
	again := b.nobody.As(credential)
	b.must(again.Logout(t.Context()))
	_, err = again.Projects(t.Context(), client.Page{})
	wantProblem(t, err, http.StatusUnauthorized, client.CodeUnauthenticated)
	if _, err := anna.Projects(t.Context(), client.Page{}); err != nil {
		t.Errorf("signing out one session ended another: %v", err)
	}
	wantProblem(t, b.admin.Logout(t.Context()), http.StatusConflict, client.CodeWrongState)
}

func TestCookies(t *testing.T) {
	b := newBed(t)
	code, err := b.deps.Auth.SetupCode(t.Context())
	b.must(err)
	_, _, err = b.nobody.Setup(t.Context(), code, "anna", "a long password")
	b.must(err)
	login := `{"name":"anna","password":"a long password"}`

	_, h, _ := b.raw(b.nobody, post, "/api/session", login)
	plain := (&http.Response{Header: h}).Cookies()[0]
	if plain.Name != cookiePlain || plain.Secure || !plain.HttpOnly || plain.SameSite != http.SameSiteLaxMode || plain.Path != "/" {
		t.Errorf("over http: %+v", plain)
	}
	here := b.visitor("127.0.0.1:5000") // what speaks TLS on this machine
	status, h, body := here(post, "/api/session", login, "X-Forwarded-Proto", "https")
	secure := (&http.Response{Header: h}).Cookies()[0]
	if status != http.StatusOK || secure.Name != cookieSecure || !secure.Secure || !secure.HttpOnly || secure.Domain != "" || secure.Path != "/" {
		t.Errorf("over https: %d %+v", status, secure)
	}
	if strings.Contains(body, "not encrypted") {
		t.Error("over https there is nothing to warn of")
	}
	if status, _, _ := b.raw(b.nobody, get, "/api/projects", "", "Cookie", cookiePlain+"="+plain.Value); status != http.StatusOK {
		t.Errorf("the cookie is not accepted: %d", status)
	}
	if status, _, _ := here(get, "/api/projects", "", "Cookie", cookiePlain+"="+plain.Value, "X-Forwarded-Proto", "https"); status != http.StatusUnauthorized {
		t.Errorf("over https the cookie that anyone could set is accepted: %d", status)
	}
	// A session that has ended must not keep its owner from signing in.
	if status, _, text := b.raw(b.nobody, post, "/api/session", login, "Cookie", cookiePlain+"=ended"); status != http.StatusOK {
		t.Errorf("signing in over an ended session: %d %s", status, text)
	}
}

func TestOtherSitesMayNotAct(t *testing.T) {
	b := newBed(t)
	for name, headers := range map[string][]string{
		"fetch of another site": {"Sec-Fetch-Site", "cross-site"},
		"origin":                {"Origin", "https://evil.example"},
	} {
		status, _, text := b.raw(b.admin, post, "/api/containers/stale/cleanup", "", headers...)
		if status != http.StatusForbidden || !strings.Contains(text, codeCrossOrigin) {
			t.Errorf("%s: %d %s", name, status, text)
		}
	}
	if status, _, _ := b.raw(b.viewer, get, "/api/projects", "", "Sec-Fetch-Site", "cross-site"); status != http.StatusOK {
		t.Errorf("reading is no act: %d", status)
	}
}

func TestGuessingIsSlowedDown(t *testing.T) {
	b := newBed(t)
	var p *client.Problem
	for range 50 {
		_, _, err := b.nobody.Login(t.Context(), "anna", "guess")
		if p, _ = client.AsProblem(err); p == nil || p.Status != http.StatusUnauthorized {
			break
		}
	}
	if p == nil || p.Status != http.StatusTooManyRequests || p.Code != client.CodeTooMany {
		t.Fatalf("got %v", p)
	}
}
