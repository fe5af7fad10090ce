package store

import "time"

// RemnantKind is a kind of thing that removed instances leave on an engine.
type RemnantKind string

// The kinds of remnants.
const (
	RemnantImage  RemnantKind = "image"
	RemnantVolume RemnantKind = "volume"
)

// Remnant is an image or a volume that an instance of ours used and that its removal left on the engine,
// with whom it was used by last. It proves nothing about what is there now: the engine is asked for that.
type Remnant struct {
	HostID     string
	Kind       RemnantKind
	Name       string   // image id, or volume name
	Refs       []string // names by which ours used the image
	Anonymous  bool     // of a volume
	InstanceID string   // the last user
	Instance   string   // its name
	Project    string
	Stage      string
	ImageTag   string
	LastUsedAt time.Time // when that user was last alive
	RemovedAt  time.Time
}

// PulledImage is an image that we brought onto an engine. Foreign says that it was there before us, so
// that it is not ours to remove, whoever uses it.
type PulledImage struct {
	HostID   string
	ImageID  string
	Ref      string
	Foreign  bool
	PulledAt time.Time
}

// ReclaimPlan is the frozen answer to "which images would go", for one host.
type ReclaimPlan struct {
	ID        string
	HostID    string
	EngineID  string
	DataRoot  string
	State     PlanState
	CreatedAt time.Time
	CreatedBy string
	ExpiresAt time.Time
	AppliedAt time.Time
	AppliedBy string
	DoneAt    time.Time
	Items     []ReclaimItem
}

// ReclaimItem is one image of a plan and what became of it.
type ReclaimItem struct {
	ImageID string        `json:"image_id"`
	Refs    []string      `json:"refs"`
	Bytes   int64         `json:"bytes"` // that come back: without layers that others share
	LastUse Remnant       `json:"last_use"`
	Result  CleanupResult `json:"result,omitempty"` // removed, already_gone, in_use, kept, changed, error
	Detail  string        `json:"detail,omitempty"`
}

// LeftoverKind is a kind of thing that does not fit together.
type LeftoverKind string

// The kinds of leftovers.
const (
	LeftoverContainer LeftoverKind = "container_without_row" // our labels, no row: a deploy cut off, or a copy
	LeftoverRow       LeftoverKind = "row_without_container" // missing from the engine, or never made
	LeftoverRoute     LeftoverKind = "route_to_nothing"
	LeftoverRemoving  LeftoverKind = "removing_too_long" // over ten minutes
	LeftoverDead      LeftoverKind = "dead"              // the engine could not remove it
)

// Leftover is something that a scan found and that one step of a person mends.
type Leftover struct {
	ID         string
	HostID     string
	Kind       LeftoverKind
	Subject    string // full container id, instance id or route id
	Name       string // what people know it by
	InstanceID string // the instance it is about, if there is one
	ProjectID  string
	StageID    string
	Detail     string
	FoundAt    time.Time
	SeenAt     time.Time // the newest scan that found it
}
