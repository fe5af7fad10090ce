package stale

import (
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/tiny-forge/docker-watcher/internal/docker"
	"github.com/tiny-forge/docker-watcher/internal/docker/dockertest"
	"github.com/tiny-forge/docker-watcher/internal/store"
)

// What a crash may leave behind at each step, what may have happened since, and how it ends.
func TestRecover(t *testing.T) {
	same := func(*cleanBed, *dockertest.Container) {}
	cases := map[string]struct {
		template func(*dockertest.Template)
		step     store.RemovalStep
		since    func(b *cleanBed, ct *dockertest.Container)
		gone     bool   // fully removed; else as it was before
		left     bool   // still under way, for a later time
		state    string // of the container afterwards
	}{
		"intended":                 {step: store.RemovalIntended, since: same, state: dockertest.Exited},
		"intended, engine down":    {step: store.RemovalIntended, since: breakOff, state: dockertest.Exited},
		"deleting, as recorded":    {step: store.RemovalDeleting, since: same, gone: true},
		"deleting, deleted":        {step: store.RemovalDeleting, since: func(_ *cleanBed, ct *dockertest.Container) { ct.Remove() }, gone: true},
		"deleting, still at it":    {step: store.RemovalDeleting, since: slowly, gone: true},
		"deleting, started":        {step: store.RemovalDeleting, since: func(_ *cleanBed, ct *dockertest.Container) { ct.Start() }, state: dockertest.Running},
		"deleting, ran again":      {step: store.RemovalDeleting, since: func(_ *cleanBed, ct *dockertest.Container) { ct.Start(); ct.Exit(0) }, state: dockertest.Exited},
		"deleting, relabelled":     {step: store.RemovalDeleting, since: func(_ *cleanBed, ct *dockertest.Container) { ct.Label("a", "b") }, state: dockertest.Exited},
		"deleting, engine down":    {step: store.RemovalDeleting, since: breakOff, left: true, state: dockertest.Exited},
		"deleting, engine hangs":   {step: store.RemovalDeleting, since: hanging, left: true, state: dockertest.Exited},
		"deleting, another engine": {step: store.RemovalDeleting, since: func(b *cleanBed, _ *dockertest.Container) { b.engine.SetEngineID("OTHER") }, left: true, state: dockertest.Exited},
		"deleting, delete fails": {step: store.RemovalDeleting, since: func(b *cleanBed, _ *dockertest.Container) {
			b.engine.Fail(dockertest.Fault{On: "^DELETE", Status: 500})
		}, state: dockertest.Exited},
		"stopping, not yet stopped":     {template: pausedTemplate, step: store.RemovalStopping, since: same, state: dockertest.Paused},
		"stopping, stopped":             {template: pausedTemplate, step: store.RemovalStopping, since: func(_ *cleanBed, ct *dockertest.Container) { ct.Unpause(); ct.Stop() }, state: dockertest.Running},
		"stopping, woken":               {template: pausedTemplate, step: store.RemovalStopping, since: func(_ *cleanBed, ct *dockertest.Container) { ct.Unpause() }, state: dockertest.Running},
		"stopping, gone":                {template: pausedTemplate, step: store.RemovalStopping, since: func(_ *cleanBed, ct *dockertest.Container) { ct.Unpause(); ct.Stop(); ct.Remove() }, gone: true},
		"deleting, stopped by us":       {template: pausedTemplate, step: store.RemovalDeleting, since: func(_ *cleanBed, ct *dockertest.Container) { ct.Unpause(); ct.Stop() }, gone: true},
		"deleting, stopped and started": {template: pausedTemplate, step: store.RemovalDeleting, since: func(_ *cleanBed, ct *dockertest.Container) { ct.Unpause(); ct.Stop(); ct.Start() }, state: dockertest.Running},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			inBed(t, func(t *testing.T, b *cleanBed) {
				inst, ct := b.plant("shop-preview-a", 20, c.template)
				plan := b.leftUnderWay(inst, c.step)
				time.Sleep(time.Second)
				c.since(b, ct)
				if err := b.cleaner.Recover(t.Context()); errors.Is(err, errWaits) != c.left || err != nil && !c.left {
					t.Fatalf("recover: %v, left for later: %v", err, c.left)
				}
				b.engine.ClearFaults()
				if c.left {
					b.wantLeft(inst, ct)
					b.engine.SetEngineID(b.host.EngineID)
					if err := b.cleaner.Recover(t.Context()); err != nil {
						t.Fatal(err)
					}
					c.gone = true
				}
				b.wantRecovered(inst, ct, plan, c.gone, c.state)
				if err := b.cleaner.Recover(t.Context()); err != nil {
					t.Errorf("recover once more: %v", err)
				}
				b.wantRecovered(inst, ct, plan, c.gone, c.state)
			})
		})
	}
}

// A frozen host gets nothing removed: what is there is taken back, what seems gone waits.
func TestRecoverOnAFrozenHost(t *testing.T) {
	for name, gone := range map[string]bool{"there": false, "gone": true} {
		t.Run(name, func(t *testing.T) {
			inBed(t, func(t *testing.T, b *cleanBed) {
				inst, ct := b.plant("shop-preview-a", 20, nil)
				plan := b.leftUnderWay(inst, store.RemovalDeleting)
				if gone {
					ct.Remove()
				}
				b.freeze(b.now())
				if err := b.cleaner.Recover(t.Context()); errors.Is(err, errWaits) != gone {
					t.Errorf("recover: %v", err)
				}
				if len(b.engine.Removes()) > 0 {
					t.Error("a delete was sent to a frozen host")
				}
				if gone {
					b.freeze(time.Time{})
					if err := b.cleaner.Recover(t.Context()); err != nil {
						t.Error(err)
					}
				}
				b.wantRecovered(inst, ct, plan, gone, dockertest.Exited)
			})
		})
	}
}

func (b *cleanBed) freeze(since time.Time) {
	b.t.Helper()
	b.host.FrozenSince, b.host.FrozenReason = since, "too many vanished at once"
	b.update(func(tx *store.Tx) error { return tx.UpdateHost(b.t.Context(), b.host) })
}

func breakOff(b *cleanBed, _ *dockertest.Container) {
	b.engine.Fail(dockertest.Fault{On: ".", Reset: true})
}

// slowly is a delete of ours that its engine goes on with, though whoever had asked for it is gone.
func slowly(b *cleanBed, ct *dockertest.Container) {
	ct.StickRemoval()
	go func() {
		if err := b.adapter.Remove(b.t.Context(), docker.Owned{ID: ct.ID, Adopted: true}); err != nil {
			b.t.Error(err)
		}
	}()
	synctest.Wait()
	time.AfterFunc(2*time.Second, ct.Unstick)
}

func hanging(b *cleanBed, _ *dockertest.Container) {
	b.engine.Fail(dockertest.Fault{On: "^GET /containers", Hang: true})
}

// leftUnderWay claims a plan and begins a removal as a daemon does that is killed at that step.
func (b *cleanBed) leftUnderWay(inst store.Instance, step store.RemovalStep) store.Plan {
	b.t.Helper()
	plan := b.planAll()
	item := itemOfInstance(plan, inst.ID)
	ctx := b.t.Context()
	b.update(func(tx *store.Tx) error {
		if err := tx.ClaimPlan(ctx, plan.ID, "user:anna", b.now()); err != nil {
			return err
		}
		view, err := tx.Instance(ctx, inst.ID)
		if err != nil {
			return err
		}
		err = tx.BeginRemoval(ctx, store.Removal{
			InstanceID: inst.ID, PlanID: plan.ID, HostID: inst.HostID, EngineID: b.host.EngineID, DataRoot: b.host.DataRoot,
			ContainerID: inst.ContainerID, Former: view.Status, Step: store.RemovalIntended, StartedAt: item.StartedAt, FinishedAt: item.FinishedAt,
			RestartCount: item.RestartCount, Labels: item.Labels, Actor: "user:anna", CreatedAt: b.now(),
		}, view.Revision)
		if err != nil || step == store.RemovalIntended {
			return err
		}
		return tx.SetRemovalStep(ctx, inst.ID, step)
	})
	return plan
}

func (b *cleanBed) wantLeft(inst store.Instance, ct *dockertest.Container) {
	b.t.Helper()
	view, err := b.db.Instance(b.t.Context(), inst.ID)
	if err != nil || view.Status != store.StatusRemoving || !ct.Facts().Exists {
		b.t.Errorf("it should wait: %s, %v, %+v", view.Status, err, ct.Facts())
	}
	b.wantEvent("cleanup.item", inst.ID, 0)
	b.wantEvent("cleanup.taken_back", inst.ID, 0)
}

func (b *cleanBed) wantRecovered(inst store.Instance, ct *dockertest.Container, plan store.Plan, gone bool, state string) {
	b.t.Helper()
	b.wantNoRemovals()
	view, err := b.db.Instance(b.t.Context(), inst.ID)
	facts := ct.Facts()
	if removed := err != nil; removed != gone || facts.Exists == gone {
		b.t.Errorf("row gone: %v, container there: %v; want fully removed: %v", removed, facts.Exists, gone)
	}
	if gone {
		b.wantEvent("cleanup.item", inst.ID, 1)
		b.wantEvent("cleanup.taken_back", inst.ID, 0)
	} else {
		if view.Status != inst.Status || facts.State != state {
			b.t.Errorf("status %s, want %s; container %s, want %s", view.Status, inst.Status, facts.State, state)
		}
		if n := len(b.events("cleanup.taken_back", inst.ID)) + len(b.events("cleanup.item", inst.ID)); n != 1 {
			b.t.Errorf("%d events of how it ended, want 1", n)
		}
	}
	done, err := b.db.Plan(b.t.Context(), plan.ID)
	if err != nil || done.State != store.PlanApplied || done.Items[0].Result == "" {
		b.t.Errorf("the plan is %s, item %q, %v", done.State, done.Items[0].Result, err)
	}
	b.wantEvent("cleanup.applied", "", 1)
}

// Items that a crash kept from being begun get a result and are left alone.
func TestRecoverEndsThePlan(t *testing.T) {
	inBed(t, func(t *testing.T, b *cleanBed) {
		first, _ := b.plant("first", 30, nil)
		second, ct := b.plant("second", 20, nil)
		plan := b.leftUnderWay(first, store.RemovalDeleting)
		if err := b.cleaner.Recover(t.Context()); err != nil {
			t.Fatal(err)
		}
		done, err := b.db.Plan(t.Context(), plan.ID)
		if err != nil {
			t.Fatal(err)
		}
		b.want(done, first, store.ResultRemoved)
		b.want(done, second, store.ResultError)
		if !ct.Facts().Exists {
			t.Error("an item that was not begun was removed")
		}
	})
}

// A Recover beside an apply of the same process leaves alone what that has in hand.
func TestRecoverBesideAnApply(t *testing.T) {
	inBed(t, func(t *testing.T, b *cleanBed) {
		inst, _ := b.plant("shop-preview-a", 20, nil)
		plan := b.planAll()
		b.gate.hook(func(method, _ string) {
			if method == "DELETE" {
				if err := b.cleaner.Recover(t.Context()); err != nil {
					t.Error(err)
				}
			}
		}, nil)
		b.want(b.apply(plan), inst, store.ResultRemoved)
		b.wantEvent("cleanup.taken_back", inst.ID, 0)
	})
}

// An admin has said that the engine is another one now: a removal begun on the former one is taken back, not left
// under way for ever, and nothing is removed for it.
func TestRecoverAfterAnotherEngineWasAccepted(t *testing.T) {
	inBed(t, func(t *testing.T, b *cleanBed) {
		inst, ct := b.plant("shop-preview-a", 20, nil)
		b.leftUnderWay(inst, store.RemovalDeleting)
		inst = b.alter(inst.ID, func(i *store.Instance) { i.EngineID = "" }) // the intention itself says where it was begun
		b.engine.SetEngineID("OTHER")
		b.host.EngineID = "OTHER"
		b.update(func(tx *store.Tx) error { return tx.UpdateHost(t.Context(), b.host) })
		if err := b.cleaner.Recover(t.Context()); err != nil {
			t.Fatal(err)
		}
		b.wantNoRemovals()
		b.wantEvent("cleanup.taken_back", inst.ID, 1)
		if !ct.Facts().Exists || len(b.engine.Removes()) > 0 {
			t.Error("something was removed on an engine that it was not planned for")
		}
	})
}

// TestAPlanThatEndsBesideARecovery keeps its results: it was listed as unfinished a moment before.
func TestAPlanThatEndsBesideARecovery(t *testing.T) {
	inBed(t, func(t *testing.T, b *cleanBed) {
		first, _ := b.plant("first", 30, nil)
		second, _ := b.plant("second", 30, nil)
		listed := b.planAll()
		b.apply(listed)
		if !b.cleaner.hold(b.cleaner.plans, listed.ID) {
			t.Fatal("it is held still")
		}
		if err := b.cleaner.recoverHeld(t.Context(), listed); err != nil {
			t.Error(err)
		}
		done, err := b.db.Plan(t.Context(), listed.ID)
		if err != nil {
			t.Fatal(err)
		}
		b.want(done, first, store.ResultRemoved)
		b.want(done, second, store.ResultRemoved)
		b.wantEvent("cleanup.applied", "", 1)
	})
}
