package stale

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/tiny-forge/docker-watcher/internal/docker"
	"github.com/tiny-forge/docker-watcher/internal/docker/dockertest"
	"github.com/tiny-forge/docker-watcher/internal/store"
)

func TestRestoreBringsItBack(t *testing.T) {
	inUndoBed(t, func(t *testing.T, b *undoBed) {
		a := b.removed(b.inst)
		time.Sleep(time.Hour)
		check, err := b.cleaner.CheckRestore(t.Context(), a.ID, Choices{})
		if err != nil || len(check.Conflicts) > 0 || len(check.Lacks) > 0 || len(check.Brings) != 8 {
			t.Errorf("check: %+v %v", check, err)
		}
		if made := b.engine.Requests("^(POST|PUT|DELETE) /(containers/create|networks|images/create)"); len(made) > 1 {
			t.Errorf("a check made something: %v", made)
		}
		view := b.restored(a, Choices{})
		b.wantBack(view, b.inst.Name)
		if view.Class != store.ClassNeverStarted || view.Evidence != store.EvidenceCreatedAt || view.LastAliveAt.Before(b.now().Add(-time.Minute)) {
			t.Errorf("its age: %s by %s, %s", view.Class, view.Evidence, view.LastAliveAt)
		}
		routes, err := b.db.RoutesOf(t.Context(), view.ID)
		if err != nil || !slices.Equal(routes, []string{"shop-preview-a.example/"}) {
			t.Errorf("routes %v %v", routes, err)
		}
		if all := b.archives(b.inst); len(all) != 1 || all[0].State != store.ArchiveRestored || all[0].RestoredBy != "user:ben" || all[0].RestoredAt.IsZero() {
			t.Errorf("archive %+v", all)
		}
		b.wantEvent("archive.restored", b.inst.ID, 1)
		if b.engine.Container(view.ContainerID).Facts().State != dockertest.Created {
			t.Error("it was started, and nobody had asked for that")
		}
	})
}

// Restored and then stale again is a new episode, and a new archive.
func TestRestoredIsANewEpisode(t *testing.T) {
	inUndoBed(t, func(t *testing.T, b *undoBed) {
		view := b.restored(b.removed(b.inst), Choices{})
		scanner := NewScanner(b.db, b.fleet, b.cleaner.log)
		scan := func() store.InstanceView {
			if _, err := scanner.Scan(t.Context(), b.host.ID, "manual"); err != nil {
				t.Fatal(err)
			}
			got, err := b.db.Instance(t.Context(), view.ID)
			if err != nil {
				t.Fatal(err)
			}
			return got
		}
		if got := scan(); !got.StaleSince.IsZero() {
			t.Errorf("stale since %s: its age counts anew", got.StaleSince)
		}
		time.Sleep(8 * 24 * time.Hour)
		if got := scan(); got.StaleSince.IsZero() || got.WarnedAt.IsZero() {
			t.Errorf("not stale after eight days: %+v", got)
		}
		b.wantEvent("instance.stale", view.ID, 1)
		again := b.plan(Selection{InstanceID: view.ID})
		if item := b.apply(again).Items[0]; item.Result != store.ResultRemoved {
			t.Errorf("%s (%s)", item.Result, item.ResultDetail)
		}
		all := b.archives(b.inst)
		ready := slices.DeleteFunc(slices.Clone(all), func(a store.Archive) bool { return a.State != store.ArchiveReady })
		if len(all) != 2 || len(ready) != 1 {
			t.Fatalf("archives %+v", all)
		}
		b.wantBack(b.restored(ready[0], Choices{}), b.inst.Name)
	})
}

func TestRestoreAndStart(t *testing.T) {
	inUndoBed(t, func(t *testing.T, b *undoBed) {
		view := b.restored(b.removed(b.inst), Choices{Start: true})
		if state := b.engine.Container(view.ContainerID).Facts().State; state != dockertest.Running {
			t.Errorf("it is %s", state)
		}
	})
}

// What is in the way is told before anything is made, and each choice settles it.
func TestConflicts(t *testing.T) {
	cases := []struct {
		name    string
		before  func(b *undoBed, a store.Archive)
		kind    ConflictKind
		subject string
		choices []string
		settled []Choices // each settles it; none: nothing does
		lacks   string
	}{
		{
			name:   "its name is taken",
			before: func(b *undoBed, a store.Archive) { b.engine.Run(dockertest.Template{Name: a.Name, Image: "other:1"}) },
			kind:   ConflictName, subject: "shop-preview-a", choices: []string{"name"}, settled: []Choices{{Name: "another-name"}},
		},
		{
			name: "its port is taken",
			before: func(b *undoBed, _ store.Archive) {
				b.engine.Run(dockertest.Template{Name: "taker", Image: "other:1", Ports: []string{"0.0.0.0:8080:80/tcp"}})
			},
			kind: ConflictPort, subject: "127.0.0.1:8080/tcp", choices: []string{"any_port"}, settled: []Choices{{AnyPort: true}}, lacks: "its host ports",
		},
		{
			name:   "its network is gone",
			before: func(b *undoBed, _ store.Archive) { b.engine.RemoveNetwork("front") },
			kind:   ConflictNetwork, subject: "front", choices: []string{"skip_networks", "make_networks"},
			settled: []Choices{{SkipNetworks: true}, {MakeNetworks: true}},
		},
		{
			name: "its image is gone, and that of what it wrote",
			before: func(b *undoBed, a store.Archive) {
				b.engine.Publish(dockertest.Image{Ref: "shop:1.0", Auth: "login of shop"})
				for _, ref := range []string{a.LayerImage, "shop:1.0", a.KeepRef} {
					if _, err := b.adapter.RemoveImage(b.t.Context(), ref); err != nil {
						b.t.Fatal(err)
					}
				}
			},
			kind: ConflictImage, choices: []string{"pull_image"}, settled: []Choices{{PullImage: true}}, lacks: "what it wrote outside",
		},
		{
			name: "only the image of what it wrote is gone",
			before: func(b *undoBed, a store.Archive) {
				if _, err := b.adapter.RemoveImage(b.t.Context(), a.LayerImage); err != nil {
					b.t.Fatal(err)
				}
			},
			kind: ConflictImage, choices: []string{"pull_image"}, settled: []Choices{{PullImage: true}}, lacks: "what it wrote outside",
		},
		{
			name:   "a volume is gone",
			before: func(b *undoBed, _ store.Archive) { b.engine.RemoveVolume("shop-preview-a-data") },
			kind:   ConflictVolume, subject: "shop-preview-a-data", choices: []string{"empty_volumes"}, settled: []Choices{{EmptyVolumes: true}},
			lacks: "an empty one takes its place",
		},
		{
			name: "its address leads elsewhere",
			before: func(b *undoBed, _ store.Archive) {
				other, _ := b.plant("other", 1, nil)
				b.route(other, "shop-preview-a.example")
			},
			kind: ConflictRoute, subject: "shop-preview-a.example/", choices: []string{"skip_routes"}, settled: []Choices{{SkipRoutes: true}},
			lacks: "leads to other now",
		},
		{
			name:   "its engine does not answer",
			before: func(b *undoBed, _ store.Archive) { b.engine.Fail(dockertest.Fault{On: `.`, Reset: true}) },
			kind:   ConflictHost,
		},
		{
			name:   "another engine answers",
			before: func(b *undoBed, _ store.Archive) { b.engine.SetEngineID("ANOTHER") },
			kind:   ConflictHost,
		},
		{
			name: "an admin has accepted another engine",
			before: func(b *undoBed, _ store.Archive) {
				b.engine.SetEngineID("ANOTHER")
				b.update(func(tx *store.Tx) error {
					host := b.host
					host.EngineID = "ANOTHER"
					return tx.UpdateHost(b.t.Context(), host)
				})
			},
			kind: ConflictHost,
		},
		{
			name: "its host is frozen",
			before: func(b *undoBed, _ store.Archive) {
				b.update(func(tx *store.Tx) error {
					host := b.host
					host.FrozenSince, host.FrozenReason = b.now(), "mass change"
					return tx.UpdateHost(b.t.Context(), host)
				})
			},
			kind: ConflictHost,
		},
		{
			name: "its stage was deleted",
			before: func(b *undoBed, _ store.Archive) {
				b.update(func(tx *store.Tx) error { return tx.DeleteStage(b.t.Context(), b.stage.ID) })
			},
			kind: ConflictStage,
		},
		{
			name:   "it was restored already",
			before: func(b *undoBed, a store.Archive) { b.restored(a, Choices{Name: "restored"}) },
			kind:   ConflictInstance,
		},
	}
	for _, c := range cases {
		for n := range max(1, len(c.settled)) {
			t.Run(fmt.Sprintf("%s %d", c.name, n), func(t *testing.T) {
				inUndoBed(t, func(t *testing.T, b *undoBed) {
					a := b.removed(b.inst)
					c.before(b, a)
					rows, containers, names := len(b.archives(b.inst)), len(b.engine.Containers()), b.kept()
					_, err := b.cleaner.Restore(t.Context(), a.ID, Choices{}, "user:anna")
					refused, ok := errors.AsType[*ConflictError](err)
					if !ok || !errors.Is(err, ErrConflicts) || len(refused.Check.Conflicts) != 1 {
						t.Fatalf("got %v", err)
					}
					got := refused.Check.Conflicts[0]
					if got.Kind != c.kind || c.subject != "" && got.Subject != c.subject || !slices.Equal(got.Choices, c.choices) || !strings.Contains(err.Error(), got.Detail) {
						t.Errorf("conflict %+v", got)
					}
					if len(b.archives(b.inst)) != rows || len(b.engine.Containers()) != containers || !slices.Equal(b.kept(), names) {
						t.Error("a restore that was refused has made something")
					}
					if c.kind != ConflictInstance {
						b.wantEvent("archive.restore_refused", b.inst.ID, 1)
					}
					if len(c.settled) > 0 {
						b.wantSettled(t, a, c.settled[n], c.lacks)
					}
				})
			})
		}
	}
}

// wantSettled checks that with a choice nothing is in the way any more, and that what it costs is said.
func (b *undoBed) wantSettled(t *testing.T, a store.Archive, ch Choices, lacks string) {
	t.Helper()
	check, err := b.cleaner.CheckRestore(t.Context(), a.ID, ch)
	if err != nil || len(check.Conflicts) > 0 {
		t.Fatalf("with %+v: %+v %v", ch, check.Conflicts, err)
	}
	if said := strings.Join(check.Lacks, "; "); !strings.Contains(said, lacks) {
		t.Errorf("lacks %q, want %q", said, lacks)
	}
	view := b.restored(a, ch)
	name := b.inst.Name
	if ch.Name != "" {
		name = ch.Name
	}
	if view.Name != name || view.ID != b.inst.ID {
		t.Errorf("restored as %s %s", view.ID, view.Name)
	}
	ct, err := b.adapter.Inspect(t.Context(), view.ContainerID)
	if err != nil {
		t.Fatal(err)
	}
	if _, there := ct.Networks["front"]; there == ch.SkipNetworks {
		t.Errorf("networks %v", ct.Networks)
	}
	if ch.AnyPort != (len(ct.Ports) == 1 && ct.Ports[0].Host == 0) {
		t.Errorf("ports %+v", ct.Ports)
	}
	if ch.PullImage && strings.HasPrefix(ct.Image, layerRef(a.ID)) {
		t.Errorf("made from %s", ct.Image)
	}
	if err := b.adapter.Start(t.Context(), docker.Owned{ID: ct.ID, Installation: b.db.InstallationID(), Instance: view.ID}); err != nil {
		t.Errorf("it does not start: %v", err)
	}
}

// What was gone comes back from what was deployed.
func TestRestoreFromTheSpec(t *testing.T) {
	inUndoBed(t, func(t *testing.T, b *undoBed) {
		inst := b.row("specced")
		inst.Spec = store.Spec{Env: []store.EnvVar{{Name: "SECRET", Value: "s3cret"}}, Labels: map[string]string{"team": "shop"}}
		ct := b.engine.Add(dockertest.Template{Name: "specced", Image: "shop:1.0", State: dockertest.Exited, Labels: b.labels(inst.ID)})
		inst.ContainerID = ct.ID
		inst.ImageID = b.imageOf(b.inst)
		b.keep(&inst, b.now().AddDate(0, 0, -20))
		ct.Remove()
		a := b.removed(inst)
		if a.KeepRef == "" || a.LayerImage != "" || !strings.Contains(a.LayerNote, "its container was gone") {
			t.Errorf("archive %+v", a)
		}
		view := b.restored(a, Choices{})
		got, err := b.adapter.Inspect(t.Context(), view.ContainerID)
		if err != nil {
			t.Fatal(err)
		}
		want := b.labels(inst.ID)
		want["team"] = "shop"
		if diff := cmp.Diff(want, got.Labels); diff != "" || !strings.Contains(string(got.Raw), "SECRET=s3cret") {
			t.Errorf("labels (-want +got):\n%s; %s", diff, got.Raw)
		}
		b.wantOne(inst.ID)
	})
}

func TestRestoreOfWhatNeverHadAContainer(t *testing.T) {
	inUndoBed(t, func(t *testing.T, b *undoBed) {
		inst := b.row("never-made")
		inst.Status = store.StatusFailed
		b.keep(&inst, b.now().AddDate(0, 0, -20))
		inst.Status = store.StatusMissing
		a := b.removed(inst)
		if a.KeepRef != "" || len(b.kept()) > 0 {
			t.Errorf("archive %+v, on the engine %v", a, b.kept())
		}
		view := b.restored(a, Choices{})
		if b.engine.Container(view.ContainerID) == nil {
			t.Error("no container was made")
		}
	})
}

func TestAdoptedComesBackWithLabels(t *testing.T) {
	inUndoBed(t, func(t *testing.T, b *undoBed) {
		inst := b.row("adopted")
		inst.Ownership = store.OwnershipAdopted
		ended := b.now().AddDate(0, 0, -20)
		ct := b.engine.Add(dockertest.Template{
			Name: "adopted", Image: "shop:1.0", State: dockertest.Exited, Labels: map[string]string{"theirs": "yes"},
			Created: ended.Add(-time.Hour), Started: ended.Add(-time.Hour), Finished: ended,
		})
		inst.ContainerID = ct.ID
		b.keep(&inst, ended)
		view := b.restored(b.removed(inst), Choices{})
		got, err := b.adapter.Inspect(t.Context(), view.ContainerID)
		want := b.labels(inst.ID)
		want["theirs"] = "yes"
		if diff := cmp.Diff(want, got.Labels); err != nil || diff != "" || view.Ownership != store.OwnershipCreated {
			t.Errorf("%s, %v; labels (-want +got):\n%s", view.Ownership, err, diff)
		}
		b.wantOne(inst.ID)
	})
}

// Each request of a restore goes wrong in each way: either it is back, or all is as before.
func TestRestoreWithEachRequestGoingWrong(t *testing.T) {
	wrong := map[string]dockertest.Fault{
		"refused": {Reset: true}, "unheard": {LoseReply: true}, "failing": {Status: 500}, "hanging": {Hang: true},
	}
	for how, fault := range wrong {
		t.Run(how, func(t *testing.T) {
			for n := 0; ; n++ {
				over := false
				inUndoBed(t, func(t *testing.T, b *undoBed) {
					a := b.removed(b.inst)
					b.engine.ResetCalls()
					fault.On, fault.Skip, fault.Times = `.`, n, 1
					b.engine.Fail(fault)
					_, err := b.cleaner.Restore(t.Context(), a.ID, Choices{}, "user:anna")
					over = len(b.engine.Requests(".")) <= n
					b.settled()
					b.wantRestoredOrNot(t, a, fmt.Sprintf("request %d: %v", n, err))
				})
				if over || t.Failed() {
					break
				}
			}
		})
	}
}

func (b *undoBed) wantRestoredOrNot(t *testing.T, a store.Archive, when string) {
	t.Helper()
	all := b.archives(b.inst)
	view, err := b.db.Instance(t.Context(), b.inst.ID)
	if err == nil {
		if len(all) != 1 || all[0].State != store.ArchiveRestored {
			t.Errorf("%s: row there, archives %+v", when, all)
		}
		b.wantBack(view, b.inst.Name)
		return
	}
	rows, listErr := b.adapter.List(t.Context(), docker.ListOptions{Labels: []string{docker.LabelInstance + "=" + b.inst.ID}})
	if !errors.Is(err, store.ErrNotFound) || listErr != nil || len(rows) > 0 || len(all) != 1 || all[0].State != store.ArchiveReady {
		t.Errorf("%s: row gone, containers %+v, archives %+v, %v %v", when, rows, all, err, listErr)
		return
	}
	b.wantBack(b.restored(a, Choices{}), b.inst.Name)
}

// Of two that want an archive one wins, and the other is told why not.
func TestOneWins(t *testing.T) {
	cases := []struct {
		name  string
		other func(b *undoBed, ctx context.Context, a store.Archive) error
		wants []error // of the other one
	}{
		{"another restore", func(b *undoBed, ctx context.Context, a store.Archive) error {
			_, err := b.cleaner.Restore(ctx, a.ID, Choices{}, "user:ben")
			return err
		}, []error{ErrNotRestorable}},
		{"a deletion", func(b *undoBed, ctx context.Context, a store.Archive) error {
			return b.cleaner.DeleteArchive(ctx, a.ID, "user:ben")
		}, []error{ErrNotRestorable}},
		{"another process' restore", func(b *undoBed, ctx context.Context, a store.Archive) error {
			_, err := NewCleaner(b.db, b.fleet, b.cleaner.log).Restore(ctx, a.ID, Choices{}, "user:ben")
			return err
		}, []error{ErrNotRestorable}},
		{"another process' deletion", func(b *undoBed, ctx context.Context, a store.Archive) error {
			return NewCleaner(b.db, b.fleet, b.cleaner.log).DeleteArchive(ctx, a.ID, "user:ben")
		}, []error{store.ErrConflict}},
		{"a recovery", func(b *undoBed, ctx context.Context, _ store.Archive) error { return b.cleaner.Recover(ctx) }, []error{nil}},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			inUndoBed(t, func(t *testing.T, b *undoBed) {
				a := b.removed(b.inst)
				tried := false
				b.gate.hook(func(method, path string) {
					if strings.HasSuffix(path, "/containers/create") && !tried {
						tried = true
						err := c.other(b, t.Context(), a)
						if !slices.ContainsFunc(c.wants, func(want error) bool { return errors.Is(err, want) }) {
							t.Errorf("the other one: %v", err)
						}
					}
				}, nil)
				view := b.restored(a, Choices{})
				if !tried {
					t.Fatal("nobody tried")
				}
				b.wantBack(view, b.inst.Name)
				if all := b.archives(b.inst); len(all) != 1 || all[0].State != store.ArchiveRestored {
					t.Errorf("archives %+v", all)
				}
			})
		})
	}
	t.Run("while it is being deleted", func(t *testing.T) {
		inUndoBed(t, func(t *testing.T, b *undoBed) {
			a := b.removed(b.inst)
			b.gate.hook(func(method, path string) {
				if method == "DELETE" && strings.Contains(path, "/images/") {
					_, err := b.cleaner.Restore(t.Context(), a.ID, Choices{}, "user:ben")
					wantErr(t, err, ErrNotRestorable)
				}
			}, nil)
			if err := b.cleaner.DeleteArchive(t.Context(), a.ID, "user:anna"); err != nil {
				t.Error(err)
			}
		})
	})
	t.Run("while its stage is deployed", func(t *testing.T) {
		inUndoBed(t, func(t *testing.T, b *undoBed) {
			a := b.removed(b.inst)
			b.startDeploy()
			_, err := b.cleaner.Restore(t.Context(), a.ID, Choices{}, "user:ben")
			wantErr(t, err, ErrNotRestorable)
			if all := b.archives(b.inst); all[0].State != store.ArchiveReady {
				t.Errorf("archive %+v", all)
			}
		})
	})
	t.Run("its address is taken in the last moment", func(t *testing.T) {
		inUndoBed(t, func(t *testing.T, b *undoBed) {
			other, _ := b.plant("other", 1, nil)
			a := b.removed(b.inst)
			b.gate.hook(func(_, path string) {
				if strings.HasSuffix(path, "/containers/create") {
					b.route(other, "shop-preview-a.example")
				}
			}, nil)
			_, err := b.cleaner.Restore(t.Context(), a.ID, Choices{}, "user:ben")
			wantErr(t, err, ErrNotRestorable)
			b.gate.hook(nil, nil)
			rows, listErr := b.adapter.List(t.Context(), docker.ListOptions{Labels: []string{docker.LabelInstance + "=" + b.inst.ID}})
			if all := b.archives(b.inst); listErr != nil || len(rows) > 0 || all[0].State != store.ArchiveReady {
				t.Errorf("containers %+v, archives %+v", rows, all)
			}
			b.restored(a, Choices{SkipRoutes: true})
		})
	})
}

// A plan is restored one by one: what is in the way of one keeps no other.
func TestRestorePlan(t *testing.T) {
	inUndoBed(t, func(t *testing.T, b *undoBed) {
		second, _ := b.plant("shop-preview-b", 20, nil)
		third, _ := b.plant("shop-preview-c", 20, nil)
		plan := b.apply(b.planAll())
		b.engine.Run(dockertest.Template{Name: second.Name, Image: "other:1"})
		told := 0
		results, err := b.cleaner.RestorePlan(t.Context(), plan.ID, Choices{}, "user:anna", func(done, total int, _ RestoreResult) {
			if told++; done != told || total != 3 {
				t.Errorf("told %d of %d, want %d of 3", done, total, told)
			}
		})
		if err != nil || len(results) != 3 || told != 3 {
			t.Fatalf("%+v %v", results, err)
		}
		for _, r := range results {
			refused := r.Archive.InstanceID == second.ID
			if refused != (r.Err != nil) || refused != (len(r.Conflicts) == 1) || refused == (r.Instance.ID != "") {
				t.Errorf("%s: %+v", r.Archive.Name, r)
			}
		}
		b.wantOne(b.inst.ID)
		b.wantOne(third.ID)
		again, err := b.cleaner.RestorePlan(t.Context(), plan.ID, Choices{}, "user:anna", nil)
		if err != nil || len(again) != 1 {
			t.Errorf("what is left: %+v %v", again, err)
		}
		_, err = b.cleaner.RestorePlan(t.Context(), plan.ID, Choices{Name: "one"}, "user:anna", nil)
		if _, ok := errors.AsType[store.FieldError](err); !ok {
			t.Errorf("one name for all: %v", err)
		}
		_, err = b.cleaner.RestorePlan(t.Context(), "nope", Choices{}, "user:anna", nil)
		wantErr(t, err, store.ErrNotFound)
	})
}

// A thousand go and come back.
func TestUndoOfAThousand(t *testing.T) {
	inBed(t, func(t *testing.T, b *cleanBed) {
		n := 1000
		if underRace { // a file of the store is 27 times slower then
			n = 60
		}
		b.settings(func(s *store.Settings) { s.PlanMaxItems = n / 2 })
		before := map[string]bool{}
		for i := range n {
			inst, _ := b.plant(fmt.Sprintf("shop-%d", i), 20, nil)
			before[inst.ID] = true
		}
		var plans []store.Plan
		for range 2 {
			plan := b.apply(b.planAll())
			for _, item := range plan.Items {
				if item.Result != store.ResultRemoved {
					t.Fatalf("%s: %s (%s)", item.Name, item.Result, item.ResultDetail)
				}
			}
			plans = append(plans, plan)
		}
		if len(b.engine.Containers()) != 0 || len(b.kept()) != n+1 { // a layer each, and one name for their image
			t.Fatalf("%d containers, %d names kept", len(b.engine.Containers()), len(b.kept()))
		}
		for _, plan := range plans {
			results, err := b.cleaner.RestorePlan(t.Context(), plan.ID, Choices{}, "user:anna", nil)
			if err != nil {
				t.Fatal(err)
			}
			for _, r := range results {
				if r.Err != nil || !before[r.Instance.ID] {
					t.Errorf("%s: %v", r.Archive.Name, r.Err)
				}
				delete(before, r.Instance.ID)
			}
		}
		if len(before) > 0 || len(b.engine.Containers()) != n {
			t.Errorf("%d are missing, %d containers", len(before), len(b.engine.Containers()))
		}
	})
}

func TestRestoreOfASpecWithNetworks(t *testing.T) {
	inUndoBed(t, func(t *testing.T, b *undoBed) {
		inst := b.row("never-made")
		inst.Status, inst.Spec.Networks = store.StatusFailed, []store.Network{{Name: "front"}, {Name: "lost"}}
		b.keep(&inst, b.now().AddDate(0, 0, -20))
		inst.Status = store.StatusMissing
		a := b.removed(inst)
		_, err := b.cleaner.Restore(t.Context(), a.ID, Choices{}, "user:anna")
		if refused, ok := errors.AsType[*ConflictError](err); !ok || len(refused.Check.Conflicts) != 1 || refused.Check.Conflicts[0].Kind != ConflictNetwork {
			t.Fatalf("a network that is gone: %v", err)
		}
		view := b.restored(a, Choices{SkipNetworks: true})
		got, err := b.adapter.Inspect(t.Context(), view.ContainerID)
		if _, in := got.Networks["front"]; err != nil || !in || len(got.Networks) != 1 {
			t.Errorf("it is in %v, %v", got.Networks, err)
		}
	})
}
