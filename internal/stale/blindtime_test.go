package stale

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/tiny-forge/docker-watcher/internal/docker/dockertest"
	"github.com/tiny-forge/docker-watcher/internal/store"
	"github.com/tiny-forge/docker-watcher/internal/store/storetest"
)

func TestBlindWords(t *testing.T) {
	at := func(hours float64) time.Time { return noon.Add(time.Duration(hours * float64(time.Hour))) }
	blind := func(hours ...float64) (list []store.BlindInterval) {
		for i := 0; i+1 < len(hours); i += 2 {
			b := store.BlindInterval{From: at(hours[i]), Reason: blindDown}
			if hours[i+1] != 0 {
				b.To = at(hours[i+1])
			}
			list = append(list, b)
		}
		return list
	}
	for _, c := range []struct {
		name      string
		intervals []store.BlindInterval
		want      string
	}{
		{"none", nil, ""},
		{"before", blind(-5, -1), ""},
		{"after", blind(25, 30), ""},
		{"ends as it begins", blind(-5, 0.0000001), "less than a second"},
		{"one", blind(1, 4), "nobody watched from 2026-11-23 13:00:00 UTC to 2026-11-23 16:00:00 UTC (3 hours in all)"},
		{"two", blind(10, 11, 1, 3), "from 2026-11-23 13:00:00 UTC to 2026-11-23 15:00:00 UTC and from 2026-11-23 22:00:00 UTC to 2026-11-23 23:00:00 UTC (3 hours in all)"},
		{"of two reasons at once", blind(1, 4, 2, 3), "(3 hours in all)"},
		{"that touch", blind(1, 2, 2, 4), "from 2026-11-23 13:00:00 UTC to 2026-11-23 16:00:00 UTC (3 hours in all)"},
		{"only the part within", blind(-5, 2, 22, 30), "(4 hours in all)"},
		{"still open", blind(20, 0), "to 2026-11-24 12:00:00 UTC (4 hours in all)"},
		{"many", blind(1, 2, 3, 4, 5, 6, 7, 8), "nobody watched 4 times between 2026-11-23 13:00:00 UTC and 2026-11-23 20:00:00 UTC (4 hours in all)"},
	} {
		got := BlindWords(c.intervals, at(0), at(24))
		if (got == "") != (c.want == "") || !strings.Contains(got, c.want) {
			t.Errorf("%s: %q, want %q", c.name, got, c.want)
		}
		if got != "" && !strings.HasSuffix(got, "it may have run in between") {
			t.Errorf("%s: %q", c.name, got)
		}
	}
}

// TestBlindEvidence: the engine's own record of the last run leaves no doubt, if it was read after the blind time.
func TestBlindEvidence(t *testing.T) {
	blind := []store.BlindInterval{{From: noon.Add(time.Hour), To: noon.Add(4 * time.Hour)}}
	now := noon.Add(24 * time.Hour)
	exited := store.Instance{
		Status: store.StatusStopped, Class: store.ClassExited, StartedAt: noon.Add(-time.Hour), FinishedAt: noon,
		LastAliveAt: noon, Evidence: store.EvidenceFinishedAt, CheckedAt: now,
	}
	with := func(edit func(*store.Instance)) store.Instance {
		i := exited
		edit(&i)
		return i
	}
	for _, c := range []struct {
		name string
		i    store.Instance
		want string
	}{
		{"exited", exited, "did not run"},
		{"never started", with(func(i *store.Instance) {
			i.Class, i.StartedAt, i.FinishedAt = store.ClassNeverStarted, time.Time{}, time.Time{}
		}), "did not run"},
		{"checked before", with(func(i *store.Instance) { i.CheckedAt = noon }), "may have run"},
		{"could not be asked since", with(func(i *store.Instance) { i.CheckError = "timeout" }), "may have run"},
		{"no end in the record", with(func(i *store.Instance) { i.FinishedAt = time.Time{} }), "may have run"},
		{"a later end than that", with(func(i *store.Instance) { i.FinishedAt = noon.Add(2 * time.Hour) }), "may have run"},
		{"an upper bound", with(func(i *store.Instance) { i.UpperBound = true }), "may have run"},
		{"paused", with(func(i *store.Instance) { i.Class = store.ClassPaused }), "may have run"},
		{"in a crash loop", with(func(i *store.Instance) { i.Class = store.ClassCrashLooping }), "may have run"},
		{"missing", with(func(i *store.Instance) { i.Class = store.ClassMissing }), "may have run"},
		{"engine lost", with(func(i *store.Instance) { i.Class = store.ClassEngineLost }), "may have run"},
		{"running", with(func(i *store.Instance) { i.Status, i.Class = store.StatusRunning, store.ClassNone }), ""},
		{"ended after it", with(func(i *store.Instance) { i.LastAliveAt = noon.Add(5 * time.Hour) }), ""},
	} {
		got := BlindEvidence(c.i, blind, now)
		if (got == "") != (c.want == "") || !strings.Contains(got, c.want) {
			t.Errorf("%s: %q, want %q", c.name, got, c.want)
		}
	}
	open := []store.BlindInterval{{From: noon.Add(time.Hour)}}
	if got := BlindEvidence(exited, open, now); !strings.Contains(got, "may have run") {
		t.Errorf("while it is still blind: %q", got)
	}
}

func (b *scanBed) ledger() []store.BlindInterval {
	b.t.Helper()
	list, err := b.db.BlindIntervals(b.t.Context(), b.host.ID, time.Time{})
	if err != nil {
		b.t.Fatal(err)
	}
	return list
}

// TestBlindLedger: the three sorts of time in which nobody watched are in the ledger, and in the evidence of what became stale
// across one.
func TestBlindLedger(t *testing.T) {
	for _, c := range []struct {
		name   string
		away   func(b *scanBed, d time.Duration)
		reason string
	}{
		{"we were down", func(b *scanBed, d time.Duration) {
			b.stopWatching()
			b.pass(d)
			b.restart()
			b.watch()
		}, blindDown},
		{"the engine was down", func(b *scanBed, d time.Duration) {
			b.engine.Shutdown()
			b.pass(d)
			b.engine.Boot()
			b.pass(2 * time.Minute)
		}, blindUnreachable},
		{"its events could not be heard, and no scan was due", func(b *scanBed, d time.Duration) {
			b.engine.Fail(dockertest.Fault{On: `^GET /events`, Status: 500})
			b.engine.CutEvents()
			b.pass(d)
			b.engine.ClearFaults()
			b.pass(2 * time.Minute)
		}, blindUnreachable},
		{"scans failed", func(b *scanBed, d time.Duration) {
			b.engine.Fail(dockertest.Fault{On: `^GET /containers/json`, Status: 500})
			b.scanBlind()
			b.pass(d)
			b.engine.ClearFaults()
			b.scan()
		}, blindUnreachable},
	} {
		t.Run(c.name, func(t *testing.T) {
			inScanBed(t, dockertest.Options{}, func(t *testing.T, b *scanBed) {
				b.stageThreshold(store.StaleAfter{After: 6 * time.Hour})
				end := time.Now()
				i, _ := b.dead("shop", 0)
				b.watch()
				b.pass(time.Hour)
				from := time.Now()
				c.away(b, 3*time.Hour)
				to := time.Now()
				var found []store.BlindInterval
				var all time.Duration
				for _, l := range b.ledger() {
					if l.To.IsZero() {
						t.Errorf("still open: %+v", l)
					}
					if l.Reason == c.reason {
						found = append(found, l)
						all += l.To.Sub(l.From)
					}
				}
				if all < 3*time.Hour-time.Minute || all > to.Sub(from)+time.Minute {
					t.Fatalf("%s in the ledger of %s: %+v", all, to.Sub(from), b.ledger())
				}
				b.pass(time.Until(end.Add(6*time.Hour + time.Second)))
				b.scan()
				if got := b.get(i); got.StaleSince.IsZero() {
					t.Fatal("it is not stale")
				}
				warned := b.events("instance.stale")
				if len(warned) != 1 || warned[0].Data["blind"] == nil || !strings.Contains(warned[0].Message, "nobody watched from") {
					t.Errorf("warned %+v", warned)
				}
				blind, err := b.newCleaner().BlindTime(t.Context(), []store.InstanceView{b.get(i)})
				if err != nil || len(blind[i.ID]) < len(found) {
					t.Errorf("blind time %+v, %v, want %+v", blind, err, found)
				}
			})
		})
	}
}

// TestShortCutsAreNotBlind: a stream that something between us cuts every hour leaves no trace in the ledger.
func TestShortCutsAreNotBlind(t *testing.T) {
	inScanBed(t, dockertest.Options{}, func(t *testing.T, b *scanBed) {
		b.dead("shop", time.Hour)
		b.watch()
		for range 10 {
			b.pass(time.Hour)
			b.engine.CutEvents()
		}
		b.pass(time.Minute)
		if got := b.ledger(); len(got) != 0 {
			t.Errorf("in the ledger: %+v", got)
		}
	})
}

// TestBlindTime: of those that run there is none.
func TestBlindTime(t *testing.T) {
	inScanBed(t, dockertest.Options{}, func(t *testing.T, b *scanBed) {
		old, _ := b.dead("old", 5*day)
		young, _ := b.dead("young", time.Hour)
		runs, _ := b.run("runs")
		b.scan()
		interval := store.BlindInterval{ID: store.NewID(), HostID: b.host.ID, From: time.Now().Add(-3 * day), To: time.Now().Add(-2 * day), Reason: blindDown}
		storetest.Update(t, b.db, func(ctx context.Context, tx *store.Tx) error { return tx.OpenBlindInterval(ctx, interval) })
		got, err := b.newCleaner().BlindTime(t.Context(), []store.InstanceView{b.get(old), b.get(young), b.get(runs)})
		if err != nil || len(got) != 1 || len(got[old.ID]) != 1 || got[old.ID][0].ID != interval.ID {
			t.Errorf("%+v, %v", got, err)
		}
	})
}
