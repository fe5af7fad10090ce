package notify

import (
	"context"
	"errors"
	"time"

	"github.com/tiny-forge/docker-watcher/internal/store"
)

// mostShown is how many of its events a message shows one by one.
const mostShown = 50

// View is what a template sees of a message.
type View struct {
	ID       string         // of the message: the same in each attempt
	Test     bool           // somebody tries the channel
	Severity string         // the worst of its events: info, warn or error
	Count    int            // how many events it tells of
	Counts   map[string]int // of the shown ones, by severity
	More     int            // of them that are not in Events
	Events   []EventView    // oldest first, at most 50
}

// EventView is one event in a View. Names are empty where the event is about nothing of that sort, or it is gone.
type EventView struct {
	ID       int64
	Time     time.Time // UTC
	Severity string
	Source   string
	Kind     string
	Message  string
	Project  string
	Stage    string
	Instance string // the name of its container
	Host     string
	Actor    string
	Data     map[string]any
}

// First is the oldest event that is shown.
func (v View) First() EventView {
	if len(v.Events) == 0 {
		return EventView{}
	}
	return v.Events[0]
}

// view reads what a message tells of.
func (n *Notifier) view(ctx context.Context, m store.Message) (View, error) {
	evs, err := n.db.MessageEvents(ctx, m.ID, mostShown)
	if err != nil {
		return View{}, err
	}
	v, err := n.viewOf(ctx, evs)
	v.ID, v.Severity, v.Count = m.ID, string(m.Severity), m.Events
	v.More = max(0, m.Events-len(v.Events))
	return v, err
}

// viewOf shows events with the names of what they are about.
func (n *Notifier) viewOf(ctx context.Context, evs []store.Event) (View, error) {
	v := View{Count: len(evs), Counts: map[string]int{}, Severity: string(store.SeverityInfo)}
	names := names{db: n.db, known: map[string]string{}}
	for _, e := range evs {
		ev := EventView{
			ID: e.ID, Time: e.Time.UTC(), Severity: string(e.Severity), Source: string(e.Source), Kind: e.Kind, Message: e.Message,
			Actor: e.Actor, Data: e.Data,
		}
		for _, name := range []struct {
			to   *string
			id   string
			read func(context.Context, string) (string, error)
		}{
			{&ev.Project, e.ProjectID, names.project},
			{&ev.Stage, e.StageID, names.stage},
			{&ev.Instance, e.InstanceID, names.instance},
			{&ev.Host, e.HostID, names.host},
		} {
			var err error
			if *name.to, err = names.of(ctx, name.id, name.read); err != nil {
				return View{}, err
			}
		}
		v.Events = append(v.Events, ev)
		v.Counts[ev.Severity]++
		v.Severity = string(worse(store.Severity(v.Severity), e.Severity))
	}
	return v, nil
}

// names looks each name up once.
type names struct {
	db    *store.DB
	known map[string]string
}

func (n names) of(ctx context.Context, id string, read func(context.Context, string) (string, error)) (string, error) {
	if name, is := n.known[id]; is || id == "" {
		return name, nil
	}
	name, err := read(ctx, id)
	if err != nil && !errors.Is(err, store.ErrNotFound) {
		return "", err
	}
	n.known[id] = name
	return name, nil
}

func (n names) project(ctx context.Context, id string) (string, error) {
	p, err := n.db.Project(ctx, id)
	return p.Name, err
}

func (n names) stage(ctx context.Context, id string) (string, error) {
	s, err := n.db.Stage(ctx, id)
	return s.Name, err
}

func (n names) instance(ctx context.Context, id string) (string, error) {
	i, err := n.db.Instance(ctx, id)
	return i.Name, err
}

func (n names) host(ctx context.Context, id string) (string, error) {
	h, err := n.db.Host(ctx, id)
	return h.Name, err
}

// testView is what a test message tells of.
func testView(id string, now time.Time) View {
	return View{ID: id, Test: true, Severity: string(store.SeverityInfo), Count: 1, Counts: map[string]int{"info": 1}, Events: []EventView{{
		Time: now, Severity: string(store.SeverityInfo), Source: string(store.SourceNotifier), Kind: "channel.tested",
		Message: "this is a test message of docker-watcher: the channel works", Actor: "system",
	}}}
}
