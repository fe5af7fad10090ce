package stale

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/tiny-forge/docker-watcher/internal/docker"
	"github.com/tiny-forge/docker-watcher/internal/docker/dockertest"
	"github.com/tiny-forge/docker-watcher/internal/store"
	"github.com/tiny-forge/docker-watcher/internal/store/storetest"
)

// stray puts a container with our labels there that has no row.
func (b *scanBed) stray(name, instanceID string, edits ...func(*dockertest.Template)) *dockertest.Container {
	b.t.Helper()
	at := b.engine.Now().Add(-time.Hour)
	tpl := dockertest.Template{
		Name: name, Image: "shop:1.0", State: dockertest.Exited, Created: at, Started: at, Finished: at.Add(time.Minute),
		Labels: b.labels(docker.LabelInstance, instanceID),
	}
	for _, e := range edits {
		e(&tpl)
	}
	return b.engine.Add(tpl)
}

// deadOf is dead, with the label of its instance.
func (b *scanBed) deadOf(name string, age time.Duration) (store.Instance, *dockertest.Container) {
	b.t.Helper()
	i, ct := b.dead(name, age)
	ct.Label(docker.LabelInstance, i.ID)
	return i, ct
}

func (b *scanBed) leftovers() []store.Leftover {
	b.t.Helper()
	found, err := b.db.Leftovers(b.t.Context(), b.host.ID)
	if err != nil {
		b.t.Fatal(err)
	}
	return found
}

func (b *scanBed) wantLeftovers(kinds ...store.LeftoverKind) []store.Leftover {
	b.t.Helper()
	found := b.leftovers()
	got := map[store.LeftoverKind]int{}
	for _, l := range found {
		got[l.Kind]++
	}
	want := map[store.LeftoverKind]int{}
	for _, k := range kinds {
		want[k]++
	}
	if fmt.Sprint(got) != fmt.Sprint(want) {
		b.t.Errorf("leftovers %v, want %v: %+v", got, want, found)
	}
	return found
}

func (b *scanBed) newCleaner() *Cleaner {
	return NewCleaner(b.db, b.fleet, b.log)
}

// underTwin puts a row under another host of ours, which may be the same engine.
func (b *scanBed) underTwin() func(*store.Instance) {
	b.t.Helper()
	twin := storetest.Host(b.t, b.db, func(h *store.Host) { h.Name = "twin" })
	return func(i *store.Instance) { i.HostID, i.Ownership = twin.ID, store.OwnershipAdopted }
}

// beginRemoval leaves an instance as a removal does that hangs.
func (b *scanBed) beginRemoval(i store.Instance) {
	b.t.Helper()
	v := b.get(i)
	storetest.Update(b.t, b.db, func(ctx context.Context, tx *store.Tx) error {
		return tx.BeginRemoval(ctx, store.Removal{
			InstanceID: i.ID, HostID: i.HostID, ContainerID: i.ContainerID, Former: v.Status, Step: store.RemovalIntended,
			StartedAt: v.StartedAt, FinishedAt: v.FinishedAt, Actor: "user:anna", CreatedAt: time.Now().UTC(),
		}, v.Revision)
	})
}

// route makes one that leads to an instance.
func (b *scanBed) route(domain string) (id string) {
	b.t.Helper()
	id = store.NewID()
	i := storetest.NewInstance(b.stage, func(i *store.Instance) { i.Status, i.Intended = store.StatusStopped, store.IntendedStopped })
	storetest.Update(b.t, b.db, func(ctx context.Context, tx *store.Tx) error {
		return tx.RestoreInstance(ctx, i, []store.ArchivedRoute{{ID: id, Port: 80, TLS: "off", Options: "{}", Enabled: true, Domains: []store.RouteAddress{{Domain: domain, PathPrefix: "/"}}}})
	})
	return id
}

// TestLeftoversAreFound: half of the cases are not leftovers.
func TestLeftoversAreFound(t *testing.T) {
	for _, c := range []struct {
		name string
		make func(b *scanBed)
		want []store.LeftoverKind
	}{
		{"nothing", func(*scanBed) {}, nil},
		{"a copy of one of ours", func(b *scanBed) {
			i, _ := b.run("shop")
			b.stray("copy", i.ID)
		}, []store.LeftoverKind{store.LeftoverContainer}},
		{"of an instance that nobody knows", func(b *scanBed) { b.stray("lost", "06gone") }, []store.LeftoverKind{store.LeftoverContainer}},
		{"of no instance", func(b *scanBed) { b.stray("lost", "") }, []store.LeftoverKind{store.LeftoverContainer}},
		{"and it runs", func(b *scanBed) {
			b.stray("lost", "06gone", func(tpl *dockertest.Template) { tpl.State = dockertest.Running })
		}, []store.LeftoverKind{store.LeftoverContainer}},
		{"made just now", func(b *scanBed) {
			b.stray("young", "06gone", func(tpl *dockertest.Template) {
				tpl.State, tpl.Created, tpl.Started, tpl.Finished = dockertest.Created, b.engine.Now(), time.Time{}, time.Time{}
			})
		}, nil},
		{"of another installation", func(b *scanBed) {
			b.stray("theirs", "06theirs", func(tpl *dockertest.Template) { tpl.Labels[docker.LabelInstallation] = "another" })
		}, nil},
		{"with a row under another host on the same engine", func(b *scanBed) { b.adopt(b.stray("lost", "06gone"), b.underTwin()) }, nil},
		{"a task of Swarm", func(b *scanBed) {
			b.stray("task", "06gone", func(tpl *dockertest.Template) { tpl.Labels[docker.LabelSwarmTask] = "task" })
		}, nil},
		{"being deployed", func(b *scanBed) {
			i := storetest.Instance(b.t, b.db, b.stage, func(i *store.Instance) { i.ContainerID, i.Status = "", store.StatusStarting })
			b.stray("new", i.ID)
		}, nil},
		{"being restored", func(b *scanBed) {
			a := store.Archive{ID: store.NewID(), State: store.ArchiveMaking, InstanceID: "06restored", HostID: b.host.ID, Actor: "user:anna"}
			storetest.Update(b.t, b.db, func(ctx context.Context, tx *store.Tx) error {
				return errors.Join(
					tx.InsertArchive(ctx, a, store.ArchiveContents{}),
					tx.FinishArchive(ctx, a.ID, time.Now(), time.Now().Add(day)),
					tx.BeginRestore(ctx, a.ID, "{}"),
				)
			})
			b.stray("back", "06restored")
		}, nil},
		{"removed behind our back", func(b *scanBed) {
			_, ct := b.dead("shop", day)
			ct.Remove()
			b.run("other")
		}, []store.LeftoverKind{store.LeftoverRow}},
		{"a deploy that never made a container", func(b *scanBed) {
			storetest.Instance(b.t, b.db, b.stage, func(i *store.Instance) { i.ContainerID, i.Status = "", store.StatusFailed })
		}, []store.LeftoverKind{store.LeftoverRow}},
		{"a deploy that has not made its container yet", func(b *scanBed) {
			storetest.Instance(b.t, b.db, b.stage, func(i *store.Instance) { i.ContainerID, i.Status = "", store.StatusPulling })
		}, nil},
		{"removing for long", func(b *scanBed) {
			i, _ := b.dead("shop", day)
			b.beginRemoval(i)
			b.pass(removingLong + time.Second)
		}, []store.LeftoverKind{store.LeftoverRemoving}},
		{"removing, but not for long", func(b *scanBed) {
			i, _ := b.dead("shop", day)
			b.beginRemoval(i)
			b.pass(removingLong - 10*time.Second)
		}, nil},
		{"dead", func(b *scanBed) {
			b.dead("shop", day, func(tpl *dockertest.Template) { tpl.State = dockertest.Dead })
		}, []store.LeftoverKind{store.LeftoverDead}},
		{"exited long ago", func(b *scanBed) { b.dead("shop", 30*day) }, nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			inScanBed(t, dockertest.Options{}, func(t *testing.T, b *scanBed) {
				c.make(b)
				for range 3 {
					b.scan()
					b.pass(time.Second)
				}
				found := b.wantLeftovers(c.want...)
				b.wantEvents("leftover.found", len(c.want)) // once, not at every scan
				for _, l := range found {
					if l.Subject == "" || l.Name == "" || l.Detail == "" || LeftoverStep(l.Kind) == "" || l.FoundAt.IsZero() {
						t.Errorf("it says too little: %+v", l)
					}
				}
				for _, e := range b.events("leftover.found") {
					if e.Severity != store.SeverityWarn || e.HostID != b.host.ID {
						t.Errorf("event %+v", e)
					}
				}
			})
		})
	}
}

// TestLeftoversGoAndComeBack: what was mended by another hand is listed no more, and is news when it comes again.
func TestLeftoversGoAndComeBack(t *testing.T) {
	inScanBed(t, dockertest.Options{}, func(t *testing.T, b *scanBed) {
		b.run("shop")
		lost := b.stray("lost", "06gone")
		b.scan()
		b.wantLeftovers(store.LeftoverContainer)
		lost.Remove()
		b.scan()
		b.wantLeftovers()
		b.stray("lost", "06gone")
		b.scan()
		b.wantLeftovers(store.LeftoverContainer)
		b.wantEvents("leftover.found", 2)
	})
}

// TestBlindScanLeavesLeftovers: could not ask is not gone.
func TestBlindScanLeavesLeftovers(t *testing.T) {
	inScanBed(t, dockertest.Options{}, func(t *testing.T, b *scanBed) {
		b.run("shop")
		b.stray("lost", "06gone")
		b.scan()
		b.engine.Fail(dockertest.Fault{On: `^GET /containers/json`, EmptyList: true})
		b.scanBlind()
		b.wantLeftovers(store.LeftoverContainer)
	})
}

// TestOnlySwarmRows: a host whose only row belongs to Swarm is not taken for one that lost all.
func TestOnlySwarmRows(t *testing.T) {
	inScanBed(t, dockertest.Options{}, func(t *testing.T, b *scanBed) {
		task, _ := b.dead("task", 8*day, func(tpl *dockertest.Template) { tpl.Labels[docker.LabelSwarmTask] = "task" })
		b.scan()
		b.want(task, store.StatusStopped, store.ClassExited, false, time.Time{})
		b.scan()
		b.wantLeftovers()
		b.wantEvents("host.frozen", 0)
	})
}

func TestRouteToNothing(t *testing.T) {
	inScanBed(t, dockertest.Options{}, func(t *testing.T, b *scanBed) {
		dir := t.TempDir()
		b.db = storetest.With(t, store.Options{DataDir: dir})
		b.host = storetest.Host(t, b.db, func(h *store.Host) { h.EngineID, h.DataRoot = "", "" })
		b.fleet = docker.NewFleet()
		b.fleet.Add(b.host.ID, b.adapter)
		b.stage = storetest.Stage(t, b.db, b.host, storetest.Project(t, b.db))
		b.restart()
		b.run("shop")
		id := b.route("shop.example.com")
		storetest.CutRoutes(t, dir)
		b.scan()
		var l store.Leftover
		for _, found := range b.leftovers() {
			if found.Kind == store.LeftoverRoute {
				l = found
			}
		}
		if l.Subject != id || !strings.Contains(l.Name, "shop.example.com") {
			t.Fatalf("found %+v", b.leftovers())
		}
		if err := b.newCleaner().Mend(t.Context(), l.ID, "", "user:anna"); err != nil {
			t.Fatal(err)
		}
		if routes, err := b.db.RoutesToNothing(t.Context(), b.host.ID); err != nil || len(routes) != 0 {
			t.Errorf("routes left: %v, %v", routes, err)
		}
		b.wantEvents("leftover.mended", 1)
		if _, err := b.db.Leftover(t.Context(), l.ID); !errors.Is(err, store.ErrNotFound) {
			t.Errorf("the leftover: %v", err)
		}
	})
}
