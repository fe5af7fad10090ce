package client

import (
	"context"
	"net/http"
	"time"
)

// Host is one Docker engine and how well we see it.
type Host struct {
	ID               string          `json:"id"`
	Name             string          `json:"name"`
	Endpoint         string          `json:"endpoint"`
	EngineID         string          `json:"engine_id,omitempty"`
	DataRoot         string          `json:"data_root,omitempty"`
	Version          string          `json:"version,omitempty"`
	APIVersion       string          `json:"api_version,omitempty"` // negotiated
	OS               string          `json:"os,omitempty"`
	Arch             string          `json:"arch,omitempty"`
	Reachable        bool            `json:"reachable"`
	Error            string          `json:"error,omitempty"`
	Hint             string          `json:"hint,omitempty"`
	ClockSkewMS      int64           `json:"clock_skew_ms"`
	StreamAgeSeconds int64           `json:"stream_age_seconds"` // the event stream is unbroken since; 0: down
	LastScanAt       time.Time       `json:"last_scan_at,omitzero"`
	LastGoodScanAt   time.Time       `json:"last_good_scan_at,omitzero"`
	Frozen           bool            `json:"frozen"`
	FrozenSince      time.Time       `json:"frozen_since,omitzero"`
	FrozenReason     string          `json:"frozen_reason,omitempty"`
	BlindIntervals   []BlindInterval `json:"blind_intervals"`
}

// BlindInterval is a stretch of time in which a host could not be judged.
type BlindInterval struct {
	From   time.Time `json:"from"`
	To     time.Time `json:"to,omitzero"` // zero: still blind
	Reason string    `json:"reason"`
	Detail string    `json:"detail,omitempty"`
}

// Hosts lists the hosts, each asked now.
func (c *Client) Hosts(ctx context.Context) ([]Host, error) {
	var l List[Host]
	err := c.do(ctx, call{method: http.MethodGet, path: "/api/hosts"}, &l)
	return l.Items, err
}

// Host returns one, asked now.
func (c *Client) Host(ctx context.Context, id string) (Host, error) {
	var h Host
	err := c.do(ctx, call{method: http.MethodGet, path: "/api/hosts/" + part(id)}, &h)
	return h, err
}

// AcceptHost ends the freeze of a host by an admin's word.
func (c *Client) AcceptHost(ctx context.Context, id string) (Host, error) {
	var h Host
	err := c.do(ctx, call{method: http.MethodPost, path: "/api/hosts/" + part(id) + "/accept"}, &h)
	return h, err
}
