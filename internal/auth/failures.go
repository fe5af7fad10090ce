package auth

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/tiny-forge/docker-watcher/internal/store"
)

const (
	// failureWindow is how long failed sign-ins are counted before they are told as one.
	failureWindow = 10 * time.Minute
	// fewFailures of a network are told each by itself: all the guesses at one name that are let through at once, and that further ones are refused.
	fewFailures  = nameBurst + 1
	mostNetworks = 20 // that are told apart; all others are counted together
	mostNames    = 10 // that are told of those who were only counted

	settleTimeout = 5 * time.Second

	kindFailed = "auth.login_failed"
)

// Stranger is the actor of who did not show who they are.
const Stranger = "anyone"

// failures are the failed sign-ins of a while, so that nobody can fill the event log by them.
type failures struct {
	mu       sync.Mutex
	networks map[string]*failing // by what NetworkOf says; empty: whatever has no room of its own
}

// failing is a network from which sign-ins fail.
type failing struct {
	told  int      // each by itself
	more  int      // since it was last told how many
	names []string // some of those
}

func newFailures() *failures { return &failures{networks: map[string]*failing{}} }

// note counts a failed sign-in. It reports whether that is to be told by itself.
func (f *failures) note(network, name string) (tell bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	one, known := f.networks[network]
	if !known && len(f.networks) >= mostNetworks {
		network = ""
		one, known = f.networks[network]
	}
	if !known {
		one = &failing{}
		f.networks[network] = one
	}
	if one.told < fewFailures {
		one.told++
		return true
	}
	one.more++
	if name != "" && len(one.names) < mostNames && !slices.Contains(one.names, name) {
		one.names = append(one.names, name)
	}
	return false
}

// settle returns the events of what was counted, and forgets where no more came from.
func (f *failures) settle() (events []store.Event) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for network, one := range f.networks {
		if one.more == 0 {
			delete(f.networks, network)
			continue
		}
		events = append(events, one.event(network))
		one.more, one.names = 0, nil
	}
	return events
}

func (one *failing) event(network string) store.Event {
	e := failedEvent(fmt.Sprintf("%d more sign-ins from %s were refused", one.more, network), map[string]any{"count": one.more, "addr": network})
	if network == "" {
		e.Message = fmt.Sprintf("%d more sign-ins from other addresses were refused", one.more)
		delete(e.Data, "addr")
	}
	if len(one.names) > 0 {
		e.Data["names"] = one.names
	}
	return e
}

func failedEvent(message string, data map[string]any) store.Event {
	return store.Event{Severity: store.SeverityWarn, Kind: kindFailed, Actor: Stranger, Message: message, Data: data}
}

// loginFailed tells of a sign-in that was refused, or counts it. The name is empty where it is not known.
func (s *Service) loginFailed(ctx context.Context, name, addr, why string) (told bool) {
	name = clip(name, 64)
	if name == "" {
		return s.failed(ctx, "", addr, failedEvent("a sign-in from "+NetworkOf(addr)+" was refused: "+why, map[string]any{"addr": addr}))
	}
	return s.failed(ctx, name, addr, failedEvent(fmt.Sprintf("sign-in as %q from %s was refused: %s", name, NetworkOf(addr), why), map[string]any{"name": name, "addr": addr}))
}

// codeFailed tells of a code that opens nothing, or counts it. What says which.
func (s *Service) codeFailed(ctx context.Context, what, addr string) {
	s.failed(ctx, "", addr, failedEvent("a wrong "+what+" was tried from "+NetworkOf(addr), map[string]any{"addr": addr}))
}

func (s *Service) failed(ctx context.Context, name, addr string, e store.Event) (told bool) {
	if !s.failures.note(NetworkOf(addr), name) {
		return false
	}
	s.record(ctx, e)
	return true
}

// Run tells, whenever a window ends, how many sign-ins failed that are not told yet, until ctx ends. The rest is for Settle to tell, when
// nobody serves any more.
func (s *Service) Run(ctx context.Context) error {
	tick := time.NewTicker(failureWindow)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
			s.Settle(ctx)
		case <-ctx.Done():
			return nil
		}
	}
}

// Settle tells how many sign-ins failed that are not told yet, also when ctx has ended: they are counted nowhere else. A store that does not answer
// keeps nobody waiting for longer than settleTimeout.
func (s *Service) Settle(ctx context.Context) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), settleTimeout)
	defer cancel()
	for _, e := range s.failures.settle() {
		s.record(ctx, e)
	}
}
