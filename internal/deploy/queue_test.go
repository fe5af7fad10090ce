package deploy

import (
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/tiny-forge/docker-watcher/internal/docker/dockertest"
	"github.com/tiny-forge/docker-watcher/internal/store"
	"github.com/tiny-forge/docker-watcher/internal/store/storetest"
)

func TestWhoseTurnItIs(t *testing.T) {
	dep := func(id, stage string, state store.DeployState) store.Deploy {
		return store.Deploy{ID: id, StageID: stage, State: state}
	}
	for name, c := range map[string]struct {
		open []store.Deploy
		want []string
	}{
		"none":                              {},
		"one that waits":                    {[]store.Deploy{dep("1", "a", store.DeployQueued)}, []string{"1"}},
		"the one under way, not the other":  {[]store.Deploy{dep("1", "a", store.DeployPulling), dep("2", "a", store.DeployQueued)}, []string{"1"}},
		"also if the clock was turned back": {[]store.Deploy{dep("1", "a", store.DeployQueued), dep("2", "a", store.DeployDraining)}, []string{"2"}},
		"one of each stage": {
			[]store.Deploy{dep("1", "a", store.DeployQueued), dep("2", "b", store.DeployChecking), dep("3", "b", store.DeployQueued), dep("4", "c", store.DeployQueued)},
			[]string{"1", "2", "4"},
		},
	} {
		var got []string
		for _, d := range turns(c.open) {
			got = append(got, d.ID)
		}
		if diff := cmp.Diff(c.want, got); diff != "" {
			t.Errorf("%s: %s", name, diff)
		}
	}
}

func TestNewerRequestSupersedesTheOneThatWaits(t *testing.T) {
	bubble(t, store.Spec{}, func(t *testing.T, r *rig) {
		r.publish("1.0", "1.1", "1.2")
		r.run()
		first := r.begin("1.0")
		time.Sleep(time.Second) // it is being checked
		second, third := r.begin("1.1"), r.begin("1.2")
		other := storetest.Stage(t, r.db, store.Host{ID: r.stage.HostID}, r.project)
		elsewhere, err := r.Start(t.Context(), Request{StageID: other.ID, Tag: "1.1", Actor: "user:ben"})
		if err != nil {
			t.Fatal(err)
		}
		second = r.deployRow(second.ID)
		if second.State != store.DeploySuperseded || !strings.Contains(second.Error, "1.2") || second.EndedAt.IsZero() {
			t.Errorf("the one that waited is %s: %s", second.State, second.Error)
		}
		if _, err := r.db.Instance(t.Context(), second.InstanceID); !errors.Is(err, store.ErrNotFound) {
			t.Errorf("the instance that it was to make: %v", err)
		}
		if e := r.event("deploy.superseded"); e.Data["deploy_id"] != second.ID || e.Severity != store.SeverityInfo {
			t.Errorf("event %+v", e)
		}
		first, third, elsewhere = r.end(first.ID), r.end(third.ID), r.end(elsewhere.ID)
		if first.State != store.DeployDone || third.State != store.DeployDone || elsewhere.State != store.DeployDone {
			t.Fatalf("the others are %s, %s and %s", first.State, third.State, elsewhere.State)
		}
		if third.Replaces != first.InstanceID {
			t.Errorf("the last replaced %q, want the one that came to serve while it waited", third.Replaces)
		}
		if third.EndedAt.Sub(first.EndedAt) > time.Minute {
			t.Errorf("the last waited until %s although the stage was free at %s", third.EndedAt, first.EndedAt)
		}
		r.expectServing(t, third.InstanceID)
		r.expectNoOrphan(t, 3)
		// Once for the other stage, and once at most ahead of the turn that the superseded one never had.
		if n := r.asked("^POST /images/create.*tag=1.1"); n < 1 || n > 2 {
			t.Errorf("1.1 was pulled %d times", n)
		}
	})
}

func TestManyRequestsAtOnceEndWell(t *testing.T) {
	bubble(t, store.Spec{}, func(t *testing.T, r *rig) {
		r.publish("1.0")
		r.run()
		errs := make(chan error, 20)
		for range cap(errs) {
			go func() {
				_, err := r.Start(t.Context(), Request{StageID: r.stage.ID, Tag: "1.0", Actor: "user:anna"})
				errs <- err
			}()
		}
		for range cap(errs) {
			if err := <-errs; err != nil {
				t.Error(err)
			}
		}
		count := map[store.DeployState]int{}
		var last store.Deploy
		list, _, err := r.db.Deploys(t.Context(), "", r.stage.ID, store.Page{})
		if err != nil || len(list) != cap(errs) {
			t.Fatalf("%d deploys, %v", len(list), err)
		}
		for _, d := range list {
			d = r.end(d.ID)
			count[d.State]++
			if d.State == store.DeployDone && d.EndedAt.After(last.EndedAt) {
				last = d
			}
		}
		if count[store.DeployDone] == 0 || count[store.DeployDone]+count[store.DeploySuperseded] != cap(errs) {
			t.Errorf("they ended as %v", count)
		}
		r.expectServing(t, last.InstanceID)
		r.expectNoOrphan(t, count[store.DeployDone])
	})
}

// expectServing says that of the stage one container runs: that of the instance.
func (r *rig) expectServing(t *testing.T, instanceID string) {
	t.Helper()
	all, _, err := r.db.Instances(t.Context(), store.InstanceFilter{StageID: r.stage.ID}, store.Page{Limit: 1000})
	if err != nil {
		t.Fatal(err)
	}
	for _, v := range all {
		if runs := r.state(v) == "running"; runs != (v.ID == instanceID) || runs != (v.Status == store.StatusRunning) {
			t.Errorf("%s (%s) is %s, on the engine %s; %s is to serve", v.Name, v.ImageTag, v.Status, r.state(v), instanceID)
		}
	}
}

// asked is how often the engine was asked for something.
func (r *rig) asked(pattern string) int { return len(r.pretend.Requests(pattern)) }

func (r *rig) deployRow(id string) store.Deploy {
	r.t.Helper()
	d, err := r.db.Deploy(r.t.Context(), id)
	if err != nil {
		r.t.Fatal(err)
	}
	return d
}

func (r *rig) cancel(id string) store.Deploy {
	r.t.Helper()
	d, err := r.Cancel(r.t.Context(), id, "user:ben")
	if err != nil {
		r.t.Fatal(err)
	}
	return d
}

// TestCancelLeavesNothingHalfMade cancels a deploy in each of its states, on a stage that serves and one whose former must make room.
func TestCancelLeavesNothingHalfMade(t *testing.T) {
	port := store.Spec{Ports: []store.Port{{Container: 80, Host: 8099}}}
	for name, c := range map[string]struct {
		spec  store.Spec
		image dockertest.Image
		fault dockertest.Fault
		wait  time.Duration // before it is cancelled
		state store.DeployState
		made  int // containers of the new one that stay
	}{
		"while it is pulled":           {image: dockertest.Image{PullTime: time.Minute}, wait: 20 * time.Second, state: store.DeployPulling},
		"while its container is made":  {fault: dockertest.Fault{On: "^POST /containers/create", Delay: 20 * time.Second}, wait: 10 * time.Second, state: store.DeployStarting},
		"while it is started":          {fault: dockertest.Fault{On: "^POST /containers/[^/]+/start", Delay: 20 * time.Second}, wait: 10 * time.Second, state: store.DeployStarting},
		"while it is checked":          {image: dockertest.Image{Health: true, Life: dockertest.Life{HealthAfter: time.Hour}}, wait: 20 * time.Second, state: store.DeployChecking, made: 1},
		"after the former made room":   {spec: port, image: dockertest.Image{Health: true, Life: dockertest.Life{HealthAfter: time.Hour}}, wait: 30 * time.Second, state: store.DeployChecking, made: 1},
		"while the former makes room":  {spec: port, fault: dockertest.Fault{On: "^POST /containers/[^/]+/stop", Delay: 15 * time.Second}, wait: 10 * time.Second, state: store.DeployStarting},
		"with an image that dies soon": {image: dockertest.Image{Life: dockertest.Life{ExitAfter: 10 * time.Second}}, wait: 5 * time.Second, state: store.DeployChecking, made: 1},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, c.spec, func(t *testing.T, r *rig) {
				r.publish("1.0", "1.2")
				c.image.Ref = repository + ":1.1"
				r.pretend.Publish(c.image)
				r.run()
				former := r.deploy("1.0")
				if c.fault.On != "" {
					c.fault.Times = 1
					r.pretend.Fail(c.fault)
				}
				d := r.begin("1.1")
				time.Sleep(c.wait)
				if now := r.deployRow(d.ID); now.State != c.state {
					t.Fatalf("it is %s, the test wants it %s", now.State, c.state)
				}
				if d = r.cancel(d.ID); d.CancelledBy != "user:ben" {
					t.Errorf("cancelled by %q", d.CancelledBy)
				}
				if _, err := r.Cancel(t.Context(), d.ID, "user:carl"); err != nil && !errors.Is(err, ErrWrongState) { // twice is once
					t.Error(err)
				}
				d = r.end(d.ID)
				if d.State != store.DeployCancelled || d.CancelledBy != "user:ben" || !strings.Contains(d.Error, "cancelled by user:ben") {
					t.Errorf("it is %s: %s", d.State, d.Error)
				}
				if e := r.event("deploy.cancelled"); e.Severity != store.SeverityInfo || e.Data["deploy_id"] != d.ID {
					t.Errorf("event %+v", e)
				}
				r.expectServing(t, former.ID)
				r.expectNoOrphan(t, 1+c.made)
				v, err := r.db.Instance(t.Context(), d.InstanceID)
				switch {
				case c.made == 0 && !errors.Is(err, store.ErrNotFound):
					t.Errorf("its instance is %s, %v", v.Status, err)
				case c.made > 0 && (v.Status != store.StatusFailed || v.Intended != store.IntendedStopped):
					t.Errorf("its instance is %s, intended %s", v.Status, v.Intended)
				}
				r.expectServing(t, r.deploy("1.2").ID) // and the stage works on
			})
		})
	}
}

func TestCancelBeforeItsTurn(t *testing.T) {
	bubble(t, store.Spec{}, func(t *testing.T, r *rig) {
		r.publish("1.0", "1.1")
		r.run()
		first := r.begin("1.0")
		time.Sleep(time.Second)
		d := r.cancel(r.begin("1.1").ID)
		if d.State != store.DeployCancelled {
			t.Errorf("it is %s", d.State)
		}
		if first = r.end(first.ID); first.State != store.DeployDone {
			t.Errorf("the one under way is %s", first.State)
		}
		r.expectServing(t, first.InstanceID)
		r.expectNoOrphan(t, 1)
	})
}

func TestCancelComesTooLate(t *testing.T) {
	bubble(t, store.Spec{}, func(t *testing.T, r *rig) {
		r.setDrain(t, time.Minute)
		r.publish("1.0", "1.1")
		r.run()
		former := r.deploy("1.0")
		d := r.begin("1.1")
		time.Sleep(30 * time.Second)
		if now := r.deployRow(d.ID); now.State != store.DeployDraining {
			t.Fatalf("it is %s", now.State)
		}
		if _, err := r.Cancel(t.Context(), d.ID, "user:ben"); !errors.Is(err, ErrWrongState) || !strings.Contains(err.Error(), "roll back") {
			t.Errorf("while it drains: %v", err)
		}
		d = r.end(d.ID)
		if _, err := r.Cancel(t.Context(), d.ID, "user:ben"); !errors.Is(err, ErrWrongState) {
			t.Errorf("after its end: %v", err)
		}
		if _, err := r.Cancel(t.Context(), "nope", "user:ben"); !errors.Is(err, store.ErrNotFound) {
			t.Errorf("one that does not exist: %v", err)
		}
		if d.State != store.DeployDone || d.CancelledBy != "" || r.state(former) != "exited" {
			t.Errorf("it is %s, cancelled by %q", d.State, d.CancelledBy)
		}
	})
}

// A cancel that a crash cut off is carried out at the next start.
func TestCancelSurvivesACrash(t *testing.T) {
	for _, c := range []struct {
		name              string
		state             store.DeployState
		onEngine, started bool
		left              int
	}{
		{"while it was pulled", store.DeployPulling, false, false, 1},
		{"after its container was made", store.DeployStarting, true, false, 1},
		{"while it was checked", store.DeployChecking, true, true, 2},
	} {
		t.Run(c.name, func(t *testing.T) {
			bubble(t, store.Spec{}, func(t *testing.T, r *rig) {
				r.publish("1.0", "1.1")
				r.run()
				former := r.deploy("1.0")
				r.stop()
				d := r.crashed(t, "1.1", c.state, c.onEngine, false, c.started)
				r.cancel(d.ID)
				r.run()
				if d = r.end(d.ID); d.State != store.DeployCancelled {
					t.Errorf("it is %s: %s", d.State, d.Error)
				}
				r.expectServing(t, former.ID)
				r.expectNoOrphan(t, c.left)
			})
		})
	}
}

func TestLogTellsTheWholeDeploy(t *testing.T) {
	bubble(t, store.Spec{}, func(t *testing.T, r *rig) {
		r.setDrain(t, 5*time.Second)
		r.publish("1.0")
		r.pretend.Publish(dockertest.Image{Ref: repository + ":1.1", PullTime: 30 * time.Second, Size: 12_000_000})
		r.run()
		first := r.deploy("1.0")
		d := r.end(r.begin("1.1").ID)
		lines, err := r.db.DeployLog(t.Context(), d.ID, 0, 1000)
		if err != nil {
			t.Fatal(err)
		}
		var states []store.DeployState
		var text []string
		var pulled int64
		for n, l := range lines {
			if l.Line != int64(n+1) || l.Time.IsZero() {
				t.Errorf("line %d is %+v", n+1, l)
			}
			if !slices.Contains(states, l.State) {
				states = append(states, l.State)
			}
			text = append(text, l.Text)
			pulled = max(pulled, l.DoneBytes)
		}
		want := []store.DeployState{
			store.DeployQueued, store.DeployPulling, store.DeployStarting, store.DeployChecking, store.DeploySwitching, store.DeployDraining, store.DeployDone,
		}
		if diff := cmp.Diff(want, states); diff != "" {
			t.Errorf("states (-want +got):\n%s", diff)
		}
		mustContain(t, strings.Join(text, "\n"), "asked for by user:anna", "pulling registry.example/shop:1.1", "free space of the engine: not known",
			first.Name+": what it has begun may end, for 5s", "stopping "+first.Name)
		if pulled < 3_000_000 {
			t.Errorf("it tells of %d bytes pulled", pulled)
		}
	})
}

// While a deploy waits behind another of its stage its image is pulled, so that its turn finds it.
func TestImageIsPulledAheadOfItsTurn(t *testing.T) {
	bubble(t, store.Spec{}, func(t *testing.T, r *rig) {
		r.setDrain(t, 5*time.Minute)
		r.publish("1.0")
		moves := r.pretend.Publish(dockertest.Image{Ref: repository + ":1.1", PullTime: time.Minute})
		r.run()
		r.deploy("1.0")
		r.begin("1.0") // another of the same, which drains for long
		time.Sleep(30 * time.Second)
		d, err := r.Start(t.Context(), Request{StageID: r.stage.ID, Tag: "1.1", Digest: moves, Actor: "user:anna"})
		if err != nil {
			t.Fatal(err)
		}
		time.Sleep(2 * time.Minute)
		if now := r.deployRow(d.ID); now.State != store.DeployQueued || !slices.Contains(r.pretend.Images(), repository+"@"+moves) {
			t.Errorf("it is %s; on the engine are %v", now.State, r.pretend.Images())
		}
		r.pretend.Publish(dockertest.Image{Ref: repository + ":1.1", ID: "sha256:" + strings.Repeat("e", 64)}) // the tag moves on
		d = r.end(d.ID)
		if v := r.instance(d.InstanceID); d.State != store.DeployDone || v.Digest != moves {
			t.Errorf("it is %s with %s: %s", d.State, v.Digest, d.Error)
		}
		lines, err := r.db.DeployLog(t.Context(), d.ID, 0, 1000)
		if err != nil {
			t.Fatal(err)
		}
		var text []string
		for _, l := range lines {
			text = append(text, l.Text)
		}
		mustContain(t, strings.Join(text, "\n"), "while it waits for its turn", "it waits for its turn", "is on the engine already")
		images, err := r.db.PulledImages(t.Context(), r.stage.HostID)
		if err != nil || images[r.instance(d.InstanceID).ImageID].Foreign {
			t.Errorf("who brought it: %+v, %v", images, err)
		}
	})
	t.Run("not any more when it is superseded, and a failure is left to its turn", func(t *testing.T) {
		bubble(t, store.Spec{}, func(t *testing.T, r *rig) {
			r.setDrain(t, 5*time.Minute)
			r.publish("1.0", "1.2")
			r.pretend.Publish(dockertest.Image{Ref: repository + ":1.1", PullTime: time.Hour})
			r.run()
			r.deploy("1.0")
			r.begin("1.0")
			time.Sleep(30 * time.Second)
			slow := r.begin("1.1")
			time.Sleep(time.Minute)
			r.begin("nope")
			time.Sleep(time.Second)
			last := r.begin("1.2")
			if now := r.deployRow(slow.ID); now.State != store.DeploySuperseded {
				t.Errorf("it is %s", now.State)
			}
			r.expectServing(t, r.end(last.ID).InstanceID)
			if slices.Contains(r.pretend.Images(), repository+":1.1") {
				t.Error("it was pulled although nobody wants it any more")
			}
		})
	})
}

// What was decided on is what is deployed, wherever its tag leads by the time of the pull.
func TestDigestThatWasDecidedOn(t *testing.T) {
	bubble(t, store.Spec{}, func(t *testing.T, r *rig) {
		judged := r.pretend.Publish(dockertest.Image{Ref: repository + ":1.0"})
		r.pretend.Publish(dockertest.Image{Ref: repository + ":1.0", ID: "sha256:" + strings.Repeat("e", 64)})
		r.run()
		start := func(digest string) store.Deploy {
			t.Helper()
			d, err := r.Start(t.Context(), Request{StageID: r.stage.ID, Tag: "1.0", Digest: digest, Actor: AutoActor})
			if err != nil {
				t.Fatal(err)
			}
			return r.end(d.ID)
		}
		d := start(judged)
		v := r.instance(d.InstanceID)
		if d.State != store.DeployDone || d.Digest != judged || v.Digest != judged || v.ImageTag != "1.0" {
			t.Fatalf("%+v", d)
		}
		if c, err := r.adapter.Inspect(t.Context(), v.ContainerID); err != nil || c.ImageID != v.ImageID {
			t.Errorf("its container is of %s, %v; want %s", c.ImageID, err, v.ImageID)
		}
		d = start("sha256:" + strings.Repeat("a", 64))
		if d.State != store.DeployFailed {
			t.Errorf("it is %s", d.State)
		}
		mustContain(t, d.Error, "registry.example/shop:1.0 pointed to", "deleted or moved since", "deploy the tag again")
		r.expectServing(t, v.ID)
		r.expectNoOrphan(t, 1)
	})
}
