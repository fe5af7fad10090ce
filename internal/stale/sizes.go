package stale

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/tiny-forge/docker-watcher/internal/docker"
	"github.com/tiny-forge/docker-watcher/internal/store"
)

const (
	sizesMost   = 200 // in one run
	sizesAtOnce = 2   // the engine walks a whole layer for each
)

// MeasureSizes asks engines how much the writable layers of stale instances hold, once for each: what does not run
// does not grow. A host that does not answer is left for the next run.
func (c *Cleaner) MeasureSizes(ctx context.Context) error {
	views, err := c.db.StaleUnmeasured(ctx, sizesMost)
	if err != nil || len(views) == 0 {
		return err
	}
	var mu sync.Mutex
	sizes, silent := map[string]int64{}, map[string]bool{}
	besideHosts(len(views), sizesAtOnce, func(i int) string { return views[i].HostID }, func(i int) {
		v := views[i]
		mu.Lock()
		skip := ctx.Err() != nil || silent[v.HostID]
		mu.Unlock()
		if skip {
			return
		}
		bytes, err := c.measure(ctx, v)
		mu.Lock()
		defer mu.Unlock()
		switch {
		case err == nil && bytes >= 0:
			sizes[v.ID] = bytes
		case err != nil && !errors.Is(err, docker.ErrNotFound):
			silent[v.HostID] = true
			c.log.Info("a size could not be measured", "instance_id", v.ID, "error", err)
		}
	})
	if len(sizes) == 0 {
		return ctx.Err()
	}
	err = c.db.Update(ctx, func(tx *store.Tx) error {
		now := time.Now().UTC()
		for id, bytes := range sizes {
			if err := tx.SetSize(ctx, id, bytes, now); err != nil && !errors.Is(err, store.ErrNotFound) {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("keep the sizes of %d stale instances: %w", len(sizes), err)
	}
	return nil
}

func (c *Cleaner) measure(ctx context.Context, v store.InstanceView) (int64, error) {
	engine, err := c.fleet.Engine(v.HostID)
	if err != nil {
		return 0, err
	}
	ct, err := inspectSized(ctx, engine, v.ContainerID)
	if err != nil {
		return 0, err
	}
	return ct.SizeRw, nil
}
