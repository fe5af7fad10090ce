package stale

import (
	"context"
	"errors"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/tiny-forge/docker-watcher/internal/docker"
	"github.com/tiny-forge/docker-watcher/internal/docker/dockertest"
	"github.com/tiny-forge/docker-watcher/internal/store"
)

func TestApplyRemovesWhatWasPlanned(t *testing.T) {
	inBed(t, func(t *testing.T, b *cleanBed) {
		inst, _ := b.plant("shop-preview-a", 10, nil)
		bystander := b.engine.Run(dockertest.Template{Name: "bystander", Image: "shop:1.0"})
		var told []string
		plan := b.planAll()
		done, err := b.cleaner.Apply(t.Context(), plan.ID, "user:anna", true, func(n, total int, i store.PlanItem) {
			told = append(told, string(i.Result))
			if n != 1 || total != 1 {
				t.Errorf("progress %d of %d", n, total)
			}
		})
		if err != nil {
			t.Fatal(err)
		}
		b.want(done, inst, store.ResultRemoved)
		if done.State != store.PlanApplied || done.AppliedBy != "user:anna" || done.DoneAt.IsZero() {
			t.Errorf("plan: %+v", done)
		}
		if strings.Join(told, " ") != "removed" {
			t.Errorf("progress told %v", told)
		}
		if !bystander.Facts().Exists {
			t.Error("a bystander was removed")
		}
		b.wantEvent("cleanup.applied", "", 1)
		if e := b.events("cleanup.item", inst.ID)[0]; e.Actor != "user:anna" || e.Data["result"] != "removed" || e.Data["plan_id"] != plan.ID {
			t.Errorf("event: %+v", e)
		}
		b.wantNoRemovals()
	})
}

func TestPlanIsAppliedOnce(t *testing.T) {
	inBed(t, func(t *testing.T, b *cleanBed) {
		b.plant("shop-preview-a", 10, nil)
		plan := b.planAll()
		b.apply(plan)
		_, err := b.cleaner.Apply(t.Context(), plan.ID, "user:bert", true, nil)
		b.wantRefused(err, ErrPlanUsed)
		_, err = b.cleaner.Apply(t.Context(), "nosuchplan", "user:bert", true, nil)
		if !errors.Is(err, store.ErrNotFound) {
			t.Errorf("unknown plan: %v", err)
		}
	})
}

func TestExpiredPlanIsRefused(t *testing.T) {
	inBed(t, func(t *testing.T, b *cleanBed) {
		b.plant("shop-preview-a", 10, nil)
		plan := b.planAll()
		time.Sleep(15*time.Minute + time.Second)
		_, err := b.cleaner.Apply(t.Context(), plan.ID, "user:anna", true, nil)
		b.wantRefused(err, ErrPlanExpired)
		if b.engine.Container("shop-preview-a") == nil {
			t.Error("an expired plan removed something")
		}
	})
}

// Every way in which an instance can move between plan and apply, and what follows.
func TestApplyLeavesAloneWhatMoved(t *testing.T) {
	cases := map[string]struct {
		template func(*dockertest.Template)
		move     func(b *cleanBed, inst store.Instance, ct *dockertest.Container)
		auto     bool // by the daemon, not by a person
		want     store.CleanupResult
	}{
		"started": {move: func(_ *cleanBed, _ store.Instance, ct *dockertest.Container) { ct.Start() }, want: store.ResultRevived},
		"ran and ended again": {move: func(_ *cleanBed, _ store.Instance, ct *dockertest.Container) {
			ct.Start()
			ct.Exit(0)
		}, want: store.ResultRevived},
		"gone":       {move: func(_ *cleanBed, _ store.Instance, ct *dockertest.Container) { ct.Remove() }, want: store.ResultAlreadyGone},
		"relabelled": {move: func(_ *cleanBed, _ store.Instance, ct *dockertest.Container) { ct.Label("team", "b") }, want: store.ResultChanged},
		"somebody else's": {move: func(_ *cleanBed, _ store.Instance, ct *dockertest.Container) {
			ct.Label(docker.LabelInstallation, "another")
		}, want: store.ResultChanged},
		"became a swarm task": {move: func(_ *cleanBed, _ store.Instance, ct *dockertest.Container) {
			ct.Label(docker.LabelSwarmTask, "t1")
		}, want: store.ResultChanged},
		"other end": {move: func(b *cleanBed, inst store.Instance, ct *dockertest.Container) {
			f := ct.Facts()
			ct.SetTimes(f.Created, f.Started, f.Finished.Add(time.Hour))
		}, want: store.ResultChanged},
		"pinned": {move: func(b *cleanBed, inst store.Instance, _ *dockertest.Container) { b.pin(inst.ID) }, want: store.ResultKept},
		"keep label": {move: func(b *cleanBed, inst store.Instance, _ *dockertest.Container) {
			b.alter(inst.ID, func(i *store.Instance) { i.KeepLabel = true })
		}, want: store.ResultKept},
		"snoozed": {move: func(b *cleanBed, inst store.Instance, _ *dockertest.Container) {
			b.protect(inst.ID, func(i *store.Instance) { i.SnoozedUntil, i.SnoozedBy = b.now().Add(time.Hour), "user:bert" })
		}, want: store.ResultKept},
		"threshold raised": {move: func(b *cleanBed, _ store.Instance, _ *dockertest.Container) {
			stage, err := b.db.Stage(b.t.Context(), b.stage.ID)
			if err != nil {
				b.t.Fatal(err)
			}
			stage.StaleAfter = &store.StaleAfter{Never: true}
			b.update(func(tx *store.Tx) error { return tx.UpdateStage(b.t.Context(), stage) })
		}, want: store.ResultKept},
		"deploy of its stage": {move: func(b *cleanBed, _ store.Instance, _ *dockertest.Container) { b.startDeploy() }, want: store.ResultInUse},
		"frozen host": {move: func(b *cleanBed, _ store.Instance, _ *dockertest.Container) {
			b.host.FrozenSince, b.host.FrozenReason = b.now(), "too many vanished at once"
			b.update(func(tx *store.Tx) error { return tx.UpdateHost(b.t.Context(), b.host) })
		}, want: store.ResultKept},
		"other engine": {move: func(b *cleanBed, _ store.Instance, _ *dockertest.Container) {
			b.engine.SetEngineID("OTHER")
		}, want: store.ResultChanged},
		"other data root": {move: func(b *cleanBed, _ store.Instance, _ *dockertest.Container) {
			b.engine.SetDataRoot("/mnt/docker")
		}, want: store.ResultChanged},
		"engine hangs": {move: func(b *cleanBed, _ store.Instance, _ *dockertest.Container) {
			b.engine.Fail(dockertest.Fault{On: "^GET", Hang: true})
		}, want: store.ResultTimeout},
		"engine down": {move: func(b *cleanBed, _ store.Instance, _ *dockertest.Container) {
			b.engine.Fail(dockertest.Fault{On: "^GET", Reset: true})
		}, want: store.ResultError},
		"paused, automatic":     {template: pausedTemplate, move: func(*cleanBed, store.Instance, *dockertest.Container) {}, auto: true, want: store.ResultKept},
		"crash loop, automatic": {template: loopTemplate, move: func(*cleanBed, store.Instance, *dockertest.Container) {}, auto: true, want: store.ResultKept},
		"held back, automatic": {move: func(b *cleanBed, inst store.Instance, _ *dockertest.Container) {
			b.alter(inst.ID, func(i *store.Instance) { i.HeldBack = heldMassChange })
		}, auto: true, want: store.ResultKept},
		"paused one woken": {template: pausedTemplate, move: func(_ *cleanBed, _ store.Instance, ct *dockertest.Container) {
			ct.Unpause()
		}, want: store.ResultRevived},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			inBed(t, func(t *testing.T, b *cleanBed) {
				inst, ct := b.plant("shop-preview-a", 20, c.template)
				other, _ := b.plantElsewhere()
				plan := b.plan(Selection{AllUnprotected: true})
				if len(plan.Items) != 2 {
					t.Fatalf("planned: %+v", plan.Items)
				}
				c.move(b, inst, ct)
				done, err := b.cleaner.Apply(t.Context(), plan.ID, "user:anna", !c.auto, nil)
				if err != nil {
					t.Fatal(err)
				}
				b.want(done, inst, c.want)
				if c.want != store.ResultAlreadyGone {
					if !ct.Facts().Exists || len(b.engine.Removes()) > 0 {
						t.Error("a delete was sent")
					}
				}
				if got := itemOfInstance(done, other.ID); got.Result != store.ResultRemoved {
					t.Errorf("the other host's item: %s (%s), must go on", got.Result, got.ResultDetail)
				}
			})
		})
	}
}

// plantElsewhere puts a second engine with a stale instance of another stage beside the first.
func (b *cleanBed) plantElsewhere() (store.Instance, *dockertest.Engine) {
	b.t.Helper()
	engine, host, stage, adapter, gate := b.engine, b.host, b.stage, b.adapter, b.gate
	defer func() { b.engine, b.host, b.stage, b.adapter, b.gate = engine, host, stage, adapter, gate }()
	other := dockertest.New(b.t, dockertest.Options{EngineID: "SECOND"})
	b.engine = other
	b.host = b.addHost("second", other)
	b.stage.ID, b.stage.Name, b.stage.HostID = store.NewID(), "elsewhere", b.host.ID
	b.update(func(tx *store.Tx) error { return tx.InsertStage(b.t.Context(), b.stage) })
	inst, _ := b.plant("elsewhere", 30, nil)
	return inst, other
}

func pausedTemplate(t *dockertest.Template) { t.State, t.Finished = dockertest.Paused, time.Time{} }

func loopTemplate(t *dockertest.Template) {
	t.State, t.ExitCode, t.Restarts, t.Restart = dockertest.Restarting, 7, 40, "always"
}

func (b *cleanBed) startDeploy() {
	b.t.Helper()
	b.update(func(tx *store.Tx) error {
		return tx.InsertDeploy(b.t.Context(), store.Deploy{
			ID: store.NewID(), ProjectID: b.project.ID, StageID: b.stage.ID, HostID: b.host.ID, Image: "shop", ImageTag: "2.0",
			State: store.DeployQueued, Actor: "user:bert", CreatedAt: b.now(),
		})
	})
}

// What stops with a process is stopped first, and only then removed.
func TestApplyStopsWhatHasAProcess(t *testing.T) {
	cases := map[string]func(*dockertest.Template){"paused": pausedTemplate, "crash loop": loopTemplate}
	for name, template := range cases {
		t.Run(name, func(t *testing.T) {
			inBed(t, func(t *testing.T, b *cleanBed) {
				inst, _ := b.plant("shop-preview-a", 20, template)
				b.want(b.apply(b.planAll()), inst, store.ResultRemoved)
				if len(b.engine.Requests(`^POST /containers/.*/stop`)) != 1 {
					t.Error("it was not stopped")
				}
			})
		})
	}
}

// A stop must never hit what does not need one.
func TestApplyStopsNothingElse(t *testing.T) {
	inBed(t, func(t *testing.T, b *cleanBed) {
		inst, _ := b.plant("shop-preview-a", 20, nil)
		b.want(b.apply(b.planAll()), inst, store.ResultRemoved)
		if got := b.engine.Requests(`^POST /containers/.*/(stop|kill|pause|unpause|start)`); len(got) > 0 {
			t.Errorf("requests: %v", got)
		}
	})
}

// Faults of the delete itself, and what the inspect after it finds.
func TestDeleteThatDoesNotSimplySucceed(t *testing.T) {
	const del = `^DELETE /containers/`
	cases := map[string]struct {
		spoil func(b *cleanBed, ct *dockertest.Container)
		want  store.CleanupResult
		word  string
	}{
		"reply lost": {func(b *cleanBed, _ *dockertest.Container) {
			b.engine.Fail(dockertest.Fault{On: del, LoseReply: true, Times: 1})
		}, store.ResultRemoved, "answer was lost"},
		"connection lost before": {func(b *cleanBed, _ *dockertest.Container) {
			b.engine.Fail(dockertest.Fault{On: del, Reset: true})
		}, store.ResultError, ""},
		"500": {func(b *cleanBed, _ *dockertest.Container) {
			b.engine.Fail(dockertest.Fault{On: del, Status: 500})
		}, store.ResultError, "pretended failure"},
		"409": {func(b *cleanBed, _ *dockertest.Container) {
			b.engine.Fail(dockertest.Fault{On: del, Status: 409})
		}, store.ResultInUse, ""},
		"hangs": {func(b *cleanBed, _ *dockertest.Container) {
			b.engine.Fail(dockertest.Fault{On: del, Hang: true})
		}, store.ResultTimeout, ""},
		"left dead": {func(_ *cleanBed, ct *dockertest.Container) {
			ct.FailRemoval("unlinkat: operation not permitted")
		}, store.ResultError, "dead"},
		"stuck": {func(_ *cleanBed, ct *dockertest.Container) { ct.StickRemoval() }, store.ResultTimeout, ""},
		"started in the last moment": {func(b *cleanBed, ct *dockertest.Container) {
			b.gate.hook(func(method, _ string) {
				if method == "DELETE" {
					ct.Start()
				}
			}, nil)
		}, store.ResultRevived, ""},
		"removed by another in the last moment": {func(b *cleanBed, ct *dockertest.Container) {
			b.gate.hook(func(method, _ string) {
				if method == "DELETE" {
					ct.Remove()
				}
			}, nil)
		}, store.ResultAlreadyGone, ""},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			inBed(t, func(t *testing.T, b *cleanBed) {
				inst, ct := b.plant("shop-preview-a", 20, nil)
				plan := b.planAll()
				c.spoil(b, ct)
				done := b.apply(plan)
				b.want(done, inst, c.want)
				if detail := itemOfInstance(done, inst.ID).ResultDetail; !strings.Contains(detail, c.word) {
					t.Errorf("detail %q, want %q in it", detail, c.word)
				}
			})
		})
	}
}

// A pin given while a removal is on its way is heeded up to the delete.
func TestPinDuringARemoval(t *testing.T) {
	for name, wrote := range map[string]func(*dockertest.Template){"it wrote something": nil, "it wrote nothing": unwritten} {
		t.Run(name, func(t *testing.T) {
			inBed(t, func(t *testing.T, b *cleanBed) {
				inst, _ := b.plant("shop-preview-a", 20, wrote)
				plan := b.planAll()
				var once sync.Once
				b.gate.hook(nil, func(method, path string) {
					view, err := b.db.Instance(t.Context(), inst.ID)
					if err == nil && view.Status == store.StatusRemoving {
						once.Do(func() { b.pin(inst.ID) })
					}
				})
				b.want(b.apply(plan), inst, store.ResultKept)
				b.wantNothingKept(inst)
			})
		})
	}
}

// When the stop was ours and the removal is taken back, the process comes back too.
func TestTakeBackStartsAgainWhatWeStopped(t *testing.T) {
	inBed(t, func(t *testing.T, b *cleanBed) {
		inst, ct := b.plant("shop-preview-a", 20, pausedTemplate)
		plan := b.planAll()
		b.gate.hook(nil, func(method, path string) {
			if method == "POST" && strings.HasSuffix(path, "/stop") {
				b.pin(inst.ID)
			}
		})
		b.want(b.apply(plan), inst, store.ResultKept)
		if state := ct.Facts().State; state != dockertest.Running {
			t.Errorf("it is %s, want it started again", state)
		}
	})
}

// One that is woken in the very moment in which it is to be stopped stays awake.
func TestWokenInTheMomentOfItsStop(t *testing.T) {
	inBed(t, func(t *testing.T, b *cleanBed) {
		inst, ct := b.plant("shop-preview-a", 20, pausedTemplate)
		plan := b.planAll()
		b.gate.hook(func(method, path string) {
			if method == "POST" {
				ct.Unpause()
			}
		}, nil)
		b.want(b.apply(plan), inst, store.ResultRevived)
		if state := ct.Facts().State; state != dockertest.Running {
			t.Errorf("it is %s", state)
		}
		if got := b.engine.Requests(`/stop`); len(got) > 0 {
			t.Errorf("it was stopped: %v", got)
		}
	})
}

// An item that hangs holds up nobody else.
func TestOneItemHangs(t *testing.T) {
	inBed(t, func(t *testing.T, b *cleanBed) {
		stuck, _ := b.plant("stuck", 50, nil)
		var others []store.Instance
		for _, name := range []string{"a1", "b2", "c3", "d4", "e5", "f6", "g7"} {
			inst, _ := b.plant(name, 20, nil)
			others = append(others, inst)
		}
		plan := b.planAll()
		b.engine.Fail(dockertest.Fault{On: "^GET /containers/" + stuck.ContainerID, Hang: true})
		begin := time.Now()
		var last time.Duration
		done, err := b.cleaner.Apply(t.Context(), plan.ID, "user:anna", true, func(_, _ int, i store.PlanItem) {
			if i.InstanceID != stuck.ID {
				last = time.Since(begin)
			}
		})
		if err != nil {
			t.Fatal(err)
		}
		b.want(done, stuck, store.ResultTimeout)
		for _, inst := range others {
			b.want(done, inst, store.ResultRemoved)
		}
		if last > time.Second {
			t.Errorf("the others waited %s", last)
		}
	})
}

// When the caller goes, what has not begun is not begun, and nothing stays half done.
func TestApplyEndsCleanlyWithItsContext(t *testing.T) {
	inBed(t, func(t *testing.T, b *cleanBed) {
		var all []store.Instance
		for _, name := range []string{"a1", "b2", "c3", "d4", "e5", "f6", "g7"} {
			inst, _ := b.plant(name, 20, nil)
			all = append(all, inst)
		}
		plan := b.planAll()
		ctx, cancel := context.WithCancel(t.Context())
		b.gate.hook(func(method, _ string) {
			if method == "DELETE" {
				cancel()
			}
		}, nil)
		done, err := b.cleaner.Apply(ctx, plan.ID, "user:anna", true, nil)
		if err != nil {
			t.Fatal(err)
		}
		if done.State != store.PlanApplied {
			t.Errorf("the plan is %s", done.State)
		}
		interrupted := 0
		for _, inst := range all {
			item := itemOfInstance(done, inst.ID)
			if item.Result == store.ResultError && strings.Contains(item.ResultDetail, "interrupted") {
				interrupted++
			}
			b.want(done, inst, item.Result)
		}
		if interrupted < 3 {
			t.Errorf("only %d items were left alone", interrupted)
		}
		b.wantNoRemovals()
	})
}
