package main

import (
	"context"
	"errors"
	"log/slog"
	"testing"
	"time"

	"github.com/tiny-forge/docker-watcher/internal/docker"
	"github.com/tiny-forge/docker-watcher/internal/docker/dockertest"
	"github.com/tiny-forge/docker-watcher/internal/docker/enginetest"
	"github.com/tiny-forge/docker-watcher/internal/failpoint/failpointtest"
	"github.com/tiny-forge/docker-watcher/internal/stale"
	"github.com/tiny-forge/docker-watcher/internal/store"
	"github.com/tiny-forge/docker-watcher/internal/store/storetest"
	"github.com/tiny-forge/docker-watcher/internal/waittest"
)

// fate is what must have become of the instance that the failpoint is about.
type fate int

const (
	whole     fate = iota // any of the others: several instances race to the failpoint
	untouched             // container and row are there as before
	removed               // neither is there
)

var kills = []struct {
	class store.Class
	point string
	want  fate
	// adopted: what is at stake was made by somebody else and has no label of ours.
	adopted bool
}{
	{store.ClassExited, "after-claim", untouched, false},
	{store.ClassExited, "after-intent", whole, false},
	{store.ClassExited, "archive-begun", whole, false},
	{store.ClassExited, "archive-tagged", whole, false},
	{store.ClassExited, "archive-committed", whole, false},
	{store.ClassExited, "after-verify", whole, false},
	{store.ClassExited, "before-delete", whole, false},
	{store.ClassExited, "after-delete", whole, false},
	{store.ClassExited, "after-commit", whole, false},
	{store.ClassExited, "before-summary", removed, false},
	{store.ClassExited, "after-summary", removed, false},
	{store.ClassPaused, "archive-committed", whole, false},
	{store.ClassPaused, "before-stop", untouched, false},
	{store.ClassPaused, "after-wake", untouched, false},
	{store.ClassPaused, "after-stop", untouched, false},
	{store.ClassPaused, "before-delete", whole, false},
	{store.ClassPaused, "after-delete", whole, false},
	{store.ClassCrashLooping, "before-stop", untouched, false},
	{store.ClassCrashLooping, "after-stop", untouched, false},
	{store.ClassMissing, "after-intent", whole, false},
	{store.ClassMissing, "archive-tagged", whole, false},
	{store.ClassMissing, "after-commit", whole, false},
	{store.ClassExited, "after-intent", whole, true},
	{store.ClassExited, "archive-committed", whole, true},
	{store.ClassExited, "before-delete", whole, true},
	{store.ClassExited, "after-delete", whole, true},
	{store.ClassPaused, "after-stop", untouched, true},
	{store.ClassMissing, "after-intent", whole, true},
}

// kill -9 at each step of a cleanup, then a new start: every item is either untouched or
// fully removed, never twice, never half.
func TestKilledAtEachStep(t *testing.T) {
	t.Parallel() // it mostly waits
	killtest := failpointtest.Build(t)
	t.Run("pretend", func(t *testing.T) {
		t.Parallel()
		engine := dockertest.Serve(t, dockertest.Options{})
		engine.AddImage(dockertest.Image{Ref: image})
		killEach(t, killtest, engine.Endpoint())
	})
	t.Run("real", func(t *testing.T) {
		t.Parallel()
		load(t)
		killEach(t, killtest, enginetest.Endpoint(t))
	})
}

func killEach(t *testing.T, killtest, endpoint string) {
	for _, k := range kills {
		name := string(k.class) + " " + k.point
		if k.adopted {
			name = "adopted " + name
		}
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newSite(t, endpoint)
			s.adopts = k.adopted
			target := s.plant(k.class)
			for range 2 {
				s.plant(store.ClassExited)
			}
			planID := s.plan()
			s.leave()
			failpointtest.Kill(t, patience, k.point, killtest, s.dir, endpoint, s.host.ID, planID)

			s.enter()
			for range 2 { // to recover once more changes nothing
				if err := s.cleaner.Recover(t.Context()); err != nil {
					t.Fatal(err)
				}
				s.wantWhole(planID)
				s.wantFate(target, k.want)
			}
			s.cleanRest()
		})
	}
}

const (
	image    = "dwt-killed:1"
	patience = 3 * time.Minute // automatic cleanup warms up for one
)

func load(t *testing.T) {
	t.Helper()
	app, err := enginetest.BuildApp(t.Context(), t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	archive, err := enginetest.AppArchive(app, image, "1")
	if err != nil {
		t.Fatal(err)
	}
	if err := enginetest.Engine(t).LoadImage(t.Context(), archive); err != nil {
		t.Fatal(err)
	}
}

// site is a data folder with one stage on one engine.
type site struct {
	t         *testing.T
	dir       string
	adapter   *docker.Engine
	host      store.Host
	stage     store.Stage
	instances []store.Instance
	adopts    bool // what is planted was made by somebody else

	db      *store.DB
	cleaner *stale.Cleaner
}

func newSite(t *testing.T, endpoint string) *site {
	t.Helper()
	s := &site{t: t, dir: storetest.Dir(t)}
	var err error
	if s.adapter, err = docker.New(docker.Options{Endpoint: endpoint, Log: slog.New(slog.DiscardHandler)}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.adapter.Close(); err != nil {
			t.Error(err)
		}
	})
	info, err := s.adapter.Info(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	now := time.Now().UTC()
	s.host = store.Host{ID: store.NewID(), Name: "local", Endpoint: endpoint, EngineID: info.EngineID, DataRoot: info.DataRoot, CreatedAt: now}
	project := store.Project{ID: store.NewID(), Name: "shop", Image: "shop", CreatedAt: now}
	s.stage = store.Stage{
		ID: store.NewID(), ProjectID: project.ID, HostID: s.host.ID, Name: "preview", Kind: store.StagePreview,
		Spec: store.Spec{StopGrace: time.Second}, CreatedAt: now,
	}
	s.enter()
	s.update(func(tx *store.Tx) error {
		return errors.Join(tx.InsertHost(t.Context(), s.host), tx.InsertProject(t.Context(), project), tx.InsertStage(t.Context(), s.stage))
	})
	t.Cleanup(s.leave)
	return s
}

// enter opens the store, as a daemon does that starts; leave is its end.
func (s *site) enter() {
	s.t.Helper()
	log := slog.New(slog.DiscardHandler)
	db, err := store.Open(s.t.Context(), store.Options{DataDir: s.dir, Log: log})
	if err != nil {
		s.t.Fatal(err)
	}
	fleet := docker.NewFleet()
	fleet.Add(s.host.ID, s.adapter)
	s.db, s.cleaner = db, stale.NewCleaner(db, fleet, log)
}

func (s *site) leave() {
	if s.db == nil {
		return
	}
	if err := s.db.Close(); err != nil {
		s.t.Error(err)
	}
	s.db = nil
}

func (s *site) update(fn func(*store.Tx) error) {
	s.t.Helper()
	if err := s.db.Update(s.t.Context(), fn); err != nil {
		s.t.Fatal(err)
	}
}

// plant makes a container of the class and the row that a scan would have left of it, dead for twenty days.
func (s *site) plant(class store.Class) store.Instance {
	s.t.Helper()
	inst := store.Instance{
		ID: store.NewID(), HostID: s.host.ID, ProjectID: s.stage.ProjectID, StageID: s.stage.ID, Name: enginetest.Name(s.t),
		Ownership: store.OwnershipCreated, EngineID: s.host.EngineID, Image: "shop", ImageTag: "1", Status: store.StatusStopped,
		CreatedAt: time.Now().UTC(), Intended: store.IntendedStopped,
	}
	options := docker.CreateOptions{Name: inst.Name, Image: image, Labels: map[string]string{
		docker.LabelManaged: "true", docker.LabelInstallation: s.db.InstallationID(), docker.LabelInstance: inst.ID,
	}}
	if s.adopts {
		inst.Ownership, options.Labels = store.OwnershipAdopted, map[string]string{"com.docker.compose.project": "shop"}
	}
	if class == store.ClassCrashLooping {
		options.Env, options.Restart = []string{"EXIT_AFTER_MS=1", "EXIT_CODE=7"}, "always"
	}
	var err error
	if inst.ContainerID, err = s.adapter.Create(s.t.Context(), options); err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(func() { s.clear(inst) })
	s.bring(inst, class)
	if class == store.ClassExited || class == store.ClassPaused {
		enginetest.WriteFile(s.t, s.adapter, inst.ContainerID, "/written", inst.ID)
	}
	dead := time.Now().AddDate(0, 0, -20).UTC()
	if class == store.ClassMissing {
		inst.Status, inst.Class = store.StatusMissing, class
	} else {
		ct := s.inspect(inst)
		inst = stale.Observe(inst, ct, s.adapter.Now())
	}
	inst.LastAliveAt, inst.StaleSince = dead, time.Now().UTC()
	s.update(func(tx *store.Tx) error { return tx.InsertInstance(s.t.Context(), inst) })
	s.instances = append(s.instances, inst)
	return inst
}

// bring makes a fresh container what its class says.
func (s *site) bring(inst store.Instance, class store.Class) {
	s.t.Helper()
	ctx, own := s.t.Context(), s.owned(inst)
	var err error
	switch class {
	case store.ClassExited:
		err = errors.Join(s.adapter.Start(ctx, own), s.adapter.Stop(ctx, own, time.Second))
	case store.ClassPaused:
		err = errors.Join(s.adapter.Start(ctx, own), s.adapter.Pause(ctx, own))
	case store.ClassMissing:
		err = s.adapter.Remove(ctx, own)
	case store.ClassCrashLooping:
		err = s.adapter.Start(ctx, own)
		s.await(func() bool {
			ct := s.inspect(inst)
			return ct.RestartCount > 1 && ct.State == docker.StateRestarting
		})
	default:
		s.t.Fatalf("no way to make a container %s", class)
	}
	if err != nil {
		s.t.Fatal(err)
	}
}

func (s *site) await(ok func() bool) {
	s.t.Helper()
	waittest.Until(s.t, "what was begun goes so far", 20*time.Millisecond, ok)
}

func (s *site) owned(inst store.Instance) docker.Owned {
	return docker.Owned{
		ID: inst.ContainerID, Installation: s.db.InstallationID(), Instance: inst.ID, Adopted: inst.Ownership == store.OwnershipAdopted,
	}
}

func (s *site) inspect(inst store.Instance) docker.Container {
	s.t.Helper()
	ct, err := s.adapter.Inspect(s.t.Context(), inst.ContainerID)
	if err != nil {
		s.t.Fatal(err)
	}
	return ct
}

func (s *site) exists(inst store.Instance) bool {
	s.t.Helper()
	_, err := s.adapter.Inspect(s.t.Context(), inst.ContainerID)
	if err != nil && !errors.Is(err, docker.ErrNotFound) {
		s.t.Fatal(err)
	}
	return err == nil
}

// clear takes a container off the engine when the test is over.
func (s *site) clear(inst store.Instance) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(s.t.Context()), time.Minute)
	defer cancel()
	own := docker.Owned{ID: inst.ContainerID, Adopted: true}
	if _, err := s.adapter.Inspect(ctx, inst.ContainerID); errors.Is(err, docker.ErrNotFound) {
		return
	}
	if err := errors.Join(s.adapter.Stop(ctx, own, time.Second), s.adapter.Remove(ctx, own)); err != nil {
		s.t.Errorf("clear %s: %v", inst.Name, err)
	}
}

func (s *site) plan() string {
	s.t.Helper()
	plan, err := s.cleaner.Plan(s.t.Context(), stale.Selection{AllUnprotected: true}, "user:anna")
	if err != nil {
		s.t.Fatal(err)
	}
	if len(plan.Items) != len(s.instances) {
		s.t.Fatalf("planned %d of %d: %+v", len(plan.Items), len(s.instances), plan.Items)
	}
	return plan.ID
}

// wantWhole checks that nothing is half done.
func (s *site) wantWhole(planID string) {
	s.t.Helper()
	plan, err := s.db.Plan(s.t.Context(), planID)
	if err != nil {
		s.t.Fatal(err)
	}
	if plan.State != store.PlanApplied {
		s.t.Errorf("the plan is %s", plan.State)
	}
	if left, err := s.db.Removals(s.t.Context()); err != nil || len(left) > 0 {
		s.t.Errorf("removals under way: %v, %v", left, err)
	}
	for _, item := range plan.Items {
		if item.Result == "" {
			s.t.Errorf("%s has no result", item.Name)
		}
	}
	for _, inst := range s.instances {
		s.wantOneOfTwo(inst)
	}
	s.wantOnlyNeededCopies()
}

func (s *site) wantOneOfTwo(inst store.Instance) {
	s.t.Helper()
	view, err := s.db.Instance(s.t.Context(), inst.ID)
	if err != nil && !errors.Is(err, store.ErrNotFound) {
		s.t.Fatal(err)
	}
	there, row := s.exists(inst), err == nil
	if inst.Class != store.ClassMissing && there != row {
		s.t.Errorf("%s: container there: %v, row there: %v", inst.Name, there, row)
	}
	if row && view.Status != inst.Status {
		s.t.Errorf("%s: status %s, want %s as before", inst.Name, view.Status, inst.Status)
	}
	want := 1
	if row {
		want = 0
	}
	if n := s.removedEvents(inst); n != want {
		s.t.Errorf("%s: %d events of its removal, row there: %v", inst.Name, n, row)
	}
}

func (s *site) removedEvents(inst store.Instance) (n int) {
	s.t.Helper()
	events, _, err := s.db.Events(s.t.Context(), store.EventFilter{InstanceID: inst.ID}, store.Page{Limit: 1000})
	if err != nil {
		s.t.Fatal(err)
	}
	for _, e := range events {
		if e.Kind == "cleanup.item" && e.Data["result"] == string(store.ResultRemoved) {
			n++
		}
	}
	return n
}

func (s *site) wantFate(inst store.Instance, want fate) {
	s.t.Helper()
	switch there := s.exists(inst); want {
	case untouched:
		if !there {
			s.t.Errorf("%s was removed", inst.Name)
		} else if state := s.inspect(inst).State; inst.Class != store.ClassExited && state == docker.StateExited {
			s.t.Errorf("%s was left stopped", inst.Name)
		}
	case removed:
		if there {
			s.t.Errorf("%s is still there", inst.Name)
		}
	case whole: // checked for every instance
	}
}

// cleanRest shows that what was taken back can be planned and removed as if nothing had happened.
func (s *site) cleanRest() {
	s.t.Helper()
	plan, err := s.cleaner.Plan(s.t.Context(), stale.Selection{AllUnprotected: true}, "user:anna")
	if err != nil {
		s.t.Fatal(err)
	}
	if _, err := s.cleaner.Apply(s.t.Context(), plan.ID, "user:anna", true, nil); err != nil {
		s.t.Fatal(err)
	}
	for _, inst := range s.instances {
		if inst.Class == store.ClassExited && s.exists(inst) {
			s.t.Errorf("%s could not be removed afterwards", inst.Name)
		}
	}
}
