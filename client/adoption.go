package client

import (
	"context"
	"net/http"
	"net/url"
	"time"
)

// Foreign is a container on a host that is not ours, as it stands now.
type Foreign struct {
	HostID         string    `json:"host_id"`
	Host           string    `json:"host"`
	ContainerID    string    `json:"container_id"` // full
	Name           string    `json:"name"`
	Image          string    `json:"image"`
	State          string    `json:"state"` // as its engine says
	CreatedAt      time.Time `json:"created_at,omitzero"`
	ComposeProject string    `json:"compose_project,omitempty"`
	ComposeService string    `json:"compose_service,omitempty"`
	Mark           string    `json:"mark,omitempty"` // swarm_task | self | label_without_row | other_installation
	Adoptable      bool      `json:"adoptable"`
	Why            string    `json:"why,omitempty"`    // it can never be adopted
	Status         string    `json:"status,omitempty"` // what a scan would call it
	Class          string    `json:"class,omitempty"`
	LastAliveAt    time.Time `json:"last_alive_at,omitzero"`
	DaysStale      int       `json:"days_stale"`
	Evidence       string    `json:"evidence,omitempty"`
	UpperBound     bool      `json:"upper_bound"`
	Stale          bool      `json:"stale"` // by the global threshold
	Reason         string    `json:"reason"`
	CheckError     string    `json:"check_error,omitempty"` // why it could not be asked about
	Proposal       Proposal  `json:"proposal"`
}

// Proposal is where a foreign container would best go.
type Proposal struct {
	Project       string `json:"project"`
	Stage         string `json:"stage"`
	Kind          string `json:"kind"`
	Image         string `json:"image,omitempty"`
	ImageTag      string `json:"image_tag,omitempty"`
	ProjectExists bool   `json:"project_exists"`
	StageExists   bool   `json:"stage_exists"`
}

// NotAsked is a host that could not be asked: nothing is known of what is on it.
type NotAsked struct {
	HostID string `json:"host_id"`
	Host   string `json:"host"`
	Why    string `json:"why"`
	Hint   string `json:"hint,omitempty"`
}

// ForeignList is a page of foreign containers, and the hosts that could not be asked.
type ForeignList struct {
	Items      []Foreign  `json:"items"`
	NextCursor string     `json:"next_cursor,omitempty"`
	Total      int        `json:"total"`
	NotAsked   []NotAsked `json:"not_asked"`
}

// ForeignFilter selects foreign containers; empty fields do not filter.
type ForeignFilter struct {
	Host    string // id or name
	Text    string
	Classes []string // or "running"
	Compose string   // project
}

// Foreign lists one page of the containers that are not ours.
func (c *Client) Foreign(ctx context.Context, f ForeignFilter, p Page) (ForeignList, error) {
	q := url.Values{}
	p.addTo(q)
	setText(q, "host", f.Host)
	setText(q, "text", f.Text)
	setText(q, "compose", f.Compose)
	setList(q, "class", f.Classes)
	var l ForeignList
	err := c.do(ctx, call{method: http.MethodGet, path: "/api/containers/foreign", query: q}, &l)
	return l, err
}

// AdoptItem is one container to be taken over, and where to.
type AdoptItem struct {
	HostID      string `json:"host_id"`      // id or name
	ContainerID string `json:"container_id"` // full
	Project     string `json:"project"`
	Stage       string `json:"stage"`
	Kind        string `json:"kind,omitempty"`        // of a stage that is made
	StaleAfter  string `json:"stale_after,omitempty"` // of a stage that is made
	Image       string `json:"image,omitempty"`       // of a project that is made
}

// AdoptCompose names a compose project that is taken over whole.
type AdoptCompose struct {
	HostID  string `json:"host_id"`
	Project string `json:"project"`
}

// AdoptRequest asks for an adoption: all of it or nothing.
type AdoptRequest struct {
	Items   []AdoptItem   `json:"items,omitempty"`
	Compose *AdoptCompose `json:"compose,omitempty"`
	Make    bool          `json:"make,omitempty"`    // projects and stages may be made
	DryRun  bool          `json:"dry_run,omitempty"` // tell what would be made
}

// Adoption is what was taken over, or would be.
type Adoption struct {
	DryRun  bool      `json:"dry_run"`
	Items   []Adopted `json:"items"`
	LeftOut []LeftOut `json:"left_out"`
}

// LeftOut is a container of a compose project that cannot be adopted with the rest of it.
type LeftOut struct {
	HostID      string `json:"host_id"`
	Host        string `json:"host"`
	ContainerID string `json:"container_id"`
	Name        string `json:"name"`
	Why         string `json:"why"`
}

// Adopted is one container of an adoption.
type Adopted struct {
	InstanceID   string    `json:"instance_id,omitempty"`
	HostID       string    `json:"host_id"`
	Host         string    `json:"host"`
	ContainerID  string    `json:"container_id"`
	Name         string    `json:"name"`
	Project      string    `json:"project"`
	ProjectID    string    `json:"project_id,omitempty"`
	Stage        string    `json:"stage"`
	StageID      string    `json:"stage_id,omitempty"`
	StageKind    string    `json:"stage_kind"`
	MakesProject bool      `json:"makes_project"`
	MakesStage   bool      `json:"makes_stage"`
	Image        string    `json:"image"`
	ImageTag     string    `json:"image_tag"`
	Status       string    `json:"status"`
	Class        string    `json:"class,omitempty"`
	LastAliveAt  time.Time `json:"last_alive_at,omitzero"`
	DaysStale    int       `json:"days_stale"`
	Evidence     string    `json:"evidence,omitempty"`
	StaleAfter   string    `json:"stale_after"`
	Stale        bool      `json:"stale"` // the next scan calls it stale
	Reason       string    `json:"reason"`
	Spec         Spec      `json:"spec"`     // as far as the next deploy can make it again
	Left         []string  `json:"left"`     // what that would do without
	Warnings     []string  `json:"warnings"` // what to know before the yes
}

// Adopt takes containers over, or tells what that would make.
func (c *Client) Adopt(ctx context.Context, r AdoptRequest) (Adoption, error) {
	var a Adoption
	err := c.do(ctx, call{method: http.MethodPost, path: "/api/containers/foreign/adopt", body: r}, &a)
	return a, err
}

// Unadopt gives an adopted container back; it is not touched.
func (c *Client) Unadopt(ctx context.Context, instanceID string) error {
	return c.do(ctx, call{method: http.MethodDelete, path: "/api/instances/" + part(instanceID) + "/adoption"}, nil)
}
