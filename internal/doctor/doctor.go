// Package doctor looks at what the daemon stands on - its folder, disk, key, database, engine and ports - and says of each what is wrong and
// what to do. It changes nothing, and can be asked where no daemon runs.
package doctor

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
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
	return well(name, "%.1f GiB are free for %s", float64(free)/(1<<30), dir)
}

// Store looks at the database and at the key file that belongs to it. The command is what puts a backup back, the
// one whose restore was cut off where that was so.
func Store(ctx context.Context, o store.Options, restore string) Finding {
	const name = "store"
	err := store.Examine(ctx, o)
	switch {
	case err == nil:
		return well(name, "whole, and the key file fits it")
	case errors.Is(err, store.ErrNone):
		return well(name, "there is none yet: the first start makes it")
	case errors.Is(err, store.ErrHalfRestored):
		return ill(name, "%v", "run it again, with the same backup, which brings it to its end: "+restore+
			"; where that is lost, move what is in before-restore-... back to where it was, and remove "+store.RestoreMark, err)
	case errors.Is(err, store.ErrWrongKey), errors.Is(err, store.ErrBadKeyFile):
		return ill(name, "%v", keyRemedy, err)
	case errors.Is(err, store.ErrNewerSchema):
		return ill(name, "%v", "start the newer docker-watcher again, or restore a backup of this version", err)
	case errors.Is(err, store.ErrCorrupt), errors.Is(err, store.ErrForeign):
		return ill(name, "%v", "stop the daemon and put the newest backup back: "+restore, err)
	}
	return ill(name, "%v", "see that the database answers, and that this user may read its file", err)
}

const keyRemedy = "put back the key file that belongs to this database, from your backup, with mode 0600"

// Key judges what a look at the key file of a store that is open has found: without it what is sealed is lost, and no start succeeds.
func Key(err error) Finding {
	const name = "key file"
	switch {
	case err == nil:
		return well(name, "fits the database")
	case errors.Is(err, store.ErrWrongKey), errors.Is(err, store.ErrBadKeyFile):
		return ill(name, "%v; the daemon goes on until it ends, and does not start again", keyRemedy, err)
	}
	return ill(name, "%v", "see that this user may read the key file, and that the database answers", err)
}

// Engine asks the engine at an endpoint who it is.
func Engine(ctx context.Context, endpoint string) Finding {
	e, err := docker.New(docker.Options{Endpoint: endpoint})
	if err != nil {
		return ill(engineName, "%s: %v", "give another with --docker-host", endpoint, err)
	}
	defer e.Close() // it only had idle connections
	return Ask(ctx, e)
}

const engineName = "engine"

// Ask asks an engine who it is, and compares its clock.
func Ask(ctx context.Context, e *docker.Engine) Finding {
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

// Serves looks whether somebody accepts connections at an address where something is to be served now.
func Serves(ctx context.Context, what, addr string) Finding {
	name := "port of " + what
	ctx, cancel := context.WithTimeout(ctx, askTimeout)
	defer cancel()
	conn, err := (&net.Dialer{}).DialContext(ctx, "tcp", reachable(addr))
	if err != nil {
		return ill(name, "nobody answers at %s: %v", "see what listens there (ss -ltnp), and what the log says of it", addr, err)
	}
	_ = conn.Close() // it was only tried
	return well(name, "%s answers", addr)
}

// reachable is an address of this machine at which a listener on all addresses can be dialled.
func reachable(addr string) string {
	at, err := netip.ParseAddrPort(addr)
	switch {
	case err != nil || !at.Addr().IsUnspecified():
		return addr
	case at.Addr().Is4():
		return netip.AddrPortFrom(netip.AddrFrom4([4]byte{127, 0, 0, 1}), at.Port()).String()
	}
	return netip.AddrPortFrom(netip.IPv6Loopback(), at.Port()).String()
}
