package proxy

import (
	"bytes"
	"net/http"
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
	secured map[string]bool // domains that are served over TLS
	aside   bool            // nobody is to be answered: see StepAside
}

// entry is a rule made ready.
type entry struct {
	rule      Rule
	text      []byte      // of the rule
	upstreams []*upstream // those that can be reached
	allow     []netip.Prefix
	deny      []netip.Prefix
	open      *atomic.Int64 // requests and streams under way; outlives tables
	tally     *tally
	transport *http.Transport
	forward   *httputil.ReverseProxy
	turn      atomic.Uint64
}

// begin counts a request.
func (e *entry) begin(now time.Time) {
	e.open.Add(1)
	e.tally.begin(now)
}

// compile makes a table ready. What the former one knows of the same rules and targets is taken over, and a rule that has not changed
// is not made anew: of a thousand mostly one changes. One table is made ready at a time.
func (s *Server) compile(t Table, former *compiled) (*compiled, error) {
	head, texts, err := t.texts(&s.scratch)
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
	if former != nil && !bytes.Equal(head, former.head) {
		s.transports.renew() // no connection is kept that the policy of now would not let be made
	}
	policy := t.Policy(s.policy)
	c := &compiled{
		table: t, head: head, hash: hashOf(head, texts), policy: policy, rules: make(index[*entry], len(t.Rules)), byID: make(map[string]*entry, len(t.Rules)),
		targets: make(map[upstreamKey]*upstream, len(t.Rules)), secured: map[string]bool{},
	}
	for n, r := range t.Rules {
		e := same(n)
		if e == nil {
			if e, err = s.entryOf(c, r, former); err != nil {
				return nil, err
			}
			e.text = bytes.Clone(texts[n])
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
	for _, w := range t.wants() {
		c.secured[w.Domain] = true
	}
	return c, nil
}

func (s *Server) entryOf(c *compiled, r Rule, former *compiled) (*entry, error) {
	e := &entry{rule: r, open: &atomic.Int64{}, tally: s.tallyOf(r)}
	if old := former.entry(r.ID); old != nil {
		e.open = old.open
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
	e.transport, e.forward = s.transports.of(r.Options), s.forwarder(e)
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
