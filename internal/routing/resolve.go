package routing

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/tiny-forge/docker-watcher/internal/docker"
	"github.com/tiny-forge/docker-watcher/internal/proxy"
	"github.com/tiny-forge/docker-watcher/internal/store"
)

const (
	resolveTimeout = 5 * time.Second // of all looks for the targets of one table
	inspectTimeout = 2 * time.Second // of one: an engine that is well answers in milliseconds
	dialTimeout    = 2 * time.Second
	inspectsAtOnce = 8 // on one host
	hangsAllowed   = 2 // of one host before the others of it are not asked any more
	// askAgain is after what time an engine that did not answer is asked again, but for those who have to know.
	askAgain = 8 * time.Second
)

// found is where a container was found, with what it was when it was.
type found struct {
	container string
	status    store.Status
	started   time.Time
	hostID    string
	endpoint  string
	target    proxy.Target
	named     bool      // by a person: no row tells when it moves
	unasked   bool      // its engine did not answer: the target is as it was known before
	asked     time.Time // when it was looked for
	turn      int64     // of the table for which it was
}

// subject is a target that has to be looked for on an engine.
type subject struct {
	ref       string
	port      int
	container string // id or name
	hostID    string
	host      string
	endpoint  string
	row       *store.RouteView // of an instance; nil: a container that somebody named
	nowhere   *proxy.Target    // there is nothing to look for, and why
}

// resolve gives the targets of a table their addresses. What was found before and has not changed since is not asked again, unless
// afresh says so. An engine that does not answer changes nothing: could not ask is not gone. Each host is asked by itself, so that
// one that hangs holds up its own targets alone, and all of it ends in resolveTimeout.
func (r *Router) resolve(ctx context.Context, w *wanted, afresh func(subject) bool) {
	ctx, cancel := context.WithTimeout(ctx, resolveTimeout)
	defer cancel()
	policy := w.table.Policy(r.policy)
	results := make(map[string]*found, len(w.subjects))
	asks := map[string][]*look{} // by host
	now := time.Now()
	r.mu.Lock()
	for ref, s := range w.subjects {
		known, ok := r.found[ref]
		if ok && s.same(known) && allowed(policy, known.target) == known.target && (s.settled(known) && !afresh(s) || known.unasked && !afresh(s) && now.Sub(known.asked) < askAgain) {
			results[ref] = &known
			continue
		}
		l := &look{subject: s, known: known}
		results[ref] = &l.result
		asks[s.hostID] = append(asks[s.hostID], l)
	}
	r.mu.Unlock()
	var hosts errgroup.Group
	for _, list := range asks {
		hosts.Go(func() error { return lookOn(ctx, r.fleet, policy, list) })
	}
	_ = hosts.Wait() // none of them returns an error
	r.mu.Lock()
	defer r.mu.Unlock()
	for ref, f := range results {
		if known := r.found[ref]; f.turn == 0 && known.turn < w.turn {
			f.turn, f.asked = w.turn, time.Now()
			r.found[ref] = *f
		}
	}
	for i := range w.table.Rules {
		for j, target := range w.table.Rules[i].Targets {
			if f, ok := results[target.Ref]; ok {
				w.table.Rules[i].Targets[j] = f.target
			}
		}
	}
}

// look is one question to an engine, and its answer.
type look struct {
	subject
	known  found
	result found
}

// lookOn asks one host for several.
func lookOn(ctx context.Context, fleet *docker.Fleet, policy proxy.Policy, list []*look) error {
	var group errgroup.Group
	group.SetLimit(inspectsAtOnce)
	var hangs atomic.Int32
	for _, l := range list {
		group.Go(func() error {
			if hangs.Load() >= hangsAllowed {
				l.result = l.asKnown(policy, l.known, "its engine does not answer in time", nil)
				return nil
			}
			var hung bool
			if l.result, hung = find(ctx, fleet, policy, l.subject, l.known); hung {
				hangs.Add(1)
			}
			return nil
		})
	}
	return group.Wait()
}

// subjectOf is what has to be asked for to find a target.
func subjectOf(ctx context.Context, db *store.DB, v *store.RouteView, ref string) (subject, error) {
	if !v.Standalone {
		s := subject{ref: ref, port: v.Port, container: v.Container, hostID: v.HostID, host: v.Host, endpoint: v.Endpoint, row: v}
		switch {
		case v.InstanceID == "":
			s.nowhere = &proxy.Target{Ref: ref, Gone: true, Why: "its instance is gone", Remedy: "deploy the stage and add the route again, or restore the instance"}
		case v.Container == "":
			s.nowhere = &proxy.Target{Ref: ref, Gone: true, Why: "its instance has no container yet", Remedy: "wait for the deploy"}
		}
		return s, nil
	}
	t, _, err := parseContainer(ref)
	if err != nil {
		return subject{}, err
	}
	name := t.host
	if name == "" {
		name = store.LocalHost
	}
	h, err := db.HostByName(ctx, name)
	if errors.Is(err, store.ErrNotFound) {
		return subject{ref: ref, nowhere: &proxy.Target{Ref: ref, Why: "there is no host " + name, Remedy: "name one of docker-watcher hosts"}}, nil
	}
	return subject{ref: ref, port: t.port, container: t.name, hostID: h.ID, host: h.Name, endpoint: h.Endpoint}, err
}

// Locate works out where the targets of a route are reached now, be it saved or only thought of.
func Locate(ctx context.Context, db *store.DB, fleet *docker.Fleet, policy proxy.Policy, v store.RouteView) ([]proxy.Target, error) {
	rule, err := ruleOf(v)
	if err != nil {
		return nil, err
	}
	for i, t := range rule.Targets {
		if t.URL != "" {
			continue
		}
		s, err := subjectOf(ctx, db, &v, t.Ref)
		if err != nil {
			return nil, err
		}
		f, _ := find(ctx, fleet, policy, s, found{})
		rule.Targets[i] = f.target
	}
	return rule.Targets, nil
}

// PolicyNow is a policy with what the settings and the hosts refuse beside.
func PolicyNow(ctx context.Context, db *store.DB, base proxy.Policy) (proxy.Policy, error) {
	d, err := tableOf(ctx, settingsOnly{db})
	return d.table.Policy(base), err
}

// settingsOnly reads no routes.
type settingsOnly struct{ *store.DB }

// EnabledRoutes are none.
func (settingsOnly) EnabledRoutes(context.Context) ([]store.RouteView, error) { return nil, nil }

// same tells that what is looked for is what was found: the same container, where and how it was.
func (s subject) same(f found) bool {
	if s.endpoint != f.endpoint || s.hostID != f.hostID {
		return false
	}
	if s.row == nil {
		return f.named && f.container == s.container
	}
	return f.container == s.row.Container && f.status == s.row.Status && f.started.Equal(s.row.StartedAt)
}

// settled tells that it need not be asked again as long as its row is the same: it was found well, or stopped as the row says it.
func (s subject) settled(f found) bool {
	if s.row == nil {
		return false
	}
	return f.target.Why == "" || !f.target.StoppedSince.IsZero() && s.row.Status != store.StatusRunning && !f.unasked
}

// unsettled tells that something runs and could not be reached, or was not found, or has no row: it may be elsewhere by now, and
// nobody will tell.
func (r *Router) unsettled() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, f := range r.found {
		if f.named || f.target.Why != "" && !f.target.Gone && (f.target.StoppedSince.IsZero() || f.unasked) {
			return true
		}
	}
	return false
}

// blank is what is found of a subject before anybody was asked.
func (s subject) blank() found {
	f := found{target: proxy.Target{Ref: s.ref}, hostID: s.hostID, endpoint: s.endpoint, named: s.row == nil, container: s.container}
	if s.row != nil {
		f.status, f.started = s.row.Status, s.row.StartedAt
	}
	return f
}

// asKnown is a subject as it was known before, if it is the same container; else nobody knows.
func (s subject) asKnown(policy proxy.Policy, known found, why string, err error) found {
	f := s.blank()
	f.unasked = true
	f.target.URL = allowed(policy, known.target).URL
	if s.row == nil || known.container == s.row.Container {
		f.target.StoppedSince = known.target.StoppedSince
	}
	f.target.Why, f.target.Remedy = fmt.Sprintf("host %s could not be asked where it is: %s", s.host, why), "see that its engine answers: docker-watcher hosts"
	if err != nil {
		f.target.Detail = err.Error()
	}
	return f
}

// find asks the engine for one; hung tells that the engine took too long.
func find(ctx context.Context, fleet *docker.Fleet, policy proxy.Policy, s subject, known found) (f found, hung bool) {
	f = s.blank()
	if s.nowhere != nil {
		f.target = *s.nowhere
		return f, false
	}
	c, err := inspect(ctx, fleet, s)
	switch {
	case errors.Is(err, docker.ErrNotFound):
		f.target.Why, f.target.Remedy, f.target.Gone = "its container is gone from "+s.host, "deploy the stage, or lead the route elsewhere", true
		if f.named {
			f.target.Remedy = "start it under this name, or lead the proxy elsewhere"
		}
		f.target.StoppedSince = s.aliveAt()
	case err != nil:
		return s.asKnown(policy, known, classOf(err), err), errors.Is(err, docker.ErrTimeout)
	case c.State != docker.StateRunning:
		f.target.Why, f.target.Remedy = fmt.Sprintf("%s is %s", c.Name, c.State), "start it"
		f.target.StoppedSince = stoppedSince(c, s.aliveAt())
	default:
		f.target = dialled(ctx, policy, f.target, waysTo(s.endpoint, c, s.port))
		if f.target.Why != "" && ctx.Err() != nil {
			return s.asKnown(policy, known, "there was no time to try it", ctx.Err()), false
		}
	}
	return f, false
}

func inspect(ctx context.Context, fleet *docker.Fleet, s subject) (docker.Container, error) {
	e, err := fleet.Engine(s.hostID)
	if err != nil {
		return docker.Container{}, err
	}
	ctx, cancel := context.WithTimeout(ctx, inspectTimeout)
	defer cancel()
	return e.Inspect(ctx, s.container)
}

// classOf is why an engine could not be asked, in words that are the same each time: addresses, ids and the like are in the error alone.
func classOf(err error) string {
	for _, class := range []error{docker.ErrTimeout, docker.ErrAbsent, docker.ErrUntrusted, docker.ErrRejected, docker.ErrUnavailable, docker.ErrDenied, docker.ErrEngine} {
		if errors.Is(err, class) {
			return class.Error()
		}
	}
	return "its engine gave no answer that can be used"
}

// aliveAt is when an instance was last known to run; zero for another container.
func (s subject) aliveAt() time.Time {
	if s.row == nil {
		return time.Time{}
	}
	return s.row.LastAliveAt
}

// stoppedSince is since when a container does not run: as its engine says where that can be, else as we saw it last. One that
// is about to come back is not called stopped.
func stoppedSince(c docker.Container, alive time.Time) time.Time {
	switch {
	case c.State == docker.StateRestarting:
		return time.Time{}
	case c.State != docker.StatePaused && c.FinishedAt.After(c.StartedAt) && c.FinishedAt.After(alive):
		return c.FinishedAt
	case !alive.IsZero():
		return alive
	}
	return c.CreatedAt
}

const remedyRefused = "an admin can change the setting refused_targets"

// allowed is a target that was found before, or that a person wrote down, without its address if nobody may be led there by now: such an
// address would have the whole table refused.
func allowed(policy proxy.Policy, t proxy.Target) proxy.Target {
	if t.URL == "" {
		return t
	}
	if _, err := proxy.ParseTarget(t.URL, policy); err != nil {
		t.URL, t.Why, t.Remedy = "", err.Error(), remedyRefused
	}
	return t
}

func allowedOf(policy proxy.Policy, targets []proxy.Target) (out []proxy.Target) {
	for _, t := range targets {
		out = append(out, allowed(policy, t))
	}
	return out
}

// dialled takes the first way that can be gone.
func dialled(ctx context.Context, policy proxy.Policy, t proxy.Target, way reach) proxy.Target {
	if t.Why, t.Remedy = way.why, way.remedy; t.Why != "" {
		return t
	}
	for _, at := range way.ways {
		url := "http://" + at
		if _, err := proxy.ParseTarget(url, policy); err != nil {
			t.Why, t.Remedy = err.Error(), remedyRefused
			continue
		}
		err := dial(ctx, policy, at)
		if err == nil {
			t.URL, t.Why, t.Remedy = url, "", ""
			return t
		}
		if t.URL != "" {
			continue
		}
		t.URL = url // it may come up there yet
		t.Why = "it does not answer at " + at + ": " + err.Error()
		t.Remedy = "see that it listens on this port on all its addresses; where containers cannot be reached by their own address, publish the port on 127.0.0.1"
	}
	return t
}

func dial(ctx context.Context, policy proxy.Policy, at string) error {
	ctx, cancel := context.WithTimeout(ctx, dialTimeout)
	defer cancel()
	return proxy.Reachable(ctx, policy, at)
}
