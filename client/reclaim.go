package client

import (
	"context"
	"net/http"
	"net/url"
	"time"
)

// Left is what removed instances left on one host.
type Left struct {
	HostID  string       `json:"host_id"`
	Host    string       `json:"host"`
	Bytes   int64        `json:"bytes"` // of the reclaimable images together, no layer counted twice
	Images  []LeftImage  `json:"images"`
	Volumes []LeftVolume `json:"volumes"`
}

// LastUse says who used an image or a volume last.
type LastUse struct {
	InstanceID string    `json:"instance_id,omitempty"`
	Instance   string    `json:"instance,omitempty"` // its name
	Project    string    `json:"project,omitempty"`
	Stage      string    `json:"stage,omitempty"`
	ImageTag   string    `json:"image_tag,omitempty"`
	LastUsedAt time.Time `json:"last_used_at,omitzero"`
	RemovedAt  time.Time `json:"removed_at,omitzero"`
}

// LeftImage is an image that instances of ours used.
type LeftImage struct {
	ID          string    `json:"id"`
	Refs        []string  `json:"refs"`
	Size        int64     `json:"size"`  // whole
	Bytes       *int64    `json:"bytes"` // that would come back; nil: not known
	Reclaimable bool      `json:"reclaimable"`
	Why         string    `json:"why,omitempty"` // why it is not
	UsedBy      []string  `json:"used_by"`
	ArchiveIDs  []string  `json:"archive_ids"` // archives that keep it
	KeptUntil   time.Time `json:"kept_until,omitzero"`
	LastUse     LastUse   `json:"last_use"`
}

// LeftVolume is a volume that instances of ours used and that is still there.
type LeftVolume struct {
	Name       string   `json:"name"`
	Driver     string   `json:"driver"`
	Anonymous  bool     `json:"anonymous"`
	Bytes      *int64   `json:"bytes"` // nil: not known
	UsedBy     []string `json:"used_by"`
	ArchiveIDs []string `json:"archive_ids"` // archives whose restore needs it
	LastUse    LastUse  `json:"last_use"`
	Removable  bool     `json:"removable"`
	Why        string   `json:"why,omitempty"` // why it is not
}

// ReclaimPlan is the frozen answer to "which images would go", for one host.
type ReclaimPlan struct {
	ID        string        `json:"id"`
	HostID    string        `json:"host_id"`
	State     string        `json:"state"` // planned | applying | applied | cancelled
	CreatedAt time.Time     `json:"created_at"`
	CreatedBy string        `json:"created_by"`
	ExpiresAt time.Time     `json:"expires_at"`
	AppliedAt time.Time     `json:"applied_at,omitzero"`
	AppliedBy string        `json:"applied_by,omitempty"`
	DoneAt    time.Time     `json:"done_at,omitzero"`
	Bytes     int64         `json:"bytes"` // that come back, of all items
	Items     []ReclaimItem `json:"items"`
}

// ReclaimItem is one image of a plan and what became of it.
type ReclaimItem struct {
	ImageID string   `json:"image_id"`
	Refs    []string `json:"refs"`
	Bytes   int64    `json:"bytes"`
	LastUse LastUse  `json:"last_use"`
	Result  string   `json:"result,omitempty"` // removed already_gone in_use kept changed error
	Detail  string   `json:"detail,omitempty"`
}

// Left asks a host what is left of what our removed instances used.
func (c *Client) Left(ctx context.Context, hostID string) (Left, error) {
	var l Left
	err := c.do(ctx, call{method: http.MethodGet, path: "/api/hosts/" + part(hostID) + "/reclaim"}, &l)
	return l, err
}

// PlanReclaim freezes which images would go; with no ids, all that are reclaimable.
func (c *Client) PlanReclaim(ctx context.Context, hostID string, imageIDs ...string) (ReclaimPlan, error) {
	body := map[string]any{"dry_run": true}
	if len(imageIDs) > 0 {
		body["images"] = imageIDs
	}
	return c.reclaim(ctx, hostID, body)
}

// ApplyReclaim does exactly what a plan says. Progress comes as events of kind reclaim.progress.
func (c *Client) ApplyReclaim(ctx context.Context, hostID, planID string) (ReclaimPlan, error) {
	return c.reclaim(ctx, hostID, map[string]any{"plan_id": planID})
}

func (c *Client) reclaim(ctx context.Context, hostID string, body map[string]any) (ReclaimPlan, error) {
	var p ReclaimPlan
	err := c.do(ctx, call{method: http.MethodPost, path: "/api/hosts/" + part(hostID) + "/reclaim", body: body}, &p)
	return p, err
}

// ReclaimPlan returns a plan by its id.
func (c *Client) ReclaimPlan(ctx context.Context, id string) (ReclaimPlan, error) {
	var p ReclaimPlan
	err := c.do(ctx, call{method: http.MethodGet, path: "/api/reclaim/plans/" + part(id)}, &p)
	return p, err
}

// RemoveVolume removes one anonymous volume. With breakUndo also one that the restore of an archive needs.
func (c *Client) RemoveVolume(ctx context.Context, hostID, name string, breakUndo bool) error {
	q := url.Values{}
	if breakUndo {
		q.Set("break_undo", "true")
	}
	return c.do(ctx, call{method: http.MethodDelete, path: "/api/hosts/" + part(hostID) + "/volumes/" + part(name), query: q}, nil)
}

// Leftover is something that does not fit together, and the one step that mends it.
type Leftover struct {
	ID         string    `json:"id"`
	HostID     string    `json:"host_id"`
	Host       string    `json:"host"`
	Kind       string    `json:"kind"`    // container_without_row row_without_container route_to_nothing removing_too_long dead
	Subject    string    `json:"subject"` // full container id, instance id or route id
	Name       string    `json:"name"`
	InstanceID string    `json:"instance_id,omitempty"`
	ProjectID  string    `json:"project_id,omitempty"`
	StageID    string    `json:"stage_id,omitempty"`
	Detail     string    `json:"detail"`
	Step       string    `json:"step"`      // the one step that mends it, in words
	NeedsYes   bool      `json:"needs_yes"` // Mend wants the full container id (Subject)
	FoundAt    time.Time `json:"found_at"`
	SeenAt     time.Time `json:"seen_at"`
}

// Leftovers lists what does not fit together, on one host or on all (hostID empty).
func (c *Client) Leftovers(ctx context.Context, hostID string) ([]Leftover, error) {
	q := url.Values{}
	setText(q, "host", hostID)
	var l List[Leftover]
	err := c.do(ctx, call{method: http.MethodGet, path: "/api/leftovers", query: q}, &l)
	return l.Items, err
}

// Mend carries out the one step that mends a leftover. yes is the full container id
// where a container is to be removed, else empty.
func (c *Client) Mend(ctx context.Context, leftoverID, yes string) error {
	r := call{method: http.MethodPost, path: "/api/leftovers/" + part(leftoverID) + "/mend"}
	if yes != "" {
		r.body = map[string]string{"yes": yes}
	}
	return c.do(ctx, r, nil)
}
