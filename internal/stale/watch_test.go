package stale

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/tiny-forge/docker-watcher/internal/docker"
	"github.com/tiny-forge/docker-watcher/internal/docker/dockertest"
	"github.com/tiny-forge/docker-watcher/internal/store"
	"github.com/tiny-forge/docker-watcher/internal/store/storetest"
)

func TestWatchFollowsALife(t *testing.T) {
	inScanBed(t, dockertest.Options{}, func(t *testing.T, b *scanBed) {
		inst, ct := b.run("web")
		b.watch()
		b.pass(time.Hour)
		steps := []struct {
			name   string
			do     func()
			status store.Status
			class  store.Class
			alive  bool // at the moment of the step
		}{
			{"pause", ct.Pause, store.StatusPaused, store.ClassPaused, true},
			{"unpause", ct.Unpause, store.StatusRunning, "", true},
			{"exit with a code", func() { ct.Exit(3) }, store.StatusStopped, store.ClassFailed, true},
			{"start", ct.Start, store.StatusRunning, "", true},
			{"out of memory", ct.OOM, store.StatusStopped, store.ClassOOM, true},
			{"start again", ct.Start, store.StatusRunning, "", true},
			{"pause again", ct.Pause, store.StatusPaused, store.ClassPaused, true},
			{"killed while paused: no life since", ct.Kill, store.StatusStopped, store.ClassFailed, false},
			{"start once more", ct.Start, store.StatusRunning, "", true},
			{"pause once more", ct.Pause, store.StatusPaused, store.ClassPaused, true},
			{"stopped while paused: no life since", ct.Stop, store.StatusStopped, store.ClassExited, false},
			{"removed", ct.Remove, store.StatusMissing, store.ClassMissing, false},
		}
		alive := time.Now()
		for _, s := range steps {
			b.pass(time.Hour)
			if s.alive {
				alive = time.Now()
			}
			s.do()
			b.settle()
			v := b.want(inst, s.status, s.class, false, alive)
			if v.UpperBound {
				t.Errorf("%s: an event told the moment, yet it is an upper bound", s.name)
			}
		}
		b.wantEvents("instance.missing", 1)
	})
}

func TestWatchRevivesTheStale(t *testing.T) {
	inScanBed(t, dockertest.Options{}, func(t *testing.T, b *scanBed) {
		inst, ct := b.dead("web", 8*day)
		b.watch()
		b.want(inst, store.StatusStopped, store.ClassExited, true, time.Time{})
		ct.Start()
		b.settle()
		v := b.want(inst, store.StatusRunning, "", false, ct.Facts().Started)
		if !v.WarnedAt.IsZero() {
			t.Error("the episode is not closed")
		}
		b.wantEvents("instance.recovered", 1)
		b.wantEvents("instance.stale", 1)
	})
}

func TestWatchNeverDeclaresStale(t *testing.T) {
	inScanBed(t, dockertest.Options{}, func(t *testing.T, b *scanBed) {
		b.stageThreshold(store.StaleAfter{After: time.Second})
		inst, ct := b.run("web")
		b.watch()
		ct.Stop()
		b.pass(time.Hour)
		ct.Rename("other")
		b.settle()
		if v := b.get(inst); !v.StaleSince.IsZero() {
			t.Error("it became stale without a scan")
		}
		b.scan()
		if v := b.get(inst); v.StaleSince.IsZero() {
			t.Error("a scan does not find it stale")
		}
	})
}

func TestABurstIsFewTransactions(t *testing.T) {
	inScanBed(t, dockertest.Options{}, func(t *testing.T, b *scanBed) {
		var cts []*dockertest.Container
		for i := range 200 {
			_, ct := b.run(fmt.Sprintf("web-%d", i))
			cts = append(cts, ct)
		}
		b.watch()
		commits := 0
		b.db.OnCommit(func([]store.Event) { commits++ })
		for _, ct := range cts {
			ct.Stop()
		}
		b.settle()
		if commits > 3 {
			t.Errorf("200 ends took %d transactions", commits)
		}
		b.wantEvents("instance.status", 200)
	})
}

func TestForeignEventsAreIgnoredCheaply(t *testing.T) {
	inScanBed(t, dockertest.Options{}, func(t *testing.T, b *scanBed) {
		b.run("mine")
		b.watch()
		b.engine.ResetCalls()
		for i := range 50 {
			ct := b.engine.Run(dockertest.Template{Name: fmt.Sprintf("foreign-%d", i), Image: "db:1"})
			ct.Stop()
			ct.Remove()
		}
		b.settle()
		if n := b.engine.Inspects() + b.engine.Lists(); n != 0 {
			t.Errorf("%d calls for strangers", n)
		}
	})
}

func TestAfterAGapOneFullScan(t *testing.T) {
	inScanBed(t, dockertest.Options{}, func(t *testing.T, b *scanBed) {
		var rows []store.Instance
		var cts []*dockertest.Container
		for i := range 10 {
			inst, ct := b.run(fmt.Sprintf("web-%d", i))
			rows, cts = append(rows, inst), append(cts, ct)
		}
		b.watch()
		b.pass(time.Hour)
		b.engine.CutEvents()
		b.engine.WithoutEvents(cts[0].Stop)
		b.engine.ResetCalls()
		b.pass(time.Minute)
		b.want(rows[0], store.StatusStopped, ct2class(cts[0]), false, cts[0].Facts().Finished)
		if b.engine.Lists() != 2 || b.engine.Inspects() != 10 {
			t.Errorf("%d lists and %d inspects after a gap", b.engine.Lists(), b.engine.Inspects())
		}
		runs, _, err := b.db.ScanRuns(t.Context(), b.host.ID, store.Page{})
		if err != nil || len(runs) != 2 || runs[0].Trigger != "gap" || runs[1].Trigger != "start" {
			t.Errorf("scans %+v, %v", runs, err)
		}
		b.engine.ResetCalls()
		b.scan()
		if b.engine.Lists() != 2 || b.engine.Inspects() != 0 {
			t.Errorf("%d lists and %d inspects while nothing is missed", b.engine.Lists(), b.engine.Inspects())
		}
	})
}

func TestEngineDownAtStartThenThere(t *testing.T) {
	inScanBed(t, dockertest.Options{LiveRestore: true}, func(t *testing.T, b *scanBed) {
		inst, _ := b.run("web")
		b.engine.Shutdown()
		b.watch()
		b.scanBlind()
		b.pass(time.Hour)
		b.engine.Boot()
		b.pass(2 * time.Minute)
		b.want(inst, store.StatusRunning, "", false, time.Time{})
		if h := b.hostNow(); h.LastGoodScan.IsZero() {
			t.Error("no good scan since the engine came")
		}
		b.wantEvents("scan.blind", 1)
		b.wantEvents("scan.sighted", 1)
	})
}

func TestAHostAddedLaterIsWatched(t *testing.T) {
	inScanBed(t, dockertest.Options{}, func(t *testing.T, b *scanBed) {
		b.watch()
		other, engine, _ := b.addHost("other", dockertest.Options{EngineID: "OTHE:R"})
		stage := storetest.Stage(t, b.db, other, b.project)
		ct := engine.Run(dockertest.Template{Name: "web", Image: "shop:1.0", Labels: b.labels()})
		inst := storetest.Instance(t, b.db, stage, func(i *store.Instance) { i.Name, i.ContainerID = "web", ct.ID })
		b.pass(10 * time.Second)
		ct.Stop()
		b.settle()
		b.want(inst, store.StatusStopped, ct2class(ct), false, ct.Facts().Finished)
	})
}

func TestEventsOfADeployUnderWayWaitForItsEnd(t *testing.T) {
	inScanBed(t, dockertest.Options{}, func(t *testing.T, b *scanBed) {
		b.watch()
		ct := b.engine.Run(dockertest.Template{Name: "web", Image: "shop:1.0", Labels: b.labels()})
		inst := b.adopt(ct, func(i *store.Instance) { i.Status = store.StatusStarting })
		ct.Exit(1) // the deployer has not seen it yet
		b.pass(10 * time.Second)
		if v := b.get(inst); v.Status != store.StatusStarting {
			t.Fatalf("the watcher took it from the deploy: %s", v.Status)
		}
		storetest.Update(t, b.db, func(ctx context.Context, tx *store.Tx) error {
			prev := b.get(inst).Instance
			next := prev
			next.Status = store.StatusRunning
			return tx.RecordInstance(ctx, prev, &next, time.Now())
		})
		b.settle()
		b.want(inst, store.StatusStopped, store.ClassFailed, false, ct.Facts().Finished)
	})
}

func TestEventsOfARemovalUnderWayAreLeftAlone(t *testing.T) {
	inScanBed(t, dockertest.Options{}, func(t *testing.T, b *scanBed) {
		inst, ct := b.dead("web", 8*day)
		b.watch()
		v := b.get(inst)
		storetest.Update(t, b.db, func(ctx context.Context, tx *store.Tx) error {
			return tx.BeginRemoval(ctx, store.Removal{
				InstanceID: v.ID, HostID: v.HostID, ContainerID: v.ContainerID, Former: v.Status, Step: store.RemovalIntended,
				Actor: "user:anna", CreatedAt: time.Now(), UpdatedAt: time.Now(),
			}, v.Revision)
		})
		ct.Remove()
		b.settle()
		if v := b.get(inst); v.Status != store.StatusRemoving {
			t.Errorf("the watcher took it from the removal: %s", v.Status)
		}
		storetest.Update(t, b.db, func(ctx context.Context, tx *store.Tx) error { return tx.FinishRemoval(ctx, inst.ID) })
		b.settle()
		b.wantEvents("instance.missing", 0)
		b.scan()
	})
}

func TestEngineLostIsWarnedOfAtOnceAndHeldBack(t *testing.T) {
	inScanBed(t, dockertest.Options{}, func(t *testing.T, b *scanBed) {
		lost, _ := b.run("lost", func(tpl *dockertest.Template) { tpl.Restart = "unless-stopped" })
		back, _ := b.run("back", func(tpl *dockertest.Template) { tpl.Restart = "always" })
		byHand, ct := b.run("by-hand", func(tpl *dockertest.Template) { tpl.Restart = "unless-stopped" })
		b.watch()
		b.pass(time.Hour)
		ct.Stop()
		b.settle()
		b.engine.Crash()
		b.pass(time.Minute)
		b.engine.Boot()
		b.pass(2 * time.Minute)
		v := b.want(lost, store.StatusStopped, store.ClassEngineLost, false, time.Time{})
		if v.HeldBack == "" {
			t.Error("it may be cleaned automatically")
		}
		b.want(back, store.StatusRunning, "", false, time.Time{})
		b.want(byHand, store.StatusStopped, ct2class(ct), false, ct.Facts().Finished)
		b.wantEvents("instance.engine_lost", 1)
		b.pass(8 * day)
		b.scan()
		b.want(lost, store.StatusStopped, store.ClassEngineLost, true, time.Time{})
	})
}

func TestCrashLoopThatCalmsDown(t *testing.T) {
	inScanBed(t, dockertest.Options{}, func(t *testing.T, b *scanBed) {
		inst, ct := b.run("web")
		b.watch()
		ct.CrashLoop(4)
		b.pass(time.Second)
		b.want(inst, store.StatusRestarting, store.ClassCrashLooping, false, time.Time{})
		b.pass(30 * time.Second) // it stays up, and no event says so
		b.want(inst, store.StatusRunning, "", false, time.Time{})
	})
}

func TestFloodOfEventsEndsInAFullScan(t *testing.T) {
	q := newStream("ours")
	q.handle(docker.Event{Gap: true})
	q.follow("abc", "inst")
	for range queueLimit + 1 {
		q.handle(docker.Event{Action: "start", ContainerID: "abc"})
	}
	if gap, _ := q.takeWish(); !gap {
		t.Error("no scan is asked for")
	}
	if n := len(q.takeEvents()); n > queueLimit {
		t.Errorf("%d events are kept", n)
	}
}

func TestFrozenByAnotherEngineItsEventsCountForNothing(t *testing.T) {
	inScanBed(t, dockertest.Options{}, func(t *testing.T, b *scanBed) {
		inst, ct := b.run("web")
		b.watch()
		b.engine.SetEngineID("ANOT:HER0")
		b.engine.CutEvents()
		b.pass(time.Minute)
		ct.Stop()
		b.settle()
		b.want(inst, store.StatusRunning, "", false, time.Time{})
		b.wantEvents("host.engine_changed", 1)
	})
}

func TestWatchEndsWithItsContext(t *testing.T) {
	inScanBed(t, dockertest.Options{}, func(t *testing.T, b *scanBed) {
		ctx, cancel := context.WithCancelCause(t.Context())
		ended := make(chan error, 1)
		go func() { ended <- b.scanner.Watch(ctx) }()
		b.settle()
		cancel(errors.New("the daemon stops"))
		select {
		case err := <-ended:
			if err != nil {
				t.Errorf("it ends with %v", err)
			}
		case <-time.After(time.Minute):
			t.Error("it does not end")
		}
	})
}

// Another engine comes up behind the socket between an event and the inspect that follows it: its "no such
// container" is not ours.
func TestWatchBelievesOnlyItsOwnEngineThatOneIsGone(t *testing.T) {
	inScanBed(t, dockertest.Options{}, func(t *testing.T, b *scanBed) {
		inst, ct := b.run("web")
		b.watch()
		b.pass(time.Hour)
		ct.Exit(0)
		b.engine.SetEngineID("ANOT:HER0")
		b.engine.Fail(dockertest.Fault{On: `^GET /containers/[^/]+/json`, Status: 404})
		b.settle()
		if v := b.get(inst); v.Status == store.StatusMissing {
			t.Error("another engine's word was taken for its removal")
		}
		b.wantEvents("instance.missing", 0)
	})
}

// Events that came while the clock told no time are not folded; what they were about is looked at soon all the
// same, and not only by the next scheduled scan.
func TestWatchLooksAgainAfterAClockThatWasOff(t *testing.T) {
	inScanBed(t, dockertest.Options{}, func(t *testing.T, b *scanBed) {
		first, one := b.run("first")
		second, two := b.run("second")
		b.watch()
		b.pass(time.Hour)
		b.engine.SetClock(5 * time.Minute)
		one.Exit(0)
		b.settle() // its inspect tells that the clock is off
		b.engine.SetClock(0)
		two.Exit(0)
		b.settle()
		b.pass(3 * time.Minute)
		b.want(second, store.StatusStopped, store.ClassExited, false, time.Time{})
		if v := b.get(first); v.Status != store.StatusStopped {
			t.Errorf("the first is %s", v.Status)
		}
	})
}

// An adopted one has no label of ours: its row is why its events are ours to hear, and only as long as there is one.
func TestAdoptedIsWatchedUntilItIsGivenBack(t *testing.T) {
	inScanBed(t, dockertest.Options{}, func(t *testing.T, b *scanBed) {
		ct := b.engine.Run(dockertest.Template{Name: "legacy", Image: "db:1"})
		b.watch()
		inst := b.adopt(ct, func(i *store.Instance) { i.Name, i.Ownership = "legacy", store.OwnershipAdopted })
		b.scanner.Follow(b.host.ID, ct.ID, inst.ID)
		b.pass(time.Hour)
		end := time.Now()
		ct.Exit(3)
		b.settle()
		b.want(inst, store.StatusStopped, store.ClassFailed, false, end)

		storetest.Update(t, b.db, func(ctx context.Context, tx *store.Tx) error { return tx.Unadopt(ctx, inst.ID) })
		ct.Start()
		b.settle()
		b.scan()
		ct.Remove()
		b.settle()
		b.scan()
		if _, err := b.db.Instance(t.Context(), inst.ID); !errors.Is(err, store.ErrNotFound) {
			t.Errorf("what was given back is known again: %v", err)
		}
		if told := b.events("instance.missing"); len(told) > 0 {
			t.Errorf("what was given back is missed: %+v", told)
		}
	})
}
