package deploy

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/tiny-forge/docker-watcher/internal/docker"
	"github.com/tiny-forge/docker-watcher/internal/docker/dockertest"
	"github.com/tiny-forge/docker-watcher/internal/store"
	"github.com/tiny-forge/docker-watcher/internal/store/storetest"
)

// sideBySideRig is a rig whose stage lets tags run side by side, each at its own domain.
func sideBySideRig(t *testing.T, most int, test func(t *testing.T, r *rig)) {
	t.Helper()
	bubble(t, store.Spec{Ports: []store.Port{{Container: 8080}}}, func(t *testing.T, r *rig) {
		storetest.Update(t, r.db, func(ctx context.Context, tx *store.Tx) error {
			stage, err := tx.Stage(ctx, r.stage.ID)
			if err != nil {
				return err
			}
			stage.Strategy, stage.ParallelMax, stage.Domain = store.StrategyParallel, most, "{{tag}}.{{project}}.example.com"
			return tx.UpdateStage(ctx, stage)
		})
		test(t, r)
	})
}

// side is what runs side by side: the tags, in their order.
func (r *rig) side(t *testing.T) (tags []string) {
	t.Helper()
	all, _, err := r.db.Instances(t.Context(), store.InstanceFilter{StageID: r.stage.ID}, store.Page{Limit: 1000})
	if err != nil {
		t.Fatal(err)
	}
	for _, v := range all {
		runs := r.state(v) == "running"
		if runs != (v.Status == store.StatusRunning) {
			t.Errorf("%s is %s, on the engine %s", v.Name, v.Status, r.state(v))
		}
		if runs {
			tags = append(tags, v.ImageTag)
		}
	}
	slices.Sort(tags)
	return tags
}

func (r *rig) routesOf(t *testing.T, v store.InstanceView) []string {
	t.Helper()
	routes, err := r.db.RoutesOf(t.Context(), v.ID)
	if err != nil {
		t.Fatal(err)
	}
	return routes
}

func TestTagsRunSideBySide(t *testing.T) {
	sideBySideRig(t, 2, func(t *testing.T, r *rig) {
		r.publish("pr-1", "pr-2", "pr-3")
		r.run()
		one, two := r.deploy("pr-1"), r.deploy("pr-2")
		if diff := cmp.Diff([]string{"pr-1", "pr-2"}, r.side(t)); diff != "" {
			t.Errorf("two of at most two (-want +got):\n%s", diff)
		}
		if got := r.routesOf(t, one); !slices.Equal(got, []string{"pr-1.shop.example.com/"}) {
			t.Errorf("the first is at %v", got)
		}
		// Another image of the same tag takes the place, and the domain, of the one before.
		r.pretend.Publish(dockertest.Image{Ref: repository + ":pr-2", ID: "sha256:" + strings.Repeat("e", 64)})
		next := r.deploy("pr-2")
		if diff := cmp.Diff([]string{"pr-1", "pr-2"}, r.side(t)); diff != "" || r.state(two) != "exited" {
			t.Errorf("the former pr-2 is %s (-want +got):\n%s", r.state(two), diff)
		}
		if got := r.routesOf(t, next); !slices.Equal(got, []string{"pr-2.shop.example.com/"}) || len(r.routesOf(t, two)) > 0 {
			t.Errorf("the new one is at %v, the former at %v", got, r.routesOf(t, two))
		}
		// A third gives no place to the oldest, whose domain still says where it was.
		r.deploy("pr-3")
		if diff := cmp.Diff([]string{"pr-2", "pr-3"}, r.side(t)); diff != "" {
			t.Errorf("three of at most two (-want +got):\n%s", diff)
		}
		one = r.instance(one.ID)
		if one.Intended != store.IntendedStopped || one.RollbackKept || len(r.routesOf(t, one)) != 1 {
			t.Errorf("the oldest is intended %s, kept %v", one.Intended, one.RollbackKept)
		}
		if e := r.event("instance.stopped"); !strings.Contains(e.Message, "at most 2 tags of shop/preview run side by side, and newer ones do") {
			t.Errorf("%s", e.Message)
		}
		if _, err := r.Rollback(t.Context(), RollbackRequest{StageID: r.stage.ID}); !errors.Is(err, ErrWrongState) {
			t.Errorf("a rollback: %v", err)
		}
	})
}

func TestEachTagWaitsForItself(t *testing.T) {
	sideBySideRig(t, 10, func(t *testing.T, r *rig) {
		r.publish("pr-1", "pr-2", "pr-3")
		r.run()
		first := r.begin("pr-1")
		time.Sleep(time.Second)
		second, third, again := r.begin("pr-2"), r.begin("pr-3"), r.begin("pr-2")
		for id, want := range map[string]store.DeployState{
			first.ID: store.DeployDone, second.ID: store.DeploySuperseded, third.ID: store.DeployDone, again.ID: store.DeployDone,
		} {
			if d := r.end(id); d.State != want {
				t.Errorf("%s is %s, want %s: %s", d.ImageTag, d.State, want, d.Error)
			}
		}
		if diff := cmp.Diff([]string{"pr-1", "pr-2", "pr-3"}, r.side(t)); diff != "" {
			t.Error(diff)
		}
	})
}

func TestPreviewThatFailsLeavesTheOthers(t *testing.T) {
	sideBySideRig(t, 1, func(t *testing.T, r *rig) {
		r.publish("pr-1")
		r.pretend.Publish(dockertest.Image{Ref: repository + ":pr-2", Life: dockertest.Life{ExitAfter: time.Second, ExitCode: 3}})
		r.run()
		r.deploy("pr-1")
		for _, tag := range []string{"pr-2", "nope"} {
			if d := r.end(r.begin(tag).ID); d.State != store.DeployFailed {
				t.Errorf("%s is %s", tag, d.State)
			}
		}
		if diff := cmp.Diff([]string{"pr-1"}, r.side(t)); diff != "" {
			t.Error(diff)
		}
		fixed := store.Spec{Ports: []store.Port{{Container: 80, Host: 8099}}}
		if _, err := r.Start(t.Context(), Request{StageID: r.stage.ID, Tag: "pr-1", Spec: &fixed}); !errors.Is(err, ErrInvalid) || !strings.Contains(err.Error(), "host port 8099") {
			t.Errorf("a host port of its own: %v", err)
		}
	})
}

// A domain that leads elsewhere is not taken over.
func TestDomainOfAPreviewThatIsTaken(t *testing.T) {
	sideBySideRig(t, 3, func(t *testing.T, r *rig) {
		r.publish("pr-1")
		other := storetest.Stage(t, r.db, store.Host{ID: r.stage.HostID}, r.project)
		holder := storetest.Instance(t, r.db, other)
		storetest.Update(t, r.db, func(ctx context.Context, tx *store.Tx) error {
			return tx.PointDomain(ctx, holder, "pr-1.shop.example.com", 80)
		})
		r.run()
		d := r.end(r.begin("pr-1").ID)
		if d.State != store.DeployFailed || !strings.Contains(d.Error, "pr-1.shop.example.com leads elsewhere already") {
			t.Errorf("%s: %s", d.State, d.Error)
		}
		if got, err := r.db.RoutesOf(t.Context(), holder.ID); err != nil || len(got) != 1 || len(r.side(t)) > 0 {
			t.Errorf("who had it has %v, %v; beside it run %v", got, err, r.side(t))
		}
	})
}

// A first preview whose switch fails leaves no route; one of a tag that was there before leaves it where it led.
func TestFailedSwitchOfAPreviewLeavesNoRoute(t *testing.T) {
	sideBySideRig(t, 3, func(t *testing.T, r *rig) {
		r.publish("pr-1")
		var refuses bool
		r.SwitchBy(func(context.Context, store.Stage, store.InstanceView) error {
			if refuses {
				return errors.New("the proxy refuses the table")
			}
			return nil
		})
		r.run()
		refuses = true
		first := r.end(r.begin("pr-1").ID)
		if got := r.routesOf(t, r.instance(first.InstanceID)); first.State != store.DeployFailed || len(got) > 0 {
			t.Errorf("it is %s and leaves %v", first.State, got)
		}
		refuses = false
		served := r.deploy("pr-1")
		if err := r.StopInstance(t.Context(), served.ID, "user:anna"); err != nil {
			t.Fatal(err)
		}
		refuses = true
		again := r.end(r.begin("pr-1").ID)
		if got := r.routesOf(t, served); again.State != store.DeployFailed || len(got) != 1 || len(r.routesOf(t, r.instance(again.InstanceID))) > 0 {
			t.Errorf("it is %s; what was there before has %v", again.State, got)
		}
	})
}

func TestRetireWhatIsGoneFromTheRegistry(t *testing.T) {
	sideBySideRig(t, 10, func(t *testing.T, r *rig) {
		tags := []string{"gone", "fresh", "there", "pinned", "dead"}
		r.publish(tags...)
		r.run()
		views := map[string]store.InstanceView{}
		for _, tag := range tags {
			views[tag] = r.deploy(tag)
		}
		storetest.Update(t, r.db, func(ctx context.Context, tx *store.Tx) error {
			i := r.instance(views["pinned"].ID).Instance
			i.PinnedAt, i.PinnedBy = time.Now(), "user:anna"
			return tx.SetProtection(ctx, i)
		})
		r.stop()
		listed := func(tags ...string) {
			t.Helper()
			storetest.Update(t, r.db, func(ctx context.Context, tx *store.Tx) error {
				return tx.NoteTags(ctx, r.stage.ID, repository, tags, time.Now())
			})
		}
		retires := func(want int, stay ...string) {
			t.Helper()
			if n, err := r.RetirePreviews(t.Context(), GoneFor); err != nil || n != want {
				t.Errorf("%d retired, want %d: %v", n, want, err)
			}
			if diff := cmp.Diff(stay, r.side(t)); diff != "" {
				t.Error(diff)
			}
		}
		listed("fresh", "there")
		time.Sleep(GoneFor + time.Minute)
		retires(0, "dead", "fresh", "gone", "pinned", "there") // nobody has looked since: its registry may not have answered
		listed("fresh", "there")
		time.Sleep(time.Minute)
		listed("there")
		r.pretend.Container(views["dead"].ContainerID).Exit(0) // which nobody has seen
		retires(1, "fresh", "pinned", "there")
		if e := r.event("instance.stopped"); e.InstanceID != views["gone"].ID || e.Actor != "system" || !strings.Contains(e.Message, "has not been in the registry since") {
			t.Errorf("%+v", e)
		}
		time.Sleep(GoneFor + time.Minute)
		listed("fresh", "there") // it is back in time
		retires(0, "fresh", "pinned", "there")
	})
	t.Run("not what was adopted and no registry ever had", func(t *testing.T) {
		sideBySideRig(t, 10, func(t *testing.T, r *rig) {
			c := r.pretend.Run(dockertest.Template{Name: "built-here", Image: "sha256:" + strings.Repeat("4", 64)})
			v := storetest.Instance(t, r.db, r.stage, func(i *store.Instance) {
				i.Name, i.ContainerID, i.Ownership, i.Image, i.ImageTag = "built-here", c.ID, store.OwnershipAdopted, repository, "untagged"
				// As the look at the registry of one that is stale leaves it, before somebody started it again.
				i.TagGoneSince, i.TagCheckedAt = time.Now().Add(-72*time.Hour), time.Now()
			})
			storetest.Update(t, r.db, func(ctx context.Context, tx *store.Tx) error {
				return errors.Join(tx.InsertDeploy(ctx, store.Deploy{
					ID: store.NewID(), Kind: store.DeployAdoption, ProjectID: v.ProjectID, StageID: v.StageID, HostID: v.HostID, InstanceID: v.ID,
					Image: v.Image, ImageTag: v.ImageTag, State: store.DeployDone, Actor: "user:anna", CreatedAt: time.Now(), EndedAt: time.Now(),
				}), tx.NoteTags(ctx, r.stage.ID, repository, []string{"1.0"}, time.Now()))
			})
			if n, err := r.RetirePreviews(t.Context(), GoneFor); err != nil || n != 0 {
				t.Errorf("%d retired: %v", n, err)
			}
			if diff := cmp.Diff([]string{"untagged"}, r.side(t)); diff != "" {
				t.Error(diff)
			}
		})
	})
	t.Run("not where one takes the place of the other", func(t *testing.T) {
		bubble(t, store.Spec{}, func(t *testing.T, r *rig) {
			r.publish("1.0")
			r.run()
			v := r.deploy("1.0")
			for range 2 {
				storetest.Update(t, r.db, func(ctx context.Context, tx *store.Tx) error {
					return tx.NoteTags(ctx, r.stage.ID, repository, []string{"other"}, time.Now())
				})
				time.Sleep(time.Minute)
			}
			if n, err := r.RetirePreviews(t.Context(), 0); err != nil || n != 0 {
				t.Errorf("%d, %v", n, err)
			}
			r.expectServing(t, v.ID)
		})
	})
}

// A host that hangs holds up the retirement on no other, and one that is out of use is no error.
func TestRetireBesideAHostThatHangs(t *testing.T) {
	sideBySideRig(t, 10, func(t *testing.T, r *rig) {
		hung := dockertest.New(t, dockertest.Options{})
		adapter, err := docker.New(docker.Options{Endpoint: hung.Endpoint(), Dial: hung.Dial, Log: r.log})
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = adapter.Close() }()
		far, unused := storetest.Host(t, r.db), storetest.Host(t, r.db)
		r.fleet.Add(far.ID, adapter)
		hung.Fail(dockertest.Fault{On: ".", Hang: true})
		overdueAt := func(st store.Stage, container string) store.Instance {
			v := storetest.Instance(t, r.db, st, func(i *store.Instance) {
				i.TagGoneSince, i.TagCheckedAt = time.Now().Add(-72*time.Hour), time.Now()
				if container != "" {
					i.ContainerID, i.Ownership = container, store.OwnershipAdopted
				}
			})
			storetest.Update(t, r.db, func(ctx context.Context, tx *store.Tx) error {
				return tx.InsertDeploy(ctx, store.Deploy{
					ID: store.NewID(), ProjectID: v.ProjectID, StageID: v.StageID, HostID: v.HostID, InstanceID: v.ID, Image: v.Image, ImageTag: v.ImageTag,
					State: store.DeployDone, Actor: "user:anna", CreatedAt: time.Now(), EndedAt: time.Now(),
				})
			})
			return v
		}
		// Whichever stage comes first, and however many wait there.
		for name, host := range map[string]store.Host{"a": far, "z": far, "0": unused} {
			st := storetest.Stage(t, r.db, host, r.project, func(s *store.Stage) { s.Name, s.Strategy, s.ParallelMax = name, store.StrategyParallel, 10 })
			overdueAt(st, "")
			overdueAt(st, "")
		}
		near := overdueAt(r.stage, r.pretend.Run(dockertest.Template{Name: "near", Image: "shop:1.0"}).ID)
		begun := time.Now()
		n, err := r.RetirePreviews(t.Context(), GoneFor)
		if n != 1 || errors.Is(err, docker.ErrAbsent) || !errors.Is(err, docker.ErrUnavailable) && !errors.Is(err, docker.ErrTimeout) {
			t.Errorf("%d retired: %v", n, err)
		}
		if e := r.event("instance.stopped"); e.InstanceID != near.ID || e.Time.Sub(begun) > 2*time.Second {
			t.Errorf("%s was stopped after %s", e.InstanceID, e.Time.Sub(begun))
		}
		if took := time.Since(begun); took > time.Minute {
			t.Errorf("it took %s", took)
		}
	})
}

// A preview that is stale and has a process still, as one that is paused, gives up its place; one that lives again does not.
func TestRetireWhatIsStale(t *testing.T) {
	sideBySideRig(t, 10, func(t *testing.T, r *rig) {
		r.publish("paused", "woken")
		r.run()
		for _, tag := range []string{"paused", "woken"} {
			v := r.deploy(tag)
			r.pretend.Container(v.ContainerID).Pause()
			err := r.record(t.Context(), r.adapter, v.ID, func(_ *store.Tx, _ store.InstanceView, i *store.Instance) error {
				i.Status, i.Class, i.StaleSince = store.StatusPaused, store.ClassPaused, time.Now()
				return nil
			})
			if err != nil {
				t.Fatal(err)
			}
			if tag == "woken" {
				r.pretend.Container(v.ContainerID).Unpause()
			}
		}
		if n, err := r.RetirePreviews(t.Context(), GoneFor); err != nil || n != 1 {
			t.Errorf("%d retired: %v", n, err)
		}
		if diff := cmp.Diff([]string{"woken"}, r.side(t)); diff != "" {
			t.Error(diff)
		}
		if e := r.event("instance.stopped"); !strings.Contains(e.Message, "it is paused, and stale since") {
			t.Error(e.Message)
		}
	})
}
