package traefik

import (
	"encoding/json"
	"flag"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/tiny-forge/docker-watcher/internal/proxy"
	"github.com/tiny-forge/docker-watcher/internal/proxy/proxytest"
)

var update = flag.Bool("update", false, "write the golden files anew")

var rule, with = proxytest.Rule, proxytest.With

// full says all that Traefik can do.
func full() proxy.Rule {
	r := with(proxytest.Full(), func(o *proxy.Options) { o.TLS = proxy.TLSAuto })
	r.Targets[1] = proxy.Target{Ref: "https://10.0.0.6/base", URL: "https://10.0.0.6/base"}
	return r
}

func stopped() proxy.Rule {
	r := rule("stopped.example.com")
	r.Targets = []proxy.Target{{Ref: "instance:1", StoppedSince: time.Unix(1, 0)}}
	return r
}

var site = Site{Resolver: "le"}

func several() []proxy.Rule {
	two := rule("a.example.com/x", "http://10.0.0.5")
	two.Addresses = append(two.Addresses, proxy.Address{Domain: "b.example.com", PathPrefix: "/x"}, proxy.Address{Domain: "c.example.com", PathPrefix: "/"})
	return []proxy.Rule{
		full(), stopped(), two,
		with(rule("old.example.com"), func(o *proxy.Options) { o.RedirectTo, o.RedirectCode = "https://new.example.com", 308 }),
		with(rule("page.example.com"), func(o *proxy.Options) { o.RedirectTo = "https://new.example.com/$1" }),
	}
}

// TestTranslation holds what is written against golden files, which a real Traefik has taken (docs/routing.md).
func TestTranslation(t *testing.T) {
	believed := []netip.Prefix{netip.MustParsePrefix("192.168.0.0/16")}
	for name, table := range map[string]proxy.Table{"empty": {}, "several": {Rules: several(), Trusted: believed}} {
		text, err := json.MarshalIndent(Translate(table, site), "", "  ")
		if err != nil {
			t.Fatal(err)
		}
		golden(t, name+".json", string(text)+"\n")
	}
}

func TestLabels(t *testing.T) {
	labels, missing, err := Labels(full(), 3000, nil, site)
	if err != nil {
		t.Fatal(err)
	}
	var b strings.Builder
	for _, l := range labels {
		b.WriteString(l.Name + "=" + l.Value + "\n")
	}
	b.WriteString("missing: " + strings.Join(missing, " ") + "\n")
	golden(t, "labels.txt", b.String())
	if strings.Contains(b.String(), "geheim") || strings.Contains(b.String(), "$2a$") {
		t.Error("labels tell a secret")
	}
	r := full()
	if _, _, err := Labels(r, 3000, nil, site); err != nil || r.Options.BasicAuth[0].Hash == hidden || r.Options.RequestHeaders[0].Value == hidden {
		t.Errorf("the rule itself was changed, %v", err)
	}
	if wrong := Unlabelled(r); len(wrong) != 2 || len(Unlabelled(proxy.Rule{})) != 0 {
		t.Errorf("labels cannot say %v", wrong)
	}
}

func TestWhatLabelsWouldSayOtherwiseIsRefused(t *testing.T) {
	for name, c := range map[string]struct {
		rule  proxy.Rule
		field string
	}{
		"a name with a comma": {with(rule("a.example"), func(o *proxy.Options) { o.BasicAuth = []proxy.Credential{{User: "anna b."}, {User: "a,b"}} }), "basic_auth[1]"},
		"a dot": {with(rule("a.example"), func(o *proxy.Options) {
			o.RequestHeaders = []proxy.Header{{Name: "X-A", Value: "a.b,c"}, {Name: "X.A"}}
		}), "request_headers[1]"},
		"a dot of answers": {with(rule("a.example"), func(o *proxy.Options) { o.ResponseHeaders = []proxy.Header{{Name: "X."}} }), "response_headers[0]"},
		"a path":           {with(rule("a.example/a,b"), func(o *proxy.Options) { o.StripPrefix = true }), "path_prefix"},
	} {
		if wrong := Unlabelled(c.rule); len(wrong) != 1 || wrong[0].Field != c.field || wrong[0].Rule != c.rule.ID || wrong[0].Reason == "" {
			t.Errorf("%s: labels cannot say %v", name, wrong)
		}
	}
	if wrong := Unlabelled(rule("a.example/a,b")); len(wrong) != 0 {
		t.Errorf("a path with a comma that stays: labels cannot say %v", wrong)
	}
}

// TestWhomTargetsAreTrustedBy: what one rule says of that is said of no other to which the same timeouts apply.
func TestWhomTargetsAreTrustedBy(t *testing.T) {
	doc := Translate(proxy.Table{Rules: []proxy.Rule{
		rule("plain.example.com", "https://10.0.0.9"),
		with(rule("own.example.com", "https://10.0.0.9"), func(o *proxy.Options) { o.TargetCA = "PEM" }),
		with(rule("any.example.com", "https://10.0.0.9"), func(o *proxy.Options) { o.TargetUnverified = true }),
	}}, site)
	of := func(service string) Transport {
		return doc.HTTP.Transports[doc.HTTP.Services[service].LoadBalancer.Transport]
	}
	if plain := of("dw-plain-example-com"); plain.InsecureSkipVerify || len(plain.RootCAs) != 0 {
		t.Errorf("a rule that says nothing of it has %+v", plain)
	}
	if own := of("dw-own-example-com"); own.InsecureSkipVerify || len(own.RootCAs) != 1 || own.RootCAs[0] != "PEM" {
		t.Errorf("a rule with an authority has %+v", own)
	}
	if any := of("dw-any-example-com"); !any.InsecureSkipVerify || len(any.RootCAs) != 0 {
		t.Errorf("a rule that takes any has %+v", any)
	}
	for field, o := range map[string]proxy.Options{"target_ca": {TargetCA: "PEM"}, "target_tls_verify": {TargetUnverified: true}} {
		if wrong := Unlabelled(proxy.Rule{Options: o}); len(wrong) != 1 || wrong[0].Field != field {
			t.Errorf("%s: labels cannot say %v", field, wrong)
		}
	}
}

func golden(t *testing.T, name, got string) {
	t.Helper()
	file := filepath.Join("testdata", name)
	if *update {
		if err := os.WriteFile(file, []byte(got), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), got); diff != "" {
		t.Errorf("%s: go test ./internal/traefik -update writes it anew\n%s", file, diff)
	}
}

// TestNothingIsEmpty: Traefik refuses an element without a content, and with it all.
func TestNothingIsEmpty(t *testing.T) {
	text, err := json.Marshal(Translate(proxy.Table{Rules: append(several(), rule("plain.example.com", "http://10.0.0.5"))}, site))
	if err != nil {
		t.Fatal(err)
	}
	var tree any
	if err := json.Unmarshal(text, &tree); err != nil {
		t.Fatal(err)
	}
	for _, at := range empties("", tree) {
		if !strings.Contains(at, "Headers/") { // an empty value takes a header away
			t.Errorf("%s is empty: %s", at, text)
		}
	}
}

func empties(path string, v any) (out []string) {
	switch v := v.(type) {
	case map[string]any:
		for name, one := range v {
			out = append(out, empties(path+"/"+name, one)...)
		}
		if len(v) > 0 {
			return out
		}
	case []any:
		for _, one := range v {
			out = append(out, empties(path, one)...)
		}
		if len(v) > 0 {
			return out
		}
	default:
		if v != nil && v != "" {
			return nil
		}
	}
	return []string{path}
}

func TestEveryOptionIsSaidOrRefused(t *testing.T) {
	proxytest.EveryOption(t, func(r proxy.Rule) string {
		if err := Fits(proxy.Table{Rules: []proxy.Rule{r}}, site); err != nil {
			return "refused"
		}
		out, err := json.Marshal(Translate(proxy.Table{Rules: []proxy.Rule{r}}, site))
		if err != nil {
			t.Fatal(err)
		}
		return string(out)
	})
}

func TestWhatTraefikCannotDoIsRefused(t *testing.T) {
	change := func(f func(*proxy.Options)) proxy.Rule { return with(rule("a.example", "http://10.0.0.5"), f) }
	for name, c := range map[string]struct {
		rule   proxy.Rule
		at     Site
		fields string
	}{
		"all that it can":     {full(), site, ""},
		"no resolver":         {change(func(o *proxy.Options) { o.TLS = proxy.TLSAuto }), Site{}, "tls"},
		"an own certificate":  {change(func(o *proxy.Options) { o.TLS = proxy.TLSOwn }), site, "tls"},
		"our authority":       {change(func(o *proxy.Options) { o.TLS = proxy.TLSInternal }), site, "tls"},
		"denied":              {change(func(o *proxy.Options) { o.DenyIPs = []string{"10.0.0.1"} }), site, "deny_ips"},
		"no websockets":       {change(func(o *proxy.Options) { o.NoWebSockets = true }), site, "websockets"},
		"maintenance":         {change(func(o *proxy.Options) { o.Maintenance = true }), site, "maintenance"},
		"a limit of the body": {change(func(o *proxy.Options) { o.MaxBodyBytes = 1 }), site, "max_body_bytes"},
		"303":                 {change(func(o *proxy.Options) { o.RedirectCode = 303 }), site, "redirect_code"},
		"counts":              {change(func(o *proxy.Options) { o.HealthCheck = &proxy.HealthCheck{Passes: 2, Fails: 2} }), site, "health_check.passes health_check.fails"},
		"HSTS twice": {change(func(o *proxy.Options) {
			o.HSTSSeconds, o.ResponseHeaders = 1, []proxy.Header{{Name: "strict-transport-security"}}
		}), site, "response_headers[0]"},
		"a letter of its rules": {rule("a.example/`", "http://10.0.0.5"), site, "path_prefix"},
		"a letter of its lists": {rule("a.example/║", "http://10.0.0.5"), site, "path_prefix"},
		"names that it reads otherwise": {change(func(o *proxy.Options) {
			o.BasicAuth = []proxy.Credential{{User: "anna b,c"}, {User: "a║b"}, {User: " anna"}, {User: "\u2028anna"}}
		}), site, "basic_auth[1] basic_auth[2] basic_auth[3]"},
		"a path with escapes": {rule("a.example", "http://10.0.0.5/a%20b"), site, "targets[0]"},
		"paths that differ":   {rule("a.example", "http://10.0.0.5/a", "http://10.0.0.6/b"), site, "targets[1]"},
	} {
		t.Run(name, func(t *testing.T) {
			proxytest.Refused(t, c.rule, Fits(proxy.Table{Rules: []proxy.Rule{c.rule}}, c.at), c.fields)
		})
	}
}
