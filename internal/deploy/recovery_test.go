package deploy

import (
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/tiny-forge/docker-watcher/internal/docker"
	"github.com/tiny-forge/docker-watcher/internal/docker/dockertest"
	"github.com/tiny-forge/docker-watcher/internal/store"
)

// crashed is a deploy as a kill -9 leaves it in a state: the rows as they were last written, and on the
// engine whatever the step had done already.
func (r *rig) crashed(t *testing.T, tag string, state store.DeployState, onEngine bool, written bool, started bool) store.Deploy {
	t.Helper()
	d := r.begin(tag)
	ro, err := r.load(t.Context(), d.ID)
	if err != nil {
		t.Fatal(err)
	}
	path := map[store.DeployState][]store.Status{
		store.DeployStarting:  {store.StatusStarting},
		store.DeployChecking:  {store.StatusStarting},
		store.DeploySwitching: {store.StatusStarting, store.StatusRunning},
		store.DeployDraining:  {store.StatusStarting, store.StatusRunning},
	}[state]
	if state != store.DeployQueued {
		if err := ro.begin(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	for _, status := range path {
		if err := ro.move(t.Context(), state, status, nil); err != nil {
			t.Fatal(err)
		}
	}
	if state != store.DeployQueued && state != store.DeployPulling {
		if err := r.adapter.Pull(t.Context(), reference(repository, tag), "", nil); err != nil {
			t.Fatal(err)
		}
	}
	if !onEngine {
		return ro.dep
	}
	id, err := r.adapter.Create(t.Context(), createOptions(ro.inst, ro.spec, r.db.InstallationID()))
	if err != nil {
		t.Fatal(err)
	}
	if written {
		if err := ro.tookContainer(t.Context(), id); err != nil {
			t.Fatal(err)
		}
	}
	if started {
		r.pretend.Container(id).Start()
	}
	return ro.dep
}

func TestCrashIsPickedUp(t *testing.T) {
	cases := []struct {
		name                       string
		state                      store.DeployState
		onEngine, written, started bool
	}{
		{"queued", store.DeployQueued, false, false, false},
		{"while pulling", store.DeployPulling, false, false, false},
		{"before the container was made", store.DeployStarting, false, false, false},
		{"after it was made, before it was written down", store.DeployStarting, true, false, false},
		{"before it was started", store.DeployStarting, true, true, false},
		{"after it was started", store.DeployStarting, true, true, true},
		{"while it was checked", store.DeployChecking, true, true, true},
		{"before its routes led to it", store.DeploySwitching, true, true, true},
		{"before the former was stopped", store.DeployDraining, true, true, true},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			bubble(t, store.Spec{}, func(t *testing.T, r *rig) {
				r.publish("1.0", "1.1")
				r.run()
				former := r.deploy("1.0")
				r.stop()
				d := r.crashed(t, "1.1", c.state, c.onEngine, c.written, c.started)
				time.Sleep(time.Minute)
				r.run()
				d = r.end(d.ID)
				if d.State != store.DeployDone {
					t.Fatalf("deploy %s: %s", d.State, d.Error)
				}
				v := r.instance(d.InstanceID)
				if v.Status != store.StatusRunning || r.state(v) != "running" || r.state(former) != "exited" {
					t.Errorf("the new one is %s (%s), the former %s", v.Status, r.state(v), r.state(former))
				}
				r.expectNoOrphan(t, 2)
			})
		})
	}
}

// expectNoOrphan counts the containers of our installation and looks for the row of each.
func (r *rig) expectNoOrphan(t *testing.T, want int) {
	t.Helper()
	list, err := r.adapter.List(t.Context(), docker.ListOptions{Labels: []string{docker.LabelInstallation + "=" + r.db.InstallationID()}})
	if err != nil {
		t.Fatal(err)
	}
	if len(list) != want {
		t.Errorf("%d containers of ours, want %d", len(list), want)
	}
	for _, c := range list {
		if _, err := r.db.InstanceByContainer(t.Context(), r.stage.HostID, c.ID); err != nil {
			t.Errorf("container %s has no row: %v", c.Name, err)
		}
	}
}

func TestOldDeployIsNotCarriedOnAfterACrash(t *testing.T) {
	for _, state := range []store.DeployState{store.DeployQueued, store.DeployPulling, store.DeployStarting} {
		t.Run(string(state), func(t *testing.T) {
			spec := store.Spec{Ports: []store.Port{{Container: 80, Host: 8099}}}
			bubble(t, spec, func(t *testing.T, r *rig) {
				r.publish("1.0", "1.1")
				r.run()
				former := r.deploy("1.0")
				r.stop()
				begun := state == store.DeployStarting
				d := r.crashed(t, "1.1", state, begun, false, false)
				if begun {
					// The former was stopped to make room when the crash came.
					if err := r.adapter.Stop(t.Context(), r.owned(former.Instance), time.Second); err != nil {
						t.Fatal(err)
					}
				}
				time.Sleep(3 * 24 * time.Hour)
				r.run()
				d = r.end(d.ID)
				if d.State != store.DeployFailed || !strings.Contains(d.Error, "while docker-watcher did not run") {
					t.Errorf("deploy %s: %s", d.State, d.Error)
				}
				r.expectFailed(t, d, begun)
				if r.state(former) != "running" {
					t.Errorf("what served before is %s", r.state(former))
				}
				containers := 1
				if begun {
					containers = 2
				}
				r.expectNoOrphan(t, containers)
			})
		})
	}
}

func TestCrashWaitsForTheEngine(t *testing.T) {
	bubble(t, store.Spec{}, func(t *testing.T, r *rig) {
		r.publish("1.0")
		d := r.crashed(t, "1.0", store.DeployStarting, true, false, false)
		mended := r.pretend.Fail(dockertest.Fault{On: ".", Reset: true})
		r.run()
		time.Sleep(time.Minute)
		if now, err := r.db.Deploy(t.Context(), d.ID); err != nil || now.State != store.DeployStarting {
			t.Fatalf("with the engine away the deploy is %s, %v: nobody can know yet what it left", now.State, err)
		}
		mended()
		if d = r.end(d.ID); d.State != store.DeployDone {
			t.Errorf("deploy %s: %s", d.State, d.Error)
		}
		r.expectNoOrphan(t, 1)
	})
}

func TestContainerMadeLateIsTaken(t *testing.T) {
	bubble(t, store.Spec{}, func(t *testing.T, r *rig) {
		r.publish("1.0")
		d := r.crashed(t, "1.0", store.DeployStarting, true, false, false)
		// The engine was still making it when the next daemon looked for it.
		r.pretend.Fail(dockertest.Fault{On: "^GET /containers/json", Times: 1, EmptyList: true})
		r.run()
		if d = r.end(d.ID); d.State != store.DeployDone {
			t.Errorf("deploy %s: %s", d.State, d.Error)
		}
		r.expectNoOrphan(t, 1)
	})
}

func TestCopyWithOurLabelsIsNotTaken(t *testing.T) {
	bubble(t, store.Spec{}, func(t *testing.T, r *rig) {
		r.publish("1.0")
		d := r.crashed(t, "1.0", store.DeployStarting, false, false, false)
		// docker commit copies labels into the image, and so into other people's containers.
		c := r.pretend.Run(dockertest.Template{Name: "copy", Labels: map[string]string{
			docker.LabelInstance: d.InstanceID, docker.LabelInstallation: r.db.InstallationID(), docker.LabelManaged: "true",
		}})
		r.run()
		d = r.end(d.ID)
		if v := r.instance(d.InstanceID); d.State != store.DeployDone || v.ContainerID == c.ID {
			t.Errorf("deploy %s with container %s: the copy was taken for ours", d.State, v.ContainerID)
		}
	})
}

func TestStartLeftByACrashIsSettled(t *testing.T) {
	bubble(t, store.Spec{}, func(t *testing.T, r *rig) {
		r.publish("1.0")
		r.run()
		v := r.deploy("1.0")
		if err := r.StopInstance(t.Context(), v.ID, "user:anna"); err != nil {
			t.Fatal(err)
		}
		r.stop()
		err := r.record(t.Context(), r.adapter, v.ID, func(_ *store.Tx, _ store.InstanceView, i *store.Instance) error {
			i.Status = store.StatusStarting
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
		var workers sync.WaitGroup
		if err := r.settleStrays(t.Context(), &workers); err != nil {
			t.Fatal(err)
		}
		workers.Wait()
		if got := r.instance(v.ID); got.Status != store.StatusStopped {
			t.Errorf("it is %s although the engine says exited", got.Status)
		}
	})
}
