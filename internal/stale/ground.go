package stale

import (
	"context"
	"fmt"
	"maps"
	"time"

	"github.com/tiny-forge/docker-watcher/internal/store"
)

// spareFor is how long the instances of a plan that somebody called off are not planned again.
const spareFor = 24 * time.Hour

// footing is all that the store knows of what stands in the way of automatic cleanup, beside instances and policies.
// It holds as long as nothing is written.
type footing struct {
	commits  int64
	settings store.Settings
	hosts    map[string]store.Host
	blind    map[string][]store.BlindInterval // by host: open, or ended within the warm-up
	planned  map[string]time.Time
	spared   map[string]Sparing
}

// footing reads it anew only when something was written since.
func (c *Cleaner) footing(ctx context.Context) (*footing, error) {
	commits := c.db.Commits() // before anything is read, so that a write beside us is seen next time
	c.mu.Lock()
	known := c.known
	c.mu.Unlock()
	if known != nil && known.commits == commits {
		return known, nil
	}
	f := &footing{commits: commits}
	if err := f.read(ctx, c.db, time.Now()); err != nil {
		return nil, fmt.Errorf("read what stands in the way of automatic cleanup: %w", err)
	}
	c.mu.Lock()
	c.known = f
	c.mu.Unlock()
	return f, nil
}

func (f *footing) read(ctx context.Context, db *store.DB, now time.Time) (err error) {
	if f.settings, err = db.Settings(ctx); err != nil {
		return err
	}
	hosts, err := db.Hosts(ctx)
	if err != nil {
		return err
	}
	f.hosts = make(map[string]store.Host, len(hosts))
	for _, h := range hosts {
		f.hosts[h.ID] = h
	}
	intervals, err := db.BlindIntervals(ctx, "", now.Add(-f.settings.AutoWarmUp))
	if err != nil {
		return err
	}
	f.blind = map[string][]store.BlindInterval{}
	for _, b := range intervals {
		f.blind[b.HostID] = append(f.blind[b.HostID], b)
	}
	return f.readPlans(ctx, db, now)
}

func (f *footing) readPlans(ctx context.Context, db *store.DB, now time.Time) error {
	plans, err := db.AutomaticPlans(ctx, now)
	if err != nil {
		return err
	}
	f.planned = map[string]time.Time{}
	for _, p := range plans {
		for _, item := range p.Items {
			f.planned[item.InstanceID] = p.ApplyAt
		}
	}
	off, err := db.CalledOff(ctx, now.Add(-spareFor))
	if err != nil {
		return err
	}
	f.spared = make(map[string]Sparing, len(off))
	for id, at := range off {
		if store.DatedAhead(at, now) {
			continue // it would be spared until then
		}
		f.spared[id] = Sparing{Until: at.Add(spareFor), Why: "its plan was called off"}
	}
	return nil
}

// ground is what a host and everything else beside an instance mean for automatic cleanup now.
func (c *Cleaner) ground(f *footing, hostID string, now time.Time) Ground {
	g := Ground{Off: !f.settings.AutoCleanup, NotBefore: c.steadyFor(f.settings.AutoWarmUp, now), Planned: f.planned, Spared: f.spared}
	if end := f.blindEnd(hostID, now); !end.IsZero() {
		g.NotBefore = laterOf(g.NotBefore, end.Add(f.settings.AutoWarmUp))
	}
	if failed := c.failed(); len(failed) > 0 {
		g.Spared = maps.Clone(f.spared)
		for id, s := range failed {
			if s.Until.After(g.Spared[id].Until) {
				g.Spared[id] = s
			}
		}
	}
	host := f.hosts[hostID]
	if g.Barred = f.unfit(host); g.Barred == "" && host.AutoHeld != "" {
		g.Barred = fmt.Sprintf("automatic cleanup of %s is held back since %s: %s", host.Name, moment(host.AutoHeldSince), host.AutoHeld)
	}
	return g
}

// unfit says why nothing may be taken on a host now: it is frozen or blind.
func (f *footing) unfit(host store.Host) string {
	if !host.FrozenSince.IsZero() {
		return fmt.Sprintf("%s is frozen since %s: %s", host.Name, moment(host.FrozenSince), host.FrozenReason)
	}
	for _, b := range f.blind[host.ID] {
		if b.To.IsZero() {
			return fmt.Sprintf("%s cannot be judged since %s: %s", host.Name, moment(b.From), b.Reason)
		}
	}
	return ""
}

// blindEnd is when the last blind interval of a host ended; zero: none has ended within the warm-up.
func (f *footing) blindEnd(hostID string, now time.Time) time.Time {
	var end time.Time
	for _, b := range f.blind[hostID] {
		if !b.To.After(now.Add(clockTolerance)) { // a clock that was turned may have written of what is yet to come
			end = laterOf(end, b.To)
		}
	}
	return end
}

// sightedAgain says when a host was last blind, if that is less than the warm-up ago; that we were down is no news.
func (f *footing) sightedAgain(host store.Host, now time.Time) string {
	for _, b := range f.blind[host.ID] {
		if b.Reason != blindDown && !b.To.IsZero() && !b.To.After(now) && now.Sub(b.To) < f.settings.AutoWarmUp {
			return fmt.Sprintf("%s could not be judged until %s (%s): it waits until %s",
				host.Name, moment(b.To), b.Reason, moment(b.To.Add(f.settings.AutoWarmUp)))
		}
	}
	return ""
}

// Decisions says for each instance which policy decides and when.
func (c *Cleaner) Decisions(ctx context.Context, views []store.InstanceView) ([]Decision, error) {
	f, err := c.footing(ctx)
	if err != nil {
		return nil, err
	}
	policies, err := c.policiesOf(ctx, views)
	if err != nil {
		return nil, err
	}
	now, grounds := time.Now().UTC(), map[string]Ground{}
	decisions := make([]Decision, len(views))
	for i, v := range views {
		g, known := grounds[v.HostID]
		if !known {
			g = c.ground(f, v.HostID, now)
			grounds[v.HostID] = g
		}
		decisions[i] = Decide(v, policies[v.StageID], g, now)
	}
	return decisions, nil
}

// policiesOf reads the policies in force of the stages of some instances.
func (c *Cleaner) policiesOf(ctx context.Context, views []store.InstanceView) (map[string]store.PolicyInForce, error) {
	seen := map[string]bool{}
	for _, v := range views {
		seen[v.StageID] = true
	}
	if len(seen) == 0 {
		return nil, nil
	}
	policies, err := c.db.Policies(ctx, keys(seen)...)
	if err != nil {
		return nil, fmt.Errorf("read the policies: %w", err)
	}
	return policies, nil
}
