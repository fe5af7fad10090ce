package main

import (
	"bufio"
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// pipes is a listener of connections in memory.
type pipes struct{ conns chan net.Conn }

func (p pipes) Accept() (net.Conn, error) {
	conn, open := <-p.conns
	if !open {
		return nil, net.ErrClosed
	}
	return conn, nil
}

func (p pipes) Close() error   { close(p.conns); return nil }
func (p pipes) Addr() net.Addr { return &net.UnixAddr{Name: "pipe"} }

// overPipe runs a test, in its own time, against one connection to the server.
func overPipe(t *testing.T, test func(t *testing.T, conn net.Conn)) {
	synctest.Test(t, func(t *testing.T) {
		listener := pipes{make(chan net.Conn, 1)}
		s := newServer(t.Context(), listener, make(chan struct{}), make(chan struct{}), http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			_, _ = io.WriteString(w, "served "+r.URL.Path)
		}), slog.New(slog.DiscardHandler))
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan error, 1)
		go func() { ended <- s.Run(ctx) }()
		ours, theirs := net.Pipe()
		listener.conns <- theirs
		test(t, ours)
		_ = ours.Close() // it may be closed already
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
}

// TestSlowHeadersAreGivenUp: who sends a request a byte at a time holds a connection for ten seconds and no longer.
func TestSlowHeadersAreGivenUp(t *testing.T) {
	overPipe(t, func(t *testing.T, conn net.Conn) {
		begin := time.Now()
		if _, err := io.WriteString(conn, "GET / HTTP/1.1\r\nHost: x\r\nX-Slow: "); err != nil {
			t.Fatal(err)
		}
		text, err := io.ReadAll(conn)
		if took := time.Since(begin); took != headerTimeout || strings.Contains(string(text), "served") {
			t.Errorf("given up after %v: %q, %v", took, text, err)
		}
	})
}

// TestWhoReadsNothingIsLeft also where no handler of ours answers.
func TestWhoReadsNothingIsLeft(t *testing.T) {
	for name, request := range map[string]string{"an answer": "GET / HTTP/1.1\r\nHost: x\r\n\r\n", "a refusal of net/http": "GET / HTTP/1.1\r\nHost: x\r\nno header\r\n\r\n"} {
		t.Run(name, func(t *testing.T) {
			overPipe(t, func(t *testing.T, conn net.Conn) {
				if _, err := io.WriteString(conn, request); err != nil {
					t.Fatal(err)
				}
				begin := time.Now()
				_, err := conn.Write(make([]byte, 8<<10)) // nobody reads it either, until the connection is closed
				if took := time.Since(begin); took != writeTimeout || !errors.Is(err, io.ErrClosedPipe) {
					t.Errorf("left after %v: %v", took, err)
				}
			})
		})
	}
}

func TestIdleConnectionsAreClosed(t *testing.T) {
	overPipe(t, func(t *testing.T, conn net.Conn) {
		if _, err := io.WriteString(conn, "GET /a HTTP/1.1\r\nHost: x\r\n\r\n"); err != nil {
			t.Fatal(err)
		}
		in := bufio.NewReader(conn)
		res, err := http.ReadResponse(in, nil)
		if err != nil {
			t.Fatal(err)
		}
		body, err := io.ReadAll(res.Body)
		if err = errors.Join(err, res.Body.Close()); err != nil || string(body) != "served /a" {
			t.Fatalf("%q, %v", body, err)
		}
		begin := time.Now()
		if _, err := in.ReadByte(); !errors.Is(err, io.EOF) || time.Since(begin) != idleTimeout {
			t.Errorf("closed after %v: %v", time.Since(begin), err)
		}
	})
}

func TestLargeHeadersAreRefused(t *testing.T) {
	overPipe(t, func(t *testing.T, conn net.Conn) {
		go func() {
			// It is cut off before the end.
			_, _ = io.WriteString(conn, "GET / HTTP/1.1\r\nHost: x\r\nX-Large: "+strings.Repeat("a", 2*maxHeader)+"\r\n\r\n")
		}()
		res, err := http.ReadResponse(bufio.NewReader(conn), nil)
		if err != nil {
			t.Fatal(err)
		}
		defer res.Body.Close()
		if res.StatusCode != http.StatusRequestHeaderFieldsTooLarge {
			t.Errorf("answered %s", res.Status)
		}
	})
}
