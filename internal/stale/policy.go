package stale

import (
	"time"

	"github.com/tiny-forge/docker-watcher/internal/store"
)

// Policy is the threshold in force for one instance: its stage's, else its project's, else the global one.
type Policy struct {
	Threshold time.Duration
	Never     bool
}

// PolicyOf is the policy that a threshold in force stands for.
func PolicyOf(s store.StaleAfter) Policy { return Policy{Threshold: s.After, Never: s.Never} }

const (
	scansPerThreshold = 7
	shortestAuto      = time.Hour
)

// autoInterval is the time between scans when nobody chose one: a seventh of the smallest
// threshold, for a verdict may then be late by at most that share, and never under an hour.
func autoInterval(smallest time.Duration) time.Duration {
	return max(smallest/scansPerThreshold, shortestAuto)
}
