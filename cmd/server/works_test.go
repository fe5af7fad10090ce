package main

import (
	"context"
	"errors"
	"log/slog"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/tiny-forge/docker-watcher/internal/api"
	"github.com/tiny-forge/docker-watcher/internal/docker"
	"github.com/tiny-forge/docker-watcher/internal/poll"
	"github.com/tiny-forge/docker-watcher/internal/schedule"
	"github.com/tiny-forge/docker-watcher/internal/store"
	"github.com/tiny-forge/docker-watcher/internal/store/storetest"
)

func TestWorkThatIsOverdue(t *testing.T) {
	now := time.Date(2026, 11, 30, 12, 0, 0, 0, time.UTC)
	ago := func(d time.Duration) time.Time { return now.Add(-d) }
	day := ago(24 * time.Hour)
	hourly := schedule.Pace{Since: day, Every: time.Hour}
	minutely := schedule.Pace{Since: day, Every: time.Minute}
	slept, sleptBefore := schedule.Pace{Since: day, Every: time.Hour, Awake: ago(time.Second)}, schedule.Pace{Since: day, Every: time.Hour, Awake: ago(3 * time.Hour)}
	for name, tt := range map[string]struct {
		state workState
		pace  schedule.Pace
		want  string // part of the words; empty: it is well
	}{
		"just done":                     {workState{since: day, end: ago(time.Minute), good: ago(time.Minute)}, hourly, ""},
		"one missed":                    {workState{since: day, end: ago(2 * time.Hour), good: ago(2 * time.Hour)}, hourly, ""},
		"never came, since just now":    {workState{since: ago(time.Minute)}, hourly, ""},
		"never came":                    {workState{since: day}, hourly, "it is waited for since 2026-11-29T12:00:00Z, and does not come"},
		"came no more":                  {workState{since: day, end: ago(3 * time.Hour), good: ago(3 * time.Hour)}, hourly, "since 2026-11-30T09:00:00Z, and does not come"},
		"came no more, at a new pace":   {workState{since: day, end: ago(3 * time.Hour), good: ago(3 * time.Hour)}, schedule.Pace{Since: ago(time.Hour), Every: time.Hour}, ""},
		"its job is not known":          {workState{since: day}, schedule.Pace{}, ""},
		"takes its time":                {workState{since: day, running: true, start: ago(29 * time.Minute), good: ago(5 * time.Hour)}, hourly, ""},
		"does not end":                  {workState{since: day, running: true, start: ago(32 * time.Minute), good: ago(time.Hour)}, hourly, "it has not ended since 2026-11-30T11:28:00Z"},
		"was broken off, tried again":   {workState{since: day, running: true, start: ago(time.Minute), end: ago(2 * time.Minute), good: ago(4 * time.Hour), failures: 1, last: "deadline"}, hourly, ""},
		"broken off, does not end":      {workState{since: day, running: true, start: ago(32 * time.Minute), end: ago(time.Hour), good: ago(4 * time.Hour), failures: 2, last: "deadline"}, hourly, "it has not ended since 2026-11-30T11:28:00Z"},
		"failed thrice, does not end":   {workState{since: day, running: true, start: ago(32 * time.Minute), end: ago(time.Hour), good: ago(4 * time.Hour), failures: 3, last: "no"}, hourly, "failed 3 times"},
		"failed once":                   {workState{since: day, end: ago(time.Minute), good: ago(time.Hour), failures: 1, last: "no"}, hourly, ""},
		"failed twice":                  {workState{since: day, end: ago(time.Minute), good: ago(4 * time.Hour), failures: 2, last: "no"}, hourly, ""},
		"failed, comes no more":         {workState{since: day, end: ago(3 * time.Hour), good: ago(4 * time.Hour), failures: 1, last: "no"}, hourly, "it is waited for since 2026-11-30T09:00:00Z; the last time it failed with: no"},
		"failed once, it took long":     {workState{since: day, end: ago(time.Second), good: ago(11 * time.Minute), failures: 1, last: "no"}, minutely, ""},
		"that is tried again":           {workState{since: day, running: true, start: ago(time.Second), end: ago(10 * time.Second), good: ago(11 * time.Minute), failures: 1, last: "no"}, minutely, ""},
		"slept through it":              {workState{since: day, end: ago(8 * time.Hour), good: ago(8 * time.Hour)}, slept, ""},
		"slept long ago":                {workState{since: day, end: ago(8 * time.Hour), good: ago(8 * time.Hour)}, sleptBefore, "it is waited for since 2026-11-30T09:00:00Z, and does not come"},
		"slept while it ran":            {workState{since: day, running: true, start: ago(8 * time.Hour), good: ago(9 * time.Hour)}, slept, ""},
		"slept, and it does not end":    {workState{since: day, running: true, start: ago(8 * time.Hour), good: ago(9 * time.Hour)}, sleptBefore, "it has not ended since 2026-11-30T04:00:00Z"},
		"the clock was set back":        {workState{since: ago(-24 * time.Hour), good: ago(-24 * time.Hour)}, sleptBefore, "it is waited for since 2026-11-30T09:00:00Z"},
		"failed thrice":                 {workState{since: day, end: ago(time.Minute), good: ago(time.Hour), failures: 3, last: "no"}, hourly, "failed 3 times"},
		"nobody waits for it":           {workState{end: day, good: day}, hourly, ""},
		"nobody waits, does not end":    {workState{running: true, start: ago(time.Hour), failures: 1, last: "no"}, hourly, "it has not ended"},
		"nobody waits, takes its time":  {workState{running: true, start: ago(time.Minute), end: day, failures: 1, last: "no"}, hourly, ""},
		"nobody waits, has failed once": {workState{end: ago(time.Hour), failures: 1, last: "no"}, hourly, ""},
	} {
		got := tt.state.trouble(now, 30*time.Minute, tt.pace)
		if (got == "") != (tt.want == "") || !strings.Contains(got, tt.want) {
			t.Errorf("%s: %q, want %q", name, got, tt.want)
		}
	}
}

func TestWorkThatIsProven(t *testing.T) {
	at := time.Date(2026, 11, 30, 12, 0, 0, 0, time.UTC)
	for name, tt := range map[string]struct {
		state workState
		pace  schedule.Pace
		want  bool
	}{
		"done well":                     {workState{good: at}, schedule.Pace{Since: at.Add(-time.Hour)}, true},
		"its job is not known":          {workState{good: at}, schedule.Pace{}, true},
		"not done yet":                  {workState{running: true}, schedule.Pace{}, false},
		"failed since":                  {workState{good: at, failures: 1}, schedule.Pace{}, false},
		"done well before a new pace":   {workState{good: at}, schedule.Pace{Since: at.Add(time.Minute)}, false},
		"done well before a leap":       {workState{good: at}, schedule.Pace{Awake: at.Add(time.Minute)}, false},
		"hangs over a sleep":            {workState{good: at, running: true, start: at.Add(time.Hour)}, schedule.Pace{Awake: at.Add(8 * time.Hour)}, false},
		"done well again since it woke": {workState{good: at}, schedule.Pace{Awake: at.Add(-time.Minute)}, true},
	} {
		if got := tt.state.proven(tt.pace); got != tt.want {
			t.Errorf("%s: %t", name, got)
		}
	}
}

// watchBed is a daemon of which only what jobs ask for is there.
type watchBed struct {
	t     *testing.T
	db    *store.DB
	jobs  *schedule.Scheduler
	watch *selfWatch
}

func newWatchBed(t *testing.T, db *store.DB) *watchBed {
	t.Helper()
	jobs := schedule.New(slog.New(slog.DiscardHandler))
	return &watchBed{t: t, db: db, jobs: jobs, watch: newSelfWatch(db, jobs, slog.New(slog.DiscardHandler))}
}

// ring sets a job that only rings.
func (w *watchBed) ring(name, work, every string, ring func()) {
	w.t.Helper()
	err := w.jobs.Set(schedule.Job{Name: name, Spec: "@every " + every, Elsewhere: w.watch.elsewhere(work), Run: func(context.Context) error {
		ring()
		return nil
	}})
	if err != nil {
		w.t.Fatal(err)
	}
}

// run runs parts until the func that it returns is called.
func (w *watchBed) run(parts ...func(context.Context) error) (end func()) {
	ctx, cancel := context.WithCancel(w.t.Context())
	done := make(chan error, len(parts))
	for _, part := range parts {
		go func() { done <- part(ctx) }()
	}
	return func() {
		cancel()
		for range parts {
			if err := <-done; err != nil {
				w.t.Errorf("a part ends with %v", err)
			}
		}
	}
}

// job wants a job to be overdue or not, also as it is shown and counted.
func (w *watchBed) job(name string, overdue bool) {
	w.t.Helper()
	if st, ok := w.jobs.Status(name); !ok || st.Overdue != overdue {
		w.t.Errorf("%s: overdue is %t, want %t: %+v", name, st.Overdue, overdue, st)
	}
}

// told wants so many events of a kind to have been written, with words in the newest.
func (w *watchBed) told(kind string, want int, words, hostID string) {
	w.t.Helper()
	events, _, err := w.db.Events(w.t.Context(), store.EventFilter{}, store.Page{Limit: 200})
	if err != nil {
		w.t.Fatal(err)
	}
	n := 0
	for _, e := range events {
		if e.Kind == kind && strings.Contains(e.Message, words) && e.HostID == hostID {
			n++
		}
	}
	if n != want {
		w.t.Errorf("%s of host %q with %q was told %d times, want %d", kind, hostID, words, n, want)
	}
}

func (w *watchBed) look() {
	w.t.Helper()
	if err := w.watch.look(w.t.Context()); err != nil {
		w.t.Fatal(err)
	}
}

// TestWhatHangsIsOverdue has jobs ring on time for hours, which nobody hears on one of two hosts, and no poller at all: that is shown,
// counted and told, once also over a restart, and the other host is well.
func TestWhatHangsIsOverdue(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		time.Sleep(time.Until(time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)))
		db := storetest.Open(t)
		good, hung := storetest.Host(t, db), storetest.Host(t, db)
		fleet := docker.NewFleet()
		for _, id := range []string{good.ID, hung.ID} {
			engine, err := docker.New(docker.Options{Endpoint: "unix:///none"})
			if err != nil {
				t.Fatal(err)
			}
			defer func() { _ = engine.Close() }()
			fleet.Add(id, engine)
		}
		quiet := slog.New(slog.DiscardHandler)
		var hanging atomic.Bool
		release := make(chan struct{})
		work := func(_ context.Context, id, _ string) error {
			if id == hung.ID && hanging.Load() {
				<-release // whatever its limit says
			}
			return nil
		}
		begin := func(w *watchBed) (end func()) {
			scans, cleanups := newLanes(scanWork, fleet, scanTimeout, work, w.watch, quiet), newLanes(cleanupWork, fleet, cleanupTimeout, work, w.watch, quiet)
			w.ring(api.ScanJob, scanWork, "1h", func() { scans.ring("schedule") })
			w.ring(cleanupJob, cleanupWork, "1m", func() { cleanups.ring("schedule") })
			end = w.run(w.jobs.Run, scans.Run, cleanups.Run)
			synctest.Wait()
			return end
		}
		w := newWatchBed(t, db)
		poller := poll.New(db, nil, nil, quiet) // it is never run
		if err := w.jobs.Set(polling(poller, w.watch)); err != nil {
			t.Fatal(err)
		}
		end := begin(w)
		time.Sleep(time.Minute + time.Second)
		w.look()
		for _, name := range []string{api.ScanJob, cleanupJob, api.PollJob} {
			w.job(name, false)
		}
		time.Sleep(time.Minute)
		w.job(api.PollJob, true)
		w.look()
		w.told("job.failing", 1, "registry poll: it is waited for since 2026-11-23T12:00:00Z, and does not come", "")

		hanging.Store(true)
		time.Sleep(time.Hour + 20*time.Minute) // each has its time
		w.job(api.ScanJob, false)
		w.job(cleanupJob, false)
		time.Sleep(3 * time.Hour)
		w.look()
		w.look()
		for _, name := range []string{api.ScanJob, cleanupJob, api.PollJob} {
			w.job(name, true)
		}
		for _, h := range w.watch.hostWorks() {
			if h.Overdue != (h.HostID == hung.ID) {
				t.Errorf("of host %s it is said: %+v", h.HostID, h)
			}
		}
		for _, what := range []string{scanWork, cleanupWork} {
			w.told("job.failing", 1, what+": it has not ended since 2026-11-23T1", hung.ID)
			w.told("job.failing", 0, what, good.ID)
		}
		w.told("job.well", 0, "", hung.ID)
		hanging.Store(false)
		close(release)
		end()

		// After a restart nothing is told again, and nothing is well before it was done.
		w = newWatchBed(t, db)
		end = begin(w)
		w.look()
		w.told("job.well", 1, "registry poll is not to be done there any more", "") // this one has no poller
		w.told("job.well", 0, "", hung.ID)
		time.Sleep(90 * time.Second)
		w.look()
		w.told("job.well", 0, scanWork, hung.ID)
		w.told("job.well", 1, cleanupWork+" is done again as it should", hung.ID)
		time.Sleep(time.Hour)
		w.look()
		w.told("job.well", 1, scanWork+" is done again as it should", hung.ID)
		w.told("job.well", 0, "", good.ID)
		w.told("job.failing", 2, "", hung.ID)
		w.job(api.ScanJob, false)
		fleet.Remove(hung.ID)
		time.Sleep(5 * time.Hour)
		w.look()
		w.told("job.failing", 2, "", hung.ID) // who is out of use is not waited for
		w.job(api.ScanJob, false)
		end()
	})
}

// TestPollsThatFail counts what goes wrong with the polling of a registry, and not with the looks for what is due that go on meanwhile.
func TestPollsThatFail(t *testing.T) {
	db := storetest.Open(t)
	w := newWatchBed(t, db)
	if err := w.jobs.Set(polling(poll.New(db, nil, nil, slog.New(slog.DiscardHandler)), w.watch)); err != nil {
		t.Fatal(err)
	}
	p := polled{w.watch}
	round := func(err error) {
		p.Began("")
		p.Ended("", nil)
		p.Began("ghcr.io")
		p.Ended("ghcr.io", err)
	}
	full := errors.New("the disk is full")
	round(nil)
	round(full)
	round(full)
	w.look()
	w.told("job.failing", 0, "", "")
	round(full)
	w.look()
	w.told("job.failing", 1, "registry poll of ghcr.io: it failed 3 times in a row, the last time with: the disk is full", "")
	if st, _ := w.jobs.Status(api.PollJob); st.Failures != 3 || st.LastError != full.Error() || st.LastEnd.IsZero() {
		t.Errorf("the job is said to be %+v", st)
	}
	if all := w.watch.hostWorks(); len(all) != 0 {
		t.Errorf("it is taken for work on hosts: %+v", all)
	}
	round(nil)
	w.look()
	w.told("job.well", 1, "registry poll of ghcr.io is done again", "")
	if st, _ := w.jobs.Status(api.PollJob); st.Failures != 0 || st.LastError != "" {
		t.Errorf("the job is said to be %+v", st)
	}
}
