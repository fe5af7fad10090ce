package stale

import (
	"time"

	"github.com/tiny-forge/docker-watcher/internal/docker"
	"github.com/tiny-forge/docker-watcher/internal/store"
)

// FirstLook is what one inspect tells of a container that nobody has watched: what the scanner would begin with, if it were
// ours. now is the engine's clock. It is a pure function.
func FirstLook(c docker.Container, now time.Time) store.Instance {
	return inspected(store.Instance{}, c, sight{at: now})
}
