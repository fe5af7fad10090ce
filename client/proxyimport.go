package client

import (
	"context"
	"encoding/json"
	"net/http"
)

// ProxyImport is what a document of standalone proxies would change, or has changed.
type ProxyImport struct {
	Applied   bool              `json:"applied"` // false: nothing was written
	Created   int               `json:"created"`
	Changed   int               `json:"changed"`
	Unchanged int               `json:"unchanged"`
	Refused   int               `json:"refused"`
	Items     []ProxyImportItem `json:"items"`
}

// ProxyImportItem is what becomes of one of its proxies.
type ProxyImportItem struct {
	Index   int          `json:"index"`  // from 0
	Action  string       `json:"action"` // create, change, unchanged or refused
	ID      string       `json:"id,omitempty"`
	Name    string       `json:"name"`
	Changed []string     `json:"changed"`
	Errors  []FieldError `json:"errors"`
}

// ExportProxies returns all standalone proxies as one document, without their secrets.
func (c *Client) ExportProxies(ctx context.Context) (json.RawMessage, error) {
	var doc json.RawMessage
	err := c.do(ctx, call{method: http.MethodGet, path: "/api/proxies/export"}, &doc)
	return doc, err
}

// ImportProxies brings the standalone proxies to what a document says, all or none. A dry run writes nothing.
func (c *Client) ImportProxies(ctx context.Context, doc json.RawMessage, dryRun bool) (ProxyImport, error) {
	var p ProxyImport
	err := c.do(ctx, call{method: http.MethodPost, path: "/api/proxies/import", body: map[string]any{"document": doc, "dry_run": dryRun}}, &p)
	return p, err
}
