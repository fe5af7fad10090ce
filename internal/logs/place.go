package logs

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"
)

// Place is where somebody stands in a log: after the N-th line from the one that was the first to be as late as Anchor.
// The log only grows at its end, so that this finds the same line again, although many lines may have the same time and
// some are older than the line before them. The zero value is the beginning.
type Place struct {
	Anchor time.Time
	N      int64
}

// ErrPlace is wrapped by what is wrong with the text of a place.
var ErrPlace = errors.New("it is no place in a log")

// String is the text that ParsePlace reads; empty for the beginning.
func (p Place) String() string {
	if p.Anchor.IsZero() {
		return ""
	}
	return strconv.FormatInt(p.Anchor.UnixNano(), 10) + "-" + strconv.FormatInt(p.N, 10)
}

// ParsePlace reads the text of a place.
func ParsePlace(text string) (Place, error) {
	if text == "" {
		return Place{}, nil
	}
	anchor, count, _ := strings.Cut(text, "-")
	ns, err := strconv.ParseInt(anchor, 10, 64)
	n, err2 := strconv.ParseInt(count, 10, 64)
	if err != nil || err2 != nil || ns <= 0 || n <= 0 {
		return Place{}, fmt.Errorf("%w: %q", ErrPlace, text)
	}
	return Place{Anchor: time.Unix(0, ns).UTC(), N: n}, nil
}

// pass moves it behind one more line.
func (p *Place) pass(at time.Time) {
	if at.After(p.Anchor) {
		*p = Place{Anchor: at, N: 1}
		return
	}
	p.N++
}

// margin is how far before the anchor the engine is asked to begin: some leave out what is exactly as old as asked for.
const margin = time.Second

// seeker finds a place again in a log that is read from margin before its anchor.
type seeker struct {
	want   Place
	left   int64 // lines from the anchor on that were passed before
	anchor bool  // it was found
}

func seek(p Place) *seeker { return &seeker{want: p, left: p.N} }

// before tells whether a line lies before the place. Where the anchor is gone (the engine has thrown away the beginning
// of the log) what is left begins after it.
func (s *seeker) before(at time.Time) bool {
	if s.want.Anchor.IsZero() {
		return false
	}
	if !s.anchor {
		if at.Before(s.want.Anchor) {
			return true
		}
		s.anchor = true
		if at.After(s.want.Anchor) {
			s.left = 0
		}
	}
	if s.left == 0 {
		return false
	}
	s.left--
	return true
}
