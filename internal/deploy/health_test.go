package deploy

import (
	"context"
	"errors"
	"net"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/tiny-forge/docker-watcher/internal/docker"
	"github.com/tiny-forge/docker-watcher/internal/store"
)

func TestLook(t *testing.T) {
	began := time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)
	at := func(s int) time.Time { return began.Add(time.Duration(s) * time.Second) }
	type seen struct {
		after int
		c     docker.Container
	}
	running := func(edit func(*docker.Container)) docker.Container {
		c := docker.Container{State: docker.StateRunning, Running: true, StartedAt: began}
		if edit != nil {
			edit(&c)
		}
		return c
	}
	checked := func(health string) docker.Container {
		return running(func(c *docker.Container) { c.HasHealthcheck, c.Health = true, health })
	}
	cases := []struct {
		name    string
		looks   []seen
		healthy bool
		says    string // of an error that ends the wait; "" none
	}{
		{"up for 9 s", []seen{{0, running(nil)}, {9, running(nil)}}, false, ""},
		{"up for 10 s", []seen{{0, running(nil)}, {10, running(nil)}}, true, ""},
		{"paused", []seen{{0, running(nil)}, {20, running(func(c *docker.Container) { c.State = docker.StatePaused })}}, false, ""},
		{"ended", []seen{{0, running(nil)}, {5, docker.Container{State: docker.StateExited, ExitCode: 2, StartedAt: began}}}, false, "ended with code 2"},
		{"ended well", []seen{{0, docker.Container{State: docker.StateExited, StartedAt: began}}}, false, "ended with code 0"},
		{"out of memory", []seen{{0, docker.Container{State: docker.StateExited, ExitCode: 137, OOMKilled: true}}}, false, "out of memory"},
		{"restarted by its policy", []seen{{0, running(nil)}, {20, running(func(c *docker.Container) { c.RestartCount = 1 })}}, false, "started again by the engine"},
		{"restarted without a count", []seen{{0, running(nil)}, {20, running(func(c *docker.Container) { c.StartedAt = at(3) })}}, false, "started again by the engine"},
		{"crash loop", []seen{{0, docker.Container{State: docker.StateRestarting, Running: true, ExitCode: 7}}}, false, "again and again"},
		{"check is starting", []seen{{0, checked("starting")}, {100, checked("starting")}}, false, ""},
		{"check is healthy at once", []seen{{0, checked("healthy")}}, true, ""},
		{"check is unhealthy", []seen{{0, checked("unhealthy")}}, false, "HEALTHCHECK says unhealthy"},
		{"an engine that runs no checks", []seen{{0, checked("")}, {10, checked("")}}, true, ""},
	}
	for _, c := range cases {
		w := &watch{}
		var healthy bool
		var err error
		for _, s := range c.looks {
			healthy, err = w.look(t.Context(), s.c, at(s.after))
		}
		if healthy != c.healthy || (err != nil) != (c.says != "") || err != nil && (!errors.Is(err, errDown) || !strings.Contains(err.Error(), c.says)) {
			t.Errorf("%s: healthy %v, %v; want %v, %q", c.name, healthy, err, c.healthy, c.says)
		}
		if !healthy && err == nil && w.why == "" {
			t.Errorf("%s: it does not say what is missing", c.name)
		}
	}
}

func TestAskHTTP(t *testing.T) {
	status := http.StatusOK
	asked := ""
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asked = r.URL.Path
		if status == http.StatusFound {
			w.Header().Set("Location", "http://192.0.2.1/")
		}
		w.WriteHeader(status)
	}))
	defer server.Close()
	addr := server.Listener.Addr().String()
	for code, good := range map[int]bool{200: true, 204: true, 302: true, 404: false, 500: false, 503: false} {
		status = code
		if err := askHTTP(t.Context(), addr, "/healthz"); (err == nil) != good {
			t.Errorf("%d: %v, want good: %v", code, err, good)
		}
	}
	if asked != "/healthz" {
		t.Errorf("asked for %s", asked)
	}
	server.Close()
	if err := askHTTP(t.Context(), addr, "/"); err == nil {
		t.Error("nobody listens and it is healthy")
	}
}

func TestAskTCP(t *testing.T) {
	serve := func(handle func(net.Conn)) string {
		l, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = l.Close() }) // the test of a closed one has closed it
		go func() {
			for {
				c, err := l.Accept()
				if err != nil {
					return
				}
				handle(c)
			}
		}()
		return l.Addr().String()
	}
	silent := serve(func(net.Conn) {})
	talks := serve(func(c net.Conn) { _, _ = c.Write([]byte("220 hello\r\n")) })
	// What the engine's port proxy does when nothing listens in the container.
	hangsUp := serve(func(c net.Conn) { _ = c.Close() })
	if err := askTCP(t.Context(), silent, ""); err != nil {
		t.Errorf("one that waits for us: %v", err)
	}
	if err := askTCP(t.Context(), talks, ""); err != nil {
		t.Errorf("one that talks: %v", err)
	}
	if err := askTCP(t.Context(), hangsUp, ""); err == nil {
		t.Error("one that hangs up at once counts as healthy")
	}
	if err := askTCP(t.Context(), "127.0.0.1:1", ""); err == nil {
		t.Error("nobody listens and it is healthy")
	}
}

func TestAddresses(t *testing.T) {
	c := docker.Container{
		Ports: []docker.Port{
			{Container: 80, Host: 49153, HostIP: "0.0.0.0", Protocol: "tcp"},
			{Container: 80, Host: 8080, HostIP: "10.0.0.5", Protocol: "tcp"},
			{Container: 80, Host: 8053, HostIP: "127.0.0.1", Protocol: "udp"},
			{Container: 81, Host: 8081, HostIP: "127.0.0.1", Protocol: "tcp"},
			{Container: 80, HostIP: "127.0.0.1", Protocol: "tcp"},
		},
		Networks: map[string]string{"bridge": "172.17.0.2", "none": ""},
	}
	if diff := cmp.Diff([]string{"127.0.0.1:49153", "10.0.0.5:8080", "172.17.0.2:80"}, addresses(c, 80, "")); diff != "" {
		t.Errorf("on this machine (-want +got):\n%s", diff)
	}
	// Another machine's loopback and its containers' addresses mean somebody else here.
	c.Ports = append(c.Ports, docker.Port{Container: 80, Host: 8082, HostIP: "127.0.0.1", Protocol: "tcp"}, docker.Port{Container: 80, Host: 8083, HostIP: "::1"},
		docker.Port{Container: 80, Host: 8084, HostIP: "127.0.0.53"})
	for _, endpoint := range []string{"tcp://engine.example:2375", "ssh://me@engine.example"} {
		if diff := cmp.Diff([]string{"engine.example:49153", "10.0.0.5:8080"}, addresses(c, 80, engineHost(endpoint))); diff != "" {
			t.Errorf("at %s (-want +got):\n%s", endpoint, diff)
		}
	}
	for _, endpoint := range []string{"tcp://127.0.0.1:2375", "tcp://[::1]:2375", "ssh://me@localhost"} {
		if got := addresses(c, 80, engineHost(endpoint)); len(got) != 6 || got[5] != "172.17.0.2:80" {
			t.Errorf("%s is this machine: %v", endpoint, got)
		}
	}
	onHost := docker.Container{Networks: map[string]string{"host": ""}}
	if diff := cmp.Diff([]string{"engine.example:80"}, addresses(onHost, 80, "engine.example")); diff != "" {
		t.Errorf("on another machine's network (-want +got):\n%s", diff)
	}
	if got := engineHost("unix:///var/run/docker.sock"); got != "" {
		t.Errorf("a socket is no other machine: %q", got)
	}
	if got := addresses(docker.Container{}, 80, ""); len(got) > 0 {
		t.Errorf("nowhere: %v", got)
	}
}

func TestAsksEveryWay(t *testing.T) {
	server := httptest.NewServer(http.NotFoundHandler())
	defer server.Close()
	_, port, err := net.SplitHostPort(server.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	n, err := strconv.Atoi(port)
	if err != nil {
		t.Fatal(err)
	}
	w := &watch{rule: store.Health{Kind: store.HealthTCP, Port: n}}
	c := docker.Container{
		State: docker.StateRunning, Ports: []docker.Port{{Container: n, Host: 1, HostIP: "127.0.0.1"}}, Networks: map[string]string{"bridge": "127.0.0.1"},
	}
	healthy, err := w.look(t.Context(), c, time.Now())
	if !healthy || err != nil {
		t.Errorf("reached at the container's own address only: %v, %v (%s)", healthy, err, w.why)
	}
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	if healthy, _ := w.look(ended, c, time.Now()); healthy {
		t.Error("healthy after the deploy was called off")
	}
	w.host = "engine.example"
	if healthy, _ := w.look(t.Context(), c, time.Now()); healthy || !strings.Contains(w.why, "on an address that reaches this machine") {
		t.Errorf("this machine answered for another one: %v, %q", healthy, w.why)
	}
	w.rule.Port, w.host = 9, ""
	if healthy, _ := w.look(t.Context(), docker.Container{State: docker.StateRunning}, time.Now()); healthy || !strings.Contains(w.why, "not published") {
		t.Errorf("no way to its port: %v, %q", healthy, w.why)
	}
}
