package reclaim

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/tiny-forge/docker-watcher/internal/docker/dockertest"
	"github.com/tiny-forge/docker-watcher/internal/store"
	"github.com/tiny-forge/docker-watcher/internal/store/storetest"
)

const shop = "registry.example/shop:1.0"

// TestWhatKeepsAnImage: one that nobody needs may go; every reason to keep it is enough, and is said.
func TestWhatKeepsAnImage(t *testing.T) {
	for _, c := range []struct {
		name string
		make func(b *bed) (id string)
		why  string // empty: reclaimable
	}{
		{"nobody needs it", func(b *bed) string { return b.left(shop) }, ""},
		{"without a name, its tag has moved on", func(b *bed) string {
			id := b.left(shop)
			b.engine.AddImage(dockertest.Image{Ref: shop, ID: "sha256:" + strings.Repeat("b", 64)})
			return id
		}, ""},
		{"a tag of an archive of ours that has expired", func(b *bed) string {
			id := b.left(shop)
			b.tag(id, store.ArchiveRepository+":ours")
			b.used(id, shop, store.ArchiveRepository+":ours")
			return id
		}, ""},
		{"the tag of an archive that was restored", func(b *bed) string {
			id := b.left(shop)
			a := b.keep(id)
			b.tag(id, a.KeepRef)
			b.update(func(ctx context.Context, tx *store.Tx) error {
				return errors.Join(tx.BeginRestore(ctx, a.ID, "{}"), tx.MarkRestored(ctx, a.ID, "user:anna", time.Now()))
			})
			return id
		}, ""},
		{"a second name of ours", func(b *bed) string {
			id := b.left(shop)
			b.tag(id, "registry.example/shop:stable")
			b.used(id, "registry.example/shop:stable")
			return id
		}, ""},
		{"docker's short name of it", func(b *bed) string {
			id := b.brought("nginx:1.27")
			b.used(id, "docker.io/library/nginx:1.27")
			return id
		}, ""},
		{"an unrelated container of another image", func(b *bed) string {
			b.engine.Add(dockertest.Template{Name: "other", Image: "other:1"})
			return b.left(shop)
		}, ""},
		{"another image with the same layers", func(b *bed) string {
			id := b.left(shop)
			b.engine.AddImage(dockertest.Image{Ref: "other:1", Size: 12 << 20, Base: shop})
			return id
		}, ""},
		{"there before us", func(b *bed) string {
			id := b.engine.AddImage(dockertest.Image{Ref: shop})
			b.note(id, shop, true)
			b.used(id, shop)
			return id
		}, "here before"},
		{"nobody knows who brought it", func(b *bed) string {
			id := b.engine.AddImage(dockertest.Image{Ref: shop})
			b.used(id, shop)
			return id
		}, "not known who brought it"},
		{"no removed instance used it", func(b *bed) string { return b.brought(shop) }, "no removed instance"},
		{"a stopped instance uses it", func(b *bed) string {
			id := b.left(shop)
			b.plant(id)
			return id
		}, "shop-dev-here"},
		{"kept for rollback", func(b *bed) string {
			id := b.left(shop)
			b.plant(id, func(i *store.Instance) { i.RollbackKept = true })
			return id
		}, "1 instance of ours"},
		{"an archive keeps it", func(b *bed) string {
			id := b.left(shop)
			b.keep(id)
			return id
		}, "1 archive"},
		{"an archive that is being restored keeps it", func(b *bed) string {
			id := b.left(shop)
			a := b.keep(id)
			b.tag(id, a.KeepRef)
			b.update(func(ctx context.Context, tx *store.Tx) error { return tx.BeginRestore(ctx, a.ID, "{}") })
			return id
		}, "1 archive"},
		{"an archive of another host on the same engine keeps it", func(b *bed) string {
			id := b.left(shop)
			a := b.keep(id, func(a *store.Archive) { a.HostID = storetest.Host(b.t, b.db).ID })
			b.tag(id, a.KeepRef)
			return id
		}, "1 archive"},
		{"an archive that shares the tag of one that was restored keeps it", func(b *bed) string {
			id := b.left(shop)
			restored := b.keep(id)
			b.tag(id, restored.KeepRef)
			b.keep(id, func(a *store.Archive) {
				a.HostID, a.KeepRef = storetest.Host(b.t, b.db).ID, restored.KeepRef
			})
			b.update(func(ctx context.Context, tx *store.Tx) error {
				return errors.Join(tx.BeginRestore(ctx, restored.ID, "{}"), tx.MarkRestored(ctx, restored.ID, "user:anna", time.Now()))
			})
			return id
		}, "1 archive"},
		{"somebody's own name for it", func(b *bed) string {
			id := b.left(shop)
			b.tag(id, "mine:latest")
			return id
		}, "mine:latest"},
		{"the archive of another installation", func(b *bed) string {
			id := b.left(shop)
			b.tag(id, store.ArchiveRepository+":theirs")
			return id
		}, store.ArchiveRepository + ":theirs"},
		{"somebody's container that never ran", func(b *bed) string {
			id := b.left(shop)
			b.engine.Add(dockertest.Template{Name: "theirs", Image: shop, State: dockertest.Created})
			return id
		}, "1 container"},
		{"somebody's container of an image built on it", func(b *bed) string {
			id := b.left(shop)
			b.engine.AddImage(dockertest.Image{Ref: "other:1", Size: 12 << 20, Base: shop})
			b.engine.Add(dockertest.Template{Name: "theirs", Image: "other:1", State: dockertest.Exited})
			return id
		}, "1 container"},
		{"a deploy is under way", func(b *bed) string {
			id := b.left(shop)
			i := b.plant("", func(i *store.Instance) { i.ContainerID, i.Status = "", store.StatusPulling })
			b.update(func(ctx context.Context, tx *store.Tx) error {
				return tx.InsertDeploy(ctx, store.Deploy{
					ID: store.NewID(), ProjectID: i.ProjectID, StageID: i.StageID, HostID: i.HostID, InstanceID: i.ID,
					Image: "registry.example/shop", ImageTag: "2.0", State: store.DeployPulling, Actor: "user:anna", CreatedAt: time.Now(),
				})
			})
			return id
		}, "a deploy is under way"},
		{"who uses it cannot be asked", func(b *bed) string {
			id := b.left(shop)
			b.engine.Fail(dockertest.Fault{On: `^GET /containers/json`, Status: 500})
			return id
		}, "could not be asked"},
		{"a frozen host", func(b *bed) string {
			id := b.left(shop)
			b.freeze()
			return id
		}, "frozen"},
	} {
		t.Run(c.name, func(t *testing.T) {
			inBed(t, dockertest.Options{}, func(t *testing.T, b *bed) {
				id := c.make(b)
				got := b.image(id)
				if got.Reclaimable != (c.why == "") || !strings.Contains(got.Why, c.why) || got.Reclaimable != (got.Why == "") {
					t.Errorf("reclaimable %v: %q, want %q", got.Reclaimable, got.Why, c.why)
				}
				if c.why == "" {
					return
				}
				if plan, err := b.Plan(t.Context(), b.host.ID, nil, "user:anna"); err == nil && len(plan.Items) > 0 {
					t.Errorf("it was planned all the same: %+v", plan.Items)
				}
				_, err := b.Plan(t.Context(), b.host.ID, []string{id}, "user:anna")
				b.wantRefused(err, ErrRefused, c.why)
				if _, ok := b.there(id); !ok {
					t.Error("it is gone")
				}
			})
		})
	}
}

func (b *bed) freeze() {
	b.t.Helper()
	b.update(func(ctx context.Context, tx *store.Tx) error {
		b.host.FrozenSince, b.host.FrozenReason = time.Now(), "mass_change"
		return tx.UpdateHost(ctx, b.host)
	})
}

func TestImagesOfOthersAreNotListed(t *testing.T) {
	inBed(t, dockertest.Options{}, func(t *testing.T, b *bed) {
		b.engine.AddImage(dockertest.Image{Ref: "postgres:17"})
		foreign := b.engine.AddImage(dockertest.Image{Ref: "redis:8"})
		if got := b.look(); len(got.Images) != 0 || got.Bytes != 0 {
			t.Errorf("listed: %+v", got)
		}
		_, err := b.Plan(t.Context(), b.host.ID, []string{foreign}, "user:anna")
		b.wantRefused(err, ErrRefused, "not one that an instance of ours has used")
		if plan := b.plan(); len(plan.Items) != 0 {
			t.Errorf("planned: %+v", plan.Items)
		}
	})
}

// TestTagsOfArchivesAreListed, also where nothing else is known of their image.
func TestTagsOfArchivesAreListed(t *testing.T) {
	inBed(t, dockertest.Options{}, func(t *testing.T, b *bed) {
		orphan := b.engine.AddImage(dockertest.Image{Ref: store.ArchiveRepository + ":gone-layer"})
		needed := b.engine.AddImage(dockertest.Image{Ref: "shop:1"})
		a := b.keep(needed)
		b.tag(needed, a.KeepRef)
		for id, why := range map[string]string{
			orphan: "no archive that is known here has given it " + store.ArchiveRepository + ":gone-layer",
			needed: "1 archive needed for an undo",
		} {
			if got := b.image(id); got.Reclaimable || !strings.Contains(got.Why, why) {
				t.Errorf("%v: reclaimable %v: %q, want %q", got.Refs, got.Reclaimable, got.Why, why)
			}
			_, err := b.Plan(t.Context(), b.host.ID, []string{id}, "user:anna")
			b.wantRefused(err, ErrRefused, why)
		}
		if plan := b.plan(); len(plan.Items) != 0 {
			t.Errorf("planned: %+v", plan.Items)
		}
	})
}

func TestBytesAreNotCountedTwice(t *testing.T) {
	const mib = 1 << 20
	base := func(i *dockertest.Image) { i.Size = 100 * mib }
	on := func(i *dockertest.Image) { i.Base, i.Size = "base:1", 130*mib }
	inBed(t, dockertest.Options{}, func(t *testing.T, b *bed) {
		b.left("base:1", base)
		first, second := b.left("shop:1", on), b.left("shop:2", on)
		for _, id := range []string{first, second} {
			if got := b.image(id); got.Bytes != 30*mib || got.Size != 130*mib {
				t.Errorf("%v: %d bytes of %d, want 30 MiB of 130", got.Refs, got.Bytes, got.Size)
			}
		}
		// 160 MiB come back if all three go; that of them which no other image has is certain.
		if got := b.look().Bytes; got < 60*mib || got > 160*mib {
			t.Errorf("%d MiB in all, want 60 to 160", got/mib)
		}
	})
}

// TestNoImagesIsNotAnAnswer: a list that fails is not an empty one.
func TestNoImagesIsNotAnAnswer(t *testing.T) {
	inBed(t, dockertest.Options{}, func(t *testing.T, b *bed) {
		b.left(shop)
		b.engine.Fail(dockertest.Fault{On: `^GET /images/json`, Status: 500})
		if left, err := b.Look(t.Context(), b.host.ID); !errors.Is(err, ErrRefused) {
			t.Errorf("%+v, %v", left, err)
		}
		_, err := b.Plan(t.Context(), b.host.ID, nil, "user:anna")
		b.wantRefused(err, ErrRefused, "list the images")
	})
}

func TestKeptUntil(t *testing.T) {
	inBed(t, dockertest.Options{}, func(t *testing.T, b *bed) {
		id := b.left(shop)
		a := b.keep(id)
		got := b.image(id)
		if want := time.Now().AddDate(0, 0, 14); got.KeptUntil.Sub(want).Abs() > time.Minute || len(got.ArchiveIDs) != 1 || got.ArchiveIDs[0] != a.ID {
			t.Errorf("kept until %s by %v", got.KeptUntil, got.ArchiveIDs)
		}
		if got.LastUse.Instance != "shop-dev-gone" {
			t.Errorf("last used by %+v", got.LastUse)
		}
		b.update(func(ctx context.Context, tx *store.Tx) error { return tx.DeleteArchive(ctx, a.ID) }) // it expires
		if got := b.image(id); !got.Reclaimable {
			t.Errorf("after the archive: %q", got.Why)
		}
	})
}
