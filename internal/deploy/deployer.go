// Package deploy brings a stage to an image and acts on single instances. A deploy is a row whose steps
// are each safe to repeat: whatever a crash leaves open is picked up again from the row. The instance's
// row is written before its container is made and carries its id into the container's labels, so that
// no container of ours is ever without a row. What served before is stopped last, and started again if the
// new one fails. Nothing here starts by itself: Run carries out what Start has queued.
package deploy

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"time"

	"github.com/tiny-forge/docker-watcher/internal/docker"
	"github.com/tiny-forge/docker-watcher/internal/events"
	"github.com/tiny-forge/docker-watcher/internal/store"
)

// The refusals of this package, each with a reason in its text.
var (
	ErrBusy       = errors.New("another deploy of this stage is under way")
	ErrWrongState = errors.New("wrong state")
	ErrInvalid    = errors.New("invalid")
)

const (
	// atOnce bounds the deploys of different stages that run together.
	atOnce = 4
	// retryEvery is how often a deploy that had to be left open is tried again.
	retryEvery = 10 * time.Second
	// resumeWithin is the age up to which a deploy left open by a crash is carried on; nobody
	// expects an older one to start by itself.
	resumeWithin = 15 * time.Minute
	// cleanFor bounds the tidying up after ctx has ended.
	cleanFor = 40 * time.Second
)

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
}

// New joins the parts; it starts nothing.
func New(db *store.DB, fleet *docker.Fleet, bus *events.Bus, log *slog.Logger) *Deployer {
	return &Deployer{db: db, fleet: fleet, bus: bus, log: log, wake: make(chan struct{}, 1)}
}

// LogInBy sets what a pull brings to the registry of an image, as docker.Credential makes it; empty: nothing. Set before use.
func (d *Deployer) LogInBy(credential func(ctx context.Context, image string) (string, error)) {
	d.credential = credential
}

// Run carries out queued deploys until ctx ends (a deploy under way is failed cleanly). At its start it
// resumes or cleanly fails what a crash left open.
func (d *Deployer) Run(ctx context.Context) error {
	d.began = time.Now()
	var (
		workers  sync.WaitGroup
		slots    = make(chan struct{}, atOnce)
		underWay sync.Map
	)
	defer workers.Wait()
	retry := time.NewTicker(retryEvery)
	defer retry.Stop()
	for {
		if err := d.settleStrays(ctx); err != nil && ctx.Err() == nil {
			d.log.WarnContext(ctx, "instances left starting were not settled; trying again", "error", err)
		}
		open, err := d.db.OpenDeploys(ctx)
		if err != nil && ctx.Err() == nil {
			d.log.ErrorContext(ctx, "open deploys could not be read; trying again", "error", err)
		}
		for _, dep := range open {
			if _, taken := underWay.LoadOrStore(dep.ID, true); taken {
				continue
			}
			workers.Go(func() {
				defer underWay.Delete(dep.ID)
				select {
				case slots <- struct{}{}:
				case <-ctx.Done():
					return
				}
				defer func() { <-slots }()
				d.carryOut(ctx, dep.ID)
			})
		}
		select {
		case <-ctx.Done():
			return nil
		case <-d.wake:
		case <-retry.C:
		}
	}
}

// Start validates and queues a deploy; ErrBusy while another of the stage is open. Progress
// is spread on the bus as info events of kind deploy.progress (data: deploy_id, state, done_bytes, total_bytes).
func (d *Deployer) Start(ctx context.Context, r Request) (store.Deploy, error) {
	stage, err := d.db.Stage(ctx, r.StageID)
	if err != nil {
		return store.Deploy{}, fmt.Errorf("deploy: stage %s: %w", r.StageID, err)
	}
	project, err := d.db.Project(ctx, stage.ProjectID)
	if err != nil {
		return store.Deploy{}, fmt.Errorf("deploy: project of stage %s: %w", stage.Name, err)
	}
	inst, err := d.newInstance(project, stage, r)
	if err != nil {
		return store.Deploy{}, err
	}
	if _, err := d.fleet.Engine(stage.HostID); err != nil {
		return store.Deploy{}, fmt.Errorf("deploy: host of stage %s/%s: %w", project.Name, stage.Name, err)
	}
	dep := store.Deploy{
		ID: store.NewID(), ProjectID: project.ID, StageID: stage.ID, HostID: stage.HostID, InstanceID: inst.ID,
		Image: inst.Image, ImageTag: inst.ImageTag, State: store.DeployQueued, Actor: r.Actor, CreatedAt: inst.CreatedAt,
	}
	err = d.db.Update(ctx, func(tx *store.Tx) error {
		live, err := liveOf(ctx, tx, stage, inst.ID)
		if err != nil {
			return err
		}
		if len(live) > 0 {
			dep.Replaces = live[0].ID
		}
		if err := tx.InsertInstance(ctx, inst); err != nil {
			return fmt.Errorf("write down the new instance: %w", err)
		}
		if err := tx.InsertDeploy(ctx, dep); errors.Is(err, store.ErrConflict) {
			return fmt.Errorf("%s/%s: %w: wait until it ends and deploy again", project.Name, stage.Name, ErrBusy)
		} else if err != nil {
			return fmt.Errorf("write down the deploy: %w", err)
		}
		severity, message := store.SeverityInfo, fmt.Sprintf("deploy of %s to %s/%s asked for", reference(inst.Image, inst.ImageTag), project.Name, stage.Name)
		if power := Dangerous(inst.Spec); len(power) > 0 {
			severity, message = store.SeverityWarn, message+"; its container gets power over the host: "+strings.Join(power, ", ")
		}
		return tx.Emit(ctx, deployEvent(dep, severity, "deploy.started", message, nil))
	})
	if err != nil {
		return store.Deploy{}, fmt.Errorf("queue deploy: %w", err)
	}
	select {
	case d.wake <- struct{}{}:
	default: // a wake is waiting already, and finds this one too
	}
	return dep, nil
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
	if err := errors.Join(ValidateReference(image, r.Tag), ValidateSpec(spec)); err != nil {
		return store.Instance{}, err
	}
	now := time.Now().UTC()
	id := store.NewID()
	return store.Instance{
		ID: id, HostID: stage.HostID, ProjectID: project.ID, StageID: stage.ID,
		Name:      fmt.Sprintf("%s-%s-%s", project.Name, stage.Name, id[len(id)-6:]),
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
