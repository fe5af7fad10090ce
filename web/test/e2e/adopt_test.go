package e2e

import (
	"path/filepath"
	"testing"

	"github.com/tiny-forge/docker-watcher/internal/docker/enginetest"
)

// TestAdoptionInABrowser runs the flow of adopt.test.mjs on a daemon of its own: what somebody else made is taken over and given back.
func TestAdoptionInABrowser(t *testing.T) {
	t.Parallel()
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
	url, _ := serve(t, filepath.Join(dir, "data"), engine.Endpoint())
	tell(t, "adopt.test.mjs", "BASE_URL="+url, "IMAGE="+image, "COMPOSE="+enginetest.Name(t), "ENGINE="+engine.Endpoint())
}
