package api

import (
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/oauth2-proxy/mockoidc"

	"github.com/tiny-forge/docker-watcher/client"
	"github.com/tiny-forge/docker-watcher/internal/auth"
	"github.com/tiny-forge/docker-watcher/internal/store"
)

// identityProvider is a real, small one, and the bed knows it.
func (b *bed) identityProvider(change ...func(*client.IdentityProvider)) *mockoidc.MockOIDC {
	b.t.Helper()
	m, err := mockoidc.Run()
	b.must(err)
	b.t.Cleanup(func() { _ = m.Shutdown() }) // some tests have done so
	p := client.IdentityProvider{
		Enabled: true, Label: "Acme", Issuer: m.Issuer(), ClientID: m.ClientID, ClientSecret: m.ClientSecret, ExternalURL: "http://127.0.0.1:8080",
		Scopes: []string{"groups"}, AutoCreate: true,
	}
	for _, c := range change {
		c(&p)
	}
	_, err = b.admin.SetIdentityProvider(b.t.Context(), p)
	b.must(err)
	return m
}

// throughProvider goes the whole way as a browser does, and returns where it ended and the session's credential.
func (b *bed) throughProvider() (where, credential string) {
	b.t.Helper()
	status, h, text := b.raw(b.nobody, get, "/api/oidc/login", "")
	if status != http.StatusSeeOther {
		b.t.Fatalf("%d %s", status, text)
	}
	cookies := (&http.Response{Header: h}).Cookies()
	if len(cookies) == 0 {
		return h.Get("Location"), ""
	}
	if c := cookies[0]; c.Name != "docker_watcher_oidc" || !c.HttpOnly || c.SameSite != http.SameSiteLaxMode {
		b.t.Errorf("cookie %+v", c)
	}
	req, err := http.NewRequestWithContext(b.t.Context(), get, h.Get("Location"), nil)
	b.must(err)
	transport := &http.Transport{DisableKeepAlives: true}
	res, err := transport.RoundTrip(req)
	b.must(err)
	b.must(res.Body.Close())
	back, err := url.Parse(res.Header.Get("Location"))
	b.must(err)
	if back.Path != "/api/oidc/callback" {
		b.t.Fatalf("the provider sends to %s (%s)", back, res.Status)
	}
	_, h, _ = b.raw(b.nobody, get, back.RequestURI(), "", "Cookie", cookies[0].Name+"="+cookies[0].Value)
	for _, c := range (&http.Response{Header: h}).Cookies() {
		if c.Name == cookiePlain {
			credential = c.Value
		}
	}
	return h.Get("Location"), credential
}

func jane() *mockoidc.MockUser {
	return &mockoidc.MockUser{Subject: "42", Email: "jane@example.org", EmailVerified: true, PreferredUsername: "Jane", Groups: []string{"ops"}}
}

func TestSignInByAProvider(t *testing.T) {
	b := newBed(t)
	b.shop("shop", "dev")
	b.person("anna", "admin")
	m := b.identityProvider(func(p *client.IdentityProvider) {
		p.Rules = []client.ProviderRule{{Group: "ops", Role: "viewer"}, {Group: "ops", Role: "operator", ProjectID: "shop"}}
	})
	if s, err := b.nobody.Session(t.Context()); err != nil || s.Provider != "Acme" {
		t.Errorf("%+v, %v", s, err)
	}
	m.QueueUser(jane())
	where, credential := b.throughProvider()
	if where != "/" || credential == "" {
		t.Fatalf("ended at %s", where)
	}
	me, err := b.nobody.As(credential).Me(t.Context())
	if err != nil || me.Name != "jane" || me.Role != "viewer" || len(me.Grants) != 1 || me.Grants[0].Project != "shop" || me.HasPassword || me.Provider != m.Issuer() {
		t.Fatalf("%+v, %v", me, err)
	}
	// She is known by her subject, whatever she is called, and her groups are asked anew.
	again := jane()
	again.PreferredUsername, again.Groups = "anna", nil
	m.QueueUser(again)
	_, credential = b.throughProvider()
	if me, err = b.nobody.As(credential).Me(t.Context()); err != nil || me.Name != "jane" || me.Role != "none" || len(me.Grants) != 0 {
		t.Errorf("%+v, %v", me, err)
	}
	changed := func(want int) {
		t.Helper()
		found := b.kept("user.powers_changed")
		if len(found) != want || slices.ContainsFunc(found, func(e store.Event) bool { return e.Actor != "user:jane" }) {
			t.Errorf("changed by %+v, want %d by jane", found, want)
		}
	}
	changed(2) // when she came first, and now
	nameless := jane()
	nameless.PreferredUsername, nameless.EmailVerified = "", false
	m.QueueUser(nameless)
	if _, credential = b.throughProvider(); credential == "" {
		t.Error("she is not let in without a name")
	}
	changed(3)
	_, err = b.admin.DisableUser(t.Context(), "jane")
	b.must(err)
	m.QueueUser(again)
	if where, credential = b.throughProvider(); credential != "" || where != "/?sign_in=denied" {
		t.Errorf("a disabled user ended at %s", where)
	}
	if e := b.event("auth.login_failed"); e.Data["name"] != "jane" {
		t.Errorf("the name of somebody else is told: %+v", e)
	}
	users, err := b.admin.Users(t.Context())
	if err != nil || len(users) != 2 {
		t.Errorf("%+v, %v", users, err)
	}
	_, _, err = b.nobody.Login(t.Context(), "jane", "")
	wantProblem(t, err, http.StatusUnprocessableEntity, client.CodeInvalid)
	_, _, err = b.nobody.Login(t.Context(), "jane", longPassword)
	wantProblem(t, err, http.StatusUnauthorized, client.CodeUnauthenticated)
}

func TestWhoDoesNotComeInByAProvider(t *testing.T) {
	b := newBed(t)
	b.person("anna", "admin")
	m := b.identityProvider(func(p *client.IdentityProvider) { p.AutoCreate = false; p.AllowedDomains = []string{"example.org"} })
	refused := func(name, why string) {
		t.Helper()
		told := b.kept(kindFailed)
		b.deps.Auth.Settle(t.Context())
		if len(told) == 0 {
			t.Fatalf("%q, %s: there is no event", name, why)
		}
		e := told[len(told)-1]
		if got, _ := e.Data["name"].(string); got != name || e.Data["addr"] != "203.0.113.7" || e.Severity != store.SeverityWarn || !strings.Contains(e.Message, why) {
			t.Errorf("%q, %s: told %+v", name, why, e)
		}
	}
	for what, tt := range map[string]struct {
		change func(*mockoidc.MockUser)
		want   string
		name   string // that is told
		why    string
	}{
		"somebody whom nobody asked for": {func(*mockoidc.MockUser) {}, "not_invited", "jane", "you are no user here yet"},
		"another domain":                 {func(u *mockoidc.MockUser) { u.Email = "jane@example.com" }, "not_allowed", "jane", "no group or domain"},
		"an address that is not hers":    {func(u *mockoidc.MockUser) { u.EmailVerified = false }, "not_allowed", "jane", "no group or domain"},
		"the name of somebody else":      {func(u *mockoidc.MockUser) { u.PreferredUsername = "ANNA" }, "name_taken", "anna", "of your name"},
		"a name that is none":            {func(u *mockoidc.MockUser) { u.PreferredUsername = "Jane Doe" }, "name", "jane doe", "a name is"},
	} {
		u := jane()
		tt.change(u)
		m.QueueUser(u)
		if where, credential := b.throughProvider(); where != "/?sign_in="+tt.want || credential != "" {
			t.Errorf("%s ended at %s", what, where)
		}
		refused(tt.name, tt.why)
	}
	// An admin makes one for the provider; the first of that name is it, and no other.
	made, err := b.admin.CreateUser(t.Context(), client.NewUser{Name: "jane", Role: "operator", Provided: true})
	if err != nil || made.LinkCode != "" || made.Provider != m.Issuer() {
		t.Fatalf("%+v, %v", made, err)
	}
	m.QueueUser(jane())
	_, credential := b.throughProvider()
	if me, err := b.nobody.As(credential).Me(t.Context()); err != nil || me.Role != "operator" {
		t.Errorf("%+v, %v", me, err)
	}
	other := jane()
	other.Subject = "43"
	m.QueueUser(other)
	if where, credential := b.throughProvider(); where != "/?sign_in=name_taken" || credential != "" {
		t.Errorf("another of her name ended at %s", where)
	}
	_, err = b.admin.CreateUser(t.Context(), client.NewUser{Name: "x", Role: "viewer", Provided: true, Password: longPassword})
	wantProblem(t, err, http.StatusUnprocessableEntity, client.CodeInvalid)
	refused("jane", "of your name")
	// Somebody who came back without having gone there.
	const back = "/api/oidc/callback?state=x&code=y"
	if _, h, _ := b.raw(b.nobody, get, back, ""); h.Get("Location") != "/?sign_in=broken" {
		t.Errorf("ended at %s", h.Get("Location"))
	}
	refused("", "not begun in that browser")
	before, said := len(b.kept(kindFailed)), strings.Count(b.logs.String(), "sign-in by the identity provider failed")
	for range 100 {
		b.raw(b.nobody, get, back, "")
	}
	b.deps.Auth.Settle(t.Context())
	if n := len(b.kept(kindFailed)) - before; n > 7 {
		t.Errorf("a hundred of them are %d events", n)
	}
	if n := strings.Count(b.logs.String(), "sign-in by the identity provider failed") - said; n > 6 {
		t.Errorf("a hundred of them are %d lines of the log", n)
	}
}

func TestAProviderThatIsDown(t *testing.T) {
	b := newBed(t)
	anna := b.person("anna", "admin")
	m := b.identityProvider()
	if r, err := b.admin.TestIdentityProvider(t.Context()); err != nil || !r.OK {
		t.Errorf("%+v, %v", r, err)
	}
	b.must(m.Shutdown())
	if r, err := b.admin.TestIdentityProvider(t.Context()); err != nil || r.OK || r.Hint == "" {
		t.Errorf("%+v, %v", r, err)
	}
	if where, _ := b.throughProvider(); where != "/?sign_in=unavailable" {
		t.Errorf("ended at %s", where)
	}
	if e := b.event("auth.login_failed"); !strings.Contains(e.Message, "cannot be asked") || strings.Contains(e.Message, m.Issuer()) {
		t.Errorf("told %+v", e) // only admins may read the issuer
	}
	b.must(anna.Logout(t.Context()))
	b.entered("anna", longPassword) // a password does as before
	b.must(b.admin.DeleteIdentityProvider(t.Context()))
	if where, _ := b.throughProvider(); where != "/?sign_in=off" {
		t.Errorf("ended at %s", where)
	}
	if e := b.event("auth.login_failed"); !strings.Contains(e.Message, "no identity provider is set up") {
		t.Errorf("told %+v", e)
	}
	if s, err := b.nobody.Session(t.Context()); err != nil || s.Provider != "" {
		t.Errorf("%+v, %v", s, err)
	}
}

// TestOneAddressBeginsOnlySoManySignIns: it can neither drive out those of others that are under way, nor fill the log.
func TestOneAddressBeginsOnlySoManySignIns(t *testing.T) {
	b := newBed(t)
	m := b.identityProvider()
	begun, refused, began := 0, 0, time.Now()
	for range 200 {
		status, h, _ := b.raw(b.nobody, get, "/api/oidc/login", "")
		switch where := h.Get("Location"); {
		case status == http.StatusSeeOther && strings.HasPrefix(where, m.Issuer()):
			begun++
		case status == http.StatusSeeOther && where == "/?sign_in=throttled" && h.Get("Set-Cookie") == "":
			refused++
		default:
			t.Fatalf("%d %s", status, where)
		}
	}
	if most := 61 + int(time.Since(began)/(2*time.Second)); begun < 60 || begun > most || refused != 200-begun { // one more in two seconds
		t.Errorf("%d were begun, %d refused", begun, refused)
	}
	if told := b.kept(kindFailed); len(told) != 1 || !strings.Contains(told[0].Message, "too many") {
		t.Errorf("told %+v", told)
	}
	if s := b.logs.String(); strings.Contains(s, "sign-in by the identity provider failed") {
		t.Error("the log of the daemon tells of each")
	}
	b.person("anna", "admin") // a password is not counted with them
}

// TestTheProviderOfTheOnlyAdminsStays: neither it nor the one admin with a password goes while nobody else could come in as one.
func TestTheProviderOfTheOnlyAdminsStays(t *testing.T) {
	b := newBed(t)
	m := b.identityProvider(func(p *client.IdentityProvider) { p.Rules = []client.ProviderRule{{Group: "ops", Role: "admin"}} })
	m.QueueUser(jane())
	if _, credential := b.throughProvider(); credential == "" {
		t.Fatal("jane did not come in")
	}
	p, err := b.admin.IdentityProvider(t.Context())
	b.must(err)
	for what, change := range map[string]func() error{
		"disabled": func() error {
			q := p
			q.Enabled = false
			_, err := b.admin.SetIdentityProvider(t.Context(), q)
			return err
		},
		"another": func() error {
			q := p
			q.Issuer = "https://id.example.org"
			_, err := b.admin.SetIdentityProvider(t.Context(), q)
			return err
		},
		"taken away": func() error { return b.admin.DeleteIdentityProvider(t.Context()) },
	} {
		if prob := problemIn(t, change(), http.StatusConflict, client.CodeLastAdmin); prob.Hint == "" || prob.Detail != auth.ErrLastWayIn.Error() {
			t.Errorf("%s: %+v", what, prob)
		}
	}
	if now, err := b.admin.IdentityProvider(t.Context()); err != nil || now.Revision != p.Revision {
		t.Errorf("it was changed: %+v, %v", now, err)
	}
	b.person("anna", "admin")
	p.Enabled = false
	p, err = b.admin.SetIdentityProvider(t.Context(), p)
	b.must(err)
	_, err = b.admin.DisableUser(t.Context(), "anna")
	wantProblem(t, err, http.StatusConflict, client.CodeLastAdmin)
	p.Enabled = true
	_, err = b.admin.SetIdentityProvider(t.Context(), p)
	b.must(err)
	_, err = b.admin.DisableUser(t.Context(), "anna")
	b.must(err)
}

func TestTheProvidersSecretStays(t *testing.T) {
	b := newBed(t)
	m := b.identityProvider()
	_, _, text := b.raw(b.admin, get, "/api/identity-provider", "")
	if strings.Contains(text, m.ClientSecret) || !strings.Contains(text, `"has_secret":true`) || !strings.Contains(text, "http://127.0.0.1:8080/api/oidc/callback") {
		t.Errorf("told: %s", text)
	}
	p, err := b.admin.IdentityProvider(t.Context())
	b.must(err)
	p.Label = "Other"
	if p, err = b.admin.SetIdentityProvider(t.Context(), p); err != nil || !p.HasSecret {
		t.Errorf("a change of the label lost the secret: %+v, %v", p, err)
	}
	p.Issuer = "https://evil.example"
	if p, err = b.admin.SetIdentityProvider(t.Context(), p); err != nil || p.HasSecret {
		t.Errorf("the secret goes to another issuer: %+v, %v", p, err)
	}
	for field, change := range map[string]func(*client.IdentityProvider){
		"body.issuer":             func(p *client.IdentityProvider) { p.Issuer = "http://evil.example" },
		"body.client_id":          func(p *client.IdentityProvider) { p.ClientID = "" },
		"body.rules[0].role":      func(p *client.IdentityProvider) { p.Rules = []client.ProviderRule{{Group: "x", Role: "root"}} },
		"body.allowed_domains[0]": func(p *client.IdentityProvider) { p.AllowedDomains = []string{"@x"} },
		"body.rules[0].project_id": func(p *client.IdentityProvider) {
			p.Rules = []client.ProviderRule{{Group: "x", Role: "viewer", ProjectID: "nowhere"}}
		},
	} {
		bad := p
		change(&bad)
		_, err := b.admin.SetIdentityProvider(t.Context(), bad)
		if prob := problemIn(t, err, http.StatusUnprocessableEntity, client.CodeInvalid); !slices.ContainsFunc(prob.Errors, func(f client.FieldError) bool { return f.Location == field }) {
			t.Errorf("%s: %+v", field, prob)
		}
	}
	if e := b.event("settings.identity_provider"); strings.Contains(b.logs.String(), m.ClientSecret) || e.Data["client_secret"] != nil {
		t.Errorf("the secret is told: %+v", e)
	}
}

// TestTheOlderWriteOfTheProviderDoesNotWin: neither over a newer one, nor over one that was taken away, nor over one set up by somebody else.
func TestTheOlderWriteOfTheProviderDoesNotWin(t *testing.T) {
	const path = "/api/identity-provider"
	b := newBed(t)
	changed := func(p client.IdentityProvider, label string) client.IdentityProvider { p.Label = label; return p }
	refused := func(what string, status int, text string) {
		t.Helper()
		if status != http.StatusPreconditionFailed || !strings.Contains(text, codeRevision) || !strings.Contains(text, hintChanged) {
			t.Errorf("%s: %d %s", what, status, text)
		}
	}
	body := `{"enabled":true,"issuer":"https://id.example.org","client_id":"dw","external_url":"https://dw.example.org"}`
	if status, _, text := b.raw(b.admin, put, path, body, "If-None-Match", "*"); status != http.StatusOK {
		t.Fatalf("%d %s", status, text)
	}
	status, _, text := b.raw(b.admin, put, path, body, "If-None-Match", "*")
	refused("a second one set up at the same time", status, text)

	seen, err := b.admin.IdentityProvider(t.Context())
	b.must(err)
	newer, err := b.admin.SetIdentityProvider(t.Context(), changed(seen, "Newer"))
	if err != nil || newer.Revision == seen.Revision || seen.Revision == "" {
		t.Fatalf("%+v, %v", newer, err)
	}
	_, err = b.admin.SetIdentityProvider(t.Context(), changed(seen, "Older"))
	wantProblem(t, err, http.StatusPreconditionFailed, client.CodeRevision)
	status, _, text = b.raw(b.admin, remove, path, "", "If-Match", `"`+seen.Revision+`"`)
	refused("a removal of what was seen before", status, text)
	if now, err := b.admin.IdentityProvider(t.Context()); err != nil || now.Label != "Newer" {
		t.Errorf("the older write won: %+v, %v", now, err)
	}
	if _, h, _ := b.raw(b.admin, get, path, ""); h.Get("Etag") != `"`+newer.Revision+`"` {
		t.Errorf("ETag %s of revision %s", h.Get("Etag"), newer.Revision)
	}

	b.must(b.admin.DeleteIdentityProvider(t.Context()))
	_, err = b.admin.SetIdentityProvider(t.Context(), changed(newer, "Back"))
	wantProblem(t, err, http.StatusPreconditionFailed, client.CodeRevision)
	_, err = b.admin.IdentityProvider(t.Context())
	wantProblem(t, err, http.StatusConflict, client.CodeWrongState)

	again := newer
	again.Revision = ""
	_, err = b.admin.SetIdentityProvider(t.Context(), again)
	b.must(err)
	_, err = b.admin.SetIdentityProvider(t.Context(), changed(newer, "Older"))
	wantProblem(t, err, http.StatusPreconditionFailed, client.CodeRevision)
}
