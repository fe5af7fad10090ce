package stale

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/tiny-forge/docker-watcher/internal/store"
)

// namesTold is how many names an event lists of what is due; of a plan it lists all.
const namesTold = 50

// holdBack notes why automatic cleanup does nothing on a host. It is said once, when that begins, also over a restart.
func (c *Cleaner) holdBack(ctx context.Context, host store.Host, why string, due []store.InstanceView) error {
	if host.AutoHeld == why {
		return nil
	}
	now := time.Now().UTC()
	since := host.AutoHeldSince
	if host.AutoHeld == "" {
		since = now
	}
	err := c.db.Update(ctx, func(tx *store.Tx) error {
		if err := tx.SetAutoHeld(ctx, host.ID, why, since); err != nil {
			return err
		}
		if host.AutoHeld != "" {
			return nil
		}
		return tx.Emit(ctx, heldEvent(host, why, due, now))
	})
	if err != nil {
		return fmt.Errorf("note that automatic cleanup is held back: %w", err)
	}
	return nil
}

func heldEvent(host store.Host, why string, due []store.InstanceView, now time.Time) store.Event {
	names := make([]string, 0, min(len(due), namesTold))
	for _, v := range due[:cap(names)] {
		names = append(names, fmt.Sprintf("%s/%s %s (%s)", v.Project, v.Stage, v.ImageTag, v.Name))
	}
	const remedy = "look at them and clean up by hand what may go, pin or snooze what is to stay, or raise the limits of the policy; it goes on by itself when the reason is gone"
	return store.Event{
		Time: now, Severity: store.SeverityWarn, Source: store.SourceCleaner, Kind: "cleanup.held", HostID: host.ID, Actor: autoActor,
		Message: fmt.Sprintf("automatic cleanup does nothing on %s: %s", host.Name, why),
		Data:    map[string]any{"reason": why, "due": len(due), "names": names, "hint": remedy},
	}
}

// release ends it.
func (c *Cleaner) release(ctx context.Context, host store.Host, why string) error {
	if host.AutoHeld == "" {
		return nil
	}
	err := c.db.Update(ctx, func(tx *store.Tx) error {
		if err := tx.SetAutoHeld(ctx, host.ID, "", time.Time{}); err != nil {
			return err
		}
		return tx.Emit(ctx, store.Event{
			Time: time.Now().UTC(), Severity: store.SeverityInfo, Source: store.SourceCleaner, Kind: "cleanup.released", HostID: host.ID, Actor: autoActor,
			Message: fmt.Sprintf("automatic cleanup of %s is no longer held back: %s", host.Name, why),
			Data:    map[string]any{"reason": why, "held": host.AutoHeld, "since": moment(host.AutoHeldSince)},
		})
	})
	if err != nil {
		return fmt.Errorf("note that automatic cleanup is no longer held back: %w", err)
	}
	return nil
}

// CancelPlan calls off a plan before it is applied. What an automatic one held is not planned again for a day.
func (c *Cleaner) CancelPlan(ctx context.Context, planID, actor string) error {
	now := time.Now().UTC()
	var plan store.Plan
	err := c.db.Update(ctx, func(tx *store.Tx) (err error) {
		if plan, err = tx.Plan(ctx, planID); err != nil {
			return err
		}
		if err := tx.CancelPlan(ctx, planID, actor, now); err != nil {
			return err
		}
		return tx.Emit(ctx, cancelledEvent(plan, actor, now))
	})
	if errors.Is(err, store.ErrConflict) {
		err = fmt.Errorf("%w: %s by %s", ErrPlanUsed, plan.State, plan.AppliedBy)
	}
	if err != nil {
		return c.refuse(ctx, refusal{action: "call off", planID: planID, actor: actor}, fmt.Errorf("call off plan %s: %w", planID, err))
	}
	return nil
}

func cancelledEvent(plan store.Plan, actor string, now time.Time) store.Event {
	e := store.Event{
		Time: now, Severity: store.SeverityInfo, Source: store.SourceCleaner, Kind: "cleanup.cancelled", Actor: actor,
		Message: fmt.Sprintf("the cleanup of %d instances was called off", len(plan.Items)),
		Data:    map[string]any{"plan_id": plan.ID, "names": namesOf(plan.Items), "automatic": plan.Automatic},
	}
	if plan.Automatic {
		e.HostID = plan.Items[0].HostID
		e.Data["not_before"] = moment(now.Add(spareFor))
	}
	return e
}

// listed is a list of names in a sentence.
func listed(names []string) string {
	const most = 5
	if len(names) <= most {
		return strings.Join(names, ", ")
	}
	return fmt.Sprintf("%s and %d others", strings.Join(names[:most], ", "), len(names)-most)
}

func namesOf(items []store.PlanItem) []string {
	names := make([]string, 0, len(items))
	for _, i := range items {
		names = append(names, nameOf(i))
	}
	return names
}
