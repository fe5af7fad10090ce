package main_test

import (
	"errors"
	"net/http"
	"os/exec"
	"syscall"
	"testing"
	"time"

	"github.com/tiny-forge/docker-watcher/client"
	"github.com/tiny-forge/docker-watcher/internal/docker/dockertest"
)

// The daemon is killed at each step of a cleanup and started again: every instance is then either
// untouched or fully removed, with one event of its removal, and the rest can be cleaned up.
func TestKilledDuringACleanup(t *testing.T) {
	lethal := program(t, "-tags", "failpoint")
	points := []string{
		"after-claim", "after-intent", "after-verify", "before-delete", "after-delete", "after-commit", "before-summary", "after-summary",
	}
	for _, point := range points {
		t.Run(point, func(t *testing.T) {
			t.Parallel()
			engine := dockertest.Serve(t, dockertest.Docker29())
			engine.Publish(dockertest.Image{Ref: "localhost/shop:1.0", Life: dockertest.Life{Health: true}})
			data := t.TempDir()
			d := launchCommand(t, exec.Command(lethal, withStore(t, flags(data, engine.Endpoint()))...), "DOCKER_WATCHER_FAILPOINT="+point)
			c := d.client(d.setUp())
			instances := threeStale(t, c)
			plan, err := c.PlanCleanup(t.Context(), client.StaleFilter{})
			if err != nil || len(plan.Items) != len(instances) {
				t.Fatalf("plan: %+v, %v", plan, err)
			}
			if done, err := c.ApplyCleanup(t.Context(), plan.ID); err == nil {
				t.Fatalf("it was to be killed at %s, and applied: %+v", point, done)
			}
			d.wantKilled()

			again := launch(t, flags(data, engine.Endpoint())...)
			c = again.client(c.Credential())
			for _, inst := range instances {
				wantUntouchedOrRemoved(t, c, engine, inst)
			}
			done, err := c.Plan(t.Context(), plan.ID)
			if err != nil || done.State != "applied" {
				t.Errorf("the plan is %q, %v", done.State, err)
			}
			if _, err := c.CleanupAll(t.Context()); err != nil {
				t.Errorf("clean up the rest: %v", err)
			}
			if left := engine.Containers(); len(left) > 0 {
				t.Errorf("%d containers could not be removed afterwards", len(left))
			}
		})
	}
}

// threeStale deploys to three stages and stops what it deployed.
func threeStale(t *testing.T, c *client.Client) (instances []client.Instance) {
	t.Helper()
	ctx := t.Context()
	project, err := c.CreateProject(ctx, client.NewProject{Name: "shop", Image: "localhost/shop"})
	if err != nil {
		t.Fatal(err)
	}
	keep := 0
	for _, name := range []string{"one", "two", "three"} {
		stage, err := c.CreateStage(ctx, client.NewStage{ProjectID: project.ID, Name: name, Kind: "preview", StaleAfter: "1s", KeepLast: &keep})
		if err != nil {
			t.Fatal(err)
		}
		instances = append(instances, deployAndStop(t, c, stage.ID))
	}
	eventually(t, "all are stale", func() bool {
		if _, err := c.Scan(ctx, ""); err != nil {
			t.Fatal(err)
		}
		list, err := c.Stale(ctx, client.StaleFilter{}, client.Page{})
		if err != nil {
			t.Fatal(err)
		}
		return len(list.Items) == len(instances)
	})
	return instances
}

func deployAndStop(t *testing.T, c *client.Client, stageID string) client.Instance {
	t.Helper()
	deploy, err := c.StartDeploy(t.Context(), stageID, client.DeployRequest{Tag: "1.0"})
	if err != nil {
		t.Fatal(err)
	}
	eventually(t, "it is deployed", func() bool {
		if deploy, err = c.Deploy(t.Context(), deploy.ID); err != nil {
			t.Fatal(err)
		}
		return deploy.Ended()
	})
	if deploy.State != "done" {
		t.Fatalf("deploy: %+v", deploy)
	}
	var inst client.Instance
	eventually(t, "it can be stopped", func() bool { // a moment after the end of a deploy something may still be at it
		if inst, err = c.StopInstance(t.Context(), deploy.InstanceID); err != nil && !client.HasCode(err, client.CodeBusy) {
			t.Fatal(err)
		}
		return err == nil
	})
	return inst
}

func (d *daemon) wantKilled() {
	d.t.Helper()
	select {
	case <-d.exited:
	case <-time.After(patience):
		d.t.Fatalf("it lives:\n%s", d.stderr.String())
	}
	if status, ok := d.cmd.ProcessState.Sys().(syscall.WaitStatus); !ok || status.Signal() != syscall.SIGKILL {
		d.t.Fatalf("it ended with %v:\n%s", d.cmd.ProcessState, d.stderr.String())
	}
}

func wantUntouchedOrRemoved(t *testing.T, c *client.Client, engine *dockertest.Engine, inst client.Instance) {
	t.Helper()
	now, err := c.Instance(t.Context(), inst.ID)
	problem, ok := client.AsProblem(err)
	if err != nil && (!ok || problem.Status != http.StatusNotFound) {
		t.Fatal(errors.Join(errors.New("read an instance after the restart"), err))
	}
	row, there := err == nil, engine.Container(inst.ContainerID) != nil
	if row != there {
		t.Errorf("%s: instance there: %v, container there: %v", inst.Name, row, there)
	}
	if row && now.Status != inst.Status {
		t.Errorf("%s: status %s, was %s", inst.Name, now.Status, inst.Status)
	}
	events, err := c.Events(t.Context(), client.EventFilter{Instance: inst.ID}, client.Page{Limit: 1000})
	if err != nil {
		t.Fatal(err)
	}
	removals := 0
	for _, e := range events.Items {
		if e.Kind == "cleanup.item" && e.Data["result"] == "removed" {
			removals++
		}
	}
	if row && removals != 0 || !row && removals != 1 {
		t.Errorf("%s: %d events of its removal, instance there: %v", inst.Name, removals, row)
	}
}
