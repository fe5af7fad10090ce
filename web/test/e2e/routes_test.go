package e2e

import (
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/tiny-forge/docker-watcher/internal/docker/dockertest"
	"github.com/tiny-forge/docker-watcher/internal/store"
)

// TestRoutesInABrowser runs the flows of routes.test.mjs: routes to what runs side by side and to what is stale, on a pretended engine
// whose container stopped last month, and documents of standalone proxies.
func TestRoutesInABrowser(t *testing.T) {
	dir := t.TempDir()
	engine := dockertest.Serve(t, dockertest.Docker28())
	data, running, _ := withOneThatWrites(t, dir, engine)
	withOneThatIsStale(t, data, running, engine)
	target := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { w.Header().Set("X-Seen", r.Header.Get("X-Api-Token")) }))
	t.Cleanup(target.Close)
	url, link := serve(t, data, engine.Endpoint())
	tell(t, "routes.test.mjs", "BASE_URL="+url, "SETUP_LINK="+link, "TARGET="+target.URL)
}

// withOneThatIsStale adds a stage with an instance that ended last month, and has the tags of the other one run side by side.
func withOneThatIsStale(t *testing.T, data, running string, engine *dockertest.Engine) {
	t.Helper()
	ctx := t.Context()
	db, err := store.Open(ctx, store.Options{DataDir: data})
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	v, err := db.Instance(ctx, running)
	if err != nil {
		t.Fatal(err)
	}
	now := time.Now().UTC()
	died := now.AddDate(0, -1, 0)
	stage := store.Stage{ID: store.NewID(), ProjectID: v.ProjectID, HostID: v.HostID, Name: "fair", Kind: store.StageStaging, CreatedAt: died}
	old := store.Instance{
		ID: store.NewID(), HostID: v.HostID, ProjectID: v.ProjectID, StageID: stage.ID, Name: "shop-fair-0ff1ce", Ownership: store.OwnershipCreated,
		Image: v.Image, ImageTag: "0.9", Status: store.StatusStopped, Intended: store.IntendedStopped, Class: store.ClassExited, LastAliveAt: died,
		Evidence: store.EvidenceFinishedAt, FinishedAt: died, StaleSince: now, WarnedAt: now, CreatedAt: died, UpdatedAt: now,
	}
	old.ContainerID = engine.Add(dockertest.Template{
		Name: old.Name, Image: v.Image + ":0.9", State: dockertest.Exited, Created: died.Add(-2 * time.Hour), Started: died.Add(-time.Hour), Finished: died,
		Labels: map[string]string{
			"docker-watcher.managed": "true", "docker-watcher.installation": db.InstallationID(), "docker-watcher.instance": old.ID,
			"docker-watcher.project": v.Project, "docker-watcher.stage": stage.Name,
		},
	}).ID
	err = db.Update(ctx, func(tx *store.Tx) error {
		other, err := tx.Stage(ctx, v.StageID)
		if err != nil {
			return err
		}
		other.Strategy, other.ParallelMax = store.StrategyParallel, 5
		if err := tx.UpdateStage(ctx, other); err != nil {
			return err
		}
		if err := tx.InsertStage(ctx, stage); err != nil {
			return err
		}
		return tx.InsertInstance(ctx, old)
	})
	if err != nil {
		t.Fatal(err)
	}
}
