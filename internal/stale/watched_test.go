package stale

import (
	"testing"
	"time"

	"github.com/tiny-forge/docker-watcher/internal/docker/dockertest"
	"github.com/tiny-forge/docker-watcher/internal/store"
)

// A daemon that was away for seconds, long after its last scan, has not missed what it watched until then.
func TestShortRestartForgetsNothing(t *testing.T) {
	inScanBed(t, dockertest.Options{}, func(t *testing.T, b *scanBed) {
		paused, ct := b.run("paused")
		b.watch()
		b.pass(time.Hour)
		ct.Pause()
		frozen := time.Now()
		b.settle()
		b.pass(8 * day) // no scan in all that time
		b.restart()
		b.pass(5 * time.Second)
		b.watch()
		v := b.want(paused, store.StatusPaused, store.ClassPaused, true, frozen)
		if v.UpperBound {
			t.Error("five seconds away made the moment of the pause an upper bound")
		}
		if down := b.down(); down.To.Sub(down.From) > 15*time.Second {
			t.Errorf("down from %s to %s: it was watched until seconds before", down.From, down.To)
		}
	})
}

// A daemon that was killed knows until its last note, not until its last scan.
func TestLongAbsenceIsDoubted(t *testing.T) {
	inScanBed(t, dockertest.Options{}, func(t *testing.T, b *scanBed) {
		paused, ct := b.run("paused")
		b.watch()
		ct.Pause()
		b.settle()
		b.pass(8 * day)
		b.restart()
		left := time.Now()
		b.pass(10 * time.Minute)
		ct.Unpause()
		b.pass(time.Minute)
		ct.Pause()
		b.pass(time.Minute)
		b.watch()
		if v := b.get(paused); !v.StaleSince.IsZero() || !v.UpperBound || v.LastAliveAt.Before(left) {
			t.Errorf("it ran while nobody watched, and is stale since %s, last alive %s", v.StaleSince, v.LastAliveAt)
		}
		if down := b.down(); down.From.Before(left.Add(-15*time.Second)) || down.To.Sub(down.From) < 12*time.Minute {
			t.Errorf("down from %s to %s, left at %s", down.From, down.To, left)
		}
	})
}

// What was told but could not be written is not vouched for.
func TestUnwrittenEventsAreNotVouchedFor(t *testing.T) {
	inScanBed(t, dockertest.Options{}, func(t *testing.T, b *scanBed) {
		inst, ct := b.run("web")
		b.watch()
		b.pass(time.Hour)
		before := b.watchedUntil()
		b.pass(time.Hour)
		if !b.watchedUntil().After(before) {
			t.Errorf("still watched until %s only", before)
		}
		b.engine.CutEvents()
		b.engine.Fail(dockertest.Fault{On: `^GET /events`, Status: 500})
		b.engine.Fail(dockertest.Fault{On: `^GET /containers/` + inst.ContainerID, Status: 500})
		b.pass(time.Minute)
		cut := b.watchedUntil()
		ct.Exit(0)
		b.pass(time.Hour)
		if got := b.watchedUntil(); !got.Equal(cut) {
			t.Errorf("watched until %s, though the stream is down since %s", got, cut)
		}
	})
}

func (b *scanBed) watchedUntil() time.Time {
	b.t.Helper()
	h, err := b.db.Host(b.t.Context(), b.host.ID)
	if err != nil {
		b.t.Fatal(err)
	}
	return h.WatchedUntil
}

// down is the newest stretch in which nobody watched.
func (b *scanBed) down() (last store.BlindInterval) {
	b.t.Helper()
	intervals, err := b.db.BlindIntervals(b.t.Context(), b.host.ID, time.Time{})
	if err != nil {
		b.t.Fatal(err)
	}
	for _, i := range intervals {
		if i.Reason == blindDown && i.From.After(last.From) {
			last = i
		}
	}
	if last.ID == "" {
		b.t.Error("no time of being down is in the ledger")
	}
	return last
}
