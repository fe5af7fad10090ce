//go:build traefik

package traefik

import (
	"context"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"golang.org/x/crypto/bcrypt"

	"github.com/tiny-forge/docker-watcher/internal/loopbacktest"
	"github.com/tiny-forge/docker-watcher/internal/proxy"
)

const programEnv = "DOCKER_WATCHER_TEST_TRAEFIK" // scripts/traefik sets it

// front is a Traefik that asks a driver.
type front struct {
	*Driver
	t    *testing.T
	addr string
}

// newFront starts a Traefik with its HTTP provider, as docs/routing.md says to.
func newFront(t *testing.T) *front {
	t.Helper()
	program := os.Getenv(programEnv)
	if program == "" {
		t.Fatalf("%s is not set: run `make traefik-check`", programEnv)
	}
	const interval = 200 * time.Millisecond
	f := &front{t: t, addr: loopbacktest.Free(t), Driver: New(Options{Interval: interval, Log: slog.New(slog.DiscardHandler)})}
	offers := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		text, _ := f.Fetch(r.RemoteAddr, time.Now())
		if text == nil {
			w.WriteHeader(http.StatusServiceUnavailable)
			return
		}
		w.Header().Set("Content-Type", "application/json")
		_, _ = w.Write(text) // Traefik asks again
	}))
	t.Cleanup(offers.Close)
	ctx, cancel := context.WithCancel(context.WithoutCancel(t.Context()))
	ran := make(chan error, 1)
	go func() { ran <- f.Run(ctx) }()
	cmd := exec.CommandContext(ctx, program, "--entrypoints.web.address="+f.addr, "--providers.http.endpoint="+offers.URL, "--providers.http.pollinterval="+interval.String(),
		"--global.checknewversion=false", "--global.sendanonymoususage=false", "--log.level=WARN")
	var said strings.Builder
	cmd.Stdout, cmd.Stderr, cmd.Dir = &said, &said, t.TempDir()
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGTERM) }
	cmd.WaitDelay = 10 * time.Second
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		cancel()
		_ = cmd.Wait() // it was ended by us
		if err := <-ran; err != nil {
			t.Error(err)
		}
		if text := said.String(); strings.Contains(text, "ERR") {
			t.Errorf("Traefik said: %s", text)
		}
	})
	return f
}

func (f *front) apply(rules ...proxy.Rule) {
	f.t.Helper()
	if _, err := f.Apply(proxy.Table{Rules: rules}); err != nil {
		f.t.Fatal(err)
	}
}

// seen is what a target was asked, and what the client was answered.
type seen struct {
	status int
	body   string
	head   http.Header
}

func (f *front) ask(host, path string, change ...func(*http.Request)) seen {
	f.t.Helper()
	req, err := http.NewRequestWithContext(f.t.Context(), http.MethodGet, "http://"+f.addr+path, nil)
	if err != nil {
		f.t.Fatal(err)
	}
	req.Host = host
	for _, c := range change {
		c(req)
	}
	resp, err := (&http.Transport{DisableKeepAlives: true, DisableCompression: true}).RoundTrip(req)
	if err != nil {
		f.t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		f.t.Fatal(err)
	}
	return seen{resp.StatusCode, string(body), resp.Header}
}

// target answers with its name and what it was asked.
func target(t *testing.T, name string) *httptest.Server {
	t.Helper()
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Server", "secret/1.0")
		_, _ = io.WriteString(w, strings.Join([]string{name, r.Host, r.URL.Path, r.Header.Get("X-Api-Key"), r.Header.Get("Authorization"), r.Header.Get("X-Forwarded-For")}, "|"))
	}))
	t.Cleanup(srv.Close)
	return srv
}

// TestAWholeTraefikAnswersByTheTable asks a running Traefik for what a table says, one rule for each kind of thing that it can say.
func TestAWholeTraefikAnswersByTheTable(t *testing.T) {
	f := newFront(t)
	a, b := target(t, "a"), target(t, "b")
	hash, err := bcrypt.GenerateFromPassword([]byte("s3cret"), bcrypt.MinCost)
	if err != nil {
		t.Fatal(err)
	}
	away := loopbacktest.Free(t)
	post := func(r *http.Request) { r.Method = http.MethodPost }
	f.apply(
		rule("plain.example", a.URL),
		rule("path.example/api", b.URL),
		with(rule("strip.example/api", a.URL+"/base"), func(o *proxy.Options) { o.StripPrefix = true }),
		with(rule("heads.example", a.URL), func(o *proxy.Options) {
			o.RequestHeaders = []proxy.Header{{Name: "X-Api-Key", Value: "k {1} $2"}}
			o.ResponseHeaders = []proxy.Header{{Name: "Server"}, {Name: "X-From", Value: "us"}}
		}),
		with(rule("auth.example", a.URL), func(o *proxy.Options) { o.BasicAuth = []proxy.Credential{{User: "anna", Hash: string(hash)}} }),
		with(rule("shut.example", a.URL), func(o *proxy.Options) { o.AllowIPs = []string{"10.0.0.0/8"} }),
		with(rule("open.example", a.URL), func(o *proxy.Options) { o.AllowIPs = []string{"127.0.0.0/8"} }),
		with(rule("secure.example", a.URL), func(o *proxy.Options) { o.RedirectHTTPS = true }),
		with(rule("moved.example"), func(o *proxy.Options) {
			o.RedirectTo, o.RedirectCode = "https://new.example", http.StatusPermanentRedirect
		}),
		with(rule("packed.example", a.URL), func(o *proxy.Options) { o.Compress = true }),
		with(rule("two.example", "http://"+away, b.URL), func(o *proxy.Options) {
			o.HealthCheck = &proxy.HealthCheck{Path: "/", Interval: proxy.Span(time.Second)}
		}),
		stopped(),
	)
	for _, c := range []struct {
		host, path string
		change     func(*http.Request)
		status     int
		body       string // begins so
	}{
		{"plain.example", "/x", nil, 200, "a|plain.example|/x|||127.0.0.1"},
		{"PLAIN.example:8080", "/x", nil, 200, "a|PLAIN.example:8080|/x|"},
		{"plain.example", "/", func(r *http.Request) { r.Header.Set("X-Forwarded-For", "6.6.6.6") }, 200, "a|plain.example|/|||127.0.0.1"},
		{"path.example", "/api", nil, 200, "b|path.example|/api|"},
		{"path.example", "/api/v1", nil, 200, "b|path.example|/api/v1|"},
		{"path.example", "/apix", nil, 404, ""},
		{"path.example", "/", nil, 404, ""},
		{"strip.example", "/api/v1", nil, 200, "a|strip.example|/base/v1|"},
		{"heads.example", "/", func(r *http.Request) { r.Header.Set("X-Api-Key", "theirs") }, 200, "a|heads.example|/|k {1} $2|"},
		{"auth.example", "/", nil, 401, ""},
		{"auth.example", "/", func(r *http.Request) { r.SetBasicAuth("anna", "wrong") }, 401, ""},
		{"auth.example", "/", func(r *http.Request) { r.SetBasicAuth("anna", "s3cret") }, 200, "a|auth.example|/|||"}, // the password is not passed on
		{"shut.example", "/", nil, 403, ""},
		{"shut.example", "/", func(r *http.Request) { r.Header.Set("X-Forwarded-For", "10.1.2.3") }, 403, ""},
		{"open.example", "/", nil, 200, "a|"},
		{"secure.example", "/x?y=1", nil, 301, ""}, // for GET Traefik says 301 where others say 308
		{"moved.example", "/x?y=1", nil, 301, ""},
		{"secure.example", "/x?y=1", post, 308, ""},
		{"moved.example", "/x?y=1", post, 308, ""},
		{"two.example", "/", nil, 200, "b|"},
		{"nobody.example", "/", nil, 404, ""},
	} {
		change := []func(*http.Request){}
		if c.change != nil {
			change = append(change, c.change)
		}
		if got := f.ask(c.host, c.path, change...); got.status != c.status || !strings.HasPrefix(got.body, c.body) {
			t.Errorf("%s%s is answered %d %q, want %d %q", c.host, c.path, got.status, got.body, c.status, c.body)
		}
	}
	if got := f.ask("heads.example", "/"); got.head.Get("Server") != "" || got.head.Get("X-From") != "us" {
		t.Errorf("its answer has %v", got.head)
	}
	for host, want := range map[string]string{"secure.example": "https://secure.example/x?y=1", "moved.example": "https://new.example/x?y=1"} {
		if got := f.ask(host, "/x?y=1").head.Get("Location"); got != want {
			t.Errorf("%s leads to %q, want %q", host, got, want)
		}
	}
	for _, a := range stopped().Addresses {
		if got := f.ask(a.Domain, a.PathPrefix); got.status != http.StatusServiceUnavailable {
			t.Errorf("what is stopped is answered %d", got.status)
		}
	}
}

// TestAChangeFailsNoRequest moves a route between two targets while requests come, and takes it away at the end.
func TestAChangeFailsNoRequest(t *testing.T) {
	f := newFront(t)
	a, b := target(t, "a"), target(t, "b")
	f.apply(rule("app.example", a.URL))
	ctx, cancel := context.WithCancel(t.Context())
	var asked, wrong atomic.Int64
	done := make(chan struct{})
	go func() {
		defer close(done)
		for ctx.Err() == nil {
			req, _ := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://"+f.addr+"/", nil)
			req.Host = "app.example"
			resp, err := http.DefaultTransport.RoundTrip(req)
			asked.Add(1)
			if err != nil || resp.StatusCode != http.StatusOK {
				wrong.Add(1)
			}
			if err == nil {
				_, _ = io.Copy(io.Discard, resp.Body)
				_ = resp.Body.Close()
			}
		}
	}()
	for range 2 {
		for to, srv := range map[string]*httptest.Server{"b": b, "a": a} {
			f.apply(rule("app.example", srv.URL))
			if got := f.ask("app.example", "/"); !strings.HasPrefix(got.body, to+"|") {
				t.Errorf("after a change to %s it is answered %q", to, got.body)
			}
		}
	}
	cancel()
	<-done
	if asked.Load() < 100 || wrong.Load() > 0 {
		t.Errorf("%d of %d requests failed", wrong.Load(), asked.Load())
	}
	f.apply()
	if got := f.ask("app.example", "/"); got.status != http.StatusNotFound {
		t.Errorf("what was taken away is answered %d", got.status)
	}
}
