package caddy

import (
	"context"
	"maps"
	"strings"
	"time"

	"github.com/tiny-forge/docker-watcher/internal/proxy"
)

const (
	drainTick   = 500 * time.Millisecond
	mostRetired = 200 // addresses that Caddy goes on counting
)

// retiring are the addresses that Caddy shall go on counting requests of once a table is in force, with the names of their targets: those
// that leave by it, and those that have left before while requests are under way there. Caddy forgets what it is not configured with.
func (d *Driver) retiring(ctx context.Context, t proxy.Table) map[string]string {
	d.mu.Lock()
	former, before := namesByAddress(d.table), maps.Clone(d.retired)
	d.mu.Unlock()
	if len(before) > 0 {
		d.count(ctx)
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	for address := range before {
		if d.loads[address].Requests == 0 || len(before) > mostRetired {
			delete(before, address)
		}
	}
	maps.Copy(before, former)
	for address := range namesByAddress(t) {
		delete(before, address)
	}
	return before
}

// namesByAddress are the names of the targets of a table.
func namesByAddress(t proxy.Table) map[string]string {
	names := map[string]string{}
	for _, r := range t.Rules {
		for i, u := range reachable(r) {
			names[dialled(u)] = reachableRefs(r)[i]
		}
	}
	return names
}

func reachableRefs(r proxy.Rule) (refs []string) {
	for _, t := range r.Targets {
		if t.URL != "" {
			refs = append(refs, t.Ref)
		}
	}
	return refs
}

// count asks Caddy what is under way at each address. What it does not answer stays as it was.
func (d *Driver) count(ctx context.Context) {
	all, err := d.admin.upstreams(ctx)
	if err != nil {
		return
	}
	loads := make(map[string]upstream, len(all))
	for _, u := range all {
		loads[u.Address] = u
	}
	d.mu.Lock()
	d.loads = loads
	d.mu.Unlock()
}

// Drained waits until Caddy counts nothing under way on targets that have left the table and whose names begin so, or until ctx ends: also
// where it does not count them.
func (d *Driver) Drained(ctx context.Context, prefix string) error {
	ticker := time.NewTicker(drainTick)
	defer ticker.Stop()
	for {
		all, err := d.admin.upstreams(ctx)
		if err == nil && d.idle(all, prefix) {
			return nil
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-ticker.C:
		}
	}
}

// idle tells that Caddy counts some retired addresses of targets with a name that begins so, and nothing under way there.
func (d *Driver) idle(all []upstream, prefix string) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	wanted, counted := 0, 0
	for _, name := range d.retired {
		if strings.HasPrefix(name, prefix) {
			wanted++
		}
	}
	for _, u := range all {
		if name, ours := d.retired[u.Address]; ours && strings.HasPrefix(name, prefix) {
			if u.Requests > 0 {
				return false
			}
			counted++
		}
	}
	return wanted > 0 && counted == wanted
}

// Report tells how a rule of the table in force does; false: it is in none. Caddy counts what is under way at an address, by whichever
// rule, and no requests of a rule.
func (d *Driver) Report(rule string) (proxy.Report, bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, r := range d.table.Rules {
		if r.ID == rule {
			return d.report(r), true
		}
	}
	return proxy.Report{}, false
}

func (d *Driver) report(r proxy.Rule) proxy.Report {
	out := proxy.Report{Uncounted: true}
	for _, t := range r.Targets {
		tr := proxy.TargetReport{Target: t, Trouble: t.Why}
		if t.URL != "" {
			one := proxy.Rule{Targets: []proxy.Target{t}}
			for _, u := range reachable(one) {
				load := d.loads[dialled(u)]
				tr.Open, tr.Down = int64(load.Requests), load.Fails > 0
			}
		}
		if tr.Down && tr.Trouble == "" {
			tr.Trouble = "Caddy could not dial it"
		}
		out.Open += tr.Open
		out.Targets = append(out.Targets, tr)
	}
	return out
}
