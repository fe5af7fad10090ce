package proxy

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/tiny-forge/docker-watcher/internal/waittest"
)

// answering is a target that answers each connection with the same bytes, and cuts it off then.
func answering(t *testing.T, text string) string {
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
			if _, err := http.ReadRequest(bufio.NewReader(conn)); err == nil {
				_, _ = io.WriteString(conn, text)
			}
			_ = conn.Close()
		}
	}()
	return "http://" + l.Addr().String()
}

func TestRequestsThatAreAnsweredByNobody(t *testing.T) {
	var asked atomic.Int64
	r := newRig(t)
	r.apply(rule("a.example", app(t, func(http.ResponseWriter, *http.Request) { asked.Add(1) })))
	for name, c := range map[string]struct{ request, want string }{
		"CONNECT":                     {"CONNECT a.example:443 HTTP/1.1\r\nHost: a.example\r\n\r\n", "HTTP/1.1 405"},
		"TRACE":                       {"TRACE / HTTP/1.1\r\nHost: a.example\r\n\r\n", "HTTP/1.1 405"},
		"OPTIONS of all":              {"OPTIONS * HTTP/1.1\r\nHost: a.example\r\n\r\n", "HTTP/1.1 "},
		"another scheme":              {"GET ftp://a.example/ HTTP/1.1\r\nHost: a.example\r\n\r\n", "HTTP/1.1 400"},
		"a name in the address":       {"GET http://u:p@a.example/ HTTP/1.1\r\nHost: a.example\r\n\r\n", "HTTP/1.1 400"},
		"no host":                     {"GET / HTTP/1.1\r\n\r\n", "HTTP/1.1 400"},
		"two hosts":                   {"GET / HTTP/1.1\r\nHost: a.example\r\nHost: b.example\r\n\r\n", "HTTP/1.1 400"},
		"a host with a space":         {"GET / HTTP/1.1\r\nHost: a.example b\r\n\r\n", "HTTP/1.1 400"},
		"two lengths":                 {"POST / HTTP/1.1\r\nHost: a.example\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab", "HTTP/1.1 400"},
		"a length that is no number":  {"POST / HTTP/1.1\r\nHost: a.example\r\nContent-Length: +1\r\n\r\na", "HTTP/1.1 400"},
		"an odd encoding":             {"POST / HTTP/1.1\r\nHost: a.example\r\nTransfer-Encoding: xchunked\r\n\r\n", "HTTP/1.1 501"},
		"two encodings":               {"POST / HTTP/1.1\r\nHost: a.example\r\nTransfer-Encoding: chunked, identity\r\n\r\n", "HTTP/1.1 501"},
		"a space before the colon":    {"POST / HTTP/1.1\r\nHost: a.example\r\nContent-Length : 1\r\n\r\na", "HTTP/1.1 400"},
		"a folded header":             {"GET / HTTP/1.1\r\nHost: a.example\r\nX-A: 1\r\n 2\r\n\r\n", "HTTP/1.1 "},
		"a zero byte in a header":     {"GET / HTTP/1.1\r\nHost: a.example\r\nX-A: a\x00b\r\n\r\n", "HTTP/1.1 400"},
		"a zero byte in the path":     {"GET /%00 HTTP/1.1\r\nHost: a.example\r\n\r\n", "HTTP/1.1 400"},
		"dots":                        {"GET /x/../y HTTP/1.1\r\nHost: a.example\r\n\r\n", "HTTP/1.1 400"},
		"dots in disguise":            {"GET /x/%2e%2E/y HTTP/1.1\r\nHost: a.example\r\n\r\n", "HTTP/1.1 400"},
		"HTTP/2 without TLS":          {"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", "HTTP/1.1 "},
		"a head beyond its size":      {"GET / HTTP/1.1\r\nHost: a.example\r\nX-A: " + strings.Repeat("x", 80<<10) + "\r\n\r\n", "HTTP/1.1 431"},
		"absolute, of another domain": {"GET http://b.example/ HTTP/1.1\r\nHost: a.example\r\n\r\n", "HTTP/1.1 404"},
	} {
		got := r.raw(c.request)
		if got != "cut off" && !strings.HasPrefix(got, c.want) || strings.HasPrefix(got, "HTTP/1.1 2") && name != "a folded header" {
			t.Errorf("%s: %s", name, got)
		}
	}
	if asked.Load() > 1 { // a folded header is unfolded by the library
		t.Errorf("the target was asked %d times", asked.Load())
	}
	if got := r.raw("GET http://a.example/ HTTP/1.1\r\nHost: b.example\r\n\r\n"); got != "HTTP/1.1 200 OK" {
		t.Errorf("absolute, of a domain that is served: %s", got)
	}
	if got := r.raw("GET / HTTP/1.1\r\nHost: a.example\r\nX-A: " + strings.Repeat("x", 60<<10) + "\r\n\r\n"); got != "HTTP/1.1 200 OK" {
		t.Errorf("a head of 60 kB: %s", got)
	}
}

func TestOneRequestIsNeverTwo(t *testing.T) {
	paths := make(chan string, 10)
	r := newRig(t)
	r.apply(rule("a.example", app(t, func(_ http.ResponseWriter, q *http.Request) {
		_, _ = io.Copy(io.Discard, q.Body) // how it ends is the client's matter
		paths <- q.URL.Path
	})))
	hidden := "GET /hidden HTTP/1.1\r\nHost: a.example\r\n\r\n"
	for name, request := range map[string]string{
		"chunked and a length":     fmt.Sprintf("POST /seen HTTP/1.1\r\nHost: a.example\r\nContent-Length: %d\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n5\r\nhello\r\n0\r\n\r\n%s", len(hidden)+20, hidden),
		"hidden in the body":       fmt.Sprintf("POST /seen HTTP/1.1\r\nHost: a.example\r\nContent-Length: %d\r\nConnection: close\r\n\r\n%s", len(hidden), hidden),
		"the length is hop by hop": fmt.Sprintf("POST /seen HTTP/1.1\r\nHost: a.example\r\nConnection: close, Content-Length\r\nContent-Length: %d\r\n\r\n%s", len(hidden), hidden),
		"hidden in a chunk":        fmt.Sprintf("POST /seen HTTP/1.1\r\nHost: a.example\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n%x\r\n%s\r\n0\r\n\r\n", len(hidden), hidden),
	} {
		if got := r.raw(request); !strings.HasPrefix(got, "HTTP/1.1 ") {
			t.Errorf("%s: %s", name, got)
		}
		select {
		case path := <-paths:
			if path != "/seen" {
				t.Errorf("%s: the target sees %s", name, path)
			}
		default: // refused
		}
	}
	close(paths)
	for path := range paths {
		t.Errorf("the target sees %s beside", path)
	}
}

func TestNoTunnelOfHTTP2PastTheRules(t *testing.T) {
	seen := make(chan http.Header, 1)
	r := newRig(t)
	r.apply(rule("a.example", app(t, func(_ http.ResponseWriter, q *http.Request) { seen <- q.Header })))
	for protocol, passes := range map[string]bool{"h2c": false, "H2C": false, "websocket, h2c": false, "h2c,websocket": false, "websocket": true, "echo": true} {
		got := r.raw("GET / HTTP/1.1\r\nHost: a.example\r\nConnection: Upgrade\r\nUpgrade: " + protocol + "\r\nHTTP2-Settings: AAMAAABkAAQCAAAAAAIAAAAA\r\n\r\n")
		if got != "HTTP/1.1 200 OK" {
			t.Errorf("to %s it answers %s", protocol, got)
			continue
		}
		h := waittest.Next(t, "the target is asked", seen)
		if h.Get("Http2-Settings") != "" || (h.Get("Upgrade") != "") != passes || (h.Get("Connection") != "") != passes {
			t.Errorf("of %s the target sees %v", protocol, h)
		}
	}
	r.apply(rule("a.example", answering(t, "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n\r\n")))
	if got := r.raw("GET / HTTP/1.1\r\nHost: a.example\r\nConnection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMA\r\n\r\n"); !strings.HasPrefix(got, "HTTP/1.1 502") {
		t.Errorf("a target that changes to HTTP/2 unasked is answered by %s", got)
	}
}

func TestTargetsThatMisbehave(t *testing.T) {
	stuck := make(chan struct{})
	defer close(stuck)
	hung := app(t, func(http.ResponseWriter, *http.Request) { <-stuck })
	r := newRig(t)
	r.apply(
		rule("hang.example", hung).with(func(o *Options) { o.ResponseTimeout = Span(200 * time.Millisecond) }),
		rule("reset.example", answering(t, "")),
		rule("garbage.example", answering(t, "SSH-2.0-OpenSSH\r\n\r\n")),
		rule("split.example", answering(t, "HTTP/1.1 200 OK\r\nX-A: 1\r\nBad Header\r\n\r\n")),
		rule("huge.example", answering(t, "HTTP/1.1 200 OK\r\nX-A: "+strings.Repeat("x", 300<<10)+"\r\n\r\n")),
		rule("lengths.example", answering(t, "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab")),
		rule("chunks.example", answering(t, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\nZZ\r\nworld")),
		rule("short.example", answering(t, "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhello")),
		rule("protocol.example", answering(t, "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: evil\r\n\r\n")),
	)
	for host, want := range map[string]int{"hang.example": 504, "reset.example": 502, "garbage.example": 502, "split.example": 502, "huge.example": 502, "lengths.example": 502, "protocol.example": 502} {
		if status, body, _ := r.get(host, "/"); status != want || strings.Contains(body, "127.0.0.1") {
			t.Errorf("%s answers %d %s, want %d", host, status, body, want)
		}
	}
	soon, cancel := r.soon()
	defer cancel()
	for _, host := range []string{"chunks.example", "short.example"} {
		req, _ := http.NewRequestWithContext(soon, http.MethodGet, "http://"+r.addr+"/", nil)
		req.Host = host
		resp, err := http.DefaultTransport.RoundTrip(req)
		if err != nil {
			continue // it was cut off before its head was sent on
		}
		if _, err := io.ReadAll(resp.Body); err == nil || soon.Err() != nil {
			t.Errorf("%s: half an answer looks like a whole one, or has no end: %v", host, err)
		}
		_ = resp.Body.Close()
	}
	if report, _ := r.Report("hang.example"); report.Errors != 1 || report.Open != 0 {
		t.Errorf("the report is %+v", report)
	}
}

func TestLargeBodiesPassAsTheyCome(t *testing.T) {
	const size = 256 << 20
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	r := newRig(t)
	r.apply(rule("a.example", app(t, func(w http.ResponseWriter, q *http.Request) {
		n, err := io.Copy(io.Discard, q.Body)
		fmt.Fprint(w, n, err)
	})))
	for _, length := range []int64{size, -1} {
		_, body, _ := r.get("a.example", "/", func(q *http.Request) {
			q.Method, q.Body, q.ContentLength = "PUT", io.NopCloser(io.LimitReader(zeros{}, size)), length
		})
		if body != fmt.Sprint(size, error(nil)) {
			t.Errorf("of a body of %d (announced as %d) comes %s", size, length, body)
		}
	}
	if runtime.ReadMemStats(&after); after.Sys-before.Sys > size/4 {
		t.Errorf("bodies of %d MiB took %d MiB of memory", size>>20, (after.Sys-before.Sys)>>20)
	}
}

type zeros struct{}

func (zeros) Read(b []byte) (int, error) { clear(b); return len(b), nil }

// stalling is a body that gives a piece and then nothing until its deadline.
type stalling struct{ conn net.Conn }

func (s stalling) Read(b []byte) (int, error) { return s.conn.Read(b) }
func (s stalling) Close() error               { return nil }

type deadlines struct {
	http.ResponseWriter
	conn net.Conn
}

func (d deadlines) SetReadDeadline(at time.Time) error {
	if at.IsZero() {
		return d.conn.SetReadDeadline(at)
	}
	// As if bodyPatience were over.
	return d.conn.SetReadDeadline(at.Add(-bodyPatience))
}

func TestASenderThatStopsIsGivenUp(t *testing.T) {
	ours, theirs := net.Pipe()
	defer theirs.Close()
	body := patient{stalling{ours}, http.NewResponseController(deadlines{conn: ours}), &visit{}}
	if _, err := body.Read(make([]byte, 10)); !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("it ends by %v", err)
	}
}
