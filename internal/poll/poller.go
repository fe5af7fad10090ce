// Package poll notices that a registry has a new tag for a stage, and tells of it or asks for its deploy. Looking (what a
// registry is asked), deciding (pure) and acting are apart. Stages that follow one repository are polled together, with one
// list of its tags. That a registry could not be asked is kept and shown with since when, and is never read as that it has
// no tags: nothing is deployed and nothing forgotten on its account. Nothing here starts by itself: a job calls Round.
package poll

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"time"

	"github.com/tiny-forge/docker-watcher/internal/store"
)

const (
	registriesAtOnce = 4
	// patience is how many repositories of a registry in a row may fail in one round before the rest is left for the next.
	patience = 3
	// longestHold bounds for how long a registry can have itself left alone.
	longestHold = 24 * time.Hour
	// longestWait bounds how long a repository that fails again and again waits, unless it is polled more seldom anyway.
	longestWait = time.Hour
)

// errNotAsked is that a registry was left alone.
var errNotAsked = errors.New("it was not asked")

// Poller polls the registries that stages follow.
type Poller struct {
	db     *store.DB
	looker *Looker
	deploy func(ctx context.Context, stageID, tag string) error
	log    *slog.Logger

	mu   sync.Mutex
	held map[string]time.Time // registries that want to be left alone, until when
}

// New joins the parts; it starts nothing. Deploy asks for a deploy of a tag to a stage, without waiting for it.
func New(db *store.DB, looker *Looker, deploy func(ctx context.Context, stageID, tag string) error, log *slog.Logger) *Poller {
	return &Poller{db: db, looker: looker, deploy: deploy, log: log, held: map[string]time.Time{}}
}

// Round polls every repository of which a stage is due. It goes on after errors, which are those of the store: that a
// registry could not be asked is kept with its stages.
func (p *Poller) Round(ctx context.Context) error {
	images, err := p.db.ImagesToPoll(ctx, time.Now())
	if err != nil {
		return fmt.Errorf("find what to poll: %w", err)
	}
	if len(images) == 0 {
		return nil
	}
	settings, err := p.db.Settings(ctx)
	if err != nil {
		return fmt.Errorf("read how often to poll: %w", err)
	}
	groups := byRegistry(images)
	errs := make([]error, len(groups))
	eachOf(len(groups), registriesAtOnce, func(i int) { errs[i] = p.pollRegistry(ctx, groups[i], settings.PollInterval) })
	return errors.Join(append(errs, ctx.Err())...)
}

// byRegistry groups repositories by who is asked for them.
func byRegistry(images []string) [][]string {
	var groups [][]string
	place := map[string]int{}
	for _, image := range images {
		host := registryOf(image)
		i, known := place[host]
		if !known {
			i = len(groups)
			place[host], groups = i, append(groups, nil)
		}
		groups[i] = append(groups[i], image)
	}
	return groups
}

// registryOf is the host in the name of a repository: what stands before the first slash, if it looks like one.
func registryOf(image string) string {
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
		r := &round{poller: p, image: image, registry: registryOf(image), now: time.Now().UTC().Truncate(time.Millisecond), interval: interval}
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
	if !until.After(now) {
		delete(p.held, registry)
		return time.Time{}
	}
	return until
}
