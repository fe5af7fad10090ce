package stale

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/tiny-forge/docker-watcher/internal/docker"
	"github.com/tiny-forge/docker-watcher/internal/docker/dockertest"
	"github.com/tiny-forge/docker-watcher/internal/store"
	"github.com/tiny-forge/docker-watcher/internal/store/storetest"
)

func TestPeer01WatcherOff8DaysStoppedAMinuteAgo(t *testing.T) {
	inScanBed(t, dockertest.Options{}, func(t *testing.T, b *scanBed) {
		inst, ct := b.run("web")
		b.scan()
		b.pass(8*day - time.Minute)
		b.engine.WithoutEvents(ct.Stop)
		b.pass(time.Minute)
		b.restart()
		b.scan()
		b.want(inst, store.StatusStopped, ct2class(ct), false, ct.Facts().Finished)
		b.wantEvents("instance.stale", 0)
		b.pass(7*day - time.Hour)
		b.scan()
		b.want(inst, store.StatusStopped, ct2class(ct), false, ct.Facts().Finished)
		b.pass(time.Hour)
		b.scan()
		b.want(inst, store.StatusStopped, ct2class(ct), true, ct.Facts().Finished)
		b.wantEvents("instance.stale", 1)
	})
}

func ct2class(ct *dockertest.Container) store.Class {
	if ct.Facts().ExitCode != 0 {
		return store.ClassFailed
	}
	return store.ClassExited
}

func TestPeer02CreatedAYearAgoStoppedNow(t *testing.T) {
	inScanBed(t, dockertest.Options{}, func(t *testing.T, b *scanBed) {
		inst, ct := b.dead("web", 0, func(tpl *dockertest.Template) {
			tpl.Created, tpl.Started = noon.Add(-365*day), noon.Add(-365*day)
		})
		b.scan()
		b.want(inst, store.StatusStopped, store.ClassExited, false, ct.Facts().Finished)
		b.wantStaleList()
	})
}

func TestPeer03ZeroFinishedAtOfOneNeverStarted(t *testing.T) {
	inScanBed(t, dockertest.Options{}, func(t *testing.T, b *scanBed) {
		old := b.engine.Add(dockertest.Template{Name: "old", Image: "shop:1.0", Labels: b.labels(), State: dockertest.Created, Created: noon.Add(-8 * day)})
		young := b.engine.Add(dockertest.Template{Name: "young", Image: "shop:1.0", Labels: b.labels(), State: dockertest.Created, Created: noon.Add(-6 * day)})
		never := func(i *store.Instance) { i.Status, i.LastAliveAt, i.Evidence = store.StatusStopped, time.Time{}, "" }
		a, c := b.adopt(old, never), b.adopt(young, never)
		b.scan()
		if v := b.want(a, store.StatusStopped, store.ClassNeverStarted, true, noon.Add(-8*day)); v.Evidence != store.EvidenceCreatedAt {
			t.Errorf("evidence %s", v.Evidence)
		}
		b.want(c, store.StatusStopped, store.ClassNeverStarted, false, noon.Add(-6*day))
	})
}

func TestPeer04ExitCode255FoundAtEngineStart(t *testing.T) {
	inScanBed(t, dockertest.Options{}, func(t *testing.T, b *scanBed) {
		inst, _ := b.run("web")
		b.scan()
		b.pass(day)
		b.engine.PowerCut()
		b.scanBlind()
		b.pass(30 * day)
		b.engine.Boot()
		booted := b.engine.Now()
		b.pass(time.Minute)
		b.scan()
		if v := b.want(inst, store.StatusStopped, store.ClassFailed, false, booted); !v.UpperBound || v.ExitCode != 255 {
			t.Errorf("upper bound %v, exit code %d", v.UpperBound, v.ExitCode)
		}
		b.wantEvents("instance.stale", 0)
	})
}

func TestPeer05NoValidEnd(t *testing.T) {
	for name, o := range map[string]dockertest.Options{"podman 4.3 says created": dockertest.Podman43(), "podman 5.4 says 292 years ago": dockertest.Podman54()} {
		t.Run(name, func(t *testing.T) {
			inScanBed(t, o, func(t *testing.T, b *scanBed) {
				inst, _ := b.run("web")
				b.scan()
				b.pass(30 * day)
				b.engine.PowerCut()
				b.pass(time.Minute)
				b.engine.Boot()
				b.restart()
				b.pass(time.Minute)
				b.scan()
				seen := time.Now()
				v := b.want(inst, store.StatusStopped, store.ClassExited, false, seen)
				if v.Evidence != store.EvidenceFirstSeenStopped || !v.UpperBound {
					t.Errorf("evidence %s, upper bound %v", v.Evidence, v.UpperBound)
				}
				b.pass(7*day - time.Minute)
				b.restart()
				b.scan()
				b.want(inst, store.StatusStopped, store.ClassExited, false, seen)
				b.pass(2 * time.Minute)
				b.scan()
				b.want(inst, store.StatusStopped, store.ClassExited, true, seen)
			})
		})
	}
	t.Run("end before the start", func(t *testing.T) {
		inScanBed(t, dockertest.Options{}, func(t *testing.T, b *scanBed) {
			inst, ct := b.dead("web", 80*day)
			ct.SetTimes(noon.Add(-90*day), noon.Add(-60*day), noon.Add(-80*day))
			b.scan()
			b.want(inst, store.StatusStopped, store.ClassExited, false, time.Now())
		})
	})
}

func TestPeer06CrashLoopIsNeverAlive(t *testing.T) {
	inScanBed(t, dockertest.Options{}, func(t *testing.T, b *scanBed) {
		b.watch()
		inst, ct := b.run("web", func(tpl *dockertest.Template) { tpl.Restart = "always" })
		b.settle()
		b.pass(time.Hour)
		died := time.Now()
		ct.CrashLoop(0)
		b.settle()
		b.stageThreshold(store.StaleAfter{After: time.Hour})
		for range 20 {
			b.pass(5*time.Minute + 7*time.Second)
			b.scan()
			if v := b.get(inst); v.Status == store.StatusRunning || v.Class != store.ClassCrashLooping {
				t.Fatalf("at %s it is %s (%s)", time.Now(), v.Status, v.Class)
			}
		}
		v := b.want(inst, store.StatusRestarting, store.ClassCrashLooping, true, died)
		if v.UpperBound {
			t.Error("an event told when it crashed, yet it is called an upper bound")
		}
		b.wantEvents("instance.stale", 1)
		b.wantEvents("instance.recovered", 0)
		if n := len(b.events("instance.status")); n > 4 {
			t.Errorf("%d events of a status that did not change", n)
		}
	})
}

func TestPeer07FinishedAtInTheFuture(t *testing.T) {
	inScanBed(t, dockertest.Options{}, func(t *testing.T, b *scanBed) {
		inst, ct := b.dead("web", 80*day)
		ct.SetTimes(noon.Add(-90*day), noon.Add(-85*day), noon.Add(20*day))
		b.scan()
		b.want(inst, store.StatusStopped, store.ClassExited, false, time.Now())
		b.wantEvents("host.clock_skew", 1)
		b.pass(6 * day)
		b.scan()
		b.want(inst, store.StatusStopped, store.ClassExited, false, noon)
		b.wantEvents("host.clock_skew", 1)
		b.pass(2 * day)
		b.scan()
		b.want(inst, store.StatusStopped, store.ClassExited, true, noon)
	})
}

func TestPeer08ClockAMonthAheadForOneScan(t *testing.T) {
	t.Run("the engine's", func(t *testing.T) {
		inScanBed(t, dockertest.Options{}, func(t *testing.T, b *scanBed) {
			inst, _ := b.dead("web", day)
			live, _ := b.run("live")
			b.scan()
			b.engine.SetClock(30 * day)
			b.scanBlind()
			b.scanBlind()
			if h := b.hostNow(); h.FrozenSince.IsZero() || h.FrozenReason != "clock_skew" {
				t.Errorf("the host is not frozen: %+v", h)
			}
			b.engine.SetClock(0)
			b.pass(time.Minute)
			b.scan()
			b.want(inst, store.StatusStopped, store.ClassExited, false, noon.Add(-day))
			b.want(live, store.StatusRunning, "", false, time.Now())
			b.wantEvents("instance.stale", 0)
			b.wantEvents("host.clock_skew", 1)
			b.wantEvents("scan.sighted", 1)
			if h := b.hostNow(); !h.FrozenSince.IsZero() {
				t.Errorf("the host is still frozen: %s", h.FrozenReason)
			}
		})
	})
	t.Run("ours, and the engine's with it", func(t *testing.T) {
		inScanBed(t, dockertest.Options{}, func(t *testing.T, b *scanBed) {
			inst, _ := b.dead("web", day)
			b.scan()
			ahead := 30 * day
			b.scanner.wall = func() time.Time { return time.Now().Add(ahead) }
			b.scanBlind()
			b.want(inst, store.StatusStopped, store.ClassExited, false, noon.Add(-day))
			ahead = 0
			b.scanBlind()
			b.scan()
			b.want(inst, store.StatusStopped, store.ClassExited, false, noon.Add(-day))
			b.wantEvents("instance.stale", 0)
			b.wantEvents("scan.blind", 1)
		})
	})
	t.Run("what was written meanwhile is worked out again", func(t *testing.T) {
		inScanBed(t, dockertest.Options{}, func(t *testing.T, b *scanBed) {
			inst, ct := b.dead("web", 8*day)
			b.scan()
			storetest.Update(t, b.db, func(ctx context.Context, tx *store.Tx) error {
				return tx.UpdateLastAliveAt(ctx, inst.ID, noon.Add(30*day), noon.Add(30*day))
			})
			b.scan()
			b.want(inst, store.StatusStopped, store.ClassExited, true, ct.Facts().Finished)
		})
	})
}

func TestPeer09HalfAnAnswerChangesNothing(t *testing.T) {
	faults := map[string]dockertest.Fault{
		"error":              {On: `^GET /containers/json`, Status: 500},
		"one list fails":     {On: `^GET /containers/json.*exited`, Status: 500},
		"timeout":            {On: `^GET /containers/json`, Hang: true},
		"empty list":         {On: `^GET /containers/json`, EmptyList: true},
		"half a body":        {On: `^GET /containers/json`, CutBody: 40},
		"connection reset":   {On: `^GET /containers/json`, Reset: true},
		"no info":            {On: `^GET /info`, Status: 500},
		"all inspects hang":  {On: `^GET /containers/[^/]+/json`, Hang: true},
		"inspects break off": {On: `^GET /containers/[^/]+/json`, Reset: true},
	}
	for name, fault := range faults {
		t.Run(name, func(t *testing.T) {
			inScanBed(t, dockertest.Options{}, func(t *testing.T, b *scanBed) {
				var all []store.Instance
				for i := range 30 {
					inst, _ := b.dead(fmt.Sprintf("web-%d", i), 5*day)
					all = append(all, inst)
				}
				live, _ := b.run("live")
				b.scan()
				b.pass(3 * day)
				was := b.get(live)
				heal := b.engine.Fail(fault)
				b.scanBlind()
				b.scanBlind()
				for _, inst := range all {
					b.want(inst, store.StatusStopped, store.ClassExited, false, noon.Add(-5*day))
				}
				if now := b.get(live); !sameRow(was.Instance, now.Instance) {
					t.Errorf("the running one changed:\n%+v\n%+v", was.Instance, now.Instance)
				}
				b.wantEvents("instance.stale", 0)
				b.wantEvents("instance.missing", 0)
				if n := len(b.events("scan.blind")) + len(b.events("host.frozen")); n != 1 {
					t.Errorf("%d events of one blindness", n)
				}
				heal()
				b.scan()
				b.wantEvents("instance.stale", 30)
				b.wantEvents("scan.sighted", 1)
				if left, err := b.db.BlindIntervals(t.Context(), b.host.ID, time.Now().Add(time.Second)); err != nil || len(left) != 0 {
					t.Errorf("blind intervals left open: %v, %v", left, err)
				}
			})
		})
	}
}

func TestPeer10OneInspectHangs(t *testing.T) {
	inScanBed(t, dockertest.Options{}, func(t *testing.T, b *scanBed) {
		stuck, ct := b.dead("stuck", 8*day)
		other, _ := b.dead("other", 8*day)
		heal := b.engine.Fail(dockertest.Fault{On: `^GET /containers/` + ct.ID + `/json`, Hang: true})
		run := b.scan()
		if run.Unknown != 1 || run.NewlyStale != 1 {
			t.Errorf("unknown %d, newly stale %d", run.Unknown, run.NewlyStale)
		}
		b.want(other, store.StatusStopped, store.ClassExited, true, time.Time{})
		if v := b.get(stuck); !v.StaleSince.IsZero() || v.CheckError == "" {
			t.Errorf("the stuck one is stale since %s, check error %q", v.StaleSince, v.CheckError)
		}
		heal()
		b.scan()
		if v := b.want(stuck, store.StatusStopped, store.ClassExited, true, time.Time{}); v.CheckError != "" {
			t.Errorf("its check error stays: %s", v.CheckError)
		}
		b.wantEvents("instance.stale", 2)
	})
}

func TestPeer11RemovedBetweenListAndInspect(t *testing.T) {
	inScanBed(t, dockertest.Options{}, func(t *testing.T, b *scanBed) {
		inst, ct := b.dead("web", 8*day)
		other, _ := b.dead("other", 8*day)
		b.engine.Fail(dockertest.Fault{On: `^GET /containers/` + ct.ID + `/json`, Times: 1, Status: 404})
		run := b.scan()
		if run.Unknown != 0 || run.NewlyStale != 1 {
			t.Errorf("unknown %d, newly stale %d", run.Unknown, run.NewlyStale)
		}
		b.want(inst, store.StatusMissing, store.ClassMissing, false, time.Now())
		b.want(other, store.StatusStopped, store.ClassExited, true, time.Time{})
		b.wantEvents("instance.missing", 1)
		b.scan() // it was only a stumble of the engine's: it is listed again
		b.want(inst, store.StatusStopped, store.ClassExited, false, time.Time{})
	})
}

func TestPeer14RestartWithStaleItemsWarnsOnce(t *testing.T) {
	inScanBed(t, dockertest.Options{}, func(t *testing.T, b *scanBed) {
		b.watch()
		exited, ctExited := b.dead("exited", 5*day)
		paused, ct := b.run("paused")
		gone, ctGone := b.run("gone")
		b.scan()
		ct.Pause()
		ctGone.Remove()
		b.settle()
		b.pass(8 * day)
		b.scan()
		b.wantEvents("instance.stale", 3)
		for range 3 {
			b.restart()
			b.pass(3 * time.Minute)
			b.watch()
			b.pass(day)
			b.scan()
		}
		b.wantEvents("instance.stale", 3)
		b.wantEvents("instance.recovered", 0)
		b.want(exited, store.StatusStopped, store.ClassExited, true, ctExited.Facts().Finished)
		b.want(gone, store.StatusMissing, store.ClassMissing, true, time.Time{})
		if v := b.get(paused); v.Class != store.ClassPaused || !v.UpperBound {
			t.Errorf("paused across blind time it is %s, upper bound %v", v.Class, v.UpperBound)
		}
		b.pass(9 * day)
		b.scan()
		b.want(paused, store.StatusPaused, store.ClassPaused, true, time.Time{})
		b.wantEvents("instance.stale", 3)
	})
}

func TestPeer15RevivedAndStoppedAgainWarnsAgain(t *testing.T) {
	inScanBed(t, dockertest.Options{}, func(t *testing.T, b *scanBed) {
		inst, ct := b.dead("web", 8*day)
		b.scan()
		b.wantEvents("instance.stale", 1)
		ct.Start()
		b.scan()
		b.want(inst, store.StatusRunning, "", false, time.Now())
		b.wantEvents("instance.recovered", 1)
		b.pass(time.Hour)
		ct.Stop()
		b.scan()
		b.pass(6 * day)
		b.scan()
		b.wantEvents("instance.stale", 1)
		b.pass(day + time.Hour)
		b.scan()
		b.scan()
		b.wantEvents("instance.stale", 2)
		b.want(inst, store.StatusStopped, ct2class(ct), true, ct.Facts().Finished)
	})
}

func TestPeer17ThresholdLoweredWith40HitsIsOneDigest(t *testing.T) {
	inScanBed(t, dockertest.Options{}, func(t *testing.T, b *scanBed) {
		b.setThreshold(14)
		for i := range 40 {
			b.dead(fmt.Sprintf("old-%d", i), 8*day)
		}
		b.dead("young", 6*day)
		b.scan()
		b.wantEvents("instance.stale", 0)
		b.setThreshold(7)
		run := b.scan()
		if run.NewlyStale != 40 || run.Stale != 40 {
			t.Errorf("newly stale %d, stale %d", run.NewlyStale, run.Stale)
		}
		warnings := b.events("instance.stale")
		if len(warnings) != 40 {
			t.Fatalf("%d warnings", len(warnings))
		}
		for _, w := range warnings {
			digest, ok := w.Data["digest"].(map[string]any)
			if !ok || digest["scan_id"] != run.ID || fmt.Sprint(digest["count"]) != "40" {
				t.Fatalf("digest of %s: %v", w.Message, w.Data["digest"])
			}
			if w.Severity != store.SeverityWarn || w.ID == 0 {
				t.Errorf("the warning %+v is not kept as one", w)
			}
		}
		b.setThreshold(14)
		b.scan()
		b.wantStaleList()
		b.setThreshold(7)
		b.scan()
		b.wantEvents("instance.stale", 40) // not alive in between
	})
}

func TestTenAtOnceAreNoDigest(t *testing.T) {
	inScanBed(t, dockertest.Options{}, func(t *testing.T, b *scanBed) {
		for i := range 10 {
			b.dead(fmt.Sprintf("old-%d", i), 8*day)
		}
		b.scan()
		for _, w := range b.events("instance.stale") {
			if w.Data["digest"] != nil {
				t.Errorf("%s is part of a digest", w.Message)
			}
		}
		b.wantEvents("instance.stale", 10)
	})
}

func TestPeer18SameNameOnTwoHostsIsTwoInstances(t *testing.T) {
	inScanBed(t, dockertest.Options{}, func(t *testing.T, b *scanBed) {
		mine, _ := b.dead("web", 8*day)
		other, engine, _ := b.addHost("other", dockertest.Options{}) // the same engine id, as two engines of one machine have
		stage := storetest.Stage(t, b.db, other, b.project)
		ct := engine.Run(dockertest.Template{Name: "web", Image: "shop:1.0", Labels: b.labels()})
		theirs := storetest.Instance(t, b.db, stage, func(i *store.Instance) { i.Name, i.ContainerID = "web", ct.ID })
		runs, err := b.scanner.Scan(t.Context(), "", "manual")
		if err != nil || len(runs) != 2 {
			t.Fatalf("%v, %v", runs, err)
		}
		b.want(mine, store.StatusStopped, store.ClassExited, true, time.Time{})
		b.want(theirs, store.StatusRunning, "", false, time.Now())
	})
}

func TestOneHostDownDoesNotHoldUpTheOther(t *testing.T) {
	inScanBed(t, dockertest.Options{}, func(t *testing.T, b *scanBed) {
		inst, _ := b.dead("web", 8*day)
		_, engine, _ := b.addHost("other", dockertest.Options{})
		engine.Shutdown()
		runs, err := b.scanner.Scan(t.Context(), "", "schedule")
		if !errors.Is(err, ErrBlind) || !errors.Is(err, docker.ErrUnavailable) || len(runs) != 2 {
			t.Errorf("%d runs, %v", len(runs), err)
		}
		b.want(inst, store.StatusStopped, store.ClassExited, true, time.Time{})
	})
}

func TestPeer19RecreatedWithTheSameName(t *testing.T) {
	t.Run("by us, under the same row", func(t *testing.T) {
		inScanBed(t, dockertest.Options{}, func(t *testing.T, b *scanBed) {
			inst, ct := b.dead("web", 8*day)
			b.dead("another", day)
			b.scan()
			b.wantEvents("instance.stale", 1)
			ct.Remove()
			fresh := b.engine.Run(dockertest.Template{Name: "web", Image: "shop:1.0", Labels: b.labels()})
			row := b.get(inst)
			next := row.Instance
			next.ContainerID, next.Status, next.StartedAt = fresh.ID, store.StatusRunning, stamp(fresh.Facts().Started)
			storetest.Update(t, b.db, func(ctx context.Context, tx *store.Tx) error {
				return tx.RecordInstance(ctx, row.Instance, &next, time.Now())
			})
			b.scan()
			b.want(inst, store.StatusRunning, "", false, time.Now())
			b.wantEvents("instance.recovered", 1)
			fresh.Stop()
			b.scan()
			b.pass(8 * day)
			b.scan()
			b.wantEvents("instance.stale", 3) // the other one as well
		})
	})
	t.Run("by somebody else", func(t *testing.T) {
		inScanBed(t, dockertest.Options{}, func(t *testing.T, b *scanBed) {
			inst, ct := b.run("web")
			b.dead("another", day)
			b.scan()
			ct.Remove()
			b.engine.Run(dockertest.Template{Name: "web", Image: "shop:1.0", Labels: b.labels()})
			b.scan()
			b.want(inst, store.StatusMissing, store.ClassMissing, false, time.Now())
			b.wantEvents("instance.missing", 1)
		})
	})
}

func TestPeer22UnmanagedIsNeverListed(t *testing.T) {
	inScanBed(t, dockertest.Options{}, func(t *testing.T, b *scanBed) {
		old := dockertest.Template{
			Image: "db:1", State: dockertest.Exited, Created: noon.Add(-99 * day), Started: noon.Add(-99 * day), Finished: noon.Add(-90 * day),
		}
		old.Name = "foreign"
		b.engine.Add(old)
		old.Name, old.Labels = "labels-copied-by-commit", b.labels()
		b.engine.Add(old)
		old.Name, old.Labels = "another-installation", map[string]string{docker.LabelManaged: "true", docker.LabelInstallation: "other"}
		b.engine.Add(old)
		mine, _ := b.dead("mine", 8*day)
		swarm, _ := b.dead("swarm", 8*day, func(tpl *dockertest.Template) { tpl.Labels[docker.LabelSwarmTask] = "task" })
		b.watch()
		b.scan()
		b.wantStaleList("mine")
		b.want(mine, store.StatusStopped, store.ClassExited, true, time.Time{})
		b.want(swarm, store.StatusStopped, store.ClassExited, false, time.Time{})
		for _, r := range b.engine.Requests(`^GET /containers/[^/]+/json`) {
			if !strings.Contains(r.Path, mine.ContainerID) && !strings.Contains(r.Path, swarm.ContainerID) {
				t.Errorf("a stranger was asked for: %s", r.Path)
			}
		}
	})
}

func TestPeer24SameFactsFromEveryEngine(t *testing.T) {
	type facts struct {
		status   store.Status
		class    store.Class
		evidence store.Evidence
		stale    bool
	}
	want := map[string]facts{
		"exited":  {store.StatusStopped, store.ClassExited, store.EvidenceFinishedAt, true},
		"failed":  {store.StatusStopped, store.ClassFailed, store.EvidenceFinishedAt, true},
		"running": {store.StatusRunning, "", store.EvidenceObserved, false},
		"never":   {store.StatusStopped, store.ClassNeverStarted, store.EvidenceCreatedAt, true},
		"paused":  {store.StatusPaused, store.ClassPaused, store.EvidenceFirstSeenStopped, false},
		"young":   {store.StatusStopped, store.ClassExited, store.EvidenceFinishedAt, false},
	}
	for name, o := range map[string]dockertest.Options{
		"docker 20": dockertest.Docker20(), "docker 28": dockertest.Docker28(), "docker 29": dockertest.Docker29(),
		"newest": dockertest.DockerNewest(), "podman 4.3": dockertest.Podman43(), "podman 5.4": dockertest.Podman54(),
	} {
		t.Run(name, func(t *testing.T) {
			inScanBed(t, o, func(t *testing.T, b *scanBed) {
				rows := map[string]store.Instance{}
				rows["exited"], _ = b.dead("exited", 8*day)
				rows["young"], _ = b.dead("young", day)
				rows["failed"], _ = b.dead("failed", 8*day, func(tpl *dockertest.Template) { tpl.ExitCode = 3 })
				rows["running"], _ = b.run("running")
				rows["never"] = b.adopt(b.engine.Add(dockertest.Template{
					Name: "never", Image: "shop:1.0", Labels: b.labels(), State: dockertest.Created, Created: noon.Add(-8 * day),
				}), func(i *store.Instance) { i.Status, i.LastAliveAt, i.Evidence = store.StatusStopped, time.Time{}, "" })
				paused, ct := b.run("paused")
				b.pass(time.Minute)
				ct.Pause()
				rows["paused"] = paused
				b.scan()
				for n, w := range want {
					v := b.get(rows[n])
					if got := (facts{v.Status, v.Class, v.Evidence, !v.StaleSince.IsZero()}); got != w {
						t.Errorf("%s: %+v, want %+v", n, got, w)
					}
				}
			})
		})
	}
}

func TestPeer25SettingsThatAreRefusedChangeNothing(t *testing.T) {
	inScanBed(t, dockertest.Options{}, func(t *testing.T, b *scanBed) {
		b.dead("web", 6*day)
		for _, days := range []int{0, -7, 3651, 1 << 40} {
			err := b.db.Update(t.Context(), func(tx *store.Tx) error {
				s, err := tx.Settings(t.Context())
				if err != nil {
					return err
				}
				s.StaleThresholdDays = days
				if err := s.Validate(); err != nil {
					return err
				}
				return tx.SaveSettings(t.Context(), s)
			})
			if err == nil {
				t.Errorf("a threshold of %d days is taken", days)
			}
		}
		b.scan()
		b.wantStaleList()
	})
}

func TestPeer26AThousandStoppedAreInspectedEightAtATimeAndOnce(t *testing.T) {
	inScanBed(t, dockertest.Options{}, func(t *testing.T, b *scanBed) {
		const n = 1000
		cts := b.engine.AddMany(n, dockertest.Template{
			Name: "old", Image: "shop:1.0", Labels: b.labels(), State: dockertest.Exited,
			Created: noon.Add(-20 * day), Started: noon.Add(-19 * day), Finished: noon.Add(-5 * day),
		})
		storetest.Update(t, b.db, func(ctx context.Context, tx *store.Tx) error {
			for _, ct := range cts {
				i := storetest.NewInstance(b.stage, func(i *store.Instance) {
					i.Name, i.ContainerID, i.Status, i.Intended = ct.Name(), ct.ID, store.StatusStopped, store.IntendedStopped
				})
				if err := tx.InsertInstance(ctx, i); err != nil {
					return err
				}
			}
			return nil
		})
		heal := b.engine.Fail(dockertest.Fault{On: `^GET /containers/[^/]+/json`, Delay: time.Second})
		began := time.Now()
		b.watch()
		b.scan() // waits for the first one, and finds nothing to ask
		if took := time.Since(began); took < n/8*time.Second {
			t.Errorf("%d inspects of a second each took %s: more than eight at a time", n, took)
		}
		heal()
		if got := b.engine.Inspects(); got != n {
			t.Errorf("%d inspects, want %d", got, n)
		}
		b.engine.ResetCalls()
		run := b.scan()
		if run.Inspects != 0 || run.ListCalls != 2 || b.engine.Inspects() != 0 || b.engine.Lists() != 2 || run.Known != n {
			t.Errorf("a scan of known ones: %+v; the engine saw %d lists, %d inspects", run, b.engine.Lists(), b.engine.Inspects())
		}
		b.pass(3 * day)
		b.engine.ResetCalls()
		if run := b.scan(); run.NewlyStale != n || b.engine.Inspects() != n {
			t.Errorf("newly stale %d after %d inspects", run.NewlyStale, b.engine.Inspects())
		}
		b.engine.ResetCalls()
		if run := b.scan(); run.Stale != n || b.engine.Inspects() != 0 {
			t.Errorf("stale %d after %d inspects", run.Stale, b.engine.Inspects())
		}
	})
}

func TestPeer30ScansCountInUTC(t *testing.T) {
	zone, err := time.LoadLocation("Europe/Berlin")
	if err != nil {
		t.Fatal(err)
	}
	before := time.Date(2026, 10, 25, 0, 30, 0, 0, zone) // the night that has two hours from two to three
	f := Facts{Status: store.StatusStopped, LastAliveAt: before.Add(-7 * day), Evidence: store.EvidenceFinishedAt}
	if v := Judge(f, Policy{Threshold: 7 * day}, before.In(zone)); v.Stale {
		t.Errorf("exactly seven days: %s", v.Reason)
	}
	after := time.Date(2026, 10, 26, 0, 30, 0, 0, zone)
	f.LastAliveAt = after.AddDate(0, 0, -7)
	if v := Judge(f, Policy{Threshold: 7 * day}, after); !v.Stale || v.DaysStale != 7 {
		t.Errorf("seven days and the hour of the change: %+v", v)
	}
}

func TestMassChange(t *testing.T) {
	lose := func(b *scanBed, cts []*dockertest.Container, n int) {
		for _, ct := range cts[:n] {
			b.engine.WithoutEvents(ct.Remove)
		}
	}
	bed := func(t *testing.T, n int, test func(t *testing.T, b *scanBed, rows []store.Instance, cts []*dockertest.Container)) {
		t.Helper()
		inScanBed(t, dockertest.Options{}, func(t *testing.T, b *scanBed) {
			var rows []store.Instance
			var cts []*dockertest.Container
			for i := range n {
				inst, ct := b.run(fmt.Sprintf("web-%d", i))
				rows, cts = append(rows, inst), append(cts, ct)
			}
			b.scan()
			test(t, b, rows, cts)
		})
	}
	t.Run("six of ten vanish: nothing changes until two scans agree", func(t *testing.T) {
		bed(t, 10, func(t *testing.T, b *scanBed, rows []store.Instance, cts []*dockertest.Container) {
			lose(b, cts, 6)
			for range 3 {
				b.scanBlind()
				b.pass(3 * time.Minute)
			}
			b.want(rows[0], store.StatusRunning, "", false, time.Time{})
			b.wantEvents("host.frozen", 1)
			b.wantEvents("instance.missing", 0)
			if h := b.hostNow(); h.FrozenReason != "mass_change" {
				t.Errorf("frozen by %q", h.FrozenReason)
			}
			b.pass(2 * time.Minute)
			b.scan()
			v := b.want(rows[0], store.StatusMissing, store.ClassMissing, false, time.Time{})
			if v.HeldBack == "" {
				t.Error("it may be cleaned automatically")
			}
			if v := b.want(rows[9], store.StatusRunning, "", false, time.Now()); v.HeldBack != "" {
				t.Errorf("one that stayed is held back: %s", v.HeldBack)
			}
			if h := b.hostNow(); !h.FrozenSince.IsZero() {
				t.Error("the host is still frozen")
			}
		})
	})
	t.Run("they come back: nothing was lost", func(t *testing.T) {
		bed(t, 10, func(t *testing.T, b *scanBed, rows []store.Instance, _ []*dockertest.Container) {
			heal := b.engine.Fail(dockertest.Fault{On: `^GET /containers/json`, EmptyList: true})
			b.scanBlind()
			heal()
			b.scan()
			b.want(rows[0], store.StatusRunning, "", false, time.Now())
			b.wantEvents("instance.missing", 0)
		})
	})
	t.Run("an empty list for ever, while inspects find all of them", func(t *testing.T) {
		bed(t, 10, func(t *testing.T, b *scanBed, rows []store.Instance, _ []*dockertest.Container) {
			b.engine.Fail(dockertest.Fault{On: `^GET /containers/json`, EmptyList: true})
			for range 5 {
				b.scanBlind()
				b.pass(11 * time.Minute)
			}
			b.want(rows[0], store.StatusRunning, "", false, time.Time{})
			b.wantEvents("instance.missing", 0)
			b.wantEvents("host.frozen", 1)
		})
	})
	t.Run("an admin accepts", func(t *testing.T) {
		bed(t, 10, func(t *testing.T, b *scanBed, rows []store.Instance, cts []*dockertest.Container) {
			lose(b, cts, 6)
			b.scanBlind()
			if err := b.scanner.Accept(t.Context(), b.host.ID, "user:anna"); err != nil {
				t.Fatal(err)
			}
			b.scan()
			if v := b.want(rows[0], store.StatusMissing, store.ClassMissing, false, time.Time{}); v.HeldBack == "" {
				t.Error("it may be cleaned automatically")
			}
			if got := b.events("host.accepted"); len(got) != 1 || got[0].Actor != "user:anna" {
				t.Errorf("events of the acceptance: %v", got)
			}
			lose(b, cts[6:], 4)
			b.scanBlind() // one yes is for one change
		})
	})
	t.Run("half of them is not more than half", func(t *testing.T) {
		bed(t, 10, func(t *testing.T, b *scanBed, rows []store.Instance, cts []*dockertest.Container) {
			lose(b, cts, 5)
			b.scan()
			b.want(rows[0], store.StatusMissing, store.ClassMissing, false, time.Time{})
		})
	})
	t.Run("four of five are too few to be a mass", func(t *testing.T) {
		bed(t, 5, func(t *testing.T, b *scanBed, rows []store.Instance, cts []*dockertest.Container) {
			lose(b, cts, 4)
			b.scan()
			b.want(rows[0], store.StatusMissing, store.ClassMissing, false, time.Time{})
		})
	})
	t.Run("all of them ended at once", func(t *testing.T) {
		bed(t, 8, func(t *testing.T, b *scanBed, rows []store.Instance, cts []*dockertest.Container) {
			b.engine.WithoutEvents(func() {
				for _, ct := range cts {
					ct.Kill()
				}
			})
			b.scanBlind()
			b.want(rows[0], store.StatusRunning, "", false, time.Time{})
			b.pass(11 * time.Minute)
			b.scan()
			if v := b.want(rows[0], store.StatusStopped, store.ClassFailed, false, cts[0].Facts().Finished); v.HeldBack == "" {
				t.Error("it may be cleaned automatically")
			}
		})
	})
}

func TestAnotherEngineBehindTheSocketFreezesTheHost(t *testing.T) {
	inScanBed(t, dockertest.Options{}, func(t *testing.T, b *scanBed) {
		inst, ct := b.run("web")
		b.scan()
		b.engine.SetEngineID("ANOT:HER0")
		b.engine.WithoutEvents(ct.Remove)
		b.scanBlind()
		b.scanBlind()
		b.want(inst, store.StatusRunning, "", false, time.Time{})
		b.wantEvents("host.engine_changed", 1)
		if h := b.hostNow(); h.FrozenReason != "engine_changed" || h.EngineID == "ANOT:HER0" {
			t.Errorf("frozen by %q, engine id %q", h.FrozenReason, h.EngineID)
		}
		if err := b.scanner.Accept(t.Context(), b.host.ID, "user:anna"); err != nil {
			t.Fatal(err)
		}
		b.scan()
		b.want(inst, store.StatusMissing, store.ClassMissing, false, time.Time{})
		if h := b.hostNow(); h.EngineID != "ANOT:HER0" || !h.FrozenSince.IsZero() {
			t.Errorf("after the acceptance: %+v", h)
		}
	})
}

func TestEngineAway(t *testing.T) {
	inScanBed(t, dockertest.Options{LiveRestore: true}, func(t *testing.T, b *scanBed) {
		inst, _ := b.run("web")
		b.scan()
		b.pass(time.Hour)
		b.engine.Shutdown()
		for range 5 {
			b.scanBlind()
			b.pass(time.Hour)
		}
		b.wantEvents("scan.blind", 1)
		b.want(inst, store.StatusRunning, "", false, noon)
		open, err := b.db.BlindIntervals(t.Context(), b.host.ID, time.Now())
		if err != nil || len(open) != 1 || open[0].Reason != "unreachable" || !open[0].To.IsZero() {
			t.Errorf("blind intervals %+v, %v", open, err)
		}
		b.engine.Boot()
		b.scan()
		b.wantEvents("scan.sighted", 1)
		b.want(inst, store.StatusRunning, "", false, time.Now())
	})
}

func TestTimeWeWereDownIsInTheLedger(t *testing.T) {
	inScanBed(t, dockertest.Options{}, func(t *testing.T, b *scanBed) {
		b.run("web")
		b.scan()
		was := time.Now()
		b.pass(3 * day)
		b.restart()
		b.scan()
		b.pass(time.Hour) // in which we watch
		b.scan()
		all, err := b.db.BlindIntervals(t.Context(), b.host.ID, time.Time{})
		if err != nil || len(all) != 1 {
			t.Fatalf("%v, %v", all, err)
		}
		if i := all[0]; i.Reason != "down" || i.From.Sub(was).Abs() > time.Second || i.To.Sub(was.Add(3*day)).Abs() > time.Second {
			t.Errorf("the ledger says %+v", i)
		}
		b.wantEvents("scan.blind", 0)
	})
}

func TestProtectedIsListedAndWarnedOfWhenThatEnds(t *testing.T) {
	inScanBed(t, dockertest.Options{}, func(t *testing.T, b *scanBed) {
		pinned, _ := b.dead("pinned", 8*day)
		snoozed, _ := b.dead("snoozed", 8*day)
		b.dead("kept", 8*day, func(tpl *dockertest.Template) { tpl.Labels[docker.LabelKeep] = "true" })
		protect := func(inst store.Instance, change func(*store.Instance)) {
			storetest.Update(t, b.db, func(ctx context.Context, tx *store.Tx) error {
				row := b.get(inst).Instance
				change(&row)
				return tx.SetProtection(ctx, row)
			})
		}
		protect(pinned, func(i *store.Instance) { i.PinnedAt, i.PinnedBy = noon, "user:anna" })
		protect(snoozed, func(i *store.Instance) { i.SnoozedUntil, i.SnoozedBy = noon.Add(3*day), "user:anna" })
		b.scan()
		b.wantStaleList("pinned", "snoozed", "kept")
		b.wantEvents("instance.stale", 0)
		b.wantEvents("instance.protected", 3)
		b.pass(2 * day)
		b.scan()
		b.wantEvents("instance.stale", 0)
		b.pass(day + time.Minute)
		b.scan()
		b.wantEvents("instance.stale", 1)
		protect(pinned, func(i *store.Instance) { i.PinnedAt = time.Time{} })
		b.scan()
		b.scan()
		b.wantEvents("instance.stale", 2)
		b.wantEvents("instance.protected", 3)
		if v := b.get(pinned); !v.WarnedAt.After(v.StaleSince) {
			t.Errorf("stale since %s, warned at %s", v.StaleSince, v.WarnedAt)
		}
	})
}

func TestThresholdInForce(t *testing.T) {
	inScanBed(t, dockertest.Options{}, func(t *testing.T, b *scanBed) {
		inst, _ := b.dead("web", 2*time.Hour)
		b.scan()
		b.wantStaleList()
		b.stageThreshold(store.StaleAfter{After: time.Hour})
		b.scan()
		b.wantStaleList("web")
		b.stageThreshold(store.StaleAfter{Never: true})
		b.pass(400 * day)
		b.scan()
		b.want(inst, store.StatusStopped, store.ClassExited, false, noon.Add(-2*time.Hour))
	})
}

func TestUnderDeployOrRemovalIsNotJudged(t *testing.T) {
	inScanBed(t, dockertest.Options{}, func(t *testing.T, b *scanBed) {
		for _, status := range []store.Status{store.StatusPending, store.StatusPulling, store.StatusStarting, store.StatusRemoving} {
			ct := b.engine.Add(dockertest.Template{
				Name: string(status), Image: "shop:1.0", Labels: b.labels(), State: dockertest.Exited,
				Created: noon.Add(-99 * day), Started: noon.Add(-98 * day), Finished: noon.Add(-90 * day),
			})
			inst := b.adopt(ct, func(i *store.Instance) { i.Status, i.LastAliveAt = status, noon.Add(-90*day) })
			was := b.get(inst)
			b.scan()
			if now := b.get(inst); now.Revision != was.Revision || !now.StaleSince.IsZero() {
				t.Errorf("%s was written: %+v", status, now.Instance)
			}
		}
		if n := b.engine.Inspects(); n != 0 {
			t.Errorf("%d inspects", n)
		}
	})
}

func TestFailedDeployWithoutAContainerAgesFromItsRow(t *testing.T) {
	inScanBed(t, dockertest.Options{}, func(t *testing.T, b *scanBed) {
		inst := storetest.Instance(t, b.db, b.stage, func(i *store.Instance) {
			i.ContainerID, i.Status, i.Evidence, i.CreatedAt = "", store.StatusFailed, "", noon
		})
		b.pass(7 * day)
		b.scan()
		b.want(inst, store.StatusFailed, store.ClassNeverStarted, false, noon)
		b.pass(time.Minute)
		b.scan()
		b.want(inst, store.StatusFailed, store.ClassNeverStarted, true, noon)
	})
}

func TestAdoptedIsAskedForByID(t *testing.T) {
	inScanBed(t, dockertest.Options{}, func(t *testing.T, b *scanBed) {
		end := noon.Add(-8 * day)
		ct := b.engine.Add(dockertest.Template{Name: "legacy", Image: "db:1", State: dockertest.Exited, Created: end.Add(-day), Started: end.Add(-day), Finished: end})
		inst := b.adopt(ct, func(i *store.Instance) {
			i.Ownership, i.Status = store.OwnershipAdopted, store.StatusStopped
			i.LastAliveAt = end
		})
		b.scan()
		b.want(inst, store.StatusStopped, store.ClassExited, true, end)
		ct.Remove()
		b.run("other")
		b.pass(time.Hour)
		b.scan()
		b.want(inst, store.StatusMissing, store.ClassMissing, false, time.Now())
	})
}

func TestScanThatTakesMinutesRecordsWhatItSawAtItsEnd(t *testing.T) {
	inScanBed(t, dockertest.Options{}, func(t *testing.T, b *scanBed) {
		var rows []store.Instance
		for i := range 80 {
			inst, ct := b.run(fmt.Sprintf("web-%d", i))
			ct.Pause()
			rows = append(rows, inst)
		}
		b.pass(day)
		b.engine.Fail(dockertest.Fault{On: `^GET /containers/[^/]+/json`, Delay: 9 * time.Second})
		b.scan()
		last := time.Time{}
		for _, inst := range rows {
			v := b.want(inst, store.StatusPaused, store.ClassPaused, false, time.Time{})
			if !v.UpperBound || v.LastAliveAt.Before(noon.Add(day)) {
				t.Errorf("last alive %s (upper bound %v): it may have lived until we looked", v.LastAliveAt, v.UpperBound)
			}
			last = laterOf(last, v.LastAliveAt)
		}
		if last.Sub(noon.Add(day)) < 80*time.Second {
			t.Errorf("the last look is recorded as at %s", last)
		}
	})
}

func TestConflictOnOneLeavesTheOthers(t *testing.T) {
	inScanBed(t, dockertest.Options{}, func(t *testing.T, b *scanBed) {
		one, _ := b.dead("one", 8*day)
		two, _ := b.dead("two", 8*day)
		m := b.scanner.memory(b.host.ID)
		engine, err := b.fleet.Engine(b.host.ID)
		if err != nil {
			t.Fatal(err)
		}
		p := newPass(b.scanner, m, engine, "manual")
		if err := p.prepare(t.Context()); err != nil {
			t.Fatal(err)
		}
		if bl := p.identify(t.Context()); bl != nil {
			t.Fatal(bl.detail)
		}
		if bl := p.list(t.Context()); bl != nil {
			t.Fatal(bl.detail)
		}
		if bl := p.ask(t.Context()); bl != nil {
			t.Fatal(bl.detail)
		}
		storetest.Update(t, b.db, func(ctx context.Context, tx *store.Tx) error { // somebody is quicker
			return tx.SetIntended(ctx, one.ID, store.IntendedRunning)
		})
		if err := p.conclude(t.Context()); err != nil {
			t.Fatal(err)
		}
		b.want(two, store.StatusStopped, store.ClassExited, true, time.Time{})
		if v := b.get(one); v.Intended != store.IntendedRunning || !v.StaleSince.IsZero() {
			t.Errorf("it was overwritten: %+v", v.Instance)
		}
		b.wantEvents("instance.stale", 1)
		b.scan()
		b.want(one, store.StatusStopped, store.ClassExited, true, time.Time{})
	})
}

func TestOneTransactionAScan(t *testing.T) {
	inScanBed(t, dockertest.Options{}, func(t *testing.T, b *scanBed) {
		for i := range 20 {
			b.dead(fmt.Sprintf("old-%d", i), 8*day)
		}
		commits := 0
		b.db.OnCommit(func(evs []store.Event) {
			if slices.ContainsFunc(evs, func(e store.Event) bool { return e.Kind == "instance.stale" }) {
				commits++
			}
		})
		b.scan()
		if commits != 1 {
			t.Errorf("%d transactions", commits)
		}
	})
}

func TestInterval(t *testing.T) {
	inScanBed(t, dockertest.Options{}, func(t *testing.T, b *scanBed) {
		want := func(d time.Duration) {
			t.Helper()
			if got, err := b.scanner.Interval(t.Context()); err != nil || got != d {
				t.Errorf("every %s, want %s (%v)", got, d, err)
			}
		}
		want(day)
		b.setThreshold(14)
		want(2 * day)
		b.stageThreshold(store.StaleAfter{After: 5 * time.Second})
		want(time.Hour)
		storetest.Update(t, b.db, func(ctx context.Context, tx *store.Tx) error {
			s, err := tx.Settings(ctx)
			if err != nil {
				return err
			}
			s.ScanInterval = 10 * time.Second
			return tx.SaveSettings(ctx, s)
		})
		want(10 * time.Second)
	})
}

func TestScanOfAnUnknownHost(t *testing.T) {
	inScanBed(t, dockertest.Options{}, func(t *testing.T, b *scanBed) {
		if runs, err := b.scanner.Scan(t.Context(), "nowhere", "manual"); !errors.Is(err, docker.ErrAbsent) || len(runs) != 0 {
			t.Errorf("%v, %v", runs, err)
		}
	})
}

// An empty list proves nothing while there is one that we know, however few, and also when an adopted one, which the
// list never holds, is still there.
func TestEmptyListBesideAnAdoptedOne(t *testing.T) {
	inScanBed(t, dockertest.Options{}, func(t *testing.T, b *scanBed) {
		inst, ct := b.run("web")
		foreign := b.engine.Run(dockertest.Template{Name: "legacy", Image: "db:1"})
		adopted := b.adopt(foreign, func(i *store.Instance) { i.Name, i.Ownership = "legacy", store.OwnershipAdopted })
		b.scan()
		b.engine.WithoutEvents(ct.Remove)
		b.scanBlind()
		b.want(inst, store.StatusRunning, "", false, time.Time{})
		b.want(adopted, store.StatusRunning, "", false, time.Time{})
		b.wantEvents("instance.missing", 0)
		if h := b.hostNow(); h.FrozenReason != blindEmptyList {
			t.Errorf("frozen by %q", h.FrozenReason)
		}
	})
}

// What an admin accepts is what is lost now, not what may be lost some other day.
func TestAcceptIsForNow(t *testing.T) {
	inScanBed(t, dockertest.Options{}, func(t *testing.T, b *scanBed) {
		var cts []*dockertest.Container
		for _, name := range []string{"a", "b", "c", "d", "e", "f"} {
			_, ct := b.run(name)
			cts = append(cts, ct)
		}
		b.scan()
		if err := b.scanner.Accept(t.Context(), b.host.ID, "user:anna"); err != nil {
			t.Fatal(err)
		}
		down := b.engine.Fail(dockertest.Fault{On: ".", Reset: true})
		b.scanBlind()
		b.pass(time.Hour)
		down()
		for _, ct := range cts {
			b.engine.WithoutEvents(ct.Remove)
		}
		b.scanBlind()
		b.wantEvents("instance.missing", 0)
	})
}

// A scan notes for all that run that they were seen running; a later look starts from there.
func TestASightingIsRemembered(t *testing.T) {
	inScanBed(t, dockertest.Options{}, func(t *testing.T, b *scanBed) {
		b.setThreshold(7)
		inst, ct := b.run("web")
		b.watch()
		began := time.Now()
		b.pass(20 * day)
		b.scan()
		seen := b.get(inst).LastAliveAt
		// The engine writes down an end of long ago: neither believable, nor to be called unbelievable by itself.
		b.engine.WithoutEvents(func() { ct.Exit(0) })
		ct.SetTimes(began.Add(-2*time.Hour), began.Add(-time.Hour), began.Add(day))
		b.scan()
		v := b.get(inst)
		if !v.StaleSince.IsZero() || v.LastAliveAt.Before(seen) {
			t.Errorf("stale since %s, last alive %s, seen running %s", v.StaleSince, v.LastAliveAt, seen)
		}
		b.wantEvents("instance.stale", 0)
	})
}
