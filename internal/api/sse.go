package api

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"reflect"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humago"

	"github.com/tiny-forge/docker-watcher/internal/events"
)

// feed is one text/event-stream on its way to a reader. It is written by one goroutine at a time.
type feed struct {
	out *steadyWriter
	// admitted asks whether the caller could still open it: a session may end while its stream is open.
	admitted func() error
}

var errSignedOut = errors.New("signed out")

// stream answers with a text/event-stream and has tell write it. It ends when tell returns, the reader leaves or stops
// reading, the caller is no longer admitted, or the daemon begins to stop; only what else ends it is told in the log, as about.
func (s *server) stream(hc huma.Context, about string, tell func(context.Context, *feed) error) {
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
	err := tell(ctx, &feed{out: out, admitted: s.stillAdmitted(hc.Context(), r)})
	switch {
	case err == nil, ctx.Err() != nil, errors.Is(err, errReaderGone), errors.Is(err, events.ErrClosed), errors.Is(err, errSignedOut):
	case errors.Is(err, events.ErrLagged):
		s.log.InfoContext(ctx, "slow listener was dropped, it can resume", "addr", visitOf(hc.Context()).addr)
	default:
		s.log.ErrorContext(ctx, "a stream broke off", "stream", about, "path", r.URL.Path, "error", err)
	}
}

// begin sends the head of the answer, so that the reader of a stream that says nothing yet knows that it is open.
func (f *feed) begin() error { return f.out.flush() }

// message sends one message; one without an id has none.
func (f *feed) message(id, event string, data any) error {
	text, err := json.Marshal(data)
	if err != nil {
		return fmt.Errorf("write an event: %w", err)
	}
	head := "event: " + event + "\n"
	if id != "" {
		head += "id: " + id + "\n"
	}
	if _, err := fmt.Fprintf(f.out, "%sdata: %s\n\n", head, text); err != nil {
		return err
	}
	return f.out.flush()
}

// beat is a sign of life, due every events.Heartbeat. The caller is asked for anew with it.
func (f *feed) beat() error {
	if err := f.admitted(); err != nil {
		return err
	}
	return f.message("", "ping", struct{}{})
}

// stillAdmitted asks whether the caller of a stream could still open it.
func (s *server) stillAdmitted(asked context.Context, r *http.Request) func() error {
	v := visitOf(asked)
	then := v.powers
	return func() error {
		ctx, cancel := context.WithTimeout(r.Context(), writeTimeout)
		defer cancel()
		caller, err := s.identify(r.WithContext(ctx), v.https)
		if err != nil || caller.MustEnrol {
			return errSignedOut
		}
		now, err := s.powersOf(ctx, caller)
		if err != nil || now.role != then.role || !maps.Equal(now.grants, then.grants) {
			return errSignedOut // who may yet something comes back, to a stream of that
		}
		return nil
	}
}

// streamable mounts a handler that answers T once, or to whoever accepts text/event-stream as it goes on.
func streamable[T, I any](description string, fn func(context.Context, *I) (*streamOut, error)) mounter {
	return func(s *server, doc huma.API, op huma.Operation) {
		op.Responses = map[string]*huma.Response{"200": {
			Description: description,
			Content: map[string]*huma.MediaType{
				"application/json":  {Schema: doc.OpenAPI().Components.Schemas.Schema(reflect.TypeFor[T](), true, "")},
				"text/event-stream": {Schema: &huma.Schema{Type: huma.TypeString}},
			},
		}}
		to(fn)(s, doc, op)
	}
}

// writeJSON is the answer that is given once.
func writeJSON(hc huma.Context, v any) {
	hc.SetHeader("Content-Type", "application/json")
	// The caller left if this fails; there is nobody to tell.
	_ = json.NewEncoder(hc.BodyWriter()).Encode(v)
}
