package reclaim

import (
	"context"
	"errors"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/tiny-forge/docker-watcher/internal/docker"
	"github.com/tiny-forge/docker-watcher/internal/docker/dockertest"
	"github.com/tiny-forge/docker-watcher/internal/store"
)

// TestApply: what happens between plan and apply decides.
func TestApply(t *testing.T) {
	for _, c := range []struct {
		name  string
		since func(b *bed, id string)
		want  store.CleanupResult
		says  string
	}{
		{"nothing", func(*bed, string) {}, store.ResultRemoved, ""},
		{"removed by hand", func(b *bed, id string) { b.removeByHand(id) }, store.ResultAlreadyGone, "somebody else"},
		{"somebody named it", func(b *bed, id string) { b.tag(id, "mine:1") }, store.ResultChanged, "mine:1"},
		{"somebody made a container of it", func(b *bed, _ string) {
			b.engine.Add(dockertest.Template{Name: "theirs", Image: shop, State: dockertest.Created})
		}, store.ResultInUse, "1 container"},
		{"somebody built on it and runs that", func(b *bed, _ string) {
			b.engine.AddImage(dockertest.Image{Ref: "other:1", Base: shop, Size: 20 << 20})
			b.engine.Run(dockertest.Template{Name: "theirs", Image: "other:1"})
		}, store.ResultInUse, "1 container"},
		{"somebody built on it", func(b *bed, _ string) {
			b.engine.AddImage(dockertest.Image{Ref: "other:1", Base: shop, Size: 20 << 20})
		}, store.ResultInUse, "dependent child"},
		{"deployed again", func(b *bed, id string) { b.plant(id) }, store.ResultInUse, "shop-dev-here"},
		{"another instance of it was removed", func(b *bed, id string) { b.keep(id) }, store.ResultKept, "1 archive"},
		{"it got another name of ours", func(b *bed, id string) {
			b.tag(id, "registry.example/shop:2.0")
			b.used(id, "registry.example/shop:2.0")
		}, store.ResultChanged, "another name since"},
		{"the host was frozen", func(b *bed, _ string) { b.freeze() }, "", "frozen"},
		{"another engine came up", func(b *bed, _ string) { b.engine.SetEngineID("another") }, "", "another engine"},
		{"the engine is down", func(b *bed, _ string) { b.engine.Shutdown() }, "", "cannot be asked"},
		{"the host cannot be judged", func(b *bed, _ string) {
			b.update(func(ctx context.Context, tx *store.Tx) error {
				return tx.OpenBlindInterval(ctx, store.BlindInterval{ID: store.NewID(), HostID: b.host.ID, From: time.Now(), Reason: "unreachable"})
			})
		}, "", "cannot be judged"},
	} {
		t.Run(c.name, func(t *testing.T) {
			inBed(t, dockertest.Options{}, func(t *testing.T, b *bed) {
				id := b.left(shop)
				other := b.engine.AddImage(dockertest.Image{Ref: "postgres:17"})
				plan := b.plan()
				if len(plan.Items) != 1 || plan.Items[0].ImageID != id {
					t.Fatalf("planned: %+v", plan.Items)
				}
				c.since(b, id)
				done, err := b.Apply(t.Context(), plan.ID, "user:anna", nil)
				if c.want == "" {
					b.wantRefused(err, ErrRefused, c.says)
					b.engine.Boot()
				} else if err != nil {
					t.Fatal(err)
				} else if got := done.Items[0]; got.Result != c.want || !strings.Contains(got.Detail, c.says) {
					t.Errorf("%s (%s), want %s (%s)", got.Result, got.Detail, c.want, c.says)
				}
				gone := c.want == store.ResultRemoved || c.want == store.ResultAlreadyGone
				names, ok := b.there(id)
				if ok == gone {
					t.Errorf("there: %v", ok)
				}
				if ok && !slices.Contains(names, shop) {
					t.Errorf("it lost its name, and has %v", names)
				}
				if _, ok := b.there(other); !ok {
					t.Error("an image of somebody else is gone")
				}
				if c.want != "" {
					b.wantEvents("reclaim.item", 1)
					b.wantEvents("reclaim.applied", 1)
				}
			})
		})
	}
}

// removeByHand is `docker rmi` by somebody else.
func (b *bed) removeByHand(id string) {
	b.t.Helper()
	e, err := b.fleet.Engine(b.host.ID)
	if err != nil {
		b.t.Fatal(err)
	}
	if _, err := e.RemoveImage(b.t.Context(), id); err != nil {
		b.t.Fatal(err)
	}
}

// TestContainerOfASecondAgo: a container that is made of an image between our last look and the delete wins, and the
// image gets back the names that were taken from it.
func TestContainerOfASecondAgo(t *testing.T) {
	inBed(t, dockertest.Options{}, func(t *testing.T, b *bed) {
		id := b.left(shop)
		b.tag(id, store.ArchiveRepository+":ours")
		b.used(id, store.ArchiveRepository+":ours")
		names, _ := b.there(id)
		plan := b.plan()
		b.engine.Fail(dockertest.Fault{On: `^DELETE /images/sha256`, Delay: 10 * time.Second})
		var late sync.WaitGroup
		late.Go(func() {
			time.Sleep(5 * time.Second)
			b.engine.Add(dockertest.Template{Name: "theirs", Image: id, State: dockertest.Created})
		})
		done := b.apply(plan)
		late.Wait()
		if got := done.Items[0]; got.Result != store.ResultInUse {
			t.Errorf("%s (%s)", got.Result, got.Detail)
		}
		if after, ok := b.there(id); !ok || !slices.Equal(after, names) {
			t.Errorf("its names are %v, were %v", after, names)
		}
	})
}

// TestMovedName: a name that somebody has moved to another image stays there.
func TestMovedName(t *testing.T) {
	inBed(t, dockertest.Options{}, func(t *testing.T, b *bed) {
		id := b.left(shop)
		b.tag(id, "registry.example/shop:stable")
		b.used(id, "registry.example/shop:stable")
		plan := b.plan()
		moved := b.engine.AddImage(dockertest.Image{Ref: shop, ID: "sha256:" + strings.Repeat("d", 64)})
		if got := b.apply(plan).Items[0]; got.Result != store.ResultRemoved {
			t.Errorf("%s (%s)", got.Result, got.Detail)
		}
		if names, ok := b.there(moved); !ok || !slices.Contains(names, shop) {
			t.Errorf("the image that has the name now: %v, %v", names, ok)
		}
	})
}

func TestEngineFaults(t *testing.T) {
	const whole, any = `^DELETE /images/sha256`, `^DELETE /images/`
	for _, c := range []struct {
		name  string
		fault dockertest.Fault
		want  store.CleanupResult
	}{
		{"the delete fails", dockertest.Fault{On: whole, Status: 500}, store.ResultError},
		{"the first name does not go", dockertest.Fault{On: any, Times: 1, Status: 500}, store.ResultError},
		{"the connection breaks before", dockertest.Fault{On: whole, Reset: true}, store.ResultError},
		{"the answer is lost", dockertest.Fault{On: whole, LoseReply: true}, store.ResultRemoved},
		{"it cannot be looked at", dockertest.Fault{On: `^GET /images/sha256`, Status: 500}, store.ResultError},
		{"who uses it cannot be asked", dockertest.Fault{On: `^GET /containers/json`, Status: 500}, store.ResultError},
		{"the list of its users is cut off", dockertest.Fault{On: `^GET /containers/json`, CutBody: 1}, store.ResultError},
		{"the engine hangs in the delete", dockertest.Fault{On: whole, Hang: true}, store.ResultError},
	} {
		t.Run(c.name, func(t *testing.T) {
			inBed(t, dockertest.Options{}, func(t *testing.T, b *bed) {
				id := b.left(shop)
				b.tag(id, store.ArchiveRepository+":ours")
				b.used(id, store.ArchiveRepository+":ours")
				plan := b.plan()
				b.engine.Fail(c.fault)
				got := b.apply(plan).Items[0]
				b.engine.ClearFaults()
				if got.Result != c.want {
					t.Errorf("%s (%s), want %s", got.Result, got.Detail, c.want)
				}
				names, ok := b.there(id)
				if ok == (c.want == store.ResultRemoved) {
					t.Errorf("there: %v", ok)
				}
				if ok && len(names) != 2 {
					t.Errorf("its names are %v", names)
				}
				if !ok {
					return
				}
				if again := b.apply(b.plan()).Items[0]; again.Result != store.ResultRemoved {
					t.Errorf("the next plan: %s (%s)", again.Result, again.Detail)
				}
			})
		})
	}
}

func TestPlanIsAppliedOnceAndInTime(t *testing.T) {
	inBed(t, dockertest.Options{}, func(t *testing.T, b *bed) {
		first := b.left(shop)
		expired := b.plan()
		time.Sleep(planLife)
		_, err := b.Apply(t.Context(), expired.ID, "user:anna", nil)
		b.wantRefused(err, ErrPlanExpired, "expired")
		if _, ok := b.there(first); !ok {
			t.Fatal("an expired plan removed it")
		}
		plan := b.plan()
		second := b.left("registry.example/shop:2.0") // not in the plan
		var told []store.ReclaimItem
		done, err := b.Apply(t.Context(), plan.ID, "user:anna", func(n, total int, i store.ReclaimItem) {
			if total != 1 || n != 1 {
				t.Errorf("%d of %d", n, total)
			}
			told = append(told, i)
		})
		if err != nil || done.State != store.PlanApplied || len(told) != 1 || told[0].Result != store.ResultRemoved {
			t.Errorf("%+v, told %+v, %v", done, told, err)
		}
		if _, ok := b.there(second); !ok {
			t.Error("what was not in the plan is gone")
		}
		_, err = b.Apply(t.Context(), plan.ID, "user:anna", nil)
		b.wantRefused(err, ErrPlanUsed, "user:anna")
		_, err = b.Apply(t.Context(), "no-such-plan", "user:anna", nil)
		if !errors.Is(err, store.ErrNotFound) {
			t.Errorf("a plan that is none: %v", err)
		}
		if _, err := b.Plan(t.Context(), "no-such-host", nil, "user:anna"); !errors.Is(err, store.ErrNotFound) {
			t.Errorf("a host that is none: %v", err)
		}
	})
}

// TestTwoApplyAtOnce: of two clients one wins.
func TestTwoApplyAtOnce(t *testing.T) {
	inBed(t, dockertest.Options{}, func(t *testing.T, b *bed) {
		b.left(shop)
		plan := b.plan()
		errs := make([]error, 8)
		var all sync.WaitGroup
		for i := range errs {
			all.Go(func() { _, errs[i] = b.Apply(t.Context(), plan.ID, "user:anna", nil) })
		}
		all.Wait()
		won := 0
		for _, err := range errs {
			switch {
			case err == nil:
				won++
			case !errors.Is(err, ErrPlanUsed):
				t.Error(err)
			}
		}
		if won != 1 {
			t.Errorf("%d have applied it", won)
		}
		b.wantEvents("reclaim.item", 1)
	})
}

// TestInterruptedApply: when the caller goes away, the image in hand is finished and the rest is left alone.
func TestInterruptedApply(t *testing.T) {
	inBed(t, dockertest.Options{}, func(t *testing.T, b *bed) {
		b.left(shop)
		b.left("registry.example/shop:2.0")
		plan := b.plan()
		ctx, cancel := context.WithCancel(t.Context())
		done, err := b.Apply(ctx, plan.ID, "user:anna", func(int, int, store.ReclaimItem) { cancel() })
		if err != nil || done.State != store.PlanApplied {
			t.Fatalf("%s, %v", done.State, err)
		}
		if done.Items[0].Result != store.ResultRemoved || done.Items[1].Result != store.ResultError {
			t.Errorf("%+v", done.Items)
		}
		if _, ok := b.there(done.Items[1].ImageID); !ok {
			t.Error("the one that was not begun is gone")
		}
	})
}

// TestRecover: a crash in the middle of an image leaves it without some of its names.
func TestRecover(t *testing.T) {
	inBed(t, dockertest.Options{}, func(t *testing.T, b *bed) {
		id, gone := b.left(shop), b.left("registry.example/shop:2.0")
		b.tag(id, store.ArchiveRepository+":ours")
		b.used(id, store.ArchiveRepository+":ours")
		plan := b.plan()
		b.update(func(ctx context.Context, tx *store.Tx) error {
			return tx.ClaimReclaimPlan(ctx, plan.ID, "user:anna", time.Now())
		})
		e, err := b.fleet.Engine(b.host.ID)
		if err != nil {
			t.Fatal(err)
		}
		for _, ref := range []string{store.ArchiveRepository + ":ours", gone} {
			if _, err := e.RemoveImage(t.Context(), ref); err != nil {
				t.Fatal(err)
			}
		}
		b.engine.Shutdown()
		if err := b.Recover(t.Context()); !errors.Is(err, ErrRefused) {
			t.Errorf("with the engine away: %v", err)
		}
		b.engine.Boot()
		if err := b.Recover(t.Context()); err != nil {
			t.Fatal(err)
		}
		done, err := b.db.ReclaimPlan(t.Context(), plan.ID)
		if err != nil || done.State != store.PlanApplied {
			t.Fatalf("%s, %v", done.State, err)
		}
		for _, i := range done.Items {
			if want := map[string]store.CleanupResult{id: store.ResultError, gone: store.ResultRemoved}[i.ImageID]; i.Result != want {
				t.Errorf("%v: %s (%s), want %s", i.Refs, i.Result, i.Detail, want)
			}
		}
		if names, ok := b.there(id); !ok || len(names) != 2 {
			t.Errorf("its names are %v", names)
		}
		b.wantEvents("reclaim.applied", 1)
		if err := b.Recover(t.Context()); err != nil {
			t.Error(err)
		}
		b.wantEvents("reclaim.applied", 1)
	})
}

// TestAPlanThatEndsBesideARecovery keeps its results: it was listed as unfinished a moment before.
func TestAPlanThatEndsBesideARecovery(t *testing.T) {
	inBed(t, dockertest.Options{}, func(t *testing.T, b *bed) {
		b.left(shop)
		listed := b.plan()
		done, err := b.Apply(t.Context(), listed.ID, "user:anna", nil)
		if err != nil || done.Items[0].Result != store.ResultRemoved || !b.hold(listed.ID) {
			t.Fatalf("%+v, %v", done, err)
		}
		if err := b.recoverHeld(t.Context(), listed); err != nil {
			t.Error(err)
		}
		if now, err := b.db.ReclaimPlan(t.Context(), listed.ID); err != nil || now.Items[0].Detail != done.Items[0].Detail {
			t.Errorf("it ended as %+v, and is %+v now, %v", done.Items[0], now.Items[0], err)
		}
		b.wantEvents("reclaim.applied", 1)
		if !b.hold(listed.ID) {
			t.Error("it is held still")
		}
	})
}

// TestGoneImagesAreForgotten: one that left the engine by another hand may come back by another hand, and is not ours then.
func TestGoneImagesAreForgotten(t *testing.T) {
	inBed(t, dockertest.Options{}, func(t *testing.T, b *bed) {
		id := b.left(shop)
		b.removeByHand(id)
		if plan := b.plan(); len(plan.Items) != 0 {
			t.Fatalf("planned: %+v", plan.Items)
		}
		again := b.engine.AddImage(dockertest.Image{Ref: shop, ID: id})
		if again != id {
			t.Fatal("the bed is wrong")
		}
		if plan := b.plan(); len(plan.Items) != 0 {
			t.Errorf("planned what somebody else has brought: %+v", plan.Items)
		}
	})
}

// TestBuiltOnEachOther: an image and the one that was made of its container go with one plan.
func TestBuiltOnEachOther(t *testing.T) {
	inBed(t, dockertest.Options{}, func(t *testing.T, b *bed) {
		b.left(shop)
		time.Sleep(time.Hour)
		b.left("registry.example/shop:layer", func(i *dockertest.Image) { i.Base, i.Size = shop, 11<<20 })
		done := b.apply(b.plan())
		if len(done.Items) != 2 || done.Items[0].Result != store.ResultRemoved || done.Items[1].Result != store.ResultRemoved {
			t.Errorf("%+v", done.Items)
		}
	})
}

// TestDeployedByDigest: an image that only its digest and an archive's tag name goes as well.
func TestDeployedByDigest(t *testing.T) {
	got := inOrder(docker.Image{
		Tags:        []string{"registry.example/shop:1.0", store.ArchiveRepository + ":a"},
		RepoDigests: []string{"registry.example/shop@sha256:a", "registry.example/stock@sha256:a"},
	})
	want := []string{store.ArchiveRepository + ":a", "registry.example/shop:1.0", "registry.example/stock@sha256:a"}
	if !slices.Equal(got, want) {
		t.Errorf("%v, want %v", got, want)
	}
}
