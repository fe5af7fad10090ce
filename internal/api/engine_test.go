package api

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/tiny-forge/docker-watcher/client"
	"github.com/tiny-forge/docker-watcher/internal/docker"
	"github.com/tiny-forge/docker-watcher/internal/docker/enginetest"
	"github.com/tiny-forge/docker-watcher/internal/store"
)

// TestUndoOnARealEngine walks the whole story through the API: deployed, stopped, stale, planned, removed, undone with its data,
// and then stale again as a new episode; and many at once, of which one came to life meanwhile.
func TestUndoOnARealEngine(t *testing.T) {
	at := enginetest.Endpoint(t)
	adapter := enginetest.Engine(t)
	registry := enginetest.Registry(t)
	app, err := enginetest.BuildApp(t.Context(), t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	image := registry + "/shop"
	if err := enginetest.PushApp(t.Context(), app, image+":1.0", "1.0", enginetest.WithVolume("/cache")); err != nil {
		t.Fatal(err)
	}
	b := newBedOn(t, docker.Options{Endpoint: at})
	_, err = b.admin.CreateProject(t.Context(), client.NewProject{Name: "shop", Image: image, StaleAfter: "1s"})
	b.must(err)
	volume := enginetest.Name(t)
	enginetest.RemoveVolumeAfter(t, adapter, volume)
	enginetest.RemoveImageAfter(t, adapter, image+":1.0")

	deployed := func(stage string) client.Instance {
		t.Helper()
		st, err := b.admin.CreateStage(t.Context(), client.NewStage{
			ProjectID: "shop", Name: stage, Kind: "preview", KeepLast: new(0),
			Spec: &client.Spec{
				Env: []client.EnvVar{client.Env("PASSWORD", canary)}, Mounts: []client.Mount{{Source: volume, Target: "/data"}},
				Health: &client.Health{Kind: "tcp", Port: enginetest.AppPort}, Ports: []client.Port{{Container: enginetest.AppPort}}, StopGrace: "1s",
			},
		})
		b.must(err)
		d, err := b.operator.StartDeploy(t.Context(), st.ID, client.DeployRequest{Tag: "1.0"})
		b.must(err)
		await(t, "the deploy ends", func() bool {
			d, err = b.viewer.Deploy(t.Context(), d.ID)
			b.must(err)
			return d.Ended()
		})
		if d.State != "done" {
			t.Fatalf("got %+v", d)
		}
		i, err := b.viewer.Instance(t.Context(), d.InstanceID)
		b.must(err)
		enginetest.RemoveAfter(t, adapter, i.ContainerID)
		return i
	}
	stopped := func(id string) {
		t.Helper()
		_, err := b.operator.StopInstance(t.Context(), id)
		b.must(err)
	}
	stale := func(n int) []client.StaleItem {
		t.Helper()
		var l client.StaleList
		await(t, "they are stale", func() bool {
			b.scan()
			l, err = b.viewer.Stale(t.Context(), client.StaleFilter{Sort: "project"}, client.Page{})
			b.must(err)
			return len(l.Items) == n
		})
		return l.Items
	}
	warnings := func(id string) (n int) {
		t.Helper()
		l, err := b.viewer.Events(t.Context(), client.EventFilter{Instance: id, Severities: []string{"warn"}}, client.Page{})
		b.must(err)
		for _, e := range l.Items {
			if e.Kind == "instance.stale" {
				n++
			}
		}
		return n
	}

	// One: removed and undone, with what it held in its volumes and in its layer.
	one := deployed("one")
	files := map[string]string{"/data/rows": "in the named volume", "/cache/hits": "in the anonymous volume", "/srv-notes": "in the writable layer"}
	for name, text := range files {
		enginetest.WriteFile(t, adapter, one.ContainerID, name, text)
	}
	stopped(one.ID)
	stale(1)
	plan, err := b.operator.PlanOne(t.Context(), one.ID)
	b.must(err)
	if i := plan.Items[0]; !i.LayerKept || len(i.NotRestored) != 0 || len(i.Volumes) != 2 {
		t.Errorf("what the plan says of an undo: %+v", i)
	}
	plan, err = b.operator.ApplyOne(t.Context(), one.ID, plan.ID)
	b.must(err)
	if plan.Items[0].Result != "removed" || plan.Items[0].ArchiveID == "" {
		t.Fatalf("got %+v", plan.Items[0])
	}
	t.Cleanup(func() { b.forget() })
	check, err := b.operator.CheckRestore(t.Context(), plan.Items[0].ArchiveID, client.RestoreChoices{})
	b.must(err)
	if len(check.Conflicts) != 0 || len(check.Brings) == 0 {
		t.Errorf("got %+v", check)
	}
	back, err := b.operator.Restore(t.Context(), plan.Items[0].ArchiveID, client.RestoreChoices{Start: true})
	b.must(err)
	enginetest.RemoveAfter(t, adapter, back.ContainerID)
	if back.ID != one.ID || back.Name != one.Name || back.Status != "running" || back.ContainerID == one.ContainerID || back.Stale {
		t.Errorf("got %+v", back)
	}
	for name, text := range files {
		if got, ok := enginetest.ReadFile(t, adapter, back.ContainerID, name); !ok || got != text {
			t.Errorf("%s holds %q, %v", name, got, ok)
		}
	}
	if n := warnings(one.ID); n != 1 {
		t.Errorf("%d warnings before it is stale again", n)
	}
	stopped(one.ID)
	stale(1)
	if n := warnings(one.ID); n != 2 {
		t.Errorf("%d warnings: a restored one that is stale again is a new episode", n)
	}

	// Many: one came to life between plan and apply.
	two := deployed("two")
	stopped(two.ID)
	items := stale(2)
	bulk, err := b.admin.PlanCleanup(t.Context(), client.StaleFilter{IDs: []string{items[0].ID, items[1].ID}})
	b.must(err)
	_, err = b.operator.StartInstance(t.Context(), two.ID)
	b.must(err)
	bulk, err = b.admin.ApplyCleanup(t.Context(), bulk.ID)
	b.must(err)
	if got := results(bulk); got[one.Name] != "removed" || got[two.Name] != "revived" {
		t.Errorf("got %v", got)
	}
	undone, err := b.admin.RestorePlan(t.Context(), bulk.ID, client.RestoreChoices{})
	b.must(err)
	if got := restored(undone); len(got) != 1 || got[one.Name] != "restored" {
		t.Fatalf("got %v: %+v", got, undone.Results)
	}
	enginetest.RemoveAfter(t, adapter, undone.Results[0].Instance.ContainerID)
	if i, err := b.viewer.Instance(t.Context(), two.ID); err != nil || i.Status != "running" {
		t.Errorf("got %+v, %v", i, err)
	}
	if got, ok := enginetest.ReadFile(t, adapter, undone.Results[0].Instance.ContainerID, "/srv-notes"); !ok || got != files["/srv-notes"] {
		t.Errorf("after the second undo the layer holds %q, %v", got, ok)
	}
	if strings.Contains(b.logs.String(), canary) {
		t.Error("the daemon's log shows the secret")
	}
}

// forget ends all archives, so that no tag of ours stays on the engine.
func (b *bed) forget() {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(b.t.Context()), time.Minute)
	defer cancel()
	archives, _, err := b.db.Archives(ctx, store.ArchiveFilter{}, store.Page{})
	b.must(err)
	for _, a := range archives {
		if err := b.deps.Cleaner.DeleteArchive(ctx, a.ID, "system"); err != nil {
			b.t.Errorf("archive of %s: %v", a.Name, err)
		}
	}
}

// await waits for a condition on a real engine.
func await(t *testing.T, what string, ok func() bool) {
	t.Helper()
	deadline := time.NewTimer(2 * time.Minute)
	defer deadline.Stop()
	tick := time.NewTicker(250 * time.Millisecond)
	defer tick.Stop()
	for !ok() {
		select {
		case <-deadline.C:
			t.Fatalf("it did not come to be: %s", what)
		case <-tick.C:
		}
	}
}
