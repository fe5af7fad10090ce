package usage

import (
	"cmp"
	"context"
	"errors"
	"log/slog"
	"slices"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/tiny-forge/docker-watcher/internal/docker"
	"github.com/tiny-forge/docker-watcher/internal/store"
)

const (
	// perSecond is how often all engines together are asked in the background. What is more than thirty instances is
	// asked about less often, not more.
	perSecond = 2

	// freshness is how old an answer may be that several who look share.
	freshness = time.Second
	// tooOld is the age of figures from which no rate is made for somebody who looks now.
	tooOld = 30 * time.Second
	// apart are two askings of which a rate is made.
	apart = time.Second
	tries = 3

	// A look at many asks about so many, so many at once, for so long.
	lookMost   = 64
	lookAtOnce = 16
	lookWithin = 6 * time.Second

	// givenUp is after how many answers in a row that did not come an engine is left alone for the rest of a round.
	givenUp = 2
)

// Meter asks engines what instances use, and keeps the last hour.
type Meter struct {
	db    *store.DB
	fleet *docker.Fleet
	log   *slog.Logger
	since time.Time

	mu     sync.Mutex
	series map[string]*series       // by instance
	asking map[string]chan struct{} // by instance about which an engine is asked now: closed when it has answered
	step   time.Duration            // of the background now
}

// New returns a meter that knows nothing yet.
func New(db *store.DB, fleet *docker.Fleet, log *slog.Logger) *Meter {
	return &Meter{db: db, fleet: fleet, log: log, since: time.Now().UTC(), series: map[string]*series{}, asking: map[string]chan struct{}{}, step: shortest}
}

// stepFor is how long a round over so many instances takes.
func stepFor(running int) time.Duration {
	return max(shortest, time.Duration(running)*time.Second/perSecond)
}

// Run asks about all that run, round after round, until ctx ends.
func (m *Meter) Run(ctx context.Context) error {
	for {
		began := time.Now()
		step, err := m.round(ctx)
		if err != nil && ctx.Err() == nil {
			m.log.WarnContext(ctx, "what runs is not known, so nothing is measured", "error", err)
		}
		timer := time.NewTimer(step - time.Since(began))
		select {
		case <-timer.C:
		case <-ctx.Done():
			timer.Stop()
			return nil
		}
	}
}

// round asks once about each, spread over its time, and tells how long it is meant to take.
func (m *Meter) round(ctx context.Context) (time.Duration, error) {
	running, err := m.db.RunningInstances(ctx)
	if err != nil {
		return shortest, err
	}
	step := stepFor(len(running))
	m.begin(running, step)
	byHost := map[string][]store.RunningInstance{}
	for _, i := range running {
		byHost[i.HostID] = append(byHost[i.HostID], i)
	}
	var hosts sync.WaitGroup
	for id, those := range byHost {
		hosts.Go(func() { m.walk(ctx, id, those, step/time.Duration(len(those)+1)) })
	}
	hosts.Wait()
	return step, nil
}

// begin forgets what is older than an hour of those that do not run.
func (m *Meter) begin(running []store.RunningInstance, step time.Duration) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.step = step
	runs := make(map[string]bool, len(running))
	for _, i := range running {
		runs[i.ID] = true
	}
	for id, s := range m.series {
		if !runs[id] && time.Since(s.taken) > Kept {
			delete(m.series, id)
		}
	}
}

// walk asks one engine about its instances, one at a time. One that does not answer is left alone.
func (m *Meter) walk(ctx context.Context, hostID string, those []store.RunningInstance, pause time.Duration) {
	engine, err := m.fleet.Engine(hostID)
	if err != nil {
		return // out of use
	}
	tick := time.NewTicker(max(time.Millisecond, pause))
	defer tick.Stop()
	unanswered := 0
	for _, i := range those {
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
		switch err := m.sample(ctx, engine, i); {
		case err == nil:
			unanswered = 0
		case errors.Is(err, docker.ErrTimeout), errors.Is(err, docker.ErrUnavailable):
			if unanswered++; unanswered == givenUp {
				return
			}
		default:
			m.log.DebugContext(ctx, "an instance was not measured", "instance", i.ID, "error", err)
		}
	}
}

// sample asks about one, unless somebody does so now or did just before.
func (m *Meter) sample(ctx context.Context, engine *docker.Engine, i store.RunningInstance) error {
	busy := m.claim(i.ID)
	if busy != nil {
		return nil
	}
	defer m.release(i.ID)
	if _, age := m.known(i); age < freshness {
		return nil
	}
	return m.ask(ctx, engine, i)
}

// claim takes the right to ask about an instance; busy is closed when whoever has it gives it back.
func (m *Meter) claim(id string) (busy <-chan struct{}) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if busy, taken := m.asking[id]; taken {
		return busy
	}
	m.asking[id] = make(chan struct{})
	return nil
}

func (m *Meter) release(id string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	close(m.asking[id])
	delete(m.asking, id)
}

// known is the newest reading, and how old the newest figures are.
func (m *Meter) known(i store.RunningInstance) (Reading, time.Duration) {
	m.mu.Lock()
	defer m.mu.Unlock()
	s := m.series[i.ID]
	if s == nil || s.container != i.ContainerID {
		return Reading{}, Kept
	}
	return s.reading(), time.Since(s.taken)
}

// ask is called by whoever has claimed the instance.
func (m *Meter) ask(ctx context.Context, engine *docker.Engine, i store.RunningInstance) error {
	f, err := engine.Figures(ctx, i.ContainerID)
	if err != nil {
		return err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	s := m.series[i.ID]
	if s == nil {
		s = &series{}
		m.series[i.ID] = s
	}
	s.take(i.ContainerID, f, time.Now())
	return nil
}

// Look tells what an instance uses now; of one that does not run, a reading without a time. Several who look at once
// share one answer. The first look at an instance takes a second.
func (m *Meter) Look(ctx context.Context, i store.RunningInstance) (Reading, error) {
	engine, err := m.fleet.Engine(i.HostID)
	if err != nil {
		return Reading{}, err
	}
	for busy := m.claim(i.ID); busy != nil; busy = m.claim(i.ID) {
		select {
		case <-busy:
		case <-ctx.Done():
			return Reading{}, context.Cause(ctx)
		}
	}
	defer m.release(i.ID)
	r, age := m.known(i)
	if age < freshness && !r.Time.IsZero() {
		return r, nil
	}
	return m.measure(ctx, engine, i, age > tooOld)
}

// measure asks once, or twice where there is nothing lately to compare with.
func (m *Meter) measure(ctx context.Context, engine *docker.Engine, i store.RunningInstance, twice bool) (Reading, error) {
	for range tries {
		if err := m.ask(ctx, engine, i); err != nil {
			return Reading{}, err
		}
		r, _ := m.known(i)
		if !m.runs(i.ID) || !twice && !r.Time.IsZero() {
			return r, nil
		}
		twice = false
		if err := wait(ctx, apart); err != nil {
			return Reading{}, err
		}
	}
	return Reading{}, nil // it is started again and again
}

// runs tells whether the newest figures are of one that runs.
func (m *Meter) runs(id string) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	s := m.series[id]
	return s != nil && !s.last.Time.IsZero()
}

func wait(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// Survey tells what many use. It asks anew about those known longest ago, as many as an engine can bear; the others are
// told as they are known. What could not be asked is not there, or is old by its time.
func (m *Meter) Survey(ctx context.Context, those []store.RunningInstance) map[string]Reading {
	asked, cancel := context.WithTimeout(ctx, lookWithin)
	defer cancel()
	var looks errgroup.Group
	looks.SetLimit(lookAtOnce)
	for _, i := range m.oldest(those) {
		looks.Go(func() error {
			if _, err := m.Look(asked, i); err != nil {
				m.log.DebugContext(ctx, "an instance was not measured", "instance", i.ID, "error", err)
			}
			return nil
		})
	}
	_ = looks.Wait() // none returns one
	found := make(map[string]Reading, len(those))
	for _, i := range those {
		if r, _ := m.known(i); !r.Time.IsZero() {
			found[i.ID] = r
		}
	}
	return found
}

// oldest are those to be asked about first.
func (m *Meter) oldest(those []store.RunningInstance) []store.RunningInstance {
	type aged struct {
		store.RunningInstance
		age time.Duration
	}
	all := make([]aged, 0, len(those))
	for _, i := range those {
		_, age := m.known(i)
		all = append(all, aged{i, age})
	}
	slices.SortStableFunc(all, func(a, b aged) int { return cmp.Compare(b.age, a.age) })
	var first []store.RunningInstance
	for _, a := range all[:min(len(all), lookMost)] {
		first = append(first, a.RunningInstance)
	}
	return first
}

// History is the last hour of an instance.
type History struct {
	Since   time.Time     // nothing was measured before: the daemon began then
	Step    time.Duration // between two samples while nobody looks
	Samples []Sample      // oldest first
}

// History returns what is kept of an instance.
func (m *Meter) History(id string, now time.Time) History {
	m.mu.Lock()
	defer m.mu.Unlock()
	h := History{Since: m.since, Step: m.step}
	if s := m.series[id]; s != nil {
		for _, sample := range s.samples {
			if now.Sub(sample.Time()) <= Kept {
				h.Samples = append(h.Samples, sample)
			}
		}
	}
	return h
}
