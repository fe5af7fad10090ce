package stale

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/tiny-forge/docker-watcher/internal/docker/dockertest"
	"github.com/tiny-forge/docker-watcher/internal/store"
	"github.com/tiny-forge/docker-watcher/internal/store/storetest"
)

const year = 365 * day

// edit writes facts of a row as a clock that said anything would have.
func (b *scanBed) edit(i store.Instance, change func(*store.Instance)) {
	b.t.Helper()
	storetest.Update(b.t, b.db, func(ctx context.Context, tx *store.Tx) error {
		prev, err := tx.Instance(ctx, i.ID)
		if err != nil {
			return err
		}
		next := prev.Instance
		change(&next)
		return tx.RecordInstance(ctx, prev.Instance, &next, time.Time{})
	})
}

func (b *scanBed) editHost(change func(*store.Host)) {
	b.t.Helper()
	h := b.hostNow()
	change(&h)
	storetest.Update(b.t, b.db, func(ctx context.Context, tx *store.Tx) error { return tx.UpdateHost(ctx, h) })
}

// emitAt puts an event into the log, dated so far from now.
func emitAt(t *testing.T, db *store.DB, all ...time.Duration) {
	t.Helper()
	storetest.Update(t, db, func(ctx context.Context, tx *store.Tx) error {
		for _, d := range all {
			if err := tx.Emit(ctx, store.Event{Time: time.Now().Add(d), Severity: store.SeverityInfo, Source: store.SourceSystem, Kind: "k", Message: "m"}); err != nil {
				return err
			}
		}
		return nil
	})
}

// A warning that was given while the clock ran ahead is given again, and its grace counts from then: it would not end for a year.
func TestAWarningThatIsDatedAhead(t *testing.T) {
	inAutoBed(t, func(t *testing.T, b *autoBed) {
		due, _ := b.plant("due", 30, nil)
		b.warnedAt(due.ID, b.now().Add(year))
		b.live(time.Minute)
		b.wantEvent("instance.stale", due.ID, 1)
		v := b.get(due.ID)
		if v.WarnedAt.After(b.now()) || v.StaleSince.After(b.now()) {
			t.Fatalf("stale since %s, warned at %s", v.StaleSince, v.WarnedAt)
		}
		b.step = 30 * time.Minute
		b.live(23 * time.Hour)
		b.wantThere(due)
		b.step = 5 * time.Minute
		b.live(3 * time.Hour)
		b.wantGone(due)
		b.wantEvent("instance.stale", due.ID, 1)
	})
}

// One that is not stale any more, now that the clock is right, is warned of in its time.
func TestAWarningThatIsDatedAheadOfWhatIsYoung(t *testing.T) {
	inAutoBed(t, func(t *testing.T, b *autoBed) {
		young, _ := b.plant("young", 1, nil)
		b.warnedAt(young.ID, b.now().Add(year))
		b.live(time.Minute)
		if v := b.get(young.ID); !v.StaleSince.IsZero() || !v.WarnedAt.IsZero() {
			t.Errorf("stale since %s, warned at %s", v.StaleSince, v.WarnedAt)
		}
		b.wantEvent("instance.stale", young.ID, 0)
		b.step = 6 * time.Hour
		b.live(7 * day)
		b.wantEvent("instance.stale", young.ID, 1)
	})
}

// Neither a plan that waits for a moment a year ahead, nor one that was called off then, keeps others from being made.
func TestPlansOfAClockThatRanAhead(t *testing.T) {
	inAutoBed(t, func(t *testing.T, b *autoBed) {
		due, _ := b.ripe("due", nil)
		ahead := b.now().Add(year)
		for _, p := range []store.Plan{
			{ID: "waits", State: store.PlanPlanned, ApplyAt: ahead}, {ID: "off", State: store.PlanCancelled, AppliedBy: "user:anna", DoneAt: ahead},
		} {
			p.Automatic, p.CreatedAt, p.CreatedBy, p.ExpiresAt = true, ahead, autoActor, ahead.Add(time.Hour)
			p.Items = []store.PlanItem{{InstanceID: due.ID, HostID: b.host.ID}}
			b.update(func(tx *store.Tx) error { return tx.InsertPlan(t.Context(), p) })
		}
		b.planned()
		b.live(time.Hour)
		b.wantGone(due)
		if _, err := b.cleaner.Apply(t.Context(), "waits", "user:anna", false, nil); !errors.Is(err, ErrPlanExpired) || !strings.Contains(err.Error(), "ran ahead") {
			t.Errorf("the other: %v", err)
		}
	})
}

// What has gone, and what never had a container, were seen for the last time in a year's time: they become stale all the same.
func TestNothingIsAliveInTimesToCome(t *testing.T) {
	inScanBed(t, dockertest.Options{}, func(t *testing.T, b *scanBed) {
		b.run("web") // or else an empty list is not believed
		gone, ct := b.dead("gone", day)
		ct.Remove()
		b.scan()
		never := storetest.Instance(t, b.db, b.stage, func(i *store.Instance) {
			i.Name, i.ContainerID, i.Status, i.CreatedAt, i.LastAliveAt, i.Evidence = "never", "", store.StatusFailed, noon.Add(year), noon.Add(year), store.EvidenceCreatedAt
		})
		b.edit(gone, func(i *store.Instance) { i.LastAliveAt, i.CheckedAt = noon.Add(year), noon.Add(year) })
		b.restart()
		b.scan()
		for _, i := range []store.Instance{gone, never} {
			if v := b.get(i); v.LastAliveAt.After(time.Now()) || v.LastAliveAt.Before(noon) || !v.UpperBound {
				t.Errorf("%s was last alive %s by %s", v.Name, v.LastAliveAt, v.Evidence)
			}
		}
		b.pass(8 * day)
		b.scan()
		b.wantStaleList("gone", "never")
	})
}

// What was looked at in times to come vouches for nothing: one that was paused then may have run since, and counts from now.
func TestALookThatIsDatedAheadVouchesForNothing(t *testing.T) {
	for name, ahead := range map[string]func(b *scanBed, i store.Instance){
		"the row": func(b *scanBed, i store.Instance) {
			b.edit(i, func(i *store.Instance) { i.CheckedAt = noon.Add(year) })
			b.editHost(func(h *store.Host) { h.LastGoodScan = time.Time{} })
		},
		"the last good scan": func(b *scanBed, _ store.Instance) {
			b.editHost(func(h *store.Host) { h.LastGoodScan = noon.Add(year) })
		},
		"the events": func(b *scanBed, _ store.Instance) {
			storetest.Update(b.t, b.db, func(ctx context.Context, tx *store.Tx) error {
				return tx.SetWatchedUntil(ctx, b.host.ID, noon.Add(year))
			})
		},
	} {
		t.Run(name, func(t *testing.T) {
			inScanBed(t, dockertest.Options{}, func(t *testing.T, b *scanBed) {
				inst, ct := b.run("web")
				ct.SetState(dockertest.Paused, 0)
				b.scan()
				b.pass(20 * day)
				ahead(b, inst)
				b.restart()
				b.scan()
				if v := b.get(inst); !v.StaleSince.IsZero() || time.Since(v.LastAliveAt) > time.Minute || v.CheckedAt.After(time.Now()) {
					t.Errorf("stale since %s, last alive %s, looked at %s", v.StaleSince, v.LastAliveAt, v.CheckedAt)
				}
				b.pass(8 * day)
				b.scanner.memory(b.host.ID).doubt()
				b.scan()
				if v := b.get(inst); !v.StaleSince.IsZero() || time.Since(v.LastAliveAt) > time.Minute {
					t.Errorf("what nobody saw for 8 days is taken for its end: stale since %s, last alive %s", v.StaleSince, v.LastAliveAt)
				}
			})
		})
	}
}

func TestBornSince(t *testing.T) {
	for made, want := range map[time.Duration]bool{-time.Hour: false, time.Hour: true, year: false} {
		e := &entry{view: store.InstanceView{Instance: store.Instance{CreatedAt: noon.Add(made)}}}
		if got := e.bornSince(noon, noon.Add(2*time.Hour)); got != want {
			t.Errorf("made %s after the stream began: %t", made, got)
		}
	}
}

// A stream of events that was whole until a year ahead is whole until now, once the clock is right.
func TestAStreamThatWasWholeUntilTimesToCome(t *testing.T) {
	q := newStream("id")
	q.gen = 1
	for _, c := range []struct{ at, now, want time.Time }{
		{noon.Add(year), noon.Add(year), noon.Add(year)},
		{noon, noon, noon},
		{noon.Add(-time.Second), noon, noon},
		{noon.Add(-time.Hour), noon.Add(time.Second), noon}, // of a look that took an hour
	} {
		q.confirm(1, c.at, c.now)
		if _, until := q.wholeUntil(); !until.Equal(c.want) {
			t.Errorf("whole until %s, want %s", until, c.want)
		}
	}
}

// A start with a clock that is a year ahead ends no archive, and one with the right clock does in its time.
func TestNoArchiveExpiresByAClockThatIsAheadAtTheStart(t *testing.T) {
	inUndoBed(t, func(t *testing.T, b *undoBed) {
		emitAt(t, b.db, -10*day, -2*day)
		a := b.removed(b.inst)
		b.cleaner.auto.wall = func() time.Time { return time.Now().Round(0).Add(year) }
		for range 3 {
			if n, err := b.cleaner.ExpireArchives(t.Context()); n != 0 || err != nil {
				t.Fatalf("%d expired, %v", n, err)
			}
			emitAt(t, b.db, year) // what goes on meanwhile proves nothing
			time.Sleep(time.Hour)
		}
		b.wantBack(b.restored(a, Choices{}), b.inst.Name)
	})
}

// An archive ends in its time also where little happens: a process that runs for long vouches for the calendar, and after a start the log does, for as
// long as events are kept.
func TestAnArchiveExpiresWhereLittleHappens(t *testing.T) {
	for name, quiet := range map[string]func(b *undoBed){
		"no event for weeks": func(*undoBed) {},
		"events are kept for five days": func(b *undoBed) {
			b.settings(func(s *store.Settings) { s.EventRetentionDays = 5 })
			b.cleaner.auto.steady = time.Now().Add(-time.Hour) // it was started anew
			emitAt(b.t, b.db, -4*day, -2*day)
		},
	} {
		t.Run(name, func(t *testing.T) {
			inUndoBed(t, func(t *testing.T, b *undoBed) {
				b.removed(b.inst)
				time.Sleep(14*day + 30*time.Minute)
				quiet(b)
				if n, err := b.cleaner.ExpireArchives(t.Context()); n != 1 || err != nil {
					t.Errorf("%d expired, %v", n, err)
				}
			})
		})
	}
}

// An archive of a year ahead ends when the clock has gone as it should for as long as it is to be kept, and never sooner: it may have been made just before,
// and it may be now that is wrong.
func TestAnArchiveThatIsDatedAhead(t *testing.T) {
	inUndoBed(t, func(t *testing.T, b *undoBed) {
		a := b.removed(b.inst)
		b.update(func(tx *store.Tx) error {
			contents, err := tx.ArchiveContents(t.Context(), a.ID)
			if err != nil {
				return err
			}
			a.RemovedAt, a.ExpiresAt = a.RemovedAt.Add(year), a.ExpiresAt.Add(year)
			return errors.Join(tx.DeleteArchive(t.Context(), a.ID), tx.InsertArchive(t.Context(), a, contents))
		})
		expire := func(when string, want int) {
			t.Helper()
			if n, err := b.cleaner.ExpireArchives(t.Context()); n != want || err != nil {
				t.Fatalf("%s: %d expired, %v", when, n, err)
			}
		}
		expire("at the start", 0)
		time.Sleep(14 * day)
		expire("a moment before", 0)
		b.cleaner.auto.wall = func() time.Time { return time.Now().Round(0).Add(-2 * time.Hour) }
		expire("the clock was turned", 0)
		time.Sleep(14*day + 59*time.Minute)
		expire("it counts from then", 0)
		b.cleaner.auto.steady = time.Now()
		time.Sleep(14*day + 59*time.Minute)
		expire("and from a start", 0)
		if all := b.archives(b.inst); len(all) != 1 || all[0].State != store.ArchiveReady {
			t.Fatalf("it can be restored: %+v", all)
		}
		time.Sleep(time.Minute)
		expire("in its time", 1)
	})
}

// A clock that is behind at the start is waited for, and nothing counts from what it says; one that was ahead is not.
func TestAStartWithAClockThatIsBehind(t *testing.T) {
	inScanBed(t, dockertest.Options{}, func(t *testing.T, b *scanBed) {
		old, _ := b.dead("old", 30*day)
		for d := -20 * day; d < 40*day; d += day {
			emitAt(t, b.db, d)
		}
		watched := time.Now().Add(39 * day).UTC().Truncate(time.Millisecond)
		b.editHost(func(h *store.Host) { h.LastGoodScan, h.LastScanAt = watched, watched })
		before := b.get(old)
		if run := b.scanBlind(); !strings.Contains(run.Error, "the event log goes to") {
			t.Errorf("it says %q", run.Error)
		}
		if blind, err := b.db.BlindIntervals(t.Context(), b.host.ID, time.Time{}); err != nil || len(blind) != 1 || !blind[0].From.Equal(watched) {
			t.Errorf("nobody watched since %s, it says %+v, %v", watched, blind, err)
		}
		if after := b.get(old); after.Revision != before.Revision {
			t.Errorf("a row was written: %+v", after)
		}
		b.pass(clockPatience)
		b.scan()
		b.want(old, store.StatusStopped, store.ClassExited, true, time.Time{})
		if blind, err := b.db.BlindIntervals(t.Context(), b.host.ID, time.Time{}); err != nil || len(blind) != 1 || blind[0].From.After(blind[0].To) || blind[0].To.After(time.Now()) {
			t.Errorf("the blind time is over: %+v, %v", blind, err)
		}
		if v := b.get(old); !v.CreatedAt.Equal(before.CreatedAt) {
			t.Errorf("it was dated back to %s", v.CreatedAt)
		}
	})
	inScanBed(t, dockertest.Options{}, func(t *testing.T, b *scanBed) {
		for d := -20 * day; d <= 0; d += day {
			emitAt(t, b.db, d)
		}
		emitAt(t, b.db, year, year+time.Hour)
		b.editHost(func(h *store.Host) { h.LastGoodScan, h.LastScanAt = noon.Add(year), noon.Add(year) })
		inst := b.adopt(b.engine.Run(dockertest.Template{Name: "web", Image: "shop:1.0", Labels: b.labels()}), func(i *store.Instance) { i.CreatedAt = noon.Add(year) })
		b.scan()
		if v := b.get(inst); v.CreatedAt.After(time.Now()) {
			t.Errorf("it is yet to be made, at %s", v.CreatedAt)
		}
	})
	inScanBed(t, dockertest.Options{}, func(t *testing.T, b *scanBed) {
		b.scanner.wall = func() time.Time { return time.Unix(0, 0) }
		b.pass(2 * clockPatience)
		if run := b.scanBlind(); !strings.Contains(run.Error, "1970") {
			t.Errorf("it says %q", run.Error)
		}
	})
}

// A removal, and a container of nobody's, that are dated ahead are told of as leftovers like any other.
func TestLeftoversThatAreDatedAhead(t *testing.T) {
	inScanBed(t, dockertest.Options{}, func(t *testing.T, b *scanBed) {
		b.engine.Add(dockertest.Template{Name: "stray", Image: "shop:1.0", Labels: b.labels(), State: dockertest.Exited, Created: noon.Add(year), Started: noon.Add(year), Finished: noon.Add(year)})
		b.scan()
		left, err := b.db.Leftovers(t.Context(), b.host.ID)
		if err != nil || len(left) != 1 || left[0].Kind != store.LeftoverContainer {
			t.Errorf("%+v, %v", left, err)
		}
	})
}
