package client

import (
	"context"
	"net/http"
	"net/url"
	"strconv"
	"time"
)

// StaleItem is one stale instance and how we know.
type StaleItem struct {
	ID           string      `json:"id"`
	Project      string      `json:"project"`
	ProjectID    string      `json:"project_id"`
	Stage        string      `json:"stage"`
	StageID      string      `json:"stage_id"`
	StageKind    string      `json:"stage_kind"`
	Host         string      `json:"host"`
	HostDisabled time.Time   `json:"host_disabled_since,omitzero"` // its host is not asked since
	HostID       string      `json:"host_id"`
	Name         string      `json:"name"`
	ContainerID  string      `json:"container_id,omitempty"`
	Image        string      `json:"image"`
	ImageTag     string      `json:"image_tag"`
	Status       string      `json:"status"`
	Class        string      `json:"class"`
	LastAliveAt  time.Time   `json:"last_alive_at"`
	Requests     int64       `json:"requests,omitempty"` // by its routes
	LastRequest  time.Time   `json:"last_request_at,omitzero"`
	DaysStale    int         `json:"days_stale"` // whole days since it was last alive, by the engine's clock
	StaleSince   time.Time   `json:"stale_since"`
	StaleAfter   string      `json:"stale_after"`
	Evidence     string      `json:"evidence"`
	UpperBound   bool        `json:"upper_bound"`
	Reason       string      `json:"reason"`
	Protection   *Protection `json:"protection"`
	Bytes        *int64      `json:"bytes"`
	HeldBack     string      `json:"held_back,omitempty"`
	CheckError   string      `json:"check_error,omitempty"`
	// Policy is what policy makes of it, and when.
	Policy       Decision    `json:"policy"`
	TagGoneSince time.Time   `json:"tag_gone_since,omitzero"`
	Blind        []BlindSpan `json:"blind,omitempty"` // stretches of its age in which nobody watched
	BlindSeconds int64       `json:"blind_seconds"`
	BlindWords   string      `json:"blind_words,omitempty"`
	Revision     int64       `json:"revision"`
}

// StaleList is one page of the stale instances. Total is counted on the first page only.
type StaleList struct {
	List[StaleItem]
	Total *int `json:"total,omitempty"`
}

// StaleFilter selects stale instances; empty fields do not filter. Project and
// Stage are ids or names (a stage's name needs its project).
type StaleFilter struct {
	Project       string
	Stage         string
	Host          string
	Classes       []string
	Text          string
	Protected     *bool
	Protection    []string // kinds: pinned snoozed keep_label rollback tag_gone
	OlderThanDays int
	IDs           []string // of a plan only
	TagGone       bool     // of a plan only: an explicit yes to what its registry has no more
	Sort          string   // of a list only: last_alive_at (default) | -last_alive_at | project | -bytes
}

func (f StaleFilter) query() url.Values {
	q := url.Values{}
	setText(q, "project", f.Project)
	setText(q, "stage", f.Stage)
	setText(q, "host", f.Host)
	setText(q, "text", f.Text)
	setText(q, "sort", f.Sort)
	setList(q, "class", f.Classes)
	setList(q, "protection", f.Protection)
	if f.Protected != nil {
		q.Set("protected", strconv.FormatBool(*f.Protected))
	}
	if f.OlderThanDays > 0 {
		q.Set("older_than_days", strconv.Itoa(f.OlderThanDays))
	}
	return q
}

func (f StaleFilter) body() map[string]any {
	body := map[string]any{"dry_run": true}
	for name, value := range map[string]string{"project": f.Project, "stage": f.Stage, "host": f.Host, "text": f.Text} {
		if value != "" {
			body[name] = value
		}
	}
	if len(f.Classes) > 0 {
		body["class"] = f.Classes
	}
	put(body, "protected", f.Protected)
	if f.OlderThanDays > 0 {
		body["older_than_days"] = f.OlderThanDays
	}
	if len(f.Protection) > 0 {
		body["protection"] = f.Protection
	}
	if len(f.IDs) > 0 {
		body["ids"] = f.IDs
	}
	if f.TagGone {
		body["tag_gone"] = true
	}
	return body
}

// Stale lists one page of the stale instances.
func (c *Client) Stale(ctx context.Context, f StaleFilter, p Page) (StaleList, error) {
	q := f.query()
	p.addTo(q)
	var l StaleList
	err := c.do(ctx, call{method: http.MethodGet, path: "/api/containers/stale", query: q}, &l)
	return l, err
}

// Plan is the frozen answer to "what would this cleanup do".
type Plan struct {
	ID        string     `json:"id"`
	State     string     `json:"state"` // planned | applying | applied | cancelled
	Single    bool       `json:"single"`
	Automatic bool       `json:"automatic"` // made by a policy, applied by itself at ApplyAt
	CreatedAt time.Time  `json:"created_at"`
	CreatedBy string     `json:"created_by"`
	ExpiresAt time.Time  `json:"expires_at"`
	ApplyAt   time.Time  `json:"apply_at,omitzero"`
	AppliedAt time.Time  `json:"applied_at,omitzero"`
	AppliedBy string     `json:"applied_by,omitempty"`
	DoneAt    time.Time  `json:"done_at,omitzero"`
	LeftOut   int        `json:"left_out"` // matched, but beyond the item limit
	TagGone   bool       `json:"tag_gone_yes"`
	Bytes     int64      `json:"bytes"` // known to come back, of the items that are not kept
	Items     []PlanItem `json:"items"`
}

// PlanItem is one instance of a plan, and after the plan was applied what became of it.
type PlanItem struct {
	InstanceID   string      `json:"instance_id"`
	HostID       string      `json:"host_id"`
	ContainerID  string      `json:"container_id,omitempty"`
	Name         string      `json:"name"`
	Project      string      `json:"project"`
	ProjectID    string      `json:"project_id"`
	Stage        string      `json:"stage"`
	StageID      string      `json:"stage_id"`
	ImageTag     string      `json:"image_tag"`
	Status       string      `json:"status"`
	Class        string      `json:"class"`
	LastAliveAt  time.Time   `json:"last_alive_at,omitzero"`
	Evidence     string      `json:"evidence"`
	UpperBound   bool        `json:"upper_bound"`
	Reason       string      `json:"reason"`
	Bytes        *int64      `json:"bytes"`
	Image        string      `json:"image,omitempty"`
	ImageBytes   int64       `json:"image_bytes,omitempty"`
	Volumes      []string    `json:"volumes,omitempty"` // stay
	Routes       []string    `json:"routes,omitempty"`  // go
	Warnings     []string    `json:"warnings,omitempty"`
	LayerKept    bool        `json:"layer_kept"`             // an undo brings the writable layer back
	NotRestored  []string    `json:"not_restored,omitempty"` // what an undo would not bring back, in words
	Protection   *Protection `json:"protection"`
	Result       string      `json:"result,omitempty"` // removed already_gone revived changed kept in_use timeout error
	ResultDetail string      `json:"result_detail,omitempty"`
	DoneAt       time.Time   `json:"done_at,omitzero"`
	ArchiveID    string      `json:"archive_id,omitempty"` // of the copy that can be restored
}

// PlanCleanup freezes what a bulk cleanup of these would do; nothing is touched.
func (c *Client) PlanCleanup(ctx context.Context, f StaleFilter) (Plan, error) {
	return c.cleanup(ctx, "/api/containers/stale/cleanup", f.body())
}

// ApplyCleanup does exactly what a plan says. It answers when every item is done;
// progress comes as events of kind cleanup.progress.
func (c *Client) ApplyCleanup(ctx context.Context, planID string) (Plan, error) {
	return c.cleanup(ctx, "/api/containers/stale/cleanup", map[string]any{"plan_id": planID})
}

// CleanupAll plans and applies everything stale and unprotected.
func (c *Client) CleanupAll(ctx context.Context) (Plan, error) {
	return c.cleanup(ctx, "/api/containers/stale/cleanup", nil)
}

// PlanOne freezes what the cleanup of one stale instance would do.
func (c *Client) PlanOne(ctx context.Context, id string) (Plan, error) {
	return c.cleanup(ctx, "/api/containers/stale/"+part(id)+"/cleanup", map[string]any{"dry_run": true})
}

// PlanOneTagGone does the same with an explicit yes to removing what its registry has no more.
func (c *Client) PlanOneTagGone(ctx context.Context, id string) (Plan, error) {
	return c.cleanup(ctx, "/api/containers/stale/"+part(id)+"/cleanup", map[string]any{"dry_run": true, "tag_gone": true})
}

// ApplyOne does what the plan of one instance says.
func (c *Client) ApplyOne(ctx context.Context, id, planID string) (Plan, error) {
	return c.cleanup(ctx, "/api/containers/stale/"+part(id)+"/cleanup", map[string]any{"plan_id": planID})
}

// CleanupOne plans and applies the cleanup of one stale instance.
func (c *Client) CleanupOne(ctx context.Context, id string) (Plan, error) {
	return c.cleanup(ctx, "/api/containers/stale/"+part(id)+"/cleanup", nil)
}

func (c *Client) cleanup(ctx context.Context, path string, body map[string]any) (Plan, error) {
	r := call{method: http.MethodPost, path: path}
	if body != nil {
		r.body = body
	}
	var p Plan
	err := c.do(ctx, r, &p)
	return p, err
}

// Plan returns a plan by its id.
func (c *Client) Plan(ctx context.Context, id string) (Plan, error) {
	var p Plan
	err := c.do(ctx, call{method: http.MethodGet, path: "/api/plans/" + part(id)}, &p)
	return p, err
}

// ScanRun is one scan of one host and what it cost.
type ScanRun struct {
	ID         string    `json:"id"`
	HostID     string    `json:"host_id"`
	Trigger    string    `json:"trigger"` // schedule | manual | gap | start | settings | automatic
	StartedAt  time.Time `json:"started_at"`
	FinishedAt time.Time `json:"finished_at,omitzero"`
	DurationMS int64     `json:"duration_ms"`
	ListCalls  int       `json:"list_calls"`
	Inspects   int       `json:"inspects"`
	Known      int       `json:"known"`
	Stale      int       `json:"stale"`
	NewlyStale int       `json:"newly_stale"`
	Recovered  int       `json:"recovered"`
	Unknown    int       `json:"unknown"`
	Outcome    string    `json:"outcome"` // ok | blind
	Error      string    `json:"error,omitempty"`
}

// ScanList is one page of the scans, newest first, and when the next is due.
type ScanList struct {
	List[ScanRun]
	Schedule *ScanSchedule `json:"schedule,omitempty"`
}

// ScanSchedule says when scans run.
type ScanSchedule struct {
	IntervalSeconds int64     `json:"interval_seconds"`
	NextAt          time.Time `json:"next_at,omitzero"`
	Running         bool      `json:"running"`
	LastStartedAt   time.Time `json:"last_started_at,omitzero"`
	LastEndedAt     time.Time `json:"last_ended_at,omitzero"`
	LastError       string    `json:"last_error,omitempty"`
	Overdue         bool      `json:"overdue"`
}

// Scan looks at every host now, or at the one named.
func (c *Client) Scan(ctx context.Context, hostID string) ([]ScanRun, error) {
	r := call{method: http.MethodPost, path: "/api/containers/stale/scan"}
	if hostID != "" {
		r.body = map[string]string{"host_id": hostID}
	}
	var l List[ScanRun]
	err := c.do(ctx, r, &l)
	return l.Items, err
}

// Scans lists one page of the scans of a host, or of all.
func (c *Client) Scans(ctx context.Context, hostID string, p Page) (ScanList, error) {
	q := url.Values{}
	p.addTo(q)
	setText(q, "host", hostID)
	var l ScanList
	err := c.do(ctx, call{method: http.MethodGet, path: "/api/scans", query: q}, &l)
	return l, err
}
