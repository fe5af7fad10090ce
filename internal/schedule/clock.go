package schedule

import "time"

// leap is by how much the calendar has to part from what timers go by before that counts.
const leap = time.Minute

// clock notices that the calendar and the timers parted: the machine slept, was paused, or somebody set its clock. What was due meanwhile could not
// come, and timers run as long yet as they had to run before.
type clock struct {
	wall  time.Time     // of the calendar, when both were last taken to agree; zero: never yet
	ran   time.Duration // of the timers, then
	awake time.Time     // when they were last found to have parted; zero: never
}

// look compares both as they are now.
func (c *clock) look(wall time.Time, ran time.Duration) {
	if c.wall.IsZero() {
		c.wall, c.ran = wall, ran
		return
	}
	if (wall.Sub(c.wall) - (ran - c.ran)).Abs() > leap {
		c.wall, c.ran, c.awake = wall, ran, wall
	}
}

// Latest is the last of some moments, but for those that are still to come, as they are when the clock was set back since; now: there is no other.
func Latest(now time.Time, moments ...time.Time) time.Time {
	var last time.Time
	for _, t := range moments {
		if t.After(last) && !t.After(now) {
			last = t
		}
	}
	if last.IsZero() {
		return now
	}
	return last
}

// now is the calendar, after a look at whether it leapt. The lock is held.
func (s *Scheduler) now() time.Time {
	t := time.Now()
	s.clock.look(wall(t), t.Sub(s.made))
	return wall(t)
}

// CatchUp starts the jobs that were due while the machine slept: their timers come late by as long as that. It is to be called every minute or so.
func (s *Scheduler) CatchUp() {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := s.now()
	if s.clock.awake.Equal(s.caughtUp) {
		return
	}
	s.caughtUp = s.clock.awake
	for name, e := range s.jobs {
		if due := e.sched.Next(Latest(now, e.since, e.lastStart)); due.Before(now) && s.start(e) {
			s.log.Info("the clock leapt, a job that was due is run", "job", name, "due", due)
		}
	}
}
