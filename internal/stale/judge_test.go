package stale

import (
	"strings"
	"testing"
	"time"

	"github.com/tiny-forge/docker-watcher/internal/store"
)

var noon = time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)

func stoppedFor(age time.Duration) Facts {
	return Facts{
		Status: store.StatusStopped, Class: store.ClassExited,
		LastAliveAt: noon.Add(-age), Evidence: store.EvidenceFinishedAt,
	}
}

func TestJudge(t *testing.T) {
	week := Policy{Threshold: 7 * day}
	with := func(f Facts, change func(*Facts)) Facts { change(&f); return f }
	cases := []struct {
		name   string
		facts  Facts
		policy Policy
		stale  bool
		days   int
		reason string
	}{
		{"a millisecond over the threshold", stoppedFor(7*day + time.Millisecond), week, true, 7, "longer than the threshold of 7 days"},
		{"exactly the threshold is not over it", stoppedFor(7 * day), week, false, 7, "not longer"},
		{"a minute ago", stoppedFor(time.Minute), week, false, 0, "1 minute ago"},
		{"thirteen and a half days", stoppedFor(13*day + 12*time.Hour), week, true, 13, "13 days 12 hours ago"},
		{"threshold of seconds", stoppedFor(11 * time.Second), Policy{Threshold: 10 * time.Second}, true, 0, "11 seconds ago"},
		{"never", stoppedFor(900 * day), Policy{Never: true}, false, 900, "never counts as stale"},
		{"running however old the moment", with(stoppedFor(90*day), func(f *Facts) { f.Status = store.StatusRunning }), week, false, 90, "running"},
		{"being removed", with(stoppedFor(90*day), func(f *Facts) { f.Status = store.StatusRemoving }), week, false, 90, "being removed"},
		{"pending", with(stoppedFor(90*day), func(f *Facts) { f.Status = store.StatusPending }), week, false, 90, "being deployed"},
		{"pulling", with(stoppedFor(90*day), func(f *Facts) { f.Status = store.StatusPulling }), week, false, 90, "being deployed"},
		{"starting", with(stoppedFor(90*day), func(f *Facts) { f.Status = store.StatusStarting }), week, false, 90, "being deployed"},
		{"a status from a newer version", with(stoppedFor(90*day), func(f *Facts) { f.Status = "dreaming" }), week, false, 90, "dreaming"},
		{"could not be asked", with(stoppedFor(90*day), func(f *Facts) { f.CheckError = "no answer in 10s" }), week, false, 90, "no answer in 10s"},
		{"swarm task", with(stoppedFor(90*day), func(f *Facts) { f.SwarmTask = true }), week, false, 90, "Swarm"},
		{"zero time: 292 years ago", with(stoppedFor(0), func(f *Facts) { f.LastAliveAt = time.Time{} }), week, false, 0, "no believable moment"},
		{"unix zero", with(stoppedFor(0), func(f *Facts) { f.LastAliveAt = time.Unix(0, 0) }), week, false, 0, "no believable moment"},
		{"in the future", stoppedFor(-61 * time.Second), week, false, 0, "no believable moment"},
		{"in the future, within the tolerance", stoppedFor(-59 * time.Second), week, false, 0, "not longer"},
		{"protected is listed all the same", with(stoppedFor(8*day), func(f *Facts) {
			f.Protection = store.Protection{Kind: store.ProtectionPinned, By: "user:anna"}
		}), week, true, 8, "longer"},
		{"paused", with(stoppedFor(8*day), func(f *Facts) { f.Status, f.Class = store.StatusPaused, store.ClassPaused }), week, true, 8, "paused"},
		{"crash looping", with(stoppedFor(8*day), func(f *Facts) { f.Status, f.Class = store.StatusRestarting, store.ClassCrashLooping }), week, true, 8, "crash loop"},
		{"dead", with(stoppedFor(8*day), func(f *Facts) { f.Status, f.Class = store.StatusDead, store.ClassDead }), week, true, 8, "dead"},
		{"missing", with(stoppedFor(8*day), func(f *Facts) { f.Status, f.Class = store.StatusMissing, store.ClassMissing }), week, true, 8, "gone from the engine"},
		{"failed deploy", with(stoppedFor(8*day), func(f *Facts) {
			f.Status, f.Class, f.ExitCode = store.StatusFailed, store.ClassFailed, 3
		}), week, true, 8, "exit code 3"},
		{"upper bound says so", with(stoppedFor(8*day), func(f *Facts) { f.UpperBound = true }), week, true, 8, "at the latest at"},
		{"never started", with(stoppedFor(8*day), func(f *Facts) {
			f.Class, f.Evidence = store.ClassNeverStarted, store.EvidenceCreatedAt
		}), week, true, 8, "never started: created"},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			v := Judge(c.facts, c.policy, noon)
			if v.Stale != c.stale || v.DaysStale != c.days {
				t.Errorf("stale %v after %d days, want %v after %d", v.Stale, v.DaysStale, c.stale, c.days)
			}
			if !strings.Contains(v.Reason, c.reason) {
				t.Errorf("reason %q, want one with %q", v.Reason, c.reason)
			}
			if v.Class != c.facts.Class || v.Evidence != c.facts.Evidence || v.UpperBound != c.facts.UpperBound || v.Protection != c.facts.Protection {
				t.Errorf("the verdict %+v does not carry the facts %+v", v, c.facts)
			}
		})
	}
}

func TestJudgeUnknown(t *testing.T) {
	for name, want := range map[string]bool{"no answer": true, "": false} {
		f := stoppedFor(8 * day)
		f.CheckError = name
		if v := Judge(f, Policy{Threshold: 7 * day}, noon); v.Unknown != want {
			t.Errorf("check error %q: unknown %v, want %v", name, v.Unknown, want)
		}
	}
}

func TestPeer25ThresholdOfNothingIsNoPolicy(t *testing.T) {
	for _, text := range []string{"0s", "0d", "-1d", "-7d", "99999999d", "soon", "", "7", "500ms", "1e9d"} {
		if s, err := store.ParseStaleAfter(text); err == nil {
			t.Errorf("stale_after %q is taken as %+v", text, s)
		}
	}
	for _, days := range []int{0, -1, 3651, 1 << 40} {
		s := store.DefaultSettings()
		s.StaleThresholdDays = days
		if err := s.Validate(); err == nil {
			t.Errorf("stale_threshold_days %d is taken", days)
		}
	}
}

func TestAutoInterval(t *testing.T) {
	for _, c := range []struct{ smallest, want time.Duration }{
		{7 * day, day},
		{14 * day, 2 * day},
		{7 * time.Hour, time.Hour},
		{10 * time.Second, time.Hour},
		{0, time.Hour},
	} {
		if got := autoInterval(c.smallest); got != c.want {
			t.Errorf("smallest threshold %s: a scan every %s, want %s", c.smallest, got, c.want)
		}
	}
}

func TestSpell(t *testing.T) {
	for d, want := range map[time.Duration]string{
		0:                                 "less than a second",
		time.Second:                       "1 second",
		61 * time.Second:                  "1 minute 1 second",
		time.Hour + time.Second:           "1 hour",
		25 * time.Hour:                    "1 day 1 hour",
		7 * day:                           "7 days",
		292 * 365 * day:                   "106580 days",
		2*time.Hour + 3*time.Minute + 999: "2 hours 3 minutes",
	} {
		if got := spell(d); got != want {
			t.Errorf("%d is spelled %q, want %q", d, got, want)
		}
	}
}
