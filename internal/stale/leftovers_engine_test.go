package stale

import (
	"errors"
	"log/slog"
	"testing"

	"github.com/tiny-forge/docker-watcher/internal/docker"
	"github.com/tiny-forge/docker-watcher/internal/docker/enginetest"
	"github.com/tiny-forge/docker-watcher/internal/store"
)

// TestLeftoversOnRealEngines: labels are copied by images that somebody makes of ours and by other updaters, and
// containers go behind our back.
func TestLeftoversOnRealEngines(t *testing.T) {
	t.Parallel() // it mostly waits
	app, err := enginetest.BuildApp(t.Context(), t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	t.Run("docker", func(t *testing.T) {
		t.Parallel()
		leftoversOn(t, enginetest.Engine(t), app)
	})
	t.Run("podman", func(t *testing.T) {
		t.Parallel()
		leftoversOn(t, enginetest.Podman(t), app)
	})
}

func leftoversOn(t *testing.T, adapter *docker.Engine, app string) {
	ctx := t.Context()
	f := newField(t, adapter)
	f.image = plainImage
	load := func(ref string, opts ...enginetest.ImageOption) {
		t.Helper()
		archive, err := enginetest.AppArchive(app, ref, "1", opts...)
		if err != nil {
			t.Fatal(err)
		}
		if err := adapter.LoadImage(ctx, archive); err != nil {
			t.Fatal(err)
		}
	}
	load(plainImage)
	mine := f.plant("mine", store.ClassExited)
	missing := f.plant("missing", store.ClassExited)
	if err := adapter.Remove(ctx, f.owned(missing)); err != nil {
		t.Fatal(err)
	}
	ours := map[string]string{
		docker.LabelManaged: "true", docker.LabelInstallation: f.db.InstallationID(), docker.LabelInstance: mine.ID,
	}
	image := "localhost/" + enginetest.Name(t) + ":1"
	load(image, enginetest.WithLabels(ours)) // what `docker commit` makes of a container of ours
	enginetest.RemoveImageAfter(t, adapter, image)
	create := func(image string, labels map[string]string) string {
		t.Helper()
		id, err := adapter.Create(ctx, docker.CreateOptions{Name: enginetest.Name(t), Image: image, Labels: labels})
		if err != nil {
			t.Fatal(err)
		}
		enginetest.RemoveAfter(t, adapter, id)
		return id
	}
	committed := create(image, nil)
	copied := create(plainImage, ours)
	theirs := create(plainImage, map[string]string{docker.LabelManaged: "true", docker.LabelInstallation: "another"})

	scanner := NewScanner(f.db, f.cleaner.fleet, slog.New(slog.NewTextHandler(t.Output(), nil)))
	scanner.strayAge = 0 // nobody can set a real engine's clock forward
	scan := func() map[string]store.Leftover {
		t.Helper()
		if _, err := scanner.Scan(ctx, f.host.ID, "manual"); err != nil {
			t.Fatal(err)
		}
		found, err := f.db.Leftovers(ctx, f.host.ID)
		if err != nil {
			t.Fatal(err)
		}
		by := map[string]store.Leftover{}
		for _, l := range found {
			by[l.Subject] = l
		}
		return by
	}
	found := scan()
	if len(found) != 3 || found[committed].Kind != store.LeftoverContainer || found[copied].Kind != store.LeftoverContainer ||
		found[missing.ID].Kind != store.LeftoverRow || found[copied].InstanceID != mine.ID {
		t.Fatalf("found %+v", found)
	}

	mend := func(id, yes string) error { return f.cleaner.Mend(ctx, id, yes, "user:anna") }
	enginetest.ForceStart(t, adapter, copied)
	if err := mend(found[copied].ID, copied); !errors.Is(err, ErrNotMended) || !f.exists(copied) {
		t.Errorf("one that runs: %v", err)
	}
	if err := mend(found[committed].ID, mine.ContainerID); !errors.Is(err, ErrNotMended) {
		t.Errorf("a yes for another: %v", err)
	}
	if err := mend(found[committed].ID, committed); err != nil || f.exists(committed) {
		t.Errorf("the yes for its id: %v", err)
	}
	if err := mend(found[missing.ID].ID, ""); err != nil {
		t.Errorf("the row: %v", err)
	}
	if _, err := f.db.Instance(ctx, missing.ID); !errors.Is(err, store.ErrNotFound) {
		t.Errorf("the row is still there: %v", err)
	}
	if !f.exists(mine.ContainerID) || !f.exists(theirs) {
		t.Error("a container that was no leftover is gone")
	}
	if found := scan(); len(found) != 1 || found[copied].ID == "" {
		t.Errorf("found %+v", found)
	}
}
