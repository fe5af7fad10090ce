package api

import (
	"context"
	"slices"
	"time"

	"github.com/tiny-forge/docker-watcher/internal/store"
)

type blindSpanJSON struct {
	From   stamp  `json:"from"`
	To     moment `json:"to" doc:"null: still blind"`
	Reason string `json:"reason"`
}

// blindSpansOf shows the stretches of an instance's age in which nobody watched, and how long they are together.
func blindSpansOf(intervals []store.BlindInterval, from, now time.Time) (spans []blindSpanJSON, seconds int64) {
	for _, b := range intervals {
		spans = append(spans, blindSpanJSON{From: stamp(b.From), To: moment(b.To), Reason: b.Reason})
	}
	return spans, int64(covered(intervals, from, now).Seconds())
}

// covered is how much of from..to lies in intervals, however they overlap.
func covered(intervals []store.BlindInterval, from, to time.Time) time.Duration {
	var sum time.Duration
	reached := from
	for _, b := range slices.SortedFunc(slices.Values(intervals), func(a, b store.BlindInterval) int { return a.From.Compare(b.From) }) {
		begin, end := later(b.From, reached), to
		if !b.To.IsZero() {
			end = earlier(b.To, to)
		}
		if begin.Before(end) {
			sum += end.Sub(begin)
			reached = end
		}
	}
	return sum
}

func earlier(a, b time.Time) time.Time {
	if b.Before(a) {
		return b
	}
	return a
}

func later(a, b time.Time) time.Time {
	if b.After(a) {
		return b
	}
	return a
}

type blindLedgerJSON struct {
	From     stamp            `json:"from" doc:"as asked, but not before the host was known"`
	To       stamp            `json:"to"`
	Seconds  int64            `json:"seconds" doc:"blind in all, overlaps counted once"`
	ByReason map[string]int64 `json:"by_reason" doc:"seconds of each reason"`
	Items    []blindEntryJSON `json:"items" nullable:"false" doc:"newest first"`
}

type blindEntryJSON struct {
	From    stamp  `json:"from"`
	To      moment `json:"to" doc:"null: still blind"`
	Reason  string `json:"reason"`
	Detail  string `json:"detail,omitempty"`
	Seconds int64  `json:"seconds" doc:"within from and to of the ledger"`
}

type blindLedgerIn struct {
	ByID
	Since time.Time `query:"since" doc:"absent: 30 days before until"`
	Until time.Time `query:"until" doc:"absent: now"`
}

// blindLedger tells all the time in which a host could not be judged.
func (s *server) blindLedger(ctx context.Context, in *blindLedgerIn) (*out[blindLedgerJSON], error) {
	h, err := s.d.DB.Host(ctx, in.ID)
	if err != nil {
		return nil, err
	}
	now := time.Now()
	until := in.Until
	if until.IsZero() || until.After(now) {
		until = now
	}
	since := in.Since
	if since.IsZero() {
		since = until.Add(-blindShown)
	}
	if !since.Before(until) {
		return nil, invalid("query.since", "it must lie before until, and in the past")
	}
	// Before it was known nobody watched it, and nothing of it was judged.
	since = later(since, earlier(h.CreatedAt, until))
	intervals, err := s.d.DB.BlindDuring(ctx, h.ID, since, until)
	if err != nil {
		return nil, err
	}
	return answer(blindLedgerOf(intervals, since, until)), nil
}

func blindLedgerOf(intervals []store.BlindInterval, since, until time.Time) blindLedgerJSON {
	l := blindLedgerJSON{
		From: stamp(since), To: stamp(until), Seconds: int64(covered(intervals, since, until).Seconds()),
		ByReason: map[string]int64{}, Items: make([]blindEntryJSON, 0, len(intervals)),
	}
	byReason := map[string][]store.BlindInterval{}
	for _, b := range slices.SortedStableFunc(slices.Values(intervals), func(a, b store.BlindInterval) int { return b.From.Compare(a.From) }) {
		byReason[b.Reason] = append(byReason[b.Reason], b)
		l.Items = append(l.Items, blindEntryJSON{
			From: stamp(b.From), To: moment(b.To), Reason: b.Reason, Detail: b.Detail,
			Seconds: int64(covered([]store.BlindInterval{b}, since, until).Seconds()),
		})
	}
	for reason, of := range byReason {
		l.ByReason[reason] = int64(covered(of, since, until).Seconds())
	}
	return l
}

func blindOf(b store.BlindInterval) blindJSON {
	return blindJSON{From: stamp(b.From), To: moment(b.To), Reason: b.Reason, Detail: b.Detail}
}
