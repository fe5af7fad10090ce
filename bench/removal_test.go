//go:build bench

package bench

import (
	"context"
	"fmt"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/tiny-forge/docker-watcher/internal/docker"
	"github.com/tiny-forge/docker-watcher/internal/docker/enginetest"
	"github.com/tiny-forge/docker-watcher/internal/stale"
	"github.com/tiny-forge/docker-watcher/internal/store"
	"github.com/tiny-forge/docker-watcher/internal/store/storetest"
)

const (
	removalRound  = 50 // containers at a time, as many as a plan holds, in turn with as many bare ones
	removalRounds = 2
)

// A hundred stopped containers on a real engine, four at a time: each archived so that it could be restored, then removed.
func TestArchiveAndRemove(t *testing.T) {
	p := newPark(t)
	measured, floor := p.inTurn(t, nil)
	ratio(t, "archive and remove 100 stopped containers, against bare inspect and remove, 4 at a time", measured, floor, 1.5)
}

// The same where each is of an image of its own, as previews are: each image is given a name.
func TestArchiveAndRemoveOfManyImages(t *testing.T) {
	p := newPark(t)
	p.images = removalRound
	measured, floor := p.inTurn(t, nil)
	note(t, figure{
		what:     "the same where each is of an image of its own",
		measured: short(measured), floor: short(floor), ratio: fmt.Sprintf("%.2f", float64(measured)/float64(floor)), ok: true,
	})
}

// The same where each has written a file of its own, which is kept as an image.
func TestArchiveAndRemoveWithLayers(t *testing.T) {
	p := newPark(t)
	measured, floor := p.inTurn(t, func(id string) { enginetest.WriteFile(t, p.engine, id, "/written", "by the container") })
	note(t, figure{
		what:     "the same where each has written a file, which is kept as an image",
		measured: short(measured), floor: short(floor), ratio: fmt.Sprintf("%.2f", float64(measured)/float64(floor)), ok: true,
	})
}

// park is a stage on a real engine.
type park struct {
	engine  *docker.Engine
	db      *store.DB
	stage   store.Stage
	host    store.Host
	cleaner *stale.Cleaner
	images  int // of which the containers are, in turn
	planted int // rounds so far
	app     string
}

func newPark(t *testing.T) *park {
	t.Helper()
	app, err := enginetest.BuildApp(t.Context(), t.TempDir())
	must(t, err)
	p := &park{engine: enginetest.Engine(t), db: storetest.Open(t), images: 1, app: app}
	info, err := p.engine.Info(t.Context())
	must(t, err)
	p.host = storetest.Host(t, p.db, func(h *store.Host) { h.EngineID, h.DataRoot = info.EngineID, info.DataRoot })
	p.stage = storetest.Stage(t, p.db, p.host, storetest.Project(t, p.db), func(s *store.Stage) {
		s.StaleAfter = &store.StaleAfter{After: time.Second}
	})
	fleet := docker.NewFleet()
	fleet.Add(p.host.ID, p.engine)
	p.cleaner = stale.NewCleaner(p.db, fleet, quiet)
	return p
}

// inTurn removes containers by a plan and bare ones in turn, and adds up what each takes. A plan is made before it is timed.
func (p *park) inTurn(t *testing.T, prepare func(id string)) (measured, floor time.Duration) {
	t.Helper()
	for round := range removalRounds + 1 {
		if round == 1 { // the first one only warms up
			measured, floor = 0, 0
		}
		planted := p.plant(t, prepare)
		plan, err := p.cleaner.Plan(t.Context(), stale.Selection{AllUnprotected: true}, "user:anna")
		must(t, err)
		if len(plan.Items) != len(planted) {
			t.Fatalf("planned %d of %d", len(plan.Items), len(planted))
		}
		measured += timed(t, func() error {
			done, err := p.cleaner.Apply(t.Context(), plan.ID, "user:anna", true, nil)
			for _, item := range done.Items {
				if item.Result != store.ResultRemoved {
					t.Errorf("%s: %s %s", item.Name, item.Result, item.ResultDetail)
				}
			}
			return err
		})
		bare := p.plant(t, prepare)
		floor += timed(t, func() error { return p.bareRemovals(t.Context(), bare) })
		p.forget(t, bare)
	}
	return measured, floor
}

func (p *park) bareRemovals(ctx context.Context, all []store.Instance) error {
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(4)
	for _, i := range all {
		g.Go(func() error {
			if _, err := p.engine.Inspect(ctx, i.ContainerID); err != nil {
				return err
			}
			return p.engine.Remove(ctx, docker.Owned{ID: i.ContainerID, Installation: p.db.InstallationID(), Instance: i.ID})
		})
	}
	return g.Wait()
}

// plant makes containers that have ended, and their rows as a scan twenty days later would have them.
func (p *park) plant(t *testing.T, prepare func(id string)) []store.Instance {
	t.Helper()
	images := p.load(t)
	all := make([]store.Instance, removalRound)
	g, ctx := errgroup.WithContext(t.Context())
	g.SetLimit(4)
	for n := range all {
		all[n] = storetest.NewInstance(p.stage, func(i *store.Instance) {
			i.Name, i.Status, i.Intended, i.EngineID = enginetest.Name(t), store.StatusStopped, store.IntendedStopped, p.host.EngineID
		})
		g.Go(func() error { return p.end(ctx, &all[n], images[n%len(images)]) })
	}
	must(t, g.Wait())
	for _, i := range all {
		if prepare != nil {
			prepare(i.ContainerID)
		}
		storetest.Update(t, p.db, func(ctx context.Context, tx *store.Tx) error { return tx.InsertInstance(ctx, i) })
	}
	return all
}

// load makes sure of the images that the containers of a round are of: the one of all rounds, or new ones.
func (p *park) load(t *testing.T) []string {
	t.Helper()
	images := make([]string, p.images)
	for n := range images {
		version := "1"
		if p.images > 1 {
			version = fmt.Sprintf("%d.%d", p.planted, n)
		}
		images[n] = "localhost/dwt-bench:" + version
		archive, err := enginetest.AppArchive(p.app, images[n], version)
		must(t, err)
		must(t, p.engine.LoadImage(t.Context(), archive))
	}
	p.planted++
	return images
}

// end makes a container, runs it and waits for its end.
func (p *park) end(ctx context.Context, i *store.Instance, image string) error {
	id, err := p.engine.Create(ctx, docker.CreateOptions{
		Name: i.Name, Image: image, Env: []string{"EXIT_AFTER_MS=1"},
		Labels: map[string]string{docker.LabelInstallation: p.db.InstallationID(), docker.LabelInstance: i.ID},
	})
	if err != nil {
		return err
	}
	i.ContainerID = id
	own := docker.Owned{ID: id, Installation: p.db.InstallationID(), Instance: i.ID}
	if err := p.engine.Start(ctx, own); err != nil {
		return err
	}
	if err := p.engine.Stop(ctx, own, time.Second); err != nil {
		return err
	}
	ct, err := p.engine.Inspect(ctx, id)
	if err != nil {
		return err
	}
	*i = stale.Observe(*i, ct, p.engine.Now())
	i.LastAliveAt, i.StaleSince, i.WarnedAt = time.Now().UTC().AddDate(0, 0, -20), time.Now().UTC(), time.Now().UTC()
	return nil
}

// forget takes the rows of containers away that were removed without us.
func (p *park) forget(t *testing.T, all []store.Instance) {
	t.Helper()
	for _, i := range all {
		storetest.Update(t, p.db, func(ctx context.Context, tx *store.Tx) error {
			view, err := tx.Instance(ctx, i.ID)
			if err != nil {
				return err
			}
			if err := tx.BeginRemoval(ctx, store.Removal{InstanceID: i.ID, HostID: i.HostID, ContainerID: i.ContainerID, Former: view.Status}, view.Revision); err != nil {
				return err
			}
			return tx.FinishRemoval(ctx, i.ID)
		})
	}
}
