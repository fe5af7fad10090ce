package docker_test

import (
	"context"
	"net"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/tiny-forge/docker-watcher/internal/docker"
)

// asked is what the adapter asked of any engine under the contract, on the wires that are not encrypted.
var asked = &requests{seen: map[string]bool{}}

// requests are methods and paths, without the version.
type requests struct {
	mu   sync.Mutex
	seen map[string]bool
}

type dial = func(ctx context.Context, network, addr string) (net.Conn, error)

// listen notes the requests that pass over what is dialled.
func (r *requests) listen(next dial) dial {
	return func(ctx context.Context, network, addr string) (net.Conn, error) {
		conn, err := next(ctx, network, addr)
		if err != nil {
			return nil, err
		}
		return &heard{Conn: conn, by: r}, nil
	}
}

type heard struct {
	net.Conn
	by *requests
}

var requestLine = regexp.MustCompile(`^(GET|HEAD|POST|PUT|DELETE) (?:/v[0-9.]+)?(/[^ ?]*)[^ ]* HTTP/1\.1\r\n`)

// Write notes a request that begins here: its head is written at once.
func (h *heard) Write(p []byte) (int, error) {
	if m := requestLine.FindSubmatch(p); m != nil {
		h.by.mu.Lock()
		h.by.seen[string(m[1])+" "+string(m[2])] = true
		h.by.mu.Unlock()
	}
	return h.Conn.Write(p)
}

// wantInTheTable fails for every request that no feature is said to make, and for calls of the table that nobody made.
func (r *requests) wantInTheTable(t *testing.T) {
	t.Helper()
	all := docker.EngineCalls(allFeatures()...)
	made := map[string]bool{}
	for request := range r.seen {
		method, path, _ := strings.Cut(request, " ")
		n := slices.IndexFunc(all, func(c docker.EngineCall) bool { return c.Covers(method, path) })
		if n < 0 {
			t.Errorf("%s is asked of engines, and is not in the table of socket.go: a proxy before the socket would refuse it", request)
			continue
		}
		made[all[n].Method+" "+all[n].Path] = true
	}
	if t.Failed() || !made["POST /containers/create"] {
		return // only a part of the contract ran
	}
	for _, c := range all {
		// A ping by GET is for engines that do not know the other.
		if call := c.Method + " " + c.Path; !made[call] && call != "GET /_ping" {
			t.Errorf("%s is in the table of socket.go, and the whole contract never asks it", call)
		}
	}
}

func allFeatures() (all []docker.Feature) {
	for _, f := range docker.Features() {
		all = append(all, f.Feature)
	}
	return all
}

// TestEngineCalls: without features there is only what reads; nothing that runs or copies out of a container is ever asked.
func TestEngineCalls(t *testing.T) {
	for _, only := range [][]docker.Feature{nil, {docker.FeatureWatch, docker.FeatureLogs, docker.FeatureAdopt}} {
		for _, c := range docker.EngineCalls(only...) {
			if c.Method != http.MethodGet && c.Method != http.MethodHead {
				t.Errorf("%v: %s %s changes something", only, c.Method, c.Path)
			}
		}
	}
	for _, never := range []string{
		"POST /containers/abc/exec", "POST /containers/prune", "POST /volumes/prune", "GET /containers/abc/archive", "POST /containers/abc/kill",
		"POST /build", "POST /swarm/init", "GET /secrets", "POST /auth", "GET /containers/a/b/json", "GET /v1.45/containers/abc/json/../archive",
	} {
		method, path, _ := strings.Cut(never, " ")
		for _, c := range docker.EngineCalls(allFeatures()...) {
			if c.Covers(method, path) {
				t.Errorf("%s is let through by %s %s", never, c.Method, c.Path)
			}
		}
	}
	if calls := docker.EngineCalls(docker.FeatureReclaim); !slices.ContainsFunc(calls, func(c docker.EngineCall) bool {
		return c.Covers("DELETE", "/v1.45/images/registry.example:5000/team/shop:1.0")
	}) {
		t.Error("an image with a name of several parts cannot be removed")
	}
}
