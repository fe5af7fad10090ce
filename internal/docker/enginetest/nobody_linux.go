package enginetest

import (
	"context"
	"net"
	"os"
	"runtime"
	"strings"
	"syscall"
	"testing"
)

// nobodyID is the user that no file belongs to.
const nobodyID = 65534

// AsNobody takes from everybody the right to use the socket of an endpoint, and returns a way to it that is gone by a user who is not root:
// where the test is root's, by a thread that is no longer, and ends.
func AsNobody(t testing.TB, endpoint string) func(ctx context.Context, network, addr string) (net.Conn, error) {
	t.Helper()
	if err := os.Chmod(strings.TrimPrefix(endpoint, "unix://"), 0); err != nil {
		t.Fatal(err)
	}
	return func(ctx context.Context, network, addr string) (net.Conn, error) {
		type result struct {
			conn net.Conn
			err  error
		}
		done := make(chan result, 1)
		go func() {
			runtime.LockOSThread() // for ever: the thread ends with this
			if os.Geteuid() == 0 {
				if _, _, errno := syscall.RawSyscall(syscall.SYS_SETRESUID, nobodyID, nobodyID, nobodyID); errno != 0 {
					done <- result{err: errno}
					return
				}
			}
			conn, err := (&net.Dialer{}).DialContext(ctx, network, addr)
			done <- result{conn, err}
		}()
		r := <-done
		return r.conn, r.err
	}
}
