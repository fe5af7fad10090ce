package proxy

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptrace"
	"net/netip"
	"net/textproto"
	"net/url"
	"strings"
	"sync"
	"syscall"
	"time"
)

const (
	keepIdle       = 45 * time.Second // an unused connection to a target
	idlePerTarget  = 64
	tlsTimeout     = 10 * time.Second
	expectTimeout  = time.Second
	answerHeadSize = 256 << 10 // of a target's answer, bytes
)

// manner is by what a transport differs from another: timeouts, and who is trusted.
type manner struct {
	connect, response time.Duration
	trust
}

// transports has one transport for each manner, which is a matter of the whole transport.
type transports struct {
	policy  func() Policy
	instead func(ctx context.Context, network, addr string) (net.Conn, error) // of the network; nil: by it
	mu      sync.Mutex
	by      map[manner]*http.Transport
}

func (t *transports) of(o Options) *http.Transport {
	w := manner{time.Duration(o.ConnectTimeout), time.Duration(o.ResponseTimeout), trust{o.TargetCA, o.TargetUnverified}}
	setDefault(&w.connect, DefaultConnectTimeout)
	setDefault(&w.response, DefaultResponseTimeout)
	t.mu.Lock()
	defer t.mu.Unlock()
	if known := t.by[w]; known != nil {
		return known
	}
	way := (&net.Dialer{Timeout: w.connect, KeepAlive: 30 * time.Second, Control: t.control}).DialContext
	if t.instead != nil {
		way = t.instead
	}
	made := &http.Transport{
		DialContext: func(ctx context.Context, network, addr string) (net.Conn, error) {
			return dial(ctx, way, network, addr)
		},
		ForceAttemptHTTP2: true, TLSClientConfig: w.config(),
		TLSHandshakeTimeout: tlsTimeout, ResponseHeaderTimeout: w.response, ExpectContinueTimeout: expectTimeout,
		MaxIdleConnsPerHost: idlePerTarget, IdleConnTimeout: keepIdle, MaxResponseHeaderBytes: answerHeadSize,
		DisableCompression: true, // what the client can read is between it and the target
	}
	t.by[w] = made
	return made
}

// renew lets rules that are made from now on begin with connections of their own.
func (t *transports) renew() {
	t.closeIdle()
	t.mu.Lock()
	defer t.mu.Unlock()
	clear(t.by)
}

// closeIdle gives back connections that nobody uses.
func (t *transports) closeIdle() {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, known := range t.by {
		known.CloseIdleConnections()
	}
}

// errDial is that nothing was sent, as nobody could be reached.
var errDial = errors.New("dial")

func dial(ctx context.Context, way func(ctx context.Context, network, addr string) (net.Conn, error), network, addr string) (net.Conn, error) {
	conn, err := way(ctx, network, addr)
	if err != nil {
		return nil, errors.Join(errDial, err)
	}
	return conn, nil
}

// control is asked of each address that a name was found to have, right before it is dialled: a name that leads elsewhere than when
// its rule was checked does not get round the policy.
func (t *transports) control(_, address string, _ syscall.RawConn) error {
	at, err := netip.ParseAddrPort(address)
	if err != nil {
		return RefusedError{Addr: address, Reason: "it is no address of the network"}
	}
	return t.policy().Check(at)
}

// balanced sends a request to one target of a rule after the other until one can be dialled.
type balanced struct {
	s *Server
	e *entry
}

// RoundTrip asks the target that the visit has chosen, and another one where nothing could be sent to it: one of the table that is in
// force by then, as the target may have moved.
func (b balanced) RoundTrip(req *http.Request) (*http.Response, error) {
	v := visitOf(req.Context())
	limitEarly(req.Context())
	asked, host, body := *req.URL, req.Host, req.Body
	for {
		// The request was made for this alone, and an attempt that could not dial has left it.
		b.e.lead(req, v.at, &asked, host, body)
		resp, err := b.e.transport.RoundTrip(req)
		if err == nil {
			v.at.answered(time.Now())
			return sound(resp)
		}
		if !errors.Is(err, errDial) || req.Context().Err() != nil {
			return nil, err
		}
		v.at.missed(time.Now(), plainReason(err))
		b.s.missed(v.at.ref)
		v.tried = append(v.tried, v.at)
		e := b.s.moveOn(v)
		if e == nil {
			return nil, err
		}
		b.e = e // whom the target is trusted by may be another matter, too
		req = req.WithContext(req.Context())
		req.URL = new(url.URL)
	}
}

// lead makes of a request for an address and a host what one target gets. What an attempt that sent nothing had of its body is as it was.
func (e *entry) lead(req *http.Request, to *upstream, asked *url.URL, host string, body io.ReadCloser) {
	*req.URL = joined(to.url, asked)
	if req.Host = host; e.rule.Options.RewriteHost {
		req.Host = to.url.Host
	}
	if body != nil {
		req.Body = keptOpen{body}
	}
}

// sound takes an answer that can be handed on. A status below 100 is none; what says where an answer ends has no place behind it.
func sound(resp *http.Response) (*http.Response, error) {
	if resp.StatusCode < http.StatusContinue {
		return nil, errors.Join(fmt.Errorf("it answers with the status %d, which is none", resp.StatusCode), resp.Body.Close())
	}
	if resp.ContentLength < 0 && resp.StatusCode != http.StatusSwitchingProtocols {
		resp.Body = &trailed{resp.Body, resp}
	}
	return resp, nil
}

// trailed is the body of an answer behind which headers may follow.
type trailed struct {
	io.ReadCloser
	of *http.Response
}

// Close closes it and drops from what followed all that only the head of an answer may say.
func (t *trailed) Close() error {
	err := t.ReadCloser.Close()
	for _, name := range framing {
		delete(t.of.Trailer, name)
	}
	return err
}

// mostEarly is how many answers before the answer (100, 102, 103) a target may send to one request.
const mostEarly = 10

var errEarly = errors.New("it sends one early answer after the other")

// limitEarly ends a request whose target sends early answers without end: each is sent on to the client, and none counts as the answer
// for which it is waited.
func limitEarly(ctx context.Context) {
	trace := httptrace.ContextClientTrace(ctx) // made for this request alone, by the library
	if trace == nil || trace.Got1xxResponse == nil {
		return
	}
	sendOn, n := trace.Got1xxResponse, 0
	trace.Got1xxResponse = func(code int, header textproto.MIMEHeader) error {
		if n++; n > mostEarly {
			return errEarly
		}
		return sendOn(code, header)
	}
}

// moveOn goes on with another target of the rule as it is now, and returns that; nil: there is none that was not tried.
func (s *Server) moveOn(v *visit) *entry {
	for {
		c := s.current.Load()
		now := c.entry(v.e.rule.ID)
		if now == nil {
			return nil
		}
		next := choose(now.upstreams, v.tried, now.turn.Add(1), time.Now())
		if next == nil {
			return nil
		}
		v.moveTo(next)
		if s.current.Load() == c {
			return now
		}
	}
}

// keptOpen is a body that an attempt which sent nothing does not close; the server closes it in the end.
type keptOpen struct{ io.ReadCloser }

// Close does nothing.
func (keptOpen) Close() error { return nil }

// joined is where a request goes at a target: its path under that of the target.
func joined(target, req *url.URL) url.URL {
	u := *req
	u.Scheme, u.Host = target.Scheme, target.Host
	if base := strings.TrimSuffix(target.EscapedPath(), "/"); base != "" {
		escaped := base + req.EscapedPath()
		u.Path, u.RawPath = strings.TrimSuffix(target.Path, "/")+req.Path, ""
		if u.EscapedPath() != escaped {
			u.RawPath = escaped
		}
	}
	return u
}

// plainReason is why nobody could be reached, in words without what went on inside.
func plainReason(err error) string {
	var refused RefusedError
	var name *net.DNSError
	switch {
	case errors.As(err, &refused):
		return refused.Error()
	case errors.As(err, &name):
		return "its name " + name.Name + " is not known to DNS"
	case errors.Is(err, syscall.ECONNREFUSED):
		return "nothing listens there"
	case errors.Is(err, syscall.EHOSTUNREACH), errors.Is(err, syscall.ENETUNREACH):
		return "there is no way to it over the network"
	case errors.Is(err, syscall.ECONNRESET):
		return "it cut the connection off"
	case distrust(err) != "":
		return distrust(err)
	case timedOut(err):
		return "it did not answer in time"
	}
	return strings.ReplaceAll(strings.TrimPrefix(err.Error(), "dial\n"), "\n", ": ")
}

func timedOut(err error) bool {
	var t interface{ Timeout() bool }
	return errors.Is(err, context.DeadlineExceeded) || errors.As(err, &t) && t.Timeout()
}
