package main_test

import (
	"context"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/tiny-forge/docker-watcher/client"
	"github.com/tiny-forge/docker-watcher/internal/docker/enginetest"
)

// TestTheImage builds the image of packaging/ from the static program, runs it as packaging/compose.yaml does with the socket of its own
// engine, and finds that it knows the container that it runs in and will not take it over.
func TestTheImage(t *testing.T) {
	t.Parallel()
	endpoint, name := enginetest.Endpoint(t), enginetest.Name(t)
	docker := dockerOf(t, endpoint)
	docker("build", "--quiet", "--tag", name, imageFolder(t))
	engine := enginetest.Engine(t)
	enginetest.RemoveImageAfter(t, engine, name)
	id := docker("run", "--detach", "--name", name, "--read-only", "--tmpfs", "/tmp", "--cap-drop", "ALL", "--security-opt", "no-new-privileges:true",
		"--publish", "127.0.0.1::8080", "--volume", strings.TrimPrefix(endpoint, "unix://")+":/var/run/docker.sock", name)
	enginetest.RemoveAfter(t, engine, id)

	d := &daemon{t: t, url: "http://" + docker("port", name, "8080")}
	eventually(t, "it says that it is ready", func() bool {
		for line := range strings.Lines(docker("logs", name)) {
			if m := readyLine.FindStringSubmatch(line); m != nil {
				d.code = m[2]
			}
		}
		return d.code != ""
	})
	docker("exec", name, "/server", "health")
	c := d.client(d.setUp())
	eventually(t, "its engine is known", func() bool {
		code, _ := d.status("/readyz")
		return code == http.StatusOK
	})
	foreign, err := c.Foreign(t.Context(), client.ForeignFilter{Text: name}, client.Page{})
	if err != nil {
		t.Fatal(err)
	}
	if len(foreign.Items) != 1 || foreign.Items[0].ContainerID != id {
		t.Fatalf("foreign containers called %s: %+v", name, foreign)
	}
	self := foreign.Items[0]
	if self.Mark != "self" || self.Adoptable {
		t.Errorf("it does not know itself: %+v", self)
	}
	_, err = c.Adopt(t.Context(), client.AdoptRequest{Make: true, Items: []client.AdoptItem{{HostID: self.HostID, ContainerID: id, Project: "own", Stage: "live"}}})
	if err == nil || !strings.Contains(err.Error(), "docker-watcher itself runs in it") {
		t.Errorf("adopt itself: %v", err)
	}
}

// TestTheImageServesRoutes runs it as packaging/examples/compose.routes.yaml does: a data plane of its own beside the daemon, both in the network of the
// host, lead to a container that publishes nothing, and go on while the daemon is started anew.
func TestTheImageServesRoutes(t *testing.T) {
	t.Parallel()
	endpoint, name := enginetest.Endpoint(t), enginetest.Name(t)
	docker := dockerOf(t, endpoint)
	docker("build", "--quiet", "--tag", name, imageFolder(t))
	engine := enginetest.Engine(t)
	enginetest.RemoveImageAfter(t, engine, name)
	t.Cleanup(func() { docker("volume", "rm", "--force", name) })
	docker("volume", "create", name)
	run := func(suffix string, args ...string) string {
		t.Helper()
		id := docker(append([]string{"run", "--detach", "--name", name + suffix, "--read-only", "--tmpfs", "/tmp", "--cap-drop", "ALL", "--security-opt", "no-new-privileges:true"}, args...)...)
		enginetest.RemoveAfter(t, engine, id)
		return name + suffix
	}
	said := func(container string, what *regexp.Regexp) (m []string) {
		t.Helper()
		eventually(t, container+" says that it is ready", func() bool {
			m = what.FindStringSubmatch(docker("logs", container))
			return m != nil
		})
		return m
	}
	const host = "--network=host"
	routes := run("-routes", host, "--cap-add", "NET_BIND_SERVICE", "--volume", name+":/data", "--env", "DOCKER_WATCHER_PROXY_HTTP=127.0.0.1:0", "--no-healthcheck", name, "proxy")
	front := said(routes, regexp.MustCompile(`serves routes at http://(\S+)`))[1]
	daemonOf := run("-daemon", host, "--volume", name+":/data", "--volume", strings.TrimPrefix(endpoint, "unix://")+":/var/run/docker.sock",
		"--env", "DOCKER_WATCHER_LISTEN=127.0.0.1:0", "--env", "DOCKER_WATCHER_PROXY_SOCKET=/data/proxy/control.sock", name)
	web := run("-web", name, "--docker-host", "unix:///none") // serves at port 8080 of its own address
	ready := said(daemonOf, regexp.MustCompile(`is ready: open (http://[^/\s]+)/setup#code=(\S+)`))
	d := &daemon{t: t, url: ready[1], code: ready[2]}
	_, err := d.client(d.setUp()).CreateProxy(t.Context(), client.ProxyFields{
		Targets: &[]string{"container:" + web + ":8080"}, RouteFields: client.RouteFields{Domains: &[]string{"web.example.org"}},
	})
	if err != nil {
		t.Fatal(err)
	}
	answers := func() int {
		t.Helper()
		req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://"+front+"/healthz", nil)
		if err != nil {
			t.Fatal(err)
		}
		req.Host = "web.example.org"
		res, err := patient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		_ = res.Body.Close()
		return res.StatusCode
	}
	eventually(t, "the route leads there", func() bool { return answers() == http.StatusOK })
	restarted := make(chan struct{})
	go func() {
		defer close(restarted)
		docker("restart", daemonOf)
	}()
	for over := false; !over; {
		select {
		case <-restarted:
			over = true
		default:
		}
		if status := answers(); status != http.StatusOK {
			t.Fatalf("while the daemon is started anew it answers %d", status)
		}
	}
}

// dockerOf runs Docker's command line on an engine.
func dockerOf(t *testing.T, endpoint string) func(args ...string) string {
	return func(args ...string) string {
		t.Helper()
		ctx, cancel := context.WithTimeout(context.WithoutCancel(t.Context()), 2*patience) // also when the test is over
		defer cancel()
		cmd := exec.CommandContext(ctx, "docker", args...)
		cmd.Env = append(os.Environ(), "DOCKER_HOST="+endpoint)
		var said strings.Builder // an engine warns there, as of a machine that forwards nothing
		cmd.Stderr = &said
		out, err := cmd.Output()
		if err != nil {
			t.Errorf("docker %s: %v: %s%s", strings.Join(args, " "), err, out, said.String())
		}
		return strings.TrimSpace(string(out))
	}
}

// imageFolder is what scripts/dist makes: the program, the authorities that it trusts, and how they become an image.
func imageFolder(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	for from, to := range map[string]string{binary: "server", "../../packaging/Dockerfile": "Dockerfile"} {
		data, err := os.ReadFile(from)
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, to), data, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.WriteFile(filepath.Join(dir, "ca-certificates.crt"), []byte(enginetest.NewAuthority(t).PEM), 0o600); err != nil {
		t.Fatal(err)
	}
	return dir
}

func TestHealth(t *testing.T) {
	d := launch(t, flags(t.TempDir(), "unix:///none")...)
	listen := strings.TrimPrefix(d.url, "http://")
	if code, _, stderr := refuse(t, "health", "--listen", listen); code != 0 {
		t.Errorf("of one that serves: %d, %s", code, stderr)
	}
	if code, _, _ := refuse(t, "health", "--listen", strings.Replace(listen, "127.0.0.1", "0.0.0.0", 1)); code != 0 {
		t.Error("an address that means all was not asked on loopback")
	}
	d.end(os.Interrupt)
	if code, _, stderr := refuse(t, "health", "--listen", listen); code != 1 || !strings.Contains(stderr, "ask the daemon") {
		t.Errorf("of one that ended: %d, %s", code, stderr)
	}
	if code, _, _ := refuse(t, "health", "--listen", "nonsense"); code != 2 {
		t.Errorf("with bad flags: %d", code)
	}
}
