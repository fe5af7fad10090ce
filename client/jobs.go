package client

import (
	"context"
	"net/http"
	"time"
)

// Job is a piece of work that comes by itself.
type Job struct {
	Name          string     `json:"name"`
	Schedule      string     `json:"schedule"` // @every and a duration, or five cron fields in UTC
	State         string     `json:"state"`    // well, waiting, running, failed, overdue
	Running       bool       `json:"running"`
	NextAt        time.Time  `json:"next_at,omitzero"`
	LastStartedAt time.Time  `json:"last_started_at,omitzero"`
	LastEndedAt   time.Time  `json:"last_ended_at,omitzero"`
	DurationMS    *int64     `json:"duration_ms"` // of the last run that ended; nil: none has since the daemon began
	LastError     string     `json:"last_error,omitempty"`
	Failures      int        `json:"failures"` // in a row
	Overdue       bool       `json:"overdue"`
	Hosts         []HostWork `json:"hosts"`
}

// HostWork is what a job has done on one host.
type HostWork struct {
	HostID        string    `json:"host_id"`
	Host          string    `json:"host"`
	State         string    `json:"state"` // those of a job, or blind: the last scan could not judge the host
	Running       bool      `json:"running"`
	LastStartedAt time.Time `json:"last_started_at,omitzero"`
	LastEndedAt   time.Time `json:"last_ended_at,omitzero"`
	DurationMS    *int64    `json:"duration_ms"`
	LastError     string    `json:"last_error,omitempty"`
	Failures      int       `json:"failures"`
	Overdue       bool      `json:"overdue"`
}

// Jobs are the works that come by themselves, by name.
func (c *Client) Jobs(ctx context.Context) ([]Job, error) {
	var l List[Job]
	err := c.do(ctx, call{method: http.MethodGet, path: "/api/jobs"}, &l)
	return l.Items, err
}

// RunJob has one run now, and does not wait for its end.
func (c *Client) RunJob(ctx context.Context, name string) (Job, error) {
	var j Job
	err := c.do(ctx, call{method: http.MethodPost, path: "/api/jobs/" + part(name) + "/run"}, &j)
	return j, err
}
