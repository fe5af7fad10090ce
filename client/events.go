package client

import (
	"context"
	"net/http"
	"net/url"
	"time"
)

// Event is one line of the event log. Chatter, such as the progress of a pull,
// is streamed with an empty ID and not kept.
type Event struct {
	ID         string         `json:"id,omitempty"`
	Time       time.Time      `json:"time"`
	Severity   string         `json:"severity"` // info | warn | error
	Source     string         `json:"source"`
	Kind       string         `json:"kind"`
	Message    string         `json:"message"`
	ProjectID  string         `json:"project_id,omitempty"`
	StageID    string         `json:"stage_id,omitempty"`
	InstanceID string         `json:"instance_id,omitempty"`
	HostID     string         `json:"host_id,omitempty"`
	Actor      string         `json:"actor,omitempty"`
	Data       map[string]any `json:"data,omitempty"`
}

// EventFilter selects events; empty fields do not filter.
type EventFilter struct {
	Severities []string
	Sources    []string
	Project    string // id or name
	Stage      string // id, or name together with Project
	Instance   string
	Host       string
	Actor      string // such as user:anna
	Text       string
	From, To   time.Time // not of a stream
}

func (f EventFilter) query() url.Values {
	q := url.Values{}
	setList(q, "severity", f.Severities)
	setList(q, "source", f.Sources)
	setText(q, "project", f.Project)
	setText(q, "stage", f.Stage)
	setText(q, "instance", f.Instance)
	setText(q, "host", f.Host)
	setText(q, "actor", f.Actor)
	setText(q, "text", f.Text)
	setTime(q, "from", f.From)
	setTime(q, "to", f.To)
	return q
}

// Events lists one page of the event log, newest first. A page can be short, even empty,
// although there are more: only an empty NextCursor is the end.
func (c *Client) Events(ctx context.Context, f EventFilter, p Page) (List[Event], error) {
	q := f.query()
	p.addTo(q)
	var l List[Event]
	err := c.do(ctx, call{method: http.MethodGet, path: "/api/events", query: q}, &l)
	return l, err
}
