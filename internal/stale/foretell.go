package stale

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/tiny-forge/docker-watcher/internal/docker"
	"github.com/tiny-forge/docker-watcher/internal/store"
)

// changesTimeout bounds the look at what a container wrote: a plan is no worse for not knowing it, if it says so.
const changesTimeout = 5 * time.Second

// foretell says what an undo of a removal would bring back and what not. ct is zero when the container is gone; imageID
// is what it was deployed from.
func (d *draft) foretell(ctx context.Context, on standing, item *store.PlanItem, imageID string, ct docker.Container) {
	lost := func(format string, args ...any) {
		item.Details.NotRestored = append(item.Details.NotRestored, fmt.Sprintf(format, args...))
	}
	if ct.ImageID != "" {
		imageID = ct.ImageID
	}
	if item.Details.ImageGone = d.imageGone(ctx, on, imageID); item.Details.ImageGone {
		lost("its image is gone from the engine: an undo must pull it again")
	}
	if ct.ID == "" {
		if item.ContainerID != "" {
			lost("its container is gone: an undo makes another one of what was deployed, without what this one wrote outside of its volumes")
		}
		return
	}
	ctx, cancel := context.WithTimeout(ctx, changesTimeout)
	defer cancel()
	changes, err := on.engine.Changes(ctx, item.ContainerID)
	if err != nil {
		item.Details.LayerLost = true // as far as is known
		lost("whether it wrote outside of its volumes could not be told: if it did, that is kept only up to archive_layer_max_bytes, which is %s", spellBytes(d.layerMax))
	} else if why := layerLoss(changes, item.Details.Bytes, d.layerMax, item.Details.ImageGone); why != "" {
		item.Details.LayerLost = true
		lost("%s", why)
	} else {
		item.Details.LayerKept, item.Details.Unwritten = changes.Count > 0, changes.Count == 0
	}
	if hasProcess(item.Class) {
		lost("what its process holds in memory")
		if folders := tmpfsOf(ct.Raw); len(folders) > 0 {
			lost("what it holds in memory at %s", strings.Join(folders, ", "))
		}
	}
}

// tmpfsOf are the folders of a container that lie in memory.
func tmpfsOf(inspect []byte) []string {
	var told struct {
		HostConfig struct{ Tmpfs map[string]string }
		Mounts     []struct{ Type, Destination string }
	}
	if json.Unmarshal(inspect, &told) != nil {
		return nil
	}
	folders := slices.Collect(maps.Keys(told.HostConfig.Tmpfs))
	for _, m := range told.Mounts {
		if m.Type == "tmpfs" {
			folders = append(folders, m.Destination)
		}
	}
	slices.Sort(folders)
	return slices.Compact(folders)
}

// imageGone asks once a plan whether an image is still there. What cannot be asked is not gone.
func (d *draft) imageGone(ctx context.Context, on standing, imageID string) bool {
	if imageID == "" {
		return false
	}
	d.mu.Lock()
	ask, ok := d.images[on.host.ID+imageID]
	if !ok {
		ask = &imageAsk{}
		d.images[on.host.ID+imageID] = ask
	}
	d.mu.Unlock()
	ask.once.Do(func() {
		ctx, cancel := context.WithTimeout(ctx, factsTimeout)
		defer cancel()
		_, err := on.engine.InspectImage(ctx, imageID)
		ask.gone = errors.Is(err, docker.ErrNotFound)
	})
	return ask.gone
}

type imageAsk struct {
	once sync.Once
	gone bool
}
