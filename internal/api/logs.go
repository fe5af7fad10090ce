package api

import (
	"context"
	"errors"
	"reflect"
	"strings"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/tiny-forge/docker-watcher/internal/docker"
	"github.com/tiny-forge/docker-watcher/internal/logs"
	"github.com/tiny-forge/docker-watcher/internal/store"
)

type logsIn struct {
	ByID
	Stream     string `query:"stream" enum:"stdout,stderr" doc:"only this one; absent: both"`
	Tail       int    `query:"tail" minimum:"0" maximum:"100000" doc:"look at the last lines only; 0: at all"`
	Since      string `query:"since" maxLength:"40" doc:"a time, or a span before now such as 10m or 7d"`
	Until      string `query:"until" maxLength:"40" doc:"the same; not with follow"`
	Follow     bool   `query:"follow" doc:"go on with what comes"`
	Timestamps bool   `query:"timestamps" doc:"of text: begin each line with its time"`
	Search     string `query:"search" maxLength:"500" doc:"only lines that hold it"`
	Regex      bool   `query:"regex" doc:"search is a regular expression (RE2)"`
	MatchCase  bool   `query:"match_case" doc:"upper and lower case differ"`
	Download   string `query:"download" enum:"text,gzip" doc:"as a file"`
	Header     string `header:"Last-Event-ID" maxLength:"60" doc:"of a stream: go on after this place; tail and since do not count then"`
	LastID     string `query:"last_event_id" maxLength:"60" doc:"the same, for who cannot set a header"`
}

// logsAsked is what a request for a log comes to.
type logsAsked struct {
	*logsIn
	instance store.InstanceView
	engine   *docker.Engine
	choice   logs.Choice
	from     logs.Place
}

// logs answers the log of an instance: as text line by line, as a file, or to whoever accepts text/event-stream as a
// stream that can be resumed.
func (s *server) logs(ctx context.Context, in *logsIn) (*streamOut, error) {
	v, err := s.d.DB.Instance(ctx, in.ID)
	if err != nil {
		return nil, err
	}
	engine, err := s.engineOf(v)
	if err != nil {
		return nil, err
	}
	asked := logsAsked{logsIn: in, instance: v, engine: engine}
	if asked.choice, err = in.choice(engine.Now()); err != nil {
		return nil, err
	}
	if asked.from, err = in.from(); err != nil {
		return nil, err
	}
	// Asked before the answer begins, so that an engine that is away is a problem and not an empty log.
	if _, err := engine.Inspect(ctx, v.ContainerID); err != nil {
		return nil, err
	}
	return &streamOut{Body: func(hc huma.Context) {
		if in.Download == "" && strings.Contains(hc.Header("Accept"), "text/event-stream") {
			s.streamLogs(hc, asked)
			return
		}
		s.copyLogs(hc, asked)
	}}, nil
}

// logged mounts the log, which has two forms.
func logged(s *server, doc huma.API, op huma.Operation) {
	op.Responses = map[string]*huma.Response{"200": {
		Description: "the lines as they come; with Accept: text/event-stream in messages: lines (LogLines), skipped, stopped, started and the last, end (LogTurn)",
		Content: map[string]*huma.MediaType{
			"text/plain":        {Schema: &huma.Schema{Type: huma.TypeString}},
			"application/gzip":  {Schema: &huma.Schema{Type: huma.TypeString, Format: "binary"}},
			"text/event-stream": {Schema: &huma.Schema{Type: huma.TypeString}},
		},
	}}
	// What the messages hold is in the document for whoever makes types of it.
	doc.OpenAPI().Components.Schemas.Schema(reflect.TypeFor[logLinesJSON](), true, "")
	doc.OpenAPI().Components.Schemas.Schema(reflect.TypeFor[logTurnJSON](), true, "")
	to(s.logs)(s, doc, op)
}

func (in *logsIn) choice(now time.Time) (c logs.Choice, err error) {
	c = logs.Choice{Stdout: in.Stream != "stderr", Stderr: in.Stream != "stdout", Tail: in.Tail}
	if c.Since, err = bound("query.since", in.Since, now); err != nil {
		return c, err
	}
	if c.Until, err = bound("query.until", in.Until, now); err != nil {
		return c, err
	}
	switch {
	case in.Follow && in.Until != "":
		return c, invalid("query.until", "what is followed has no end yet")
	case in.Follow && in.Download != "":
		return c, invalid("query.download", "what is followed is no file")
	case !c.Until.IsZero() && !c.Since.Before(c.Until):
		return c, invalid("query.until", "it must lie after since")
	}
	if c.Search, err = logs.NewSearch(in.Search, in.Regex, in.MatchCase); errors.Is(err, logs.ErrSearch) {
		return c, invalid("query.search", err.Error())
	}
	return c, err
}

// from is the place to go on from. A browser that reconnects sends the header and, still, the query it began with.
func (in *logsIn) from() (logs.Place, error) {
	text, where := in.Header, "header.Last-Event-ID"
	if text == "" {
		text, where = in.LastID, "query.last_event_id"
	}
	p, err := logs.ParsePlace(text)
	if errors.Is(err, logs.ErrPlace) {
		return p, invalid(where, "an id of a stream of this log is expected")
	}
	return p, err
}

// bound reads a time, or a span before now.
func bound(where, text string, now time.Time) (time.Time, error) {
	if text == "" {
		return time.Time{}, nil
	}
	if t, err := time.Parse(time.RFC3339Nano, text); err == nil {
		return t.UTC(), nil
	}
	span, err := store.ParseStaleAfter(text)
	if err != nil || span.Never {
		return time.Time{}, invalid(where, "a time such as 2026-11-23T10:00:00Z, or a span before now such as 10m or 7d, is expected")
	}
	return now.Add(-span.After).UTC(), nil
}
