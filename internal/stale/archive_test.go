package stale

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/tiny-forge/docker-watcher/internal/docker/dockertest"
	"github.com/tiny-forge/docker-watcher/internal/store"
)

func TestArchiveHoldsAllThatAnUndoNeeds(t *testing.T) {
	inUndoBed(t, func(t *testing.T, b *undoBed) {
		image := b.imageOf(b.inst)
		a := b.removed(b.inst)
		if diff := cmp.Diff([]string{a.KeepRef, a.LayerImage}, b.kept()); diff != "" || a.LayerNote != "" || a.Bytes != 5 {
			t.Errorf("on the engine (-archive +engine):\n%s; note %q, %d bytes", diff, a.LayerNote, a.Bytes)
		}
		if a.ImageID != image || a.PlanID == "" || a.Actor != "user:anna" || a.Reason == "" || a.Class != store.ClassExited {
			t.Errorf("archive %+v", a)
		}
		if !a.ExpiresAt.Equal(a.RemovedAt.AddDate(0, 0, 14)) {
			t.Errorf("removed %s, expires %s", a.RemovedAt, a.ExpiresAt)
		}
		slices.Sort(a.Networks)
		if !slices.Equal(a.Networks, []string{"bridge", "front"}) || len(a.Volumes) != 2 || !a.Volumes[1].Anonymous || a.Volumes[0].Target != "/data" {
			t.Errorf("networks %v, volumes %+v", a.Networks, a.Volumes)
		}
		if len(a.Routes) != 1 || a.Routes[0].Domains[0].Domain != "shop-preview-a.example" {
			t.Errorf("routes %+v", a.Routes)
		}
		contents, err := b.db.ArchiveContents(t.Context(), a.ID)
		if err != nil || !strings.Contains(string(contents.Inspect), b.inst.ContainerID) || string(contents.Logs) != "stdout its last words\n" || contents.Instance.ID != b.inst.ID {
			t.Errorf("contents: %d bytes of inspect, logs %q, %v", len(contents.Inspect), contents.Logs, err)
		}
		b.wantEvent("archive.made", b.inst.ID, 1)
		remnants, err := b.db.Remnants(t.Context(), b.host.ID, store.RemnantVolume)
		if err != nil || len(remnants) != 2 {
			t.Errorf("volumes that stayed: %+v %v", remnants, err)
		}
		if images, err := b.db.Remnants(t.Context(), b.host.ID, store.RemnantImage); err != nil || len(images) != 1 || images[0].Name != image {
			t.Errorf("images that stayed: %+v %v", images, err)
		}
	})
}

// What a plan says of an undo, and what then is kept.
func TestArchiveIsWhatThePlanSays(t *testing.T) {
	cases := []struct {
		name    string
		prepare func(b *undoBed)
		layer   bool
		lacks   string // a part of what the plan says; empty: nothing
		note    string // a part of what the archive says
	}{
		{"it wrote something", func(*undoBed) {}, true, "", ""},
		{"it wrote nothing", func(b *undoBed) { b.inst, b.ct = b.plant("idle", 20, func(t *dockertest.Template) { t.SizeRw = 0 }) }, false, "", ""},
		{"it wrote more than is kept", func(b *undoBed) {
			b.settings(func(s *store.Settings) { s.ArchiveLayerMax = 4 })
		}, false, "5 B in 1 file, such as /tmp/file) is not kept: it is larger than archive_layer_max_bytes, which is 4 B", "larger than"},
		{"as much as is kept", func(b *undoBed) { b.settings(func(s *store.Settings) { s.ArchiveLayerMax = 5 }) }, true, "", ""},
		{"nothing is ever kept", func(b *undoBed) {
			b.settings(func(s *store.Settings) { s.ArchiveLayerMax = 0 })
		}, false, "archive_layer_max_bytes is 0", "archive_layer_max_bytes is 0"},
		{"its size cannot be told", func(b *undoBed) {
			b.engine.Fail(dockertest.Fault{On: `^GET /containers/[0-9a-f]+/json\?size=1`, Status: 500})
		}, false, "its size could not be told in time", "its size could not be told"},
		{"what it wrote cannot be told while planning", func(b *undoBed) {
			b.engine.Fail(dockertest.Fault{On: `/changes`, Times: 1, Hang: true})
		}, true, "whether it wrote outside of its volumes could not be told", ""},
		{"somebody removed its container before", func(b *undoBed) { b.ct.Remove() }, false, "its container is gone", "its container was gone"},
		{"its log driver keeps nothing", func(b *undoBed) {
			b.engine.Fail(dockertest.Fault{On: `/logs`, Status: 500, Body: `{"message":"configured logging driver does not support reading"}`})
		}, true, "", ""},
		{"its log cannot be read", func(b *undoBed) { b.engine.Fail(dockertest.Fault{On: `/logs`, Status: 500}) }, true, "", ""},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			inUndoBed(t, func(t *testing.T, b *undoBed) {
				c.prepare(b)
				plan := b.plan(Selection{InstanceID: b.inst.ID})
				said := strings.Join(plan.Items[0].Details.NotRestored, "; ")
				if c.lacks == "" && said != "" || !strings.Contains(said, c.lacks) {
					t.Errorf("the plan says %q, want %q", said, c.lacks)
				}
				if kept := plan.Items[0].Details.LayerKept; kept != (c.layer && c.lacks == "") {
					t.Errorf("the plan says that the layer is kept: %v", kept)
				}
				b.want(b.apply(plan), b.inst, store.ResultRemoved)
				a := b.archives(b.inst)[0]
				if (a.LayerImage != "") != c.layer || c.note == "" && a.LayerNote != "" || !strings.Contains(a.LayerNote, c.note) {
					t.Errorf("layer %q, note %q", a.LayerImage, a.LayerNote)
				}
				if len(b.kept()) != len(strings.Fields(a.KeepRef+" "+a.LayerImage)) {
					t.Errorf("on the engine: %v", b.kept())
				}
			})
		})
	}
}

// Without a copy nothing is removed, and what was made of it goes.
func TestNoCopyNoRemoval(t *testing.T) {
	cases := []struct {
		name  string
		since func(b *undoBed) // between plan and apply
		want  store.CleanupResult
		says  string
	}{
		{"the disk is full", func(b *undoBed) {
			b.engine.Fail(dockertest.Fault{On: `^POST /commit`, Status: 500, Body: `{"message":"write /x: no space left on device"}`})
		}, store.ResultError, "archive_layer_max_bytes below that"},
		{"the commit hangs", func(b *undoBed) { b.engine.Fail(dockertest.Fault{On: `^POST /commit`, Hang: true}) }, store.ResultTimeout, "could not be kept"},
		{"the image cannot be tagged", func(b *undoBed) {
			b.engine.Fail(dockertest.Fault{On: `^POST /images/.*/tag`, Status: 500})
		}, store.ResultError, "its image could not be kept"},
		{"the image is gone since the plan", func(b *undoBed) {
			b.engine.Fail(dockertest.Fault{On: `^POST /images/.*/tag`, Status: 404})
		}, store.ResultError, "is gone from the engine"},
		{"what it wrote cannot be asked", func(b *undoBed) { b.engine.Fail(dockertest.Fault{On: `/changes`, Status: 500}) }, store.ResultError, "whether it changed files"},
		{"less is kept than the plan said", func(b *undoBed) { b.settings(func(s *store.Settings) { s.ArchiveLayerMax = 1 }) }, store.ResultChanged, "the plan did not say"},
		{"it grew beyond what is kept", func(b *undoBed) {
			b.settings(func(s *store.Settings) { s.ArchiveLayerMax = 6 })
			b.ct.Write("/tmp/more", "more than that")
		}, store.ResultChanged, "the plan did not say"},
		{"revived between archive and delete", func(b *undoBed) {
			b.gate.hook(nil, func(method, path string) {
				if strings.HasPrefix(path, "/v") && strings.HasSuffix(path, "/commit") && method == "POST" {
					b.ct.Start()
				}
			})
		}, store.ResultRevived, "runs again"},
		{"run once more between archive and delete", func(b *undoBed) {
			b.gate.hook(nil, func(method, path string) {
				if strings.HasSuffix(path, "/commit") && method == "POST" {
					b.ct.Start()
					b.ct.Exit(0)
				}
			})
		}, store.ResultRevived, "it was started at"},
		{"pinned between archive and delete", func(b *undoBed) {
			b.gate.hook(nil, func(method, path string) {
				if strings.HasSuffix(path, "/commit") && method == "POST" {
					b.pin(b.inst.ID)
				}
			})
		}, store.ResultKept, "pinned"},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			inUndoBed(t, func(t *testing.T, b *undoBed) {
				plan := b.plan(Selection{InstanceID: b.inst.ID})
				c.since(b)
				done := b.apply(plan)
				b.gate.hook(nil, nil)
				b.want(done, b.inst, c.want)
				if item := done.Items[0]; !strings.Contains(item.ResultDetail, c.says) {
					t.Errorf("says %q, want %q", item.ResultDetail, c.says)
				}
				if !b.ct.Facts().Exists || len(b.engine.Removes()) > 0 {
					t.Errorf("a delete was asked for: %v", b.engine.Removes())
				}
				b.settled()
				b.wantNothingKept(b.inst)
			})
		})
	}
}

func TestPausedIsArchivedAsItsStopLeftIt(t *testing.T) {
	inUndoBed(t, func(t *testing.T, b *undoBed) {
		inst, ct := b.plant("paused", 20, func(t *dockertest.Template) {
			pausedTemplate(t)
			t.SizeRw, t.Volumes = 0, nil
		})
		ct.Write("/tmp/state", "before")
		b.gate.hook(func(method, path string) {
			if strings.HasSuffix(path, "/stop") {
				ct.Write("/tmp/state", "saved on its way out")
			}
		}, nil)
		a := b.removed(inst)
		b.gate.hook(nil, nil)
		view := b.restored(a, Choices{})
		if got, _ := b.engine.Container(view.ContainerID).Read("/tmp/state"); got != "saved on its way out" {
			t.Errorf("kept %q", got)
		}
		if len(b.kept()) != 2 {
			t.Errorf("on the engine: %v", b.kept())
		}
	})
}

func TestImageGoneWhenPlannedIsSaidAndHeeded(t *testing.T) {
	inUndoBed(t, func(t *testing.T, b *undoBed) {
		stop := b.engine.Fail(dockertest.Fault{On: `^(GET|POST) /images/sha256`, Status: 404})
		plan := b.plan(Selection{InstanceID: b.inst.ID})
		if d := plan.Items[0].Details; !d.ImageGone || !d.LayerLost || d.LayerKept || len(d.NotRestored) != 2 {
			t.Errorf("planned %+v", d)
		}
		b.want(b.apply(plan), b.inst, store.ResultRemoved)
		stop()
		if a := b.archives(b.inst)[0]; a.KeepRef != "" || a.LayerImage != "" || !strings.Contains(a.LayerNote, "its image is gone") {
			t.Errorf("archive %+v", a)
		}
	})
}

// What cannot be taken away at once is taken away later, and keeps nobody waiting.
func TestDiscardIsTriedAgain(t *testing.T) {
	inUndoBed(t, func(t *testing.T, b *undoBed) {
		plan := b.plan(Selection{InstanceID: b.inst.ID})
		b.engine.Fail(dockertest.Fault{On: `^POST /commit`, LoseReply: true})
		b.engine.Fail(dockertest.Fault{On: `^DELETE /images/`, Status: 500})
		b.want(b.apply(plan), b.inst, store.ResultError)
		if all := b.archives(b.inst); len(all) != 1 || all[0].State != store.ArchiveMaking {
			t.Errorf("archives %+v", all)
		}
		if err := b.cleaner.Recover(t.Context()); err != nil {
			t.Errorf("it keeps a recovery waiting: %v", err)
		}
		b.engine.ClearFaults()
		if item := b.apply(b.plan(Selection{InstanceID: b.inst.ID})).Items[0]; item.Result != store.ResultRemoved {
			t.Errorf("%s (%s)", item.Result, item.ResultDetail)
		}
		if len(b.kept()) != 4 {
			t.Fatalf("on the engine: %v", b.kept())
		}
		b.settled()
		if all := b.archives(b.inst); len(all) != 1 || all[0].State != store.ArchiveReady || len(b.kept()) != 2 {
			t.Errorf("archives %+v, on the engine %v", all, b.kept())
		}
	})
}

// A removal costs an engine little more than the delete: how much is the budget of a benchmark.
func TestCallsOfARemoval(t *testing.T) {
	inBed(t, func(t *testing.T, b *cleanBed) {
		inst, _ := b.plant("idle", 20, func(t *dockertest.Template) { t.SizeRw = 0 })
		plan := b.plan(Selection{InstanceID: inst.ID})
		b.engine.ResetCalls()
		b.want(b.apply(plan), inst, store.ResultRemoved)
		want := map[string]int{
			"GET /_ping": 0, "GET /info": 1, "GET /containers/{id}/json": 2, "GET /containers/{id}/logs": 1,
			"GET /images/{name}/json": 1, "POST /images/{name}/tag": 1, "DELETE /containers/{id}": 1,
		}
		got := b.engine.Counts()
		total := 0
		for _, n := range got {
			total += n
		}
		if total > 7 {
			t.Errorf("%d calls: %v, want about %v", total, got, want)
		}
	})
}

// Each request of a removal goes wrong in each way: either all is removed and can be brought back, or nothing is.
func TestRemovalWithEachRequestGoingWrong(t *testing.T) {
	wrong := map[string]dockertest.Fault{
		"refused": {Reset: true}, "unheard": {LoseReply: true}, "failing": {Status: 500}, "hanging": {Hang: true},
	}
	for how, fault := range wrong {
		t.Run(how, func(t *testing.T) {
			for n := 0; ; n++ {
				over := false
				inUndoBed(t, func(t *testing.T, b *undoBed) {
					plan := b.plan(Selection{InstanceID: b.inst.ID})
					b.engine.ResetCalls()
					fault.On, fault.Skip, fault.Times = `.`, n, 1
					b.engine.Fail(fault)
					done := b.apply(plan)
					over = len(b.engine.Requests(".")) <= n
					b.settled()
					b.wantAllOrNothing(t, fmt.Sprintf("request %d", n), itemOfInstance(done, b.inst.ID))
				})
				if over || t.Failed() {
					break
				}
			}
		})
	}
}

func (b *undoBed) wantAllOrNothing(t *testing.T, when string, item store.PlanItem) {
	t.Helper()
	_, err := b.db.Instance(t.Context(), b.inst.ID)
	all := b.archives(b.inst)
	if err == nil {
		if !b.ct.Facts().Exists || len(all) > 0 || len(b.kept()) > 0 {
			t.Errorf("%s (%s, %s): row there, container there %v, archives %+v, on the engine %v", when, item.Result, item.ResultDetail, b.ct.Facts().Exists, all, b.kept())
		}
		return
	}
	if !errors.Is(err, store.ErrNotFound) || b.ct.Facts().Exists || len(all) != 1 || all[0].State != store.ArchiveReady {
		t.Errorf("%s (%s, %s): row gone, container there %v, archives %+v, %v", when, item.Result, item.ResultDetail, b.ct.Facts().Exists, all, err)
		return
	}
	b.wantBack(b.restored(all[0], Choices{}), b.inst.Name)
}

func TestExpiry(t *testing.T) {
	inUndoBed(t, func(t *testing.T, b *undoBed) {
		a := b.removed(b.inst)
		time.Sleep(14*24*time.Hour - time.Second)
		if n, err := b.cleaner.ExpireArchives(t.Context()); n != 0 || err != nil {
			t.Errorf("%d expired too early, %v", n, err)
		}
		time.Sleep(time.Second)
		stop := b.engine.Fail(dockertest.Fault{On: `.`, Reset: true})
		if n, err := b.cleaner.ExpireArchives(t.Context()); n != 0 || err == nil {
			t.Errorf("%d expired on an engine that does not answer, %v", n, err)
		}
		stop()
		if n, err := b.cleaner.ExpireArchives(t.Context()); n != 1 || err != nil {
			t.Errorf("%d expired, %v", n, err)
		}
		if len(b.kept()) > 0 || len(b.archives(b.inst)) > 0 {
			t.Errorf("left %v %+v", b.kept(), b.archives(b.inst))
		}
		b.wantEvent("archive.expired", b.inst.ID, 1)
		_, err := b.cleaner.Restore(t.Context(), a.ID, Choices{}, "user:anna")
		wantErr(t, err, store.ErrNotFound)
		if !slices.Contains(b.engine.Images(), "shop:1.0") || len(b.engine.Volumes()) != 2 {
			t.Errorf("images %v, volumes %v: expiry takes nothing but its own", b.engine.Images(), b.engine.Volumes())
		}
	})
}

// The last name of an image is not for us to take, and an image that somebody uses stays.
func TestDeleteLeavesWhatOthersNeed(t *testing.T) {
	t.Run("the last name of the image", func(t *testing.T) {
		inUndoBed(t, func(t *testing.T, b *undoBed) {
			a := b.removed(b.inst)
			if _, err := b.adapter.RemoveImage(t.Context(), "shop:1.0"); err != nil {
				t.Fatal(err)
			}
			if err := b.cleaner.DeleteArchive(t.Context(), a.ID, "user:anna"); err != nil {
				t.Fatal(err)
			}
			if !slices.Equal(b.kept(), []string{a.KeepRef}) {
				t.Errorf("on the engine: %v", b.kept())
			}
			remnants, err := b.db.Remnants(t.Context(), b.host.ID, store.RemnantImage)
			if err != nil || len(remnants) != 1 || !slices.Contains(remnants[0].Refs, a.KeepRef) {
				t.Errorf("remembered: %+v %v", remnants, err)
			}
		})
	})
	t.Run("the layer of one that was restored", func(t *testing.T) {
		inUndoBed(t, func(t *testing.T, b *undoBed) {
			a := b.removed(b.inst)
			view := b.restored(a, Choices{})
			if err := b.cleaner.DeleteArchive(t.Context(), a.ID, "user:anna"); err != nil {
				t.Fatal(err)
			}
			b.wantBack(view, b.inst.Name)
			if !slices.Equal(b.kept(), []string{a.LayerImage}) {
				t.Errorf("on the engine: %v", b.kept())
			}
		})
	})
	t.Run("another engine answers", func(t *testing.T) {
		inUndoBed(t, func(t *testing.T, b *undoBed) {
			a := b.removed(b.inst)
			b.engine.SetEngineID("ANOTHER")
			wantErr(t, b.cleaner.DeleteArchive(t.Context(), a.ID, "user:anna"), ErrFrozen)
			if all := b.archives(b.inst); len(all) != 1 || all[0].State != store.ArchiveReady || len(b.kept()) != 2 {
				t.Errorf("archives %+v, on the engine %v", all, b.kept())
			}
		})
	})
}
