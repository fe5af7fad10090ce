package main_test

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/tiny-forge/docker-watcher/client"
	"github.com/tiny-forge/docker-watcher/internal/docker"
	"github.com/tiny-forge/docker-watcher/internal/docker/dockertest"
	"github.com/tiny-forge/docker-watcher/internal/store"
	"github.com/tiny-forge/docker-watcher/internal/store/storetest"
)

// process listens where a container has published its port, and says its name.
func process(t *testing.T, name string) (port int) {
	t.Helper()
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, name) }))
	t.Cleanup(srv.Close)
	addr, ok := srv.Listener.Addr().(*net.TCPAddr)
	if !ok {
		t.Fatal(srv.Listener.Addr())
	}
	return addr.Port
}

// freeAddr is an address that nobody listens on.
func freeAddr(t *testing.T) string {
	t.Helper()
	l, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = l.Close() }() // it only looked
	return l.Addr().String()
}

// The daemon serves routes, and a deploy switches them; without the flag nothing is served.
func TestRoutesAreServedAndSwitched(t *testing.T) {
	data, engine := t.TempDir(), dockertest.Serve(t, dockertest.Docker28())
	engine.Publish(dockertest.Image{Ref: "shop:2.0"})
	former, next := process(t, "the former"), process(t, "the next")
	db, err := store.Open(t.Context(), store.Options{DataDir: data})
	if err != nil {
		t.Fatal(err)
	}
	host := storetest.Host(t, db, func(h *store.Host) {
		h.Name, h.Endpoint, h.EngineID, h.DataRoot = "local", engine.Endpoint(), "", ""
	})
	project := storetest.Project(t, db, func(p *store.Project) { p.Name, p.Image = "shop", "shop" })
	stage := storetest.Stage(t, db, host, project, func(s *store.Stage) {
		s.Spec = store.Spec{Ports: []store.Port{{Container: 80, Host: next}}, Health: store.Health{Kind: store.HealthTCP, Port: 80}}
		s.Drain = time.Millisecond
	})
	i := storetest.Instance(t, db, stage, func(i *store.Instance) { i.Status = store.StatusRunning })
	engine.Run(dockertest.Template{
		ID: i.ContainerID, Name: i.Name, Ports: []string{fmt.Sprintf("127.0.0.1:%d:80/tcp", former)},
		Labels: map[string]string{docker.LabelManaged: "true", docker.LabelInstallation: db.InstallationID(), docker.LabelInstance: i.ID},
	})
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	storetest.LayRoute(t, data, i, "shop.example")

	door := freeAddr(t)
	d := launch(t, append(flags(data, engine.Endpoint()), "--proxy-http", door)...)
	ask := func(domain string) string {
		t.Helper()
		req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://"+door+"/", nil)
		if err != nil {
			t.Fatal(err)
		}
		req.Host = domain
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = resp.Body.Close() }() // it was read
		text, err := io.ReadAll(resp.Body)
		if err != nil {
			t.Fatal(err)
		}
		return fmt.Sprint(resp.StatusCode, " ", strings.TrimSpace(string(text)))
	}
	if got := ask("shop.example"); got != "200 the former" {
		t.Errorf("before: %s\n%s", got, d.stderr.String())
	}
	if got := ask("other.example"); !strings.HasPrefix(got, "404 ") {
		t.Errorf("a domain that nobody has: %s", got)
	}
	c := d.client(d.setUp())
	deploy, err := c.StartDeploy(t.Context(), stage.ID, client.DeployRequest{Tag: "2.0"})
	if err != nil {
		t.Fatal(err)
	}
	if deploy, err = c.FollowDeploy(t.Context(), deploy.ID, func(client.DeployLine) {}); err != nil || deploy.State != "done" {
		t.Fatalf("%+v, %v\n%s", deploy, err, d.stderr.String())
	}
	if got := ask("shop.example"); got != "200 the next" {
		t.Errorf("after: %s", got)
	}

	code, _, stderr := refuse(t, append(flags(t.TempDir(), engine.Endpoint()), "--proxy-http", door)...)
	if code != 1 || !strings.Contains(stderr, "routes cannot be served") || !strings.Contains(stderr, "give another with --proxy-http") {
		t.Errorf("a port that is taken: %d\n%s", code, stderr)
	}
	if code := d.end(syscall.SIGTERM); code != 0 {
		t.Errorf("exit code %d:\n%s", code, d.stderr.String())
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Second)
	defer cancel()
	if conn, err := (&net.Dialer{}).DialContext(ctx, "tcp", door); err == nil {
		_ = conn.Close()
		t.Error("it listens still")
	}
}
