package client

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
)

// ExportEvents copies the events of a filter to w, newest first, whole or with an error. Format is ndjson or csv.
func (c *Client) ExportEvents(ctx context.Context, f EventFilter, format string, w io.Writer) (err error) {
	q := f.query()
	q.Set("format", format)
	res, err := c.send(ctx, call{method: http.MethodGet, path: "/api/events/export", query: q, header: http.Header{"Accept": {"*/*"}}})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, res.Body.Close()) }()
	if _, err := io.Copy(w, res.Body); err != nil {
		return fmt.Errorf("read the event log: %w", err)
	}
	return nil
}
