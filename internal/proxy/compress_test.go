package proxy

import (
	"bufio"
	"compress/gzip"
	"encoding/json"
	"io"
	"log/slog"
	"net/http"
	"strings"
	"testing"

	"github.com/tiny-forge/docker-watcher/internal/waittest"
)

func TestTakesGzip(t *testing.T) {
	for accept, want := range map[string]bool{
		"": false, "gzip": true, "br, GZIP": true, "gzip;q=0": false, "gzip; q=0.0": false, "*": true, "*;q=0": false, "br;q=1, *;q=0.1": true,
		"*, gzip;q=0": false, "deflate": false, "x-gzip": true, "gzip;q=0.5": true, "gzipped": false,
	} {
		if got := takesGzip([]string{accept}); got != want {
			t.Errorf("%q: %v", accept, got)
		}
	}
}

// asked asks the rig for a path as a client does that unpacks nothing by itself.
func (r *rig) asked(method, path string, header http.Header) (http.Header, string) {
	r.t.Helper()
	ctx, cancel := r.soon()
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, method, "http://"+r.addr+path, nil)
	if err != nil {
		r.t.Fatal(err)
	}
	req.Host, req.Header = "a.example", header
	resp, err := (&http.Transport{DisableCompression: true, DisableKeepAlives: true}).RoundTrip(req)
	if err != nil {
		r.t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		r.t.Fatal(err)
	}
	return resp.Header, string(body)
}

func TestCompress(t *testing.T) {
	long := strings.Repeat("all work and no play ", 500)
	target := app(t, func(w http.ResponseWriter, r *http.Request) {
		h := w.Header()
		h.Set("Content-Type", "text/html; charset=utf-8")
		h.Set("Etag", `"v1"`)
		h.Set("Accept-Ranges", "bytes")
		switch r.URL.Path {
		case "/picture":
			h.Set("Content-Type", "image/png")
		case "/packed":
			h.Set("Content-Encoding", "br")
		case "/short":
			_, _ = io.WriteString(w, "short")
			return
		case "/same":
			w.WriteHeader(http.StatusNotModified)
			return
		case "/part":
			h.Set("Content-Range", "bytes 0-10499/20000")
			w.WriteHeader(http.StatusPartialContent)
		case "/as-is":
			h.Set("Cache-Control", "public, no-transform")
		case "/also-as-is":
			h["Cache-Control"] = []string{"private", "No-Transform"}
		case "/sum":
			h.Set("Content-Digest", "sha-256=:abc:")
		case "/written":
			if got := r.Header.Get("If-Match"); got != `"v1", "v2"` {
				t.Errorf("the target is asked for %s", got)
			}
		case "/early":
			w.Header().Set("Link", "</a.css>; rel=preload")
			w.WriteHeader(http.StatusEarlyHints)
		}
		_, _ = io.WriteString(w, long)
	})
	r := newRig(t)
	site := rule("a.example", target)
	r.apply(site)
	if h, body := r.asked("GET", "/", http.Header{"Accept-Encoding": {"gzip"}}); h.Get("Content-Encoding") != "" || body != long {
		t.Error("it is compressed though nobody asked for it")
	}
	site.Options.Compress = true
	r.apply(site)
	for _, path := range []string{"/", "/early"} {
		h, body := r.asked("GET", path, http.Header{"Accept-Encoding": {"br, gzip"}})
		if h.Get("Content-Encoding") != "gzip" || h.Get("Vary") != "Accept-Encoding" || h.Get("Etag") != `W/"v1"` || h.Get("Accept-Ranges") != "" || len(body) > len(long)/10 {
			t.Errorf("%s: %d bytes, %v", path, len(body), h)
		}
		in, err := gzip.NewReader(strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		if text, err := io.ReadAll(in); err != nil || string(text) != long {
			t.Errorf("%s: %d bytes come out: %v", path, len(text), err)
		}
	}
	r.asked("PUT", "/written", http.Header{"Accept-Encoding": {"gzip"}, "If-Match": {`W/"v1", "v2"`}})
	if h, body := r.asked("HEAD", "/", http.Header{"Accept-Encoding": {"gzip"}}); h.Get("Content-Encoding") != "gzip" || body != "" || h.Get("Content-Length") != "" {
		t.Errorf("HEAD: %q, %v", body, h)
	}
	for path, accept := range map[string]string{"/": "identity", "/picture": "gzip", "/short": "gzip", "/part": "gzip", "/same": "gzip", "/as-is": "gzip", "/also-as-is": "gzip", "/sum": "gzip"} {
		if h, body := r.asked("GET", path, http.Header{"Accept-Encoding": {accept}}); h.Get("Content-Encoding") != "" || h.Get("Etag") != `"v1"` || strings.HasPrefix(body, "\x1f\x8b") {
			t.Errorf("%s for %s: %v", path, accept, h)
		}
	}
	if h, body := r.asked("GET", "/packed", http.Header{"Accept-Encoding": {"gzip"}}); h.Get("Content-Encoding") != "br" || body != long {
		t.Errorf("what the target has compressed: %v", h)
	}
}

// TestCompressLeavesStreamsAlone: an event is there when it was sent, and the head before the first.
func TestCompressLeavesStreamsAlone(t *testing.T) {
	// One for each, for the target hears late that the one before has left.
	next := map[string]chan string{"/events": make(chan string), "/lines": make(chan string)}
	target := app(t, func(w http.ResponseWriter, r *http.Request) {
		kind := "text/event-stream"
		if r.URL.Path == "/lines" {
			kind = "text/plain"
		}
		w.Header().Set("Content-Type", kind)
		c := http.NewResponseController(w)
		_ = c.Flush()
		for {
			select {
			case text := <-next[r.URL.Path]:
				_, _ = io.WriteString(w, text)
				_ = c.Flush()
			case <-r.Context().Done():
				return
			}
		}
	})
	r := newRig(t)
	site := rule("a.example", target)
	site.Options.Compress = true
	r.apply(site)
	ctx, cancel := r.soon()
	defer cancel()
	for _, path := range []string{"/events", "/lines"} {
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+r.addr+path, nil)
		if err != nil {
			t.Fatal(err)
		}
		req.Host = "a.example"
		resp, err := http.DefaultTransport.RoundTrip(req) // which unpacks what it asked for
		if err != nil {
			t.Fatal(err)
		}
		if resp.Uncompressed != (path == "/lines") {
			t.Errorf("%s: compressed is %v", path, resp.Uncompressed)
		}
		in := bufio.NewReader(resp.Body)
		for _, text := range []string{"one\n", "two\n"} {
			select {
			case next[path] <- text:
			case <-ctx.Done():
				t.Fatalf("%s: the target does not take %q", path, text)
			}
			if got, err := in.ReadString('\n'); err != nil || got != text {
				t.Errorf("%s: %q, %v", path, got, err)
			}
		}
		_ = resp.Body.Close()
	}
}

// TestCompressedHalfIsNoWhole: a target that dies in the middle must not look as if it had ended.
func TestCompressedHalfIsNoWhole(t *testing.T) {
	target := app(t, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/plain")
		_, _ = io.WriteString(w, strings.Repeat("x", 100_000))
		_ = http.NewResponseController(w).Flush()
		panic(http.ErrAbortHandler)
	})
	r := newRig(t)
	site := rule("a.example", target)
	site.Options.Compress = true
	r.apply(site)
	ctx, cancel := r.soon()
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+r.addr+"/", nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Host = "a.example"
	resp, err := http.DefaultTransport.RoundTrip(req)
	if err != nil {
		return // the whole answer was given up
	}
	defer resp.Body.Close()
	if n, err := io.Copy(io.Discard, resp.Body); err == nil || ctx.Err() != nil {
		t.Errorf("%d bytes look whole, or have no end: %v", n, err)
	}
}

// lines is a log whose lines are read as they come.
type lines chan string

func (l lines) Write(p []byte) (int, error) {
	l <- string(p)
	return len(p), nil
}

func (l lines) next(t *testing.T) string {
	t.Helper()
	return waittest.Next(t, "a line of the log", l)
}

func TestAccessLog(t *testing.T) {
	target := app(t, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/teapot" {
			w.WriteHeader(http.StatusTeapot)
		}
		_, _ = io.WriteString(w, "four")
	})
	log := make(lines, 10)
	r := newRigThatLogs(t, slog.New(slog.NewJSONHandler(log, nil)))
	quiet := rule("b.example", target)
	site := rule("a.example", target)
	site.Options.AccessLog = true
	r.apply(site, quiet)
	r.asked("GET", "/teapot?token=geheim", http.Header{"User-Agent": {"kettle"}})
	got := log.next(t)
	var line struct {
		Msg, Client, Method, Host, Path, Target string
		Status, Bytes                           int
		RuleID                                  string `json:"rule_id"`
		Agent                                   string `json:"user_agent"`
	}
	if err := json.Unmarshal([]byte(got), &line); err != nil {
		t.Fatalf("%q: %v", got, err)
	}
	if line.Msg != "request" || line.Client != "127.0.0.1" || line.Method != "GET" || line.Host != "a.example" || line.Path != "/teapot" || line.Status != 418 ||
		line.Bytes != 4 || line.RuleID != site.ID || line.Agent != "kettle" || line.Target == "" || strings.Contains(got, "geheim") {
		t.Errorf("%s", got)
	}
	site.Options.Maintenance = true
	r.apply(site, quiet)
	r.asked("GET", "/", http.Header{})
	if got = log.next(t); !strings.Contains(got, `"status":503`) {
		t.Errorf("the page of our own: %q", got)
	}
	site.Options.Maintenance = false
	site.Targets = rule("a.example", upgraded(t)).Targets
	r.apply(site, quiet)
	conn, _ := r.upgrade("a.example")
	_ = conn.Close()
	if got = log.next(t); !strings.Contains(got, `"status":101`) {
		t.Errorf("a WebSocket: %q", got)
	}
	status, _, _ := r.get("b.example", "/")
	if status != http.StatusOK || len(log) != 0 {
		t.Errorf("%d, and another site is in the log: %q", status, <-log)
	}
}
