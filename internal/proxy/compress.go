package proxy

import (
	"compress/gzip"
	"io"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
)

// leastCompressed is what an answer of known length has at least: less gains nothing, for it is one packet either way.
const leastCompressed = 1 << 10

// compressed are the kinds of content that get smaller. Streams of events are none: each is small and wanted at once.
var compressed = []string{
	"text/html", "text/css", "text/plain", "text/xml", "text/javascript", "text/csv", "text/markdown", "application/json", "application/javascript", "application/xml",
	"application/manifest+json", "application/problem+json", "application/ld+json", "application/rss+xml", "application/atom+xml", "application/wasm", "image/svg+xml", "font/ttf",
}

// CompressedTypes are the kinds of content that a rule with Compress makes smaller.
func CompressedTypes() []string { return slices.Clone(compressed) }

var gzips = sync.Pool{New: func() any { return gzip.NewWriter(io.Discard) }}

// packer compresses what a target answers, where it may be and gets smaller by it.
type packer struct {
	http.ResponseWriter
	asked   string // method
	decided bool
	gz      *gzip.Writer // nil: as it is
}

// packed answers through a packer, and tells whether the client understands gzip and no other protocol is asked for.
func packed(w http.ResponseWriter, r *http.Request) (*packer, bool) {
	if upgrades(r) || !takesGzip(r.Header["Accept-Encoding"]) {
		return nil, false
	}
	return &packer{ResponseWriter: w, asked: r.Method}, true
}

// takesGzip reads Accept-Encoding (RFC 9110, 12.5.3).
func takesGzip(lists []string) bool {
	any := false
	for _, list := range lists {
		for part := range strings.SplitSeq(list, ",") {
			name, weight, _ := strings.Cut(part, ";")
			q, err := strconv.ParseFloat(strings.TrimPrefix(strings.ReplaceAll(strings.ToLower(weight), " ", ""), "q="), 64)
			wanted := err != nil || q > 0
			switch strings.ToLower(strings.TrimSpace(name)) {
			case "gzip", "x-gzip":
				return wanted
			case "*":
				any = wanted
			}
		}
	}
	return any
}

// WriteHeader decides.
func (p *packer) WriteHeader(code int) {
	if code >= http.StatusOK && !p.decided {
		p.decided = true
		p.decide(code)
	}
	p.ResponseWriter.WriteHeader(code)
}

func (p *packer) decide(code int) {
	h := p.Header()
	kind, _, _ := strings.Cut(h.Get("Content-Type"), ";")
	if !slices.Contains(compressed, strings.ToLower(strings.TrimSpace(kind))) || h.Get("Content-Encoding") != "" || fixed(h) {
		return
	}
	h.Add("Vary", "Accept-Encoding") // also of what is too short now: the next one may not be
	long, err := strconv.ParseInt(h.Get("Content-Length"), 10, 64)
	if code == http.StatusNoContent || code == http.StatusNotModified || code == http.StatusPartialContent || h.Get("Content-Range") != "" || err == nil && long < leastCompressed {
		return
	}
	h.Set("Content-Encoding", "gzip")
	h.Del("Content-Length")
	h.Del("Accept-Ranges")
	if tag := h.Get("Etag"); strings.HasPrefix(tag, `"`) {
		h.Set("Etag", "W/"+tag) // the same, and not byte by byte
	}
	if p.asked != http.MethodHead {
		p.gz, _ = gzips.Get().(*gzip.Writer)
		p.gz.Reset(p.ResponseWriter)
	}
}

// fixed tells that an answer must stay as it is, byte by byte.
func fixed(h http.Header) bool {
	for _, name := range []string{"Content-Digest", "Digest", "Content-Md5"} {
		if len(h[name]) > 0 {
			return true
		}
	}
	return strings.Contains(strings.ToLower(strings.Join(h["Cache-Control"], ",")), "no-transform")
}

// unweakened takes back from what a client asks what was done to the tags that it knows: If-Match compares byte by byte, and the target
// never said W/.
func unweakened(h http.Header) {
	for i, tags := range h["If-Match"] {
		h["If-Match"][i] = strings.ReplaceAll(tags, `W/"`, `"`)
	}
}

// Write implements http.ResponseWriter.
func (p *packer) Write(b []byte) (int, error) {
	if !p.decided {
		p.WriteHeader(http.StatusOK)
	}
	if p.gz != nil {
		return p.gz.Write(b)
	}
	return p.ResponseWriter.Write(b)
}

// FlushError sends what was written so far: http.ResponseController asks for it.
func (p *packer) FlushError() error {
	if p.gz != nil {
		if err := p.gz.Flush(); err != nil {
			return err
		}
	}
	return http.NewResponseController(p.ResponseWriter).Flush()
}

// Unwrap lets http.ResponseController set deadlines.
func (p *packer) Unwrap() http.ResponseWriter { return p.ResponseWriter }

// end writes the end of an answer that came whole. One that was cut has none: half of it must not look like all.
func (p *packer) end() {
	if p.gz == nil {
		return
	}
	_ = p.gz.Close() // what cannot be written the client does not get, and its connection says so
	p.gz.Reset(io.Discard)
	gzips.Put(p.gz)
}
