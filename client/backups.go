package client

import (
	"context"
	"io"
	"net/http"
	"time"
)

// Backup is a copy of the store that the service keeps.
type Backup struct {
	Name  string    `json:"name"`
	At    time.Time `json:"at"`
	Bytes int64     `json:"bytes"`
	// RestoreCommand puts it back, on the machine of the service once that is stopped.
	RestoreCommand string `json:"restore_command"`
}

// Backups are those that are there, newest first.
func (c *Client) Backups(ctx context.Context) ([]Backup, error) {
	var l List[Backup]
	err := c.do(ctx, call{method: http.MethodGet, path: "/api/backups"}, &l)
	return l.Items, err
}

// MakeBackup makes one now and waits until it is checked.
func (c *Client) MakeBackup(ctx context.Context) (Backup, error) {
	var b Backup
	err := c.do(ctx, call{method: http.MethodPost, path: "/api/backups"}, &b)
	return b, err
}

// GetBackup copies a backup to w, whole or with an error.
func (c *Client) GetBackup(ctx context.Context, name string, w io.Writer) error {
	return c.copyTo(ctx, w, "read backup "+name, call{method: http.MethodGet, path: "/api/backups/" + part(name), header: http.Header{"Accept": {"application/gzip"}}})
}

// DeleteBackup lets go of one.
func (c *Client) DeleteBackup(ctx context.Context, name string) error {
	return c.do(ctx, call{method: http.MethodDelete, path: "/api/backups/" + part(name)}, nil)
}
