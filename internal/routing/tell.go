package routing

import (
	"context"
	"fmt"
	"time"

	"github.com/tiny-forge/docker-watcher/internal/proxy"
	"github.com/tiny-forge/docker-watcher/internal/store"
)

// outcome is how an attempt to put a table in force ended.
type outcome struct {
	desired, before, applied string
	rules                    int
	err                      error
}

// note keeps how an attempt ended, and tells what is new of it.
func (r *Router) note(ctx context.Context, o outcome) {
	now := time.Now().UTC()
	r.mu.Lock()
	said := r.state.Error
	r.state.Desired, r.state.Rules = o.desired, o.rules
	if o.err != nil {
		r.state.Error, r.state.ErrorAt = o.err.Error(), now
	} else {
		r.state.Error, r.state.ErrorAt, r.state.AppliedAt = "", time.Time{}, now
	}
	r.mu.Unlock()
	switch {
	case ctx.Err() != nil || isAway(o.err): // Went tells of that, once
	case o.err != nil && o.err.Error() != said:
		r.tell(ctx, store.Event{
			Severity: store.SeverityWarn, Kind: kindRefused, Message: "the table of routes was not applied, the former one is served: " + o.err.Error(),
			Data: map[string]any{"desired": o.desired, "applied": o.before, "error": o.err.Error()},
		})
	case o.err == nil && (o.applied != o.before || said != ""):
		r.tell(ctx, store.Event{
			Severity: store.SeverityInfo, Kind: kindApplied, Message: fmt.Sprintf("the proxy answers by a new table: %d routes", o.rules),
			Data: map[string]any{"from": o.before, "to": o.applied, "routes": o.rules},
		})
	}
}

// Flipped tells that a health check took a target out, or brought it back.
func (r *Router) Flipped(ctx context.Context, f proxy.Flip) {
	e := store.Event{
		Time: f.At, Severity: store.SeverityInfo, Kind: kindUp, Message: fmt.Sprintf("%s: %s is up again", f.Domain, f.Ref),
		Data: map[string]any{"route_id": f.Rule, "kind": string(f.Kind), "target": f.Ref},
	}
	if !f.Up {
		e.Severity, e.Kind, e.Message = store.SeverityWarn, kindDown, fmt.Sprintf("%s: %s is down: %s", f.Domain, f.Ref, f.Why)
		e.Data["why"] = f.Why
	}
	if v, err := r.db.Route(ctx, f.Rule); err == nil {
		e.ProjectID, e.StageID, e.InstanceID, e.HostID = v.ProjectID, v.StageID, v.InstanceID, v.HostID
	}
	r.tell(ctx, e)
}

// tell writes an event. What cannot be written is told to the log: routes do not depend on it.
func (r *Router) tell(ctx context.Context, e store.Event) {
	e.Source, e.Actor = store.SourceProxy, "system"
	if e.Time.IsZero() {
		e.Time = time.Now().UTC()
	}
	ctx = context.WithoutCancel(ctx)
	if err := r.db.Update(ctx, func(tx *store.Tx) error { return tx.Emit(ctx, e) }); err != nil {
		r.log.ErrorContext(ctx, "an event of the proxy was not written", "kind", e.Kind, "message", e.Message, "error", err)
	}
}
