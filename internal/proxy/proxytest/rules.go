// Package proxytest has rules for the tests of what writes a table for another proxy, and the questions that each such translation is asked:
// whether every option is said or refused, and by which field.
package proxytest

import (
	"encoding/pem"
	"errors"
	"net/http/httptest"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/tiny-forge/docker-watcher/internal/proxy"
)

// Rule leads a domain, from a path on, to targets.
func Rule(at string, targets ...string) proxy.Rule {
	domain, path, _ := strings.Cut(at, "/")
	r := proxy.Rule{ID: at, Kind: proxy.KindProxy, Addresses: []proxy.Address{{Domain: domain, PathPrefix: "/" + path}}}
	for _, t := range targets {
		r.Targets = append(r.Targets, proxy.Target{Ref: t, URL: t})
	}
	return r
}

// With is a rule with other options.
func With(r proxy.Rule, change func(*proxy.Options)) proxy.Rule {
	change(&r.Options)
	return r
}

// Full says all that every proxy can do, to two targets. "geheim" is the value of a header that nobody may read, {1} in it is nothing that
// a proxy may fill in.
func Full() proxy.Rule {
	r := Rule("app.example.com/api", "http://10.0.0.5:3000/base", "http://10.0.0.6:3000/base")
	r.Options = proxy.Options{
		StripPrefix: true, RewriteHost: true, RedirectHTTPS: true, HSTSSeconds: 3600,
		RequestHeaders: []proxy.Header{{Name: "X-Api-Key", Value: "geheim {1}"}, {Name: "Cookie"}}, ResponseHeaders: []proxy.Header{{Name: "Server"}},
		BasicAuth: []proxy.Credential{{User: "anna", Hash: "$2a$10$abcdefghijklmnopqrstuv"}}, AllowIPs: []string{"10.0.0.0/8", "::1"},
		ConnectTimeout: proxy.Span(time.Second), ResponseTimeout: proxy.Span(2 * time.Minute),
		HealthCheck: &proxy.HealthCheck{Path: "/healthz?deep=1", Interval: proxy.Span(time.Minute)},
	}
	return r
}

// EveryOption changes one option of a rule after the other: each changes what is said of the rule, or is refused, which said tells by
// "refused".
func EveryOption(t *testing.T, said func(proxy.Rule) string) {
	t.Helper()
	beside := map[string]proxy.Options{ // options that say something only beside others
		"RedirectCode": {RedirectTo: "https://b.example"}, "MaintenanceNote": {Maintenance: true}, "Certificate": {TLS: proxy.TLSOwn},
	}
	of := func(o proxy.Options) string {
		return said(With(Rule("a.example/api", "https://10.0.0.5"), func(is *proxy.Options) { *is = o }))
	}
	for _, f := range reflect.VisibleFields(reflect.TypeFor[proxy.Options]()) {
		base := beside[f.Name]
		changed := base
		set(t, reflect.ValueOf(&changed).Elem().FieldByIndex(f.Index))
		if f.Name == "TargetCA" {
			changed.TargetCA = authority(t)
		}
		if got := of(changed); got == of(base) && got != "refused" {
			t.Errorf("%s changes nothing and is not refused", f.Name)
		}
	}
}

// authority is a certificate that has signed itself, as PEM.
func authority(t *testing.T) string {
	t.Helper()
	srv := httptest.NewTLSServer(nil)
	defer srv.Close()
	return string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: srv.Certificate().Raw}))
}

// set gives a field a value that is not its zero.
func set(t *testing.T, v reflect.Value) {
	t.Helper()
	switch v.Interface().(type) {
	case bool:
		v.SetBool(true)
	case int, int64, proxy.Span:
		v.SetInt(308)
	case string:
		v.SetString("https://x.example")
	case proxy.TLS:
		v.SetString(string(proxy.TLSAuto))
	case []string:
		v.Set(reflect.ValueOf([]string{"10.0.0.0/8"}))
	case []proxy.Header:
		v.Set(reflect.ValueOf([]proxy.Header{{Name: "X-A", Value: "1"}}))
	case []proxy.Credential:
		v.Set(reflect.ValueOf([]proxy.Credential{{User: "anna", Hash: "x"}}))
	case *proxy.HealthCheck:
		v.Set(reflect.ValueOf(&proxy.HealthCheck{Path: "/"}))
	default:
		t.Fatalf("an option of a kind that nobody sets here: %s", v.Type())
	}
}

// Refused wants exactly these fields of a rule to be refused, in this order, each with a reason.
func Refused(t *testing.T, r proxy.Rule, got []error, want string) {
	t.Helper()
	var fields []string
	for _, err := range got {
		f, ok := errors.AsType[proxy.FieldError](err)
		if !ok || f.Rule != r.ID || f.Reason == "" {
			t.Errorf("it is refused by %v", err)
		}
		fields = append(fields, f.Field)
	}
	if got := strings.Join(fields, " "); got != want {
		t.Errorf("refused are %q, want %q", got, want)
	}
}
