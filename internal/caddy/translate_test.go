package caddy

import (
	"encoding/json"
	"flag"
	"net/netip"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/tiny-forge/docker-watcher/internal/proxy"
)

var update = flag.Bool("update", false, "write the golden files anew")

func full() proxy.Rule {
	return with(rule("app.example.com/api", "http://10.0.0.5:3000/base", "http://10.0.0.6:3000/base"), func(o *proxy.Options) {
		*o = proxy.Options{
			StripPrefix: true, RewriteHost: true, NoWebSockets: true, RedirectHTTPS: true, HSTSSeconds: 3600,
			RequestHeaders: []proxy.Header{{Name: "X-A", Value: "{1}"}, {Name: "Cookie"}}, ResponseHeaders: []proxy.Header{{Name: "Server"}},
			BasicAuth: []proxy.Credential{{User: "anna", Hash: "$2a$10$abcdefghijklmnopqrstuv"}}, AllowIPs: []string{"10.0.0.0/8"}, DenyIPs: []string{"10.0.0.7"},
			ConnectTimeout: proxy.Span(time.Second), ResponseTimeout: proxy.Span(2 * time.Minute), MaxBodyBytes: 1000,
			HealthCheck: &proxy.HealthCheck{Path: "/healthz?deep=1", Interval: proxy.Span(time.Minute)},
		}
	})
}

// TestTranslation holds what is written against golden files.
func TestTranslation(t *testing.T) {
	believed := []netip.Prefix{netip.MustParsePrefix("192.168.0.0/16")}
	secure := with(rule("tls.example.com", "https://app.internal"), func(o *proxy.Options) { o.TLS = proxy.TLSAuto })
	for name, c := range map[string]struct {
		table proxy.Table
		at    Site
		can   Abilities
		kept  []string
	}{
		"empty":    {proxy.Table{}, Site{Listen: ":80"}, All, nil},
		"full":     {proxy.Table{Rules: []proxy.Rule{full()}}, Site{Listen: ":80"}, All, nil},
		"old":      {proxy.Table{Rules: []proxy.Rule{full()}}, Site{Listen: ":80"}, Abilities{}, nil},
		"existing": {proxy.Table{Rules: []proxy.Rule{secure, rule("plain.example.com/x", "http://10.0.0.5")}, Trusted: believed}, Site{Server: "srv0"}, All, []string{"10.0.0.9:80"}},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := json.MarshalIndent(Translate(c.table, c.at, c.can, c.kept), "", "  ")
			if err != nil {
				t.Fatal(err)
			}
			got = append(got, '\n')
			file := filepath.Join("testdata", name+".json")
			if *update {
				if err := os.WriteFile(file, got, 0o600); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(string(want), string(got)); diff != "" {
				t.Errorf("%s: go test ./internal/caddy -run Translation -update writes it anew\n%s", file, diff)
			}
		})
	}
}

// TestEveryOptionIsSaidOrRefused changes one option of a rule after the other: each changes what is written, or is refused.
func TestEveryOptionIsSaidOrRefused(t *testing.T) {
	site := Site{Listen: ":80"}
	text := func(o proxy.Options) string {
		r := rule("a.example/api", "https://10.0.0.5")
		r.Options = o
		if err := Fits(proxy.Table{Rules: []proxy.Rule{r}}, site, All); err != nil {
			return "refused"
		}
		out, err := json.Marshal(Translate(proxy.Table{Rules: []proxy.Rule{r}}, site, All, nil))
		if err != nil {
			t.Fatal(err)
		}
		return string(out)
	}
	with := map[string]proxy.Options{ // options that say something only beside others
		"RedirectCode": {RedirectTo: "https://b.example"}, "MaintenanceNote": {Maintenance: true}, "Certificate": {TLS: proxy.TLSOwn},
	}
	for _, f := range reflect.VisibleFields(reflect.TypeFor[proxy.Options]()) {
		base := with[f.Name]
		changed := base
		set(t, reflect.ValueOf(&changed).Elem().FieldByIndex(f.Index))
		if f.Name == "TargetCA" {
			_, changed.TargetCA = selfSigned(t)
		}
		if got := text(changed); got == text(base) && got != "refused" {
			t.Errorf("%s changes nothing in Caddy and is not refused", f.Name)
		}
	}
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

func TestWhatCaddyCannotDoIsRefused(t *testing.T) {
	change := func(f func(*proxy.Options)) proxy.Rule { return with(rule("a.example", "http://10.0.0.5"), f) }
	own, theirs := Site{Listen: ":80"}, Site{Server: "srv0"}
	believed := []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8")}
	local := rule("a.localhost", "http://10.0.0.5")
	local.Options.TLS = proxy.TLSInternal
	for name, c := range map[string]struct {
		rule    proxy.Rule
		at      Site
		can     Abilities
		trusted []netip.Prefix
		fields  string
	}{
		"all of it":               {full(), own, All, nil, ""},
		"TLS of our own server":   {change(func(o *proxy.Options) { o.TLS = proxy.TLSAuto }), own, All, nil, "tls"},
		"TLS of theirs":           {change(func(o *proxy.Options) { o.TLS = proxy.TLSAuto }), theirs, All, nil, ""},
		"an own certificate":      {change(func(o *proxy.Options) { o.TLS, o.Certificate = proxy.TLSOwn, "x" }), theirs, All, nil, "tls"},
		"our authority":           {change(func(o *proxy.Options) { o.TLS = proxy.TLSInternal }), theirs, All, nil, "tls"},
		"its authority":           {local, theirs, All, nil, ""},
		"lists behind a proxy":    {change(func(o *proxy.Options) { o.AllowIPs, o.DenyIPs = []string{"10.0.0.1"}, []string{"10.0.0.2"} }), own, All, believed, "allow_ips deny_ips"},
		"lists":                   {change(func(o *proxy.Options) { o.AllowIPs = []string{"10.0.0.1"} }), own, All, nil, ""},
		"braces in a path":        {rule("a.example/{env.HOME}", "http://10.0.0.5"), own, All, nil, "path_prefix"},
		"braces in a name":        {change(func(o *proxy.Options) { o.BasicAuth = []proxy.Credential{{User: "{env.HOME}"}} }), own, All, nil, "basic_auth[0]"},
		"braces in a target":      {rule("a.example", "http://10.0.0.5/{env.HOME}"), own, All, nil, "targets[0]"},
		"braces in a check":       {change(func(o *proxy.Options) { o.HealthCheck = &proxy.HealthCheck{Path: "/{env.HOME}"} }), own, All, nil, "health_check.path"},
		"a star in a header":      {change(func(o *proxy.Options) { o.RequestHeaders = []proxy.Header{{Name: "X-*"}} }), own, All, nil, "request_headers[0]"},
		"a backslash in a header": {change(func(o *proxy.Options) { o.ResponseHeaders = []proxy.Header{{Name: "X", Value: `\{`}} }), own, All, nil, "response_headers[0]"},
		"HSTS twice": {change(func(o *proxy.Options) {
			o.HSTSSeconds, o.ResponseHeaders = 1, []proxy.Header{{Name: "strict-transport-security"}}
		}), own, All, nil, "response_headers[0]"},
		"IPv6 to https":             {with(rule("::1", "http://10.0.0.5"), func(o *proxy.Options) { o.RedirectHTTPS = true }), own, All, nil, "redirect_https"},
		"its admin API":             {rule("a.example", "http://localhost:2019"), Site{Admin: "127.0.0.1:2019"}, All, nil, "targets[0]"},
		"beside its admin API":      {rule("a.example", "http://localhost:2018"), Site{Admin: "127.0.0.1:2019"}, All, nil, ""},
		"http and https":            {rule("a.example", "http://10.0.0.5", "https://10.0.0.6"), own, All, nil, "targets[1]"},
		"paths that differ":         {rule("a.example", "http://10.0.0.5/a", "http://10.0.0.6/b"), own, All, nil, "targets[1]"},
		"the same path":             {rule("a.example", "http://10.0.0.5/a", "http://10.0.0.6/a/"), own, All, nil, ""},
		"counts of an old Caddy":    {change(func(o *proxy.Options) { o.HealthCheck = &proxy.HealthCheck{Path: "/", Passes: 2, Fails: 3} }), own, Abilities{}, nil, "health_check.passes health_check.fails"},
		"no counts of an old Caddy": {change(func(o *proxy.Options) { o.HealthCheck = &proxy.HealthCheck{Path: "/", Passes: 1} }), own, Abilities{}, nil, ""},
	} {
		var fields []string
		for _, err := range Fits(proxy.Table{Rules: []proxy.Rule{c.rule}, Trusted: c.trusted}, c.at, c.can) {
			f, ok := err.(proxy.FieldError) //nolint:errorlint // as it is made
			if !ok || f.Rule != c.rule.ID || f.Reason == "" {
				t.Errorf("%s: %v", name, err)
			}
			fields = append(fields, f.Field)
		}
		if got := strings.Join(fields, " "); got != c.fields {
			t.Errorf("%s: refused are %q, want %q", name, got, c.fields)
		}
	}
}

func TestNextWrite(t *testing.T) {
	wanted := object{"@id": ID, "listen": list{":80"}}
	route := object{"@id": ID, "handle": list{}}
	server := func(name string, s object) object {
		return object{"apps": object{"http": object{"servers": object{name: s}}}}
	}
	for name, c := range map[string]struct {
		config any
		at     Site
		want   string
	}{
		"nothing there":        {nil, Site{}, "POST /apps"},
		"another app":          {object{"apps": object{"tls": object{}}}, Site{}, "POST /apps/http"},
		"no servers":           {object{"apps": object{"http": object{"http_port": 8080.0}}}, Site{}, "POST /apps/http/servers"},
		"other servers":        {server("srv0", object{}), Site{}, "POST /apps/http/servers/docker_watcher"},
		"as it is wanted":      {server("docker_watcher", wanted), Site{}, ""},
		"otherwise":            {server("docker_watcher", object{"@id": ID}), Site{}, "PATCH /apps/http/servers/docker_watcher"},
		"not ours":             {server("docker_watcher", object{}), Site{}, "error"},
		"elsewhere":            {server("srv0", object{"routes": list{object{"@id": ID}}}), Site{}, "DELETE /apps/http/servers/srv0/routes/0"},
		"no such server":       {server("srv1", object{}), Site{Server: "srv0"}, "error"},
		"no routes":            {server("srv0", object{}), Site{Server: "srv0"}, "POST /apps/http/servers/srv0/routes"},
		"other routes":         {server("srv0", object{"routes": list{object{}}}), Site{Server: "srv0"}, "PUT /apps/http/servers/srv0/routes/0"},
		"among other routes":   {server("srv0", object{"routes": list{object{}, object{"@id": ID}}}), Site{Server: "srv0"}, "PATCH /apps/http/servers/srv0/routes/1"},
		"moved by others":      {server("srv0", object{"routes": list{object{}, route}}), Site{Server: "srv0"}, ""},
		"twice":                {server("srv0", object{"routes": list{route, object{}, route}}), Site{Server: "srv0"}, "DELETE /apps/http/servers/srv0/routes/0"},
		"our server from once": {server("docker_watcher", wanted), Site{Server: "docker_watcher"}, "DELETE /apps/http/servers/docker_watcher"},
	} {
		want := any(wanted)
		if c.at.Server != "" {
			want = route
		}
		s, more, err := next(c.config, c.at, want)
		got := strings.TrimSpace(s.method + " " + s.path)
		if err != nil {
			got = "error"
		}
		if got != c.want || more != (got != "" && got != "error") {
			t.Errorf("%s: %s, want %s (%v)", name, got, c.want, err)
		}
	}
}

func TestDifferenceInWords(t *testing.T) {
	wanted := object{"a": list{object{"b": "c"}}, "d": 1.0}
	for want, there := range map[string]any{
		"":                   object{"a": list{object{"b": "c"}}, "d": 1.0},
		"/d is gone":         object{"a": list{object{"b": "c"}}},
		"/d was changed":     object{"a": list{object{"b": "c"}}, "d": 2.0},
		"/e was added":       object{"a": list{object{"b": "c"}}, "d": 1.0, "e": 1.0},
		"/a/0/b was changed": object{"a": list{object{"b": "x"}}, "d": 1.0},
		"/a was changed":     object{"a": list{}, "d": 1.0},
	} {
		if got := difference(there, wanted, ""); got != want {
			t.Errorf("it says %q, want %q", got, want)
		}
	}
}

func TestAbilitiesAreFoundOutByRefusals(t *testing.T) {
	for text, want := range map[string]Abilities{
		`json: unknown field "stream_close_delay"`: {CheckCounts: true}, `json: unknown field "fails"`: {StreamsStay: true}, `json: unknown field "passes"`: {StreamsStay: true},
	} {
		if got, found := All.without(text); !found || got != want {
			t.Errorf("%s leaves %+v", text, got)
		}
	}
	for _, text := range []string{`unknown field "handler"`, "stream_close_delay: no", ""} {
		if _, found := All.without(text); found {
			t.Errorf("%s takes an ability", text)
		}
	}
	if _, found := (Abilities{}).without(`unknown field "fails"`); found {
		t.Error("an ability is taken twice")
	}
}

func TestLongerPrefixesComeFirst(t *testing.T) {
	two := rule("a.example/x")
	two.Addresses = append(two.Addresses, proxy.Address{Domain: "b.example", PathPrefix: "/longer"})
	var got []string
	for _, b := range branches([]proxy.Rule{rule("a.example/"), two, rule("c.example/x")}) {
		got = append(got, strings.Join(b.domains, ",")+b.prefix)
	}
	if want := []string{"b.example/longer", "a.example/x", "c.example/x", "a.example/"}; !slices.Equal(got, want) {
		t.Errorf("the order is %v", got)
	}
}
