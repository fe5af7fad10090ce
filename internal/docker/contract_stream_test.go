package docker_test

import (
	"context"
	"errors"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/tiny-forge/docker-watcher/internal/docker"
	"github.com/tiny-forge/docker-watcher/internal/docker/dockertest"
	"github.com/tiny-forge/docker-watcher/internal/docker/enginetest"
)

func pull(t *testing.T, s *subject) {
	ref := s.publish(t)
	var steps []docker.PullProgress
	if err := s.Pull(t.Context(), ref, "", func(p docker.PullProgress) { steps = append(steps, p) }); err != nil {
		t.Fatal(err)
	}
	if len(steps) == 0 {
		t.Error("no progress was told")
	}
	for i, p := range steps {
		if p.Done > p.Total || p.Done < 0 || p.Status == "" {
			t.Errorf("step %d: %+v", i, p)
		}
	}
	img, err := s.InspectImage(t.Context(), ref)
	if err != nil {
		t.Fatal(err)
	}
	repository, _, _ := strings.Cut(ref, ":1.0")
	if !slices.ContainsFunc(img.RepoDigests, func(d string) bool { return strings.HasPrefix(d, repository+"@sha256:") }) {
		t.Errorf("digests %v of %s", img.RepoDigests, ref)
	}
	if err := s.Pull(t.Context(), ref, "", func(docker.PullProgress) {}); err != nil {
		t.Errorf("a second pull: %v", err)
	}
	err = s.Pull(t.Context(), strings.Replace(ref, ":1.0", ":9.9", 1), "", func(docker.PullProgress) {})
	if !errors.Is(err, docker.ErrNotFound) {
		t.Errorf("a tag that is not there: %v", err)
	}
}

// publish puts the app into a registry that the engine can reach.
func (s *subject) publish(t *testing.T) (ref string) {
	t.Helper()
	if s.pretend != nil {
		ref = "127.0.0.1:5000/dwt/pulled:1.0"
		s.pretend.Publish(dockertest.Image{Ref: ref})
		return ref
	}
	ref = enginetest.Registry(t) + "/dwt/pulled:1.0"
	if err := enginetest.PushApp(t.Context(), s.app, ref, "1.0"); err != nil {
		t.Fatal(err)
	}
	return ref
}

// witness writes down what Watch tells.
type witness struct {
	mu   sync.Mutex
	seen []docker.Event
}

// watch follows the events until the test ends, and waits for the first gap.
func (s *subject) watch(t *testing.T) *witness {
	t.Helper()
	w := &witness{}
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- s.Watch(ctx, w.note) }()
	t.Cleanup(func() {
		cancel()
		if err := <-ended; !errors.Is(err, context.Canceled) {
			t.Errorf("the watch ended with %v", err)
		}
	})
	eventually(t, "the first gap", func() bool { return len(w.gaps()) == 1 })
	return w
}

func (w *witness) note(e docker.Event) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.seen = append(w.seen, e)
}

func (w *witness) gaps() (reasons []string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, e := range w.seen {
		if e.Gap {
			reasons = append(reasons, e.Reason)
		}
	}
	return reasons
}

// of returns the events of one container.
func (w *witness) of(id string) (found []docker.Event) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, e := range w.seen {
		if e.ContainerID == id {
			found = append(found, e)
		}
	}
	return found
}

func actions(events []docker.Event) (names []string) {
	for _, e := range events {
		names = append(names, e.Action)
	}
	return names
}

func eventsInOrder(t *testing.T, s *subject) {
	w := s.watch(t)
	if got := w.gaps(); !slices.Equal(got, []string{"connected"}) {
		t.Fatalf("gaps %v", got)
	}
	tests := []struct {
		name   string
		story  func(t *testing.T) (id string)
		docker []string
		podman []string
		code   int // of die
	}{
		{
			"run, stop, remove",
			func(t *testing.T) string {
				id := s.run(t)
				s.awaitOutput(t, id, "serving")
				s.must(t, s.Stop(t.Context(), own(id), 2*time.Second))
				s.must(t, s.Remove(t.Context(), own(id)))
				return id
			},
			[]string{"create", "start", "kill", "die", "stop", "destroy"},
			[]string{"create", "start", "die", "destroy"},
			0,
		},
		{
			"it ends by itself",
			func(t *testing.T) string {
				id := s.run(t, env("EXIT_AFTER_MS=50", "EXIT_CODE=7"))
				s.await(t, id, "its end", inState(docker.StateExited))
				s.must(t, s.Remove(t.Context(), own(id)))
				return id
			},
			[]string{"create", "start", "die", "destroy"},
			[]string{"create", "start", "die", "destroy"},
			7,
		},
		{
			"paused and let go on",
			func(t *testing.T) string {
				id := s.run(t)
				s.awaitOutput(t, id, "serving")
				s.must(t, s.Pause(t.Context(), own(id)))
				s.must(t, s.Unpause(t.Context(), own(id)))
				s.must(t, s.Stop(t.Context(), own(id), 2*time.Second))
				s.must(t, s.Remove(t.Context(), own(id)))
				return id
			},
			[]string{"create", "start", "pause", "unpause", "kill", "die", "stop", "destroy"},
			[]string{"create", "start", "pause", "unpause", "die", "destroy"},
			0,
		},
		{
			"a stop while it is paused",
			func(t *testing.T) string {
				id := s.run(t)
				s.awaitOutput(t, id, "serving")
				s.must(t, s.Pause(t.Context(), own(id)))
				s.must(t, s.Stop(t.Context(), own(id), 2*time.Second))
				s.must(t, s.Remove(t.Context(), own(id)))
				return id
			},
			[]string{"create", "start", "pause", "kill", "unpause", "die", "stop", "destroy"},
			[]string{"create", "start", "pause", "unpause", "die", "destroy"},
			0,
		},
		{
			"restarted",
			func(t *testing.T) string {
				id := s.run(t)
				s.awaitOutput(t, id, "serving")
				s.must(t, s.Restart(t.Context(), own(id), 2*time.Second))
				s.awaitOutputs(t, id, "serving", 2)
				s.must(t, s.Stop(t.Context(), own(id), 2*time.Second))
				s.must(t, s.Remove(t.Context(), own(id)))
				return id
			},
			[]string{"create", "start", "kill", "die", "stop", "start", "restart", "kill", "die", "stop", "destroy"},
			[]string{"create", "start", "restart", "die", "start", "die", "destroy"},
			0,
		},
		{
			"two failures, then it gives up",
			func(t *testing.T) string {
				id := s.run(t, policy("on-failure:1"), env("EXIT_AFTER_MS=20", "EXIT_CODE=7"))
				s.await(t, id, "the last try", func(c docker.Container) bool { return c.State == docker.StateExited && c.RestartCount == 1 })
				s.must(t, s.Remove(t.Context(), own(id)))
				return id
			},
			[]string{"create", "start", "die", "start", "die", "destroy"},
			[]string{"create", "start", "die", "restart", "start", "die", "destroy"},
			7,
		},
		{
			"stopped between two runs of a crash loop",
			func(t *testing.T) string {
				id := s.run(t, policy("on-failure"), env("EXIT_AFTER_MS=20", "EXIT_CODE=7"))
				if s.showsRestarting {
					s.await(t, id, "a long wait", func(c docker.Container) bool { return c.State == docker.StateRestarting && c.RestartCount == 4 })
				}
				s.endLoop(t, id)
				return id
			},
			[]string{"create", "start", "die", "start", "die", "start", "die", "start", "die", "stop", "destroy"},
			nil, // podman has no long waits to stop it in
			7,
		},
	}
	for _, tt := range tests {
		before := time.Now().Add(-5 * time.Second)
		id := tt.story(t)
		eventually(t, tt.name+": its last event", func() bool { return slices.Contains(actions(w.of(id)), "destroy") })
		want := tt.docker
		if !s.tellsSignals {
			want = tt.podman
		}
		got := w.of(id)
		// A stop comes before or after its die, as the engine likes; podman tells of some, of others not.
		is, must := withoutStops(actions(got)), withoutStops(want)
		if want != nil && !slices.Equal(is, must) {
			t.Errorf("%s: %v, want %v", tt.name, actions(got), want)
		}
		if s.tellsSignals && len(got)-len(is) != len(want)-len(must) {
			t.Errorf("%s: %v, want the stops of %v", tt.name, actions(got), want)
		}
		for _, e := range got {
			if e.Action == "die" && want != nil && e.ExitCode != tt.code {
				t.Errorf("%s: die with %d, want %d", tt.name, e.ExitCode, tt.code)
			}
			if e.Time.Before(before) || e.Time.After(time.Now().Add(5*time.Second)) {
				t.Errorf("%s: %s at %v", tt.name, e.Action, e.Time)
			}
			if e.Attributes[docker.LabelInstance] != instance {
				t.Errorf("%s: %s says nothing of its instance: %v", tt.name, e.Action, e.Attributes)
			}
		}
	}
}

func withoutStops(actions []string) []string {
	return slices.DeleteFunc(slices.Clone(actions), func(action string) bool { return action == "stop" })
}

func (s *subject) must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func eventsAfterABreak(t *testing.T, s *subject) {
	w := s.watch(t)
	if s.StreamAge() <= 0 {
		t.Error("the stream is open, yet has no age")
	}
	first := s.create(t)
	eventually(t, "an event before the break", func() bool { return len(w.of(first)) > 0 })
	s.wire.cut()
	eventually(t, "a gap after the break", func() bool { return len(w.gaps()) > 1 })
	for _, reason := range w.gaps()[1:] {
		if reason != "reconnected" {
			t.Errorf("gap %q", reason)
		}
	}
	second := s.create(t)
	eventually(t, "an event after the break", func() bool { return len(w.of(second)) > 0 })
}

// onDemand is what a real engine shows only when its kernel or its disk plays along.
func onDemand(t *testing.T, s *subject) {
	if s.pretend == nil {
		return // asked of the pretended engine of the same make
	}
	t.Run("out of memory", func(t *testing.T) {
		id := s.run(t)
		s.pretend.Container(id).OOM()
		c := s.inspect(t, id)
		if c.State != docker.StateExited || c.ExitCode != 137 || c.OOMKilled != (s.pretend.Flavour() != dockertest.Podman4) {
			t.Errorf("%s %d, out of memory %v", c.State, c.ExitCode, c.OOMKilled)
		}
	})
	t.Run("dead", func(t *testing.T) {
		id := s.create(t)
		s.pretend.Container(id).FailRemoval("operation not permitted")
		if err := s.Remove(t.Context(), own(id)); !errors.Is(err, docker.ErrEngine) {
			t.Errorf("a removal that fails: %v", err)
		}
		if c := s.inspect(t, id); c.State != docker.StateDead || c.Error == "" && s.keepsStartError {
			t.Errorf("%s %q", c.State, c.Error)
		}
		if err := s.Start(t.Context(), own(id)); !errors.Is(err, docker.ErrConflict) {
			t.Errorf("a start of a dead one: %v", err)
		}
		s.pretend.Container(id).Unstick()
		if err := s.Remove(t.Context(), own(id)); err != nil {
			t.Errorf("a removal when the cause is gone: %v", err)
		}
	})
	t.Run("removal in progress", func(t *testing.T) {
		id := s.create(t)
		s.pretend.Container(id).StickRemoval()
		ctx, cancel := context.WithTimeout(t.Context(), 2*time.Second) // within which it comes to the engine
		defer cancel()
		if err := s.Remove(ctx, own(id)); !errors.Is(err, docker.ErrTimeout) {
			t.Errorf("a removal that hangs: %v", err)
		}
		if c := s.inspect(t, id); c.State != docker.StateRemoving {
			t.Errorf("meanwhile it is %s", c.State)
		}
		if err := s.Remove(t.Context(), own(id)); !errors.Is(err, docker.ErrConflict) {
			t.Errorf("a second removal: %v", err)
		}
		s.pretend.Container(id).Remove()
	})
	t.Run("lost reply", func(t *testing.T) {
		id := s.create(t)
		s.pretend.Fail(dockertest.Fault{On: "^DELETE /containers/" + id, LoseReply: true, Times: 1})
		if err := s.Remove(t.Context(), own(id)); !errors.Is(err, docker.ErrUnavailable) {
			t.Errorf("a removal whose answer is lost: %v", err)
		}
		if err := s.Remove(t.Context(), own(id)); !errors.Is(err, docker.ErrNotFound) {
			t.Errorf("asked again: %v", err)
		}
	})
	t.Run("half a list", func(t *testing.T) {
		s.create(t)
		s.pretend.Fail(dockertest.Fault{On: "^GET /containers/json", CutBody: 60, Times: 1})
		if rows, err := s.List(t.Context(), docker.ListOptions{}); !errors.Is(err, docker.ErrUnavailable) {
			t.Errorf("%d rows, %v", len(rows), err)
		}
	})
	t.Run("an engine that fails", func(t *testing.T) {
		id := s.create(t)
		s.pretend.Fail(dockertest.Fault{On: "^GET /containers/" + id, Status: 500, Times: 1})
		if _, err := s.Inspect(t.Context(), id); !errors.Is(err, docker.ErrEngine) {
			t.Errorf("%v", err)
		}
	})
	t.Run("an inspect that hangs", func(t *testing.T) {
		hung, other := s.create(t), s.create(t)
		stop := s.pretend.Fail(dockertest.Fault{On: "^GET /containers/" + hung, Hang: true})
		defer stop()
		ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
		defer cancel()
		if _, err := s.Inspect(ctx, hung); !errors.Is(err, docker.ErrTimeout) {
			t.Errorf("%v", err)
		}
		s.inspect(t, other)
	})
	t.Run("skew", func(t *testing.T) {
		s.pretend.SetClock(10 * time.Minute)
		defer s.pretend.SetClock(0)
		s.must(t, s.Ping(t.Context()))
		if skew, ok := s.Skew(); !ok || (skew-10*time.Minute).Abs() > 3*time.Second {
			t.Errorf("skew %v %v", skew, ok)
		}
		if off := s.Now().Sub(time.Now().Add(10 * time.Minute)).Abs(); off > 3*time.Second {
			t.Errorf("the engine's clock is off by %v", off)
		}
		s.pretend.SetClock(0)
		s.must(t, s.Ping(t.Context()))
		if skew, _ := s.Skew(); skew != 0 {
			t.Errorf("skew %v although the clocks agree again", skew)
		}
	})
	t.Run("down", func(t *testing.T) {
		s.pretend.PowerCut()
		if err := s.Ping(t.Context()); !errors.Is(err, docker.ErrUnavailable) {
			t.Errorf("%v", err)
		}
		if rows, err := s.List(t.Context(), docker.ListOptions{}); err == nil {
			t.Errorf("an engine that is down lists %d", len(rows))
		}
		s.pretend.Boot()
		s.must(t, s.Ping(t.Context()))
	})
}
