package client

import (
	"context"
	"net/http"
)

// Finding is how one part of the service is.
type Finding struct {
	Name     string `json:"name"`
	Severity string `json:"severity"` // ok, info, warn, error
	OK       bool   `json:"ok"`       // nothing is wrong: ok or info
	Detail   string `json:"detail,omitempty"`
	Hint     string `json:"hint,omitempty"` // what to do about it
}

// Examination is how all of them are.
type Examination struct {
	Well     bool      `json:"well"`
	Findings []Finding `json:"findings"`
}

// Doctor asks every part now.
func (c *Client) Doctor(ctx context.Context) (Examination, error) {
	var e Examination
	err := c.do(ctx, call{method: http.MethodGet, path: "/api/doctor"}, &e)
	return e, err
}
