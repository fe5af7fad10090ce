package proxy

import (
	"bytes"
	"net/http/httputil"
	"net/netip"
	"sync/atomic"
	"time"
)

// compiled is a table made ready to answer by. It never changes.
type compiled struct {
	table   Table
	head    []byte // of the table, apart from its rules
	hash    string
	rules   index[*entry]
	byID    map[string]*entry
	targets map[upstreamKey]*upstream
	policy  Policy
}

// entry is a rule made ready.
type entry struct {
	rule      Rule
	text      []byte      // of the rule
	upstreams []*upstream // those that can be reached
	allow     []netip.Prefix
	deny      []netip.Prefix
	stats     *stats
	forward   *httputil.ReverseProxy
	turn      atomic.Uint64
}

// stats are the figures of a rule since the start; they outlive tables.
type stats struct {
	requests atomic.Int64
	errors   atomic.Int64 // answers of 500 and above, and those that never came
	last     atomic.Int64 // unix ms of the newest request; 0: none yet
	open     atomic.Int64
	sum      *total // of all rules of the kind
}

func (s *stats) begin(now time.Time) {
	s.requests.Add(1)
	s.sum.requests.Add(1)
	s.open.Add(1)
	s.last.Store(now.UnixMilli())
}

// fail counts an answer of 500 and above, or one that did not come.
func (s *stats) fail() {
	s.errors.Add(1)
	s.sum.errors.Add(1)
}

// compile makes a table ready. What the former one knows of the same rules and targets is taken over, and a rule that has not changed
// is not made anew: of a thousand mostly one changes.
func (s *Server) compile(t Table, former *compiled) (*compiled, error) {
	head, texts, err := t.texts()
	if err != nil {
		return nil, err
	}
	same := func(n int) *entry {
		old := former.entry(t.Rules[n].ID)
		if old == nil || !bytes.Equal(head, former.head) || !bytes.Equal(texts[n], old.text) {
			return nil
		}
		return old
	}
	if err := t.validate(s.policy, func(n int) bool { return same(n) != nil }); err != nil {
		return nil, err
	}
	policy := t.Policy(s.policy)
	c := &compiled{table: t, head: head, hash: hashOf(head, texts), rules: index[*entry]{}, byID: map[string]*entry{}, targets: map[upstreamKey]*upstream{}, policy: policy}
	for n, r := range t.Rules {
		e := same(n)
		if e == nil {
			if e, err = s.entryOf(c, r, former); err != nil {
				return nil, err
			}
			e.text = texts[n]
		}
		for _, up := range e.upstreams {
			c.targets[up.key] = up
		}
		c.byID[r.ID] = e
		for _, a := range r.Addresses {
			c.rules.add(a, e)
		}
	}
	c.rules.sort()
	return c, nil
}

func (s *Server) entryOf(c *compiled, r Rule, former *compiled) (*entry, error) {
	e := &entry{rule: r, stats: &stats{sum: s.totals.of(r.Kind)}}
	if old := former.entry(r.ID); old != nil {
		e.stats = old.stats
	}
	for _, t := range r.Targets {
		if t.URL == "" {
			continue
		}
		u, err := ParseTarget(t.URL, c.policy)
		if err != nil {
			return nil, err
		}
		key := upstreamKey{r.ID, t.Ref, t.URL}
		up := former.target(key)
		if up == nil {
			up = &upstream{key: key, ref: t.Ref, url: u, idle: s.wake}
		}
		e.upstreams = append(e.upstreams, up)
	}
	e.allow, e.deny = prefixesOf(r.Options.AllowIPs), prefixesOf(r.Options.DenyIPs)
	e.forward = s.forwarder(e)
	return e, nil
}

// prefixesOf reads what was validated.
func prefixesOf(list []string) []netip.Prefix {
	var out []netip.Prefix
	for _, text := range list {
		if p, err := ParsePrefix(text); err == nil {
			out = append(out, p)
		}
	}
	return out
}

func (c *compiled) entry(id string) *entry {
	if c == nil {
		return nil
	}
	return c.byID[id]
}

func (c *compiled) target(key upstreamKey) *upstream {
	if c == nil {
		return nil
	}
	return c.targets[key]
}

// admits tells whether the IP lists let an address in.
func (e *entry) admits(addr netip.Addr) bool {
	if within(e.deny, addr) {
		return false
	}
	return len(e.allow) == 0 || within(e.allow, addr)
}

// stopped is the target that explains why nothing answers: the one that stopped last, else the first that says why.
func (e *entry) stopped() (t Target) {
	for _, other := range e.rule.Targets {
		if other.StoppedSince.After(t.StoppedSince) || t.Ref == "" {
			t = other
		}
	}
	return t
}
