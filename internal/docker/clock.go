package docker

import (
	"context"
	"net/http"
	"time"
)

// closeEnough is how far an engine's clock may be from ours without being called skewed:
// the Date header is cut to whole seconds and the answer takes its time.
const closeEnough = 2 * time.Second

// witness looks at every answer on its way back: at its Date for the engine's clock, and at who
// answered, so that an upgraded engine is noticed by the first answer it gives.
type witness struct {
	engine *Engine
	next   http.RoundTripper
}

// identity is who an answer says it comes from.
type identity struct{ api, server string }

type identityKey struct{}

// noting returns a context whose request writes into the identity who answered it.
func noting(ctx context.Context, who *identity) context.Context {
	return context.WithValue(ctx, identityKey{}, who)
}

func (w *witness) RoundTrip(req *http.Request) (*http.Response, error) {
	began := time.Now()
	resp, err := w.next.RoundTrip(req)
	w.engine.answers.note(time.Since(began), err)
	if err != nil {
		return nil, err
	}
	w.engine.observeClock(resp.Header.Get("Date"), time.Now())
	who := identity{api: resp.Header.Get("Api-Version"), server: resp.Header.Get("Server")}
	if ask, ok := req.Context().Value(identityKey{}).(*identity); ok {
		*ask = who
	}
	w.engine.observeIdentity(who)
	return resp, nil
}

func (e *Engine) observeClock(date string, arrived time.Time) {
	t, err := http.ParseTime(date)
	if err != nil {
		return // an answer without a date says nothing about the clock; the last one stands
	}
	const halfGrain = 500 * time.Millisecond
	skew := t.Add(halfGrain).Sub(arrived)
	if skew.Abs() <= closeEnough {
		skew = 0
	}
	e.skew.Store(&skew)
}

// Now is the engine's clock: ours plus the skew last seen in a Date header (one-second grain; a skew within 2 s counts as none).
func (e *Engine) Now() time.Time {
	skew, _ := e.Skew()
	return time.Now().Add(skew)
}

// Skew is the engine's clock minus ours as last seen; ok is false before the first answer.
func (e *Engine) Skew() (skew time.Duration, ok bool) {
	last := e.skew.Load()
	if last == nil {
		return 0, false
	}
	return *last, true
}
