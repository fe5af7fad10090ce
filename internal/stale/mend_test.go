package stale

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/tiny-forge/docker-watcher/internal/docker"
	"github.com/tiny-forge/docker-watcher/internal/docker/dockertest"
	"github.com/tiny-forge/docker-watcher/internal/store"
	"github.com/tiny-forge/docker-watcher/internal/store/storetest"
)

// TestMendContainer: a container without a row goes only by a yes for its full id, and only if it is still one.
func TestMendContainer(t *testing.T) {
	full := func(l store.Leftover) string { return l.Subject }
	for _, c := range []struct {
		name  string
		edit  func(*dockertest.Template)
		since func(b *scanBed, ct *dockertest.Container)
		yes   func(store.Leftover) string
		says  string // empty: mended
		gone  bool
	}{
		{"yes", nil, nil, full, "", true},
		{"it never ran", func(tpl *dockertest.Template) {
			tpl.State, tpl.Started, tpl.Finished = dockertest.Created, time.Time{}, time.Time{}
		}, nil, full, "", true},
		{"gone already", nil, func(_ *scanBed, ct *dockertest.Container) { ct.Remove() }, full, "", true},
		{"no yes", nil, nil, func(store.Leftover) string { return "" }, "full id", false},
		{"a plain yes", nil, nil, func(store.Leftover) string { return "yes" }, "full id", false},
		{"its name", nil, nil, func(l store.Leftover) string { return l.Name }, "full id", false},
		{"its short id", nil, nil, func(l store.Leftover) string { return l.Subject[:12] }, "full id", false},
		{"another's id", nil, nil, func(l store.Leftover) string { return strings.Repeat("f", 64) }, "full id", false},
		{"it runs", nil, func(_ *scanBed, ct *dockertest.Container) { ct.Start() }, full, "docker stop lost", false},
		{"it is paused", nil, func(_ *scanBed, ct *dockertest.Container) { ct.Start(); ct.Pause() }, full, "docker stop lost", false},
		{"somebody took our label off", nil, func(_ *scanBed, ct *dockertest.Container) {
			ct.Label(docker.LabelInstallation, "another")
		}, full, "label of this installation", false},
		{"Swarm has taken it", nil, func(_ *scanBed, ct *dockertest.Container) { ct.Label(docker.LabelSwarmTask, "task") }, full, "Swarm", false},
		{"it has got a row", nil, func(b *scanBed, ct *dockertest.Container) { b.adopt(ct) }, full, "has a row now", false},
		{"it has got a row, by another host", nil, func(b *scanBed, ct *dockertest.Container) { b.adopt(ct, b.underTwin()) }, full, "has a row now", false},
		{"a frozen host", nil, func(b *scanBed, _ *dockertest.Container) { b.freeze() }, full, "frozen", false},
		{"another engine", nil, func(b *scanBed, _ *dockertest.Container) { b.engine.SetEngineID("another") }, full, "another engine", false},
		{"it cannot be asked", nil, func(b *scanBed, _ *dockertest.Container) {
			b.engine.Fail(dockertest.Fault{On: `^GET /containers/[0-9a-f]{64}`, Status: 500})
		}, full, "could not be looked at", false},
		{"the engine cannot remove it", nil, func(_ *scanBed, ct *dockertest.Container) { ct.FailRemoval("driver busy") }, full, "driver busy", false},
	} {
		t.Run(c.name, func(t *testing.T) {
			inScanBed(t, dockertest.Options{}, func(t *testing.T, b *scanBed) {
				_, mine := b.run("shop")
				lost := b.stray("lost", "06gone", func(tpl *dockertest.Template) {
					tpl.Volumes = []string{"/data"}
					if c.edit != nil {
						c.edit(tpl)
					}
				})
				b.scan()
				l := b.wantLeftovers(store.LeftoverContainer)[0]
				if c.since != nil {
					c.since(b, lost)
				}
				err := b.newCleaner().Mend(t.Context(), l.ID, c.yes(l), "user:anna")
				b.wantMended(l, err, c.says)
				if (b.engine.Container(lost.ID) == nil) != c.gone {
					t.Errorf("gone: %v", !c.gone)
				}
				if b.engine.Container(mine.ID) == nil {
					t.Error("another container is gone")
				}
				if len(b.engine.Volumes()) != 1 {
					t.Errorf("its volume is gone: %v", b.engine.Volumes())
				}
			})
		})
	}
}

// wantMended checks the outcome and its one event; says is empty for a success.
func (b *scanBed) wantMended(l store.Leftover, err error, says string) {
	b.t.Helper()
	_, gone := b.db.Leftover(b.t.Context(), l.ID)
	if says == "" {
		if err != nil {
			b.t.Errorf("not mended: %v", err)
		}
		b.wantEvents("leftover.mended", 1)
		b.wantEvents("cleanup.refused", 0)
		if !errors.Is(gone, store.ErrNotFound) {
			b.t.Errorf("it is still listed: %v", gone)
		}
		return
	}
	if err == nil || !strings.Contains(err.Error(), says) {
		b.t.Errorf("got %v, want what says %q", err, says)
	}
	b.wantEvents("leftover.mended", 0)
	b.wantEvents("cleanup.refused", 1)
	if gone != nil {
		b.t.Errorf("it is listed no more: %v", gone)
	}
}

func (b *scanBed) freeze() {
	b.t.Helper()
	storetest.Update(b.t, b.db, func(ctx context.Context, tx *store.Tx) error {
		h, err := tx.Host(ctx, b.host.ID)
		if err != nil {
			return err
		}
		h.FrozenSince, h.FrozenReason = time.Now(), blindMassChange
		return tx.UpdateHost(ctx, h)
	})
}

func TestMendRow(t *testing.T) {
	for _, c := range []struct {
		name  string
		make  func(b *scanBed) store.Instance
		since func(b *scanBed, i store.Instance)
		says  string
	}{
		{"gone from the engine", func(b *scanBed) store.Instance {
			i, ct := b.deadOf("shop", day)
			ct.Remove()
			return i
		}, nil, ""},
		{"never made", func(b *scanBed) store.Instance {
			return storetest.Instance(b.t, b.db, b.stage, func(i *store.Instance) {
				i.ContainerID, i.Status, i.LastAliveAt = "", store.StatusFailed, time.Now()
			})
		}, nil, ""},
		{"stale", func(b *scanBed) store.Instance {
			i, ct := b.deadOf("shop", 8*day)
			b.scan()
			ct.Remove()
			return i
		}, nil, "clean it up"},
		{"pinned", func(b *scanBed) store.Instance {
			i, ct := b.deadOf("shop", day)
			ct.Remove()
			return i
		}, func(b *scanBed, i store.Instance) {
			storetest.Update(b.t, b.db, func(ctx context.Context, tx *store.Tx) error {
				v, err := tx.Instance(ctx, i.ID)
				if err != nil {
					return err
				}
				v.PinnedAt, v.PinnedBy = time.Now(), "user:bob"
				return tx.SetProtection(ctx, v.Instance)
			})
		}, "pinned"},
	} {
		t.Run(c.name, func(t *testing.T) {
			inScanBed(t, dockertest.Options{}, func(t *testing.T, b *scanBed) {
				b.run("bystander")
				i := c.make(b)
				b.scan()
				l := b.wantLeftovers(store.LeftoverRow)[0]
				if c.since != nil {
					c.since(b, i)
				}
				err := b.newCleaner().Mend(t.Context(), l.ID, "", "user:anna")
				b.wantMended(l, err, c.says)
				_, err = b.db.Instance(t.Context(), i.ID)
				if errors.Is(err, store.ErrNotFound) != (c.says == "") {
					t.Errorf("its row: %v", err)
				}
				if c.says != "" {
					return
				}
				archives, _, err := b.db.Archives(t.Context(), store.ArchiveFilter{InstanceID: i.ID}, store.Page{})
				if err != nil || len(archives) != 1 {
					t.Errorf("archives: %v, %v", archives, err)
				}
			})
		})
	}
}

func TestMendRemoving(t *testing.T) {
	inScanBed(t, dockertest.Options{}, func(t *testing.T, b *scanBed) {
		i, ct := b.deadOf("shop", day)
		b.run("bystander")
		b.scan()
		b.beginRemoval(i)
		storetest.Update(t, b.db, func(ctx context.Context, tx *store.Tx) error {
			return tx.SetRemovalStep(ctx, i.ID, store.RemovalDeleting)
		})
		b.pass(removingLong + time.Second)
		b.scan()
		l := b.wantLeftovers(store.LeftoverRemoving)[0]
		b.engine.Shutdown()
		c := b.newCleaner()
		err := c.Mend(t.Context(), l.ID, "", "user:anna")
		b.wantMended(l, err, "waits")
		b.engine.Boot()
		if err := c.Mend(t.Context(), l.ID, "", "user:anna"); err != nil {
			t.Fatal(err)
		}
		b.wantEvents("leftover.mended", 1)
		if left, err := b.db.Removals(t.Context()); err != nil || len(left) != 0 {
			t.Errorf("removals under way: %v, %v", left, err)
		}
		if _, err := b.db.Instance(t.Context(), i.ID); (err == nil) != (b.engine.Container(ct.ID) != nil) {
			t.Errorf("its row: %v, its container: %v", err, b.engine.Container(ct.ID))
		}
	})
}

func TestMendDead(t *testing.T) {
	inScanBed(t, dockertest.Options{}, func(t *testing.T, b *scanBed) {
		i, ct := b.deadOf("shop", day)
		b.run("bystander")
		ct.FailRemoval("driver \"overlay2\" failed to remove root filesystem")
		b.scan()
		if err := b.adapter.Remove(t.Context(), docker.Owned{ID: ct.ID, Installation: b.db.InstallationID(), Instance: i.ID}); err == nil {
			t.Fatal("the pretend engine removed it")
		}
		b.scan()
		l := b.wantLeftovers(store.LeftoverDead)[0]
		c := b.newCleaner()
		err := c.Mend(t.Context(), l.ID, "", "user:anna")
		b.wantMended(l, err, "overlay2")
		ct.Unstick()
		if err := c.Mend(t.Context(), l.ID, "", "user:anna"); err != nil {
			t.Fatal(err)
		}
		if b.engine.Container(ct.ID) != nil {
			t.Error("its container is still there")
		}
		b.scan()
		b.wantLeftovers(store.LeftoverRow) // what is left of it is for the cleanup
	})
}

func TestMendNothing(t *testing.T) {
	inScanBed(t, dockertest.Options{}, func(t *testing.T, b *scanBed) {
		if err := b.newCleaner().Mend(t.Context(), "no-such-leftover", "", "user:anna"); !errors.Is(err, store.ErrNotFound) {
			t.Error(err)
		}
	})
}
