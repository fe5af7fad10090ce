package client

import (
	"context"
	"net/http"
	"net/url"
	"time"
)

// Stage is a place in a project where versions run.
type Stage struct {
	ID         string `json:"id"`
	ProjectID  string `json:"project_id"`
	Project    string `json:"project"`
	HostID     string `json:"host_id"`
	Host       string `json:"host"`
	Name       string `json:"name"`
	Kind       string `json:"kind"`                  // dev | staging | production | preview
	StaleAfter string `json:"stale_after,omitempty"` // empty: as the project
	KeepLast   *int   `json:"keep_last"`             // nil: as its policy says
	Drain      string `json:"drain"`                 // how long a former instance runs on beside the new one
	Strategy   string `json:"strategy"`              // replace | parallel
	// ParallelMax and Domain are of the strategy parallel only.
	ParallelMax int    `json:"parallel_max"`
	Domain      string `json:"domain"`
	Spec        Spec   `json:"spec"`

	TagRule      *TagRule   `json:"tag_rule"`                // nil: it follows no tags
	Mode         string     `json:"mode"`                    // auto | notify | manual
	MinImageAge  string     `json:"min_image_age"`           // 0s: any
	PollInterval string     `json:"poll_interval,omitempty"` // empty: as the setting says
	Poll         *StagePoll `json:"poll"`                    // nil: its registry was never asked

	CreatedAt time.Time `json:"created_at"`
	UpdatedAt time.Time `json:"updated_at"`
	Revision  int64     `json:"revision"`
}

// NewStage asks for a stage. HostID is an id or a name; empty: the daemon's own host, or the only one.
type NewStage struct {
	ProjectID   string `json:"project_id"`
	HostID      string `json:"host_id,omitempty"`
	Name        string `json:"name"`
	Kind        string `json:"kind"`
	StaleAfter  string `json:"stale_after,omitempty"`
	KeepLast    *int   `json:"keep_last,omitempty"`    // nil: the default
	Drain       string `json:"drain,omitempty"`        // such as 30s; empty: the default
	Strategy    string `json:"strategy,omitempty"`     // replace (default) | parallel
	ParallelMax *int   `json:"parallel_max,omitempty"` // nil: the default
	Domain      string `json:"domain,omitempty"`       // such as {{tag}}.{{project}}.example.com
	Spec        *Spec  `json:"spec,omitempty"`

	TagRule      *TagRule `json:"tag_rule,omitempty"`
	Mode         string   `json:"mode,omitempty"` // empty: manual
	MinImageAge  string   `json:"min_image_age,omitempty"`
	PollInterval string   `json:"poll_interval,omitempty"`
}

// StageChange changes what is not nil. An empty StaleAfter or PollInterval inherits again.
type StageChange struct {
	Name        *string
	Kind        *string
	StaleAfter  *string
	KeepLast    *int
	Drain       *string
	Strategy    *string
	ParallelMax *int
	Domain      *string
	Spec        *Spec // whole

	TagRule      *TagRule // whole; one without a kind takes the rule away
	Mode         *string
	MinImageAge  *string
	PollInterval *string

	Revision int64 // the one that was seen; 0: whatever it is now
}

// Stages lists the stages of a project (id or name), or all of them.
func (c *Client) Stages(ctx context.Context, project string) ([]Stage, error) {
	q := url.Values{}
	setText(q, "project", project)
	var l List[Stage]
	err := c.do(ctx, call{method: http.MethodGet, path: "/api/stages", query: q}, &l)
	return l.Items, err
}

// Stage returns one by its id.
func (c *Client) Stage(ctx context.Context, id string) (Stage, error) {
	var s Stage
	err := c.do(ctx, call{method: http.MethodGet, path: "/api/stages/" + part(id)}, &s)
	return s, err
}

// CreateStage makes a stage.
func (c *Client) CreateStage(ctx context.Context, n NewStage) (Stage, error) {
	var s Stage
	err := c.do(ctx, call{method: http.MethodPost, path: "/api/stages", body: n}, &s)
	return s, err
}

// UpdateStage changes a stage.
func (c *Client) UpdateStage(ctx context.Context, id string, change StageChange) (Stage, error) {
	body := map[string]any{}
	put(body, "name", change.Name)
	put(body, "kind", change.Kind)
	putOrNull(body, "stale_after", change.StaleAfter)
	put(body, "keep_last", change.KeepLast)
	put(body, "drain", change.Drain)
	put(body, "strategy", change.Strategy)
	put(body, "parallel_max", change.ParallelMax)
	put(body, "domain", change.Domain)
	put(body, "spec", change.Spec)
	put(body, "mode", change.Mode)
	put(body, "min_image_age", change.MinImageAge)
	putOrNull(body, "poll_interval", change.PollInterval)
	if put(body, "tag_rule", change.TagRule); change.TagRule != nil && change.TagRule.Kind == "" {
		body["tag_rule"] = nil
	}
	var s Stage
	err := c.do(ctx, call{
		method: http.MethodPatch, path: "/api/stages/" + part(id), body: body, header: ifMatch(change.Revision),
	}, &s)
	return s, err
}

// DeleteStage removes a stage that has no instances.
func (c *Client) DeleteStage(ctx context.Context, id string) error {
	return c.do(ctx, call{method: http.MethodDelete, path: "/api/stages/" + part(id)}, nil)
}
