package logs_test

import (
	"context"
	"errors"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/tiny-forge/docker-watcher/internal/docker"
	"github.com/tiny-forge/docker-watcher/internal/docker/enginetest"
	"github.com/tiny-forge/docker-watcher/internal/logs"
	"github.com/tiny-forge/docker-watcher/internal/waittest"
)

const chatterImage = "127.0.0.1:9/logs:1"

// onEngines runs a test on a real Docker and a real podman.
func onEngines(t *testing.T, test func(t *testing.T, e *docker.Engine)) {
	t.Helper()
	app, err := enginetest.BuildApp(t.Context(), t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	for name, open := range map[string]func(testing.TB) *docker.Engine{"docker": enginetest.Engine, "podman": enginetest.Podman} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			e := open(t)
			archive, err := enginetest.AppArchive(app, chatterImage, "1")
			if err != nil {
				t.Fatal(err)
			}
			if err := e.LoadImage(t.Context(), archive); err != nil {
				t.Fatal(err)
			}
			test(t, e)
		})
	}
}

// box makes a container and starts it.
func box(t *testing.T, e *docker.Engine, env ...string) docker.Owned {
	t.Helper()
	id, err := e.Create(t.Context(), docker.CreateOptions{Name: enginetest.Name(t), Image: chatterImage, Env: env, Labels: map[string]string{
		docker.LabelManaged: "true", docker.LabelInstallation: "logs", docker.LabelInstance: "box",
	}})
	if err != nil {
		t.Fatal(err)
	}
	enginetest.RemoveAfter(t, e, id)
	owned := docker.Owned{ID: id, Installation: "logs", Instance: "box"}
	if err := e.Start(t.Context(), owned); err != nil {
		t.Fatal(err)
	}
	return owned
}

func await(t *testing.T, what string, ok func() bool) {
	t.Helper()
	waittest.Until(t, what, 50*time.Millisecond, ok)
}

// TestRealLogResumes reads the log of a container that writes fast, comes again and again at another place, and gets what
// the engine holds in the end: each line once, in the engine's order.
func TestRealLogResumes(t *testing.T) {
	onEngines(t, func(t *testing.T, e *docker.Engine) {
		const lines = 4000
		c := box(t, e, "CHATTER=4000", "LONG_LINE_KB=300")
		var got []string
		long := int64(0)
		place := logs.Place{}
		for round := 1; len(got) < lines && round < 200; round++ {
			ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
			h := &heard{enough: func(h *heard) bool { return len(h.lines) > 37*round || len(got)+len(h.lines) >= lines }}
			err := logs.Follow(ctx, e, c.ID, all, place, true, numbered{h, &long})
			cancel()
			if err != nil && !errors.Is(err, errEnough) {
				t.Fatal(err)
			}
			got = append(got, h.lines...)
			place = h.place
		}
		var want []string
		if err := logs.Read(t.Context(), e, c.ID, all, false, func(l docker.LogLine) error {
			if strings.HasPrefix(l.Text, "number") {
				want = append(want, l.Text)
			}
			return nil
		}); err != nil {
			t.Fatal(err)
		}
		if len(want) != lines || strings.Join(got, "\n") != strings.Join(want, "\n") {
			t.Errorf("%d lines, the engine holds %d of %d", len(got), len(want), lines)
		}
		if long != 300<<10 {
			t.Errorf("the long line has %d bytes", long)
		}
	})
}

// numbered hears the numbered lines only, and how long the long one is.
type numbered struct {
	*heard
	long *int64
}

func (n numbered) Lines(place logs.Place, lines []logs.Line, t logs.Tally) error {
	var kept []logs.Line
	for _, l := range lines {
		switch {
		case strings.HasPrefix(l.Text, "number"):
			kept = append(kept, l)
		case strings.HasPrefix(l.Text, "xxx"):
			*n.long += int64(strings.Count(l.Text, "x")) + l.Cut
		}
	}
	return n.heard.Lines(place, kept, t)
}

func TestRealLogGoesOnAfterARestart(t *testing.T) {
	onEngines(t, func(t *testing.T, e *docker.Engine) {
		c := box(t, e)
		h := &heard{}
		ended := make(chan error, 1)
		ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute) // of all that comes here
		defer cancel()
		go func() { ended <- logs.Follow(ctx, e, c.ID, all, logs.Place{}, true, h) }()
		await(t, "it serves", func() bool { return strings.Count(h.text(), "serving") == 1 })
		if err := e.Stop(t.Context(), c, time.Second); err != nil {
			t.Fatal(err)
		}
		await(t, "it is told of the stop", func() bool { return strings.Join(h.kinds(), ",") == "stopped" })
		if err := e.Start(t.Context(), c); err != nil {
			t.Fatal(err)
		}
		await(t, "it serves again", func() bool { return strings.Count(h.text(), "serving") == 2 })
		if err := e.Stop(t.Context(), c, time.Second); err != nil {
			t.Fatal(err)
		}
		if err := <-ended; err != nil {
			t.Fatal(err)
		}
		if k := strings.Join(h.kinds(), ","); k != "stopped,started,stopped,ended" || strings.Count(h.text(), "told to end") != 2 {
			t.Errorf("turns %s, lines %s", k, h.text())
		}
	})
}

// TestRealLogOfAFlood: a reader that does not read holds nothing in memory, costs the container nothing, and is told what it missed.
func TestRealLogOfAFlood(t *testing.T) {
	onEngines(t, func(t *testing.T, e *docker.Engine) {
		const lines = 60_000
		c := box(t, e, "CHATTER=60000")
		release := make(chan struct{})
		var held atomic.Bool
		h := &heard{slow: func() {
			if held.CompareAndSwap(false, true) {
				<-release
			}
		}}
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		go func() { _ = logs.Follow(ctx, e, c.ID, all, logs.Place{}, true, h) }()
		await(t, "the reader is held", held.Load)
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		await(t, "all is written", func() bool {
			n := 0
			err := logs.Read(t.Context(), e, c.ID, all, false, func(l docker.LogLine) error {
				if strings.HasPrefix(l.Text, "number") {
					n++
				}
				return nil
			})
			return err == nil && n == lines
		})
		runtime.GC()
		runtime.ReadMemStats(&after)
		if grown := int64(after.HeapAlloc) - int64(before.HeapAlloc); grown > 16<<20 {
			t.Errorf("%d MB more", grown>>20)
		}
		close(release)
		await(t, "every line has come, or is told to be skipped", func() bool {
			h.mu.Lock()
			defer h.mu.Unlock()
			told := int64(len(h.lines))
			for _, turn := range h.turns {
				told += turn.Lines
			}
			return told >= lines
		})
	})
}
