package docker

import (
	"os"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/moby/moby/api/types/system"
)

// Only the data root of the very engine says how much room it has.
func TestRoomOfAnEngineOnThisMachine(t *testing.T) {
	const local, id = "unix:///var/run/docker.sock", "6e0c8f4d-engine"
	for name, c := range map[string]struct {
		endpoint string
		change   func(t *testing.T, in *system.Info)
		known    bool
	}{
		"its own":           {local, func(*testing.T, *system.Info) {}, true},
		"by tcp":            {"tcp://127.0.0.1:2376", func(*testing.T, *system.Info) {}, false},
		"by ssh":            {"ssh://anna@far", func(*testing.T, *system.Info) {}, false},
		"of another engine": {local, func(_ *testing.T, in *system.Info) { in.ID = "another" }, false},
		"without an id": {local, func(t *testing.T, in *system.Info) {
			in.ID = ""
			write(t, filepath.Join(in.DockerRootDir, idFile), "")
		}, false},
		"not seen from here": {local, func(_ *testing.T, in *system.Info) { in.DockerRootDir += "/elsewhere" }, false},
		"images elsewhere":   {local, func(_ *testing.T, in *system.Info) { in.Driver = "overlayfs" }, false},
		"images in containerd's": {local, func(_ *testing.T, in *system.Info) {
			in.DriverStatus = [][2]string{{"driver-type", "io.containerd.snapshotter.v1"}}
		}, false},
		"a pipe for its id": {local, func(t *testing.T, in *system.Info) {
			path := filepath.Join(in.DockerRootDir, idFile)
			if err := os.Remove(path); err != nil {
				t.Fatal(err)
			}
			if err := syscall.Mkfifo(path, 0o600); err != nil {
				t.Fatal(err)
			}
		}, false},
	} {
		t.Run(name, func(t *testing.T) {
			in := system.Info{ID: id, Driver: "overlay2", DockerRootDir: t.TempDir(), DriverStatus: [][2]string{{"Backing Filesystem", "extfs"}}}
			write(t, filepath.Join(in.DockerRootDir, idFile), id)
			if err := os.Mkdir(filepath.Join(in.DockerRootDir, "overlay2"), 0o700); err != nil {
				t.Fatal(err)
			}
			c.change(t, &in)
			if got := room(c.endpoint, in); got >= 0 != c.known || got < -1 {
				t.Errorf("%d bytes; to be known: %v", got, c.known)
			}
			in.DriverStatus = [][2]string{{"Space Available", "17"}}
			if got := room(c.endpoint, in); got != 17 {
				t.Errorf("its driver tells of 17 bytes: %d", got)
			}
		})
	}
}

func write(t *testing.T, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}
