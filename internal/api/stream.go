package api

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strconv"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humago"

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
	r, w := humago.Unwrap(hc)
	ctx, cancel := s.untilStopping(r.Context())
	defer cancel()
	h := w.Header()
	h.Set("Content-Type", "text/event-stream")
	h.Set("Cache-Control", "no-store")
	h.Set("X-Accel-Buffering", "no")
	w.WriteHeader(http.StatusOK)

	out := newSteadyWriter(w)
	defer out.finish()
	err := out.message(after, "hello", map[string]string{"version": s.d.Version})
	if err == nil {
		// A session may end while its stream is open, so the caller is asked for anew now and then.
		check := s.stillAdmitted(r)
		err = events.Replay(ctx, s.d.DB, s.d.Bus, after, wanted,
			func(e store.Event) error { return out.message(e.ID, "event", eventOf(e)) },
			func() error {
				if err := check(); err != nil {
					return err
				}
				return out.message(0, "ping", struct{}{})
			})
	}
	switch {
	case ctx.Err() != nil, errors.Is(err, errReaderGone), errors.Is(err, events.ErrClosed), errors.Is(err, errSignedOut):
	case errors.Is(err, events.ErrLagged):
		s.log.InfoContext(ctx, "slow listener was dropped, it can resume", "addr", r.RemoteAddr)
	case err != nil:
		s.log.ErrorContext(ctx, "event stream broke off", "error", err)
	}
}

var errSignedOut = errors.New("signed out")

// stillAdmitted asks whether the caller of a stream could still open it.
func (s *server) stillAdmitted(r *http.Request) func() error {
	return func() error {
		ctx, cancel := context.WithTimeout(r.Context(), writeTimeout)
		defer cancel()
		caller, err := s.identify(r.WithContext(ctx), newVisit(r).https)
		if err != nil || !caller.Role.Covers(viewer) {
			return errSignedOut
		}
		return nil
	}
}

// message sends one message of a text/event-stream; an id of 0 is left out.
func (s *steadyWriter) message(id int64, event string, data any) error {
	text, err := json.Marshal(data)
	if err != nil {
		return fmt.Errorf("write an event: %w", err)
	}
	head := "event: " + event + "\n"
	if id != 0 || event == "hello" {
		head += "id: " + strconv.FormatInt(id, 10) + "\n"
	}
	if _, err := fmt.Fprintf(s, "%sdata: %s\n\n", head, text); err != nil {
		return err
	}
	return s.flush()
}
