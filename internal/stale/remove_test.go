package stale

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/tiny-forge/docker-watcher/internal/docker"
	"github.com/tiny-forge/docker-watcher/internal/docker/dockertest"
	"github.com/tiny-forge/docker-watcher/internal/store"
)

// inHandBed has an instance that ran until a minute ago and is not stale.
func inHandBed(t *testing.T, test func(t *testing.T, b *undoBed)) {
	t.Helper()
	inUndoBed(t, func(t *testing.T, b *undoBed) {
		b.change(func(i *store.Instance) { i.StaleSince = time.Time{} })
		test(t, b)
	})
}

// change writes something of the instance.
func (b *undoBed) change(change func(*store.Instance)) {
	b.t.Helper()
	b.update(func(tx *store.Tx) error {
		was, err := tx.Instance(b.t.Context(), b.inst.ID)
		if err != nil {
			return err
		}
		next := was.Instance
		change(&next)
		return tx.RecordInstance(b.t.Context(), was.Instance, &next, b.now())
	})
}

func TestRemoveByHand(t *testing.T) {
	cases := []struct {
		name   string
		before func(b *undoBed)
		stop   bool
	}{
		{"stopped", func(*undoBed) {}, false},
		{"running, to be stopped", func(b *undoBed) { b.ct.Start() }, true},
		{"gone already", func(b *undoBed) { b.ct.Remove() }, false},
		{"kept for rollback, which is no pin", func(b *undoBed) {
			b.update(func(tx *store.Tx) error { return tx.SetRollbackKept(b.t.Context(), b.stage.ID, []string{b.inst.ID}) })
		}, false},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			inHandBed(t, func(t *testing.T, b *undoBed) {
				c.before(b)
				if err := b.cleaner.Remove(t.Context(), b.inst.ID, "user:anna", c.stop); err != nil {
					t.Fatal(err)
				}
				if b.ct.Facts().Exists {
					t.Error("the container is still there")
				}
				for _, r := range b.engine.Removes() {
					if q := r.Query; q.Get("force") == "1" || q.Get("v") == "1" {
						t.Errorf("removed by %s", r.Target())
					}
				}
				if _, err := b.db.Instance(t.Context(), b.inst.ID); !errors.Is(err, store.ErrNotFound) {
					t.Errorf("its row: %v", err)
				}
				b.wantNoRemovals()
				b.wantEvent("instance.removed", b.inst.ID, 1)
				b.wantEvent("archive.made", b.inst.ID, 1)
				all := b.archives(b.inst)
				if len(all) != 1 || all[0].State != store.ArchiveReady || all[0].PlanID != "" || all[0].Reason != "removed by hand" {
					t.Fatalf("archives %+v", all)
				}
				b.restored(all[0], Choices{})
				b.wantOne(b.inst.ID)
			})
		})
	}
}

func TestRemoveByHandIsRefused(t *testing.T) {
	cases := []struct {
		name   string
		before func(b *undoBed)
		want   error
		says   string
	}{
		{"running", func(b *undoBed) { b.ct.Start() }, ErrWrongState, "it is running: stop it first"},
		{"paused", func(b *undoBed) { b.ct.Start(); b.ct.Pause() }, ErrWrongState, "it is paused: stop it first"},
		{"stale", func(b *undoBed) { b.change(func(i *store.Instance) { i.StaleSince = b.now() }) }, ErrWrongState, "use the cleanup"},
		{"pinned", func(b *undoBed) { b.pin(b.inst.ID) }, ErrWrongState, "it is pinned"},
		{"being removed", func(b *undoBed) {
			b.update(func(tx *store.Tx) error {
				view, err := tx.Instance(b.t.Context(), b.inst.ID)
				if err != nil {
					return err
				}
				return tx.BeginRemoval(b.t.Context(), store.Removal{InstanceID: view.ID, HostID: view.HostID, ContainerID: view.ContainerID, Former: view.Status}, view.Revision)
			})
		}, ErrWrongState, "being removed already"},
		{"its stage is being deployed", func(b *undoBed) { b.startDeploy() }, ErrWrongState, "being deployed"},
		{"in somebody's hand", func(b *undoBed) { b.cleaner.ClaimBy(func(string) (func(), bool) { return nil, false }) }, ErrWrongState, "in hand"},
		{"another's container", func(b *undoBed) { b.ct.Label(docker.LabelInstallation, "another") }, docker.ErrNotOwned, "another owner"},
		{"its engine does not answer", func(b *undoBed) { b.engine.Fail(dockertest.Fault{On: `.`, Reset: true}) }, docker.ErrUnavailable, ""},
		{"another engine answers", func(b *undoBed) { b.engine.SetEngineID("ANOTHER") }, ErrFrozen, "another engine"},
		{"no copy can be made", func(b *undoBed) { b.engine.Fail(dockertest.Fault{On: `^POST /commit`, Status: 500}) }, nil, "no copy for an undo"},
		{"started in the last moment", func(b *undoBed) {
			b.gate.hook(nil, func(_, path string) {
				if strings.HasSuffix(path, "/commit") {
					b.ct.Start()
				}
			})
		}, ErrWrongState, "it runs again"},
		{"the engine says that it runs", func(b *undoBed) {
			b.engine.Fail(dockertest.Fault{On: `^DELETE /containers`, Status: 409, Body: `{"message":"You cannot remove a running container"}`})
		}, ErrWrongState, "cannot remove a running container"},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			inHandBed(t, func(t *testing.T, b *undoBed) {
				c.before(b)
				err := b.cleaner.Remove(t.Context(), b.inst.ID, "user:anna", false)
				if err == nil || c.want != nil && !errors.Is(err, c.want) || !strings.Contains(err.Error(), c.says) {
					t.Errorf("got %v, want %v that says %q", err, c.want, c.says)
				}
				if !b.ct.Facts().Exists {
					t.Error("it was removed")
				}
				if view, err := b.db.Instance(t.Context(), b.inst.ID); err != nil || view.Status == store.StatusRemoving && c.name != "being removed" {
					t.Errorf("its row: %s %v", view.Status, err)
				}
				b.gate.hook(nil, nil)
				b.engine.ClearFaults()
				if len(b.kept()) > 0 || len(b.archives(b.inst)) > 0 {
					t.Errorf("left: %v %+v", b.kept(), b.archives(b.inst))
				}
				b.wantEvent("instance.removed", b.inst.ID, 0)
			})
		})
	}
	t.Run("unknown", func(t *testing.T) {
		inHandBed(t, func(t *testing.T, b *undoBed) {
			wantErr(t, b.cleaner.Remove(t.Context(), "nope", "user:anna", true), store.ErrNotFound)
		})
	})
}
