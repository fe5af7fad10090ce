package store

import "time"

// ArchiveState is where an archive stands.
type ArchiveState string

// The states of an archive. One that is being made belongs to a removal that has not ended: it is
// completed or discarded with it. A restore or a deletion that a crash cut short is ended by a recovery.
const (
	ArchiveMaking    ArchiveState = "making"
	ArchiveReady     ArchiveState = "ready"
	ArchiveRestoring ArchiveState = "restoring"
	ArchiveRestored  ArchiveState = "restored"
	ArchiveDeleting  ArchiveState = "deleting"
)

// The names that archives give to images to keep them: of the image itself the tag is the archive's id, of what a container
// wrote its id and the suffix. They follow from the row, so that a crash leaves none behind that nobody knows of, and none
// is ever given twice.
const (
	ArchiveRepository = "localhost/docker-watcher-archive"
	LayerSuffix       = "-layer"
)

// Archive is what is kept of a removed instance so that it can be restored.
type Archive struct {
	ID         string
	State      ArchiveState
	InstanceID string
	PlanID     string // empty: removed by hand
	HostID     string
	ProjectID  string
	StageID    string
	Project    string // names, as they were
	Stage      string
	Name       string
	Image      string
	ImageTag   string
	ImageID    string
	Digest     string
	KeepRef    string // the name of ours that keeps the image, of this archive or of one before it; empty: there was none to keep
	LayerImage string // the tag of ours on the image of the writable layer; empty: it was not kept
	LayerNote  string // why the writable layer was not kept, in words; empty: nothing is missing
	Bytes      int64  // of the writable layer's image: what keeping it costs
	Class      Class
	// LastAliveAt and Reason say why it was removed.
	LastAliveAt time.Time
	Reason      string
	Volumes     []ArchivedVolume
	Networks    []string
	Routes      []ArchivedRoute
	Actor       string
	RemovedAt   time.Time // zero while it is being made
	ExpiresAt   time.Time
	RestoredAt  time.Time
	RestoredBy  string
	Asked       string // what the restore that is under way was asked for, for a recovery to read
}

// ArchivedVolume is a volume that a removed instance used; it stays on the engine.
type ArchivedVolume struct {
	Name      string `json:"name"`
	Target    string `json:"target"`
	Anonymous bool   `json:"anonymous,omitempty"`
}

// ArchivedRoute is a route that led to a removed instance, whole, so that it can be put back.
type ArchivedRoute struct {
	ID      string         `json:"id"`
	Port    int            `json:"port"`
	TLS     string         `json:"tls"`
	Options string         `json:"options"`
	Secrets []byte         `json:"secrets,omitempty"` // sealed for the row of the route, which gets its id back
	Enabled bool           `json:"enabled"`
	Owner   string         `json:"owner,omitempty"`
	Notes   string         `json:"notes,omitempty"`
	Domains []RouteAddress `json:"domains"`
}

// RouteAddress is a domain and path that a route answers for.
type RouteAddress struct {
	Domain     string `json:"domain"`
	PathPrefix string `json:"path_prefix"`
}

// ArchiveContents is the sealed part of an archive; it may hold secrets.
type ArchiveContents struct {
	Inspect  []byte   // the engine's JSON, whole; empty: the container was gone
	Instance Instance // the row, with the spec that was deployed and its env
	Logs     []byte   // the last lines
}

// ArchiveFilter selects archives.
type ArchiveFilter struct {
	ProjectID, StageID, HostID, InstanceID, PlanID string
	Text                                           string
	States                                         []ArchiveState // none: ready and restored
	ExpiredBy                                      time.Time      // expired at this moment; zero: all
	// Steady is for how long until ExpiredBy the clock has gone as it should, to within an hour. What is dated after ExpiredBy was removed before that time,
	// by a clock that ran ahead: it has expired as well once it was to be kept for no longer.
	Steady time.Duration
	Among  Among
}
