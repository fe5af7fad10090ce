package stale

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/tiny-forge/docker-watcher/internal/store"
)

const (
	longestSnooze = 365 * day
	longestReason = 200
)

// Snooze keeps an instance from every cleanup until a moment. Unsnooze ends it.
func (c *Cleaner) Snooze(ctx context.Context, instanceID string, until time.Time, reason, actor string) error {
	now := time.Now().UTC()
	reason = strings.TrimSpace(reason)
	if err := validSnooze(until, reason, now); err != nil {
		return err
	}
	err := c.protect(ctx, instanceID, func(tx *store.Tx, v store.InstanceView) error {
		if err := tx.SetSnooze(ctx, v.ID, until, actor, reason, v.Revision); err != nil {
			return err
		}
		e := snoozeEvent(v, "instance.snoozed", fmt.Sprintf("%s is snoozed until %s: %s", v.Name, moment(until), reason), actor, now)
		e.Data["until"], e.Data["reason"] = moment(until), reason
		return tx.Emit(ctx, e)
	})
	if err != nil {
		return fmt.Errorf("snooze instance %s: %w", instanceID, err)
	}
	return nil
}

func validSnooze(until time.Time, reason string, now time.Time) error {
	var errs []error
	switch {
	case !until.After(now):
		errs = append(errs, store.FieldError{Field: "until", Reason: "must be in the future"})
	case until.Sub(now) > longestSnooze:
		errs = append(errs, store.FieldError{Field: "until", Reason: "must be within 365 days: pin what is to stay for good"})
	}
	if n := utf8.RuneCountInString(reason); n < 1 || n > longestReason {
		errs = append(errs, store.FieldError{Field: "reason", Reason: fmt.Sprintf("must have 1 to %d characters", longestReason)})
	}
	return errors.Join(errs...)
}

// Unsnooze ends a snooze; where there is none it changes nothing.
func (c *Cleaner) Unsnooze(ctx context.Context, instanceID, actor string) error {
	now := time.Now().UTC()
	err := c.protect(ctx, instanceID, func(tx *store.Tx, v store.InstanceView) error {
		if !v.SnoozedUntil.After(now) {
			return nil
		}
		if err := tx.SetSnooze(ctx, v.ID, time.Time{}, "", "", v.Revision); err != nil {
			return err
		}
		return tx.Emit(ctx, snoozeEvent(v, "instance.unsnoozed", v.Name+" is no longer snoozed", actor, now))
	})
	if err != nil {
		return fmt.Errorf("unsnooze instance %s: %w", instanceID, err)
	}
	return nil
}

// protect changes the protection of an instance as it is now.
func (c *Cleaner) protect(ctx context.Context, instanceID string, change func(*store.Tx, store.InstanceView) error) error {
	return c.db.Update(ctx, func(tx *store.Tx) error {
		v, err := tx.Instance(ctx, instanceID)
		if err != nil {
			return err
		}
		return change(tx, v)
	})
}

func snoozeEvent(v store.InstanceView, kind, message, actor string, now time.Time) store.Event {
	return store.Event{
		Time: now, Severity: store.SeverityInfo, Source: store.SourceCleaner, Kind: kind, Message: message,
		ProjectID: v.ProjectID, StageID: v.StageID, InstanceID: v.ID, HostID: v.HostID, Actor: actor,
		Data: map[string]any{"image_tag": v.ImageTag},
	}
}
