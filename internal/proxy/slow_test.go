package proxy

import (
	"bufio"
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// pipes hands out connections in memory, which is all that a synctest bubble can wait for.
type pipes struct {
	conns chan net.Conn
	done  chan struct{}
	once  sync.Once
}

func newPipes() *pipes { return &pipes{conns: make(chan net.Conn), done: make(chan struct{})} }

func (p *pipes) dial(ctx context.Context, _, _ string) (net.Conn, error) {
	here, there := net.Pipe()
	select {
	case p.conns <- there:
		return here, nil
	case <-p.done:
		return nil, net.ErrClosed
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// Accept waits for the next one.
func (p *pipes) Accept() (net.Conn, error) {
	select {
	case c := <-p.conns:
		return c, nil
	case <-p.done:
		return nil, net.ErrClosed
	}
}

// Close ends it.
func (p *pipes) Close() error { p.once.Do(func() { close(p.done) }); return nil }

// Addr is none.
func (p *pipes) Addr() net.Addr { return &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1)} }

// inMemory serves a rule for a.example in a bubble.
func inMemory(t *testing.T, change func(*Options), target http.HandlerFunc) *pipes {
	t.Helper()
	front, back := newPipes(), newPipes()
	s := NewServer(ServerOptions{Log: slog.New(slog.DiscardHandler), Dial: back.dial})
	if _, err := s.Apply(Table{Rules: []Rule{rule("a.example", "http://10.0.0.5").with(change)}}); err != nil {
		t.Fatal(err)
	}
	srv := &http.Server{Handler: target} //nolint:gosec // in memory
	go func() { _ = srv.Serve(back) }()
	ctx, cancel := context.WithCancel(context.WithoutCancel(t.Context()))
	done := make(chan error, 1)
	go func() { done <- s.Serve(ctx, front, time.Minute) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
		if err := srv.Close(); err != nil {
			t.Error(err)
		}
	})
	return front
}

// lasts tells for how long a connection stays open whose client sends a text and then a byte every now and then, and what it gets.
func lasts(t *testing.T, front *pipes, text string, every time.Duration) (time.Duration, string) {
	t.Helper()
	conn, err := front.dial(t.Context(), "", "")
	if err != nil {
		t.Fatal(err)
	}
	began := time.Now()
	sent := make(chan struct{})
	go func() {
		defer close(sent)
		if _, err := io.WriteString(conn, text); err != nil || every == 0 {
			return
		}
		for {
			time.Sleep(every)
			if _, err := io.WriteString(conn, "x"); err != nil {
				return
			}
		}
	}()
	got, err := io.ReadAll(conn)
	if err != nil && !errors.Is(err, io.ErrClosedPipe) {
		t.Error(err)
	}
	took := time.Since(began).Round(time.Second)
	_ = conn.Close()
	<-sent
	return took, string(got)
}

func TestSlowClientsHaveAnEnd(t *testing.T) {
	for name, c := range map[string]struct {
		text  string
		every time.Duration
		want  time.Duration
		gets  string
	}{
		"says nothing":                      {"", 0, headTimeout, ""},
		"stops in its head":                 {"GET / HTTP/1.1\r\nHost: a.ex", 0, headTimeout, ""},
		"sends its head byte by byte":       {"GET / HTTP/1.1\r\nHost: a.example\r\nX-A: ", time.Second, headTimeout, ""},
		"asks no more":                      {"GET / HTTP/1.1\r\nHost: a.example\r\n\r\n", 0, idleTimeout, "HTTP/1.1 200 OK"},
		"stops in its second head":          {"GET / HTTP/1.1\r\nHost: a.example\r\n\r\nGET / HTTP/1.1\r\n", 0, headTimeout, "HTTP/1.1 200 OK"},
		"stops in its body":                 {"POST / HTTP/1.1\r\nHost: a.example\r\nContent-Length: 9\r\n\r\nhell", 0, bodyPatience, "HTTP/1.1 408 "},
		"stops in a chunk":                  {"POST / HTTP/1.1\r\nHost: a.example\r\nTransfer-Encoding: chunked\r\n\r\n9\r\nhell", 0, bodyPatience, "HTTP/1.1 408 "},
		"stops in a body that nobody reads": {"POST / HTTP/1.1\r\nHost: nobody.example\r\nContent-Length: 9\r\n\r\nhell", 0, bodyPatience, "HTTP/1.1 404 "},
		"pauses in its body, and ends it":   {"POST / HTTP/1.1\r\nHost: a.example\r\nConnection: close\r\nContent-Length: 6\r\n\r\nhell", bodyPatience - time.Second, 2 * (bodyPatience - time.Second), "HTTP/1.1 200 OK"},
	} {
		synctest.Test(t, func(t *testing.T) {
			front := inMemory(t, func(o *Options) { o.ResponseTimeout = Span(time.Hour) }, func(w http.ResponseWriter, q *http.Request) {
				if _, err := io.Copy(io.Discard, q.Body); err == nil {
					_, _ = io.WriteString(w, "ok")
				}
			})
			lasted, got := lasts(t, front, c.text, c.every)
			if lasted != c.want || !strings.HasPrefix(got, c.gets) || c.gets == "" && strings.Contains(got, " 200 ") {
				t.Errorf("who %s is held for %s, want %s, and gets %q", name, lasted, c.want, got)
			}
		})
	}
}

func TestConnectionsThatSayNothingAreBounded(t *testing.T) {
	w := newWaiting(3)
	var ends []net.Conn
	open := func() net.Conn {
		here, there := net.Pipe()
		ends = append(ends, there)
		w.note(here, http.StateNew)
		return here
	}
	closed := func(n int) bool {
		_ = ends[n].SetReadDeadline(time.Now().Add(-time.Second))
		_, err := ends[n].Read(make([]byte, 1))
		return err == io.EOF //nolint:errorlint // as a pipe says it
	}
	first, second := open(), open()
	open()
	w.note(first, http.StateActive) // its request is under way: it does not count
	open()
	for n := range ends {
		if closed(n) {
			t.Errorf("connection %d is closed, and there is room for all", n)
		}
	}
	open()
	if !closed(1) || closed(0) {
		t.Error("not the one is closed that has waited longest")
	}
	w.note(second, http.StateClosed) // as the server tells it
	w.note(first, http.StateIdle)
	if !closed(2) || closed(0) {
		t.Error("a connection that waits again is the oldest")
	}
	for _, conn := range []net.Conn{first, second} {
		w.note(conn, http.StateHijacked)
		w.note(conn, http.StateClosed)
	}
	if len(w.at) != 2 || w.order.Len() != 2 {
		t.Errorf("%d and %d are kept, want 2", len(w.at), w.order.Len())
	}
}

// TestManyHalfOpenConnectionsShutNobodyOut opens more than may wait, over TCP.
func TestManyHalfOpenConnectionsShutNobodyOut(t *testing.T) {
	r := newRig(t)
	r.apply(rule("a.example", says(t, "here")))
	kept := r.dial()
	in := bufio.NewReader(kept)
	var idle []net.Conn
	for n := range mostWaiting + 50 {
		conn, err := net.Dial("tcp", r.addr)
		if err != nil {
			t.Fatal(n, err)
		}
		defer conn.Close()
		_, _ = io.WriteString(conn, "GET / HTTP/1.1\r\nHo") // the oldest are closed meanwhile
		idle = append(idle, conn)
	}
	if status, body, _ := r.get("a.example", "/"); status != 200 || body != "here" {
		t.Errorf("beside them it answers %d %s", status, body)
	}
	if _, err := in.ReadByte(); err == nil {
		t.Error("the oldest is answered, to no request")
	}
	_ = idle[0].SetReadDeadline(time.Now().Add(patience))
	if _, err := io.Copy(io.Discard, idle[0]); timedOut(err) { // on a slow machine it was told before that its head comes too late
		t.Errorf("the first of them is still open: %v", err)
	}
}
