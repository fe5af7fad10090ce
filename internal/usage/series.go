package usage

import (
	"time"

	"github.com/tiny-forge/docker-watcher/internal/docker"
)

const (
	// Kept is how far back samples go.
	Kept = time.Hour
	// shortest is the time between two samples of an instance, a little less where engines' clocks round.
	shortest = 15 * time.Second
	rounding = time.Second
	// most samples of an instance, whatever the clocks do.
	most = int(Kept/(shortest-rounding)) + 1
)

// series is what is known of one instance.
type series struct {
	container  string
	prev, last docker.Figures // the two newest
	taken      time.Time      // when the newest came, by our clock
	base       docker.Figures // of the newest sample
	samples    []Sample
}

// reading is of the two newest figures; without a time where there are none of one run.
func (s *series) reading() Reading {
	r, _ := between(s.prev, s.last)
	return r
}

// take notes new figures. Those of another container begin anew; the past stays.
func (s *series) take(container string, f docker.Figures, now time.Time) {
	if s.container != container {
		s.container, s.last, s.base = container, docker.Figures{}, docker.Figures{}
	}
	if f.Time.Before(s.last.Time.Add(-Kept)) && !f.Time.IsZero() { // the engine's clock ran ahead: what it said would count as newer until then
		s.last, s.base, s.samples = docker.Figures{}, docker.Figures{}, nil
	}
	s.taken = now
	if !f.Time.IsZero() && !f.Time.After(s.last.Time) {
		return // the engine has no newer ones
	}
	s.prev, s.last = s.last, f
	if f.Time.IsZero() {
		s.base = f
		return
	}
	s.keep(f)
}

// keep adds a sample when one is due.
func (s *series) keep(f docker.Figures) {
	r, ok := between(s.base, f)
	if !ok {
		s.base = f
		return
	}
	if f.Time.Sub(s.base.Time) < shortest-rounding {
		return
	}
	s.base = f
	s.samples = append(s.samples, sampleOf(r))
	s.trim(f.Time)
}

// trim lets go of what is older than an hour, and of what is too much.
func (s *series) trim(now time.Time) {
	old := max(0, len(s.samples)-most)
	for old < len(s.samples) && now.Sub(s.samples[old].Time()) > Kept {
		old++
	}
	if old > 0 {
		s.samples = append(s.samples[:0], s.samples[old:]...)
	}
}
