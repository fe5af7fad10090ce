package schedule_test

import (
	"context"
	"log/slog"
	"testing"
	"testing/synctest"
	"time"

	"github.com/tiny-forge/docker-watcher/internal/schedule"
)

// TestWorkElsewhere: a job that rings in time and well is as well as the work that it asks for; told alone it is well.
func TestWorkElsewhere(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := running(t, monday)
		var asked schedule.Pace
		work := schedule.Work{}
		err := s.Set(schedule.Job{
			Name: "ring", Spec: "@every 1h", Run: func(context.Context) error { return nil },
			Elsewhere: func(p schedule.Pace) schedule.Work { asked = p; return work },
		})
		if err != nil {
			t.Fatal(err)
		}
		time.Sleep(90 * time.Minute)
		st, _ := s.Status("ring")
		if st.Overdue || st.Failures != 0 || st.LastError != "" || !st.LastEnd.Equal(monday.Add(time.Hour)) {
			t.Errorf("all is well, and it says %+v", st)
		}
		if want := (schedule.Pace{Since: monday, Every: time.Hour}); asked != want || st.Pace != want {
			t.Errorf("the pace is said to be %+v and %+v", asked, st.Pace)
		}
		work = schedule.Work{LastEnd: monday, LastError: "no", Failures: 2, Overdue: true}
		st = s.All()[0]
		if !st.Overdue || st.Failures != 2 || st.LastError != "no" || !st.LastEnd.Equal(monday) {
			t.Errorf("the work is late, and it says %+v", st)
		}
		if st = s.Alone()[0]; st.Overdue || st.Failures != 0 || st.LastError != "" || !st.LastEnd.Equal(monday.Add(time.Hour)) {
			t.Errorf("alone it says %+v", st)
		}
	})
}

// TestWorkElsewhereHidesNothing: what is wrong with the job itself is told whatever the work does.
func TestWorkElsewhereHidesNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		time.Sleep(time.Until(monday))
		s := schedule.New(slog.New(slog.DiscardHandler)) // that does not run
		err := s.Set(schedule.Job{Name: "ring", Spec: "@every 1h", Run: func(context.Context) error { return nil }, Elsewhere: func(schedule.Pace) schedule.Work { return schedule.Work{} }})
		if err != nil {
			t.Fatal(err)
		}
		time.Sleep(2 * time.Hour)
		if st, _ := s.Status("ring"); !st.Overdue {
			t.Errorf("it does not run, and says %+v", st)
		}
	})
}
