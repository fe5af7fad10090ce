package main

import (
	"context"
	"log/slog"
	"net/http"
	"testing"

	"github.com/tiny-forge/docker-watcher/internal/config"
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
		resp, err := http.Get("http://" + s.listener.Addr().String())
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
