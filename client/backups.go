package client

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"time"
)

// Backup is a copy of the store that the service keeps.
type Backup struct {
	Name  string    `json:"name"`
	At    time.Time `json:"at"`
	Bytes int64     `json:"bytes"`
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
func (c *Client) GetBackup(ctx context.Context, name string, w io.Writer) (err error) {
	res, err := c.send(ctx, call{method: http.MethodGet, path: "/api/backups/" + part(name), header: http.Header{"Accept": {"application/gzip"}}})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, res.Body.Close()) }()
	if _, err := io.Copy(w, res.Body); err != nil {
		return fmt.Errorf("read backup %s: %w", name, err)
	}
	return nil
}

// DeleteBackup lets go of one.
func (c *Client) DeleteBackup(ctx context.Context, name string) error {
	return c.do(ctx, call{method: http.MethodDelete, path: "/api/backups/" + part(name)}, nil)
}
