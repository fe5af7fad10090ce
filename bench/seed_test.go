//go:build bench

package bench

import (
	"context"
	"crypto/sha256"
	"fmt"
	"log/slog"
	"testing"
	"time"

	"github.com/tiny-forge/docker-watcher/internal/docker"
	"github.com/tiny-forge/docker-watcher/internal/docker/dockertest"
	"github.com/tiny-forge/docker-watcher/internal/store"
	"github.com/tiny-forge/docker-watcher/internal/store/storetest"
)

const (
	day       = 24 * time.Hour
	rowsAtime = 5_000 // of one transaction
)

var quiet = slog.New(slog.DiscardHandler)

// yard is a host with a pretend engine on a real socket, its adapter, and stages to put instances in.
type yard struct {
	db      *store.DB
	engine  *dockertest.Engine
	adapter *docker.Engine
	fleet   *docker.Fleet
	host    store.Host
	stages  []store.Stage
}

const stagesOfYard = 20

func newYard(t *testing.T, db *store.DB, o dockertest.Options) *yard {
	t.Helper()
	y := &yard{db: db, engine: dockertest.Serve(t, o), fleet: docker.NewFleet()}
	adapter, err := docker.New(docker.Options{Endpoint: y.engine.Endpoint(), Log: quiet})
	must(t, err)
	t.Cleanup(func() { must(t, adapter.Close()) })
	y.adapter = adapter
	info, err := adapter.Info(t.Context())
	must(t, err)
	y.host = storetest.Host(t, db, func(h *store.Host) {
		h.Name, h.Endpoint, h.EngineID, h.DataRoot = "local", y.engine.Endpoint(), info.EngineID, info.DataRoot
		h.EngineVersion, h.APIVersion = info.Version, info.APIVersion
	})
	y.fleet.Add(y.host.ID, adapter)
	y.stages = addStages(t, db, y.host)
	return y
}

func addStages(t *testing.T, db *store.DB, host store.Host) (stages []store.Stage) {
	t.Helper()
	for p := range stagesOfYard / 2 {
		project := storetest.Project(t, db, func(v *store.Project) { v.Name = fmt.Sprintf("project-%02d", p) })
		for _, name := range []string{"staging", "preview"} {
			stages = append(stages, storetest.Stage(t, db, host, project, func(s *store.Stage) { s.Name = name }))
		}
	}
	return stages
}

// fill puts n containers on the engine and their rows into the store: of ten, so many run and the others ended
// thirty days ago.
func (y *yard) fill(t *testing.T, n, runningOfTen int) {
	t.Helper()
	ended := time.Now().UTC().Add(-30 * day).Truncate(time.Millisecond)
	rows := make([]store.Instance, n)
	for i := range rows {
		rows[i] = storetest.NewInstance(y.stages[i%len(y.stages)], func(r *store.Instance) {
			r.Name, r.EngineID, r.CreatedAt, r.UpdatedAt = fmt.Sprintf("app-%d", i), y.host.EngineID, ended.Add(-day), ended
			r.ContainerID = fmt.Sprintf("%x", sha256.Sum256([]byte(r.ID))) // as an engine's: others are never removed
			r.LastAliveAt = time.Now().UTC()
			if i%10 >= runningOfTen {
				r.Status, r.Intended, r.Class, r.LastAliveAt = store.StatusStopped, store.IntendedStopped, store.ClassExited, ended
			}
		})
	}
	y.engine.AddMany(n, dockertest.Template{Name: "app", Image: "registry.example/shop:1.0"}, func(i int, c *dockertest.Template) {
		r := rows[i]
		c.Labels = map[string]string{
			docker.LabelManaged: "true", docker.LabelInstallation: y.db.InstallationID(), docker.LabelInstance: r.ID,
			docker.LabelProject: "project", docker.LabelStage: "stage",
		}
		c.ID, c.Created, c.Started = r.ContainerID, ended.Add(-2*day), ended.Add(-day)
		if r.Status == store.StatusStopped {
			c.State, c.Finished = dockertest.Exited, ended
		}
	})
	insert(t, y.db, rows)
}

func insert(t *testing.T, db *store.DB, rows []store.Instance) {
	t.Helper()
	for len(rows) > 0 {
		n := min(rowsAtime, len(rows))
		storetest.Update(t, db, func(ctx context.Context, tx *store.Tx) error {
			for _, r := range rows[:n] {
				if err := tx.InsertInstance(ctx, r); err != nil {
					return err
				}
			}
			return nil
		})
		rows = rows[n:]
	}
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
