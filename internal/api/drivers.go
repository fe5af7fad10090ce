package api

import (
	"context"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/tiny-forge/docker-watcher/internal/hook"
	"github.com/tiny-forge/docker-watcher/internal/proxy"
	"github.com/tiny-forge/docker-watcher/internal/routing"
	"github.com/tiny-forge/docker-watcher/internal/store"
	"github.com/tiny-forge/docker-watcher/internal/traefik"
)

// TraefikPath is where Traefik asks for the routes.
const TraefikPath = "/api/proxy/traefik"

// Driver is a proxy that is a program of its own.
type Driver interface {
	Reporter
	Standing() proxy.Standing
}

// Fetching is how a proxy asks for the routes.
type Fetching struct {
	Token string
	// Fetch is what it is told, with its hash; nil: nothing yet. It is noted who asks.
	Fetch func(from string, now time.Time) (text []byte, hash string)
}

type driverJSON struct {
	Name       string `json:"name" enum:"caddy,traefik"`
	Version    string `json:"version,omitempty" doc:"as it says itself; many do not"`
	Error      string `json:"error,omitempty" doc:"why it cannot be told, or does not ask"`
	ErrorAt    moment `json:"error_at" doc:"since when"`
	Drift      string `json:"drift,omitempty" doc:"how what it answers by differs from what was applied"`
	DriftSince moment `json:"drift_since"`
	Mends      bool   `json:"mends" doc:"drift is undone by itself"`
	SeenAt     moment `json:"seen_at" doc:"when it was last asked (caddy) or last fetched (traefik)"`
	SeenFrom   string `json:"seen_from,omitempty" doc:"who fetched"`
}

// driver says how a proxy stands that is a program of its own; nil: there is none.
func (s *server) driver() *driverJSON {
	if s.d.Routes.Driver == nil {
		return nil
	}
	st := s.d.Routes.Driver.Standing()
	return &driverJSON{
		Name: s.d.Routes.DriverName, Version: st.Version, Error: st.Error, ErrorAt: moment(st.ErrorAt), Drift: st.Drift, DriftSince: moment(st.DriftSince),
		Mends: st.Mends, SeenAt: moment(st.SeenAt), SeenFrom: st.SeenFrom,
	}
}

// showDriver says how a proxy stands that is a program of its own.
func (s *server) showDriver(j *routingJSON) {
	d := s.driver()
	if d == nil {
		return
	}
	j.Driver.value = d
	switch {
	case d.Error != "":
		j.State = "unreachable"
	case d.Drift != "":
		j.State = "drifted"
	}
}

type fetchIn struct {
	Authorization string `header:"Authorization" maxLength:"1000" doc:"the token, as Bearer, or as the password of Basic"`
}

type fetchedOut struct {
	ContentType string `header:"Content-Type"`
	ETag        string `header:"ETag"`
	Body        []byte
}

// fetched mounts what Traefik asks for: an object of its own kind, which the document does not describe.
func fetched(s *server, doc huma.API, op huma.Operation) {
	op.Responses = map[string]*huma.Response{"200": {
		Description: "the routes", Content: map[string]*huma.MediaType{"application/json": {Schema: &huma.Schema{Type: huma.TypeObject, AdditionalProperties: true}}},
	}}
	to(s.fetchTraefik)(s, doc, op)
}

// noFetch is the one answer to whoever does not show that they know the token of a driver that there is.
func noFetch() error {
	return newProblem(http.StatusNotFound, codeNotFound, "nothing is offered here, or for another token")
}

func (s *server) fetchTraefik(ctx context.Context, in *fetchIn) (*fetchedOut, error) {
	now, v, f := time.Now(), visitOf(ctx), s.d.Routes.Fetching
	want := hook.NewSecret() // what does not exist takes as long
	if f != nil {
		want = f.Token
	}
	if !(hook.Proof{Secrets: []string{bare(in.Authorization)}}).Holds(want, nil) || f == nil {
		if !s.hooks.Refused(v.addr, now) {
			return nil, tooMany()
		}
		return nil, noFetch()
	}
	if !s.hooks.Heard(TraefikPath, now) {
		return nil, tooMany()
	}
	text, hash := f.Fetch(strings.TrimSpace(v.addr+" "+v.userAgent), now)
	if text == nil {
		return nil, newProblem(http.StatusServiceUnavailable, codeNotServed, "no table was made yet: go on with what you have")
	}
	return &fetchedOut{ContentType: "application/json", ETag: `"` + hash + `"`, Body: text}, nil
}

type routeLabelsJSON struct {
	Labels  map[string]string `json:"labels" nullable:"false"`
	Missing []string          `json:"missing" nullable:"false" doc:"labels in which REPLACE-ME stands for what is never answered: hashes of passwords as NAME:HASH (htpasswd -nB), values of headers that let somebody in"`
}

// routeLabels are the labels of a container by which Traefik's Docker provider would serve a route. Nothing is labelled here.
func (s *server) routeLabels(ctx context.Context, in *ByID) (*out[routeLabelsJSON], error) {
	v, err := s.findRoute(ctx, in.ID, false)
	if err != nil {
		return nil, err
	}
	r, site, err := s.labelled(v)
	if err != nil {
		return nil, err
	}
	settings, err := s.d.DB.Settings(ctx)
	if err != nil {
		return nil, err
	}
	trusted, err := proxy.ParsePrefixes(settings.TrustedProxies)
	if err != nil {
		return nil, err
	}
	labels, missing, err := traefik.Labels(r, v.Port, trusted, site)
	if err != nil {
		return nil, err
	}
	j := routeLabelsJSON{Labels: map[string]string{}, Missing: append([]string{}, missing...)}
	for _, l := range labels {
		j.Labels[l.Name] = l.Value
	}
	return answer(j), nil
}

// labelled is the rule of a route, if labels can say it all.
func (s *server) labelled(v store.RouteView) (proxy.Rule, traefik.Site, error) {
	site := traefik.Site{}
	if s.d.Routes.Labels != nil {
		site = *s.d.Routes.Labels
	}
	r, err := routing.RuleOf(v)
	if err != nil {
		return r, site, err
	}
	wrong := traefik.Unlabelled(r)
	for _, err := range traefik.Fits(proxy.Table{Rules: []proxy.Rule{r}}, site) {
		wrong = append(wrong, routing.FieldsOf(err)...)
	}
	slices.SortFunc(wrong, func(a, b proxy.FieldError) int { return strings.Compare(a.Field, b.Field) })
	if len(wrong) > 0 {
		p := newProblem(http.StatusUnprocessableEntity, codeInvalid, "labels cannot say all of this route")
		for _, f := range wrong {
			p = p.field(f.Field, f.Reason)
		}
		return r, site, p
	}
	return r, site, nil
}
