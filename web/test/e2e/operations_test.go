package e2e

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/tiny-forge/docker-watcher/internal/docker/dockertest"
)

const operationFlows = 6 * time.Minute

// TestOperationsInABrowser runs operations.test.mjs: the daemon over a pretend engine, whose backups cannot be made until the story takes
// a file out of the way.
func TestOperationsInABrowser(t *testing.T) {
	browser := os.Getenv("DOCKER_WATCHER_TEST_BROWSER")
	if browser == "" {
		t.Fatal("DOCKER_WATCHER_TEST_BROWSER names no Chromium: run this through scripts/test, or scripts/browser run -- go test ...")
	}
	dir := t.TempDir()
	inTheWay := filepath.Join(dir, "elsewhere")
	if err := os.WriteFile(inTheWay, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	engine := dockertest.Serve(t, dockertest.Docker29())
	url, link := serve(t, build(t, dir), filepath.Join(dir, "data"), engine.Endpoint(), "--backup-dir", filepath.Join(inTheWay, "backups"))

	ctx, cancel := context.WithTimeout(t.Context(), operationFlows)
	defer cancel()
	flows := exec.CommandContext(ctx, "node", "--test", "--test-reporter=spec", "operations.test.mjs")
	flows.WaitDelay = patience // what it has started may have its output
	flows.Env = append(os.Environ(), "BROWSER="+browser, "BASE_URL="+url, "SETUP_LINK="+link, "TOKEN="+manyToken, "IN_THE_WAY="+inTheWay)
	out, err := flows.CombinedOutput()
	t.Logf("%s", out)
	if err != nil {
		t.Fatal(err)
	}
}
