package schedule_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
	_ "time/tzdata" // the test machine may have no zones

	"go.uber.org/goleak"

	"github.com/tiny-forge/docker-watcher/internal/schedule"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// running starts a scheduler in a bubble at the given moment.
func running(t *testing.T, at time.Time) *schedule.Scheduler {
	t.Helper()
	time.Sleep(time.Until(at))
	s := schedule.New(slog.New(slog.DiscardHandler))
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- s.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("Run: %v", err)
		}
	})
	synctest.Wait()
	return s
}

var monday = time.Date(2026, 11, 23, 9, 0, 0, 0, time.UTC)

func TestSpecs(t *testing.T) {
	for _, tt := range []struct {
		spec string
		want string // part of the refusal; empty: accepted
	}{
		{"@every 1h", ""},
		{"@every 10s", ""},
		{"@daily", ""},
		{"30 2 * * *", ""},
		{"  */5   *  * * 1-5 ", ""},
		{"0 0 29 2 *", ""},
		{"", "bad schedule"},
		{"TZ=UTC", "time zone"},
		{"CRON_TZ=Europe/Berlin", "time zone"},
		{"TZ=Europe/Berlin 30 2 * * *", "time zone"},
		{" TZ=", "time zone"},
		{"@every 9s", "shortest"},
		{"@every -1h", "shortest"},
		{"@every 0", "shortest"},
		{"@every soon", "bad schedule"},
		{"@reboot", "bad schedule"},
		{"0 0 30 2 *", "never comes"},
		{"* * * *", "bad schedule"},
		{"* * * * * *", "bad schedule"},
		{"61 * * * *", "bad schedule"},
		{"*/0 * * * *", "bad schedule"},
		{"a b c d e", "bad schedule"},
	} {
		t.Run(tt.spec, func(t *testing.T) {
			s := schedule.New(slog.New(slog.DiscardHandler))
			err := s.Set(schedule.Job{Name: "j", Spec: tt.spec, Run: func(context.Context) error { return nil }})
			_, known := s.Status("j")
			if tt.want == "" {
				if err != nil || !known {
					t.Fatalf("refused: %v", err)
				}
				return
			}
			if !errors.Is(err, schedule.ErrSpec) || !strings.Contains(err.Error(), tt.want) {
				t.Fatalf("error = %v, want %q in it", err, tt.want)
			}
			if known {
				t.Fatal("a refused job was kept")
			}
		})
	}
}

func FuzzSpec(f *testing.F) {
	for _, s := range []string{"@every 1h", "TZ=UTC", "0 0 30 2 *", "*/7 1-3,5 ? JAN MON", "CRON_TZ=", "@every 99999999999h"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, spec string) {
		s := schedule.New(slog.New(slog.DiscardHandler))
		if s.Set(schedule.Job{Name: "j", Spec: spec, Run: func(context.Context) error { return nil }}) == nil {
			if st, _ := s.Status("j"); st.Next.IsZero() {
				t.Fatalf("%q was accepted and never comes", spec)
			}
		}
	})
}

// Acceptance test 30: on a machine whose zone changes its clocks, a daily job runs once a day.
func TestPeer30DSTChangeRunsTheJobOnce(t *testing.T) {
	berlin, err := time.LoadLocation("Europe/Berlin")
	if err != nil {
		t.Fatal(err)
	}
	local := time.Local
	time.Local = berlin
	t.Cleanup(func() { time.Local = local })
	for name, day := range map[string]time.Time{
		"spring": time.Date(2026, 3, 28, 12, 0, 0, 0, time.UTC),  // 02:30 does not exist on the 29th
		"autumn": time.Date(2026, 10, 24, 12, 0, 0, 0, time.UTC), // 02:30 comes twice on the 25th
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := running(t, day)
				var runs []time.Time
				set(t, s, schedule.Job{Name: "daily", Spec: "30 2 * * *", Run: func(context.Context) error {
					runs = append(runs, time.Now().UTC())
					return nil
				}})
				time.Sleep(72 * time.Hour)
				synctest.Wait()
				if len(runs) != 3 {
					t.Fatalf("ran %d times in three days: %v", len(runs), runs)
				}
				for i, at := range runs {
					if want := time.Date(day.Year(), day.Month(), day.Day()+1+i, 2, 30, 0, 0, time.UTC); !at.Equal(want) {
						t.Errorf("run %d at %s, want %s", i, at, want)
					}
				}
			})
		})
	}
}

func set(t *testing.T, s *schedule.Scheduler, j schedule.Job) {
	t.Helper()
	if err := s.Set(j); err != nil {
		t.Fatal(err)
	}
}

func status(t *testing.T, s *schedule.Scheduler, name string) schedule.Status {
	t.Helper()
	st, ok := s.Status(name)
	if !ok {
		t.Fatalf("no job %s", name)
	}
	return st
}

func TestIntervalChangesAtRunTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := running(t, monday)
		var runs atomic.Int32
		job := schedule.Job{Name: "scan", Spec: "@every 24h", Run: func(context.Context) error { runs.Add(1); return nil }}
		set(t, s, job)
		time.Sleep(3 * time.Hour)
		job.Spec = "@every 1h"
		set(t, s, job)
		if next := status(t, s, "scan").Next; !next.Equal(monday.Add(4 * time.Hour)) {
			t.Errorf("next = %s, want one hour from the change", next)
		}
		time.Sleep(30 * time.Minute)
		set(t, s, job) // the same spec again must not push the next run away
		time.Sleep(30*time.Minute + time.Second)
		synctest.Wait()
		if n := runs.Load(); n != 1 {
			t.Fatalf("ran %d times, want once an hour after the change", n)
		}
		job.Spec = "@every 1x"
		if err := s.Set(job); err == nil {
			t.Fatal("a bad spec was taken")
		}
		time.Sleep(time.Hour)
		synctest.Wait()
		if n := runs.Load(); n != 2 {
			t.Fatalf("ran %d times: a refused change must change nothing", n)
		}
	})
}

func TestNeverTwiceAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := running(t, monday)
		var atOnce, most, runs atomic.Int32
		job := schedule.Job{Name: "slow", Spec: "@every 1m", Run: func(ctx context.Context) error {
			most.Store(max(most.Load(), atOnce.Add(1)))
			defer atOnce.Add(-1)
			runs.Add(1)
			select {
			case <-time.After(150 * time.Second):
			case <-ctx.Done():
			}
			return nil
		}}
		set(t, s, job)
		time.Sleep(time.Minute + time.Second)
		synctest.Wait()
		if s.Trigger("slow") {
			t.Error("Trigger started a second run")
		}
		job.Spec = "@every 30s"
		set(t, s, job)
		if !status(t, s, "slow").Running {
			t.Error("the run under way was forgotten by Set")
		}
		time.Sleep(10 * time.Minute)
		synctest.Wait()
		if most.Load() != 1 {
			t.Errorf("%d runs at once", most.Load())
		}
		if runs.Load() < 3 {
			t.Errorf("ran only %d times", runs.Load())
		}
	})
}

func TestPanicDoesNotKillTheJob(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := running(t, monday)
		var runs atomic.Int32
		set(t, s, schedule.Job{Name: "clumsy", Spec: "@every 1m", Run: func(context.Context) error {
			if runs.Add(1) == 1 {
				panic("oops")
			}
			return nil
		}})
		time.Sleep(time.Minute + time.Second)
		synctest.Wait()
		if st := status(t, s, "clumsy"); st.LastError != "panic: oops" || st.Running {
			t.Errorf("status = %+v", st)
		}
		time.Sleep(time.Minute)
		synctest.Wait()
		if st := status(t, s, "clumsy"); runs.Load() != 2 || st.LastError != "" {
			t.Errorf("runs = %d, status = %+v", runs.Load(), st)
		}
	})
}

func TestTimeoutEndsARun(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := running(t, monday)
		set(t, s, schedule.Job{Name: "hung", Spec: "@every 1h", Timeout: time.Minute, Run: func(ctx context.Context) error {
			<-ctx.Done()
			return ctx.Err()
		}})
		if !s.Trigger("hung") {
			t.Fatal("Trigger did not start it")
		}
		time.Sleep(time.Minute + time.Second)
		synctest.Wait()
		if st := status(t, s, "hung"); st.Running || st.LastError != context.DeadlineExceeded.Error() || !st.LastEnd.Equal(monday.Add(time.Minute)) || st.Took != time.Minute {
			t.Errorf("status = %+v", st)
		}
	})
}

func TestOverdue(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := running(t, monday)
		release := make(chan struct{})
		set(t, s, schedule.Job{Name: "scan", Spec: "@every 1h", Run: func(context.Context) error { <-release; return nil }})
		for _, tt := range []struct {
			after time.Duration
			want  bool
		}{
			{30 * time.Minute, false},
			{90 * time.Minute, false},  // runs since an hour
			{125 * time.Minute, false}, // 5 minutes late, within the tenth
			{127 * time.Minute, true},  // hangs: the next run could not start
		} {
			time.Sleep(time.Until(monday.Add(tt.after)))
			synctest.Wait()
			if got := status(t, s, "scan").Overdue; got != tt.want {
				t.Errorf("after %s overdue = %t", tt.after, got)
			}
		}
		close(release)
		time.Sleep(time.Until(monday.Add(181 * time.Minute)))
		synctest.Wait()
		if st := status(t, s, "scan"); st.Overdue || !st.LastStart.Equal(monday.Add(3*time.Hour)) {
			t.Errorf("still overdue after a run: %+v", st)
		}
	})
}

func TestStopWaitsForTheRunUnderWay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		time.Sleep(time.Until(monday))
		s := schedule.New(slog.New(slog.DiscardHandler))
		var ended time.Time
		set(t, s, schedule.Job{Name: "j", Spec: "@every 1h", Run: func(ctx context.Context) error {
			<-ctx.Done()
			time.Sleep(7 * time.Second) // it takes a while to put things away
			ended = time.Now()
			return nil
		}})
		if s.Trigger("j") {
			t.Error("a job ran before Run")
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		go func() {
			time.Sleep(time.Second)
			s.Trigger("j")
		}()
		if err := s.Run(ctx); err != nil {
			t.Fatal(err)
		}
		if want := monday.Add(67 * time.Second); !ended.Equal(want) {
			t.Errorf("Run returned at %s, the job ended at %s", time.Now(), ended)
		}
		if s.Trigger("j") || s.Trigger("unknown") {
			t.Error("Trigger after the end")
		}
	})
}

func TestNextIsInUTC(t *testing.T) {
	s := schedule.New(slog.New(slog.DiscardHandler))
	set(t, s, schedule.Job{Name: "j", Spec: "0 12 * * *", Run: func(context.Context) error { return nil }})
	if next := status(t, s, "j").Next; next.Location() != time.UTC || next.Hour() != 12 {
		t.Errorf("next = %s, want noon UTC", next)
	}
}

func TestFailuresInARow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := running(t, monday)
		var well atomic.Bool
		err := s.Set(schedule.Job{Name: "poll", Spec: "@every 1m", Run: func(context.Context) error {
			if well.Load() {
				return nil
			}
			return errors.New("no room")
		}})
		if err != nil {
			t.Fatal(err)
		}
		for _, step := range []struct {
			after time.Duration
			well  bool
			want  int
			last  string
		}{{time.Second, false, 0, ""}, {3 * time.Minute, false, 3, "no room"}, {time.Minute, true, 0, ""}, {time.Minute, false, 1, "no room"}} {
			well.Store(step.well)
			time.Sleep(step.after)
			synctest.Wait()
			if all := s.All(); len(all) != 1 || all[0].Name != "poll" || all[0].Failures != step.want || all[0].LastError != step.last {
				t.Errorf("after %+v: %+v", step, all)
			}
		}
	})
}

// TestARunThatIsPutOff is no failure of its own, and does not hide one.
func TestARunThatIsPutOff(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := running(t, monday)
		ends := make(chan error, 1)
		err := s.Set(schedule.Job{Name: "backup", Spec: "@every 1m", Run: func(context.Context) error {
			if end := <-ends; end != nil {
				return fmt.Errorf("no backup: %w", end)
			}
			return nil
		}})
		if err != nil {
			t.Fatal(err)
		}
		full := errors.New("no room")
		var tried time.Time
		for _, step := range []struct {
			ends error
			want int
			last string
		}{
			{schedule.ErrPutOff, 0, ""},
			{full, 1, "no backup: no room"},
			{schedule.ErrPutOff, 1, "no backup: no room"},
			{schedule.ErrPutOff, 1, "no backup: no room"},
			{full, 2, "no backup: no room"},
			{nil, 0, ""},
			{schedule.ErrPutOff, 0, ""},
		} {
			ends <- step.ends
			time.Sleep(time.Minute)
			synctest.Wait()
			if !errors.Is(step.ends, schedule.ErrPutOff) {
				tried = time.Now()
			}
			if st := status(t, s, "backup"); st.Failures != step.want || st.LastError != step.last || !st.LastEnd.Equal(tried) || st.Running || st.Overdue {
				t.Errorf("after %v: %+v", step.ends, st)
			}
		}
	})
}
