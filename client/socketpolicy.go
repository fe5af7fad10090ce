package client

import (
	"context"
	"net/http"
	"net/url"
)

// SocketPolicy is what a proxy before an engine's socket has to let through.
type SocketPolicy struct {
	Features []SocketFeature `json:"features"` // what there is to choose from
	Calls    []EngineCall    `json:"calls"`
}

// SocketFeature is a part of the product by what it asks of an engine.
type SocketFeature struct {
	Name  string `json:"name"`
	Text  string `json:"text"`
	Taken *bool  `json:"taken,omitempty"`  // its calls are among those listed; nil: the daemon is older, and does not tell
	InUse *bool  `json:"in_use,omitempty"` // nil as Taken
	Why   string `json:"why,omitempty"`    // how it is known that it is in use, or is not
}

// EngineCall is one call of an engine's API.
type EngineCall struct {
	Method   string   `json:"method"`
	Path     string   `json:"path"`    // without the version
	Pattern  string   `json:"pattern"` // a regular expression for the path, with or without the version
	Features []string `json:"features"`
}

// WholeSocketPolicy tells all that an engine is ever asked.
func (c *Client) WholeSocketPolicy(ctx context.Context) (SocketPolicy, error) {
	var p SocketPolicy
	err := c.do(ctx, call{method: http.MethodGet, path: "/api/socket-policy", query: url.Values{"all": {"true"}}}, &p)
	return p, err
}

// Told tells whether the daemon says what is let through and what is in use; an older one does not.
func (f SocketFeature) Told() bool { return f.Taken != nil && f.InUse != nil }

// SocketPolicy tells what an engine is asked for some features; none: for those that are in use, and all of them where the daemon is older.
func (c *Client) SocketPolicy(ctx context.Context, features ...string) (SocketPolicy, error) {
	var p SocketPolicy
	err := c.do(ctx, call{method: http.MethodGet, path: "/api/socket-policy", query: url.Values{"feature": features}}, &p)
	return p, err
}
