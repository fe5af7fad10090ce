package api

import (
	"context"
	"net/http"
	"strconv"
	"time"

	"github.com/tiny-forge/docker-watcher/internal/auth"
	"github.com/tiny-forge/docker-watcher/internal/store"
)

const bannerPlain = "This page is not encrypted: passwords and sessions can be read on the way. Put https in front of it, or open it through an SSH tunnel."

type sessionJSON struct {
	State     string `json:"state" enum:"setup,anonymous,user" doc:"setup: nobody exists yet; anonymous: sign in first"`
	Name      string `json:"name,omitempty"`
	Actor     string `json:"actor,omitempty" doc:"as it stands in events: user:anna, token:ci"`
	Role      string `json:"role,omitempty" enum:"none,viewer,operator,admin" doc:"in all projects; none: only in single ones"`
	Most      string `json:"most,omitempty" enum:"none,viewer,operator,admin" doc:"the highest role, be it in one project only"`
	MustEnrol bool   `json:"must_enrol,omitempty" doc:"nothing is open before a second factor is set up"`
	Version   string `json:"version"`
	ExpiresAt moment `json:"expires_at"`
	Provider  string `json:"provider,omitempty" doc:"the button of the identity provider; absent: there is none"`
	Banner    string `json:"banner,omitempty" doc:"a warning to show"`
	LastEvent string `json:"last_event_id,omitempty" doc:"of a user: where the stream of events stands; who opens it there misses nothing of what is asked after this"`
}

type sessionOut struct {
	SetCookie http.Cookie `header:"Set-Cookie"`
	Body      sessionJSON
}

// session tells who asks; being nobody is no error.
func (s *server) session(ctx context.Context, _ *none) (*out[sessionJSON], error) {
	v := visitOf(ctx)
	if v.known {
		body, err := s.sessionOf(ctx, v, v.caller, time.Time{})
		return answer(body), err
	}
	users, err := s.d.DB.UserCount(ctx)
	if err != nil {
		return nil, err
	}
	body := sessionJSON{State: "anonymous", Version: s.d.Version, Banner: bannerOf(v)}
	if users == 0 {
		body.State = "setup"
		return answer(body), nil
	}
	if body.Provider, err = s.providerButton(ctx); err != nil {
		return nil, err
	}
	return answer(body), nil
}

func (s *server) sessionOf(ctx context.Context, v visit, c auth.Caller, expires time.Time) (sessionJSON, error) {
	last, err := s.d.DB.LastEventID(ctx)
	if err != nil {
		return sessionJSON{}, err
	}
	most, err := s.d.Auth.HighestRole(ctx, c)
	return sessionJSON{
		State: "user", Name: c.Name, Actor: c.Actor, Role: roleText(c.Role), Most: roleText(most), MustEnrol: c.MustEnrol, Version: s.d.Version,
		ExpiresAt: moment(expires), Banner: bannerOf(v), LastEvent: strconv.FormatInt(last, 10),
	}, err
}

// bannerUnnamed is for who can do something about it.
const bannerUnnamed = "A proxy before this page tells who comes, but the setting trusted_proxies does not name it: it is not believed, and everybody who comes by it counts as one address. Name its address there."

func bannerOf(v visit) string {
	switch {
	case v.unnamed && v.known && v.caller.Role.Covers(admin):
		return bannerUnnamed
	case v.https || v.local:
		return ""
	}
	return bannerPlain
}

type credentials struct {
	Name     string `json:"name" minLength:"1" maxLength:"100"`
	Password string `json:"password" minLength:"1" maxLength:"1000" writeOnly:"true"`
	Code     string `json:"code,omitempty" maxLength:"40" writeOnly:"true" doc:"of the second factor, or a recovery code, once a problem second_factor asked for it"`
}

type loginIn struct{ Body credentials }

func (s *server) login(ctx context.Context, in *loginIn) (*sessionOut, error) {
	return s.signIn(ctx, in.Body)
}

type setupIn struct {
	Body struct {
		Code     string `json:"code" minLength:"1" maxLength:"200" writeOnly:"true" doc:"from the setup link that the daemon printed"`
		Name     string `json:"name" minLength:"1" maxLength:"100"`
		Password string `json:"password" minLength:"1" maxLength:"1000" writeOnly:"true" doc:"at least 12 characters"`
	}
}

// setup makes the first admin and signs them in.
func (s *server) setup(ctx context.Context, in *setupIn) (*sessionOut, error) {
	user, err := s.d.Auth.CreateFirstAdmin(ctx, in.Body.Code, in.Body.Name, in.Body.Password, visitOf(ctx).addr)
	if err != nil {
		return nil, err
	}
	return s.signIn(ctx, credentials{Name: user.Name, Password: in.Body.Password})
}

func (s *server) signIn(ctx context.Context, c credentials) (*sessionOut, error) {
	v := visitOf(ctx)
	token, sess, err := s.d.Auth.SignIn(ctx, auth.Credentials{Name: c.Name, Password: c.Password, Code: c.Code}, v.userAgent, v.addr)
	if err != nil {
		return nil, err
	}
	caller, err := s.d.Auth.BySession(ctx, token)
	if err != nil {
		return nil, err
	}
	body, err := s.sessionOf(ctx, v, caller, sess.ExpiresAt)
	if err != nil {
		return nil, err
	}
	return &sessionOut{SetCookie: sessionCookie(v.https, token, sess.ExpiresAt), Body: body}, nil
}

func sessionCookie(https bool, token string, expires time.Time) http.Cookie {
	return http.Cookie{
		Name: cookieName(https), Value: token, Path: "/", Expires: expires,
		HttpOnly: true, Secure: https, SameSite: http.SameSiteLaxMode,
	}
}

type logoutJSON struct {
	GoOn string `json:"go_on,omitempty" doc:"where the identity provider ends its own session: send the browser there"`
}

type logoutOut struct {
	SetCookie http.Cookie `header:"Set-Cookie"`
	Body      logoutJSON
}

// logout ends the session. A token has none: it is revoked instead.
func (s *server) logout(ctx context.Context, _ *none) (*logoutOut, error) {
	v := visitOf(ctx)
	if v.caller.SessionID == "" {
		return nil, newProblem(http.StatusConflict, codeWrongState, "an API token has no session to end").
			hint("an admin can revoke the token")
	}
	if err := s.d.Auth.Logout(ctx, byVisit(ctx)); err != nil {
		return nil, err
	}
	gone := sessionCookie(v.https, "", time.Unix(1, 0))
	gone.MaxAge = -1
	return &logoutOut{SetCookie: gone, Body: logoutJSON{GoOn: s.providerSignOut(ctx, v.caller.UserID)}}, nil
}

type tokenJSON struct {
	ID         string `json:"id"`
	Name       string `json:"name"`
	Role       string `json:"role" enum:"viewer,operator,admin"`
	CreatedBy  string `json:"created_by"`
	CreatedAt  stamp  `json:"created_at"`
	ExpiresAt  moment `json:"expires_at" doc:"null: never"`
	LastUsedAt moment `json:"last_used_at"`
	Secret     string `json:"secret,omitempty" doc:"told once, by the answer that made it"`
}

func tokenOf(t store.Token) tokenJSON {
	return tokenJSON{
		ID: t.ID, Name: t.Name, Role: string(t.Role), CreatedBy: t.CreatedBy, CreatedAt: stamp(t.CreatedAt),
		ExpiresAt: moment(t.ExpiresAt), LastUsedAt: moment(t.LastUsedAt),
	}
}

func (s *server) listTokens(ctx context.Context, _ *none) (*out[list[tokenJSON]], error) {
	tokens, err := s.tokensShown(ctx)
	if err != nil {
		return nil, err
	}
	return answer(listOf(tokens, "", tokenOf)), nil
}

type createTokenIn struct {
	Body struct {
		Name      string    `json:"name" minLength:"1" maxLength:"63"`
		Role      string    `json:"role" enum:"viewer,operator,admin"`
		ExpiresAt time.Time `json:"expires_at,omitzero" doc:"absent: never"`
	}
}

func (s *server) createToken(ctx context.Context, in *createTokenIn) (*out[tokenJSON], error) {
	if !in.Body.ExpiresAt.IsZero() && !in.Body.ExpiresAt.After(time.Now()) {
		return nil, invalid("body.expires_at", "it must lie in the future")
	}
	n := auth.NewToken{Name: in.Body.Name, Role: store.Role(in.Body.Role), Expires: in.Body.ExpiresAt}
	secret, token, err := s.d.Auth.IssueToken(ctx, n, byVisit(ctx))
	if err != nil {
		return nil, nameTaken(wrongFields("body", err), "token", in.Body.Name)
	}
	made := tokenOf(token)
	made.Secret = secret
	return answer(made), nil
}

func (s *server) revokeToken(ctx context.Context, in *ByID) (*none, error) {
	c := visitOf(ctx).caller
	owner := c.UserID
	switch {
	case c.Role.Covers(admin):
		owner = ""
	case owner == "":
		return nil, store.ErrNotFound // a token of the daemon has none of its own
	}
	return nil, s.d.Auth.RevokeToken(ctx, in.ID, owner, c.Actor)
}
