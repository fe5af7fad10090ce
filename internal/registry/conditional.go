package registry

import (
	"bytes"
	"io"
	"maps"
	"net/http"
	"strings"
	"sync"
	"time"
)

const (
	// wholeAfter is after how long an answer is asked for whole again, marked or not: something on the way that says
	// "not modified" for ever would else hide every push.
	wholeAfter = 24 * time.Hour
	// mostKeptAnswers and mostKeptBytes bound what is kept for one registry, keepBytes the body of one answer.
	mostKeptAnswers = 2000
	mostKeptBytes   = 1 << 20
	keepBytes       = 64 << 10
)

// Traffic is what one registry was asked since this daemon first asked it, or since it is reached as it is now.
type Traffic struct {
	Since       time.Time // zero: it was not asked yet
	Requests    int64
	NotModified int64 // of them answered with 304: nothing new
}

// answers are those that a registry marked (ETag, or the digest of a manifest), by question. It is asked whether they are
// still so, which costs it less, and many registries count less.
type answers struct {
	mu      sync.Mutex
	kept    map[string]kept
	bytes   int
	traffic Traffic
}

// kept is one answer.
type kept struct {
	mark   string // what the registry knows it by
	header http.Header
	length int64
	body   []byte
	at     time.Time // when it came whole
}

// keptHeaders are what an answer is read for.
var keptHeaders = []string{"Content-Type", "Docker-Content-Digest", "Link"}

// question is what an answer is kept by; empty: it is not kept. What a tag points to and which tags there are is asked
// again and again, all else is not.
func question(r *http.Request) string {
	tag := r.Method == http.MethodHead && strings.Contains(r.URL.Path, "/manifests/")
	list := r.Method == http.MethodGet && strings.HasSuffix(r.URL.Path, "/tags/list")
	if !tag && !list {
		return ""
	}
	return r.Method + " " + r.URL.String()
}

// ask sends a request, and answers what was answered before if the registry says that it is still so.
func (a *answers) ask(next http.RoundTripper, r *http.Request, now time.Time) (*http.Response, error) {
	of := question(r)
	former, known := a.recall(of, now)
	if known {
		r = r.Clone(r.Context())
		r.Header.Set("If-None-Match", former.mark)
	}
	resp, err := next.RoundTrip(r)
	if err != nil {
		return nil, err
	}
	if resp.StatusCode != http.StatusNotModified || !known {
		a.note(of, resp, now)
		return resp, nil
	}
	if err := resp.Body.Close(); err != nil {
		return nil, err
	}
	if former.contradicts(resp.Header) {
		// It says that nothing has changed, and names something else: it is asked for the whole answer.
		a.forget(of)
		return a.ask(next, unmarked(r), now)
	}
	a.count(true, now)
	return former.again(resp), nil
}

func unmarked(r *http.Request) *http.Request {
	r = r.Clone(r.Context())
	r.Header.Del("If-None-Match")
	return r
}

// contradicts reports whether an answer without a body is of something else.
func (k kept) contradicts(h http.Header) bool {
	digest, former := h.Get("Docker-Content-Digest"), k.header.Get("Docker-Content-Digest")
	return digest != "" && former != "" && digest != former
}

// again is the whole answer, with what the registry says of its limits now.
func (k kept) again(resp *http.Response) *http.Response {
	resp.StatusCode, resp.Status = http.StatusOK, "200 OK"
	maps.Copy(resp.Header, k.header)
	resp.ContentLength = k.length
	resp.Body = io.NopCloser(bytes.NewReader(k.body))
	return resp
}

func (a *answers) recall(of string, now time.Time) (kept, bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	k, known := a.kept[of]
	return k, known && now.Sub(k.at) < wholeAfter
}

func (a *answers) forget(of string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.drop(of)
}

func (a *answers) drop(of string) {
	a.bytes -= len(a.kept[of].body)
	delete(a.kept, of)
}

// note keeps an answer that can be asked for again by its mark.
func (a *answers) note(of string, resp *http.Response, now time.Time) {
	a.count(false, now)
	if of == "" || resp.StatusCode != http.StatusOK && resp.StatusCode != http.StatusNotFound {
		return // an error says nothing of what is there: a token that ended is renewed, and the question asked again
	}
	k := kept{mark: markOf(resp.Header), header: http.Header{}, length: resp.ContentLength, at: now}
	if resp.StatusCode != http.StatusOK || k.mark == "" || !k.take(resp) {
		a.forget(of)
		return
	}
	for _, name := range keptHeaders {
		if value := resp.Header.Get(name); value != "" {
			k.header.Set(name, value)
		}
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	a.drop(of)
	if len(a.kept) >= mostKeptAnswers || a.bytes+len(k.body) > mostKeptBytes {
		clear(a.kept)
		a.bytes = 0
	}
	a.kept[of] = k
	a.bytes += len(k.body)
}

// markOf is what a registry knows an answer by; empty: it does not say.
func markOf(h http.Header) string {
	if etag := h.Get("Etag"); etag != "" {
		return etag
	}
	if digest := h.Get("Docker-Content-Digest"); digest != "" {
		return `"` + digest + `"`
	}
	return ""
}

// take reads the body of an answer, which can be read again afterwards, and reports whether it came whole and is not too large.
func (k *kept) take(resp *http.Response) bool {
	if resp.Request != nil && resp.Request.Method == http.MethodHead {
		return true
	}
	body, err := io.ReadAll(io.LimitReader(resp.Body, keepBytes+1))
	rest := io.Reader(resp.Body)
	if err != nil {
		rest = broken{err}
	}
	resp.Body = struct {
		io.Reader
		io.Closer
	}{io.MultiReader(bytes.NewReader(body), rest), resp.Body}
	k.body = body
	return err == nil && len(body) <= keepBytes
}

// broken is the rest of an answer that broke off.
type broken struct{ err error }

// Read tells why.
func (b broken) Read([]byte) (int, error) { return 0, b.err }

func (a *answers) count(unchanged bool, now time.Time) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.traffic.Since.IsZero() {
		a.traffic.Since = now
	}
	a.traffic.Requests++
	if unchanged {
		a.traffic.NotModified++
	}
}

// tidy forgets what nobody asked for in a while.
func (a *answers) tidy(before time.Time) {
	a.mu.Lock()
	defer a.mu.Unlock()
	for of, k := range a.kept {
		if k.at.Before(before) {
			a.drop(of)
		}
	}
}

func (a *answers) sofar() Traffic {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.traffic
}
