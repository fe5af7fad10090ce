package proxy

import (
	"errors"
	"strings"
	"testing"
)

// secured is a rule with a way to a certificate.
func secured(id, domain, prefix string, tls TLS, certificate string) Rule {
	return Rule{
		ID: id, Kind: KindProxy, Addresses: []Address{{Domain: domain, PathPrefix: prefix}}, Targets: []Target{{Ref: "http://10.0.0.5", URL: "http://10.0.0.5"}},
		Options: Options{TLS: tls, Certificate: certificate},
	}
}

func TestWaysToACertificate(t *testing.T) {
	for name, c := range map[string]struct {
		table Table
		field string // that is wrong; empty: none
	}{
		"off is written or left out":     {Table{Rules: []Rule{secured("a", "a.example.com", "/", "", ""), secured("b", "b.example.com", "/", TLSOff, "")}}, ""},
		"each way":                       {Table{Rules: []Rule{secured("a", "a.example.com", "/", TLSAuto, ""), secured("b", "b.lan", "/", TLSInternal, ""), secured("c", "c.lan", "/", TLSOwn, "mine")}}, ""},
		"an unknown way":                 {Table{Rules: []Rule{secured("a", "a.example.com", "/", "magic", "")}}, "tls"},
		"own without a certificate":      {Table{Rules: []Rule{secured("a", "a.example.com", "/", TLSOwn, "")}}, "certificate"},
		"a certificate for another way":  {Table{Rules: []Rule{secured("a", "a.example.com", "/", TLSAuto, "mine")}}, "certificate"},
		"a name that nobody owns":        {Table{Rules: []Rule{secured("a", "app.localhost", "/", TLSAuto, "")}}, "tls"},
		"an address":                     {Table{Rules: []Rule{secured("a", "10.0.0.7", "/", TLSAuto, "")}}, "tls"},
		"a private authority knows more": {Table{Rules: []Rule{secured("a", "app.internal", "/", TLSAuto, "")}, ACME: ACME{Directory: "https://ca.internal/acme"}}, ""},
		"two ways for one domain":        {Table{Rules: []Rule{secured("a", "a.example.com", "/", TLSAuto, ""), secured("b", "a.example.com", "/api", TLSInternal, "")}}, "tls"},
		"two certificates for one":       {Table{Rules: []Rule{secured("a", "a.example.com", "/", TLSOwn, "x"), secured("b", "a.example.com", "/api", TLSOwn, "y")}}, "tls"},
		"a part of a domain without":     {Table{Rules: []Rule{secured("a", "a.example.com", "/", TLSAuto, ""), secured("b", "a.example.com", "/api", TLSOff, "")}}, ""},
	} {
		err := c.table.Validate(Policy{})
		f, found := errors.AsType[FieldError](err)
		if found != (c.field != "") || f.Field != c.field {
			t.Errorf("%s: %v, want a mistake of %q", name, err, c.field)
		}
		if found && !strings.Contains(err.Error(), "rule "+f.Rule) {
			t.Errorf("%s: it is not said whose: %v", name, err)
		}
	}
}

// TestRulesThatDisagreeAreBothBlamed: either may be the one that was changed, and is told then.
func TestRulesThatDisagreeAreBothBlamed(t *testing.T) {
	err := Table{Rules: []Rule{
		secured("a", "a.example.com", "/", TLSAuto, ""), secured("b", "b.example.com", "/", TLSAuto, ""), secured("c", "a.example.com", "/api", TLSOwn, "mine"), secured("d", "a.example.com", "/off", TLSOff, ""),
	}}.Validate(Policy{})
	blamed := map[string]string{}
	for _, f := range FieldErrors(err) {
		blamed[f.Rule] += f.Field + ": " + f.Reason
	}
	for rule, other := range map[string]string{"a": "the TLS own by rule c", "c": "the TLS auto by rule a"} {
		if !strings.HasPrefix(blamed[rule], "tls: a.example.com has ") || !strings.Contains(blamed[rule], other) {
			t.Errorf("rule %s is told %q, want %s", rule, blamed[rule], other)
		}
	}
	if len(blamed) != 2 {
		t.Errorf("blamed are %v", blamed)
	}
}
