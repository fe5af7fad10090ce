package api

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"sync/atomic"
	"testing"

	"github.com/tiny-forge/docker-watcher/internal/store"
	"github.com/tiny-forge/docker-watcher/internal/waittest"
)

// forwarded is a request that a proxy passes on.
func forwarded(ctx context.Context) *http.Request {
	r := httptest.NewRequestWithContext(ctx, get, "/", nil)
	r.Header.Set("X-Forwarded-For", "192.0.2.7")
	return r
}

// TestWhoLeavesWaitsForNoTrustedProxies: a store that hangs holds nobody longer than they wait, and is asked once for all.
func TestWhoLeavesWaitsForNoTrustedProxies(t *testing.T) {
	var reads atomic.Int32
	begun, let := make(chan struct{}, 2), make(chan struct{})
	p := &peers{read: func(context.Context) (store.Settings, error) {
		reads.Add(1)
		begun <- struct{}{}
		<-let
		return store.Settings{TrustedProxies: "10.0.0.0/8"}, nil
	}}
	first := make(chan int, 1)
	go func() { first <- len(p.trusted(forwarded(t.Context()))) }()
	waittest.Next(t, "the settings are read", begun)
	ctx, leave := context.WithCancel(t.Context())
	leave()
	if nets := p.trusted(forwarded(ctx)); nets != nil {
		t.Errorf("who left believes %v", nets)
	}
	if nets := p.trusted(httptest.NewRequestWithContext(t.Context(), get, "/", nil)); nets != nil {
		t.Errorf("who says nothing waits for %v", nets)
	}
	close(let)
	if n := waittest.Next(t, "the answer to the first", first); n != 1 || len(p.trusted(forwarded(t.Context()))) != 1 || reads.Load() != 1 {
		t.Errorf("%d networks after %d reads", n, reads.Load())
	}
}

// TestAStoreThatDoesNotAnswerIsNotAskedByEachRequest for its trusted proxies, but is again after a while.
func TestAStoreThatDoesNotAnswerIsNotAskedByEachRequest(t *testing.T) {
	var reads atomic.Int32
	fails := true
	p := &peers{read: func(context.Context) (store.Settings, error) {
		if reads.Add(1); fails {
			return store.Settings{}, errors.New("away")
		}
		return store.Settings{TrustedProxies: "10.0.0.0/8"}, nil
	}}
	for range 3 {
		if nets := p.trusted(forwarded(t.Context())); nets != nil {
			t.Errorf("believed are %v", nets)
		}
	}
	if reads.Load() != 1 {
		t.Errorf("%d reads", reads.Load())
	}
	fails, p.failed = false, p.failed.Add(-peersPause)
	if nets := p.trusted(forwarded(t.Context())); len(nets) != 1 {
		t.Errorf("after a while believed are %v", nets)
	}
}

// TestWhatChangesDuringAReadIsReadAgain: nobody is believed by what a read found before the change.
func TestWhatChangesDuringAReadIsReadAgain(t *testing.T) {
	var reads atomic.Int32
	begun, let := make(chan struct{}), make(chan struct{})
	p := &peers{read: func(context.Context) (store.Settings, error) {
		if reads.Add(1) == 1 {
			close(begun)
			<-let
			return store.Settings{TrustedProxies: "10.0.0.0/8"}, nil
		}
		return store.Settings{TrustedProxies: "172.16.0.0/12 192.168.0.0/16"}, nil
	}}
	first := make(chan int, 1)
	go func() { first <- len(p.trusted(forwarded(t.Context()))) }()
	waittest.Next(t, "the settings are read", begun)
	p.changed()
	close(let)
	if n := waittest.Next(t, "the answer to the first", first); n != 2 || reads.Load() != 2 || len(p.trusted(forwarded(t.Context()))) != 2 {
		t.Errorf("%d networks after %d reads", n, reads.Load())
	}
}
