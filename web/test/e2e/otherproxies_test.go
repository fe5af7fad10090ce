//go:build pictures

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

// otherProxies starts two daemons whose routes another proxy serves, and tells the pictures where they are: a real Caddy, which a POST to
// CADDY_TURN changes from outside, and a Traefik, which the pictures themselves play with its token.
func otherProxies(t *testing.T, dir string) []string {
	t.Helper()
	engine := dockertest.Serve(t, dockertest.Docker28()).Endpoint()
	caddy := caddytest.Start(t)
	turn := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {
		caddy.Write(http.MethodPatch, "/config/apps/http/servers/docker_watcher/idle_timeout", `"3s"`)
	}))
	t.Cleanup(turn.Close)
	caddyURL, caddyLink := serve(t, filepath.Join(dir, "caddy"), engine,
		"--proxy-driver", "caddy", "--caddy-admin", caddy.Admin(), "--proxy-http", caddy.Listen, "--proxy-drift", "tell")
	data := filepath.Join(dir, "traefik")
	traefikURL, traefikLink := serve(t, data, engine, "--proxy-driver", "traefik", "--proxy-http", "")
	token, err := os.ReadFile(filepath.Join(data, "traefik-token"))
	if err != nil {
		t.Fatal(err)
	}
	return []string{
		"CADDY_URL=" + caddyURL, "CADDY_LINK=" + caddyLink, "CADDY_TURN=" + turn.URL, "CADDY_TARGET=" + caddy.Other,
		"TRAEFIK_URL=" + traefikURL, "TRAEFIK_LINK=" + traefikLink, "TRAEFIK_TOKEN=" + strings.TrimSpace(string(token)),
	}
}
