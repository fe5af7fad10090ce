package stale

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/tiny-forge/docker-watcher/internal/store"
)

// This file holds the words that the cleaner leaves in the event log.

// refusal is an attempt that came to nothing, and who made it.
type refusal struct {
	action     string // plan | apply
	instanceID string
	planID     string
	actor      string
}

// refuse keeps an event of a refused attempt and returns err. A fault of ours is no refusal.
func (c *Cleaner) refuse(ctx context.Context, r refusal, err error) error {
	refused := false
	for _, target := range []error{ErrNotStale, ErrFrozen, ErrBlind, ErrPlanExpired, ErrPlanUsed} {
		refused = refused || errors.Is(err, target)
	}
	if !refused {
		return err
	}
	ctx, cancel := settling(ctx)
	defer cancel()
	e := store.Event{
		Time: time.Now().UTC(), Severity: store.SeverityWarn, Source: store.SourceCleaner, Kind: "cleanup.refused",
		Message: fmt.Sprintf("refused to %s a cleanup: %v", r.action, err), InstanceID: r.instanceID, Actor: r.actor,
		Data: map[string]any{"action": r.action, "reason": err.Error(), "plan_id": r.planID},
	}
	kept := c.db.Update(ctx, func(tx *store.Tx) error { return tx.Emit(ctx, e) })
	if kept != nil {
		c.log.Error("keep event of a refusal", "error", kept)
	}
	return err
}

// settling is the time to write down how something ended, also when the caller has gone.
func settling(ctx context.Context) (context.Context, context.CancelFunc) {
	return context.WithTimeout(context.WithoutCancel(ctx), settleTimeout)
}

func plannedEvent(d *draft) store.Event {
	plan, bytes := d.plan, int64(0)
	for _, i := range plan.Items {
		bytes += max(i.Details.Bytes, 0)
	}
	data := map[string]any{"plan_id": plan.ID, "items": len(plan.Items), "left_out": plan.LeftOut, "bytes": bytes}
	if len(d.refusals) > 0 {
		words := make([]string, len(d.refusals))
		for i, err := range d.refusals {
			words[i] = err.Error()
		}
		data["could_not_judge"] = words
	}
	e := store.Event{
		Time: plan.CreatedAt, Severity: store.SeverityInfo, Source: store.SourceCleaner, Kind: "cleanup.planned",
		Message: fmt.Sprintf("planned to remove %d stale instances, %d left out", len(plan.Items), plan.LeftOut),
		Actor:   plan.CreatedBy, Data: data,
	}
	if plan.Automatic {
		e.HostID = plan.Items[0].HostID
		e.Data["automatic"], e.Data["apply_at"], e.Data["names"] = true, moment(plan.ApplyAt), namesOf(plan.Items)
		e.Message = fmt.Sprintf("automatic cleanup removes %d stale instances at %s, unless they are alive by then or it is called off: %s",
			len(plan.Items), moment(plan.ApplyAt), listed(namesOf(plan.Items)))
	}
	if plan.Single {
		about(&e, plan.Items[0])
		e.Message = "planned to remove " + nameOf(plan.Items[0])
	}
	return e
}

func itemEvent(item store.PlanItem, end ending, actor string) store.Event {
	e := store.Event{
		Time: time.Now().UTC(), Severity: store.SeverityInfo, Source: store.SourceCleaner, Kind: "cleanup.item",
		Message: fmt.Sprintf("%s: %s", nameOf(item), wordsOf(end)), Actor: actor,
		Data: map[string]any{
			"plan_id": item.PlanID, "result": string(end.result), "detail": end.detail,
			"container_id": item.ContainerID, "class": string(item.Class), "last_alive_at": item.LastAliveAt,
			"image_tag": item.ImageTag, "bytes": item.Details.Bytes, "routes": item.Details.Routes,
		},
	}
	if item.PlanID == "" { // a removal by hand
		e.Kind = "cleanup.refused"
		if end.done() {
			e.Kind = "instance.removed"
		}
	}
	if end.result == store.ResultError || end.result == store.ResultTimeout {
		e.Severity = store.SeverityWarn
	}
	about(&e, item)
	return e
}

func appliedEvent(plan store.Plan, actor string) store.Event {
	counts := map[string]int{}
	bytes := int64(0)
	for _, i := range plan.Items {
		counts[string(i.Result)]++
		if i.Result == store.ResultRemoved {
			bytes += max(i.Details.Bytes, 0)
		}
	}
	removed := counts[string(store.ResultRemoved)]
	return store.Event{
		Time: time.Now().UTC(), Severity: store.SeverityInfo, Source: store.SourceCleaner, Kind: "cleanup.applied",
		Message: fmt.Sprintf("cleanup removed %d of %d planned instances", removed, len(plan.Items)), Actor: actor,
		Data: map[string]any{"plan_id": plan.ID, "results": counts, "items": len(plan.Items), "bytes": bytes},
	}
}

// wordsOf is an ending for people.
func wordsOf(end ending) string {
	word := string(end.result)
	switch end.result {
	case store.ResultAlreadyGone:
		word = "already gone"
	case store.ResultInUse:
		word = "in use"
	case store.ResultTimeout:
		word = "timed out"
	case store.ResultError:
		word = "not removed"
	case store.ResultRemoved, store.ResultRevived, store.ResultChanged, store.ResultKept:
		// the word itself
	}
	if end.detail == "" {
		return word
	}
	return word + ", " + end.detail
}

func nameOf(i store.PlanItem) string {
	return fmt.Sprintf("%s/%s %s (%s)", i.Project, i.Stage, i.ImageTag, i.Name)
}

func about(e *store.Event, i store.PlanItem) {
	e.ProjectID, e.StageID, e.InstanceID, e.HostID = i.ProjectID, i.StageID, i.InstanceID, i.HostID
}

func statusEvent(view store.InstanceView, from, to store.Status, planID, actor string) store.Event {
	return store.Event{
		Time: time.Now().UTC(), Severity: store.SeverityInfo, Source: store.SourceCleaner, Kind: "instance.status",
		Message:   fmt.Sprintf("%s is %s, was %s", view.Name, to, from),
		ProjectID: view.ProjectID, StageID: view.StageID, InstanceID: view.ID, HostID: view.HostID, Actor: actor,
		Data: map[string]any{"from": string(from), "to": string(to), "plan_id": planID},
	}
}
