package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/tiny-forge/docker-watcher/internal/auth"
	"github.com/tiny-forge/docker-watcher/internal/backup"
	"github.com/tiny-forge/docker-watcher/internal/config"
	"github.com/tiny-forge/docker-watcher/internal/plane"
	"github.com/tiny-forge/docker-watcher/internal/store"
)

// errFolder is a data folder that cannot be used.
var errFolder = errors.New("the data folder cannot be used")

// hintFor says what a person can do about a fault that keeps the daemon from running; empty if nobody knows.
func hintFor(err error, cfg config.Config) string {
	switch {
	case errors.Is(err, plane.ErrTaken):
		return "it serves already: take its place with --take-over, or send it SIGHUP; or give another --proxy-socket"
	case errors.Is(err, plane.ErrOpenFolder):
		return fmt.Sprintf("whoever comes to the socket says where your domains lead: chmod 700 %s, or give another --proxy-socket", filepath.Dir(cfg.ProxySocket))
	case errors.Is(err, plane.ErrSocketPath):
		return "give a shorter one with --proxy-socket, such as /run/docker-watcher/proxy.sock"
	case errors.Is(err, errProxyListen) && errors.Is(err, syscall.EACCES):
		return fmt.Sprintf("%s may not be used by this user: a port above 1023 may, or give the program the right to (setcap cap_net_bind_service=+ep, or the service file's AmbientCapabilities)", proxyAddresses(cfg))
	case errors.Is(err, errProxyListen):
		return fmt.Sprintf("see what listens on %s (ss -ltnp), or give another address with --proxy-http or --proxy-https", proxyAddresses(cfg))
	case errors.Is(err, syscall.EADDRINUSE):
		return fmt.Sprintf("something listens on %s already, perhaps another docker-watcher: stop it, or give another address with --listen", cfg.Listen)
	case errors.Is(err, syscall.EADDRNOTAVAIL):
		return fmt.Sprintf("this machine has no address %s: give one that it has with --listen", cfg.Listen)
	case errors.Is(err, store.ErrLocked):
		return "one store serves one daemon: stop the other, or give this one a folder of its own with --data"
	case errors.Is(err, store.ErrHalfRestored):
		return "run it again, which brings it to its end: " + finishCommand(cfg)
	case errors.Is(err, store.ErrLockLost):
		return "the connection to the database broke and another daemon may hold the store by now: start again"
	case errors.Is(err, store.ErrNewerSchema):
		return "nothing was changed: start the newer docker-watcher again, or " + wayBack(cfg)
	case errors.Is(err, store.ErrUnreadable):
		return "the database itself is not known to be damaged, see server doctor: mend the value that is named, or put a backup back: " + restoreCommand(cfg)
	case errors.Is(err, store.ErrForeign):
		return "nothing was changed: give a database of docker-watcher, or a new one, with --store or --data"
	case errors.Is(err, store.ErrWrongKey), errors.Is(err, store.ErrBadKeyFile):
		return fmt.Sprintf("the key in %s and the database belong together: restore both from the same backup", cfg.Data)
	case errors.Is(err, store.ErrBusy):
		return "end the program that has the database open, and start again"
	case errors.Is(err, store.ErrUnavailable):
		return "start the database, or give another with --store"
	case errors.Is(err, store.ErrDiskFull), errors.Is(err, syscall.ENOSPC):
		return fmt.Sprintf("the disk of %s is full: free some space and start again", cfg.Data)
	case errors.Is(err, errAdminPassword):
		return "write the password, 12 characters or more, into the file of --admin-password-file, and let this user read it"
	case errors.Is(err, store.ErrNeverStarted):
		return "start the daemon once, or say with --data and --store where it keeps its database"
	case errors.Is(err, errAdminToken), errors.Is(err, auth.ErrInvalid):
		return "write one line of 32 or more characters into the file of --admin-token-file, for example: openssl rand -hex 32"
	case errors.Is(err, syscall.EACCES) && cfg.Listen != "" && isListen(err):
		return fmt.Sprintf("%s may not be used by this user: a port above 1023 may (--listen)", cfg.Listen)
	case errors.Is(err, errFolder), errors.Is(err, store.ErrReadOnly), errors.Is(err, fs.ErrPermission):
		return fmt.Sprintf("%s must be a folder that this user may write in: change its owner, or give another with --data", cfg.Data)
	}
	return ""
}

// wayBack says how an older docker-watcher comes to a database of its own again, after a newer one was there.
func wayBack(cfg config.Config) string {
	if strings.Contains(cfg.Store, "://") {
		return "put the dump back that was made before it: docs/operations.md, \"Upgrade and downgrade\""
	}
	former := store.Former(store.Options{URL: cfg.Store, DataDir: cfg.Data})
	if former == "" {
		return "restore a backup that was made before it: " + restoreCommand(cfg)
	}
	file := strings.TrimSuffix(former, filepath.Ext(former)) // where a link that is given leads to
	aside := freeName(filepath.Join(filepath.Dir(former), "newer-"+time.Now().UTC().Format("20060102-150405")))
	return fmt.Sprintf("go back to what was there before it, without what has happened since: mkdir %s && mv %s* %s && cp -p %s %s",
		backup.Quoted(aside), backup.Quoted(file), backup.Quoted(aside), backup.Quoted(filepath.Join(aside, filepath.Base(former))), backup.Quoted(file))
}

// freeName is a name that nothing has, which begins so.
func freeName(name string) string {
	free := name
	for n := 2; ; n++ {
		if _, err := os.Lstat(free); err != nil {
			return free
		}
		free = fmt.Sprintf("%s-%d", name, n)
	}
}
