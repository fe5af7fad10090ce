package e2e

import (
	"context"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/tiny-forge/docker-watcher/client"
	"github.com/tiny-forge/docker-watcher/internal/docker/dockertest"
)

// TestNotificationsInABrowser runs notifications.test.mjs: the daemon over a pretend engine with something that becomes stale when
// the story asks for it, and a webhook that can be told to refuse.
func TestNotificationsInABrowser(t *testing.T) {
	dir := t.TempDir()
	engine := dockertest.Serve(t, dockertest.Docker29())
	engine.Publish(dockertest.Image{Ref: "localhost/shop:1.0", Life: dockertest.Life{Health: true}})
	url, link := serve(t, filepath.Join(dir, "data"), engine.Endpoint())
	inbox := obedient(t)
	stop := stopLater(t, url)
	tell(t, "notifications.test.mjs", "BASE_URL="+url, "SETUP_LINK="+link, "INBOX="+inbox, "STALE="+stop)
}

// obedient is a webhook at /in. POST /refuse and POST /take have it refuse and take, GET /got tells what it took.
func obedient(t *testing.T) string {
	t.Helper()
	var mu sync.Mutex
	refuses, taken := false, []json.RawMessage{}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		mu.Lock()
		defer mu.Unlock()
		switch r.URL.Path {
		case "/refuse", "/take":
			refuses = r.URL.Path == "/refuse"
		case "/got":
			_ = json.NewEncoder(w).Encode(taken)
		default:
			body, err := io.ReadAll(r.Body)
			if refuses || err != nil {
				http.Error(w, "not today", http.StatusBadRequest)
				return
			}
			taken = append(taken, body)
		}
	}))
	t.Cleanup(server.Close)
	return server.URL
}

// stopLater is an address at which a POST deploys an instance of a stage that is stale after a second, stops it and has it found so.
func stopLater(t *testing.T, url string) string {
	t.Helper()
	c, err := client.New(url, client.WithCredential(manyToken))
	if err != nil {
		t.Fatal(err)
	}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if err := becomeStale(r.Context(), c); err != nil {
			http.Error(w, err.Error(), http.StatusInternalServerError)
		}
	}))
	t.Cleanup(server.Close)
	return server.URL
}

func becomeStale(ctx context.Context, c *client.Client) error {
	p, err := c.CreateProject(ctx, client.NewProject{Name: "shop", Image: "localhost/shop"})
	if err != nil {
		return err
	}
	keep := 0
	stage, err := c.CreateStage(ctx, client.NewStage{ProjectID: p.ID, Name: "preview", Kind: "preview", StaleAfter: "1s", KeepLast: &keep})
	if err != nil {
		return err
	}
	d, err := c.StartDeploy(ctx, stage.ID, client.DeployRequest{Tag: "1.0"})
	for tick := time.Tick(50 * time.Millisecond); err == nil && !d.Ended(); <-tick {
		d, err = c.Deploy(ctx, d.ID)
	}
	if err != nil {
		return err
	}
	if _, err := c.StopInstance(ctx, d.InstanceID); err != nil {
		return err
	}
	for tick := time.Tick(300 * time.Millisecond); ; <-tick {
		if _, err := c.Scan(ctx, ""); err != nil {
			return err
		}
		l, err := c.Stale(ctx, client.StaleFilter{}, client.Page{})
		if err != nil || len(l.Items) > 0 {
			return err
		}
	}
}
