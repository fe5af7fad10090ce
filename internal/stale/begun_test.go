package stale

import (
	"testing"

	"github.com/tiny-forge/docker-watcher/internal/docker/dockertest"
	"github.com/tiny-forge/docker-watcher/internal/store"
)

// What an engine has begun to delete cannot be copied again: the copy that was made before stays, whatever the result says.
func TestTheArchiveStaysOnceTheDeleteHasBegun(t *testing.T) {
	cases := map[string]struct {
		spoil func(ct *dockertest.Container)
		want  store.CleanupResult
	}{
		"left dead":     {func(ct *dockertest.Container) { ct.FailRemoval("device busy") }, store.ResultError},
		"still removed": {(*dockertest.Container).StickRemoval, store.ResultTimeout},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			inUndoBed(t, func(t *testing.T, b *undoBed) {
				plan := b.plan(Selection{InstanceID: b.inst.ID})
				c.spoil(b.ct)
				b.want(b.apply(plan), b.inst, c.want)
				if _, err := b.cleaner.ExpireArchives(t.Context()); err != nil {
					t.Error(err)
				}
				b.ct.Unstick()
				b.ct.Remove() // the engine comes to its end with it
				if all := b.archives(b.inst); len(all) != 1 || all[0].State != store.ArchiveReady || all[0].LayerImage == "" {
					t.Fatalf("archives %+v", all)
				}
				first := b.archives(b.inst)[0]
				_, err := b.cleaner.Restore(t.Context(), first.ID, Choices{}, "user:ben")
				wantErr(t, err, ErrConflicts) // its row is there
				b.alter(b.inst.ID, func(i *store.Instance) { i.Status, i.Class = store.StatusMissing, store.ClassMissing })
				if done := b.apply(b.plan(Selection{InstanceID: b.inst.ID})); done.Items[0].Result != store.ResultRemoved {
					t.Fatalf("%+v", done.Items[0])
				}
				b.wantBack(b.restored(first, Choices{}), b.inst.Name)
			})
		})
	}
}
