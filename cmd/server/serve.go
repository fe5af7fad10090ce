package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"time"

	"github.com/tiny-forge/docker-watcher/internal/store"
)

const (
	headerTimeout = 10 * time.Second
	idleTimeout   = 2 * time.Minute
	maxHeader     = 64 << 10

	// A client that reads nothing holds a connection for no longer. It is the time until an answer begins to be written; from then on its handler gives the reader time anew.
	writeTimeout = 30 * time.Second

	// What is under way at a shutdown (a cleanup, an upload) may end within drainTimeout;
	// then its context ends and it has takeBackTimeout to put things back. What is cut off even then is ended at the next start.
	drainTimeout    = 20 * time.Second
	takeBackTimeout = 5 * time.Second
)

// server serves the page and the API until it is shut down.
type server struct {
	http        *http.Server
	listener    net.Listener
	stopping    chan struct{} // closed when the shutdown begins: streams end then
	cut         chan struct{} // closed when its patience is over: work under way takes back what it has in hand
	cutRequests context.CancelFunc

	drainTimeout, takeBackTimeout time.Duration
}

// listen takes the port, so that a taken one is told before anything is touched.
func listen(ctx context.Context, addr string) (net.Listener, error) {
	var lc net.ListenConfig
	l, err := lc.Listen(ctx, "tcp", addr)
	if err != nil {
		return nil, fmt.Errorf("listen on %s: %w", addr, err)
	}
	return l, nil
}

func isListen(err error) bool {
	var op *net.OpError
	return errors.As(err, &op) && op.Op == "listen"
}

// newServer joins its parts. Requests outlive ctx, until they are cut.
func newServer(ctx context.Context, listener net.Listener, stopping, cut chan struct{}, handler http.Handler, log *slog.Logger) *server {
	requests, cutRequests := context.WithCancel(context.WithoutCancel(ctx))
	return &server{listener: listener, stopping: stopping, cut: cut, cutRequests: cutRequests, drainTimeout: drainTimeout, takeBackTimeout: takeBackTimeout, http: &http.Server{
		Handler: handler, ReadHeaderTimeout: headerTimeout, WriteTimeout: writeTimeout, IdleTimeout: idleTimeout, MaxHeaderBytes: maxHeader,
		BaseContext: func(net.Listener) context.Context { return requests },
		ErrorLog:    slog.NewLogLogger(log.Handler(), slog.LevelDebug),
	}}
}

// Run serves until ctx ends and the requests under way are over. When it ends because the database is damaged they are cut at once: nothing may be
// judged or removed by what was read of it.
func (s *server) Run(ctx context.Context) error {
	defer s.cutRequests()
	served := make(chan error, 1)
	go func() { served <- s.http.Serve(s.listener) }()
	select {
	case err := <-served:
		return fmt.Errorf("serve on %s: %w", s.listener.Addr(), err)
	case <-ctx.Done():
	}
	patience := s.drainTimeout
	if errors.Is(context.Cause(ctx), store.ErrCorrupt) {
		patience = 0
	}
	err := s.shutdown(context.WithoutCancel(ctx), patience)
	if ended := <-served; !errors.Is(ended, http.ErrServerClosed) {
		err = errors.Join(err, fmt.Errorf("serve on %s: %w", s.listener.Addr(), ended))
	}
	return err
}

func (s *server) shutdown(ctx context.Context, patience time.Duration) error {
	close(s.stopping)
	if patience > 0 && s.drain(ctx, patience) == nil {
		return nil
	}
	close(s.cut)
	s.cutRequests()
	if s.drain(ctx, s.takeBackTimeout) == nil {
		return nil
	}
	if err := s.http.Close(); err != nil {
		return fmt.Errorf("close the connections: %w", err)
	}
	return nil
}

func (s *server) drain(ctx context.Context, limit time.Duration) error {
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	return s.http.Shutdown(ctx)
}

// baseURL is where a browser on this machine finds the page.
func baseURL(addr net.Addr) string {
	tcp, ok := addr.(*net.TCPAddr)
	if !ok {
		return "http://" + addr.String()
	}
	if tcp.IP.IsUnspecified() {
		return fmt.Sprintf("http://127.0.0.1:%d", tcp.Port)
	}
	return "http://" + tcp.String()
}
