package proxy

import (
	"context"
	"log/slog"
	"net/http"
	"net/http/httputil"
	"net/netip"
	"strings"
	"sync"
)

// visit is one request under way.
type visit struct {
	e       *entry
	at      *upstream
	tried   []*upstream
	client  netip.Addr
	trusted bool // who sent it is a proxy that we believe
	secure  bool // the client came over TLS, as far as we know
	prefix  string
}

type visitKey struct{}

func visitOf(ctx context.Context) *visit {
	v, _ := ctx.Value(visitKey{}).(*visit)
	return v
}

// moveTo goes on with another target.
func (v *visit) moveTo(next *upstream) {
	next.begin()
	v.at.end()
	v.at = next
}

// forwarder makes the part of a rule that asks its targets.
func (s *Server) forwarder(e *entry) *httputil.ReverseProxy {
	return &httputil.ReverseProxy{
		Transport:  balanced{s, e},
		Rewrite:    func(pr *httputil.ProxyRequest) { s.rewrite(e, pr) },
		BufferPool: &s.buffers,
		ErrorLog:   slog.NewLogLogger(s.log.Handler(), slog.LevelDebug),
		ModifyResponse: func(resp *http.Response) error {
			e.answer(resp, visitOf(resp.Request.Context()))
			return nil
		},
		ErrorHandler: func(w http.ResponseWriter, r *http.Request, err error) { s.broken(w, r, e, err) },
	}
}

// rewrite makes the request that a target sees. Hop-by-hop headers and all that says where a request came from are taken away
// already, by the library.
func (s *Server) rewrite(e *entry, pr *httputil.ProxyRequest) {
	v, out, in := visitOf(pr.In.Context()), pr.Out, pr.In
	dropLookalikes(out.Header)
	dropTunnel(out.Header)
	if e.rule.Options.StripPrefix {
		stripPrefix(out, v.prefix)
	}
	if v.trusted {
		out.Header["X-Forwarded-For"] = in.Header["X-Forwarded-For"]
	} else {
		dropForwarded(out.Header)
	}
	pr.SetXForwarded()
	if v.trusted {
		if host := in.Header.Get("X-Forwarded-Host"); host != "" {
			out.Header.Set("X-Forwarded-Host", host)
		}
	}
	proto := "http"
	if v.secure {
		proto = "https"
	}
	out.Header.Set("X-Forwarded-Proto", proto)
	out.Header.Set("X-Real-Ip", v.client.String())
	out.Header.Add("Via", s.via)
	if len(e.rule.Options.BasicAuth) > 0 {
		out.Header.Del("Authorization") // it was for us
	}
	applyHeaders(out.Header, e.rule.Options.RequestHeaders)
}

// answer makes the answer that the client sees.
func (e *entry) answer(resp *http.Response, v *visit) {
	if resp.StatusCode >= http.StatusInternalServerError {
		e.stats.fail()
	}
	if v != nil && v.secure {
		e.rule.Options.sayHSTS(resp.Header)
	}
	applyHeaders(resp.Header, e.rule.Options.ResponseHeaders)
}

func applyHeaders(to http.Header, rules []Header) {
	for _, h := range rules {
		if h.Value == "" {
			to.Del(h.Name)
			continue
		}
		to.Set(h.Name, h.Value)
	}
}

// dropLookalikes takes away headers that some servers read as one of ours, as they write _ for -.
func dropLookalikes(h http.Header) {
	for name := range h {
		if !strings.Contains(name, "_") {
			continue
		}
		dashed := strings.ToLower(strings.ReplaceAll(name, "_", "-"))
		if dashed == "forwarded" || dashed == "x-real-ip" || dashed == "authorization" || dashed == "content-length" || dashed == "transfer-encoding" || strings.HasPrefix(dashed, "x-forwarded-") {
			delete(h, name)
		}
	}
}

// dropForwarded takes away all that a stranger says of where a request came from: targets believe X-Forwarded-Port or -Prefix as much as
// those that are set anew here.
func dropForwarded(h http.Header) {
	for name := range h {
		if strings.HasPrefix(strings.ToLower(name), "x-forwarded-") {
			delete(h, name)
		}
	}
}

// dropTunnel takes away the wish for HTTP/2 without TLS: a target that grants it would take requests that no rule has seen.
func dropTunnel(h http.Header) {
	h.Del("Http2-Settings")
	for _, list := range h["Upgrade"] {
		for protocol := range strings.SplitSeq(list, ",") {
			if strings.EqualFold(strings.TrimSpace(protocol), "h2c") {
				h.Del("Upgrade")
				h.Del("Connection")
				return
			}
		}
	}
}

// stripPrefix takes the prefix of a rule from the path. Where slashes or escapes stand in the way of taking it from the raw path, the
// path is written anew.
func stripPrefix(out *http.Request, prefix string) {
	if prefix == "/" {
		return
	}
	raw := out.URL.EscapedPath()
	cut, ok := strings.CutPrefix(out.URL.Path, prefix)
	if !ok {
		out.URL.Path, out.URL.RawPath = rooted(strings.TrimPrefix(singleSlashes(out.URL.Path), prefix)), ""
		return
	}
	out.URL.Path, out.URL.RawPath = rooted(cut), ""
	if rawCut, ok := strings.CutPrefix(raw, prefix); ok && rooted(rawCut) != out.URL.EscapedPath() {
		out.URL.RawPath = rooted(rawCut)
	}
}

func rooted(p string) string {
	if !strings.HasPrefix(p, "/") {
		return "/" + p
	}
	return p
}

// bufferPool lends what answers are copied through.
type bufferPool struct{ pool sync.Pool }

const bufferSize = 32 << 10

// Get lends a buffer.
func (b *bufferPool) Get() []byte {
	if got, ok := b.pool.Get().(*[]byte); ok {
		return *got
	}
	return make([]byte, bufferSize)
}

// Put takes it back.
func (b *bufferPool) Put(buf []byte) { b.pool.Put(&buf) }
