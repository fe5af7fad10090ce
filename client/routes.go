package client

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"time"
)

// Route is a route of a stage, or a standalone proxy.
type Route struct {
	ID         string   `json:"id"`
	Domains    []string `json:"domains"`
	PathPrefix string   `json:"path_prefix"`
	Enabled    bool     `json:"enabled"`
	TLS        string   `json:"tls"`   // off, auto, internal or own
	State      string   `json:"state"` // served, disabled, not_served, no_listener or unknown

	// Of a standalone proxy.
	Targets []string `json:"targets,omitempty"`

	Owner string `json:"owner,omitempty"` // who made it
	Notes string `json:"notes,omitempty"`

	// Since it was made.
	Requests      int64     `json:"requests"`
	Errors        int64     `json:"errors"`
	LastRequestAt time.Time `json:"last_request_at,omitzero"`

	// Of the route of a stage.
	ProjectID      string    `json:"project_id,omitempty"`
	Project        string    `json:"project,omitempty"`
	StageID        string    `json:"stage_id,omitempty"`
	Stage          string    `json:"stage,omitempty"`
	InstanceID     string    `json:"instance_id,omitempty"` // empty: its instance is gone
	Instance       string    `json:"instance,omitempty"`
	InstanceStatus string    `json:"instance_status,omitempty"`
	StaleSince     time.Time `json:"stale_since,omitzero"`
	LastAliveAt    time.Time `json:"last_alive_at,omitzero"`
	Port           int       `json:"port,omitempty"`

	StripPrefix     bool         `json:"strip_prefix"`
	RewriteHost     bool         `json:"rewrite_host"`
	WebSockets      bool         `json:"websockets"`
	Certificate     string       `json:"certificate,omitempty"` // of TLS own: its name
	RedirectHTTPS   bool         `json:"redirect_https"`
	HSTSSeconds     int          `json:"hsts_seconds"`
	RedirectTo      string       `json:"redirect_to,omitempty"`
	RedirectCode    int          `json:"redirect_code,omitempty"`
	RequestHeaders  []Header     `json:"request_headers"`
	ResponseHeaders []Header     `json:"response_headers"`
	BasicAuth       []string     `json:"basic_auth"` // names
	AllowIPs        []string     `json:"allow_ips"`
	DenyIPs         []string     `json:"deny_ips"`
	ConnectTimeout  string       `json:"connect_timeout"`
	ResponseTimeout string       `json:"response_timeout"`
	MaxBodyBytes    int64        `json:"max_body_bytes"`
	TargetCA        string       `json:"target_ca,omitempty"`
	TargetTLSVerify *bool        `json:"target_tls_verify,omitempty"` // false: whatever certificate a target has is taken; nil: the daemon is older
	HealthCheck     *HealthCheck `json:"health_check"`
	Maintenance     bool         `json:"maintenance"`
	MaintenanceNote string       `json:"maintenance_note,omitempty"`
	Compress        bool         `json:"compress"`
	AccessLog       bool         `json:"access_log"`

	Health    *RouteHealth `json:"health"` // nil while it is not served
	CreatedAt time.Time    `json:"created_at"`
	UpdatedAt time.Time    `json:"updated_at"`
	Revision  int64        `json:"revision"`
}

// Unverified tells that whatever certificate a target has is taken.
func (r Route) Unverified() bool { return r.TargetTLSVerify != nil && !*r.TargetTLSVerify }

// Header is set, or with an empty value taken away.
type Header struct {
	Name  string `json:"name"`
	Value string `json:"value,omitempty"`
	// Secret tells that it has a value that is not answered; sent back so, the value stays.
	Secret bool `json:"secret,omitempty"`
}

// HealthCheck asks each target on and on.
type HealthCheck struct {
	Path     string `json:"path"`
	Interval string `json:"interval,omitempty"`
	Timeout  string `json:"timeout,omitempty"`
	Passes   int    `json:"passes,omitempty"`
	Fails    int    `json:"fails,omitempty"`
}

// RouteHealth is how a route and its targets do.
type RouteHealth struct {
	Counted       bool           `json:"counted"`  // false: nobody counts requests
	Requests      int64          `json:"requests"` // since the route was made
	Errors        int64          `json:"errors"`
	Open          int64          `json:"open"`
	LastRequestAt time.Time      `json:"last_request_at,omitzero"`
	Targets       []TargetHealth `json:"targets"`
}

// TargetHealth is how a target does.
type TargetHealth struct {
	Target       string    `json:"target"`
	URL          string    `json:"url,omitempty"`
	State        string    `json:"state"` // up, not_asked, down, stopped or unreachable
	Detail       string    `json:"detail,omitempty"`
	Said         string    `json:"said,omitempty"` // by an engine, in its own words
	Remedy       string    `json:"remedy,omitempty"`
	StoppedSince time.Time `json:"stopped_since,omitzero"`
	Open         int64     `json:"open"`
	LastAnswerAt time.Time `json:"last_answer_at,omitzero"`
}

// RouteFields are what is said of a route or a standalone proxy. Nil stays, or is the default.
type RouteFields struct {
	Domains    *[]string `json:"domains,omitempty"`
	PathPrefix *string   `json:"path_prefix,omitempty"`
	Enabled    *bool     `json:"enabled,omitempty"`
	Notes      *string   `json:"notes,omitempty"`

	StripPrefix     *bool         `json:"strip_prefix,omitempty"`
	RewriteHost     *bool         `json:"rewrite_host,omitempty"`
	WebSockets      *bool         `json:"websockets,omitempty"`
	TLS             *string       `json:"tls,omitempty"`
	Certificate     *string       `json:"certificate,omitempty"`
	RedirectHTTPS   *bool         `json:"redirect_https,omitempty"`
	HSTSSeconds     *int          `json:"hsts_seconds,omitempty"`
	RedirectTo      *string       `json:"redirect_to,omitempty"`
	RedirectCode    *int          `json:"redirect_code,omitempty"`
	RequestHeaders  *[]Header     `json:"request_headers,omitempty"`
	ResponseHeaders *[]Header     `json:"response_headers,omitempty"`
	BasicAuth       *[]Credential `json:"basic_auth,omitempty"`
	AllowIPs        *[]string     `json:"allow_ips,omitempty"`
	DenyIPs         *[]string     `json:"deny_ips,omitempty"`
	ConnectTimeout  *string       `json:"connect_timeout,omitempty"`
	ResponseTimeout *string       `json:"response_timeout,omitempty"`
	MaxBodyBytes    *int64        `json:"max_body_bytes,omitempty"`
	TargetCA        *string       `json:"target_ca,omitempty"` // PEM; empty: the authorities of the system
	TargetTLSVerify *bool         `json:"target_tls_verify,omitempty"`
	HealthCheck     *HealthCheck  `json:"health_check,omitempty"` // one without a path takes it away
	Maintenance     *bool         `json:"maintenance,omitempty"`
	MaintenanceNote *string       `json:"maintenance_note,omitempty"`
	Compress        *bool         `json:"compress,omitempty"`
	AccessLog       *bool         `json:"access_log,omitempty"`
}

// Credential lets somebody in. Without a password the one stays that the name has.
type Credential struct {
	User     string `json:"user"`
	Password string `json:"password,omitempty"`
}

// ProxyFields are what is said of a standalone proxy.
type ProxyFields struct {
	Targets *[]string `json:"targets,omitempty"`
	RouteFields
}

// StageRouteFields are what is said of the route of a stage. StageID is for a new one only.
type StageRouteFields struct {
	StageID    string  `json:"stage_id,omitempty"`
	InstanceID *string `json:"instance_id,omitempty"` // nil for a new one: the instance that serves
	Port       *int    `json:"port,omitempty"`
	RouteFields
}

// RouteQuery selects routes or standalone proxies.
type RouteQuery struct {
	ProjectID, StageID, InstanceID string // of routes only
	LeadsTo                        string // of routes only: gone, missing, stopped, stale or leftover
	Text                           string
	Enabled                        *bool
	Limit                          int
	Cursor                         string
}

func (q RouteQuery) values() url.Values {
	v := url.Values{}
	for name, text := range map[string]string{"project_id": q.ProjectID, "stage_id": q.StageID, "instance_id": q.InstanceID, "leads_to": q.LeadsTo, "text": q.Text, "cursor": q.Cursor} {
		if text != "" {
			v.Set(name, text)
		}
	}
	if q.Enabled != nil {
		v.Set("enabled", strconv.FormatBool(*q.Enabled))
	}
	if q.Limit > 0 {
		v.Set("limit", strconv.Itoa(q.Limit))
	}
	return v
}

// RouteTest is what came of trying targets.
type RouteTest struct {
	OK      bool         `json:"ok"`
	Targets []TargetTest `json:"targets"`
}

// TargetTest is what came of trying one.
type TargetTest struct {
	Target string     `json:"target"`
	URL    string     `json:"url,omitempty"`
	OK     bool       `json:"ok"`
	Remedy string     `json:"remedy,omitempty"`
	Steps  []TestStep `json:"steps"`
}

// TestStep is one step of it.
type TestStep struct {
	Name   string `json:"name"` // find, name, dial or answer
	OK     bool   `json:"ok"`
	Detail string `json:"detail"`
	TookMS int64  `json:"took_ms"`
}

// Routing is what is served, and whether it is what is asked for.
type Routing struct {
	Listen      string    `json:"listen,omitempty"`       // empty: nowhere
	ListenHTTPS string    `json:"listen_https,omitempty"` // the same over TLS
	State       string    `json:"state"`                  // off, pending, in_step, refused, away, drifted or unreachable
	DesiredHash string    `json:"desired_hash,omitempty"`
	AppliedHash string    `json:"applied_hash,omitempty"`
	Routes      int       `json:"routes"`
	AppliedAt   time.Time `json:"applied_at,omitzero"`
	Error       string    `json:"error,omitempty"`
	ErrorAt     time.Time `json:"error_at,omitzero"`

	DataPlane *DataPlane `json:"data_plane,omitempty"` // nil: the daemon serves by itself
	Driver    *Driver    `json:"driver,omitempty"`     // nil: the built-in proxy
}

// DataPlane is the process that serves, where that is one of its own.
type DataPlane struct {
	Socket    string    `json:"socket"`
	Version   string    `json:"version,omitempty"`
	PID       int       `json:"pid,omitempty"`
	StartedAt time.Time `json:"started_at,omitzero"`
	Away      string    `json:"away,omitempty"` // why it cannot be reached
}

// Driver is a proxy that is a program of its own.
type Driver struct {
	Name       string    `json:"name"` // caddy or traefik
	Version    string    `json:"version,omitempty"`
	Error      string    `json:"error,omitempty"` // why it cannot be told, or does not ask
	ErrorAt    time.Time `json:"error_at,omitzero"`
	Drift      string    `json:"drift,omitempty"` // how what it answers by differs from what was applied
	DriftSince time.Time `json:"drift_since,omitzero"`
	Mends      bool      `json:"mends"` // drift is undone by itself
	SeenAt     time.Time `json:"seen_at,omitzero"`
	SeenFrom   string    `json:"seen_from,omitempty"`
}

// RouteLabels are Docker labels by which Traefik would serve a route.
type RouteLabels struct {
	Labels  map[string]string `json:"labels"`
	Missing []string          `json:"missing"` // labels in which a secret has to be written
}

// Proxies lists standalone proxies, by their first address.
func (c *Client) Proxies(ctx context.Context, q RouteQuery) (List[Route], error) {
	return c.listRoutes(ctx, "/api/proxies", q)
}

// Routes lists routes of stages, by their first address.
func (c *Client) Routes(ctx context.Context, q RouteQuery) (List[Route], error) {
	return c.listRoutes(ctx, "/api/routes", q)
}

func (c *Client) listRoutes(ctx context.Context, path string, q RouteQuery) (List[Route], error) {
	var l List[Route]
	err := c.do(ctx, call{method: http.MethodGet, path: path, query: q.values()}, &l)
	return l, err
}

// Proxy returns one by id or by domain.
func (c *Client) Proxy(ctx context.Context, idOrDomain string) (Route, error) {
	return c.route(ctx, call{method: http.MethodGet, path: "/api/proxies/" + part(idOrDomain)})
}

// Route returns one by id or by domain.
func (c *Client) Route(ctx context.Context, idOrDomain string) (Route, error) {
	return c.route(ctx, call{method: http.MethodGet, path: "/api/routes/" + part(idOrDomain)})
}

func (c *Client) route(ctx context.Context, what call) (Route, error) {
	var r Route
	err := c.do(ctx, what, &r)
	return r, err
}

// CreateProxy leads domains to any target.
func (c *Client) CreateProxy(ctx context.Context, n ProxyFields) (Route, error) {
	return c.route(ctx, call{method: http.MethodPost, path: "/api/proxies", body: n})
}

// CreateRoute leads domains to an instance of a stage.
func (c *Client) CreateRoute(ctx context.Context, n StageRouteFields) (Route, error) {
	return c.route(ctx, call{method: http.MethodPost, path: "/api/routes", body: n})
}

// UpdateProxy changes what is not nil, if the revision is the one that was seen; 0: whatever it is now.
func (c *Client) UpdateProxy(ctx context.Context, idOrDomain string, revision int64, change ProxyFields) (Route, error) {
	return c.changeRoute(ctx, "/api/proxies/"+part(idOrDomain), revision, change, change.HealthCheck)
}

// UpdateRoute changes what is not nil, if the revision is the one that was seen; 0: whatever it is now.
func (c *Client) UpdateRoute(ctx context.Context, idOrDomain string, revision int64, change StageRouteFields) (Route, error) {
	return c.changeRoute(ctx, "/api/routes/"+part(idOrDomain), revision, change, change.HealthCheck)
}

func (c *Client) changeRoute(ctx context.Context, path string, revision int64, change any, check *HealthCheck) (Route, error) {
	text, err := json.Marshal(change)
	if err != nil {
		return Route{}, fmt.Errorf("write the change: %w", err)
	}
	body := map[string]any{}
	if err := json.Unmarshal(text, &body); err != nil {
		return Route{}, fmt.Errorf("write the change: %w", err)
	}
	if check != nil && check.Path == "" {
		body["health_check"] = nil
	}
	return c.route(ctx, call{method: http.MethodPatch, path: path, body: body, header: ifMatch(revision)})
}

// SwitchProxy has a standalone proxy served again, or no more.
func (c *Client) SwitchProxy(ctx context.Context, idOrDomain string, on bool) (Route, error) {
	return c.route(ctx, call{method: http.MethodPost, path: "/api/proxies/" + part(idOrDomain) + switchWay(on)})
}

// SwitchRoute has a route of a stage served again, or no more.
func (c *Client) SwitchRoute(ctx context.Context, idOrDomain string, on bool) (Route, error) {
	return c.route(ctx, call{method: http.MethodPost, path: "/api/routes/" + part(idOrDomain) + switchWay(on)})
}

func switchWay(on bool) string {
	if on {
		return "/enable"
	}
	return "/disable"
}

// DeleteProxy removes a standalone proxy.
func (c *Client) DeleteProxy(ctx context.Context, idOrDomain string) error {
	return c.do(ctx, call{method: http.MethodDelete, path: "/api/proxies/" + part(idOrDomain)}, nil)
}

// DeleteRoute removes a route of a stage.
func (c *Client) DeleteRoute(ctx context.Context, idOrDomain string) error {
	return c.do(ctx, call{method: http.MethodDelete, path: "/api/routes/" + part(idOrDomain)}, nil)
}

// ProxyTrial is what is tried before anything is saved.
type ProxyTrial struct {
	Targets         []string `json:"targets"`
	Domain          string   `json:"domain,omitempty"` // empty: the target's own name
	Path            string   `json:"path,omitempty"`
	TargetCA        string   `json:"target_ca,omitempty"`
	TargetTLSVerify *bool    `json:"target_tls_verify,omitempty"`
}

// TryProxy tries targets before anything is saved.
func (c *Client) TryProxy(ctx context.Context, trial ProxyTrial) (RouteTest, error) {
	return c.tryRoute(ctx, "/api/proxies/test", trial)
}

// TestProxy tries the targets of a standalone proxy.
func (c *Client) TestProxy(ctx context.Context, idOrDomain string) (RouteTest, error) {
	return c.tryRoute(ctx, "/api/proxies/"+part(idOrDomain)+"/test", nil)
}

// TestRoute tries the instance that a route leads to.
func (c *Client) TestRoute(ctx context.Context, idOrDomain string) (RouteTest, error) {
	return c.tryRoute(ctx, "/api/routes/"+part(idOrDomain)+"/test", nil)
}

// RouteLabels are the labels of a container by which Traefik's Docker provider would serve a route.
func (c *Client) RouteLabels(ctx context.Context, idOrDomain string) (RouteLabels, error) {
	var l RouteLabels
	err := c.do(ctx, call{method: http.MethodGet, path: "/api/routes/" + part(idOrDomain) + "/labels"}, &l)
	return l, err
}

func (c *Client) tryRoute(ctx context.Context, path string, body any) (RouteTest, error) {
	var t RouteTest
	err := c.do(ctx, call{method: http.MethodPost, path: path, body: body}, &t)
	return t, err
}

// ProxyHealth tells how a standalone proxy does.
func (c *Client) ProxyHealth(ctx context.Context, idOrDomain string) (RouteHealth, error) {
	var h RouteHealth
	err := c.do(ctx, call{method: http.MethodGet, path: "/api/proxies/" + part(idOrDomain) + "/health"}, &h)
	return h, err
}

// RouteHealth tells how a route does.
func (c *Client) RouteHealth(ctx context.Context, idOrDomain string) (RouteHealth, error) {
	var h RouteHealth
	err := c.do(ctx, call{method: http.MethodGet, path: "/api/routes/" + part(idOrDomain) + "/health"}, &h)
	return h, err
}

// Routing tells what is served, and whether it is what is asked for.
func (c *Client) Routing(ctx context.Context) (Routing, error) {
	var r Routing
	err := c.do(ctx, call{method: http.MethodGet, path: "/api/routing"}, &r)
	return r, err
}
