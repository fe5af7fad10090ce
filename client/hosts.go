package client

import (
	"context"
	"net/http"
	"net/url"
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
	ReachedBy        ReachedBy       `json:"reached_by"`
	Managed          bool            `json:"managed"` // it is the host of --docker-host
	DisabledSince    time.Time       `json:"disabled_since,omitzero"`
	Revision         int64           `json:"revision"`
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
	AutoHeld         string          `json:"auto_held,omitempty"` // why automatic cleanup does nothing there
	AutoHeldSince    time.Time       `json:"auto_held_since,omitzero"`
	KnownSince       time.Time       `json:"known_since"` // nobody watched it before
	Uses             HostUses        `json:"uses"`
	BlindIntervals   []BlindInterval `json:"blind_intervals"`
}

// HostUses counts what names a host; while anything does, it cannot be removed.
type HostUses struct {
	Instances int `json:"instances"`
	Stages    int `json:"stages"`
	Archives  int `json:"archives"`
	Plans     int `json:"plans"`
	UnderWay  int `json:"under_way"` // deploys, and cleanups and restores that have not ended
}

// BlindInterval is a stretch of time in which a host could not be judged.
type BlindInterval struct {
	From   time.Time `json:"from"`
	To     time.Time `json:"to,omitzero"` // zero: still blind
	Reason string    `json:"reason"`
	Detail string    `json:"detail,omitempty"`
}

// BlindSpan is a stretch of an instance's age in which nobody watched.
type BlindSpan struct {
	From   time.Time `json:"from"`
	To     time.Time `json:"to,omitzero"` // zero: still blind
	Reason string    `json:"reason"`
}

// BlindLedger is all the time in which a host could not be judged, within From and To.
type BlindLedger struct {
	From     time.Time        `json:"from"`
	To       time.Time        `json:"to"`
	Seconds  int64            `json:"seconds"`
	ByReason map[string]int64 `json:"by_reason"` // seconds
	Items    []BlindEntry     `json:"items"`     // newest first
}

// BlindEntry is one interval of the ledger.
type BlindEntry struct {
	BlindInterval
	Seconds int64 `json:"seconds"` // within the ledger's From and To
}

// Blind returns the ledger of a host; zero times are the last 30 days and now.
func (c *Client) Blind(ctx context.Context, hostID string, since, until time.Time) (BlindLedger, error) {
	q := url.Values{}
	setTime(q, "since", since)
	setTime(q, "until", until)
	var l BlindLedger
	err := c.do(ctx, call{method: http.MethodGet, path: "/api/hosts/" + part(hostID) + "/blind", query: q}, &l)
	return l, err
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
