package routing

import (
	"context"

	"github.com/tiny-forge/docker-watcher/internal/proxy"
	"github.com/tiny-forge/docker-watcher/internal/store"
)

// The kinds of events of a proxy that is a program of its own.
const (
	kindDrifted = "routing.drifted"
	kindMended  = "routing.mended"
	kindLost    = "routing.lost"
)

// Turned tells how a proxy stands that is a program of its own. What is asked for is applied again when it is back: it may have been
// refused meanwhile.
func (r *Router) Turned(ctx context.Context, t proxy.Turn, why string) {
	e := store.Event{Severity: store.SeverityWarn, Data: map[string]any{"why": why}}
	switch t {
	case proxy.TurnDrifted:
		e.Kind, e.Message = kindDrifted, "somebody else changed what the proxy answers by: "+why
	case proxy.TurnMended:
		e.Severity, e.Kind, e.Message = store.SeverityInfo, kindMended, "the proxy answers by the table of routes again"
	case proxy.TurnLost:
		e.Kind, e.Message = kindLost, "the proxy cannot be told of routes, it goes on by what it has: "+why
	case proxy.TurnBack:
		e.Severity, e.Kind, e.Message, e.Data = store.SeverityInfo, kindBack, "the proxy can be told of routes again", map[string]any{}
	}
	r.tell(ctx, e)
	if t == proxy.TurnBack {
		r.again()
	}
}

// again asks for a table to be made and applied. It does not wait.
func (r *Router) again() {
	select {
	case r.kick <- struct{}{}:
	default: // it was asked for already
	}
}
