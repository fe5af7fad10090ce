// Package doctor looks at what the daemon stands on - its folder, disk, key, database, engine and ports - and says of each what is wrong and
// what to do. It changes nothing, and can be asked where no daemon runs.
package doctor

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"syscall"
	"time"

	"github.com/tiny-forge/docker-watcher/internal/docker"
	"github.com/tiny-forge/docker-watcher/internal/store"
)

// Finding is how one part is.
type Finding struct {
	Name   string
	OK     bool
	Detail string // what was found
	Remedy string // what to do about it; empty when it is well
}

func well(name, detail string, args ...any) Finding {
	return Finding{Name: name, OK: true, Detail: fmt.Sprintf(detail, args...)}
}

func ill(name, detail, remedy string, args ...any) Finding {
	return Finding{Name: name, Detail: fmt.Sprintf(detail, args...), Remedy: remedy}
}

const (
	// leastFree is what a database needs to live through a busy day and a backup.
	leastFree  = 512 << 20
	askTimeout = 5 * time.Second
	mostSkew   = time.Minute // as freezes a host
)

// Folder looks at the data folder: whether it can be written, and by this user alone.
func Folder(dir string) Finding {
	const name = "data folder"
	info, err := os.Stat(dir)
	switch {
	case errors.Is(err, os.ErrNotExist):
		return well(name, "%s is not there yet: the first start makes it", dir)
	case err != nil:
		return ill(name, "%s cannot be looked at: %v", "see who owns it, and the folders above it", dir, err)
	case !info.IsDir():
		return ill(name, "%s is no folder", "give another with --data", dir)
	}
	probe, err := os.CreateTemp(dir, ".probe-*")
	if err == nil {
		err = errors.Join(probe.Close(), os.Remove(probe.Name()))
	}
	if err != nil {
		return ill(name, "%s cannot be written: %v", "change its owner, or see whether its file system is read-only or full", dir, err)
	}
	if mode := info.Mode().Perm(); mode&0o022 != 0 {
		return ill(name, "%s may be written by others (mode %04o): they could put another key or database in it", "chmod 700 "+dir, dir, mode)
	}
	return well(name, "%s can be written", dir)
}

// Disk looks at how much room a folder has.
func Disk(dir string) Finding {
	const name = "disk"
	free := FreeIn(dir)
	switch {
	case free < 0:
		return well(name, "how much is free for %s is not known here", dir)
	case free < leastFree:
		return ill(name, "%d MiB are free for %s: the database may soon not be written any more", "free some space: docker-watcher stale ls and docker-watcher reclaim show what can go", free>>20, dir)
	}
	return well(name, "%d MiB are free for %s", free>>20, dir)
}

// Store looks at the database and at the key file that belongs to it.
func Store(ctx context.Context, o store.Options) Finding {
	const name = "store"
	err := store.Examine(ctx, o)
	switch {
	case err == nil:
		return well(name, "whole, and the key file fits it")
	case errors.Is(err, store.ErrNone):
		return well(name, "there is none yet: the first start makes it")
	case errors.Is(err, store.ErrWrongKey), errors.Is(err, store.ErrBadKeyFile):
		return ill(name, "%v", "put back the key file that belongs to this database, from your backup, with mode 0600", err)
	case errors.Is(err, store.ErrNewerSchema):
		return ill(name, "%v", "start the newer docker-watcher again, or restore a backup of this version", err)
	case errors.Is(err, store.ErrCorrupt), errors.Is(err, store.ErrForeign):
		return ill(name, "%v", "stop the daemon and put the newest backup back: server restore FILE --data "+o.DataDir, err)
	}
	return ill(name, "%v", "see that the database answers, and that this user may read its file", err)
}

// Engine asks the engine at an endpoint who it is.
func Engine(ctx context.Context, endpoint string) Finding {
	e, err := docker.New(docker.Options{Endpoint: endpoint})
	if err != nil {
		return ill(engineName, "%s: %v", "give another with --docker-host", endpoint, err)
	}
	defer e.Close() // it only had idle connections
	return ask(ctx, e)
}

const engineName = "engine"

// ask judges how an engine answers.
func ask(ctx context.Context, e *docker.Engine) Finding {
	endpoint := e.Endpoint()
	ctx, cancel := context.WithTimeout(ctx, askTimeout)
	defer cancel()
	info, err := e.Info(ctx)
	switch {
	case err != nil:
		return ill(engineName, "%s: %v", cmp.Or(docker.Remedy(err), "start it (systemctl start docker), or give another with --docker-host"), endpoint, err)
	case info.Skew > mostSkew || info.Skew < -mostSkew:
		return ill(engineName, "%s: its clock is off by %s, so nothing can be judged there", "set the clocks of both machines by NTP", endpoint, info.Skew.Round(time.Second))
	}
	return well(engineName, "%s: %s, API %s", endpoint, info.Version, info.APIVersion)
}

// Port looks whether an address could be listened on now.
func Port(ctx context.Context, flag, addr string) Finding {
	name := "port of --" + flag
	var lc net.ListenConfig
	l, err := lc.Listen(ctx, "tcp", addr)
	switch {
	case errors.Is(err, syscall.EADDRINUSE):
		return ill(name, "something listens on %s already", "if that is docker-watcher itself, ask it: docker-watcher doctor; else see who it is (ss -ltnp), or give another with --"+flag, addr)
	case errors.Is(err, syscall.EACCES):
		return ill(name, "%s may not be used by this user", "take a port above 1023, or give the program CAP_NET_BIND_SERVICE, as the service file does", addr)
	case err != nil:
		return ill(name, "%s: %v", "give another address with --"+flag, addr, err)
	}
	_ = l.Close() // it was only tried
	return well(name, "%s is free", addr)
}
