package proxy

import (
	"sync/atomic"
	"time"
)

// Report is how a rule does.
type Report struct {
	Requests    int64 // since the figures were taken last, to where the rule leads now
	Errors      int64 // answers of 500 and above, and those that never came
	Open        int64
	LastRequest time.Time // zero: none since then
	Targets     []TargetReport
	Uncounted   bool // nobody counts its requests, errors and when the last one came
}

// TargetReport is how a target does.
type TargetReport struct {
	Target
	Down       bool   // its health check says so
	Trouble    string // what is wrong with it
	Open       int64
	LastAnswer time.Time // zero: none since it is in the table
	Asked      bool      // somebody tried to reach it since it is in the table
}

// Report tells how a rule of the table in force does; false: it is in none.
func (s *Server) Report(rule string) (Report, bool) {
	c := s.current.Load()
	e := c.entry(rule)
	if e == nil {
		return Report{}, false
	}
	r := Report{Requests: e.tally.requests.Load(), Errors: e.tally.errors.Load(), Open: e.open.Load(), LastRequest: timeOf(&e.tally.last)}
	now := time.Now()
	for _, t := range e.rule.Targets {
		tr := TargetReport{Target: t, Trouble: t.Why}
		if up := c.target(upstreamKey{rule, t.Ref, t.URL}); up != nil {
			tr.Down, tr.Open, tr.LastAnswer = up.spared(now), up.open.Load(), timeOf(&up.lastGood)
			tr.Asked = !tr.LastAnswer.IsZero() || tr.Down || up.misses.Load() > 0
			if why := up.trouble.Load(); why != nil {
				tr.Trouble = *why
			}
		}
		r.Targets = append(r.Targets, tr)
	}
	return r, true
}

func timeOf(ms *atomic.Int64) time.Time {
	if n := ms.Load(); n != 0 {
		return time.UnixMilli(n).UTC()
	}
	return time.Time{}
}
