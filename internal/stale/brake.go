package stale

import (
	"fmt"

	"github.com/tiny-forge/docker-watcher/internal/store"
)

// limits are how much one automatic run may take on a host.
type limits struct{ perRun, sharePercent int }

// strictest are the narrowest limits of the policies that a run would act by.
func strictest(policies []store.PolicyInForce) limits {
	var l limits
	for i, p := range policies {
		if i == 0 {
			l = limits{p.MaxPerRun, p.MaxSharePercent}
			continue
		}
		l.perRun, l.sharePercent = min(l.perRun, p.MaxPerRun), min(l.sharePercent, p.MaxSharePercent)
	}
	return l
}

// brake says why so many that are due at once are too many; empty: they are not. A share means nothing of a handful.
func (l limits) brake(due, onHost int) string {
	switch {
	case due > l.perRun:
		return fmt.Sprintf("%d instances are due at once, and its policies allow %d in one run (max_per_run)", due, l.perRun)
	case due >= leastMass && due*100 > l.sharePercent*onHost:
		return fmt.Sprintf("%d of its %d instances are due at once, and its policies allow %d %% of them in one run (max_share_percent)",
			due, onHost, l.sharePercent)
	}
	return ""
}
