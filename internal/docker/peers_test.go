package docker_test

import (
	"fmt"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/tiny-forge/docker-watcher/internal/docker"
	"github.com/tiny-forge/docker-watcher/internal/docker/dockertest"
)

// Acceptance test 24: engine API 1.41 to 1.56 -> same facts. The same story on each, seen through the adapter.
func TestPeer24EveryAPIVersionTellsTheSameFacts(t *testing.T) {
	oldest := storyOn(t, dockertest.Options{APIVersion: "1.41", MinAPIVersion: "1.12"})
	if len(oldest) < 20 {
		t.Fatalf("a story of only %d facts: %q", len(oldest), oldest)
	}
	for version := 42; version <= 56; version++ {
		name := fmt.Sprintf("1.%d", version)
		t.Run(name, func(t *testing.T) {
			lowest := "1.24"
			if version >= 52 {
				lowest = "1.44" // the engines that broke the tools of their time
			}
			got := storyOn(t, dockertest.Options{APIVersion: name, MinAPIVersion: lowest})
			if !slices.Equal(got, oldest) {
				t.Errorf("API %s tells\n%q, API 1.41\n%q", name, got, oldest)
			}
		})
	}
}

// An engine that is newer than the client, and one that grew between two calls.
func TestPeer24NewerThanWeKnow(t *testing.T) {
	storyOn(t, dockertest.Options{APIVersion: "1.60", MinAPIVersion: "1.44"})
	inBubble(t, func(t *testing.T) {
		e := dockertest.New(t, dockertest.Docker20())
		adapter := open(t, e)
		app := e.Add(dockertest.Template{Name: "app", State: dockertest.Exited, ExitCode: 7})
		before, err := adapter.Inspect(t.Context(), app.ID)
		if err != nil {
			t.Fatal(err)
		}
		for _, next := range []dockertest.Options{dockertest.Docker29(), dockertest.Docker20()} {
			e.Shutdown()
			e.Become(next)
			e.Boot()
			after, err := adapter.Inspect(t.Context(), app.ID)
			if err != nil {
				t.Fatalf("after the engine became %s: %v", next.Version, err)
			}
			if after.State != before.State || !after.FinishedAt.Equal(before.FinishedAt) || after.ExitCode != 7 {
				t.Errorf("after the engine became %s: %+v", next.Version, after)
			}
			info, err := adapter.Info(t.Context())
			if err != nil || info.APIVersion != next.APIVersion {
				t.Errorf("negotiated %s %v, want %s", info.APIVersion, err, next.APIVersion)
			}
		}
	})
}

// storyOn plays a story on an engine and writes down what the adapter tells of it, without ids.
func storyOn(t *testing.T, o dockertest.Options) (facts []string) {
	t.Helper()
	inBubble(t, func(t *testing.T) {
		e := dockertest.New(t, o)
		adapter := open(t, e)
		note := func(format string, args ...any) { facts = append(facts, fmt.Sprintf(format, args...)) }
		watched := make(chan docker.Event, 100)
		go func() {
			// It ends with the test's context.
			_ = adapter.Watch(t.Context(), func(ev docker.Event) { watched <- ev })
		}()
		synctest.Wait()

		began := time.Now()
		since := func(at time.Time) time.Duration {
			if at.IsZero() {
				return -1
			}
			return at.Sub(began)
		}
		app := e.Run(dockertest.Template{Name: "app", Labels: map[string]string{docker.LabelManaged: "true"}, Life: dockertest.Life{Health: true}})
		look := func() {
			c, err := adapter.Inspect(t.Context(), app.ID)
			if err != nil {
				t.Fatal(err)
			}
			note("%s running=%v code=%d oom=%v restarts=%d health=%s started=%v finished=%v check=%v", c.State, c.Running, c.ExitCode, c.OOMKilled,
				c.RestartCount, c.Health, since(c.StartedAt), since(c.FinishedAt), c.HasHealthcheck)
			rows, err := adapter.List(t.Context(), docker.ListOptions{Labels: []string{docker.LabelManaged + "=true"}})
			if err != nil || len(rows) != 1 {
				t.Fatalf("%d rows, %v", len(rows), err)
			}
			note("listed %s %s created=%v", rows[0].Name, rows[0].State, since(rows[0].Created))
		}
		for _, step := range []func(){
			func() {}, app.Pause, app.Unpause, app.OOM, app.Start, func() { app.Exit(7) }, app.Start, app.Stop,
			func() { app.CrashLoop(1) },
		} {
			step()
			time.Sleep(2 * time.Second)
			look()
		}
		app.Stop()
		app.Remove()
		synctest.Wait()
		if _, err := adapter.Inspect(t.Context(), app.ID); err == nil {
			t.Error("it is still there")
		}
		close(watched)
		for ev := range watched {
			note("event gap=%v %s code=%d at=%v name=%s", ev.Gap, ev.Action, ev.ExitCode, ev.Time.Sub(began).Round(time.Millisecond), ev.Attributes["name"])
		}
	})
	return facts
}

// inBubble runs f in a bubble that has slept to 2026.
func inBubble(t *testing.T, f func(t *testing.T)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		time.Sleep(time.Until(time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)))
		f(t)
	})
}

func open(t *testing.T, e *dockertest.Engine) *docker.Engine {
	t.Helper()
	adapter, err := docker.New(docker.Options{Endpoint: e.Endpoint(), Dial: e.Dial})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := adapter.Close(); err != nil {
			t.Error(err)
		}
	})
	return adapter
}
