package routing

import (
	"context"
	"errors"

	"github.com/tiny-forge/docker-watcher/internal/store"
)

// Came makes the table anew, as a proxy that is another process was come to: it may have been started anew, and answer by an older one.
// Again says that it was told to be away.
func (r *Router) Came(ctx context.Context, again bool, version string) {
	if again {
		r.tell(ctx, store.Event{
			Severity: store.SeverityInfo, Kind: kindBack, Message: "the data plane " + version + " is reached again",
			Data: map[string]any{"version": version},
		})
	}
	select {
	case r.kick <- struct{}{}:
	default: // it was asked for already
	}
}

// Went tells that a proxy that is another process cannot be reached.
func (r *Router) Went(ctx context.Context, why string) {
	r.tell(ctx, store.Event{
		Severity: store.SeverityWarn, Kind: kindAway,
		Message: why + "; if it runs, it answers by the table that it has: see that 'server proxy' runs, as what changes is served only when it is back",
		Data:    map[string]any{"why": why},
	})
}

// isAway tells that a proxy that is another process could not be asked.
func isAway(err error) bool {
	var away interface{ Away() bool }
	return errors.As(err, &away) && away.Away()
}
