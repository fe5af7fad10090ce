package main

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/tiny-forge/docker-watcher/internal/docker"
	"github.com/tiny-forge/docker-watcher/internal/docker/dockertest"
	"github.com/tiny-forge/docker-watcher/internal/docker/enginetest"
	"github.com/tiny-forge/docker-watcher/internal/failpoint/failpointtest"
	"github.com/tiny-forge/docker-watcher/internal/stale"
	"github.com/tiny-forge/docker-watcher/internal/store"
)

// kill -9 at each step of an undo and of the end of an archive, then a new start: it is back, or can be brought back, or
// its archive is gone whole; never two of it, never half.
func TestKilledAtEachStepOfAnUndo(t *testing.T) {
	t.Parallel()
	killtest := failpointtest.Build(t)
	t.Run("pretend", func(t *testing.T) {
		t.Parallel()
		engine := dockertest.Serve(t, dockertest.Options{})
		engine.AddImage(dockertest.Image{Ref: image})
		undoEach(t, killtest, engine.Endpoint())
	})
	t.Run("real", func(t *testing.T) {
		t.Parallel()
		load(t)
		undoEach(t, killtest, enginetest.Endpoint(t))
	})
}

func undoEach(t *testing.T, killtest, endpoint string) {
	for _, k := range []struct {
		act, point string
		want       store.ArchiveState // empty: it is gone
	}{
		{restore, "restore-begun", store.ArchiveReady},
		{restore, "restore-made", store.ArchiveRestored},
		{restore, "restore-recorded", store.ArchiveRestored},
		{forget, "archive-deleting", ""},
		{forget, "archive-untagged", ""},
	} {
		t.Run(k.point, func(t *testing.T) {
			t.Parallel()
			s := newSite(t, endpoint)
			inst := s.plant(store.ClassExited)
			if _, err := s.cleaner.Apply(t.Context(), s.plan(), "user:anna", true, nil); err != nil {
				t.Fatal(err)
			}
			a := s.archives()[0]
			s.leave()
			failpointtest.Kill(t, patience, k.point, killtest, s.dir, endpoint, s.host.ID, k.act+"="+a.ID)

			s.enter()
			for range 2 { // to recover once more changes nothing
				if err := s.cleaner.Recover(t.Context()); err != nil {
					t.Fatal(err)
				}
				s.wantUndone(inst, k.want)
			}
			if k.want != store.ArchiveReady {
				return
			}
			if _, err := s.cleaner.Restore(t.Context(), a.ID, stale.Choices{}, "user:anna"); err != nil {
				t.Fatal(err)
			}
			s.wantUndone(inst, store.ArchiveRestored)
		})
	}
}

// wantUndone checks the one archive of an instance, and that it is there exactly once if it was restored.
func (s *site) wantUndone(inst store.Instance, want store.ArchiveState) {
	s.t.Helper()
	s.wantOnlyNeededCopies()
	all := s.archives()
	if want == "" && len(all) > 0 || want != "" && (len(all) != 1 || all[0].State != want) {
		s.t.Errorf("archives %+v, want one that is %q", all, want)
	}
	view, err := s.db.Instance(s.t.Context(), inst.ID)
	if err != nil && !errors.Is(err, store.ErrNotFound) {
		s.t.Fatal(err)
	}
	there, err2 := s.adapter.List(s.t.Context(), docker.ListOptions{Labels: []string{docker.LabelInstance + "=" + inst.ID}})
	if err2 != nil {
		s.t.Fatal(err2)
	}
	if want != store.ArchiveRestored {
		if len(there) > 0 || err == nil {
			s.t.Errorf("containers %+v, row %s", there, view.ID)
		}
		return
	}
	if len(there) != 1 || there[0].ID != view.ContainerID || view.Status != store.StatusStopped {
		s.t.Fatalf("containers %+v, row %+v", there, view)
	}
	enginetest.RemoveAfter(s.t, s.adapter, view.ContainerID)
	if got, ok := enginetest.ReadFile(s.t, s.adapter, view.ContainerID, "/written"); !ok || got != inst.ID {
		s.t.Errorf("it wrote %q, and has %q", inst.ID, got)
	}
}

// archives are all that the store has, in any state.
func (s *site) archives() []store.Archive {
	s.t.Helper()
	all, _, err := s.db.Archives(s.t.Context(), store.ArchiveFilter{States: []store.ArchiveState{
		store.ArchiveMaking, store.ArchiveReady, store.ArchiveRestoring, store.ArchiveRestored, store.ArchiveDeleting,
	}}, store.Page{Limit: 1000})
	if err != nil {
		s.t.Fatal(err)
	}
	return all
}

// wantOnlyNeededCopies checks that an archive is either whole, on the engine too, or gone, there too.
func (s *site) wantOnlyNeededCopies() {
	s.t.Helper()
	names, needed := s.archiveNames(), map[string]bool{}
	for _, a := range s.archives() {
		switch a.State {
		case store.ArchiveReady, store.ArchiveRestored:
			for _, name := range []string{a.KeepRef, a.LayerImage} {
				if name != "" && !names[name] {
					s.t.Errorf("the archive of %s has lost %s", a.Name, name)
				}
				needed[name] = true
			}
		case store.ArchiveMaking: // it is to go, when the engine can no longer be at it
			needed[a.KeepRef], needed[archiveRepo+a.ID+store.LayerSuffix] = true, true
		default:
			s.t.Errorf("the archive of %s is %s", a.Name, a.State)
		}
	}
	for name := range names {
		if !needed[name] {
			s.t.Errorf("left on the engine: %s", name)
		}
	}
}

const archiveRepo = store.ArchiveRepository + ":"

// archiveNames are the names on the engine that archives of this site have given, by the ids that they hold: others share the engine.
func (s *site) archiveNames() map[string]bool {
	s.t.Helper()
	var ids []string
	for _, a := range s.archives() { // one that is still to go has left no event, and may share its name
		ids = append(ids, a.ID, strings.TrimPrefix(a.KeepRef, archiveRepo))
	}
	events, _, err := s.db.Events(s.t.Context(), store.EventFilter{}, store.Page{Limit: 1000})
	if err != nil {
		s.t.Fatal(err)
	}
	for _, e := range events {
		if id, ok := e.Data["archive_id"].(string); ok {
			ids = append(ids, id)
		}
	}
	images, err := s.adapter.Images(s.t.Context())
	if err != nil {
		s.t.Fatal(err)
	}
	names := map[string]bool{}
	for _, image := range images {
		for _, name := range image.Tags {
			if slices.ContainsFunc(ids, func(id string) bool { return id != "" && strings.HasPrefix(name, archiveRepo+id) }) {
				names[name] = true
				enginetest.RemoveImageAfter(s.t, s.adapter, name)
			}
		}
	}
	return names
}
