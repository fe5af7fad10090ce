package deploy

import (
	"context"
	"errors"
	"log/slog"

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

// Request asks to bring a stage to an image tag.
type Request struct {
	StageID string
	Tag     string
	Image   string      // empty: the project's image
	Spec    *store.Spec // nil: the stage's spec
	Actor   string
}

// Deployer brings stages to images and acts on instances.
type Deployer struct{}

// New joins the parts; it starts nothing.
func New(db *store.DB, fleet *docker.Fleet, bus *events.Bus, log *slog.Logger) *Deployer {
	panic("contract")
}

// Run carries out queued deploys until ctx ends (a deploy under way is failed cleanly). At its start it
// resumes or cleanly fails what a crash left open.
func (d *Deployer) Run(ctx context.Context) error { panic("contract") }

// Start validates and queues a deploy; ErrBusy while another of the stage is open. Progress
// is spread on the bus as info events of kind deploy.progress (data: deploy_id, state, done_bytes, total_bytes).
func (d *Deployer) Start(ctx context.Context, r Request) (store.Deploy, error) { panic("contract") }

// The actions on one instance. Each answers ErrWrongState with what the state is.
func (d *Deployer) StartInstance(ctx context.Context, id, actor string) error   { panic("contract") }
func (d *Deployer) StopInstance(ctx context.Context, id, actor string) error    { panic("contract") }
func (d *Deployer) RestartInstance(ctx context.Context, id, actor string) error { panic("contract") }

// RemoveInstance removes one that is not stale (stops it first when stop is true; else ErrWrongState while it runs).
func (d *Deployer) RemoveInstance(ctx context.Context, id, actor string, stop bool) error {
	panic("contract")
}
