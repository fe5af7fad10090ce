package doctor

import (
	"testing"

	"github.com/tiny-forge/docker-watcher/internal/docker"
	"github.com/tiny-forge/docker-watcher/internal/docker/dockertest"
	"github.com/tiny-forge/docker-watcher/internal/docker/enginetest"
)

// TestEngineThatNeedNotBeStarted: who may not use the socket, or has an engine too old, is not told to start it.
func TestEngineThatNeedNotBeStarted(t *testing.T) {
	locked := dockertest.Serve(t, dockertest.Docker29())
	e, err := docker.New(docker.Options{Endpoint: locked.Endpoint(), Dial: enginetest.AsNobody(t, locked.Endpoint())})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = e.Close() })
	old := dockertest.Serve(t, dockertest.Options{APIVersion: "1.24"})
	for f, remedy := range map[Finding]string{
		Ask(t.Context(), e):                 "usermod -aG docker NAME",
		Engine(t.Context(), old.Endpoint()): "upgrade it",
	} {
		want(t, f, false, remedy)
		want(t, f, false, "need not be started")
	}
}
