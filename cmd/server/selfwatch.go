package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/tiny-forge/docker-watcher/internal/api"
	"github.com/tiny-forge/docker-watcher/internal/schedule"
	"github.com/tiny-forge/docker-watcher/internal/store"
)

const (
	selfWatchEvery = time.Minute
	// mostFailures in a row are told: one may be a passing thing.
	mostFailures = 3
)

// selfWatch tells, once each, when work that should come by itself is late or fails again and again, and when it is well again: a cleaner that
// has stopped in silence looks like one that finds nothing. What it told outlives a restart.
type selfWatch struct {
	db   *store.DB
	jobs *schedule.Scheduler
	log  *slog.Logger

	told map[string]store.Told // by key; nil: not read yet. Only look uses it.

	mu    sync.Mutex
	works map[workOn]*workState // what jobs ask others for
}

func newSelfWatch(db *store.DB, jobs *schedule.Scheduler, log *slog.Logger) *selfWatch {
	return &selfWatch{db: db, jobs: jobs, log: log, works: map[workOn]*workState{}}
}

// expects says that work is to come on a host whenever its job asks for it, or no more.
func (w *selfWatch) expects(what, hostID string, on bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if !on {
		delete(w.works, workOn{what, hostID})
		return
	}
	w.workOf(what, hostID).since = wall(time.Now())
}

// began notes that work on a host began. Of work that begins beside one that has not ended, the older counts.
func (w *selfWatch) began(what, hostID string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	state := w.workOf(what, hostID)
	if !state.running {
		state.running, state.start = true, wall(time.Now())
	}
}

// ended notes how work on a host ended; the end of the host's use is no failure, and what was put off neither well nor a failure.
func (w *selfWatch) ended(what, hostID string, err error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	state := w.workOf(what, hostID)
	state.running, state.end = false, wall(time.Now())
	state.took = state.end.Sub(state.start)
	switch {
	case err == nil:
		state.failures, state.last, state.good = 0, "", state.end
	case !errors.Is(err, schedule.ErrPutOff):
		state.failures++
		state.last = err.Error()
	}
}

// workOf is what is known of one work. The lock is held.
func (w *selfWatch) workOf(what, hostID string) *workState {
	on := workOn{what, hostID}
	if w.works[on] == nil {
		w.works[on] = &workState{}
	}
	return w.works[on]
}

// polled is told of what the poller does.
type polled struct{ watch *selfWatch }

func (p polled) Began(registry string)            { p.watch.began(pollWork, registry) }
func (p polled) Ended(registry string, err error) { p.watch.ended(pollWork, registry, err) }

// elsewhere tells a job how the work does that it asks for, taken together.
func (w *selfWatch) elsewhere(what string) func(schedule.Pace) schedule.Work {
	return func(p schedule.Pace) (all schedule.Work) {
		now := wall(time.Now())
		w.mu.Lock()
		defer w.mu.Unlock()
		for on, s := range w.works {
			if on.what != what {
				continue
			}
			all.Overdue = all.Overdue || s.overdue(now, askers[what].limit, p)
			if s.failures > all.Failures {
				all.Failures, all.LastError = s.failures, s.last
			}
			if !s.since.IsZero() && !s.end.IsZero() && (all.LastEnd.IsZero() || s.end.Before(all.LastEnd)) {
				all.LastEnd = s.end
			}
		}
		return all
	}
}

// hostWorks tells of all work on hosts, by the job that has it done.
func (w *selfWatch) hostWorks() []api.HostWork {
	paces, now := pacesOf(w.jobs.Alone()), wall(time.Now())
	w.mu.Lock()
	defer w.mu.Unlock()
	var all []api.HostWork
	for on, s := range w.works {
		if on.hostID() == "" {
			continue
		}
		by := askers[on.what]
		all = append(all, api.HostWork{
			Job: by.job, HostID: on.on, Running: s.running, LastStart: s.start, LastEnd: s.end, Took: s.took, LastError: s.last, Failures: s.failures,
			Overdue: s.overdue(now, by.limit, paces[by.job]),
		})
	}
	return all
}

func pacesOf(jobs []schedule.Status) map[string]schedule.Pace {
	paces := map[string]schedule.Pace{}
	for _, st := range jobs {
		paces[st.Name] = st.Pace
	}
	return paces
}

// wall drops the monotonic reading, which stands still while the machine sleeps.
func wall(t time.Time) time.Time { return t.UTC().Round(0) }

// Run looks every minute until ctx ends.
func (w *selfWatch) Run(ctx context.Context) error {
	tick := time.NewTicker(selfWatchEvery)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
		case <-ctx.Done():
			return nil
		}
		if err := w.look(ctx); err != nil && ctx.Err() == nil { // told at the next look
			w.log.ErrorContext(ctx, "what should come by itself and does not could not be told", "error", err)
		}
	}
}

// standing is how one piece of work does.
type standing struct {
	store.Told
	trouble string // empty: nothing is wrong that is to be told
	proven  bool   // it was done well since the start, and did not fail since
}

func keyOf(t store.Told) string { return strings.TrimSpace(t.Name + " " + t.HostID) }

// look compares what is wrong now with what was told. After a sleep of the machine what was due is run first.
func (w *selfWatch) look(ctx context.Context) error {
	w.jobs.CatchUp()
	if w.told == nil {
		all, err := w.db.Told(ctx)
		if err != nil {
			return err
		}
		w.told = map[string]store.Told{}
		for _, t := range all {
			w.told[keyOf(t)] = t
		}
	}
	if err := w.forget(ctx); err != nil {
		return err
	}
	now := w.standings()
	for _, key := range slices.Sorted(maps.Keys(now)) {
		s := now[key]
		if _, told := w.told[key]; told || s.trouble == "" {
			continue
		}
		if err := w.tell(ctx, s.Told, true, s.Name+": "+s.trouble+"; docker-watcher doctor says more"); err != nil {
			return err
		}
	}
	for _, key := range slices.Sorted(maps.Keys(w.told)) {
		t := w.told[key]
		s, known := now[key]
		words := t.Name + " is done again as it should"
		if known && !s.proven { // after a restart nothing is proven yet
			continue
		}
		if !known {
			comes, err := w.comesAgain(ctx, t)
			if err != nil {
				return err
			}
			if comes {
				continue
			}
			words = t.Name + " is not to be done there any more"
		}
		if err := w.tell(ctx, t, false, words); err != nil {
			return err
		}
	}
	return nil
}

// standings are how all jobs and all that they ask for do, by key.
func (w *selfWatch) standings() map[string]standing {
	all, now := map[string]standing{}, wall(time.Now())
	jobs := w.jobs.Alone()
	paces := pacesOf(jobs)
	for _, st := range jobs {
		what := troubleOf(st)
		all[st.Name] = standing{Told: store.Told{Name: st.Name}, trouble: what, proven: what == "" && st.LastError == "" && st.LastEnd.After(st.Pace.Awake)}
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	for on, s := range w.works {
		by := askers[on.what]
		what := s.trouble(now, by.limit, paces[by.job])
		t := store.Told{Name: on.name(), HostID: on.hostID()}
		all[keyOf(t)] = standing{Told: t, trouble: what, proven: what == "" && s.proven(paces[by.job])}
	}
	return all
}

// troubleOf says what is wrong with a job; empty when it is well.
func troubleOf(st schedule.Status) string {
	switch {
	case st.Failures >= mostFailures:
		return failedWords(st.Failures, st.LastError)
	case st.Overdue && st.Running:
		return "it has not ended since " + st.LastStart.Format(time.RFC3339)
	case st.Overdue:
		return "a run that was due did not come"
	}
	return ""
}

func failedWords(times int, last string) string {
	return fmt.Sprintf("it failed %d times in a row, the last time with: %s", times, last)
}

// tell writes what begins to be wrong with a piece of work, or that it is over, and keeps with it what is told now.
func (w *selfWatch) tell(ctx context.Context, t store.Told, wrong bool, message string) error {
	after, e := maps.Clone(w.told), store.Event{
		Time: time.Now().UTC(), Severity: store.SeverityInfo, Source: store.SourceSystem, Kind: "job.well", Actor: "system",
		Message: message, HostID: t.HostID, Data: map[string]any{"job": t.Name},
	}
	delete(after, keyOf(t))
	if wrong {
		e.Severity, e.Kind = store.SeverityError, "job.failing"
		after[keyOf(t)] = t
	}
	err := w.db.Update(ctx, func(tx *store.Tx) error {
		if err := tx.SaveTold(ctx, slices.SortedFunc(maps.Values(after), func(a, b store.Told) int { return strings.Compare(keyOf(a), keyOf(b)) })); err != nil {
			return err
		}
		return tx.Emit(ctx, e)
	})
	if err != nil {
		return fmt.Errorf("tell of a job: %w", err)
	}
	w.told = after
	return nil
}
