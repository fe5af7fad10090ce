package proxy

import "fmt"

// Carried is what a server leaves to the one that takes its place, apart from its table: the figures of its rules, and which targets
// do not answer.
type Carried struct {
	Counts  []Count  `json:"counts,omitempty"` // those that nobody has taken yet
	Targets []Ailing `json:"targets,omitempty"`
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
	out := Carried{Counts: s.PendingCounts()}
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
	s.PutBack(from.Counts)
	for _, a := range from.Targets {
		if up := next.targets[upstreamKey{a.Rule, a.Ref, a.URL}]; up != nil {
			up.down.Store(true)
			up.trouble.Store(&a.Why)
		}
	}
	s.swap(former, next)
	if err := s.keep(next); err != nil {
		s.log.Error("the table is served, but was not kept for the next start", "error", err)
	}
	return nil
}
