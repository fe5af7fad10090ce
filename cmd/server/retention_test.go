package main

import (
	"log/slog"
	"slices"
	"testing"
	"time"

	"github.com/tiny-forge/docker-watcher/internal/schedule"
	"github.com/tiny-forge/docker-watcher/internal/store"
	"github.com/tiny-forge/docker-watcher/internal/store/storetest"
)

// aged are events that came so many days before now.
func aged(now time.Time, days ...float64) (all []store.Event) {
	for _, d := range days {
		all = append(all, store.Event{
			Time: now.Add(-time.Duration(d * float64(24*time.Hour))), Severity: store.SeverityInfo, Source: store.SourceSystem, Kind: "k", Message: "m",
		})
	}
	return all
}

func emit(t *testing.T, db *store.DB, events ...store.Event) {
	t.Helper()
	if err := db.Update(t.Context(), func(tx *store.Tx) error { return tx.Emit(t.Context(), events...) }); err != nil {
		t.Fatal(err)
	}
}

func steady() schedule.Pace { return schedule.Pace{} }

func TestRetentionDeletesOnlyWhatIsOld(t *testing.T) {
	db := storetest.Open(t)
	now := time.Now().UTC()
	old := aged(now, 91)[0]
	emit(t, db, append(slices.Repeat([]store.Event{old}, 2*retentionBatch+1), aged(now, 89, 10)...)...)
	if err := retention(db, steady, slog.New(slog.DiscardHandler)).Run(t.Context()); err != nil {
		t.Fatal(err)
	}
	left, err := db.EventsAfter(t.Context(), 0, 10)
	if err != nil || len(left) != 2 || !left[0].Time.After(old.Time) {
		t.Errorf("left %+v, %v", left, err)
	}
}

// TestRetentionBesideAWrongClock: what a clock says that is ahead deletes nothing, and no start, nor what a wrong clock wrote, makes it believed.
func TestRetentionBesideAWrongClock(t *testing.T) {
	now := time.Now().UTC()
	leapt := func(ago time.Duration) func() schedule.Pace {
		return func() schedule.Pace { return schedule.Pace{Awake: now.Add(-ago)} }
	}
	for name, tt := range map[string]struct {
		pace   func() schedule.Pace
		keep   int // days; 0: as it is by itself
		events []float64
		want   int // of them left
	}{
		"all days are there":                     {steady, 0, []float64{100, 50, 8, 1, 0}, 4},
		"it leapt a moment ago":                  {leapt(time.Minute), 0, []float64{100, 50, 8, 1, 0}, 5},
		"it leapt before the warm-up":            {leapt(2 * time.Hour), 0, []float64{100, 50, 8, 1, 0}, 4},
		"a start a year ahead":                   {steady, 0, []float64{400, 370, 366, 365}, 4},
		"and its own events":                     {steady, 0, []float64{400, 370, 366, 365, 0, 0}, 6},
		"even of six days":                       {steady, 0, []float64{400, 365, 6, 5, 4, 3, 2, 1}, 8},
		"who claims it for long is believed":     {steady, 0, []float64{400, 365, 7.5, 6, 5, 4, 3, 2, 1}, 7},
		"what is dated ahead proves nothing":     {steady, 0, []float64{400, 365, -100, -365}, 4},
		"events are kept for a day only":         {steady, 1, []float64{3, 2, 0.7, 0.1}, 2},
		"kept for a day, and nothing to show it": {steady, 1, []float64{3, 2, 0.1}, 3},
	} {
		t.Run(name, func(t *testing.T) {
			db := storetest.Open(t)
			if tt.keep > 0 {
				settings, err := db.Settings(t.Context())
				if err != nil {
					t.Fatal(err)
				}
				settings.EventRetentionDays = tt.keep
				if err := db.Update(t.Context(), func(tx *store.Tx) error { return tx.SaveSettings(t.Context(), settings) }); err != nil {
					t.Fatal(err)
				}
			}
			emit(t, db, aged(now, tt.events...)...)
			if err := retention(db, tt.pace, slog.New(slog.DiscardHandler)).Run(t.Context()); err != nil {
				t.Fatal(err)
			}
			left, err := db.EventsAfter(t.Context(), 0, 100)
			if err != nil || len(left) != tt.want {
				t.Errorf("%d are left, want %d: %v", len(left), tt.want, err)
			}
		})
	}
}
