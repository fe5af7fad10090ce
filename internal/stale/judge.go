// Package stale finds the containers that have not been alive for longer than they may, says how it
// knows, and cleans them up exactly as planned.
//
// What is decided is decided by pure functions: Judge (facts and a threshold in, a verdict out), Observe
// (a row and an inspect in, a row out), told (the same for an event). What is asked of engines and written
// to the store lies around them:
//
//   - Scanner.Scan asks a host once: two lists, and inspects of those whom the lists do not tell enough of.
//     What it finds is written in one transaction, or, when it could not ask properly, not at all.
//   - Scanner.Watch follows the engines' events between the scans. It never declares anything stale, and it
//     trusts what it remembers only as far back as the stream has been whole.
//   - Cleaner.Plan freezes what a cleanup would do, Cleaner.Apply does that, judging each item again, and
//     Cleaner.Recover ends what a crash left half done.
//   - Each removal makes an archive first (archive.go): without a copy that an undo can be made of, nothing is
//     removed. Cleaner.Restore brings it back, after a survey of what is in the way; expire.go ends archives.
//
// One pass of a host at a time: a scan and a batch of events take turns. Scanner and Cleaner meet only in
// the store, where each writes a row only as the one it has read.
package stale

import (
	"fmt"
	"strconv"
	"time"

	"github.com/tiny-forge/docker-watcher/internal/store"
)

const (
	day = 24 * time.Hour
	// clockTolerance is how far in the future of the engine's clock a moment may lie and still be believed.
	clockTolerance = time.Minute
)

// oldestTime is before the first release of Docker: a moment before it is a zero in disguise.
var oldestTime = time.Date(2013, 1, 1, 0, 0, 0, 0, time.UTC)

// validTime reports whether t can be the moment of something that has happened by now.
func validTime(t, now time.Time) bool {
	return t.After(oldestTime) && !t.After(now.Add(clockTolerance))
}

// believed is a moment that we wrote down, if it can be of what has happened by now; zero: it was written while the clock ran ahead, and says nothing.
func believed(t, now time.Time) time.Time {
	if t.After(now.Add(clockTolerance)) {
		return time.Time{}
	}
	return t
}

// Facts are all that a verdict rests on.
type Facts struct {
	Status      store.Status
	Class       store.Class
	LastAliveAt time.Time
	Evidence    store.Evidence
	UpperBound  bool
	ExitCode    int
	CheckError  string // why the last check could not tell
	SwarmTask   bool
	Protection  store.Protection
}

// FactsOf are the facts of an instance as last observed; now is the engine's clock.
func FactsOf(i store.Instance, now time.Time) Facts {
	return Facts{
		Status: i.Status, Class: i.Class,
		LastAliveAt: i.LastAliveAt, Evidence: i.Evidence, UpperBound: i.UpperBound,
		ExitCode: i.ExitCode, CheckError: i.CheckError, SwarmTask: i.HeldBack == heldSwarmTask,
		Protection: i.Protection(now),
	}
}

// Verdict is what Judge makes of facts.
type Verdict struct {
	Stale      bool
	Unknown    bool // could not be asked: neither stale nor alive
	Class      store.Class
	LastAlive  time.Time
	Evidence   store.Evidence
	UpperBound bool
	DaysStale  int // whole days since it was last alive
	Reason     string
	Protection store.Protection
}

// Judge says whether an instance is stale: not running, and not alive for longer than the
// threshold. now is the engine's clock. It is a pure function; protection does not change
// the verdict, for a protected instance is listed too.
func Judge(f Facts, p Policy, now time.Time) Verdict {
	v := decide(f, p, now)
	if v.Reason == "" {
		v.Reason = ageReason(f, p, now.Sub(f.LastAliveAt))
	}
	return v
}

// decide is Judge without the words for an age, for those who judge ten thousand at once.
func decide(f Facts, p Policy, now time.Time) Verdict {
	v := Verdict{
		Class: f.Class, LastAlive: f.LastAliveAt, Evidence: f.Evidence, UpperBound: f.UpperBound,
		Protection: f.Protection,
	}
	age := now.Sub(f.LastAliveAt)
	if validTime(f.LastAliveAt, now) {
		v.DaysStale = max(0, int(age/day))
	}
	if why := exempt(f, p, now); why != "" {
		v.Unknown = f.CheckError != "" || !validTime(f.LastAliveAt, now)
		v.Reason = why
		return v
	}
	v.Stale = age > p.Threshold
	return v
}

// exempt says why the age of an instance is not looked at, if it is not.
func exempt(f Facts, p Policy, now time.Time) string {
	switch f.Status {
	case store.StatusRunning:
		return "it is running"
	case store.StatusRemoving:
		return "it is being removed"
	case store.StatusPending, store.StatusPulling, store.StatusStarting:
		return "it is being deployed"
	case store.StatusStopped, store.StatusPaused, store.StatusRestarting, store.StatusDead, store.StatusMissing, store.StatusFailed:
	default:
		return fmt.Sprintf("its status %q is not one that can be judged", f.Status)
	}
	switch {
	case f.SwarmTask:
		return "it is a task of Docker Swarm, which looks after its own"
	case f.CheckError != "":
		return "it could not be asked: " + f.CheckError
	case !validTime(f.LastAliveAt, now):
		return "no believable moment is known at which it was last alive"
	case p.Never:
		return "its stage never counts as stale"
	}
	return ""
}

func ageReason(f Facts, p Policy, age time.Duration) string {
	about := "last alive"
	switch {
	case f.Class == store.ClassNeverStarted:
		about = "created"
	case f.Evidence == store.EvidenceCreatedAt:
		about = "never started, created"
	}
	word := "longer"
	if age <= p.Threshold {
		word = "not longer"
	}
	moment := "at "
	if f.UpperBound {
		moment = "at the latest at "
	}
	// Not by fmt: a page of the stale list has a hundred of these.
	return classWords(f) + ": " + about + " " + moment + f.LastAliveAt.UTC().Format("2006-01-02 15:04:05 UTC") +
		" (" + evidenceWords(f.Evidence) + "), " + spell(age) + " ago, which is " + word + " than the threshold of " + spell(p.Threshold)
}

func classWords(f Facts) string {
	switch f.Class {
	case store.ClassExited:
		return "exited"
	case store.ClassFailed:
		if f.ExitCode != 0 {
			return fmt.Sprintf("failed with exit code %d", f.ExitCode)
		}
		return "failed"
	case store.ClassOOM:
		return "killed for want of memory"
	case store.ClassNeverStarted:
		return "never started"
	case store.ClassPaused:
		return "paused"
	case store.ClassCrashLooping:
		return "in a crash loop"
	case store.ClassDead:
		return "dead: the engine could not remove it"
	case store.ClassMissing:
		return "gone from the engine"
	case store.ClassEngineLost:
		return "meant to run, but not running since a time when nobody watched; an engine that crashes leaves containers so"
	case store.ClassNone:
	}
	return "not running"
}

func evidenceWords(e store.Evidence) string {
	switch e {
	case store.EvidenceObserved:
		return "we saw it run then, or the engine told us of it"
	case store.EvidenceFinishedAt:
		return "the engine's end of its last run"
	case store.EvidenceFirstSeenStopped:
		return "our first look at it not running, for the engine holds no believable end"
	case store.EvidenceCreatedAt:
		return "the engine's time of creation"
	}
	return "no evidence"
}

// spell writes a duration in its two largest units: people do not think in 183h12m0s.
func spell(d time.Duration) string {
	if d < time.Second {
		return "less than a second"
	}
	var b []byte
	for _, u := range units {
		n := d / u.size
		d %= u.size
		second := len(b) > 0
		if n > 0 {
			if second {
				b = append(b, ' ')
			}
			b = append(strconv.AppendInt(b, int64(n), 10), u.name...)
			if n != 1 {
				b = append(b, 's')
			}
		}
		if second {
			break
		}
	}
	return string(b)
}

var units = [...]struct {
	size time.Duration
	name string
}{{day, " day"}, {time.Hour, " hour"}, {time.Minute, " minute"}, {time.Second, " second"}}
