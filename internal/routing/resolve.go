package routing

import (
	"context"
	"errors"
	"fmt"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/tiny-forge/docker-watcher/internal/docker"
	"github.com/tiny-forge/docker-watcher/internal/proxy"
	"github.com/tiny-forge/docker-watcher/internal/store"
)

const (
	inspectsAtOnce = 8
	dialTimeout    = 2 * time.Second
)

// found is where a container was found, with what it was when it was.
type found struct {
	container string
	status    store.Status
	started   time.Time
	target    proxy.Target
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
	gone      string           // there is nothing to look for, and why
	remedy    string
}

// resolve gives the targets of a table their addresses. What was found before and has not changed since is not asked again, unless
// afresh says so. An engine that does not answer changes nothing: could not ask is not gone.
func (r *Router) resolve(ctx context.Context, t *proxy.Table, subjects map[string]subject, afresh func(subject) bool) {
	policy := t.Policy(r.policy)
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(inspectsAtOnce)
	results := map[string]*found{}
	for ref, s := range subjects {
		known, ok := r.found[ref]
		if ok && s.unchanged(known) && !afresh(s) && allowed(policy, known.target) == known.target {
			results[ref] = &known
			continue
		}
		result := &found{}
		results[ref] = result
		group.Go(func() error {
			*result = find(ctx, r.fleet, policy, s, known)
			return nil
		})
	}
	_ = group.Wait() // none of them returns an error
	r.found = make(map[string]found, len(results))
	for ref, f := range results {
		r.found[ref] = *f
	}
	for i := range t.Rules {
		for j, target := range t.Rules[i].Targets {
			if f, ok := results[target.Ref]; ok {
				t.Rules[i].Targets[j] = f.target
			}
		}
	}
}

// subjectOf is what has to be asked for to find a target.
func subjectOf(ctx context.Context, db *store.DB, v *store.RouteView, ref string) (subject, error) {
	if !v.Standalone {
		s := subject{ref: ref, port: v.Port, container: v.Container, hostID: v.HostID, host: v.Host, endpoint: v.Endpoint, row: v}
		switch {
		case v.InstanceID == "":
			s.gone, s.remedy = "its instance is gone", "deploy the stage and add the route again, or restore the instance"
		case v.Container == "":
			s.gone, s.remedy = "its instance has no container yet", "wait for the deploy"
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
		return subject{ref: ref, gone: "there is no host " + name, remedy: "name one of docker-watcher hosts"}, nil
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
		rule.Targets[i] = find(ctx, fleet, policy, s, found{}).target
	}
	return rule.Targets, nil
}

// PolicyNow is a policy with what the settings and the hosts refuse beside.
func PolicyNow(ctx context.Context, db *store.DB, base proxy.Policy) (proxy.Policy, error) {
	t, _, err := tableOf(ctx, settingsOnly{db})
	return t.Policy(base), err
}

// settingsOnly reads no routes.
type settingsOnly struct{ *store.DB }

// EnabledRoutes are none.
func (settingsOnly) EnabledRoutes(context.Context) ([]store.RouteView, error) { return nil, nil }

// unchanged tells that the row of an instance is as it was when it was found well, or stopped as the row says it.
func (s subject) unchanged(f found) bool {
	if s.row == nil || f.container != s.row.Container || f.status != s.row.Status || !f.started.Equal(s.row.StartedAt) {
		return false
	}
	return f.target.Why == "" || !f.target.StoppedSince.IsZero() && s.row.Status != store.StatusRunning
}

// unsettled tells that something runs and could not be reached, or was not found: it may be by now, and no row will tell.
func (r *Router) unsettled() bool {
	r.applying.Lock()
	defer r.applying.Unlock()
	for _, f := range r.found {
		if f.target.Why != "" && f.target.StoppedSince.IsZero() {
			return true
		}
	}
	return false
}

// find asks the engine for one.
func find(ctx context.Context, fleet *docker.Fleet, policy proxy.Policy, s subject, known found) found {
	f := found{target: proxy.Target{Ref: s.ref}}
	if s.row != nil {
		f.container, f.status, f.started = s.row.Container, s.row.Status, s.row.StartedAt
	}
	if s.gone != "" {
		f.target.Why, f.target.Remedy = s.gone, s.remedy
		return f
	}
	e, err := fleet.Engine(s.hostID)
	var c docker.Container
	if err == nil {
		c, err = e.Inspect(ctx, s.container)
	}
	switch {
	case errors.Is(err, docker.ErrNotFound):
		f.target.Why, f.target.Remedy = "its container is gone from "+s.host, "deploy the stage, or lead the route elsewhere"
		f.target.StoppedSince = s.aliveAt()
	case err != nil:
		// As it was, if it is the same container; else nobody knows.
		f.target.URL = allowed(policy, known.target).URL
		if s.row == nil || known.container == s.row.Container {
			f.target.StoppedSince = known.target.StoppedSince
		}
		f.target.Why, f.target.Remedy = fmt.Sprintf("host %s could not be asked where it is: %v", s.host, err), "see that its engine answers: docker-watcher hosts"
	case c.State != docker.StateRunning:
		f.target.Why, f.target.Remedy = fmt.Sprintf("%s is %s", c.Name, c.State), "start it"
		f.target.StoppedSince = stoppedSince(c, s.aliveAt())
	default:
		f.target = dialled(ctx, policy, f.target, waysTo(s.endpoint, c, s.port))
	}
	return f
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

// allowed is a target that was found before, without its address if nobody may be led there by now: such an address would have the whole
// table refused.
func allowed(policy proxy.Policy, t proxy.Target) proxy.Target {
	if t.URL == "" {
		return t
	}
	if _, err := proxy.ParseTarget(t.URL, policy); err != nil {
		t.URL, t.Why, t.Remedy = "", err.Error(), remedyRefused
	}
	return t
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
