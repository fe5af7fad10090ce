package client

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"
)

const (
	// silence is how long a stream may say nothing, not even a heartbeat (15 s),
	// before it is taken for dead and dialled anew.
	silence = 45 * time.Second
	// The wait before a stream is dialled anew doubles up to longestWait.
	firstWait   = 500 * time.Millisecond
	longestWait = 10 * time.Second
	maxLine     = 1 << 20
)

// StreamOptions say what a stream starts with.
type StreamOptions struct {
	Filter EventFilter
	// After is the id of the last event that was seen: everything kept since then
	// is told first. Empty: from now on.
	After string
	// Once ends Stream when the connection does, instead of dialling anew.
	Once bool
	// Connected is called after each (re)connection, if set.
	Connected func()
	// Disconnected is told why a connection ended before the next is tried, if set.
	Disconnected func(error)
}

// Stream calls handle for each event, in order, until ctx ends or handle returns an
// error, which it returns. A connection that breaks is dialled anew and resumed after
// the last kept event, without a gap and without a double.
func (c *Client) Stream(ctx context.Context, o StreamOptions, handle func(Event) error) error {
	after, wait := o.After, firstWait
	for {
		err := c.streamOnce(ctx, o, &after, func() { wait = firstWait }, handle)
		var stop *stopError
		switch {
		case errors.As(err, &stop):
			return stop.error
		case ctx.Err() != nil:
			return ctx.Err()
		case o.Once:
			return err
		}
		if p, ok := AsProblem(err); ok && p.Status < 500 && p.Status != http.StatusTooManyRequests {
			return err // to ask again would change nothing
		}
		if o.Disconnected != nil {
			o.Disconnected(err)
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(wait):
		}
		wait = min(2*wait, longestWait)
	}
}

// stopError carries what the caller's own handle returned.
type stopError struct{ error }

func (c *Client) streamOnce(ctx context.Context, o StreamOptions, after *string, connected func(), handle func(Event) error) (err error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	r := call{
		method: http.MethodGet, path: "/api/events/stream", query: o.Filter.query(),
		header: http.Header{"Accept": {"text/event-stream"}},
	}
	if *after != "" {
		r.header.Set("Last-Event-ID", *after)
	}
	res, err := c.send(ctx, r)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, res.Body.Close()) }()
	connected()
	if o.Connected != nil {
		o.Connected()
	}

	dead := time.AfterFunc(silence, cancel)
	defer dead.Stop()
	return readStream(res.Body, func(m message) error {
		dead.Reset(silence)
		if m.id != "" {
			*after = m.id
		}
		if m.event != "event" {
			return nil
		}
		var e Event
		if err := json.Unmarshal([]byte(m.data), &e); err != nil {
			return fmt.Errorf("read an event: %w", err)
		}
		if err := handle(e); err != nil {
			return &stopError{err}
		}
		return nil
	})
}

// message is one message of a text/event-stream.
type message struct{ id, event, data string }

// readStream calls each for every message until the stream ends, which is io.EOF.
func readStream(r io.Reader, each func(message) error) error {
	lines := bufio.NewScanner(r)
	lines.Buffer(make([]byte, 0, 4096), maxLine)
	var m message
	for lines.Scan() {
		line := lines.Text()
		if line == "" {
			if m != (message{}) {
				if err := each(m); err != nil {
					return err
				}
			}
			m = message{}
			continue
		}
		name, value, _ := strings.Cut(line, ":")
		value = strings.TrimPrefix(value, " ")
		switch name {
		case "id":
			m.id = value
		case "event":
			m.event = value
		case "data":
			if m.data != "" {
				m.data += "\n"
			}
			m.data += value
		}
	}
	if err := lines.Err(); err != nil {
		return fmt.Errorf("read the stream: %w", err)
	}
	return io.EOF
}
