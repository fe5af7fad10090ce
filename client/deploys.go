package client

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"time"
)

// Deploy is one attempt to bring a stage to an image tag.
type Deploy struct {
	ID          string    `json:"id"`
	Kind        string    `json:"kind"` // deploy | rollback
	ProjectID   string    `json:"project_id"`
	StageID     string    `json:"stage_id"`
	HostID      string    `json:"host_id"`
	InstanceID  string    `json:"instance_id,omitempty"`
	Replaces    string    `json:"replaces,omitempty"`
	Image       string    `json:"image"`
	ImageTag    string    `json:"image_tag"`
	Digest      string    `json:"digest,omitempty"`
	State       string    `json:"state"` // queued pulling starting checking switching draining done failed cancelled superseded
	Error       string    `json:"error,omitempty"`
	Actor       string    `json:"actor"`
	CancelledBy string    `json:"cancelled_by,omitempty"`
	CreatedAt   time.Time `json:"created_at"`
	EndedAt     time.Time `json:"ended_at,omitzero"`
}

// Ended reports whether the deploy is over.
func (d Deploy) Ended() bool {
	switch d.State {
	case "done", "failed", "cancelled", "superseded":
		return true
	}
	return false
}

// DeployLine is one line of the log of a deploy. Line is 0 for what is only told on the stream: how far a pull is.
type DeployLine struct {
	Line       int64     `json:"line"`
	Time       time.Time `json:"time"`
	State      string    `json:"state"`
	Text       string    `json:"text"`
	DoneBytes  int64     `json:"done_bytes,omitempty"`
	TotalBytes int64     `json:"total_bytes,omitempty"`
}

// DeployRequest says what to bring a stage to.
type DeployRequest struct {
	Tag   string `json:"tag"`
	Image string `json:"image,omitempty"` // empty: the project's
	Spec  *Spec  `json:"spec,omitempty"`  // nil: the stage's
}

// StartDeploy queues a deploy of a stage, in place of one that waits; watch it with FollowDeploy.
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

// CancelDeploy asks a deploy to end. One that is under way ends soon after: FollowDeploy tells when.
func (c *Client) CancelDeploy(ctx context.Context, id string) (Deploy, error) {
	var d Deploy
	err := c.do(ctx, call{method: http.MethodPost, path: "/api/deploys/" + part(id) + "/cancel"}, &d)
	return d, err
}

// Rollback queues a deploy that brings a stage back to a former instance, by tag, digest, name or id; empty: the kept one that led up to what serves.
func (c *Client) Rollback(ctx context.Context, stageID, to string) (Deploy, error) {
	body := map[string]any{}
	if to != "" {
		body["to"] = to
	}
	var d Deploy
	err := c.do(ctx, call{method: http.MethodPost, path: "/api/stages/" + part(stageID) + "/rollback", body: body}, &d)
	return d, err
}

// DeployLog returns the lines of a deploy after a number, oldest first.
func (c *Client) DeployLog(ctx context.Context, id string, after int64) ([]DeployLine, error) {
	q := url.Values{}
	if after > 0 {
		q.Set("after", strconv.FormatInt(after, 10))
	}
	var l List[DeployLine]
	err := c.do(ctx, call{method: http.MethodGet, path: "/api/deploys/" + part(id) + "/log", query: q}, &l)
	return l.Items, err
}

// FollowDeploy calls handle for each line of a deploy as it comes, and returns the deploy when it has ended. A connection
// that breaks is dialled anew and resumed after the last line; after some tries in vain its error is returned.
func (c *Client) FollowDeploy(ctx context.Context, id string, handle func(DeployLine)) (Deploy, error) {
	var (
		ended Deploy
		after int64
		tries int
		wait  = firstWait
	)
	for {
		err := c.followOnce(ctx, id, &after, &ended, func(l DeployLine) {
			tries, wait = 0, firstWait
			handle(l)
		})
		if ended.ID != "" {
			return ended, nil
		}
		if p, ok := AsProblem(err); ok && p.Status < 500 && p.Status != http.StatusTooManyRequests {
			return ended, err
		}
		if tries++; ctx.Err() != nil || tries > followTries {
			return ended, errors.Join(ctx.Err(), err)
		}
		select {
		case <-ctx.Done():
			return ended, ctx.Err()
		case <-time.After(wait):
		}
		wait = min(2*wait, longestWait)
	}
}

// followTries is how often in a row a log is dialled in vain before it is given up.
const followTries = 10

func (c *Client) followOnce(ctx context.Context, id string, after *int64, ended *Deploy, handle func(DeployLine)) (err error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	r := call{
		method: http.MethodGet, path: "/api/deploys/" + part(id) + "/log",
		header: http.Header{"Accept": {"text/event-stream"}, "Last-Event-ID": {strconv.FormatInt(*after, 10)}},
	}
	res, err := c.send(ctx, r)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, res.Body.Close()) }()
	dead := time.AfterFunc(silence, cancel)
	defer dead.Stop()
	return readStream(res.Body, func(m message) error {
		dead.Reset(silence)
		switch m.event {
		case "end":
			if err := json.Unmarshal([]byte(m.data), ended); err != nil {
				return fmt.Errorf("read the end of a deploy: %w", err)
			}
			return io.EOF
		case "line", "progress":
			var l DeployLine
			if err := json.Unmarshal([]byte(m.data), &l); err != nil {
				return fmt.Errorf("read a line of a deploy: %w", err)
			}
			if l.Line > 0 {
				*after = l.Line
			}
			handle(l)
		}
		return nil
	})
}

// Deploys lists one page of the deploys of a stage, newest first.
func (c *Client) Deploys(ctx context.Context, stageID string, p Page) (List[Deploy], error) {
	q := url.Values{}
	p.addTo(q)
	var l List[Deploy]
	err := c.do(ctx, call{method: http.MethodGet, path: "/api/stages/" + part(stageID) + "/deploys", query: q}, &l)
	return l, err
}
