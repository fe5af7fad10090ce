package stale

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/tiny-forge/docker-watcher/internal/store"
)

// BlindTime is how much of an instance's age was blind, and in which intervals: one question a host.
func (c *Cleaner) BlindTime(ctx context.Context, views []store.InstanceView) (map[string][]store.BlindInterval, error) {
	oldest := map[string]time.Time{}
	for _, v := range views {
		if first, ok := oldest[v.HostID]; ages(v.Instance) && (!ok || v.LastAliveAt.Before(first)) {
			oldest[v.HostID] = v.LastAliveAt
		}
	}
	now := time.Now().UTC()
	intervals := make(map[string][]store.BlindInterval, len(oldest))
	for host, from := range oldest {
		var err error
		if intervals[host], err = c.blindSince(ctx, host, from); err != nil {
			return nil, err
		}
	}
	blind := map[string][]store.BlindInterval{}
	for _, v := range views {
		if !ages(v.Instance) {
			continue
		}
		if over := overlapping(intervals[v.HostID], v.LastAliveAt, now); len(over) > 0 {
			blind[v.ID] = over
		}
	}
	return blind, nil
}

// blindSince are the blind intervals of a host since from, at least. It reads them anew only when something was
// written since: pages of the stale list ask again and again.
func (c *Cleaner) blindSince(ctx context.Context, hostID string, from time.Time) ([]store.BlindInterval, error) {
	commits := c.db.Commits() // before anything is read, so that a write beside us is seen next time
	c.mu.Lock()
	known, ok := c.unseen[hostID]
	c.mu.Unlock()
	if ok && known.commits == commits && !from.Before(known.since) {
		return known.intervals, nil
	}
	intervals, err := c.db.BlindDuring(ctx, hostID, from, time.Time{})
	if err != nil {
		return nil, fmt.Errorf("read the blind time of host %s: %w", hostID, err)
	}
	c.mu.Lock()
	// What was read before the newest commit is read anew anyway, and may be of a host that was removed.
	maps.DeleteFunc(c.unseen, func(_ string, u unseen) bool { return u.commits < commits })
	c.unseen[hostID] = unseen{commits: commits, since: from, intervals: intervals}
	c.mu.Unlock()
	return intervals, nil
}

// unseen is what was last read of the blind time of a host.
type unseen struct {
	commits   int64
	since     time.Time
	intervals []store.BlindInterval
}

// ages reports whether an instance has an age at all.
func ages(i store.Instance) bool { return !isAlive(i) && !i.LastAliveAt.IsZero() }

func overlapping(intervals []store.BlindInterval, from, to time.Time) []store.BlindInterval {
	var over []store.BlindInterval
	for _, b := range intervals {
		if b.From.Before(to) && (b.To.IsZero() || b.To.After(from)) {
			over = append(over, b)
		}
	}
	return over
}

// BlindWords says in words when nobody watched between two moments; empty if somebody always did.
func BlindWords(intervals []store.BlindInterval, from, to time.Time) string {
	words := blindSpans(intervals, from, to)
	if words == "" {
		return ""
	}
	return words + ": it may have run in between"
}

// BlindEvidence is BlindWords for the age of an instance. Where the engine's own record of its last run shows that
// there was none later, it says that instead of the doubt.
func BlindEvidence(i store.Instance, intervals []store.BlindInterval, now time.Time) string {
	if !ages(i) {
		return ""
	}
	words := blindSpans(intervals, i.LastAliveAt, now)
	switch {
	case words == "":
		return ""
	case accounted(i, intervals):
		return words + ": the engine's own record shows that it did not run in between"
	}
	return words + ": it may have run in between"
}

// accounted reports whether an inspect after the last of the intervals found that no run followed the one that we know.
func accounted(i store.Instance, intervals []store.BlindInterval) bool {
	for _, b := range intervals {
		if b.To.IsZero() || i.CheckedAt.Before(b.To.Add(-sameMoment)) {
			return false
		}
	}
	if i.CheckError != "" || i.UpperBound {
		return false
	}
	switch i.Class {
	case store.ClassNeverStarted:
		return i.StartedAt.IsZero()
	case store.ClassExited, store.ClassFailed, store.ClassOOM:
		return !i.FinishedAt.IsZero() && !i.FinishedAt.Before(i.StartedAt) && !i.FinishedAt.After(i.LastAliveAt.Add(sameMoment))
	case store.ClassNone, store.ClassPaused, store.ClassCrashLooping, store.ClassDead, store.ClassMissing, store.ClassEngineLost:
	}
	return false
}

// span is a stretch of time.
type span struct{ from, to time.Time }

// fewSpans are as many as are named one by one.
const fewSpans = 3

func blindSpans(intervals []store.BlindInterval, from, to time.Time) string {
	spans := merged(intervals, from, to)
	if len(spans) == 0 {
		return ""
	}
	var all time.Duration
	named := make([]string, 0, fewSpans)
	for _, s := range spans {
		all += s.to.Sub(s.from)
		if len(named) < fewSpans {
			named = append(named, "from "+spanTime(s.from)+" to "+spanTime(s.to))
		}
	}
	if len(spans) > fewSpans {
		last := spans[len(spans)-1]
		return fmt.Sprintf("nobody watched %d times between %s and %s (%s in all)", len(spans), spanTime(spans[0].from), spanTime(last.to), spell(all))
	}
	return fmt.Sprintf("nobody watched %s (%s in all)", strings.Join(named, " and "), spell(all))
}

func spanTime(t time.Time) string { return t.UTC().Format("2006-01-02 15:04:05 UTC") }

// merged are the intervals as stretches that do not overlap, within from and to.
func merged(intervals []store.BlindInterval, from, to time.Time) []span {
	var spans []span
	for _, b := range overlapping(intervals, from, to) {
		s := span{laterOf(b.From, from), to}
		if !b.To.IsZero() {
			s.to = earlier(b.To, to)
		}
		if s.from.Before(s.to) {
			spans = append(spans, s)
		}
	}
	slices.SortFunc(spans, func(a, b span) int { return a.from.Compare(b.from) })
	var out []span
	for _, s := range spans {
		if n := len(out); n > 0 && !s.from.After(out[n-1].to) {
			out[n-1].to = laterOf(out[n-1].to, s.to)
			continue
		}
		out = append(out, s)
	}
	return out
}

// tellBlind says in the warnings of a scan what of an age nobody watched.
func (p *pass) tellBlind(ctx context.Context, w *write) error {
	var told []*change
	oldest := time.Time{}
	for i := range w.changes {
		if c := &w.changes[i]; c.newlyStale && ages(c.next) {
			told = append(told, c)
			if oldest.IsZero() || c.next.LastAliveAt.Before(oldest) {
				oldest = c.next.LastAliveAt
			}
		}
	}
	if len(told) == 0 {
		return nil
	}
	now := time.Now().UTC()
	intervals, err := p.s.db.BlindDuring(ctx, p.m.hostID, oldest, now)
	if err != nil {
		return fmt.Errorf("read the blind time: %w", err)
	}
	open := map[string]bool{}
	for i := range intervals {
		if intervals[i].To.IsZero() {
			open[intervals[i].Reason] = true
			intervals[i].To = p.scan.StartedAt // this scan ends it
		}
	}
	intervals = append(intervals, p.unwatched(p.host, open)...) // this scan writes them down
	for _, c := range told {
		c.tellBlind(intervals, now)
	}
	return nil
}

func (c *change) tellBlind(intervals []store.BlindInterval, now time.Time) {
	words := BlindEvidence(c.next, intervals, now)
	if words == "" {
		return
	}
	data := []map[string]any{}
	for _, b := range overlapping(intervals, c.next.LastAliveAt, now) {
		data = append(data, map[string]any{"from": moment(b.From), "to": moment(b.To), "reason": b.Reason})
	}
	for i := range c.events {
		if e := &c.events[i]; e.Kind == "instance.stale" {
			e.Message += "; " + words
			e.Data["blind"], e.Data["blind_words"] = data, words
		}
	}
}
