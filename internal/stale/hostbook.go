package stale

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/tiny-forge/docker-watcher/internal/docker"
	"github.com/tiny-forge/docker-watcher/internal/store"
)

// standing is one host as it answered: our row of it and what its engine says of itself.
type standing struct {
	host   store.Host
	engine *docker.Engine
	info   docker.Info
}

// hostBook asks each host once for a plan or an apply, when the first of its
// instances comes up, so that one host that hangs costs its own items time and nobody else's.
type hostBook struct {
	c    *Cleaner
	mu   sync.Mutex
	asks map[string]*hostAsk
}

type hostAsk struct {
	once  sync.Once
	on    standing
	err   error // it could not be asked
	unfit error // it answered, but nothing may be judged or removed on it
}

func (c *Cleaner) openHostBook() *hostBook { return &hostBook{c: c, asks: map[string]*hostAsk{}} }

// ask returns the host as it answered; ErrBlind if it did not.
func (b *hostBook) ask(ctx context.Context, hostID string) (standing, error) {
	a := b.entry(ctx, hostID)
	return a.on, a.err
}

// fit is ask, and ErrFrozen or ErrBlind when nothing may be judged or removed there now.
func (b *hostBook) fit(ctx context.Context, hostID string) (standing, error) {
	a := b.entry(ctx, hostID)
	return a.on, errors.Join(a.err, a.unfit)
}

// same is ask, and ErrFrozen when another engine answers than the one that we know the host by.
func (b *hostBook) same(ctx context.Context, hostID string) (standing, error) {
	on, err := b.ask(ctx, hostID)
	if err == nil && !on.sameEngine(on.host.EngineID, on.host.DataRoot) {
		err = fmt.Errorf("%w: another engine answers for %s", ErrFrozen, on.host.Name)
	}
	return on, err
}

func (b *hostBook) entry(ctx context.Context, hostID string) *hostAsk {
	b.mu.Lock()
	a, ok := b.asks[hostID]
	if !ok {
		a = &hostAsk{}
		b.asks[hostID] = a
	}
	b.mu.Unlock()
	a.once.Do(func() {
		if a.on, a.err = b.c.askHost(ctx, hostID); a.err == nil {
			a.unfit = b.c.fitness(ctx, a.on)
		}
	})
	return a
}

func (c *Cleaner) askHost(ctx context.Context, hostID string) (standing, error) {
	host, err := c.db.Host(ctx, hostID)
	if err != nil {
		return standing{}, fmt.Errorf("read host %s: %w", hostID, err)
	}
	on := standing{host: host}
	if !host.DisabledSince.IsZero() {
		return on, fmt.Errorf("%w: %s is disabled since %s: %w", ErrBlind, host.Name, moment(host.DisabledSince), docker.ErrAbsent)
	}
	if on.engine, err = c.fleet.Engine(hostID); err != nil {
		return on, fmt.Errorf("%w: %s: %w", ErrBlind, host.Name, err)
	}
	ctx, cancel := context.WithTimeout(ctx, factsTimeout)
	defer cancel()
	if on.info, err = on.engine.Info(ctx); err != nil {
		return on, fmt.Errorf("%w: %s: %w", ErrBlind, host.Name, err)
	}
	return on, nil
}

// fitness says why nothing may be judged or removed on a host that answered; nil if all is well.
func (c *Cleaner) fitness(ctx context.Context, on standing) error {
	host := on.host
	switch {
	case !host.FrozenSince.IsZero():
		return fmt.Errorf("%w: %s: %s", ErrFrozen, host.Name, host.FrozenReason)
	case on.info.Skew.Abs() > maxSkew:
		return fmt.Errorf("%w: the clock of %s is off by %s", ErrFrozen, host.Name, on.info.Skew.Round(time.Second))
	case !on.sameEngine(host.EngineID, host.DataRoot):
		return fmt.Errorf("%w: another engine answers for %s", ErrFrozen, host.Name)
	}
	blind, err := c.db.BlindIntervals(ctx, host.ID, time.Now().UTC())
	if err != nil {
		return fmt.Errorf("read blind intervals of %s: %w", host.Name, err)
	}
	for _, b := range blind {
		if b.To.IsZero() {
			return fmt.Errorf("%w: %s since %s: %s", ErrBlind, host.Name, b.From.UTC().Format(time.RFC3339), b.Reason)
		}
	}
	return nil
}

// sameEngine compares with facts seen before; one that is not known yet does not differ.
func (on standing) sameEngine(engineID, dataRoot string) bool {
	return (engineID == "" || engineID == on.info.EngineID) && (dataRoot == "" || dataRoot == on.info.DataRoot)
}
