package stale

import (
	"errors"
	"testing"
	"time"

	"github.com/tiny-forge/docker-watcher/internal/docker/dockertest"
	"github.com/tiny-forge/docker-watcher/internal/store"
)

func TestWhatCameOfAnAutomaticPlan(t *testing.T) {
	for name, tt := range map[string]struct {
		results []store.CleanupResult
		want    error
	}{
		"all removed":             {[]store.CleanupResult{store.ResultRemoved, store.ResultRemoved}, nil},
		"somebody else did it":    {[]store.CleanupResult{store.ResultAlreadyGone, store.ResultError}, nil},
		"one of them failed":      {[]store.CleanupResult{store.ResultError, store.ResultRemoved}, nil},
		"each failed":             {[]store.CleanupResult{store.ResultError, store.ResultTimeout}, ErrNoneRemoved},
		"failed, others are kept": {[]store.CleanupResult{store.ResultKept, store.ResultRevived, store.ResultTimeout}, ErrNoneRemoved},
		"all was left alone":      {[]store.CleanupResult{store.ResultKept, store.ResultRevived, store.ResultInUse, store.ResultChanged}, ErrNotYet},
	} {
		var items []store.PlanItem
		for _, r := range tt.results {
			items = append(items, store.PlanItem{Result: r})
		}
		if got := fruit(items); !errors.Is(got, tt.want) || (got == nil) != (tt.want == nil) {
			t.Errorf("%s: %v, want %v", name, got, tt.want)
		}
	}
}

// TestHowAnAutomaticRunEnds: well only where it has removed something or nothing is to be removed, also later; that it has to wait is neither well nor a failure.
func TestHowAnAutomaticRunEnds(t *testing.T) {
	inAutoBed(t, func(t *testing.T, b *autoBed) {
		run := func(what string, want error) {
			t.Helper()
			if err := b.cleaner.RunAutomaticOn(t.Context(), b.host.ID); !errors.Is(err, want) || (err == nil) != (want == nil) {
				t.Errorf("%s: %v, want %v", what, err, want)
			}
		}
		closed := cleansUp(24*time.Hour, &store.Window{From: 2 * 60, Until: 3 * 60})
		b.scan()
		run("nothing is there", nil)
		b.ripe("web", nil)
		run("it warms up", ErrNotYet)
		heal := b.engine.Fail(dockertest.Fault{On: `^DELETE /containers/`, Status: 500})
		b.planned()
		run("its plan is announced", ErrNotYet)
		time.Sleep(autoNotice)
		run("it cannot be removed", ErrNoneRemoved)
		run("and is spared for an hour", ErrNotYet)
		time.Sleep(autoRetry)
		b.policy(closed)
		run("its window is closed", ErrNotYet)
		b.settings(func(s *store.Settings) { s.AutoCleanup = false })
		run("it is switched off", nil)
		b.settings(func(s *store.Settings) { s.AutoCleanup = true })
		warn := store.ActionWarn
		b.policy(store.Policy{Action: &warn})
		run("no policy asks for a cleanup", nil)
		b.policy(cleansUp(24*time.Hour, nil))
		heal()
		b.planned()
		time.Sleep(autoNotice)
		run("it is removed", nil)
		run("nothing is left", nil)
		b.ripe("two", nil)
		b.ripe("are more than one", nil)
		strict := cleansUp(24*time.Hour, nil)
		strict.MaxPerRun = new(1)
		b.policy(strict)
		run("it is held back", ErrNotYet)
	})
}
