package proxy

import "fmt"

// Carried is what a server leaves to the one that takes its place, apart from its table: the figures of its rules, and which targets
// do not answer.
type Carried struct {
	Rules   map[string]Counted `json:"rules,omitempty"` // by their ids
	Targets []Ailing           `json:"targets,omitempty"`
}

// Counted are the figures of a rule.
type Counted struct {
	Requests int64 `json:"requests,omitempty"`
	Errors   int64 `json:"errors,omitempty"`
	Last     int64 `json:"last,omitempty"` // unix ms of the newest request
}

// Ailing is a target that its health check has taken out.
type Ailing struct {
	Rule string `json:"rule"`
	Ref  string `json:"ref"`
	URL  string `json:"url"`
	Why  string `json:"why"`
}

// Carry is what the next server has to know. What is asked meanwhile is not in it.
func (s *Server) Carry() Carried {
	c := s.current.Load()
	out := Carried{Rules: make(map[string]Counted, len(c.byID))}
	for id, e := range c.byID {
		out.Rules[id] = Counted{Requests: e.stats.requests.Load(), Errors: e.stats.errors.Load(), Last: e.stats.last.Load()}
	}
	for key, up := range c.targets {
		if !up.down.Load() {
			continue
		}
		a := Ailing{Rule: key.rule, Ref: key.ref, URL: key.url}
		if why := up.trouble.Load(); why != nil {
			a.Why = *why
		}
		out.Targets = append(out.Targets, a)
	}
	return out
}

// Inherit answers by the table of a server whose place this one takes, and goes on from what that knew. It comes before all else.
func (s *Server) Inherit(t Table, from Carried) error {
	s.applying.Lock()
	defer s.applying.Unlock()
	former := s.current.Load()
	next, err := s.compile(t, former)
	if err != nil {
		return fmt.Errorf("use the table of the one before: %w", err)
	}
	for id, figures := range from.Rules {
		if e := next.byID[id]; e != nil {
			e.stats.requests.Store(figures.Requests)
			e.stats.errors.Store(figures.Errors)
			e.stats.last.Store(figures.Last)
		}
	}
	for _, a := range from.Targets {
		if up := next.targets[upstreamKey{a.Rule, a.Ref, a.URL}]; up != nil {
			up.down.Store(true)
			up.trouble.Store(&a.Why)
		}
	}
	s.swap(former, next)
	if err := s.keep(t); err != nil {
		s.log.Error("the table is served, but was not kept for the next start", "error", err)
	}
	return nil
}
