package stale

import (
	"testing"
	"time"

	"github.com/tiny-forge/docker-watcher/internal/docker"
	"github.com/tiny-forge/docker-watcher/internal/store"
)

// TestEndThatWasAccountedForMovesNothing: the event of our own stop of a paused container comes after the
// deployer has written the stop down.
func TestEndThatWasAccountedForMovesNothing(t *testing.T) {
	at := time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)
	prev := store.Instance{
		Status: store.StatusStopped, Intended: store.IntendedStopped, Class: store.ClassExited,
		StartedAt: at.Add(-20 * 24 * time.Hour), FinishedAt: at, LastAliveAt: at.Add(-10 * 24 * time.Hour), CheckedAt: at.Add(time.Second),
	}
	next, _ := told(prev, run{started: prev.StartedAt}, docker.Event{Action: "die", Time: at})
	if !next.LastAliveAt.Equal(prev.LastAliveAt) {
		t.Errorf("last alive moved from %s to %s", prev.LastAliveAt, next.LastAliveAt)
	}
	next, _ = told(prev, run{started: prev.StartedAt}, docker.Event{Action: "die", Time: at.Add(2 * time.Second)})
	if !next.LastAliveAt.Equal(at.Add(2 * time.Second)) {
		t.Errorf("an end that nobody has seen yet: last alive %s", next.LastAliveAt)
	}
}
