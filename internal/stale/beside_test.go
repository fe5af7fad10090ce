package stale

import (
	"strings"
	"testing"
	"time"

	"github.com/tiny-forge/docker-watcher/internal/docker/dockertest"
	"github.com/tiny-forge/docker-watcher/internal/store"
)

// What a recovery has listed may have ended before it gets to it: it acts on what is so now.
func TestRecoveryOfWhatHasEndedMeanwhile(t *testing.T) {
	// seen runs a step with a look at the only archive right before a request of it.
	seen := func(b *undoBed, method, suffix string, step func()) store.Archive {
		var a store.Archive
		b.gate.hook(func(m, path string) {
			if m == method && strings.HasSuffix(path, suffix) && a.ID == "" {
				a = b.archives(b.inst)[0]
			}
		}, nil)
		step()
		b.gate.hook(nil, nil)
		if a.ID == "" {
			b.t.Fatal("there was no such request")
		}
		return a
	}
	t.Run("a removal", func(t *testing.T) {
		inUndoBed(t, func(t *testing.T, b *undoBed) {
			var ready store.Archive
			a := seen(b, "DELETE", b.ct.ID, func() { ready = b.removed(b.inst) })
			if a.State != store.ArchiveMaking {
				t.Fatalf("seen as %s", a.State)
			}
			if err := b.cleaner.recoverForgotten(t.Context(), b.cleaner.openHostBook(), a); err != nil {
				t.Error(err)
			}
			b.wantEvent("archive.discarded", b.inst.ID, 0)
			b.wantBack(b.restored(ready, Choices{}), b.inst.Name)
		})
	})
	t.Run("a restore", func(t *testing.T) {
		inUndoBed(t, func(t *testing.T, b *undoBed) {
			ready := b.removed(b.inst)
			var view store.InstanceView
			a := seen(b, "POST", "/containers/create", func() { view = b.restored(ready, Choices{}) })
			if a.State != store.ArchiveRestoring {
				t.Fatalf("seen as %s", a.State)
			}
			if err := b.cleaner.recoverRestore(t.Context(), b.cleaner.openHostBook(), a); err != nil {
				t.Error(err)
			}
			b.wantBack(view, b.inst.Name)
		})
	})
	t.Run("a removal that was taken back", func(t *testing.T) {
		inBed(t, func(t *testing.T, b *cleanBed) {
			inst, ct := b.plant("shop-preview-a", 20, nil)
			b.leftUnderWay(inst, store.RemovalDeleting)
			rows, err := b.db.Removals(t.Context())
			if err != nil || len(rows) != 1 {
				t.Fatalf("%+v %v", rows, err)
			}
			b.update(func(tx *store.Tx) error { return tx.TakeBackRemoval(t.Context(), inst.ID) })
			if err := b.cleaner.recoverRemoval(t.Context(), b.cleaner.openHostBook(), rows[0]); err != nil {
				t.Error(err)
			}
			if !ct.Facts().Exists || len(b.engine.Removes()) > 0 {
				t.Error("a container was removed for which no removal is under way")
			}
		})
	})
}

// A clock that jumps ahead ends no archive until it has gone steadily for a warm-up.
func TestNoArchiveExpiresByAClockThatIsTurned(t *testing.T) {
	inUndoBed(t, func(t *testing.T, b *undoBed) {
		a := b.removed(b.inst)
		if _, err := b.cleaner.ExpireArchives(t.Context()); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Hour)
		b.cleaner.auto.wall = func() time.Time { return time.Now().Round(0).Add(30 * 24 * time.Hour) }
		if n, err := b.cleaner.ExpireArchives(t.Context()); n != 0 || err != nil {
			t.Errorf("%d expired, %v", n, err)
		}
		b.cleaner.auto.wall = time.Now
		if n, err := b.cleaner.ExpireArchives(t.Context()); n != 0 || err != nil {
			t.Errorf("%d expired when it was turned back, %v", n, err)
		}
		b.wantBack(b.restored(a, Choices{}), b.inst.Name)
	})
}

// Switched off is off: also for a removal whose archive is being made, and for one that a crash or a host that was away cut short.
func TestSwitchedOffInTheMiddle(t *testing.T) {
	t.Run("while the archive is made", func(t *testing.T) {
		inAutoBed(t, func(t *testing.T, b *autoBed) {
			inst, ct := b.ripe("web", func(t *dockertest.Template) { t.SizeRw = 0 })
			ct.Write("/tmp/file", "layer")
			off := false
			b.gate.hook(func(_, path string) {
				if strings.HasSuffix(path, "/commit") && !off {
					off = true
					b.settings(func(s *store.Settings) { s.AutoCleanup = false })
				}
			}, nil)
			b.planned()
			b.live(time.Hour)
			if !off {
				t.Fatal("nothing was archived")
			}
			b.wantThere(inst)
			b.wantNothingKept(inst)
		})
	})
	t.Run("after a crash", func(t *testing.T) {
		for name, on := range map[string]bool{"off": false, "on": true} {
			t.Run(name, func(t *testing.T) {
				inAutoBed(t, func(t *testing.T, b *autoBed) {
					inst, _ := b.ripe("web", nil)
					plan := b.planned()
					item := itemOfInstance(plan, inst.ID)
					view := b.get(inst.ID)
					b.update(func(tx *store.Tx) error {
						if err := tx.ClaimPlan(t.Context(), plan.ID, autoActor, b.now()); err != nil {
							return err
						}
						return tx.BeginRemoval(t.Context(), store.Removal{
							InstanceID: inst.ID, PlanID: plan.ID, HostID: inst.HostID, ContainerID: inst.ContainerID, Former: view.Status,
							Step: store.RemovalDeleting, StartedAt: item.StartedAt, FinishedAt: item.FinishedAt,
							RestartCount: item.RestartCount, Labels: item.Labels, Actor: autoActor, CreatedAt: b.now(),
						}, view.Revision)
					})
					b.settings(func(s *store.Settings) { s.AutoCleanup = on })
					if err := b.cleaner.Recover(t.Context()); err != nil {
						t.Error(err)
					}
					if there := b.there(inst); there == on {
						t.Errorf("it is there: %v", there)
					}
				})
			})
		}
	})
}
