package docker

import (
	"context"
	"fmt"
	"io"
	"time"
)

// watchdog gives up on a transfer that moves nothing for a while: a whole pull may take an hour,
// but not some minutes of it without a byte.
type watchdog struct {
	ctx    context.Context // of the transfer: ended by the watchdog too
	cancel context.CancelCauseFunc
	timer  *time.Timer
	limit  time.Duration
}

func watch(ctx context.Context, limit time.Duration) *watchdog {
	w := &watchdog{limit: limit}
	w.ctx, w.cancel = context.WithCancelCause(ctx)
	w.timer = time.AfterFunc(limit, func() {
		w.cancel(fmt.Errorf("%w: nothing came for %s", ErrTimeout, limit))
	})
	return w
}

// moved is a sign of life.
func (w *watchdog) moved() { w.timer.Reset(w.limit) }

// rest sends it to sleep: from here on silence is fine.
func (w *watchdog) rest() { w.timer.Stop() }

// end releases what it holds.
func (w *watchdog) end() {
	w.timer.Stop()
	w.cancel(nil)
}

// reason prefers why the watchdog gave up over the error that giving up led to.
func (w *watchdog) reason(err error) error {
	if err == nil || w.ctx.Err() == nil {
		return err
	}
	return context.Cause(w.ctx)
}

// reader tells the watchdog of each read that brought something.
func (w *watchdog) reader(from io.Reader) io.Reader { return watchedReader{from, w} }

type watchedReader struct {
	from io.Reader
	dog  *watchdog
}

func (r watchedReader) Read(p []byte) (int, error) {
	n, err := r.from.Read(p)
	if n > 0 {
		r.dog.moved()
	}
	return n, err
}
