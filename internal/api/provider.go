package api

import (
	"context"
	"errors"
	"net/http"
	"net/url"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humago"

	"github.com/tiny-forge/docker-watcher/internal/auth"
	"github.com/tiny-forge/docker-watcher/internal/sso"
	"github.com/tiny-forge/docker-watcher/internal/store"
)

// providerRoutes are those of the identity provider.
func (s *server) providerRoutes() []route {
	return []route{
		{get, "/api/oidc/login", anyone, "begin-oidc", "Go to the identity provider (a page, not for programs)", redirects(s.beginOIDC)},
		{get, sso.CallbackPath, anyone, "finish-oidc", "Come back from the identity provider (a page, not for programs)", redirects(s.finishOIDC)},
		{get, "/api/identity-provider", admin, "get-identity-provider", "The identity provider, without its secret", to(s.getProvider)},
		{put, "/api/identity-provider", admin, "put-identity-provider", "Set up the identity provider", to(s.putProvider)},
		{remove, "/api/identity-provider", admin, "delete-identity-provider", "Have nobody sign in by an identity provider", to(s.deleteProvider)},
		{post, "/api/identity-provider/test", admin, "test-identity-provider", "Ask the identity provider what it says of itself", to(s.testProvider)},
	}
}

type ruleJSON struct {
	Group     string `json:"group" minLength:"1" maxLength:"500"`
	Role      string `json:"role" enum:"viewer,operator,admin"`
	ProjectID string `json:"project_id,omitempty" maxLength:"100" doc:"in this project only, by id or name; absent: in all"`
}

type providerJSON struct {
	Enabled          bool       `json:"enabled" doc:"people may sign in by it"`
	Label            string     `json:"label,omitempty" maxLength:"60" doc:"what its button says after 'Sign in with'"`
	Issuer           string     `json:"issuer" maxLength:"500" doc:"its address, as its discovery document says it"`
	ClientID         string     `json:"client_id" maxLength:"500"`
	ClientSecret     string     `json:"client_secret,omitempty" maxLength:"500" writeOnly:"true" doc:"absent: as it is"`
	HasSecret        bool       `json:"has_secret,omitempty" readOnly:"true"`
	Revision         string     `json:"revision,omitempty" readOnly:"true"`
	ClientSecretFile string     `json:"client_secret_file,omitempty" maxLength:"500" doc:"a file of the daemon's machine, read at each sign-in, instead"`
	ExternalURL      string     `json:"external_url" maxLength:"500" doc:"where people reach docker-watcher"`
	CallbackURL      string     `json:"callback_url,omitempty" readOnly:"true" doc:"what to register at the provider"`
	Scopes           []string   `json:"scopes,omitempty" maxItems:"20" doc:"beside openid, profile and email"`
	NameClaim        string     `json:"name_claim,omitempty" maxLength:"100" doc:"absent: preferred_username, then email"`
	GroupsClaim      string     `json:"groups_claim,omitempty" maxLength:"100" doc:"absent: groups"`
	AllowedGroups    []string   `json:"allowed_groups,omitempty" maxItems:"200" doc:"whoever is in one of them may come in"`
	AllowedDomains   []string   `json:"allowed_domains,omitempty" maxItems:"200" doc:"or has a verified address there; neither: everybody whom the provider knows"`
	AutoCreate       bool       `json:"auto_create,omitempty" doc:"whoever may come in and is no user is made one"`
	Rules            []ruleJSON `json:"rules,omitempty" maxItems:"200" doc:"what groups may, said anew at each sign-in; none: an admin says it for each user"`
}

func providerOf(p sso.Provider) providerJSON {
	j := providerJSON{
		Enabled: p.Enabled, Label: p.Label, Issuer: p.Issuer, ClientID: p.ClientID, HasSecret: p.ClientSecret != "", Revision: p.Revision, ClientSecretFile: p.ClientSecretFile,
		ExternalURL: p.ExternalURL, CallbackURL: p.CallbackURL(), Scopes: p.Scopes, NameClaim: p.NameClaim, GroupsClaim: p.GroupsClaim,
		AllowedGroups: p.AllowedGroups, AllowedDomains: p.AllowedDomains, AutoCreate: p.AutoCreate,
	}
	for _, r := range p.Rules {
		j.Rules = append(j.Rules, ruleJSON{Group: r.Group, Role: string(r.Role), ProjectID: r.ProjectID})
	}
	return j
}

func (s *server) getProvider(ctx context.Context, _ *none) (*versioned[providerJSON], error) {
	p, err := sso.Load(ctx, s.d.DB)
	if err != nil {
		return nil, err
	}
	return tagged(providerOf(p), p.Revision), nil
}

// ProviderMatch asks for what was seen of the provider: a revision of it, or that there is none.
type ProviderMatch struct {
	Match
	IfNoneMatch string `header:"If-None-Match" enum:"*" doc:"only where none is set up yet, else nothing is done (412)"`
}

// check refuses what would undo the work of somebody else; err is that of reading what there is.
func (m ProviderMatch) check(now sso.Provider, err error) error {
	there := err == nil
	switch {
	case err != nil && !errors.Is(err, sso.ErrOff):
		return err
	case there && m.IfNoneMatch != "":
		return newProblem(http.StatusPreconditionFailed, codeRevision, "an identity provider was set up meanwhile").hint(hintChanged)
	case !there && m.IfMatch != "":
		return newProblem(http.StatusPreconditionFailed, codeRevision, "the identity provider was taken away meanwhile").hint(hintChanged)
	}
	return m.checkText(now.Revision)
}

type putProviderIn struct {
	ProviderMatch
	Body providerJSON
}

func (s *server) putProvider(ctx context.Context, in *putProviderIn) (*versioned[providerJSON], error) {
	p, err := s.readProvider(ctx, in.Body)
	if err != nil {
		return nil, err
	}
	err = s.d.DB.Update(ctx, func(tx *store.Tx) error {
		before, err := sso.Load(ctx, tx)
		if err := in.check(before, err); err != nil {
			return err
		}
		if err := auth.KeepAWayIn(ctx, tx, before.InForce(), p.InForce()); err != nil {
			return err
		}
		// A secret goes to the issuer that it was given for and to nobody else.
		if p.ClientSecret == "" && p.ClientSecretFile == "" && p.Issuer == before.Issuer && p.ClientID == before.ClientID {
			p.ClientSecret = before.ClientSecret
		}
		if p, err = sso.Save(ctx, tx, p); err != nil {
			return wrongFields("body", err)
		}
		e := apiEvent(ctx, "settings.identity_provider", "the identity provider was set up: "+p.Issuer)
		e.Source = store.SourceAuth
		e.Data["issuer"], e.Data["enabled"], e.Data["auto_create"], e.Data["rules"] = p.Issuer, p.Enabled, p.AutoCreate, len(p.Rules)
		d := differenceOf(providerOf(before), providerOf(p))
		delete(d, "has_secret")
		delete(d, "revision")
		d.NoteSecret("client_secret", before.ClientSecret != p.ClientSecret)
		d.Hide() // only admins may read it, and events are for all
		e.Differ(d)
		return tx.Emit(ctx, e)
	})
	if err != nil {
		return nil, err
	}
	return tagged(providerOf(p), p.Revision), nil
}

func (s *server) readProvider(ctx context.Context, j providerJSON) (sso.Provider, error) {
	p := sso.Provider{
		Enabled: j.Enabled, Label: j.Label, Issuer: j.Issuer, ClientID: j.ClientID, ClientSecret: j.ClientSecret, ClientSecretFile: j.ClientSecretFile,
		ExternalURL: j.ExternalURL, Scopes: j.Scopes, NameClaim: j.NameClaim, GroupsClaim: j.GroupsClaim,
		AllowedGroups: j.AllowedGroups, AllowedDomains: j.AllowedDomains, AutoCreate: j.AutoCreate,
	}
	for i, r := range j.Rules {
		id, err := s.projectFilter(ctx, "body.rules["+itoa(i)+"].project_id", r.ProjectID)
		if err != nil {
			return p, err
		}
		p.Rules = append(p.Rules, sso.Rule{Group: r.Group, Role: store.Role(r.Role), ProjectID: id})
	}
	return p, nil
}

func (s *server) deleteProvider(ctx context.Context, in *Match) (*none, error) {
	err := s.d.DB.Update(ctx, func(tx *store.Tx) error {
		if in.IfMatch != "" { // what cannot be read can be taken away all the same
			before, err := sso.Load(ctx, tx)
			if err := (ProviderMatch{Match: *in}).check(before, err); err != nil {
				return err
			}
		}
		issuer, err := sso.InForce(ctx, tx)
		if err != nil {
			return err
		}
		if err := auth.KeepAWayIn(ctx, tx, issuer, ""); err != nil {
			return err
		}
		if err := sso.Forget(ctx, tx); err != nil {
			return err
		}
		e := apiEvent(ctx, "settings.identity_provider", "the identity provider was taken away")
		e.Source, e.Severity = store.SourceAuth, store.SeverityWarn
		return tx.Emit(ctx, e)
	})
	return nil, err
}

type providerTestJSON struct {
	OK    bool   `json:"ok"`
	Error string `json:"error,omitempty" doc:"what is wrong"`
	Hint  string `json:"hint,omitempty" doc:"and what to do about it"`
}

func (s *server) testProvider(ctx context.Context, _ *none) (*out[providerTestJSON], error) {
	p, err := sso.Load(ctx, s.d.DB)
	if err != nil {
		return nil, err
	}
	if err := s.d.SSO.Test(ctx, p); err != nil {
		return answer(providerTestJSON{Error: err.Error(), Hint: "see that the issuer is written as the provider writes it, and can be reached from the daemon's machine"}), nil //nolint:nilerr // what is wrong is the answer
	}
	return answer(providerTestJSON{OK: true}), nil
}

// issuer is that of the provider which a user is to come in by.
func (s *server) issuer(ctx context.Context, password string) (string, error) {
	if password != "" {
		return "", invalid("body.password", "not for a user who comes in by the identity provider")
	}
	p, err := sso.Load(ctx, s.d.DB)
	if errors.Is(err, sso.ErrOff) {
		return "", invalid("body.by_provider", sso.ErrOff.Error())
	}
	return p.Issuer, err
}

// providerButton is what the sign-in page says of the provider; empty where nobody can come in by one.
func (s *server) providerButton(ctx context.Context) (string, error) {
	p, err := sso.Load(ctx, s.d.DB)
	switch {
	case errors.Is(err, sso.ErrOff), errors.Is(err, store.ErrUnreadable), err == nil && !p.Enabled: // passwords do as ever
		return "", nil
	case err != nil:
		return "", err
	case p.Label != "":
		return p.Label, nil
	}
	return "single sign-on", nil
}

// providerSignOut is where somebody who came in by the provider is signed out there too; empty: nowhere.
func (s *server) providerSignOut(ctx context.Context, userID string) string {
	u, err := s.d.DB.User(ctx, userID)
	if err != nil || u.Subject == "" || u.PasswordHash != "" {
		return ""
	}
	p, err := s.enabledProvider(ctx)
	if err != nil || p.Issuer != u.Provider {
		return ""
	}
	return s.d.SSO.SignOutURL(ctx, p)
}

// redirect sends a browser on.
type redirect struct {
	Location  string        `header:"Location"`
	SetCookie []http.Cookie `header:"Set-Cookie"`
}

// redirects mounts a handler that only ever sends a browser on.
func redirects[I any](fn func(context.Context, *I) (*redirect, error)) mounter {
	return withStatus(http.StatusSeeOther, to(fn))
}

// flowCookie binds a sign-in that is under way to its browser.
func flowCookie(https bool, value string, lasts time.Duration) http.Cookie {
	c := sessionCookie(https, value, time.Now().Add(lasts))
	c.Name += "_oidc"
	if lasts < 0 {
		c.MaxAge = -1
	}
	return c
}

func (s *server) beginOIDC(ctx context.Context, _ *none) (*redirect, error) {
	if !s.d.Auth.MayBeginProvided(ctx, visitOf(ctx).addr) { // told and counted there
		return &redirect{Location: signInPage("throttled")}, nil
	}
	p, err := s.enabledProvider(ctx)
	if err != nil {
		return s.backToSignIn(ctx, "", err), nil
	}
	where, cookie, err := s.d.SSO.Begin(ctx, p)
	if err != nil {
		return s.backToSignIn(ctx, "", err), nil
	}
	return &redirect{Location: where, SetCookie: []http.Cookie{flowCookie(visitOf(ctx).https, cookie, 10*time.Minute)}}, nil
}

func (s *server) enabledProvider(ctx context.Context) (sso.Provider, error) {
	p, err := sso.Load(ctx, s.d.DB)
	if err == nil && !p.Enabled {
		err = sso.ErrOff
	}
	return p, err
}

type finishIn struct {
	State string `query:"state" maxLength:"200"`
	Code  string `query:"code" maxLength:"4000"`
	Error string `query:"error" maxLength:"200"`
	cookies
}

// cookies are those of a request, which the framework would otherwise name one by one.
type cookies struct{ plain, secure string }

// Resolve reads them.
func (c *cookies) Resolve(hc huma.Context) []error {
	r, _ := humago.Unwrap(hc)
	if cookie, err := r.Cookie(cookiePlain + "_oidc"); err == nil {
		c.plain = cookie.Value
	}
	if cookie, err := r.Cookie(cookieSecure + "_oidc"); err == nil {
		c.secure = cookie.Value
	}
	return nil
}

func (s *server) finishOIDC(ctx context.Context, in *finishIn) (*redirect, error) {
	v := visitOf(ctx)
	who, err := s.vouched(ctx, v, in)
	var token string
	var sess store.Session
	if err == nil {
		token, sess, err = s.d.Auth.SignInProvided(ctx, who, v.userAgent, v.addr)
	}
	done := flowCookie(v.https, "", -time.Minute)
	if err != nil {
		back := s.backToSignIn(ctx, who.Name, err)
		back.SetCookie = []http.Cookie{done}
		return back, nil
	}
	return &redirect{Location: "/", SetCookie: []http.Cookie{done, sessionCookie(v.https, token, sess.ExpiresAt)}}, nil
}

// vouched is whom the provider vouches for, and what they may. The name is told of somebody who may not come in, too.
func (s *server) vouched(ctx context.Context, v visit, in *finishIn) (auth.Provided, error) {
	p, err := s.enabledProvider(ctx)
	if err != nil {
		return auth.Provided{}, err
	}
	cookie := in.plain
	if v.https {
		cookie = in.secure
	}
	who, err := s.d.SSO.Finish(ctx, p, in.State, cookie, in.Code)
	if err != nil {
		return auth.Provided{}, err
	}
	verdict, err := sso.Decide(p, who)
	return auth.Provided{
		Issuer: who.Issuer, Subject: who.Subject, Name: who.Name, Mapped: verdict.Mapped, Role: verdict.Role, Grants: verdict.Grants, Create: p.AutoCreate,
	}, err
}

// backToSignIn sends a browser back with the name of what went wrong; the page has the words. Name is who came, where that is known.
func (s *server) backToSignIn(ctx context.Context, name string, err error) *redirect {
	failure, addr := failureOf(err), visitOf(ctx).addr
	// A stranger can have these happen: nor may the log of the daemon be filled by them.
	if failure.why == "" || s.d.Auth.RefuseProvided(ctx, name, addr, failure.why) {
		s.log.WarnContext(ctx, "sign-in by the identity provider failed", "error", err, "addr", addr)
	}
	return &redirect{Location: signInPage(failure.name)}
}

// signInPage is where people sign in, with the name of what went wrong.
func signInPage(failure string) string { return "/?" + url.Values{"sign_in": {failure}}.Encode() }

// signInFailure is a way in which a sign-in by the provider goes wrong.
type signInFailure struct {
	err  error
	name string // for the page, which has the words
	why  string // for the event of it; empty: whoever refuses makes one
}

var signInFailures = []signInFailure{
	{sso.ErrOff, "off", sso.ErrOff.Error()},
	{sso.ErrUnavailable, "unavailable", sso.ErrUnavailable.Error()},
	{sso.ErrNotAllowed, "not_allowed", "the identity provider knows them, but they are in no group or domain that may come in"},
	{sso.ErrBroken, "broken", "it was not begun in that browser, or too long ago"},
	{sso.ErrDeclined, "declined", "the identity provider did not let them in"},
	{auth.ErrNameTaken, "name_taken", ""},
	{auth.ErrNotInvited, "not_invited", ""},
	{auth.ErrDenied, "denied", ""},
	{auth.ErrInvalid, "name", ""},
}

func failureOf(err error) signInFailure {
	for _, f := range signInFailures {
		if errors.Is(err, f.err) {
			return f
		}
	}
	return signInFailure{name: "failed"}
}
