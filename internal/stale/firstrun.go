package stale

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/tiny-forge/docker-watcher/internal/store"
)

// FirstRun is what the first automatic run on a host would do by the policies of a trial.
type FirstRun struct {
	HostID, Host string
	PlanAt       time.Time // when it is announced: from then until At somebody may call it off
	At           time.Time // when it would remove
	Due          int       // instances that are due then
	Takes        int       // of those, that it would remove; the rest waits for the runs after it
	Later        int       // instances that come due after it
	Held         string    // why it would remove nothing, in words: the brake, or how the host stands; empty: it would
}

// sameRun is how close together instances come due that one run takes: automatic cleanup looks every minute.
const sameRun = time.Minute

// awaited is an instance that automatic cleanup would take, and when at the earliest.
type awaited struct {
	at     time.Time
	policy store.PolicyInForce
}

// firstRun says of those awaited on one host which come first, and how many after them. A run is announced before it acts, so
// none is before earliest.
func firstRun(all []awaited, earliest time.Time) (at time.Time, due []awaited, later int) {
	for i, a := range all {
		all[i].at = a.policy.Window.Next(laterOf(a.at, earliest))
	}
	all = slices.DeleteFunc(all, func(a awaited) bool { return a.at.IsZero() })
	if len(all) == 0 {
		return time.Time{}, nil, 0
	}
	slices.SortFunc(all, func(a, b awaited) int { return a.at.Compare(b.at) })
	at = all[0].at
	n, _ := slices.BinarySearchFunc(all, at.Add(sameRun), func(a awaited, end time.Time) int { return a.at.Compare(end) })
	return at, all[:n], len(all) - n
}

// await notes an instance that a run would take, whether or not its host is in a state for it now.
func (t *trial) await(v store.InstanceView, p store.PolicyInForce, g Ground) {
	g.Barred = ""
	if d := Decide(v, p, g, t.at); !d.At.IsZero() {
		t.awaited[v.HostID] = append(t.awaited[v.HostID], awaited{d.At, p})
	}
}

// firstRuns works out the first run on each host that would have one.
func (c *Cleaner) firstRuns(ctx context.Context, t *trial) ([]FirstRun, error) {
	var runs []FirstRun
	for hostID, all := range t.awaited {
		host := t.footing.hosts[hostID]
		notBefore := t.ground(hostID, true).NotBefore
		at, due, later := firstRun(all, laterOf(t.at, notBefore).Add(c.auto.notice))
		if len(due) == 0 {
			continue
		}
		r := FirstRun{HostID: hostID, Host: host.Name, PlanAt: at.Add(-c.auto.notice), At: at, Due: len(due), Later: later}
		onHost, err := c.countOn(ctx, hostID)
		if err != nil {
			return nil, err
		}
		if r.Held = cmp.Or(t.footing.unfit(host), strictest(policiesOfAwaited(due)).brake(len(due), onHost)); r.Held == "" {
			r.Takes = min(len(due), t.footing.settings.PlanMaxItems)
		}
		runs = append(runs, r)
	}
	slices.SortFunc(runs, func(a, b FirstRun) int { return cmp.Or(a.At.Compare(b.At), cmp.Compare(a.Host, b.Host)) })
	return runs, nil
}

func policiesOfAwaited(due []awaited) []store.PolicyInForce {
	policies := make([]store.PolicyInForce, len(due))
	for i, a := range due {
		policies[i] = a.policy
	}
	return policies
}

// countOn counts the instances of a host.
func (c *Cleaner) countOn(ctx context.Context, hostID string) (int, error) {
	all, err := c.db.InstanceRevisions(ctx, hostID)
	if err != nil {
		return 0, fmt.Errorf("count the instances: %w", err)
	}
	return len(all), nil
}
