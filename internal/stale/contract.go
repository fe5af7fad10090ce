package stale

import (
	"context"
	"errors"
	"time"

	"github.com/tiny-forge/docker-watcher/internal/store"
)

// Refusals of an undo.
var (
	ErrNotRestorable = errors.New("cannot be restored")
	ErrConflicts     = errors.New("something is in the way of the restore")
)

// Choices are what a person decides where a restore has conflicts; the zero value changes nothing.
type Choices struct {
	Name         string // another container name; empty: the old one
	AnyPort      bool   // let the engine choose the host ports
	SkipNetworks bool   // leave out networks that are gone
	MakeNetworks bool   // make networks that are gone anew, as plain bridges
	PullImage    bool   // pull the image by its digest if it is gone
	EmptyVolumes bool   // go on with new empty volumes where the old ones are gone
	SkipRoutes   bool   // leave out routes whose address is taken
	Start        bool   // start it afterwards
}

// ConflictKind says what is in the way of a restore.
type ConflictKind string

// The kinds of conflicts. Those without a choice end the matter.
const (
	ConflictName     ConflictKind = "name_taken"     // choice: name
	ConflictPort     ConflictKind = "port_taken"     // choice: any_port
	ConflictNetwork  ConflictKind = "network_gone"   // choices: skip_networks, make_networks
	ConflictImage    ConflictKind = "image_gone"     // choice: pull_image
	ConflictVolume   ConflictKind = "volume_gone"    // choice: empty_volumes
	ConflictRoute    ConflictKind = "route_taken"    // choice: skip_routes
	ConflictStage    ConflictKind = "stage_gone"     // none
	ConflictInstance ConflictKind = "instance_there" // none: it is not removed, or was restored
	ConflictHost     ConflictKind = "host"           // none: unreachable, frozen or another engine
)

// Conflict is one thing in the way of a restore, with the choices that would settle it.
type Conflict struct {
	Kind    ConflictKind
	Subject string
	Detail  string
	Choices []string // names of API fields
}

// RestoreCheck says what a restore would do, before anything is made.
type RestoreCheck struct {
	Archive   store.Archive
	Conflicts []Conflict // not settled by the choices given
	Brings    []string   // in words: what comes back
	Lacks     []string   // in words: what does not
}

// RestoreResult is what became of one archive of a plan that was restored as a whole.
type RestoreResult struct {
	Archive   store.Archive
	Instance  store.InstanceView // zero unless restored
	Conflicts []Conflict
	Err       error
}

// CheckRestore tells what is in the way of a restore; nothing is touched.
func (c *Cleaner) CheckRestore(ctx context.Context, archiveID string, ch Choices) (RestoreCheck, error) {
	panic("contract: archive")
}

// Restore brings a removed instance back. A *ConflictError (errors.Is ErrConflicts) lists what is in the way; nothing was made then.
func (c *Cleaner) Restore(ctx context.Context, archiveID string, ch Choices, actor string) (store.InstanceView, error) {
	panic("contract: archive")
}

// ConflictError carries the conflicts of a refused restore.
type ConflictError struct{ Check RestoreCheck }

func (e *ConflictError) Error() string { panic("contract: archive") }

// Unwrap makes it an ErrConflicts.
func (e *ConflictError) Unwrap() error { return ErrConflicts }

// RestorePlan restores everything that a plan removed; each by itself, never all or nothing.
func (c *Cleaner) RestorePlan(ctx context.Context, planID string, ch Choices, actor string, told func(done, total int, r RestoreResult)) ([]RestoreResult, error) {
	panic("contract: archive")
}

// DeleteArchive ends the possibility of an undo: the copy, its tags and its layer image go.
func (c *Cleaner) DeleteArchive(ctx context.Context, archiveID, actor string) error {
	panic("contract: archive")
}

// ExpireArchives deletes the archives whose time is over and returns how many.
func (c *Cleaner) ExpireArchives(ctx context.Context) (int, error) { panic("contract: archive") }

// Remove removes an instance that is not stale, by hand (stops it first when stop is true). It is archived like a stale one.
func (c *Cleaner) Remove(ctx context.Context, instanceID, actor string, stop bool) error {
	panic("contract: archive")
}

// Decision is what policy makes of one instance, and when.
type Decision struct {
	Action store.PolicyAction // warn: nothing happens by itself
	Level  store.PolicyLevel  // who decided the action
	// At is when automatic cleanup would take it, if nothing changes; zero: it will not, and Why says why.
	At  time.Time
	Why string // in words: "would be cleaned Tue 3 Nov 02:00 UTC, unless alive"
}

// Decisions says for each instance which policy decides and when.
func (c *Cleaner) Decisions(ctx context.Context, views []store.InstanceView) ([]Decision, error) {
	panic("contract: policy")
}

// PolicyChange is a policy of one level as somebody would like to have it.
type PolicyChange struct {
	Level     store.PolicyLevel // global, project or stage
	ProjectID string
	StageID   string
	Policy    store.Policy // whole: nil is inherited
	// AutoCleanup, when set, tries the global switch as well.
	AutoCleanup *bool
}

// PolicyTrial is what a change of policy would do today.
type PolicyTrial struct {
	Considered  int // instances that the change is about
	NewlyStale  []TrialItem
	Spared      []TrialItem // stale now and not then
	NewCleaned  []TrialItem // automatic cleanup would take them then, and not now
	NoLonger    []TrialItem // automatic cleanup would take them now, and not then
	Rescheduled int         // taken both times, at another moment
}

// TrialItem is one instance of a trial.
type TrialItem struct {
	View        store.InstanceView
	Now, Then   Decision
	StaleReason string // the verdict then, in words
}

// TryPolicy works out what a change of policy would mark, spare and clean; nothing is written.
func (c *Cleaner) TryPolicy(ctx context.Context, change PolicyChange) (PolicyTrial, error) {
	panic("contract: policy")
}

// SetPolicy writes a policy of one level; revision guards projects and stages.
func (c *Cleaner) SetPolicy(ctx context.Context, change PolicyChange, revision int64, actor string) error {
	panic("contract: policy")
}

// RunAutomatic makes the automatic plans that are due and applies those whose moment has come.
func (c *Cleaner) RunAutomatic(ctx context.Context) error { panic("contract: policy") }

// CheckTags asks registries whether the tags of stale instances are still there.
func (c *Cleaner) CheckTags(ctx context.Context) error { panic("contract: policy") }

// LookUpTagsBy sets how a tag is looked for: the digest it points to, ErrTagGone when the registry says that it
// has it no more, any other error when it could not be asked. Set before use; nil: nobody is asked.
func (c *Cleaner) LookUpTagsBy(look func(ctx context.Context, image, tag string) (digest string, err error)) {
	panic("contract: policy")
}

// ErrTagGone is a registry's word that it has a tag no more.
var ErrTagGone = errors.New("the registry has the tag no more")

// CancelPlan calls off a plan before it is applied.
func (c *Cleaner) CancelPlan(ctx context.Context, planID, actor string) error {
	panic("contract: policy")
}

// Snooze keeps an instance from every cleanup until a moment. Unsnooze ends it.
func (c *Cleaner) Snooze(ctx context.Context, instanceID string, until time.Time, reason, actor string) error {
	panic("contract: policy")
}

// Unsnooze ends a snooze.
func (c *Cleaner) Unsnooze(ctx context.Context, instanceID, actor string) error {
	panic("contract: policy")
}

// Mend carries out the one step that mends a leftover. yes must be the full container id where a container is to be removed.
func (c *Cleaner) Mend(ctx context.Context, leftoverID, yes, actor string) error {
	panic("contract: leftovers")
}

// BlindTime is how much of an instance's age was blind, and in which intervals.
func (c *Cleaner) BlindTime(ctx context.Context, views []store.InstanceView) (map[string][]store.BlindInterval, error) {
	panic("contract: leftovers")
}
