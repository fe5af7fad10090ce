package api

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/danielgtaylor/huma/v2"
)

// streamOut is an answer that is written as it comes.
type streamOut struct{ Body func(huma.Context) }

// How long a reader may block the next write before it is left: that of a stream, which must keep up, and that of any other answer.
const (
	writeTimeout  = 10 * time.Second
	answerTimeout = 30 * time.Second
)

var errReaderGone = errors.New("the reader is gone")

// steadyWriter writes a stream whose reader must keep up: a write that blocks for
// longer than writeTimeout ends it. A server-wide deadline does not.
type steadyWriter struct {
	w       http.ResponseWriter
	control *http.ResponseController
	allowance
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

func (s *steadyWriter) extend() error {
	if err := s.renew(s.control, writeTimeout); err != nil {
		return fmt.Errorf("%w: %w", errReaderGone, err)
	}
	return nil
}

// allowance is when a reader was given time last.
type allowance struct{ given time.Time }

// renew gives the reader its time anew, but not for every line of a burst. A connection without deadlines (a test's) needs none.
func (a *allowance) renew(control *http.ResponseController, limit time.Duration) error {
	now := time.Now()
	if now.Sub(a.given) < time.Second {
		return nil
	}
	a.given = now
	if err := control.SetWriteDeadline(now.Add(limit)); err != nil && !errors.Is(err, http.ErrNotSupported) {
		return err
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
