package plane

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"syscall"
	"time"
)

var (
	// ErrTaken is that another plane answers at the socket.
	ErrTaken = errors.New("another data plane serves at this socket")
	// ErrOpenFolder is that others could come to the socket.
	ErrOpenFolder = errors.New("the folder of the socket is open to others")
	// ErrSocketPath is that no socket can be at such a path.
	ErrSocketPath = errors.New("the path of the socket is too long")
)

const (
	longestPath = 100 // of a socket; Linux takes 107 bytes
	dialLimit   = 2 * time.Second
)

// listenAt opens the socket for its owner alone. One that was left behind by a plane that died is replaced.
func listenAt(ctx context.Context, path string) (*net.UnixListener, error) {
	if len(path) > longestPath {
		return nil, fmt.Errorf("%w: %s has more than %d characters", ErrSocketPath, path, longestPath)
	}
	if err := ownFolder(filepath.Dir(path)); err != nil {
		return nil, err
	}
	unlock, err := lockFor(path)
	if err != nil {
		return nil, err
	}
	defer unlock()
	conn, err := dialSocket(ctx, path)
	switch {
	case err == nil:
		return nil, errors.Join(fmt.Errorf("%w: %s", ErrTaken, path), conn.Close())
	case errors.Is(err, syscall.ECONNREFUSED):
		if err := os.Remove(path); err != nil {
			return nil, fmt.Errorf("remove the socket of a data plane that died: %w", err)
		}
	case !errors.Is(err, fs.ErrNotExist):
		return nil, fmt.Errorf("see whether a data plane serves: %w", err)
	}
	l, err := (&net.ListenConfig{}).Listen(ctx, "unix", path)
	if err != nil {
		return nil, fmt.Errorf("listen for the daemon: %w", err)
	}
	if err := os.Chmod(path, 0o600); err != nil {
		return nil, errors.Join(fmt.Errorf("keep others from the socket: %w", err), l.Close())
	}
	u, ok := l.(*net.UnixListener)
	if !ok {
		return nil, errors.Join(fmt.Errorf("listen for the daemon: %T is no socket", l), l.Close())
	}
	u.SetUnlinkOnClose(false) // it may be another's by then
	return u, nil
}

// ownFolder makes the folder for its owner alone, and refuses one that others may enter.
func ownFolder(dir string) error {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return fmt.Errorf("make the folder of the socket: %w", err)
	}
	info, err := os.Stat(dir)
	if err != nil {
		return fmt.Errorf("look at the folder of the socket: %w", err)
	}
	if mode := info.Mode().Perm(); mode&0o077 != 0 {
		return fmt.Errorf("%w: %s has the mode %04o", ErrOpenFolder, dir, mode)
	}
	return nil
}

// lockFor keeps others from making or removing the socket meanwhile.
func lockFor(path string) (unlock func(), err error) {
	f, err := os.OpenFile(path+".lock", os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, fmt.Errorf("lock the socket: %w", err)
	}
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX); err != nil {
		return nil, errors.Join(fmt.Errorf("lock the socket: %w", err), f.Close())
	}
	return func() { _ = f.Close() }, nil // which unlocks
}

// removeSocket takes the socket away, unless it is another's by now.
func removeSocket(ctx context.Context, path string) error {
	unlock, err := lockFor(path)
	if err != nil {
		return err
	}
	defer unlock()
	if conn, err := dialSocket(ctx, path); err == nil {
		return conn.Close()
	}
	if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("remove the socket: %w", err)
	}
	return nil
}

func dialSocket(ctx context.Context, path string) (*net.UnixConn, error) {
	d := net.Dialer{Timeout: dialLimit}
	conn, err := d.DialContext(ctx, "unix", path)
	if err != nil {
		return nil, err
	}
	u, ok := conn.(*net.UnixConn)
	if !ok {
		return nil, errors.Join(fmt.Errorf("%T is no socket", conn), conn.Close())
	}
	return u, nil
}
