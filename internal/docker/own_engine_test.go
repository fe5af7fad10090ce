package docker_test

import (
	"context"
	"errors"
	"maps"
	"testing"
	"time"

	"github.com/tiny-forge/docker-watcher/internal/docker"
	"github.com/tiny-forge/docker-watcher/internal/docker/enginetest"
)

// TestNobodyElsesContainerIsTouched runs on the real engines: whatever we claim, a container that is not the
// one of our row goes on running.
func TestNobodyElsesContainerIsTouched(t *testing.T) {
	t.Parallel() // it mostly waits
	app, err := enginetest.BuildApp(t.Context(), t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	t.Run("docker", func(t *testing.T) {
		t.Parallel()
		nobodyElses(t, enginetest.Engine(t), app)
	})
	t.Run("podman", func(t *testing.T) {
		t.Parallel()
		nobodyElses(t, enginetest.Podman(t), app)
	})
}

func nobodyElses(t *testing.T, e *docker.Engine, app string) {
	const image = "dwt/owned:1.0"
	archive, err := enginetest.AppArchive(app, image, "1.0")
	if err != nil {
		t.Fatal(err)
	}
	if err := e.LoadImage(t.Context(), archive); err != nil {
		t.Fatal(err)
	}
	labels := map[string]string{docker.LabelManaged: "true", docker.LabelInstallation: "here", docker.LabelInstance: "i1"}
	task := maps.Clone(labels)
	task[docker.LabelSwarmTask] = "t1"
	ours := runOn(t, e, image, labels)
	copied := runOn(t, e, image, labels) // another updater, or `docker commit`, copies labels
	foreign := runOn(t, e, image, nil)
	swarm := runOn(t, e, image, task)

	row := docker.Owned{ID: ours, Installation: "here", Instance: "i1"}
	for name, tc := range map[string]struct {
		claim docker.Owned
		spare string
	}{
		"a foreign one":               {docker.Owned{ID: foreign, Installation: "here", Instance: "i1"}, foreign},
		"one of another installation": {docker.Owned{ID: ours, Installation: "there", Instance: "i1"}, ours},
		"another instance":            {docker.Owned{ID: ours, Installation: "here", Instance: "i2"}, ours},
		"no claim at all":             {docker.Owned{ID: ours}, ours},
		"a short id":                  {docker.Owned{ID: ours[:12], Installation: "here", Instance: "i1"}, ours},
		"a short id, adopted":         {docker.Owned{ID: foreign[:12], Adopted: true}, foreign},
		"a Swarm task":                {docker.Owned{ID: swarm, Installation: "here", Instance: "i1"}, swarm},
		"an adopted Swarm task":       {docker.Owned{ID: swarm, Adopted: true}, swarm},
	} {
		t.Run(name, func(t *testing.T) {
			before := inspect(t, e, tc.spare)
			for doing, act := range acts(e) {
				if err := act(t.Context(), tc.claim); !errors.Is(err, docker.ErrNotOwned) {
					t.Errorf("%s: %v", doing, err)
				}
			}
			after := inspect(t, e, tc.spare)
			if after.State != docker.StateRunning || !after.StartedAt.Equal(before.StartedAt) || after.RestartCount != before.RestartCount {
				t.Errorf("it was touched: %s since %s, before %s since %s", after.State, after.StartedAt, before.State, before.StartedAt)
			}
		})
	}

	if err := e.Stop(t.Context(), row, 5*time.Second); err != nil {
		t.Fatal(err)
	}
	if err := e.Remove(t.Context(), row); err != nil {
		t.Fatal(err)
	}
	// Ours is gone; the one with the same labels is not ours for that.
	if err := e.Remove(t.Context(), row); !errors.Is(err, docker.ErrNotFound) {
		t.Errorf("removed again: %v", err)
	}
	for _, id := range []string{copied, foreign, swarm} {
		if c := inspect(t, e, id); c.State != docker.StateRunning {
			t.Errorf("%s is %s", c.Name, c.State)
		}
	}
}

func acts(e *docker.Engine) map[string]func(context.Context, docker.Owned) error {
	return map[string]func(context.Context, docker.Owned) error{
		"start":   e.Start,
		"stop":    func(ctx context.Context, c docker.Owned) error { return e.Stop(ctx, c, time.Second) },
		"restart": func(ctx context.Context, c docker.Owned) error { return e.Restart(ctx, c, time.Second) },
		"pause":   e.Pause,
		"unpause": e.Unpause,
		"remove":  e.Remove,
	}
}

func runOn(t *testing.T, e *docker.Engine, image string, labels map[string]string) (id string) {
	t.Helper()
	id, err := e.Create(t.Context(), docker.CreateOptions{Name: enginetest.Name(t), Image: image, Labels: labels})
	if err != nil {
		t.Fatal(err)
	}
	enginetest.RemoveAfter(t, e, id)
	enginetest.ForceStart(t, e, id)
	return id
}

func inspect(t *testing.T, e *docker.Engine, id string) docker.Container {
	t.Helper()
	c, err := e.Inspect(t.Context(), id)
	if err != nil {
		t.Fatal(err)
	}
	return c
}
