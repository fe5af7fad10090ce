package deploy

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/tiny-forge/docker-watcher/internal/store"
)

// imagesBefore are the images that are on the engine before a pull, whatever their names; nil if that cannot be told.
func (r *rollout) imagesBefore(ctx context.Context) map[string]bool {
	ids, err := r.eng.ImageIDs(ctx)
	if err != nil {
		r.log.WarnContext(ctx, "images before a pull were not listed: who brought it will not be known", "deploy_id", r.dep.ID, "error", err)
		return nil
	}
	return ids
}

// noteBrought writes down whether a pull brought an image here, or it was there before us: only the first kind may ever
// be reclaimed. Of one that nothing is written of nobody knows who brought it, and it stays.
func (r *rollout) noteBrought(ctx context.Context, ref, imageID string, before map[string]bool) error {
	if before == nil {
		return nil
	}
	pulled := store.PulledImage{
		HostID: r.inst.HostID, ImageID: imageID, Ref: ref, Foreign: before[imageID], PulledAt: time.Now().UTC(),
	}
	err := r.db.Update(ctx, func(tx *store.Tx) error {
		if !before[imageID] { // what was said of it before it left is not true of what comes now
			if err := tx.DeletePulledImage(ctx, pulled.HostID, imageID); err != nil && !errors.Is(err, store.ErrNotFound) {
				return err
			}
		}
		return tx.PutPulledImage(ctx, pulled)
	})
	if err != nil {
		return fmt.Errorf("write down who brought image %s: %w", ref, err)
	}
	return nil
}
