package docker_test

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/tiny-forge/docker-watcher/internal/docker"
	"github.com/tiny-forge/docker-watcher/internal/docker/dockertest"
)

// in2026 runs a test in a bubble that has slept to the present: times before 2013 count as nonsense.
func in2026(t *testing.T, test func(t *testing.T)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		time.Sleep(time.Until(time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)))
		test(t)
	})
}

// adapterTo connects to a pretend engine in memory.
func adapterTo(t *testing.T, pretend *dockertest.Engine) *docker.Engine {
	t.Helper()
	e, err := docker.New(docker.Options{Endpoint: pretend.Endpoint(), Dial: pretend.Dial})
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

func TestEndpointsThatCannotBeOne(t *testing.T) {
	for _, endpoint := range []string{"/var/run/docker.sock", "unix://relative", "tcp://host", "http://host:1", "tcp://host:1/path", "unix:///a b%zz", "ssh://host"} {
		if _, err := docker.New(docker.Options{Endpoint: endpoint}); err == nil {
			t.Errorf("%q was accepted", endpoint)
		}
	}
	e, err := docker.New(docker.Options{})
	if err != nil {
		t.Fatal(err)
	}
	if e.Endpoint() != "unix:///var/run/docker.sock" {
		t.Errorf("the default is %q", e.Endpoint())
	}
}

func TestNoEngineIsUnavailable(t *testing.T) {
	e, err := docker.New(docker.Options{Endpoint: "unix://" + t.TempDir() + "/none.sock"})
	if err != nil {
		t.Fatal(err)
	}
	if err := e.Ping(t.Context()); !errors.Is(err, docker.ErrUnavailable) {
		t.Errorf("ping: %v", err)
	}
	if rows, err := e.List(t.Context(), docker.ListOptions{}); !errors.Is(err, docker.ErrUnavailable) || rows != nil {
		t.Errorf("list: %v, %v", rows, err)
	}
	if _, ok := e.Skew(); ok {
		t.Error("a skew without an answer")
	}
}

func TestUpgradedEngineGetsANewClient(t *testing.T) {
	in2026(t, func(t *testing.T) {
		pretend := dockertest.New(t, dockertest.Docker20())
		e := adapterTo(t, pretend)
		wantAPI(t, e, "1.41")
		for _, step := range []struct {
			now  dockertest.Options
			want string
		}{
			{dockertest.DockerNewest(), "1.56"}, // a client alone would stay at 1.41
			{dockertest.Docker28(), "1.51"},
			{dockertest.Docker20(), "1.41"}, // which refuses what 1.51 asks
			{dockertest.Docker29(), "1.52"}, // which refuses 1.41
		} {
			pretend.Shutdown()
			pretend.Become(step.now)
			pretend.Boot()
			if _, err := e.List(t.Context(), docker.ListOptions{}); err != nil {
				t.Errorf("first call after becoming %s: %v", step.now.Version, err)
			}
			wantAPI(t, e, step.want)
		}
	})
}

func wantAPI(t *testing.T, e *docker.Engine, want string) {
	t.Helper()
	info, err := e.Info(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if info.APIVersion != want {
		t.Errorf("negotiated %s, want %s", info.APIVersion, want)
	}
}

func TestSkewOfTheEnginesClock(t *testing.T) {
	in2026(t, func(t *testing.T) {
		pretend := dockertest.New(t, dockertest.Options{})
		e := adapterTo(t, pretend)
		for _, tc := range []struct{ offset, least, most time.Duration }{
			{0, 0, 0},
			{1500 * time.Millisecond, 0, 0},
			{-time.Second, 0, 0},
			{time.Hour, time.Hour - time.Second, time.Hour + time.Second},
			{-90 * time.Second, -91 * time.Second, -89 * time.Second},
			{0, 0, 0}, // put right again
		} {
			pretend.SetClock(tc.offset)
			if err := e.Ping(t.Context()); err != nil {
				t.Fatal(err)
			}
			skew, ok := e.Skew()
			if !ok || skew < tc.least || skew > tc.most {
				t.Errorf("clock %s off: skew %s, %v", tc.offset, skew, ok)
			}
			if got := time.Until(e.Now()); (got - skew).Abs() > time.Millisecond {
				t.Errorf("Now is %s off, skew %s", got, skew)
			}
		}
	})
}

func TestHungInspectHoldsUpNobodyElse(t *testing.T) {
	in2026(t, func(t *testing.T) {
		pretend := dockertest.New(t, dockertest.Options{})
		hung, fine := pretend.Run(dockertest.Template{Name: "hung"}), pretend.Run(dockertest.Template{Name: "fine"})
		pretend.Fail(dockertest.Fault{On: "^GET /containers/" + hung.ID, Hang: true})
		e := adapterTo(t, pretend)
		began := time.Now()
		late := make(chan error, 1)
		go func() {
			_, err := e.Inspect(t.Context(), hung.ID)
			late <- err
		}()
		if _, err := e.Inspect(t.Context(), fine.ID); err != nil {
			t.Errorf("the other one: %v", err)
		}
		if took := time.Since(began); took > time.Second {
			t.Errorf("the other one took %s", took)
		}
		if err := <-late; !errors.Is(err, docker.ErrTimeout) {
			t.Errorf("the hung one: %v", err)
		}
		if took := time.Since(began); took != 10*time.Second {
			t.Errorf("the hung one took %s", took)
		}
	})
}

func TestCallsEndWithTheirContext(t *testing.T) {
	in2026(t, func(t *testing.T) {
		pretend := dockertest.New(t, dockertest.Options{})
		pretend.Fail(dockertest.Fault{On: ".", Hang: true})
		e := adapterTo(t, pretend)
		for name, call := range map[string]func(context.Context) error{
			"ping":    e.Ping,
			"info":    func(ctx context.Context) error { _, err := e.Info(ctx); return err },
			"list":    func(ctx context.Context) error { _, err := e.List(ctx, docker.ListOptions{}); return err },
			"inspect": func(ctx context.Context) error { _, err := e.Inspect(ctx, "x"); return err },
			"pull":    func(ctx context.Context) error { return e.Pull(ctx, "shop:1", "", nil) },
			"load":    func(ctx context.Context) error { return e.LoadImage(ctx, strings.NewReader("x")) },
			"watch":   func(ctx context.Context) error { return e.Watch(ctx, func(docker.Event) {}) },
			"logs": func(ctx context.Context) error {
				return e.Logs(ctx, "x", docker.LogOptions{Follow: true}, func(docker.LogLine) error { return nil })
			},
		} {
			ctx, cancel := context.WithTimeout(t.Context(), time.Second)
			began := time.Now()
			err := call(ctx)
			if took := time.Since(began); took != time.Second || !errors.Is(err, context.DeadlineExceeded) {
				t.Errorf("%s: %v after %s", name, err, took)
			}
			cancel()
		}
	})
}

func TestHalfAListIsAnError(t *testing.T) {
	in2026(t, func(t *testing.T) {
		pretend := dockertest.New(t, dockertest.Options{})
		pretend.AddMany(50, dockertest.Template{State: "exited"})
		e := adapterTo(t, pretend)
		for _, bytes := range []int{1, 100, 5000} {
			stop := pretend.Fail(dockertest.Fault{On: "^GET /containers/json", CutBody: bytes})
			if rows, err := e.List(t.Context(), docker.ListOptions{}); !errors.Is(err, docker.ErrUnavailable) {
				t.Errorf("cut after %d bytes: %d rows, %v", bytes, len(rows), err)
			}
			stop()
		}
		rows, err := e.List(t.Context(), docker.ListOptions{})
		if err != nil || len(rows) != 50 {
			t.Errorf("afterwards: %d rows, %v", len(rows), err)
		}
	})
}

func TestRemoveAfterALostReply(t *testing.T) {
	in2026(t, func(t *testing.T) {
		pretend := dockertest.New(t, dockertest.Options{})
		c := pretend.Add(dockertest.Template{Name: "gone", State: "exited"})
		pretend.Fail(dockertest.Fault{On: "^DELETE ", LoseReply: true, Times: 1})
		e := adapterTo(t, pretend)
		owned := docker.Owned{ID: c.ID, Adopted: true}
		if err := e.Remove(t.Context(), owned); !errors.Is(err, docker.ErrUnavailable) {
			t.Errorf("a lost reply: %v", err)
		}
		if err := e.Remove(t.Context(), owned); !errors.Is(err, docker.ErrNotFound) {
			t.Errorf("the second time: %v", err)
		}
		if n := len(pretend.Removes()); n != 1 {
			t.Errorf("%d DELETEs were sent", n)
		}
	})
}

func TestWatchRedialsAndSaysSo(t *testing.T) {
	in2026(t, func(t *testing.T) {
		pretend := dockertest.New(t, dockertest.Options{})
		e := adapterTo(t, pretend)
		got, stop := watching(t, e)
		expect(t, got, "gap connected")
		c := pretend.Run(dockertest.Template{Name: "web"})
		expect(t, got, "create", "start")
		c.Exit(7)
		if ev := <-got; ev.Action != "die" || ev.ExitCode != 7 || ev.ContainerID != c.ID || !ev.Time.Equal(c.Facts().Finished) {
			t.Errorf("got %+v, want the die of %+v", ev, c.Facts())
		}
		time.Sleep(time.Minute)
		if age := e.StreamAge(); age < time.Minute {
			t.Errorf("the stream is %s old", age)
		}

		pretend.Shutdown()
		synctest.Wait()
		if age := e.StreamAge(); age != 0 {
			t.Errorf("a stream that is down is %s old", age)
		}
		pretend.WithoutEvents(func() {}) // nothing is told while it is down
		time.Sleep(3 * time.Minute)
		pretend.Boot()
		expect(t, got, "gap reconnected")

		pretend.CutEvents()
		expect(t, got, "gap reconnected")
		c.Start()
		expect(t, got, "start")
		stop()
		if age := e.StreamAge(); age != 0 {
			t.Errorf("after the end the stream is %s old", age)
		}
	})
}

func TestWatchOfASlowHandler(t *testing.T) {
	in2026(t, func(t *testing.T) {
		pretend := dockertest.New(t, dockertest.Options{})
		e := adapterTo(t, pretend)
		c := pretend.Add(dockertest.Template{Name: "web", State: "exited"})
		goOn := make(chan struct{})
		var seen []docker.Event
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan error, 1)
		go func() {
			ended <- e.Watch(ctx, func(ev docker.Event) {
				if len(seen) == 1 {
					<-goOn
				}
				seen = append(seen, ev)
			})
		}()
		synctest.Wait()
		for range 3000 {
			c.Start()
			c.Exit(0)
			synctest.Wait() // so that it is our queue which overflows, not the engine's
		}
		c.Start()
		synctest.Wait()
		close(goOn)
		synctest.Wait()
		cancel()
		if err := <-ended; !errors.Is(err, context.Canceled) {
			t.Errorf("watch ended with %v", err)
		}
		gaps := slices.DeleteFunc(slices.Clone(seen), func(ev docker.Event) bool { return !ev.Gap })
		if len(gaps) < 2 || gaps[1].Reason != "overflow" {
			t.Fatalf("of %d events the gaps are %+v", len(seen), gaps)
		}
		if last := seen[len(seen)-1]; last.Action != "start" || last.Gap {
			t.Errorf("the last one is %+v", last)
		}
		if len(seen) > 5000 {
			t.Errorf("%d events were kept for a handler that slept", len(seen))
		}
	})
}

func TestWatchNoticesASilentDeath(t *testing.T) {
	in2026(t, func(t *testing.T) {
		pretend := dockertest.New(t, dockertest.Options{})
		e := adapterTo(t, pretend)
		got, _ := watching(t, e)
		expect(t, got, "gap connected")
		pretend.Fail(dockertest.Fault{On: "_ping", Hang: true})
		time.Sleep(6 * time.Minute)
		if age := e.StreamAge(); age != 0 {
			t.Errorf("an engine that answers nothing has a stream %s old", age)
		}
		pretend.ClearFaults()
		expect(t, got, "gap reconnected")
	})
}

func TestWatchOfAllShapes(t *testing.T) {
	for _, make := range []dockertest.Options{dockertest.Docker20(), dockertest.Docker29(), dockertest.DockerNewest(), dockertest.Podman43(), dockertest.Podman54()} {
		t.Run(make.Version, func(t *testing.T) {
			in2026(t, func(t *testing.T) {
				pretend := dockertest.New(t, make)
				e := adapterTo(t, pretend)
				got, _ := watching(t, e)
				expect(t, got, "gap connected")
				c := pretend.Run(dockertest.Template{Name: "web"})
				expect(t, got, "create", "start")
				c.Exit(3)
				if ev := <-got; ev.Action != "die" || ev.ExitCode != 3 || ev.ContainerID != c.ID || ev.Time.IsZero() {
					t.Errorf("got %+v, want a die with 3", ev)
				}
				c.Remove()
				expect(t, got, "destroy")
			})
		})
	}
}

// watching runs Watch until stop or the test's end.
func watching(t *testing.T, e *docker.Engine) (got <-chan docker.Event, stop func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	events, ended := make(chan docker.Event, 10_000), make(chan struct{})
	go func() {
		defer close(ended)
		if err := e.Watch(ctx, func(ev docker.Event) { events <- ev }); !errors.Is(err, context.Canceled) {
			t.Errorf("watch ended with %v", err)
		}
	}()
	stop = func() {
		cancel()
		<-ended
	}
	t.Cleanup(stop)
	return events, stop
}

func expect(t *testing.T, got <-chan docker.Event, want ...string) {
	t.Helper()
	for _, w := range want {
		ev := <-got
		is := ev.Action
		if ev.Gap {
			is = "gap " + ev.Reason
		}
		if is != w {
			t.Errorf("got %s (%+v), want %s", is, ev, w)
		}
	}
}
