package e2e

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/tiny-forge/docker-watcher/internal/docker/dockertest"
)

// TestOperationsInABrowser runs operations.test.mjs: the daemon over a pretend engine, whose backups cannot be made until the story takes
// a file out of the way.
func TestOperationsInABrowser(t *testing.T) {
	dir := t.TempDir()
	inTheWay := filepath.Join(dir, "elsewhere")
	if err := os.WriteFile(inTheWay, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	engine := dockertest.Serve(t, dockertest.Docker29())
	url, link := serve(t, filepath.Join(dir, "data"), engine.Endpoint(), "--backup-dir", filepath.Join(inTheWay, "backups"))
	tell(t, "operations.test.mjs", "BASE_URL="+url, "SETUP_LINK="+link, "IN_THE_WAY="+inTheWay)
}
