// Package enginetest gives tests a real engine, a real registry and a tiny real image.
//
// A test that needs an engine fails without one and says how to get it; it is never skipped. What takes
// no testing.T is for the demo as well.
package enginetest

import (
	"crypto/rand"
	"log/slog"
	"os"
	"strings"
	"testing"

	"github.com/tiny-forge/docker-watcher/internal/docker"
)

const (
	engineEnv = "DOCKER_WATCHER_TEST_ENGINE"
	podmanEnv = "DOCKER_WATCHER_TEST_PODMAN"
)

// Endpoint of the private engine that scripts/engine made for this run.
func Endpoint(t testing.TB) string {
	t.Helper()
	return endpoint(t, engineEnv, "scripts/engine run -- go test ./...")
}

// PodmanEndpoint of the private podman service that scripts/podman made for this run.
func PodmanEndpoint(t testing.TB) string {
	t.Helper()
	return endpoint(t, podmanEnv, "scripts/podman run -- go test ./...")
}

func endpoint(t testing.TB, env, how string) string {
	t.Helper()
	at := os.Getenv(env)
	if at == "" {
		t.Fatalf("this test needs a real engine at %s: run it with `%s` (or `make test`)", env, how)
	}
	return at
}

// Engine is the adapter to the private engine.
func Engine(t testing.TB) *docker.Engine {
	t.Helper()
	return open(t, Endpoint(t))
}

// Podman is the adapter to the private podman service.
func Podman(t testing.TB) *docker.Engine {
	t.Helper()
	return open(t, PodmanEndpoint(t))
}

func open(t testing.TB, at string) *docker.Engine {
	t.Helper()
	e, err := docker.New(docker.Options{Endpoint: at, Log: slog.New(slog.NewTextHandler(t.Output(), nil))})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := e.Close(); err != nil {
			t.Error(err)
		}
	})
	return e
}

// Name is a container name that no other test has.
func Name(t testing.TB) string {
	t.Helper()
	return "dwt-" + strings.ToLower(rand.Text()[:12])
}
