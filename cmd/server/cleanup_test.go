package main_test

import (
	"context"
	"fmt"
	"syscall"
	"testing"
	"time"

	"github.com/tiny-forge/docker-watcher/client"
	"github.com/tiny-forge/docker-watcher/internal/docker"
	"github.com/tiny-forge/docker-watcher/internal/docker/dockertest"
	"github.com/tiny-forge/docker-watcher/internal/store"
	"github.com/tiny-forge/docker-watcher/internal/store/storetest"
	"github.com/tiny-forge/docker-watcher/internal/waittest"
)

// seed fills a data folder, and the pretend engine to fit it, with instances: every second one is stopped since dead.
func seed(t *testing.T, data string, engine *dockertest.Engine, count int, dead time.Duration) {
	t.Helper()
	db, err := store.Open(t.Context(), store.Options{DataDir: data, URL: storetest.URL(t, data)})
	if err != nil {
		t.Fatal(err)
	}
	now := time.Now().UTC()
	host := storetest.Host(t, db, func(h *store.Host) {
		h.Name, h.Endpoint, h.EngineID, h.DataRoot = "local", engine.Endpoint(), "", ""
	})
	stage := storetest.Stage(t, db, host, storetest.Project(t, db))
	storetest.Update(t, db, func(ctx context.Context, tx *store.Tx) error {
		for n := range count {
			i := storetest.NewInstance(stage)
			i.ContainerID = fmt.Sprintf("%064x", n+1)
			c := dockertest.Template{
				ID: i.ContainerID, Name: i.Name, State: string(docker.StateRunning), Created: now.AddDate(0, -3, 0), Started: now.AddDate(0, -3, 0),
				Labels: map[string]string{docker.LabelManaged: "true", docker.LabelInstallation: db.InstallationID(), docker.LabelInstance: i.ID},
			}
			i.Status, i.LastAliveAt = store.StatusRunning, now.Add(-dead)
			if n%2 == 0 {
				c.State, c.Finished = string(docker.StateExited), now.Add(-dead)
				i.Status, i.Class, i.Intended = store.StatusStopped, store.ClassExited, store.IntendedStopped
			}
			engine.Add(c)
			if err := tx.InsertInstance(ctx, i); err != nil {
				return err
			}
		}
		return nil
	})
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
}

func TestCleanupUnderWayEndsBeforeTheDaemonDoes(t *testing.T) {
	data, engine := t.TempDir(), dockertest.Serve(t, dockertest.Docker28())
	seed(t, data, engine, 2, 30*24*time.Hour)
	d := launch(t, flags(data, engine.Endpoint())...)
	c := d.client(d.setUp())
	var id string
	eventually(t, "the stopped one is found stale", func() bool {
		list, err := c.Stale(t.Context(), client.StaleFilter{}, client.Page{})
		if err != nil {
			t.Fatal(err)
		}
		if len(list.Items) == 1 {
			id = list.Items[0].ID
		}
		return id != ""
	})
	engine.Fail(dockertest.Fault{On: `^DELETE /containers/`, Delay: time.Second, Times: 1})
	items := make(chan client.PlanItem, 1)
	go func() {
		defer close(items)
		if plan, err := c.CleanupOne(t.Context(), id); err == nil && len(plan.Items) == 1 {
			items <- plan.Items[0]
		}
	}()
	eventually(t, "the engine is asked to remove it", func() bool { return len(engine.Removes()) == 1 })
	if code := d.end(syscall.SIGTERM); code != 0 {
		t.Errorf("exit code %d:\n%s", code, d.stderr.String())
	}
	if item := waittest.Next(t, "the answer to the cleanup", items); item.Result != "removed" {
		t.Errorf("the item = %+v", item)
	}
	if n := len(engine.Removes()); n != 1 {
		t.Errorf("removed %d times", n)
	}
}
