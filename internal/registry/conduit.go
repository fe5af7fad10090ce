package registry

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"
)

// errPlain keeps names, answers and passwords from going over the wire for all to read, and to change.
var errPlain = errors.New("plain http is not allowed")

// mostBytes is how much of one answer is read: a hundred thousand long tags are 4 MB.
const mostBytes = 16 << 20

// dialing is the transport of one registry, which trusts its own authorities too.
func dialing(ca string) (*http.Transport, error) {
	base, ok := http.DefaultTransport.(*http.Transport)
	if !ok {
		return nil, errors.New("the transport of this process was replaced by another kind")
	}
	t := base.Clone()
	if ca == "" {
		return t, nil
	}
	pool, err := x509.SystemCertPool()
	if err != nil {
		pool = x509.NewCertPool()
	}
	if !pool.AppendCertsFromPEM([]byte(ca)) {
		return nil, errNoCA
	}
	t.TLSClientConfig = &tls.Config{RootCAs: pool, MinVersion: tls.VersionTLS12}
	return t, nil
}

// conduit is what every request of a client goes through: it refuses plain http where that is not allowed (the library
// would speak it to every private address), asks only whether an answer is still as it was where it can, notes what the
// registry says of its limits, and bounds what is read.
type conduit struct {
	next   http.RoundTripper
	access Access
	scheme string // that names of this registry stand for
	host   string
	limits *limits
	known  *answers
	most   int64 // bytes of one answer
}

// RoundTrip sends one request.
func (c *conduit) RoundTrip(r *http.Request) (*http.Response, error) {
	if r.URL.Scheme != "https" && !c.mayBePlain(r.URL.Host) {
		return nil, fmt.Errorf("%w to %s", errPlain, r.URL.Host)
	}
	resp, err := c.send(r)
	if err != nil {
		return nil, err
	}
	c.limits.note(resp)
	c.mendLink(resp)
	resp.Body = struct {
		io.Reader
		io.Closer
	}{http.MaxBytesReader(nil, resp.Body, c.most), resp.Body}
	return resp, nil
}

// send sends a request. What other hosts are asked, such as a token server, is not counted as asked of the registry.
func (c *conduit) send(r *http.Request) (*http.Response, error) {
	if r.URL.Host != c.host {
		return c.next.RoundTrip(r)
	}
	return c.known.ask(c.next, r, time.Now().UTC())
}

// mayBePlain reports whether plain http may be spoken to a host: of a registry that was set up it was allowed for the registry and
// what is beside it there, such as its token server, and for nobody that it refers to elsewhere.
func (c *conduit) mayBePlain(host string) bool {
	if c.access.Known {
		return c.access.PlainHTTP && (hostname(host) == hostname(c.access.Host) || Local(host) && Local(c.access.Host))
	}
	return Local(host)
}

// mendLink writes the link to a next page with the scheme of the names. The library thinks that a registry at a private
// address speaks http, and would not follow a link of one that speaks https; it is sent by https all the same.
func (c *conduit) mendLink(resp *http.Response) {
	link := resp.Header.Get("Link")
	if link == "" || resp.Request == nil || resp.Request.URL.Scheme == c.scheme || resp.Request.URL.Host != c.host {
		return
	}
	target, rest, found := strings.Cut(strings.TrimPrefix(link, "<"), ">")
	next, err := url.Parse(target)
	if err != nil || !found {
		return
	}
	next = resp.Request.URL.ResolveReference(next)
	if next.Host == c.host && next.Scheme == resp.Request.URL.Scheme {
		next.Scheme = c.scheme
		resp.Header.Set("Link", "<"+next.String()+">"+rest)
	}
}

// hostname is a host without its port.
func hostname(host string) string {
	if name, _, err := net.SplitHostPort(host); err == nil {
		return name
	}
	return host
}
