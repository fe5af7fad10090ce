package deploy

import (
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/tiny-forge/docker-watcher/internal/docker/dockertest"
	"github.com/tiny-forge/docker-watcher/internal/store"
)

func (r *rig) rollback(to string) store.Deploy {
	r.t.Helper()
	d, err := r.Rollback(r.t.Context(), RollbackRequest{StageID: r.stage.ID, To: to, Actor: "user:anna"})
	if err != nil {
		r.t.Fatal(err)
	}
	return r.end(d.ID)
}

func TestChoose(t *testing.T) {
	view := func(id, tag string, status store.Status, kept bool) store.InstanceView {
		return store.InstanceView{Instance: store.Instance{
			ID: id, Name: "shop-" + id, ImageTag: tag, Digest: "sha256:" + id, Status: status, RollbackKept: kept,
		}}
	}
	serves, kept, older := view("c", "1.2", store.StatusRunning, false), view("b", "1.1", store.StatusStopped, true), view("a", "1.0", store.StatusMissing, false)
	again := view("d", "1.1", store.StatusStopped, true)
	removing := view("r", "0.9", store.StatusRemoving, false)
	all := []store.InstanceView{serves, kept, again, older, removing}
	line := []string{"c", "b", "d", "a"}
	for to, want := range map[string]string{
		"": "b", "1.1": "b", "d": "d", "shop-d": "d", "sha256:d": "d", "1.0": "a", "sha256:a": "a",
	} {
		if got, err := choose(all, line, to); err != nil || got.ID != want {
			t.Errorf("to %q: %s, %v; want %s", to, got.ID, err, want)
		}
	}
	for to, want := range map[string]error{"1.2": ErrWrongState, "c": ErrWrongState, "0.9": ErrWrongState, "9.9": ErrInvalid, "shop-": ErrInvalid} {
		if got, err := choose(all, line, to); !errors.Is(err, want) {
			t.Errorf("to %q: %s, %v; want %v", to, got.ID, err, want)
		}
	}
	for name, list := range map[string][]store.InstanceView{"none": nil, "only what serves": {serves}, "only what is not kept": {serves, older}} {
		if got, err := choose(list, line, ""); !errors.Is(err, ErrWrongState) {
			t.Errorf("%s: %s, %v", name, got.ID, err)
		}
	}
}

func TestRollbackStartsTheKeptOneAgain(t *testing.T) {
	bubble(t, store.Spec{}, func(t *testing.T, r *rig) {
		r.publish("1.0", "1.1")
		r.run()
		first, second := r.deploy("1.0"), r.deploy("1.1")
		time.Sleep(time.Hour)
		pulls := r.asked("^POST /images/create")
		d := r.rollback("")
		if d.State != store.DeployDone || d.Kind != store.DeployRollback || d.InstanceID != first.ID || d.Replaces != second.ID {
			t.Fatalf("%+v", d)
		}
		v := r.instance(first.ID)
		if v.ContainerID != first.ContainerID || v.Intended != store.IntendedRunning || v.RollbackKept || !r.instance(second.ID).RollbackKept {
			t.Errorf("%+v", v)
		}
		if r.asked("^POST /images/create") != pulls {
			t.Error("it was pulled although its container is there")
		}
		r.expectServing(t, first.ID)
		r.expectNoOrphan(t, 2)
		// And back again.
		if d = r.rollback("1.1"); d.InstanceID != second.ID || d.State != store.DeployDone {
			t.Errorf("%+v", d)
		}
		r.expectServing(t, second.ID)
	})
}

// Rollbacks without a name walk back, and never forward to what was rolled back from.
func TestRollbacksWalkBack(t *testing.T) {
	bubble(t, store.Spec{}, func(t *testing.T, r *rig) {
		r.publish("1.0", "1.1", "1.2", "1.3")
		r.run()
		made := map[string]store.InstanceView{}
		for _, tag := range []string{"1.0", "1.1", "1.2"} {
			made[tag] = r.deploy(tag)
		}
		back := func(to, want string) store.Deploy {
			t.Helper()
			d := r.rollback(to)
			if d.State != store.DeployDone || d.ImageTag != want {
				t.Fatalf("it is %s at %s: %s; want %s", d.State, d.ImageTag, d.Error, want)
			}
			r.expectServing(t, d.InstanceID)
			return d
		}
		back("", "1.1")
		back("", "1.0")
		if _, err := r.Rollback(t.Context(), RollbackRequest{StageID: r.stage.ID}); !errors.Is(err, ErrWrongState) || !strings.Contains(err.Error(), "1.2 (") {
			t.Errorf("before the first one: %v", err)
		}
		back("1.2", "1.2") // by its name one goes forward as well,
		back("", "1.0")    // and from there back to where one came from
		r.deploy("1.3")
		r.pretend.Container(made["1.0"].ContainerID).Remove()
		another := back("1.0", "1.0")
		if another.InstanceID == made["1.0"].ID {
			t.Error("its container is gone")
		}
		if _, err := r.Rollback(t.Context(), RollbackRequest{StageID: r.stage.ID}); !errors.Is(err, ErrWrongState) {
			t.Errorf("another of the first one: %v", err)
		}
	})
}

func TestLineage(t *testing.T) {
	forward := func(id string) store.Deploy {
		return store.Deploy{Kind: store.DeployForward, InstanceID: id, ImageTag: id, Digest: "sha256:" + id}
	}
	back := func(id, to string) store.Deploy {
		return store.Deploy{Kind: store.DeployRollback, InstanceID: id, ImageTag: to, Digest: "sha256:" + to}
	}
	for name, c := range map[string]struct {
		deploys    []store.Deploy // oldest first
		line, left string
	}{
		"nothing":               {},
		"forward":               {deploys: []store.Deploy{forward("a"), forward("b"), forward("c")}, line: "cba"},
		"back once":             {deploys: []store.Deploy{forward("a"), forward("b"), back("a", "a")}, line: "a", left: "b"},
		"back over two":         {deploys: []store.Deploy{forward("a"), forward("b"), forward("c"), back("a", "a")}, line: "a", left: "bc"},
		"back and on":           {deploys: []store.Deploy{forward("a"), forward("b"), back("a", "a"), forward("c")}, line: "ca", left: "b"},
		"forward by name":       {deploys: []store.Deploy{forward("a"), forward("b"), back("a", "a"), back("b", "b")}, line: "ba"},
		"by another of it":      {deploys: []store.Deploy{forward("a"), forward("b"), back("x", "a")}, line: "x", left: "ab"},
		"to what nobody knows":  {deploys: []store.Deploy{forward("a"), back("z", "z")}, line: "za"},
		"the same digest twice": {deploys: []store.Deploy{forward("a"), {Kind: store.DeployForward, InstanceID: "e", ImageTag: "a", Digest: "sha256:a"}, forward("b"), back("x", "a")}, line: "xa", left: "eb"},
	} {
		slices.Reverse(c.deploys)
		line, left := lineage(c.deploys)
		if strings.Join(line, "") != c.line || strings.Join(left, "") != c.left {
			t.Errorf("%s: line %v, left %v; want %s, %s", name, line, left, c.line, c.left)
		}
	}
}

// What cannot be started as it is, is made again of its spec and its digest, wherever its tag points by now.
func TestRollbackMakesAnother(t *testing.T) {
	for name, c := range map[string]struct {
		change func(r *rig, first store.InstanceView)
		pulled bool
	}{
		"the container is gone": {change: func(r *rig, first store.InstanceView) { r.pretend.Container(first.ContainerID).Remove() }},
		"and the image as well": {change: func(r *rig, first store.InstanceView) {
			r.pretend.Container(first.ContainerID).Remove()
			if _, err := r.adapter.RemoveImage(r.t.Context(), first.ImageID); err != nil {
				r.t.Fatal(err)
			}
		}, pulled: true},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, store.Spec{Env: []store.EnvVar{{Name: "A", Value: "then"}}}, func(t *testing.T, r *rig) {
				r.publish("1.0", "1.1")
				r.run()
				first, second := r.deploy("1.0"), r.deploy("1.1")
				// Meanwhile the tag has moved.
				r.pretend.Publish(dockertest.Image{Ref: repository + ":1.0", ID: "sha256:" + strings.Repeat("e", 64)})
				c.change(r, first)
				pulls := r.asked("^POST /images/create")
				d := r.rollback("1.0")
				if d.State != store.DeployDone || d.InstanceID == first.ID || d.Replaces != second.ID || d.Digest != first.Digest {
					t.Fatalf("%+v", d)
				}
				v := r.instance(d.InstanceID)
				if v.Digest != first.Digest || v.ImageTag != "1.0" || v.ImageID != first.ImageID {
					t.Errorf("it is of image %s (%s), want %s", v.ImageID, v.Digest, first.ImageID)
				}
				spec, err := r.db.InstanceSpec(t.Context(), v.ID)
				if err != nil || len(spec.Env) != 2 || spec.Env[0].Value != "then" {
					t.Errorf("its spec is %+v, %v", spec, err)
				}
				if got := r.asked("^POST /images/create") > pulls; got != c.pulled {
					t.Errorf("pulled: %v, want %v", got, c.pulled)
				}
				r.expectServing(t, v.ID)
			})
		})
	}
}

func TestRollbackRefuses(t *testing.T) {
	bubble(t, store.Spec{}, func(t *testing.T, r *rig) {
		r.publish("1.0", "1.1")
		r.run()
		refused := func(what, to string, want error, says string) {
			t.Helper()
			_, err := r.Rollback(t.Context(), RollbackRequest{StageID: r.stage.ID, To: to, Actor: "user:anna"})
			if !errors.Is(err, want) || !strings.Contains(err.Error(), says) {
				t.Errorf("%s: %v", what, err)
			}
		}
		refused("a stage that never served", "", ErrWrongState, "deploy a tag instead")
		first := r.deploy("1.0")
		refused("a stage with one instance", "", ErrWrongState, "keeps nothing")
		refused("what serves", "1.0", ErrWrongState, "running already")
		if d := r.end(r.begin("nope").ID); d.State != store.DeployFailed {
			t.Fatal(d.State)
		}
		refused("what was never good", "nope", ErrInvalid, `called "nope"`)
		r.deploy("1.1")
		refused("what was never there", "9.9", ErrInvalid, "there is 1.0 ("+first.Name+")")
		if _, err := r.Rollback(t.Context(), RollbackRequest{StageID: "nope"}); !errors.Is(err, store.ErrNotFound) {
			t.Errorf("an unknown stage: %v", err)
		}
		if open, err := r.db.OpenDeploys(t.Context()); err != nil || len(open) > 0 {
			t.Errorf("refused ones left %d open, %v", len(open), err)
		}
	})
}

func TestRollbackThatFailsLeavesWhatServes(t *testing.T) {
	bubble(t, store.Spec{}, func(t *testing.T, r *rig) {
		r.publish("1.0", "1.1")
		r.run()
		first, second := r.deploy("1.0"), r.deploy("1.1")
		r.pretend.Fail(dockertest.Fault{On: "^POST /containers/" + first.ContainerID + "/start", Status: 500})
		d := r.rollback("")
		if d.State != store.DeployFailed {
			t.Fatalf("it is %s", d.State)
		}
		r.expectServing(t, second.ID)
		if v := r.instance(first.ID); v.Status != store.StatusFailed || v.ContainerID != first.ContainerID {
			t.Errorf("what was to be gone back to is %s", v.Status)
		}
	})
}

func TestRollbackIsCancelled(t *testing.T) {
	bubble(t, store.Spec{}, func(t *testing.T, r *rig) {
		r.publish("1.0", "1.1")
		r.run()
		first, second := r.deploy("1.0"), r.deploy("1.1")
		d, err := r.Rollback(t.Context(), RollbackRequest{StageID: r.stage.ID, Actor: "user:anna"})
		if err != nil {
			t.Fatal(err)
		}
		time.Sleep(3 * time.Second) // it is being checked
		r.cancel(d.ID)
		if d = r.end(d.ID); d.State != store.DeployCancelled {
			t.Fatalf("it is %s: %s", d.State, d.Error)
		}
		r.expectServing(t, second.ID)
		if v := r.instance(first.ID); v.Status != store.StatusStopped || v.Intended != store.IntendedStopped || !v.RollbackKept {
			t.Errorf("what is kept is %s, intended %s, kept %v", v.Status, v.Intended, v.RollbackKept)
		}
		if d = r.rollback(""); d.State != store.DeployDone {
			t.Errorf("the next is %s: %s", d.State, d.Error)
		}
		r.expectServing(t, first.ID)
	})
}

// A rollback that waits is superseded or cancelled without its instance being touched.
func TestRollbackThatWaitsTouchesNothing(t *testing.T) {
	bubble(t, store.Spec{}, func(t *testing.T, r *rig) {
		r.publish("1.0", "1.1", "1.2", "1.3")
		r.run()
		first := r.deploy("1.0")
		r.deploy("1.1")
		r.begin("1.2")
		time.Sleep(time.Second)
		waits, err := r.Rollback(t.Context(), RollbackRequest{StageID: r.stage.ID, To: "1.0", Actor: "user:anna"})
		if err != nil {
			t.Fatal(err)
		}
		last := r.begin("1.3")
		if waits = r.deployRow(waits.ID); waits.State != store.DeploySuperseded {
			t.Errorf("it is %s", waits.State)
		}
		if v := r.instance(first.ID); v.Status != store.StatusStopped || v.Revision == 0 {
			t.Errorf("%+v", v)
		}
		r.expectServing(t, r.end(last.ID).InstanceID)
	})
}
