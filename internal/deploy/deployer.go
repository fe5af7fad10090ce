// Package deploy brings a stage to an image and acts on single instances. A deploy is a row whose steps
// are each safe to repeat: whatever a crash leaves open is picked up again from the row. The instance's
// row is written before its container is made and carries its id into the container's labels, so that
// no container of ours is ever without a row. What served before is stopped last, after the routes lead to the
// new one and a time to drain, and started again if the new one fails. Of a stage one deploy is carried out and
// one waits at most: a newer request supersedes the one that waits. Nothing here starts by itself: Run carries out what
// Start and Rollback have queued.
package deploy

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/tiny-forge/docker-watcher/internal/docker"
	"github.com/tiny-forge/docker-watcher/internal/events"
	"github.com/tiny-forge/docker-watcher/internal/guard"
	"github.com/tiny-forge/docker-watcher/internal/store"
)

// The refusals of this package, each with a reason in its text.
var (
	ErrBusy       = errors.New("it is busy")
	ErrFrozen     = errors.New("the host is frozen")
	ErrWrongState = errors.New("wrong state")
	ErrInvalid    = errors.New("invalid")
)

const (
	// atOnce bounds the deploys of different stages of one host that run together. Hosts wait for none of each other.
	atOnce = 4
	// retryEvery is how often a deploy that had to be left open is tried again.
	retryEvery = 10 * time.Second
	// resumeWithin is for how long a deploy may have been left by a daemon that did not run; nobody
	// expects an older one to start by itself.
	resumeWithin = 15 * time.Minute
	// cleanFor bounds the tidying up after ctx has ended.
	cleanFor = 40 * time.Second
)

// AutoActor is who asks for a deploy when a rule does so by itself.
const AutoActor = "system:auto"

// Deployer brings stages to images and acts on instances.
type Deployer struct {
	db    *store.DB
	fleet *docker.Fleet
	bus   *events.Bus
	log   *slog.Logger
	wake  chan struct{}
	began time.Time // of Run: what was asked for before is left over from an earlier daemon
	locks locks
	// credential is what a pull brings to the registry of an image; nil: nothing.
	credential func(ctx context.Context, image string) (string, error)
	// measure asks for the size of an image before it is pulled; nil: nobody does.
	measure Measure
	crew    crew

	switchTo Switch
	drainBy  func(ctx context.Context, instanceID string) error
}

// New joins the parts; it starts nothing.
func New(db *store.DB, fleet *docker.Fleet, bus *events.Bus, log *slog.Logger) *Deployer {
	return &Deployer{db: db, fleet: fleet, bus: bus, log: log, wake: make(chan struct{}, 1)}
}

// LogInBy sets what a pull brings to the registry of an image, as docker.Credential makes it; empty: nothing. Set before use.
func (d *Deployer) LogInBy(credential func(ctx context.Context, image string) (string, error)) {
	d.credential = credential
}

// Run carries out queued deploys until ctx ends (a deploy under way is left open then, and goes on at the next start). At its
// start it resumes or cleanly fails what was left open.
func (d *Deployer) Run(ctx context.Context) error {
	d.began = time.Now()
	var (
		workers sync.WaitGroup
		slots   = places{}
		ahead   = ahead{Deployer: d, tried: map[string]bool{}, places: places{}}
	)
	defer workers.Wait()
	retry := time.NewTicker(retryEvery)
	defer retry.Stop()
	for {
		if err := d.settleStrays(ctx, &workers); err != nil && ctx.Err() == nil {
			d.log.WarnContext(ctx, "instances left starting were not settled; trying again", "error", err)
		}
		open, err := d.db.OpenDeploys(ctx)
		if err != nil && ctx.Err() == nil {
			d.log.ErrorContext(ctx, "open deploys could not be read; trying again", "error", err)
		}
		for _, j := range d.crew.take(open) {
			slot := slots.of(j.hostID, atOnce)
			workers.Go(func() {
				defer d.leave(context.WithoutCancel(ctx), j)
				select {
				case slot <- struct{}{}:
				case <-ctx.Done():
					return
				}
				defer func() { <-slot }()
				ctx, end := d.crew.begin(ctx, j)
				defer end()
				_ = guard.Do(d.log, "deploy", func() error { d.carryOut(ctx, j.deployID); return nil }) // it is left open
			})
		}
		ahead.pull(ctx, open, &workers)
		select {
		case <-ctx.Done():
			return nil
		case <-d.wake:
		case <-retry.C:
		}
	}
}

// leave lets the next deploy of a stage have its turn. One that was left open is not tried again before its time.
func (d *Deployer) leave(ctx context.Context, j *job) {
	d.crew.leave(j)
	dep, err := d.db.Deploy(ctx, j.deployID)
	if err != nil || !dep.State.Ended() {
		return
	}
	d.nudge()
	if dep.State == store.DeployDone {
		return
	}
	// A policy that changed while it was under way was left to its end.
	stage, err := d.db.Stage(ctx, dep.StageID)
	if err == nil {
		err = d.keepAnew(ctx, stage)
	}
	if err != nil && ctx.Err() == nil {
		d.log.ErrorContext(ctx, "what is kept for a rollback was not marked anew", "stage_id", dep.StageID, "error", err)
	}
}

// nudge wakes Run.
func (d *Deployer) nudge() {
	select {
	case d.wake <- struct{}{}:
	default: // a wake is waiting already, and finds the newest work too
	}
}

// newInstance is the row that a deploy begins with.
func (d *Deployer) newInstance(project store.Project, stage store.Stage, r Request) (store.Instance, error) {
	image := r.Image
	if image == "" {
		image = project.Image
	}
	spec := stage.Spec
	if r.Spec != nil {
		spec = *r.Spec
	}
	if err := errors.Join(ValidateReference(image, r.Tag), validateDigest(r.Digest), inSpec(ValidateSpec(spec))); err != nil {
		return store.Instance{}, err
	}
	now := time.Now().UTC()
	id := store.NewID()
	return store.Instance{
		ID: id, HostID: stage.HostID, ProjectID: project.ID, StageID: stage.ID,
		Name:      instanceName(project.Name, stage.Name, id),
		Ownership: store.OwnershipCreated, Image: image, ImageTag: r.Tag, Spec: spec,
		Status: store.StatusPending, Intended: store.IntendedRunning, KeepLabel: spec.Labels[docker.LabelKeep] == "true",
		CreatedAt: now, UpdatedAt: now,
	}, nil
}

// reader is the part of the store that both a DB and a Tx have and that is needed here.
type reader interface {
	Instances(ctx context.Context, f store.InstanceFilter, p store.Page) ([]store.InstanceView, string, error)
}

// liveOf returns the other instances of a stage that have a process, newest first.
func liveOf(ctx context.Context, q reader, stage store.Stage, except string) ([]store.InstanceView, error) {
	filter := store.InstanceFilter{
		StageID:  stage.ID,
		Statuses: []store.Status{store.StatusRunning, store.StatusRestarting, store.StatusPaused},
	}
	var live []store.InstanceView
	for page := (store.Page{Limit: 1000}); ; {
		items, next, err := q.Instances(ctx, filter, page)
		if err != nil {
			return nil, fmt.Errorf("find what serves stage %s: %w", stage.Name, err)
		}
		for _, i := range items {
			if i.ID != except {
				live = append(live, i)
			}
		}
		if next == "" {
			return newestFirst(live), nil
		}
		page.Cursor = next
	}
}
