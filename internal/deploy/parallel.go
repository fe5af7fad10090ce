package deploy

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/tiny-forge/docker-watcher/internal/docker"
	"github.com/tiny-forge/docker-watcher/internal/guard"
	"github.com/tiny-forge/docker-watcher/internal/store"
)

// sameLane keeps of a stage's live instances those whose place a new one takes: all of them, or those of its tag.
func sameLane(stage store.Stage, live []store.InstanceView, tag string) []store.InstanceView {
	if stage.Strategy != store.StrategyParallel {
		return live
	}
	var same []store.InstanceView
	for _, v := range live {
		if v.ImageTag == tag {
			same = append(same, v)
		}
	}
	return same
}

// leaving are the instances that end when the new one serves, each with why: those whose place it takes, and of a stage whose
// tags run side by side those beyond the most that it allows.
func leaving(stage store.Stage, live []store.InstanceView, fresh store.InstanceView, wanted []string, now time.Time) ([]store.InstanceView, map[string]string) {
	gone := sameLane(stage, live, fresh.ImageTag)
	why := map[string]string{}
	for _, v := range gone {
		why[v.ID] = fresh.Name + " serves in its place"
	}
	if stage.Strategy != store.StrategyParallel {
		return gone, why
	}
	var rest []store.InstanceView
	for _, v := range live {
		if why[v.ID] == "" {
			rest = append(rest, v)
		}
	}
	for _, v := range surplus(rest, fresh.ID, stage.ParallelMax, wanted, now) {
		gone = append(gone, v)
		why[v.ID] = fmt.Sprintf("at most %d tags of %s/%s run side by side, and newer ones do", stage.ParallelMax, v.Project, v.Stage)
	}
	return gone, why
}

// pointPreview lets the domain of a tag lead to its new instance. Without a template or without a port there is none.
func (r *rollout) pointPreview(ctx context.Context, stage store.Stage, to store.InstanceView) error {
	if stage.Domain == "" {
		return nil
	}
	port, err := r.servingPort(ctx)
	if err != nil {
		return err
	}
	domain := previewDomain(stage.Domain, to.Project, to.Stage, to.ImageTag)
	if port == 0 {
		r.tell.note(ctx, "no route to "+domain+": the stage names no port and the image exposes none")
		return nil
	}
	err = r.db.Update(ctx, func(tx *store.Tx) error { return tx.PointDomain(ctx, to.Instance, domain, port) })
	if errors.Is(err, store.ErrConflict) {
		return fmt.Errorf("domain: %s leads elsewhere already: %w", domain, err)
	}
	if err == nil {
		r.tell.note(ctx, fmt.Sprintf("%s leads to %s, port %d", domain, to.Name, port))
	}
	return err
}

// servingPort is the port that a preview's route leads to: the first of its spec, else the first that its image exposes; 0: there is none.
func (r *rollout) servingPort(ctx context.Context) (int, error) {
	for _, p := range r.spec.Ports {
		if p.Protocol != "udp" {
			return p.Container, nil
		}
	}
	image, err := r.eng.InspectImage(ctx, r.inst.ImageID)
	if err != nil {
		return 0, fmt.Errorf("look which port image %s exposes: %w", r.inst.ImageID, err)
	}
	if len(image.ExposedPorts) == 0 {
		return 0, nil
	}
	return image.ExposedPorts[0], nil
}

// GoneFor is how long a tag must have been gone from its registry before its preview is retired.
const GoneFor = 24 * time.Hour

// RetirePreviews stops the previews whose tag has been gone from its registry for longer than the grace, as polling has seen, and those
// that are stale. One that somebody protects stays, and so does one that is being worked on, until the next time. It goes on after
// errors, asks each host by a worker of its own, for an engine may hang, and returns how many it stopped.
func (d *Deployer) RetirePreviews(ctx context.Context, grace time.Duration) (int, error) {
	hosts, err := d.overduePreviews(ctx, grace)
	failed := []error{err}
	var (
		stopped int
		mu      sync.Mutex
		workers guard.Group
	)
	for _, ids := range hosts {
		workers.Go(func() {
			n, err := d.retireAll(ctx, ids, grace)
			mu.Lock()
			defer mu.Unlock()
			stopped += n
			failed = append(failed, err)
		})
	}
	workers.Wait()
	return stopped, errors.Join(failed...)
}

// overduePreviews are the ids of those that seem overdue, by their host; with an error those that could be read.
func (d *Deployer) overduePreviews(ctx context.Context, grace time.Duration) (map[string][]string, error) {
	stages, err := d.db.Stages(ctx, "")
	if err != nil {
		return nil, fmt.Errorf("retire previews: %w", err)
	}
	hosts := map[string][]string{}
	var failed []error
	for _, stage := range stages {
		if stage.Strategy != store.StrategyParallel {
			continue
		}
		live, err := liveOf(ctx, d.db, stage, "")
		failed = append(failed, err)
		for _, v := range live {
			if overdue(v, true, grace, time.Now()) != "" {
				hosts[v.HostID] = append(hosts[v.HostID], v.ID)
			}
		}
	}
	return hosts, errors.Join(failed...)
}

// retireAll retires previews of one host. One that is out of use is left alone, and so are the rest of one that does not answer.
func (d *Deployer) retireAll(ctx context.Context, ids []string, grace time.Duration) (stopped int, err error) {
	var failed []error
	for _, id := range ids {
		switch err := d.retirePreview(ctx, id, grace); {
		case err == nil:
			stopped++
		case errors.Is(err, docker.ErrAbsent):
			return stopped, errors.Join(failed...)
		case errors.Is(err, docker.ErrUnavailable), errors.Is(err, docker.ErrTimeout):
			return stopped, errors.Join(append(failed, err)...)
		case !errors.Is(err, ErrBusy) && !errors.Is(err, ErrWrongState):
			failed = append(failed, err)
		}
	}
	return stopped, errors.Join(failed...)
}

// overdue says why a preview that has a process is to be retired; empty: it is not. That a tag is gone counts from when polling saw it
// first to when it saw it last: while its registry could not be asked no time passes. Of one that no deploy brought it says nothing:
// its registry may never have had the tag.
func overdue(v store.InstanceView, brought bool, grace time.Duration, now time.Time) string {
	switch {
	case heldByHand(v, now):
	case brought && !v.TagGoneSince.IsZero() && v.TagCheckedAt.Sub(v.TagGoneSince) > grace:
		return fmt.Sprintf("its tag %s has not been in the registry since %s", v.ImageTag, v.TagGoneSince.UTC().Format(time.RFC3339))
	case !v.StaleSince.IsZero() && v.Status != store.StatusRunning:
		return fmt.Sprintf("it is %s, and stale since %s", v.Status, v.StaleSince.UTC().Format(time.RFC3339))
	}
	return ""
}

// retirePreview judges once more by what the engine says, and stops.
func (d *Deployer) retirePreview(ctx context.Context, id string, grace time.Duration) error {
	return d.act(ctx, id, "retire", func(t target) error {
		v := t.view
		v.Status = statusOf(t.now.State)
		brought, err := d.db.CameByDeploy(ctx, v.Instance)
		if err != nil {
			return err
		}
		why := overdue(v, brought, grace, time.Now())
		if why == "" || !hasProcess(t.now) {
			return wrongState(t, "there is nothing to stop")
		}
		return d.wanted(ctx, t, store.IntendedStopped, func() error {
			if err := d.stayStopped(ctx, t.eng, t.view.Instance); err != nil {
				d.log.WarnContext(ctx, "a retired preview keeps its restart policy", "instance_id", t.view.ID, "error", err)
			}
			_, err := d.stopContainer(ctx, t.eng, t.view, store.Event{
				Kind: "instance.stopped", Actor: "system", Message: fmt.Sprintf("stopped %s: %s", v.Name, why),
			})
			return err
		})
	})
}
