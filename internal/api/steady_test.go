package api

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"testing"
	"testing/synctest"
	"time"
)

// overGuard serves handlers behind the guard to one connection, in a bubble.
func overGuard(t *testing.T, routes map[string]http.HandlerFunc, test func(t *testing.T, conn net.Conn)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		s := &server{log: slog.New(slog.DiscardHandler), metrics: newMetrics(Deps{})}
		mux := http.NewServeMux()
		for path, handler := range routes {
			mux.HandleFunc(path, handler)
		}
		listener := newPipeListener()
		srv := &http.Server{Handler: s.guard(mux), WriteTimeout: time.Second} // however short it is, the guard gives time anew
		served := make(chan error, 1)
		go func() { served <- srv.Serve(listener) }()
		conn, err := listener.dial(t.Context(), "", "")
		if err != nil {
			t.Fatal(err)
		}
		test(t, conn)
		_ = conn.Close() // it may be closed already
		if err := srv.Close(); err != nil {
			t.Error(err)
		}
		if err := <-served; !errors.Is(err, http.ErrServerClosed) {
			t.Error(err)
		}
	})
}

// large is an answer that no buffer holds.
var large = bytes.Repeat([]byte("0123456789abcdef"), 20<<10)

func writesAll(p []byte) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write(p) } // the reader may be gone
}

func ask(t *testing.T, conn net.Conn, path string) {
	t.Helper()
	if _, err := io.WriteString(conn, "GET "+path+" HTTP/1.1\r\nHost: x\r\n\r\n"); err != nil {
		t.Fatal(err)
	}
}

// answered reads the answer whole.
func answered(conn io.Reader) (string, error) {
	res, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		return "", err
	}
	text, err := io.ReadAll(res.Body)
	return string(text), errors.Join(err, res.Body.Close())
}

// TestWhoReadsNothingIsLeft after a while, whatever the answer is: it must not hold a connection for ever.
func TestWhoReadsNothingIsLeft(t *testing.T) {
	routes := map[string]http.HandlerFunc{
		"GET /api/large": writesAll(large),
		"GET /api/small": writesAll([]byte("small")),
		"GET /api/none":  func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusNoContent) },
		"GET /api/late": func(w http.ResponseWriter, _ *http.Request) {
			time.Sleep(time.Minute)
			_, _ = w.Write(large)
		},
		"GET /api/stream": func(w http.ResponseWriter, _ *http.Request) { _, _ = newSteadyWriter(w).Write(large) },
	}
	for path, want := range map[string]time.Duration{
		"/api/large": answerTimeout, "/api/small": answerTimeout, "/api/none": answerTimeout, "/api/nothing": answerTimeout, "/api/late": time.Minute + answerTimeout, "/api/stream": writeTimeout,
	} {
		t.Run(path, func(t *testing.T) {
			overGuard(t, routes, func(t *testing.T, conn net.Conn) {
				ask(t, conn, path)
				begin := time.Now()
				_, err := conn.Write(make([]byte, 8<<10)) // nobody reads it either, until the connection is closed
				if took := time.Since(begin); !errors.Is(err, io.ErrClosedPipe) || took != want {
					t.Errorf("left after %v: %v", took, err)
				}
			})
		})
	}
}

// trickle lets a little through each second.
type trickle struct{ from io.Reader }

func (s trickle) Read(p []byte) (int, error) {
	time.Sleep(time.Second)
	return s.from.Read(p[:min(len(p), 2<<10)])
}

// TestWhoIsSlowHasItAll: nobody is left who goes on reading, or who waits for an answer that is slow itself.
func TestWhoIsSlowHasItAll(t *testing.T) {
	routes := map[string]http.HandlerFunc{
		"GET /api/large": writesAll(large),
		"GET /api/slow": func(w http.ResponseWriter, _ *http.Request) {
			_, _ = io.WriteString(w, "at last, ")
			time.Sleep(2 * answerTimeout)
			_, _ = io.WriteString(w, "and again")
			time.Sleep(2 * answerTimeout)
		},
		"GET /api/other": func(w http.ResponseWriter, _ *http.Request) {
			conn, _, err := http.NewResponseController(w).Hijack()
			if err != nil {
				return
			}
			go func() {
				time.Sleep(4 * answerTimeout)
				_, _ = io.WriteString(conn, "HTTP/1.1 200 OK\r\nConnection: close\r\n\r\nanother protocol")
				_ = conn.Close()
			}()
		},
	}
	for path, want := range map[string]string{"/api/large": string(large), "/api/slow": "at last, and again", "/api/other": "another protocol"} {
		t.Run(path, func(t *testing.T) {
			overGuard(t, routes, func(t *testing.T, conn net.Conn) {
				begin := time.Now()
				ask(t, conn, path)
				got, err := answered(trickle{conn})
				if err != nil || got != want || time.Since(begin) < 4*answerTimeout {
					t.Errorf("%d bytes after %v: %v", len(got), time.Since(begin), err)
				}
			})
		})
	}
}

// deadlines is a writer that counts what is set.
type deadlines struct {
	headOnly
	set int
}

func (d *deadlines) SetWriteDeadline(time.Time) error { d.set++; return nil }

// TestABurstCostsNothing: time is given once in it, and nothing is allocated for that.
func TestABurstCostsNothing(t *testing.T) {
	below := &deadlines{headOnly: headOnly{header: http.Header{}}}
	w := &trackedWriter{ResponseWriter: below}
	synctest.Test(t, func(t *testing.T) {
		for range 100 {
			if n, err := w.Write(large); n != len(large) || err != nil {
				t.Fatal(n, err)
			}
		}
	})
	if below.set != 1 {
		t.Errorf("set %d times", below.set)
	}
	if n := testing.AllocsPerRun(100, func() { w.allowance = allowance{}; _, _ = w.Write(large) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}
