package stale

import (
	"strings"
	"testing"
	"time"

	"github.com/tiny-forge/docker-watcher/internal/store"
)

// tuesday is noon of the day before the window opens in the tests of decisions.
var tuesday = time.Date(2026, 11, 3, 12, 0, 0, 0, time.UTC)

// nightly is a policy that cleans up in the small hours of Berlin.
func nightly() store.PolicyInForce {
	return store.PolicyInForce{
		StaleAfter: store.StaleAfter{After: 7 * day}, Action: store.ActionCleanup, ActionFrom: store.LevelStage, CleanupAfter: day,
		Window:    store.Window{From: 2 * 60, Until: 5 * 60, Zone: "Europe/Berlin"},
		MaxPerRun: 10, MaxSharePercent: 25,
	}
}

// ripeOne is an instance that was warned of two days ago.
func ripeOne() store.InstanceView {
	return store.InstanceView{
		Instance: store.Instance{
			ID: "one", Status: store.StatusStopped, Class: store.ClassExited, LastAliveAt: tuesday.Add(-10 * day),
			Evidence: store.EvidenceFinishedAt, StaleSince: tuesday.Add(-2 * day), WarnedAt: tuesday.Add(-2 * day),
		},
		StageKind: store.StagePreview,
	}
}

func TestDecide(t *testing.T) {
	night := time.Date(2026, 11, 4, 1, 0, 0, 0, time.UTC) // 02:00 in Berlin
	const taken = "would be cleaned Wed 4 Nov 02:00 CET, unless alive"
	for name, c := range map[string]struct {
		view   func(*store.InstanceView)
		policy func(*store.PolicyInForce)
		ground Ground
		at     time.Time // zero: it is left alone
		why    string
	}{
		"at the next window": {at: night, why: taken},
		"at once where the window is always open": {
			policy: func(p *store.PolicyInForce) { p.Window = store.Window{} }, at: tuesday, why: "would be cleaned Tue 3 Nov 12:00 UTC, unless alive",
		},
		"after the grace": {
			view: func(v *store.InstanceView) { v.WarnedAt = tuesday }, at: night.Add(day), why: "would be cleaned Thu 5 Nov 02:00 CET, unless alive",
		},
		"the grace counts from the warning, which the next scan gives": {
			view: func(v *store.InstanceView) { v.WarnedAt = time.Time{} }, at: night.Add(day), why: "Thu 5 Nov 02:00 CET",
		},
		"after a long grace, in another year": {
			policy: func(p *store.PolicyInForce) { p.CleanupAfter = 100 * day }, at: time.Date(2027, 2, 10, 1, 0, 0, 0, time.UTC), why: "Wed 10 Feb 2027 02:00 CET",
		},
		"after the warm-up": {
			ground: Ground{NotBefore: night.Add(time.Hour)}, at: night.Add(time.Hour), why: "would be cleaned Wed 4 Nov 03:00 CET, unless alive",
		},
		"a warm-up that lasts beyond the window": {
			ground: Ground{NotBefore: night.Add(4 * time.Hour)}, at: night.Add(day), why: "Thu 5 Nov 02:00 CET",
		},
		"when its plan is applied": {
			ground: Ground{Planned: map[string]time.Time{"one": night.Add(3 * time.Minute)}}, at: night.Add(3 * time.Minute),
			why: "would be cleaned Wed 4 Nov 02:03 CET, unless alive or called off",
		},
		"the plan of another one": {
			ground: Ground{Planned: map[string]time.Time{"two": night.Add(3 * time.Minute)}}, at: night, why: taken,
		},
		"a day after it was called off": {
			ground: Ground{Spared: map[string]Sparing{"one": {Until: night.Add(time.Hour), Why: "its plan was called off"}}},
			at:     night.Add(time.Hour), why: "would be cleaned Wed 4 Nov 03:00 CET, unless alive; its plan was called off",
		},
		"called off long ago": {
			ground: Ground{Spared: map[string]Sparing{"one": {Until: tuesday.Add(-time.Hour), Why: "its plan was called off"}}}, at: night, why: taken,
		},
		"failed":        {view: class(store.ClassFailed), at: night, why: taken},
		"out of memory": {view: class(store.ClassOOM), at: night, why: taken},
		"never started": {view: class(store.ClassNeverStarted), at: night, why: taken},
		"missing": {
			view: func(v *store.InstanceView) { v.Status, v.Class = store.StatusMissing, store.ClassMissing }, at: night, why: taken,
		},

		"switched off": {ground: Ground{Off: true}, why: "automatic cleanup is switched off"},
		"barred":       {ground: Ground{Barred: "local is frozen since yesterday"}, why: "local is frozen since yesterday"},
		"only warned of by its stage": {
			policy: func(p *store.PolicyInForce) { p.Action = store.ActionWarn }, why: "only warned of: the policy of its stage says so",
		},
		"only warned of by its project": {
			policy: func(p *store.PolicyInForce) { p.Action, p.ActionFrom = store.ActionWarn, store.LevelProject },
			why:    "only warned of: the policy of its project says so",
		},
		"only warned of by default": {
			policy: func(p *store.PolicyInForce) { p.Action, p.ActionFrom = store.ActionWarn, store.LevelDefault },
			why:    "only warned of: no policy asks for a cleanup",
		},
		"production": {
			view:   func(v *store.InstanceView) { v.StageKind = store.StageProduction },
			policy: func(p *store.PolicyInForce) { p.Action, p.ActionFrom = store.ActionWarn, store.LevelDefault },
			why:    "only warned of: production stages are, unless they say otherwise",
		},
		"running":             {view: status(store.StatusRunning), why: "it is running"},
		"being removed":       {view: status(store.StatusRemoving), why: "it is being removed"},
		"being deployed":      {view: status(store.StatusStarting), why: "it is being deployed"},
		"could not be asked":  {view: func(v *store.InstanceView) { v.CheckError = "timeout" }, why: "it could not be asked: timeout"},
		"alive at no moment":  {view: func(v *store.InstanceView) { v.LastAliveAt = time.Time{} }, why: "no believable moment"},
		"alive in the future": {view: func(v *store.InstanceView) { v.LastAliveAt = tuesday.Add(day) }, why: "no believable moment"},
		"never stale":         {policy: func(p *store.PolicyInForce) { p.StaleAfter = store.StaleAfter{Never: true} }, why: "never counts as stale"},
		"not stale yet": {
			view: func(v *store.InstanceView) { v.LastAliveAt = tuesday.Add(-6 * day) },
			why:  "not stale yet: becomes stale Wed 4 Nov 13:00 CET if it stays down",
		},
		"stale to the second": {
			view: func(v *store.InstanceView) { v.LastAliveAt = tuesday.Add(-7 * day) }, why: "not stale yet",
		},
		"paused": {
			view: func(v *store.InstanceView) { v.Status, v.Class = store.StatusPaused, store.ClassPaused },
			why:  "its process is still there (paused): only a person may have it stopped",
		},
		"crash loop": {
			view: func(v *store.InstanceView) { v.Status, v.Class = store.StatusRestarting, store.ClassCrashLooping },
			why:  "its process is still there (crash loop): only a person may have it stopped",
		},
		"engine lost": {view: class(store.ClassEngineLost), why: "lost with its engine: start it or clean it by hand"},
		"dead": {
			view: func(v *store.InstanceView) { v.Status, v.Class = store.StatusDead, store.ClassDead }, why: "the engine could not remove it",
		},
		"held back":    {view: func(v *store.InstanceView) { v.HeldBack = heldMassChange }, why: "held back: " + heldMassChange},
		"swarm's task": {view: func(v *store.InstanceView) { v.HeldBack = heldSwarmTask }, why: "a task of Docker Swarm"},
		"pinned": {
			view: func(v *store.InstanceView) { v.PinnedAt, v.PinnedBy, v.PinReason = tuesday, "user:anna", "demo" },
			why:  "kept: pinned by user:anna: demo",
		},
		"snoozed": {
			view: func(v *store.InstanceView) {
				v.SnoozedUntil, v.SnoozedBy, v.SnoozeReason = tuesday.Add(day), "user:anna", "demo"
			},
			why: "kept: snoozed until Wed 4 Nov 13:00 CET by user:anna: demo",
		},
		"no longer snoozed": {view: func(v *store.InstanceView) { v.SnoozedUntil = tuesday }, at: night, why: taken},
		"keep label":        {view: func(v *store.InstanceView) { v.KeepLabel = true }, why: "kept: the container carries the label"},
		"rollback":          {view: func(v *store.InstanceView) { v.RollbackKept = true }, why: "kept: kept by its stage for rollback"},
		"tag gone":          {view: func(v *store.InstanceView) { v.TagGoneSince = tuesday }, why: "kept: its registry has the tag no more"},
		"a zone that is not known": {
			policy: func(p *store.PolicyInForce) { p.Window.Zone = "Europe/Atlantis" }, why: "its window never opens",
		},
	} {
		t.Run(name, func(t *testing.T) {
			v, p := ripeOne(), nightly()
			if c.view != nil {
				c.view(&v)
			}
			if c.policy != nil {
				c.policy(&p)
			}
			d := Decide(v, p, c.ground, tuesday)
			if !d.At.Equal(c.at) || !strings.Contains(d.Why, c.why) {
				t.Errorf("at %s: %s\nwant %s: %s", d.At, d.Why, c.at, c.why)
			}
			if d.Action != p.Action || d.Level != p.ActionFrom {
				t.Errorf("%s by %s, want %s by %s", d.Action, d.Level, p.Action, p.ActionFrom)
			}
		})
	}
}

func class(c store.Class) func(*store.InstanceView) {
	return func(v *store.InstanceView) { v.Class = c }
}

func status(s store.Status) func(*store.InstanceView) {
	return func(v *store.InstanceView) { v.Status, v.Class = s, store.ClassNone }
}

// What is decided for a moment is what is done then, and not a second earlier.
func TestDueIsWhatWasDecided(t *testing.T) {
	v, p := ripeOne(), nightly()
	v.WarnedAt = tuesday
	for name, g := range map[string]Ground{
		"plain":      {},
		"called off": {Spared: map[string]Sparing{"one": {Until: tuesday.Add(40 * time.Hour)}}},
	} {
		at := Decide(v, p, g, tuesday).At
		if !due(v, p, g, at) {
			t.Errorf("%s: not due at %s", name, at)
		}
		if due(v, p, g, at.Add(-time.Second)) {
			t.Errorf("%s: due a second before %s", name, at)
		}
	}
}

func TestDueWantsAWarning(t *testing.T) {
	p := nightly()
	p.CleanupAfter, p.Window = 0, store.Window{}
	for name, change := range map[string]func(*store.InstanceView){
		"not warned of":      func(v *store.InstanceView) { v.WarnedAt = time.Time{} },
		"not found stale":    func(v *store.InstanceView) { v.StaleSince = time.Time{} },
		"neither":            func(v *store.InstanceView) { v.StaleSince, v.WarnedAt = time.Time{}, time.Time{} },
		"warned of tomorrow": func(v *store.InstanceView) { v.WarnedAt = tuesday.Add(day) },
	} {
		v := ripeOne()
		change(&v)
		if due(v, p, Ground{}, tuesday) {
			t.Errorf("%s, and due", name)
		}
	}
	if !due(ripeOne(), p, Ground{}, tuesday) {
		t.Error("warned of, and not due")
	}
}

// The night in which the clocks are put forward has no 02:30 in Berlin, and the other one has it twice.
func TestDecideAcrossAChangeOfTheClocks(t *testing.T) {
	p := nightly()
	p.StaleAfter, p.CleanupAfter = store.StaleAfter{After: day}, 0
	p.Window.From, p.Window.Until = 2*60+30, 2*60+45
	for name, c := range map[string]struct {
		now  time.Time
		want string
	}{
		"forward": {time.Date(2026, 3, 28, 12, 0, 0, 0, time.UTC), "Mon 30 Mar 02:30 CEST"},
		"back":    {time.Date(2026, 10, 24, 12, 0, 0, 0, time.UTC), "Sun 25 Oct 02:30 CEST"},
		"after":   {time.Date(2026, 10, 25, 12, 0, 0, 0, time.UTC), "Mon 26 Oct 02:30 CET"},
	} {
		t.Run(name, func(t *testing.T) {
			v := ripeOne()
			v.LastAliveAt, v.StaleSince, v.WarnedAt = c.now.Add(-9*day), c.now.Add(-day), c.now.Add(-day)
			if d := Decide(v, p, Ground{}, c.now); !strings.Contains(d.Why, c.want) {
				t.Errorf("%s, want %s", d.Why, c.want)
			}
		})
	}
}

func TestBrake(t *testing.T) {
	policy := func(perRun, share int) store.PolicyInForce {
		return store.PolicyInForce{MaxPerRun: perRun, MaxSharePercent: share}
	}
	set := func(p store.PolicyInForce) store.PolicyInForce {
		p.MaxSharePercentFrom = store.LevelStage
		return p
	}
	for name, c := range map[string]struct {
		policies    []store.PolicyInForce
		due, onHost int
		why         string
	}{
		"one":                            {[]store.PolicyInForce{policy(10, 25)}, 1, 1, ""},
		"a handful of a handful":         {[]store.PolicyInForce{policy(10, 25)}, 4, 4, ""},
		"a handful, by a share set":      {[]store.PolicyInForce{set(policy(10, 25))}, 4, 4, "max_share_percent"},
		"one, by a share set":            {[]store.PolicyInForce{set(policy(10, 25))}, 1, 4, ""},
		"the share of one is set":        {[]store.PolicyInForce{policy(10, 25), set(policy(10, 25))}, 2, 4, "max_share_percent"},
		"a wide share is set beside it":  {[]store.PolicyInForce{policy(10, 25), set(policy(10, 90))}, 2, 4, ""},
		"as many as a run may take":      {[]store.PolicyInForce{policy(10, 25)}, 10, 100, ""},
		"just the share":                 {[]store.PolicyInForce{policy(10, 25)}, 5, 20, ""},
		"all of a host that may go":      {[]store.PolicyInForce{policy(500, 100)}, 500, 500, ""},
		"some went between the counts":   {[]store.PolicyInForce{policy(500, 100)}, 6, 4, ""},
		"some went, and still too many":  {[]store.PolicyInForce{policy(500, 90)}, 6, 4, "6 of its 6"},
		"wide by both policies":          {[]store.PolicyInForce{policy(50, 90), policy(40, 80)}, 40, 50, ""},
		"one more than a run may take":   {[]store.PolicyInForce{policy(10, 25)}, 11, 1000, "max_per_run"},
		"one more than the share":        {[]store.PolicyInForce{policy(10, 25)}, 5, 19, "max_share_percent"},
		"a handful is bound by the run":  {[]store.PolicyInForce{policy(3, 100)}, 4, 1000, "max_per_run"},
		"narrow by the first":            {[]store.PolicyInForce{policy(4, 100), policy(500, 100)}, 5, 5, "max_per_run"},
		"narrow by the last":             {[]store.PolicyInForce{policy(500, 100), policy(500, 10)}, 5, 20, "max_share_percent"},
		"narrow by one of each":          {[]store.PolicyInForce{policy(500, 10), policy(5, 100)}, 5, 20, "max_share_percent"},
		"more than any policy can allow": {[]store.PolicyInForce{policy(500, 100)}, mostDue, 100_000, "max_per_run"},
	} {
		if why := strictest(c.policies).brake(c.due, c.onHost); (why == "") != (c.why == "") || !strings.Contains(why, c.why) {
			t.Errorf("%s: %q, want %q", name, why, c.why)
		}
	}
}
