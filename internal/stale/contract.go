package stale

import (
	"context"
	"log/slog"
	"time"

	"github.com/tiny-forge/docker-watcher/internal/docker"
	"github.com/tiny-forge/docker-watcher/internal/store"
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
