// Package schedule runs named jobs at set times, never one of them twice at
// once. It is the only user of robfig/cron, of which it takes the parser and the
// clockwork; skipping, recovering, timing out and telling are its own, because the
// library's chain kills a job for ever after one panic.
package schedule

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/robfig/cron/v3"

	"github.com/tiny-forge/docker-watcher/internal/guard"
)

// ErrPutOff is what a run answers that has not tried what it is for, as the time for that has not come: a try before has failed, say, and the next one
// waits. It is neither a failure of its own nor well: what is known of the runs before stays.
var ErrPutOff = errors.New("put off")

// Scheduler runs named jobs. It is the only user of robfig/cron.
type Scheduler struct {
	log  *slog.Logger
	cron *cron.Cron
	wg   sync.WaitGroup // runs under way
	made time.Time      // with the reading that timers go by

	mu       sync.Mutex
	jobs     map[string]*entry
	launch   func(*entry) // starts a run within Run; nil while that is not on
	clock    clock
	caughtUp time.Time // the leap of the clock after which jobs that were due were started
}

// Job is a named piece of periodic work.
type Job struct {
	Name    string
	Spec    string        // "@every 1h" (at least 10s), or five cron fields, UTC
	Timeout time.Duration // of one run; 0: none
	Run     func(context.Context) error
	// Elsewhere tells how that does which Run only asks others for; nil: Run does it all. It must not call the scheduler.
	Elsewhere func(Pace) Work
}

// Pace is how often a job runs, and since when.
type Pace struct {
	Since time.Time
	Every time.Duration // between the next two runs
	Awake time.Time     // when the clock last leapt, so that nothing can be late by what was before; zero: never
}

// Work is how that does which a job asks for, taken together.
type Work struct {
	LastEnd   time.Time // of what has not ended for longest; zero: nothing has yet
	LastError string
	Failures  int // in a row, of what failed most often
	Overdue   bool
}

// entry is a job and what is known of its runs. The scheduler's lock guards it.
type entry struct {
	job       Job
	sched     cron.Schedule
	id        cron.EntryID
	since     time.Time // when this spec came into force
	running   bool
	lastStart time.Time
	lastEnd   time.Time
	took      time.Duration
	lastError string
	failures  int
}

// New returns a scheduler in UTC.
func New(log *slog.Logger) *Scheduler {
	return &Scheduler{log: log, made: time.Now(), cron: cron.New(cron.WithLocation(time.UTC), cron.WithLogger(cron.DiscardLogger)), jobs: make(map[string]*entry)}
}

// Set adds a job or replaces the one of that name; a run under way goes on. A bad Spec is an error and changes
// nothing. Where the Spec stays the same the next run stays where it was.
func (s *Scheduler) Set(j Job) error {
	now := wall(time.Now())
	sched, err := parse(j.Spec, now)
	if err != nil {
		return fmt.Errorf("schedule job %s: %w", j.Name, err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.now() // a leap from here on is one
	e, known := s.jobs[j.Name]
	if known && e.job.Spec == j.Spec {
		e.job = j
		return nil
	}
	if !known {
		e = &entry{}
		s.jobs[j.Name] = e
	} else {
		s.cron.Remove(e.id)
	}
	e.job, e.sched, e.since = j, sched, now
	e.id = s.cron.Schedule(sched, cron.FuncJob(func() { s.due(j.Name) }))
	s.log.Info("job scheduled", "job", j.Name, "spec", j.Spec, "next", sched.Next(now))
	return nil
}

// Run runs jobs until ctx ends, then waits for those under way.
func (s *Scheduler) Run(ctx context.Context) error {
	s.setLaunch(func(e *entry) { s.wg.Go(func() { s.carryOut(ctx, e) }) })
	s.cron.Start()
	<-ctx.Done()
	<-s.cron.Stop().Done()
	s.setLaunch(nil)
	s.wg.Wait()
	return nil
}

func (s *Scheduler) setLaunch(launch func(*entry)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.launch = launch
}

// Trigger runs a job now, unless it is running (false).
func (s *Scheduler) Trigger(name string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	e, ok := s.jobs[name]
	return ok && s.start(e)
}

// due is called by the clockwork.
func (s *Scheduler) due(name string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.start(s.jobs[name]) {
		s.log.Warn("job skipped, its last run is not over", "job", name)
	}
}

// start claims the only run that a job may have at once. The lock is held.
func (s *Scheduler) start(e *entry) bool {
	if e.running || s.launch == nil {
		return false
	}
	e.running = true
	e.lastStart = wall(time.Now())
	s.launch(e)
	return true
}

func (s *Scheduler) carryOut(ctx context.Context, e *entry) {
	s.mu.Lock()
	job, start := e.job, e.lastStart
	s.mu.Unlock()
	err := s.runOnce(ctx, job)
	end := wall(time.Now())
	s.tell(job.Name, end.Sub(start), err)
	s.mu.Lock()
	defer s.mu.Unlock()
	e.running = false
	if errors.Is(err, ErrPutOff) {
		return
	}
	e.lastEnd, e.took = end, end.Sub(start)
	if err == nil {
		e.lastError, e.failures = "", 0
	} else {
		e.lastError, e.failures = err.Error(), e.failures+1
	}
}

// tell writes how a run ended to the log.
func (s *Scheduler) tell(job string, took time.Duration, err error) {
	switch {
	case err == nil:
		s.log.Debug("job done", "job", job, "took", took)
	case errors.Is(err, ErrPutOff):
		s.log.Debug("job put off", "job", job, "error", err)
	default:
		s.log.Error("job ended with an error", "job", job, "took", took, "error", err)
	}
}

// runOnce gives a run its time limit and turns a panic into an error.
func (s *Scheduler) runOnce(ctx context.Context, j Job) error {
	if j.Timeout > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, j.Timeout)
		defer cancel()
	}
	return guard.Do(s.log, j.Name, func() error { return j.Run(ctx) })
}

// Status of a job.
type Status struct {
	Name      string
	Spec      string
	Pace      Pace
	Next      time.Time
	Running   bool
	LastStart time.Time
	LastEnd   time.Time     // of the last run that was not put off
	Took      time.Duration // that one
	LastError string
	Failures  int  // how many runs have failed since one that did not
	Overdue   bool // a run that was due is late by more than a tenth of the interval and over a minute
}

// with adds how that does which a job asks for: a job that rings in time is not well while nobody hears it.
func (st Status) with(w Work) Status {
	st.Overdue = st.Overdue || w.Overdue
	st.Failures = max(st.Failures, w.Failures)
	if st.LastError == "" {
		st.LastError = w.LastError
	}
	if !w.LastEnd.IsZero() {
		st.LastEnd = w.LastEnd
	}
	return st
}

// Status tells of one job with the work that it asks for; ok is false when there is none of that name.
func (s *Scheduler) Status(name string) (st Status, ok bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	e, ok := s.jobs[name]
	if !ok {
		return Status{}, false
	}
	return s.status(e), true
}

// All tells of every job with the work that it asks for, by name.
func (s *Scheduler) All() []Status { return s.each(s.status) }

// Alone tells of every job without the work that it asks for, by name.
func (s *Scheduler) Alone() []Status { return s.each(s.alone) }

func (s *Scheduler) each(status func(*entry) Status) []Status {
	s.mu.Lock()
	defer s.mu.Unlock()
	var all []Status
	for _, name := range slices.Sorted(maps.Keys(s.jobs)) {
		all = append(all, status(s.jobs[name]))
	}
	return all
}

// status reads one. The lock is held.
func (s *Scheduler) status(e *entry) Status {
	st := s.alone(e)
	if e.job.Elsewhere == nil {
		return st
	}
	return st.with(e.job.Elsewhere(st.Pace))
}

// alone reads one without the work that it asks for. The lock is held.
func (s *Scheduler) alone(e *entry) Status {
	now := s.now()
	next := wall(s.cron.Entry(e.id).Next)
	if next.IsZero() { // the clockwork does not run
		next = e.sched.Next(now)
	}
	return Status{
		Name: e.job.Name, Spec: e.job.Spec, Pace: Pace{Since: e.since, Every: e.sched.Next(next).Sub(next), Awake: s.clock.awake}, Next: next, Running: e.running,
		LastStart: e.lastStart, LastEnd: e.lastEnd, Took: e.took, LastError: e.lastError, Failures: e.failures, Overdue: e.overdue(now, s.clock.awake),
	}
}

// overdue measures from the last start, so a run that hangs past the next one's time is late too; or from when the clock leapt.
func (e *entry) overdue(now, awake time.Time) bool {
	from := Latest(now, e.since, e.lastStart, awake)
	due := e.sched.Next(from)
	interval := e.sched.Next(due).Sub(due)
	return now.Sub(due) > max(interval/10, time.Minute)
}

// wall drops the monotonic reading: it stands still while the machine sleeps, and lateness is told by the calendar.
func wall(t time.Time) time.Time { return t.UTC().Round(0) }
