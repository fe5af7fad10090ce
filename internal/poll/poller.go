// Package poll notices that a registry has a new tag for a stage, and tells of it or asks for its deploy. Looking (what a
// registry is asked), deciding (pure) and acting are apart. Stages that follow one repository are polled together, with one
// list of its tags. That a registry could not be asked is kept and shown with since when, and is never read as that it has
// no tags: nothing is deployed and nothing forgotten on its account. Registries are polled independently: one that is slow
// holds up nobody but those who follow it. Nothing here starts by itself: Run carries out the rounds that a job asks for.
package poll

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"strings"
	"sync"
	"time"

	"github.com/tiny-forge/docker-watcher/internal/guard"
	"github.com/tiny-forge/docker-watcher/internal/store"
)

const (
	registriesAtOnce = 16
	// patience is how many repositories of a registry in a row may fail in one round before the rest is left for the next.
	patience = 3
	// longestHold bounds for how long a registry can have itself left alone.
	longestHold = 24 * time.Hour
	// longestWait bounds how long a repository that fails again and again waits, unless it is polled more seldom anyway.
	longestWait = time.Hour
	tidyEvery   = time.Hour
)

// errNotAsked is that a registry was left alone.
var errNotAsked = errors.New("it was not asked")

// Poller polls the registries that stages follow.
type Poller struct {
	db     *store.DB
	looker *Looker
	deploy Deploying
	watch  Witness
	log    *slog.Logger
	asked  chan struct{} // a round is asked for

	mu     sync.Mutex
	held   map[string]time.Time // registries that want to be left alone, until when
	busy   map[string]bool      // registries that are being polled
	tidied time.Time
}

// Deploying asks for a deploy of a tag to a stage, without waiting for it. Digest (sha256:...) is that of the image which
// was judged to be the one.
type Deploying func(ctx context.Context, stageID, tag, digest string) error

// Witness is told when the look for what is due begins and ends (the registry is empty then), and when the polling of a registry does. That a
// registry could not be asked is no error here: it is kept with its stages.
type Witness interface {
	Began(registry string)
	Ended(registry string, err error)
}

type unwatched struct{}

func (unwatched) Began(string)        {}
func (unwatched) Ended(string, error) {}

// New joins the parts; it starts nothing.
func New(db *store.DB, looker *Looker, deploy Deploying, log *slog.Logger) *Poller {
	return &Poller{db: db, looker: looker, deploy: deploy, watch: unwatched{}, log: log, asked: make(chan struct{}, 1), held: map[string]time.Time{}, busy: map[string]bool{}}
}

// WatchBy has a witness told. It comes before Run.
func (p *Poller) WatchBy(w Witness) { p.watch = w }

// Ask asks for a round and waits for nothing.
func (p *Poller) Ask() {
	select {
	case p.asked <- struct{}{}:
	default: // one is asked for already
	}
}

// Run carries out the rounds that are asked for, until ctx ends. The next one begins while a slow registry still answers
// the last, and leaves that one alone.
func (p *Poller) Run(ctx context.Context) error {
	var rounds sync.WaitGroup
	defer rounds.Wait()
	for {
		select {
		case <-p.asked:
			rounds.Go(func() {
				if err := guard.Do(p.log, "poll", func() error { return p.Round(ctx) }); err != nil && ctx.Err() == nil {
					p.log.ErrorContext(ctx, "poll registries", "error", err)
				}
			})
		case <-ctx.Done():
			return nil
		}
	}
}

// Round polls every repository of which a stage is due and whose registry is not being polled already, and waits for
// that. It goes on after errors, which are those of the store: that a registry could not be asked is kept with its stages.
func (p *Poller) Round(ctx context.Context) error {
	p.watch.Began("")
	groups, interval, err := p.due(ctx)
	p.watch.Ended("", err)
	if err != nil {
		return err
	}
	errs := make([]error, len(groups))
	eachOf(len(groups), registriesAtOnce, func(i int) {
		defer p.release(groups[i])
		registry := RegistryOf(groups[i][0])
		p.watch.Began(registry)
		errs[i] = guard.Do(p.log, "poll", func() error { return p.pollRegistry(ctx, groups[i], interval) })
		p.watch.Ended(registry, errs[i])
	})
	return errors.Join(append(errs, ctx.Err())...)
}

// due finds the repositories that are to be polled now, marks their registries as busy, and says how often that is done.
func (p *Poller) due(ctx context.Context) (groups [][]string, interval time.Duration, err error) {
	if err := p.tidy(ctx, time.Now()); err != nil {
		return nil, 0, err
	}
	groups, err = p.take(ctx)
	if err != nil || len(groups) == 0 {
		return nil, 0, err
	}
	settings, err := p.db.Settings(ctx)
	if err != nil {
		p.release(groups...)
		return nil, 0, fmt.Errorf("read how often to poll: %w", err)
	}
	return groups, settings.PollInterval, nil
}

// take finds the repositories that are due, leaves out the registries that are being polled, and marks the others as such.
// No registry is released between the two: what its poll wrote would not have been read, and it would be asked again.
func (p *Poller) take(ctx context.Context) (free [][]string, err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	due, err := p.db.ImagesToPoll(ctx, time.Now())
	if err != nil {
		return nil, fmt.Errorf("find what to poll: %w", err)
	}
	for _, images := range byRegistry(due) {
		if host := RegistryOf(images[0]); !p.busy[host] {
			p.busy[host] = true
			free = append(free, images)
		}
	}
	return free, nil
}

func (p *Poller) release(groups ...[]string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, images := range groups {
		delete(p.busy, RegistryOf(images[0]))
	}
}

// tidy forgets, now and then, what was remembered of repositories that nobody follows any more, and of registries that no
// longer want to be left alone.
func (p *Poller) tidy(ctx context.Context, now time.Time) error {
	p.mu.Lock()
	due := now.Sub(p.tidied) >= tidyEvery
	if due {
		p.tidied = now
		maps.DeleteFunc(p.held, func(_ string, until time.Time) bool { return !until.After(now) })
	}
	p.mu.Unlock()
	if !due {
		return nil
	}
	followed, err := p.db.FollowedImages(ctx)
	if err != nil {
		return fmt.Errorf("find what is followed: %w", err)
	}
	p.looker.keepOnly(followed)
	return nil
}

// byRegistry groups repositories by who is asked for them.
func byRegistry(images []string) [][]string {
	var groups [][]string
	place := map[string]int{}
	for _, image := range images {
		host := RegistryOf(image)
		i, known := place[host]
		if !known {
			i = len(groups)
			place[host], groups = i, append(groups, nil)
		}
		groups[i] = append(groups[i], image)
	}
	return groups
}

// RegistryOf is the host in the name of a repository: what stands before the first slash, if it looks like one.
func RegistryOf(image string) string {
	host, _, found := strings.Cut(image, "/")
	if !found || !strings.ContainsAny(host, ".:") && host != "localhost" {
		return "docker.io"
	}
	return host
}

// pollRegistry polls repositories of one registry, one after the other. One that fails again and again is left alone.
func (p *Poller) pollRegistry(ctx context.Context, images []string, interval time.Duration) error {
	var errs []error
	failures := 0
	for _, image := range images {
		if ctx.Err() != nil {
			break
		}
		r := &round{poller: p, image: image, registry: RegistryOf(image), now: time.Now().UTC().Truncate(time.Millisecond), interval: interval}
		if failures >= patience {
			r.closed = fmt.Errorf("%w: %d repositories of its registry %s in a row had failed", errNotAsked, failures, r.registry)
		}
		asked, err := r.run(ctx)
		errs = append(errs, err)
		switch {
		case asked == nil:
			failures = 0
		case !errors.Is(asked, errNotAsked):
			failures++
		}
	}
	return errors.Join(errs...)
}

// hold leaves a registry alone for as long as it wants.
func (p *Poller) hold(registry string, err error, now time.Time) {
	var refused Refused
	if !errors.As(err, &refused) || !refused.Until.After(now) {
		return
	}
	until := refused.Until
	if most := now.Add(longestHold); until.After(most) {
		until = most
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if until.After(p.held[registry]) {
		p.held[registry] = until
	}
}

// heldUntil is until when a registry is left alone; zero: it may be asked.
func (p *Poller) heldUntil(registry string, now time.Time) time.Time {
	p.mu.Lock()
	defer p.mu.Unlock()
	until := p.held[registry]
	if !until.After(now) || store.DatedAhead(until, now.Add(longestHold)) {
		delete(p.held, registry)
		return time.Time{}
	}
	return until
}
