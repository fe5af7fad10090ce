package api

import (
	"context"
	"strconv"

	"github.com/danielgtaylor/huma/v2"

	"github.com/tiny-forge/docker-watcher/internal/events"
	"github.com/tiny-forge/docker-watcher/internal/store"
)

type streamEventsIn struct {
	EventQuery
	Header string `header:"Last-Event-ID" maxLength:"20" doc:"resume after this event"`
	Query  string `query:"last_event_id" maxLength:"20" doc:"the same, for the first connection of a browser"`
}

// after is the id to resume after; ok is false where there is none.
func (in *streamEventsIn) after() (id int64, ok bool, err error) {
	// A browser that reconnects sends the header and, still, the query it began with.
	text, where := in.Header, "header.Last-Event-ID"
	if text == "" {
		text, where = in.Query, "query.last_event_id"
	}
	if text == "" {
		return 0, false, nil
	}
	id, err = strconv.ParseInt(text, 10, 64)
	if err != nil || id < 0 {
		return 0, false, invalid(where, "an id of an event is expected")
	}
	return id, true, nil
}

// streamEvents sends events as they happen. It begins with a message "hello" that
// carries the id of where the stream stands, so that even a reader who saw no event yet
// can resume; "ping" comes every 15 seconds; events are messages "event", and those
// that are kept carry their id.
func (s *server) streamEvents(ctx context.Context, in *streamEventsIn) (*streamOut, error) {
	after, resume, err := in.after()
	if err != nil {
		return nil, err
	}
	f, err := s.eventFilter(ctx, in.EventQuery)
	if err != nil {
		return nil, err
	}
	if !resume {
		if after, err = s.d.DB.LastEventID(ctx); err != nil {
			return nil, err
		}
	}
	return &streamOut{Body: func(hc huma.Context) { s.copyEvents(hc, after, wanted(f)) }}, nil
}

func (s *server) copyEvents(hc huma.Context, after int64, wanted func(store.Event) bool) {
	s.stream(hc, "event stream", func(ctx context.Context, f *feed) error {
		if err := f.message(strconv.FormatInt(after, 10), "hello", map[string]string{"version": s.d.Version}); err != nil {
			return err
		}
		send := func(e store.Event) error {
			id := ""
			if e.ID != 0 {
				id = strconv.FormatInt(e.ID, 10)
			}
			return f.message(id, "event", eventOf(e))
		}
		return events.Replay(ctx, s.d.DB, s.d.Bus, after, wanted, send, f.beat)
	})
}
