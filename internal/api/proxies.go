package api

import (
	"context"
	"errors"
	"net/http"
	"time"

	"github.com/tiny-forge/docker-watcher/internal/certs"
	"github.com/tiny-forge/docker-watcher/internal/proxy"
	"github.com/tiny-forge/docker-watcher/internal/routing"
	"github.com/tiny-forge/docker-watcher/internal/store"
	"github.com/tiny-forge/docker-watcher/internal/traefik"
)

// Routes are what routes and standalone proxies are served by. Without a listener they are only written down.
type Routes struct {
	Policy proxy.Policy
	Router *routing.Router // nil: nothing is served
	// With Router these are nil as well.
	Proxy   Reporter
	Counter *routing.Counter
	// Certificates are those that the table asks for.
	Certificates Certificates
	// Folder is where uploaded certificates and our own authority are.
	Folder certs.Folder
	Listen string
	// ListenHTTPS is where routes are served over TLS; empty: nowhere.
	ListenHTTPS string
	// Apart tells how things stand with the process that serves; nil: this one does.
	Apart func() Apart

	// Of a proxy that is a program of its own.
	DriverName string        // empty: the built-in one
	Driver     Driver        // nil: the built-in one
	Fetching   *Fetching     // nil: it does not ask us
	Labels     *traefik.Site // nil: it has none
}

// Reporter tells how a rule of the table that is served does; false: it is in none, or nobody knows.
type Reporter interface {
	Report(rule string) (proxy.Report, bool)
}

// Apart is the data plane as a process of its own.
type Apart struct {
	Listen  string // host:port; empty: it was never reached
	HTTPS   string // the same over TLS; empty: nothing is served so
	Socket  string
	Version string
	PID     int
	Started time.Time
	Away    string // why it cannot be reached; empty: it can
}

// listen is where routes are served, over http and over TLS; empty: nowhere.
func (r Routes) listen() (http, https string) {
	if r.Apart == nil {
		return r.Listen, r.ListenHTTPS
	}
	a := r.Apart()
	return a.Listen, a.HTTPS
}

// away is why the data plane cannot be reached; empty: it can, or there is none.
func (r Routes) away() string {
	if r.Apart == nil {
		return ""
	}
	return r.Apart().Away
}

// routeJSON is a standalone proxy or a route of a stage.
type routeJSON struct {
	ID         string   `json:"id"`
	Domains    []string `json:"domains" nullable:"false"`
	PathPrefix string   `json:"path_prefix"`
	Enabled    bool     `json:"enabled"`
	TLS        string   `json:"tls" enum:"off,auto,internal,own" doc:"over https by which certificate: auto asks an authority by ACME, internal is of our own authority, own was uploaded"`
	State      string   `json:"state" enum:"served,disabled,not_served,no_listener,unknown" doc:"no_listener: the daemon was started without --proxy-http or --proxy-socket; not_served: see /api/routing; unknown: the data plane, a process of its own, cannot be reached, and answers by what it has if it runs"`

	Targets []string `json:"targets,omitempty" doc:"of a standalone proxy"`
	Owner   string   `json:"owner,omitempty" doc:"who made it; absent: a deploy did, or nobody knows any more"`
	Notes   string   `json:"notes,omitempty"`

	Requests      int64  `json:"requests" doc:"that came to it since it was made, also over restarts"`
	Errors        int64  `json:"errors" doc:"of them: answers of 500 and above, and those that never came"`
	LastRequestAt moment `json:"last_request_at" doc:"null: none came yet"`

	ProjectID      string `json:"project_id,omitempty"`
	Project        string `json:"project,omitempty"`
	StageID        string `json:"stage_id,omitempty"`
	Stage          string `json:"stage,omitempty"`
	InstanceID     string `json:"instance_id,omitempty" doc:"where a route leads; absent: its instance is gone"`
	Instance       string `json:"instance,omitempty"`
	InstanceStatus string `json:"instance_status,omitempty"`
	StaleSince     moment `json:"stale_since" doc:"of the instance"`
	LastAliveAt    moment `json:"last_alive_at" doc:"of the instance"`
	Port           int    `json:"port,omitempty" doc:"of the container"`

	StripPrefix     bool                      `json:"strip_prefix"`
	RewriteHost     bool                      `json:"rewrite_host"`
	WebSockets      bool                      `json:"websockets"`
	Certificate     string                    `json:"certificate,omitempty" doc:"with the tls own: the name under which it was uploaded"`
	RedirectHTTPS   bool                      `json:"redirect_https"`
	HSTSSeconds     int                       `json:"hsts_seconds"`
	RedirectTo      string                    `json:"redirect_to,omitempty"`
	RedirectCode    int                       `json:"redirect_code,omitempty"`
	RequestHeaders  []headerJSON              `json:"request_headers" nullable:"false"`
	ResponseHeaders []headerJSON              `json:"response_headers" nullable:"false"`
	BasicAuth       []string                  `json:"basic_auth" nullable:"false" doc:"the names; passwords are never answered"`
	AllowIPs        []string                  `json:"allow_ips" nullable:"false"`
	DenyIPs         []string                  `json:"deny_ips" nullable:"false"`
	ConnectTimeout  string                    `json:"connect_timeout"`
	ResponseTimeout string                    `json:"response_timeout"`
	MaxBodyBytes    int64                     `json:"max_body_bytes"`
	TargetCA        string                    `json:"target_ca,omitempty" doc:"PEM: who is trusted for targets over https, instead of the authorities of the system"`
	TargetTLSVerify bool                      `json:"target_tls_verify" doc:"false: whatever certificate a target has is taken. To be shown as a warning: who stands between can be the target"`
	HealthCheck     nullable[healthCheckJSON] `json:"health_check"`
	Maintenance     bool                      `json:"maintenance"`
	MaintenanceNote string                    `json:"maintenance_note,omitempty"`
	Compress        bool                      `json:"compress" doc:"text is answered as gzip to clients that take it"`
	AccessLog       bool                      `json:"access_log" doc:"each request is a line of the daemon's log"`

	Health    nullable[routeHealthJSON] `json:"health" doc:"null while it is not served"`
	CreatedAt stamp                     `json:"created_at"`
	UpdatedAt stamp                     `json:"updated_at"`
	Revision  int64                     `json:"revision"`
}

type headerJSON struct {
	Name  string `json:"name" minLength:"1" maxLength:"200"`
	Value string `json:"value,omitempty" maxLength:"8000" doc:"empty: the header is taken away"`
	// Secret is of a header by which a target is told who may come in.
	Secret bool `json:"secret,omitempty" doc:"it has a value, which is not answered; sent back so, the value stays"`
}

type healthCheckJSON struct {
	Path     string `json:"path" minLength:"1" maxLength:"1000"`
	Interval string `json:"interval,omitempty" maxLength:"20" doc:"1s to 1h, default 10s"`
	Timeout  string `json:"timeout,omitempty" maxLength:"20" doc:"100ms to 1m, default 5s"`
	Passes   int    `json:"passes,omitempty" doc:"good answers in a row that bring a target back: 1 to 100, default 1"`
	Fails    int    `json:"fails,omitempty" doc:"bad ones that take it out: 1 to 100, default 3"`
}

type routeHealthJSON struct {
	Counted       bool               `json:"counted" doc:"false: the proxy counts no requests of a route; requests, errors and last_request_at say nothing"`
	Requests      int64              `json:"requests" doc:"since the route was made, also over restarts"`
	Errors        int64              `json:"errors" doc:"answers of 500 and above, and those that never came"`
	Open          int64              `json:"open" doc:"requests and streams under way"`
	LastRequestAt moment             `json:"last_request_at" doc:"null: none came yet"`
	Targets       []targetHealthJSON `json:"targets" nullable:"false"`
}

type targetHealthJSON struct {
	Target       string `json:"target"`
	URL          string `json:"url,omitempty" doc:"where it is reached now"`
	State        string `json:"state" enum:"up,not_asked,down,stopped,unreachable" doc:"not_asked: nobody has come to it yet and no health check asks it"`
	Detail       string `json:"detail,omitempty" doc:"what is wrong with it"`
	Said         string `json:"said,omitempty" doc:"what an engine said of it when it was asked first, in its own words"`
	Remedy       string `json:"remedy,omitempty" doc:"what to do about it"`
	StoppedSince moment `json:"stopped_since"`
	Open         int64  `json:"open"`
	LastAnswerAt moment `json:"last_answer_at"`
}

func (s *server) routeOf(v store.RouteView, count store.RequestCount) routeJSON {
	j := routeJSON{
		ID: v.ID, Domains: []string{}, PathPrefix: "/", Enabled: v.Enabled, TLS: v.TLS, Targets: v.Targets, Owner: v.Owner, Notes: v.Notes,
		ProjectID: v.ProjectID, Project: v.Project, StageID: v.StageID, Stage: v.Stage, InstanceID: v.InstanceID, Instance: v.Instance,
		InstanceStatus: string(v.Status), StaleSince: moment(v.StaleSince), LastAliveAt: moment(v.LastAliveAt), Port: v.Port,
		Requests: count.Requests, Errors: count.Errors, LastRequestAt: moment(count.LastAt),
		CreatedAt: stamp(v.CreatedAt), UpdatedAt: stamp(v.UpdatedAt), Revision: v.Revision,
	}
	for _, d := range v.Domains {
		j.Domains, j.PathPrefix = append(j.Domains, d.Domain), d.PathPrefix
	}
	if o, err := routing.OptionsOf(v.Route); err == nil {
		j.showOptions(o)
	}
	j.State = s.stateOf(v)
	if h, ok := s.healthOf(v.ID, count); ok && j.State == stateServed {
		j.Health.value = &h
	}
	return j
}

// The states of a route.
const (
	stateServed     = "served"
	stateDisabled   = "disabled"
	stateNotServed  = "not_served"
	stateNoListener = "no_listener"
	stateUnknown    = "unknown"
)

func (s *server) stateOf(v store.RouteView) string {
	switch {
	case !v.Enabled:
		return stateDisabled
	case s.d.Routes.Router == nil:
		return stateNoListener
	case s.d.Routes.away() != "":
		return stateUnknown
	}
	// As long as another table is asked for than the one that is served, nobody knows of what is not in it.
	if _, ok := s.d.Routes.Proxy.Report(v.ID); !ok || s.d.Routes.Router.State().Error != "" {
		return stateNotServed
	}
	return stateServed
}

func (j *routeJSON) showOptions(o proxy.Options) {
	j.StripPrefix, j.RewriteHost, j.WebSockets, j.RedirectHTTPS, j.HSTSSeconds = o.StripPrefix, o.RewriteHost, !o.NoWebSockets, o.RedirectHTTPS, o.HSTSSeconds
	j.Certificate = o.Certificate
	j.RedirectTo, j.RedirectCode, j.MaxBodyBytes, j.Maintenance, j.MaintenanceNote = o.RedirectTo, o.RedirectCode, o.MaxBodyBytes, o.Maintenance, o.MaintenanceNote
	j.Compress, j.AccessLog = o.Compress, o.AccessLog
	j.TargetCA, j.TargetTLSVerify = o.TargetCA, !o.TargetUnverified
	j.RequestHeaders, j.ResponseHeaders = headersOf(o.RequestHeaders), headersOf(o.ResponseHeaders)
	j.AllowIPs, j.DenyIPs = append([]string{}, o.AllowIPs...), append([]string{}, o.DenyIPs...)
	j.BasicAuth = []string{}
	for _, c := range o.BasicAuth {
		j.BasicAuth = append(j.BasicAuth, c.User)
	}
	j.ConnectTimeout, j.ResponseTimeout = spanOr(o.ConnectTimeout, proxy.DefaultConnectTimeout), spanOr(o.ResponseTimeout, proxy.DefaultResponseTimeout)
	if h := o.HealthCheck; h != nil {
		j.HealthCheck.value = &healthCheckJSON{
			Path: h.Path, Interval: spanOr(h.Interval, proxy.DefaultCheckInterval), Timeout: spanOr(h.Timeout, proxy.DefaultCheckTimeout), Passes: h.Passes, Fails: h.Fails,
		}
	}
}

func headersOf(list []proxy.Header) []headerJSON {
	out := make([]headerJSON, 0, len(list))
	for _, h := range list {
		j := headerJSON{Name: h.Name, Value: h.Value}
		if h.Secret() {
			j.Value, j.Secret = "", true
		}
		out = append(out, j)
	}
	return out
}

func spanOr(s proxy.Span, fallback time.Duration) string {
	if s == 0 {
		return fallback.String()
	}
	return time.Duration(s).String()
}

func (s *server) healthOf(id string, count store.RequestCount) (routeHealthJSON, bool) {
	if s.d.Routes.Proxy == nil {
		return routeHealthJSON{}, false
	}
	r, ok := s.d.Routes.Proxy.Report(id)
	if !ok {
		return routeHealthJSON{}, false
	}
	j := routeHealthJSON{Counted: !r.Uncounted, Requests: count.Requests, Errors: count.Errors, Open: r.Open, LastRequestAt: moment(count.LastAt), Targets: []targetHealthJSON{}}
	for _, t := range r.Targets {
		j.Targets = append(j.Targets, targetHealthJSON{
			Target: t.Ref, URL: t.URL, State: targetState(t), Detail: t.Trouble, Said: t.Detail, Remedy: t.Remedy, StoppedSince: moment(t.StoppedSince), Open: t.Open, LastAnswerAt: moment(t.LastAnswer),
		})
	}
	return j, true
}

func targetState(t proxy.TargetReport) string {
	switch {
	case !t.StoppedSince.IsZero():
		return "stopped"
	case t.URL == "":
		return "unreachable"
	case t.Down || t.Why != "":
		return "down"
	case t.URL == t.Ref && !t.Asked: // a container was dialled when it was found
		return "not_asked"
	}
	return "up"
}

// RouteSelection asks for some of the routes or standalone proxies.
type RouteSelection struct {
	Text    string `query:"text" maxLength:"200" doc:"in a domain, a target or the notes"`
	Enabled string `query:"enabled" enum:"true,false" doc:"only those that are, or are not"`
}

func (in RouteSelection) filter() store.RouteFilter {
	f := store.RouteFilter{Text: in.Text}
	if in.Enabled != "" {
		on := in.Enabled == "true"
		f.Enabled = &on
	}
	return f
}

type listProxiesIn struct {
	PageQuery
	RouteSelection
}

func (s *server) listProxies(ctx context.Context, in *listProxiesIn) (*out[list[routeJSON]], error) {
	f := in.filter()
	f.Standalone = true
	return s.routesPage(ctx, f, in.page())
}

type listRoutesIn struct {
	PageQuery
	RouteSelection
	ProjectID  string `query:"project_id" maxLength:"100"`
	StageID    string `query:"stage_id" maxLength:"100"`
	InstanceID string `query:"instance_id" maxLength:"100"`
	LeadsTo    string `query:"leads_to" enum:"gone,missing,stopped,stale,leftover" doc:"only those whose instance is gone, whose container is missing, that do not run, that are stale; leftover: gone, missing or stale"`
}

func (s *server) listStageRoutes(ctx context.Context, in *listRoutesIn) (*out[list[routeJSON]], error) {
	f := in.filter()
	f.ProjectID, f.StageID, f.InstanceID, f.LeadsTo, f.Among = in.ProjectID, in.StageID, in.InstanceID, store.RouteTarget(in.LeadsTo), visible(ctx)
	return s.routesPage(ctx, f, in.page())
}

func (s *server) routesPage(ctx context.Context, f store.RouteFilter, p store.Page) (*out[list[routeJSON]], error) {
	rows, next, err := s.d.DB.Routes(ctx, f, p)
	if err != nil {
		return nil, err
	}
	ids := make([]string, len(rows))
	for n, v := range rows {
		ids[n] = v.ID
	}
	counts, err := s.requestsOf(ctx, ids...)
	if err != nil {
		return nil, err
	}
	return answer(listOf(rows, next, func(v store.RouteView) routeJSON { return s.routeOf(v, counts[v.ID]) })), nil
}

func (s *server) getProxy(ctx context.Context, in *ByID) (*versioned[routeJSON], error) {
	return s.routeNow(ctx, in.ID, true)
}

func (s *server) getRoute(ctx context.Context, in *ByID) (*versioned[routeJSON], error) {
	return s.routeNow(ctx, in.ID, false)
}

func (s *server) routeNow(ctx context.Context, id string, standalone bool) (*versioned[routeJSON], error) {
	v, err := s.findRoute(ctx, id, standalone)
	if err != nil {
		return nil, err
	}
	return s.shownRoute(ctx, v)
}

func (s *server) shownRoute(ctx context.Context, v store.RouteView) (*versioned[routeJSON], error) {
	counts, err := s.requestsOf(ctx, v.ID)
	if err != nil {
		return nil, err
	}
	return atRevision(s.routeOf(v, counts[v.ID]), v.Revision), nil
}

// requestsOf are the requests that came to some routes, standalone proxies or instances.
func (s *server) requestsOf(ctx context.Context, ids ...string) (map[string]store.RequestCount, error) {
	if s.d.Routes.Counter == nil {
		return s.d.DB.RequestCounts(ctx, ids...)
	}
	return s.d.Routes.Counter.Of(ctx, ids...)
}

// findRoute finds a route or a standalone proxy by its id or by its domain.
func (s *server) findRoute(ctx context.Context, idOrDomain string, standalone bool) (store.RouteView, error) {
	v, err := s.d.DB.Route(ctx, idOrDomain)
	if errors.Is(err, store.ErrNotFound) {
		v, err = s.d.DB.RouteByDomain(ctx, idOrDomain)
	}
	if errors.Is(err, store.ErrNotFound) || err == nil && v.Standalone != standalone {
		return v, newProblem(http.StatusNotFound, codeNotFound, "there is no such "+routeWord(standalone)).hint("name it by its id or by a domain of it, with its path if it has one")
	}
	return v, err
}

func routeWord(standalone bool) string {
	if standalone {
		return "standalone proxy"
	}
	return "route"
}
