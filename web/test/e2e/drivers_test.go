package e2e

import (
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/tiny-forge/docker-watcher/internal/caddy/caddytest"
	"github.com/tiny-forge/docker-watcher/internal/docker/dockertest"
)

// TestAnotherProxyInABrowser runs every flow of drivers.test.mjs: a daemon whose routes a real Caddy serves, which the flows end and start
// again, and change from outside, by a small server of this test; and one that a Traefik is to ask, which the flows play with its token.
func TestAnotherProxyInABrowser(t *testing.T) {
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
	addr, link := serve(t, filepath.Join(dir, "data"), dockertest.Serve(t, dockertest.Docker28()).Endpoint(),
		"--proxy-driver", "caddy", "--caddy-admin", caddy.Admin(), "--proxy-http", caddy.Listen, "--proxy-drift", "tell")
	traefik := filepath.Join(dir, "traefik")
	traefikURL, traefikLink := serve(t, traefik, dockertest.Serve(t, dockertest.Docker28()).Endpoint(), "--proxy-driver", "traefik", "--proxy-http", "")
	token, err := os.ReadFile(filepath.Join(traefik, "traefik-token"))
	if err != nil {
		t.Fatal(err)
	}
	tell(t, "drivers.test.mjs",
		"BASE_URL="+addr, "SETUP_LINK="+link, "TURN="+turn.URL, "TARGET=http://"+caddy.Other,
		"TRAEFIK_URL="+traefikURL, "TRAEFIK_LINK="+traefikLink, "TRAEFIK_TOKEN="+strings.TrimSpace(string(token)))
}
