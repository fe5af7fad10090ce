package poll

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/tiny-forge/docker-watcher/internal/store"
)

const year = 365 * 24 * time.Hour

// A registry that was to be left alone for a day when the clock ran ahead is not left alone until then.
func TestARegistryIsNotLeftAloneForTimesToCome(t *testing.T) {
	b := newBed(t)
	now := time.Now().UTC().Truncate(time.Millisecond)
	refused := func(at time.Time) { b.poller.hold("r", Refused{at.Add(time.Hour), errors.New("429")}, at) }
	refused(now.Add(year))
	if until := b.poller.heldUntil("r", now); !until.IsZero() {
		t.Errorf("it is left alone until %s", until)
	}
	refused(now)
	if until := b.poller.heldUntil("r", now); !until.Equal(now.Add(time.Hour)) {
		t.Errorf("it is left alone until %s, not for an hour", until)
	}
}

// What was asked while the clock ran ahead is old once it is right.
func TestWhatWasAskedAhead(t *testing.T) {
	for ago, want := range map[time.Duration]bool{0: false, 50 * time.Minute: false, 70 * time.Minute: true, -50 * time.Minute: false, -year: true} {
		if got := (age{asked: noon.Add(-ago)}).old(time.Hour, noon); got != want {
			t.Errorf("asked %s ago it is old: %t", ago, got)
		}
	}
}

// An image that says not when it was made, and that was first seen while the clock ran ahead, is as old as if it were seen now.
func TestAnImageThatWasSeenAhead(t *testing.T) {
	b := newBed(t)
	st := b.stage("dev", store.ModeAuto, versions, func(s *store.Stage) { s.MinImageAge = time.Hour })
	b.pushed("1.0.0")
	b.round()
	row := b.row(st)
	row.NewestSeen = row.NewestSeen.Add(year)
	b.update(func(ctx context.Context, tx *store.Tx) error { return tx.SavePoll(ctx, row) })
	b.round()
	if row = b.row(st); row.NewestSeen.After(time.Now()) {
		t.Fatalf("first seen %s", row.NewestSeen)
	}
	row.NewestSeen = row.NewestSeen.Add(-61 * time.Minute)
	b.update(func(ctx context.Context, tx *store.Tx) error { return tx.SavePoll(ctx, row) })
	b.round()
	b.want("dev 1.0.0")
}
