package schedule

import (
	"context"
	"log/slog"
	"time"
)

// Scheduler runs named jobs. It is the only user of robfig/cron.
type Scheduler struct{}

// New returns a scheduler in UTC.
func New(log *slog.Logger) *Scheduler { panic("contract") }

// Job is a named piece of periodic work.
type Job struct {
	Name    string
	Spec    string        // "@every 1h" (at least 10s), or five cron fields, UTC
	Timeout time.Duration // of one run; 0: none
	Run     func(context.Context) error
}

// Set adds a job or replaces the one of that name; a run under way goes on. A bad Spec is an error and changes nothing.
func (s *Scheduler) Set(j Job) error { panic("contract") }

// Run runs jobs until ctx ends, then waits for those under way.
func (s *Scheduler) Run(ctx context.Context) error { panic("contract") }

// Trigger runs a job now, unless it is running (false).
func (s *Scheduler) Trigger(name string) bool { panic("contract") }

// Status of a job.
type Status struct {
	Name      string
	Spec      string
	Next      time.Time
	Running   bool
	LastStart time.Time
	LastEnd   time.Time
	LastError string
	Overdue   bool // a run that was due is late by more than a tenth of the interval and over a minute
}

// Status tells of one job; ok is false when there is none of that name.
func (s *Scheduler) Status(name string) (st Status, ok bool) { panic("contract") }
