package caddy

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/tiny-forge/docker-watcher/internal/proxy"
)

const patience = 20 * time.Second

// rig is a Caddy of its own, on a socket and a free port of loopback.
type rig struct {
	t      *testing.T
	dir    string
	listen string // where routes are served
	other  string // where somebody else's server is
	cmd    *exec.Cmd
	ended  chan struct{}
	log    bytes.Buffer
	turns  chan proxy.Turn
}

func program(t *testing.T) string {
	t.Helper()
	path := os.Getenv("DOCKER_WATCHER_TEST_CADDY")
	if path == "" {
		t.Fatal("DOCKER_WATCHER_TEST_CADDY names no Caddy: run this through scripts/test, or scripts/caddy run -- go test ...")
	}
	return path
}

// newRig starts one that serves something of somebody else's.
func newRig(t *testing.T) *rig {
	t.Helper()
	dir, err := os.MkdirTemp("", "dwc") //nolint:usetesting // the path of a socket has to be short
	if err != nil {
		t.Fatal(err)
	}
	r := &rig{t: t, dir: dir, listen: free(t), other: free(t), turns: make(chan proxy.Turn, 100)}
	t.Cleanup(func() { r.stop(); _ = os.RemoveAll(dir) })
	r.start(r.foreign())
	return r
}

func free(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

// foreign is a configuration of somebody else's.
func (r *rig) foreign() string {
	return fmt.Sprintf(`{"admin":{"listen":"unix/%s"},"apps":{"http":{"servers":{"theirs":{"listen":[%q],"automatic_https":{"disable":true},
		"routes":[{"@id":"first","match":[{"host":["theirs.example"]}],"handle":[{"handler":"static_response","body":"theirs"}],"terminal":true},
		{"handle":[{"handler":"error","error":"not ours","status_code":418}]}]}}}}}`, r.socket(), r.other)
}

func (r *rig) socket() string { return filepath.Join(r.dir, "admin.sock") }

// start runs a Caddy by a configuration and waits until it can be asked.
func (r *rig) start(config string) {
	r.t.Helper()
	file := filepath.Join(r.dir, "caddy.json")
	if err := os.WriteFile(file, []byte(config), 0o600); err != nil {
		r.t.Fatal(err)
	}
	r.cmd = exec.Command(program(r.t), "run", "--config", file)
	r.cmd.Env = append(os.Environ(), "XDG_DATA_HOME="+r.dir, "XDG_CONFIG_HOME="+r.dir)
	r.cmd.Stderr = &r.log
	r.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := r.cmd.Start(); err != nil {
		r.t.Fatal(err)
	}
	ended := make(chan struct{})
	r.ended = ended
	cmd := r.cmd
	go func() { _ = cmd.Wait(); close(ended) }()
	a := r.admin()
	r.until("Caddy answers", func() bool { _, _, err := a.config(r.t.Context()); return err == nil })
}

// stop ends it at once.
func (r *rig) stop() {
	if r.cmd == nil {
		return
	}
	_ = r.cmd.Process.Kill()
	<-r.ended
	r.cmd = nil
	_ = os.Remove(r.socket())
}

func (r *rig) admin() admin {
	r.t.Helper()
	a, err := newAdmin("unix://" + r.socket())
	if err != nil {
		r.t.Fatal(err)
	}
	return a
}

// until waits for what others bring about.
func (r *rig) until(what string, done func() bool) {
	r.t.Helper()
	ctx, cancel := context.WithTimeout(r.t.Context(), patience)
	defer cancel()
	ticker := time.NewTicker(10 * time.Millisecond)
	defer ticker.Stop()
	for !done() {
		select {
		case <-ticker.C:
		case <-ctx.Done():
			r.t.Fatalf("it never came to this: %s", what)
		}
	}
}

// driver begins one that looks often.
func (r *rig) driver(change ...func(*Options)) *Driver {
	r.t.Helper()
	o := Options{
		Admin: "unix://" + r.socket(), Site: Site{Listen: r.listen}, File: filepath.Join(r.dir, "table.json"), Mend: true, Tick: 50 * time.Millisecond,
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
		if err := <-done; err != nil {
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
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://"+addr+path, nil)
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

// rule leads a domain, from a path on, to targets.
func rule(at string, targets ...string) proxy.Rule {
	domain, path, _ := strings.Cut(at, "/")
	r := proxy.Rule{ID: at, Kind: proxy.KindProxy, Addresses: []proxy.Address{{Domain: domain, PathPrefix: "/" + path}}}
	for _, t := range targets {
		r.Targets = append(r.Targets, proxy.Target{Ref: t, URL: t})
	}
	return r
}

func with(r proxy.Rule, change func(*proxy.Options)) proxy.Rule {
	change(&r.Options)
	return r
}

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
