package main

import (
	"bytes"
	"context"
	"io"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/tiny-forge/docker-watcher/internal/config"
	"github.com/tiny-forge/docker-watcher/internal/proxy"
	"github.com/tiny-forge/docker-watcher/internal/store"
)

// TestSitesThatHaveEndedAreServedAgain: when the daemon ended for another reason, and the damage was met on the way.
func TestSitesThatHaveEndedAreServedAgain(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	cfg, log := config.Config{ProxyHTTP: "127.0.0.1:0", Data: t.TempDir()}, slog.New(slog.DiscardHandler)
	s := &sites{}
	defer s.close()
	if s.goAlone(ctx, cfg, log, nil) {
		t.Error("there are sites without a port")
	}
	if err := s.listen(ctx, cfg); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if !s.goAlone(ctx, cfg, log, nil) {
			t.Fatal(s.unusable)
		}
		resp, err := (&http.Client{Timeout: time.Minute}).Get("http://" + s.listener.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		if _ = resp.Body.Close(); resp.StatusCode != http.StatusNotFound {
			t.Errorf("a host that nobody knows is answered with %d", resp.StatusCode)
		}
		ended, end := context.WithCancel(ctx)
		end()
		if err := s.wait(ended); err != nil {
			t.Error(err)
		}
	}
	cfg.ProxyHTTP = "192.0.2.1:1" // which is no address of ours
	if s.goAlone(ctx, cfg, log, nil) || s.rescued(cfg) == "No routes are served by it" || s.unusable == nil {
		t.Errorf("without a port it says %q", s.rescued(cfg))
	}
}

// TestATableMadeSinceIsServed: one that could not be used at the start is forgotten with the first that is applied.
func TestATableMadeSinceIsServed(t *testing.T) {
	cfg, log := config.Config{ProxyHTTP: "127.0.0.1:0", Data: t.TempDir()}, slog.New(slog.DiscardHandler)
	if err := os.WriteFile(filepath.Join(cfg.Data, tableFile), []byte("{"), 0o600); err != nil {
		t.Fatal(err)
	}
	s := &sites{}
	defer s.close()
	if err := s.listen(t.Context(), cfg); err != nil {
		t.Fatal(err)
	}
	s.build(cfg, proxyPolicy(), hears{}, log)
	if said := s.rescued(cfg); !strings.HasPrefix(said, "No routes are served: ") {
		t.Errorf("without a table it says %q", said)
	}
	if _, err := s.server.Apply(proxy.Table{}); err != nil {
		t.Fatal(err)
	}
	if said := s.rescued(cfg); !strings.HasPrefix(said, "Routes are served as they last were") {
		t.Errorf("with a table it says %q", said)
	}
}

// TestWithoutItsPageSitesAreServed: that the way out cannot be shown takes no site down, and the log tells it.
func TestWithoutItsPageSitesAreServed(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	cfg := config.Config{Listen: "192.0.2.1:1", ProxyHTTP: "127.0.0.1:0", Data: t.TempDir()} // which is no address of ours
	var said bytes.Buffer
	log := slog.New(slog.NewTextHandler(&said, nil))
	if err := tellWayOut(ctx, cfg, store.ErrCorrupt, &sites{}, log, io.Discard); err == nil {
		t.Error("it goes on with nothing to serve")
	}
	s := &sites{}
	defer s.close()
	if err := s.listen(ctx, cfg); err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- tellWayOut(ctx, cfg, store.ErrCorrupt, s, log, io.Discard) }()
	resp, err := (&http.Client{Timeout: time.Minute}).Get("http://" + s.listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	if _ = resp.Body.Close(); resp.StatusCode != http.StatusNotFound {
		t.Errorf("a host that nobody knows is answered with %d", resp.StatusCode)
	}
	select {
	case err := <-ended:
		t.Fatalf("it ended: %v", err)
	default:
	}
	cancel()
	select {
	case err := <-ended:
		if err != nil {
			t.Error(err)
		}
	case <-time.After(time.Minute):
		t.Fatal("it does not end")
	}
	if !strings.Contains(said.String(), " restore ") {
		t.Errorf("the log does not tell the way out:\n%s", said.String())
	}
}

// TestSitesAreLeftAfterTheirVisitors: a daemon that is ended when the damage was just met waits for what its visitors have under way.
func TestSitesAreLeftAfterTheirVisitors(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cfg, log := config.Config{ProxyHTTP: "127.0.0.1:0", Data: t.TempDir()}, slog.New(slog.DiscardHandler)
	s := &sites{}
	defer s.close()
	if err := s.leave(ctx); err != nil {
		t.Errorf("without sites: %v", err)
	}
	if err := s.listen(ctx, cfg); err != nil {
		t.Fatal(err)
	}
	if !s.goAlone(ctx, cfg, log, nil) {
		t.Fatal(s.unusable)
	}
	cancel()
	if err := s.leave(ctx); err != nil || !s.haveEnded() {
		t.Errorf("%v, they have ended: %t", err, s.haveEnded())
	}
}
