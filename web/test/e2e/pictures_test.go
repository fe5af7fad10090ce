//go:build pictures

package e2e

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"
)

// allPictures is how long some 200 pictures may take on a busy machine.
const allPictures = 20 * time.Minute

// TestPictures takes the pictures of docs/images anew: scripts/pictures runs it.
func TestPictures(t *testing.T) {
	browser, folder := os.Getenv("DOCKER_WATCHER_TEST_BROWSER"), os.Getenv("SCREENSHOTS")
	if browser == "" || folder == "" {
		t.Fatal("run this through scripts/pictures")
	}
	dir := t.TempDir()
	binary := build(t, dir)
	w, data := withWorld(t, dir)
	ctx, cancel := context.WithTimeout(t.Context(), allPictures)
	defer cancel()
	go w.live(ctx)
	url, first := serve(t, binary, data, w.engine.Endpoint())
	fresh, link := serve(t, binary, filepath.Join(dir, "fresh"), "unix://"+filepath.Join(dir, "nobody.sock"))
	makePair(t, filepath.Join(dir, "wiki"), 10*24*time.Hour)
	makePair(t, filepath.Join(dir, "other"), 10*24*time.Hour)
	shots := exec.CommandContext(ctx, "node", "pictures.mjs")
	shots.Env = append(os.Environ(), "BROWSER="+browser, "BASE_URL="+url, "FRESH_URL="+fresh, "FIRST_LINK="+first, "SETUP_LINK="+link, "TOKEN="+manyToken, "PAIRS="+dir)
	shots.Env = append(shots.Env, otherProxies(t, binary, dir)...)
	out, err := shots.CombinedOutput()
	t.Logf("%s", out)
	if err != nil {
		t.Fatal(err)
	}
}
