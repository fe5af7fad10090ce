package store

import (
	"context"
	"time"
)

// Policies returns the policy in force of each stage, by stage id; with no ids, of all stages.
func (q queries) Policies(ctx context.Context, stageIDs ...string) (map[string]PolicyInForce, error) {
	panic("contract: store")
}

// GlobalPolicy, ProjectPolicy and StagePolicy return what one level itself says.
func (q queries) GlobalPolicy(ctx context.Context) (Policy, error) { panic("contract: store") }

// ProjectPolicy returns what a project itself says.
func (q queries) ProjectPolicy(ctx context.Context, projectID string) (Policy, error) {
	panic("contract: store")
}

// StagePolicy returns what a stage itself says.
func (q queries) StagePolicy(ctx context.Context, stageID string) (Policy, error) {
	panic("contract: store")
}

// SetGlobalPolicy writes what the global level says; StaleAfter goes to stale_threshold_days (whole days).
func (tx *Tx) SetGlobalPolicy(ctx context.Context, p Policy) error { panic("contract: store") }

// SetProjectPolicy writes what a project says, its threshold included; ErrConflict when its revision moved.
func (tx *Tx) SetProjectPolicy(ctx context.Context, projectID string, p Policy, revision int64) error {
	panic("contract: store")
}

// SetStagePolicy writes what a stage says, its threshold and keep-last included; ErrConflict when its revision moved.
func (tx *Tx) SetStagePolicy(ctx context.Context, stageID string, p Policy, revision int64) error {
	panic("contract: store")
}

// InsertArchive adds an archive that is being made, sealed contents included.
func (tx *Tx) InsertArchive(ctx context.Context, a Archive, c ArchiveContents) error {
	panic("contract: store")
}

// SetArchive writes what changed while it was made (refs, layer, bytes, contents); FinishArchive makes it ready.
func (tx *Tx) SetArchive(ctx context.Context, a Archive, c *ArchiveContents) error {
	panic("contract: store")
}

// FinishArchive makes an archive ready: its instance is gone since at, and it may go after expires.
func (tx *Tx) FinishArchive(ctx context.Context, id string, at, expires time.Time) error {
	panic("contract: store")
}

// MarkRestored says that an archive was restored; ErrConflict unless it was ready.
func (tx *Tx) MarkRestored(ctx context.Context, id, by string, at time.Time) error {
	panic("contract: store")
}

// DeleteArchive forgets an archive.
func (tx *Tx) DeleteArchive(ctx context.Context, id string) error { panic("contract: store") }

// Archive returns one archive without its sealed part.
func (q queries) Archive(ctx context.Context, id string) (Archive, error) { panic("contract: store") }

// ArchiveContents returns the sealed part of an archive.
func (q queries) ArchiveContents(ctx context.Context, id string) (ArchiveContents, error) {
	panic("contract: store")
}

// Archives returns a page of archives, newest removal first.
func (q queries) Archives(ctx context.Context, f ArchiveFilter, p Page) ([]Archive, string, error) {
	panic("contract: store")
}

// ArchiveTotals returns how many ready archives match and the bytes that they hold.
func (q queries) ArchiveTotals(ctx context.Context, f ArchiveFilter) (n int, bytes int64, err error) {
	panic("contract: store")
}

// RestoreInstance puts a removed instance back in its row form, with its old id; ErrConflict if the id or container is there.
func (tx *Tx) RestoreInstance(ctx context.Context, i Instance, routes []ArchivedRoute) error {
	panic("contract: store")
}

// ArchivedRoutes returns the routes of an instance, whole.
func (q queries) ArchivedRoutes(ctx context.Context, instanceID string) ([]ArchivedRoute, error) {
	panic("contract: store")
}

// SetSnooze snoozes an instance until a moment (zero: ends it); ErrConflict when its revision moved.
func (tx *Tx) SetSnooze(ctx context.Context, instanceID string, until time.Time, by, reason string, revision int64) error {
	panic("contract: store")
}

// SetTagChecked writes that a tag was looked for in its registry, on every instance of the host with that image and tag: gone is
// when it was first found gone, zero: it is there. It raises the revision only of those whose gone changed.
func (tx *Tx) SetTagChecked(ctx context.Context, image, tag string, at, gone time.Time) error {
	panic("contract: store")
}

// TagsToCheck returns image and tag of stale instances not checked since before, at most n.
func (q queries) TagsToCheck(ctx context.Context, before time.Time, n int) ([][2]string, error) {
	panic("contract: store")
}

// CancelPlan calls off a plan that is not applied yet; ErrConflict when it is.
func (tx *Tx) CancelPlan(ctx context.Context, id, by string, at time.Time) error {
	panic("contract: store")
}

// AutomaticPlans returns the plans that automatic cleanup made and that wait for their moment.
func (q queries) AutomaticPlans(ctx context.Context) ([]Plan, error) { panic("contract: store") }

// BlindDuring returns the blind intervals of a host that overlap from..to.
func (q queries) BlindDuring(ctx context.Context, hostID string, from, to time.Time) ([]BlindInterval, error) {
	panic("contract: store")
}

// PutRemnants remembers what a removed instance used.
func (tx *Tx) PutRemnants(ctx context.Context, rs []Remnant) error { panic("contract: store") }

// Remnants returns what removed instances left on a host.
func (q queries) Remnants(ctx context.Context, hostID string, kind RemnantKind) ([]Remnant, error) {
	panic("contract: store")
}

// DeleteRemnant forgets one.
func (tx *Tx) DeleteRemnant(ctx context.Context, hostID string, kind RemnantKind, name string) error {
	panic("contract: store")
}

// PutPulledImage remembers that an image was brought, or that it had been there before; the first word stays.
func (tx *Tx) PutPulledImage(ctx context.Context, p PulledImage) error { panic("contract: store") }

// PulledImages returns the images that deploys asked for on a host, by image id.
func (q queries) PulledImages(ctx context.Context, hostID string) (map[string]PulledImage, error) {
	panic("contract: store")
}

// ImageIDsInUse returns the image ids of every instance of a host and of every archive that is kept.
func (q queries) ImageIDsInUse(ctx context.Context, hostID string) (instances, archives map[string][]string, err error) {
	panic("contract: store")
}

// InsertReclaimPlan adds a plan.
func (tx *Tx) InsertReclaimPlan(ctx context.Context, p ReclaimPlan) error { panic("contract: store") }

// ReclaimPlan returns a plan with its items.
func (q queries) ReclaimPlan(ctx context.Context, id string) (ReclaimPlan, error) {
	panic("contract: store")
}

// ClaimReclaimPlan moves a plan from planned to applying; ErrConflict when it was used or has expired by now.
func (tx *Tx) ClaimReclaimPlan(ctx context.Context, id, by string, now time.Time) error {
	panic("contract: store")
}

// SetReclaimResult writes what became of an image of a plan.
func (tx *Tx) SetReclaimResult(ctx context.Context, planID, imageID string, r CleanupResult, detail string) error {
	panic("contract: store")
}

// FinishReclaimPlan ends a plan that is being applied.
func (tx *Tx) FinishReclaimPlan(ctx context.Context, id string, at time.Time) error {
	panic("contract: store")
}

// SetLeftovers makes found the leftovers of a host and returns those that are new and those that are gone.
func (tx *Tx) SetLeftovers(ctx context.Context, hostID string, found []Leftover) (added, gone []Leftover, err error) {
	panic("contract: store")
}

// Leftovers returns what does not fit together, on one host or on all (hostID "").
func (q queries) Leftovers(ctx context.Context, hostID string) ([]Leftover, error) {
	panic("contract: store")
}

// Leftover returns one.
func (q queries) Leftover(ctx context.Context, id string) (Leftover, error) { panic("contract: store") }

// DeleteLeftover forgets one that was mended.
func (tx *Tx) DeleteLeftover(ctx context.Context, id string) error { panic("contract: store") }

// RoutesToNothing returns routes of a host whose instance is gone, with their addresses.
func (q queries) RoutesToNothing(ctx context.Context, hostID string) ([]Leftover, error) {
	panic("contract: store")
}

// DeleteRoute removes a route and its addresses.
func (tx *Tx) DeleteRoute(ctx context.Context, id string) error { panic("contract: store") }
