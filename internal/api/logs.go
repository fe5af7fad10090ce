package api

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humago"

	"github.com/tiny-forge/docker-watcher/internal/docker"
	"github.com/tiny-forge/docker-watcher/internal/store"
)

type logsIn struct {
	ByID
	Tail       int       `query:"tail" minimum:"0" maximum:"100000" doc:"the last lines only; 0: all"`
	Since      time.Time `query:"since"`
	Follow     bool      `query:"follow" doc:"go on with what comes"`
	Timestamps bool      `query:"timestamps"`
}

// streamOut is an answer that is written as it comes.
type streamOut struct{ Body func(huma.Context) }

// writeTimeout is how long a reader may block the next write before it is left.
const writeTimeout = 10 * time.Second

// logs answers the log of an instance as plain text, line by line.
func (s *server) logs(ctx context.Context, in *logsIn) (*streamOut, error) {
	v, err := s.d.DB.Instance(ctx, in.ID)
	if err != nil {
		return nil, err
	}
	engine, err := s.engineOf(v)
	if err != nil {
		return nil, err
	}
	// Asked before the answer begins, so that an engine that is away is a problem and not an empty log.
	if _, err := engine.Inspect(ctx, v.ContainerID); err != nil {
		return nil, err
	}
	o := docker.LogOptions{Follow: in.Follow, Tail: in.Tail, Since: in.Since, Timestamps: in.Timestamps}
	return &streamOut{Body: func(hc huma.Context) { s.copyLogs(hc, engine, v, o) }}, nil
}

func (s *server) copyLogs(hc huma.Context, engine *docker.Engine, v store.InstanceView, o docker.LogOptions) {
	r, w := humago.Unwrap(hc)
	ctx, cancel := s.untilStopping(r.Context())
	defer cancel()
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	w.Header().Set("X-Accel-Buffering", "no")
	w.WriteHeader(http.StatusOK)
	out := newSteadyWriter(w)
	defer out.finish()
	err := out.flush()
	if err == nil {
		err = engine.Logs(ctx, v.ContainerID, o, func(l docker.LogLine) error { return writeLogLine(out, l, o) })
	}
	if err != nil && ctx.Err() == nil && !errors.Is(err, errReaderGone) {
		s.log.WarnContext(ctx, "log stream broke off", "instance", v.ID, "error", err)
		panic(http.ErrAbortHandler) // half a log must not look like a whole one
	}
}

func writeLogLine(out *steadyWriter, l docker.LogLine, o docker.LogOptions) error {
	text := l.Text + "\n"
	if o.Timestamps && !l.Time.IsZero() {
		text = l.Time.UTC().Format(layout) + " " + text
	}
	if _, err := io.WriteString(out, text); err != nil {
		return err
	}
	if o.Follow {
		return out.flush()
	}
	return nil
}

var errReaderGone = errors.New("the reader is gone")

// steadyWriter writes a stream whose reader must keep up: a write that blocks for
// longer than writeTimeout ends it. A server-wide deadline does not.
type steadyWriter struct {
	w        http.ResponseWriter
	control  *http.ResponseController
	extended time.Time
}

func newSteadyWriter(w http.ResponseWriter) *steadyWriter {
	return &steadyWriter{w: w, control: http.NewResponseController(w)}
}

// Write gives the reader its time anew.
func (s *steadyWriter) Write(p []byte) (int, error) {
	if err := s.extend(); err != nil {
		return 0, err
	}
	n, err := s.w.Write(p)
	if err != nil {
		return n, fmt.Errorf("%w: %w", errReaderGone, err)
	}
	return n, nil
}

func (s *steadyWriter) flush() error {
	if err := s.extend(); err != nil {
		return err
	}
	if err := s.control.Flush(); err != nil {
		return fmt.Errorf("%w: %w", errReaderGone, err)
	}
	return nil
}

// extend gives the reader its time anew, but not for every line of a burst.
func (s *steadyWriter) extend() error {
	now := time.Now()
	if now.Sub(s.extended) < time.Second {
		return nil
	}
	s.extended = now
	err := s.control.SetWriteDeadline(now.Add(writeTimeout))
	if err != nil && !errors.Is(err, http.ErrNotSupported) {
		return fmt.Errorf("%w: %w", errReaderGone, err)
	}
	return nil
}

// finish leaves time for the end of the stream to be written, so that the reader
// can tell it from a broken one.
func (s *steadyWriter) finish() {
	// A connection that is gone has no end to be written.
	_ = s.extend()
}

// untilStopping ends with the request, or when the daemon begins to stop.
func (s *server) untilStopping(ctx context.Context) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithCancel(ctx)
	cancelOn(ctx, s.d.Stopping, cancel)
	return ctx, cancel
}

// beyondCaller is for what must not be left half done: it goes on when the caller
// leaves, for so long at most, and ends when the daemon's patience is over.
func (s *server) beyondCaller(ctx context.Context, limit time.Duration) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), limit)
	cancelOn(ctx, s.d.Cut, cancel)
	return ctx, cancel
}

// cancelOn cancels when the signal comes, until ctx has ended anyhow.
func cancelOn(ctx context.Context, signal <-chan struct{}, cancel context.CancelFunc) {
	if signal == nil {
		return
	}
	go func() {
		select {
		case <-signal:
			cancel()
		case <-ctx.Done():
		}
	}()
}
