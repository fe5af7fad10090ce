//go:build bench

package bench

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/tiny-forge/docker-watcher/internal/api"
	"github.com/tiny-forge/docker-watcher/internal/auth"
	"github.com/tiny-forge/docker-watcher/internal/deploy"
	"github.com/tiny-forge/docker-watcher/internal/docker"
	"github.com/tiny-forge/docker-watcher/internal/events"
	"github.com/tiny-forge/docker-watcher/internal/schedule"
	"github.com/tiny-forge/docker-watcher/internal/stale"
	"github.com/tiny-forge/docker-watcher/internal/store"
)

// service is the API's real router on a real socket.
type service struct {
	bus     *events.Bus
	handler http.Handler
	base    string
	token   string
	http    *http.Client
}

func serve(t *testing.T, db *store.DB) *service {
	t.Helper()
	s := &service{bus: events.New(quiet)}
	db.OnCommit(s.bus.Committed)
	fleet := docker.NewFleet()
	stopping := make(chan struct{})
	signIn := auth.New(db, quiet)
	s.handler = api.New(api.Deps{
		DB: db, Bus: s.bus, Refusals: api.NewRefusals(s.bus), Fleet: fleet, Scanner: stale.NewScanner(db, fleet, quiet), Cleaner: stale.NewCleaner(db, fleet, quiet),
		Deployer: deploy.New(db, fleet, s.bus, quiet), Auth: signIn, Scheduler: schedule.New(quiet), Stopping: stopping, Version: "bench", Log: quiet,
	})
	listener, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	must(t, err)
	server := &http.Server{Handler: s.handler, ReadHeaderTimeout: 10 * time.Second}
	served := make(chan error, 1)
	go func() { served <- server.Serve(listener) }()
	ctx, cancel := context.WithCancel(context.WithoutCancel(t.Context()))
	kept := make(chan error, 1)
	go func() { kept <- events.NewPersister(s.bus, db, quiet).Run(ctx) }()
	transport := &http.Transport{MaxIdleConnsPerHost: 16}
	s.base, s.http = "http://"+listener.Addr().String(), &http.Client{Transport: transport}
	s.token, _, err = signIn.CreateToken(t.Context(), "bench", store.RoleAdmin, time.Time{}, "system")
	must(t, err)
	t.Cleanup(func() {
		close(stopping)
		transport.CloseIdleConnections()
		_ = server.Close() // streams may still be open
		if err := <-served; !errors.Is(err, http.ErrServerClosed) {
			t.Error(err)
		}
		cancel()
		if err := <-kept; err != nil && !errors.Is(err, context.Canceled) {
			t.Error(err)
		}
	})
	return s
}

func (s *service) request(ctx context.Context, path string) (*http.Request, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, s.base+path, nil)
	if err != nil {
		return nil, err
	}
	req.Header.Set("Authorization", "Bearer "+s.token)
	return req, nil
}

// get asks the router, from the request to the last byte of its JSON. The socket is left out: it costs
// the same whatever is sent, and more than a page.
func (s *service) get(ctx context.Context, path string) ([]byte, error) {
	req, err := s.request(ctx, path)
	if err != nil {
		return nil, err
	}
	req.RemoteAddr = "127.0.0.1:4711"
	answer := httptest.NewRecorder()
	s.handler.ServeHTTP(answer, req)
	if answer.Code != http.StatusOK {
		return nil, fmt.Errorf("%s: %d: %s", path, answer.Code, answer.Body)
	}
	return answer.Body.Bytes(), nil
}

// fetch asks over the socket.
func (s *service) fetch(ctx context.Context, path string) ([]byte, error) {
	req, err := s.request(ctx, path)
	if err != nil {
		return nil, err
	}
	resp, err := s.http.Do(req)
	if err != nil {
		return nil, err
	}
	defer func() { _ = resp.Body.Close() }()
	body, err := io.ReadAll(resp.Body)
	if err == nil && resp.StatusCode != http.StatusOK {
		err = fmt.Errorf("%s: %s: %s", path, resp.Status, body)
	}
	return body, err
}
