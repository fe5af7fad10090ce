package store_test

import (
	"context"
	"encoding/base32"
	"encoding/binary"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/tiny-forge/docker-watcher/internal/store"
	"github.com/tiny-forge/docker-watcher/internal/store/storetest"
)

const year = 365 * 24 * time.Hour

// idOf is an id that a clock made which said so.
func idOf(at time.Time) string {
	b := binary.BigEndian.AppendUint64(nil, uint64(at.UnixMilli()))
	return base32.NewEncoding("0123456789abcdefghijklmnopqrstuv").WithPadding(base32.NoPadding).EncodeToString(append(b[2:], 0, 0, 0, 7))
}

// TestIDsGoOnFromTheStore: a deploy that was made while the clock ran ahead is not the newest for ever, also after a start with the right one.
func TestIDsGoOnFromTheStore(t *testing.T) {
	storetest.BothOptions(t, func(t *testing.T, o store.Options) {
		db := storetest.With(t, o)
		s, _ := storetest.Shop(t, db)
		deploy := func(db *store.DB, id, tag string) {
			storetest.Update(t, db, func(ctx context.Context, tx *store.Tx) error {
				return tx.InsertDeploy(ctx, store.Deploy{ID: id, ProjectID: s.ProjectID, StageID: s.ID, HostID: s.HostID, Image: "shop", ImageTag: tag, State: store.DeployDone, CreatedAt: noon})
			})
		}
		deploy(db, idOf(time.Now().Add(year)), "ahead")
		storetest.Instance(t, db, s, func(i *store.Instance) { i.ID, i.Name, i.ContainerID = "vvvvvvvvvvvvvvvv", "of no time", "c2" })
		insertPlan(t, db, store.Plan{ID: "none of ours", State: store.PlanPlanned, CreatedAt: noon, ExpiresAt: noon})
		if err := db.Close(); err != nil {
			t.Fatal(err)
		}
		db = storetest.With(t, o)
		if id := store.NewID(); len(id) != 16 || id > idOf(time.Now().Add(2*year)) {
			t.Errorf("an id that is of no time was followed: %s", id)
		}
		deploy(db, store.NewID(), "right")
		past, err := db.PastDeploys(t.Context(), s.ID, "shop")
		if err != nil || len(past) != 2 || past[0].ImageTag != "right" {
			t.Errorf("newest first: %+v, %v", past, err)
		}
	})
}

// TestDateBack: what is dated ahead is dated now, and nothing else is.
func TestDateBack(t *testing.T) {
	storetest.Both(t, func(t *testing.T, db *store.DB) {
		ctx := t.Context()
		s, right := storetest.Shop(t, db, func(i *store.Instance) { i.CreatedAt = noon.Add(-time.Hour) })
		wrong := storetest.Instance(t, db, s, func(i *store.Instance) { i.Name, i.ContainerID, i.CreatedAt = "wrong", "c2", noon.Add(year) })
		deploy := func(id string, at time.Time) store.Deploy {
			return store.Deploy{ID: id, ProjectID: s.ProjectID, StageID: s.ID, HostID: s.HostID, State: store.DeployFailed, CreatedAt: at, EndedAt: at}
		}
		storetest.Update(t, db, func(ctx context.Context, tx *store.Tx) error {
			for _, d := range []store.Deploy{deploy("d1", noon.Add(-time.Hour)), deploy("d2", noon.Add(year)), deploy("d3", noon.Add(20*time.Hour))} {
				if err := tx.InsertDeploy(ctx, d); err != nil {
					return err
				}
			}
			for id, b := range map[string]store.BlindInterval{
				"b1": {From: noon.Add(-2 * time.Hour), To: noon.Add(-time.Hour)}, "b2": {From: noon.Add(-time.Minute), To: noon.Add(year)}, "b3": {From: noon.Add(year), To: noon.Add(year + time.Hour)},
			} {
				b.ID, b.HostID, b.Reason = id, s.HostID, "down"
				if err := tx.OpenBlindInterval(ctx, b); err != nil {
					return err
				}
			}
			for id, at := range map[string]time.Time{"s1": noon.Add(-time.Minute), "s2": noon.Add(year)} {
				if err := tx.InsertScanRun(ctx, store.ScanRun{ID: id, HostID: s.HostID, StartedAt: at, FinishedAt: at, Outcome: store.ScanOK}); err != nil {
					return err
				}
			}
			if err := tx.Emit(ctx, store.Event{Time: noon.Add(year), Severity: store.SeverityInfo, Source: store.SourceDeployer, Kind: "k", Message: "m"}); err != nil {
				return err
			}
			return tx.DateBack(ctx, s.HostID, noon)
		})
		for i, want := range map[string]time.Time{right.ID: right.CreatedAt, wrong.ID: noon} {
			if v, err := db.Instance(ctx, i); err != nil || !v.CreatedAt.Equal(want) {
				t.Errorf("%s was made at %s, want %s: %v", v.Name, v.CreatedAt, want, err)
			}
		}
		for id, want := range map[string]time.Time{"d1": noon.Add(-time.Hour), "d2": noon, "d3": noon.Add(20 * time.Hour)} {
			if d, err := db.Deploy(ctx, id); err != nil || !d.CreatedAt.Equal(want) || !d.EndedAt.Equal(want) {
				t.Errorf("deploy %s is of %s to %s, want %s: %v", id, d.CreatedAt, d.EndedAt, want, err)
			}
		}
		blind, err := db.BlindDuring(ctx, s.HostID, time.Time{}, time.Time{})
		if err != nil || len(blind) != 3 {
			t.Fatalf("%+v, %v", blind, err)
		}
		for _, b := range blind {
			if b.To.After(noon) || b.From.After(b.To) || b.ID == "b1" && !b.To.Equal(noon.Add(-time.Hour)) {
				t.Errorf("blind from %s to %s", b.From, b.To)
			}
		}
		runs, _, err := db.ScanRuns(ctx, s.HostID, store.Page{})
		if err != nil || len(runs) != 1 || runs[0].ID != "s1" {
			t.Errorf("scans %+v, %v", runs, err)
		}
	})
}

// TestWhetherTheClockIsBehind: the log of a clock that ran ahead once has a long gap; that of one that is behind now goes on beyond it.
func TestWhetherTheClockIsBehind(t *testing.T) {
	const hour, days = time.Hour, 24 * time.Hour
	daily := func(from, to time.Duration) (all []time.Duration) {
		for d := from; d <= to; d += days {
			all = append(all, d)
		}
		return all
	}
	history := daily(-60*days, 0)
	for name, c := range map[string]struct {
		log    []time.Duration // from now
		behind time.Duration   // the newest; zero: it is not
	}{
		"an empty log":                         {nil, 0},
		"all is past":                          {history, 0},
		"a little ahead":                       {append(history, 50*time.Minute), 0},
		"it ran a year ahead for an hour":      {append(history, year, year+hour), 0},
		"and two days":                         {append(history, 2*days, 2*days+hour), 0},
		"a month behind, as at a start":        {daily(-60*days, 30*days), 30 * days},
		"longer behind than the log goes back": {daily(year, year+60*days), year + 60*days},
		"it ran ahead, and events are kept for less than a proof is old": {append(daily(-4*days, 0), year, year+hour), 0},
		"ahead, and nothing to show for before that":                     {[]time.Duration{year, year + hour}, year + hour},
	} {
		t.Run(name, func(t *testing.T) {
			db := storetest.Open(t)
			storetest.Update(t, db, func(ctx context.Context, tx *store.Tx) error {
				for _, d := range c.log {
					if err := tx.Emit(ctx, store.Event{Time: noon.Add(d), Severity: store.SeverityInfo, Source: store.SourceSystem, Kind: "k", Message: "m"}); err != nil {
						return err
					}
				}
				return nil
			})
			want := time.Time{}
			if c.behind != 0 {
				want = noon.Add(c.behind)
			}
			kept := 90 * days
			if strings.Contains(name, "kept for less") {
				kept = 5 * days
			}
			if got, err := db.ClockBehind(t.Context(), kept, noon); err != nil || !got.Equal(want) {
				t.Errorf("behind %s, want %s: %v", got, want, err)
			}
		})
	}
}

// TestPlansThatAreDatedAhead: they wait for nobody, keep no host, and are never applied.
func TestPlansThatAreDatedAhead(t *testing.T) {
	storetest.Both(t, func(t *testing.T, db *store.DB) {
		ctx := t.Context()
		s, i := storetest.Shop(t, db)
		p := store.Plan{
			ID: "p", State: store.PlanPlanned, Automatic: true, CreatedAt: noon.Add(year), ApplyAt: noon.Add(year), ExpiresAt: noon.Add(year + time.Hour),
			Items: []store.PlanItem{{InstanceID: i.ID, HostID: s.HostID}},
		}
		r := store.ReclaimPlan{ID: "r", HostID: s.HostID, State: store.PlanPlanned, CreatedAt: noon.Add(year), ExpiresAt: noon.Add(year + time.Hour)}
		storetest.Update(t, db, func(ctx context.Context, tx *store.Tx) error {
			if err := tx.InsertPlan(ctx, p); err != nil {
				return err
			}
			return tx.InsertReclaimPlan(ctx, r)
		})
		if plans, err := db.AutomaticPlans(ctx, noon); err != nil || len(plans) != 0 {
			t.Errorf("these wait: %+v, %v", plans, err)
		}
		if use, err := db.UseOfHost(ctx, s.HostID, noon); err != nil || use.Plans != 0 {
			t.Errorf("%d plans name the host, %v", use.Plans, err)
		}
		wantErr(t, try(t, db, func(ctx context.Context, tx *store.Tx) error { return tx.ClaimPlan(ctx, p.ID, "user:anna", noon) }), store.ErrConflict)
		wantErr(t, try(t, db, func(ctx context.Context, tx *store.Tx) error {
			return tx.ClaimReclaimPlan(ctx, r.ID, "user:anna", noon)
		}), store.ErrConflict)
		if plans, err := db.AutomaticPlans(ctx, noon.Add(year)); err != nil || len(plans) != 1 {
			t.Errorf("in their time these wait: %+v, %v", plans, err)
		}
	})
}

// TestWhatWasWatchedAndCountedAhead: it gives way to what is written when the clock is right again.
func TestWhatWasWatchedAndCountedAhead(t *testing.T) {
	storetest.Both(t, func(t *testing.T, db *store.DB) {
		ctx := t.Context()
		s, i := storetest.Shop(t, db)
		now := time.Now().UTC().Truncate(time.Millisecond)
		steps := []struct{ said, watched, last time.Time }{
			{now.Add(year), now.Add(year), now.Add(year)},
			{now, now, now},
			{now.Add(-time.Second), now, now}, // never backwards
		}
		for _, step := range steps {
			storetest.Update(t, db, func(ctx context.Context, tx *store.Tx) error {
				if err := tx.SetWatchedUntil(ctx, s.HostID, step.said); err != nil {
					return err
				}
				return tx.AddRequests(ctx, []store.RequestCount{{ID: i.ID, Requests: 1, LastAt: step.said}})
			})
			if h, err := db.Host(ctx, s.HostID); err != nil || !h.WatchedUntil.Equal(step.watched) {
				t.Errorf("watched until %s, want %s: %v", h.WatchedUntil, step.watched, err)
			}
			if c, err := db.RequestCounts(ctx, i.ID); err != nil || !c[i.ID].LastAt.Equal(step.last) {
				t.Errorf("the newest request is of %s, want %s: %v", c[i.ID].LastAt, step.last, err)
			}
		}
	})
}

// TestTagsThatWereCheckedAhead: they are looked for again, and are gone since now.
func TestTagsThatWereCheckedAhead(t *testing.T) {
	storetest.Both(t, func(t *testing.T, db *store.DB) {
		ctx := t.Context()
		s, running := storetest.Shop(t, db, func(i *store.Instance) { i.ImageTag = "pr-1" })
		inst := storetest.Instance(t, db, s, func(i *store.Instance) {
			i.Name, i.ContainerID, i.Status, i.StaleSince, i.TagCheckedAt = "old", "c2", store.StatusStopped, noon, noon.Add(year)
		})
		if tags, err := db.TagsToCheck(ctx, noon.Add(-24*time.Hour), noon, 10); err != nil || !slices.Equal(tags, [][2]string{{inst.Image, inst.ImageTag}}) {
			t.Errorf("to check: %v, %v", tags, err)
		}
		storetest.Update(t, db, func(ctx context.Context, tx *store.Tx) error {
			return tx.InsertDeploy(ctx, store.Deploy{ID: "d", Kind: store.DeployForward, ProjectID: s.ProjectID, StageID: s.ID, HostID: s.HostID, InstanceID: running.ID, State: store.DeployDone, CreatedAt: noon})
		})
		for _, at := range []time.Time{noon.Add(year), noon, noon.Add(time.Hour)} {
			storetest.Update(t, db, func(ctx context.Context, tx *store.Tx) error {
				if err := tx.SetTagChecked(ctx, inst.Image, inst.ImageTag, at, at); err != nil {
					return err
				}
				return tx.NoteTags(ctx, s.ID, running.Image, []string{"another"}, at)
			})
		}
		for _, id := range []string{inst.ID, running.ID} {
			if v, err := db.Instance(ctx, id); err != nil || !v.TagGoneSince.Equal(noon) || !v.TagCheckedAt.Equal(noon.Add(time.Hour)) {
				t.Errorf("%s: gone since %s, checked at %s: %v", v.Name, v.TagGoneSince, v.TagCheckedAt, err)
			}
		}
	})
}
