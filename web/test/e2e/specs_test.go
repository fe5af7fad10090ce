package e2e

import (
	"path/filepath"
	"testing"

	"github.com/tiny-forge/docker-watcher/internal/docker/dockertest"
)

// TestSpecsInABrowser runs the flows of specs.test.mjs: what containers are made with, compared and imported.
func TestSpecsInABrowser(t *testing.T) {
	engine, dir := dockertest.Serve(t, dockertest.Docker28()), t.TempDir()
	engine.Publish(dockertest.Image{Ref: "registry.test/shop:1.4", Health: true})
	engine.AddNetwork("front")
	url, link := serve(t, filepath.Join(dir, "data"), engine.Endpoint())
	tell(t, "specs.test.mjs", "BASE_URL="+url, "SETUP_LINK="+link)
}
