package client

import (
	"context"
	"net/http"
	"net/url"
	"strconv"
	"time"
)

// HistoryDay is what one day of 24 hours saw, all hosts together.
type HistoryDay struct {
	From       time.Time `json:"from"`
	Stale      *int      `json:"stale"` // at its end, kept ones included; nil: no host was judged yet
	Removed    int       `json:"removed"`
	Bytes      int64     `json:"bytes"` // of the writable layers of the removed; an archive may hold them until it expires
	Images     int       `json:"images"`
	ImageBytes int64     `json:"image_bytes"`
}

// History returns what was stale and what came back on each of so many days (0: 30), the first of which begins at from (zero: so
// that today, in UTC, is the last).
func (c *Client) History(ctx context.Context, from time.Time, days int) ([]HistoryDay, error) {
	q := url.Values{}
	setTime(q, "from", from)
	if days > 0 {
		q.Set("days", strconv.Itoa(days))
	}
	var l struct {
		Items []HistoryDay `json:"items"`
	}
	err := c.do(ctx, call{method: http.MethodGet, path: "/api/history", query: q}, &l)
	return l.Items, err
}
