// Package reclaim gives back what removed instances left on an engine: images that only they used, planned first and
// applied exactly; volumes it lists with who used them, and removes an anonymous one when an admin names it. It
// never prunes, and it never touches an image that was there before us or that anything uses.
//
// Which image may go is decided by one pure function, judge, from what the store and the engine say of it. The engine
// has the last word: an image is removed by its id and without force, so that a container which somebody made of
// it a moment ago wins.
package reclaim

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/tiny-forge/docker-watcher/internal/docker"
	"github.com/tiny-forge/docker-watcher/internal/guard"
	"github.com/tiny-forge/docker-watcher/internal/store"
)

// The refusals of this package, each with a reason in its text.
var (
	ErrPlanExpired = errors.New("the plan has expired")
	ErrPlanUsed    = errors.New("the plan was applied already")
	ErrRefused     = errors.New("refused")
)

const (
	planLife      = 15 * time.Minute // how long a plan may be applied
	maxSkew       = 60 * time.Second // a clock further off is not that of an engine to act on
	factsTimeout  = 10 * time.Second // what the engine says of itself, or of one image
	itemTimeout   = 10 * time.Minute // one image, all in all
	settleTimeout = 20 * time.Second // writing down how it ended, also when the caller has gone

	asksAtOnce = 8 // lists of the containers of an image or a volume
)

// Reclaimer finds and removes what is left. It is safe for concurrent use.
type Reclaimer struct {
	db    *store.DB
	fleet *docker.Fleet
	log   *slog.Logger

	mu    sync.Mutex
	plans map[string]bool // that this process is applying
}

// New joins the parts.
func New(db *store.DB, fleet *docker.Fleet, log *slog.Logger) *Reclaimer {
	return &Reclaimer{db: db, fleet: fleet, log: log, plans: map[string]bool{}}
}

// hold takes a plan into hand; false if it is there already.
func (r *Reclaimer) hold(planID string) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.plans[planID] {
		return false
	}
	r.plans[planID] = true
	return true
}

func (r *Reclaimer) letGo(planID string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.plans, planID)
}

// standing is one host as it answered: our row of it and what its engine says of itself.
type standing struct {
	host   store.Host
	engine *docker.Engine
	info   docker.Info
}

// ask asks a host who it is; ErrRefused if it does not say.
func (r *Reclaimer) ask(ctx context.Context, hostID string) (standing, error) {
	host, err := r.db.Host(ctx, hostID)
	if err != nil {
		return standing{}, fmt.Errorf("read host %s: %w", hostID, err)
	}
	on := standing{host: host}
	if !host.DisabledSince.IsZero() {
		return on, fmt.Errorf("%w: %s is disabled since %s: %w", ErrRefused, host.Name, moment(host.DisabledSince), docker.ErrAbsent)
	}
	if on.engine, err = r.fleet.Engine(hostID); err != nil {
		return on, fmt.Errorf("%w: %s cannot be asked: %w", ErrRefused, host.Name, err)
	}
	ctx, cancel := context.WithTimeout(ctx, factsTimeout)
	defer cancel()
	if on.info, err = on.engine.Info(ctx); err != nil {
		return on, fmt.Errorf("%w: %s cannot be asked: %w", ErrRefused, host.Name, err)
	}
	return on, nil
}

// fit is ask, and ErrRefused when nothing may be removed there now.
func (r *Reclaimer) fit(ctx context.Context, hostID string) (standing, error) {
	on, err := r.ask(ctx, hostID)
	if err != nil {
		return on, err
	}
	return on, r.fitness(ctx, on)
}

func (r *Reclaimer) fitness(ctx context.Context, on standing) error {
	host := on.host
	switch {
	case !host.FrozenSince.IsZero():
		return fmt.Errorf("%w: %s is frozen: %s", ErrRefused, host.Name, host.FrozenReason)
	case on.info.Skew.Abs() > maxSkew:
		return fmt.Errorf("%w: the clock of %s is off by %s", ErrRefused, host.Name, on.info.Skew.Round(time.Second))
	case !on.sameEngine(host.EngineID, host.DataRoot):
		return fmt.Errorf("%w: another engine answers for %s", ErrRefused, host.Name)
	}
	blind, err := r.db.BlindIntervals(ctx, host.ID, time.Now().UTC())
	if err != nil {
		return fmt.Errorf("read the blind intervals of %s: %w", host.Name, err)
	}
	for _, b := range blind {
		if b.To.IsZero() {
			return fmt.Errorf("%w: %s cannot be judged since %s: %s", ErrRefused, host.Name, moment(b.From), b.Reason)
		}
	}
	return nil
}

// sameEngine compares with facts seen before; one that is not known yet does not differ.
func (on standing) sameEngine(engineID, dataRoot string) bool {
	return (engineID == "" || engineID == on.info.EngineID) && (dataRoot == "" || dataRoot == on.info.DataRoot)
}

// settling is the time to write down how something ended, also when the caller has gone.
func settling(ctx context.Context) (context.Context, context.CancelFunc) {
	return context.WithTimeout(context.WithoutCancel(ctx), settleTimeout)
}

func moment(t time.Time) string { return t.UTC().Format(time.RFC3339) }

// eachOf calls do for 0..n-1, a few at once, and waits for all.
func eachOf(n int, do func(i int)) {
	var wg guard.Group
	slots := make(chan struct{}, asksAtOnce)
	for i := range n {
		slots <- struct{}{}
		wg.Go(func() {
			defer func() { <-slots }()
			do(i)
		})
	}
	wg.Wait()
}
