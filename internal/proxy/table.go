// Package proxy is the built-in reverse proxy: a table of rules, checked as a whole, and the server that answers by it.
//
// The table is pure data (Table, Rule, Options): Validate says of every field what is wrong with it, and Policy says which
// addresses nobody may be led to. A Server answers by one compiled table at a time, which Apply swaps whole: a bad table
// changes nothing, requests and streams that are under way go on by the table that they began with, and the last good table is
// kept on disk for the next start. Run checks the health of targets until its context ends; Serve takes the connections. Who knows what a
// rule's target is called (a container, an instance) works out its address before the table comes here.
package proxy

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"net/netip"
	"time"
)

// Kind says whom a rule belongs to.
type Kind string

// The kinds of rules.
const (
	KindRoute Kind = "route" // of a stage
	KindProxy Kind = "proxy" // made by hand
)

// Table is everything that is served, whole.
type Table struct {
	Rules []Rule `json:"rules"`
	// Trusted are the proxies before us whose X-Forwarded headers are believed.
	Trusted []netip.Prefix `json:"trusted_proxies,omitempty"`
	// Refused are addresses that nobody may be led to, beside those of Policy.
	Refused []netip.Prefix `json:"refused_targets,omitempty"`
	// Engines are where engines listen, as host:port, also by name: nobody may be led there either.
	Engines []string `json:"engines,omitempty"`
	// ACME is how certificates of TLSAuto are had.
	ACME ACME `json:"acme,omitzero"`
	// Own are listeners of docker-watcher in other processes than the one that answers.
	Own []netip.AddrPort `json:"own_listeners,omitempty"`
}

// Rule leads some domains, from a path prefix on, to its targets.
type Rule struct {
	ID        string    `json:"id"`
	Kind      Kind      `json:"kind"`
	Addresses []Address `json:"addresses"`
	Targets   []Target  `json:"targets,omitempty"`
	Options   Options   `json:"options"`
}

// Address is a domain and the start of a path: what a rule answers for.
type Address struct {
	Domain     string `json:"domain"`      // as CleanDomain writes it
	PathPrefix string `json:"path_prefix"` // as CleanPrefix writes it
}

func (a Address) String() string {
	if a.PathPrefix == "/" {
		return a.Domain
	}
	return a.Domain + a.PathPrefix
}

// Target is where requests are led to.
type Target struct {
	// Ref is what the target is called by whoever made the rule; it stays when the address changes.
	Ref string `json:"ref"`
	// URL is where it is reached now; empty: nowhere, for the reason in Why.
	URL string `json:"url,omitempty"`
	// Why it cannot be reached, and what to do about it, for the one who runs the proxy: the same words as long as it is the same that is
	// in the way.
	Why    string `json:"why,omitempty"`
	Remedy string `json:"remedy,omitempty"`
	// Detail is what was said of it in particular, such as an error of the engine. It makes no new table.
	Detail string `json:"-"`
	// Gone is that there is nothing any more that would answer, or not yet.
	Gone bool `json:"gone,omitempty"`
	// StoppedSince is since when what would answer does not run; zero: it runs, or nobody knows.
	StoppedSince time.Time `json:"stopped_since,omitzero"`
}

// Hash tells tables apart.
func (t Table) Hash() (string, error) {
	head, rules, err := t.texts(&bytes.Buffer{})
	if err != nil {
		return "", err
	}
	return hashOf(head, rules), nil
}

// texts are the table apart from its rules, and each rule, as JSON. Those of the rules are in a buffer, which is written anew: there are
// thousands of them, and of most nothing is kept.
func (t Table) texts(in *bytes.Buffer) (head []byte, rules [][]byte, err error) {
	apart := t
	apart.Rules = nil
	if head, err = json.Marshal(apart); err != nil {
		return nil, nil, fmt.Errorf("write the table: %w", err)
	}
	in.Reset()
	out, ends := json.NewEncoder(in), make([]int, len(t.Rules))
	for n := range t.Rules {
		if err := out.Encode(&t.Rules[n]); err != nil {
			return nil, nil, fmt.Errorf("write rule %s: %w", t.Rules[n].ID, err)
		}
		ends[n] = in.Len()
	}
	all, begin := in.Bytes(), 0
	rules = make([][]byte, len(ends))
	for n, end := range ends {
		rules[n], begin = all[begin:end-1:end-1], end // without the line break behind it
	}
	return head, rules, nil
}

func hashOf(head []byte, rules [][]byte) string {
	sum := sha256.New()
	sum.Write(head)
	for _, text := range rules {
		sum.Write(text)
	}
	return hex.EncodeToString(sum.Sum(nil)[:8])
}

// ReadTable reads a table as JSON. A field that is not known here is an error: it may be what keeps somebody out.
func ReadTable(text []byte) (t Table, err error) {
	d := json.NewDecoder(bytes.NewReader(text))
	d.DisallowUnknownFields()
	if err := d.Decode(&t); err != nil {
		return Table{}, fmt.Errorf("read a table: %w", err)
	}
	return t, nil
}
