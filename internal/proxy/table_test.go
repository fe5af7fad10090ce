package proxy

import (
	"errors"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"
)

func TestDomainsAreWrittenInOneWay(t *testing.T) {
	for text, want := range map[string]string{
		"App.Example.COM": "app.example.com", "app.example.com.": "app.example.com", "bücher.example": "xn--bcher-kva.example", "BÜCHER.example": "xn--bcher-kva.example",
		"xn--bcher-kva.example": "xn--bcher-kva.example", "localhost": "localhost", "10.0.0.7": "10.0.0.7", "[::1]": "::1", "::ffff:10.0.0.7": "10.0.0.7", "faß.de": "xn--fa-hia.de",
	} {
		if got, err := CleanDomain(text); err != nil || got != want {
			t.Errorf("CleanDomain(%q) = %q, %v; want %q", text, got, err, want)
		}
		if got, err := CleanDomain(want); err != nil || got != want {
			t.Errorf("CleanDomain(%q) = %q, %v: it is not stable", want, got, err)
		}
	}
	for _, text := range []string{
		"", " ", ".", "*.example.com", "http://x.example", "x.example/api", "x.example:80", "a b.example", "-a.example", "a..b", "a_b.example", strings.Repeat("a", 64) + ".example",
		strings.Repeat("a.", 130) + "example", "x\x00.example", "fe80::1%eth0", "xn--zzzzzzzz99999.example",
	} {
		if got, err := CleanDomain(text); err == nil {
			t.Errorf("CleanDomain(%q) = %q: it is no domain", text, got)
		}
	}
}

func TestPrefixesAreWrittenInOneWay(t *testing.T) {
	for text, want := range map[string]string{"": "/", "/": "/", "/api/": "/api", "/api//v1": "/api/v1", "/Ä": "/Ä"} {
		if got, err := CleanPrefix(text); err != nil || got != want {
			t.Errorf("CleanPrefix(%q) = %q, %v; want %q", text, got, err, want)
		}
	}
	for _, text := range []string{"api", "/a/../b", "/./a", "/a?b", "/a#b", "/a%20b", "/a*", "/a b", "/a\\b", "/" + strings.Repeat("a", 600), "/\x00"} {
		if got, err := CleanPrefix(text); err == nil {
			t.Errorf("CleanPrefix(%q) = %q: it is no prefix", text, got)
		}
	}
}

func TestAddressesThatNobodyIsLedTo(t *testing.T) {
	p := Policy{
		Own:     []netip.AddrPort{netip.MustParseAddrPort("0.0.0.0:8080"), netip.MustParseAddrPort("10.0.0.1:9090")},
		Engines: []string{"10.0.0.9:2375", "127.0.0.1:2376", "engine.example:2375"},
		Refused: []netip.Prefix{netip.MustParsePrefix("10.66.0.0/16")},
		Local:   func(a netip.Addr) bool { return a == netip.MustParseAddr("192.168.1.5") },
	}
	for _, at := range []string{
		"169.254.169.254:80", "169.254.1.1:3000", "[fe80::1]:80", "[fd00:ec2::254]:80", "100.100.100.200:80", "168.63.129.16:80", "0.0.0.0:80", "[::]:80", "224.0.0.1:80",
		"255.255.255.255:80", "[::ffff:169.254.169.254]:80", "[64:ff9b::a9fe:a9fe]:80", "[2002:a9fe:a9fe::1]:80", "[::a9fe:a9fe]:80", "10.66.1.1:80", "[::ffff:10.66.1.1]:80",
		"127.0.0.1:8080", "127.9.9.9:8080", "[::1]:8080", "192.168.1.5:8080", "10.0.0.1:9090", "10.0.0.9:2375", "[::1]:2376",
	} {
		if err := p.Check(netip.MustParseAddrPort(at)); err == nil {
			t.Errorf("%s is allowed", at)
		}
	}
	if _, err := ParseTarget("http://Engine.example.:2375", p); err == nil {
		t.Error("an engine is allowed by its name")
	}
	for _, at := range []string{"10.0.0.5:80", "172.17.0.2:3000", "192.168.1.5:8081", "127.0.0.1:3000", "127.0.0.1:9090", "[fd12::1]:80", "93.184.216.34:443", "192.168.1.6:8080", "[::1]:3000"} {
		if err := p.Check(netip.MustParseAddrPort(at)); err != nil {
			t.Errorf("%s: %v", at, err)
		}
	}
}

// wrongFields are the fields that are wrong in a table.
func wrongFields(err error) (fields []string) {
	if many, ok := err.(interface{ Unwrap() []error }); ok {
		for _, one := range many.Unwrap() {
			fields = append(fields, wrongFields(one)...)
		}
		return fields
	}
	if f, ok := errors.AsType[FieldError](err); ok {
		return []string{f.Field}
	}
	return nil
}

func TestEachWrongFieldIsNamed(t *testing.T) {
	p := Policy{Own: []netip.AddrPort{netip.MustParseAddrPort("127.0.0.1:8080")}}
	good := func() Rule { return rule("a.example", "http://10.0.0.5:3000") }
	for field, wrong := range map[string][]Rule{
		"domains":               {{ID: "x", Targets: good().Targets}},
		"domains[0]":            {rule("A.example", "http://10.0.0.5"), rule("*.example", "http://10.0.0.5"), rule("", "http://10.0.0.5")},
		"path_prefix":           {good().at("api"), good().at("/api/")},
		"targets":               {rule("a.example"), good().with(func(o *Options) { o.RedirectTo = "https://b.example" })},
		"targets[0]":            {rule("a.example", "ftp://10.0.0.5"), rule("a.example", "10.0.0.5:80"), rule("a.example", "http://u:p@10.0.0.5"), rule("a.example", "http://10.0.0.5/?q"), rule("a.example", "http://10.0.0.5:99999"), rule("a.example", "http://169.254.169.254"), rule("a.example", "http://metadata.google.internal./x"), rule("a.example", "http://127.0.0.1:8080"), rule("a.example", "http://localhost:8080"), rule("a.example", "http://10.0.0.5/a/../b"), rule("a.example", "http://")},
		"targets[1]":            {rule("a.example", "http://10.0.0.5", "http://10.0.0.5")},
		"redirect_to":           {rule("a.example").with(func(o *Options) { o.RedirectTo = "/login" }), rule("a.example").with(func(o *Options) { o.RedirectTo = "javascript:alert(1)" })},
		"redirect_code":         {good().with(func(o *Options) { o.RedirectCode = 200 })},
		"hsts_seconds":          {good().with(func(o *Options) { o.HSTSSeconds = -1 })},
		"request_headers[0]":    {good().with(func(o *Options) { o.RequestHeaders = []Header{{"X y", "1"}} }), good().with(func(o *Options) { o.RequestHeaders = []Header{{"transfer-encoding", "chunked"}} }), good().with(func(o *Options) { o.RequestHeaders = []Header{{"X-A", "1\r\nX-B: 2"}} })},
		"response_headers[0]":   {good().with(func(o *Options) { o.ResponseHeaders = []Header{{"Connection", "close"}} })},
		"basic_auth[0]":         {good().with(func(o *Options) { o.BasicAuth = []Credential{{"anna", "secret"}} })},
		"allow_ips[0]":          {good().with(func(o *Options) { o.AllowIPs = []string{"10.0.0.0/99"} })},
		"deny_ips[0]":           {good().with(func(o *Options) { o.DenyIPs = []string{"everybody"} })},
		"connect_timeout":       {good().with(func(o *Options) { o.ConnectTimeout = Span(time.Hour) })},
		"response_timeout":      {good().with(func(o *Options) { o.ResponseTimeout = -1 })},
		"max_body_bytes":        {good().with(func(o *Options) { o.MaxBodyBytes = -1 })},
		"maintenance_note":      {good().with(func(o *Options) { o.MaintenanceNote = strings.Repeat("x", 501) })},
		"health_check.path":     {good().with(func(o *Options) { o.HealthCheck = &HealthCheck{Path: "healthz"} }), good().with(func(o *Options) { o.HealthCheck = &HealthCheck{Path: "//evil/x"} })},
		"health_check.interval": {good().with(func(o *Options) { o.HealthCheck = &HealthCheck{Path: "/", Interval: 1} })},
		"health_check.fails":    {good().with(func(o *Options) { o.HealthCheck = &HealthCheck{Path: "/", Fails: 1000} })},
	} {
		for i, r := range wrong {
			if got := wrongFields(r.Validate(p)); !slices.Contains(got, field) {
				t.Errorf("%s, case %d: the wrong fields are %q", field, i, got)
			}
		}
	}
	if err := good().with(func(o *Options) {
		o.HealthCheck = &HealthCheck{Path: "/healthz?deep=1"}
		o.RequestHeaders = []Header{{"X-A", "1"}, {"Cookie", ""}}
	}).Validate(p); err != nil {
		t.Errorf("a good rule is refused: %v", err)
	}
}

func TestTwoRulesOfOneAddressAreRefused(t *testing.T) {
	a, b := rule("a.example", "http://10.0.0.5"), rule("a.example", "http://10.0.0.6")
	b.ID = "b"
	err := Table{Rules: []Rule{a, b}}.Validate(Policy{})
	var f FieldError
	if !errors.As(err, &f) || !f.Taken || f.Rule != "b" || f.Field != "domains[0]" {
		t.Errorf("it is %v", err)
	}
	if err := (Table{Rules: []Rule{a, b.at("/api")}}).Validate(Policy{}); err != nil {
		t.Errorf("another path of one domain: %v", err)
	}
}

func TestPathsLeadToTheLongestPrefix(t *testing.T) {
	x := index[string]{}
	for _, a := range []Address{{"a.example", "/"}, {"a.example", "/api"}, {"a.example", "/api/v1"}, {"b.example", "/only"}, {"xn--bcher-kva.example", "/"}, {"::1", "/"}} {
		x.add(a, a.String())
	}
	x.sort()
	for _, c := range []struct{ host, path, want string }{
		{"a.example", "/", "a.example"},
		{"A.Example:8443", "/apix", "a.example"},
		{"a.example.", "/api", "a.example/api"},
		{"a.example.:80", "/api/", "a.example/api"},
		{"a.example", "//api//v1/x", "a.example/api/v1"},
		{"a.example", "/api/v10", "a.example/api"},
		{"a.example", "/API", "a.example"},
		{"b.example", "/only/x", "b.example/only"},
		{"bücher.example", "/x", "xn--bcher-kva.example"},
		{"XN--bcher-kva.example", "/x", "xn--bcher-kva.example"},
		{"[::1]:80", "/", "::1"},
		{"[::1]", "/", "::1"},
		{"b.example", "/", ""},
		{"c.example", "/", ""},
		{"", "/", ""},
		{":80", "/", ""},
		{"a.example/x", "/", ""},
		{"sub.a.example", "/", ""},
		{"a.example:80:80", "/", ""},
	} {
		got, _, ok := x.find(c.host, c.path)
		if got != c.want || ok != (c.want != "") {
			t.Errorf("%s%s leads to %q, want %q", c.host, c.path, got, c.want)
		}
	}
}

func FuzzMatch(f *testing.F) {
	x := index[Address]{}
	for _, a := range []Address{{"a.example", "/"}, {"a.example", "/api"}, {"b.example", "/only"}, {"xn--bcher-kva.example", "/"}, {"10.0.0.7", "/"}} {
		x.add(a, a)
	}
	x.sort()
	for _, seed := range [][2]string{{"a.example:80", "/api/x"}, {"[::1]:80", "/"}, {"bücher.example", "//api"}, {"a.example.", "/only"}, {":", ""}, {"[", "/"}, {"]", "/"}, {"10.0.0.7:1", "/a/b"}} {
		f.Add(seed[0], seed[1])
	}
	f.Fuzz(func(t *testing.T, host, path string) {
		to, prefix, ok := x.find(host, path)
		if !ok {
			return
		}
		if to.PathPrefix != prefix || !below(singleSlashes(path), prefix) {
			t.Errorf("%q%q leads to %v by %q", host, path, to, prefix)
		}
		if clean, err := CleanDomain(to.Domain); err != nil || clean != to.Domain {
			t.Errorf("%q leads to %q, which is no domain", host, to.Domain)
		}
		if again, _, _ := x.find(to.Domain, path); again != to {
			t.Errorf("%q%q leads to %v, its domain to %v", host, path, to, again)
		}
	})
}

func FuzzCleanDomain(f *testing.F) {
	for _, seed := range []string{"a.example", "BÜCHER.de", "xn--a", "[::1]", "1.2.3.4", "a..b", "İ.example", "a\u200d.b"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		clean, err := CleanDomain(text)
		if err != nil {
			return
		}
		if again, err := CleanDomain(clean); err != nil || again != clean {
			t.Errorf("%q is written %q, and that %q (%v)", text, clean, again, err)
		}
		if strings.ContainsAny(clean, "/ \r\n\x00") {
			t.Errorf("%q is written %q", text, clean)
		}
	})
}
