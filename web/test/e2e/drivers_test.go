package e2e

import (
	"context"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/tiny-forge/docker-watcher/internal/caddy/caddytest"
	"github.com/tiny-forge/docker-watcher/internal/docker/dockertest"
)

const driverFlows = 5 * time.Minute

// TestAnotherProxyInABrowser runs every flow of drivers.test.mjs: a daemon whose routes a real Caddy serves, which the flows end and start
// again, and change from outside, by a small server of this test; and one that a Traefik is to ask, which the flows play with its token.
func TestAnotherProxyInABrowser(t *testing.T) {
	browser := os.Getenv("DOCKER_WATCHER_TEST_BROWSER")
	if browser == "" {
		t.Fatal("DOCKER_WATCHER_TEST_BROWSER names no Chromium: run this through scripts/test, or scripts/browser run -- go test ...")
	}
	caddy := caddytest.Start(t)
	turn := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		switch r.FormValue("caddy") {
		case "stop":
			caddy.Stop()
		case "start":
			caddy.Run(caddy.Foreign())
		case "change":
			caddy.Write(http.MethodPatch, "/config/apps/http/servers/docker_watcher/idle_timeout", `"3s"`)
		}
	}))
	t.Cleanup(turn.Close)
	dir := t.TempDir()
	binary := build(t, dir)
	addr, link := serve(t, binary, filepath.Join(dir, "data"), dockertest.Serve(t, dockertest.Docker28()).Endpoint(),
		"--proxy-driver", "caddy", "--caddy-admin", caddy.Admin(), "--proxy-http", caddy.Listen, "--proxy-drift", "tell")
	traefik := filepath.Join(dir, "traefik")
	traefikURL, traefikLink := serve(t, binary, traefik, dockertest.Serve(t, dockertest.Docker28()).Endpoint(), "--proxy-driver", "traefik", "--proxy-http", "")
	token, err := os.ReadFile(filepath.Join(traefik, "traefik-token"))
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), driverFlows)
	defer cancel()
	flows := exec.CommandContext(ctx, "node", "--test", "--test-reporter=spec", "drivers.test.mjs")
	flows.WaitDelay = patience // what it has started may have its output
	flows.Env = append(os.Environ(), "BROWSER="+browser, "BASE_URL="+addr, "SETUP_LINK="+link, "TURN="+turn.URL, "TARGET=http://"+caddy.Other,
		"TRAEFIK_URL="+traefikURL, "TRAEFIK_LINK="+traefikLink, "TRAEFIK_TOKEN="+strings.TrimSpace(string(token)))
	out, err := flows.CombinedOutput()
	t.Logf("%s", out)
	if err != nil {
		t.Fatal(err)
	}
}
