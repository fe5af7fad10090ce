package docker

import (
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/moby/moby/api/types/system"
)

const (
	// idFile holds the id of an engine in its data root, since Docker 23.
	idFile    = "engine-id"
	longestID = 256 // bytes
)

// room is how many bytes are free in an engine's storage: as its driver tells, else as this machine does; -1: not known.
func room(endpoint string, in system.Info) int64 {
	if told := freeSpace(in.DriverStatus); told >= 0 {
		return told
	}
	if !strings.HasPrefix(endpoint, "unix://") || !holdsEngine(in.DockerRootDir, in.ID) || keptByContainerd(in.DriverStatus) {
		return -1
	}
	return freeIn(filepath.Join(in.DockerRootDir, in.Driver))
}

// keptByContainerd tells that the images are not in the data root but in containerd's, which the engine does not name.
func keptByContainerd(status [][2]string) bool {
	return slices.ContainsFunc(status, func(line [2]string) bool { return line[0] == "driver-type" })
}

// holdsEngine tells whether this process sees the data root of that very engine: a socket may lead to another machine, or out of
// the container that this runs in, where the same path is something else.
func holdsEngine(root, id string) bool {
	path := filepath.Join(root, idFile)
	if at, err := os.Lstat(path); id == "" || err != nil || !at.Mode().IsRegular() { // a pipe could be waited for without end
		return false
	}
	f, err := os.Open(path)
	if err != nil {
		return false
	}
	defer func() { _ = f.Close() }() // it was only read
	held, err := io.ReadAll(io.LimitReader(f, longestID))
	return err == nil && strings.TrimSpace(string(held)) == id
}
