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
	"sync/atomic"
	"time"

	"github.com/tiny-forge/docker-watcher/internal/certs"
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

	turns    atomic.Int64 // given to tables, in the order in which their rows were read
	applying sync.Mutex
	applied  int64 // the turn of the table that was put in force last, or was to be; guarded by applying

	mu     sync.Mutex
	state  State
	found  map[string]found    // by the names of targets
	served map[string]struct{} // instances that requests came to since the start
	missed map[string]struct{} // names of targets that are to be looked for

	certificates map[certs.Kind]int64 // what happened to them since the start
}

// New joins the parts; it starts nothing.
func New(db *store.DB, fleet *docker.Fleet, bus *events.Bus, p Proxy, policy proxy.Policy, log *slog.Logger) *Router {
	r := &Router{db: db, fleet: fleet, bus: bus, proxy: p, policy: policy, log: log, kick: make(chan struct{}, 1), found: map[string]found{}, served: map[string]struct{}{}, missed: map[string]struct{}{}, certificates: map[certs.Kind]int64{}}
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
	r.lookFor(ref)
}

// moves are the events after which a container may be reached elsewhere, or no more.
var moves = []string{"start", "die", "destroy", "rename", "pause", "unpause"}

// Overhear is told what an engine says of any container. A target that names it is looked for, as what has ended may have left its
// address to another; after a gap it may have been any. It does not wait.
func (r *Router) Overhear(hostID string, ev docker.Event) {
	if !ev.Gap && !slices.Contains(moves, ev.Action) {
		return
	}
	var refs []string
	r.mu.Lock()
	for ref, f := range r.found {
		if f.named && f.hostID == hostID && (ev.Gap || f.container == ev.Attributes["name"] || strings.HasPrefix(ev.ContainerID, f.container)) {
			refs = append(refs, ref)
		}
	}
	r.mu.Unlock()
	r.lookFor(refs...)
}

func (r *Router) lookFor(refs ...string) {
	if len(refs) == 0 {
		return
	}
	r.mu.Lock()
	for _, ref := range refs {
		r.missed[ref] = struct{}{}
	}
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
	ofStage := func(s subject) bool { return s.row != nil && s.row.StageID == stage.ID }
	return r.applyChecked(ctx, stage.ID, ofStage, func(w *wanted) error {
		if err := r.leaveToDeploys(ctx, w, stage.ID); err != nil {
			return err
		}
		for _, rule := range w.table.Rules {
			for _, target := range rule.Targets {
				s, ours := w.subjects[target.Ref]
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
	return r.applyChecked(ctx, "", afresh, func(w *wanted) error { return r.leaveToDeploys(ctx, w, "") })
}

// leaveToDeploys leaves the routes of stages where they lead whose deploys are about to switch them: their rows run ahead until the
// deploy has found its instance to be reached, which Switch does. Except names the stage whose deploy asks now; empty: none.
func (r *Router) leaveToDeploys(ctx context.Context, w *wanted, except string) error {
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
	policy := w.table.Policy(r.policy)
	for i, rule := range w.table.Rules {
		for _, target := range rule.Targets {
			if s := w.subjects[target.Ref]; s.row == nil || !switching[s.row.StageID] {
				continue
			}
			if at := slices.IndexFunc(before.Rules, func(old proxy.Rule) bool { return old.ID == rule.ID }); at >= 0 {
				w.table.Rules[i].Targets = allowedOf(policy, before.Rules[at].Targets)
			}
		}
	}
	return nil
}

// applyChecked makes a table, has check look at it and change it, and puts it in force. Where the rows of others make it a bad one, the
// rules of the stage that is named are put in force alone, beside what is served; empty: none is named.
func (r *Router) applyChecked(ctx context.Context, stageID string, afresh func(subject) bool, check func(*wanted) error) error {
	bounded, cancel := context.WithTimeout(ctx, applyTimeout)
	defer cancel()
	w, err := r.prepare(bounded, afresh)
	defer r.applying.Unlock()
	if err == nil {
		err = check(&w)
	}
	if err == nil {
		err = bounded.Err()
	}
	desired, hashErr := w.table.Hash()
	_, before := r.proxy.InForce()
	o := outcome{desired: desired, before: before, rules: len(w.table.Rules), err: errors.Join(err, hashErr)}
	alone := false
	if o.err == nil {
		if o.err = w.wrong; o.err == nil {
			o.applied, o.err = r.proxy.Apply(w.table)
		}
		alone = o.err != nil && stageID != "" && r.applyStage(w, stageID) == nil
	}
	if o.err == nil || alone {
		r.noteServed(w.subjects, stageID, alone)
	}
	r.note(ctx, o)
	if o.err != nil && !alone {
		return fmt.Errorf("%w: %w", ErrNotServed, o.err)
	}
	return nil
}

// mostTries is how often a table is made anew because its rows have changed while its targets were looked for. The last one is made
// while nobody else may put one in force.
const mostTries = 3

// prepare makes a table of the rows as they are and has its targets looked for, and returns with the turn to put it in force, which the
// caller gives back also after an error. Engines are asked before that turn is taken: nobody waits for one that hangs.
func (r *Router) prepare(ctx context.Context, afresh func(subject) bool) (w wanted, err error) {
	for try := 1; ; try++ {
		if try == mostTries {
			r.applying.Lock()
		}
		if w, err = r.desired(ctx); err == nil {
			r.resolve(ctx, &w, afresh)
		}
		if try < mostTries {
			r.applying.Lock()
		}
		if err != nil || try == mostTries || r.db.RouteWrites() == w.seen && r.applied < w.turn {
			r.applied = max(r.applied, w.turn)
			return w, err
		}
		r.applying.Unlock()
		afresh = func(subject) bool { return false } // they have just been asked
	}
}

// applyStage puts the rules of a stage in force beside those that are served, as far as nobody is led by these where nobody may be led
// by now.
func (r *Router) applyStage(w wanted, stageID string) error {
	own := map[string]bool{}
	for _, v := range w.routes {
		if v.StageID == stageID {
			own[v.ID] = true
		}
	}
	if len(own) == 0 {
		return errNoRoutes
	}
	for _, f := range FieldsOf(w.wrong) {
		if own[f.Rule] {
			return f
		}
	}
	t, policy := w.table, w.table.Policy(r.policy)
	t.Rules = nil
	before, _ := r.proxy.InForce()
	for _, rule := range before.Rules {
		if !own[rule.ID] {
			rule.Targets = allowedOf(policy, rule.Targets)
			t.Rules = append(t.Rules, rule)
		}
	}
	for _, rule := range w.table.Rules {
		if own[rule.ID] {
			t.Rules = append(t.Rules, rule)
		}
	}
	slices.SortFunc(t.Rules, func(a, b proxy.Rule) int { return strings.Compare(a.ID, b.ID) })
	_, err := r.proxy.Apply(t)
	return err
}

var errNoRoutes = errors.New("the stage has no routes")

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

// draft is the table of the rows, before anybody is looked for.
type draft struct {
	table  proxy.Table
	routes []store.RouteView // of the rules, in their order
	wrong  error             // the rows that cannot be read, as FieldErrors
}

// wanted is the table that the rows ask for, and what in it has to be looked for.
type wanted struct {
	draft
	subjects map[string]subject
	seen     int64 // RouteWrites before the rows were read
	turn     int64
}

// desired reads the rows. A target to which nobody may be led any more has lost its address: that is told of its rule, and is no matter
// of the others.
func (r *Router) desired(ctx context.Context) (w wanted, err error) {
	w.turn, w.seen = r.turns.Add(1), r.db.RouteWrites()
	if w.draft, err = tableOf(ctx, r.db); err != nil {
		return w, err
	}
	w.subjects = map[string]subject{}
	policy := w.table.Policy(r.policy)
	for i := range w.routes {
		v := &w.routes[i]
		for j, target := range w.table.Rules[i].Targets {
			if target.URL != "" {
				w.table.Rules[i].Targets[j] = allowed(policy, target)
				continue
			}
			if w.subjects[target.Ref], err = subjectOf(ctx, r.db, v, target.Ref); err != nil {
				return w, err
			}
		}
	}
	return w, nil
}

// tableOf is the table of the rows, before anybody is looked for.
func tableOf(ctx context.Context, rows wholeTable) (d draft, err error) {
	settings, err := rows.Settings(ctx)
	if err != nil {
		return d, err
	}
	trusted, trustedErr := proxy.ParsePrefixes(settings.TrustedProxies)
	refused, refusedErr := proxy.ParsePrefixes(settings.RefusedTargets)
	if err := errors.Join(trustedErr, refusedErr); err != nil {
		return d, fmt.Errorf("read the networks of the settings: %w", err)
	}
	d.table.Trusted, d.table.Refused = trusted, refused
	authority, err := rows.Authority(ctx)
	if err != nil {
		return d, err
	}
	d.table.ACME = proxy.ACME(authority)
	hosts, err := rows.Hosts(ctx)
	if err != nil {
		return d, err
	}
	d.table.Engines = enginesOf(hosts)
	d.routes, err = rows.EnabledRoutes(ctx)
	if err != nil {
		return d, err
	}
	var wrong []error
	for _, v := range d.routes {
		rule, err := ruleOf(v)
		wrong = append(wrong, err)
		d.table.Rules = append(d.table.Rules, rule)
	}
	d.wrong = errors.Join(wrong...)
	return d, nil
}

// Faults says what is wrong with some routes in the table as it would become, inside the transaction that changes them. No engine is
// asked. Those that are not to be served are checked all the same.
func Faults(ctx context.Context, tx *store.Tx, policy proxy.Policy, ids ...string) []proxy.FieldError {
	d, err := tableOf(ctx, tx)
	there := map[string]bool{}
	for _, r := range d.table.Rules {
		there[r.ID] = true
	}
	asked := map[string]bool{}
	for _, id := range ids {
		if asked[id] = true; there[id] {
			continue
		}
		v, rowErr := tx.Route(ctx, id)
		rule, ruleErr := ruleOf(v)
		err = errors.Join(err, rowErr, ruleErr)
		d.table.Rules = append(d.table.Rules, rule)
	}
	var own []proxy.FieldError
	for _, f := range FieldsOf(errors.Join(err, d.wrong, d.table.Validate(policy))) {
		if asked[f.Rule] {
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
	d, err := tableOf(ctx, tx)
	if err != nil {
		return nil, err
	}
	address := map[string]string{}
	for _, v := range d.routes {
		if len(v.Domains) > 0 {
			address[v.ID] = proxy.Address(v.Domains[0]).String()
		}
	}
	for _, f := range FieldsOf(errors.Join(d.wrong, d.table.Validate(policy))) {
		all = append(all, TableFault{f, address[f.Rule]})
	}
	return all, nil
}

// FieldsOf are the wrong fields in an error, however deep they are joined.
func FieldsOf(err error) []proxy.FieldError { return proxy.FieldErrors(err) }

// noteServed notes which instances requests may come to, of all stages or of one alone, and forgets what was found of targets that are
// in no table any more.
func (r *Router) noteServed(subjects map[string]subject, stageID string, alone bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, s := range subjects {
		if s.row != nil && (!alone || s.row.StageID == stageID) {
			r.served[s.row.InstanceID] = struct{}{}
		}
	}
	for ref := range r.found {
		if _, there := subjects[ref]; !there && !alone {
			delete(r.found, ref)
		}
	}
}
