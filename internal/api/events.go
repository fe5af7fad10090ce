package api

import (
	"context"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/tiny-forge/docker-watcher/internal/store"
)

type eventJSON struct {
	ID         string         `json:"id,omitempty" doc:"absent for chatter, which is streamed and not kept"`
	Time       stamp          `json:"time"`
	Severity   string         `json:"severity" enum:"info,warn,error"`
	Source     string         `json:"source"`
	Kind       string         `json:"kind" doc:"what happened, for programs"`
	Message    string         `json:"message" doc:"what happened, for people"`
	ProjectID  string         `json:"project_id,omitempty"`
	StageID    string         `json:"stage_id,omitempty"`
	InstanceID string         `json:"instance_id,omitempty"`
	HostID     string         `json:"host_id,omitempty"`
	Actor      string         `json:"actor,omitempty"`
	Data       map[string]any `json:"data,omitempty"`
}

func eventOf(e store.Event) eventJSON {
	j := eventJSON{
		Time: stamp(e.Time), Severity: string(e.Severity), Source: string(e.Source), Kind: e.Kind, Message: e.Message,
		ProjectID: e.ProjectID, StageID: e.StageID, InstanceID: e.InstanceID, HostID: e.HostID, Actor: e.Actor, Data: e.Data,
	}
	if e.ID != 0 {
		j.ID = strconv.FormatInt(e.ID, 10)
	}
	return j
}

// EventQuery selects events, in the log and in the stream.
type EventQuery struct {
	Severity []string `query:"severity,explode" maxItems:"3" enum:"info,warn,error"`
	Source   []string `query:"source,explode" maxItems:"20" enum:"scanner,cleaner,deployer,poller,proxy,engine,auth,settings,api,system,notifier"`
	Project  string   `query:"project" maxLength:"100" doc:"id or name"`
	Stage    string   `query:"stage" maxLength:"100" doc:"id, or name together with project"`
	Instance string   `query:"instance" maxLength:"100" doc:"id"`
	Host     string   `query:"host" maxLength:"100" doc:"id"`
	Actor    string   `query:"actor" maxLength:"200" doc:"who did it, such as user:anna, token:ci or system:auto"`
	Text     string   `query:"text" maxLength:"200" doc:"in the message"`
}

// filter reads a query. A project or stage that is gone still has its events, so
// what names none that exists is taken for an id.
func (s *server) eventFilter(ctx context.Context, q EventQuery) (store.EventFilter, error) {
	f := store.EventFilter{ProjectID: q.Project, StageID: q.Stage, InstanceID: q.Instance, HostID: q.Host, Actor: q.Actor, Text: q.Text, Among: visible(ctx)}
	for _, v := range q.Severity {
		f.Severities = append(f.Severities, store.Severity(v))
	}
	for _, v := range q.Source {
		f.Sources = append(f.Sources, store.Source(v))
	}
	var err error
	if f.ProjectID, err = unlessGone(s.projectFilter(ctx, "query.project", q.Project))(q.Project); err != nil {
		return f, err
	}
	f.StageID, err = unlessGone(s.stageFilter(ctx, "query.stage", f.ProjectID, q.Stage))(q.Stage)
	return f, err
}

// unlessGone keeps the text of a filter where nothing of that name exists any more.
func unlessGone(id string, err error) func(asked string) (string, error) {
	return func(asked string) (string, error) {
		if p, ok := err.(*Problem); ok && p.Code == codeInvalid { //nolint:errorlint // it is made right there
			return asked, nil
		}
		return id, err
	}
}

type listEventsIn struct {
	PageQuery
	EventQuery
	EventTimes
}

// EventTimes is a range of time. Its name is exported because fields of an embedded struct are only read then.
type EventTimes struct {
	From time.Time `query:"from" doc:"not before"`
	To   time.Time `query:"to" doc:"before"`
}

// eventsBetween is a filter of the log, which has a range of time.
func (s *server) eventsBetween(ctx context.Context, q EventQuery, at EventTimes) (store.EventFilter, error) {
	f, err := s.eventFilter(ctx, q)
	if err != nil {
		return f, err
	}
	f.From, f.To = at.From, at.To
	if !f.From.IsZero() && !f.To.IsZero() && !f.From.Before(f.To) {
		return f, invalid("query.to", "it must lie after from")
	}
	return f, nil
}

func (s *server) listEvents(ctx context.Context, in *listEventsIn) (*out[list[eventJSON]], error) {
	f, err := s.eventsBetween(ctx, in.EventQuery, in.EventTimes)
	if err != nil {
		return nil, err
	}
	items, next, err := s.d.DB.Events(ctx, f, in.page())
	if err != nil {
		return nil, err
	}
	return answer(listOf(items, next, eventOf)), nil
}

// wanted is the filter of a stream, the same as that of the log.
func wanted(f store.EventFilter) func(store.Event) bool {
	text := strings.ToLower(f.Text)
	return func(e store.Event) bool {
		return f.Among.Has(e.ProjectID) && among(f.Severities, e.Severity) && among(f.Sources, e.Source) &&
			same(f.ProjectID, e.ProjectID) && same(f.StageID, e.StageID) &&
			same(f.InstanceID, e.InstanceID) && same(f.HostID, e.HostID) && same(f.Actor, e.Actor) &&
			(text == "" || strings.Contains(strings.ToLower(e.Message), text))
	}
}

func among[T comparable](wish []T, have T) bool {
	return len(wish) == 0 || slices.Contains(wish, have)
}

func same(wish, have string) bool { return wish == "" || wish == have }
