package proxy

import (
	"context"
	"log/slog"
	"net/http"
	"net/http/httputil"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
)

// visit is one request under way, and the context of what is asked of targets for it.
type visit struct {
	context.Context
	e         *entry
	at        *upstream
	tried     []*upstream
	client    netip.Addr
	trusted   bool // who sent it is a proxy that we believe
	secure    bool // the client came over TLS, as far as we know
	prefix    string
	sent      atomic.Bool           // all that the client had to send was read
	badBody   atomic.Pointer[error] // how reading what the client sends came to a bad end; nil: it did not
	forwarded [3]string             // what the target is told of the client: its address, that of who sent it, its host
}

type visitKey struct{}

// Value returns the visit itself, else what its request's own context holds.
func (v *visit) Value(key any) any {
	if _, itself := key.(visitKey); itself {
		return v
	}
	return v.Context.Value(key)
}

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
	dropLookalikes(out.Header, v.trusted)
	dropTunnel(out.Header)
	if e.rule.Options.StripPrefix {
		stripPrefix(out, v.prefix)
	}
	v.tell(out.Header, in)
	if before := out.Header["Via"]; len(before) > 0 {
		out.Header["Via"] = append(slices.Clip(before), s.via[0])
	} else {
		out.Header["Via"] = s.via
	}
	if len(e.rule.Options.BasicAuth) > 0 {
		out.Header.Del("Authorization") // it was for us
	}
	if e.rule.Options.Compress {
		unweakened(out.Header)
	}
	applyHeaders(out.Header, e.rule.Options.RequestHeaders)
}

// The values of X-Forwarded-Proto. Nobody changes them.
var (
	protoHTTP  = []string{"http"}
	protoHTTPS = []string{"https"}
)

// tell says where a request came from.
func (v *visit) tell(h http.Header, in *http.Request) {
	f := &v.forwarded
	f[0], f[2] = v.client.String(), in.Host
	if f[1] = f[0]; v.trusted {
		f[1] = addrOf(in.RemoteAddr).String()
		if before := in.Header["X-Forwarded-For"]; len(before) > 0 {
			f[1] = strings.Join(before, ", ") + ", " + f[1]
		}
		if host := in.Header.Get("X-Forwarded-Host"); host != "" {
			f[2] = host
		}
	}
	h["X-Forwarded-Host"], h["X-Forwarded-Proto"] = f[2:3:3], protoHTTP
	delete(h, "X-Real-Ip")
	if v.client.IsValid() {
		h["X-Real-Ip"], h["X-Forwarded-For"] = f[0:1:1], f[1:2:2]
	}
	if v.secure {
		h["X-Forwarded-Proto"] = protoHTTPS
	}
}

// answer makes the answer that the client sees.
func (e *entry) answer(resp *http.Response, v *visit) {
	if resp.StatusCode >= http.StatusInternalServerError {
		e.tally.fail()
	}
	if v.secure {
		e.rule.Options.sayHSTS(resp.Header)
	}
	applyHeaders(resp.Header, e.rule.Options.ResponseHeaders)
	switch in := resp.Request; {
	case resp.StatusCode == http.StatusSwitchingProtocols:
	case in.ContentLength > 0 && !v.sent.Load():
		// The target answers before it has it all. On a connection that goes on, the server would swallow what is still to come.
		endConnection(resp.Header, in)
	default:
		endsConnection(resp.Header, in)
	}
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

// dropLookalikes takes away headers that some servers read as one of ours, as they write _ for -, and, but from a proxy that we believe,
// all that is said of where a request came from: targets believe X-Forwarded-Port or -Prefix as much as those that are set anew here.
func dropLookalikes(h http.Header, believed bool) {
	for name := range h {
		switch {
		case !believed && isForwarded(name):
			delete(h, name)
		case strings.IndexByte(name, '_') >= 0 && isOurs(strings.ToLower(strings.ReplaceAll(name, "_", "-"))):
			delete(h, name)
		}
	}
}

const forwardedPrefix = "x-forwarded-"

func isForwarded(name string) bool {
	return len(name) >= len(forwardedPrefix) && strings.EqualFold(name[:len(forwardedPrefix)], forwardedPrefix)
}

// isOurs tells that a name, in small letters, is of what only we may say, or of what says where a request ends.
func isOurs(name string) bool {
	switch name {
	case "forwarded", "x-real-ip", "authorization", "content-length", "transfer-encoding":
		return true
	}
	return strings.HasPrefix(name, forwardedPrefix)
}

// dropTunnel takes away the wish for HTTP/2 without TLS: a target that grants it would take requests that no rule has seen.
func dropTunnel(h http.Header) {
	delete(h, "Http2-Settings")
	for _, list := range h["Upgrade"] {
		for protocol := range strings.SplitSeq(list, ",") {
			if strings.EqualFold(strings.TrimSpace(protocol), "h2c") {
				delete(h, "Upgrade")
				delete(h, "Connection")
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
	if got, ok := b.pool.Get().(*[bufferSize]byte); ok {
		return got[:]
	}
	return new([bufferSize]byte)[:]
}

// Put takes it back.
func (b *bufferPool) Put(buf []byte) { b.pool.Put((*[bufferSize]byte)(buf)) }
