package caddy

import (
	"encoding/pem"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"testing"
	"time"

	"golang.org/x/crypto/bcrypt"

	"github.com/tiny-forge/docker-watcher/internal/loopbacktest"
	"github.com/tiny-forge/docker-watcher/internal/proxy"
)

// TestBothProxiesAnswerAlike gives one table to the built-in proxy and to Caddy, and asks both the same.
func TestBothProxiesAnswerAlike(t *testing.T) {
	target := &seen{}
	rules := suiteRules(t, target)
	addr, applyIn := builtin(t)
	if _, err := applyIn(proxy.Table{Rules: rules}); err != nil {
		t.Fatal(err)
	}
	own, existing := newRig(t), newRig(t)
	apply(t, own.driver(), rules...)
	apply(t, existing.driver(func(o *Options) { o.Site = Site{Server: "theirs"} }), rules...)
	for name, at := range map[string]string{"builtin": addr, "Caddy, a server of our own": own.Listen, "Caddy, a server of theirs": existing.Other} {
		t.Run(name, func(t *testing.T) {
			checkAnswers(t, at)
			checkOwnAnswers(t, at)
			checkWhatTargetsSee(t, at, target)
		})
	}
	if got := ask(t, existing.Other, "theirs.example", "/"); got.body != "theirs" {
		t.Errorf("what is not ours answers %+v", got)
	}
	if got := ask(t, existing.Other, "unknown.example", "/"); got.status != 418 {
		t.Errorf("an error of others is answered %+v", got)
	}
	if got := ask(t, own.Listen, "unknown.example", "/", people); got.status != 404 || !strings.Contains(got.body, "Nothing is served here") {
		t.Errorf("an unknown host answers %+v", got)
	}
}

// selfSigned is a target over https whose certificate is of nobody, and the certificate.
func selfSigned(t *testing.T) (url, ca string) {
	t.Helper()
	srv := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "safe") }))
	srv.Config.ErrorLog = log.New(io.Discard, "", 0)
	srv.StartTLS()
	t.Cleanup(srv.Close)
	return srv.URL, string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: srv.Certificate().Raw}))
}

func people(q *http.Request) { q.Header.Set("Accept", "text/html,*/*;q=0.8") }

func suiteRules(t *testing.T, target *seen) []proxy.Rule {
	t.Helper()
	hash, err := bcrypt.GenerateFromPassword([]byte("correct horse"), bcrypt.MinCost)
	if err != nil {
		t.Fatal(err)
	}
	see := app(t, target.ServeHTTP)
	slow := app(t, func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() })
	stopped, away := rule("stopped.example"), rule("away.example")
	stopped.Targets = []proxy.Target{{Ref: "instance:1", StoppedSince: time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)}}
	away.Targets = []proxy.Target{{Ref: "instance:2", Why: "secret inner address 10.0.0.5"}}
	safe, ca := selfSigned(t)
	return []proxy.Rule{
		rule("unknown-ca.example", safe), with(rule("known-ca.example", safe), func(o *proxy.Options) { o.TargetCA = ca }),
		with(rule("any-ca.example", safe), func(o *proxy.Options) { o.TargetUnverified = true }),
		rule("a.example", says(t, "a")), rule("a.example/api", says(t, "api")), rule("a.example/api/v2", says(t, "v2")),
		stopped, away, rule("nowhere.example", "http://"+loopbacktest.Free(t)), rule("two.example", "http://"+loopbacktest.Free(t), says(t, "stands in")),
		with(rule("slow.example", slow), func(o *proxy.Options) { o.ResponseTimeout = proxy.Span(200 * time.Millisecond) }),
		with(rule("auth.example", see), func(o *proxy.Options) { o.BasicAuth = []proxy.Credential{{User: "anna", Hash: string(hash)}} }),
		with(rule("denied.example", see), func(o *proxy.Options) { o.DenyIPs = []string{"127.0.0.0/8"} }),
		with(rule("others.example", see), func(o *proxy.Options) { o.AllowIPs = []string{"10.0.0.0/8", "::1"} }),
		with(rule("allowed.example", see), func(o *proxy.Options) { o.AllowIPs = []string{"127.0.0.1"} }),
		with(rule("work.example", see), func(o *proxy.Options) {
			o.Maintenance, o.MaintenanceNote = true, `Back at <noon> {env.HOME} \{ "soon" }`
		}),
		with(rule("tls.example", see), func(o *proxy.Options) { o.RedirectHTTPS = true }),
		with(rule("old.example"), func(o *proxy.Options) { o.RedirectTo, o.RedirectCode = "https://new.example", 301 }),
		with(rule("page.example"), func(o *proxy.Options) { o.RedirectTo = "https://new.example/page?q={env.HOME}" }),
		with(rule("ws.example", see), func(o *proxy.Options) { o.NoWebSockets = true }),
		with(rule("small.example", see), func(o *proxy.Options) { o.MaxBodyBytes = 10 }),
		with(rule("head.example", see), func(o *proxy.Options) {
			o.HSTSSeconds = 60
			o.ResponseHeaders = []proxy.Header{{Name: "X-Powered-By"}, {Name: "X-B", Value: `{"a":{http.request.host}}`}}
			o.RequestHeaders = []proxy.Header{{Name: "X-A", Value: "first"}, {Name: "x-a", Value: "{env.HOME}"}, {Name: "User-Agent"}}
		}),
		with(rule("strip.example/api", see+"/base"), func(o *proxy.Options) { o.StripPrefix, o.RewriteHost = true, true }),
		rule("plain.example", see),
	}
}

// checkAnswers asks for what is answered by status and words.
func checkAnswers(t *testing.T, at string) {
	as := func(user, password string) func(*http.Request) {
		return func(q *http.Request) { q.SetBasicAuth(user, password) }
	}
	send := func(body string) func(*http.Request) {
		return func(q *http.Request) {
			q.Method = http.MethodPost
			q.Body = http.NoBody
			sent, _ := http.NewRequestWithContext(q.Context(), http.MethodPost, q.URL.String(), strings.NewReader(body))
			q.Body, q.ContentLength = sent.Body, sent.ContentLength
		}
	}
	upgrade := func(q *http.Request) {
		q.Header.Set("Connection", "keep-alive, Upgrade")
		q.Header.Set("Upgrade", "echo")
	}
	for name, c := range map[string]struct {
		host, path string
		change     func(*http.Request)
		status     int
		text       string
	}{
		"a host":                   {"a.example", "/", people, 200, "a"},
		"in capitals, with a port": {"A.EXAMPLE:80", "/apix", people, 200, "a"},
		"a prefix":                 {"a.example", "/api", people, 200, "api"},
		"below a prefix":           {"a.example", "/api/x", people, 200, "api"},
		"another case":             {"a.example", "/API/x", people, 200, "a"},
		"slashes":                  {"a.example", "//api///v2", people, 200, "v2"},
		"escapes":                  {"a.example", "/%61pi/v2/x", people, 200, "v2"},
		"dots":                     {"a.example", "/x/../api", people, 400, "must not hold"},
		"escaped dots":             {"a.example", "/x/%2e%2E/api", people, 400, "must not hold"},
		"no dots":                  {"a.example", "/x/..y/.z", people, 200, "a"},
		"trace":                    {"a.example", "/", func(q *http.Request) { q.Method = http.MethodTrace }, 405, "TRACE"},
		"stopped":                  {"stopped.example", "/", people, 503, "Stopped since 1 March 2026 12:00 UTC"},
		"away":                     {"away.example", "/", people, 502, "Nothing answers here"},
		"nowhere":                  {"nowhere.example", "/", people, 502, "Nothing answers here"},
		"one of two":               {"two.example", "/", people, 200, "stands in"},
		"trusted by nobody":        {"unknown-ca.example", "/", people, 502, "Nothing answers here"},
		"trusted by its own":       {"known-ca.example", "/", people, 200, "safe"},
		"trusted by whomever":      {"any-ca.example", "/", people, 200, "safe"},
		"slow":                     {"slow.example", "/", people, 504, "takes too long"},
		"no password":              {"auth.example", "/", people, 401, "Sign in"},
		"a wrong password":         {"auth.example", "/", as("anna", "wrong"), 401, "Sign in"},
		"the right password":       {"auth.example", "/", as("anna", "correct horse"), 200, ""},
		"denied":                   {"denied.example", "/", people, 403, "Not from here"},
		"not allowed":              {"others.example", "/", people, 403, "Not from here"},
		"a forged address":         {"others.example", "/", func(q *http.Request) { q.Header.Set("X-Forwarded-For", "10.0.0.1") }, 403, "Not from here"},
		"allowed":                  {"allowed.example", "/", people, 200, ""},
		"maintenance":              {"work.example", "/", people, 503, `Back at &lt;noon&gt; {env.HOME} \{ &#34;soon&#34; }`},
		"maintenance, a program":   {"work.example", "/", func(*http.Request) {}, 503, `Back at \u003cnoon\u003e {env.HOME} \\{ \"soon\" }`},
		"no websockets":            {"ws.example", "/", upgrade, 403, "No WebSockets"},
		"websockets are not meant": {"ws.example", "/", people, 200, ""},
		"small":                    {"small.example", "/", send("0123456789"), 200, ""},
	} {
		got := ask(t, at, c.host, c.path, c.change)
		if got.status != c.status || !strings.Contains(got.body, c.text) || strings.Contains(got.body, "10.0.0.5") {
			t.Errorf("%s answers %d %.300s, want %d %s", name, got.status, got.body, c.status, c.text)
		}
	}
}

// checkOwnAnswers asks for redirects and the headers of answers.
func checkOwnAnswers(t *testing.T, at string) {
	for url, want := range map[string]string{
		"tls.example:80/x%2Fy?q=1": "https://tls.example/x%2Fy?q=1", "old.example/a%2Fb?b=c": "https://new.example/a%2Fb?b=c", "page.example/a": "https://new.example/page?q={env.HOME}",
	} {
		host, path, _ := strings.Cut(url, "/")
		if got := ask(t, at, host, "/"+path); got.status < 301 || got.status > 308 || got.head.Get("Location") != want {
			t.Errorf("%s answers %d, to %s", url, got.status, got.head.Get("Location"))
		}
	}
	if got := ask(t, at, "old.example", "/"); got.status != 301 {
		t.Errorf("the code is %d", got.status)
	}
	got := ask(t, at, "head.example", "/", func(q *http.Request) { q.Header.Set("X-Forwarded-Proto", "https") })
	if got.head.Get("X-Powered-By") != "" || got.head.Get("X-B") != `{"a":{http.request.host}}` || got.head.Get("Strict-Transport-Security") != "" {
		t.Errorf("over http it answers with %v", got.head)
	}
	if got := ask(t, at, "auth.example", "/"); !strings.Contains(got.head.Get("Www-Authenticate"), `Basic realm="site"`) || got.head.Get("Content-Type") != "application/problem+json" {
		t.Errorf("to a program it answers with %v", got.head)
	}
	if got := ask(t, at, "stopped.example", "/", people); got.head.Get("Retry-After") != "60" || got.head.Get("Content-Security-Policy") == "" || got.head.Get("Cache-Control") != "no-store" {
		t.Errorf("the page for what is stopped has %v", got.head)
	}
}

// checkWhatTargetsSee asks for what reaches a target.
func checkWhatTargetsSee(t *testing.T, at string, target *seen) {
	forge := func(q *http.Request) {
		for name, value := range map[string]string{
			"X-Forwarded-For": "6.6.6.6", "X-Forwarded-Proto": "https", "X-Forwarded-Host": "evil.example", "X-Real-Ip": "6.6.6.6", "Forwarded": "for=6.6.6.6",
			"X_Forwarded_For": "6.6.6.6", "X_real_ip": "6.6.6.6", "Connection": "X-Secret", "X-Secret": "1", "Te": "gzip", "Proxy-Authorization": "x",
			"X-Forwarded-Port": "666", "X-Forwarded-Prefix": "/evil",
		} {
			q.Header[name] = []string{value}
		}
	}
	ask(t, at, "plain.example", "/x%2Fy?q=%20", forge)
	got := target.last()
	if got.Host != "plain.example" || got.RequestURI != "/x%2Fy?q=%20" {
		t.Errorf("it sees %s %s", got.Host, got.RequestURI)
	}
	for name, want := range map[string]string{
		"X-Forwarded-For": "127.0.0.1", "X-Forwarded-Proto": "http", "X-Forwarded-Host": "plain.example", "X-Real-Ip": "127.0.0.1", "Forwarded": "", "X_forwarded_for": "", "X_Forwarded_For": "",
		"X_real_ip": "", "X-Secret": "", "Te": "", "Proxy-Authorization": "", "X-Forwarded-Port": "", "X-Forwarded-Prefix": "", "Accept-Encoding": "",
	} {
		if value := strings.Join(got.Header[name], ""); value != want {
			t.Errorf("it sees %s: %q, want %q", name, value, want)
		}
	}
	ask(t, at, "auth.example", "/", func(q *http.Request) { q.SetBasicAuth("anna", "correct horse") })
	if a := target.last().Header.Get("Authorization"); a != "" {
		t.Errorf("the password is passed on: %q", a)
	}
	ask(t, at, "head.example", "/")
	if got := target.last(); got.Header.Get("X-A") != "{env.HOME}" || got.Header.Get("User-Agent") != "" {
		t.Errorf("it sees %v", got.Header)
	}
	ask(t, at, "plain.example", "/", func(q *http.Request) {
		q.Header.Set("Connection", "Upgrade, HTTP2-Settings")
		q.Header.Set("Upgrade", "h2c")
		q.Header.Set("Http2-Settings", "AAMAAABkAARAAAAAAAIAAAAA")
	})
	if got := target.last(); got.Header.Get("Upgrade") != "" || got.Header.Get("Http2-Settings") != "" {
		t.Errorf("the wish for a tunnel reaches the target: %v", got.Header)
	}
	for path, want := range map[string]string{
		"/api": "/base/", "/api/": "/base/", "/api/a%2Fb?x=1": "/base/a%2Fb?x=1", "//api//x": "/base/x", "/%61pi/x%20y": "/base/x%20y",
	} {
		ask(t, at, "strip.example", path)
		if got := target.last(); got.RequestURI != want || !strings.HasPrefix(got.Host, "127.0.0.1:") {
			t.Errorf("of %s it sees %s of %s, want %s", path, got.RequestURI, got.Host, want)
		}
	}
}

// TestClientsBehindAProxyThatIsBelieved asks both the same by way of one.
func TestClientsBehindAProxyThatIsBelieved(t *testing.T) {
	target := &seen{}
	table := proxy.Table{Trusted: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}, Rules: []proxy.Rule{
		with(rule("a.example", app(t, target.ServeHTTP)), func(o *proxy.Options) { o.RedirectHTTPS, o.HSTSSeconds = true, 60 }),
	}}
	addr, applyIn := builtin(t)
	r := newRig(t)
	for name, d := range map[string]struct {
		at    string
		apply func(proxy.Table) (string, error)
	}{"builtin": {addr, applyIn}, "Caddy": {r.Listen, r.driver().Apply}} {
		t.Run(name, func(t *testing.T) {
			if _, err := d.apply(table); err != nil {
				t.Fatal(err)
			}
			got := ask(t, d.at, "a.example", "/", func(q *http.Request) {
				q.Header.Set("X-Forwarded-Proto", "https")
				q.Header.Set("X-Forwarded-For", "6.6.6.6")
				q.Header.Set("X-Real-Ip", "6.6.6.6")
			})
			if got.status != 200 || got.head.Get("Strict-Transport-Security") != "max-age=60" {
				t.Errorf("over TLS it answers %+v", got)
			}
			for name, want := range map[string]string{"X-Forwarded-For": "6.6.6.6, 127.0.0.1", "X-Forwarded-Proto": "https", "X-Real-Ip": "6.6.6.6"} {
				if value := target.last().Header.Get(name); value != want {
					t.Errorf("the target sees %s: %q, want %q", name, value, want)
				}
			}
			if got := ask(t, d.at, "a.example", "/"); got.status != 308 || got.head.Get("Strict-Transport-Security") != "" {
				t.Errorf("over http it answers %+v", got)
			}
		})
	}
}
