package store

import (
	"errors"
	"slices"
	"testing"

	"pgregory.net/rapid"
)

// book is a table in pages of so many places; some rows are not there any more, and some pages cannot be read.
type book struct {
	page int64
	rows []int64 // where there are some, rising
	bad  map[int64]bool
}

// read fails at the first page that cannot be read: also where it only begins, or ends, there.
func (b book) read(lo, hi int64, most int) (found []placed, err error) {
	at, _ := slices.BinarySearch(b.rows, lo)
	for ; ; at++ {
		last := at == len(b.rows)
		if len(found) == most || !last && b.rows[at] > hi {
			return found, nil
		}
		p := b.rows[len(b.rows)-1] / b.page // the end is on the last page
		if !last {
			p = b.rows[at] / b.page
		}
		if b.bad[p] {
			return found, errors.New("bad page")
		}
		if last {
			return found, nil
		}
		found = append(found, placed{at: b.rows[at]})
	}
}

func TestAWalkLosesNoMoreThanBadPages(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		b := book{page: rapid.Int64Range(1, 40).Draw(t, "page"), bad: map[int64]bool{}}
		at := int64(1)
		for range rapid.IntRange(1, 200).Draw(t, "rows") {
			b.rows = append(b.rows, at)
			at += rapid.SampledFrom([]int64{1, 1, 1, 1, 2, 50, 3000}).Draw(t, "step")
		}
		for _, i := range rapid.SliceOfN(rapid.IntRange(0, len(b.rows)-1), 0, 4).Draw(t, "bad") {
			b.bad[b.rows[i]/b.page] = true
		}
		lastBad := b.bad[b.rows[len(b.rows)-1]/b.page]
		tries := 0
		w := walk{most: 1000, read: func(lo, hi int64, most int) ([]placed, error) { tries++; return b.read(lo, hi, most) }}
		w.all(maxPlace)
		var got, want []int64
		for _, r := range w.rows {
			got = append(got, r.at)
		}
		for _, r := range b.rows {
			if !b.bad[r/b.page] {
				want = append(want, r)
			}
		}
		if !lastBad && !slices.Equal(got, want) { // behind the last good page nothing is found where the end is bad: it may leap over good ones
			t.Fatalf("read %v, want %v", got, want)
		}
		for _, g := range got {
			if !slices.Contains(want, g) {
				t.Fatalf("read %d, which is on a bad page", g)
			}
		}
		if (w.lost != nil) != (len(b.bad) > 0) {
			t.Fatalf("said to be lost: %v", w.lost)
		}
		if tries > 4*mostFailures {
			t.Fatalf("%d reads", tries)
		}
	})
}

// TestAWalkEnds also where every read fails, and where a tree leads back.
func TestAWalkEnds(t *testing.T) {
	all := walk{most: 10, read: func(int64, int64, int) ([]placed, error) { return nil, errors.New("bad") }}
	all.all(maxPlace)
	if all.lost == nil || all.failed > 200 {
		t.Errorf("%d reads failed: %v", all.failed, all.lost)
	}
	back := walk{most: 10, read: func(lo, _ int64, _ int) ([]placed, error) {
		return []placed{{at: lo}, {at: 1}, {at: lo + 1}}, errors.New("bad")
	}}
	back.all(maxPlace)
	if len(back.rows) > 4*back.most || !slices.IsSortedFunc(back.rows, func(a, b placed) int { return int(a.at - b.at) }) {
		t.Errorf("%d rows", len(back.rows))
	}
}
