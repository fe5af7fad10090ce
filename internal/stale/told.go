package stale

import (
	"strings"
	"time"

	"github.com/tiny-forge/docker-watcher/internal/docker"
	"github.com/tiny-forge/docker-watcher/internal/store"
)

// run is what events tell of the current or last run of a container. It lives in memory only;
// an inspect sets it right.
type run struct {
	started time.Time
	policy  bool // begun by the engine's restart policy
	byHand  bool // a stop or kill was asked for since
	ending  bool // it was since the last pause
	restart string
}

// seenAs is what an inspect makes of what events told of the run.
func (r run) seenAs(i store.Instance, c docker.Container) run {
	next := run{started: i.StartedAt, policy: i.PolicyRun, restart: c.RestartPolicy}
	if !i.StartedAt.After(r.started) {
		next.byHand, next.ending = r.byHand, r.ending
	}
	return next
}

// counts reports whether the run, if it ends at end, is a sign of life.
func (r run) counts(end time.Time) bool { return !r.policy || end.Sub(r.started) >= shortRun }

// restarts reports whether the engine itself would start the container again after this end.
func (r run) restarts(exitCode int) bool {
	switch {
	case r.byHand:
		return false
	case strings.HasPrefix(r.restart, "on-failure"):
		return exitCode != 0
	}
	return r.restart == "always" || r.restart == "unless-stopped"
}

// told folds one engine event into what is stored. An inspect follows each event and has the last word
// on status and class; what only an event can tell is the moment at which something ended.
func told(prev store.Instance, r run, ev docker.Event) (store.Instance, run) {
	next := prev
	old := ev.Time.Before(prev.CheckedAt) // an inspect has seen more already
	switch ev.Action {
	case "start":
		died := !prev.FinishedAt.IsZero() && !isAlive(prev)
		r = run{started: stamp(ev.Time), policy: died && r.restarts(prev.ExitCode), restart: r.restart}
		if !old {
			toldStart(&next, r, ev)
		}
	case "die":
		// A later inspect that found it stopped has accounted for this end: our own stop of a paused one must not move it.
		accounted := old && prev.Status == store.StatusStopped
		if !accounted && prev.Status != store.StatusPaused && r.counts(ev.Time) {
			advance(&next, ev.Time, store.EvidenceObserved, false)
		}
		if !old {
			toldEnd(&next, ev)
		}
	case "oom":
		if !old {
			next.OOMKilled = true
		}
	case "kill", "stop":
		r.byHand, r.ending = true, true
	case "pause":
		r.ending = false // it outlived that, such as a signal to read its settings anew
		if r.counts(ev.Time) {
			advance(&next, ev.Time, store.EvidenceObserved, false)
		}
		if !old {
			next.Status, next.Class = store.StatusPaused, store.ClassPaused
			markStopped(&next, ev.Time)
		}
	case "unpause":
		// A stop lets a paused one go on so that it can end: that does not revive it. If it lives on, the inspect says so.
		if !old && !r.ending {
			seenAlive(&next, ev.Time)
		}
	case "health_status":
		if ev.Attributes["health"] == "healthy" {
			r.policy, next.PolicyRun = false, false
		}
	case "destroy":
		next = gone(next, sight{at: ev.Time, knownUntil: ev.Time})
	}
	return next, r
}

func isAlive(i store.Instance) bool { return i.Status == store.StatusRunning }

// toldStart leaves the start itself to the inspect: whether this is another run than the one we knew is told by
// the engine's own time of it.
func toldStart(next *store.Instance, r run, ev docker.Event) {
	next.OOMKilled = false
	if r.policy {
		next.Status, next.Class = store.StatusRestarting, store.ClassCrashLooping
		return
	}
	seenAlive(next, ev.Time)
}

func toldEnd(next *store.Instance, ev docker.Event) {
	next.FinishedAt, next.ExitCode = stamp(ev.Time), ev.ExitCode
	next.Status, next.Class = store.StatusStopped, endedClass(docker.Container{
		State: docker.StateExited, ExitCode: ev.ExitCode, OOMKilled: next.OOMKilled,
	})
	markStopped(next, ev.Time)
}
