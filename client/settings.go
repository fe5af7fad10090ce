package client

import (
	"context"
	"net/http"
	"time"
)

// Settings are the global settings.
type Settings struct {
	StaleThresholdDays   int       `json:"stale_threshold_days"`
	ScanInterval         string    `json:"scan_interval"` // auto, or such as 1h
	EventRetentionDays   int       `json:"event_retention_days"`
	ArchiveRetentionDays int       `json:"archive_retention_days"`
	PlanMaxItems         int       `json:"plan_max_items"`
	MassChangePercent    int       `json:"mass_change_percent"`
	AutoCleanup          bool      `json:"auto_cleanup"`
	AutoWarmUp           string    `json:"auto_warm_up"` // such as 1h
	ArchiveLayerMaxBytes int64     `json:"archive_layer_max_bytes"`
	PollInterval         string    `json:"poll_interval"` // such as 5m
	TrustedProxies       string    `json:"trusted_proxies"`
	RefusedTargets       string    `json:"refused_targets"`
	RequireSecondFactor  bool      `json:"require_second_factor"`
	UpdatedAt            time.Time `json:"updated_at,omitzero"`
	// ScanIntervalSeconds is the interval in force.
	ScanIntervalSeconds int64 `json:"scan_interval_seconds"`
}

// Settings returns the global settings.
func (c *Client) Settings(ctx context.Context) (Settings, error) {
	var s Settings
	err := c.do(ctx, call{method: http.MethodGet, path: "/api/settings"}, &s)
	return s, err
}

// UpdateSettings changes the settings that are named; all of them or, if one is wrong, none.
func (c *Client) UpdateSettings(ctx context.Context, change map[string]any) (Settings, error) {
	var s Settings
	err := c.do(ctx, call{method: http.MethodPatch, path: "/api/settings", body: change}, &s)
	return s, err
}
