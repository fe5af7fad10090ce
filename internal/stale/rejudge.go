package stale

import (
	"time"

	"github.com/tiny-forge/docker-watcher/internal/docker"
	"github.com/tiny-forge/docker-watcher/internal/store"
)

// second is a second opinion: the row as a fresh look leaves it, and the verdict on it.
type second struct {
	row     store.Instance
	verdict Verdict
}

// rejudge judges an instance as a scan would on a fresh inspect. missing: the right engine does not hold its container.
func rejudge(view store.InstanceView, ct docker.Container, missing bool, e *docker.Engine) second {
	now := e.Now()
	s := sight{at: now, knownUntil: knownUntil(view.CheckedAt, now, e.StreamAge())}
	row := view.Instance
	switch {
	case view.ContainerID == "": // nothing was lost: there never was a container
		row = withoutContainer(row, now)
	case missing:
		row = gone(row, s)
	default:
		row = inspected(row, ct, s)
	}
	return second{row: row, verdict: Judge(FactsOf(row, now), PolicyOf(view.StaleAfter), now)}
}

// knownUntil is now if the event stream is whole since the row was last checked, else that check; zero: that is yet to come.
func knownUntil(checked, now time.Time, streamAge time.Duration) time.Time {
	checked = believed(checked, now)
	if streamAge > 0 && !checked.Before(now.Add(-streamAge)) {
		return now
	}
	return checked
}
