package main

import (
	"time"

	"github.com/tiny-forge/docker-watcher/internal/api"
	"github.com/tiny-forge/docker-watcher/internal/schedule"
)

const (
	// workGrace is how much later than it should work may come, or end.
	workGrace = time.Minute
	// pollLimit is how long the repositories of one registry may take, one after the other.
	pollLimit = time.Hour
	// forgetAfter is how long is kept how work did of which nobody can say when it comes again.
	forgetAfter = 2 * time.Hour
)

// workOn is one kind of work on one host, or of polling on one registry.
type workOn struct{ what, on string }

// name is what people call it; the host is said beside it.
func (o workOn) name() string {
	if o.what == pollWork && o.on != "" {
		return o.what + " of " + o.on
	}
	return o.what
}

// hostID is the host that it is on; empty: none.
func (o workOn) hostID() string {
	if o.what == pollWork {
		return ""
	}
	return o.on
}

// asker is the job that asks for a kind of work, and how long one piece of that may take.
type asker struct {
	job   string
	limit time.Duration
}

// askers are those that only ring a bell and do not wait, by the work that they ask for.
var askers = map[string]asker{
	scanWork: {api.ScanJob, scanTimeout}, cleanupWork: {cleanupJob, cleanupTimeout}, pollWork: {api.PollJob, pollLimit},
}

// workState is what is known of one piece of work.
type workState struct {
	since      time.Time // it is to come whenever its job asks, since then; zero: only when there is something to do
	running    bool
	start, end time.Time // of the last run
	good       time.Time // end of the last that was well
	took       time.Duration
	failures   int
	last       string // error
}

// overdue reports whether the work did not come when it was due, does not end, or was not done well for too long. That it failed once or twice is
// not late: whoever fails often enough is told of for that.
func (s *workState) overdue(now time.Time, limit time.Duration, p schedule.Pace) bool {
	if s.running && (s.failures < mostFailures || s.since.IsZero()) {
		return s.hangs(now, limit, p)
	}
	return !s.since.IsZero() && p.Every > 0 && now.Sub(s.waited(now, p)) > 2*p.Every+workGrace
}

// hangs reports whether a run takes longer than it may, by a clock that did not leap.
func (s *workState) hangs(now time.Time, limit time.Duration, p schedule.Pace) bool {
	return s.running && now.Sub(schedule.Latest(now, s.start, p.Awake)) > limit+workGrace
}

// waited is since when it is waited for that the work is done well, or comes again after it failed or was put off, at a pace that may be new.
func (s *workState) waited(now time.Time, p schedule.Pace) time.Time {
	done := s.good
	if s.failures < mostFailures {
		done = s.end
	}
	return schedule.Latest(now, s.since, p.Since, p.Awake, done)
}

// trouble says what is wrong with the work; empty when it is well.
func (s *workState) trouble(now time.Time, limit time.Duration, p schedule.Pace) string {
	switch {
	case s.failures >= mostFailures:
		return failedWords(s.failures, s.last)
	case !s.overdue(now, limit, p):
		return ""
	case s.hangs(now, limit, p):
		return "it has not ended since " + s.start.Format(time.RFC3339)
	case s.last != "":
		return "it is waited for since " + s.waited(now, p).Format(time.RFC3339) + "; the last time it failed with: " + s.last
	}
	return "it is waited for since " + s.waited(now, p).Format(time.RFC3339) + ", and does not come"
}

// proven reports whether it was done well and did not fail since, by a pace and a clock that have not changed since.
func (s *workState) proven(p schedule.Pace) bool {
	return s.failures == 0 && s.good.After(p.Since) && s.good.After(p.Awake)
}

// past reports that the work is over for now. What failed counts as long as it is to come again.
func (s *workState) past(now time.Time) bool {
	return s.since.IsZero() && !s.running && now.Sub(s.end) > forgetAfter
}
