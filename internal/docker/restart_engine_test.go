package docker_test

import (
	"testing"
	"time"

	"github.com/tiny-forge/docker-watcher/internal/docker"
	"github.com/tiny-forge/docker-watcher/internal/docker/enginetest"
)

// TestStoppedComesBack: a real engine that starts brings back what was stopped with the policy "always", and not what was
// given "unless-stopped" before.
func TestStoppedComesBack(t *testing.T) {
	t.Parallel() // it mostly waits
	app, err := enginetest.BuildApp(t.Context(), t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	private := enginetest.StartPrivate(t)
	e := newAt(t, docker.Options{Endpoint: private.Endpoint()})
	const image = "dwt/comesback:1.0"
	archive, err := enginetest.AppArchive(app, image, "1.0")
	if err != nil {
		t.Fatal(err)
	}
	if err := e.LoadImage(t.Context(), archive); err != nil {
		t.Fatal(err)
	}
	stopped := func(policy string) string {
		labels := map[string]string{docker.LabelManaged: "true", docker.LabelInstallation: installation, docker.LabelInstance: instance}
		id, err := e.Create(t.Context(), docker.CreateOptions{Name: enginetest.Name(t), Image: image, Restart: "always", Labels: labels, StopGrace: time.Second})
		if err != nil {
			t.Fatal(err)
		}
		if err := e.Start(t.Context(), own(id)); err != nil {
			t.Fatal(err)
		}
		if err := e.SetRestart(t.Context(), own(id), policy); err != nil {
			t.Fatal(err)
		}
		if err := e.Stop(t.Context(), own(id), time.Second); err != nil {
			t.Fatal(err)
		}
		return id
	}
	comes, stays := stopped("always"), stopped("unless-stopped")
	private.Kill()
	private.Start()
	for id, want := range map[string]docker.State{comes: docker.StateRunning, stays: docker.StateExited} {
		if c, err := e.Inspect(t.Context(), id); err != nil || c.State != want {
			t.Errorf("with the policy %s it is %s, %v; want %s", c.RestartPolicy, c.State, err, want)
		}
	}
	if err := e.SetRestart(t.Context(), own(comes), "unless-stopped"); err != nil {
		t.Fatal(err)
	}
	if err := e.Stop(t.Context(), own(comes), time.Second); err != nil {
		t.Fatal(err)
	}
}
