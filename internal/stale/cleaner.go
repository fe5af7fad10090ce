package stale

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"time"

	"github.com/tiny-forge/docker-watcher/internal/docker"
	"github.com/tiny-forge/docker-watcher/internal/store"
)

// The refusals of this package, each with a reason in its text.
var (
	ErrNotStale    = errors.New("not stale")
	ErrPlanExpired = errors.New("the plan has expired")
	ErrPlanUsed    = errors.New("the plan is used up")
	ErrFrozen      = errors.New("the host is frozen")
	ErrBlind       = errors.New("the host could not be judged")
	ErrWrongState  = errors.New("wrong state")
)

// Selection is what a cleanup is asked for: filters, or one instance.
type Selection struct {
	Filter         store.StaleFilter
	InstanceID     string // single: must be stale, else ErrNotStale
	AllUnprotected bool   // everything stale and unprotected
	TagGone        bool   // an explicit yes to those whose tag is gone from the registry
}

// Progress is told for each item as it ends.
type Progress func(done, total int, item store.PlanItem)

const (
	planLife = 15 * time.Minute // how long a plan may be applied
	maxSkew  = 60 * time.Second // a clock further off proves nothing about ages

	factsTimeout  = 10 * time.Second // what the engine says of itself, or of one container
	sizeTimeout   = 20 * time.Second // an inspect that adds up the writable layer
	removeTimeout = 60 * time.Second // one delete, and the wait for one that is under way
	settleTimeout = 20 * time.Second // writing down how it ended, also when the caller has gone
	itemTimeout   = 15 * time.Minute // one item, all in all; most of it is for a large layer to be copied

	planWorkers  = 8 // inspects at once on a host while planning
	applyWorkers = 4 // removals at once on a host
)

// Cleaner plans and applies cleanups. It is safe for concurrent use.
type Cleaner struct {
	db    *store.DB
	fleet *docker.Fleet
	log   *slog.Logger
	// others keeps the hands of others, such as a restart by a person, off an instance; nil: there are no others.
	others func(instanceID string) (release func(), ok bool)
	hands  Hands

	// What this process has in hand, so that a Recover beside it leaves it alone.
	mu        sync.Mutex
	removals  map[string]bool // by instance id
	plans     map[string]bool
	archived  map[string]bool      // archives that are being restored or deleted
	late      map[string]time.Time // archives that are to go, since when this process knows it
	known     *footing             // of the last decision
	unseen    map[string]unseen    // by host id
	untagging turns                // by image id

	auto    *automatic
	lookUp  func(ctx context.Context, image, tag string) (digest string, err error) // of a tag; nil: nobody is asked
	unasked tries
}

// Hands are what a Cleaner needs of those who deploy, and who know nothing of it.
type Hands struct {
	// Stop and Start are a person's stop and start of an instance.
	Stop, Start func(ctx context.Context, instanceID, actor string) error
	// GoodOnes are the former instances that a stage would keep for a rollback if it kept so many; nil: none is known.
	GoodOnes func(ctx context.Context, stageID string, most int) ([]string, error)
	// Options is the container that a deploy makes of a spec.
	Options func(v store.InstanceView, spec store.Spec) docker.CreateOptions
	// LogIn is what a pull brings to the registry of an image; nil, or empty: nothing.
	LogIn func(ctx context.Context, image string) (string, error)
}

// LendHands sets the hands of others. Set before use.
func (c *Cleaner) LendHands(h Hands) { c.hands = h }

// NewCleaner joins its parts; it starts nothing.
func NewCleaner(db *store.DB, fleet *docker.Fleet, log *slog.Logger) *Cleaner {
	return &Cleaner{db: db, fleet: fleet, log: log, removals: map[string]bool{}, plans: map[string]bool{}, archived: map[string]bool{}, late: map[string]time.Time{}, unseen: map[string]unseen{}, auto: newAutomatic()}
}

// ClaimBy sets who else acts on instances, so that no two ever act on one at once. Set before use.
func (c *Cleaner) ClaimBy(claim func(instanceID string) (release func(), ok bool)) { c.others = claim }

// take takes an instance into hand, against other removals and whoever else acts on instances.
func (c *Cleaner) take(instanceID string) (release func(), ok bool) {
	if !c.hold(c.removals, instanceID) {
		return nil, false
	}
	letGo := func() { c.letGo(c.removals, instanceID) }
	if c.others == nil {
		return letGo, true
	}
	unclaim, ok := c.others(instanceID)
	if !ok {
		letGo()
		return nil, false
	}
	return func() { unclaim(); letGo() }, true
}

// hold takes id into hand; false if it is there already.
func (c *Cleaner) hold(set map[string]bool, id string) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if set[id] {
		return false
	}
	set[id] = true
	return true
}

func (c *Cleaner) letGo(set map[string]bool, id string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(set, id)
}
