package proxy

import (
	"net/url"
	"slices"
	"sync/atomic"
	"time"
)

// upstream is one target of one rule, with what is known of it. It outlives the tables that it is in: what is open on it goes on
// when it has left the table.
type upstream struct {
	key upstreamKey
	ref string
	url *url.URL

	open    atomic.Int64 // requests and streams under way
	retired atomic.Bool  // in no table any more
	idle    func()       // called when the last one ends of what has left the table

	down     atomic.Bool  // by its health check
	suspect  atomic.Int64 // unix ms until which it is spared, after it could not be dialled
	misses   atomic.Int64 // dials in a row that did not succeed
	lastGood atomic.Int64 // unix ms of the newest answer, to a client or a check; 0: none yet
	trouble  atomic.Pointer[string]
}

type upstreamKey struct{ rule, ref, url string }

// begin counts a request; end is its end.
func (u *upstream) begin() { u.open.Add(1) }

func (u *upstream) end() {
	if u.open.Add(-1) == 0 && u.retired.Load() {
		u.idle()
	}
}

// The time for which a target is spared that could not be dialled: it doubles with each miss.
const (
	shortestSuspicion = time.Second
	longestSuspicion  = 30 * time.Second
)

// missed notes that it could not be dialled.
func (u *upstream) missed(now time.Time, why string) {
	n := min(u.misses.Add(1), 6)
	wait := min(shortestSuspicion<<(n-1), longestSuspicion)
	u.suspect.Store(now.Add(wait).UnixMilli())
	u.trouble.Store(&why)
}

// answered notes that it lives.
func (u *upstream) answered(now time.Time) {
	u.lastGood.Store(now.UnixMilli())
	if u.misses.Load() != 0 {
		u.misses.Store(0)
		u.suspect.Store(0)
		u.trouble.Store(nil)
	}
}

// unchecked forgets what a health check found, once there is none: why it could not be dialled stays.
func (u *upstream) unchecked() {
	if u.down.Swap(false) && u.misses.Load() == 0 {
		u.trouble.Store(nil)
	}
}

// spared tells that others are better asked now.
func (u *upstream) spared(now time.Time) bool {
	return u.down.Load() || u.suspect.Load() > now.UnixMilli()
}

// choose picks the target with the fewest open requests among those that are well and were not tried. When none is well, the best of
// the others is tried all the same: a wrong verdict must not close a rule. Nil: all were tried. Turn spreads those that are equal.
func choose(list []*upstream, tried []*upstream, turn uint64, now time.Time) *upstream {
	var best *upstream
	bestSpared, bestOpen := true, int64(0)
	for i := range list {
		u := list[(uint64(i)+turn)%uint64(len(list))]
		if slices.Contains(tried, u) {
			continue
		}
		spared, open := u.spared(now), u.open.Load()
		if best == nil || bestSpared && !spared || bestSpared == spared && open < bestOpen {
			best, bestSpared, bestOpen = u, spared, open
		}
	}
	return best
}
