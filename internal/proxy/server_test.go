package proxy

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"os"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/crypto/bcrypt"
	"golang.org/x/sync/errgroup"

	"github.com/tiny-forge/docker-watcher/internal/waittest"
)

func TestRulesLeadToTheirTargets(t *testing.T) {
	r := newRig(t)
	r.apply(rule("a.example", says(t, "a")), rule("a.example", says(t, "api")).at("/api"), rule("b.example", says(t, "b")))
	for at, want := range map[string]string{"a.example/": "a", "A.EXAMPLE.:80/apix": "a", "a.example/api/x": "api", "b.example/": "b"} {
		host, path, _ := strings.Cut(at, "/")
		if status, body, _ := r.get(host, "/"+path); status != 200 || body != want {
			t.Errorf("%s answers %d %q", at, status, body)
		}
	}
	status, body, head := r.get("c.example", "/", func(q *http.Request) { q.Header.Set("Accept", "text/html") })
	if status != 404 || !strings.Contains(body, "Nothing is served here") || !strings.HasPrefix(head.Get("Content-Type"), "text/html") {
		t.Errorf("an unknown host answers %d %s", status, body)
	}
	if _, body, head = r.get("c.example", "/"); head.Get("Content-Type") != "application/problem+json" || !json.Valid([]byte(body)) {
		t.Errorf("to a program it answers %s", body)
	}
}

func TestWhatATargetSees(t *testing.T) {
	seen := make(chan *http.Request, 1)
	target := app(t, func(_ http.ResponseWriter, r *http.Request) { seen <- r })
	r := newRig(t)
	see := func(rule Rule, path string, trusted string, change func(*http.Request)) *http.Request {
		t.Helper()
		table := Table{Rules: []Rule{rule}}
		if trusted != "" {
			table.Trusted = []netip.Prefix{netip.MustParsePrefix(trusted)}
		}
		if _, err := r.Apply(table); err != nil {
			t.Fatal(err)
		}
		if status, body, _ := r.get("a.example", path, change); status != 200 {
			t.Fatalf("it answers %d %s", status, body)
		}
		return waittest.Next(t, "the target is asked", seen)
	}
	forge := func(q *http.Request) {
		for name, value := range map[string]string{
			"X-Forwarded-For": "6.6.6.6", "X-Forwarded-Proto": "https", "X-Forwarded-Host": "evil.example", "X-Real-Ip": "6.6.6.6", "Forwarded": "for=6.6.6.6",
			"X_Forwarded_For": "6.6.6.6", "X_real_ip": "6.6.6.6", "Connection": "X-Secret", "X-Secret": "1", "Keep-Alive": "5", "Te": "gzip", "Proxy-Authorization": "x",
			"X-Forwarded-Port": "666", "X-Forwarded-Prefix": "/evil", "x-forwarded-Uri": "/evil",
		} {
			q.Header[name] = []string{value}
		}
	}

	got := see(rule("a.example", target), "/x%2Fy?q=%20", "", forge)
	if got.Host != "a.example" || got.RequestURI != "/x%2Fy?q=%20" {
		t.Errorf("it sees %s %s", got.Host, got.RequestURI)
	}
	for name, want := range map[string]string{
		"X-Forwarded-For": "127.0.0.1", "X-Forwarded-Proto": "http", "X-Forwarded-Host": "a.example", "X-Real-Ip": "127.0.0.1", "Forwarded": "", "X_Forwarded_For": "", "X_real_ip": "",
		"X-Secret": "", "Keep-Alive": "", "Te": "", "Proxy-Authorization": "", "Accept-Encoding": "gzip",
		"X-Forwarded-Port": "", "X-Forwarded-Prefix": "", "X-Forwarded-Uri": "",
	} {
		if name != "Accept-Encoding" && strings.Join(got.Header[name], "") != want {
			t.Errorf("it sees %s: %q, want %q", name, got.Header[name], want)
		}
	}

	got = see(rule("a.example", target), "/", "127.0.0.0/8", forge)
	if xff, proto, host := got.Header.Get("X-Forwarded-For"), got.Header.Get("X-Forwarded-Proto"), got.Header.Get("X-Forwarded-Host"); xff != "6.6.6.6, 127.0.0.1" || proto != "https" || host != "evil.example" {
		t.Errorf("behind a proxy that is believed it sees %q %q %q", xff, proto, host)
	}
	if got.Header.Get("X-Real-Ip") != "6.6.6.6" {
		t.Errorf("behind a proxy that is believed the client is %q", got.Header.Get("X-Real-Ip"))
	}
	if port := got.Header.Get("X-Forwarded-Port"); port != "666" {
		t.Errorf("what a proxy that is believed says of the port is %q", port)
	}

	got = see(rule("a.example", target+"/base").at("/api").with(func(o *Options) {
		o.StripPrefix, o.RewriteHost = true, true
		o.RequestHeaders = []Header{{"X-A", "1"}, {"User-Agent", ""}, {"X-Forwarded-Proto", "https"}}
	}), "/api/a%2Fb", "", nilChange)
	if got.RequestURI != "/base/a%2Fb" || !strings.HasPrefix(got.Host, "127.0.0.1:") || got.Header.Get("X-A") != "1" || got.Header.Get("User-Agent") != "" || got.Header.Get("X-Forwarded-Proto") != "https" {
		t.Errorf("it sees %s %s %v", got.Host, got.RequestURI, got.Header)
	}
	for path, want := range map[string]string{"/api": "/", "/api/": "/", "//api//x": "/x", "/%61pi/x%20y": "/x%20y"} {
		if got := see(rule("a.example", target).at("/api").with(func(o *Options) { o.StripPrefix = true }), path, "", nilChange); got.RequestURI != want {
			t.Errorf("of %s it sees %s, want %s", path, got.RequestURI, want)
		}
	}
}

func nilChange(*http.Request) {}

func TestWhoIsLetIn(t *testing.T) {
	quick, err := bcrypt.GenerateFromPassword([]byte("correct horse"), bcrypt.MinCost)
	if err != nil {
		t.Fatal(err)
	}
	hash := string(quick)
	var authorization atomic.Value
	target := app(t, func(_ http.ResponseWriter, r *http.Request) { authorization.Store(r.Header.Get("Authorization")) })
	r := newRig(t)
	r.apply(
		rule("auth.example", target).with(func(o *Options) { o.BasicAuth = []Credential{{"anna", hash}} }),
		rule("denied.example", target).with(func(o *Options) { o.DenyIPs = []string{"127.0.0.0/8"} }),
		rule("others.example", target).with(func(o *Options) { o.AllowIPs = []string{"10.0.0.0/8"} }),
		rule("allowed.example", target).with(func(o *Options) { o.AllowIPs = []string{"127.0.0.1"} }),
	)
	as := func(user, password string) func(*http.Request) {
		return func(q *http.Request) { q.SetBasicAuth(user, password) }
	}
	for range 2 { // the second time the right one is remembered, and no wrong one
		for name, c := range map[string]struct {
			host   string
			change func(*http.Request)
			want   int
		}{
			"no password":      {"auth.example", nilChange, 401},
			"a wrong one":      {"auth.example", as("anna", "wrong"), 401},
			"of somebody else": {"auth.example", as("bert", "correct horse"), 401},
			"an empty one":     {"auth.example", as("anna", ""), 401},
			"a very long one":  {"auth.example", as("anna", strings.Repeat("x", 100)), 401},
			"the right one":    {"auth.example", as("anna", "correct horse"), 200},
			"denied":           {"denied.example", nilChange, 403},
			"not allowed":      {"others.example", nilChange, 403},
			"allowed":          {"allowed.example", nilChange, 200},
			"forged address":   {"others.example", func(q *http.Request) { q.Header.Set("X-Forwarded-For", "10.0.0.1") }, 403},
		} {
			if status, _, _ := r.get(c.host, "/", c.change); status != c.want {
				t.Errorf("%s: %d, want %d", name, status, c.want)
			}
		}
	}
	r.get("auth.example", "/", as("anna", "correct horse"))
	if authorization.Load() != "" {
		t.Error("the password was passed on to the target")
	}
	if status, _, _ := r.get("auth.example", "/../x", as("anna", "correct horse")); status != 400 {
		t.Errorf("a path with dots answers %d", status)
	}
}

func TestAnswersOfOurOwn(t *testing.T) {
	var asked atomic.Int64
	target := app(t, func(w http.ResponseWriter, _ *http.Request) {
		asked.Add(1)
		w.Header().Set("X-Powered-By", "rust")
	})
	stopped := rule("stopped.example")
	stopped.Targets = []Target{{Ref: "instance:1", StoppedSince: time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)}}
	away := rule("away.example")
	away.Targets = []Target{{Ref: "instance:2", Why: "secret inner address 10.0.0.5"}}
	r := newRig(t)
	rules := []Rule{
		stopped, away, rule("nowhere.example", nowhere(t)),
		rule("work.example", target).with(func(o *Options) { o.Maintenance, o.MaintenanceNote = true, "Back at <noon>" }),
		rule("tls.example", target).with(func(o *Options) { o.RedirectHTTPS = true }),
		rule("old.example").with(func(o *Options) { o.RedirectTo, o.RedirectCode = "https://new.example", 301 }),
		rule("page.example").with(func(o *Options) { o.RedirectTo = "https://new.example/page" }),
		rule("ws.example", target).with(func(o *Options) { o.NoWebSockets = true }),
		rule("small.example", target).with(func(o *Options) { o.MaxBodyBytes = 10 }),
		rule("hsts.example", target).with(func(o *Options) { o.HSTSSeconds = 60; o.ResponseHeaders = []Header{{"X-Powered-By", ""}, {"X-B", "2"}} }),
	}
	r.apply(rules...)
	html := func(q *http.Request) { q.Header.Set("Accept", "text/html") }
	for host, want := range map[string]struct {
		status int
		text   string
	}{
		"stopped.example": {503, "Stopped since 1 March 2026 12:00 UTC"},
		"away.example":    {502, "Nothing answers here"},
		"nowhere.example": {502, "Nothing answers here"},
		"work.example":    {503, "Back at &lt;noon&gt;"},
	} {
		status, body, head := r.get(host, "/", html)
		if status != want.status || !strings.Contains(body, want.text) || head.Get("Retry-After") == "" || strings.Contains(body, "10.0.0.5") {
			t.Errorf("%s answers %d (%v) %s", host, status, head, body)
		}
	}
	for at, want := range map[string]string{
		"tls.example:80/x%2Fy?q=1": "https://tls.example/x%2Fy?q=1", "old.example/a?b=c": "https://new.example/a?b=c", "page.example/a": "https://new.example/page",
	} {
		host, path, _ := strings.Cut(at, "/")
		if status, _, head := r.get(host, "/"+path); status < 301 || status > 308 || head.Get("Location") != want {
			t.Errorf("%s answers %d, to %s", at, status, head.Get("Location"))
		}
	}
	if status, _, _ := r.get("ws.example", "/", func(q *http.Request) {
		q.Header.Set("Connection", "keep-alive, Upgrade")
		q.Header.Set("Upgrade", "websocket")
	}); status != 403 {
		t.Errorf("an unwanted WebSocket answers %d", status)
	}
	if asked.Load() != 0 {
		t.Errorf("the target was asked %d times", asked.Load())
	}
	for _, announced := range []bool{true, false} {
		status, _, _ := r.get("small.example", "/", func(q *http.Request) {
			q.Method, q.Body, q.ContentLength = "POST", io.NopCloser(strings.NewReader(strings.Repeat("x", 5_000))), -1
			if announced {
				q.ContentLength = 5_000
			}
		})
		if status != 413 {
			t.Errorf("a body that is too large (announced: %t) answers %d", announced, status)
		}
	}
	_, _, head := r.get("hsts.example", "/")
	if head.Get("Strict-Transport-Security") != "" || head.Get("X-Powered-By") != "" || head.Get("X-B") != "2" {
		t.Errorf("without TLS it answers %v", head)
	}
	if _, err := r.Apply(Table{Rules: rules, Trusted: []netip.Prefix{netip.MustParsePrefix("127.0.0.1/32")}}); err != nil {
		t.Fatal(err)
	}
	https := func(q *http.Request) { q.Header.Set("X-Forwarded-Proto", "https") }
	if _, _, head = r.get("hsts.example", "/", https); head.Get("Strict-Transport-Security") != "max-age=60" {
		t.Errorf("behind a proxy that speaks TLS it answers %v", head)
	}
	if status, _, _ := r.get("tls.example", "/", https); status != 200 {
		t.Errorf("what came over TLS is answered by %d", status)
	}
}

// upgraded is a target that echoes lines over a connection that has changed its protocol.
func upgraded(t *testing.T) string {
	return app(t, func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Upgrade") != "echo" {
			w.WriteHeader(http.StatusUpgradeRequired)
			return
		}
		conn, buf, err := w.(http.Hijacker).Hijack()
		if err != nil {
			t.Error(err)
			return
		}
		defer conn.Close()
		fmt.Fprint(conn, "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\n")
		_, _ = io.Copy(conn, buf) // until the test ends it
	})
}

func TestOpenStreamsOutliveTheirTable(t *testing.T) {
	next := make(chan string)
	stream := app(t, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/event-stream")
		for {
			select {
			case line, more := <-next:
				if !more {
					return
				}
				fmt.Fprintln(w, line)
				w.(http.Flusher).Flush()
			case <-r.Context().Done(): // the test has failed
				return
			}
		}
	})
	r := newRig(t)
	r.apply(rule("ws.example", upgraded(t)), rule("sse.example", stream))
	ws, wsIn := r.upgrade("ws.example")
	sse := r.dial()
	fmt.Fprint(sse, "GET / HTTP/1.1\r\nHost: sse.example\r\n\r\n")
	go func() { next <- "one" }()
	resp, err := http.ReadResponse(bufio.NewReader(sse), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	lines := bufio.NewScanner(resp.Body)
	expect := func(n int) {
		t.Helper()
		fmt.Fprintf(ws, "line %d\n", n)
		if got, err := wsIn.ReadString('\n'); err != nil || got != fmt.Sprintf("line %d\n", n) {
			t.Fatalf("the WebSocket says %q, %v", got, err)
		}
		if !lines.Scan() || lines.Text() != map[int]string{0: "one", 1: "two", 2: "three"}[n] {
			t.Fatalf("the stream says %q, %v", lines.Text(), lines.Err())
		}
	}
	expect(0)
	table, _ := r.InForce()
	wsRef, sseRef := table.Rules[0].Targets[0].Ref, table.Rules[1].Targets[0].Ref
	r.apply(rule("ws.example", says(t, "new")), rule("sse.example", says(t, "new")))
	go func() { next <- "two" }()
	expect(1)
	r.apply()
	go func() { next <- "three"; close(next) }()
	expect(2)
	if a, b := r.Open(wsRef), r.Open(sseRef); a != 1 || b > 1 {
		t.Errorf("%d and %d are open on what has left the table", a, b)
	}
	soon, done := r.soon()
	defer done()
	if err := r.Drained(soon, sseRef); err != nil {
		t.Error(err)
	}
	short, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if r.Drained(short, wsRef) == nil {
		t.Error("it counts as drained with an open WebSocket")
	}
	if err := ws.Close(); err != nil {
		t.Fatal(err)
	}
	if err := r.Drained(soon, wsRef); err != nil {
		t.Error(err)
	}
}

func TestNoRequestIsLostWhileTargetsChange(t *testing.T) {
	r := newRig(t)
	a, b := says(t, "a"), says(t, "b")
	r.apply(rule("a.example", a))
	stop, failed, asked := make(chan struct{}), atomic.Int64{}, atomic.Int64{}
	done := make(chan struct{}, 4)
	soon, cancel := r.soon()
	defer cancel()
	for range 4 {
		go func() {
			defer func() { done <- struct{}{} }()
			transport := &http.Transport{}
			defer transport.CloseIdleConnections()
			for {
				select {
				case <-stop:
					return
				default:
				}
				req, _ := http.NewRequestWithContext(soon, http.MethodPost, "http://"+r.addr+"/", strings.NewReader("body"))
				req.Host = "a.example"
				resp, err := transport.RoundTrip(req)
				asked.Add(1)
				if err != nil || resp.StatusCode != 200 {
					failed.Add(1)
					continue
				}
				_, _ = io.Copy(io.Discard, resp.Body)
				_ = resp.Body.Close()
			}
		}()
	}
	for n := range 40 {
		to, from := a, b
		if n%2 == 0 {
			to, from = b, a
		}
		r.apply(rule("a.example", to))
		if err := r.Drained(soon, from); err != nil {
			t.Fatal(err)
		}
	}
	close(stop)
	for range 4 {
		waittest.Next(t, "the last answer", done)
	}
	if failed.Load() != 0 || asked.Load() == 0 {
		t.Errorf("%d of %d requests failed", failed.Load(), asked.Load())
	}
}

func TestPeer28ABadTableChangesNothing(t *testing.T) {
	r := newRig(t)
	r.apply(rule("a.example", says(t, "a")))
	good := r.Hash()
	kept, err := os.ReadFile(r.file)
	if err != nil {
		t.Fatal(err)
	}
	for _, bad := range [][]Rule{
		{rule("b.example", "http://169.254.169.254")},
		{rule("a.example", says(t, "b")), rule("b.example", "ftp://x")},
		{rule("b.example", "http://"+r.addr)},
		{rule("a.example", says(t, "b")), rule("a.example", says(t, "c"))},
	} {
		if _, err := r.Apply(Table{Rules: bad}); err == nil {
			t.Errorf("%v was taken", bad)
		}
		if _, body, _ := r.get("a.example", "/"); body != "a" || r.Hash() != good {
			t.Errorf("after a bad table it answers %q", body)
		}
	}
	if now, err := os.ReadFile(r.file); err != nil || string(now) != string(kept) {
		t.Errorf("the bad table was kept: %s, %v", now, err)
	}
}

func TestTheLastGoodTableIsServedAtStart(t *testing.T) {
	r := newRig(t)
	hash, err := HashPassword("correct horse")
	if err != nil {
		t.Fatal(err)
	}
	table := Table{Rules: []Rule{rule("a.example", says(t, "a")).with(func(o *Options) {
		o.BasicAuth, o.ConnectTimeout, o.HealthCheck = []Credential{{"anna", hash}}, Span(time.Second), &HealthCheck{Path: "/"}
	})}, Trusted: []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8")}}
	if _, err := r.Apply(table); err != nil {
		t.Fatal(err)
	}
	if info, err := os.Stat(r.file); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("the file is %v, %v", info, err)
	}
	second := NewServer(ServerOptions{File: r.file, Log: r.log})
	if err := second.Resume(); err != nil || second.Hash() != r.Hash() {
		t.Errorf("it resumes by %s, not %s: %v", second.Hash(), r.Hash(), err)
	}
	if err := os.WriteFile(r.file, []byte(`{"rules": [{"id": "x"`), 0o600); err != nil {
		t.Fatal(err)
	}
	third := NewServer(ServerOptions{File: r.file, Log: r.log})
	if err := third.Resume(); err == nil || third.Hash() != "" {
		t.Errorf("half a file is taken: %v", err)
	}
	if err := os.Remove(r.file); err != nil {
		t.Fatal(err)
	}
	if err := third.Resume(); err != nil {
		t.Errorf("without a file: %v", err)
	}
}

func TestTargetsShareAndStandInForOneAnother(t *testing.T) {
	r := newRig(t)
	gate, arrived := make(chan struct{}), make(chan struct{}, 1)
	busy := app(t, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/hold" {
			arrived <- struct{}{}
			<-gate
		}
		_, _ = io.WriteString(w, "busy")
	})
	free, dead := says(t, "free"), nowhere(t)
	r.apply(rule("a.example", busy, free), rule("b.example", dead, free))
	held := make(chan int, 1)
	go func() {
		for { // until it comes to the one that holds it
			status, body, _ := r.get("a.example", "/hold")
			if body == "busy" {
				held <- status
				return
			}
		}
	}()
	waittest.Next(t, "a request comes to the one that holds it", arrived)
	for range 10 {
		if _, body, _ := r.get("a.example", "/"); body != "free" {
			t.Error("a request came to the busier one")
		}
	}
	close(gate)
	if status := waittest.Next(t, "the answer to the held one", held); status != 200 {
		t.Errorf("the held one answers %d", status)
	}
	for range 10 {
		status, body, _ := r.get("b.example", "/", func(q *http.Request) {
			q.Method, q.Body, q.ContentLength = "POST", io.NopCloser(strings.NewReader("hello")), 5
		})
		if status != 200 || body != "free" {
			t.Errorf("with one target of two it answers %d %q", status, body)
		}
	}
	report, ok := r.Report("b.example")
	if !ok || report.Requests != 10 || report.Errors != 0 || report.Open != 0 || report.LastRequest.IsZero() || !report.Targets[0].Down || report.Targets[0].Trouble != "nothing listens there" || report.Targets[1].Down {
		t.Errorf("the report is %+v", report)
	}
	r.apply(rule("b.example", dead))
	if status, _, _ := r.get("b.example", "/"); status != 502 {
		t.Errorf("with no target it answers %d", status)
	}
	if report, _ := r.Report("b.example"); report.Requests != 11 || report.Errors != 1 {
		t.Errorf("another table has lost count: %+v", report)
	}
}

func TestHealthChecksTakeTargetsOutAndBringThemBack(t *testing.T) {
	r := newRig(t)
	var sick atomic.Bool
	target := app(t, func(w http.ResponseWriter, q *http.Request) {
		if q.URL.Path == "/healthz" && q.Host != "a.example" {
			t.Errorf("the check asks for %s", q.Host)
		}
		if q.URL.Path == "/healthz" && sick.Load() {
			w.WriteHeader(500)
		}
		_, _ = io.WriteString(w, "checked")
	})
	r.run(r.Run)
	checked := rule("a.example", target, says(t, "other")).with(func(o *Options) {
		o.HealthCheck = &HealthCheck{Path: "/healthz", Interval: Span(20 * time.Millisecond), Fails: 2}
	})
	// Shorter than a rule may ask for, so that the test is short.
	table, err := r.compile(Table{Rules: []Rule{checked.with(func(o *Options) { o.HealthCheck = nil })}}, nil)
	if err != nil {
		t.Fatal(err)
	}
	table.byID["a.example"].rule = checked
	r.swap(r.current.Load(), table)
	sick.Store(true)
	if f := waittest.Next(t, "it is taken out", r.flips); f.Up || f.Rule != "a.example" || f.Ref != target || !strings.Contains(f.Why, "it answers 500 to /healthz") {
		t.Errorf("it flips by %+v", f)
	}
	for range 6 {
		if _, body, _ := r.get("a.example", "/"); body != "other" {
			t.Errorf("a target that is down answers %q", body)
		}
	}
	sick.Store(false)
	if f := waittest.Next(t, "it is brought back", r.flips); !f.Up || f.Ref != target {
		t.Errorf("it flips by %+v", f)
	}
	if len(r.flips) > 0 {
		t.Error("it flips on and on")
	}
}

func TestAChangedHealthCheckIsMadeAtOnce(t *testing.T) {
	r := newRig(t)
	asked := make(chan string, 10)
	target := app(t, func(w http.ResponseWriter, q *http.Request) {
		if asked <- q.URL.Path; q.URL.Path == "/sick" {
			w.WriteHeader(500)
		}
	})
	group, known, results := &errgroup.Group{}, map[*upstream]*checkup{}, make(chan checked, 10)
	begin := func(h *HealthCheck) {
		r.apply(rule("a.example", target).with(func(o *Options) { o.HealthCheck = h }))
		r.beginChecks(t.Context(), group, known, results)
		_ = group.Wait() // none of them returns an error
	}
	end := func() {
		for len(results) > 0 {
			r.awaitCheck(t.Context(), known, time.Time{}, nil, results)
		}
	}
	every := Span(time.Hour)
	begin(&HealthCheck{Path: "/sick", Interval: every, Fails: 1})
	end()
	begin(&HealthCheck{Path: "/well", Interval: every, Passes: 1})
	end()
	if len(asked) != 2 || len(r.flips) != 2 || (<-r.flips).Up || !(<-r.flips).Up {
		t.Fatalf("of two checks %d were made, and it flips %d times", len(asked), len(r.flips))
	}
	begin(&HealthCheck{Path: "/well", Interval: every, Passes: 1})
	if len(asked) != 2 {
		t.Error("a check that is as it was is made before it is due")
	}

	// What the former check counts, or finds yet, says nothing of the new one.
	begin(&HealthCheck{Path: "/sick", Interval: every, Fails: 2})
	end()
	begin(&HealthCheck{Path: "/sick", Interval: every, Fails: 3})
	begin(&HealthCheck{Path: "/sick", Interval: every, Fails: 2})
	if end(); len(r.flips) != 0 {
		t.Errorf("one answer of each of three checks: it flips by %+v", <-r.flips)
	}

	begin(&HealthCheck{Path: "/sick", Interval: every, Fails: 1})
	end()
	if report, _ := r.Report("a.example"); !report.Targets[0].Down || report.Targets[0].Trouble == "" {
		t.Errorf("it is %+v", report.Targets[0])
	}
	begin(nil)
	if report, _ := r.Report("a.example"); report.Targets[0].Down || report.Targets[0].Trouble != "" {
		t.Errorf("without a check it is %+v", report.Targets[0])
	}
}

func TestNamesThatMoveDoNotGetRoundThePolicy(t *testing.T) {
	r := newRig(t)
	_, port, err := net.SplitHostPort(r.addr)
	if err != nil {
		t.Fatal(err)
	}
	// A name passes as long as nobody looks it up; what it stands for when it is dialled is what counts.
	if err := rule("a.example", "http://ip6-localhost.example:"+port).Validate(r.policy); err != nil {
		t.Fatal(err)
	}
	transport := r.transports.of(Options{})
	for _, at := range []string{"127.0.0.1:" + port, "169.254.169.254:80", "[::ffff:169.254.169.254]:80"} {
		conn, err := transport.DialContext(t.Context(), "tcp", at)
		if err == nil {
			_ = conn.Close()
			t.Errorf("%s was dialled", at)
		}
		if err != nil && !strings.Contains(err.Error(), "refused as a target") {
			t.Errorf("%s: %v", at, err)
		}
	}
}

func TestCirclesEnd(t *testing.T) {
	r := newRig(t)
	// A way round by somebody else: the target sends it to us again.
	back := app(t, func(w http.ResponseWriter, q *http.Request) {
		again, _ := http.NewRequestWithContext(q.Context(), q.Method, "http://"+r.addr+"/", nil)
		again.Host, again.Header = "a.example", q.Header.Clone()
		status, _, _ := r.do(again)
		w.WriteHeader(status)
	})
	r.apply(rule("a.example", back))
	if status, _, _ := r.get("a.example", "/"); status != http.StatusLoopDetected {
		t.Errorf("a circle answers %d", status)
	}
}

func TestTryingATargetSaysWhatIsWrong(t *testing.T) {
	good := app(t, func(w http.ResponseWriter, q *http.Request) {
		if q.URL.Path == "/broken" {
			w.WriteHeader(500)
		}
	})
	for _, c := range []struct {
		target, path string
		steps        string
		last         string
	}{
		{good, "/", "name dial answer", "it answers 200 to /"},
		{good, "/broken", "name dial answer!", "it answers 500 to /broken"},
		{nowhere(t), "/", "name dial!", "nothing listens there"},
		{"http://no-such-name.invalid", "/", "name!", "its name no-such-name.invalid is not known to DNS"},
		{"http://169.254.169.254", "/", "name!", "refused as a target"},
		{"http://localhost:" + portOfTest(good), "/", "name dial answer", "it answers 200"},
	} {
		var steps []string
		var last Step
		for _, last = range Try(t.Context(), Policy{}, c.target, Options{}, "a.example", c.path) {
			name := last.Name
			if !last.OK {
				name += "!"
			}
			steps = append(steps, name)
		}
		if strings.Join(steps, " ") != c.steps || !strings.Contains(last.Detail, c.last) {
			t.Errorf("%s%s: %v, %s", c.target, c.path, steps, last.Detail)
		}
	}
}

func portOfTest(target string) string { return target[strings.LastIndexByte(target, ':')+1:] }

// TestOneSlowSiteHoldsUpNoChecksOfAnother has a site of many targets that never answer a check, beside one that is well.
func TestOneSlowSiteHoldsUpNoChecksOfAnother(t *testing.T) {
	r := newRig(t)
	hang := make(chan struct{})
	t.Cleanup(func() { close(hang) })
	var slow []string
	for range 12 {
		slow = append(slow, app(t, func(_ http.ResponseWriter, r *http.Request) {
			select {
			case <-hang:
			case <-r.Context().Done():
			}
		}))
	}
	checks := make(chan struct{}, 100)
	quick := app(t, func(http.ResponseWriter, *http.Request) { checks <- struct{}{} })
	check := func(o *Options) {
		o.HealthCheck = &HealthCheck{Path: "/", Interval: Span(time.Second), Timeout: Span(time.Minute)}
	}
	r.apply(rule("slow.example", slow...).with(check), rule("quick.example", quick).with(check))
	r.run(r.Run)
	for range 3 {
		select {
		case <-checks:
		case <-time.After(30 * time.Second): // half of what a slow one may take
			t.Fatal("a slow site holds up the checks of another")
		}
	}
}

func TestCountsAreTakenOnce(t *testing.T) {
	r := newRig(t)
	route := rule("a.example", says(t, "a"))
	route.Kind, route.Targets[0].Ref = KindRoute, "instance:one:80"
	r.apply(route)
	r.get("a.example", "/")
	r.get("a.example", "/")
	moved := route
	moved.Targets = []Target{{Ref: "instance:two:80", URL: nowhere(t)}}
	r.apply(moved)
	r.get("a.example", "/")
	taken := r.TakeCounts()
	slices.SortFunc(taken, func(a, b Count) int { return strings.Compare(a.Ref, b.Ref) })
	if len(taken) != 2 || taken[0].Ref != "instance:one:80" || taken[0].Requests != 2 || taken[0].Errors != 0 || taken[1].Requests != 1 || taken[1].Errors != 1 || taken[1].Last.IsZero() {
		t.Errorf("taken are %+v", taken)
	}
	if again := r.TakeCounts(); len(again) != 0 {
		t.Errorf("taken again: %+v", again)
	}
	r.PutBack(taken)
	r.get("a.example", "/")
	if pending := r.PendingCounts(); len(pending) != 2 {
		t.Errorf("pending are %+v", pending)
	}
	if report, ok := r.Report(route.ID); !ok || report.Requests != 2 || report.Errors != 2 {
		t.Errorf("the report is %+v", report)
	}
	if again := r.TakeCounts(); len(again) != 2 {
		t.Errorf("put back and taken: %+v", again)
	}
}
