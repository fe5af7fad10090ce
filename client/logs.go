package client

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"time"
)

// LogOptions select lines of a log.
type LogOptions struct {
	Follow     bool
	Stream     string // stdout | stderr; empty: both
	Tail       int    // only the last lines are looked at; 0: all
	Since      time.Time
	Until      time.Time // not with Follow
	Timestamps bool      // of text only
	Search     string
	Regex      bool // Search is a regular expression (RE2)
	MatchCase  bool
}

func (o LogOptions) query() url.Values {
	q := url.Values{}
	if o.Tail > 0 {
		q.Set("tail", strconv.Itoa(o.Tail))
	}
	setText(q, "stream", o.Stream)
	setTime(q, "since", o.Since)
	setTime(q, "until", o.Until)
	setText(q, "search", o.Search)
	for name, set := range map[string]bool{"follow": o.Follow, "timestamps": o.Timestamps, "regex": o.Regex, "match_case": o.MatchCase} {
		if set {
			q.Set(name, "true")
		}
	}
	return q
}

// Logs copies the log of an instance as text to w until it ends or ctx does.
func (c *Client) Logs(ctx context.Context, id string, o LogOptions, w io.Writer) error {
	return c.copyTo(ctx, w, "read the log of "+id, call{
		method: http.MethodGet, path: "/api/instances/" + part(id) + "/logs", query: o.query(),
		header: http.Header{"Accept": {"text/plain"}},
	})
}

// LogLine is one line of a log.
type LogLine struct {
	Stream string    `json:"stream"` // stdout | stderr
	Time   time.Time `json:"time"`
	Text   string    `json:"text"`
	Cut    int64     `json:"cut,omitempty"` // bytes of a very long line that are left out
}

// LogTurn is what happens to a log beside its lines.
type LogTurn struct {
	Kind       string    `json:"kind"` // skipped | stopped | started; the last: read | ended | gone
	Text       string    `json:"text"` // for people
	Lines      int64     `json:"lines,omitempty"`
	ExitCode   int       `json:"exit_code"`
	OOMKilled  bool      `json:"oom_killed"`
	FinishedAt time.Time `json:"finished_at,omitzero"`
	StartedAt  time.Time `json:"started_at,omitzero"`
}

// LogTally is how many lines were looked at, and how many of them hold what was searched for.
type LogTally struct {
	Looked  int64 `json:"looked"`
	Matched int64 `json:"matched"`
}

// LogHandler is told of a log, from one goroutine; what is nil is not told.
type LogHandler struct {
	Line func(LogLine) error // an error ends the reading and is its answer
	Turn func(LogTurn)       // the last one is the answer of ReadLog instead
	// Disconnected is told why a connection ended before the next is tried.
	Disconnected func(error)
}

// ReadLog tells the lines of an instance until its log ends, and returns the last turn with how much was looked at. A
// connection that breaks is dialled anew and resumed without a gap and without a double, for as long as ctx lives.
func (c *Client) ReadLog(ctx context.Context, id string, o LogOptions, h LogHandler) (LogTurn, LogTally, error) {
	r := logReading{client: c, id: id, options: o, handler: h, wait: firstWait}
	for {
		err := r.once(ctx)
		if r.last.Kind != "" {
			return r.last, r.tally(), nil
		}
		var stop *stopError
		switch {
		case errors.As(err, &stop):
			return r.last, r.tally(), stop.error
		case ctx.Err() != nil:
			return r.last, r.tally(), ctx.Err()
		}
		if p, ok := AsProblem(err); ok && p.Status < 500 && p.Status != http.StatusTooManyRequests {
			return r.last, r.tally(), err // to ask again would change nothing
		}
		if !o.Follow && !r.connected {
			return r.last, r.tally(), err
		}
		if h.Disconnected != nil {
			h.Disconnected(err)
		}
		select {
		case <-ctx.Done():
			return r.last, r.tally(), ctx.Err()
		case <-time.After(r.wait):
		}
		r.wait = min(2*r.wait, longestWait)
	}
}

// logReading is one ReadLog, over several connections.
type logReading struct {
	client    *Client
	id        string
	options   LogOptions
	handler   LogHandler
	place     string
	connected bool // ever
	wait      time.Duration
	last      LogTurn
	before    LogTally // of the connections before
	now       LogTally
}

func (r *logReading) tally() LogTally {
	return LogTally{Looked: r.before.Looked + r.now.Looked, Matched: r.before.Matched + r.now.Matched}
}

func (r *logReading) once(ctx context.Context) (err error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	asked := call{
		method: http.MethodGet, path: "/api/instances/" + part(r.id) + "/logs", query: r.options.query(),
		header: http.Header{"Accept": {"text/event-stream"}},
	}
	if r.place != "" {
		asked.header.Set("Last-Event-ID", r.place)
	}
	res, err := r.client.send(ctx, asked)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, res.Body.Close()) }()
	r.connected, r.before, r.now = true, r.tally(), LogTally{}
	dead := time.AfterFunc(silence, cancel)
	defer dead.Stop()
	return readStream(res.Body, func(m message) error {
		dead.Reset(silence)
		r.wait = firstWait
		if err := r.take(m); err != nil {
			return err
		}
		if m.id != "" {
			r.place = m.id
		}
		return nil
	})
}

func (r *logReading) take(m message) error {
	switch m.event {
	case "lines":
		var batch struct {
			Lines []LogLine `json:"lines"`
			LogTally
		}
		if err := json.Unmarshal([]byte(m.data), &batch); err != nil {
			return fmt.Errorf("read lines of a log: %w", err)
		}
		r.now = batch.LogTally
		for _, l := range batch.Lines {
			if r.handler.Line == nil {
				break
			}
			if err := r.handler.Line(l); err != nil {
				return &stopError{err}
			}
		}
	case "skipped", "stopped", "started", "end":
		var t LogTurn
		if err := json.Unmarshal([]byte(m.data), &t); err != nil {
			return fmt.Errorf("read a turn of a log: %w", err)
		}
		if m.event == "end" {
			r.last = t
		} else if r.handler.Turn != nil {
			r.handler.Turn(t)
		}
	}
	return nil
}
