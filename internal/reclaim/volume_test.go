package reclaim

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/tiny-forge/docker-watcher/internal/docker"
	"github.com/tiny-forge/docker-watcher/internal/docker/dockertest"
	"github.com/tiny-forge/docker-watcher/internal/store"
)

// hasVolume puts a container with a volume there and returns the volume's name.
func (b *bed) hasVolume(mount string) (name string, ct *dockertest.Container) {
	b.t.Helper()
	before := b.engine.Volumes()
	ct = b.engine.Add(dockertest.Template{Name: "with-" + strings.Trim(strings.ReplaceAll(mount, ":", ""), "/"), Image: shop, State: dockertest.Exited, Volumes: []string{mount}})
	for _, v := range b.engine.Volumes() {
		if !slices.Contains(before, v) {
			return v, ct
		}
	}
	b.t.Fatal("no volume was made")
	return "", nil
}

// usedVolume is a volume that a removed instance left.
func (b *bed) usedVolume(mount string) string {
	b.t.Helper()
	name, ct := b.hasVolume(mount)
	ct.Remove()
	b.update(func(ctx context.Context, tx *store.Tx) error {
		return tx.PutRemnants(ctx, []store.Remnant{{
			HostID: b.host.ID, Kind: store.RemnantVolume, Name: name, Anonymous: !strings.Contains(mount, ":"), InstanceID: store.NewID(),
			Instance: "shop-dev-gone", Project: "shop", Stage: "dev", LastUsedAt: time.Now().AddDate(0, 0, -20), RemovedAt: time.Now(),
		}})
	})
	return name
}

func TestVolumes(t *testing.T) {
	for _, c := range []struct {
		name      string
		make      func(b *bed) string
		breakUndo bool
		listed    bool
		refusal   string // empty: it is removed
	}{
		{"anonymous, left by a removed instance", func(b *bed) string { return b.usedVolume("/data") }, false, true, ""},
		{"named, left by a removed instance", func(b *bed) string { return b.usedVolume("orders:/data") }, false, true, "docker volume rm orders"},
		{"named, and an undo may be broken", func(b *bed) string { return b.usedVolume("orders:/data") }, true, true, "docker volume rm orders"},
		{"anonymous, a present instance has it", func(b *bed) string {
			name, ct := b.hasVolume("/data")
			b.plant("", func(i *store.Instance) { i.ContainerID = ct.ID })
			return name
		}, true, true, "in use by shop-dev-here"},
		{"anonymous, somebody's container has it now", func(b *bed) string {
			name := b.usedVolume("/data")
			b.engine.Add(dockertest.Template{Name: "theirs", Image: shop, State: dockertest.Created, Volumes: []string{name + ":/data"}})
			return name
		}, true, true, "in use by"},
		{"anonymous, an archive needs it", func(b *bed) string {
			name := b.usedVolume("/data")
			b.keep("sha256:none", func(a *store.Archive) {
				a.Volumes = []store.ArchivedVolume{{Name: name, Target: "/data", Anonymous: true}}
			})
			return name
		}, false, true, "1 archive"},
		{"anonymous, an archive needs it and may not be restored", func(b *bed) string {
			name := b.usedVolume("/data")
			b.keep("sha256:none", func(a *store.Archive) {
				a.Volumes = []store.ArchivedVolume{{Name: name, Target: "/data", Anonymous: true}}
			})
			return name
		}, true, true, ""},
		{"somebody's anonymous one", func(b *bed) string {
			name, ct := b.hasVolume("/data")
			ct.Remove()
			return name
		}, true, false, "no instance of ours has used it"},
		{"somebody's, and in use", func(b *bed) string {
			name, _ := b.hasVolume("/data")
			return name
		}, true, false, "no instance of ours has used it"},
		{"none such", func(*bed) string { return strings.Repeat("a", 64) }, true, false, "no such volume"},
		{"a frozen host", func(b *bed) string {
			name := b.usedVolume("/data")
			b.freeze()
			return name
		}, false, true, "frozen"},
	} {
		t.Run(c.name, func(t *testing.T) {
			inBed(t, dockertest.Options{}, func(t *testing.T, b *bed) {
				bystander, _ := b.hasVolume("bystander:/data")
				name := c.make(b)
				had := slices.Contains(b.engine.Volumes(), name)
				at := slices.IndexFunc(b.look().Volumes, func(v Volume) bool { return v.Name == name })
				if (at >= 0) != c.listed {
					t.Fatalf("listed: %v", at >= 0)
				}
				if at >= 0 {
					v := b.look().Volumes[at]
					if v.Removable != (c.refusal == "" && !c.breakUndo) || v.Removable != (v.Why == "") {
						t.Errorf("removable %v: %q", v.Removable, v.Why)
					}
				}
				err := b.RemoveVolume(t.Context(), b.host.ID, name, c.breakUndo, "user:anna")
				if c.refusal == "" {
					if err != nil {
						t.Fatal(err)
					}
					b.wantEvents("volume.removed", 1)
				} else {
					b.wantRefused(err, ErrRefused, c.refusal)
					b.wantEvents("volume.removed", 0)
				}
				if is := slices.Contains(b.engine.Volumes(), name); is != (had && c.refusal != "") {
					t.Errorf("there: %v", is)
				}
				if !slices.Contains(b.engine.Volumes(), bystander) {
					t.Error("somebody else's volume is gone")
				}
			})
		})
	}
}

// TestVolumeTakenASecondAgo: a container that mounts it between our look and the delete wins.
func TestVolumeTakenASecondAgo(t *testing.T) {
	inBed(t, dockertest.Options{}, func(t *testing.T, b *bed) {
		name := b.usedVolume("/data")
		b.engine.Fail(dockertest.Fault{On: `^DELETE /volumes`, Delay: 10 * time.Second})
		go func() {
			time.Sleep(5 * time.Second)
			b.engine.Add(dockertest.Template{Name: "theirs", Image: shop, State: dockertest.Created, Volumes: []string{name + ":/data"}})
		}()
		err := b.RemoveVolume(t.Context(), b.host.ID, name, false, "user:anna")
		b.wantRefused(err, ErrRefused, "in use")
		if !errors.Is(err, docker.ErrConflict) || !slices.Contains(b.engine.Volumes(), name) {
			t.Error(err)
		}
	})
}
