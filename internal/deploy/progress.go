package deploy

import (
	"context"
	"fmt"
	"log/slog"
	"time"

	"github.com/tiny-forge/docker-watcher/internal/docker"
	"github.com/tiny-forge/docker-watcher/internal/events"
	"github.com/tiny-forge/docker-watcher/internal/store"
)

const (
	// tellEvery keeps the chatter of a pull to four lines a second.
	tellEvery = 250 * time.Millisecond
	// keepEvery is how often the bytes of a pull become a line of the log.
	keepEvery = 5 * time.Second
)

// teller keeps the log of one deploy and spreads how far it has come. What it spreads is chatter: the log is kept.
type teller struct {
	db   *store.DB
	bus  *events.Bus
	log  *slog.Logger
	dep  store.Deploy
	told time.Time // a pull, last
	kept time.Time // a line of it, last
	done int64
	all  int64
}

func (d *Deployer) newTeller(dep store.Deploy) *teller {
	return &teller{db: d.db, bus: d.bus, log: d.log, dep: dep}
}

// line is one of the log, to be written in the transaction of what it tells of.
func (t *teller) line(dep store.Deploy, text string) store.DeployLine {
	l := lineOf(dep, text)
	if dep.State == store.DeployPulling {
		l.DoneBytes, l.TotalBytes = t.done, t.all
	}
	return l
}

// state tells of a new state of the deploy, whose line is written.
func (t *teller) state(dep store.Deploy) {
	t.dep = dep
	t.spread("deploy of "+reference(dep.Image, dep.ImageTag)+" is "+string(dep.State), true)
}

// note writes a line of its own. The log is there to be read: a line that cannot be written fails no deploy.
func (t *teller) note(ctx context.Context, text string) {
	err := t.db.Update(ctx, func(tx *store.Tx) error {
		_, err := tx.AppendDeployLog(ctx, t.line(t.dep, text))
		return err
	})
	if err != nil && ctx.Err() == nil {
		t.log.WarnContext(ctx, "a line of the log of a deploy could not be written", "deploy_id", t.dep.ID, "error", err)
	}
	t.spread(text, true)
}

// pulled tells of a pull, at most every tellEvery, and always of its end.
func (t *teller) pulled(ctx context.Context, p docker.PullProgress) {
	t.done, t.all = p.Done, p.Total
	if time.Since(t.told) < tellEvery && (p.Total == 0 || p.Done < p.Total) {
		return
	}
	t.told = time.Now()
	text := fmt.Sprintf("pulling %s: %s", reference(t.dep.Image, t.dep.ImageTag), p.Status)
	if t.kept.IsZero() {
		t.kept = t.told
	}
	if p.Total > 0 && time.Since(t.kept) >= keepEvery {
		t.kept = t.told
		t.note(ctx, text)
		return
	}
	t.spread(text, false)
}

// spread tells whoever listens; kept: there is a new line in the log.
func (t *teller) spread(message string, kept bool) {
	t.bus.Publish(deployEvent(t.dep, store.SeverityInfo, "deploy.progress", message,
		map[string]any{"done_bytes": t.done, "total_bytes": t.all, "logged": kept}))
}
