package proxy

import (
	"bufio"
	"errors"
	"io"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/tiny-forge/docker-watcher/internal/waittest"
)

// serving is a target that does with each connection what a test writes, after the head of the first request.
func serving(t *testing.T, do func(conn net.Conn, in *bufio.Reader, q *http.Request)) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				defer conn.Close()
				in := bufio.NewReader(conn)
				if q, err := http.ReadRequest(in); err == nil {
					do(conn, in, q)
				}
			}()
		}
	}()
	return "http://" + l.Addr().String()
}

// ask sends a request as it is and returns all that comes back, until the connection ends.
func (r *rig) ask(request string) string {
	r.t.Helper()
	conn := r.dial()
	if _, err := io.WriteString(conn, request); err != nil {
		r.t.Fatal(err)
	}
	text, err := io.ReadAll(conn)
	if err != nil && !errors.Is(err, io.ErrUnexpectedEOF) {
		return string(text) + "\n" + err.Error()
	}
	return string(text)
}

const askOnce = "GET / HTTP/1.1\r\nHost: a.example\r\nConnection: close\r\n\r\n"

func TestAnswersThatAreNone(t *testing.T) {
	r := newRig(t)
	for name, answer := range map[string]string{
		"a status of two digits":       "HTTP/1.1 20 OK\r\nContent-Length: 2\r\n\r\nok",
		"a status below all":           "HTTP/1.1 099 X\r\nContent-Length: 2\r\n\r\nok",
		"a status of zeros":            "HTTP/1.1 000 X\r\nContent-Length: 2\r\n\r\nok",
		"a status with a sign":         "HTTP/1.1 -20 X\r\nContent-Length: 2\r\n\r\nok",
		"no version":                   "200 OK\r\n\r\nok",
		"a length and another":         "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\nok",
		"a length with a plus":         "HTTP/1.1 200 OK\r\nContent-Length: +2\r\n\r\nok",
		"a length below zero":          "HTTP/1.1 200 OK\r\nContent-Length: -2\r\n\r\nok",
		"an encoding that is none":     "HTTP/1.1 200 OK\r\nTransfer-Encoding: cow\r\n\r\nok",
		"chunks twice":                 "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n",
		"no colon":                     "HTTP/1.1 200 OK\r\nX-A\r\n\r\nok",
		"a head without an end":        "HTTP/1.1 200 OK\r\nX-A: " + strings.Repeat("x", 2*answerHeadSize),
		"many headers without an end":  "HTTP/1.1 200 OK\r\n" + strings.Repeat("a: b\r\n", answerHeadSize/4),
		"a head that breaks off":       "HTTP/1.1 200 OK\r\nX-A: 1",
		"another protocol, unasked":    "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n",
		"another protocol, of no name": "HTTP/1.1 101 Switching Protocols\r\n\r\n",
	} {
		r.apply(rule("a.example", answering(t, answer)))
		got := r.ask(askOnce)
		if !strings.HasPrefix(got, "HTTP/1.1 502 ") || strings.Contains(got, "X-A") || strings.Contains(got, "127.0.0.1") {
			t.Errorf("%s is answered by %q", name, got)
		}
	}
}

func TestNoLineIsPutIntoAnAnswer(t *testing.T) {
	r := newRig(t)
	for name, answer := range map[string]string{
		"a bare CR in a value":      "HTTP/1.1 200 OK\r\nX-A: 1\rSet-Cookie: evil=1\r\nContent-Length: 2\r\n\r\nok",
		"a bare CR in the reason":   "HTTP/1.1 200 OK\rSet-Cookie: evil=1\r\nContent-Length: 2\r\n\r\nok",
		"a folded value":            "HTTP/1.1 200 OK\r\nX-A: 1\r\n Set-Cookie: evil=1\r\nContent-Length: 2\r\n\r\nok",
		"a zero byte in a value":    "HTTP/1.1 200 OK\r\nX-A: 1\x00\r\nContent-Length: 2\r\n\r\nok",
		"a name with a space":       "HTTP/1.1 200 OK\r\nSet-Cookie : evil=1\r\nSet-Cookie\t: evil=1\r\nContent-Length: 2\r\n\r\nok",
		"an end, and another":       "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nokHTTP/1.1 200 OK\r\nSet-Cookie: evil=1\r\n\r\n",
		"a trailer beside the rule": "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\nSet-Cookie: evil=1\r\nContent-Length: 7\r\n\r\n",
	} {
		r.apply(rule("a.example", answering(t, answer)))
		got := r.ask(askOnce)
		head, body, _ := strings.Cut(got, "\r\n\r\n")
		for line := range strings.SplitSeq(head, "\r\n") {
			if strings.HasPrefix(line, "Set-Cookie") || strings.HasPrefix(line, " ") || strings.ContainsAny(line, "\r\n\x00") {
				t.Errorf("%s: the client gets the line %q", name, line)
			}
		}
		if strings.Contains(body, "HTTP/1.1") || strings.Contains(body, "\r\nContent-Length") {
			t.Errorf("%s: the client gets %q", name, got)
		}
	}
	// What a rule says is checked before it is served.
	for _, h := range []Header{{"X-A", "1\r\nSet-Cookie: evil=1"}, {"X-A", "1\n2"}, {"X-A", "1\r2"}, {"X-A", "1\x00"}, {"X-A\r\nSet-Cookie", "1"}, {"X A", "1"}, {"", "1"}, {"X-A:", "1"}, {"content-length", "1"}, {"transfer-ENCODING", "x"}} {
		for _, change := range []func(*Options){func(o *Options) { o.RequestHeaders = []Header{h} }, func(o *Options) { o.ResponseHeaders = []Header{h} }} {
			if err := rule("a.example", "http://10.0.0.5").with(change).Validate(Policy{}); err == nil {
				t.Errorf("the header %q is taken", h)
			}
		}
	}
	for _, to := range []string{"https://b.example/\r\nSet-Cookie: evil=1", "https://b.example\n", "https://b\r.example"} {
		if err := rule("a.example").with(func(o *Options) { o.RedirectTo = to }).Validate(Policy{}); err == nil {
			t.Errorf("the redirect %q is taken", to)
		}
	}
}

func TestARedirectHoldsNoLineOfTheRequest(t *testing.T) {
	r := newRig(t)
	r.apply(rule("a.example").with(func(o *Options) { o.RedirectTo = "https://b.example" }), rule("c.example", says(t, "")).with(func(o *Options) { o.RedirectHTTPS = true }))
	for _, host := range []string{"a.example", "c.example"} {
		for _, path := range []string{"/%0d%0aSet-Cookie:%20evil=1", "/x?y=%0d%0aSet-Cookie:evil=1", "//evil.example/%2fx", "/\\evil.example", "/%5cevil.example"} {
			got := r.ask("GET " + path + " HTTP/1.1\r\nHost: " + host + "\r\nConnection: close\r\n\r\n")
			where, _, _ := strings.Cut(got[strings.Index(got, "Location: ")+10:], "\r\n")
			if strings.Contains(got, "\r\nSet-Cookie") || !strings.HasPrefix(where, "https://b.example/") && !strings.HasPrefix(where, "https://c.example/") {
				t.Errorf("%s%s leads to %q", host, path, where)
			}
		}
	}
}

func TestEarlyAnswersHaveAnEnd(t *testing.T) {
	r := newRig(t)
	early := func(n int) string {
		return serving(t, func(conn net.Conn, _ *bufio.Reader, _ *http.Request) {
			for range n {
				if _, err := io.WriteString(conn, "HTTP/1.1 103 Early Hints\r\nLink: </a.css>; rel=preload\r\n\r\n"); err != nil {
					return
				}
			}
			_, _ = io.WriteString(conn, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok") // the proxy may have left
		})
	}
	for n, want := range map[int]string{0: "HTTP/1.1 200", 2: "HTTP/1.1 103", mostEarly: "HTTP/1.1 103"} {
		r.apply(rule("a.example", early(n)))
		got := r.ask(askOnce)
		if !strings.HasPrefix(got, want) || !strings.HasSuffix(got, "\r\n\r\nok") || strings.Count(got, "HTTP/1.1 103") != n {
			t.Errorf("%d early answers come as %q", n, got)
		}
	}
	r.apply(rule("a.example", early(1<<30)))
	if got := r.ask(askOnce); !strings.Contains(got, "HTTP/1.1 502") || strings.Count(got, "HTTP/1.1 103") > mostEarly {
		t.Errorf("a storm of early answers comes as %.300q", got)
	}
}

func TestAnswersKeepTheirEnd(t *testing.T) {
	r := newRig(t)
	for name, c := range map[string]struct{ method, answer, want string }{
		"HEAD with a body":              {"HEAD", "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok", "\r\n\r\n"},
		"204 with a body":               {"GET", "HTTP/1.1 204 No Content\r\nContent-Length: 2\r\n\r\nok", "\r\n\r\n"},
		"304 with a body":               {"GET", "HTTP/1.1 304 Not Modified\r\nContent-Length: 2\r\n\r\nok", "\r\n\r\n"},
		"more than the length":          {"GET", "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nokmore", "\r\n\r\nok"},
		"a length beside chunks":        {"GET", "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n", "2\r\nok\r\n0\r\n\r\n"},
		"until the connection ends":     {"GET", "HTTP/1.1 200 OK\r\n\r\nok", "2\r\nok\r\n0\r\n\r\n"},
		"chunks with a trailer":         {"GET", "HTTP/1.1 200 OK\r\nTrailer: X-T\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\nX-T: 1\r\n\r\n", "0\r\nX-T: 1\r\n\r\n"},
		"chunks of HTTP/1.0":            {"GET", "HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nok", "\r\n\r\nok"},
		"a status that nobody knows":    {"GET", "HTTP/1.1 799 Odd\r\nContent-Length: 2\r\n\r\nok", "\r\n\r\nok"},
		"it names what it may not name": {"GET", "HTTP/1.1 200 OK\r\nTrailer: Content-Length\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n", "}\n"},
	} {
		r.apply(rule("a.example", answering(t, c.answer)))
		got := r.ask(strings.Replace(askOnce, "GET", c.method, 1))
		if !strings.HasSuffix(got, c.want) {
			t.Errorf("%s comes as %q", name, got)
		}
	}
	// What breaks off is cut off, and what ends too early does not look whole.
	for name, answer := range map[string]string{
		"shorter than the length": "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nok",
		"chunks without an end":   "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n",
		"chunks of no number":     "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nZZ\r\nok\r\n0\r\n\r\n",
		"a chunk that is longer":  "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nok\r\n0\r\n\r\n",
		"chunks with bare LF":     "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\nok\n0\n\n",
	} {
		r.apply(rule("a.example", answering(t, answer)))
		got := r.ask(askOnce)
		if strings.HasSuffix(got, "0\r\n\r\n") || strings.Contains(got, "Content-Length: 2") {
			t.Errorf("%s looks whole: %q", name, got)
		}
	}
}

// TestNothingIsDoneTwice: a target that dies with a request in its hands may have acted on it.
func TestNothingIsDoneTwice(t *testing.T) {
	for name, c := range map[string]struct {
		request string
		want    int64 // how often the second request comes to the target
		answer  string
	}{
		"POST with a body":  {"POST / HTTP/1.1\r\nHost: a.example\r\nContent-Length: 5\r\nConnection: close\r\n\r\nhello", 1, "HTTP/1.1 502"},
		"POST without one":  {"POST / HTTP/1.1\r\nHost: a.example\r\nContent-Length: 0\r\nConnection: close\r\n\r\n", 1, "HTTP/1.1 502"},
		"POST in chunks":    {"POST / HTTP/1.1\r\nHost: a.example\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n5\r\nhello\r\n0\r\n\r\n", 1, "HTTP/1.1 502"},
		"PATCH":             {"PATCH / HTTP/1.1\r\nHost: a.example\r\nContent-Length: 5\r\nConnection: close\r\n\r\nhello", 1, "HTTP/1.1 502"},
		"DELETE and a body": {"DELETE / HTTP/1.1\r\nHost: a.example\r\nContent-Length: 5\r\nConnection: close\r\n\r\nhello", 1, "HTTP/1.1 502"},
		"GET":               {askOnce, 2, "HTTP/1.1 200"},
	} {
		var came atomic.Int64
		target := serving(t, func(conn net.Conn, in *bufio.Reader, q *http.Request) {
			for {
				_, _ = io.Copy(io.Discard, q.Body) // as above, it is read for what follows
				if q.Header.Get("X-First") == "" && came.Add(1) == 1 {
					return // dies with it
				}
				if _, err := io.WriteString(conn, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"); err != nil {
					return
				}
				var err error
				if q, err = http.ReadRequest(in); err != nil {
					return
				}
			}
		})
		r := newRig(t)
		r.apply(rule("a.example", target))
		if status, _, _ := r.get("a.example", "/", func(q *http.Request) { q.Header.Set("X-First", "1") }); status != 200 {
			t.Fatalf("the first request answers %d", status)
		}
		if got := r.ask(c.request); !strings.HasPrefix(got, c.answer) {
			t.Errorf("%s: it answers %q", name, got)
		}
		if came.Load() != c.want {
			t.Errorf("%s: it comes to the target %d times, want %d", name, came.Load(), c.want)
		}
	}
}

func TestATargetThatStopsInTheMiddleHoldsNobody(t *testing.T) {
	gone := make(chan struct{}, 10)
	r := newRig(t)
	r.apply(rule("a.example", app(t, func(w http.ResponseWriter, q *http.Request) {
		_, _ = io.WriteString(w, "begun")
		_ = http.NewResponseController(w).Flush() // a failure shows in the client
		<-q.Context().Done()
		gone <- struct{}{}
	})))
	for range 3 {
		conn := r.dial()
		_, _ = io.WriteString(conn, askOnce)
		resp, err := http.ReadResponse(bufio.NewReader(conn), nil)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := io.ReadFull(resp.Body, make([]byte, 5)); err != nil {
			t.Fatal(err)
		}
		_ = conn.Close()
		_ = resp.Body.Close()
		waittest.Next(t, "the client has left, and the target is told so", gone)
	}
}

func TestAClientThatHalfLeavesGetsNoEmptyAnswer(t *testing.T) {
	r := newRig(t)
	asked := make(chan struct{})
	r.apply(rule("a.example", app(t, func(_ http.ResponseWriter, q *http.Request) {
		close(asked)
		<-q.Context().Done()
	})))
	conn := r.dial()
	_, _ = io.WriteString(conn, "GET / HTTP/1.1\r\nHost: a.example\r\n\r\n")
	waittest.Next(t, "the target is asked", asked)
	if err := conn.(*net.TCPConn).CloseWrite(); err != nil {
		t.Fatal(err)
	}
	if text, _ := io.ReadAll(conn); len(text) > 0 {
		t.Errorf("it gets %q", text)
	}
}

func TestWhoAsksBeforeItSendsIsAnswered(t *testing.T) {
	const ask = "PUT / HTTP/1.1\r\nHost: a.example\r\nExpect: 100-continue\r\nConnection: close\r\nContent-Length: 5000000\r\n\r\n"
	r := newRig(t)
	refuses := answering(t, "HTTP/1.1 413 Too Large\r\nConnection: close\r\nContent-Length: 2\r\n\r\nno")
	for name, c := range map[string]struct {
		rule Rule
		want string
	}{
		"refused by the target":     {rule("a.example", refuses), "HTTP/1.1 413"},
		"refused by the limit":      {rule("a.example", refuses).with(func(o *Options) { o.MaxBodyBytes = 10 }), "HTTP/1.1 413"},
		"refused, within the limit": {rule("a.example", refuses).with(func(o *Options) { o.MaxBodyBytes = 10_000_000 }), "HTTP/1.1 413"},
		"nobody is there":           {rule("a.example", nowhere(t)), "HTTP/1.1 502"},
		"it has no site":            {rule("b.example", refuses), "HTTP/1.1 404"},
		"it is worked on":           {rule("a.example", refuses).with(func(o *Options) { o.Maintenance = true }), "HTTP/1.1 503"},
		"the target wants it":       {rule("a.example", app(t, func(_ http.ResponseWriter, q *http.Request) { _, _ = q.Body.Read(make([]byte, 1)) })), "HTTP/1.1 100"},
	} {
		r.apply(c.rule)
		if got := r.raw(ask); !strings.HasPrefix(got, c.want) {
			t.Errorf("%s: it is answered %q, want %s", name, got, c.want)
		}
	}
}

// TestNothingIsSwallowedOfABody: a target may answer while it is still sent to. What comes after its first word is for it as well.
func TestNothingIsSwallowedOfABody(t *testing.T) {
	r := newRig(t)
	r.apply(rule("a.example", app(t, func(w http.ResponseWriter, q *http.Request) {
		out := http.NewResponseController(w)
		if err := out.EnableFullDuplex(); err != nil {
			t.Error(err)
		}
		for buf := make([]byte, 100); ; {
			n, err := q.Body.Read(buf)
			_, _ = w.Write(buf[:n]) // the client sees what is missing
			_ = out.Flush()         // as above
			if err != nil {
				return
			}
		}
	})))
	for name, c := range map[string]struct{ head, first, second string }{
		"in chunks":   {"Transfer-Encoding: chunked", "5\r\nhello\r\n", "5\r\nworld\r\n0\r\n\r\n"},
		"of a length": {"Content-Length: 10", "hello", "world"},
	} {
		conn := r.dial()
		_, _ = io.WriteString(conn, "POST / HTTP/1.1\r\nHost: a.example\r\n"+c.head+"\r\n\r\n"+c.first)
		resp, err := http.ReadResponse(bufio.NewReader(conn), nil)
		if err != nil {
			t.Fatal(err)
		}
		buf := make([]byte, 5)
		if _, err := io.ReadFull(resp.Body, buf); err != nil || string(buf) != "hello" {
			t.Fatalf("%s: first comes %q, %v", name, buf, err)
		}
		_, _ = io.WriteString(conn, c.second)
		if rest, err := io.ReadAll(resp.Body); err != nil || string(rest) != "world" {
			t.Errorf("%s: then comes %q, %v", name, rest, err)
		}
		_ = resp.Body.Close()
	}
}

func TestRequestsWithBodiesKeepTheirConnection(t *testing.T) {
	rec := newRecorder(t)
	r := newRig(t)
	r.apply(rule("a.example", rec.url), rule("b.example", rec.url).with(func(o *Options) { o.MaxBodyBytes = 100 }))
	post := func(host string) string {
		return "POST / HTTP/1.1\r\nHost: " + host + "\r\nContent-Length: 5\r\n\r\nhello"
	}
	got := r.exchange(strings.Repeat(post("a.example")+post("b.example"), 10))
	if want := append(slices.Repeat([]int{200}, 20), 404); !slices.Equal(got, want) {
		t.Errorf("it answers %v", got)
	}
	if _, seen := rec.take(); len(seen) != 20 {
		t.Errorf("the target reads %d requests", len(seen))
	}
}
