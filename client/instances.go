package client

import (
	"context"
	"net/http"
	"net/url"
	"time"
)

// Instance is one container that docker-watcher made or adopted.
type Instance struct {
	ID                 string      `json:"id"`
	ProjectID          string      `json:"project_id"`
	Project            string      `json:"project"`
	StageID            string      `json:"stage_id"`
	Stage              string      `json:"stage"`
	StageKind          string      `json:"stage_kind"`
	HostID             string      `json:"host_id"`
	Host               string      `json:"host"`
	HostDisabled       time.Time   `json:"host_disabled_since,omitzero"` // its host is not asked since
	Name               string      `json:"name"`
	ContainerID        string      `json:"container_id,omitempty"`
	Ownership          string      `json:"ownership"`
	Image              string      `json:"image"`
	ImageTag           string      `json:"image_tag"`
	ImageID            string      `json:"image_id,omitempty"`
	Digest             string      `json:"digest,omitempty"`
	Status             string      `json:"status"`
	Intended           string      `json:"intended"`
	Class              string      `json:"class,omitempty"`
	ContainerCreatedAt time.Time   `json:"container_created_at,omitzero"`
	StartedAt          time.Time   `json:"started_at,omitzero"`
	FinishedAt         time.Time   `json:"finished_at,omitzero"`
	ExitCode           int         `json:"exit_code"`
	OOMKilled          bool        `json:"oom_killed"`
	RestartCount       int         `json:"restart_count"`
	EngineError        string      `json:"engine_error,omitempty"`
	LastAliveAt        time.Time   `json:"last_alive_at,omitzero"`
	Requests           int64       `json:"requests,omitempty"` // by its routes; of a single instance
	LastRequestAt      time.Time   `json:"last_request_at,omitzero"`
	Evidence           string      `json:"evidence,omitempty"`
	UpperBound         bool        `json:"upper_bound"`
	Stale              bool        `json:"stale"`
	StaleSince         time.Time   `json:"stale_since,omitzero"`
	StaleAfter         string      `json:"stale_after"`
	CheckedAt          time.Time   `json:"checked_at,omitzero"`
	CheckError         string      `json:"check_error,omitempty"`
	HeldBack           string      `json:"held_back,omitempty"`
	Protection         *Protection `json:"protection"`
	SnoozedUntil       time.Time   `json:"snoozed_until,omitzero"`
	SnoozedBy          string      `json:"snoozed_by,omitempty"`
	SnoozeReason       string      `json:"snooze_reason,omitempty"`
	TagGoneSince       time.Time   `json:"tag_gone_since,omitzero"`
	Policy             *Decision   `json:"policy,omitempty"` // of a single instance only
	Blind              []BlindSpan `json:"blind,omitempty"`  // of a single instance only
	BlindSeconds       int64       `json:"blind_seconds,omitempty"`
	BlindWords         string      `json:"blind_words,omitempty"`
	Bytes              *int64      `json:"bytes"` // writable layer, when known
	Ports              []Port      `json:"ports,omitempty"`
	Domains            []string    `json:"domains,omitempty"` // of a single instance only
	Spec               *Spec       `json:"spec,omitempty"`    // of a single instance only
	CreatedAt          time.Time   `json:"created_at"`
	UpdatedAt          time.Time   `json:"updated_at"`
	Revision           int64       `json:"revision"`
}

// Protection is why an instance is kept by every cleanup.
type Protection struct {
	Kind  string    `json:"kind"` // pinned | snoozed | keep_label | rollback | tag_gone
	Until time.Time `json:"until,omitzero"`
	By    string    `json:"by,omitempty"`
	Why   string    `json:"why,omitempty"`
}

// InstanceFilter selects instances; empty fields do not filter. Project and
// Stage are ids or names (a stage's name needs its project).
type InstanceFilter struct {
	Project  string
	Stage    string
	Host     string
	Statuses []string
	Text     string
	Live     bool // ask the engine for the published ports of those that run
}

// Instances lists one page of the instances.
func (c *Client) Instances(ctx context.Context, f InstanceFilter, p Page) (List[Instance], error) {
	q := url.Values{}
	p.addTo(q)
	setText(q, "project", f.Project)
	setText(q, "stage", f.Stage)
	setText(q, "host", f.Host)
	setText(q, "text", f.Text)
	setList(q, "status", f.Statuses)
	if f.Live {
		q.Set("live", "true")
	}
	var l List[Instance]
	err := c.do(ctx, call{method: http.MethodGet, path: "/api/instances", query: q}, &l)
	return l, err
}

// Instance returns one by its id.
func (c *Client) Instance(ctx context.Context, id string) (Instance, error) {
	var i Instance
	err := c.do(ctx, call{method: http.MethodGet, path: "/api/instances/" + part(id)}, &i)
	return i, err
}

// StartInstance starts a stopped instance.
func (c *Client) StartInstance(ctx context.Context, id string) (Instance, error) {
	return c.act(ctx, id, "start", nil)
}

// StopInstance stops a running instance.
func (c *Client) StopInstance(ctx context.Context, id string) (Instance, error) {
	return c.act(ctx, id, "stop", nil)
}

// RestartInstance stops and starts an instance.
func (c *Client) RestartInstance(ctx context.Context, id string) (Instance, error) {
	return c.act(ctx, id, "restart", nil)
}

// Pin keeps an instance from every cleanup until it is unpinned.
func (c *Client) Pin(ctx context.Context, id, reason string) (Instance, error) {
	return c.act(ctx, id, "pin", map[string]string{"reason": reason})
}

// Unpin ends a pin.
func (c *Client) Unpin(ctx context.Context, id string) (Instance, error) {
	return c.act(ctx, id, "unpin", nil)
}

// Snooze keeps an instance from every cleanup until a moment.
func (c *Client) Snooze(ctx context.Context, id string, until time.Time, reason string) (Instance, error) {
	return c.act(ctx, id, "snooze", map[string]any{"until": until.UTC().Format(time.RFC3339Nano), "reason": reason})
}

// SnoozeFor does the same for a span, such as 36h or 7d.
func (c *Client) SnoozeFor(ctx context.Context, id, span, reason string) (Instance, error) {
	return c.act(ctx, id, "snooze", map[string]any{"for": span, "reason": reason})
}

// Unsnooze ends a snooze.
func (c *Client) Unsnooze(ctx context.Context, id string) (Instance, error) {
	var i Instance
	err := c.do(ctx, call{method: http.MethodDelete, path: "/api/instances/" + part(id) + "/snooze"}, &i)
	return i, err
}

func (c *Client) act(ctx context.Context, id, action string, body any) (Instance, error) {
	var i Instance
	err := c.do(ctx, call{method: http.MethodPost, path: "/api/instances/" + part(id) + "/" + action, body: body}, &i)
	return i, err
}

// RemoveInstance removes an instance, stopping it first if stop is true.
func (c *Client) RemoveInstance(ctx context.Context, id string, stop bool) error {
	q := url.Values{}
	if stop {
		q.Set("stop", "true")
	}
	return c.do(ctx, call{method: http.MethodDelete, path: "/api/instances/" + part(id), query: q}, nil)
}

func setList(q url.Values, name string, values []string) {
	for _, v := range values {
		q.Add(name, v)
	}
}
