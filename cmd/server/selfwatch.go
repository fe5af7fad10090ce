package main

import (
	"context"
	"fmt"
	"log/slog"
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
// has stopped in silence looks like one that finds nothing.
type selfWatch struct {
	db   *store.DB
	jobs *schedule.Scheduler
	log  *slog.Logger

	mu    sync.Mutex
	works map[workOn]*workState // beside the jobs
	told  map[string]bool       // troubles, by the name of what is in it
}

// workOn is one kind of work on one host.
type workOn struct{ what, hostID string }

type workState struct {
	running    bool
	start, end time.Time // of the last run
	took       time.Duration
	failures   int
	last       string // error
}

func newSelfWatch(db *store.DB, jobs *schedule.Scheduler, log *slog.Logger) *selfWatch {
	return &selfWatch{db: db, jobs: jobs, log: log, works: map[workOn]*workState{}, told: map[string]bool{}}
}

// began notes that work on a host began.
func (w *selfWatch) began(what, hostID string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	state := w.workOf(what, hostID)
	state.running, state.start = true, wall(time.Now())
}

// ended notes how work on a host ended; the end of the host's use is no failure.
func (w *selfWatch) ended(what, hostID string, err error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	state := w.workOf(what, hostID)
	state.running, state.end = false, wall(time.Now())
	state.took = state.end.Sub(state.start)
	if err == nil {
		state.failures, state.last = 0, ""
		return
	}
	state.failures++
	state.last = err.Error()
}

// workOf is what is known of one work. The lock is held.
func (w *selfWatch) workOf(what, hostID string) *workState {
	on := workOn{what, hostID}
	if w.works[on] == nil {
		w.works[on] = &workState{}
	}
	return w.works[on]
}

// ringers are the jobs that have work done on hosts.
var ringers = map[string]string{scanWork: api.ScanJob, cleanupWork: cleanupJob}

// hostWorks tells of all work on hosts, by the job that has it done.
func (w *selfWatch) hostWorks() []api.HostWork {
	w.mu.Lock()
	defer w.mu.Unlock()
	var all []api.HostWork
	for on, s := range w.works {
		all = append(all, api.HostWork{
			Job: ringers[on.what], HostID: on.hostID, Running: s.running, LastStart: s.start, LastEnd: s.end, Took: s.took, LastError: s.last, Failures: s.failures,
		})
	}
	return all
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

// trouble is what is wrong with one piece of work.
type trouble struct{ name, hostID, what string }

// look compares what is wrong now with what was told.
func (w *selfWatch) look(ctx context.Context) error {
	now := map[string]trouble{}
	for _, st := range w.jobs.All() {
		if what := troubleOf(st); what != "" {
			now[st.Name] = trouble{name: st.Name, what: what}
		}
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	for on, state := range w.works {
		if state.failures >= mostFailures {
			now[on.what+" "+on.hostID] = trouble{name: on.what, hostID: on.hostID, what: failedWords(state.failures, state.last)}
		}
	}
	for key, t := range now {
		if w.told[key] {
			continue
		}
		if err := w.tell(ctx, store.SeverityError, "job.failing", t.hostID, t.name+": "+t.what+"; docker-watcher doctor says more", t.name); err != nil {
			return err
		}
		w.told[key] = true
	}
	for key := range w.told {
		if _, still := now[key]; still {
			continue
		}
		if err := w.tell(ctx, store.SeverityInfo, "job.well", "", key+" is done again as it should", key); err != nil {
			return err
		}
		delete(w.told, key)
	}
	return nil
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

func (w *selfWatch) tell(ctx context.Context, severity store.Severity, kind, hostID, message, name string) error {
	err := w.db.Update(ctx, func(tx *store.Tx) error {
		return tx.Emit(ctx, store.Event{
			Time: time.Now().UTC(), Severity: severity, Source: store.SourceSystem, Kind: kind, Actor: "system",
			Message: message, HostID: hostID, Data: map[string]any{"job": name},
		})
	})
	if err != nil {
		return fmt.Errorf("tell of a job: %w", err)
	}
	return nil
}
