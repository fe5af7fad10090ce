package api

import (
	"maps"
	"sync"
	"time"

	"github.com/tiny-forge/docker-watcher/internal/poll"
)

const (
	visitFresh = time.Minute
	mostVisits = 20
)

// visits are what registries said within the last minute, so that whoever types a rule does not have them asked at each key.
type visits struct {
	mu sync.Mutex
	of map[string]visited // by image
}

type visited struct {
	*poll.Visit
	at time.Time
}

func (v *visits) recall(image string, now time.Time) *poll.Visit {
	v.mu.Lock()
	defer v.mu.Unlock()
	maps.DeleteFunc(v.of, func(_ string, k visited) bool { return now.Sub(k.at) > visitFresh })
	return v.of[image].Visit
}

func (v *visits) keep(image string, visit *poll.Visit, now time.Time) {
	v.mu.Lock()
	defer v.mu.Unlock()
	if len(v.of) >= mostVisits {
		clear(v.of)
	}
	v.of[image] = visited{visit, now}
}

func (v *visits) drop(image string) {
	v.mu.Lock()
	defer v.mu.Unlock()
	delete(v.of, image)
}
