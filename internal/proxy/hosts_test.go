package proxy

import (
	"log/slog"
	"maps"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/tiny-forge/docker-watcher/internal/waittest"
)

func TestTheHostOfARequestIsReadInOneWay(t *testing.T) {
	rec := newRecorder(t)
	r := newRig(t)
	r.apply(rule("a.example", rec.url), rule("xn--bcher-kva.example", rec.url), rule("::1", rec.url))
	get := func(target, host string) string { return "GET " + target + " HTTP/1.1\r\nHost: " + host + "\r\n\r\n" }
	for name, c := range map[string]struct {
		request string
		status  int
		host    string // that the target sees; empty: it sees nothing
	}{
		"a port":                      {get("/", "a.example:8443"), 200, "a.example:8443"},
		"capitals":                    {get("/", "A.ExAmPlE"), 200, "A.ExAmPlE"},
		"a dot at the end":            {get("/", "a.example."), 200, "a.example."},
		"a dot and a port":            {get("/", "a.example.:80"), 200, "a.example.:80"},
		"letters of DNS":              {get("/", "XN--BCHER-kva.example"), 200, "XN--BCHER-kva.example"},
		"an address":                  {get("/", "[::1]:80"), 200, "[::1]:80"},
		"absolute":                    {get("http://a.example/x?q=1", "b.example"), 200, "a.example"},
		"absolute with a port":        {get("http://a.example:81/x", "b.example"), 200, "a.example:81"},
		"absolute, scheme of TLS":     {get("https://a.example/x", "b.example"), 200, "a.example"},
		"absolute, without a host":    {get("http:///x", "a.example"), 400, ""},
		"absolute, without a path":    {get("http://a.example", "a.example"), 400, ""},
		"absolute, of nobody":         {get("http://b.example/", "a.example"), 404, ""},
		"absolute, a file":            {get("file:///etc/passwd", "a.example"), 400, ""},
		"absolute, with a name":       {get("http://u:p@a.example/", "a.example"), 400, ""},
		"two slashes":                 {get("//b.example/x", "a.example"), 200, "a.example"},
		"no slash":                    {get("x", "a.example"), 400, ""},
		"a name before the host":      {get("/", "u@a.example"), 400, ""},
		"a name and a password":       {get("/", "u:p@a.example"), 400, ""},
		"a port that is none":         {get("/", "a.example:evil"), 404, ""},
		"two ports":                   {get("/", "a.example:80:80"), 404, ""},
		"two dots at the end":         {get("/", "a.example.."), 404, ""},
		"a path in the host":          {get("/", "a.example/x"), 400, ""},
		"a host beyond ASCII":         {get("/", "bücher.example"), 400, ""},
		"a comma":                     {get("/", "a.example,b.example"), 404, ""},
		"a space":                     {get("/", "a.example b.example"), 400, ""},
		"an empty host":               {get("/", ""), 404, ""},
		"two hosts":                   {"GET / HTTP/1.1\r\nHost: a.example\r\nHost: a.example\r\n\r\n", 400, ""},
		"a host that is folded":       {"GET / HTTP/1.1\r\nHost: b.example\r\n a.example\r\n\r\n", 400, ""},
		"the host is hop by hop":      {"GET / HTTP/1.1\r\nConnection: Host\r\nHost: a.example\r\n\r\n", 200, "a.example"},
		"CONNECT":                     {"CONNECT a.example:443 HTTP/1.1\r\nHost: a.example:443\r\n\r\n", 405, ""},
		"CONNECT with a path":         {"CONNECT /x HTTP/1.1\r\nHost: a.example\r\n\r\n", 405, ""},
		"OPTIONS of all":              {"OPTIONS * HTTP/1.1\r\nHost: a.example\r\n\r\n", 400, ""},
		"OPTIONS of a path":           {"OPTIONS /x HTTP/1.1\r\nHost: a.example\r\n\r\n", 200, "a.example"},
		"a star":                      {"GET * HTTP/1.1\r\nHost: a.example\r\n\r\n", 400, ""},
		"dots with parameters":        {get("/x/..;v=1/y", "a.example"), 400, ""},
		"dots with hidden parameters": {get("/x/..%3Bv=1/y", "a.example"), 400, ""},
		"a name that begins so":       {get("/..x/.well-known/y", "a.example"), 200, "a.example"},
	} {
		statuses := r.exchange(c.request)
		if len(statuses) == 0 || statuses[0] != c.status {
			t.Errorf("%s: it answers %v, want %d", name, statuses, c.status)
		}
		raw, seen := rec.take()
		host := ""
		for line := range strings.SplitSeq(raw, "\r\n") {
			if h, ok := strings.CutPrefix(line, "Host: "); ok {
				host += h
			}
		}
		if host != c.host || len(seen) > 1 || strings.Contains(raw, "http://") {
			t.Errorf("%s: the target is sent %q, want the host %q", name, raw, c.host)
		}
	}
}

func TestHeadersOfOneHopGoNoFurther(t *testing.T) {
	seen, answer := make(chan http.Header, 1), http.Header{}
	r := newRig(t)
	r.apply(rule("a.example", app(t, func(w http.ResponseWriter, q *http.Request) {
		seen <- q.Header
		maps.Copy(w.Header(), answer)
	})).with(func(o *Options) { o.RequestHeaders = []Header{{"X-Rule", "ours"}} }))
	if got := r.exchange("GET / HTTP/1.1\r\nHost: a.example\r\nConnection: close, X-Secret, X-Forwarded-For, X-Real-Ip, Via, X-Rule\r\nConnection: X-Second\r\nX-Secret: 1\r\nX-Second: 1\r\n" +
		"X-Rule: theirs\r\nVia: 1.1 other\r\nKeep-Alive: 5\r\nProxy-Connection: x\r\nProxy-Authorization: x\r\nTE: gzip\r\nTrailer: X-T\r\nX-Kept: 1\r\n\r\n"); len(got) != 1 || got[0] != 200 {
		t.Fatalf("it answers %v", got)
	}
	h := waittest.Next(t, "the target is asked", seen)
	for _, name := range []string{"Connection", "X-Secret", "X-Second", "Keep-Alive", "Proxy-Connection", "Proxy-Authorization", "Te", "Trailer"} {
		if h.Get(name) != "" {
			t.Errorf("the target sees %s: %s", name, h.Get(name))
		}
	}
	for name, want := range map[string]string{"X-Rule": "ours", "X-Kept": "1", "X-Forwarded-For": "127.0.0.1", "X-Real-Ip": "127.0.0.1"} {
		if h.Get(name) != want {
			t.Errorf("the target sees %s: %q, want %q", name, h.Get(name), want)
		}
	}
	if !strings.Contains(strings.Join(h["Via"], ","), r.name) {
		t.Errorf("a client can hide that a request was here: %v", h["Via"])
	}
	answer = http.Header{"Connection": {"X-Secret"}, "X-Secret": {"1"}, "Keep-Alive": {"timeout=5"}, "Proxy-Authenticate": {"Basic"}, "X-Kept": {"1"}}
	_, _, back := r.get("a.example", "/")
	waittest.Next(t, "the target is asked once more", seen)
	if back.Get("X-Secret") != "" || back.Get("Keep-Alive") != "" || back.Get("Proxy-Authenticate") != "" || back.Get("X-Kept") != "1" {
		t.Errorf("the client sees %v", back)
	}
}

func TestCirclesOfSeveralEnd(t *testing.T) {
	first, second := newRig(t), newRig(t)
	first.apply(rule("a.example", "http://"+second.addr))
	second.apply(rule("a.example", "http://"+first.addr))
	if status, _, _ := first.get("a.example", "/"); status != http.StatusLoopDetected {
		t.Errorf("a circle of two answers %d", status)
	}
	// Others that go round among themselves and know nothing of us.
	first.apply(rule("a.example", says(t, "here")))
	for hops, want := range map[int]int{mostHops: 200, mostHops + 1: http.StatusLoopDetected} {
		for _, list := range [][]string{{strings.Repeat("1.1 other, ", hops-1) + "1.1 other"}, strings.Split(strings.Repeat("1.1 other,", hops-1)+"1.1 other", ",")} {
			if status, _, _ := first.get("a.example", "/", func(q *http.Request) { q.Header["Via"] = list }); status != want {
				t.Errorf("after %d hops it answers %d, want %d", hops, status, want)
			}
		}
	}
}

func TestManySmallHeadersAreOneHead(t *testing.T) {
	rec := newRecorder(t)
	r := newRig(t)
	r.apply(rule("a.example", rec.url))
	for lines, want := range map[int]int{5_000: 200, 30_000: http.StatusRequestHeaderFieldsTooLarge} {
		if got := r.exchange("GET / HTTP/1.1\r\nHost: a.example\r\n" + strings.Repeat("a: b\r\n", lines) + "\r\n"); len(got) == 0 && want == 200 || len(got) > 0 && got[0] != want {
			t.Errorf("%d lines are answered by %v, want %d", lines, got, want)
		}
	}
	if _, seen := rec.take(); len(seen) != 1 {
		t.Errorf("the target reads %d requests", len(seen))
	}
	// The same by the longest first line.
	if got := r.raw("GET /" + strings.Repeat("x", 80<<10) + " HTTP/1.1\r\nHost: a.example\r\n\r\n"); got != "cut off" && !strings.HasPrefix(got, "HTTP/1.1 431") {
		t.Errorf("a path of 80 kB is answered by %s", got)
	}
}

func FuzzHost(f *testing.F) {
	s := NewServer(ServerOptions{Log: slog.New(slog.DiscardHandler)})
	if _, err := s.Apply(Table{Rules: []Rule{rule("a.example").with(func(o *Options) { o.Maintenance, o.RedirectTo = true, "https://b.example" })}}); err != nil {
		f.Fatal(err)
	}
	for _, seed := range [][2]string{{"a.example", "/"}, {"a.example:80", "//x"}, {"[::1]:80", "/%2e%2e/"}, {"u@a.example", "*"}, {"a.example:x", "/..;/"}, {"", ""}} {
		f.Add(seed[0], seed[1])
	}
	f.Fuzz(func(t *testing.T, host, path string) {
		r := httptest.NewRequest(http.MethodGet, "/", nil)
		r.Host, r.URL.Path = host, path
		w := httptest.NewRecorder()
		s.ServeHTTP(w, r)
		switch served := hostOf(host) == "a.example"; {
		case w.Code == http.StatusBadRequest, w.Code == http.StatusNotFound && !served, w.Code == http.StatusServiceUnavailable && served:
		default:
			t.Errorf("%q%q answers %d", host, path, w.Code)
		}
	})
}
