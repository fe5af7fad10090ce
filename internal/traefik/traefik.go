// Package traefik has a Traefik that somebody runs answer by a table of rules, which it asks for itself (its HTTP provider).
//
// Translate writes a table as Traefik's dynamic configuration and Fits says what of a table it cannot say: both are pure, as are Labels. A
// Driver offers the document and knows when it was last fetched: Apply returns when the present one was and Traefik has had the time to act
// on it; a table that is not fetched in time is not offered any more. Run tells when Traefik asks no more. Nothing here speaks to Traefik.
package traefik

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/tiny-forge/docker-watcher/internal/proxy"
)

const (
	settle  = 2 * time.Second  // Traefik's providersThrottleDuration: it acts so long after it has fetched, at most
	longest = 18 * time.Second // that Apply waits, within the time of who waits for it
	patient = 6                // intervals without a fetch after which it is silent
)

// DefaultInterval is Traefik's own.
const DefaultInterval = 5 * time.Second

// Options say what a driver stands on.
type Options struct {
	Site     Site
	Interval time.Duration // in which Traefik asks
	File     string        // keeps the last good table; empty: it is kept nowhere
	Policy   proxy.Policy
	Turned   func(proxy.Turn, string) // is told how Traefik stands when that changes, and why; it must not block
	Log      *slog.Logger
}

// Driver offers the table that was applied last.
type Driver struct {
	o        Options
	applying sync.Mutex
	ended    chan struct{} // closed when Run has ended: nobody waits any more

	mu      sync.Mutex
	offered offer
	fetched offer // last
	lastAt  time.Time
	from    string
	began   time.Time
	silent  bool          // and that was told
	waited  bool          // in vain, since the last fetch
	changed chan struct{} // closed and made anew at each fetch
}

// offer is a table with what it is for Traefik.
type offer struct {
	table proxy.Table
	hash  string
	text  []byte // nil: none
}

// New returns a driver that offers the last good table.
func New(o Options) *Driver {
	d := &Driver{o: o, began: time.Now(), changed: make(chan struct{}), ended: make(chan struct{})}
	if o.File == "" {
		return d
	}
	table, err := proxy.KeptTable(o.File)
	if err == nil && len(table.Rules) > 0 {
		d.offered, err = d.offer(table)
		d.fetched = d.offered // as far as anybody knows
	}
	if err != nil {
		o.Log.Warn("the last good table cannot be used: traefik goes on as it is until a new one is made", "error", err)
	}
	return d
}

func (d *Driver) offer(t proxy.Table) (offer, error) {
	if err := errors.Join(Fits(t, d.o.Site)...); err != nil {
		return offer{}, err
	}
	hash, err := t.Hash()
	if err != nil {
		return offer{}, err
	}
	text, err := json.Marshal(Translate(t, d.o.Site))
	if err != nil {
		return offer{}, fmt.Errorf("write what Traefik is told: %w", err)
	}
	return offer{t, hash, text}, nil
}

// Fits says which fields of a table Traefik cannot do.
func (d *Driver) Fits(t proxy.Table) []error { return Fits(t, d.o.Site) }

// Fetch is what Traefik asks for, with its hash; nil: there is nothing to tell yet, and Traefik goes on as it is.
func (d *Driver) Fetch(from string, now time.Time) (text []byte, hash string) {
	d.mu.Lock()
	back := d.silent || d.waited
	d.silent, d.waited, d.lastAt, d.from = false, false, now.UTC(), from
	if d.offered.text != nil {
		d.fetched = d.offered
	}
	text, hash = d.offered.text, d.offered.hash
	close(d.changed)
	d.changed = make(chan struct{})
	d.mu.Unlock()
	if back && d.o.Turned != nil {
		d.o.Turned(proxy.TurnBack, "")
	}
	return text, hash
}

// InForce is the table that was fetched last, and its hash.
func (d *Driver) InForce() (proxy.Table, string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.fetched.table, d.fetched.hash
}

// Apply offers a table and waits until Traefik answers by it. An error means that it answers as before.
func (d *Driver) Apply(t proxy.Table) (string, error) {
	d.applying.Lock()
	defer d.applying.Unlock()
	if err := t.Validate(d.o.Policy); err != nil {
		return "", err
	}
	next, err := d.offer(t)
	if err != nil {
		return "", err
	}
	d.mu.Lock()
	former := d.offered
	if d.fetched.hash == next.hash && former.hash == next.hash && !d.lastAt.IsZero() {
		d.mu.Unlock()
		return next.hash, nil
	}
	if err := d.silence(time.Now()); err != nil && !d.fresh(time.Now()) {
		d.waited = true
		d.mu.Unlock()
		return "", err
	}
	d.offered = next
	d.mu.Unlock()
	switch err := d.await(next.hash); {
	case errors.Is(err, errStopped):
		return "", err // what is offered stays: the next start begins with it
	case err != nil:
		d.mu.Lock()
		d.offered, d.waited = former, true
		d.mu.Unlock()
		return "", err
	}
	if d.o.File != "" {
		if err := proxy.KeepTable(d.o.File, t); err != nil {
			d.o.Log.Error("traefik has the table, but it was not kept for the next start", "error", err)
		}
	}
	return next.hash, nil
}

var errStopped = errors.New("nobody waits for Traefik any more")

// await waits until a table was fetched and Traefik has acted on it. An error means that it was not fetched.
func (d *Driver) await(hash string) error {
	patience := time.NewTimer(longest)
	defer patience.Stop()
	for {
		d.mu.Lock()
		changed, there := d.changed, d.fetched.hash == hash
		d.mu.Unlock()
		if there {
			acted := time.NewTimer(settle)
			defer acted.Stop()
			select {
			case <-acted.C:
			case <-d.ended:
			}
			return nil
		}
		select {
		case <-changed:
		case <-patience.C:
			return fmt.Errorf("Traefik did not fetch its configuration within %s: see that it asks every %s (pollInterval)", longest, d.o.Interval) //nolint:staticcheck // a name
		case <-d.ended:
			return errStopped
		}
	}
}

// silence says that Traefik does not ask; nil: it does.
func (d *Driver) silence(now time.Time) error {
	switch {
	case d.lastAt.IsZero() && d.fresh(now):
		return errors.New("Traefik has not asked for its configuration since the start") //nolint:staticcheck // a name
	case d.lastAt.IsZero():
		return errors.New("Traefik has not asked for its configuration since the start: give its HTTP provider the address and the token (docs/routing.md)") //nolint:staticcheck // a name
	case now.Sub(d.lastAt) >= patient*d.o.Interval:
		return fmt.Errorf("Traefik has not asked for its configuration since %s: see that it runs, and comes to us", d.lastAt.Format(time.RFC3339)) //nolint:staticcheck // a name
	}
	return nil
}

// fresh tells that Traefik may not have come round to asking since the start.
func (d *Driver) fresh(now time.Time) bool { return now.Sub(d.began) < patient*d.o.Interval }

// Run tells when Traefik asks no more, until ctx ends.
func (d *Driver) Run(ctx context.Context) error {
	defer close(d.ended)
	ticker := time.NewTicker(d.o.Interval)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-ticker.C:
			d.look(time.Now())
		}
	}
}

func (d *Driver) look(now time.Time) {
	d.mu.Lock()
	err := d.silence(now)
	found := err != nil && !d.silent && !d.fresh(now)
	if found {
		d.silent = true
	}
	d.mu.Unlock()
	if found && d.o.Turned != nil {
		d.o.Turned(proxy.TurnLost, err.Error())
	}
}

// Standing tells how Traefik stands. It cannot drift: it answers by what it fetched last.
func (d *Driver) Standing() proxy.Standing {
	d.mu.Lock()
	defer d.mu.Unlock()
	s := proxy.Standing{SeenAt: d.lastAt, SeenFrom: d.from}
	if err := d.silence(time.Now()); err != nil && !d.fresh(time.Now()) {
		s.Error = err.Error()
		if s.ErrorAt = d.lastAt; s.ErrorAt.IsZero() {
			s.ErrorAt = d.began.UTC()
		}
	}
	return s
}

// Drained waits until ctx ends: Traefik tells nobody what is under way.
func (d *Driver) Drained(ctx context.Context, _ string) error {
	<-ctx.Done()
	return ctx.Err()
}

// Report tells what a rule of the table that was fetched last leads to; false: it is in none. Of how that does, Traefik tells nobody.
func (d *Driver) Report(rule string) (proxy.Report, bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, r := range d.fetched.table.Rules {
		if r.ID != rule {
			continue
		}
		out := proxy.Report{Uncounted: true}
		for _, t := range r.Targets {
			out.Targets = append(out.Targets, proxy.TargetReport{Target: t, Trouble: t.Why})
		}
		return out, true
	}
	return proxy.Report{}, false
}
