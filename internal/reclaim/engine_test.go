package reclaim

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/tiny-forge/docker-watcher/internal/docker"
	"github.com/tiny-forge/docker-watcher/internal/docker/enginetest"
	"github.com/tiny-forge/docker-watcher/internal/stale"
	"github.com/tiny-forge/docker-watcher/internal/store"
	"github.com/tiny-forge/docker-watcher/internal/store/storetest"
)

// TestReclaimOnRealEngines: what the pretend engine claims must hold there too.
func TestReclaimOnRealEngines(t *testing.T) {
	t.Parallel() // it mostly waits
	app, err := enginetest.BuildApp(t.Context(), t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	t.Run("docker", func(t *testing.T) {
		t.Parallel()
		reclaimOn(t, enginetest.Engine(t), app)
	})
	t.Run("podman", func(t *testing.T) {
		t.Parallel()
		reclaimOn(t, enginetest.Podman(t), app)
	})
}

func reclaimOn(t *testing.T, adapter *docker.Engine, app string) {
	for _, c := range []struct {
		name string
		test func(t *testing.T, f *field)
	}{
		{"kept by its archive, freed by its end", freedByExpiry},
		{"what strangers do with it keeps it", strangersKeepIt},
		{"layers are not counted twice", layersOnce},
		{"restored from a kept layer and removed again", layerAgain},
		{"anonymous volumes one by one", volumesOneByOne},
	} {
		t.Run(c.name, func(t *testing.T) { c.test(t, newField(t, adapter, app)) })
	}
}

// field is a bed on a real engine, with a cleaner.
type field struct {
	*bed
	engine  *docker.Engine
	app     string
	cleaner *stale.Cleaner
}

func newField(t *testing.T, adapter *docker.Engine, app string) *field {
	t.Helper()
	f := &field{bed: newBed(t, adapter), engine: adapter, app: app}
	f.cleaner = stale.NewCleaner(f.db, f.fleet, slog.New(slog.NewTextHandler(t.Output(), nil)))
	return f
}

// load puts an image of its own on the engine and returns its id.
func (f *field) load(ref string) string {
	f.t.Helper()
	archive, err := enginetest.AppArchive(f.app, ref, ref, enginetest.WithVolume("/data"), enginetest.WithEnv("OF="+f.t.Name()))
	if err != nil {
		f.t.Fatal(err)
	}
	if err := f.engine.LoadImage(f.t.Context(), archive); err != nil {
		f.t.Fatal(err)
	}
	enginetest.RemoveImageAfter(f.t, f.engine, ref)
	img, err := f.engine.InspectImage(f.t.Context(), ref)
	if err != nil {
		f.t.Fatal(err)
	}
	return img.ID
}

// deploy makes an instance of an image that we brought, which has run and ended.
func (f *field) deploy(repository, tag string) (store.Instance, string) {
	f.t.Helper()
	ref := repository + ":" + tag
	id := f.load(ref)
	f.note(id, ref, false)
	inst := storetest.NewInstance(f.stage, func(i *store.Instance) {
		i.Name, i.Image, i.ImageTag, i.ImageID, i.EngineID = enginetest.Name(f.t), repository, tag, id, f.host.EngineID
		i.Status, i.Intended, i.LastAliveAt = store.StatusStopped, store.IntendedStopped, time.Now()
	})
	inst.ContainerID = f.create(inst.Name, ref, map[string]string{
		docker.LabelManaged: "true", docker.LabelInstallation: f.db.InstallationID(), docker.LabelInstance: inst.ID,
	})
	f.update(func(ctx context.Context, tx *store.Tx) error { return tx.InsertInstance(ctx, inst) })
	return inst, id
}

func (f *field) create(name, image string, labels map[string]string) string {
	f.t.Helper()
	id, err := f.engine.Create(f.t.Context(), docker.CreateOptions{Name: name, Image: image, Labels: labels})
	if err != nil {
		f.t.Fatal(err)
	}
	f.volumesGoAfter(id)
	enginetest.RemoveAfter(f.t, f.engine, id)
	return id
}

func (f *field) volumesGoAfter(containerID string) (names []string) {
	f.t.Helper()
	ct, err := f.engine.Inspect(f.t.Context(), containerID)
	if err != nil {
		f.t.Fatal(err)
	}
	for _, m := range ct.Mounts {
		names = append(names, m.Name)
		enginetest.RemoveVolumeAfter(f.t, f.engine, m.Name)
	}
	return names
}

// remove is a removal by hand, with its archive.
func (f *field) remove(i store.Instance) store.Archive {
	f.t.Helper()
	if err := f.cleaner.Remove(f.t.Context(), i.ID, "user:anna", false); err != nil {
		f.t.Fatal(err)
	}
	archives, _, err := f.db.Archives(f.t.Context(), store.ArchiveFilter{InstanceID: i.ID}, store.Page{})
	if err != nil || len(archives) != 1 {
		f.t.Fatalf("archives %v, %v", archives, err)
	}
	if ref := archives[0].KeepRef; ref != "" {
		enginetest.RemoveImageAfter(f.t, f.engine, ref)
	}
	return archives[0]
}

// strange removes what a test made as a stranger.
func (f *field) strange(containerID string) {
	f.t.Helper()
	if err := f.engine.Remove(f.t.Context(), docker.Owned{ID: containerID, Adopted: true}); err != nil {
		f.t.Fatal(err)
	}
}

func (f *field) wantKept(id, why string) {
	f.t.Helper()
	if got := f.image(id); got.Reclaimable || !strings.Contains(got.Why, why) {
		f.t.Errorf("reclaimable %v: %q, want %q", got.Reclaimable, got.Why, why)
	}
}

func (f *field) wantResult(plan store.ReclaimPlan, want store.CleanupResult) {
	f.t.Helper()
	got := f.apply(plan).Items
	if len(got) != 1 || got[0].Result != want {
		f.t.Errorf("%+v, want %s", got, want)
	}
}

func freedByExpiry(t *testing.T, f *field) {
	repository := "localhost/" + enginetest.Name(t)
	stranger := f.load(repository + "-theirs:1")
	inst, id := f.deploy(repository, "1")
	f.wantKept(id, inst.Name)
	archive := f.remove(inst)
	f.wantKept(id, "1 archive")
	_, err := f.Plan(t.Context(), f.host.ID, []string{id}, "user:anna")
	f.wantRefused(err, ErrRefused, "archive")

	if err := f.cleaner.DeleteArchive(t.Context(), archive.ID, "user:anna"); err != nil {
		t.Fatal(err)
	}
	got := f.image(id)
	if !got.Reclaimable || got.LastUse.Instance != inst.Name || got.Size <= 0 || got.Bytes > got.Size {
		t.Fatalf("%+v", got)
	}
	f.wantResult(f.plan(id), store.ResultRemoved)
	if names, ok := f.there(id); ok {
		t.Errorf("it is still there as %v", names)
	}
	if _, ok := f.there(stranger); !ok {
		t.Error("an image of somebody else is gone")
	}
	if _, err := f.cleaner.CheckRestore(t.Context(), archive.ID, stale.Choices{}); err == nil {
		t.Error("what nothing is left of can be restored")
	}

	// An image that somebody took away by force although an archive kept it is told before anything is made.
	again, id := f.deploy(repository, "2")
	archive = f.remove(again)
	f.force(id)
	check, err := f.cleaner.CheckRestore(t.Context(), archive.ID, stale.Choices{})
	if err != nil || !slices.ContainsFunc(check.Conflicts, func(c stale.Conflict) bool { return c.Kind == stale.ConflictImage }) {
		t.Errorf("%+v, %v", check.Conflicts, err)
	}
}

// force takes all names from an image.
func (f *field) force(id string) {
	f.t.Helper()
	names, _ := f.there(id)
	for _, name := range names {
		if _, err := f.engine.RemoveImage(f.t.Context(), name); err != nil {
			f.t.Fatal(err)
		}
	}
	if _, ok := f.there(id); ok {
		f.t.Fatal("the image is still there")
	}
}

func strangersKeepIt(t *testing.T, f *field) {
	ctx := t.Context()
	repository := "localhost/" + enginetest.Name(t)
	inst, id := f.deploy(repository, "1")
	archive := f.remove(inst)
	if err := f.cleaner.DeleteArchive(ctx, archive.ID, "user:anna"); err != nil {
		t.Fatal(err)
	}
	plan := f.plan(id)

	theirs := f.create(enginetest.Name(t), repository+":1", nil) // created, and never started
	f.wantKept(id, "1 container")
	f.wantResult(plan, store.ResultInUse)

	built, err := f.engine.Commit(ctx, docker.Owned{ID: theirs, Adopted: true}, repository+"-built:1")
	if err != nil {
		t.Fatal(err)
	}
	enginetest.RemoveImageAfter(t, f.engine, repository+"-built:1")
	f.strange(theirs)
	child := f.create(enginetest.Name(t), repository+"-built:1", nil)
	f.wantKept(id, "1 container")
	f.strange(child)

	// An image built on it stays whole, whether the engine then lets ours go or not.
	f.apply(f.plan(id))
	if names, ok := f.there(built); !ok || len(names) != 1 {
		t.Fatalf("the image built on it: %v, %v", names, ok)
	}
	f.create(enginetest.Name(t), repository+"-built:1", nil)
	if _, ok := f.there(id); !ok {
		return
	}
	f.strange(f.create(enginetest.Name(t), repository+":1", nil)) // it has kept its name
}

func layersOnce(t *testing.T, f *field) {
	repository := "localhost/" + enginetest.Name(t)
	var ids []string
	for _, tag := range []string{"1", "2"} {
		inst, id := f.deploy(repository, tag)
		archive := f.remove(inst)
		if err := f.cleaner.DeleteArchive(t.Context(), archive.ID, "user:anna"); err != nil {
			t.Fatal(err)
		}
		ids = append(ids, id)
	}
	var sum int64
	for _, id := range ids {
		got := f.image(id)
		if !got.Reclaimable || got.Bytes > got.Size/2 {
			t.Errorf("%d of %d bytes of an image whose one layer another has too: %q", got.Bytes, got.Size, got.Why)
		}
		sum += max(got.Bytes, 0)
	}
	if left := f.look(); left.Bytes != sum || left.Bytes > f.image(ids[0]).Size {
		t.Errorf("%d bytes of all, %d one by one", left.Bytes, sum)
	}
	done := f.apply(f.plan())
	if len(done.Items) != 2 || done.Items[0].Result != store.ResultRemoved || done.Items[1].Result != store.ResultRemoved {
		t.Errorf("%+v", done.Items)
	}
}

// layerAgain: an instance that came back from its kept layer runs on an image of ours that nobody else has.
func layerAgain(t *testing.T, f *field) {
	ctx := t.Context()
	inst, base := f.deploy("localhost/"+enginetest.Name(t), "1")
	enginetest.WriteFile(t, f.engine, inst.ContainerID, "/note", "written by hand")
	first := f.remove(inst)
	if first.LayerImage == "" {
		t.Fatalf("its layer was not kept: %s", first.LayerNote)
	}
	enginetest.RemoveImageAfter(t, f.engine, first.LayerImage)
	back, err := f.cleaner.Restore(ctx, first.ID, stale.Choices{}, "user:anna")
	if err != nil {
		t.Fatal(err)
	}
	enginetest.RemoveAfter(t, f.engine, back.ContainerID)
	layer := back.ImageID
	if layer == base {
		t.Fatal("it came back without its layer")
	}
	f.wantKept(layer, back.Name)
	if err := f.cleaner.Remove(ctx, back.ID, "user:anna", false); err != nil {
		t.Fatal(err)
	}
	archives, _, err := f.db.Archives(ctx, store.ArchiveFilter{InstanceID: inst.ID}, store.Page{})
	if err != nil {
		t.Fatal(err)
	}
	for _, a := range archives {
		for _, ref := range []string{a.KeepRef, a.LayerImage} {
			if ref != "" {
				enginetest.RemoveImageAfter(t, f.engine, ref)
			}
		}
		if err := f.cleaner.DeleteArchive(ctx, a.ID, "user:anna"); err != nil {
			t.Fatal(err)
		}
	}
	for _, item := range f.apply(f.plan()).Items {
		if item.Result != store.ResultRemoved {
			t.Errorf("%+v", item)
		}
	}
	for _, id := range []string{base, layer} {
		if names, ok := f.there(id); ok {
			t.Errorf("image %s is still there as %v: %q", id, names, f.image(id).Why)
		}
	}
}

func volumesOneByOne(t *testing.T, f *field) {
	ctx := t.Context()
	inst, _ := f.deploy("localhost/"+enginetest.Name(t), "1")
	name := f.volumesGoAfter(inst.ContainerID)[0]
	remove := func(breakUndo bool) error { return f.RemoveVolume(ctx, f.host.ID, name, breakUndo, "user:anna") }
	f.wantRefused(remove(true), ErrRefused, "in use by "+inst.Name)
	archive := f.remove(inst)
	f.wantRefused(remove(false), ErrRefused, "1 archive")

	at := slices.IndexFunc(f.look().Volumes, func(v Volume) bool { return v.Name == name })
	if at < 0 || f.look().Volumes[at].LastUse.Instance != inst.Name || !f.look().Volumes[at].Anonymous {
		t.Errorf("listed: %+v", f.look().Volumes)
	}
	named := strings.TrimPrefix(inst.Image, "localhost/") + "-named"
	theirs, err := f.engine.Create(ctx, docker.CreateOptions{
		Name: enginetest.Name(t), Image: inst.Image + ":1", Mounts: []docker.Mount{{Type: "volume", Name: named, Target: "/named"}},
	})
	if err != nil {
		t.Fatal(err)
	}
	foreign := slices.DeleteFunc(f.volumesGoAfter(theirs), func(v string) bool { return v == named })[0]
	f.strange(theirs)
	for _, v := range []string{foreign, named} {
		if err := f.RemoveVolume(ctx, f.host.ID, v, true, "user:anna"); !errors.Is(err, ErrRefused) {
			t.Errorf("volume %s of somebody else: %v", v, err)
		}
	}
	if err := remove(true); err != nil {
		t.Fatal(err)
	}
	all, err := f.engine.Volumes(ctx)
	if err != nil {
		t.Fatal(err)
	}
	has := func(name string) bool {
		return slices.ContainsFunc(all, func(v docker.Volume) bool { return v.Name == name })
	}
	if has(name) || !has(foreign) || !has(named) {
		t.Errorf("volumes now: %+v", all)
	}
	check, err := f.cleaner.CheckRestore(ctx, archive.ID, stale.Choices{})
	if err != nil || !slices.ContainsFunc(check.Conflicts, func(c stale.Conflict) bool { return c.Kind == stale.ConflictVolume }) {
		t.Errorf("%+v, %v", check.Conflicts, err)
	}
}
