package stale

import (
	"fmt"

	"github.com/tiny-forge/docker-watcher/internal/store"
)

// limits are how much one automatic run may take on a host.
type limits struct {
	perRun, sharePercent int
	said                 bool // somebody set the share
}

// strictest are the narrowest limits of the policies that a run would act by.
func strictest(policies []store.PolicyInForce) limits {
	var l limits
	for i, p := range policies {
		said := p.MaxSharePercentFrom != "" && p.MaxSharePercentFrom != store.LevelDefault
		switch {
		case i == 0:
			l = limits{p.MaxPerRun, p.MaxSharePercent, said}
			continue
		case p.MaxSharePercent < l.sharePercent:
			l.sharePercent, l.said = p.MaxSharePercent, said
		case p.MaxSharePercent == l.sharePercent:
			l.said = l.said || said
		}
		l.perRun = min(l.perRun, p.MaxPerRun)
	}
	return l
}

// brake says why so many that are due at once are too many; empty: they are not. The share that is built in means nothing of a
// handful; one that somebody set is heeded to the letter. Who cleans up between the two counts takes some of what is due off the host: it is on it all the same.
func (l limits) brake(due, onHost int) string {
	onHost = max(onHost, due)
	switch {
	case due > l.perRun:
		return fmt.Sprintf("%d instances are due at once, and its policies allow %d in one run (max_per_run)", due, l.perRun)
	case (l.said || due >= leastMass) && due*100 > l.sharePercent*onHost:
		return fmt.Sprintf("%d of its %d instances are due at once, and its policies allow %d %% of them in one run (max_share_percent)",
			due, onHost, l.sharePercent)
	}
	return ""
}
