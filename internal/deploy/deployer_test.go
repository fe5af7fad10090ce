package deploy

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/tiny-forge/docker-watcher/internal/docker"
	"github.com/tiny-forge/docker-watcher/internal/docker/dockertest"
	"github.com/tiny-forge/docker-watcher/internal/store"
	"github.com/tiny-forge/docker-watcher/internal/store/storetest"
)

func TestDeployServesAndRetiresTheFormer(t *testing.T) {
	bubble(t, store.Spec{Env: []store.EnvVar{{Name: "A", Value: "1"}}, Labels: map[string]string{"team": "shop"}}, func(t *testing.T, r *rig) {
		r.publish("1.0", "1.1")
		r.run()
		first := r.deploy("1.0")
		if first.Status != store.StatusRunning || first.Evidence != store.EvidenceObserved || time.Since(first.LastAliveAt).Abs() > 2*time.Second {
			t.Errorf("after its deploy: %s, last alive %s by %s", first.Status, first.LastAliveAt, first.Evidence)
		}
		if first.Digest == "" || first.ImageID == "" {
			t.Errorf("digest %q and image id %q must be known", first.Digest, first.ImageID)
		}
		c, err := r.adapter.Inspect(t.Context(), first.ContainerID)
		if err != nil {
			t.Fatal(err)
		}
		want := map[string]string{
			docker.LabelManaged: "true", docker.LabelInstallation: r.db.InstallationID(), docker.LabelProject: "shop",
			docker.LabelStage: "preview", docker.LabelInstance: first.ID, "team": "shop",
		}
		if diff := cmp.Diff(want, c.Labels); diff != "" {
			t.Errorf("labels (-want +got):\n%s", diff)
		}
		if name := "shop-preview-" + first.ID[10:]; c.Name != name {
			t.Errorf("the container is called %s, want %s", c.Name, name)
		}

		time.Sleep(time.Minute)
		stopped := time.Now()
		second := r.deploy("1.1")
		first = r.instance(first.ID)
		if first.Status != store.StatusStopped || first.Intended != store.IntendedStopped || r.state(first) != "exited" {
			t.Errorf("the former is %s, intended %s, on the engine %s", first.Status, first.Intended, r.state(first))
		}
		if first.LastAliveAt.Before(stopped) || first.LastAliveAt.After(first.FinishedAt) || first.Evidence != store.EvidenceObserved || first.Class != store.ClassExited {
			t.Errorf("the former was last alive at %s (%s, %s); it was seen running until %s", first.LastAliveAt, first.Evidence, first.Class, first.FinishedAt)
		}
		if !first.RollbackKept || second.RollbackKept {
			t.Errorf("kept for rollback: the former %v, the one that serves %v", first.RollbackKept, second.RollbackKept)
		}
		if second.Status != store.StatusRunning || r.state(second) != "running" {
			t.Errorf("the new one is %s", second.Status)
		}
		if diff := cmp.Diff([]string{"deploy.started", "deploy.done", "instance.stopped"}, r.kinds(first.ID)); diff != "" {
			t.Errorf("events of the former (-want +got):\n%s", diff)
		}
	})
}

func TestFormerThatHadCrashedIsNotToldAsStopped(t *testing.T) {
	bubble(t, store.Spec{}, func(t *testing.T, r *rig) {
		r.publish("1.0", "1.1")
		r.run()
		first := r.deploy("1.0")
		r.pretend.Container(first.ContainerID).Exit(7)
		died := time.Now()
		time.Sleep(time.Minute)
		r.deploy("1.1")
		first = r.instance(first.ID)
		if first.Class != store.ClassFailed || first.LastAliveAt.Sub(died).Abs() > time.Second || first.Evidence != store.EvidenceFinishedAt {
			t.Errorf("it is %s, last alive %s by %s; it crashed at %s", first.Class, first.LastAliveAt, first.Evidence, died)
		}
		if diff := cmp.Diff([]string{"deploy.started", "deploy.done", "instance.status"}, r.kinds(first.ID)); diff != "" {
			t.Errorf("events (-want +got):\n%s", diff)
		}
	})
}

// How many are kept is for the policy in force to say: the stage's own number, else the project's, else the global one.
func TestKeepsAsManyAsItsPolicySays(t *testing.T) {
	number := func(n int) *int { return &n }
	for name, c := range map[string]struct {
		stage           int
		project, global *int
		want            int
	}{
		"the stage says so":        {stage: 1, project: number(3), global: number(3), want: 1},
		"the stage says none":      {stage: 0, project: number(3), want: 0},
		"the project says so":      {stage: store.KeepInherit, project: number(1), global: number(3), want: 1},
		"the global policy does":   {stage: store.KeepInherit, global: number(3), want: 3},
		"nobody says anything":     {stage: store.KeepInherit, want: 2},
		"the project wants no one": {stage: store.KeepInherit, project: number(0), want: 0},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, store.Spec{}, func(t *testing.T, r *rig) {
				storetest.Update(t, r.db, func(ctx context.Context, tx *store.Tx) error {
					stage, err := tx.Stage(ctx, r.stage.ID)
					if err != nil {
						return err
					}
					stage.KeepLast = c.stage
					return errors.Join(tx.UpdateStage(ctx, stage), tx.SetGlobalPolicy(ctx, store.Policy{KeepLast: c.global}),
						tx.SetProjectPolicy(ctx, r.project.ID, store.Policy{KeepLast: c.project}, r.project.Revision))
				})
				r.publish("1", "2", "3", "4", "5")
				r.run()
				kept := 0
				var made []store.InstanceView
				for _, tag := range []string{"1", "2", "3", "4", "5"} {
					made = append(made, r.deploy(tag))
				}
				for _, v := range made {
					if r.instance(v.ID).RollbackKept {
						kept++
					}
				}
				if kept != c.want {
					t.Errorf("%d kept, want %d", kept, c.want)
				}
			})
		})
	}
}

// A policy that changes between two deploys counts at once, but not in the middle of a deploy.
func TestKeepsAnewWhenThePolicyChanges(t *testing.T) {
	bubble(t, store.Spec{}, func(t *testing.T, r *rig) {
		r.publish("1", "2", "3", "4")
		r.run()
		var made []store.InstanceView
		for _, tag := range []string{"1", "2", "3", "4"} {
			made = append(made, r.deploy(tag))
		}
		kept := func() (tags []string) {
			for _, v := range made {
				if r.instance(v.ID).RollbackKept {
					tags = append(tags, v.ImageTag)
				}
			}
			return tags
		}
		change := func(n int, want ...string) {
			t.Helper()
			storetest.Update(t, r.db, func(ctx context.Context, tx *store.Tx) error {
				stage, err := tx.Stage(ctx, r.stage.ID)
				if err != nil {
					return err
				}
				stage.KeepLast = n
				return tx.UpdateStage(ctx, stage)
			})
			if err := r.KeepForRollback(t.Context()); err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(want, kept()); diff != "" {
				t.Errorf("kept of %d (-want +got):\n%s", n, diff)
			}
		}
		change(0)
		change(1, "3")
		change(3, "1", "2", "3")
		if good, err := r.GoodOnes(t.Context(), r.stage.ID, 2); err != nil || len(good) != 2 || good[0] != made[2].ID || good[1] != made[1].ID {
			t.Errorf("would keep %v, %v", good, err)
		}
		r.pretend.Publish(dockertest.Image{Ref: repository + ":slow", PullTime: time.Minute})
		dep := r.begin("slow")
		change(0, "1", "2", "3")
		r.end(dep.ID)
	})
}

// A container that was adopted into a stage beside what serves pushes nothing out of what is kept for a rollback.
func TestAdoptionLeavesWhatIsKept(t *testing.T) {
	bubble(t, store.Spec{}, func(t *testing.T, r *rig) {
		r.publish("1", "2", "3")
		r.run()
		storetest.Update(t, r.db, func(ctx context.Context, tx *store.Tx) error {
			stage, err := tx.Stage(ctx, r.stage.ID)
			if err != nil {
				return err
			}
			stage.KeepLast = 1
			return tx.UpdateStage(ctx, stage)
		})
		oldest, first, second := r.deploy("1"), r.deploy("2"), r.deploy("3")
		c := r.pretend.Run(dockertest.Template{Name: "by-hand", Image: repository + ":1"})
		adopted := storetest.Instance(t, r.db, r.stage, func(i *store.Instance) {
			i.Name, i.ContainerID, i.Ownership, i.Image, i.ImageTag = "by-hand", c.ID, store.OwnershipAdopted, repository, "0"
		})
		storetest.Update(t, r.db, func(ctx context.Context, tx *store.Tx) error {
			return tx.InsertDeploy(ctx, store.Deploy{
				ID: store.NewID(), Kind: store.DeployAdoption, ProjectID: adopted.ProjectID, StageID: adopted.StageID, HostID: adopted.HostID, InstanceID: adopted.ID,
				Image: adopted.Image, ImageTag: adopted.ImageTag, State: store.DeployDone, Actor: "user:anna", CreatedAt: time.Now(), EndedAt: time.Now(),
			})
		})
		if err := r.KeepForRollback(t.Context()); err != nil {
			t.Fatal(err)
		}
		if !r.instance(first.ID).RollbackKept || r.instance(oldest.ID).RollbackKept {
			t.Errorf("the adoption took the place of %s", first.ImageTag)
		}
		if d := r.rollback(""); d.InstanceID != first.ID || r.instance(second.ID).Status != store.StatusStopped {
			t.Errorf("gone back to %+v", d)
		}
	})
}

func TestKeepsTheLastGoodOnesOnly(t *testing.T) {
	bubble(t, store.Spec{}, func(t *testing.T, r *rig) {
		r.publish("1", "2", "3", "4", "5")
		r.pretend.Publish(dockertest.Image{Ref: repository + ":bad", Life: dockertest.Life{ExitAfter: time.Second, ExitCode: 3}})
		r.run()
		var made []store.InstanceView
		for _, tag := range []string{"1", "2", "3"} {
			made = append(made, r.deploy(tag))
		}
		bad := r.end(r.begin("bad").ID)
		made = append(made, r.deploy("4"), r.deploy("5"))
		var kept []string
		for _, v := range append(made, r.instance(bad.InstanceID)) {
			if r.instance(v.ID).RollbackKept {
				kept = append(kept, v.ImageTag)
			}
		}
		if diff := cmp.Diff([]string{"3", "4"}, kept); diff != "" {
			t.Errorf("kept for rollback (-want +got):\n%s", diff)
		}
		for _, v := range made[:2] {
			if got := r.instance(v.ID); got.Status != store.StatusStopped {
				t.Errorf("%s, no longer kept, is %s: it must be left to become stale", got.ImageTag, got.Status)
			}
		}
	})
}

func TestFailedDeployLeavesWhatRan(t *testing.T) {
	never := dockertest.Life{ExitAfter: 2 * time.Second, ExitCode: 3}
	cases := []struct {
		name   string
		image  *dockertest.Image // nil: not in the registry
		spec   store.Spec
		before func(r *rig, id string)
		reason []string
		made   bool // a container was made and must be stopped
	}{
		{name: "image not found", reason: []string{"not found", "check the image and the tag"}},
		{name: "registry wants a login", image: &dockertest.Image{Auth: "secret"}, reason: []string{"denied", "login"}},
		{name: "the disk is full while it is pulled", image: &dockertest.Image{PullFail: "write /var/lib/docker/tmp/x: no space left on device"}, reason: []string{"no space left", "free space on the host"}},
		{name: "made for another platform", image: &dockertest.Image{Arch: "s390x"}, reason: []string{"made for linux/s390x", "for the engine's platform under this tag"}},
		{name: "pull breaks off", image: &dockertest.Image{PullFail: "unexpected EOF"}, reason: []string{"unexpected EOF"}},
		{
			name:   "a registry that is nowhere",
			image:  &dockertest.Image{PullFail: "Get https://nowhere.invalid/v2/: dial tcp: lookup nowhere.invalid: no such host"},
			reason: []string{"no such host", "check the host in the project's image", "docker-watcher registry add"},
		},
		{
			name:   "a registry that does not run",
			image:  &dockertest.Image{PullFail: "Get https://registry.example/v2/: dial tcp 192.0.2.1:443: connect: connection refused"},
			reason: []string{"connection refused", "that a registry answers there"},
		},
		{
			name: "pull does not come to its end", image: &dockertest.Image{PullTime: time.Hour, Layers: 10},
			reason: []string{"pull registry.example/shop:2.0: the image was not there within 30m0s", "pull the image on the host by hand"},
		},
		{
			name: "pull stalls", image: &dockertest.Image{PullTime: time.Hour},
			reason: []string{"see that the engine runs and reaches the registry"},
		},
		{name: "crashes", image: &dockertest.Image{Life: never}, reason: []string{"ended with code 3", "exiting as told", "docker-watcher logs"}, made: true},
		{name: "out of memory", image: &dockertest.Image{Life: dockertest.Life{ExitAfter: time.Second, OOM: true}}, reason: []string{"out of memory"}, made: true},
		{
			name: "does not start", image: &dockertest.Image{Life: dockertest.Life{StartError: `exec: "/nope": executable file not found in $PATH`}},
			reason: []string{"executable file not found", "correct the stage's command"}, made: true,
		},
		{name: "unhealthy", image: &dockertest.Image{Health: true, Life: dockertest.Life{Unhealthy: true}}, reason: []string{"HEALTHCHECK says unhealthy"}, made: true},
		{name: "never healthy", image: &dockertest.Image{Health: true, Life: dockertest.Life{HealthAfter: time.Hour}}, reason: []string{"within 3m0s", "HEALTHCHECK says starting"}, made: true},
		{name: "crashes and is restarted", image: &dockertest.Image{Life: never}, spec: store.Spec{Restart: "always"}, reason: []string{"crash"}, made: true},
		{
			name: "port taken", image: &dockertest.Image{}, spec: store.Spec{Ports: []store.Port{{Container: 80, Host: 8099}}},
			before: func(r *rig, _ string) {
				r.pretend.Run(dockertest.Template{Name: "other", Ports: []string{"127.0.0.1:8099:80/tcp"}})
			},
			reason: []string{"127.0.0.1:8099/tcp is held by the container other", "another host port", "spec.ports"},
		},
		{
			name: "name taken", image: &dockertest.Image{},
			before: func(r *rig, id string) { r.pretend.Run(dockertest.Template{Name: "shop-preview-" + id[10:]}) },
			reason: []string{"is not ours", "rename it"},
		},
		{
			name: "create fails", image: &dockertest.Image{},
			before: func(r *rig, _ string) {
				r.pretend.Fail(dockertest.Fault{On: "^POST /containers/create", Status: 500, Body: `{"message":"no space left on device"}`})
			},
			reason: []string{"no space left", "free space on the host"},
		},
		{
			name: "the reply to create is lost", image: &dockertest.Image{},
			before: func(r *rig, _ string) {
				r.pretend.Fail(dockertest.Fault{On: "^POST /containers/create", LoseReply: true})
			},
			reason: []string{"does not answer"}, made: true,
		},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			bubble(t, store.Spec{}, func(t *testing.T, r *rig) {
				r.publish("1.0")
				if c.image != nil {
					c.image.Ref = repository + ":2.0"
					r.pretend.Publish(*c.image)
				}
				r.run()
				former := r.deploy("1.0")
				r.stop()
				d, err := r.Start(t.Context(), Request{StageID: r.stage.ID, Tag: "2.0", Spec: &c.spec, Actor: "user:anna"})
				if err != nil {
					t.Fatal(err)
				}
				if c.before != nil {
					c.before(r, d.InstanceID)
				}
				r.run()
				d = r.end(d.ID)
				if d.State != store.DeployFailed || d.EndedAt.IsZero() {
					t.Fatalf("the deploy is %s", d.State)
				}
				mustContain(t, d.Error, c.reason...)
				failed := r.event("deploy.failed")
				if failed.Severity != store.SeverityError || failed.Data["advice"] == "" || failed.InstanceID != d.InstanceID {
					t.Errorf("event %+v", failed)
				}
				r.expectFailed(t, d, c.made)
				former = r.instance(former.ID)
				if former.Status != store.StatusRunning || former.Intended != store.IntendedRunning || r.state(former) != "running" {
					t.Errorf("what ran is %s, intended %s, on the engine %s", former.Status, former.Intended, r.state(former))
				}
				for _, req := range r.pretend.Requests("^(POST|DELETE) /containers/" + former.ContainerID + "/(stop|kill|restart)") {
					t.Errorf("what ran was touched: %s", req.Target())
				}
			})
		})
	}
}

// An engine that cannot be reached is not taken for a registry that cannot.
func TestPullAdviceKnowsWhoDoesNotAnswer(t *testing.T) {
	for _, kind := range []error{docker.ErrUnavailable, docker.ErrTimeout} {
		advice := pullAdvice(fmt.Errorf("pull shop:1.0: %w: dial tcp 192.0.2.1:2376: connect: connection refused", kind))
		if !strings.Contains(advice, "see that the engine runs") {
			t.Errorf("%v: %s", kind, advice)
		}
	}
}

func (r *rig) expectFailed(t *testing.T, d store.Deploy, made bool) {
	t.Helper()
	v := r.instance(d.InstanceID)
	if v.Status != store.StatusFailed || v.Intended != store.IntendedStopped || v.Class != store.ClassFailed {
		t.Errorf("the new one is %s (%s), intended %s", v.Status, v.Class, v.Intended)
	}
	switch state := r.state(v); {
	case made && (v.ContainerID == "" || state == "gone"):
		t.Error("its container is not written down")
	case made && state != "exited" && state != "created":
		t.Errorf("its container is %s", state)
	case !made && v.ContainerID != "":
		t.Errorf("container %s is written down although none was made", v.ContainerID)
	}
}

func TestHostPortIsHandedOver(t *testing.T) {
	spec := store.Spec{Ports: []store.Port{{Container: 80, Host: 8099}}}
	t.Run("done", func(t *testing.T) {
		bubble(t, spec, func(t *testing.T, r *rig) {
			r.publish("1.0", "1.1")
			r.run()
			first, second := r.deploy("1.0"), r.deploy("1.1")
			if r.state(first) != "exited" || r.state(second) != "running" || r.instance(first.ID).Intended != store.IntendedStopped {
				t.Errorf("former %s, new %s", r.state(first), r.state(second))
			}
		})
	})
	t.Run("failed", func(t *testing.T) {
		bubble(t, spec, func(t *testing.T, r *rig) {
			r.publish("1.0")
			r.pretend.Publish(dockertest.Image{Ref: repository + ":bad", Life: dockertest.Life{ExitAfter: time.Second, ExitCode: 3}})
			r.run()
			first := r.deploy("1.0")
			d := r.end(r.begin("bad").ID)
			first = r.instance(first.ID)
			if d.State != store.DeployFailed || first.Status != store.StatusRunning || first.Intended != store.IntendedRunning || r.state(first) != "running" {
				t.Errorf("deploy %s; the former is %s, intended %s, on the engine %s", d.State, first.Status, first.Intended, r.state(first))
			}
			if diff := cmp.Diff([]string{"instance.stopped", "instance.started"}, r.kinds(first.ID)[2:]); diff != "" {
				t.Errorf("events of the former (-want +got):\n%s", diff)
			}
		})
	})
	t.Run("one that had crashed is not started by a failed deploy", func(t *testing.T) {
		bubble(t, spec, func(t *testing.T, r *rig) {
			r.publish("1.0")
			r.pretend.Publish(dockertest.Image{Ref: repository + ":bad", Life: dockertest.Life{ExitAfter: time.Second, ExitCode: 3}})
			r.run()
			first := r.deploy("1.0")
			r.pretend.Container(first.ContainerID).Exit(7)
			if d := r.end(r.begin("bad").ID); d.State != store.DeployFailed || r.state(first) != "exited" {
				t.Errorf("deploy %s; the one that had crashed is %s", d.State, r.state(first))
			}
		})
	})
	t.Run("stopped by hand before, stays stopped", func(t *testing.T) {
		bubble(t, spec, func(t *testing.T, r *rig) {
			r.publish("1.0")
			r.run()
			first := r.deploy("1.0")
			if err := r.StopInstance(t.Context(), first.ID, "user:anna"); err != nil {
				t.Fatal(err)
			}
			if d := r.end(r.begin("missing").ID); d.State != store.DeployFailed {
				t.Fatalf("deploy %s", d.State)
			}
			if r.state(first) != "exited" {
				t.Error("a failed deploy started what a person had stopped")
			}
		})
	})
}

func TestNeverJudgedWhileItIsBroughtUp(t *testing.T) {
	bubble(t, store.Spec{}, func(t *testing.T, r *rig) {
		r.publish("1.0")
		sub := r.bus.Subscribe(1000)
		defer sub.Close()
		r.run()
		d := r.begin("1.0")
		var states []string
		for e := range sub.C() {
			if e.Kind == "deploy.done" {
				break
			}
			state, _ := e.Data["state"].(string)
			v := r.instance(d.InstanceID)
			if e.Kind == "deploy.progress" && state != "switching" && state != "draining" && state != "done" && !v.Status.Deploying() {
				t.Errorf("while the deploy is %s the instance is %s, which a scan judges", state, v.Status)
			}
			if !v.StaleSince.IsZero() {
				t.Errorf("stale while the deploy is %s", state)
			}
			if len(states) == 0 || states[len(states)-1] != state {
				states = append(states, state)
			}
		}
		if diff := cmp.Diff([]string{"queued", "pulling", "starting", "checking", "switching", "draining"}, states); diff != "" {
			t.Errorf("states told (-want +got):\n%s", diff)
		}
	})
}

// A shutdown is no failure: the deploy goes on at the next start, and what was to make room serves meanwhile.
func TestShutdownLeavesTheDeployToTheNextStart(t *testing.T) {
	port := store.Spec{Ports: []store.Port{{Container: 80, Host: 8099}}}
	for name, c := range map[string]struct {
		spec  store.Spec
		image dockertest.Image
		fault dockertest.Fault
		state store.DeployState
		serve []string // meanwhile
	}{
		"while it is pulled":     {image: dockertest.Image{PullTime: time.Minute}, state: store.DeployPulling, serve: []string{"1.0"}},
		"while it is checked":    {state: store.DeployChecking, serve: []string{"1.0", "1.1"}},
		"before it was started":  {spec: port, fault: dockertest.Fault{On: "^POST /containers/[^/]+/start", Delay: time.Minute, Times: 1}, state: store.DeployStarting, serve: []string{"1.0"}},
		"after its former ended": {spec: port, state: store.DeployChecking, serve: []string{"1.1"}},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, c.spec, func(t *testing.T, r *rig) {
				r.publish("1.0")
				c.image.Ref = repository + ":1.1"
				r.pretend.Publish(c.image)
				r.run()
				former := r.deploy("1.0")
				if c.fault.On != "" {
					r.pretend.Fail(c.fault)
				}
				d := r.begin("1.1")
				time.Sleep(5 * time.Second)
				r.stop()
				if d = r.deployRow(d.ID); d.State != c.state || d.Error != "" {
					t.Fatalf("after the shutdown it is %s: %s", d.State, d.Error)
				}
				var serve []string
				for _, v := range []store.InstanceView{r.instance(former.ID), r.instance(d.InstanceID)} {
					if r.state(v) == "running" {
						serve = append(serve, v.ImageTag)
					}
				}
				if diff := cmp.Diff(c.serve, serve); diff != "" {
					t.Errorf("serve meanwhile (-want +got):\n%s", diff)
				}
				time.Sleep(14 * time.Minute)
				r.run()
				if d = r.end(d.ID); d.State != store.DeployDone {
					t.Errorf("it is %s: %s", d.State, d.Error)
				}
				r.expectServing(t, d.InstanceID)
				r.expectNoOrphan(t, 2)
			})
		})
	}
}

// A deploy whose instance or host has vanished ends, in words, and the stage works on.
func TestVanishedDeployEnds(t *testing.T) {
	t.Run("what was to be gone back to", func(t *testing.T) {
		bubble(t, store.Spec{}, func(t *testing.T, r *rig) {
			r.publish("1.0", "1.1", "1.2")
			r.run()
			first := r.deploy("1.0")
			r.deploy("1.1")
			r.stop()
			d, err := r.Rollback(t.Context(), RollbackRequest{StageID: r.stage.ID, Actor: "user:anna"})
			if err != nil {
				t.Fatal(err)
			}
			storetest.Update(t, r.db, func(ctx context.Context, tx *store.Tx) error { // a cleanup was faster
				v, err := tx.Instance(ctx, first.ID)
				return errors.Join(err, tx.BeginRemoval(ctx, store.Removal{InstanceID: v.ID, HostID: v.HostID, ContainerID: v.ContainerID, Former: v.Status}, v.Revision), tx.FinishRemoval(ctx, v.ID))
			})
			r.run()
			d = r.end(d.ID)
			if d.State != store.DeployFailed {
				t.Errorf("it is %s", d.State)
			}
			mustContain(t, d.Error, "was removed meanwhile", "choose another")
			if e := r.event("deploy.failed"); e.Severity != store.SeverityError || e.Data["deploy_id"] != d.ID {
				t.Errorf("%+v", e)
			}
			r.expectServing(t, r.deploy("1.2").ID)
		})
	})
	t.Run("a host out of use", func(t *testing.T) {
		bubble(t, store.Spec{}, func(t *testing.T, r *rig) {
			r.publish("1.0")
			d := r.begin("1.0")
			storetest.Update(t, r.db, func(ctx context.Context, tx *store.Tx) error {
				return tx.SetHostDisabled(ctx, r.stage.HostID, time.Now())
			})
			r.run()
			d = r.end(d.ID)
			if d.State != store.DeployFailed {
				t.Errorf("it is %s", d.State)
			}
			mustContain(t, d.Error, "is out of use", "enable the host")
			if _, err := r.db.Instance(t.Context(), d.InstanceID); !errors.Is(err, store.ErrNotFound) {
				t.Errorf("its instance stays: %v", err)
			}
		})
	})
}

// A host that hangs holds up nobody else: neither its deploys nor what a crash left starting there.
func TestAHostThatHangsHoldsUpNoOther(t *testing.T) {
	bubble(t, store.Spec{}, func(t *testing.T, r *rig) {
		hung := dockertest.New(t, dockertest.Options{})
		adapter, err := docker.New(docker.Options{Endpoint: hung.Endpoint(), Dial: hung.Dial, Log: r.log})
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = adapter.Close() }()
		far := storetest.Host(t, r.db)
		r.fleet.Add(far.ID, adapter)
		hung.Fail(dockertest.Fault{On: ".", Hang: true})
		var waiting []store.Deploy
		for range 2 * atOnce {
			st := storetest.Stage(t, r.db, far, r.project)
			storetest.Instance(t, r.db, st, func(i *store.Instance) { i.Status = store.StatusStarting })
			d, err := r.Start(t.Context(), Request{StageID: st.ID, Tag: "1.0", Actor: "user:anna"})
			if err != nil {
				t.Fatal(err)
			}
			waiting = append(waiting, d)
		}
		r.publish("1.0")
		r.run()
		begun := time.Now()
		r.deploy("1.0")
		if took := time.Since(begun); took > 20*time.Second {
			t.Errorf("it took %s", took)
		}
		underWay := 0
		for _, d := range waiting {
			if r.deployRow(d.ID).State != store.DeployQueued {
				underWay++
			}
		}
		if underWay != atOnce {
			t.Errorf("on the host that hangs %d are under way, want %d", underWay, atOnce)
		}
	})
}

// Nothing is deployed while another engine answers for a host, and what waits goes on when an admin has accepted it.
func TestAnotherEngineIsNotDeployedTo(t *testing.T) {
	bubble(t, store.Spec{}, func(t *testing.T, r *rig) {
		r.publish("1", "2")
		waits := r.begin("1")
		freeze := func(reason string) {
			storetest.Update(t, r.db, func(ctx context.Context, tx *store.Tx) error {
				host, err := tx.Host(ctx, r.stage.HostID)
				if err != nil {
					return err
				}
				host.FrozenReason, host.FrozenSince = reason, time.Time{}
				if reason != "" {
					host.FrozenSince = time.Now()
				}
				return tx.UpdateHost(ctx, host)
			})
		}
		freeze(store.FrozenEngineChanged)
		if _, err := r.Start(t.Context(), Request{StageID: r.stage.ID, Tag: "2", Actor: "user:anna"}); !errors.Is(err, ErrFrozen) {
			t.Errorf("got %v", err)
		}
		r.run()
		time.Sleep(time.Minute)
		if n := len(r.pretend.Containers()); n != 0 {
			t.Errorf("%d containers were made", n)
		}
		freeze("")
		if dep := r.end(waits.ID); dep.State != store.DeployDone {
			t.Errorf("it is %s: %s", dep.State, dep.Error)
		}
	})
}

// What a person asked for and waits gives way to a person, not to a rule.
func TestARuleDoesNotSupersedeAPerson(t *testing.T) {
	bubble(t, store.Spec{}, func(t *testing.T, r *rig) {
		r.publish("1", "2", "3")
		r.begin("1") // nobody carries anything out
		_, err := r.Start(t.Context(), Request{StageID: r.stage.ID, Tag: "2", Actor: AutoActor})
		if !errors.Is(err, ErrBusy) {
			t.Errorf("got %v", err)
		}
		if _, err := r.Start(t.Context(), Request{StageID: r.stage.ID, Tag: "3", Actor: "user:ben"}); err != nil {
			t.Error(err)
		}
	})
}

func TestStartRefuses(t *testing.T) {
	bubble(t, store.Spec{}, func(t *testing.T, r *rig) {
		cases := []struct {
			name string
			req  Request
			want error
			says string
		}{
			{"an unknown stage", Request{StageID: "nope", Tag: "1"}, store.ErrNotFound, "stage nope"},
			{"no tag", Request{StageID: r.stage.ID}, ErrInvalid, "tag"},
			{"no digest", Request{StageID: r.stage.ID, Tag: "1", Digest: "sha256:1"}, ErrInvalid, "digest"},
			{"a tag with a blank", Request{StageID: r.stage.ID, Tag: "1 0"}, ErrInvalid, "tag"},
			{"an image with a tag", Request{StageID: r.stage.ID, Tag: "1", Image: "shop:2"}, ErrInvalid, "without a tag"},
			{"our own label", Request{StageID: r.stage.ID, Tag: "1", Spec: &store.Spec{Labels: map[string]string{"docker-watcher.managed": "false"}}}, ErrInvalid, "docker-watcher's own"},
		}
		for _, c := range cases {
			_, err := r.Start(t.Context(), c.req)
			if !errors.Is(err, c.want) || !strings.Contains(err.Error(), c.says) {
				t.Errorf("%s: %v", c.name, err)
			}
		}
		open, err := r.db.OpenDeploys(t.Context())
		if err != nil || len(open) > 0 {
			t.Errorf("refused requests left %d deploys open, %v", len(open), err)
		}
	})
}

func TestProgressIsThrottled(t *testing.T) {
	bubble(t, store.Spec{}, func(t *testing.T, r *rig) {
		sub := r.bus.Subscribe(1000)
		tell := r.newTeller(store.Deploy{ID: "d", State: store.DeployPulling, Image: repository, ImageTag: "1"})
		for n := range int64(200) {
			tell.pulled(t.Context(), docker.PullProgress{Done: n, Total: 1000, Status: "Downloading"})
			time.Sleep(10 * time.Millisecond)
		}
		tell.pulled(t.Context(), docker.PullProgress{Done: 1000, Total: 1000, Status: "Pull complete"})
		synctest.Wait()
		var told []float64
		for len(told) == 0 || told[len(told)-1] < 1000 {
			e := <-sub.C()
			if e.Kind != "deploy.progress" || e.ID != 0 {
				t.Errorf("event %+v", e)
			}
			done, _ := e.Data["done_bytes"].(int64)
			told = append(told, float64(done))
		}
		sub.Close()
		if len(told) < 7 || len(told) > 10 || !slices.IsSorted(told) || told[len(told)-1] != 1000 {
			t.Errorf("in 2 s it told %v", told)
		}
	})
}
