package api

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/tiny-forge/docker-watcher/internal/proxy"
	"github.com/tiny-forge/docker-watcher/internal/routing"
	"github.com/tiny-forge/docker-watcher/internal/store"
)

// RouteFields are what is said of a route or a standalone proxy. What is absent stays, or is the default.
type RouteFields struct {
	Domains    *[]string `json:"domains,omitempty" maxItems:"100" nullable:"false" doc:"names such as app.example.com, each leading to one place only"`
	PathPrefix *string   `json:"path_prefix,omitempty" maxLength:"512" doc:"such as /api; default /"`
	Enabled    *bool     `json:"enabled,omitempty"`
	Notes      *string   `json:"notes,omitempty" maxLength:"2000" doc:"for people"`

	StripPrefix     *bool                     `json:"strip_prefix,omitempty" doc:"the target does not see the path prefix"`
	RewriteHost     *bool                     `json:"rewrite_host,omitempty" doc:"the target sees its own name as the host"`
	WebSockets      *bool                     `json:"websockets,omitempty" doc:"default true"`
	TLS             *string                   `json:"tls,omitempty" enum:"off,auto,internal,own" doc:"default off. All routes of one domain that have any have the same"`
	Certificate     *string                   `json:"certificate,omitempty" maxLength:"100" doc:"with the tls own: the name under which it was uploaded"`
	RedirectHTTPS   *bool                     `json:"redirect_https,omitempty" doc:"who comes over http is sent to https"`
	HSTSSeconds     *int                      `json:"hsts_seconds,omitempty" doc:"said only to who came over TLS; from 0 to 94608000"`
	RedirectTo      *string                   `json:"redirect_to,omitempty" maxLength:"2000" doc:"no target is asked: who comes is sent there. One without a path is followed by that of the request"`
	RedirectCode    *int                      `json:"redirect_code,omitempty" doc:"301, 302, 303, 307 or 308; default 307"`
	RequestHeaders  *[]headerJSON             `json:"request_headers,omitempty" maxItems:"50" nullable:"false" doc:"set before the target is asked"`
	ResponseHeaders *[]headerJSON             `json:"response_headers,omitempty" maxItems:"50" nullable:"false" doc:"set in what the client gets"`
	BasicAuth       *[]credentialJSON         `json:"basic_auth,omitempty" maxItems:"100" nullable:"false" doc:"who may come in; empty: everybody"`
	AllowIPs        *[]string                 `json:"allow_ips,omitempty" maxItems:"500" nullable:"false" doc:"addresses and networks; empty: all"`
	DenyIPs         *[]string                 `json:"deny_ips,omitempty" maxItems:"500" nullable:"false"`
	ConnectTimeout  *string                   `json:"connect_timeout,omitempty" maxLength:"20" doc:"100ms to 1m, default 5s"`
	ResponseTimeout *string                   `json:"response_timeout,omitempty" maxLength:"20" doc:"until the head of the answer: 100ms to 1h, default 1m"`
	MaxBodyBytes    *int64                    `json:"max_body_bytes,omitempty" doc:"0: any"`
	TargetCA        *string                   `json:"target_ca,omitempty" maxLength:"65536" doc:"PEM: who is trusted for targets over https, instead of the authorities of the system: the certificate of their authority, or of a target that has signed itself. Empty: those of the system"`
	TargetTLSVerify *bool                     `json:"target_tls_verify,omitempty" doc:"default true; false: whatever certificate a target has is taken, so that who stands between can be the target"`
	HealthCheck     optional[healthCheckJSON] `json:"health_check,omitzero" doc:"null: none"`
	Maintenance     *bool                     `json:"maintenance,omitempty" doc:"a page says that it is being worked on"`
	MaintenanceNote *string                   `json:"maintenance_note,omitempty" maxLength:"500"`
	Compress        *bool                     `json:"compress,omitempty" doc:"text is answered as gzip to clients that take it; default false"`
	AccessLog       *bool                     `json:"access_log,omitempty" doc:"each request is a line of the log of who serves, without its query; default false"`
}

type credentialJSON struct {
	User     string `json:"user" minLength:"1" maxLength:"200"`
	Password string `json:"password,omitempty" maxLength:"72" writeOnly:"true" doc:"8 to 72 characters; sent, never answered. Absent: it stays"`

	hash string // what is kept of the password
}

// wrongRoute gathers what is wrong with the fields of a route.
func wrongRoute(fields []ProblemField) error {
	if len(fields) == 0 {
		return nil
	}
	p := newProblem(http.StatusUnprocessableEntity, codeInvalid, "the request is invalid, nothing was done")
	p.Errors = fields
	return p
}

// applyWhole writes what is said into a route, domains and paths as tables hold them. What cannot be written is told with all else that is
// wrong with the row by itself, at once.
// Targets are those that are new.
func (f RouteFields) applyWhole(ctx context.Context, hosts routing.Named, policy proxy.Policy, r *store.Route, targets []string) error {
	wrong, err := f.apply(r)
	if err != nil {
		return err
	}
	unknown, err := routing.UnknownHosts(ctx, hosts, targets)
	if err != nil {
		return err
	}
	if len(wrong)+len(unknown) == 0 {
		return nil // what is wrong with the row by itself is told with what is wrong with it in the table
	}
	for _, w := range append(routing.WrongFields(*r, policy), unknown...) {
		if field := "body." + w.Field; !saidOf(wrong, field) {
			wrong = append(wrong, ProblemField{field, w.Reason})
		}
	}
	return wrongRoute(wrong)
}

// saidOf tells that something is said of a field already, or of a part of it.
func saidOf(wrong []ProblemField, field string) bool {
	return slices.ContainsFunc(wrong, func(w ProblemField) bool {
		return w.Location == field || strings.HasPrefix(w.Location, field+".")
	})
}

func (f RouteFields) apply(r *store.Route) (wrong []ProblemField, err error) {
	f.applyAddresses(r, &wrong)
	setIf(&r.Enabled, f.Enabled)
	setIf(&r.Notes, f.Notes)
	o, err := routing.OptionsOf(*r)
	if err != nil {
		o = proxy.Options{} // what cannot be read is written anew
	}
	f.applyOptions(&o, &wrong)
	f.applyTLS(r, &o)
	return wrong, routing.SetOptions(r, o)
}

func (f RouteFields) applyAddresses(r *store.Route, wrong *[]ProblemField) {
	var names []string
	prefix := "/"
	for _, d := range r.Domains {
		names, prefix = append(names, d.Domain), d.PathPrefix
	}
	setIf(&names, f.Domains)
	setIf(&prefix, f.PathPrefix)
	clean, err := proxy.CleanPrefix(prefix)
	if err != nil {
		*wrong = append(*wrong, ProblemField{"body.path_prefix", err.Error()})
	}
	r.Domains = nil
	seen := map[string]bool{}
	for i, name := range names {
		d, err := proxy.CleanDomain(name)
		if err != nil {
			*wrong = append(*wrong, ProblemField{fmt.Sprintf("body.domains[%d]", i), err.Error()})
		}
		if seen[d] && err == nil {
			*wrong = append(*wrong, ProblemField{fmt.Sprintf("body.domains[%d]", i), d + " is there twice"})
		}
		seen[d] = true
		r.Domains = append(r.Domains, store.RouteAddress{Domain: d, PathPrefix: clean})
	}
}

// applyTLS writes the way to a certificate, which a row keeps apart from its options. A name of one does not outlive the way own.
func (f RouteFields) applyTLS(r *store.Route, o *proxy.Options) {
	setIf(&r.TLS, f.TLS)
	setIf(&o.Certificate, f.Certificate)
	if f.Certificate == nil && proxy.TLS(r.TLS) != proxy.TLSOwn {
		o.Certificate = ""
	}
}

func (f RouteFields) applyOptions(o *proxy.Options, wrong *[]ProblemField) {
	setIf(&o.StripPrefix, f.StripPrefix)
	setIf(&o.RewriteHost, f.RewriteHost)
	if f.WebSockets != nil {
		o.NoWebSockets = !*f.WebSockets
	}
	setIf(&o.RedirectHTTPS, f.RedirectHTTPS)
	setIf(&o.HSTSSeconds, f.HSTSSeconds)
	setIf(&o.RedirectTo, f.RedirectTo)
	setIf(&o.RedirectCode, f.RedirectCode)
	setIf(&o.AllowIPs, f.AllowIPs)
	setIf(&o.DenyIPs, f.DenyIPs)
	setIf(&o.MaxBodyBytes, f.MaxBodyBytes)
	setIf(&o.TargetCA, f.TargetCA)
	if f.TargetTLSVerify != nil {
		o.TargetUnverified = !*f.TargetTLSVerify
	}
	setIf(&o.Maintenance, f.Maintenance)
	setIf(&o.MaintenanceNote, f.MaintenanceNote)
	setIf(&o.Compress, f.Compress)
	setIf(&o.AccessLog, f.AccessLog)
	setHeaders("request_headers", &o.RequestHeaders, f.RequestHeaders, wrong)
	setHeaders("response_headers", &o.ResponseHeaders, f.ResponseHeaders, wrong)
	setSpan("connect_timeout", &o.ConnectTimeout, f.ConnectTimeout, wrong)
	setSpan("response_timeout", &o.ResponseTimeout, f.ResponseTimeout, wrong)
	if f.BasicAuth != nil {
		o.BasicAuth = admitted(*f.BasicAuth, o.BasicAuth, wrong)
	}
	if !f.HealthCheck.set {
		return
	}
	o.HealthCheck = nil
	if h := f.HealthCheck.value; !f.HealthCheck.null {
		o.HealthCheck = &proxy.HealthCheck{Path: h.Path, Passes: h.Passes, Fails: h.Fails}
		setSpan("health_check.interval", &o.HealthCheck.Interval, &h.Interval, wrong)
		setSpan("health_check.timeout", &o.HealthCheck.Timeout, &h.Timeout, wrong)
	}
}

// setHeaders sets headers anew. One that is sent back without its secret value gets the former one of its name, of several each its
// own; where there is none it is wrong, as without a value it would take the header away.
func setHeaders(field string, to *[]proxy.Header, from *[]headerJSON, wrong *[]ProblemField) {
	if from == nil {
		return
	}
	former := slices.Clone(*to)
	*to = nil
	for i, h := range *from {
		at := slices.IndexFunc(former, func(f proxy.Header) bool { return f.Value != "" && strings.EqualFold(f.Name, h.Name) })
		switch {
		case h.Secret && h.Value == "" && at < 0:
			*wrong = append(*wrong, ProblemField{fmt.Sprintf("body.%s[%d]", field, i), h.Name + " has no former value that could stay: send its value, or leave secret out to take the header away"})
		case h.Secret && h.Value == "":
			h.Value = former[at].Value
		}
		if at >= 0 {
			former = slices.Delete(former, at, at+1)
		}
		*to = append(*to, proxy.Header{Name: h.Name, Value: h.Value})
	}
}

func setSpan(field string, to *proxy.Span, text *string, wrong *[]ProblemField) {
	if text == nil {
		return
	}
	if err := to.UnmarshalText([]byte(*text)); err != nil {
		*wrong = append(*wrong, ProblemField{"body." + field, "a duration such as 10s is wanted"})
	}
}

// admitted are who may come in, by what was made of their new passwords before (passwords.keep); those that are not given stay as they are.
func admitted(people []credentialJSON, former []proxy.Credential, wrong *[]ProblemField) (out []proxy.Credential) {
	for i, p := range people {
		c := proxy.Credential{User: p.User, Hash: formerHash(former, p.User)}
		if p.Password != "" {
			if err := proxy.CheckPassword(p.Password); err != nil {
				*wrong = append(*wrong, ProblemField{fmt.Sprintf("body.basic_auth[%d].password", i), err.Error()})
			}
			c.Hash = p.hash
		}
		out = append(out, c)
	}
	return out
}

type createProxyIn struct {
	Body struct {
		Targets []string `json:"targets,omitempty" maxItems:"20" nullable:"false" doc:"http://10.0.0.5:3000, https://app.internal, container:NAME:PORT or container:NAME:PORT@HOST; several share the requests"`
		RouteFields
	}
}

func (s *server) createProxy(ctx context.Context, in *createProxyIn) (*versioned[routeJSON], error) {
	r := store.Route{
		ID: store.NewID(), Standalone: true, Targets: in.Body.Targets, Owner: actorOf(ctx), TLS: "off", Options: "{}", Enabled: true,
		CreatedAt: time.Now(), Revision: 1,
	}
	if err := s.passwords.keep(ctx, &in.Body.RouteFields, nil); err != nil {
		return nil, err
	}
	if err := in.Body.applyWhole(ctx, s.d.DB, s.d.Routes.Policy, &r, r.Targets); err != nil {
		return nil, err
	}
	return s.saveRoute(ctx, r, true, routeEvent(ctx, r, "created", nil))
}

type createRouteIn struct {
	Body struct {
		StageID    string `json:"stage_id" minLength:"1" maxLength:"100"`
		InstanceID string `json:"instance_id,omitempty" maxLength:"100" doc:"of the stage; absent: the one that serves. Of a stage whose tags run side by side it has to be named, and the route stays with it"`
		Port       int    `json:"port" minimum:"1" maximum:"65535" doc:"of the container"`
		RouteFields
	}
}

func (s *server) createRoute(ctx context.Context, in *createRouteIn) (*versioned[routeJSON], error) {
	stage, err := s.d.DB.Stage(ctx, in.Body.StageID)
	if errors.Is(err, store.ErrNotFound) || err == nil && !visible(ctx).Has(stage.ProjectID) {
		return nil, invalid("body.stage_id", "there is no such stage")
	}
	if err != nil {
		return nil, err
	}
	if v := visitOf(ctx); !roleIn(ctx, stage.ProjectID).Covers(operator) {
		return nil, s.forbidden(v, "create-route", operator, "")
	}
	// Before it is asked who serves: that may be another one by the time that all are hashed.
	if err := s.passwords.keep(ctx, &in.Body.RouteFields, nil); err != nil {
		return nil, err
	}
	inst, err := s.servingOf(ctx, stage, in.Body.InstanceID)
	if err != nil {
		return nil, err
	}
	r := store.Route{
		ID: store.NewID(), ProjectID: stage.ProjectID, StageID: stage.ID, InstanceID: inst.ID, Port: in.Body.Port, Owner: actorOf(ctx), TLS: "off", Options: "{}", Enabled: true,
		CreatedAt: time.Now(), Revision: 1,
	}
	if err := in.Body.applyWhole(ctx, s.d.DB, s.d.Routes.Policy, &r, nil); err != nil {
		return nil, err
	}
	return s.saveRoute(ctx, r, true, routeEvent(ctx, r, "created", nil))
}

// servingOf is the instance of a stage to which a route leads: the one that is named, else the newest that runs.
func (s *server) servingOf(ctx context.Context, stage store.Stage, id string) (store.InstanceView, error) {
	if id != "" {
		inst, err := s.d.DB.Instance(ctx, id)
		if errors.Is(err, store.ErrNotFound) || err == nil && inst.StageID != stage.ID {
			return inst, invalid("body.instance_id", "the stage has no such instance")
		}
		return inst, err
	}
	if stage.Strategy == store.StrategyParallel {
		return store.InstanceView{}, invalid("body.instance_id", "the tags of this stage run side by side, so it has to be said to which instance the route leads: it stays with that one and goes with it. "+
			"A domain for each tag is given by the domain template of the stage")
	}
	running, _, err := s.d.DB.Instances(ctx, store.InstanceFilter{StageID: stage.ID, Statuses: []store.Status{store.StatusRunning}}, store.Page{Limit: 1})
	if err != nil {
		return store.InstanceView{}, err
	}
	if len(running) == 0 {
		return store.InstanceView{}, newProblem(http.StatusConflict, codeWrongState, "no instance of the stage runs, so there is nothing to lead to").
			hint("deploy the stage first, or name an instance of it with instance_id")
	}
	return running[0], nil
}

type updateProxyIn struct {
	ByID
	Match
	Body struct {
		Targets *[]string `json:"targets,omitempty" maxItems:"20" nullable:"false"`
		RouteFields
	}
}

func (s *server) updateProxy(ctx context.Context, in *updateProxyIn) (*versioned[routeJSON], error) {
	if in.Body.Targets == nil && in.Body.onlySwitches() {
		return s.switchRoute(ctx, &Seen{in.ByID, in.Match}, true, *in.Body.Enabled)
	}
	return s.changeRoute(ctx, in.ID, true, in.Match, in.Body.RouteFields, func(r *store.Route) error {
		setIf(&r.Targets, in.Body.Targets)
		return nil
	})
}

type updateRouteIn struct {
	ByID
	Match
	Body struct {
		InstanceID *string `json:"instance_id,omitempty" maxLength:"100" doc:"another instance of the stage"`
		Port       *int    `json:"port,omitempty" minimum:"1" maximum:"65535"`
		RouteFields
	}
}

func (s *server) updateRoute(ctx context.Context, in *updateRouteIn) (*versioned[routeJSON], error) {
	if in.Body.InstanceID == nil && in.Body.Port == nil && in.Body.onlySwitches() {
		return s.switchRoute(ctx, &Seen{in.ByID, in.Match}, false, *in.Body.Enabled)
	}
	return s.changeRoute(ctx, in.ID, false, in.Match, in.Body.RouteFields, func(r *store.Route) error {
		setIf(&r.Port, in.Body.Port)
		if in.Body.InstanceID == nil {
			return nil
		}
		inst, err := s.servingOf(ctx, store.Stage{ID: r.StageID}, *in.Body.InstanceID)
		r.InstanceID = inst.ID
		return err
	})
}

// changeRoute changes a route as it is now, if it is the one that was seen.
func (s *server) changeRoute(ctx context.Context, id string, standalone bool, seen Match, fields RouteFields, change func(*store.Route) error) (*versioned[routeJSON], error) {
	v, err := s.findRoute(ctx, id, standalone)
	if err != nil {
		return nil, err
	}
	if err := seen.check(v.Revision); err != nil {
		return nil, err
	}
	r := v.Route
	r.Domains, r.Targets = slices.Clone(v.Domains), slices.Clone(v.Targets)
	if err := change(&r); err != nil {
		return nil, err
	}
	var targets []string
	if !slices.Equal(r.Targets, v.Targets) {
		targets = r.Targets
	}
	if err := s.passwords.keep(ctx, &fields, peopleOf(v.Route)); err != nil {
		return nil, err
	}
	if err := fields.applyWhole(ctx, s.d.DB, s.d.Routes.Policy, &r, targets); err != nil {
		return nil, err
	}
	return s.saveRoute(ctx, r, false, updatedRoute(ctx, v.Route, r, changedRoute(v.Route, r)))
}

func (s *server) enableProxy(ctx context.Context, in *Seen) (*versioned[routeJSON], error) {
	return s.switchRoute(ctx, in, true, true)
}

func (s *server) disableProxy(ctx context.Context, in *Seen) (*versioned[routeJSON], error) {
	return s.switchRoute(ctx, in, true, false)
}

func (s *server) enableRoute(ctx context.Context, in *Seen) (*versioned[routeJSON], error) {
	return s.switchRoute(ctx, in, false, true)
}

func (s *server) disableRoute(ctx context.Context, in *Seen) (*versioned[routeJSON], error) {
	return s.switchRoute(ctx, in, false, false)
}

// onlySwitches tells that a change says nothing but whether it is to be served.
func (f RouteFields) onlySwitches() bool {
	return f.Enabled != nil && f == RouteFields{Enabled: f.Enabled}
}

func (s *server) switchRoute(ctx context.Context, in *Seen, standalone, on bool) (*versioned[routeJSON], error) {
	v, err := s.findRoute(ctx, in.ID, standalone)
	if err != nil {
		return nil, err
	}
	if err := in.check(v.Revision); err != nil {
		return nil, err
	}
	if v.Enabled == on {
		return s.shownRoute(ctx, v)
	}
	r, kind := v.Route, "disabled"
	if r.Enabled = on; on {
		kind = "enabled"
	}
	return s.saveRoute(ctx, r, false, routeEvent(ctx, r, kind, nil))
}

// saveRoute writes a route, if the table with it is good, and has it served.
func (s *server) saveRoute(ctx context.Context, r store.Route, fresh bool, e store.Event) (*versioned[routeJSON], error) {
	err := s.d.DB.Update(ctx, func(tx *store.Tx) error {
		write := tx.UpdateRoute
		if fresh {
			write = tx.InsertRoute
		}
		if err := write(ctx, r); err != nil {
			return err
		}
		if e.Kind != "route.disabled" && e.Kind != "proxy.disabled" { // what is in the way of others can always be switched off
			if err := s.savable(ctx, tx, r); err != nil {
				return err
			}
		}
		return tx.Emit(ctx, e)
	})
	if err != nil {
		return nil, takenRoute(err)
	}
	if err := s.serveRoutes(ctx); err != nil {
		return nil, err
	}
	return s.routeNow(ctx, r.ID, r.Standalone)
}

// savable says why a route that was written cannot stay so.
func (s *server) savable(ctx context.Context, tx *store.Tx, r store.Route) error {
	if err := s.domainsOfOthers(ctx, tx, r); err != nil {
		return err
	}
	if err := s.routeFaults(ctx, tx, r); err != nil {
		return err
	}
	return s.certificateFault(r)
}

// domainsOfOthers refuses a part of a domain that is served for a project that whoever asks has nothing to say in: what answers there would
// be taken for theirs, by browsers too.
func (s *server) domainsOfOthers(ctx context.Context, tx *store.Tx, r store.Route) error {
	among := visible(ctx)
	if among == nil {
		return nil
	}
	var fields []ProblemField
	for i, d := range r.Domains {
		holders, err := tx.DomainHolders(ctx, d.Domain, r.ID)
		if err != nil {
			return err
		}
		for _, projectID := range holders {
			if projectID == "" || !among.Has(projectID) {
				fields = append(fields, ProblemField{fmt.Sprintf("body.domains[%d]", i), d.Domain + " is served for others already: an operator of all projects can divide it"})
				break
			}
		}
	}
	return wrongRoute(fields)
}

// routeFaults says what is wrong with a route in the table as it would become. What is wrong with others is said when the table is
// applied: it must not keep anybody from mending one after the other.
func (s *server) routeFaults(ctx context.Context, tx *store.Tx, r store.Route) error {
	var fields []ProblemField
	for _, f := range routing.Faults(ctx, tx, s.d.Routes.Policy, r.ID) {
		fields = append(fields, ProblemField{"body." + f.Field, f.Reason})
	}
	return wrongRoute(fields)
}

// takenRoute says which address is taken.
func takenRoute(err error) error {
	if field, taken := store.IsRouteTaken(err); taken {
		return newProblem(http.StatusConflict, codeConflict, field.Reason).field("body."+field.Field, "it is taken")
	}
	return err
}

// serveRoutes has what was committed served. The caller may leave meanwhile.
func (s *server) serveRoutes(ctx context.Context) error {
	if s.d.Routes.Router == nil {
		return nil
	}
	return s.d.Routes.Router.Apply(context.WithoutCancel(ctx))
}

func (s *server) deleteProxy(ctx context.Context, in *Seen) (*none, error) {
	return s.removeRoute(ctx, in, true)
}

func (s *server) deleteRoute(ctx context.Context, in *Seen) (*none, error) {
	return s.removeRoute(ctx, in, false)
}

func (s *server) removeRoute(ctx context.Context, in *Seen, standalone bool) (*none, error) {
	v, err := s.findRoute(ctx, in.ID, standalone)
	if err != nil {
		return nil, err
	}
	err = s.d.DB.Update(ctx, func(tx *store.Tx) error {
		del := tx.DeleteRoute
		if standalone {
			del = tx.DeleteProxy
		}
		if v, err = tx.Route(ctx, v.ID); err != nil {
			return err
		}
		if err := in.check(v.Revision); err != nil {
			return err
		}
		if err := del(ctx, v.ID); err != nil {
			return err
		}
		return tx.Emit(ctx, routeEvent(ctx, v.Route, "removed", nil))
	})
	if err != nil {
		return nil, err
	}
	return nil, s.serveRoutes(ctx)
}

// routeEvent is an event of a route. It holds no password and no header's value.
func routeEvent(ctx context.Context, r store.Route, what string, changed []string) store.Event {
	kind, words := "route.", "the route "
	if r.Standalone {
		kind, words = "proxy.", "the standalone proxy "
	}
	var domains []string
	for _, d := range r.Domains {
		domains = append(domains, proxy.Address(d).String())
	}
	name := r.ID
	if len(domains) > 0 {
		name = domains[0]
	}
	e := apiEvent(ctx, kind+what, words+name+" was "+what)
	e.ProjectID, e.StageID, e.InstanceID = r.ProjectID, r.StageID, r.InstanceID
	e.Data["route_id"], e.Data["domains"] = r.ID, domains
	if r.Standalone {
		e.Data["targets"] = r.Targets
	} else {
		e.Data["port"] = r.Port
	}
	if changed != nil {
		e.Data["changed"] = changed
	}
	return e
}

// updatedRoute is the event of a change of a route.
func updatedRoute(ctx context.Context, before, after store.Route, changed []string) store.Event {
	e := routeEvent(ctx, after, "updated", changed)
	e.Differ(routeDifference(before, after, changed))
	return e
}

// routeForm is what the API shows of what somebody said of a route, and of nothing else.
func routeForm(r store.Route) routeJSON {
	j := routeJSON{PathPrefix: "/", Enabled: r.Enabled, TLS: r.TLS, Targets: r.Targets, Notes: r.Notes, InstanceID: r.InstanceID, Port: r.Port}
	for _, d := range r.Domains {
		j.Domains, j.PathPrefix = append(j.Domains, d.Domain), d.PathPrefix
	}
	if o, err := routing.OptionsOf(r); err == nil {
		j.showOptions(o)
	}
	return j
}

// changedRoute names what a change touched.
func changedRoute(before, after store.Route) []string {
	changed := []string{}
	note := func(name string, moved bool) {
		if moved {
			changed = append(changed, name)
		}
	}
	note("domains", !slices.Equal(before.Domains, after.Domains))
	note("targets", !slices.Equal(before.Targets, after.Targets))
	note("instance_id", before.InstanceID != after.InstanceID)
	note("port", before.Port != after.Port)
	note("tls", before.TLS != after.TLS)
	note("enabled", before.Enabled != after.Enabled)
	note("notes", before.Notes != after.Notes)
	old, now := optionTexts(before), optionTexts(after)
	names := map[string]bool{}
	for name, text := range now {
		names[name] = string(old[name]) != string(text)
	}
	for name := range old {
		if _, still := now[name]; !still {
			names[name] = true
		}
	}
	for _, name := range slices.Sorted(maps.Keys(names)) {
		note(name, names[name])
	}
	return changed
}

// optionTexts are the options of a row apart, by their names.
func optionTexts(r store.Route) map[string]json.RawMessage {
	o, err := routing.OptionsOf(r)
	if err != nil {
		return nil // what cannot be read has changed as a whole
	}
	text, err := json.Marshal(o)
	if err != nil {
		return nil // options always can be written
	}
	var texts map[string]json.RawMessage
	if json.Unmarshal(text, &texts) != nil {
		return nil // as above
	}
	return texts
}
