package main

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"testing"
	"time"

	"github.com/tiny-forge/docker-watcher/internal/store"
)

// What is over soon, and what is never over while a test waits for it.
const little, long = 300 * time.Millisecond, time.Hour

// serve runs a server with one request under way in its handler, which may end within drain, and take back what it did within takeBack.
func serve(t *testing.T, handler func(w http.ResponseWriter, r *http.Request, cut <-chan struct{}), drain, takeBack time.Duration) (shutdown func(cause error) error, answer <-chan string, stopping <-chan struct{}) {
	t.Helper()
	listener, err := listen(t.Context(), "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	begun, stop, cut := make(chan struct{}), make(chan struct{}), make(chan struct{})
	s := newServer(t.Context(), listener, stop, cut, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		close(begun)
		handler(w, r, cut)
	}), slog.New(slog.DiscardHandler))
	s.drainTimeout, s.takeBackTimeout = drain, takeBack
	ctx, cancel := context.WithCancelCause(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- s.Run(ctx) }()
	body := make(chan string, 1)
	go func() {
		res, err := http.Get(baseURL(listener.Addr()))
		if err != nil {
			body <- "error"
			return
		}
		defer func() { _ = res.Body.Close() }()
		text, err := io.ReadAll(res.Body)
		if err != nil {
			text = []byte("cut off")
		}
		body <- string(text)
	}()
	select {
	case <-begun:
	case <-time.After(time.Minute):
		t.Fatal("the request does not come to its handler")
	}
	return func(cause error) error {
		cancel(cause)
		select {
		case err := <-ended:
			return err
		case <-time.After(time.Minute):
			t.Fatal("the shutdown does not end")
			return nil
		}
	}, body, stop
}

func TestShutdownWaitsForWhatIsUnderWay(t *testing.T) {
	finish := make(chan struct{})
	shutdown, answer, stopping := serve(t, func(w http.ResponseWriter, r *http.Request, _ <-chan struct{}) {
		<-finish
		if r.Context().Err() != nil {
			t.Error("the request was cut although it was in time")
		}
		_, _ = io.WriteString(w, "cleaned up")
	}, long, long)
	go func() { <-stopping; close(finish) }()
	if err := shutdown(nil); err != nil {
		t.Error(err)
	}
	if got := <-answer; got != "cleaned up" {
		t.Errorf("answer = %q", got)
	}
}

func TestShutdownCutsWhatTakesTooLong(t *testing.T) {
	shutdown, answer, _ := serve(t, func(w http.ResponseWriter, r *http.Request, cut <-chan struct{}) {
		<-r.Context().Done()
		<-cut
		_, _ = io.WriteString(w, "taken back")
	}, little, long)
	if err := shutdown(nil); err != nil {
		t.Error(err)
	}
	if got := <-answer; got != "taken back" {
		t.Errorf("answer = %q", got)
	}
}

// TestDamageCutsWhatIsUnderWay at once: it would go on by what was read of a damaged database.
func TestDamageCutsWhatIsUnderWay(t *testing.T) {
	shutdown, answer, _ := serve(t, func(w http.ResponseWriter, r *http.Request, cut <-chan struct{}) {
		<-cut
		<-r.Context().Done()
		_, _ = io.WriteString(w, "taken back")
	}, long, long)
	if err := shutdown(fmt.Errorf("read: %w", store.ErrCorrupt)); err != nil {
		t.Error(err)
	}
	if got := <-answer; got != "taken back" {
		t.Errorf("answer = %q", got)
	}
}

func TestShutdownIsBounded(t *testing.T) {
	finish := make(chan struct{})
	shutdown, answer, _ := serve(t, func(http.ResponseWriter, *http.Request, <-chan struct{}) { <-finish }, little, little)
	if err := shutdown(nil); err != nil {
		t.Error(err)
	}
	close(finish)
	if got := <-answer; got != "error" {
		t.Errorf("answer = %q", got)
	}
}

func TestBaseURL(t *testing.T) {
	for _, tt := range []struct {
		ip   string
		want string
	}{
		{"127.0.0.1", "http://127.0.0.1:8080"},
		{"0.0.0.0", "http://127.0.0.1:8080"},
		{"::", "http://127.0.0.1:8080"},
		{"::1", "http://[::1]:8080"},
		{"192.0.2.7", "http://192.0.2.7:8080"},
	} {
		if got := baseURL(&net.TCPAddr{IP: net.ParseIP(tt.ip), Port: 8080}); got != tt.want {
			t.Errorf("%s: %s, want %s", tt.ip, got, tt.want)
		}
	}
}
