package auth_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/tiny-forge/docker-watcher/internal/auth"
	"github.com/tiny-forge/docker-watcher/internal/store"
)

// refusals are the events of failed sign-ins so far.
func (f fixture) refusals(t *testing.T) (found []store.Event) {
	t.Helper()
	evs, err := f.db.EventsAfter(t.Context(), 0, 10_000)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range evs {
		if e.Kind == "auth.login_failed" {
			found = append(found, e)
		}
	}
	return found
}

// TestNobodyFillsTheLogByFailedSignIns has somebody guess once a second for ten minutes, in every way; what is not told by itself is counted.
func TestNobodyFillsTheLogByFailedSignIns(t *testing.T) {
	const each, guesses = 6, 600
	for what, tt := range map[string]struct {
		try  func(n int) (name, addr string)
		most int // events
	}{
		"one name":                   {func(int) (string, string) { return "anna", addr }, each + 1},
		"ever other names":           {func(n int) (string, string) { return fmt.Sprintf("name-%d", n), addr }, each + 1},
		"all addresses of one /64":   {func(n int) (string, string) { return "anna", fmt.Sprintf("[2001:db8:1:2::%x]:1", n) }, each + 1},
		"as many networks":           {func(n int) (string, string) { return "anna", fmt.Sprintf("[2001:db8:1:%x::1]:1", n) }, 20 + each + 1},
		"some networks, other names": {func(n int) (string, string) { return fmt.Sprintf("name-%d", n), fmt.Sprintf("10.0.0.%d:1", n%20) }, 20 * (each + 1)},
	} {
		t.Run(what, func(t *testing.T) {
			inBubble(t, func(t *testing.T) {
				f := newFixture(t)
				f.setUp(t)
				throttled := 0
				for n := range guesses {
					name, from := tt.try(n)
					_, _, err := f.Login(t.Context(), name, "a wrong password", "", from)
					if errors.Is(err, auth.ErrThrottled) {
						throttled++
					} else if !errors.Is(err, auth.ErrDenied) {
						t.Fatal(err)
					}
					time.Sleep(time.Second)
				}
				f.Settle(t.Context())
				told, all := f.refusals(t), 0
				for _, e := range told {
					count, counted := e.Data["count"].(float64)
					if !counted {
						count = 1
					}
					all += int(count)
					if e.Severity != store.SeverityWarn || e.Actor != "anyone" {
						t.Errorf("told %+v", e)
					}
				}
				// Of the guesses that are not looked at, only those that begin a flood are told: one at a name, one of an address.
				if floods := all - (guesses - throttled); len(told) > tt.most || floods < 0 || floods > 2 {
					t.Errorf("%d events, want at most %d, tell of %d failures, though %d were throttled", len(told), tt.most, all, throttled)
				}
				time.Sleep(10 * time.Minute)
				f.Settle(t.Context())
				if _, _, err := f.Login(t.Context(), "anna", "a wrong password", "", addr); !errors.Is(err, auth.ErrDenied) {
					t.Error(err)
				}
				if after := f.refusals(t); len(after) != len(told)+1 {
					t.Errorf("one that comes later is %d events", len(after)-len(told))
				}
			})
		})
	}
}

// TestFailedSignInsAreToldAfterTheirWindow: some of their names, too, and nothing twice.
func TestFailedSignInsAreToldAfterTheirWindow(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		f := newFixture(t)
		ctx, stop := context.WithCancel(t.Context())
		done := make(chan error, 1)
		go func() { done <- f.Run(ctx) }()
		for n := range 18 {
			if _, err := f.SpendLink(t.Context(), "wrong", password, fmt.Sprintf("192.0.2.7:%d", n)); n < 5 && !errors.Is(err, auth.ErrDenied) {
				t.Error(err)
			}
			if _, _, err := f.Login(t.Context(), fmt.Sprintf("name-%d", n), "a wrong password", "", addr); n < 5 && !errors.Is(err, auth.ErrDenied) {
				t.Error(err)
			}
		}
		if n := len(f.refusals(t)); n != 6 {
			t.Errorf("%d events at once", n)
		}
		time.Sleep(10*time.Minute + time.Second)
		synctest.Wait()
		told := f.refusals(t)
		if len(told) != 7 {
			t.Fatalf("%d events after the window", len(told))
		}
		last := told[6]
		if names, _ := last.Data["names"].([]any); last.Data["addr"] != "192.0.2.7" || len(names) != 10 || last.Data["count"] == nil {
			t.Errorf("told %+v", last)
		}
		time.Sleep(time.Hour)
		synctest.Wait()
		if n := len(f.refusals(t)); n != 7 {
			t.Errorf("%d events when none came since", n)
		}
		stop()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
}

// TestWhatWasCountedIsToldAtTheEnd, when nobody waits for anything else any more, unless the store hangs: nobody waits for that.
func TestWhatWasCountedIsToldAtTheEnd(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		f := newFixture(t)
		over, end := context.WithCancel(t.Context())
		fail := func(times int) {
			for range times {
				f.RefuseProvided(t.Context(), "anna", addr, "it was declined")
			}
		}
		fail(7) // one more than are told each by itself
		end()
		f.Settle(over)
		if n := len(f.refusals(t)); n != 7 {
			t.Errorf("%d events", n)
		}
		fail(1)
		held, goOn, gone := make(chan struct{}), make(chan struct{}), make(chan error, 1)
		go func() {
			gone <- f.db.Update(t.Context(), func(*store.Tx) error { close(held); <-goOn; return nil })
		}()
		<-held
		begin := time.Now()
		f.Settle(over)
		if took := time.Since(begin); took != 5*time.Second {
			t.Errorf("waited %v for a store that hangs", took)
		}
		close(goOn)
		if err := <-gone; err != nil {
			t.Error(err)
		}
	})
}

// TestBeginningsAreCountedByTheAddress: a house of people is let through, everybody else's address is their own, and it ends by itself.
func TestBeginningsAreCountedByTheAddress(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		f := newFixture(t)
		begun := 0
		for n := range 600 {
			if f.MayBeginProvided(t.Context(), fmt.Sprintf("[2001:db8:1:2::%x]:1", n)) {
				begun++
			}
			time.Sleep(time.Second)
		}
		if begun < 350 || begun > 361 {
			t.Errorf("%d were begun in ten minutes", begun)
		}
		if !f.MayBeginProvided(t.Context(), addr) {
			t.Error("nobody else may begin")
		}
		if n := len(f.refusals(t)); n != 1 {
			t.Errorf("%d events", n)
		}
		time.Sleep(2 * time.Second)
		if !f.MayBeginProvided(t.Context(), "[2001:db8:1:2::1]:1") {
			t.Error("two seconds later none may begin")
		}
	})
}
