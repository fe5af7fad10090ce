package notify

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/tiny-forge/docker-watcher/internal/store"
)

const (
	// lookEvery is how often the clock on the wall is asked at least: timers stand still while the machine sleeps, and do not see it set.
	lookEvery = time.Minute
	// aheadAtOnce is how many messages that wait are looked at in one look.
	aheadAtOnce = 500
)

// broughtNear is a message as it may be at a moment: it waits no longer than its rule would have one wait that comes now, is in hand no longer than a lease, and
// was not tried in times to come. What is further ahead was written while the clock ran ahead, and would silence its channel until then. A rule of nil is
// gone.
func broughtNear(m store.Message, r *store.NotifyRule, now time.Time) store.Message {
	latest := now
	if r != nil {
		if !m.Urgent {
			latest = latest.Add(r.Gather)
		}
		latest = quietUntil(r.Quiet, latest)
	}
	m.DueAt = earlier(m.DueAt, latest)
	if m.State == store.MessageSending {
		m.LeaseUntil = earlier(m.LeaseUntil, now.Add(lease))
	}
	m.TriedAt = earlier(m.TriedAt, now)
	return m
}

func earlier(a, b time.Time) time.Time {
	if b.Before(a) {
		return b
	}
	return a
}

// bringNear has nothing in the outbox wait for what a clock said that ran ahead.
func (n *Notifier) bringNear(ctx context.Context, now time.Time) error {
	channels, err := n.db.Channels(ctx)
	if err != nil {
		return fmt.Errorf("look for channels that wait: %w", err)
	}
	ahead, err := n.db.MessagesAhead(ctx, now, now.Add(lease), aheadAtOnce)
	if err != nil {
		return err
	}
	rules, err := n.db.NotifyRules(ctx)
	if err != nil {
		return fmt.Errorf("look for rules of what waits: %w", err)
	}
	var moved []store.Message
	for _, m := range ahead {
		var rule *store.NotifyRule
		if i := slices.IndexFunc(rules, func(r store.NotifyRule) bool { return r.ID == m.RuleID }); i >= 0 {
			rule = &rules[i]
		}
		if near := broughtNear(m, rule, now); near != m {
			moved = append(moved, near)
		}
	}
	latest := now.Add(lastBackoff)
	waits := slices.ContainsFunc(channels, func(c store.Channel) bool { return c.RetryAt.After(latest) })
	if !waits && len(moved) == 0 {
		return nil
	}
	n.log.Warn("the outbox waited for what a clock said that ran ahead, it is brought near", "messages", len(moved))
	return n.db.Update(ctx, func(tx *store.Tx) error {
		_, err := tx.RetryChannelsBy(ctx, latest)
		for _, m := range moved {
			err = errors.Join(err, tx.SetMessageTimes(ctx, m))
		}
		return err
	})
}
