package api

import (
	"cmp"
	"context"
	"net/http"

	"github.com/tiny-forge/docker-watcher/internal/proxy"
	"github.com/tiny-forge/docker-watcher/internal/routing"
	"github.com/tiny-forge/docker-watcher/internal/store"
)

type routeTestJSON struct {
	OK      bool             `json:"ok" doc:"all targets answered"`
	Targets []targetTestJSON `json:"targets" nullable:"false"`
}

type targetTestJSON struct {
	Target string         `json:"target"`
	URL    string         `json:"url,omitempty" doc:"where it is reached"`
	OK     bool           `json:"ok"`
	Remedy string         `json:"remedy,omitempty"`
	Steps  []testStepJSON `json:"steps" nullable:"false"`
}

type testStepJSON struct {
	Name   string `json:"name" enum:"find,name,dial,answer" doc:"find: where a container is; name: its address by DNS; dial: something listens; answer: it answers a GET"`
	OK     bool   `json:"ok"`
	Detail string `json:"detail"`
	TookMS int64  `json:"took_ms"`
}

type tryProxyIn struct {
	Body struct {
		Targets     []string `json:"targets" minItems:"1" maxItems:"20" nullable:"false" doc:"as in a standalone proxy"`
		Path        string   `json:"path,omitempty" maxLength:"1000" doc:"to ask for; default /"`
		Domain      string   `json:"domain,omitempty" maxLength:"253" doc:"to ask for; default the target's own name"`
		RewriteHost bool     `json:"rewrite_host,omitempty"`
		TargetCA    string   `json:"target_ca,omitempty" maxLength:"65536" doc:"as in a standalone proxy"`
		Verify      *bool    `json:"target_tls_verify,omitempty" doc:"as in a standalone proxy"`
	}
}

func (s *server) tryProxy(ctx context.Context, in *tryProxyIn) (*out[routeTestJSON], error) {
	b := in.Body
	path := cmp.Or(b.Path, "/")
	if err := proxy.CheckPath(path); err != nil {
		return nil, invalid("body.path", err.Error())
	}
	v := store.RouteView{Route: store.Route{Standalone: true, Targets: b.Targets}}
	o := proxy.Options{RewriteHost: b.RewriteHost || b.Domain == "", TargetCA: b.TargetCA, TargetUnverified: b.Verify != nil && !*b.Verify}
	if err := o.CheckTrust(); err != nil {
		return nil, invalid("body.target_ca", err.Error())
	}
	if err := routing.SetOptions(&v.Route, o); err != nil {
		return nil, err
	}
	return s.tryTargets(ctx, v, b.Domain, path)
}

func (s *server) testProxy(ctx context.Context, in *ByID) (*out[routeTestJSON], error) {
	return s.tryRoute(ctx, in.ID, true)
}

func (s *server) testRoute(ctx context.Context, in *ByID) (*out[routeTestJSON], error) {
	return s.tryRoute(ctx, in.ID, false)
}

// tryRoute asks the targets of a saved route as its health check does, else for its path.
func (s *server) tryRoute(ctx context.Context, id string, standalone bool) (*out[routeTestJSON], error) {
	v, err := s.findRoute(ctx, id, standalone)
	if err != nil {
		return nil, err
	}
	o, err := routing.OptionsOf(v.Route)
	if err != nil {
		return nil, err
	}
	domain, path := "", "/"
	if len(v.Domains) > 0 {
		domain = v.Domains[0].Domain
		if !o.StripPrefix {
			path = v.Domains[0].PathPrefix
		}
	}
	if o.HealthCheck != nil {
		path = o.HealthCheck.Path
	}
	return s.tryTargets(ctx, v, domain, path)
}

// tryTargets finds each target and tries it. That one does not answer is an answer, and no problem of ours.
func (s *server) tryTargets(ctx context.Context, v store.RouteView, domain, path string) (*out[routeTestJSON], error) {
	policy, err := routing.PolicyNow(ctx, s.d.DB, s.d.Routes.Policy)
	if err != nil {
		return nil, err
	}
	targets, err := routing.Locate(ctx, s.d.DB, s.d.Fleet, policy, v)
	if err != nil {
		return nil, wrongTargets(err)
	}
	o, err := routing.OptionsOf(v.Route)
	if err != nil {
		return nil, err
	}
	result := routeTestJSON{OK: true, Targets: []targetTestJSON{}}
	for _, t := range targets {
		j := targetTestJSON{Target: t.Ref, URL: t.URL, OK: true, Remedy: t.Remedy, Steps: []testStepJSON{}}
		if t.URL == "" || t.Ref != t.URL && t.Why != "" {
			j.OK, j.Steps = false, append(j.Steps, testStepJSON{Name: "find", Detail: t.Why})
		} else {
			for _, step := range proxy.Try(ctx, policy, t.URL, o, domain, path) {
				j.OK = j.OK && step.OK
				j.Steps = append(j.Steps, testStepJSON{Name: step.Name, OK: step.OK, Detail: step.Detail, TookMS: step.Took.Milliseconds()})
			}
		}
		result.OK = result.OK && j.OK
		result.Targets = append(result.Targets, j)
	}
	return answer(result), ctx.Err()
}

// wrongTargets tells a target that cannot be read from other errors.
func wrongTargets(err error) error {
	var fields []ProblemField
	for _, f := range routing.FieldsOf(err) {
		fields = append(fields, ProblemField{"body." + f.Field, f.Reason})
	}
	if wrong := wrongRoute(fields); wrong != nil {
		return wrong
	}
	return err
}

func (s *server) proxyHealth(ctx context.Context, in *ByID) (*out[routeHealthJSON], error) {
	return s.healthNow(ctx, in.ID, true)
}

func (s *server) routeHealth(ctx context.Context, in *ByID) (*out[routeHealthJSON], error) {
	return s.healthNow(ctx, in.ID, false)
}

func (s *server) healthNow(ctx context.Context, id string, standalone bool) (*out[routeHealthJSON], error) {
	v, err := s.findRoute(ctx, id, standalone)
	if err != nil {
		return nil, err
	}
	counts, err := s.requestsOf(ctx, v.ID)
	if err != nil {
		return nil, err
	}
	h, ok := s.healthOf(v.ID, counts[v.ID])
	if !ok {
		p := newProblem(http.StatusConflict, codeNotServed, "it is not served")
		switch s.stateOf(v) {
		case stateNoListener:
			p = p.hint("start the daemon with --proxy-http, such as --proxy-http :80, or with --proxy-socket where 'server proxy' runs")
		case stateUnknown:
			p = p.hint("the data plane cannot be reached: see that 'server proxy' runs; until then it is not known how it does")
		case stateDisabled:
			p = p.hint("it is disabled: enable it")
		default:
			p = p.hint("'docker-watcher proxy state' says what is in the way")
		}
		return nil, p
	}
	return answer(h), nil
}

type routingJSON struct {
	Listen      string `json:"listen,omitempty" doc:"where routes are served over http; absent: nowhere, the daemon was started without --proxy-http or --proxy-socket, or the data plane was never reached"`
	ListenHTTPS string `json:"listen_https,omitempty" doc:"where they are served over TLS; absent: nowhere, the daemon was started without --proxy-https"`
	State       string `json:"state" enum:"off,pending,in_step,refused,away,drifted,unreachable" doc:"refused: the table that is asked for cannot be served, the former one is; pending: none was made yet since the start; away: the data plane cannot be reached, and answers by what it has if it runs; drifted: somebody else changed what another proxy answers by; unreachable: that cannot be told"`
	DesiredHash string `json:"desired_hash,omitempty" doc:"of the table that is asked for"`
	AppliedHash string `json:"applied_hash,omitempty" doc:"of the table that is served"`
	Routes      int    `json:"routes" doc:"of both kinds, in the table that is asked for"`
	AppliedAt   moment `json:"applied_at"`
	Error       string `json:"error,omitempty" doc:"why the table that is asked for is not served"`
	ErrorAt     moment `json:"error_at"`

	Driver    nullable[driverJSON]    `json:"driver" doc:"the proxy that is a program of its own; null: the built-in one"`
	DataPlane nullable[dataPlaneJSON] `json:"data_plane" doc:"null: the daemon serves by itself"`
}

type dataPlaneJSON struct {
	Socket    string `json:"socket" doc:"by which the daemon comes to it"`
	Version   string `json:"version,omitempty" doc:"of the process that serves, when it was last reached"`
	PID       int    `json:"pid,omitempty"`
	StartedAt moment `json:"started_at"`
	Away      string `json:"away,omitempty" doc:"why it cannot be reached; absent: it can"`
}

func (s *server) routingState(context.Context, *none) (*out[routingJSON], error) {
	if s.d.Routes.Router == nil {
		return answer(routingJSON{State: "off"}), nil
	}
	st := s.d.Routes.Router.State()
	http, https := s.d.Routes.listen()
	j := routingJSON{
		Listen: http, ListenHTTPS: https, State: "in_step", DesiredHash: st.Desired, AppliedHash: st.Applied, Routes: st.Rules,
		AppliedAt: moment(st.AppliedAt), Error: st.Error, ErrorAt: moment(st.ErrorAt),
	}
	away := ""
	if s.d.Routes.Apart != nil {
		a := s.d.Routes.Apart()
		away = a.Away
		j.DataPlane.value = &dataPlaneJSON{Socket: a.Socket, Version: a.Version, PID: a.PID, StartedAt: moment(a.Started), Away: a.Away}
	}
	switch {
	case away != "":
		j.State = "away"
	case st.Error != "":
		j.State = "refused"
	case st.AppliedAt.IsZero():
		j.State = "pending"
	}
	s.showDriver(&j)
	return answer(j), nil
}
