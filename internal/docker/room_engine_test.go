//go:build linux

package docker_test

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/tiny-forge/docker-watcher/internal/docker"
	"github.com/tiny-forge/docker-watcher/internal/docker/dockertest"
)

func TestInfoTellsTheRoomOfAnEngineOnThisMachine(t *testing.T) {
	root := t.TempDir()
	pretend := dockertest.Serve(t, dockertest.Options{DataRoot: root})
	e := newAt(t, docker.Options{Endpoint: pretend.Endpoint()})
	before, err := e.Info(t.Context())
	if err != nil || before.FreeBytes != -1 {
		t.Fatalf("nothing says that the data root is its own: %d, %v", before.FreeBytes, err)
	}
	if err := os.Mkdir(filepath.Join(root, before.StorageDriver), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(root, "engine-id"), []byte(before.EngineID), 0o600); err != nil {
		t.Fatal(err)
	}
	if got, err := e.Info(t.Context()); err != nil || got.FreeBytes < 0 {
		t.Errorf("in its own data root: %d, %v", got.FreeBytes, err)
	}
}
