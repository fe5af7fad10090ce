package stale

import (
	"time"

	"github.com/tiny-forge/docker-watcher/internal/store"
)

// Decision is what policy makes of one instance, and when.
type Decision struct {
	Action store.PolicyAction // warn: nothing happens by itself
	Level  store.PolicyLevel  // who decided the action
	// At is when automatic cleanup would take it, if nothing changes; zero: it will not, and Why says why.
	At  time.Time
	Why string // in words: "would be cleaned Tue 3 Nov 02:00 UTC, unless alive"
}

// Ground is what decides beside an instance and its policy: the switch, and how its host stands.
type Ground struct {
	Off       bool                 // automatic cleanup is switched off
	Barred    string               // why nothing is taken on the host now, in words; empty: nothing is in the way
	NotBefore time.Time            // the end of the warm-up
	Spared    map[string]Sparing   // by instance id
	Planned   map[string]time.Time // by instance id: when the plan that it is in is applied
}

// Sparing is until when an instance is not planned again, and why.
type Sparing struct {
	Until time.Time
	Why   string
}

// Decide says what automatic cleanup makes of an instance, and when. It is a pure function; at the moment itself
// each instance is decided again.
func Decide(v store.InstanceView, p store.PolicyInForce, g Ground, now time.Time) Decision {
	d := Decision{Action: p.Action, Level: p.ActionFrom}
	switch d.Why = leftAlone(v, p, now); {
	case d.Why != "":
		return d
	case g.Off:
		d.Why = "automatic cleanup is switched off"
		return d
	case g.Barred != "":
		d.Why = g.Barred
		return d
	}
	sparing, planned := g.Spared[v.ID], g.Planned[v.ID]
	at := now
	for _, t := range []time.Time{ripe(v, p, now), g.NotBefore, sparing.Until, planned} {
		at = laterOf(at, t)
	}
	if d.At = p.Window.Next(at); d.At.IsZero() {
		d.Why = "its window never opens"
		return d
	}
	d.Why = "would be cleaned " + spoken(d.At, p, now) + ", unless alive"
	switch {
	case sparing.Until.After(now):
		d.Why += "; " + sparing.Why
	case planned.After(now):
		d.Why += " or called off"
	}
	return d
}

// due reports whether automatic cleanup may take an instance at that moment, but for how its host stands.
func due(v store.InstanceView, p store.PolicyInForce, g Ground, at time.Time) bool {
	return wanted(v, p, at) && !g.Spared[v.ID].Until.After(at) && p.Window.Contains(at)
}

// wanted reports whether automatic cleanup is to take an instance, from that moment on, as soon as its window is open and nothing spares it.
func wanted(v store.InstanceView, p store.PolicyInForce, at time.Time) bool {
	if v.StaleSince.IsZero() || v.WarnedAt.IsZero() || toldAhead(v.Instance, at) {
		return false
	}
	return leftAlone(v, p, at) == "" && !ripe(v, p, at).After(at)
}

// ripe is the end of the grace: it counts from the warning, and where none was given yet the next scan gives it.
func ripe(v store.InstanceView, p store.PolicyInForce, now time.Time) time.Time {
	warned := v.WarnedAt
	if warned.IsZero() || v.StaleSince.IsZero() || toldAhead(v.Instance, now) {
		warned = now
	}
	return warned.Add(p.CleanupAfter)
}

// leftAlone says why automatic cleanup never takes an instance as it is now; empty: it may.
func leftAlone(v store.InstanceView, p store.PolicyInForce, now time.Time) string {
	facts, policy := FactsOf(v.Instance, now), PolicyOf(p.StaleAfter)
	if why := exempt(facts, policy, now); why != "" {
		return why
	}
	if facts.Protection.Kind != store.ProtectionNone {
		return keptWords(facts.Protection, p, now)
	}
	if ripens := v.LastAliveAt.Add(policy.Threshold); !now.After(ripens) {
		return "not stale yet: becomes stale " + spoken(ripens, p, now) + " if it stays down"
	}
	if p.Action == store.ActionWarn {
		return warnedOnly(v, p)
	}
	return wantsPerson(v)
}

// warnedOnly says who wants a warning and no more.
func warnedOnly(v store.InstanceView, p store.PolicyInForce) string {
	who := "no policy asks for a cleanup"
	switch p.ActionFrom {
	case store.LevelDefault:
		if v.StageKind == store.StageProduction {
			who = "production stages are, unless they say otherwise"
		}
	case store.LevelGlobal:
		who = "the global policy says so"
	case store.LevelProject:
		who = "the policy of its project says so"
	case store.LevelStage:
		who = "the policy of its stage says so"
	}
	return "only warned of: " + who
}

// wantsPerson says why an instance is never cleaned without a person; empty: it may be.
func wantsPerson(v store.InstanceView) string {
	switch v.Class {
	case store.ClassPaused:
		return "its process is still there (paused): only a person may have it stopped"
	case store.ClassCrashLooping:
		return "its process is still there (crash loop): only a person may have it stopped"
	case store.ClassEngineLost:
		return "lost with its engine: start it or clean it by hand"
	case store.ClassDead:
		return "the engine could not remove it: it needs a person"
	case store.ClassNone, store.ClassExited, store.ClassFailed, store.ClassOOM, store.ClassNeverStarted, store.ClassMissing:
	}
	if v.HeldBack != "" {
		return "held back: " + v.HeldBack
	}
	return ""
}

func keptWords(k store.Protection, p store.PolicyInForce, now time.Time) string {
	words := "kept: "
	switch k.Kind {
	case store.ProtectionPinned:
		words += "pinned"
	case store.ProtectionSnoozed:
		words += "snoozed until " + spoken(k.Until, p, now)
	case store.ProtectionKeep, store.ProtectionRollback, store.ProtectionTagGone, store.ProtectionNone:
		return words + k.Why
	}
	if k.By != "" {
		words += " by " + k.By
	}
	if k.Why != "" {
		words += ": " + k.Why
	}
	return words
}

// spoken is a moment as people in the zone of the policy's window say it; the year only where it is another one.
func spoken(t time.Time, p store.PolicyInForce, now time.Time) string {
	t, now = p.Window.In(t), p.Window.In(now)
	if t.Year() != now.Year() {
		return t.Format("Mon 2 Jan 2006 15:04 MST")
	}
	return t.Format("Mon 2 Jan 15:04 MST")
}
