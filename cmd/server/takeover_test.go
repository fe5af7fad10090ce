package main_test

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/http/httptrace"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/tiny-forge/docker-watcher/client"
	"github.com/tiny-forge/docker-watcher/internal/docker/dockertest"
)

// switched is a site whose target is changed again and again, and everybody who uses it on connections that they keep.
type switched struct {
	t     *testing.T
	addr  string
	told  atomic.Int64 // the target to which the route leads, as the API said when it had changed it
	asked atomic.Int64
	wrong atomic.Int64
	first sync.Once
	why   string
}

// target is one that says its number.
func (s *switched) target(n int64) *httptest.Server {
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		fmt.Fprintf(w, "%d %s", n, body)
	}))
	s.t.Cleanup(srv.Close)
	return srv
}

// ask posts something that a client would not send again by itself, and tells whether it was sent on a connection that was kept.
func (s *switched) ask(ctx context.Context, by http.RoundTripper) (kept bool) {
	asking := ctx
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	ctx = httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{GotConn: func(i httptrace.GotConnInfo) { kept = i.Reused }})
	req, _ := http.NewRequestWithContext(ctx, http.MethodPost, "http://"+s.addr+"/", strings.NewReader("hello"))
	req.Host = "shop.example"
	told := s.told.Load()
	resp, err := by.RoundTrip(req)
	var body []byte
	if err == nil {
		body, err = io.ReadAll(resp.Body)
		_ = resp.Body.Close() // it was read
	}
	if asking.Err() != nil {
		return kept
	}
	s.asked.Add(1)
	var n int64
	var said string
	if _, scanErr := fmt.Sscan(string(body), &n, &said); err != nil || scanErr != nil || said != "hello" || n < told {
		s.wrong.Add(1)
		s.first.Do(func() {
			s.why = fmt.Sprintf("%q, %v, on a kept connection: %v; it leads to %d", body, err, kept, told)
		})
	}
	return kept
}

// TestAChangeAfterATakeOverIsForAll changes where a route leads right after each take-over, under load: no request fails, and none that is sent
// after the change was told comes to the former target, also not on a connection that somebody keeps open to the former process.
func TestAChangeAfterATakeOverIsForAll(t *testing.T) {
	a := newApartBed(t)
	d := a.feed(binary, dockertest.Serve(t, dockertest.Docker29()))
	c := d.client(d.setUp())
	s := &switched{t: t, addr: a.addr}
	former := s.target(0)
	lead(t, c, "shop.example", former.URL)

	ctx, leave := context.WithCancel(t.Context())
	var all sync.WaitGroup
	for n := range 6 {
		transport := &http.Transport{}
		all.Go(func() {
			defer transport.CloseIdleConnections()
			for ctx.Err() == nil {
				s.ask(ctx, transport)
				select { // so that some of them wait at each moment
				case <-ctx.Done():
				case <-time.After(time.Duration(n) * 10 * time.Millisecond):
				}
			}
		})
	}
	t.Cleanup(func() { leave(); all.Wait() })
	const rounds = 4
	for n := range int64(rounds) {
		idle := make([]*http.Transport, 8)
		for i := range idle {
			idle[i] = &http.Transport{}
			t.Cleanup(idle[i].CloseIdleConnections)
			s.ask(t.Context(), idle[i])
		}
		a.launch(binary, "--take-over")
		next := s.target(n + 1)
		if _, err := c.UpdateProxy(t.Context(), "shop.example", 0, client.ProxyFields{Targets: &[]string{next.URL}}); err != nil {
			t.Fatal(err)
		}
		s.told.Store(n + 1)
		for _, one := range idle {
			if !s.ask(t.Context(), one) {
				t.Error("a connection to the former process was not kept")
			}
			if s.ask(t.Context(), one) {
				t.Error("a connection to the former process is kept on")
			}
		}
		until := s.asked.Load() + 100
		eventually(t, "requests go on", func() bool { return s.asked.Load() >= until })
		former.Close() // nobody is there any more
		former = next
	}
	leave()
	all.Wait()
	t.Logf("%d requests, %d wrong", s.asked.Load(), s.wrong.Load())
	if s.wrong.Load() > 0 {
		t.Errorf("%d are wrong, the first: %s", s.wrong.Load(), s.why)
	}
}
