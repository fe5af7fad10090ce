package client

import (
	"context"
	"io"
	"net/http"
	"net/url"
	"time"
)

// Archive is what is kept of a removed instance so that it can be restored.
type Archive struct {
	ID          string           `json:"id"`
	State       string           `json:"state"` // making | ready | restoring | restored
	InstanceID  string           `json:"instance_id"`
	PlanID      string           `json:"plan_id,omitempty"` // empty: removed by hand
	HostID      string           `json:"host_id"`
	Host        string           `json:"host"`
	ProjectID   string           `json:"project_id"`
	Project     string           `json:"project"` // names, as they were
	StageID     string           `json:"stage_id"`
	Stage       string           `json:"stage"`
	Name        string           `json:"name"`
	Image       string           `json:"image"`
	ImageTag    string           `json:"image_tag"`
	ImageID     string           `json:"image_id,omitempty"`
	Digest      string           `json:"digest,omitempty"`
	ImageKept   bool             `json:"image_kept"`
	LayerKept   bool             `json:"layer_kept"`
	LayerNote   string           `json:"layer_note,omitempty"` // why the writable layer was not kept
	Bytes       int64            `json:"bytes"`                // that keeping it costs
	Class       string           `json:"class,omitempty"`
	LastAliveAt time.Time        `json:"last_alive_at,omitzero"`
	Reason      string           `json:"reason"` // why it was removed
	Volumes     []ArchivedVolume `json:"volumes"`
	Networks    []string         `json:"networks"`
	Routes      []ArchivedRoute  `json:"routes"`
	RemovedBy   string           `json:"removed_by"`
	RemovedAt   time.Time        `json:"removed_at,omitzero"`
	ExpiresAt   time.Time        `json:"expires_at,omitzero"`
	RestoredAt  time.Time        `json:"restored_at,omitzero"`
	RestoredBy  string           `json:"restored_by,omitempty"`
}

// ArchivedVolume is a volume that a removed instance used; it stays on the engine.
type ArchivedVolume struct {
	Name      string `json:"name"`
	Target    string `json:"target"`
	Anonymous bool   `json:"anonymous"`
}

// ArchivedRoute is a route that led to a removed instance.
type ArchivedRoute struct {
	Port      int      `json:"port"`
	Addresses []string `json:"addresses"` // domain and path
}

// ArchiveFilter selects archives; empty fields do not filter. Project and Stage are
// ids or names (a stage's name needs its project).
type ArchiveFilter struct {
	Project  string
	Stage    string
	Host     string
	Instance string
	Plan     string
	Text     string
	States   []string // empty: ready and restored
}

// ArchiveList is one page of the archives, newest removal first. Total and Bytes (what
// all that match hold) are counted on the first page only.
type ArchiveList struct {
	List[Archive]
	Total *int   `json:"total,omitempty"`
	Bytes *int64 `json:"bytes,omitempty"`
}

// Archives lists one page of the archives.
func (c *Client) Archives(ctx context.Context, f ArchiveFilter, p Page) (ArchiveList, error) {
	q := url.Values{}
	p.addTo(q)
	setText(q, "project", f.Project)
	setText(q, "stage", f.Stage)
	setText(q, "host", f.Host)
	setText(q, "instance", f.Instance)
	setText(q, "plan", f.Plan)
	setText(q, "text", f.Text)
	setList(q, "state", f.States)
	var l ArchiveList
	err := c.do(ctx, call{method: http.MethodGet, path: "/api/archives", query: q}, &l)
	return l, err
}

// Archive returns one by its id.
func (c *Client) Archive(ctx context.Context, id string) (Archive, error) {
	var a Archive
	err := c.do(ctx, call{method: http.MethodGet, path: "/api/archives/" + part(id)}, &a)
	return a, err
}

// ArchiveLogs copies the last lines that a removed instance wrote to w.
func (c *Client) ArchiveLogs(ctx context.Context, id string, w io.Writer) error {
	return c.copyTo(ctx, w, "read the log of archive "+id, call{
		method: http.MethodGet, path: "/api/archives/" + part(id) + "/logs", header: http.Header{"Accept": {"text/plain"}},
	})
}

// DeleteArchive ends the possibility of an undo.
func (c *Client) DeleteArchive(ctx context.Context, id string) error {
	return c.do(ctx, call{method: http.MethodDelete, path: "/api/archives/" + part(id)}, nil)
}

// RestoreChoices are what a person decides where a restore has conflicts; the zero
// value changes nothing.
type RestoreChoices struct {
	Name         string `json:"name,omitempty"`          // another container name; not of a whole plan
	AnyPort      bool   `json:"any_port,omitempty"`      // let the engine choose the host ports
	SkipNetworks bool   `json:"skip_networks,omitempty"` // leave out networks that are gone
	MakeNetworks bool   `json:"make_networks,omitempty"` // make networks that are gone anew, as plain bridges
	PullImage    bool   `json:"pull_image,omitempty"`    // pull the image by its digest if it is gone
	EmptyVolumes bool   `json:"empty_volumes,omitempty"` // go on with new empty volumes where the old ones are gone
	SkipRoutes   bool   `json:"skip_routes,omitempty"`   // leave out routes whose address is taken
	Start        bool   `json:"start,omitempty"`         // start it afterwards
}

// RestoreConflict is one thing in the way of a restore, with the choices (names of
// fields of RestoreChoices in the API) that would settle it.
type RestoreConflict struct {
	Kind    string   `json:"kind"` // name_taken port_taken network_gone image_gone volume_gone route_taken stage_gone instance_there host
	Subject string   `json:"subject"`
	Detail  string   `json:"detail"`
	Choices []string `json:"choices"`
}

// RestoreCheck says what a restore would do, before anything is made.
type RestoreCheck struct {
	Archive   Archive           `json:"archive"`
	Conflicts []RestoreConflict `json:"conflicts"` // not settled by the choices
	Brings    []string          `json:"brings"`    // in words
	Lacks     []string          `json:"lacks"`     // in words
}

type restoreRequest struct {
	DryRun bool `json:"dry_run,omitempty"`
	RestoreChoices
}

type restoreAnswer struct {
	Check    *RestoreCheck `json:"check"`
	Instance *Instance     `json:"instance"`
}

// CheckRestore tells what is in the way of a restore; nothing is touched.
func (c *Client) CheckRestore(ctx context.Context, archiveID string, choices RestoreChoices) (RestoreCheck, error) {
	a, err := c.restore(ctx, archiveID, restoreRequest{DryRun: true, RestoreChoices: choices})
	if err != nil || a.Check == nil {
		return RestoreCheck{}, err
	}
	return *a.Check, nil
}

// Restore brings a removed instance back. What is in the way comes as a problem with
// the code restore_conflicts and its Conflicts; nothing was made then.
func (c *Client) Restore(ctx context.Context, archiveID string, choices RestoreChoices) (Instance, error) {
	a, err := c.restore(ctx, archiveID, restoreRequest{RestoreChoices: choices})
	if err != nil || a.Instance == nil {
		return Instance{}, err
	}
	return *a.Instance, nil
}

func (c *Client) restore(ctx context.Context, archiveID string, body restoreRequest) (restoreAnswer, error) {
	var a restoreAnswer
	err := c.do(ctx, call{method: http.MethodPost, path: "/api/archives/" + part(archiveID) + "/restore", body: body}, &a)
	return a, err
}

// PlanRestore is what a restore of everything that a plan removed did, or would do.
type PlanRestore struct {
	PlanID  string            `json:"plan_id"`
	Results []PlanRestoreItem `json:"results"`
}

// PlanRestoreItem is one archive of a plan and what became of it.
type PlanRestoreItem struct {
	Archive   Archive           `json:"archive"`
	Result    string            `json:"result"` // restored | conflicts | error; of a dry run: possible | conflicts | error
	Detail    string            `json:"detail,omitempty"`
	Conflicts []RestoreConflict `json:"conflicts"`
	Lacks     []string          `json:"lacks"` // of a dry run
	Instance  *Instance         `json:"instance"`
}

// CheckRestorePlan tells for each archive of a plan what is in the way; nothing is touched.
func (c *Client) CheckRestorePlan(ctx context.Context, planID string, choices RestoreChoices) (PlanRestore, error) {
	return c.restorePlan(ctx, planID, restoreRequest{DryRun: true, RestoreChoices: choices})
}

// RestorePlan restores everything that a plan removed, each by itself. Progress comes
// as events of kind restore.progress.
func (c *Client) RestorePlan(ctx context.Context, planID string, choices RestoreChoices) (PlanRestore, error) {
	return c.restorePlan(ctx, planID, restoreRequest{RestoreChoices: choices})
}

func (c *Client) restorePlan(ctx context.Context, planID string, body restoreRequest) (PlanRestore, error) {
	var r PlanRestore
	err := c.do(ctx, call{method: http.MethodPost, path: "/api/plans/" + part(planID) + "/restore", body: body}, &r)
	return r, err
}
