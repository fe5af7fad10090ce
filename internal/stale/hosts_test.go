package stale

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/tiny-forge/docker-watcher/internal/docker"
	"github.com/tiny-forge/docker-watcher/internal/docker/dockertest"
	"github.com/tiny-forge/docker-watcher/internal/store"
	"github.com/tiny-forge/docker-watcher/internal/store/storetest"
)

// on is the same bed seen from another of its hosts.
func (b *scanBed) on(host store.Host, engine *dockertest.Engine) *scanBed {
	there := *b
	there.host, there.engine, there.stop = host, engine, nil
	there.stage = storetest.Stage(b.t, b.db, host, b.project, func(s *store.Stage) { s.Kind = store.StagePreview })
	return &there
}

// disable takes a host out of use as internal/hosts does.
func (b *scanBed) disable() {
	b.t.Helper()
	now := time.Now().UTC()
	storetest.Update(b.t, b.db, func(ctx context.Context, tx *store.Tx) error {
		return errors.Join(tx.SetHostDisabled(ctx, b.host.ID, now),
			tx.OpenBlindInterval(ctx, store.BlindInterval{ID: store.NewID(), HostID: b.host.ID, From: now, Reason: store.BlindDisabled}))
	})
	b.fleet.Remove(b.host.ID)
}

func (b *scanBed) enable(adapter *docker.Engine) {
	b.t.Helper()
	storetest.Update(b.t, b.db, func(ctx context.Context, tx *store.Tx) error { return tx.SetHostDisabled(ctx, b.host.ID, time.Time{}) })
	b.fleet.Add(b.host.ID, adapter)
}

func (b *scanBed) blindTime() []store.BlindInterval {
	b.t.Helper()
	intervals, err := b.db.BlindIntervals(b.t.Context(), b.host.ID, time.Time{})
	if err != nil {
		b.t.Fatal(err)
	}
	return intervals
}

// TestHungHostHoldsUpNobody: events are folded and scans conclude on one host while another answers nothing at all.
func TestHungHostHoldsUpNobody(t *testing.T) {
	inScanBed(t, dockertest.Options{}, func(t *testing.T, b *scanBed) {
		var hung []*dockertest.Engine
		for _, name := range []string{"h1", "h2", "h3", "h4", "h5", "h6", "h7", "h8", "h9"} {
			_, e, _ := b.addHost(name, dockertest.Options{})
			e.Fail(dockertest.Fault{On: ".", Hang: true})
			hung = append(hung, e)
		}
		inst, ct := b.run("web")
		old, _ := b.dead("old", 30*day)
		b.watch()
		b.want(old, store.StatusStopped, store.ClassExited, true, time.Time{})
		for range 5 {
			ct.Stop()
			b.pass(time.Second)
			b.want(inst, store.StatusStopped, ct2class(ct), false, ct.Facts().Finished)
			ct.Start()
			b.pass(time.Second)
			b.want(inst, store.StatusRunning, "", false, time.Time{})
			b.pass(time.Minute)
		}
		// A scan of all hosts waits for those that hang, but what it finds on the others is written before.
		before := b.hostNow().LastGoodScan
		done := make(chan error, 1)
		go func() {
			_, err := b.scanner.Scan(t.Context(), "", "manual")
			done <- err
		}()
		b.pass(time.Second)
		if after := b.hostNow().LastGoodScan; !after.After(before) {
			t.Error("the scan of a host that answers waits for those that hang")
		}
		if err := <-done; !errors.Is(err, ErrBlind) {
			t.Errorf("the scan ends with %v", err)
		}
		for _, e := range hung {
			e.ClearFaults()
		}
	})
}

// TestSameNamesOnTwoHosts are two instances, each with the life of its own host. Both hosts say the same engine id and data root, as
// cloned machines do.
func TestSameNamesOnTwoHosts(t *testing.T) {
	inScanBed(t, dockertest.Options{}, func(t *testing.T, b *scanBed) {
		host, engine, _ := b.addHost("clone", dockertest.Options{})
		c := b.on(host, engine)
		here, hereCt := b.run("web")
		there, thereCt := c.run("web")
		b.watch()
		thereCt.Stop()
		b.settle()
		b.want(here, store.StatusRunning, "", false, time.Time{})
		b.want(there, store.StatusStopped, ct2class(thereCt), false, thereCt.Facts().Finished)
		b.pass(8 * day)
		if _, err := b.scanner.Scan(t.Context(), "", "manual"); err != nil {
			t.Fatal(err)
		}
		b.want(here, store.StatusRunning, "", false, time.Time{})
		b.want(there, store.StatusStopped, ct2class(thereCt), true, thereCt.Facts().Finished)
		b.wantStaleList("web")
		// One host goes: nothing on it is gone, and the other is not touched.
		engine.Shutdown()
		hereCt.Stop()
		b.settle()
		b.want(here, store.StatusStopped, ct2class(hereCt), false, hereCt.Facts().Finished)
		if _, err := b.scanner.Scan(t.Context(), "", "manual"); !errors.Is(err, ErrBlind) {
			t.Errorf("got %v", err)
		}
		b.want(there, store.StatusStopped, ct2class(thereCt), true, thereCt.Facts().Finished)
		// Its skew is its own, too.
		engine.SetClock(time.Hour)
		engine.Boot()
		b.pass(2 * time.Minute)
		if h := c.hostNow(); h.FrozenReason != blindClockSkew || h.ClockSkew < 59*time.Minute {
			t.Errorf("the host whose clock is off: %+v", h)
		}
		if h := b.hostNow(); !h.FrozenSince.IsZero() || h.ClockSkew != 0 || len(b.blindTime()) > 0 {
			t.Errorf("the host whose clock is right: %+v, blind %v", h, b.blindTime())
		}
	})
}

func TestDisabledHostIsBlindTime(t *testing.T) {
	inScanBed(t, dockertest.Options{}, func(t *testing.T, b *scanBed) {
		inst, ct := b.run("web")
		b.watch()
		b.pass(time.Hour)
		b.disable()
		off := time.Now()
		b.pass(time.Second)
		b.engine.ResetCalls()
		ct.Stop()
		b.pass(10 * day)
		if calls := b.engine.Requests("."); len(calls) > 0 {
			t.Errorf("it is asked: %v", calls)
		}
		b.want(inst, store.StatusRunning, "", false, time.Time{})
		b.wantStaleList()
		b.restart() // a daemon that starts meanwhile does not change what the time is called
		b.watch()
		b.pass(time.Hour)
		b.enable(b.adapter)
		b.settle()
		b.want(inst, store.StatusStopped, ct2class(ct), true, ct.Facts().Finished)
		blind := b.blindTime()
		if len(blind) != 1 || blind[0].Reason != store.BlindDisabled || blind[0].From.Sub(off).Abs() > time.Second || blind[0].To.IsZero() {
			t.Errorf("blind time %+v", blind)
		}
		b.wantEvents("scan.sighted", 1)
	})
}

// TestDisabledInTheMiddleOfAScan: what the scan finds counts no more.
func TestDisabledInTheMiddleOfAScan(t *testing.T) {
	for name, fault := range map[string]dockertest.Fault{
		"one that would judge":    {On: `^GET /containers/`, Delay: 5 * time.Second},
		"one that would be blind": {On: `^GET /containers/`, Delay: 5 * time.Second, Status: 500},
	} {
		t.Run(name, func(t *testing.T) {
			inScanBed(t, dockertest.Options{}, func(t *testing.T, b *scanBed) {
				inst, _ := b.dead("web", 30*day)
				b.engine.Fail(fault)
				done := make(chan error, 1)
				go func() {
					_, err := b.scanner.Scan(t.Context(), b.host.ID, "manual")
					done <- err
				}()
				b.pass(time.Second)
				b.disable()
				if err := <-done; !errors.Is(err, errDisabled) {
					t.Errorf("the scan ends with %v", err)
				}
				b.want(inst, store.StatusStopped, store.ClassExited, false, time.Time{})
				b.wantEvents("instance.stale", 0)
				if blind := b.blindTime(); len(blind) != 1 || !blind[0].To.IsZero() {
					t.Errorf("blind time %+v", blind)
				}
			})
		})
	}
}

// TestPlanIsBoundToItsHost: an instance of the same name on another host is no part of a plan, and what a plan holds is left
// alone once another engine answers for its host, or the host is out of use.
func TestPlanIsBoundToItsHost(t *testing.T) {
	for name, spoil := range map[string]func(b *cleanBed, host store.Host){
		"another engine": func(b *cleanBed, _ store.Host) { b.engine.SetEngineID("ANOTHER") },
		"out of use": func(b *cleanBed, host store.Host) {
			storetest.Update(b.t, b.db, func(ctx context.Context, tx *store.Tx) error { return tx.SetHostDisabled(ctx, host.ID, time.Now()) })
			b.fleet.Remove(host.ID)
		},
	} {
		t.Run(name, func(t *testing.T) {
			inBed(t, func(t *testing.T, b *cleanBed) {
				first, here := b.host, b.engine
				one, oneCt := b.plant("web", 20, nil)
				b.engine = dockertest.New(t, dockertest.Options{})
				b.host = b.addHost("clone", b.engine)
				two, twoCt := b.plant("web", 20, nil)
				alone := b.plan(Selection{InstanceID: one.ID})
				if len(alone.Items) != 1 || alone.Items[0].HostID != first.ID || alone.Items[0].InstanceID != one.ID {
					t.Fatalf("planned %+v", alone.Items)
				}
				both := b.planAll()
				b.engine = here
				spoil(b, first)
				done := b.apply(both)
				if got := itemOfInstance(done, one.ID); got.Result == store.ResultRemoved || got.Result == store.ResultAlreadyGone || !oneCt.Facts().Exists {
					t.Errorf("the one on the host that is not as it was: %+v", got)
				}
				if got := itemOfInstance(done, two.ID); got.Result != store.ResultRemoved || twoCt.Facts().Exists {
					t.Errorf("the one on the other host: %+v", got)
				}
			})
		})
	}
}

// TestWaitingScanAsksWhoAnswersNow: an admin changed how a host is reached while a scan of it waited for its turn.
func TestWaitingScanAsksWhoAnswersNow(t *testing.T) {
	for name, wait := range map[string]func(ctx context.Context, s *Scanner, hostID string) error{
		"scan": func(ctx context.Context, s *Scanner, hostID string) error {
			_, err := s.Scan(ctx, hostID, "manual")
			return err
		},
		"accept": func(ctx context.Context, s *Scanner, hostID string) error { return s.Accept(ctx, hostID, "user:anna") },
	} {
		t.Run(name, func(t *testing.T) {
			inScanBed(t, dockertest.Options{}, func(t *testing.T, b *scanBed) {
				m := b.scanner.memory(b.host.ID)
				if err := m.take(t.Context()); err != nil {
					t.Fatal(err)
				}
				done := make(chan error, 1)
				go func() { done <- wait(t.Context(), b.scanner, b.host.ID) }()
				b.pass(time.Second)
				_, now, adapter := b.addHost("elsewhere", dockertest.Options{})
				b.fleet.Add(b.host.ID, adapter)
				m.release()
				if err := <-done; err != nil {
					t.Fatal(err)
				}
				if calls := b.engine.Requests("."); len(calls) > 0 {
					t.Errorf("the former one was asked: %v", calls)
				}
				if len(now.Requests("^GET /info")) == 0 {
					t.Error("the one in use was not asked")
				}

				// Of a host that was taken out of use meanwhile nobody asks anything.
				if err := m.take(t.Context()); err != nil {
					t.Fatal(err)
				}
				now.ResetCalls()
				go func() { done <- wait(t.Context(), b.scanner, b.host.ID) }()
				b.pass(time.Second)
				b.fleet.Remove(b.host.ID)
				m.release()
				if err := <-done; !errors.Is(err, docker.ErrAbsent) || len(now.Requests(".")) > 0 {
					t.Errorf("got %v, asked %v", err, now.Requests("."))
				}
			})
		})
	}
}

// TestRemovedHostIsForgotten, and no other.
func TestRemovedHostIsForgotten(t *testing.T) {
	inScanBed(t, dockertest.Options{}, func(t *testing.T, b *scanBed) {
		gone, _, _ := b.addHost("gone", dockertest.Options{})
		off, _, _ := b.addHost("off", dockertest.Options{})
		if _, err := b.scanner.Scan(t.Context(), "", "manual"); err != nil {
			t.Fatal(err)
		}
		storetest.Update(t, b.db, func(ctx context.Context, tx *store.Tx) error {
			return errors.Join(tx.DeleteHost(ctx, gone.ID, time.Now()), tx.SetHostDisabled(ctx, off.ID, time.Now()))
		})
		b.fleet.Remove(gone.ID)
		b.fleet.Remove(off.ID)
		if err := b.scanner.ForgetRemoved(t.Context()); err != nil {
			t.Fatal(err)
		}
		if _, known := b.scanner.hosts[gone.ID]; known || len(b.scanner.hosts) != 2 {
			t.Errorf("remembered: %d hosts, the removed one: %v", len(b.scanner.hosts), known)
		}
		if _, err := b.scanner.Scan(t.Context(), gone.ID, "manual"); !errors.Is(err, docker.ErrAbsent) || len(b.scanner.hosts) != 2 {
			t.Errorf("a scan of it: %v, %d remembered", err, len(b.scanner.hosts))
		}
	})
}

// TestHungHostHoldsUpNoCleanup: of a plan over two hosts, one of which answers who it is and then no more, the items of the other
// are done meanwhile, and the next plan is made without those that cannot be looked at.
func TestHungHostHoldsUpNoCleanup(t *testing.T) {
	inBed(t, func(t *testing.T, b *cleanBed) {
		hung := b.engine
		var there []store.Instance
		for _, name := range []string{"a", "b", "c", "d", "e", "f", "g", "h", "i", "j"} {
			inst, _ := b.plant(name, 30, nil)
			there = append(there, inst)
		}
		b.engine = dockertest.New(t, dockertest.Options{})
		b.host = b.addHost("good", b.engine)
		here, hereCt := b.plant("here", 20, nil)
		plan := b.planAll()
		hung.Fail(dockertest.Fault{On: `/containers/`, Hang: true})
		done := make(chan store.Plan, 1)
		go func() { done <- b.apply(plan) }()
		time.Sleep(time.Second)
		synctest.Wait()
		if hereCt.Facts().Exists {
			t.Error("the host that answers waits for the one that hangs")
		}
		if _, err := b.db.Instance(t.Context(), here.ID); !errors.Is(err, store.ErrNotFound) {
			t.Errorf("its row: %v", err)
		}
		applied := <-done
		if got := itemOfInstance(applied, here.ID); got.Result != store.ResultRemoved {
			t.Errorf("got %+v", got)
		}
		for _, inst := range there {
			if got := itemOfInstance(applied, inst.ID); got.Result != store.ResultTimeout {
				t.Errorf("on the host that hangs: %+v", got)
			}
		}
		// A plan is made of what can be looked at.
		next, _ := b.plant("next", 20, nil)
		began := time.Now()
		if got := b.planAll(); len(got.Items) != 1 || got.Items[0].InstanceID != next.ID || got.LeftOut != len(there) {
			t.Errorf("planned %+v, left out %d", got.Items, got.LeftOut)
		}
		if took := time.Since(began); took > time.Minute {
			t.Errorf("the plan took %s", took)
		}
	})
}

// TestHostThatNeverAnsweredIsBlindTime, and is not taken for one that was watched all the time.
func TestHostThatNeverAnsweredIsBlindTime(t *testing.T) {
	inScanBed(t, dockertest.Options{}, func(t *testing.T, b *scanBed) {
		b.engine.Shutdown()
		b.watch()
		b.pass(startGrace + time.Second)
		blind := b.blindTime()
		if len(blind) != 1 || blind[0].Reason != blindUnreachable || !blind[0].To.IsZero() {
			t.Fatalf("blind time %+v", blind)
		}
		b.wantEvents("scan.blind", 1)
		b.engine.Boot()
		b.pass(2 * time.Minute)
		if blind = b.blindTime(); len(blind) != 1 || blind[0].To.IsZero() {
			t.Errorf("blind time after it came: %+v", blind)
		}
	})
}
