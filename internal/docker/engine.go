// Package docker is the only user of the Docker SDK; no type of it leaves here.
//
// An Engine may be used by many goroutines at once. Every call ends by a timeout of its own or
// when its context does. New dials nothing; the one long wait is Watch. Close ends idle
// connections, after the callers of the other methods have come back.
package docker

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"sync/atomic"
	"time"

	"github.com/moby/moby/client"
	"github.com/moby/moby/client/pkg/versions"
)

// DefaultEndpoint is where an engine listens unless told otherwise.
const DefaultEndpoint = "unix:///var/run/docker.sock"

const (
	dialTimeout = 5 * time.Second
	pingTimeout = 5 * time.Second
	idleTimeout = 30 * time.Second
	// idleConns is above the eight inspects a scan runs at once, or each round would dial anew.
	idleConns = 16
)

// Options say how to reach an engine.
type Options struct {
	Endpoint string // unix:///path, tcp://host:port or ssh://user@host:port
	TLS      *TLS   // of tcp://
	SSH      *SSH   // of ssh://
	Plain    bool   // tcp:// without TLS is allowed
	// Dial replaces the way to the engine, for tests in memory. Nil: by Endpoint.
	Dial func(ctx context.Context, network, addr string) (net.Conn, error)
	// RedialMax is the longest wait before a broken event stream is opened again. 0: 30 s.
	RedialMax time.Duration
	// Self is the container that is never touched, for this process runs in it; empty: the one that Self finds.
	Self string
	Log  *slog.Logger
}

// Engine is the adapter to one Docker engine. It is safe for concurrent use. The client behind it is
// made anew when the engine's version changes, for a client never negotiates upwards.
type Engine struct {
	endpoint string
	self     string
	log      *slog.Logger

	redialMax time.Duration
	way       way
	transport *http.Transport // one for all clients
	http      *http.Client

	current    atomic.Pointer[session]
	connecting chan struct{} // held by who negotiates; a channel because waiting for it ends with a context
	skew       atomic.Pointer[time.Duration]
	unbroken   atomic.Pointer[time.Time] // since when the event stream is; nil while it is down
	answers    answers
}

// session is a client and what was agreed when it was made.
type session struct {
	cli *client.Client
	who identity
}

func (s *session) podman() bool { return strings.HasPrefix(s.who.server, "Libpod/") }

// New returns an adapter; it does not dial.
func New(o Options) (*Engine, error) {
	if o.Endpoint == "" {
		o.Endpoint = DefaultEndpoint
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if o.RedialMax == 0 {
		o.RedialMax = redialMax
	}
	if o.Self == "" {
		o.Self = Self()
	}
	way, err := wayTo(o)
	if err != nil {
		return nil, err
	}
	e := &Engine{endpoint: o.Endpoint, self: o.Self, log: o.Log, redialMax: o.RedialMax, way: way, connecting: make(chan struct{}, 1)}
	e.transport = &http.Transport{
		DialContext:         func(ctx context.Context, _, _ string) (net.Conn, error) { return way.dial(ctx) },
		DisableCompression:  true,
		MaxIdleConns:        idleConns,
		MaxIdleConnsPerHost: idleConns,
		IdleConnTimeout:     idleTimeout,
	}
	e.http = &http.Client{Transport: &witness{engine: e, next: e.transport}, CheckRedirect: client.CheckRedirect}
	return e, nil
}

// Close ends the idle connections, and over ssh all of them.
func (e *Engine) Close() error {
	e.current.Store(nil)
	e.transport.CloseIdleConnections()
	return e.way.close()
}

// Endpoint is where this engine is.
func (e *Engine) Endpoint() string { return e.endpoint }

// Ping asks for a sign of life. It is no proof of health: an engine whose containerd hangs answers it.
func (e *Engine) Ping(ctx context.Context) error {
	_, err := call(ctx, e, "ping the engine", pingTimeout, func(ctx context.Context, s *session) (client.PingResult, error) {
		return s.cli.Ping(ctx, client.PingOptions{})
	})
	return err
}

// call runs one request with a timeout. When the engine was replaced by an older one it refuses what
// the old client asks; such a refusal has changed nothing and is asked once more by a new client.
func call[T any](ctx context.Context, e *Engine, doing string, timeout time.Duration, ask func(context.Context, *session) (T, error)) (T, error) {
	for again := true; ; again = false {
		answer, s, err := once(ctx, e, timeout, ask)
		if err == nil {
			return answer, nil
		}
		err = failure(ctx, doing, err)
		if again && s != nil && errors.Is(err, ErrInvalid) && e.current.Load() != s {
			continue
		}
		var none T
		return none, err
	}
}

func once[T any](ctx context.Context, e *Engine, timeout time.Duration, ask func(context.Context, *session) (T, error)) (T, *session, error) {
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	s, err := e.session(ctx)
	if err != nil {
		var none T
		return none, nil, err
	}
	answer, err := ask(ctx, s)
	return answer, s, err
}

// session returns the client in use, or makes one.
func (e *Engine) session(ctx context.Context) (*session, error) {
	if s := e.current.Load(); s != nil {
		return s, nil
	}
	select {
	case e.connecting <- struct{}{}:
		defer func() { <-e.connecting }()
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	if s := e.current.Load(); s != nil {
		return s, nil
	}
	s, err := e.connect(ctx)
	if err != nil {
		return nil, err
	}
	e.current.Store(s)
	e.log.InfoContext(ctx, "engine client made", "endpoint", e.endpoint, "api_version", s.cli.ClientVersion(), "engine", s.who.server)
	return s, nil
}

func (e *Engine) connect(ctx context.Context) (*session, error) {
	ctx, cancel := context.WithTimeout(ctx, pingTimeout)
	defer cancel()
	cli, err := client.New(client.WithHost(base(e.endpoint)), client.WithHTTPClient(e.http))
	if err != nil {
		return nil, fmt.Errorf("make an engine client: %w: %w", ErrInvalid, err)
	}
	s := &session{cli: cli}
	if _, err := cli.Ping(noting(ctx, &s.who), client.PingOptions{NegotiateAPIVersion: true}); err != nil {
		if s.who.api != "" && versions.LessThan(s.who.api, client.MinAPIVersion) {
			return nil, &refusedWay{ErrTooOld, fmt.Sprintf("the engine at %s speaks API %s at most, and %s is the least that is spoken here", e.endpoint, s.who.api, client.MinAPIVersion), err}
		}
		return nil, err
	}
	if s.who.api == "" {
		return nil, fmt.Errorf("%w: what answers at %s does not name its API version", ErrEngine, e.endpoint)
	}
	return s, nil
}

// observeIdentity drops the client when somebody else than it was made for has answered.
func (e *Engine) observeIdentity(who identity) {
	s := e.current.Load()
	if s == nil || who.api == "" {
		return // not an engine's own answer: a page of something between us
	}
	if who.api != s.who.api || who.server != s.who.server {
		e.drop(s)
	}
}

// drop makes the next call negotiate anew.
func (e *Engine) drop(s *session) { e.current.CompareAndSwap(s, nil) }
