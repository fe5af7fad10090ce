package e2e

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/tiny-forge/docker-watcher/internal/docker/dockertest"
)

// TestSpecsInABrowser runs the flows of specs.test.mjs: what containers are made with, compared and imported.
func TestSpecsInABrowser(t *testing.T) {
	browser := os.Getenv("DOCKER_WATCHER_TEST_BROWSER")
	if browser == "" {
		t.Fatal("DOCKER_WATCHER_TEST_BROWSER names no Chromium: run this through scripts/test, or scripts/browser run -- go test ...")
	}
	engine, dir := dockertest.Serve(t, dockertest.Docker28()), t.TempDir()
	engine.Publish(dockertest.Image{Ref: "registry.test/shop:1.4", Health: true})
	engine.AddNetwork("front")
	url, link := serve(t, build(t, dir), filepath.Join(dir, "data"), engine.Endpoint())
	ctx, cancel := context.WithTimeout(t.Context(), allFlows)
	defer cancel()
	flows := exec.CommandContext(ctx, "node", "--test", "--test-reporter=spec", "specs.test.mjs")
	flows.WaitDelay = patience // what it has started may have its output
	flows.Env = append(os.Environ(), "BROWSER="+browser, "BASE_URL="+url, "SETUP_LINK="+link, "TOKEN="+manyToken)
	out, err := flows.CombinedOutput()
	t.Logf("%s", out)
	if err != nil {
		t.Fatal(err)
	}
}
