package stale

import (
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/tiny-forge/docker-watcher/internal/docker"
	"github.com/tiny-forge/docker-watcher/internal/docker/dockertest"
	"github.com/tiny-forge/docker-watcher/internal/store"
)

func TestPeer08ClockThirtyDaysAheadCleansNothing(t *testing.T) {
	inBed(t, func(t *testing.T, b *cleanBed) {
		inst, ct := b.plant("shop-preview-a", 20, nil)
		fresh, freshCt := b.plant("shop-preview-b", 1, nil)
		b.alter(fresh.ID, func(i *store.Instance) { i.StaleSince = time.Time{} })
		plan := b.planAll()
		b.engine.SetClock(30 * 24 * time.Hour)
		_, err := b.cleaner.Plan(t.Context(), Selection{AllUnprotected: true}, "user:anna")
		b.wantRefused(err, ErrFrozen)
		b.want(b.apply(plan), inst, store.ResultKept)
		b.engine.SetClock(0)
		if plan := b.planAll(); len(plan.Items) != 1 || plan.Items[0].InstanceID != inst.ID {
			t.Errorf("after the jump: %+v", plan.Items)
		}
		if !ct.Facts().Exists || !freshCt.Facts().Exists {
			t.Error("a clock that jumped cleaned something")
		}
	})
}

func TestPeer11RemovedBetweenListAndDelete(t *testing.T) {
	inBed(t, func(t *testing.T, b *cleanBed) {
		inst, ct := b.plant("shop-preview-a", 20, nil)
		plan := b.planAll()
		ct.Remove()
		b.want(b.apply(plan), inst, store.ResultAlreadyGone)
	})
}

func TestPeer12StartedBetweenPlanAndApply(t *testing.T) {
	inBed(t, func(t *testing.T, b *cleanBed) {
		revived, ct := b.plant("shop-preview-a", 20, nil)
		var others []store.Instance
		for _, name := range []string{"shop-preview-b", "shop-preview-c", "shop-preview-d"} {
			inst, _ := b.plant(name, 20, nil)
			others = append(others, inst)
		}
		plan := b.planAll()
		ct.Start()
		done := b.apply(plan)
		b.want(done, revived, store.ResultRevived)
		for _, inst := range others {
			b.want(done, inst, store.ResultRemoved)
		}
		if ct.Facts().State != dockertest.Running {
			t.Errorf("it is %s", ct.Facts().State)
		}
	})
}

func TestPeer13TwoBulkCleanupsAtOnce(t *testing.T) {
	inBed(t, func(t *testing.T, b *cleanBed) {
		var all []store.Instance
		for i := range 20 {
			inst, _ := b.plant("shop-preview-"+string(rune('a'+i)), 20, nil)
			all = append(all, inst)
		}
		first, second := b.planAll(), b.planAll()
		var doing sync.WaitGroup
		results := make([]store.Plan, 2)
		for i, plan := range []store.Plan{first, second} {
			doing.Go(func() {
				var err error
				if results[i], err = b.cleaner.Apply(t.Context(), plan.ID, "user:anna", true, nil); err != nil {
					t.Error(err)
				}
			})
		}
		doing.Wait()
		for _, inst := range all {
			removed := 0
			for _, e := range b.events("cleanup.item", inst.ID) {
				if e.Data["result"] == string(store.ResultRemoved) {
					removed++
				}
			}
			if removed != 1 {
				t.Errorf("%s was removed %d times", inst.Name, removed)
			}
			for _, done := range results {
				switch r := itemOfInstance(done, inst.ID).Result; r {
				case store.ResultRemoved, store.ResultInUse, store.ResultAlreadyGone:
				default:
					t.Errorf("%s: result %q", inst.Name, r)
				}
			}
		}
		if got := len(b.engine.Removes()); got != len(all) {
			t.Errorf("%d deletes for %d containers", got, len(all))
		}
	})
}

// The same plan given to apply twice at the same moment is applied once.
func TestPeer13OnePlanAppliedTwiceAtOnce(t *testing.T) {
	inBed(t, func(t *testing.T, b *cleanBed) {
		b.plant("shop-preview-a", 20, nil)
		plan := b.planAll()
		var doing sync.WaitGroup
		errs := make([]error, 2)
		for i := range errs {
			doing.Go(func() { _, errs[i] = b.cleaner.Apply(t.Context(), plan.ID, "user:anna", true, nil) })
		}
		doing.Wait()
		if (errs[0] == nil) == (errs[1] == nil) {
			t.Errorf("errors: %v, %v; want exactly one refusal", errs[0], errs[1])
		}
	})
}

func TestPeer18SameNameOnTwoHosts(t *testing.T) {
	inBed(t, func(t *testing.T, b *cleanBed) {
		here, hereCt := b.plant("twin", 20, nil)
		first, firstHost, firstEngineID := b.engine, b.host, b.host.EngineID
		// a clone of the machine: the same engine id, told apart only by our own host id
		second := dockertest.New(t, dockertest.Options{EngineID: firstEngineID})
		b.engine = second
		b.host = b.addHost("clone", second)
		there, thereCt := b.plant("twin", 20, nil)
		plan := b.plan(Selection{InstanceID: there.ID})
		done := b.apply(plan)
		b.want(done, there, store.ResultRemoved)
		if thereCt.Facts().Exists || !hereCt.Facts().Exists {
			t.Error("the wrong twin was removed")
		}
		b.engine, b.host = first, firstHost
		if plan := b.planAll(); len(plan.Items) != 1 || plan.Items[0].InstanceID != here.ID {
			t.Errorf("planned: %+v", plan.Items)
		}
	})
}

// A container made anew under the old name is not the one that was planned.
func TestPeer19RecreatedWithTheSameNameIsNotRemoved(t *testing.T) {
	inBed(t, func(t *testing.T, b *cleanBed) {
		inst, ct := b.plant("twin", 20, nil)
		plan := b.planAll()
		ct.Remove()
		anew := b.engine.Add(dockertest.Template{
			Name: "twin", Image: "shop:1.0", State: dockertest.Exited, Labels: b.labels(inst.ID),
			Created: b.now().AddDate(0, 0, -30), Started: b.now().AddDate(0, 0, -30), Finished: b.now().AddDate(0, 0, -29),
		})
		done := b.apply(plan)
		if got := itemOfInstance(done, inst.ID); got.Result != store.ResultAlreadyGone {
			t.Errorf("result %s (%s)", got.Result, got.ResultDetail)
		}
		if !anew.Facts().Exists {
			t.Error("the one made anew was removed")
		}
	})
}

func TestPeer20VolumesStay(t *testing.T) {
	inBed(t, func(t *testing.T, b *cleanBed) {
		inst, _ := b.plant("shop-preview-a", 20, func(tpl *dockertest.Template) { tpl.Volumes = []string{"data:/data", "/cache"} })
		before := b.engine.Volumes()
		if len(before) != 2 {
			t.Fatalf("volumes: %v", before)
		}
		b.want(b.apply(b.planAll()), inst, store.ResultRemoved)
		if got := b.engine.Volumes(); strings.Join(got, " ") != strings.Join(before, " ") {
			t.Errorf("volumes %v, want %v", got, before)
		}
		removes := b.engine.Removes()
		if len(removes) != 1 {
			t.Fatalf("deletes: %v", removes)
		}
		query := removes[0].Query
		if v, force := query.Get("v"), query.Get("force"); v != "" && v != "0" || force != "" && force != "0" {
			t.Errorf("the delete says v=%q force=%q", v, force)
		}
		if !strings.HasSuffix(removes[0].Path, inst.ContainerID) {
			t.Errorf("the delete names %s, not the full id", removes[0].Path)
		}
	})
}

func TestPeer22UnmanagedContainersAreNeverRemoved(t *testing.T) {
	cases := map[string]func(*dockertest.Template){
		"no labels":            func(tpl *dockertest.Template) { tpl.Labels = nil },
		"another installation": func(tpl *dockertest.Template) { tpl.Labels[docker.LabelInstallation] = "another" },
		"another instance":     func(tpl *dockertest.Template) { tpl.Labels[docker.LabelInstance] = "another" },
		"a swarm task":         func(tpl *dockertest.Template) { tpl.Labels[docker.LabelSwarmTask] = "t1" },
	}
	for name, spoil := range cases {
		t.Run(name, func(t *testing.T) {
			inBed(t, func(t *testing.T, b *cleanBed) {
				_, ct := b.plant("shop-preview-a", 20, spoil)
				stranger := b.engine.Add(dockertest.Template{
					Name: "stranger", Image: "shop:1.0", State: dockertest.Exited, Labels: b.labels("copied"),
					Created: b.now().AddDate(0, 0, -30), Started: b.now().AddDate(0, 0, -30), Finished: b.now().AddDate(0, 0, -29),
				})
				plan, err := b.cleaner.Plan(t.Context(), Selection{AllUnprotected: true}, "user:anna")
				if err == nil {
					b.apply(plan)
				}
				if !ct.Facts().Exists || !stranger.Facts().Exists || len(b.engine.Removes()) > 0 {
					t.Error("a container that is not ours was removed")
				}
			})
		})
	}
}

// An adopted container has no label of ours: the row and its full id are the right to it.
func TestAdoptedContainersAreOurs(t *testing.T) {
	inBed(t, func(t *testing.T, b *cleanBed) {
		inst := b.row("adopted")
		inst.Ownership = store.OwnershipAdopted
		ended := b.now().AddDate(0, 0, -20)
		ct := b.engine.Add(dockertest.Template{
			Name: "adopted", Image: "shop:1.0", State: dockertest.Exited,
			Created: ended.Add(-time.Hour), Started: ended.Add(-time.Hour), Finished: ended,
		})
		inst.ContainerID = ct.ID
		b.keep(&inst, ended)
		b.want(b.apply(b.planAll()), inst, store.ResultRemoved)
	})
}

func TestPeer23CleanupDuringADeploy(t *testing.T) {
	inBed(t, func(t *testing.T, b *cleanBed) {
		inst, ct := b.plant("shop-preview-a", 20, nil)
		plan := b.planAll()
		b.startDeploy()
		b.want(b.apply(plan), inst, store.ResultInUse)
		if !ct.Facts().Exists {
			t.Error("removed during a deploy of its stage")
		}
	})
}

// What a person is starting or restarting at this moment is locked out as well.
func TestPeer23CleanupDuringARestart(t *testing.T) {
	inBed(t, func(t *testing.T, b *cleanBed) {
		inst, ct := b.plant("shop-preview-a", 20, nil)
		plan := b.planAll()
		b.claimed()
		b.want(b.apply(plan), inst, store.ResultInUse)
		if !ct.Facts().Exists {
			t.Error("removed while somebody else had it in hand")
		}
	})
}

// claimed puts every instance into the hands of somebody else.
func (b *cleanBed) claimed() {
	b.cleaner.ClaimBy(func(string) (func(), bool) { return nil, false })
}

// A missing container has only its row and its routes to give.
func TestMissingContainerIsCleanedUpAsItsRow(t *testing.T) {
	inBed(t, func(t *testing.T, b *cleanBed) {
		inst, ct := b.plant("shop-preview-a", 20, nil)
		ct.Remove()
		inst = b.alter(inst.ID, func(i *store.Instance) { i.Status, i.Class = store.StatusMissing, store.ClassMissing })
		never := b.row("never-made")
		b.keep(&never, b.now().AddDate(0, 0, -30))
		plan := b.planAll()
		for _, item := range plan.Items {
			if item.Class != store.ClassMissing {
				t.Errorf("%s: class %s", item.Name, item.Class)
			}
		}
		done := b.apply(plan)
		b.want(done, inst, store.ResultRemoved)
		b.want(done, never, store.ResultRemoved)
		if got := b.engine.Removes(); len(got) > 0 {
			t.Errorf("deletes: %v", got)
		}
	})
}

// An engine that answers "no such container" about everything proves nothing if it is another engine.
func TestEmptyEngineIsNotGone(t *testing.T) {
	inBed(t, func(t *testing.T, b *cleanBed) {
		inst, ct := b.plant("shop-preview-a", 20, nil)
		plan := b.planAll()
		ct.Remove()
		b.engine.SetDataRoot("/not/mounted")
		b.want(b.apply(plan), inst, store.ResultChanged)
		b.wantEvent("host.engine_changed", "", 1)
	})
}

// The same in the middle of an apply: the engine comes back with another data root between two requests.
func TestEngineThatLosesEverythingMidwayIsNotGone(t *testing.T) {
	inBed(t, func(t *testing.T, b *cleanBed) {
		inst, ct := b.plant("shop-preview-a", 20, nil)
		plan := b.planAll()
		looks := 0
		b.gate.hook(func(_, path string) {
			if strings.Contains(path, inst.ContainerID) {
				if looks++; looks == 2 {
					ct.Remove()
					b.engine.SetDataRoot("/not/mounted")
				}
			}
		}, nil)
		b.want(b.apply(plan), inst, store.ResultChanged)
	})
}

// A scan that freezes the host in the middle of an apply stops the items that have not begun.
func TestFrozenMidway(t *testing.T) {
	inBed(t, func(t *testing.T, b *cleanBed) {
		for i := range 12 {
			b.plant("shop-preview-"+string(rune('a'+i)), 20, nil)
		}
		plan := b.planAll()
		var once sync.Once
		b.gate.hook(func(method, _ string) {
			if method == "DELETE" {
				once.Do(func() {
					b.host.FrozenSince, b.host.FrozenReason = b.now(), "too many vanished at once"
					if err := b.db.Update(t.Context(), func(tx *store.Tx) error { return tx.UpdateHost(t.Context(), b.host) }); err != nil {
						t.Error(err)
					}
				})
			}
		}, nil)
		kept := 0
		for _, item := range b.apply(plan).Items {
			if item.Result == store.ResultKept && strings.Contains(item.ResultDetail, "frozen") {
				kept++
			}
		}
		if kept < 8 {
			t.Errorf("%d of 12 were kept", kept)
		}
	})
}

// What a person began to remove by hand is ended by a recovery too, and is told as such.
func TestRecoverRemovalByHand(t *testing.T) {
	inBed(t, func(t *testing.T, b *cleanBed) {
		inst, ct := b.plant("shop-preview-a", 20, nil)
		facts := ct.Facts()
		b.update(func(tx *store.Tx) error {
			view, err := tx.Instance(t.Context(), inst.ID)
			if err != nil {
				return err
			}
			err = tx.BeginRemoval(t.Context(), store.Removal{
				InstanceID: inst.ID, HostID: inst.HostID, ContainerID: inst.ContainerID, Former: view.Status,
				StartedAt: facts.Started, FinishedAt: facts.Finished, Labels: b.labels(inst.ID), Actor: "user:bert", CreatedAt: b.now(),
			}, view.Revision)
			if err != nil {
				return err
			}
			return tx.SetRemovalStep(t.Context(), inst.ID, store.RemovalDeleting)
		})
		b.claimed()
		if err := b.cleaner.Recover(t.Context()); err != nil {
			t.Fatal(err)
		}
		if !ct.Facts().Exists {
			t.Error("one that somebody else has in hand was ended beside them")
		}
		b.cleaner = NewCleaner(b.db, b.fleet, b.log) // a new process
		if err := b.cleaner.Recover(t.Context()); err != nil {
			t.Fatal(err)
		}
		if ct.Facts().Exists {
			t.Error("it is still there")
		}
		b.wantNoRemovals()
		b.wantEvent("instance.removed", inst.ID, 1)
		b.wantEvent("cleanup.item", inst.ID, 0)
	})
}

// What is gone is judged again, too: a threshold raised since the plan keeps its row.
func TestGoneIsJudgedAgain(t *testing.T) {
	inBed(t, func(t *testing.T, b *cleanBed) {
		inst, ct := b.plant("shop-preview-a", 20, nil)
		ct.Remove()
		inst = b.alter(inst.ID, func(i *store.Instance) { i.Status, i.Class = store.StatusMissing, store.ClassMissing })
		plan := b.planAll()
		stage, err := b.db.Stage(t.Context(), inst.StageID)
		if err != nil {
			t.Fatal(err)
		}
		stage.StaleAfter = &store.StaleAfter{Never: true}
		b.update(func(tx *store.Tx) error { return tx.UpdateStage(t.Context(), stage) })
		b.want(b.apply(plan), inst, store.ResultKept)
	})
}
