package client

import (
	"context"
	"io"
	"net/http"
)

// ExportEvents copies the events of a filter to w, newest first, whole or with an error. Format is ndjson or csv.
func (c *Client) ExportEvents(ctx context.Context, f EventFilter, format string, w io.Writer) error {
	q := f.query()
	q.Set("format", format)
	return c.copyTo(ctx, w, "read the event log", call{method: http.MethodGet, path: "/api/events/export", query: q, header: http.Header{"Accept": {"*/*"}}})
}
