package stale

import (
	"time"

	"github.com/tiny-forge/docker-watcher/internal/docker"
	"github.com/tiny-forge/docker-watcher/internal/store"
)

const (
	// shortRun is how long a run that the engine's restart policy began must last to be a sign
	// of life; it is the time after which the engine itself takes a run as good.
	shortRun = 10 * time.Second
	// blindTolerance is how long we may have missed the engine's events without thinking that what is paused
	// or in a crash loop was well meanwhile, which leaves no trace. Without it a stream that a proxy cuts every
	// hour would keep such a one young for ever. What has a process is never cleaned automatically.
	blindTolerance = time.Minute
	// sameMoment is how far an event and the engine's own record of the same moment may lie apart.
	sameMoment = 2 * time.Second
)

// Why automatic cleanup must leave an instance alone, where the scan itself found a reason.
const (
	heldSwarmTask  = "a task of Docker Swarm"
	heldEngineLost = "meant to run; the engine seems to have lost it"
	heldMassChange = "found not running together with many others at once"
)

// sight is when something was seen, and how much we know of the time before, both on the engine's clock.
type sight struct {
	at time.Time
	// knownUntil is the moment up to which we know all that happened: at, while the engine's
	// event stream is whole; zero if we never looked.
	knownUntil time.Time
}

func (s sight) broken() bool { return s.knownUntil.Before(s.at) }
func (s sight) blind() bool  { return s.at.Sub(s.knownUntil) > blindTolerance }

// Observe folds a fresh inspect into what is stored of an instance, by one who has missed
// nothing since the row was written. now is the engine's clock.
func Observe(prev store.Instance, c docker.Container, now time.Time) store.Instance {
	return inspected(prev, c, sight{at: now, knownUntil: now})
}

// look is one inspect, held against what was known before.
type look struct {
	prev store.Instance
	c    docker.Container
	sight
}

// inspected folds an inspect into what is stored.
func inspected(prev store.Instance, c docker.Container, s sight) store.Instance {
	c.StartedAt, c.FinishedAt, c.CreatedAt = stamp(c.StartedAt), stamp(c.FinishedAt), stamp(c.CreatedAt)
	if !prev.LastAliveAt.IsZero() && !validTime(prev.LastAliveAt, s.at) {
		// The clock was wrong when this was written: work it out again, as if we had never looked.
		prev.LastAliveAt, prev.Evidence, prev.UpperBound = time.Time{}, "", false
		prev.FirstSeenStoppedAt = time.Time{}
		s.knownUntil = time.Time{}
	}
	l := look{prev: prev, c: c, sight: s}
	next := l.facts()
	switch {
	case c.State == docker.StatePaused:
		l.paused(&next)
	case l.waiting(), c.State == docker.StateRunning && !l.provenAlive(next.PolicyRun):
		l.crashLooping(&next)
	case c.State == docker.StateRunning:
		seenAlive(&next, s.at)
	case l.neverStarted():
		l.created(&next)
	default:
		l.ended(&next)
	}
	holdBack(&next, c)
	return next
}

// facts copies what the engine says, without making anything of it.
func (l look) facts() store.Instance {
	next := l.prev
	next.ContainerCreatedAt = l.c.CreatedAt
	next.StartedAt, next.FinishedAt = l.c.StartedAt, l.c.FinishedAt
	next.ExitCode, next.OOMKilled = l.c.ExitCode, l.c.OOMKilled
	next.RestartCount, next.EngineError = l.c.RestartCount, l.c.Error
	next.KeepLabel = l.c.Labels[docker.LabelKeep] == "true"
	next.CheckedAt, next.CheckError = stamp(l.at), ""
	next.PolicyRun = l.policyRun()
	return next
}

// policyRun reports whether the last run was begun by the engine's restart policy. The engine counts
// its restarts and starts anew at each start by hand; while it waits for the next restart it has
// counted that one already.
func (l look) policyRun() bool {
	if l.c.State == docker.StateRunning && l.c.Health == "healthy" {
		return false
	}
	if l.sameStart() && !l.prev.CheckedAt.IsZero() {
		return l.prev.PolicyRun
	}
	if l.c.State == docker.StateRestarting {
		return l.c.RestartCount > 1
	}
	return l.c.RestartCount > 0
}

// provenAlive reports whether a run that goes on is a sign of life.
func (l look) provenAlive(policyRun bool) bool {
	return !policyRun || !validTime(l.c.StartedAt, l.at) || l.at.Sub(l.c.StartedAt) >= shortRun
}

// waiting reports whether the engine is about to start it again. Podman has no word for that: it says
// exited or created, and makes the next run a moment later.
func (l look) waiting() bool {
	if l.c.State == docker.StateRestarting {
		return true
	}
	if l.c.State != docker.StateExited && l.c.State != docker.StateCreated || l.c.RestartCount == 0 || !validTime(l.c.FinishedAt, l.at) {
		return false
	}
	// Podman may note the start of a run of milliseconds after its end, so the two need not be in order.
	policy := l.c.RestartPolicy == "always" || l.c.RestartPolicy == "unless-stopped"
	return policy && l.c.FinishedAt.Sub(l.c.StartedAt) < shortRun && l.at.Sub(l.c.FinishedAt) < shortRun
}

func (l look) sameStart() bool {
	if l.c.StartedAt.IsZero() || l.prev.StartedAt.IsZero() {
		return false
	}
	return l.c.StartedAt.Equal(l.prev.StartedAt)
}

// sameEnd reports whether the last run ended when we think it did: what an event told is not
// to the millisecond what the engine wrote down.
func (l look) sameEnd() bool {
	if l.broken() {
		return l.c.FinishedAt.Equal(l.prev.FinishedAt)
	}
	return near(l.c.FinishedAt, l.prev.FinishedAt, sameMoment)
}

// wasAlive reports whether it ran when we last knew: so whatever ended that has ended since.
func (l look) wasAlive() bool {
	return l.prev.Status == store.StatusRunning || l.prev.Status.Deploying()
}

// nothingSince reports whether this is the very run that had ended when we last looked: a later
// run would have another start.
func (l look) nothingSince() bool {
	if l.prev.LastAliveAt.IsZero() || l.prev.CheckedAt.IsZero() || !l.sameStart() || !l.sameEnd() {
		return false
	}
	switch l.prev.Status {
	case store.StatusStopped, store.StatusDead, store.StatusMissing:
		return true
	case store.StatusRestarting: // had ended only if the engine was waiting to restart it
		return l.endIsValid()
	case store.StatusRunning, store.StatusPaused, store.StatusFailed, store.StatusPending, store.StatusPulling,
		store.StatusStarting, store.StatusRemoving:
	}
	return false
}

// mayHaveLived reports whether it may have been alive since the moment we have for it, without a trace.
func (l look) mayHaveLived() bool { return (l.wasAlive() || l.broken()) && !l.nothingSince() }

// endIsValid reports whether the engine holds a believable end of the last run.
func (l look) endIsValid() bool {
	return validTime(l.c.FinishedAt, l.at) && !l.c.FinishedAt.Before(l.c.StartedAt)
}

func (l look) neverStarted() bool {
	if !l.c.StartedAt.IsZero() || !l.c.FinishedAt.IsZero() {
		return false
	}
	return l.prev.StartedAt.IsZero() && !l.wasAlive()
}

// paused: its processes stand still since a moment that only an event tells.
func (l look) paused(next *store.Instance) {
	next.Status, next.Class = store.StatusPaused, store.ClassPaused
	if l.prev.Status == store.StatusPaused && l.sameStart() && !l.blind() && !l.prev.LastAliveAt.IsZero() {
		return
	}
	l.firstSeen(next)
}

// crashLooping: the engine is waiting to restart it, or has just done so and it has proved nothing yet.
func (l look) crashLooping(next *store.Instance) {
	next.Status, next.Class = store.StatusRestarting, store.ClassCrashLooping
	markStopped(next, l.at)
	waiting := l.c.State != docker.StateRunning
	switch {
	case waiting && l.nothingSince():
	case waiting && l.endIsValid() && l.runCounts(next.PolicyRun):
		advance(next, l.c.FinishedAt, store.EvidenceFinishedAt, false)
	case !waiting && l.sameStart() && l.prev.Status == store.StatusRestarting:
	case l.wasAlive() || l.blind():
		l.firstSeen(next)
	}
}

// created: it never ran, so it is as old as its creation.
func (l look) created(next *store.Instance) {
	next.Status, next.Class = endedStatus(l.prev, l.c), store.ClassNeverStarted
	markStopped(next, l.at)
	if validTime(l.c.CreatedAt, l.at) {
		advance(next, l.c.CreatedAt, store.EvidenceCreatedAt, false)
		return
	}
	if next.LastAliveAt.IsZero() {
		l.firstSeen(next)
	}
}

// ended: the last run is over.
func (l look) ended(next *store.Instance) {
	next.Status, next.Class = endedStatus(l.prev, l.c), endedClass(l.c)
	markStopped(next, l.at)
	if l.engineLost() {
		next.Class = store.ClassEngineLost
	}
	if l.nothingSince() {
		return
	}
	if !l.endIsValid() {
		if l.mayHaveLived() || next.LastAliveAt.IsZero() {
			l.firstSeen(next)
		}
		return
	}
	if l.runCounts(next.PolicyRun) && !l.pausedUntilEnd() {
		// 255 is what the engine writes when it finds, as it starts, that the process has gone: the
		// process ended before that. Paused across a time we did not see, it may have ended to live before.
		upper := l.c.ExitCode == 255 || l.prev.Status == store.StatusPaused
		advance(next, l.c.FinishedAt, store.EvidenceFinishedAt, upper)
		return
	}
	if l.mayHaveLived() || next.LastAliveAt.IsZero() {
		advance(next, l.c.FinishedAt, store.EvidenceFinishedAt, true) // an earlier run, which counted, ended before this
	}
}

// runCounts reports whether the run that ended is a sign of life.
func (l look) runCounts(policyRun bool) bool {
	return !policyRun || l.c.FinishedAt.Sub(l.c.StartedAt) >= shortRun
}

// pausedUntilEnd reports whether the run was paused when it was ended, so that its end is
// not the end of its life. Who stops a paused one, above all we ourselves, does not revive it.
func (l look) pausedUntilEnd() bool {
	return l.prev.Status == store.StatusPaused && l.sameStart() && !l.blind()
}

// engineLost reports whether it is meant to run and was left lying by an engine that crashed. Such an
// engine kills what ran as it starts again, and restarts only those with the policy always; an
// unless-stopped one then looks like one that a person stopped. Only having seen its end tells them apart.
func (l look) engineLost() bool {
	if l.prev.Intended != store.IntendedRunning {
		return false
	}
	if l.prev.Class == store.ClassEngineLost && l.nothingSince() {
		return true
	}
	switch l.prev.Status {
	case store.StatusRunning, store.StatusRestarting, store.StatusPaused:
	default: // it was not running when we last knew
		return false
	}
	if l.c.RestartPolicy != "always" && l.c.RestartPolicy != "unless-stopped" {
		return false
	}
	if !l.broken() || l.c.ExitCode != 0 || l.c.State == docker.StateDead || l.c.State == docker.StateRemoving {
		return false
	}
	return !l.endIsValid() || !l.c.FinishedAt.Before(l.knownUntil.Add(-sameMoment))
}

// firstSeen makes this look the moment from which age counts.
func (l look) firstSeen(next *store.Instance) {
	next.FirstSeenStoppedAt = stamp(l.at)
	advance(next, l.at, store.EvidenceFirstSeenStopped, true)
}

// gone folds in that the right engine knows no such container.
func gone(prev store.Instance, s sight) store.Instance {
	next := prev
	next.CheckedAt, next.CheckError = stamp(s.at), ""
	if !prev.LastAliveAt.IsZero() && !validTime(prev.LastAliveAt, s.at) {
		next.LastAliveAt, next.Evidence, next.UpperBound = time.Time{}, "", false
	}
	l := look{prev: prev, sight: s}
	next.Status, next.Class = store.StatusMissing, store.ClassMissing
	if prev.Status != store.StatusMissing && (l.wasAlive() || l.broken()) || next.LastAliveAt.IsZero() {
		l.firstSeen(&next)
	}
	markStopped(&next, s.at)
	if next.HeldBack == heldEngineLost {
		next.HeldBack = ""
	}
	return next
}

// unasked folds in that the engine could not be asked about this one: nothing is concluded.
func unasked(prev store.Instance, why string) store.Instance {
	next := prev
	next.CheckError = why
	return next
}

// endedStatus keeps a deploy that failed recognisable: that its container is stopped is no news.
func endedStatus(prev store.Instance, c docker.Container) store.Status {
	switch {
	case c.State == docker.StateDead || c.State == docker.StateRemoving:
		return store.StatusDead
	case prev.Status == store.StatusFailed:
		return store.StatusFailed
	}
	return store.StatusStopped
}

func endedClass(c docker.Container) store.Class {
	switch {
	case c.State == docker.StateDead || c.State == docker.StateRemoving:
		return store.ClassDead
	case c.OOMKilled:
		return store.ClassOOM
	case c.ExitCode != 0:
		return store.ClassFailed
	}
	return store.ClassExited
}

func seenAlive(next *store.Instance, at time.Time) {
	next.Status, next.Class = store.StatusRunning, store.ClassNone
	next.FirstSeenStoppedAt = time.Time{}
	next.HeldBack = ""
	advance(next, at, store.EvidenceObserved, false)
}

func markStopped(next *store.Instance, at time.Time) {
	if next.FirstSeenStoppedAt.IsZero() {
		next.FirstSeenStoppedAt = stamp(at)
	}
}

func holdBack(next *store.Instance, c docker.Container) {
	switch {
	case c.Labels[docker.LabelSwarmTask] != "":
		next.HeldBack = heldSwarmTask
	case next.Class == store.ClassEngineLost:
		next.HeldBack = heldEngineLost
	case next.HeldBack == heldEngineLost || next.HeldBack == heldSwarmTask:
		next.HeldBack = ""
	}
}

// advance moves last alive forward to at, never backwards; of the same moment the better evidence stays.
func advance(i *store.Instance, at time.Time, e store.Evidence, upper bool) {
	at = stamp(at)
	if at.Before(i.LastAliveAt) || at.Equal(i.LastAliveAt) && i.Evidence != "" && (upper || !i.UpperBound) {
		return
	}
	i.LastAliveAt, i.Evidence, i.UpperBound = at, e, upper
}

// stamp is t as the store keeps it, so that what was read and what was written compare equal.
func stamp(t time.Time) time.Time {
	if t.IsZero() {
		return time.Time{}
	}
	return t.UTC().Truncate(time.Millisecond)
}

func near(a, b time.Time, slack time.Duration) bool {
	d := a.Sub(b)
	return d.Abs() <= slack
}
