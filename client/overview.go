package client

import (
	"context"
	"net/http"
	"time"
)

// Overview is what somebody wants to know in the morning.
type Overview struct {
	Stale         int            `json:"stale"`       // all, kept ones included
	Kept          int            `json:"kept"`        // of those, protected
	StaleBytes    int64          `json:"stale_bytes"` // known to come back with a cleanup of what is not kept
	ByAge         []AgeBucket    `json:"by_age"`
	ByProject     []ProjectStale `json:"by_project"` // most first
	Archives      int            `json:"archives"`
	ArchiveBytes  int64          `json:"archive_bytes"`
	FailedDeploys []Deploy       `json:"failed_deploys"` // of the last day, newest first
	Hosts         []OverviewHost `json:"hosts"`
	LastScanAt    time.Time      `json:"last_scan_at,omitzero"` // the oldest last good scan of all hosts
	NextScanAt    time.Time      `json:"next_scan_at,omitzero"`
	ScanOverdue   bool           `json:"scan_overdue"`
	AutoCleanup   bool           `json:"auto_cleanup"`
	NextPlan      *PlanSummary   `json:"next_plan"` // the next automatic plan that waits for its moment
	Leftovers     int            `json:"leftovers"`
}

// AgeBucket counts stale instances that are not kept by how long ago they were last alive.
type AgeBucket struct {
	FromDays int `json:"from_days"`
	ToDays   int `json:"to_days,omitempty"` // 0: no end
	Count    int `json:"count"`
}

// ProjectStale counts the stale instances of one project.
type ProjectStale struct {
	ProjectID string `json:"project_id"`
	Project   string `json:"project"`
	Count     int    `json:"count"`
	Bytes     int64  `json:"bytes"`
}

// OverviewHost says how well a host is seen, without asking it.
type OverviewHost struct {
	ID             string    `json:"id"`
	Name           string    `json:"name"`
	LastGoodScanAt time.Time `json:"last_good_scan_at,omitzero"`
	BlindSince     time.Time `json:"blind_since,omitzero"`
	BlindReason    string    `json:"blind_reason,omitempty"`
	FrozenSince    time.Time `json:"frozen_since,omitzero"`
	FrozenReason   string    `json:"frozen_reason,omitempty"`
	AutoHeld       string    `json:"auto_held,omitempty"` // why automatic cleanup does nothing there
	AutoHeldSince  time.Time `json:"auto_held_since,omitzero"`
}

// Overview returns the figures of the overview.
func (c *Client) Overview(ctx context.Context) (Overview, error) {
	var o Overview
	err := c.do(ctx, call{method: http.MethodGet, path: "/api/overview"}, &o)
	return o, err
}
