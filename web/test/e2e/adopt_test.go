package e2e

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/tiny-forge/docker-watcher/internal/docker/enginetest"
)

// TestAdoptionInABrowser runs the flow of adopt.test.mjs on a daemon of its own: what somebody else made is taken over and given back.
func TestAdoptionInABrowser(t *testing.T) {
	t.Parallel()
	browser := os.Getenv("DOCKER_WATCHER_TEST_BROWSER")
	if browser == "" {
		t.Fatal("DOCKER_WATCHER_TEST_BROWSER names no Chromium: run this through scripts/test, or scripts/browser run -- go test ...")
	}
	engine, dir := enginetest.Engine(t), t.TempDir()
	app, err := enginetest.BuildApp(t.Context(), dir)
	if err != nil {
		t.Fatal(err)
	}
	const image = "dwt-page-adopt:1"
	archive, err := enginetest.AppArchive(app, image, "1")
	if err != nil {
		t.Fatal(err)
	}
	if err := engine.LoadImage(t.Context(), archive); err != nil {
		t.Fatal(err)
	}
	enginetest.RemoveImageAfter(t, engine, image)
	url, _ := serve(t, build(t, dir), filepath.Join(dir, "data"), engine.Endpoint())

	ctx, cancel := context.WithTimeout(t.Context(), allFlows)
	defer cancel()
	flows := exec.CommandContext(ctx, "node", "--test", "--test-reporter=spec", "adopt.test.mjs")
	flows.WaitDelay = patience // what it has started may have its output
	flows.Env = append(os.Environ(),
		"BROWSER="+browser, "BASE_URL="+url, "TOKEN="+manyToken, "IMAGE="+image, "COMPOSE="+enginetest.Name(t), "ENGINE="+engine.Endpoint())
	out, err := flows.CombinedOutput()
	t.Logf("%s", out)
	if err != nil {
		t.Fatal(err)
	}
}
