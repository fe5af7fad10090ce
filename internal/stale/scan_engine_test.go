package stale

import (
	"context"
	"errors"
	"log/slog"
	"testing"
	"time"

	"github.com/tiny-forge/docker-watcher/internal/docker"
	"github.com/tiny-forge/docker-watcher/internal/docker/enginetest"
	"github.com/tiny-forge/docker-watcher/internal/store"
	"github.com/tiny-forge/docker-watcher/internal/store/storetest"
)

// What a scan and the watcher find on real engines: PEERS 1, 2, 3, 6, 10 to 15, 22 and 24, with a threshold of a second.
func TestScanOnRealEngines(t *testing.T) {
	t.Parallel() // it mostly waits
	app, err := enginetest.BuildApp(t.Context(), t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	t.Run("docker", func(t *testing.T) {
		t.Parallel()
		scanOn(t, enginetest.Engine(t), app)
	})
	t.Run("podman", func(t *testing.T) {
		t.Parallel()
		scanOn(t, enginetest.Podman(t), app)
	})
}

func scanOn(t *testing.T, adapter *docker.Engine, app string) {
	archive, err := enginetest.AppArchive(app, cleanImage, "1", enginetest.WithVolume("/data"))
	if err != nil {
		t.Fatal(err)
	}
	if err := adapter.LoadImage(t.Context(), archive); err != nil {
		t.Fatal(err)
	}
	s := newScanField(t, adapter)
	exited := s.deploy("exited", nil, "")
	failed := s.deploy("failed", []string{"EXIT_AFTER_MS=1", "EXIT_CODE=3"}, "no")
	running := s.deploy("running", nil, "")
	paused := s.deploy("paused", nil, "")
	loop := s.deploy("loop", []string{"EXIT_AFTER_MS=1", "EXIT_CODE=7"}, "always")
	removed := s.deploy("removed", nil, "")
	never := s.row("never")
	s.insert(never)
	s.create("bystander", docker.CreateOptions{Labels: map[string]string{docker.LabelManaged: "true"}})

	stop := s.watch()
	ctx := t.Context()
	if err := errors.Join(
		adapter.Stop(ctx, s.owned(exited), time.Second),
		adapter.Pause(ctx, s.owned(paused)),
		adapter.Stop(ctx, s.owned(removed), time.Second), adapter.Remove(ctx, s.owned(removed)),
	); err != nil {
		t.Fatal(err)
	}
	s.awaitLoop(loop)
	s.await("the removed one to be missed", func() bool { return s.get(removed).Status == store.StatusMissing })
	s.await("all six to be stale", func() bool { return s.scan().Stale == 6 })
	stop()

	ended, err := adapter.Inspect(ctx, exited.ContainerID)
	if err != nil {
		t.Fatal(err)
	}
	if v := s.get(exited); v.LastAliveAt.Sub(ended.FinishedAt).Abs() > 2*time.Second || v.UpperBound {
		t.Errorf("exited at %s, but last alive %s by %s (upper bound %v)", ended.FinishedAt, v.LastAliveAt, v.Evidence, v.UpperBound)
	}
	for _, c := range []struct {
		inst   store.Instance
		status store.Status
		class  []store.Class
		stale  bool
	}{
		{exited, store.StatusStopped, []store.Class{store.ClassExited, store.ClassFailed}, true}, // by its answer to the signal
		{failed, store.StatusStopped, []store.Class{store.ClassFailed}, true},
		{running, store.StatusRunning, []store.Class{""}, false},
		{paused, store.StatusPaused, []store.Class{store.ClassPaused}, true},
		{loop, store.StatusRestarting, []store.Class{store.ClassCrashLooping}, true},
		{removed, store.StatusMissing, []store.Class{store.ClassMissing}, true},
		{never, store.StatusStopped, []store.Class{store.ClassNeverStarted}, true},
	} {
		v := s.get(c.inst)
		if v.Status != c.status || v.Class != c.class[0] && v.Class != c.class[len(c.class)-1] || v.StaleSince.IsZero() == c.stale {
			t.Errorf("%s is %s (%s), stale since %s; want %s (%s), stale %v: %+v", v.Name, v.Status, v.Class, v.StaleSince, c.status, c.class, c.stale, v.Instance)
		}
	}
	s.wantWarnings(6)

	// Nobody watches: it is started and stopped, and the new process says when.
	if err := errors.Join(adapter.Start(ctx, s.owned(exited)), adapter.Stop(ctx, s.owned(exited), time.Second)); err != nil {
		t.Fatal(err)
	}
	if ended, err = adapter.Inspect(ctx, exited.ContainerID); err != nil {
		t.Fatal(err)
	}
	s.restart()
	s.scan()
	if v := s.get(exited); !v.LastAliveAt.Equal(stamp(ended.FinishedAt)) || v.Evidence != store.EvidenceFinishedAt {
		t.Errorf("stopped while nobody watched at %s, but last alive %s by %s", ended.FinishedAt, v.LastAliveAt, v.Evidence)
	}
	stop = s.watch()
	defer stop()
	if err := adapter.Start(ctx, s.owned(exited)); err != nil {
		t.Fatal(err)
	}
	s.await("the revived one to be seen", func() bool { return isAlive(s.get(exited).Instance) })
	if err := adapter.Unpause(ctx, s.owned(paused)); err != nil {
		t.Fatal(err)
	}
	s.await("the woken one to be seen", func() bool { return isAlive(s.get(paused).Instance) })
	if h, err := s.db.Host(ctx, s.host.ID); err != nil || !h.FrozenSince.IsZero() {
		t.Errorf("the host is frozen by %q, %v", h.FrozenReason, err)
	}
	s.await("a scan that needs no inspect but of the loop", func() bool { return s.scan().Inspects <= 1 })
}

// scanField is a scanner on a real engine.
type scanField struct {
	*field
	fleet   *docker.Fleet
	scanner *Scanner
}

func newScanField(t *testing.T, adapter *docker.Engine) *scanField {
	t.Helper()
	return newScanFieldIn(t, adapter, storetest.Open(t))
}

func newScanFieldIn(t *testing.T, adapter *docker.Engine, db *store.DB) *scanField {
	t.Helper()
	s := &scanField{field: newFieldIn(t, adapter, db), fleet: docker.NewFleet()}
	s.fleet.Add(s.host.ID, adapter)
	s.restart()
	return s
}

func (s *scanField) restart() {
	s.scanner = NewScanner(s.db, s.fleet, slog.New(slog.NewTextHandler(s.t.Output(), nil)))
}

func (s *scanField) watch() (stop func()) {
	ctx, cancel := context.WithCancel(s.t.Context())
	ended := make(chan error, 1)
	scanner := s.scanner
	go func() { ended <- scanner.Watch(ctx) }()
	s.await("the first scan", func() bool {
		h, err := s.db.Host(ctx, s.host.ID)
		if err != nil {
			s.t.Fatal(err)
		}
		gen, whole := scanner.memory(s.host.ID).stream.state(s.adapter)
		return whole && gen > 0 && !h.LastGoodScan.IsZero()
	})
	return func() {
		cancel()
		if err := <-ended; err != nil {
			s.t.Error(err)
		}
	}
}

// row is an instance with a container that was created, not started.
func (s *scanField) row(name string, more ...func(*docker.CreateOptions)) store.Instance {
	s.t.Helper()
	inst := store.Instance{
		ID: store.NewID(), HostID: s.host.ID, ProjectID: s.stage.ProjectID, StageID: s.stage.ID, Name: name,
		Ownership: store.OwnershipCreated, EngineID: s.host.EngineID, Image: "shop", ImageTag: "1.0",
		Status: store.StatusStopped, Intended: store.IntendedStopped, CreatedAt: time.Now().UTC(),
	}
	o := docker.CreateOptions{Labels: map[string]string{
		docker.LabelManaged: "true", docker.LabelInstallation: s.db.InstallationID(), docker.LabelInstance: inst.ID,
	}}
	for _, m := range more {
		m(&o)
	}
	inst.ContainerID = s.create(name, o)
	return inst
}

func (s *scanField) insert(inst store.Instance) {
	s.t.Helper()
	if err := s.db.Update(s.t.Context(), func(tx *store.Tx) error { return tx.InsertInstance(s.t.Context(), inst) }); err != nil {
		s.t.Fatal(err)
	}
}

// deploy makes a container that was started, and its row as a deploy leaves it.
func (s *scanField) deploy(name string, env []string, restart string) store.Instance {
	s.t.Helper()
	inst := s.row(name, func(o *docker.CreateOptions) { o.Env, o.Restart = env, restart })
	if err := s.adapter.Start(s.t.Context(), s.owned(inst)); err != nil {
		s.t.Fatal(err)
	}
	inst.Status, inst.Intended, inst.LastAliveAt, inst.Evidence = store.StatusRunning, store.IntendedRunning, stamp(time.Now()), store.EvidenceObserved
	s.insert(inst)
	return inst
}

func (s *scanField) scan() store.ScanRun {
	s.t.Helper()
	runs, err := s.scanner.Scan(s.t.Context(), s.host.ID, "manual")
	if err != nil {
		s.t.Fatal(err)
	}
	return runs[0]
}

func (s *scanField) get(i store.Instance) store.InstanceView {
	s.t.Helper()
	v, err := s.db.Instance(s.t.Context(), i.ID)
	if err != nil {
		s.t.Fatal(err)
	}
	return v
}

func (s *scanField) wantWarnings(n int) {
	s.t.Helper()
	all, _, err := s.db.Events(s.t.Context(), store.EventFilter{}, store.Page{Limit: 1000})
	if err != nil {
		s.t.Fatal(err)
	}
	found := map[string]int{}
	for _, e := range all {
		if e.Kind == "instance.stale" {
			found[e.InstanceID]++
		}
	}
	for id, times := range found {
		if times != 1 {
			s.t.Errorf("%s was warned of %d times", id, times)
		}
	}
	if len(found) != n {
		s.t.Errorf("%d were warned of, want %d", len(found), n)
	}
}
