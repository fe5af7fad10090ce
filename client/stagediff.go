package client

import (
	"context"
	"net/http"
	"net/url"
)

// StageDiff is what a deploy to a stage would change.
type StageDiff struct {
	StageID   string         `json:"stage_id"`
	Image     string         `json:"image"`         // the repository that is wanted
	Tag       string         `json:"tag,omitempty"` // compared with; empty: that of each instance
	Instances []InstanceDiff `json:"instances"`     // those that have a process
}

// InstanceDiff is how one instance differs from what is wanted.
type InstanceDiff struct {
	ID          string       `json:"id"`
	Name        string       `json:"name"`
	Status      string       `json:"status"`
	ImageTag    string       `json:"image_tag"`
	Unsure      string       `json:"unsure,omitempty"` // why its engine could not be asked
	Differences []Difference `json:"differences"`
}

// Difference is one part in which what runs is not what is wanted.
type Difference struct {
	Field   string `json:"field"`
	Name    string `json:"name,omitempty"`
	Change  string `json:"change"` // added | removed | changed
	Running string `json:"running,omitempty"`
	Wanted  string `json:"wanted,omitempty"`
	Secret  bool   `json:"secret,omitempty"` // its values are not shown
}

// DiffStage compares what runs with what the stage wants, at a tag; empty: the one that is ready, or that of each instance.
func (c *Client) DiffStage(ctx context.Context, id, tag string) (StageDiff, error) {
	q := url.Values{}
	setText(q, "tag", tag)
	var d StageDiff
	err := c.do(ctx, call{method: http.MethodGet, path: "/api/stages/" + part(id) + "/diff", query: q}, &d)
	return d, err
}
