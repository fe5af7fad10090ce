// Package caddy has a Caddy that somebody runs answer by a table of rules, by its admin API.
//
// All that is ours there is one part of its configuration with the @id docker-watcher: a server of our own, or a route of a server that is
// named. Translate writes a table as that part and Fits says what of a table it cannot say: both are pure. A Driver puts it there (Apply),
// never over what it has not seen (If-Match), reads back what is there on every tick of Run, tells what somebody else has changed in it and
// undoes that, if it may. A table that Caddy refuses changes nothing: it serves by the former one. Nobody else's part is touched.
// All requests to Caddy are made by Run, one after the other: Apply waits for it.
package caddy

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"reflect"
	"slices"
	"sync"
	"time"

	"github.com/tiny-forge/docker-watcher/internal/proxy"
)

const (
	tick         = 10 * time.Second // between two looks at what is there
	applyTimeout = 20 * time.Second // within that of who waits for it
	attempts     = 30               // at a write that others come in between
	asks         = 10               // of one that only asks and is cut off
	tellPause    = 10 * time.Minute // between two tellings of drift, if somebody changes it again and again
)

// Options say what a driver stands on.
type Options struct {
	Admin  string // of Caddy's API: http://host:port or unix:///path
	Site   Site
	File   string // keeps the last good table; empty: it is kept nowhere
	Policy proxy.Policy
	Mend   bool                     // undo what others change in our part
	Turned func(proxy.Turn, string) // is told how Caddy stands when that changes, and why; it must not block
	Tick   time.Duration            // 0: 10 s
	Log    *slog.Logger
}

// Driver has Caddy answer by the table that was applied last.
type Driver struct {
	o     Options
	admin admin
	jobs  chan job
	ended chan struct{}

	mu       sync.Mutex
	table    proxy.Table
	hash     string // of it; empty: it is not what Caddy answers by
	standing proxy.Standing
	can      Abilities
	loads    map[string]upstream // by address, as they were last seen
	retired  map[string]string   // names of targets that have left the table, by address

	// Of Run alone.
	wanted any    // our part as it was put there; nil: not by this process yet
	of     string // hash of the table that it is made of
	met    bool   // Caddy has been asked for its version since it came up
	toldAt time.Time
}

type job struct {
	table proxy.Table
	done  chan error
}

// New returns a driver that knows the last good table; it asks nobody yet.
func New(o Options) (*Driver, error) {
	a, err := newAdmin(o.Admin)
	if err != nil {
		return nil, err
	}
	if o.Tick == 0 {
		o.Tick = tick
	}
	d := &Driver{o: o, admin: a, jobs: make(chan job), ended: make(chan struct{}), can: All, loads: map[string]upstream{}, retired: map[string]string{}}
	d.standing.Mends = o.Mend
	if o.File != "" {
		if d.table, err = proxy.KeptTable(o.File); err == nil {
			d.hash, err = d.table.Hash()
		}
		if err != nil {
			o.Log.Warn("the last good table cannot be used: caddy goes on as it is until a new one is made", "error", err)
		}
	}
	return d, nil
}

// Fits says which fields of a table this Caddy cannot do.
func (d *Driver) Fits(t proxy.Table) []error {
	d.mu.Lock()
	defer d.mu.Unlock()
	return Fits(t, d.o.Site, d.can)
}

// InForce is the table that Caddy was last seen to answer by, and its hash; without a hash it answers by something else.
func (d *Driver) InForce() (proxy.Table, string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.table, d.hash
}

// Standing tells how Caddy stands. Packages of distributions do not say their version: what they could do says something of it.
func (d *Driver) Standing() proxy.Standing {
	d.mu.Lock()
	defer d.mu.Unlock()
	s := d.standing
	if s.Version == "" && !s.SeenAt.IsZero() && !d.can.StreamsStay {
		s.Version = "before 2.7"
	}
	return s
}

var errStopped = errors.New("Caddy was not told: nobody speaks with it now") //nolint:staticcheck // a name

// Apply has Caddy answer by a table. An error means that it answers as before.
func (d *Driver) Apply(t proxy.Table) (hash string, err error) {
	if err := t.Validate(d.o.Policy); err != nil {
		return "", err
	}
	patience := time.NewTimer(applyTimeout + time.Second)
	defer patience.Stop()
	j := job{t, make(chan error, 1)}
	select {
	case d.jobs <- j:
	case <-patience.C:
		return "", errStopped
	case <-d.ended:
		return "", errStopped
	}
	if err := <-j.done; err != nil { // Run gives each its answer in time
		return "", err
	}
	_, hash = d.InForce()
	return hash, nil
}

// Run speaks with Caddy until ctx ends.
func (d *Driver) Run(ctx context.Context) error {
	defer close(d.ended)
	ticker := time.NewTicker(d.o.Tick)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case j := <-d.jobs:
			j.done <- d.apply(ctx, j.table)
		case <-ticker.C:
			d.look(ctx)
		}
	}
}

// apply puts a table in force.
func (d *Driver) apply(ctx context.Context, t proxy.Table) error {
	ctx, cancel := context.WithTimeout(ctx, applyTimeout)
	defer cancel()
	hash, err := t.Hash()
	if err != nil {
		return err
	}
	if d.wanted != nil && d.of == hash && d.keepsStill() {
		return nil
	}
	retired, can := d.retiring(ctx, t), All
	if d.wanted != nil {
		can = d.abilities()
	}
	if err := d.put(ctx, t, hash, retired, can); err != nil {
		if errors.Is(err, errAway) {
			d.lost(err, false) // whoever applies tells of it
		}
		return err
	}
	d.mu.Lock()
	d.table, d.hash, d.retired = t, hash, retired
	d.standing.Drift, d.standing.DriftSince = "", time.Time{}
	d.mu.Unlock()
	d.back(ctx)
	if d.o.File != "" {
		if err := proxy.KeepTable(d.o.File, t); err != nil {
			d.o.Log.Error("the table is served by caddy, but was not kept for the next start", "error", err)
		}
	}
	return nil
}

// keepsStill tells that nothing has to be written for a table that was put there: it is there, or somebody else's change is to be left.
func (d *Driver) keepsStill() bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.standing.Error == "" && (d.standing.Drift == "" || !d.o.Mend)
}

// put writes our part until it is there. What of can this Caddy cannot do is found out on the way.
func (d *Driver) put(ctx context.Context, t proxy.Table, hash string, retired map[string]string, can Abilities) error {
	for {
		if err := errors.Join(Fits(t, d.o.Site, can)...); err != nil {
			return err
		}
		wanted, err := canonical(Translate(t, d.o.Site, can, slices.Sorted(maps.Keys(retired))))
		if err != nil {
			return err
		}
		err = d.place(ctx, wanted)
		if err == nil {
			d.wanted, d.of = wanted, hash
			d.mu.Lock()
			d.can = can
			d.mu.Unlock()
			return nil
		}
		var refused refusedError
		if !errors.As(err, &refused) {
			return err
		}
		less, found := can.without(refused.text)
		if !found {
			return err
		}
		can = less
	}
}

func (d *Driver) abilities() Abilities {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.can
}

// place brings Caddy's configuration to hold our part, reading it anew whenever somebody else wrote meanwhile, and reads it back.
func (d *Driver) place(ctx context.Context, wanted any) error {
	for left := attempts; ; left-- {
		config, tag, err := d.admin.config(ctx)
		if err != nil {
			return err
		}
		s, more, err := next(config, d.o.Site, wanted)
		if err != nil || !more {
			return err
		}
		if left == 0 {
			return errChanged
		}
		// Of a write that was cut off, too, only what is there tells how it ended.
		if err := d.admin.write(ctx, s, tag); err != nil && !errors.Is(err, errChanged) && !cutOff(err) {
			return err
		}
	}
}

// canonical is a value as it is read back from JSON.
func canonical(v any) (out any, err error) {
	text, err := json.Marshal(v)
	if err == nil {
		err = json.Unmarshal(text, &out)
	}
	if err != nil {
		return nil, fmt.Errorf("write what Caddy is told: %w", err)
	}
	return out, nil
}

// look compares what is there with what was put there, and asks how the targets do.
func (d *Driver) look(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, applyTimeout)
	defer cancel()
	there, err := d.admin.ours(ctx)
	if err != nil && !errors.Is(err, errMissing) {
		if ctx.Err() == nil || errors.Is(ctx.Err(), context.DeadlineExceeded) {
			d.lost(err, true)
		}
		return
	}
	d.back(ctx)
	d.count(ctx)
	if d.wanted == nil {
		return // the first table is on its way
	}
	if err == nil && reflect.DeepEqual(there, d.wanted) {
		d.settled()
		return
	}
	why := "our part (@id " + ID + ") is gone, as after a restart of Caddy without --resume"
	if err == nil {
		why = "in our part " + difference(there, d.wanted, "")
	}
	d.drifted(why)
	if d.o.Mend {
		d.mend(ctx, why, errors.Is(err, errMissing))
	}
}

// mend puts our part there again. Where it is gone, another Caddy may have come up, which can do more or less.
func (d *Driver) mend(ctx context.Context, why string, gone bool) {
	d.mu.Lock()
	table, retired, can := d.table, d.retired, d.can
	d.mu.Unlock()
	if gone {
		can, d.met = All, false
	}
	if err := d.put(ctx, table, d.of, retired, can); err != nil {
		d.mu.Lock()
		d.standing.Drift = why + "; it could not be undone: " + err.Error()
		d.mu.Unlock()
		return
	}
	d.settled()
}

// drifted notes that somebody else's is in force.
func (d *Driver) drifted(why string) {
	d.mu.Lock()
	fresh := d.standing.Drift == ""
	if fresh {
		d.standing.DriftSince = time.Now().UTC()
	}
	d.standing.Drift, d.hash = why, ""
	d.mu.Unlock()
	if fresh && time.Since(d.toldAt) > tellPause {
		d.toldAt = time.Now()
		d.turn(proxy.TurnDrifted, why)
	}
}

// settled notes that what was put there is there.
func (d *Driver) settled() {
	d.mu.Lock()
	was := d.standing.Drift
	d.standing.Drift, d.standing.DriftSince, d.hash = "", time.Time{}, d.of
	d.mu.Unlock()
	if was != "" {
		d.turn(proxy.TurnMended, was)
	}
}

// lost notes that Caddy cannot be asked. What it answers by, if it answers, is what it was.
func (d *Driver) lost(err error, tell bool) {
	d.mu.Lock()
	fresh := d.standing.Error == ""
	if fresh {
		d.standing.ErrorAt = time.Now().UTC()
	}
	d.standing.Error = err.Error()
	d.mu.Unlock()
	d.met = false
	if fresh && tell {
		d.turn(proxy.TurnLost, err.Error())
	}
}

// back notes that Caddy can be asked.
func (d *Driver) back(ctx context.Context) {
	version := d.standing.Version // written here alone
	if !d.met {
		version, d.met = d.admin.version(ctx), true
	}
	d.mu.Lock()
	was := d.standing.Error
	d.standing.Error, d.standing.ErrorAt, d.standing.SeenAt, d.standing.Version = "", time.Time{}, time.Now().UTC(), version
	d.mu.Unlock()
	if was != "" {
		d.turn(proxy.TurnBack, "")
	}
}

func (d *Driver) turn(t proxy.Turn, why string) {
	if d.o.Turned != nil {
		d.o.Turned(t, why)
	}
}
