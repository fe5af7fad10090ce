package deploy

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/tiny-forge/docker-watcher/internal/docker/dockertest"
	"github.com/tiny-forge/docker-watcher/internal/store"
)

func (r *rig) policy(v store.InstanceView) string {
	r.t.Helper()
	c, err := r.adapter.Inspect(r.t.Context(), v.ContainerID)
	if err != nil {
		r.t.Fatal(err)
	}
	return c.RestartPolicy
}

// What a deploy has stopped does not come back when its engine starts, where it would take the host port of what serves.
func TestRetiredStaysStoppedWhenTheEngineStarts(t *testing.T) {
	for name, spec := range map[string]store.Spec{
		"beside the next": {Restart: "always"},
		"to make room":    {Restart: "always", Ports: []store.Port{{Container: 80, Host: 8080}}},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, spec, func(t *testing.T, r *rig) {
				r.publish("1.0", "1.1")
				r.run()
				first, second := r.deploy("1.0"), r.deploy("1.1")
				r.pretend.Restart()
				time.Sleep(time.Minute)
				if r.state(first) != dockertest.Exited || r.state(second) != dockertest.Running {
					t.Errorf("after a start of the engine: former %s, serving %s", r.state(first), r.state(second))
				}
				if r.policy(second) != "always" {
					t.Errorf("what serves is restarted %s", r.policy(second))
				}
				if d := r.rollback(""); d.State != store.DeployDone || d.InstanceID != first.ID {
					t.Fatalf("%+v", d)
				}
				if r.policy(first) != "always" || r.policy(second) != "unless-stopped" {
					t.Errorf("after the rollback: %s, and what it replaced %s", r.policy(first), r.policy(second))
				}
				r.pretend.Restart()
				time.Sleep(time.Minute)
				if r.state(first) != dockertest.Running || r.state(second) != dockertest.Exited {
					t.Errorf("after another start of the engine: %s, %s", r.state(first), r.state(second))
				}
			})
		})
	}
}

func TestFailedStaysStoppedWhenTheEngineStarts(t *testing.T) {
	bubble(t, store.Spec{Restart: "always"}, func(t *testing.T, r *rig) {
		r.pretend.Publish(dockertest.Image{Ref: repository + ":1.0", Life: dockertest.Life{Health: true, Unhealthy: true}})
		r.run()
		d := r.end(r.begin("1.0").ID)
		v := r.instance(d.InstanceID)
		if d.State != store.DeployFailed {
			t.Fatalf("%+v", d)
		}
		r.pretend.Restart()
		time.Sleep(time.Minute)
		if r.state(v) != dockertest.Exited {
			t.Errorf("what failed is %s", r.state(v))
		}
	})
}

// Other policies are left alone, and an engine that cannot change one fails no deploy.
func TestRestartPolicyIsLeft(t *testing.T) {
	bubble(t, store.Spec{Restart: "on-failure:3"}, func(t *testing.T, r *rig) {
		r.publish("1.0", "1.1")
		r.run()
		first := r.deploy("1.0")
		r.deploy("1.1")
		if r.policy(first) != "on-failure" || r.asked("^POST /containers/.*/update") > 0 {
			t.Errorf("it is %s", r.policy(first))
		}
	})
	bubbleOn(t, dockertest.Podman43(), store.Spec{Restart: "always"}, func(t *testing.T, r *rig) {
		r.publish("1.0", "1.1")
		r.run()
		r.deploy("1.0")
		d := r.end(r.begin("1.1").ID)
		lines, err := r.db.DeployLog(t.Context(), d.ID, 0, 1000)
		if d.State != store.DeployDone || err != nil ||
			!slices.ContainsFunc(lines, func(l store.DeployLine) bool { return strings.Contains(l.Text, "keeps its restart policy") }) {
			t.Errorf("%s, %v: %+v", d.State, err, lines)
		}
	})
}

// What a person starts again comes back as its stage asks for, like what a rollback starts.
func TestStartedByHandComesBackAsAsked(t *testing.T) {
	for name, start := range map[string]func(*rig, string) error{
		"start":   func(r *rig, id string) error { return r.StartInstance(r.t.Context(), id, "user:anna") },
		"restart": func(r *rig, id string) error { return r.RestartInstance(r.t.Context(), id, "user:anna") },
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, store.Spec{Restart: "always"}, func(t *testing.T, r *rig) {
				r.publish("1.0", "1.1")
				r.run()
				first, second := r.deploy("1.0"), r.deploy("1.1")
				if r.policy(first) != "unless-stopped" {
					t.Fatalf("what was retired is restarted %s", r.policy(first))
				}
				if err := start(r, first.ID); err != nil {
					t.Fatal(err)
				}
				if r.policy(first) != "always" || r.state(first) != dockertest.Running {
					t.Errorf("it is %s, and restarted %s", r.state(first), r.policy(first))
				}
				if r.policy(second) != "always" {
					t.Errorf("the other is restarted %s", r.policy(second))
				}
			})
		})
	}
	bubbleOn(t, dockertest.Podman43(), store.Spec{Restart: "always"}, func(t *testing.T, r *rig) {
		r.publish("1.0")
		r.run()
		v := r.deploy("1.0")
		if err := r.StopInstance(t.Context(), v.ID, "user:anna"); err != nil {
			t.Fatal(err)
		}
		if err := r.StartInstance(t.Context(), v.ID, "user:anna"); err != nil {
			t.Errorf("where no policy can be changed: %v", err)
		}
	})
}
