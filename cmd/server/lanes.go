package main

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"time"

	"github.com/tiny-forge/docker-watcher/internal/docker"
	"github.com/tiny-forge/docker-watcher/internal/guard"
	"github.com/tiny-forge/docker-watcher/internal/schedule"
	"github.com/tiny-forge/docker-watcher/internal/stale"
)

// witness is told of work on a host.
type witness interface {
	expects(what, hostID string, on bool)
	began(what, hostID string)
	ended(what, hostID string, err error)
}

// lanes has work done on every host in use when it is rung, each host in a lane of its own: one that hangs holds up no other,
// and is rung once more at most while its lane is busy.
type lanes struct {
	what  string // is done there, for the log
	fleet *docker.Fleet
	limit time.Duration // of the work on one host
	work  func(ctx context.Context, hostID, why string) error
	watch witness
	log   *slog.Logger

	mu    sync.Mutex
	bells map[string]chan string // by host id
}

func newLanes(what string, fleet *docker.Fleet, limit time.Duration, work func(ctx context.Context, hostID, why string) error, watch witness, log *slog.Logger) *lanes {
	return &lanes{what: what, fleet: fleet, limit: limit, work: work, watch: watch, log: log, bells: map[string]chan string{}}
}

// ring asks for the work on every host, and does not wait for it.
func (l *lanes) ring(why string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, bell := range l.bells {
		select {
		case bell <- why:
		default: // it is rung already
		}
	}
}

// Run works when rung, until ctx ends. The work on a host that is taken out of use ends with that.
func (l *lanes) Run(ctx context.Context) error {
	if err := l.fleet.Follow(ctx, l.lane); err != nil && ctx.Err() == nil {
		return err
	}
	return nil
}

func (l *lanes) lane(ctx context.Context, hostID string, _ *docker.Engine) error {
	bell := make(chan string, 1)
	l.hang(hostID, bell)
	defer l.hang(hostID, nil)
	for {
		select {
		case why := <-bell:
			l.carryOut(ctx, hostID, why)
		case <-ctx.Done():
			return nil
		}
	}
}

// hang puts up the bell of a host; nil takes it down.
func (l *lanes) hang(hostID string, bell chan string) {
	l.watch.expects(l.what, hostID, bell != nil)
	l.mu.Lock()
	defer l.mu.Unlock()
	if bell == nil {
		delete(l.bells, hostID)
		return
	}
	l.bells[hostID] = bell
}

func (l *lanes) carryOut(ctx context.Context, hostID, why string) {
	bounded, cancel := context.WithTimeout(ctx, l.limit)
	defer cancel()
	l.watch.began(l.what, hostID)
	err := guard.Do(l.log, l.what, func() error { return l.work(bounded, hostID, why) })
	if err == nil || ctx.Err() != nil || errors.Is(err, stale.ErrBlind) { // blindness has said so itself
		l.watch.ended(l.what, hostID, nil)
		return
	}
	l.watch.ended(l.what, hostID, err)
	if errors.Is(err, schedule.ErrPutOff) {
		return
	}
	l.log.ErrorContext(ctx, "work on a host", "job", l.what, "host_id", hostID, "error", err)
}
