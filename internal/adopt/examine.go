package adopt

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/tiny-forge/docker-watcher/internal/docker"
	"github.com/tiny-forge/docker-watcher/internal/guard"
	"github.com/tiny-forge/docker-watcher/internal/store"
)

// subject is one container that is to be taken over, as its engine has just shown it.
type subject struct {
	at   int // in the request
	wish Wish
	on   standing
	c    docker.Container
	seen store.Instance // what a scan would make of it
	now  time.Time      // engine's clock
	mark Mark

	repository, tag, digest string // empty: its image has no name
	spec                    store.Spec
	left                    []string
	rm                      bool // the engine removes it when it ends
}

// name is how people know it.
func (s subject) name() string { return s.c.Name + " on " + s.on.host.Name }

// examineAll looks at every container by its full id, on the engine that we know its host by. One that cannot be taken ends it.
func (a *Adopter) examineAll(ctx context.Context, wishes []Wish) ([]subject, error) {
	hosts := map[string]standing{}
	for i, w := range wishes {
		if _, asked := hosts[w.HostID]; asked {
			continue
		}
		h, err := a.db.Host(ctx, w.HostID)
		if errors.Is(err, store.ErrNotFound) {
			return nil, field(i, "host_id", "there is no such host")
		}
		if err == nil {
			hosts[w.HostID], err = a.reach(ctx, h)
		}
		if err == nil {
			err = settled(h)
		}
		if err != nil {
			return nil, fmt.Errorf("adopt from host %s: %w", h.Name, err)
		}
	}
	subjects := make([]subject, len(wishes))
	g, gctx := errgroup.WithContext(ctx)
	g.SetLimit(inspectsAtOnce)
	for i, w := range wishes {
		g.Go(guard.Hold(func() (err error) {
			subjects[i] = subject{at: i, wish: w, on: hosts[w.HostID]}
			if err = a.examine(gctx, &subjects[i]); err != nil {
				err = fmt.Errorf("adopt container %s of %s: %w", w.ContainerID[:12], subjects[i].on.host.Name, err)
			}
			return err
		}))
	}
	return subjects, guard.Again(g.Wait())
}

func (a *Adopter) examine(ctx context.Context, s *subject) (err error) {
	ctx, cancel := context.WithTimeout(ctx, inspectWithin)
	defer cancel()
	s.c, err = s.on.engine.Inspect(ctx, s.wish.ContainerID)
	switch {
	case errors.Is(err, docker.ErrNotFound):
		return fmt.Errorf("it %w: it was removed, or made anew under another id; list again", ErrGone)
	case err != nil:
		return err
	case s.c.ID != s.wish.ContainerID:
		return fmt.Errorf("it %w: %s answers to it", ErrGone, s.c.ID)
	}
	if err := a.mayAdopt(ctx, s); err != nil {
		return err
	}
	s.now = s.on.engine.Now().UTC()
	s.seen = a.hands.FirstLook(s.c, s.now)
	image, err := s.on.engine.InspectImage(ctx, s.c.ImageID)
	if err != nil && !errors.Is(err, docker.ErrNotFound) {
		return err
	}
	return s.read(image)
}

// mayAdopt says why a container is never ours to take.
func (a *Adopter) mayAdopt(ctx context.Context, s *subject) (err error) {
	v, err := a.db.InstanceOfContainer(ctx, s.c.ID)
	if err == nil {
		return fmt.Errorf("%s of %s/%s: %w", v.Name, v.Project, v.Stage, store.ErrTaken)
	}
	if !errors.Is(err, store.ErrNotFound) {
		return err
	}
	row := docker.Summary{ID: s.c.ID, Name: s.c.Name, Labels: s.c.Labels}
	if s.mark, err = a.mark(ctx, row); err != nil {
		return err
	}
	if s.mark == making {
		return fmt.Errorf("%s: %w: a deploy or an undo is making it", s.c.Name, ErrBusy)
	}
	if why := (Foreign{Mark: s.mark, State: s.c.State}).Why(); why != "" {
		return fmt.Errorf("%s %w: %s", s.c.Name, ErrNotAdoptable, why)
	}
	return nil
}

// read makes image, digest and spec of what was seen. Image is the zero value where it is gone from the engine.
func (s *subject) read(image docker.Image) error {
	if s.repository, s.tag = splitImage(s.c.Image); s.repository == "" && len(image.Tags) > 0 {
		s.repository, s.tag = splitImage(image.Tags[0])
	}
	s.digest = digestOf(image, s.repository)
	made, err := s.c.Made(image.Defaults)
	if err != nil {
		return err
	}
	s.rm = made.RemovedAtEnd
	s.spec, s.left = specOf(made)
	return nil
}

// digestOf is the digest by which an image is known in its repository.
func digestOf(image docker.Image, repository string) string {
	for _, d := range image.RepoDigests {
		if repo, digest, ok := strings.Cut(d, "@"); ok && (repo == repository || strings.HasSuffix(repo, "/"+repository)) {
			return digest
		}
	}
	return ""
}
