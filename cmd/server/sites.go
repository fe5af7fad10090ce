package main

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"path/filepath"
	"sync/atomic"

	"golang.org/x/sync/errgroup"

	"github.com/tiny-forge/docker-watcher/internal/certs"
	"github.com/tiny-forge/docker-watcher/internal/config"
	"github.com/tiny-forge/docker-watcher/internal/proxy"
)

// sites are the routes as visitors meet them: the ports, what answers there, and its certificates. They need neither the database nor an engine, and so
// outlive the rest of a daemon whose database turns out to be damaged.
type sites struct {
	listener net.Listener // nil: another process or another proxy has it, or nothing is served
	secure   net.Listener // nil: nothing is served over TLS
	certs    *certs.Keeper
	server   *proxy.Server // nil: not made yet
	unusable error         // why no route is served although there should be; nil: all is well

	alone atomic.Bool // nobody is left to be told of anything
	end   context.CancelFunc
	over  chan struct{} // closed when nothing is served any more; nil: it was never begun
	err   error         // why, set before over is closed
}

// listen takes the ports.
func (s *sites) listen(ctx context.Context, cfg config.Config) (err error) {
	if s.listener, err = listenProxy(ctx, cfg.ServesAt()); err != nil {
		return err
	}
	s.secure, err = listenProxy(ctx, cfg.ProxyHTTPS)
	return err
}

// close gives the ports back; in the ordinary course the server has done so.
func (s *sites) close() {
	for _, l := range []net.Listener{s.listener, s.secure} {
		if l != nil {
			_ = l.Close()
		}
	}
}

// hears is who is told of what happens at the sites.
type hears struct {
	flipped     func(proxy.Flip)
	missed      func(ref string)
	certificate func(certs.Event)
}

// build makes what answers, by the last good table until another is applied.
func (s *sites) build(cfg config.Config, policy proxy.Policy, h hears, log *slog.Logger) {
	s.certs = newCertificates(cfg, s.secure, unless(&s.alone, h.certificate), log)
	s.server = proxy.NewServer(proxy.ServerOptions{
		File: filepath.Join(cfg.Data, tableFile), Policy: policy, Log: log, Certs: s.certs, SecurePort: portOf(s.secure),
		Flipped: unless(&s.alone, h.flipped), Missed: unless(&s.alone, h.missed),
	})
	if s.unusable = s.server.Resume(); s.unusable != nil {
		log.Warn("the last good table of the proxy cannot be used: nothing is served until a new one is made", "error", s.unusable)
	}
}

// unless tells on until nobody is left to be told.
func unless[T any](alone *atomic.Bool, tell func(T)) func(T) {
	return func(what T) {
		if !alone.Load() {
			tell(what)
		}
	}
}

// begin serves until ctx ends, or somebody ends it.
func (s *sites) begin(ctx context.Context) {
	ctx, s.end = context.WithCancel(ctx)
	s.over = make(chan struct{})
	group, serving := errgroup.WithContext(ctx)
	group.Go(func() error { return s.server.Serve(serving, s.listener, drainTimeout) })
	group.Go(func() error { return s.server.Run(serving) })
	if s.secure != nil {
		group.Go(func() error { return s.server.ServeTLS(serving, s.secure, drainTimeout) })
		group.Go(func() error { return s.certs.Run(serving) })
	}
	go func() {
		s.err = group.Wait()
		close(s.over)
	}()
}

// wait waits until ctx ends or the sites do, and leaves none served. It returns what went wrong.
func (s *sites) wait(ctx context.Context) error {
	select {
	case <-s.over:
	case <-ctx.Done():
		s.end()
		<-s.over
	}
	if ctx.Err() != nil && errors.Is(s.err, context.Canceled) {
		return nil
	}
	return s.err
}

// leave is wait for sites that may never have been begun.
func (s *sites) leave(ctx context.Context) error {
	if s.over == nil {
		return nil
	}
	return s.wait(ctx)
}

func (s *sites) haveEnded() bool {
	if s.over == nil {
		return false
	}
	select {
	case <-s.over:
		return true
	default:
		return false
	}
}

// goAlone has the sites served, as they last were, by a daemon that has nothing else any more. It tells whether there are any.
func (s *sites) goAlone(ctx context.Context, cfg config.Config, log *slog.Logger, own net.Listener) bool {
	s.alone.Store(true)
	if s.haveEnded() { // something else ended the daemon, and the damage was met on the way
		s.server, s.over = nil, nil
		if s.unusable = s.listen(ctx, cfg); s.unusable != nil {
			return false
		}
	}
	if s.listener == nil {
		return false
	}
	if s.server == nil {
		s.build(cfg, proxyPolicy(own, s.listener, s.secure), hears{}, log)
	}
	if s.over == nil {
		s.begin(ctx)
	}
	return true
}

// line says where they are, for the person at the terminal.
func (s *sites) line() string {
	line := "docker-watcher serves routes at " + baseURL(s.listener.Addr())
	if s.secure != nil {
		line += ", and over TLS at " + s.secure.Addr().String()
	}
	return line + "\n"
}
