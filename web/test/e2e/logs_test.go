package e2e

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/tiny-forge/docker-watcher/internal/docker/dockertest"
	"github.com/tiny-forge/docker-watcher/internal/store"
)

// TestLogsInABrowser runs the flows of logs.test.mjs: what a container writes and uses, on a pretended engine that the
// flows command, for a real one writes nothing by request.
func TestLogsInABrowser(t *testing.T) {
	dir := t.TempDir()
	engine := dockertest.Serve(t, dockertest.Docker28())
	data, id, box := withOneThatWrites(t, dir, engine)
	url, link := serve(t, data, engine.Endpoint())
	control := httptest.NewServer(commands(box))
	defer control.Close()
	tell(t, "logs.test.mjs", "BASE_URL="+url, "SETUP_LINK="+link, "CONTROL="+control.URL, "INSTANCE="+id)
}

// commands are what the flows have the container do.
func commands(box *dockertest.Container) http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("/log", func(_ http.ResponseWriter, r *http.Request) { box.Log(r.FormValue("stream"), r.FormValue("text")) })
	mux.HandleFunc("/flood", func(w http.ResponseWriter, r *http.Request) {
		n, err := strconv.Atoi(r.FormValue("n"))
		if err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		for i := range n {
			box.Log("stdout", fmt.Sprintf("flood %d %s", i+1, strings.Repeat(".", i%90)))
		}
	})
	mux.HandleFunc("/oom", func(http.ResponseWriter, *http.Request) { box.OOM() })
	mux.HandleFunc("/start", func(http.ResponseWriter, *http.Request) { box.Start() })
	mux.HandleFunc("/uses", func(http.ResponseWriter, *http.Request) { box.SetUsage(0.42, 96<<20) })
	return mux
}

// withOneThatWrites is a data folder with one instance that runs.
func withOneThatWrites(t *testing.T, dir string, engine *dockertest.Engine) (data, id string, box *dockertest.Container) {
	t.Helper()
	data = filepath.Join(dir, "writes")
	db, err := store.Open(t.Context(), store.Options{DataDir: data})
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	now := time.Now().UTC()
	host := store.Host{ID: store.NewID(), Name: store.LocalHost, Endpoint: engine.Endpoint(), CreatedAt: now}
	project := store.Project{ID: store.NewID(), Name: "shop", Image: "example.com/shop", CreatedAt: now, UpdatedAt: now}
	stage := store.Stage{ID: store.NewID(), ProjectID: project.ID, HostID: host.ID, Name: "production", Kind: store.StageProduction, CreatedAt: now}
	id = store.NewID()
	box = engine.Add(dockertest.Template{
		Name: "shop-production-a1b2c3", Image: "example.com/shop:1.0", State: dockertest.Running, Started: now.Add(-time.Hour),
		Labels: map[string]string{
			"docker-watcher.managed": "true", "docker-watcher.installation": db.InstallationID(), "docker-watcher.instance": id,
			"docker-watcher.project": project.Name, "docker-watcher.stage": stage.Name,
		},
	})
	err = db.Update(t.Context(), func(tx *store.Tx) error {
		if err := tx.InsertHost(t.Context(), host); err != nil {
			return err
		}
		if err := tx.InsertProject(t.Context(), project); err != nil {
			return err
		}
		if err := tx.InsertStage(t.Context(), stage); err != nil {
			return err
		}
		return tx.InsertInstance(t.Context(), store.Instance{
			ID: id, HostID: host.ID, ProjectID: project.ID, StageID: stage.ID, Name: "shop-production-a1b2c3", ContainerID: box.ID,
			Ownership: store.OwnershipCreated, Image: project.Image, ImageTag: "1.0", Status: store.StatusRunning, Intended: store.IntendedRunning,
			LastAliveAt: now, Evidence: store.EvidenceObserved, StartedAt: now.Add(-time.Hour), CreatedAt: now.Add(-time.Hour), UpdatedAt: now,
		})
	})
	if err != nil {
		t.Fatal(err)
	}
	return data, id, box
}
