package stale

import (
	"context"
	"errors"
	"log/slog"
	"time"

	"github.com/tiny-forge/docker-watcher/internal/docker"
	"github.com/tiny-forge/docker-watcher/internal/store"
)

// The refusals of this package, each with a reason in its text.
var (
	ErrNotStale    = errors.New("not stale")
	ErrPlanExpired = errors.New("the plan has expired")
	ErrPlanUsed    = errors.New("the plan was applied already")
	ErrFrozen      = errors.New("the host is frozen")
	ErrBlind       = errors.New("the host could not be judged")
)

// Scanner finds what is stale. One pass of one host: facts in, verdicts out, one write transaction.
type Scanner struct{}

// NewScanner joins its parts; it starts nothing.
func NewScanner(db *store.DB, fleet *docker.Fleet, log *slog.Logger) *Scanner { panic("contract") }

// Scan looks at every host (or the one named) once. It goes on after an error of one host and
// returns the runs together with the joined errors. Two scans of one host never overlap: the second waits.
func (s *Scanner) Scan(ctx context.Context, hostID, trigger string) ([]store.ScanRun, error) {
	panic("contract")
}

// Watch keeps last_alive_at and status live between scans from the engines' event streams, until ctx ends.
// After each gap it does one full scan (trigger "gap").
func (s *Scanner) Watch(ctx context.Context) error { panic("contract") }

// Interval is the time between scheduled scans now in force.
func (s *Scanner) Interval(ctx context.Context) (time.Duration, error) { panic("contract") }

// Accept ends the freeze of a host by an admin's word.
func (s *Scanner) Accept(ctx context.Context, hostID, actor string) error { panic("contract") }

// Selection is what a cleanup is asked for: filters, or one instance.
type Selection struct {
	Filter         store.StaleFilter
	InstanceID     string // single: must be stale, else ErrNotStale
	AllUnprotected bool   // everything stale and unprotected
}

// Progress is told for each item as it ends.
type Progress func(done, total int, item store.PlanItem)

// Cleaner plans and applies cleanups.
type Cleaner struct{}

// NewCleaner joins its parts; it starts nothing.
func NewCleaner(db *store.DB, fleet *docker.Fleet, log *slog.Logger) *Cleaner { panic("contract") }

// Plan freezes the answer to "what would this cleanup do"; nothing is touched.
func (c *Cleaner) Plan(ctx context.Context, sel Selection, actor string) (store.Plan, error) {
	panic("contract")
}

// Apply does exactly what a plan says and returns it with its results. byPerson allows
// stopping what still has a process (paused, crash looping).
func (c *Cleaner) Apply(ctx context.Context, planID, actor string, byPerson bool, p Progress) (store.Plan, error) {
	panic("contract")
}

// Recover ends what a crash left half done: each removal is finished only if the
// container is as recorded, else taken back. Call before serving, and again when an unreachable host comes back.
func (c *Cleaner) Recover(ctx context.Context) error { panic("contract") }
