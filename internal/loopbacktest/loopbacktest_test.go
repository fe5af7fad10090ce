package loopbacktest_test

import (
	"net"
	"testing"

	"github.com/tiny-forge/docker-watcher/internal/loopbacktest"
)

// TestFree: somebody can listen there, and nobody is given it twice, nor by the system.
func TestFree(t *testing.T) {
	mine := map[string]bool{}
	for range 50 {
		addr := loopbacktest.Free(t)
		l, err := net.Listen("tcp", addr)
		if err != nil {
			t.Fatal(err)
		}
		if err := l.Close(); err != nil {
			t.Fatal(err)
		}
		if mine[addr] {
			t.Errorf("%s was given twice", addr)
		}
		mine[addr] = true
	}
	for range 200 {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		if mine[l.Addr().String()] {
			t.Errorf("the system gives %s to whoever asks for any", l.Addr())
		}
		defer l.Close()
	}
}
