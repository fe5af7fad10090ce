package client

import (
	"context"
	"net/http"
	"time"
)

// TagRule says which tags a stage follows.
type TagRule struct {
	Kind        string   `json:"kind"`                   // exact | glob | regex | semver | moving
	Pattern     string   `json:"pattern"`                // the tag, the glob, the regular expression or the range
	PreReleases bool     `json:"pre_releases,omitempty"` // of semver
	Order       string   `json:"order,omitempty"`        // of glob and regex: semver | natural | date | created; empty: natural
	Ignore      []string `json:"ignore,omitempty"`       // globs of tags that never match
}

// StagePoll is what asking its registry last brought for a stage.
type StagePoll struct {
	LastAt      time.Time `json:"last_at"`
	NextAt      time.Time `json:"next_at"`         // zero: in the next round
	Error       string    `json:"error,omitempty"` // why the registry could not be asked
	Since       time.Time `json:"since"`           // since when it could not
	NewestTag   string    `json:"newest_tag,omitempty"`
	ReadyTag    string    `json:"ready_tag,omitempty"`
	ReadyDigest string    `json:"ready_digest,omitempty"`
	Why         string    `json:"why,omitempty"`
}

// TriedTag is what a rule says of one tag.
type TriedTag struct {
	Tag       string    `json:"tag"`
	Matched   bool      `json:"matched"`
	Why       string    `json:"why"`
	Version   string    `json:"version,omitempty"`
	CreatedAt time.Time `json:"created_at"` // zero: not asked for
	Ready     bool      `json:"ready"`
}

// RuleTrial is what a rule would make of the tags that there are.
type RuleTrial struct {
	Image       string     `json:"image"`
	TagRule     TagRule    `json:"tag_rule"`
	MinImageAge string     `json:"min_image_age"`
	Asked       bool       `json:"asked"` // the registry was asked
	Considered  int        `json:"considered"`
	Matched     int        `json:"matched"`
	Items       []TriedTag `json:"items"` // those that match first, the newest first; not all where there are very many
	NewestTag   string     `json:"newest_tag,omitempty"`
	ReadyTag    string     `json:"ready_tag,omitempty"`
	ReadyDigest string     `json:"ready_digest,omitempty"`
	ReadyAt     time.Time  `json:"ready_at"` // when the newest will be old enough
	Why         string     `json:"why"`
	Act         string     `json:"act,omitempty"` // nothing | tell | deploy: what the stage would make of it now
	Decision    string     `json:"decision,omitempty"`
}

// RuleTry is a rule to be tried on a stage. What is nil is the stage's own.
type RuleTry struct {
	TagRule     *TagRule  `json:"tag_rule,omitempty"`
	MinImageAge string    `json:"min_image_age,omitempty"`
	Tags        *[]string `json:"tags,omitempty"`   // nil: those that the registry has
	Recent      bool      `json:"recent,omitempty"` // what the registry said within the last minute is good enough
}

// TryRule tells what a rule would make of the tags that there are; nothing is written.
func (c *Client) TryRule(ctx context.Context, stageID string, try RuleTry) (RuleTrial, error) {
	var t RuleTrial
	err := c.do(ctx, call{method: http.MethodPost, path: "/api/stages/" + part(stageID) + "/rule/try", body: try}, &t)
	return t, err
}

// TryNewRule tells the same for a stage of a project that is yet to be made. Of the try the rule, the age and Recent count.
func (c *Client) TryNewRule(ctx context.Context, project string, try RuleTry) (RuleTrial, error) {
	var t RuleTrial
	err := c.do(ctx, call{method: http.MethodPost, path: "/api/projects/" + part(project) + "/rule/try", body: try}, &t)
	return t, err
}
