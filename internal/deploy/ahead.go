package deploy

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"sync"

	"github.com/tiny-forge/docker-watcher/internal/guard"
	"github.com/tiny-forge/docker-watcher/internal/store"
)

// ahead pulls the images of deploys that wait for their turn, so that a turn takes less time. What it pulls is pulled again at the
// turn, when little is left to be brought; it decides nothing, and what it cannot do is left to the turn.
type ahead struct {
	*Deployer
	tried  map[string]bool // deploys whose image was pulled ahead, or could not be
	places places          // of each host one
}

// pull begins to pull for all deploys that wait behind another of their stage, each once.
func (a *ahead) pull(ctx context.Context, open []store.Deploy, workers *sync.WaitGroup) {
	waits := waiting(open)
	maps.DeleteFunc(a.tried, func(id string, _ bool) bool {
		return !slices.ContainsFunc(waits, func(dep store.Deploy) bool { return dep.ID == id })
	})
	for _, dep := range waits {
		if a.tried[dep.ID] {
			continue
		}
		a.tried[dep.ID] = true
		place := a.places.of(dep.HostID, 1)
		workers.Go(func() {
			ctx, end := a.crew.ahead(ctx, dep.ID)
			defer end()
			select {
			case place <- struct{}{}:
			case <-ctx.Done():
				return
			}
			defer func() { <-place }()
			_ = guard.Do(a.log, "pull ahead", func() error { a.pullOne(ctx, dep.ID); return nil }) // its turn pulls it
		})
	}
}

// waiting are the deploys of an image that wait behind another of their stage. A rollback mostly has its image here.
func waiting(open []store.Deploy) []store.Deploy {
	turn := map[string]string{}
	for _, dep := range turns(open) {
		turn[dep.StageID] = dep.ID
	}
	return slices.DeleteFunc(slices.Clone(open), func(dep store.Deploy) bool {
		return dep.State != store.DeployQueued || dep.Kind != store.DeployForward || turn[dep.StageID] == dep.ID
	})
}

// pullOne pulls the image of a deploy that waits, unless its turn has come meanwhile.
func (a *ahead) pullOne(ctx context.Context, id string) {
	r, err := a.load(ctx, id)
	if err != nil || r == nil || r.dep.State != store.DeployQueued {
		return // its turn tells what is wrong
	}
	r.tell.note(ctx, "pulling "+r.wanted()+" while it waits for its turn")
	switch _, err := r.fetch(ctx); {
	case ctx.Err() != nil: // it has its turn, or was cancelled or superseded
	case err != nil:
		r.tell.note(ctx, fmt.Sprintf("it could not be pulled while it waited, and will be tried again at its turn: %v", err))
	default:
		r.tell.note(ctx, r.wanted()+" is on the engine: it waits for its turn")
	}
}
