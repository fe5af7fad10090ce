package logs

import (
	"errors"
	"testing"
	"time"

	"pgregory.net/rapid"
)

func TestPlaceText(t *testing.T) {
	p := Place{Anchor: time.Date(2026, 11, 23, 10, 0, 0, 123456789, time.UTC), N: 3}
	got, err := ParsePlace(p.String())
	if err != nil || got != p {
		t.Errorf("%q is read as %+v, %v", p, got, err)
	}
	if got, err := ParsePlace(""); err != nil || got != (Place{}) || got.String() != "" {
		t.Errorf("the beginning: %+v, %v", got, err)
	}
	for _, text := range []string{"x", "1", "1-", "-1-1", "1-0", "1--1", "0-1", "1-1-1", "99999999999999999999-1", "1-1 "} {
		if p, err := ParsePlace(text); !errors.Is(err, ErrPlace) {
			t.Errorf("%q: %+v, %v", text, p, err)
		}
	}
}

// A log whose reader comes again and again at any place is read once, whatever the times of its lines.
func TestPlaceNeitherLosesNorDoublesALine(t *testing.T) {
	begin := time.Date(2026, 11, 23, 10, 0, 0, 0, time.UTC)
	rapid.Check(t, func(t *rapid.T) {
		// Steps of milliseconds; some lines are as old as the one before, some a little older: the engine stamps two streams.
		var log []time.Time
		at, newest := begin, begin
		for range rapid.IntRange(0, 60).Draw(t, "lines") {
			at = at.Add(time.Duration(rapid.SampledFrom([]int{-400, -1, 0, 0, 0, 1, 2000}).Draw(t, "step")) * time.Millisecond)
			if limit := newest.Add(-margin + 100*time.Millisecond); at.Before(limit) {
				at = limit
			}
			if at.After(newest) {
				newest = at
			}
			log = append(log, at)
		}
		strict := rapid.Bool().Draw(t, "the engine leaves out what is exactly as old as asked for")
		var got []int
		var place Place
		for rounds := 0; len(got) < len(log); rounds++ {
			if rounds > len(log) {
				t.Fatalf("%d lines of %d came", len(got), len(log))
			}
			want := rapid.IntRange(1, 20).Draw(t, "until the connection breaks")
			seek := seek(place)
			since := place.Anchor.Add(-margin)
			for i, at := range log {
				if !place.Anchor.IsZero() && place.N > 0 && (at.Before(since) || strict && at.Equal(since)) {
					continue
				}
				if seek.before(at) {
					continue
				}
				place.pass(at)
				got = append(got, i)
				if want--; want == 0 {
					break
				}
			}
		}
		for i, n := range got {
			if i != n {
				t.Fatalf("line %d came as number %d: %v", n, i, got)
			}
		}
	})
}

// Where the engine has thrown away the lines round the place, what is left begins at once.
func TestPlaceThatIsGone(t *testing.T) {
	begin := time.Date(2026, 11, 23, 10, 0, 0, 0, time.UTC)
	s := seek(Place{Anchor: begin, N: 5})
	for i := 1; i < 4; i++ {
		if s.before(begin.Add(time.Duration(i) * time.Second)) {
			t.Errorf("line %d is passed over", i)
		}
	}
}
