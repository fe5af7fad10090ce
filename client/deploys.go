package client

import (
	"context"
	"net/http"
	"net/url"
	"time"
)

// Deploy is one attempt to bring a stage to an image tag.
type Deploy struct {
	ID         string    `json:"id"`
	ProjectID  string    `json:"project_id"`
	StageID    string    `json:"stage_id"`
	HostID     string    `json:"host_id"`
	InstanceID string    `json:"instance_id,omitempty"`
	Replaces   string    `json:"replaces,omitempty"`
	Image      string    `json:"image"`
	ImageTag   string    `json:"image_tag"`
	Digest     string    `json:"digest,omitempty"`
	State      string    `json:"state"` // queued pulling starting checking switching done failed
	Error      string    `json:"error,omitempty"`
	Actor      string    `json:"actor"`
	CreatedAt  time.Time `json:"created_at"`
	EndedAt    time.Time `json:"ended_at,omitzero"`
}

// Ended reports whether the deploy is over.
func (d Deploy) Ended() bool { return d.State == "done" || d.State == "failed" }

// DeployRequest says what to bring a stage to.
type DeployRequest struct {
	Tag   string `json:"tag"`
	Image string `json:"image,omitempty"` // empty: the project's
	Spec  *Spec  `json:"spec,omitempty"`  // nil: the stage's
}

// StartDeploy queues a deploy of a stage; watch it with Deploy or the events
// of kind deploy.progress, deploy.done and deploy.failed.
func (c *Client) StartDeploy(ctx context.Context, stageID string, r DeployRequest) (Deploy, error) {
	var d Deploy
	err := c.do(ctx, call{method: http.MethodPost, path: "/api/stages/" + part(stageID) + "/deploys", body: r}, &d)
	return d, err
}

// Deploy returns one by its id.
func (c *Client) Deploy(ctx context.Context, id string) (Deploy, error) {
	var d Deploy
	err := c.do(ctx, call{method: http.MethodGet, path: "/api/deploys/" + part(id)}, &d)
	return d, err
}

// Deploys lists one page of the deploys of a stage, newest first.
func (c *Client) Deploys(ctx context.Context, stageID string, p Page) (List[Deploy], error) {
	q := url.Values{}
	p.addTo(q)
	var l List[Deploy]
	err := c.do(ctx, call{method: http.MethodGet, path: "/api/stages/" + part(stageID) + "/deploys", query: q}, &l)
	return l, err
}
