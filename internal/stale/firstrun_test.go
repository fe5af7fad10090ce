package stale

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/tiny-forge/docker-watcher/internal/store"
)

func TestFirstRun(t *testing.T) {
	now := time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)
	earliest := now.Add(autoNotice)
	at := func(after time.Duration) awaited { return awaited{at: now.Add(after)} }
	nights := awaited{at: now, policy: store.PolicyInForce{Window: store.Window{From: 2 * 60, Until: 5 * 60}}}
	tomorrow := time.Date(2026, 11, 24, 2, 0, 0, 0, time.UTC)
	for name, c := range map[string]struct {
		all   []awaited
		at    time.Time
		due   int
		later int
	}{
		"nothing":                            {nil, time.Time{}, 0, 0},
		"what is due now is announced first": {[]awaited{at(0), at(-time.Hour)}, earliest, 2, 0},
		"what comes within the notice too":   {[]awaited{at(0), at(4 * time.Minute), at(6*time.Minute + time.Second)}, earliest, 2, 1},
		"what comes within the minute too":   {[]awaited{at(time.Hour), at(time.Hour + 59*time.Second), at(time.Hour + time.Minute)}, now.Add(time.Hour), 2, 1},
		"not before its window":              {[]awaited{nights, at(20 * time.Hour)}, tomorrow, 1, 1},
		"not after its window": {
			[]awaited{{at: now, policy: store.PolicyInForce{Window: store.Window{From: 11 * 60, Until: 12*60 + 3}}}},
			time.Date(2026, 11, 24, 11, 0, 0, 0, time.UTC), 1, 0,
		},
	} {
		at, due, later := firstRun(slices.Clone(c.all), earliest)
		if !at.Equal(c.at) || len(due) != c.due || later != c.later {
			t.Errorf("%s: at %s %d due, %d later; want %s, %d, %d", name, at, len(due), later, c.at, c.due, c.later)
		}
	}
}

// TestTrialKnowsNoticeAndBrake: what is foretold is what then happens.
func TestTrialKnowsNoticeAndBrake(t *testing.T) {
	inAutoBed(t, func(t *testing.T, b *autoBed) {
		b.live(2 * time.Hour) // past the warm-up
		for _, name := range []string{"a", "b", "c"} {
			b.ripe(name, nil)
		}
		off, on := false, true
		b.settings(func(s *store.Settings) { s.AutoCleanup = false })
		turnOn := PolicyChange{Level: store.LevelGlobal, AutoCleanup: &on}

		if runs := b.try(PolicyChange{Level: store.LevelGlobal, AutoCleanup: &off}).FirstRuns; len(runs) != 0 {
			t.Errorf("with the switch off: %+v", runs)
		}
		runs := b.try(turnOn).FirstRuns
		if len(runs) != 1 || runs[0].Due != 3 || runs[0].Takes != 3 || runs[0].Held != "" || runs[0].Later != 0 || runs[0].Host != b.host.Name {
			t.Fatalf("got %+v", runs)
		}
		if notice := runs[0].At.Sub(runs[0].PlanAt); notice != autoNotice || runs[0].PlanAt.Before(b.now().Add(-time.Second)) {
			t.Errorf("announced %s, acts %s; now it is %s", runs[0].PlanAt, runs[0].At, b.now())
		}
		b.settings(func(s *store.Settings) { s.PlanMaxItems = 2 })
		if runs = b.try(turnOn).FirstRuns; runs[0].Takes != 2 || runs[0].Due != 3 {
			t.Errorf("more than one plan holds: %+v", runs)
		}

		// The brake, of this stage's policy or of the one that is tried.
		narrow := cleansUp(24*time.Hour, nil)
		*narrow.MaxPerRun = 2
		b.settings(func(s *store.Settings) { s.AutoCleanup = true })
		braked := PolicyChange{Level: store.LevelStage, StageID: b.stage.ID, Policy: narrow}
		runs = b.try(braked).FirstRuns
		if len(runs) != 1 || runs[0].Takes != 0 || !strings.Contains(runs[0].Held, "max_per_run") {
			t.Fatalf("got %+v", runs)
		}
		b.policy(narrow)
		b.live(10 * time.Minute)
		if h, err := b.db.Host(t.Context(), b.host.ID); err != nil || h.AutoHeld != runs[0].Held {
			t.Errorf("foretold %q, held by %q, %v", runs[0].Held, h.AutoHeld, err)
		}
		// A change that loosens it is told what comes then, though it holds now.
		if runs = b.try(PolicyChange{Level: store.LevelStage, StageID: b.stage.ID, Policy: cleansUp(24*time.Hour, nil)}).FirstRuns; len(runs) != 1 || runs[0].Takes != 2 {
			t.Errorf("got %+v", runs)
		}
		b.wantEvent("instance.removed", "", 0)
	})
}
