package stale

import (
	"fmt"
	"time"

	"github.com/tiny-forge/docker-watcher/internal/store"
)

// change is what becomes of one instance, and what is to be told of it.
type change struct {
	e          *entry
	view       store.InstanceView
	prev, next store.Instance
	events     []store.Event
	newlyStale bool
	recovered  bool
}

// quiet reports whether nothing can have changed for an instance that nobody had to ask for: it is
// the path of the many.
func (e *entry) quiet(at time.Time) bool {
	if e.view.ContainerID == "" && believed(e.view.LastAliveAt, at).IsZero() {
		return false
	}
	if e.view.CheckError != "" {
		return true
	}
	stale := e.stale(at)
	if stale != !e.view.StaleSince.IsZero() || stale && toldAhead(e.view.Instance, at) {
		return false
	}
	return !stale || !e.view.WarnedAt.IsZero() || e.view.Protection(at).Kind != store.ProtectionNone
}

// toldAhead reports whether an instance became stale, or was warned of, at a moment that is yet to come: then its grace would not end before.
func toldAhead(i store.Instance, now time.Time) bool {
	return store.DatedAhead(i.StaleSince, now) || store.DatedAhead(i.WarnedAt, now)
}

// withoutContainer is a deploy that failed before there was a container: as old as its row. One that was made while the clock ran
// ahead counts from now.
func withoutContainer(i store.Instance, now time.Time) store.Instance {
	if !believed(i.LastAliveAt, now).IsZero() {
		return i
	}
	i.LastAliveAt, i.Evidence, i.UpperBound = time.Time{}, "", false
	i.Class = store.ClassNeverStarted
	if made := believed(i.CreatedAt, now); !made.IsZero() {
		advance(&i, made, store.EvidenceCreatedAt, false)
	} else {
		advance(&i, now, store.EvidenceFirstSeenStopped, true)
	}
	return i
}

// settle judges what was observed and says what is to be written and told. at is the engine's clock, now is ours.
func settle(e *entry, next store.Instance, at, now time.Time) change {
	c := revive(e, next, now)
	v := Judge(FactsOf(c.next, at), PolicyOf(e.view.StaleAfter), at)
	switch {
	case v.Unknown: // what could not be asked stays as it was
	case v.Stale:
		c.becomeStale(v, now)
	case !c.next.StaleSince.IsZero():
		if toldAhead(c.next, now) {
			c.next.WarnedAt = time.Time{}
		}
		// It may have been alive while nobody looked, or the threshold was raised. It was not seen alive,
		// so the episode goes on, and nobody is warned of it twice.
		c.next.StaleSince = time.Time{}
		c.tell(store.SeverityInfo, "instance.status", "no longer counts as stale: "+v.Reason, v, now)
	}
	return c
}

// revive settles all but staleness that begins: that alone is left to a scan.
func revive(e *entry, next store.Instance, now time.Time) change {
	c := change{e: e, view: e.view, prev: e.view.Instance, next: next}
	c.tellStatus(now)
	if !isAlive(next) {
		return c
	}
	if !next.StaleSince.IsZero() {
		c.recovered = true
		c.tell(store.SeverityInfo, "instance.recovered", "is alive again", Verdict{}, now)
	}
	c.next.StaleSince, c.next.WarnedAt = time.Time{}, time.Time{}
	return c
}

func (c *change) becomeStale(v Verdict, now time.Time) {
	if toldAhead(c.next, now) { // by a clock that ran ahead: it is told anew, and its grace counts from now
		c.next.StaleSince, c.next.WarnedAt = time.Time{}, time.Time{}
	}
	first := c.next.StaleSince.IsZero()
	if first {
		c.next.StaleSince = stamp(now)
		c.newlyStale = true
	}
	switch {
	case !c.next.WarnedAt.IsZero():
		if first {
			c.tell(store.SeverityInfo, "instance.status", "counts as stale again: "+v.Reason, v, now)
		}
	case v.Protection.Kind == store.ProtectionNone:
		c.next.WarnedAt = stamp(now)
		c.tell(store.SeverityWarn, "instance.stale", "is stale: "+v.Reason, v, now)
	case first:
		c.tell(store.SeverityInfo, "instance.protected", fmt.Sprintf("is stale but kept (%s): %s", v.Protection.Kind, v.Reason), v, now)
	}
}

// tellStatus tells of a status or class that changed, and of times that cannot be.
func (c *change) tellStatus(now time.Time) {
	prev, next := c.prev, c.next
	switch {
	case next.Class == store.ClassEngineLost && prev.Class != store.ClassEngineLost:
		c.tell(store.SeverityWarn, "instance.engine_lost",
			"is meant to run but is not, since a time when nobody watched: an engine that crashes leaves containers so; start it again if that is the case", Verdict{}, now)
	case next.Status == store.StatusMissing && prev.Status != store.StatusMissing:
		c.tell(store.SeverityWarn, "instance.missing", "is gone: its container was removed by somebody else", Verdict{}, now)
	case next.Status != prev.Status:
		c.tell(store.SeverityInfo, "instance.status", fmt.Sprintf("was %s and is %s now%s", prev.Status, next.Status, inWhichWay(next)), Verdict{}, now)
	}
	engine := next.CheckedAt
	if !next.FinishedAt.Equal(prev.FinishedAt) && next.FinishedAt.After(engine.Add(clockTolerance)) {
		c.tell(store.SeverityWarn, "host.clock_skew",
			fmt.Sprintf("ended at %s by its engine, which is yet to come: its age counts from now instead", next.FinishedAt.Format(time.RFC3339)), Verdict{}, now)
	}
}

func inWhichWay(i store.Instance) string {
	if i.Class == store.ClassNone {
		return ""
	}
	return fmt.Sprintf(" (%s, exit code %d)", i.Class, i.ExitCode)
}

// tell adds an event about the instance.
func (c *change) tell(severity store.Severity, kind, message string, v Verdict, now time.Time) {
	i := c.next
	data := map[string]any{
		"status": string(i.Status), "former_status": string(c.prev.Status), "class": string(i.Class),
		"image_tag": i.ImageTag, "container_id": i.ContainerID, "evidence": string(i.Evidence), "upper_bound": i.UpperBound,
	}
	if !i.LastAliveAt.IsZero() {
		data["last_alive_at"] = i.LastAliveAt.UTC().Format("2006-01-02T15:04:05.000Z")
	}
	if v.Reason != "" {
		data["reason"], data["days_stale"] = v.Reason, v.DaysStale
	}
	if v.Protection.Kind != store.ProtectionNone {
		data["protection"] = string(v.Protection.Kind)
	}
	c.events = append(c.events, store.Event{
		Time: now, Severity: severity, Source: store.SourceScanner, Kind: kind,
		Message:   fmt.Sprintf("%s (%s/%s) %s", i.Name, c.view.Project, c.view.Stage, message),
		ProjectID: i.ProjectID, StageID: i.StageID, InstanceID: i.ID, HostID: i.HostID, Actor: "system", Data: data,
	})
}

// differs reports whether there is anything to write. That a running one was seen once more is
// written for all of them together.
func (c *change) differs() bool {
	a, b := c.prev, c.next
	if store.DatedAhead(a.CheckedAt, b.CheckedAt) {
		return true
	}
	a.CheckedAt, b.CheckedAt = time.Time{}, time.Time{}
	if isAlive(a) && isAlive(b) && a.Evidence == b.Evidence && a.Evidence == store.EvidenceObserved {
		a.LastAliveAt, b.LastAliveAt, a.UpperBound, b.UpperBound = time.Time{}, time.Time{}, false, false
	}
	return !sameRow(a, b)
}

// sameRow compares all that the scanner writes.
func sameRow(a, b store.Instance) bool {
	return a.Status == b.Status && a.Class == b.Class && a.Evidence == b.Evidence && a.UpperBound == b.UpperBound &&
		a.ContainerCreatedAt.Equal(b.ContainerCreatedAt) && a.StartedAt.Equal(b.StartedAt) && a.FinishedAt.Equal(b.FinishedAt) &&
		a.ExitCode == b.ExitCode && a.OOMKilled == b.OOMKilled && a.RestartCount == b.RestartCount &&
		a.EngineError == b.EngineError && a.PolicyRun == b.PolicyRun && a.KeepLabel == b.KeepLabel &&
		a.LastAliveAt.Equal(b.LastAliveAt) && a.FirstSeenStoppedAt.Equal(b.FirstSeenStoppedAt) &&
		a.StaleSince.Equal(b.StaleSince) && a.WarnedAt.Equal(b.WarnedAt) && a.CheckedAt.Equal(b.CheckedAt) &&
		a.CheckError == b.CheckError && a.HeldBack == b.HeldBack
}
