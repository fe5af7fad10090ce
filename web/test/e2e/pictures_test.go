//go:build pictures

package e2e

import (
	"context"
	"os"
	"path/filepath"
	"testing"
	"time"
)

// allPictures is how long some 200 pictures may take on a busy machine.
const allPictures = 20 * time.Minute

// TestPictures takes the pictures of docs/images anew: scripts/pictures runs it.
func TestPictures(t *testing.T) {
	if os.Getenv("SCREENSHOTS") == "" {
		t.Fatal("run this through scripts/pictures")
	}
	dir := t.TempDir()
	w, data := withWorld(t, dir)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	go w.live(ctx)
	url, first := serve(t, data, w.engine.Endpoint())
	fresh, link := serve(t, filepath.Join(dir, "fresh"), nobody(dir))
	makePair(t, filepath.Join(dir, "wiki"), 10*24*time.Hour)
	makePair(t, filepath.Join(dir, "other"), 10*24*time.Hour)
	node(t, allPictures, []string{"pictures.mjs"}, append(otherProxies(t, dir),
		"BASE_URL="+url, "FRESH_URL="+fresh, "FIRST_LINK="+first, "SETUP_LINK="+link, "PAIRS="+dir)...)
}
