package store

import (
	"cmp"
	"math"
	"slices"
)

const (
	maxPlace = math.MaxInt64
	// mostFailures is how many reads of one table may fail before what is not read by then is lost.
	mostFailures = 5000
)

// placed is a row and where it is: places rise in the order in which rows are read.
type placed struct {
	at     int64
	values []any
}

// walk reads the rows of a table, round the places that cannot be read.
type walk struct {
	// read reads at most so many rows from lo to hi; with an error, those that came before it. Nothing found is no error.
	read func(lo, hi int64, most int) ([]placed, error)
	most int // enough of them, and one to know that there are more

	rows   []placed
	lost   error // the first
	failed int
}

// gap is a stretch whose first place cannot be read.
type gap struct{ lo, hi int64 }

// all reads from the first place to the last. Behind a place that cannot be read it goes on at the next one that can, which is looked for by steps
// that double and then by halves; what was leapt over so is looked into afterwards.
func (w *walk) all(last int64) {
	var gaps []gap
	for at := int64(0); ; {
		bad, err := w.from(at, last)
		if err == nil || len(w.rows) > w.most {
			break
		}
		next, ok := w.behind(bad, last)
		if !ok {
			break
		}
		gaps = append(gaps, gap{bad, next - 1})
		at = next
	}
	w.within(gaps)
	slices.SortStableFunc(w.rows, func(a, b placed) int { return cmp.Compare(a.at, b.at) })
}

// from reads on from a place, until the end or to one that cannot be read.
func (w *walk) from(lo, hi int64) (bad int64, err error) {
	rows, err := w.read(lo, hi, w.most+1)
	bad = lo
	for _, r := range rows {
		if r.at < bad-1 { // a damaged tree can lead back
			continue
		}
		w.rows = append(w.rows, r)
		bad = max(bad, r.at+1)
	}
	w.note(err)
	return bad, err
}

// behind finds a place that can be read, while the one before cannot.
func (w *walk) behind(bad, last int64) (next int64, ok bool) {
	good := bad
	for step := int64(1); good == bad; step *= 2 {
		at := last
		if step < last-bad {
			at = bad + step
		}
		switch {
		case at <= bad || w.spent():
			return 0, false
		case w.readable(at, last):
			good = at
		default:
			bad, good = at, at
		}
	}
	for good-bad > 1 {
		if mid := bad + (good-bad)/2; w.readable(mid, last) {
			good = mid
		} else {
			bad = mid
		}
	}
	return good, true
}

func (w *walk) readable(at, last int64) bool {
	_, err := w.read(at, last, 1)
	w.note(err)
	return err == nil
}

// within looks for rows in gaps, the large parts first.
func (w *walk) within(gaps []gap) {
	for len(gaps) > 0 && !w.spent() {
		g := gaps[0]
		gaps = gaps[1:]
		if g.lo >= g.hi {
			continue
		}
		mid := g.lo + (g.hi-g.lo)/2 + 1
		if bad, err := w.from(mid, g.hi); err != nil && bad < g.hi {
			gaps = append(gaps, gap{bad, g.hi})
		}
		gaps = append(gaps, gap{g.lo, mid - 1})
	}
}

func (w *walk) note(err error) {
	if err == nil {
		return
	}
	w.failed++
	if w.lost == nil {
		w.lost = err
	}
}

func (w *walk) spent() bool { return w.failed > mostFailures || len(w.rows) > 2*w.most }
