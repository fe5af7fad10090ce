//go:build linux

package docker_test

import (
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/tiny-forge/docker-watcher/internal/docker"
	"github.com/tiny-forge/docker-watcher/internal/docker/dockertest"
	"github.com/tiny-forge/docker-watcher/internal/docker/enginetest"
)

func TestRoomOfAPretendEngine(t *testing.T) {
	for name, c := range map[string]struct {
		options dockertest.Options
		own     bool // its data root is here
		want    int64
		why     string
	}{
		"its driver tells":      {dockertest.Options{Free: "1.5 GB"}, false, 1_500_000_000, ""},
		"its data root is here": {dockertest.Options{}, true, 0, ""},
		"only a folder is here": {dockertest.Options{}, false, -1, "is not its data root"},
		"podman":                {dockertest.Podman43(), true, -1, "podman"},
	} {
		t.Run(name, func(t *testing.T) {
			root := t.TempDir()
			c.options.DataRoot = root
			pretend := dockertest.Serve(t, c.options)
			e := newAt(t, docker.Options{Endpoint: pretend.Endpoint()})
			if c.own {
				in, err := e.Info(t.Context())
				if err != nil {
					t.Fatal(err)
				}
				if err := os.Mkdir(filepath.Join(root, in.StorageDriver), 0o700); err != nil {
					t.Fatal(err)
				}
				if err := os.WriteFile(filepath.Join(root, "engine-id"), []byte(in.EngineID), 0o600); err != nil {
					t.Fatal(err)
				}
			}
			got, err := e.Room(t.Context())
			if err != nil || c.want != 0 && got.Bytes != c.want || c.want == 0 && got.Bytes < 0 || !strings.Contains(got.Why, c.why) || (got.Why != "") != (got.Bytes < 0) {
				t.Errorf("%+v, %v", got, err)
			}
		})
	}
}

// TestRoomOfARealEngine: the engine of the tests is on this machine, and older than the id in the data root or not.
func TestRoomOfARealEngine(t *testing.T) {
	t.Parallel()
	e := enginetest.Engine(t)
	enginetest.Network(t, e)
	in, err := e.Info(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	var disk syscall.Statfs_t
	here := syscall.Statfs(filepath.Join(in.DataRoot, in.StorageDriver), &disk)
	got, err := e.Room(t.Context())
	if err != nil || here != nil && got.Bytes >= 0 {
		t.Fatalf("%+v, %v of %s", got, err, in.DataRoot)
	}
	if got.Bytes < 0 && got.Why == "" || got.Bytes == 0 {
		t.Errorf("%+v", got)
	}
	if in.Version[:3] == "20." && in.StorageDriver == "overlay2" && got.Bytes < 0 {
		t.Errorf("an engine that is older than the id in its data root is not known by its networks: %+v", got)
	}
}
