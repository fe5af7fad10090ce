package schedule

import (
	"context"
	"log/slog"
	"testing"
	"testing/synctest"
	"time"
)

func TestClock(t *testing.T) {
	noon := time.Date(2026, 11, 30, 12, 0, 0, 0, time.UTC)
	type reading struct{ wall, ran time.Duration }
	for name, tt := range map[string]struct {
		readings []reading
		want     time.Duration // when it leapt; negative: never
	}{
		"they agree":               {[]reading{{0, 0}, {time.Minute, time.Minute}, {30 * time.Hour, 30 * time.Hour}}, -1},
		"the first reading":        {[]reading{{time.Hour, 0}}, -1},
		"the clock is corrected":   {[]reading{{0, 0}, {time.Minute + 50*time.Second, time.Minute}, {2 * time.Minute, 2 * time.Minute}}, -1},
		"the machine slept":        {[]reading{{0, 0}, {8 * time.Hour, time.Minute}, {9 * time.Hour, time.Hour + time.Minute}}, 8 * time.Hour},
		"it slept twice":           {[]reading{{0, 0}, {8 * time.Hour, time.Minute}, {9 * time.Hour, 2 * time.Minute}}, 9 * time.Hour},
		"it slept often, not long": {[]reading{{0, 0}, {time.Minute, 20 * time.Second}, {2 * time.Minute, 40 * time.Second}, {150 * time.Second, 70 * time.Second}}, 2 * time.Minute},
		"the clock is set back":    {[]reading{{2 * time.Hour, 0}, {time.Hour, time.Minute}}, time.Hour},
	} {
		var c clock
		for _, r := range tt.readings {
			c.look(noon.Add(r.wall), r.ran)
		}
		want := noon.Add(tt.want)
		if tt.want < 0 {
			want = time.Time{}
		}
		if !c.awake.Equal(want) {
			t.Errorf("%s: it leapt at %s, want %s", name, c.awake, want)
		}
	}
}

func TestLatest(t *testing.T) {
	now := time.Date(2026, 11, 30, 12, 0, 0, 0, time.UTC)
	if got := Latest(now, now.Add(-time.Hour), time.Time{}, now.Add(-time.Minute), now.Add(time.Second)); !got.Equal(now.Add(-time.Minute)) {
		t.Errorf("it is %s", got)
	}
	if got := Latest(now, time.Time{}, now.Add(time.Hour)); !got.Equal(now) {
		t.Errorf("of none it is %s", got)
	}
}

// TestAMachineThatSleeps: nothing is late by what a machine slept, what was due is run when it is awake, and what does not come then is late.
func TestAMachineThatSleeps(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		time.Sleep(time.Until(time.Date(2026, 11, 30, 9, 0, 0, 0, time.UTC)))
		s := New(slog.New(slog.DiscardHandler))
		var ran []string
		for name, spec := range map[string]string{"hourly": "@every 1h", "nightly": "17 3 * * *", "weekly": "0 0 * * 0"} {
			if err := s.Set(Job{Name: name, Spec: spec, Run: func(context.Context) error { return nil }}); err != nil {
				t.Fatal(err)
			}
		}
		s.setLaunch(func(e *entry) { ran = append(ran, e.job.Name) }) // by hand: its timers do not come
		late := func() (all []string) {
			for _, st := range s.All() {
				if st.Overdue {
					all = append(all, st.Name)
				}
			}
			return all
		}
		s.CatchUp()
		time.Sleep(24 * time.Hour)
		s.clock.ran += 24 * time.Hour // as if no timer had gone on meanwhile
		awake := wall(time.Now())
		if got := late(); len(got) != 0 {
			t.Errorf("late by what it slept: %v", got)
		}
		if st, _ := s.Status("hourly"); !st.Pace.Awake.Equal(awake) {
			t.Errorf("it is awake since %s, want %s", st.Pace.Awake, awake)
		}
		if len(ran) != 0 {
			t.Errorf("a look has run %v", ran)
		}
		s.CatchUp()
		s.CatchUp()
		if len(ran) != 2 || ran[0] == ran[1] || ran[0] == "weekly" || ran[1] == "weekly" {
			t.Errorf("once awake it ran %v", ran)
		}
		time.Sleep(2 * time.Hour) // in which nothing comes
		s.CatchUp()
		if got := late(); len(got) != 1 || got[0] != "hourly" {
			t.Errorf("late after two hours that it was awake: %v", got)
		}
		if len(ran) != 2 {
			t.Errorf("what was late without a leap was run: %v", ran)
		}
	})
}
