package reclaim

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/tiny-forge/docker-watcher/internal/store"
)

// This file holds the words that a reclaim leaves in the event log.

// refusal is an attempt that came to nothing, and who made it.
type refusal struct {
	action  string // plan | apply | remove a volume
	hostID  string
	planID  string
	subject string
	actor   string
}

// refuse keeps an event of a refused attempt and returns err. A fault of ours is no refusal.
func (r *Reclaimer) refuse(ctx context.Context, what refusal, err error) error {
	if !errors.Is(err, ErrRefused) && !errors.Is(err, ErrPlanExpired) && !errors.Is(err, ErrPlanUsed) {
		return err
	}
	ctx, cancel := settling(ctx)
	defer cancel()
	e := store.Event{
		Time: time.Now().UTC(), Severity: store.SeverityWarn, Source: store.SourceCleaner, Kind: "reclaim.refused",
		Message: fmt.Sprintf("refused to %s: %v", words[what.action], err), HostID: what.hostID, Actor: what.actor,
		Data: map[string]any{"action": what.action, "reason": err.Error(), "plan_id": what.planID, "subject": what.subject},
	}
	if kept := r.db.Update(ctx, func(tx *store.Tx) error { return tx.Emit(ctx, e) }); kept != nil {
		r.log.Error("keep event of a refusal", "error", kept)
	}
	return err
}

var words = map[string]string{
	"plan": "plan which images to reclaim", "apply": "reclaim images", "volume": "remove a volume",
}

func plannedEvent(plan store.ReclaimPlan) store.Event {
	bytes := int64(0)
	for _, i := range plan.Items {
		bytes += max(i.Bytes, 0)
	}
	return store.Event{
		Time: plan.CreatedAt, Severity: store.SeverityInfo, Source: store.SourceCleaner, Kind: "reclaim.planned",
		Message: "planned to remove " + counted(len(plan.Items), "image") + " that only removed instances used",
		HostID:  plan.HostID, Actor: plan.CreatedBy,
		Data: map[string]any{"plan_id": plan.ID, "items": len(plan.Items), "bytes": bytes},
	}
}

func itemEvent(plan store.ReclaimPlan, i store.ReclaimItem, actor string) store.Event {
	e := store.Event{
		Time: time.Now().UTC(), Severity: store.SeverityInfo, Source: store.SourceCleaner, Kind: "reclaim.item",
		Message: fmt.Sprintf("image %s: %s", nameOf(i), resultWords(i)), HostID: plan.HostID, Actor: actor,
		Data: map[string]any{
			"plan_id": plan.ID, "image_id": i.ImageID, "refs": i.Refs, "bytes": i.Bytes,
			"result": string(i.Result), "detail": i.Detail, "last_user": i.LastUse.Instance,
		},
	}
	if i.Result == store.ResultError {
		e.Severity = store.SeverityWarn
	}
	return e
}

func appliedEvent(plan store.ReclaimPlan, actor string) store.Event {
	counts, bytes := map[string]int{}, int64(0)
	for _, i := range plan.Items {
		counts[string(i.Result)]++
		if i.Result == store.ResultRemoved {
			bytes += max(i.Bytes, 0)
		}
	}
	return store.Event{
		Time: time.Now().UTC(), Severity: store.SeverityInfo, Source: store.SourceCleaner, Kind: "reclaim.applied",
		Message: fmt.Sprintf("removed %d of %d planned images", counts[string(store.ResultRemoved)], len(plan.Items)),
		HostID:  plan.HostID, Actor: actor,
		Data: map[string]any{"plan_id": plan.ID, "results": counts, "items": len(plan.Items), "bytes": bytes},
	}
}

// nameOf is how people know an image.
func nameOf(i store.ReclaimItem) string {
	for _, ref := range i.Refs {
		if !isArchiveTag(ref) {
			return ref
		}
	}
	for _, ref := range i.Refs {
		if _, ok := layerOf(ref); ok {
			return fmt.Sprintf("%s (kept layer of %s)", shortImage(i.ImageID), i.LastUse.Instance)
		}
	}
	for _, ref := range i.LastUse.Refs {
		if !isArchiveTag(ref) {
			return fmt.Sprintf("%s (was used as %s)", shortImage(i.ImageID), ref)
		}
	}
	return shortImage(i.ImageID)
}

// shortImage is an image's id as engines show it.
func shortImage(id string) string { return shortID(strings.TrimPrefix(id, "sha256:")) }

// resultWords is a result for people.
func resultWords(i store.ReclaimItem) string {
	word := string(i.Result)
	switch i.Result {
	case store.ResultAlreadyGone:
		word = "already gone"
	case store.ResultInUse:
		word = "in use"
	case store.ResultError, store.ResultTimeout:
		word = "not removed"
	case store.ResultRemoved, store.ResultChanged, store.ResultKept, store.ResultRevived:
		// the word itself
	}
	if i.Detail == "" {
		return word
	}
	return word + ", " + i.Detail
}
