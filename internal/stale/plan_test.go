package stale

import (
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/tiny-forge/docker-watcher/internal/docker/dockertest"
	"github.com/tiny-forge/docker-watcher/internal/store"
)

func TestPlanSaysWhatWouldGo(t *testing.T) {
	inBed(t, func(t *testing.T, b *cleanBed) {
		b.engine.AddImage(dockertest.Image{Ref: "shop:1.0", Size: 5_000_000})
		inst, _ := b.plant("shop-preview-a", 10, func(tpl *dockertest.Template) {
			tpl.Volumes = []string{"data:/data", "/cache"}
			tpl.SizeRw = 12345
		})
		plan := b.planAll()
		if len(plan.Items) != 1 || plan.LeftOut != 0 || plan.State != store.PlanPlanned {
			t.Fatalf("plan: %+v", plan)
		}
		if life := plan.ExpiresAt.Sub(plan.CreatedAt); life != 15*time.Minute {
			t.Errorf("a plan lives %s", life)
		}
		item := plan.Items[0]
		if item.InstanceID != inst.ID || item.Class != store.ClassExited || item.Evidence != store.EvidenceFinishedAt {
			t.Errorf("item: %+v", item)
		}
		if item.Details.Bytes != 12345 || item.Details.ImageBytes != 5_000_000 || len(item.Details.Volumes) != 2 {
			t.Errorf("details: %+v", item.Details)
		}
		if !strings.Contains(item.Reason, "10 days") {
			t.Errorf("reason: %q", item.Reason)
		}
		b.wantEvent("cleanup.planned", "", 1)
		if got := len(b.engine.Removes()); got != 0 {
			t.Errorf("planning sent %d deletes", got)
		}
		kept, err := b.db.Plan(t.Context(), plan.ID)
		if err != nil || len(kept.Items) != 1 || kept.Items[0].ContainerID != inst.ContainerID {
			t.Errorf("kept plan: %+v, %v", kept, err)
		}
	})
}

// A deploy that failed at its pull leaves a row without a container: nothing of it is missing.
func TestWhatNeverHadAContainerIsCleanedUp(t *testing.T) {
	inBed(t, func(t *testing.T, b *cleanBed) {
		inst := b.row("shop-preview-failed")
		inst.Status, inst.Class = store.StatusFailed, store.ClassNeverStarted
		inst.LastAliveAt, inst.Evidence = b.now().Add(-10*24*time.Hour), store.EvidenceCreatedAt
		inst.StaleSince, inst.WarnedAt = b.now(), b.now()
		b.update(func(tx *store.Tx) error { return tx.InsertInstance(t.Context(), inst) })
		plan := b.planAll()
		if len(plan.Items) != 1 || plan.Items[0].Class != store.ClassNeverStarted || len(plan.Items[0].Details.Warnings) != 0 {
			t.Fatalf("plan: %+v", plan)
		}
		if done := b.apply(plan); done.Items[0].Result != store.ResultRemoved {
			t.Errorf("result: %+v", done.Items[0])
		}
		if _, err := b.db.Instance(t.Context(), inst.ID); !errors.Is(err, store.ErrNotFound) {
			t.Errorf("the row is still there: %v", err)
		}
	})
}

func TestPlanCountsAnImageOnlyWhenNobodyElseUsesIt(t *testing.T) {
	inBed(t, func(t *testing.T, b *cleanBed) {
		b.engine.AddImage(dockertest.Image{Ref: "shop:1.0", Size: 5_000_000})
		b.plant("shop-preview-a", 10, nil)
		b.plant("shop-preview-b", 11, nil)
		sum := func(p store.Plan) (n int64) {
			for _, i := range p.Items {
				n += i.Details.ImageBytes
			}
			return n
		}
		if got := sum(b.planAll()); got != 5_000_000 {
			t.Errorf("shared by planned ones only: %d bytes, want it once", got)
		}
		b.engine.Run(dockertest.Template{Name: "foreign", Image: "shop:1.0"})
		if got := sum(b.planAll()); got != 0 {
			t.Errorf("used by a stranger: %d bytes", got)
		}
	})
}

func TestPlanHoldsNoMoreThanItsLimit(t *testing.T) {
	inBed(t, func(t *testing.T, b *cleanBed) {
		settings, err := b.db.Settings(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		settings.PlanMaxItems = 3
		b.update(func(tx *store.Tx) error { return tx.SaveSettings(t.Context(), settings) })
		for i, name := range []string{"a1", "b2", "c3", "d4", "e5"} {
			b.plant(name, 10+i, nil)
		}
		plan := b.planAll()
		if len(plan.Items) != 3 || plan.LeftOut != 2 {
			t.Errorf("%d items, %d left out", len(plan.Items), plan.LeftOut)
		}
		if plan.Items[0].Name != "e5" {
			t.Errorf("first is %s, want the one that is dead for longest", plan.Items[0].Name)
		}
		done := b.apply(plan)
		removed := 0
		for _, c := range []string{"a1", "b2", "c3", "d4", "e5"} {
			if b.engine.Container(c) == nil {
				removed++
			}
		}
		if removed != 3 || len(done.Items) != 3 {
			t.Errorf("%d removed: apply went beyond its plan", removed)
		}
	})
}

// What has come to life since the last scan is not planned, and makes room for the next one.
func TestPlanLeavesOutWhatRecovered(t *testing.T) {
	inBed(t, func(t *testing.T, b *cleanBed) {
		alive, ct := b.plant("alive", 10, nil)
		dead, _ := b.plant("dead", 9, nil)
		ct.Start()
		plan := b.planAll()
		if len(plan.Items) != 1 || plan.Items[0].InstanceID != dead.ID {
			t.Errorf("planned: %+v", plan.Items)
		}
		_, err := b.cleaner.Plan(t.Context(), Selection{InstanceID: alive.ID}, "user:anna")
		b.wantRefused(err, ErrNotStale)
	})
}

func TestPlanTakesProtectedOnesOnlyWhenAskedFor(t *testing.T) {
	inBed(t, func(t *testing.T, b *cleanBed) {
		inst, _ := b.plant("pinned", 30, nil)
		b.pin(inst.ID)
		if plan := b.planAll(); len(plan.Items) != 0 {
			t.Errorf("a bulk plan holds a pinned one: %+v", plan.Items)
		}
		if plan := b.plan(Selection{Filter: store.StaleFilter{ProjectID: b.project.ID}}); len(plan.Items) != 0 {
			t.Errorf("a filtered plan holds a pinned one: %+v", plan.Items)
		}
		for _, sel := range []Selection{{InstanceID: inst.ID}, {Filter: store.StaleFilter{InstanceIDs: []string{inst.ID}}}} {
			plan := b.plan(sel)
			if len(plan.Items) != 1 || plan.Items[0].Protection.Kind != store.ProtectionPinned {
				t.Fatalf("asked for: %+v", plan.Items)
			}
		}
		done := b.apply(b.plan(Selection{InstanceID: inst.ID}))
		b.want(done, inst, store.ResultKept)
	})
}

// A protection that is lifted after the plan was shown does not turn "kept" into "removed".
func TestPlannedToBeKeptStaysKept(t *testing.T) {
	inBed(t, func(t *testing.T, b *cleanBed) {
		inst, _ := b.plant("pinned", 30, nil)
		b.pin(inst.ID)
		plan := b.plan(Selection{InstanceID: inst.ID})
		b.unpin(inst.ID)
		b.want(b.apply(plan), inst, store.ResultKept)
	})
}

func (b *cleanBed) pin(id string) {
	b.t.Helper()
	b.protect(id, func(i *store.Instance) { i.PinnedAt, i.PinnedBy, i.PinReason = b.now(), "user:bert", "the demo" })
}

func (b *cleanBed) unpin(id string) {
	b.t.Helper()
	b.protect(id, func(i *store.Instance) { i.PinnedAt, i.PinnedBy, i.PinReason = time.Time{}, "", "" })
}

func (b *cleanBed) protect(id string, change func(*store.Instance)) {
	b.t.Helper()
	view, err := b.db.Instance(b.t.Context(), id)
	if err != nil {
		b.t.Fatal(err)
	}
	change(&view.Instance)
	b.update(func(tx *store.Tx) error { return tx.SetProtection(b.t.Context(), view.Instance) })
}

func TestPlanWarns(t *testing.T) {
	cases := map[string]struct {
		template func(*dockertest.Template)
		row      func(*store.Instance)
		class    store.Class
		word     string // in one of the warnings; empty: there is no warning
	}{
		"plain":    {class: store.ClassExited},
		"non zero": {template: func(t *dockertest.Template) { t.ExitCode = 3 }, class: store.ClassFailed},
		"upper bound": {
			template: func(t *dockertest.Template) { t.ExitCode = 255 }, row: func(i *store.Instance) { i.UpperBound = true },
			class: store.ClassFailed, word: "upper bound",
		},
		"paused": {
			template: func(t *dockertest.Template) { t.State, t.Finished = dockertest.Paused, time.Time{} },
			class:    store.ClassPaused, word: "will be stopped",
		},
		"crash loop": {
			template: func(t *dockertest.Template) {
				t.State, t.ExitCode, t.Restarts, t.Restart = dockertest.Restarting, 7, 40, "always"
			},
			class: store.ClassCrashLooping, word: "will be stopped",
		},
		"dead":      {template: func(t *dockertest.Template) { t.State = dockertest.Dead }, class: store.ClassDead, word: "earlier removal"},
		"held back": {row: func(i *store.Instance) { i.HeldBack = heldMassChange }, class: store.ClassExited, word: "held back"},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			inBed(t, func(t *testing.T, b *cleanBed) {
				inst, _ := b.plant("shop-preview-a", 20, c.template)
				if c.row != nil {
					b.alter(inst.ID, c.row)
				}
				plan := b.plan(Selection{InstanceID: inst.ID})
				item := plan.Items[0]
				if item.Class != c.class {
					t.Errorf("class %s, want %s", item.Class, c.class)
				}
				warned := slices.ContainsFunc(item.Details.Warnings, func(w string) bool { return strings.Contains(w, c.word) })
				if c.word != "" && !warned || c.word == "" && len(item.Details.Warnings) > 0 {
					t.Errorf("warnings %q, want one with %q", item.Details.Warnings, c.word)
				}
			})
		})
	}
}

// alter writes facts of a row as a scan would.
func (b *cleanBed) alter(id string, change func(*store.Instance)) store.Instance {
	b.t.Helper()
	view, err := b.db.Instance(b.t.Context(), id)
	if err != nil {
		b.t.Fatal(err)
	}
	next := view.Instance
	change(&next)
	b.update(func(tx *store.Tx) error {
		return tx.RecordInstance(b.t.Context(), view.Instance, &next, b.engine.Now())
	})
	return next
}

func TestPlanIsRefused(t *testing.T) {
	cases := map[string]struct {
		spoil func(b *cleanBed, inst store.Instance)
		want  error
	}{
		"host frozen": {func(b *cleanBed, _ store.Instance) {
			b.host.FrozenSince, b.host.FrozenReason = b.now(), "too many vanished at once"
			b.update(func(tx *store.Tx) error { return tx.UpdateHost(b.t.Context(), b.host) })
		}, ErrFrozen},
		"clock ahead":  {func(b *cleanBed, _ store.Instance) { b.engine.SetClock(2 * time.Minute) }, ErrFrozen},
		"clock behind": {func(b *cleanBed, _ store.Instance) { b.engine.SetClock(-2 * time.Minute) }, ErrFrozen},
		"other engine": {func(b *cleanBed, _ store.Instance) { b.engine.SetEngineID("OTHER") }, ErrFrozen},
		"other data":   {func(b *cleanBed, _ store.Instance) { b.engine.SetDataRoot("/mnt/docker") }, ErrFrozen},
		"engine down":  {func(b *cleanBed, _ store.Instance) { b.engine.Fail(dockertest.Fault{On: "^GET", Reset: true}) }, ErrBlind},
		"engine hangs": {func(b *cleanBed, _ store.Instance) { b.engine.Fail(dockertest.Fault{On: "^GET", Hang: true}) }, ErrBlind},
		"inspect hangs": {func(b *cleanBed, _ store.Instance) {
			b.engine.Fail(dockertest.Fault{On: "^GET /containers/.*/json", Hang: true})
		}, ErrBlind},
		"last scan blind": {func(b *cleanBed, _ store.Instance) {
			b.update(func(tx *store.Tx) error {
				return tx.OpenBlindInterval(b.t.Context(), store.BlindInterval{
					ID: store.NewID(), HostID: b.host.ID, From: b.now().Add(-time.Hour), Reason: "empty_list",
				})
			})
		}, ErrBlind},
		"not stale": {func(b *cleanBed, inst store.Instance) {
			b.alter(inst.ID, func(i *store.Instance) { i.StaleSince = time.Time{} })
		}, ErrNotStale},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			inBed(t, func(t *testing.T, b *cleanBed) {
				inst, _ := b.plant("shop-preview-a", 20, nil)
				c.spoil(b, inst)
				_, err := b.cleaner.Plan(t.Context(), Selection{InstanceID: inst.ID}, "user:anna")
				b.wantRefused(err, c.want)
				if name == "not stale" {
					return
				}
				_, err = b.cleaner.Plan(t.Context(), Selection{AllUnprotected: true}, "user:anna")
				b.wantRefused(err, c.want)
				if got := b.engine.Removes(); len(got) > 0 {
					t.Errorf("deletes were sent: %v", got)
				}
			})
		})
	}
}

// One host that cannot be judged keeps nobody from cleaning the others.
func TestPlanGoesOnBesideABlindHost(t *testing.T) {
	inBed(t, func(t *testing.T, b *cleanBed) {
		inst, _ := b.plant("here", 20, nil)
		other := dockertest.New(t, dockertest.Options{EngineID: "SECOND"})
		first, firstHost := b.engine, b.host
		b.engine = other
		b.host = b.addHost("second", other)
		b.plant("there", 20, nil)
		other.Fail(dockertest.Fault{On: "^GET", Hang: true})
		b.engine, b.host = first, firstHost
		plan := b.planAll()
		if len(plan.Items) != 1 || plan.Items[0].InstanceID != inst.ID || plan.LeftOut != 1 {
			t.Errorf("items %+v, %d left out", plan.Items, plan.LeftOut)
		}
	})
}
