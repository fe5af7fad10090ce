package dockertest_test

import (
	"bufio"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/tiny-forge/docker-watcher/internal/docker/dockertest"
)

// follow opens an event stream and returns its lines as they come.
func (c caller) follow(path string) <-chan string {
	c.t.Helper()
	req, err := http.NewRequestWithContext(c.t.Context(), http.MethodGet, "http://d"+path, nil)
	if err != nil {
		c.t.Fatal(err)
	}
	resp, err := c.http.Do(req) //nolint:bodyclose // whoever reads it closes it
	if err != nil {
		c.t.Fatal(err)
	}
	lines := make(chan string)
	go func() {
		defer close(lines)
		defer func() { _ = resp.Body.Close() }()
		for in := bufio.NewScanner(resp.Body); in.Scan(); {
			select {
			case lines <- in.Text():
			case <-c.t.Context().Done():
				return
			}
		}
	}()
	return lines
}

func TestShapeOfEvents(t *testing.T) {
	tests := []struct {
		name     string
		options  dockertest.Options
		path     string
		with     []string
		without  []string
		happened func(c *dockertest.Container)
	}{
		{
			"old", dockertest.Docker20(), "/v1.41/events",
			[]string{`"status":"die"`, `"id":"`, `"from":"`, `"Action":"die"`, `"exitCode":"7"`, `"scope":"local"`},
			[]string{`execDuration`},
			func(c *dockertest.Container) { c.Exit(7) },
		},
		{
			"new", dockertest.Docker29(), "/v1.52/events",
			[]string{`"Action":"die"`, `"exitCode":"7"`, `"execDuration":"`},
			[]string{`"status":`, `"id":"`, `"from":`},
			func(c *dockertest.Container) { c.Exit(7) },
		},
		{
			"a new engine asked in the old way", dockertest.Docker29(), "/v1.45/events",
			[]string{`"status":"die"`, `"id":"`, `"from":"`},
			nil,
			func(c *dockertest.Container) { c.Exit(7) },
		},
		{
			"podman shows die and calls it died", dockertest.Podman43(), `/v1.41/events?filters={"event":["died"]}`,
			[]string{`"Action":"die"`, `"containerExitCode":"7"`},
			nil,
			func(c *dockertest.Container) { c.Exit(7) },
		},
		{
			"health", dockertest.Docker28(), `/v1.51/events?filters={"event":["health_status"]}`,
			[]string{`"Action":"health_status: unhealthy"`},
			nil,
			func(c *dockertest.Container) { c.SetHealth("unhealthy") },
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			in2026(t, func(t *testing.T) {
				e := dockertest.New(t, tt.options)
				app := e.Run(dockertest.Template{Name: "app", Labels: map[string]string{"a": "b"}})
				lines := dial(t, e).follow(tt.path)
				tt.happened(app)
				line := <-lines
				for _, part := range append(tt.with, `"a":"b"`, `"name":"app"`) {
					if !strings.Contains(line, part) {
						t.Errorf("%s is not in %s", part, line)
					}
				}
				for _, part := range tt.without {
					if strings.Contains(line, part) {
						t.Errorf("%s is in %s", part, line)
					}
				}
			})
		})
	}
}

// Podman is not asked for what it would call by another name, and says nothing.
func TestPodmanDoesNotKnowDie(t *testing.T) {
	in2026(t, func(t *testing.T) {
		e := dockertest.New(t, dockertest.Podman43())
		app := e.Run(dockertest.Template{Name: "app"})
		lines := dial(t, e).follow(`/events?filters={"event":["die"]}`)
		app.Exit(7)
		synctest.Wait()
		select {
		case line := <-lines:
			t.Errorf("told of %s", line)
		default:
		}
	})
}

func TestSlowReaderLosesEventsSilently(t *testing.T) {
	in2026(t, func(t *testing.T) {
		o := dockertest.Docker28()
		o.EventBuffer = 10
		e := dockertest.New(t, o)
		app := e.Add(dockertest.Template{Name: "app"})
		lines := dial(t, e).follow("/events")
		synctest.Wait()
		for range 200 {
			app.Pause()
			app.Unpause()
		}
		synctest.Wait()
		app.SetHealth("healthy")
		got, last := 0, ""
		for {
			synctest.Wait()
			select {
			case last = <-lines:
				got++
				continue
			default:
			}
			break
		}
		if got == 0 || got >= 401 {
			t.Errorf("a slow reader got %d of 401", got)
		}
		app.SetHealth("unhealthy")
		if line := <-lines; !strings.Contains(line, "unhealthy") {
			t.Errorf("after the loss came %s (last %s)", line, last)
		}
	})
}

func TestCutStream(t *testing.T) {
	in2026(t, func(t *testing.T) {
		e := dockertest.New(t, dockertest.Options{})
		app := e.Add(dockertest.Template{Name: "app"})
		lines := dial(t, e).follow("/events")
		synctest.Wait()
		if e.Streams() != 1 {
			t.Fatalf("%d streams", e.Streams())
		}
		e.WithoutEvents(app.Pause)
		e.CutEvents()
		if line, more := <-lines; more {
			t.Errorf("told of %s", line)
		}
		time.Sleep(time.Second)
		if e.Streams() != 0 {
			t.Errorf("%d streams after the cut", e.Streams())
		}
	})
}
