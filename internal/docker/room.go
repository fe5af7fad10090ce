package docker

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/moby/moby/api/types/system"
	"github.com/moby/moby/client"
)

const (
	// idFile holds the id of an engine in its data root, since Docker 23.
	idFile    = "engine-id"
	longestID = 256 // bytes
	// networksFile is where an engine keeps its networks of one machine, in its data root.
	networksFile    = "network/files/local-kv.db"
	longestNetworks = 32 << 20 // bytes: a thousand networks are one
)

// Room is how much is free where an engine keeps its images.
type Room struct {
	Bytes int64  // -1: not known
	Why   string // it is not known
}

func noRoomKnown(words string, values ...any) Room {
	return Room{Bytes: -1, Why: fmt.Sprintf(words, values...)}
}

// Room tells how many bytes are free where the engine keeps its images: as its storage driver says, else as this machine does,
// where it is proven to be the engine's own.
func (e *Engine) Room(ctx context.Context) (Room, error) {
	var podman bool
	in, err := call(ctx, e, "ask the engine about itself", infoTimeout, func(ctx context.Context, s *session) (system.Info, error) {
		podman = s.podman()
		got, err := s.cli.Info(ctx, client.InfoOptions{})
		return got.Info, err
	})
	if err != nil {
		return Room{}, err
	}
	if told := freeSpace(in.DriverStatus); told >= 0 {
		return Room{Bytes: told}, nil
	}
	switch {
	case podman:
		return noRoomKnown("podman does not tell"), nil
	case !strings.HasPrefix(e.endpoint, "unix://"):
		return noRoomKnown("the engine does not tell, and is not reached by a socket of this machine"), nil
	case keptByContainerd(in.DriverStatus):
		return noRoomKnown("the engine does not tell, and its images are kept by containerd, whose folder it does not name"), nil
	}
	for again := true; ; again = false { // a network may come or go between the two looks
		networks, err := e.Networks(ctx)
		if err != nil {
			return Room{}, err
		}
		if found := room(in, networks); found.Bytes >= 0 || !again {
			return found, nil
		}
	}
}

// room measures the data root of an engine that is reached by a socket of this machine.
func room(in system.Info, networks []Network) Room {
	if why := foreignRoot(in, networks); why != "" {
		return noRoomKnown("the engine does not tell, and %s", why)
	}
	images := filepath.Join(in.DockerRootDir, in.Driver)
	free := freeIn(images)
	if free < 0 {
		return noRoomKnown("the engine does not tell, and neither does this machine of its folder %s", images)
	}
	return Room{Bytes: free}
}

// keptByContainerd tells that the images are not in the data root but in containerd's, which the engine does not name.
func keptByContainerd(status [][2]string) bool {
	return slices.ContainsFunc(status, func(line [2]string) bool { return line[0] == "driver-type" })
}

// foreignRoot says why what this process sees at the path of an engine's data root is not proven to be that; empty: it is. A socket
// may lead to another machine, or out of the container that this runs in, where the same path is something else. So the folder must
// hold what that very engine has: since Docker 23 its id; before, where engines of one machine share theirs, all of its networks,
// whose ids are random and of which the bridge gets a new one whenever the engine starts.
func foreignRoot(in system.Info, networks []Network) string {
	root := in.DockerRootDir
	held, err := readSmall(filepath.Join(root, idFile), longestID)
	switch {
	case err == nil && in.ID != "" && strings.TrimSpace(string(held)) == in.ID:
		return ""
	case err == nil:
		return "here " + root + " is the data root of another one"
	case !errors.Is(err, fs.ErrNotExist):
		return fmt.Sprintf("its data root %s is not readable here (%v)", root, err)
	}
	held, err = readSmall(filepath.Join(root, networksFile), longestNetworks)
	if errors.Is(err, fs.ErrNotExist) {
		return "here " + root + " is not its data root"
	} else if err != nil {
		return fmt.Sprintf("its data root %s is not readable here (%v)", root, err)
	}
	return foreignNetworks(root, held, networks)
}

// foreignNetworks says of which of an engine's networks a data root knows nothing.
func foreignNetworks(root string, held []byte, networks []Network) string {
	found := 0
	for _, n := range networks {
		if n.Scope != "local" { // those of a swarm are kept elsewhere
			continue
		}
		if !fullID(n.ID) || !bytes.Contains(held, []byte(n.ID)) {
			return fmt.Sprintf("what is at %s here does not know its network %s", root, n.Name)
		}
		found++
	}
	if found == 0 {
		return "it has no network by which its data root could be known"
	}
	return ""
}

// readSmall reads a regular file: a pipe could be waited for without end.
func readSmall(path string, most int64) ([]byte, error) {
	at, err := os.Lstat(path)
	if err != nil {
		return nil, err
	}
	if !at.Mode().IsRegular() || at.Size() > most {
		return nil, fmt.Errorf("%s is no file of at most %d bytes", path, most)
	}
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer func() { _ = f.Close() }() // it was only read
	return io.ReadAll(io.LimitReader(f, most))
}
