package client

import (
	"context"
	"net/http"
	"net/url"
	"strconv"
	"time"
)

// PlanSummary is a plan without its items.
type PlanSummary struct {
	ID         string         `json:"id"`
	State      string         `json:"state"` // planned | applying | applied | cancelled
	Single     bool           `json:"single"`
	Automatic  bool           `json:"automatic"` // made by a policy, applied by itself at ApplyAt
	CreatedAt  time.Time      `json:"created_at"`
	CreatedBy  string         `json:"created_by"`
	ExpiresAt  time.Time      `json:"expires_at"`
	ApplyAt    time.Time      `json:"apply_at,omitzero"`
	AppliedAt  time.Time      `json:"applied_at,omitzero"`
	AppliedBy  string         `json:"applied_by,omitempty"`
	DoneAt     time.Time      `json:"done_at,omitzero"`
	LeftOut    int            `json:"left_out"`
	TagGoneYes bool           `json:"tag_gone_yes"`
	Items      int            `json:"items"`   // how many it has
	Results    map[string]int `json:"results"` // how many items came to each result
}

// PlanFilter selects plans; empty fields do not filter.
type PlanFilter struct {
	States    []string
	Automatic *bool
}

// Plans lists one page of the plans, newest first.
func (c *Client) Plans(ctx context.Context, f PlanFilter, p Page) (List[PlanSummary], error) {
	q := url.Values{}
	p.addTo(q)
	setList(q, "state", f.States)
	if f.Automatic != nil {
		q.Set("automatic", strconv.FormatBool(*f.Automatic))
	}
	var l List[PlanSummary]
	err := c.do(ctx, call{method: http.MethodGet, path: "/api/plans", query: q}, &l)
	return l, err
}

// CancelPlan calls off a plan before anything is done.
func (c *Client) CancelPlan(ctx context.Context, id string) (Plan, error) {
	var p Plan
	err := c.do(ctx, call{method: http.MethodPost, path: "/api/plans/" + part(id) + "/cancel"}, &p)
	return p, err
}
