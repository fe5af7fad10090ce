package stale

import (
	"context"
	"errors"
	"time"

	"github.com/tiny-forge/docker-watcher/internal/store"
)

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
