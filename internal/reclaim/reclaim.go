// Package reclaim gives back what removed instances left on an engine: images that only they used, planned first and
// applied exactly; volumes it lists with who used them, and removes an anonymous one when an admin names it. It
// never prunes, and it never touches an image that was there before us or that anything uses.
package reclaim

import (
	"context"
	"errors"
	"log/slog"
	"time"

	"github.com/tiny-forge/docker-watcher/internal/docker"
	"github.com/tiny-forge/docker-watcher/internal/store"
)

// The refusals of this package, each with a reason in its text.
var (
	ErrPlanExpired = errors.New("the plan has expired")
	ErrPlanUsed    = errors.New("the plan was applied already")
	ErrRefused     = errors.New("refused")
)

// Reclaimer finds and removes what is left.
type Reclaimer struct {
	db    *store.DB
	fleet *docker.Fleet
	log   *slog.Logger
}

// New joins the parts.
func New(db *store.DB, fleet *docker.Fleet, log *slog.Logger) *Reclaimer {
	return &Reclaimer{db: db, fleet: fleet, log: log}
}

// Image is an image that instances of ours used.
type Image struct {
	ID          string
	Refs        []string
	Size        int64 // whole
	Bytes       int64 // that would come back: without layers that others share; -1: not known
	Reclaimable bool
	Why         string // why it is not reclaimable, in words
	UsedBy      []string
	ArchiveIDs  []string  // archives that keep it
	KeptUntil   time.Time // until the last of them expires
	LastUse     store.Remnant
}

// Volume is a volume that instances of ours used and that is still there.
type Volume struct {
	Name       string
	Driver     string
	Anonymous  bool
	Bytes      int64 // -1: not known
	UsedBy     []string
	ArchiveIDs []string // archives whose restore needs it
	LastUse    store.Remnant
	Removable  bool
	Why        string // why it is not, in words
}

// Left is what removed instances left on one host.
type Left struct {
	HostID  string
	Images  []Image
	Volumes []Volume
	Bytes   int64 // of the reclaimable images together, no layer counted twice
}

// Look asks the engine what is left of what our removed instances used.
func (r *Reclaimer) Look(ctx context.Context, hostID string) (Left, error) {
	panic("contract: reclaim")
}

// Plan freezes which images would go; with no ids, all that are reclaimable.
func (r *Reclaimer) Plan(ctx context.Context, hostID string, imageIDs []string, actor string) (store.ReclaimPlan, error) {
	panic("contract: reclaim")
}

// Apply does exactly what a plan says, image by image, looking again before each.
func (r *Reclaimer) Apply(ctx context.Context, planID, actor string, told func(done, total int, i store.ReclaimItem)) (store.ReclaimPlan, error) {
	panic("contract: reclaim")
}

// RemoveVolume removes one anonymous volume that an admin names. A named volume is never removed.
func (r *Reclaimer) RemoveVolume(ctx context.Context, hostID, name string, breakUndo bool, actor string) error {
	panic("contract: reclaim")
}
