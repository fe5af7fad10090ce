package usage

import (
	"testing"
	"time"
	"unsafe"

	"github.com/tiny-forge/docker-watcher/internal/docker"
)

var began = time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)

func at(seconds int, cpu time.Duration, rx int64) docker.Figures {
	return docker.Figures{Time: began.Add(time.Duration(seconds) * time.Second), CPU: cpu, RxBytes: rx, MemoryBytes: 1 << 20, MemoryLimit: 1 << 30, PIDs: 3}
}

func TestBetween(t *testing.T) {
	r, ok := between(at(0, time.Second, 100), at(10, 6*time.Second, 1100))
	if !ok || r.CPUPercent != 50 || r.RxRate != 100 || r.MemoryBytes != 1<<20 || !r.Time.Equal(began.Add(10*time.Second)) {
		t.Errorf("%+v %v", r, ok)
	}
	for name, pair := range map[string][2]docker.Figures{
		"no time passed":          {at(0, 0, 0), at(0, time.Second, 0)},
		"time went back":          {at(5, 0, 0), at(0, time.Second, 0)},
		"nothing before":          {{}, at(0, time.Second, 0)},
		"started again":           {at(0, time.Minute, 0), at(10, time.Second, 0)},
		"a network began anew":    {at(0, 0, 500), at(10, time.Second, 0)},
		"it does not run":         {at(0, 0, 0), {}},
		"it did not and does not": {{}, {}},
	} {
		if r, ok := between(pair[0], pair[1]); ok {
			t.Errorf("%s: %+v", name, r)
		}
	}
}

func TestSeriesKeepsAnHour(t *testing.T) {
	s := &series{}
	for n := range 4000 { // every two seconds, as while somebody looks
		s.take("a", at(2*n, time.Duration(n)*time.Second, 0), time.Now())
	}
	if n := len(s.samples); n < 220 || n > most {
		t.Errorf("%d samples", n)
	}
	if first, last := s.samples[0].Time(), s.samples[len(s.samples)-1].Time(); last.Sub(first) > Kept || last.Sub(first) < Kept-time.Minute {
		t.Errorf("from %s to %s", first, last)
	}
	for _, p := range s.samples {
		if p.CPUPercent != 50 {
			t.Fatalf("%+v", p)
		}
	}
	if got := unsafe.Sizeof(Sample{}); got > 40 || int(got)*cap(s.samples) > 16<<10 {
		t.Errorf("a sample has %d bytes, %d are held", got, cap(s.samples))
	}
}

func TestSeriesBeginsAnew(t *testing.T) {
	s := &series{}
	s.take("a", at(0, time.Minute, 0), time.Now())
	s.take("a", at(15, 75*time.Second, 0), time.Now())
	s.take("a", at(30, time.Second, 0), time.Now()) // started again
	if r := s.reading(); !r.Time.IsZero() || len(s.samples) != 1 {
		t.Errorf("%+v, %d samples", r, len(s.samples))
	}
	s.take("a", at(45, 2*time.Second, 0), time.Now())
	if r := s.reading(); r.Time.IsZero() || len(s.samples) != 2 {
		t.Errorf("%+v, %d samples", r, len(s.samples))
	}
	s.take("b", at(60, time.Hour, 0), time.Now()) // another container
	if r := s.reading(); !r.Time.IsZero() || len(s.samples) != 2 {
		t.Errorf("%+v, %d samples", r, len(s.samples))
	}
	s.take("b", docker.Figures{}, time.Now()) // it stopped
	s.take("b", at(90, time.Hour, 0), time.Now())
	if r := s.reading(); !r.Time.IsZero() || len(s.samples) != 2 {
		t.Errorf("%+v, %d samples", r, len(s.samples))
	}
}

// An engine whose clock ran ahead, and is right again, is heard at once.
func TestSeriesOfAClockThatRanAhead(t *testing.T) {
	const year = 365 * 24 * 3600
	var s series
	s.take("a", at(year, time.Minute, 0), time.Now())
	s.take("a", at(year+15, 75*time.Second, 0), time.Now())
	s.take("a", at(14, 76*time.Second, 0), time.Now())
	s.take("a", at(10, 76*time.Second, 0), time.Now()) // older by a little is no news
	s.take("a", at(29, 77*time.Second, 0), time.Now())
	if len(s.samples) != 1 || !s.samples[0].Time().Equal(at(29, 0, 0).Time) || !s.last.Time.Equal(at(29, 0, 0).Time) {
		t.Errorf("samples %+v, the last of %s", s.samples, s.last.Time)
	}
}

func TestStep(t *testing.T) {
	for running, want := range map[int]time.Duration{0: 15 * time.Second, 30: 15 * time.Second, 100: 50 * time.Second, 1000: 500 * time.Second} {
		if got := stepFor(running); got != want {
			t.Errorf("%d: %s, want %s", running, got, want)
		}
	}
}
