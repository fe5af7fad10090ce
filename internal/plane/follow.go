package plane

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"time"
)

// longestPause is between two attempts to come to a plane that is away.
const longestPause = 2 * time.Second

// Run hears the news of the plane until ctx ends, and comes back to it whenever it was away.
func (c *Client) Run(ctx context.Context) error {
	c.keepUp(ctx)
	return nil
}

func (c *Client) keepUp(ctx context.Context) {
	gone := time.Now() // since when it cannot be reached
	told := false
	wait := retryPause
	for ctx.Err() == nil {
		err := c.follow(ctx, func(h Hello) {
			gone, wait = time.Time{}, retryPause
			c.o.Came(h, told)
			told = false
		})
		if gone.IsZero() {
			gone = time.Now() // it ended, or another one takes its place: that is come to at once
			continue
		}
		if ctx.Err() != nil {
			break
		}
		late := time.Since(gone) >= comeback
		if late || !errors.Is(err, ErrAway) {
			c.lose(err)
		}
		if late && !told {
			told = true
			c.o.Went(err.Error())
		}
		if !pause(ctx, wait) {
			break
		}
		wait = min(2*wait, longestPause)
	}
}

// follow comes to the plane and hears its news until it ends.
func (c *Client) follow(ctx context.Context, came func(Hello)) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	alive := time.AfterFunc(callLimit, cancel)
	defer alive.Stop()
	resp, err := c.send(ctx, http.MethodGet, pathStream, nil)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	lines := json.NewDecoder(resp.Body)
	for {
		var n news
		if err := lines.Decode(&n); err != nil {
			return c.away(err)
		}
		alive.Reset(silence)
		if n.Hello != nil {
			// The plane before, which is about to end, may be whom this comes to. Who gives up here loses the news that are under way.
			if err := c.insist(ctx, func() error { return c.meet(ctx, *n.Hello) }); err != nil {
				return err
			}
			came(c.Status().Hello)
		}
		if n.Flip != nil {
			c.o.Flipped(*n.Flip)
		}
		if n.Missed != "" {
			c.o.Missed(n.Missed)
		}
		if n.Certificate != nil {
			c.o.Certificate(*n.Certificate)
		}
	}
}
