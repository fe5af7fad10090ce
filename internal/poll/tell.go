package poll

import (
	"context"
	"fmt"

	"github.com/tiny-forge/docker-watcher/internal/store"
)

// The kinds of events of this package.
const (
	kindReady   = "stage.tag_ready"
	kindBlind   = "poll.blind"
	kindSighted = "poll.sighted"
)

// readyEvent tells of a tag that is ready, once for each image.
func readyEvent(f store.Follower, row store.StagePoll) store.Event {
	return store.Event{
		Time: row.LastAt, Severity: store.SeverityInfo, Source: store.SourcePoller, Kind: kindReady, Actor: "system",
		Message:   fmt.Sprintf("%s/%s: %s; deploy it with: docker-watcher deploy %s/%s %s", f.Project, f.Stage.Name, row.Why, f.Project, f.Stage.Name, row.ReadyTag),
		ProjectID: f.Stage.ProjectID, StageID: f.Stage.ID, HostID: f.Stage.HostID,
		Data: map[string]any{"image": f.Image, "image_tag": row.ReadyTag, "digest": row.ReadyDigest, "has": f.Done.ImageTag},
	}
}

// tellOfSight tells when a repository can no longer be asked, and when it can again: once each, for all who follow it.
func (r *round) tellOfSight(ctx context.Context, tx *store.Tx, followers []store.Follower, before, after []store.StagePoll) error {
	was, is := blind(before), blind(after)
	if (was == 0) == (is == 0) {
		return nil
	}
	e := store.Event{
		Time: r.now, Severity: store.SeverityInfo, Source: store.SourcePoller, Kind: kindSighted, Actor: "system",
		Message:   "the registry of " + r.image + " can be asked for tags again",
		ProjectID: followers[0].Stage.ProjectID, Data: map[string]any{"image": r.image},
	}
	if is > 0 {
		why := ""
		for _, row := range after {
			if row.Error != "" {
				why = row.Error
			}
		}
		e.Severity, e.Kind = store.SeverityWarn, kindBlind
		e.Message = fmt.Sprintf("tags of %s cannot be asked for, nothing new is noticed for %d of its stages: %s", r.image, is, why)
		e.Data["error"], e.Data["stages"] = why, is
	}
	return tx.Emit(ctx, e)
}

// blind is for how many stages the registry could not be asked.
func blind(rows []store.StagePoll) (n int) {
	for _, row := range rows {
		if !row.Since.IsZero() {
			n++
		}
	}
	return n
}
