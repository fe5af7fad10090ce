package api

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humago"

	"github.com/tiny-forge/docker-watcher/internal/auth"
	"github.com/tiny-forge/docker-watcher/internal/store"
)

// anyone is the role of a route that needs no sign-in.
const anyone store.Role = ""

// The cookie of a session. Over https its name makes browsers refuse it from
// anywhere else; over plain http that name is not possible.
const (
	cookieSecure = "__Host-docker_watcher"
	cookiePlain  = "docker_watcher"
)

const tokenPrefix = "dw_" // of every API token that we make

// visit is what is known of the request that is being served.
type visit struct {
	caller    auth.Caller
	powers    powers
	known     bool // the caller
	method    string
	path      string
	addr      string
	userAgent string
	https     bool
	local     bool // comes from this machine, and by no proxy
	unnamed   bool // a proxy tells of who comes that the setting trusted_proxies does not name
}

type visitKey struct{}

// visitOf returns the visit of a request under way.
func visitOf(ctx context.Context) visit {
	v, _ := ctx.Value(visitKey{}).(visit)
	return v
}

// actorOf names who asks, for events.
func actorOf(ctx context.Context) string { return visitOf(ctx).caller.Actor }

// admit lets a request through to its handler when its caller may use the route.
func (s *server) admit(ctx huma.Context, next func(huma.Context)) {
	r, w := humago.Unwrap(ctx)
	v := newVisit(r, s.peers.trusted(r))
	if isHook(r.URL.Path) {
		next(huma.WithValue(ctx, visitKey{}, v)) // whoever it is, there only a secret of its own counts
		return
	}
	need := needOf(ctx.Operation())
	caller, err := s.identify(r, v.https)
	switch {
	case err == nil:
		v.caller, v.known = caller, true
	case need == anyone:
		// A session that has ended must not keep anyone from signing in, nor a store that
		// does not answer from hearing so.
	case errors.Is(err, errNobody), errors.Is(err, auth.ErrDenied), errors.Is(err, auth.ErrExpired):
		writeProblem(w, unauthenticated(err))
		return
	default:
		writeProblem(w, problemOf(r.Context(), s.log, err))
		return
	}
	if need != anyone {
		if v.powers, err = s.powersOf(r.Context(), v.caller); err != nil {
			writeProblem(w, problemOf(r.Context(), s.log, err))
			return
		}
		if p := s.refusal(r.Context(), ctx.Operation(), ctx.Param("id"), v, need); p != nil {
			writeProblem(w, p)
			return
		}
	}
	next(huma.WithValue(ctx, visitKey{}, v))
}

// errNobody: the request brings nothing that could say who makes it.
var errNobody = errors.New("no credential")

// identify tells who makes a request: an API token or a session as a bearer, or
// the session's cookie. A bearer that is wrong is an error even beside a good cookie.
func (s *server) identify(r *http.Request, https bool) (auth.Caller, error) {
	if header := r.Header.Get("Authorization"); header != "" {
		scheme, credential, _ := strings.Cut(header, " ")
		if !strings.EqualFold(scheme, "Bearer") || credential == "" {
			return auth.Caller{}, auth.ErrDenied
		}
		caller, err := s.d.Auth.ByToken(r.Context(), credential)
		if errors.Is(err, auth.ErrDenied) && !strings.HasPrefix(credential, tokenPrefix) {
			return s.d.Auth.BySession(r.Context(), credential)
		}
		return caller, err
	}
	cookie, err := r.Cookie(cookieName(https))
	if err != nil || cookie.Value == "" {
		return auth.Caller{}, errNobody
	}
	return s.d.Auth.BySession(r.Context(), cookie.Value)
}

func unauthenticated(err error) *Problem {
	detail := "sign in, or send an API token as a bearer"
	switch {
	case errors.Is(err, auth.ErrExpired):
		detail = "the session or token has expired"
	case errors.Is(err, auth.ErrDenied):
		detail = "the session or token is not valid"
	}
	return newProblem(http.StatusUnauthorized, codeUnauthenticated, detail).with("Www-Authenticate", `Bearer realm="docker-watcher"`)
}

func forbidden(v visit, need store.Role) *Problem {
	return newProblem(http.StatusForbidden, codeForbidden,
		"this needs the role "+string(need)+"; "+v.caller.Name+" has the role "+roleText(v.caller.Role))
}

// tellForbidden makes the event of a refusal: who, from where and what.
func (s *server) tellForbidden(v visit, need store.Role, why string) {
	message := v.caller.Name + " was refused " + v.method + " " + v.path + ": it needs the role " + string(need)
	data := map[string]any{
		"method": v.method, "path": v.path, "addr": v.addr, "role": roleText(v.caller.Role), "need": string(need),
	}
	if why != "" {
		message += " (" + why + ")"
		data["why"] = why
	}
	s.d.Bus.Publish(store.Event{
		Time: time.Now(), Severity: store.SeverityWarn, Source: store.SourceAuth, Kind: "auth.forbidden",
		Message: message, Actor: v.caller.Actor, Data: data,
	})
}

func cookieName(https bool) string {
	if https {
		return cookieSecure
	}
	return cookiePlain
}
