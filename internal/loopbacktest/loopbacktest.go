// Package loopbacktest has addresses of this machine at which tests have a program listen, or nobody.
package loopbacktest

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net"
	"strconv"
	"sync"
	"testing"
)

// The ports are below those that a system gives to whoever asks for any, which begin at 32768 or above, and browsers go to all of them.
const lowest, beyond = 10_100, 32_768

// given are the addresses that this process was given. Of others that run beside it one in thousands may be given the same.
var given sync.Map

// Free is an address at which nothing listens. Nobody else in this process is given it meanwhile, nor by the system, as one would be that was listened at and left: it stays free
// until the test's own program listens there, and while that is started anew.
func Free(t testing.TB) string {
	t.Helper()
	addr, err := Pick(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return addr
}

// Port is the port of an address that is Free.
func Port(t testing.TB) int {
	t.Helper()
	_, text, err := net.SplitHostPort(Free(t))
	if err != nil {
		t.Fatal(err)
	}
	port, err := strconv.Atoi(text)
	if err != nil {
		t.Fatal(err)
	}
	return port
}

// Pick is Free for what is no test.
func Pick(ctx context.Context) (addr string, err error) {
	for range 100 {
		addr = net.JoinHostPort("127.0.0.1", strconv.Itoa(lowest+rand.IntN(beyond-lowest))) //nolint:gosec // nobody is to be surprised
		var l net.Listener
		if l, err = (&net.ListenConfig{}).Listen(ctx, "tcp", addr); err != nil {
			continue // somebody is there
		}
		if err = l.Close(); err != nil {
			break
		}
		if _, was := given.LoadOrStore(addr, true); !was {
			return addr, nil
		}
	}
	return "", fmt.Errorf("find a free port of loopback: %w", err)
}
