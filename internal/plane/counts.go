package plane

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"

	"github.com/tiny-forge/docker-watcher/internal/proxy"
)

// getCounts tells what was counted and taken by nobody yet.
func (p *Plane) getCounts(w http.ResponseWriter, _ *http.Request) {
	p.answer(w, http.StatusOK, p.proxy.PendingCounts())
}

// takeCounts gives what was counted away.
func (p *Plane) takeCounts(w http.ResponseWriter, r *http.Request) {
	p.changing.Lock() // what was carried to another plane is for that one to give
	defer p.changing.Unlock()
	if r.Context().Err() != nil {
		return // who asked is gone, and what was counted would be with it
	}
	if p.left() {
		p.refuse(w, http.StatusServiceUnavailable, fault{Error: "another data plane has taken the place", Left: true})
		return
	}
	p.answer(w, http.StatusOK, p.proxy.TakeCounts())
}

// putBackCounts takes figures again that could not be kept.
func (p *Plane) putBackCounts(w http.ResponseWriter, r *http.Request) {
	var counts []proxy.Count
	if err := json.NewDecoder(io.LimitReader(r.Body, tableLimit)).Decode(&counts); err != nil {
		p.refuse(w, http.StatusBadRequest, fault{Error: "read the counts: " + err.Error()})
		return
	}
	p.proxy.PutBack(counts)
	p.answer(w, http.StatusOK, struct{}{})
}

// TakeCounts takes what the plane has counted since it was taken last; nothing while it cannot be reached. What is lost on the way is not counted.
func (c *Client) TakeCounts() []proxy.Count {
	var taken []proxy.Count
	if c.Status().Away == "" {
		ctx, cancel := within(callLimit)
		defer cancel()
		if err := c.call(ctx, http.MethodPost, pathTakeCounts, nil, &taken); err != nil {
			taken = nil // they are there the next time
		}
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	taken, c.owed = append(taken, c.owed...), nil
	return taken
}

// PutBack returns figures that could not be kept; those that the plane cannot be told are kept here.
func (c *Client) PutBack(counts []proxy.Count) {
	ctx, cancel := within(callLimit)
	defer cancel()
	if err := c.putBack(ctx, counts); err != nil {
		c.mu.Lock()
		defer c.mu.Unlock()
		c.owed = append(c.owed, counts...)
	}
}

func (c *Client) putBack(ctx context.Context, counts []proxy.Count) error {
	text, err := json.Marshal(counts)
	if err != nil {
		return fmt.Errorf("write the counts: %w", err)
	}
	var done struct{}
	return c.call(ctx, http.MethodPost, pathCounts, text, &done)
}

// PendingCounts are the figures that nobody has taken yet, as far as the plane can be asked.
func (c *Client) PendingCounts() []proxy.Count {
	var pending []proxy.Count
	if c.Status().Away == "" {
		ctx, cancel := within(dialLimit)
		defer cancel()
		if err := c.call(ctx, http.MethodGet, pathCounts, nil, &pending); err != nil {
			pending = nil // what is kept is told
		}
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	return append(pending, c.owed...)
}
