package logs_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/tiny-forge/docker-watcher/internal/docker"
	"github.com/tiny-forge/docker-watcher/internal/docker/dockertest"
	"github.com/tiny-forge/docker-watcher/internal/logs"
)

// bed is one container that runs on a pretend engine, in a bubble.
type bed struct {
	t      *testing.T
	engine *docker.Engine
	box    *dockertest.Container
}

func inBubble(t *testing.T, test func(b *bed)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		time.Sleep(time.Until(time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)))
		pretend := dockertest.New(t, dockertest.Options{})
		engine, err := docker.New(docker.Options{Endpoint: pretend.Endpoint(), Dial: pretend.Dial, Log: slog.New(slog.DiscardHandler)})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = engine.Close() })
		box := pretend.Add(dockertest.Template{Name: "shop", Image: "shop:1.0", State: dockertest.Running, Started: time.Now()})
		test(&bed{t: t, engine: engine, box: box})
	})
}

// heard is what a listener was told.
type heard struct {
	mu     sync.Mutex
	lines  []string
	turns  []logs.Turn
	place  logs.Place
	tally  logs.Tally
	beats  int
	widest int // lines in one batch
	slow   func()
	enough func(*heard) bool
}

var errEnough = errors.New("enough")

func (h *heard) Lines(place logs.Place, lines []logs.Line, t logs.Tally) error {
	if h.slow != nil {
		h.slow()
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	h.widest = max(h.widest, len(lines))
	for _, l := range lines {
		h.lines = append(h.lines, l.Text)
	}
	h.place, h.tally = place, t
	if h.enough != nil && h.enough(h) {
		return errEnough
	}
	return nil
}

func (h *heard) Turn(place logs.Place, turn logs.Turn) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.place = place
	h.turns = append(h.turns, turn)
	return nil
}

func (h *heard) Beat() error {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.beats++
	return nil
}

func (h *heard) kinds() (k []string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, t := range h.turns {
		k = append(k, string(t.Kind))
	}
	return k
}

func (h *heard) text() string {
	h.mu.Lock()
	defer h.mu.Unlock()
	return strings.Join(h.lines, ",")
}

var all = logs.Choice{Stdout: true, Stderr: true}

// follow begins to follow; ended tells how it ended.
func (b *bed) follow(c logs.Choice, from logs.Place, h *heard) (ended <-chan error, stop context.CancelFunc) {
	ctx, cancel := context.WithCancel(b.t.Context())
	done := make(chan error, 1)
	go func() { done <- logs.Follow(ctx, b.engine, b.box.ID, c, from, true, h) }()
	return done, cancel
}

func (b *bed) read(c logs.Choice) *heard {
	b.t.Helper()
	h := &heard{}
	if err := logs.Follow(b.t.Context(), b.engine, b.box.ID, c, logs.Place{}, false, h); err != nil {
		b.t.Fatal(err)
	}
	return h
}

func (b *bed) log(from, to int) {
	for n := from; n <= to; n++ {
		b.box.Log("stdout", fmt.Sprint(n))
	}
}

func TestReadChooses(t *testing.T) {
	inBubble(t, func(b *bed) {
		b.box.Log("stdout", "one")
		b.box.Log("stderr", "two: Error")
		time.Sleep(time.Minute)
		middle := time.Now()
		time.Sleep(time.Minute)
		b.box.Log("stdout", "three: error")
		b.box.Log("stderr", "four")
		search, err := logs.NewSearch("error", false, false)
		if err != nil {
			t.Fatal(err)
		}
		for name, c := range map[string]struct {
			choice logs.Choice
			want   string
			tally  logs.Tally
		}{
			"all":             {all, "one,two: Error,three: error,four", logs.Tally{Looked: 4, Matched: 4}},
			"stderr":          {logs.Choice{Stderr: true}, "two: Error,four", logs.Tally{Looked: 2, Matched: 2}},
			"stdout":          {logs.Choice{Stdout: true}, "one,three: error", logs.Tally{Looked: 2, Matched: 2}},
			"since":           {logs.Choice{Stdout: true, Stderr: true, Since: middle}, "three: error,four", logs.Tally{Looked: 2, Matched: 2}},
			"until":           {logs.Choice{Stdout: true, Stderr: true, Until: middle}, "one,two: Error", logs.Tally{Looked: 2, Matched: 2}},
			"tail":            {logs.Choice{Stdout: true, Stderr: true, Tail: 3}, "two: Error,three: error,four", logs.Tally{Looked: 3, Matched: 3}},
			"tail of stderr":  {logs.Choice{Stderr: true, Tail: 2}, "four", logs.Tally{Looked: 1, Matched: 1}},
			"search":          {logs.Choice{Stdout: true, Stderr: true, Search: search}, "two: Error,three: error", logs.Tally{Looked: 4, Matched: 2}},
			"search in vain":  {logs.Choice{Stdout: true, Stderr: true, Search: search, Tail: 1}, "", logs.Tally{Looked: 1}},
			"neither of them": {logs.Choice{}, "", logs.Tally{}},
		} {
			h := b.read(c.choice)
			if h.text() != c.want || h.tally != c.tally || strings.Join(h.kinds(), ",") != "read" {
				t.Errorf("%s: %q %+v %v, want %q %+v", name, h.text(), h.tally, h.kinds(), c.want, c.tally)
			}
		}
	})
}

// Lines of one moment and of many moments are told once each, however often the reader comes anew.
func TestFollowResumes(t *testing.T) {
	inBubble(t, func(b *bed) {
		b.log(1, 10)
		var got []string
		place := logs.Place{}
		for n := 11; n < 200; n += 20 {
			h := &heard{}
			ended, stop := b.follow(all, place, h)
			time.Sleep(time.Second)
			b.log(n, n+9)
			time.Sleep(time.Second)
			stop()
			if err := <-ended; !errors.Is(err, context.Canceled) {
				t.Fatal(err)
			}
			got = append(got, h.lines...)
			place = h.place
			b.log(n+10, n+19) // while nobody reads
		}
		h := &heard{}
		ended, stop := b.follow(all, place, h)
		time.Sleep(time.Second)
		stop()
		if err := <-ended; !errors.Is(err, context.Canceled) {
			t.Fatal(err)
		}
		got = append(got, h.lines...)
		if len(got) != 210 {
			t.Errorf("%d lines of 210", len(got))
		}
		for i, text := range got {
			if text != fmt.Sprint(i+1) {
				t.Fatalf("line %d is %s: lost or doubled", i+1, text)
			}
		}
	})
}

func TestFollowGoesOnAfterARestart(t *testing.T) {
	inBubble(t, func(b *bed) {
		h := &heard{}
		ended, stop := b.follow(all, logs.Place{}, h)
		defer stop()
		b.box.Log("stdout", "first life")
		time.Sleep(time.Second)
		b.box.Exit(3)
		time.Sleep(time.Second)
		b.box.Start()
		time.Sleep(time.Second)
		b.box.Log("stdout", "second life")
		time.Sleep(time.Second)
		if text := h.text(); !strings.HasPrefix(text, "first life,") || !strings.HasSuffix(text, ",second life") || strings.Count(text, "first life") != 1 {
			t.Errorf("lines: %s", text)
		}
		if k := strings.Join(h.kinds(), ","); k != "stopped,started" || h.turns[0].Container.ExitCode != 3 {
			t.Errorf("turns: %s", k)
		}
		b.box.OOM()
		if err := <-ended; err != nil {
			t.Fatal(err)
		}
		if k := strings.Join(h.kinds(), ","); k != "stopped,started,stopped,ended" {
			t.Errorf("turns: %s", k)
		}
		if last := h.turns[3].Container; last.ExitCode != 137 || !last.OOMKilled {
			t.Errorf("the end: %+v", last)
		}
	})
}

func TestFollowEnds(t *testing.T) {
	t.Run("at once where nothing runs", func(t *testing.T) {
		inBubble(t, func(b *bed) {
			b.box.Log("stdout", "bye")
			b.box.Exit(0)
			h := &heard{}
			begin := time.Now()
			ended, stop := b.follow(all, logs.Place{}, h)
			defer stop()
			if err := <-ended; err != nil || h.text() != "bye" || strings.Join(h.kinds(), ",") != "ended" || time.Since(begin) > time.Second {
				t.Errorf("%v: %q %v after %s", err, h.text(), h.kinds(), time.Since(begin))
			}
		})
	})
	t.Run("when the container goes", func(t *testing.T) {
		inBubble(t, func(b *bed) {
			h := &heard{}
			ended, stop := b.follow(all, logs.Place{}, h)
			defer stop()
			time.Sleep(time.Second)
			b.box.Exit(0)
			b.box.Remove()
			if err := <-ended; err != nil || h.kinds()[len(h.kinds())-1] != "gone" {
				t.Errorf("%v: %v", err, h.kinds())
			}
		})
	})
	t.Run("with the listener's error", func(t *testing.T) {
		inBubble(t, func(b *bed) {
			h := &heard{enough: func(*heard) bool { return true }}
			ended, stop := b.follow(all, logs.Place{}, h)
			defer stop()
			b.log(1, 1)
			if err := <-ended; !errors.Is(err, errEnough) {
				t.Error(err)
			}
		})
	})
}

func TestFollowBeatsWhileNothingComes(t *testing.T) {
	inBubble(t, func(b *bed) {
		h := &heard{}
		_, stop := b.follow(all, logs.Place{}, h)
		defer stop()
		time.Sleep(61 * time.Second)
		synctest.Wait()
		h.mu.Lock()
		defer h.mu.Unlock()
		if h.beats != 4 || h.lines != nil {
			t.Errorf("%d beats, lines %v", h.beats, h.lines)
		}
	})
}

// A reader who searches in vain hears how far it was looked, with the place to go on from.
func TestSearchTellsHowMuchWasLookedAt(t *testing.T) {
	inBubble(t, func(b *bed) {
		search, err := logs.NewSearch("needle", false, false)
		if err != nil {
			t.Fatal(err)
		}
		h := &heard{}
		_, stop := b.follow(logs.Choice{Stdout: true, Stderr: true, Search: search}, logs.Place{}, h)
		defer stop()
		b.log(1, 1000)
		time.Sleep(3 * time.Second)
		synctest.Wait()
		h.mu.Lock()
		defer h.mu.Unlock()
		if h.tally != (logs.Tally{Looked: 1000}) || h.lines != nil || h.place.N != 1000 {
			t.Errorf("%+v, lines %v, place %+v", h.tally, h.lines, h.place)
		}
	})
}

// A reader who cannot follow what happens now is brought back to now, and told of every line that it did not get.
func TestSlowReaderSkips(t *testing.T) {
	inBubble(t, func(b *bed) {
		h := &heard{slow: func() { time.Sleep(800 * time.Millisecond) }}
		_, stop := b.follow(all, logs.Place{}, h)
		defer stop()
		total := 0
		for range 200 {
			b.log(total+1, total+500)
			total += 500
			time.Sleep(50 * time.Millisecond)
		}
		time.Sleep(time.Minute)
		synctest.Wait()
		h.mu.Lock()
		defer h.mu.Unlock()
		var skipped int64
		for _, turn := range h.turns {
			if turn.Kind != logs.Skipped || turn.Lines <= 0 {
				t.Errorf("got %+v", turn)
			}
			skipped += turn.Lines
		}
		if skipped == 0 || int64(len(h.lines))+skipped != int64(total) {
			t.Errorf("%d lines and %d skipped of %d", len(h.lines), skipped, total)
		}
		if last := h.lines[len(h.lines)-1]; last != fmt.Sprint(total) {
			t.Errorf("the last line is %s of %d", last, total)
		}
		if h.widest > 500 {
			t.Errorf("a batch of %d lines", h.widest)
		}
	})
}

// What lies in the past is never skipped, however slow the reader.
func TestSlowReaderOfThePastMissesNothing(t *testing.T) {
	inBubble(t, func(b *bed) {
		const total = 20_000
		b.log(1, total)
		time.Sleep(time.Hour)
		h := &heard{slow: func() { time.Sleep(5 * time.Second) }}
		_, stop := b.follow(all, logs.Place{}, h)
		defer stop()
		time.Sleep(time.Hour)
		synctest.Wait()
		h.mu.Lock()
		defer h.mu.Unlock()
		if len(h.lines) != total || len(h.turns) != 0 {
			t.Errorf("%d lines of %d, turns %v", len(h.lines), total, h.turns)
		}
	})
}

func TestLinesOfMegabytesAreCut(t *testing.T) {
	inBubble(t, func(b *bed) {
		const size = 3 << 20
		b.box.Log("stdout", "begin"+strings.Repeat("x", size-5))
		b.box.Log("stdout", "next")
		type cut struct {
			text string
			cut  int64
		}
		var got []cut
		h := &cutter{func(l logs.Line) { got = append(got, cut{l.Text, l.Cut}) }}
		if err := logs.Follow(b.t.Context(), b.engine, b.box.ID, all, logs.Place{}, false, h); err != nil {
			t.Fatal(err)
		}
		if len(got) != 2 || int64(len(got[0].text))+got[0].cut != size || len(got[0].text) > 64<<10 || !strings.HasPrefix(got[0].text, "begin") || got[1] != (cut{"next", 0}) {
			t.Errorf("%d lines; %d bytes and %d cut", len(got), len(got[0].text), got[0].cut)
		}
		// Who reads all gets all of it.
		whole := 0
		if err := logs.Read(b.t.Context(), b.engine, b.box.ID, all, false, func(l docker.LogLine) error { whole += len(l.Text); return nil }); err != nil || whole != size+4 {
			t.Errorf("%d bytes of %d: %v", whole, size+4, err)
		}
	})
}

type cutter struct{ each func(logs.Line) }

func (c *cutter) Lines(_ logs.Place, lines []logs.Line, _ logs.Tally) error {
	for _, l := range lines {
		c.each(l)
	}
	return nil
}
func (c *cutter) Turn(logs.Place, logs.Turn) error { return nil }
func (c *cutter) Beat() error                      { return nil }
