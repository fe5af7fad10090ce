// Package routing keeps the proxy in step with the rows and the engines: it makes the table of all enabled routes and standalone proxies,
// works out where each instance is reached now, and has the proxy answer by that table, all or nothing.
//
// A table is made anew when somebody changes a route (Apply), when a deploy switches (Switch), when instances come, go, stop or move, and when
// a target could not be dialled. One table is made at a time; nothing here is called inside of a transaction but Check, which asks no engine.
// Run ends when its context does. Without a listener there is no Router and nothing runs.
package routing

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/tiny-forge/docker-watcher/internal/docker"
	"github.com/tiny-forge/docker-watcher/internal/events"
	"github.com/tiny-forge/docker-watcher/internal/proxy"
	"github.com/tiny-forge/docker-watcher/internal/store"
)

// ErrNotServed is that what was asked for is written down, but not what is answered by.
var ErrNotServed = errors.New("it is not served")

// The kinds of events.
const (
	kindApplied = "routing.applied"
	kindRefused = "routing.refused"
	kindDown    = "target.down"
	kindUp      = "target.up"
	kindAway    = "routing.away"
	kindBack    = "routing.back"
)

const (
	applyTimeout = 25 * time.Second // within the time of a switch
)

// Proxy answers by a table.
type Proxy interface {
	Apply(proxy.Table) (hash string, err error)
	InForce() (t proxy.Table, hash string)
	Drained(ctx context.Context, prefix string) error
}

// State is how the table in force came about.
type State struct {
	Desired   string // hash of the table that rows and engines ask for; empty: none was made yet
	Applied   string // hash of the one that is answered by
	Rules     int    // of the one that was asked for last
	AppliedAt time.Time
	Error     string // why the desired one is not the applied one
	ErrorAt   time.Time
}

// Router keeps the proxy in step.
type Router struct {
	db     *store.DB
	fleet  *docker.Fleet
	bus    *events.Bus
	proxy  Proxy
	policy proxy.Policy
	log    *slog.Logger
	kick   chan struct{}

	applying sync.Mutex
	found    map[string]found // by the names of targets; guarded by applying

	mu     sync.Mutex
	state  State
	served map[string]struct{} // instances that requests came to since the start
	missed map[string]struct{} // names of targets that are to be looked for
}

// New joins the parts; it starts nothing.
func New(db *store.DB, fleet *docker.Fleet, bus *events.Bus, p Proxy, policy proxy.Policy, log *slog.Logger) *Router {
	r := &Router{db: db, fleet: fleet, bus: bus, proxy: p, policy: policy, log: log, kick: make(chan struct{}, 1), found: map[string]found{}, served: map[string]struct{}{}, missed: map[string]struct{}{}}
	kept, _ := p.InForce() // of the last start: where things were while no engine answers yet
	for _, rule := range kept.Rules {
		for _, t := range rule.Targets {
			r.found[t.Ref] = found{target: t}
		}
	}
	return r
}

// State tells how things stand.
func (r *Router) State() State {
	r.mu.Lock()
	defer r.mu.Unlock()
	s := r.state
	_, s.Applied = r.proxy.InForce()
	return s
}

// Missed asks for a target that could not be dialled to be looked for. It does not wait. A URL is where it is: there is nothing to
// look for.
func (r *Router) Missed(ref string) {
	if strings.Contains(ref, "://") {
		return
	}
	r.mu.Lock()
	r.missed[ref] = struct{}{}
	r.mu.Unlock()
	select {
	case r.kick <- struct{}{}:
	default: // it was asked for already
	}
}

// Run keeps the proxy in step until ctx ends.
func (r *Router) Run(ctx context.Context) error {
	w := r.watch()
	defer w.end()
	for w.next(ctx) {
		missed := r.takeMissed()
		if err := r.apply(ctx, func(s subject) bool { return missed[s.ref] }); err != nil && ctx.Err() == nil {
			r.log.ErrorContext(ctx, "the table of routes was not applied; the former one is served", "error", err)
		}
	}
	return nil
}

// takeMissed are the targets to be looked for.
func (r *Router) takeMissed() map[string]bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	taken := make(map[string]bool, len(r.missed))
	for ref := range r.missed {
		taken[ref] = true
	}
	clear(r.missed)
	return taken
}

// Apply has the proxy answer by what the rows say now. ErrNotServed, with why, when it answers by what it did before.
func (r *Router) Apply(ctx context.Context) error {
	return r.apply(ctx, func(subject) bool { return false })
}

// Switch is Apply for a deploy: it returns when requests for the stage come to the instance. An error means that they come
// where they came before. What keeps a table from being served is no matter of a stage that has no route in it.
func (r *Router) Switch(ctx context.Context, stage store.Stage, to store.InstanceView) error {
	err := r.switchTo(ctx, stage, to)
	if err == nil {
		return nil
	}
	routes, rowsErr := r.db.EnabledRoutes(ctx)
	if rowsErr == nil && !slices.ContainsFunc(routes, func(v store.RouteView) bool { return v.StageID == stage.ID }) {
		return nil
	}
	return errors.Join(err, rowsErr)
}

func (r *Router) switchTo(ctx context.Context, stage store.Stage, to store.InstanceView) error {
	return r.applyChecked(ctx, func(s subject) bool { return s.row != nil && s.row.StageID == stage.ID }, func(t *proxy.Table, subjects map[string]subject) error {
		if err := r.leaveToDeploys(ctx, t, subjects, stage.ID); err != nil {
			return err
		}
		for _, rule := range t.Rules {
			for _, target := range rule.Targets {
				s, ours := subjects[target.Ref]
				if ours && s.row != nil && s.row.InstanceID == to.ID && target.Why != "" {
					return fmt.Errorf("%s: %s; %s", rule.Addresses[0], target.Why, target.Remedy)
				}
			}
		}
		return nil
	})
}

// Drained waits until nothing is open on an instance that has left the table. Nobody knows that of one to which no request
// ever came by the table: then it waits until ctx ends.
func (r *Router) Drained(ctx context.Context, instanceID string) error {
	r.mu.Lock()
	_, known := r.served[instanceID]
	r.mu.Unlock()
	if !known {
		<-ctx.Done()
		return ctx.Err()
	}
	return r.proxy.Drained(ctx, refsOf(instanceID))
}

func (r *Router) apply(ctx context.Context, afresh func(subject) bool) error {
	return r.applyChecked(ctx, afresh, func(t *proxy.Table, subjects map[string]subject) error { return r.leaveToDeploys(ctx, t, subjects, "") })
}

// leaveToDeploys leaves the routes of stages where they lead whose deploys are about to switch them: their rows run ahead until the
// deploy has found its instance to be reached, which Switch does. Except names the stage whose deploy asks now; empty: none.
func (r *Router) leaveToDeploys(ctx context.Context, t *proxy.Table, subjects map[string]subject, except string) error {
	open, err := r.db.OpenDeploys(ctx)
	if err != nil {
		return err
	}
	switching := map[string]bool{}
	for _, d := range open {
		if d.State == store.DeploySwitching && d.StageID != except {
			switching[d.StageID] = true
		}
	}
	if len(switching) == 0 {
		return nil
	}
	before, _ := r.proxy.InForce()
	policy := t.Policy(r.policy)
	for i, rule := range t.Rules {
		for _, target := range rule.Targets {
			if s := subjects[target.Ref]; s.row == nil || !switching[s.row.StageID] {
				continue
			}
			if at := slices.IndexFunc(before.Rules, func(old proxy.Rule) bool { return old.ID == rule.ID }); at >= 0 {
				t.Rules[i].Targets = allowedOf(policy, before.Rules[at].Targets)
			}
		}
	}
	return nil
}

func allowedOf(policy proxy.Policy, targets []proxy.Target) (out []proxy.Target) {
	for _, t := range targets {
		out = append(out, allowed(policy, t))
	}
	return out
}

func (r *Router) applyChecked(ctx context.Context, afresh func(subject) bool, check func(*proxy.Table, map[string]subject) error) error {
	r.applying.Lock()
	defer r.applying.Unlock()
	ctx, cancel := context.WithTimeout(ctx, applyTimeout)
	defer cancel()
	table, subjects, err := r.desired(ctx, r.db)
	if err == nil {
		r.resolve(ctx, &table, subjects, afresh)
		err = check(&table, subjects)
	}
	if err == nil {
		err = ctx.Err()
	}
	desired, hashErr := table.Hash()
	_, before := r.proxy.InForce()
	applied := ""
	if err = errors.Join(err, hashErr); err == nil {
		applied, err = r.proxy.Apply(table)
	}
	if err == nil {
		r.noteServed(subjects)
	}
	r.note(ctx, outcome{desired: desired, before: before, applied: applied, rules: len(table.Rules), err: err})
	if err != nil {
		return fmt.Errorf("%w: %w", ErrNotServed, err)
	}
	return nil
}

// rowsOf reads the rows, in a transaction or not.
type rowsOf interface {
	EnabledRoutes(ctx context.Context) ([]store.RouteView, error)
	Settings(ctx context.Context) (store.Settings, error)
	Hosts(ctx context.Context) ([]store.Host, error)
}

// wholeTable reads beside the rows who is asked for certificates.
type wholeTable interface {
	rowsOf
	Authority(ctx context.Context) (store.Authority, error)
}

// desired is the table that the rows ask for, and what in it has yet to be looked for.
func (r *Router) desired(ctx context.Context, rows wholeTable) (proxy.Table, map[string]subject, error) {
	t, routes, err := tableOf(ctx, rows)
	if err != nil {
		return t, nil, err
	}
	subjects := map[string]subject{}
	for i := range routes {
		v := &routes[i]
		for _, target := range t.Rules[i].Targets {
			if target.URL == "" {
				if subjects[target.Ref], err = subjectOf(ctx, r.db, v, target.Ref); err != nil {
					return t, nil, err
				}
			}
		}
	}
	return t, subjects, nil
}

// tableOf is the table of the rows, before anybody is looked for.
func tableOf(ctx context.Context, rows wholeTable) (t proxy.Table, routes []store.RouteView, err error) {
	settings, err := rows.Settings(ctx)
	if err != nil {
		return t, nil, err
	}
	trusted, trustedErr := proxy.ParsePrefixes(settings.TrustedProxies)
	refused, refusedErr := proxy.ParsePrefixes(settings.RefusedTargets)
	if err := errors.Join(trustedErr, refusedErr); err != nil {
		return t, nil, fmt.Errorf("read the networks of the settings: %w", err)
	}
	t.Trusted, t.Refused = trusted, refused
	authority, err := rows.Authority(ctx)
	if err != nil {
		return t, nil, err
	}
	t.ACME = proxy.ACME(authority)
	hosts, err := rows.Hosts(ctx)
	if err != nil {
		return t, nil, err
	}
	t.Engines = enginesOf(hosts)
	routes, err = rows.EnabledRoutes(ctx)
	if err != nil {
		return t, nil, err
	}
	var wrong []error
	for _, v := range routes {
		rule, err := ruleOf(v)
		wrong = append(wrong, err)
		t.Rules = append(t.Rules, rule)
	}
	return t, routes, errors.Join(wrong...)
}

// Faults says what is wrong with one route in the table as it would become, inside the transaction that changes it. No engine is
// asked. A route that is not to be served is checked all the same.
func Faults(ctx context.Context, tx *store.Tx, policy proxy.Policy, id string) []proxy.FieldError {
	t, _, err := tableOf(ctx, tx)
	if !has(t, id) {
		v, rowErr := tx.Route(ctx, id)
		rule, ruleErr := ruleOf(v)
		err = errors.Join(err, rowErr, ruleErr)
		t.Rules = append(t.Rules, rule)
	}
	var own []proxy.FieldError
	for _, f := range FieldsOf(errors.Join(err, t.Validate(policy))) {
		if f.Rule == id {
			own = append(own, f)
		}
	}
	return own
}

// TableFault is what is wrong with one field of a rule that is served.
type TableFault struct {
	proxy.FieldError
	Address string // the first of the rule, by which people know it
}

// TableFaults says what is wrong with the table of the rows, inside the transaction that changes what all rules depend on. No engine is asked.
func TableFaults(ctx context.Context, tx *store.Tx, policy proxy.Policy) (all []TableFault, err error) {
	t, routes, err := tableOf(ctx, tx)
	if err != nil && len(FieldsOf(err)) == 0 {
		return nil, err
	}
	address := map[string]string{}
	for _, v := range routes {
		if len(v.Domains) > 0 {
			address[v.ID] = proxy.Address(v.Domains[0]).String()
		}
	}
	for _, f := range FieldsOf(errors.Join(err, t.Validate(policy))) {
		all = append(all, TableFault{f, address[f.Rule]})
	}
	return all, nil
}

func has(t proxy.Table, id string) bool {
	return slices.ContainsFunc(t.Rules, func(r proxy.Rule) bool { return r.ID == id })
}

// FieldsOf are the wrong fields in an error, however deep they are joined.
func FieldsOf(err error) []proxy.FieldError { return proxy.FieldErrors(err) }

// noteServed notes which instances requests may come to.
func (r *Router) noteServed(subjects map[string]subject) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, s := range subjects {
		if s.row != nil {
			r.served[s.row.InstanceID] = struct{}{}
		}
	}
}
