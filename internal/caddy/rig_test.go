package caddy

import (
	"context"
	"encoding/json"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/tiny-forge/docker-watcher/internal/caddy/caddytest"
	"github.com/tiny-forge/docker-watcher/internal/proxy"
	"github.com/tiny-forge/docker-watcher/internal/proxy/proxytest"
	"github.com/tiny-forge/docker-watcher/internal/waittest"
)

// patience is how long anything may take, however slow the machine is: what never comes fails its test by name.
const patience = waittest.Patience

// rig is a Caddy of its own, with what a driver tells of it.
type rig struct {
	*caddytest.Caddy
	t     *testing.T
	turns chan proxy.Turn
}

// newRig starts one that serves something of somebody else's.
func newRig(t *testing.T) *rig {
	t.Helper()
	return &rig{Caddy: caddytest.Start(t), t: t, turns: make(chan proxy.Turn, 100)}
}

func (r *rig) admin() admin {
	r.t.Helper()
	a, err := newAdmin(r.Admin())
	if err != nil {
		r.t.Fatal(err)
	}
	return a
}

// until waits for what others bring about.
func (r *rig) until(what string, done func() bool) {
	r.t.Helper()
	waittest.Until(r.t, what, 10*time.Millisecond, done)
}

// driver begins one that looks often.
func (r *rig) driver(change ...func(*Options)) *Driver {
	r.t.Helper()
	o := Options{
		Admin: r.Admin(), Site: Site{Listen: r.Listen}, File: filepath.Join(r.Dir, "table.json"), Mend: true, Tick: 50 * time.Millisecond,
		Turned: func(turn proxy.Turn, _ string) { r.turns <- turn }, Log: slog.New(slog.DiscardHandler),
	}
	for _, c := range change {
		c(&o)
	}
	d, err := New(o)
	if err != nil {
		r.t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.WithoutCancel(r.t.Context()))
	done := make(chan error, 1)
	go func() { done <- d.Run(ctx) }()
	r.t.Cleanup(func() {
		cancel()
		if err := waittest.Next(r.t, "the driver ends", done); err != nil {
			r.t.Error(err)
		}
	})
	return d
}

func apply(t *testing.T, d *Driver, rules ...proxy.Rule) string {
	t.Helper()
	hash, err := d.Apply(proxy.Table{Rules: rules})
	if err != nil {
		t.Fatal(err)
	}
	return hash
}

// raw is Caddy's answer to a GET below /config, as it is.
func (r *rig) raw(path string) string {
	r.t.Helper()
	var v any
	if _, err := r.admin().do(r.t.Context(), http.MethodGet, "/config"+path, "", nil, &v); err != nil {
		r.t.Fatal(err)
	}
	text, err := json.Marshal(v)
	if err != nil {
		r.t.Fatal(err)
	}
	return string(text)
}

// write changes Caddy's configuration as somebody else.
func (r *rig) write(method, path string, body any) {
	r.t.Helper()
	if _, err := r.admin().do(r.t.Context(), method, "/config"+path, "", body, nil); err != nil {
		r.t.Fatal(err)
	}
}

// answer is what was answered.
type answer struct {
	status int
	body   string
	head   http.Header
}

// ask asks a server for a path of a domain, without following where it sends to.
func ask(t *testing.T, addr, host, path string, change ...func(*http.Request)) answer {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+addr+path, nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Host = host
	for _, c := range change {
		c(req)
	}
	transport := &http.Transport{DisableKeepAlives: true, DisableCompression: true}
	resp, err := transport.RoundTrip(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return answer{resp.StatusCode, string(text), resp.Header}
}

// app is a target whose answers a test writes.
func app(t *testing.T, h http.HandlerFunc) string {
	t.Helper()
	srv := httptest.NewServer(h)
	t.Cleanup(srv.Close)
	return srv.URL
}

func says(t *testing.T, name string) string {
	return app(t, func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, name) })
}

var rule, with = proxytest.Rule, proxytest.With

// builtin is the built-in proxy on a port of its own.
func builtin(t *testing.T) (addr string, apply func(proxy.Table) (string, error)) {
	t.Helper()
	s := proxy.NewServer(proxy.ServerOptions{Log: slog.New(slog.DiscardHandler)})
	srv := httptest.NewServer(s)
	t.Cleanup(srv.Close)
	return srv.Listener.Addr().String(), s.Apply
}

// seen keeps the newest request of a target.
type seen struct {
	mu sync.Mutex
	r  *http.Request
}

func (s *seen) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.r = r
	w.Header().Set("X-Powered-By", "rust")
}

func (s *seen) last() *http.Request {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.r
}
