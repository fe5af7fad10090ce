package main

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/tiny-forge/docker-watcher/internal/docker"
)

// witnessed hears how work ended.
type witnessed func(what, hostID string, err error)

func (w witnessed) expects(string, string, bool)         {}
func (w witnessed) began(string, string)                 {}
func (w witnessed) ended(what, hostID string, err error) { w(what, hostID, err) }

// TestLaneOfAHungHost: the work on one host goes on whenever it is rung, while that on another never ends; what hangs is rung
// once more and no oftener, and ends when its host leaves.
func TestLaneOfAHungHost(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		fleet := docker.NewFleet()
		for _, id := range []string{"good", "hung"} {
			engine, err := docker.New(docker.Options{Endpoint: "unix:///none"})
			if err != nil {
				t.Fatal(err)
			}
			defer func() { _ = engine.Close() }()
			fleet.Add(id, engine)
		}
		var mu sync.Mutex
		begun, ended := map[string]int{}, map[string]int{}
		count := func(of map[string]int, id string) {
			mu.Lock()
			defer mu.Unlock()
			of[id]++
		}
		l := newLanes("test", fleet, time.Hour, func(ctx context.Context, id, why string) error {
			if why != "schedule" {
				t.Errorf("why: %q", why)
			}
			count(begun, id)
			defer count(ended, id)
			if id == "hung" {
				<-ctx.Done()
			}
			return ctx.Err()
		}, witnessed(func(what, id string, err error) {
			if what != "test" || err != nil && id != "hung" {
				t.Errorf("%s on %s is said to have ended with %v", what, id, err)
			}
		}), slog.New(slog.DiscardHandler))
		l.ring("schedule") // nobody is there yet
		ctx, cancel := context.WithCancel(t.Context())
		over := make(chan error, 1)
		go func() { over <- l.Run(ctx) }()
		synctest.Wait()
		for range 5 {
			l.ring("schedule")
			synctest.Wait()
		}
		want := func(id string, b, e int) {
			t.Helper()
			mu.Lock()
			defer mu.Unlock()
			if begun[id] != b || ended[id] != e {
				t.Errorf("%s: begun %d and ended %d times, want %d and %d", id, begun[id], ended[id], b, e)
			}
		}
		want("good", 5, 5)
		want("hung", 1, 0)
		time.Sleep(time.Hour + time.Second) // its limit; then it is the turn of the one ring that waited
		want("hung", 2, 1)
		_ = fleet.Remove("hung").Close()
		synctest.Wait()
		want("hung", 2, 2)
		l.ring("schedule")
		synctest.Wait()
		want("good", 6, 6)
		want("hung", 2, 2)
		cancel()
		if err := <-over; err != nil {
			t.Errorf("it ends with %v", err)
		}
	})
}

// TestAPanicOfTheWorkOnAHost fails that work, is told once with where it came about, and ends nothing else: the lane hears the next ring.
func TestAPanicOfTheWorkOnAHost(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		engine, err := docker.New(docker.Options{Endpoint: "unix:///none"})
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = engine.Close() }()
		fleet := docker.NewFleet()
		fleet.Add("host", engine)
		var told bytes.Buffer
		var ends []string
		l := newLanes("test", fleet, time.Hour, func(context.Context, string, string) error {
			if len(ends) == 0 {
				panic("oops")
			}
			return nil
		}, witnessed(func(_, _ string, err error) { ends = append(ends, fmt.Sprint(err)) }), slog.New(slog.NewTextHandler(&told, nil)))
		ctx, cancel := context.WithCancel(t.Context())
		over := make(chan error, 1)
		go func() { over <- l.Run(ctx) }()
		for range 2 {
			synctest.Wait()
			l.ring("schedule")
		}
		synctest.Wait()
		cancel()
		if err := <-over; err != nil || !slices.Equal(ends, []string{"panic: oops", "<nil>"}) {
			t.Errorf("ended with %q, the lanes with %v", ends, err)
		}
		if text := told.String(); strings.Count(text, "work panicked") != 1 || !strings.Contains(text, "lanes_test.go") {
			t.Errorf("told %s", text)
		}
	})
}
