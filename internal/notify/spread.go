package notify

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/tiny-forge/docker-watcher/internal/events"
	"github.com/tiny-forge/docker-watcher/internal/store"
)

const (
	// settle lets what belongs together come together: the events of one story are several commits.
	settle     = 300 * time.Millisecond
	readAtOnce = 500
	wakes      = 1024 // events that the loop may be behind before it reads the log anyway
	afterFault = 5 * time.Second
	// noteAfter is how long what a rule has seen in vain may stay unwritten. After a crash it is looked at again, in vain again.
	noteAfter = 10 * time.Minute
)

// spreading reads the log whenever it has grown, as long as some rule wants to know.
func (n *Notifier) spreading(ctx context.Context) error {
	for ctx.Err() == nil {
		sub := n.bus.Subscribe(wakes)
		err := n.follow(ctx, sub)
		sub.Close()
		if errors.Is(err, events.ErrClosed) {
			return nil
		}
	}
	return nil
}

// follow ends with the subscription.
func (n *Notifier) follow(ctx context.Context, sub *events.Subscription) error {
	wanted := n.spreadAll(ctx)
	for {
		evs, err := sub.Next(ctx)
		if err != nil {
			return err
		}
		changed := slices.ContainsFunc(evs, ofOurs)
		if changed {
			n.poke() // a channel may have been put on, a dead letter revived
		}
		kept := slices.ContainsFunc(evs, func(e store.Event) bool { return e.ID != 0 })
		if changed || kept && wanted {
			if !pause(ctx, settle) {
				return ctx.Err()
			}
			wanted = n.spreadAll(ctx)
		}
	}
}

// ofOurs reports whether an event tells of a change of channels, rules or the outbox.
func ofOurs(e store.Event) bool {
	noun, _, _ := strings.Cut(e.Kind, ".")
	return noun == "channel" || noun == "rule" || noun == "message"
}

// spreadAll reads the log to its end, and tells whether any rule is interested at all.
func (n *Notifier) spreadAll(ctx context.Context) (wanted bool) {
	for ctx.Err() == nil {
		state, err := n.spread(ctx, time.Now().UTC())
		switch {
		case err == nil && state == spreadAtEnd:
			return true
		case err == nil && state == spreadIdle:
			return false
		case err != nil && ctx.Err() == nil:
			n.log.Error("events wait to be told: the store does not answer", "error", err)
			pause(ctx, afterFault)
		}
	}
	return true
}

// spreadState is where one pass left the log.
type spreadState int

const (
	spreadIdle  spreadState = iota // no rule is interested
	spreadAtEnd                    // all was seen
	spreadMore                     // there is more, or the rules changed meanwhile
)

// spread looks at the next events of the log.
func (n *Notifier) spread(ctx context.Context, now time.Time) (spreadState, error) {
	rules, err := n.interested(ctx, n.db.NotifyRules)
	if err != nil || len(rules) == 0 {
		return spreadIdle, err
	}
	from := rules[0].AfterID
	for _, r := range rules {
		from = min(from, r.AfterID)
	}
	evs, err := n.db.EventsAfter(ctx, from, readAtOnce)
	if err != nil || len(evs) == 0 {
		return spreadAtEnd, err
	}
	last := evs[len(evs)-1].ID
	puts := plan(rules, evs, now)
	if len(puts) > 0 || now.Sub(n.noted) > noteAfter {
		if err := n.write(ctx, rules, puts, last, now); errors.Is(err, errRulesMoved) {
			return spreadMore, nil
		} else if err != nil {
			return spreadMore, err
		}
		n.noted = now
	}
	for _, r := range rules {
		n.seen[r.ID] = max(r.AfterID, last)
	}
	if len(puts) > 0 {
		n.poke()
	}
	if len(evs) < readAtOnce {
		return spreadAtEnd, nil
	}
	return spreadMore, nil
}

// interested are the rules that have anything told, with how far each has seen the log.
func (n *Notifier) interested(ctx context.Context, read func(context.Context) ([]store.NotifyRule, error)) ([]store.NotifyRule, error) {
	rules, err := read(ctx)
	if err != nil {
		return nil, err
	}
	rules = slices.DeleteFunc(rules, func(r store.NotifyRule) bool { return !active(r) })
	for i := range rules {
		rules[i].AfterID = max(rules[i].AfterID, n.seen[rules[i].ID])
	}
	return rules, nil
}

var errRulesMoved = errors.New("the rules changed meanwhile")

// write puts messages into the outbox and moves the marks of the rules, in one transaction.
func (n *Notifier) write(ctx context.Context, rules []store.NotifyRule, puts []put, last int64, now time.Time) error {
	err := n.db.Update(ctx, func(tx *store.Tx) error {
		current, err := n.interested(ctx, tx.NotifyRules)
		if err != nil {
			return err
		}
		if !slices.EqualFunc(rules, current, func(a, b store.NotifyRule) bool {
			return a.ID == b.ID && a.Revision == b.Revision && slices.Equal(a.Channels, b.Channels)
		}) {
			return errRulesMoved
		}
		for _, p := range puts {
			if err := enter(ctx, tx, p, now); err != nil {
				return err
			}
		}
		for _, r := range rules {
			if err := tx.RuleHasSeen(ctx, r.ID, max(r.AfterID, last)); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("put messages into the outbox: %w", err)
	}
	return nil
}

// enter adds events to the open message of their channel and rule, or makes one.
func enter(ctx context.Context, tx *store.Tx, p put, now time.Time) error {
	m, err := tx.OpenMessage(ctx, p.channel, p.rule, p.urgent)
	if errors.Is(err, store.ErrNotFound) {
		m = store.Message{
			ID: store.NewID(), ChannelID: p.channel, RuleID: p.rule, Urgent: p.urgent, Severity: p.severity,
			FirstEvent: p.events[0], DueAt: p.due, CreatedAt: now,
		}
		err = tx.InsertMessage(ctx, m)
	}
	if err != nil {
		return err
	}
	_, err = tx.AddToMessage(ctx, m, worse(m.Severity, p.severity), p.events)
	return err
}
