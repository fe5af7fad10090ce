package e2e

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"
)

const peopleFlows = 6 * time.Minute

// TestPeopleInABrowser runs people.test.mjs: the daemon without an engine, and an identity provider.
func TestPeopleInABrowser(t *testing.T) {
	browser := os.Getenv("DOCKER_WATCHER_TEST_BROWSER")
	if browser == "" {
		t.Fatal("DOCKER_WATCHER_TEST_BROWSER names no Chromium: run this through scripts/test, or scripts/browser run -- go test ...")
	}
	dir := t.TempDir()
	url, link := serve(t, build(t, dir), filepath.Join(dir, "data"), "unix://"+filepath.Join(dir, "nobody.sock"))

	ctx, cancel := context.WithTimeout(t.Context(), peopleFlows)
	defer cancel()
	flows := exec.CommandContext(ctx, "node", "--test", "--test-reporter=spec", "people.test.mjs")
	flows.WaitDelay = patience // what it has started may have its output
	flows.Env = append(os.Environ(), "BROWSER="+browser, "BASE_URL="+url, "SETUP_LINK="+link, "TOKEN="+manyToken, "IDP="+identityProvider(t))
	out, err := flows.CombinedOutput()
	t.Logf("%s", out)
	if err != nil {
		t.Fatal(err)
	}
}
