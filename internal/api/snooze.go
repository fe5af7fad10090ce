package api

import (
	"context"
	"time"

	"github.com/tiny-forge/docker-watcher/internal/store"
)

const longestSnooze = 365 * day

type snoozeIn struct {
	Seen
	Body struct {
		Until  *time.Time `json:"until,omitempty" doc:"at most 365 days from now"`
		For    *string    `json:"for,omitempty" maxLength:"20" doc:"instead of until: such as 36h or 7d"`
		Reason string     `json:"reason" minLength:"1" maxLength:"200" doc:"why it is kept"`
	}
}

// snooze keeps an instance from every cleanup until a moment.
func (s *server) snooze(ctx context.Context, in *snoozeIn) (*versioned[instanceJSON], error) {
	until, err := in.until(time.Now())
	if err != nil {
		return nil, err
	}
	if err := s.instanceSeen(ctx, &in.Seen); err != nil {
		return nil, err
	}
	if err := s.d.Cleaner.Snooze(ctx, in.ID, until, in.Body.Reason, actorOf(ctx)); err != nil {
		return nil, wrongFields("body", err)
	}
	return s.instanceNow(ctx, in.ID)
}

func (in *snoozeIn) until(now time.Time) (time.Time, error) {
	switch {
	case (in.Body.Until == nil) == (in.Body.For == nil):
		return time.Time{}, invalid("body.until", "say until when, or for how long, and not both")
	case in.Body.For != nil:
		span, err := store.ParseStaleAfter(*in.Body.For)
		if err != nil || span.Never || span.After > longestSnooze {
			return time.Time{}, invalid("body.for", "a span from 1s to 365d is expected, such as 36h or 7d")
		}
		return now.Add(span.After).UTC(), nil
	case !in.Body.Until.After(now) || in.Body.Until.After(now.Add(longestSnooze)):
		return time.Time{}, invalid("body.until", "it must lie in the future, at most 365 days from now")
	}
	return in.Body.Until.UTC(), nil
}

func (s *server) unsnooze(ctx context.Context, in *Seen) (*versioned[instanceJSON], error) {
	if err := s.instanceSeen(ctx, in); err != nil {
		return nil, err
	}
	if err := s.d.Cleaner.Unsnooze(ctx, in.ID, actorOf(ctx)); err != nil {
		return nil, err
	}
	return s.instanceNow(ctx, in.ID)
}
