package dockertest_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"github.com/tiny-forge/docker-watcher/internal/docker/dockertest"
)

// caller is a plain HTTP client: these tests ask the engine the way anybody could.
type caller struct {
	t    *testing.T
	http *http.Client
}

func dial(t *testing.T, e *dockertest.Engine) caller {
	t.Helper()
	transport := &http.Transport{DialContext: func(ctx context.Context, network, addr string) (net.Conn, error) {
		return e.Dial(ctx, network, addr)
	}}
	t.Cleanup(transport.CloseIdleConnections)
	return caller{t: t, http: &http.Client{Transport: transport}}
}

func (c caller) do(method, path string) (status int, body []byte, err error) {
	c.t.Helper()
	req, err := http.NewRequestWithContext(c.t.Context(), method, "http://d"+path, nil)
	if err != nil {
		c.t.Fatal(err)
	}
	resp, err := c.http.Do(req)
	if err != nil {
		return 0, nil, err
	}
	defer func() { _ = resp.Body.Close() }()
	body, err = io.ReadAll(resp.Body)
	return resp.StatusCode, body, err
}

func (c caller) get(path string, into any) {
	c.t.Helper()
	status, body, err := c.do(http.MethodGet, path)
	if err != nil {
		c.t.Fatal(err)
	}
	if status != http.StatusOK {
		c.t.Fatalf("GET %s: %d %s", path, status, body)
	}
	if err := json.Unmarshal(body, into); err != nil {
		c.t.Fatalf("GET %s: %v in %s", path, err, body)
	}
}

func (c caller) list() []struct{ ID, State, Status string } {
	c.t.Helper()
	var rows []struct{ ID, State, Status string }
	c.get("/containers/json?all=1", &rows)
	return rows
}

func (c caller) state(id string) (s struct {
	Status, StartedAt, FinishedAt, Error string
	Running, Restarting, OOMKilled, Dead bool
	ExitCode                             int
},
) {
	c.t.Helper()
	var inspect struct{ State any }
	inspect.State = &s
	c.get("/containers/"+id+"/json", &inspect)
	return s
}

// in2026 runs f in a bubble that has slept to 2026.
func in2026(t *testing.T, f func(t *testing.T)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		time.Sleep(time.Until(time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)))
		f(t)
	})
}

// Thirty days of hourly lists take no time, and nothing is left running in the bubble.
func TestLivesInABubble(t *testing.T) {
	in2026(t, func(t *testing.T) {
		e := dockertest.New(t, dockertest.Options{})
		c := dial(t, e)
		e.AddMany(20, dockertest.Template{Name: "old", State: dockertest.Exited})
		loop := e.Add(dockertest.Template{Name: "loop"})
		loop.CrashLoop(0)
		hours := 30 * 24
		for range hours {
			time.Sleep(time.Hour)
			if got := len(c.list()); got != 21 {
				t.Fatalf("%d rows", got)
			}
		}
		if got := e.Lists(); got != hours {
			t.Errorf("counted %d lists, want %d", got, hours)
		}
		// A minute between two runs, at the most, once the back-off has grown.
		if got := loop.Facts().Restarts; got < 30*24*59 || got > 30*24*61 {
			t.Errorf("%d restarts in thirty days", got)
		}
	})
}

func TestBackOffGrowsAndEndsByACalmRun(t *testing.T) {
	in2026(t, func(t *testing.T) {
		e := dockertest.New(t, dockertest.Options{})
		c := e.Run(dockertest.Template{Name: "app", Restart: "always"})
		var waits []time.Duration
		for range 4 {
			c.Exit(1)
			down := time.Now()
			for c.Facts().State == dockertest.Restarting {
				time.Sleep(50 * time.Millisecond)
			}
			waits = append(waits, time.Since(down))
		}
		time.Sleep(11 * time.Second)
		c.Exit(1)
		down := time.Now()
		for c.Facts().State == dockertest.Restarting {
			time.Sleep(50 * time.Millisecond)
		}
		waits = append(waits, time.Since(down))
		want := []time.Duration{100, 200, 400, 800, 100}
		for i, w := range want {
			if w *= time.Millisecond; waits[i] < w || waits[i] > w+50*time.Millisecond {
				t.Errorf("wait %d was %v, want %v", i, waits[i], w)
			}
		}
	})
}

// What the containers of an engine look like after it went down and came back (PLATFORM's table).
func TestAfterTheEngineWasDown(t *testing.T) {
	never := time.Time{}
	type end struct {
		state    string
		code     int
		finished string // cut: at the cut; boot: at the boot; never
	}
	restarted := end{state: dockertest.Running}
	tests := []struct {
		name    string
		options dockertest.Options
		down    func(e *dockertest.Engine)
		want    map[string]end
	}{
		{
			"docker is stopped in good order", dockertest.Docker20(),
			(*dockertest.Engine).Shutdown,
			map[string]end{
				"no": {dockertest.Exited, 0, "cut"}, "on-failure": {dockertest.Exited, 0, "cut"},
				"always": restarted, "unless-stopped": restarted, "paused": {dockertest.Exited, 0, "cut"},
			},
		},
		{
			"docker is killed", dockertest.Docker20(),
			(*dockertest.Engine).Crash,
			map[string]end{
				"no": {dockertest.Exited, 0, "boot"}, "on-failure": {dockertest.Exited, 0, "boot"},
				"always": restarted, "unless-stopped": {dockertest.Exited, 0, "boot"}, "paused": {dockertest.Exited, 0, "boot"},
			},
		},
		{
			"docker is killed but keeps its containers alive",
			dockertest.Options{LiveRestore: true},
			(*dockertest.Engine).Crash,
			map[string]end{
				"no": {state: dockertest.Running}, "always": {state: dockertest.Running}, "paused": {state: dockertest.Paused},
			},
		},
		{
			"power cut with docker", dockertest.Docker29(),
			(*dockertest.Engine).PowerCut,
			map[string]end{
				"no": {dockertest.Exited, 255, "boot"}, "on-failure": restarted, "always": restarted,
				"unless-stopped": restarted, "paused": {dockertest.Exited, 255, "boot"},
			},
		},
		{
			"power cut with podman 5", dockertest.Podman54(),
			(*dockertest.Engine).PowerCut,
			map[string]end{"no": {dockertest.Exited, 0, "never"}, "always": {dockertest.Exited, 0, "never"}},
		},
		{
			"power cut with podman 4", dockertest.Podman43(),
			(*dockertest.Engine).PowerCut,
			map[string]end{"no": {dockertest.Created, 0, "never"}, "always": {dockertest.Created, 0, "never"}},
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			in2026(t, func(t *testing.T) {
				e := dockertest.New(t, tt.options)
				for name := range tt.want {
					policy := name
					if name == "paused" {
						policy = "no"
					}
					c := e.Run(dockertest.Template{Name: name, Restart: policy})
					if name == "paused" {
						c.Pause()
					}
				}
				old := e.Add(dockertest.Template{Name: "old", State: dockertest.Exited, Finished: time.Now().Add(-time.Hour)})
				before := old.Facts()
				time.Sleep(time.Hour)
				cut := time.Now().UTC()
				tt.down(e)
				client := dial(t, e)
				if _, _, err := client.do(http.MethodGet, "/_ping"); err == nil {
					t.Error("an engine that is down answered")
				}
				time.Sleep(30 * 24 * time.Hour)
				boot := time.Now().UTC()
				e.Boot()
				if got := len(client.list()); got != len(tt.want)+1 {
					t.Errorf("%d rows after boot", got)
				}
				for name, want := range tt.want {
					got := e.Container(name).Facts()
					if got.State != want.state || got.ExitCode != want.code {
						t.Errorf("%s: %s %d, want %s %d", name, got.State, got.ExitCode, want.state, want.code)
					}
					finished, check := map[string]time.Time{"cut": cut, "boot": boot, "never": never}[want.finished]
					if check && !got.Finished.Equal(finished) {
						t.Errorf("%s: finished %v, want %v", name, got.Finished, finished)
					}
				}
				if after := old.Facts(); after != before {
					t.Errorf("what had ended before has changed: %+v, was %+v", after, before)
				}
			})
		})
	}
}

func TestEventMemory(t *testing.T) {
	in2026(t, func(t *testing.T) {
		e := dockertest.New(t, dockertest.Options{})
		c := dial(t, e)
		begin := e.Now().Unix()
		many := e.AddMany(300, dockertest.Template{Name: "app", State: dockertest.Created})
		for _, one := range many {
			one.Rename("new-" + one.Name())
		}
		count := func() int {
			status, body, err := c.do(http.MethodGet, fmt.Sprintf("/events?since=%d&until=%d", begin, e.Now().Unix()))
			if err != nil || status != http.StatusOK {
				t.Fatal(status, err)
			}
			return bytes.Count(body, []byte("\n"))
		}
		time.Sleep(time.Second)
		if got := count(); got != 256 {
			t.Errorf("%d events remembered, want 256", got)
		}
		e.Restart()
		time.Sleep(time.Second)
		if got := count(); got != 0 {
			t.Errorf("%d events remembered over a restart", got)
		}
	})
}

func TestFaults(t *testing.T) {
	tests := []struct {
		name  string
		fault dockertest.Fault
		check func(t *testing.T, e *dockertest.Engine, status int, body []byte, err error)
	}{
		{"status", dockertest.Fault{Status: 500}, func(t *testing.T, _ *dockertest.Engine, status int, _ []byte, err error) {
			if err != nil || status != 500 {
				t.Errorf("%d %v", status, err)
			}
		}},
		{"reset", dockertest.Fault{Reset: true}, func(t *testing.T, e *dockertest.Engine, _ int, _ []byte, err error) {
			if err == nil || e.Container("app") == nil {
				t.Errorf("error %v; the container must be untouched", err)
			}
		}},
		{"lost reply", dockertest.Fault{LoseReply: true}, func(t *testing.T, e *dockertest.Engine, _ int, _ []byte, err error) {
			if err == nil || e.Container("app") != nil {
				t.Errorf("error %v; the container must be gone", err)
			}
		}},
		{"hang", dockertest.Fault{Hang: true}, func(t *testing.T, e *dockertest.Engine, _ int, _ []byte, err error) {
			if err == nil || e.Container("app") == nil {
				t.Errorf("error %v; the container must be untouched", err)
			}
		}},
		{"delay", dockertest.Fault{Delay: time.Second}, func(t *testing.T, e *dockertest.Engine, status int, _ []byte, err error) {
			if err != nil || status != http.StatusNoContent || e.Container("app") != nil {
				t.Errorf("%d %v", status, err)
			}
		}},
		{"not the third", dockertest.Fault{Status: 500, Skip: 2}, func(t *testing.T, _ *dockertest.Engine, status int, _ []byte, err error) {
			if err != nil || status != http.StatusNoContent {
				t.Errorf("%d %v", status, err)
			}
		}},
		{"another request", dockertest.Fault{Status: 500, On: "^GET "}, func(t *testing.T, _ *dockertest.Engine, status int, _ []byte, err error) {
			if err != nil || status != http.StatusNoContent {
				t.Errorf("%d %v", status, err)
			}
		}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			in2026(t, func(t *testing.T) {
				e := dockertest.New(t, dockertest.Options{})
				c := dial(t, e)
				c.http.Timeout = 5 * time.Second
				e.Add(dockertest.Template{Name: "app", State: dockertest.Exited})
				if tt.fault.On == "" {
					tt.fault.On = `^DELETE /containers/app\?`
				}
				e.Fail(tt.fault)
				status, body, err := c.do(http.MethodDelete, "/containers/app?force=0&v=0")
				tt.check(t, e, status, body, err)
			})
		})
	}
}

func TestCutListIsNoShortList(t *testing.T) {
	in2026(t, func(t *testing.T) {
		e := dockertest.New(t, dockertest.Options{})
		e.AddMany(50, dockertest.Template{Name: "app"})
		c := dial(t, e)
		e.Fail(dockertest.Fault{On: "^GET /containers/json", CutBody: 2000, Times: 1})
		if _, body, err := c.do(http.MethodGet, "/containers/json"); err == nil {
			t.Errorf("a cut answer came whole: %d bytes", len(body))
		}
		if got := len(c.list()); got != 50 {
			t.Errorf("%d rows after the fault, want 50", got)
		}
	})
}

func TestStuckRemoval(t *testing.T) {
	in2026(t, func(t *testing.T) {
		e := dockertest.New(t, dockertest.Options{})
		app := e.Add(dockertest.Template{Name: "app", State: dockertest.Exited})
		app.StickRemoval()
		c := dial(t, e)
		c.http.Timeout = 10 * time.Second
		if _, _, err := c.do(http.MethodDelete, "/containers/app"); err == nil {
			t.Error("a stuck removal answered")
		}
		if got := c.list()[0]; got.State != dockertest.Removing {
			t.Errorf("listed as %s", got.State)
		}
		if status, _, err := c.do(http.MethodDelete, "/containers/app"); err != nil || status != http.StatusConflict {
			t.Errorf("a second removal: %v %v", status, err)
		}
	})
}

func TestFailedRemovalLeavesItDead(t *testing.T) {
	in2026(t, func(t *testing.T) {
		e := dockertest.New(t, dockertest.Docker29())
		app := e.Add(dockertest.Template{Name: "app", State: dockertest.Exited})
		app.FailRemoval("operation not permitted")
		c := dial(t, e)
		if status, _, err := c.do(http.MethodDelete, "/containers/app"); err != nil || status != 500 {
			t.Errorf("%d %v", status, err)
		}
		if s := c.state("app"); s.Status != dockertest.Dead || !s.Dead {
			t.Errorf("%+v", s)
		}
		app.Unstick()
		if status, _, err := c.do(http.MethodDelete, "/containers/app"); err != nil || status != http.StatusNoContent {
			t.Errorf("after the cause is gone: %v %v", status, err)
		}
	})
}

func TestVersionsRefused(t *testing.T) {
	tests := []struct {
		options dockertest.Options
		path    string
		want    int
	}{
		{dockertest.Docker20(), "/v1.41/version", 200},
		{dockertest.Docker20(), "/v1.42/version", 400},
		{dockertest.Docker29(), "/v1.41/version", 400},
		{dockertest.Docker29(), "/v1.44/version", 200},
		{dockertest.Docker29(), "/version", 200},
		{dockertest.Podman43(), "/v1.99/version", 200},
	}
	for _, tt := range tests {
		e := dockertest.Serve(t, tt.options)
		status, body, err := dial(t, e).do(http.MethodGet, tt.path)
		if err != nil || status != tt.want {
			t.Errorf("%s %s: %v %v %s", tt.options.Version, tt.path, status, err, body)
		}
	}
}

// A list of ten thousand rows must not be what a benchmark measures.
func TestTenThousandRowsAreServedFast(t *testing.T) {
	e := dockertest.Serve(t, dockertest.Options{})
	e.AddMany(10_000, dockertest.Template{Name: "app", State: dockertest.Exited, Labels: map[string]string{"a": "b"}})
	c := dial(t, e)
	if got := len(c.list()); got != 10_000 {
		t.Fatalf("%d rows", got)
	}
	began := time.Now()
	status, body, err := c.do(http.MethodGet, "/containers/json?all=1")
	if err != nil || status != http.StatusOK {
		t.Fatal(status, err)
	}
	if took := time.Since(began); took > 15*time.Second {
		t.Errorf("%d bytes took %v", len(body), took)
	}
}

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }
