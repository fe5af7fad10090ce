package stale

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/tiny-forge/docker-watcher/internal/docker/dockertest"
	"github.com/tiny-forge/docker-watcher/internal/store"
)

// TestAWeekOfAutomaticCleanup: warned of, given its grace, planned before the window opens, announced, applied in it, and
// there to be restored; while what runs, what is kept and what needs a person is still there at the end of the week.
func TestAWeekOfAutomaticCleanup(t *testing.T) {
	inAutoBed(t, func(t *testing.T, b *autoBed) {
		b.policy(cleansUp(48*time.Hour, &store.Window{
			Days: []time.Weekday{time.Tuesday, time.Wednesday, time.Thursday, time.Friday}, From: 2 * 60, Until: 4 * 60, Zone: "Europe/Berlin",
		}))
		b.update(func(tx *store.Tx) error {
			stage, err := tx.Stage(t.Context(), b.stage.ID)
			if err != nil {
				return err
			}
			stage.StaleAfter = &store.StaleAfter{After: 36 * time.Hour}
			return tx.UpdateStage(t.Context(), stage)
		})
		now := b.engine.Now()
		freshly := func(name string, state string, more func(*dockertest.Template)) (store.Instance, *dockertest.Container) {
			inst, ct := b.plant(name, 0, func(tpl *dockertest.Template) {
				tpl.State, tpl.Created, tpl.Started = state, now.Add(-time.Hour), now.Add(-time.Hour)
				if tpl.Finished = now.Add(-time.Minute); state != dockertest.Exited {
					tpl.Finished = time.Time{}
				}
				if more != nil {
					more(tpl)
				}
			})
			b.alter(inst.ID, func(i *store.Instance) { i.StaleSince, i.WarnedAt = time.Time{}, time.Time{} })
			return inst, ct
		}
		done, _ := freshly("done", dockertest.Exited, nil)
		runs, _ := freshly("runs", dockertest.Running, nil)
		paused, _ := freshly("paused", dockertest.Paused, nil)
		kept, _ := freshly("kept", dockertest.Exited, nil)
		labelled, _ := freshly("labelled", dockertest.Exited, func(tpl *dockertest.Template) { tpl.Labels["docker-watcher.keep"] = "true" })
		foreign := b.engine.Add(dockertest.Template{Name: "foreign", Image: "shop:1.0", State: dockertest.Exited, Created: now.Add(-400 * 24 * time.Hour)})
		b.protect(kept.ID, func(i *store.Instance) { i.PinnedAt, i.PinnedBy = b.now(), "user:anna" })
		if w := b.decision(done).Why; !strings.HasPrefix(w, "not stale yet: becomes stale Wed 25 Nov 01:00 CET") {
			t.Errorf("before: %s", w)
		}

		begin := time.Now() // Monday noon
		b.step = 5 * time.Minute
		var stale, planned, gone time.Time
		said := ""
		b.liveUntil(begin.Add(7*24*time.Hour), func() bool {
			v, err := b.db.Instance(t.Context(), done.ID)
			switch {
			case errors.Is(err, store.ErrNotFound):
				if gone.IsZero() {
					gone = time.Now()
				}
			case err != nil:
				t.Fatal(err)
			case !v.StaleSince.IsZero() && stale.IsZero():
				stale, said = time.Now(), b.decision(done).Why
			}
			if planned.IsZero() && len(b.plans()) > 0 {
				planned = time.Now()
			}
			return false
		})
		hour := func(at time.Time) string { return at.Format("Mon 15:04") }
		// Stopped on Monday at noon; 36 hours later is Wednesday, and the scan of the next hour finds it stale; the grace of 48
		// hours ends as the window of Friday opens, at two in Berlin. The plan is there five minutes before.
		if hour(stale) != "Wed 01:00" || hour(planned) != "Fri 00:55" || hour(gone) != "Fri 01:00" {
			t.Errorf("stale %s, planned %s, gone %s", hour(stale), hour(planned), hour(gone))
		}
		if said != "would be cleaned Fri 27 Nov 02:00 CET, unless alive" {
			t.Errorf("it said: %s", said)
		}
		for _, inst := range []store.Instance{runs, paused, kept, labelled} {
			b.wantThere(inst)
		}
		if b.engine.Container(foreign.ID) == nil {
			t.Error("a foreign container was removed")
		}
		b.wantEvent("instance.stale", done.ID, 1)
		plans := b.events("cleanup.planned", "")
		if len(plans) != 1 || plans[0].Actor != autoActor || !strings.Contains(fmt.Sprint(plans[0].Data["names"]), "(done)") || plans[0].HostID != b.host.ID {
			t.Errorf("the events of its plans: %+v", plans)
		}
		items := b.events("cleanup.item", done.ID)
		if len(items) != 1 || items[0].Data["result"] != "removed" || items[0].Actor != autoActor {
			t.Errorf("the events of its removal: %+v", items)
		}
		archives, _, err := b.db.Archives(t.Context(), store.ArchiveFilter{InstanceID: done.ID}, store.Page{})
		if err != nil || len(archives) != 1 || archives[0].State != store.ArchiveReady || archives[0].Actor != autoActor {
			t.Errorf("its archives: %+v, %v", archives, err)
		}
		if len(b.events("cleanup.held", "")) > 0 {
			t.Errorf("held back: %+v", b.events("cleanup.held", ""))
		}
	})
}

func TestAutomaticCleanupThatIsSwitchedOff(t *testing.T) {
	inAutoBed(t, func(t *testing.T, b *autoBed) {
		inst, _ := b.ripe("web", nil)
		young, _ := b.plant("young", 30, nil)
		b.alter(young.ID, func(i *store.Instance) { i.StaleSince, i.WarnedAt = time.Time{}, time.Time{} })
		b.settings(func(s *store.Settings) { s.AutoCleanup = false })
		b.step = 20 * time.Minute
		b.live(3 * 24 * time.Hour)
		b.wantThere(inst)
		b.wantEvent("cleanup.planned", "", 0)
		b.wantEvent("instance.stale", young.ID, 1) // detection goes on
		if w := b.decision(inst).Why; w != "automatic cleanup is switched off" {
			t.Error(w)
		}
	})
}

func TestAutomaticCleanupThatIsSwitchedOffDuringTheNotice(t *testing.T) {
	inAutoBed(t, func(t *testing.T, b *autoBed) {
		inst, _ := b.ripe("web", nil)
		b.planned()
		b.settings(func(s *store.Settings) { s.AutoCleanup = false })
		b.live(2 * time.Hour)
		b.wantThere(inst)
		b.wantEvent("cleanup.applied", "", 0)
		b.settings(func(s *store.Settings) { s.AutoCleanup = true })
		b.live(time.Hour)
		b.wantGone(inst)
	})
}

func TestAutomaticCleanupWarmsUp(t *testing.T) {
	inAutoBed(t, func(t *testing.T, b *autoBed) {
		inst, _ := b.ripe("web", nil)
		ready := b.now().Add(time.Hour)
		if at := b.decision(inst).At; at.Before(ready) || at.After(ready.Add(time.Second)) {
			t.Errorf("decided for %s, ready at %s", at, ready)
		}
		b.live(59 * time.Minute)
		b.wantEvent("cleanup.planned", "", 0)
		b.restart() // it begins anew
		b.live(59 * time.Minute)
		b.wantEvent("cleanup.planned", "", 0)
		b.wantEvent("cleanup.held", "", 0)
		b.live(10 * time.Minute)
		b.wantGone(inst)
	})
}

// A plan that waits when the process ends is not applied by the next one: it has yet to warm up.
func TestAPlanIsNotAppliedAfterARestart(t *testing.T) {
	inAutoBed(t, func(t *testing.T, b *autoBed) {
		inst, _ := b.ripe("web", nil)
		b.planned()
		b.restart()
		b.live(55 * time.Minute)
		b.wantThere(inst)
		b.live(15 * time.Minute)
		b.wantGone(inst)
		b.wantEvent("cleanup.planned", "", 2)
	})
}

func TestAutomaticCleanupGivesNotice(t *testing.T) {
	inAutoBed(t, func(t *testing.T, b *autoBed) {
		inst, _ := b.ripe("web", nil)
		plan := b.planned()
		now := b.now()
		if plan.CreatedBy != autoActor || !plan.Automatic || plan.Single || plan.ApplyAt.Before(now.Add(autoNotice-time.Second)) || !plan.ExpiresAt.After(plan.ApplyAt) {
			t.Errorf("the plan at %s: %+v", now, plan)
		}
		if d := b.decision(inst); !d.At.Equal(plan.ApplyAt) || !strings.HasSuffix(d.Why, "unless alive or called off") {
			t.Errorf("decided: %+v, applied at %s", d, plan.ApplyAt)
		}
		b.live(4 * time.Minute)
		b.wantThere(inst)
		if len(b.plans()) != 1 {
			t.Errorf("%d plans wait", len(b.plans()))
		}
		b.live(3 * time.Minute)
		b.wantGone(inst)
		b.wantEvent("cleanup.planned", "", 1)
	})
}

// What changes during the notice is decided again: each is kept, with the reason, and nothing else goes for it.
func TestWhatChangesDuringTheNotice(t *testing.T) {
	for name, c := range map[string]struct {
		change func(b *autoBed, inst store.Instance, ct *dockertest.Container)
		result store.CleanupResult
		why    string
	}{
		"started": {func(_ *autoBed, _ store.Instance, ct *dockertest.Container) { ct.Start() }, store.ResultKept, "it is running"},
		"pinned": {func(b *autoBed, inst store.Instance, _ *dockertest.Container) {
			b.protect(inst.ID, func(i *store.Instance) { i.PinnedAt, i.PinnedBy = b.now(), "user:anna" })
		}, store.ResultKept, "pinned by user:anna"},
		"snoozed": {func(b *autoBed, inst store.Instance, _ *dockertest.Container) {
			if err := b.cleaner.Snooze(b.t.Context(), inst.ID, b.now().Add(time.Hour), "demo", "user:anna"); err != nil {
				b.t.Fatal(err)
			}
		}, store.ResultKept, "snoozed by user:anna"},
		"only warned of now": {func(b *autoBed, _ store.Instance, _ *dockertest.Container) {
			warn := store.ActionWarn
			b.policy(store.Policy{Action: &warn})
		}, store.ResultKept, "only warned of"},
		"a longer grace": {func(b *autoBed, _ store.Instance, _ *dockertest.Container) {
			b.policy(cleansUp(72*time.Hour, nil))
		}, store.ResultKept, "would be cleaned"},
		"a window elsewhere": {func(b *autoBed, _ store.Instance, _ *dockertest.Container) {
			b.policy(cleansUp(24*time.Hour, &store.Window{From: 2 * 60, Until: 3 * 60}))
		}, store.ResultKept, "would be cleaned"},
		"a longer threshold": {func(b *autoBed, _ store.Instance, _ *dockertest.Container) {
			p := cleansUp(24*time.Hour, nil)
			p.StaleAfter = &store.StaleAfter{After: 100 * 24 * time.Hour}
			b.policy(p)
		}, store.ResultKept, "not stale"},
		"never stale": {func(b *autoBed, _ store.Instance, _ *dockertest.Container) {
			p := cleansUp(24*time.Hour, nil)
			p.StaleAfter = &store.StaleAfter{Never: true}
			b.policy(p)
		}, store.ResultKept, "never counts as stale"},
		"removed by somebody else": {func(_ *autoBed, _ store.Instance, ct *dockertest.Container) { ct.Remove() }, store.ResultAlreadyGone, "somebody else"},
	} {
		t.Run(name, func(t *testing.T) {
			inAutoBed(t, func(t *testing.T, b *autoBed) {
				inst, ct := b.ripe("web", nil)
				for n := range 3 {
					b.plant(fmt.Sprintf("young-%d", n), 1, nil)
				}
				plan := b.planned()
				c.change(b, inst, ct)
				b.live(7 * time.Minute)
				done, err := b.db.Plan(t.Context(), plan.ID)
				if err != nil {
					t.Fatal(err)
				}
				item := done.Items[0]
				if done.State != store.PlanApplied || item.Result != c.result || !strings.Contains(item.ResultDetail, c.why) {
					t.Errorf("%s: %q (%s), want %q (%s)", done.State, item.Result, item.ResultDetail, c.result, c.why)
				}
				if there := b.there(inst); there == (c.result == store.ResultAlreadyGone) {
					t.Errorf("there: %v", there)
				}
				if n := len(b.engine.Removes()); n > 0 {
					t.Errorf("%d deletes were asked for", n)
				}
			})
		})
	}
}

func TestAPlanThatIsCalledOff(t *testing.T) {
	inAutoBed(t, func(t *testing.T, b *autoBed) {
		inst, _ := b.ripe("web", nil)
		plan := b.planned()
		if err := b.cleaner.CancelPlan(t.Context(), plan.ID, "user:anna"); err != nil {
			t.Fatal(err)
		}
		off := b.now()
		if d := b.decision(inst); !d.At.Equal(off.Add(24*time.Hour)) || !strings.Contains(d.Why, "its plan was called off") {
			t.Errorf("decided at %s: %+v", off, d)
		}
		b.wantEvent("cleanup.cancelled", "", 1)
		b.live(23 * time.Hour)
		b.wantThere(inst)
		b.wantEvent("cleanup.planned", "", 1)
		b.live(2 * time.Hour)
		b.wantGone(inst)

		for what, err := range map[string]error{
			"a second time": b.cleaner.CancelPlan(t.Context(), plan.ID, "user:bert"),
			"applied":       b.cleaner.CancelPlan(t.Context(), b.lastPlan().ID, "user:bert"),
		} {
			if !errors.Is(err, ErrPlanUsed) {
				t.Errorf("%s: %v", what, err)
			}
		}
		if err := b.cleaner.CancelPlan(t.Context(), store.NewID(), "user:bert"); !errors.Is(err, store.ErrNotFound) {
			t.Errorf("one that is not there: %v", err)
		}
		if _, err := b.cleaner.Apply(t.Context(), plan.ID, "user:bert", true, nil); !errors.Is(err, ErrPlanUsed) {
			t.Errorf("applied after it was called off: %v", err)
		}
		b.wantEvent("cleanup.cancelled", "", 1)
		b.wantEvent("cleanup.refused", "", 3)
	})
}

func (b *autoBed) lastPlan() store.Plan {
	b.t.Helper()
	plans, _, err := b.db.Plans(b.t.Context(), store.PlanFilter{}, store.Page{Limit: 1})
	if err != nil || len(plans) == 0 {
		b.t.Fatalf("no plan: %v", err)
	}
	return plans[0]
}

// A plan that a person makes can be called off too, and then cannot be applied; what it held is not spared for that.
func TestAPlanOfAPersonIsCalledOff(t *testing.T) {
	inAutoBed(t, func(t *testing.T, b *autoBed) {
		inst, _ := b.ripe("web", nil)
		plan := b.planAll()
		if err := b.cleaner.CancelPlan(t.Context(), plan.ID, "user:anna"); err != nil {
			t.Fatal(err)
		}
		if _, err := b.cleaner.Apply(t.Context(), plan.ID, "user:anna", true, nil); !errors.Is(err, ErrPlanUsed) {
			t.Errorf("applied: %v", err)
		}
		b.wantThere(inst)
		b.live(70 * time.Minute)
		b.wantGone(inst)
	})
}

// The brake is said once, over a restart too, and again only when it was released in between.
func TestTheBrakeIsSaidOnce(t *testing.T) {
	inAutoBed(t, func(t *testing.T, b *autoBed) {
		p := cleansUp(24*time.Hour, nil)
		few := 2
		p.MaxPerRun = &few
		b.policy(p)
		var all []store.Instance
		for n := range 3 {
			inst, _ := b.ripe(fmt.Sprintf("web-%d", n), nil)
			all = append(all, inst)
		}
		b.live(3 * time.Hour)
		b.restart()
		b.live(3 * time.Hour)
		held := b.events("cleanup.held", "")
		if len(held) != 1 || held[0].Severity != store.SeverityWarn || held[0].HostID != b.host.ID || !strings.Contains(held[0].Message, "max_per_run") {
			t.Fatalf("told of it: %+v", held)
		}
		for _, inst := range all {
			b.wantThere(inst)
			if names := fmt.Sprint(held[0].Data["names"]); !strings.Contains(names, inst.Name) {
				t.Errorf("%s is not in %s", inst.Name, names)
			}
		}
		if held[0].Data["hint"] == "" {
			t.Error("it does not say what to do")
		}
		if w := b.decision(all[0]).Why; !strings.Contains(w, "is held back since") || !strings.Contains(w, "max_per_run") {
			t.Error(w)
		}
		b.wantEvent("cleanup.planned", "", 0)

		b.protect(all[0].ID, func(i *store.Instance) { i.PinnedAt = b.now() })
		b.live(time.Hour)
		b.wantThere(all[0])
		b.wantGone(all[1])
		b.wantGone(all[2])
		b.wantEvent("cleanup.released", "", 1)
		if h := b.hostNow(); h.AutoHeld != "" || !h.AutoHeldSince.IsZero() {
			t.Errorf("still held: %+v", h)
		}
	})
}

func TestTheBrakeByShare(t *testing.T) {
	inAutoBed(t, func(t *testing.T, b *autoBed) {
		p := cleansUp(24*time.Hour, nil)
		share := 40
		p.MaxSharePercent = &share
		b.policy(p)
		var all []store.Instance
		for n := range 5 {
			inst, _ := b.ripe(fmt.Sprintf("web-%d", n), nil)
			all = append(all, inst)
		}
		for n := range 7 {
			b.plant(fmt.Sprintf("young-%d", n), 1, nil)
		}
		b.live(2 * time.Hour)
		b.wantEvent("cleanup.held", "", 1) // 5 of 12
		for _, inst := range all {
			b.wantThere(inst)
		}
		for n := range 2 {
			b.plant(fmt.Sprintf("more-%d", n), 1, nil)
		}
		b.live(time.Hour)
		b.wantEvent("cleanup.released", "", 1) // 5 of 14
		for _, inst := range all {
			b.wantGone(inst)
		}
	})
}

// A switch that is turned off lets go of what it holds back.
func TestSwitchingOffReleases(t *testing.T) {
	inAutoBed(t, func(t *testing.T, b *autoBed) {
		p := cleansUp(24*time.Hour, nil)
		one := 1
		p.MaxPerRun = &one
		b.policy(p)
		b.ripe("one", nil)
		b.ripe("two", nil)
		b.live(2 * time.Hour)
		b.wantEvent("cleanup.held", "", 1)
		b.settings(func(s *store.Settings) { s.AutoCleanup = false })
		b.live(5 * time.Minute)
		b.wantEvent("cleanup.released", "", 1)
		if h := b.hostNow(); h.AutoHeld != "" {
			t.Errorf("still held: %s", h.AutoHeld)
		}
	})
}

// A host that cannot be judged, or was not until a moment ago, is left alone, and that is said once.
func TestAutomaticCleanupOfAHostThatLooksWrong(t *testing.T) {
	for name, c := range map[string]struct {
		wrong, right func(b *autoBed)
		why          string
	}{
		"it does not answer": {
			func(b *autoBed) { b.engine.Fail(dockertest.Fault{On: ".", Status: 503}) },
			func(b *autoBed) { b.engine.ClearFaults() }, "unreachable",
		},
		"another engine answers": {
			func(b *autoBed) { b.engine.SetEngineID("another") },
			func(b *autoBed) {
				if err := b.scanner.Accept(b.t.Context(), b.host.ID, "user:anna"); err != nil {
					b.t.Fatal(err)
				}
			}, "engine_changed",
		},
		"its clock is wrong": {
			func(b *autoBed) { b.engine.SetClock(40 * 24 * time.Hour) }, func(b *autoBed) { b.engine.SetClock(0) }, "clock_skew",
		},
	} {
		t.Run(name, func(t *testing.T) {
			inAutoBed(t, func(t *testing.T, b *autoBed) {
				b.live(59 * time.Minute)
				inst, _ := b.ripe("web", nil)
				c.wrong(b)
				runs := func(d time.Duration) {
					for end := time.Now().Add(d); time.Now().Before(end); time.Sleep(time.Minute) {
						if err := b.cleaner.RunAutomatic(t.Context()); err != nil && !errors.Is(err, ErrBlind) {
							t.Fatal(err)
						}
					}
				}
				runs(3 * time.Hour)
				held := b.events("cleanup.held", "")
				if len(held) != 1 || !strings.Contains(held[0].Message, c.why) {
					t.Errorf("told of it: %+v", held)
				}
				if d := b.decision(inst); !d.At.IsZero() || !strings.Contains(d.Why, c.why) {
					t.Errorf("decided: %+v", d)
				}
				c.right(b)
				b.scan()
				runs(55 * time.Minute)
				b.wantThere(inst)
				b.wantEvent("cleanup.planned", "", 0)
				b.wantEvent("cleanup.held", "", 1)
				runs(15 * time.Minute)
				b.wantEvent("cleanup.released", "", 1)
				if name != "another engine answers" { // what was planned for the former one is for a person to clean up
					b.wantGone(inst)
				}
			})
		})
	}
}

// Many that end or vanish at once are found by the scan before a plan, and nothing is planned then.
func TestAMassChangeBeforeAPlan(t *testing.T) {
	inAutoBed(t, func(t *testing.T, b *autoBed) {
		b.live(50 * time.Minute)
		inst, _ := b.ripe("web", nil)
		var others []*dockertest.Container
		for n := range 9 {
			_, ct := b.plant(fmt.Sprintf("other-%d", n), 1, nil)
			others = append(others, ct)
		}
		b.engine.WithoutEvents(func() {
			for _, ct := range others {
				ct.Remove()
			}
		})
		for range 30 {
			time.Sleep(time.Minute)
			if err := b.cleaner.RunAutomatic(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
		b.wantThere(inst)
		b.wantEvent("cleanup.planned", "", 0)
		b.wantEvent("cleanup.held", "", 1)
		if h := b.hostNow(); h.FrozenReason != "mass_change" {
			t.Errorf("frozen: %q", h.FrozenReason)
		}
	})
}

// Acceptance test 8: the clock is 30 days ahead for one scan, then right again. No warning is kept, and nothing is cleaned up.
func TestAClockThatIsTurnedAndTurnedBack(t *testing.T) {
	inAutoBed(t, func(t *testing.T, b *autoBed) {
		young, _ := b.plant("young", 1, nil)
		b.alter(young.ID, func(i *store.Instance) { i.StaleSince, i.WarnedAt = time.Time{}, time.Time{} })
		due, _ := b.ripe("due", nil)
		b.live(50 * time.Minute)
		turn := func(d time.Duration) {
			b.scanner.wall = func() time.Time { return time.Now().Round(0).Add(d) }
			b.cleaner.auto.wall = b.scanner.wall
		}
		turn(30 * 24 * time.Hour)
		if _, err := b.scanner.Scan(t.Context(), b.host.ID, "schedule"); !errors.Is(err, ErrBlind) {
			t.Errorf("the scan ends with %v", err)
		}
		b.run()
		turn(0)
		if _, err := b.scanner.Scan(t.Context(), b.host.ID, "schedule"); !errors.Is(err, ErrBlind) {
			t.Errorf("the scan after it ends with %v", err)
		}
		b.live(59 * time.Minute)
		b.wantEvent("instance.stale", young.ID, 0)
		if v := b.get(young.ID); !v.StaleSince.IsZero() || !v.WarnedAt.IsZero() {
			t.Errorf("stale since %s, warned at %s", v.StaleSince, v.WarnedAt)
		}
		b.wantThere(due)
		b.wantEvent("cleanup.planned", "", 0)
		b.wantEvent("cleanup.held", "", 1)
		b.live(20 * time.Minute)
		b.wantEvent("cleanup.released", "", 1)
		b.wantGone(due)
		b.wantThere(young)
	})
}

// The clock of the cleaner alone: an hour is not too much, more is, in both directions.
func TestAClockJumpIsNoticed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for _, c := range []struct {
			by   time.Duration
			held bool
		}{{0, false}, {time.Hour, false}, {-time.Hour, false}, {time.Hour + time.Second, true}, {-time.Hour - time.Second, true}} {
			a := newAutomatic()
			a.lookAtClock(time.Now())
			time.Sleep(time.Minute)
			a.wall = func() time.Time { return time.Now().Add(c.by) }
			a.lookAtClock(time.Now())
			if got := a.jump(time.Hour, time.Now()) != ""; got != c.held {
				t.Errorf("by %s: held %v", c.by, got)
			}
			time.Sleep(time.Hour)
			a.lookAtClock(time.Now())
			if why := a.jump(time.Hour, time.Now()); why != "" {
				t.Errorf("by %s, an hour later: %s", c.by, why)
			}
		}
	})
}

// What is decided on is fresh: the cleaner has the host scanned when the last scan is old, and only when something is due.
func TestAScanBeforeAPlan(t *testing.T) {
	inAutoBed(t, func(t *testing.T, b *autoBed) {
		b.scan()
		b.plant("young", 30, nil)
		for range 70 {
			time.Sleep(time.Minute)
			b.run()
		}
		if b.scans != 0 {
			t.Errorf("%d scans for nothing", b.scans)
		}
		b.ripe("web", nil)
		b.run()
		if b.scans != 1 || len(b.plans()) != 1 {
			t.Errorf("%d scans, %d plans", b.scans, len(b.plans()))
		}
		for range 6 {
			time.Sleep(time.Minute)
			b.run()
		}
		if b.scans != 2 {
			t.Errorf("%d scans by the time it was applied", b.scans)
		}
	})
}

// Without a fresh scan nothing is planned.
func TestNoScanNoPlan(t *testing.T) {
	inAutoBed(t, func(t *testing.T, b *autoBed) {
		inst, _ := b.ripe("web", nil)
		b.cleaner.ScanBy(nil)
		b.scan()
		for range 180 {
			time.Sleep(time.Minute)
			b.run()
		}
		b.wantThere(inst)
		b.wantEvent("cleanup.planned", "", 0)
	})
}

// Two runs beside each other, of one process or of two, make one plan and remove each container once.
func TestRunsDoNotOverlap(t *testing.T) {
	inAutoBed(t, func(t *testing.T, b *autoBed) {
		b.policy(cleansUp(0, nil))
		var all []store.Instance
		for n := range 3 {
			inst, _ := b.ripe(fmt.Sprintf("web-%d", n), nil)
			all = append(all, inst)
		}
		other := NewCleaner(b.db, b.fleet, b.log)
		cleaners := []*Cleaner{b.cleaner, b.cleaner, other}
		for range 75 {
			time.Sleep(time.Minute)
			b.scan()
			var g sync.WaitGroup
			for _, c := range cleaners {
				g.Go(func() {
					if err := c.RunAutomatic(context.WithoutCancel(t.Context())); err != nil && !errors.Is(err, ErrPlanUsed) {
						t.Error(err)
					}
				})
			}
			g.Wait()
			if n := len(b.plans()); n > 1 {
				t.Fatalf("%d plans wait", n)
			}
		}
		for _, inst := range all {
			b.wantGone(inst)
			if items := b.events("cleanup.item", inst.ID); len(items) != 1 {
				t.Errorf("%s: %d ends: %v", inst.Name, len(items), items)
			}
		}
		b.wantEvent("cleanup.planned", "", 1)
		if n := len(b.engine.Removes()); n != len(all) {
			t.Errorf("%d deletes", n)
		}
	})
}

// What cannot be removed is not planned again every few minutes, and does not keep the others from going.
func TestWhatFailsIsTriedAgainLater(t *testing.T) {
	inAutoBed(t, func(t *testing.T, b *autoBed) {
		bad, ct := b.ripe("bad", nil)
		good, _ := b.ripe("good", nil)
		ct.FailRemoval("device or resource busy")
		b.live(70 * time.Minute)
		b.wantGone(good)
		b.wantThere(bad)
		tries := len(b.events("cleanup.item", bad.ID))
		b.live(50 * time.Minute)
		if n := len(b.events("cleanup.item", bad.ID)); tries != 1 || n != 1 {
			t.Errorf("tried %d times, then %d", tries, n)
		}
	})
}

// Automatic cleanup never stops a process, however it is asked: what has one is not planned, and what got one since is kept.
func TestAutomaticCleanupNeverStopsAProcess(t *testing.T) {
	inAutoBed(t, func(t *testing.T, b *autoBed) {
		paused, _ := b.ripe("paused", func(tpl *dockertest.Template) { tpl.State, tpl.Finished = dockertest.Paused, time.Time{} })
		b.alter(paused.ID, func(i *store.Instance) { i.Status, i.Class = store.StatusPaused, store.ClassPaused })
		lost, _ := b.ripe("lost", nil)
		b.alter(lost.ID, func(i *store.Instance) {
			i.Class, i.HeldBack, i.Intended = store.ClassEngineLost, heldEngineLost, store.IntendedRunning
		})
		held, _ := b.ripe("held", nil)
		b.alter(held.ID, func(i *store.Instance) { i.HeldBack = heldMassChange })
		b.live(3 * time.Hour)
		for _, inst := range []store.Instance{paused, lost, held} {
			b.wantThere(inst)
		}
		b.wantEvent("cleanup.planned", "", 0)
		for _, call := range []string{"/stop", "/kill", "/unpause"} {
			if n := len(b.engine.Requests(`^POST /containers/.*` + call)); n > 0 {
				t.Errorf("%d calls of %s", n, call)
			}
		}
	})
}

// An automatic plan holds no more than a plan may; the rest follows in the next.
func TestAnAutomaticPlanIsBounded(t *testing.T) {
	inAutoBed(t, func(t *testing.T, b *autoBed) {
		b.settings(func(s *store.Settings) { s.PlanMaxItems = 2 })
		for n := range 3 {
			b.ripe(fmt.Sprintf("web-%d", n), nil)
		}
		if plan := b.planned(); len(plan.Items) != 2 || plan.LeftOut != 1 {
			t.Errorf("%d items, %d left out", len(plan.Items), plan.LeftOut)
		}
		b.live(20 * time.Minute)
		if left := b.why(); len(left) > 0 {
			t.Errorf("left: %v", left)
		}
		b.wantEvent("cleanup.planned", "", 2)
	})
}
