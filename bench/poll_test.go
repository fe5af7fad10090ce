//go:build bench

package bench

import (
	"context"
	"fmt"
	"sync/atomic"
	"testing"
	"time"

	"github.com/tiny-forge/docker-watcher/internal/poll"
	"github.com/tiny-forge/docker-watcher/internal/store"
	"github.com/tiny-forge/docker-watcher/internal/store/storetest"
	"github.com/tiny-forge/docker-watcher/internal/tagrule"
)

// counted is a registry that costs nothing and counts what it is asked.
type counted struct {
	tags         []string
	lists, heads atomic.Int64
}

func (c *counted) Tags(context.Context, string) ([]string, error) {
	c.lists.Add(1)
	return c.tags, nil
}

func (c *counted) Digest(_ context.Context, image, tag string) (string, error) {
	c.heads.Add(1)
	return "sha256:" + image + tag, nil
}

func (*counted) Created(context.Context, string, string) (time.Time, error) { return time.Now(), nil }

// A thousand stages over twenty repositories of 500 tags each: one list a repository, a HEAD a stage at the most, and what
// is left is our own part.
func TestPollOfAThousandStages(t *testing.T) {
	db := storetest.With(t, store.Options{DataDir: t.TempDir()})
	registry := &counted{}
	for n := range 500 {
		registry.tags = append(registry.tags, fmt.Sprintf("s%d-1.%d.0", n%50, n/50))
	}
	host := storetest.Host(t, db)
	must(t, db.Update(t.Context(), func(tx *store.Tx) error {
		for r := range 20 {
			p := store.Project{ID: store.NewID(), Name: fmt.Sprintf("p%d", r), Image: fmt.Sprintf("registry.example/app%d", r)}
			if err := tx.InsertProject(t.Context(), p); err != nil {
				return err
			}
			for n := range 50 {
				if err := tx.InsertStage(t.Context(), store.Stage{
					ID: store.NewID(), ProjectID: p.ID, HostID: host.ID, Name: fmt.Sprintf("s%d", n), Kind: store.StageDev, Mode: store.ModeManual,
					TagRule: &tagrule.Rule{Kind: tagrule.Moving, Pattern: fmt.Sprintf("s%d-1.9.0", n)},
				}); err != nil {
					return err
				}
			}
		}
		return nil
	}))
	poller := poll.New(db, poll.NewLooker(registry), func(context.Context, string, string, string) error { return nil }, quiet)
	const rounds = 5
	var takes []time.Duration
	for range rounds {
		must(t, db.Update(t.Context(), func(tx *store.Tx) error {
			polls, err := tx.StagePolls(t.Context())
			for id := range polls {
				if err == nil {
					err = tx.PollAtOnce(t.Context(), id)
				}
			}
			return err
		}))
		begin := time.Now()
		must(t, poller.Round(t.Context()))
		takes = append(takes, time.Since(begin))
	}
	most(t, "lists of tags in a poll of 1,000 stages over 20 repositories", int(registry.lists.Load())/rounds, 20, count)
	most(t, "HEADs in it, all of moving tags", int(registry.heads.Load())/rounds, 1000, count)
	note(t, figure{what: "our own part of it, with 500 tags a repository", measured: short(typical(takes)), ok: true})
}
