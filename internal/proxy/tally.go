package proxy

import (
	"sync/atomic"
	"time"
)

// Count is how often requests came by a rule since the figures were taken last.
type Count struct {
	Rule     string    `json:"rule"`           // its id
	Kind     Kind      `json:"kind,omitempty"` // of the rule; empty: one that counted before this was told
	Ref      string    `json:"ref,omitempty"`  // the target of a route by then; empty: of a standalone proxy
	Requests int64     `json:"requests"`
	Errors   int64     `json:"errors"`        // answers of 500 and above, and those that never came
	Last     time.Time `json:"last,omitzero"` // of the newest request; zero: none came, only an error of an earlier one
}

// tally counts the requests of a rule while it leads to one target. Whoever keeps the figures takes them from time to time.
type tally struct {
	requests atomic.Int64
	errors   atomic.Int64
	last     atomic.Int64 // unix ms of the newest request; 0: none
	sum      *total       // of all rules of the kind; set before it is used
	kind     Kind         // guarded by the lock of the server
}

type tallyKey struct{ rule, ref string }

func (t *tally) begin(now time.Time) {
	t.requests.Add(1)
	t.sum.requests.Add(1)
	t.last.Store(now.UnixMilli())
}

// fail counts an answer of 500 and above, or one that never came.
func (t *tally) fail() {
	t.errors.Add(1)
	t.sum.errors.Add(1)
}

// tallyOf is the tally of a rule as it leads now.
func (s *Server) tallyOf(r Rule) *tally {
	key := tallyKey{rule: r.ID}
	if r.Kind == KindRoute && len(r.Targets) == 1 {
		key.ref = r.Targets[0].Ref
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	t := s.tallies[key]
	if t == nil {
		t = &tally{}
		s.tallies[key] = t
	}
	if t.sum == nil { // it is new, or was put back
		t.sum, t.kind = s.totals.of(r.Kind), r.Kind
	}
	return t
}

// TakeCounts takes what was counted since it was taken last: whoever takes it keeps it, or puts it back.
func (s *Server) TakeCounts() []Count {
	s.applying.Lock() // a tally of a table that is about to be in force is no old one
	defer s.applying.Unlock()
	current := s.current.Load()
	s.mu.Lock()
	defer s.mu.Unlock()
	var taken []Count
	for key, t := range s.tallies {
		c := Count{Rule: key.rule, Kind: t.kind, Ref: key.ref, Requests: t.requests.Swap(0), Errors: t.errors.Swap(0)}
		if c.Requests > 0 || c.Errors > 0 {
			c.Last = timeOf(&t.last)
			t.last.Store(0)
			taken = append(taken, c)
		} else if e := current.entry(key.rule); e == nil || e.tally != t {
			delete(s.tallies, key)
		}
	}
	return taken
}

// PendingCounts are the figures that nobody has taken yet.
func (s *Server) PendingCounts() (pending []Count) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for key, t := range s.tallies {
		c := Count{Rule: key.rule, Kind: t.kind, Ref: key.ref, Requests: t.requests.Load(), Errors: t.errors.Load(), Last: timeOf(&t.last)}
		if c.Requests > 0 || c.Errors > 0 {
			pending = append(pending, c)
		}
	}
	return pending
}

// PutBack adds figures again that could not be kept.
func (s *Server) PutBack(counts []Count) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, c := range counts {
		key := tallyKey{c.Rule, c.Ref}
		if s.tallies[key] == nil {
			s.tallies[key] = &tally{kind: c.Kind}
		}
		t := s.tallies[key]
		t.requests.Add(c.Requests)
		t.errors.Add(c.Errors)
		if !c.Last.IsZero() && c.Last.UnixMilli() > t.last.Load() {
			t.last.Store(c.Last.UnixMilli())
		}
	}
}
