package deploy

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/tiny-forge/docker-watcher/internal/docker"
	"github.com/tiny-forge/docker-watcher/internal/docker/dockertest"
	"github.com/tiny-forge/docker-watcher/internal/store"
	"github.com/tiny-forge/docker-watcher/internal/store/storetest"
)

// deployed runs a test with one instance that serves.
func deployed(t *testing.T, test func(t *testing.T, r *rig, v store.InstanceView, c *dockertest.Container)) {
	t.Helper()
	bubble(t, store.Spec{}, func(t *testing.T, r *rig) {
		r.publish("1.0")
		r.run()
		v := r.deploy("1.0")
		test(t, r, v, r.pretend.Container(v.ContainerID))
	})
}

func TestStopStartRestart(t *testing.T) {
	deployed(t, func(t *testing.T, r *rig, v store.InstanceView, c *dockertest.Container) {
		ctx := t.Context()
		time.Sleep(time.Minute)
		if err := r.StopInstance(ctx, v.ID, "user:anna"); err != nil {
			t.Fatal(err)
		}
		stopped := r.instance(v.ID)
		if stopped.Status != store.StatusStopped || stopped.Intended != store.IntendedStopped || stopped.Class != store.ClassExited {
			t.Errorf("stopped: %s (%s), intended %s", stopped.Status, stopped.Class, stopped.Intended)
		}
		if !stopped.LastAliveAt.After(v.LastAliveAt) || stopped.LastAliveAt.After(stopped.FinishedAt) {
			t.Errorf("last alive %s; it was seen running until it was stopped at %s", stopped.LastAliveAt, stopped.FinishedAt)
		}
		time.Sleep(time.Minute)
		if err := r.StartInstance(ctx, v.ID, "user:anna"); err != nil {
			t.Fatal(err)
		}
		started := r.instance(v.ID)
		if started.Status != store.StatusRunning || started.Intended != store.IntendedRunning || time.Since(started.LastAliveAt).Abs() > 2*time.Second {
			t.Errorf("started: %s, intended %s, last alive %s", started.Status, started.Intended, started.LastAliveAt)
		}
		time.Sleep(time.Minute)
		if err := r.RestartInstance(ctx, v.ID, "token:ci"); err != nil {
			t.Fatal(err)
		}
		if got := r.instance(v.ID); got.Status != store.StatusRunning || !got.StartedAt.After(started.StartedAt) {
			t.Errorf("restarted: %s, started %s", got.Status, got.StartedAt)
		}
		want := []string{"deploy.started", "deploy.done", "instance.stopped", "instance.started", "instance.restarted"}
		if diff := cmp.Diff(want, r.kinds(v.ID)); diff != "" {
			t.Errorf("events (-want +got):\n%s", diff)
		}
		if got := r.event("instance.restarted"); got.Actor != "token:ci" {
			t.Errorf("restarted by %q", got.Actor)
		}
		if c.Facts().State != "running" {
			t.Errorf("the container is %s", c.Facts().State)
		}
	})
}

func TestOurStopIsNoSignOfLife(t *testing.T) {
	deployed(t, func(t *testing.T, r *rig, v store.InstanceView, c *dockertest.Container) {
		c.Pause()
		r.stop()
		time.Sleep(10 * 24 * time.Hour)
		if err := r.StopInstance(t.Context(), v.ID, "user:anna"); err != nil {
			t.Fatal(err)
		}
		got := r.instance(v.ID)
		if got.Status != store.StatusStopped || !got.LastAliveAt.Equal(v.LastAliveAt) {
			t.Errorf("%s, last alive %s: the stop of what was paused since %s moved it", got.Status, got.LastAliveAt, v.LastAliveAt)
		}
	})
}

func TestStartOfAStaleOneEndsItsEpisode(t *testing.T) {
	deployed(t, func(t *testing.T, r *rig, v store.InstanceView, c *dockertest.Container) {
		c.Exit(0)
		err := r.record(t.Context(), r.adapter, v.ID, func(_ *store.Tx, _ store.InstanceView, i *store.Instance) error {
			i.Status, i.StaleSince, i.WarnedAt = store.StatusStopped, time.Now(), time.Now()
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
		if err := r.StartInstance(t.Context(), v.ID, "user:anna"); err != nil {
			t.Fatal(err)
		}
		if got := r.instance(v.ID); !got.StaleSince.IsZero() || !got.WarnedAt.IsZero() {
			t.Errorf("still stale since %s, warned %s", got.StaleSince, got.WarnedAt)
		}
		r.event("instance.recovered")
	})
}

func TestPausedGoesOn(t *testing.T) {
	deployed(t, func(t *testing.T, r *rig, v store.InstanceView, c *dockertest.Container) {
		c.Pause()
		if err := r.StartInstance(t.Context(), v.ID, "user:anna"); err != nil {
			t.Fatal(err)
		}
		if got := r.instance(v.ID); got.Status != store.StatusRunning || c.Facts().State != "running" || c.Facts().Started.After(v.StartedAt.Add(time.Second)) {
			t.Errorf("%s, on the engine %+v: it must go on, not be started anew", got.Status, c.Facts())
		}
	})
}

func TestWrongStateIsRefused(t *testing.T) {
	type act func(r *rig, ctx context.Context, id string) error
	start := func(r *rig, ctx context.Context, id string) error { return r.StartInstance(ctx, id, "user:anna") }
	stop := func(r *rig, ctx context.Context, id string) error { return r.StopInstance(ctx, id, "user:anna") }
	restart := func(r *rig, ctx context.Context, id string) error { return r.RestartInstance(ctx, id, "user:anna") }
	status := func(s store.Status) func(*rig, store.InstanceView, *dockertest.Container) {
		return func(r *rig, v store.InstanceView, _ *dockertest.Container) {
			storetest.Update(r.t, r.db, func(ctx context.Context, tx *store.Tx) error {
				was, err := tx.Instance(ctx, v.ID)
				if err != nil {
					return err
				}
				next := was.Instance
				next.Status = s
				return tx.RecordInstance(ctx, was.Instance, &next, time.Now())
			})
		}
	}
	removing := func(r *rig, v store.InstanceView, _ *dockertest.Container) {
		storetest.Update(r.t, r.db, func(ctx context.Context, tx *store.Tx) error {
			return tx.BeginRemoval(ctx, store.Removal{InstanceID: v.ID, HostID: v.HostID, ContainerID: v.ContainerID, Former: v.Status, Step: store.RemovalIntended}, r.instance(v.ID).Revision)
		})
	}
	cases := []struct {
		name   string
		before func(r *rig, v store.InstanceView, c *dockertest.Container)
		do     act
		says   string
	}{
		{"start what runs", nil, start, "it is running"},
		{"stop what is stopped", func(_ *rig, _ store.InstanceView, c *dockertest.Container) { c.Exit(0) }, stop, "it is exited"},
		{"restart what is paused", func(_ *rig, _ store.InstanceView, c *dockertest.Container) { c.Pause() }, restart, "it is paused"},
		{"start what is missing", status(store.StatusMissing), start, "missing"},
		{"stop what is being removed", removing, stop, "being removed"},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			deployed(t, func(t *testing.T, r *rig, v store.InstanceView, container *dockertest.Container) {
				if c.before != nil {
					c.before(r, v, container)
				}
				was := container.Facts()
				r.pretend.ResetCalls()
				err := c.do(r, t.Context(), v.ID)
				if !errors.Is(err, ErrWrongState) || !strings.Contains(err.Error(), c.says) || !strings.Contains(err.Error(), v.Name) {
					t.Errorf("%v; want ErrWrongState that says %q", err, c.says)
				}
				if diff := cmp.Diff(was, container.Facts()); diff != "" {
					t.Errorf("it was touched (-was +is):\n%s", diff)
				}
				if acts := r.pretend.Requests("^(POST|DELETE) "); len(acts) > 0 {
					t.Errorf("the engine was asked to %s", acts[0].Target())
				}
			})
		})
	}
}

func TestActionsKeepOffADeploy(t *testing.T) {
	bubble(t, store.Spec{}, func(t *testing.T, r *rig) {
		r.publish("1.0", "1.1")
		r.run()
		former := r.deploy("1.0")
		d := r.begin("1.1")
		time.Sleep(3 * time.Second)
		for name, err := range map[string]error{
			"stop the former":  r.StopInstance(t.Context(), former.ID, "user:anna"),
			"stop the new one": r.StopInstance(t.Context(), d.InstanceID, "user:anna"),
		} {
			if !errors.Is(err, ErrBusy) && !errors.Is(err, ErrWrongState) {
				t.Errorf("%s during a deploy: %v", name, err)
			}
		}
		if d = r.end(d.ID); d.State != store.DeployDone {
			t.Errorf("deploy %s: %s", d.State, d.Error)
		}
	})
}

func TestForeignContainerIsNeverTouched(t *testing.T) {
	deployed(t, func(t *testing.T, r *rig, v store.InstanceView, c *dockertest.Container) {
		c.Label(docker.LabelInstallation, "somebody-else")
		r.pretend.ResetCalls()
		for name, err := range map[string]error{
			"stop":    r.StopInstance(t.Context(), v.ID, "user:anna"),
			"restart": r.RestartInstance(t.Context(), v.ID, "user:anna"),
		} {
			if !errors.Is(err, docker.ErrNotOwned) {
				t.Errorf("%s: %v, want ErrNotOwned", name, err)
			}
		}
		if acts := r.pretend.Requests("^(POST|DELETE) "); len(acts) > 0 || c.Facts().State != "running" {
			t.Errorf("a container of another installation was touched: %v", acts)
		}
	})
}

func TestFailedStartLeavesItStopped(t *testing.T) {
	deployed(t, func(t *testing.T, r *rig, v store.InstanceView, c *dockertest.Container) {
		c.Exit(0)
		c.Lives(dockertest.Life{StartError: "port is already allocated"})
		if err := r.StartInstance(t.Context(), v.ID, "user:anna"); err == nil {
			t.Fatal("a start that failed was told as done")
		}
		if got := r.instance(v.ID); got.Status != store.StatusStopped {
			t.Errorf("it is %s", got.Status)
		}
	})
}
