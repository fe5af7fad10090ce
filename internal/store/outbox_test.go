package store_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/tiny-forge/docker-watcher/internal/store"
	"github.com/tiny-forge/docker-watcher/internal/store/storetest"
)

func aChannel(t *testing.T, db *store.DB, name string) store.Channel {
	t.Helper()
	c := store.Channel{ID: store.NewID(), Name: name, Kind: "webhook", Shown: "https://h/***", Enabled: true, Revision: 1}
	storetest.Update(t, db, func(ctx context.Context, tx *store.Tx) error {
		return tx.InsertChannel(ctx, c, store.ChannelAddress{URL: "https://h/t0ken", Secret: "s3cret"})
	})
	return c
}

func aMessage(t *testing.T, db *store.DB, c store.Channel, events ...int64) store.Message {
	t.Helper()
	m := store.Message{ID: store.NewID(), ChannelID: c.ID, RuleID: "r", Severity: store.SeverityWarn, FirstEvent: events[0], DueAt: noon, CreatedAt: noon}
	storetest.Update(t, db, func(ctx context.Context, tx *store.Tx) error {
		if err := tx.InsertMessage(ctx, m); err != nil {
			return err
		}
		_, err := tx.AddToMessage(ctx, m, store.SeverityWarn, events)
		return err
	})
	return m
}

func TestChannels(t *testing.T) {
	storetest.Both(t, func(t *testing.T, db *store.DB) {
		ctx := t.Context()
		c := aChannel(t, db, "ops")
		got, err := db.ChannelByName(ctx, "ops")
		if err != nil || got.ID != c.ID || !got.Enabled || !got.SecretSet || got.Waiting != 0 || got.CreatedAt.IsZero() {
			t.Errorf("%+v, %v", got, err)
		}
		if to, err := db.ChannelAddress(ctx, c.ID); err != nil || to.URL != "https://h/t0ken" || to.Secret != "s3cret" {
			t.Errorf("%+v, %v", to, err)
		}
		if err := try(t, db, func(ctx context.Context, tx *store.Tx) error { return tx.InsertChannel(ctx, c, store.ChannelAddress{}) }); !errors.Is(err, store.ErrConflict) {
			t.Errorf("twice: %v", err)
		}
		storetest.Update(t, db, func(ctx context.Context, tx *store.Tx) error {
			if err := tx.ChannelFailed(ctx, c.ID, "down", noon, noon.Add(time.Hour)); err != nil {
				return err
			}
			if err := tx.ChannelFailed(ctx, c.ID, "still down", noon.Add(time.Hour), noon.Add(2*time.Hour)); err != nil {
				return err
			}
			return tx.SetChannelTested(ctx, c.ID, store.ChannelTest{At: noon, By: "user:anna", Error: "no"})
		})
		if got, err = db.Channel(ctx, c.ID); err != nil || !got.Failing.Equal(noon) || got.LastError != "still down" || !got.RetryAt.Equal(noon.Add(2*time.Hour)) || got.LastTest.Error != "no" {
			t.Errorf("%+v, %v", got, err)
		}
		got.Name = "renamed"
		change := func(to *store.ChannelAddress) error {
			return try(t, db, func(ctx context.Context, tx *store.Tx) error { return tx.UpdateChannel(ctx, got, to) })
		}
		if err := change(&store.ChannelAddress{URL: "https://h/other"}); err != nil {
			t.Fatal(err)
		}
		if err := change(nil); !errors.Is(err, store.ErrConflict) {
			t.Errorf("an old revision: %v", err)
		}
		if got, err = db.Channel(ctx, c.ID); err != nil || got.SecretSet || !got.RetryAt.IsZero() || !got.LastTest.At.IsZero() || got.Revision != 2 {
			t.Errorf("%+v, %v", got, err)
		}
		aMessage(t, db, got, 1)
		storetest.Update(t, db, func(ctx context.Context, tx *store.Tx) error { return tx.DeleteChannel(ctx, c.ID) })
		if all, _, err := db.Messages(ctx, store.MessageFilter{}, store.Page{}); err != nil || len(all) != 0 {
			t.Errorf("left: %+v, %v", all, err)
		}
		if err := try(t, db, func(ctx context.Context, tx *store.Tx) error { return tx.DeleteChannel(ctx, c.ID) }); !errors.Is(err, store.ErrNotFound) {
			t.Error(err)
		}
	})
}

func TestNotifyRules(t *testing.T) {
	storetest.Both(t, func(t *testing.T, db *store.DB) {
		ctx := t.Context()
		a, b := aChannel(t, db, "a"), aChannel(t, db, "b")
		storetest.Update(t, db, func(ctx context.Context, tx *store.Tx) error {
			return tx.Emit(ctx, store.Event{Severity: store.SeverityWarn, Kind: "x.y"})
		})
		r := store.NotifyRule{
			ID: store.NewID(), Name: "all", Enabled: true, Channels: []string{a.ID, b.ID}, Revision: 1,
			NotifyWants:  store.NotifyWants{Kinds: []string{"deploy.*"}, Projects: []string{"p"}},
			NotifyTiming: store.NotifyTiming{Gather: time.Minute, Quiet: store.QuietHours{From: "22:00", To: "07:00", Zone: "Europe/Berlin"}},
		}
		storetest.Update(t, db, func(ctx context.Context, tx *store.Tx) error { return tx.InsertNotifyRule(ctx, r) })
		got, err := db.NotifyRuleByName(ctx, "all")
		if err != nil || got.AfterID != 1 || len(got.Channels) != 2 || got.Kinds[0] != "deploy.*" || got.Gather != time.Minute || got.Quiet != r.Quiet {
			t.Errorf("%+v, %v", got, err)
		}
		if err := try(t, db, func(ctx context.Context, tx *store.Tx) error {
			other := r
			other.ID, other.Name, other.Channels = store.NewID(), "other", []string{"none"}
			return tx.InsertNotifyRule(ctx, other)
		}); !errors.Is(err, store.ErrNotFound) {
			t.Errorf("a channel that does not exist: %v", err)
		}
		storetest.Update(t, db, func(ctx context.Context, tx *store.Tx) error {
			if err := tx.RuleHasSeen(ctx, r.ID, 7); err != nil {
				return err
			}
			if err := tx.RuleHasSeen(ctx, r.ID, 5); err != nil {
				return err
			}
			return tx.DeleteChannel(ctx, a.ID)
		})
		if got, err = db.NotifyRule(ctx, r.ID); err != nil || got.AfterID != 7 || len(got.Channels) != 1 || got.Channels[0] != b.ID {
			t.Errorf("%+v, %v", got, err)
		}
		storetest.Update(t, db, func(ctx context.Context, tx *store.Tx) error { return tx.DeleteNotifyRule(ctx, r.ID) })
		if _, err := db.NotifyRule(ctx, r.ID); !errors.Is(err, store.ErrNotFound) {
			t.Error(err)
		}
	})
}

func TestOutbox(t *testing.T) {
	storetest.Both(t, func(t *testing.T, db *store.DB) {
		ctx := t.Context()
		c := aChannel(t, db, "ops")
		first, second := aMessage(t, db, c, 1, 2), aMessage(t, db, c, 3)
		storetest.Update(t, db, func(ctx context.Context, tx *store.Tx) error {
			// What the channel is told of already comes in no more, and a message without events is none.
			if n, err := tx.AddToMessage(ctx, mustOpen(t, tx, c), store.SeverityError, []int64{1, 2, 3, 4}); err != nil || n != 1 {
				t.Errorf("%d came in, %v", n, err)
			}
			none := store.Message{ID: "none", ChannelID: c.ID, RuleID: "q", FirstEvent: 1, DueAt: noon}
			if err := tx.InsertMessage(ctx, none); err != nil {
				return err
			}
			if n, err := tx.AddToMessage(ctx, none, store.SeverityWarn, []int64{1}); err != nil || n != 0 {
				t.Errorf("%d came in, %v", n, err)
			}
			return nil
		})
		all, _, err := db.Messages(ctx, store.MessageFilter{ChannelID: c.ID}, store.Page{})
		if err != nil || len(all) != 2 || all[0].Events != 2 || all[0].Severity != store.SeverityError {
			t.Errorf("%+v, %v", all, err)
		}
		lines, err := db.Lines(ctx)
		if err != nil || len(lines) != 1 || !lines[0].DueAt.Equal(noon) {
			t.Errorf("%+v, %v", lines, err)
		}
		storetest.Update(t, db, func(ctx context.Context, tx *store.Tx) error {
			if m, err := tx.NextMessage(ctx, c.ID, noon); err != nil || m.ID != first.ID {
				t.Errorf("next %+v, %v", m, err)
			}
			if _, err := tx.NextMessage(ctx, c.ID, noon.Add(-time.Second)); !errors.Is(err, store.ErrNotFound) {
				t.Errorf("before its time: %v", err)
			}
			return tx.ClaimMessage(ctx, first.ID, noon, noon.Add(time.Minute))
		})
		if lines, _ = db.Lines(ctx); len(lines) != 1 || !lines[0].DueAt.Equal(noon.Add(time.Minute)) {
			t.Errorf("in hand: %+v", lines)
		}
		for what, fn := range map[string]func(context.Context, *store.Tx) error{
			"retry":  func(ctx context.Context, tx *store.Tx) error { return tx.RetryMessage(ctx, first.ID, noon) },
			"delete": func(ctx context.Context, tx *store.Tx) error { return tx.DeleteMessage(ctx, first.ID) },
		} {
			if err := try(t, db, fn); !errors.Is(err, store.ErrBadTransition) {
				t.Errorf("%s what is being sent: %v", what, err)
			}
		}
		first.State, first.Title = store.MessageSent, "told"
		second.State, second.Error = store.MessageDead, "no"
		storetest.Update(t, db, func(ctx context.Context, tx *store.Tx) error {
			if err := tx.EndAttempt(ctx, first, noon); err != nil {
				return err
			}
			if err := tx.ClaimMessage(ctx, second.ID, noon, noon); err != nil {
				return err
			}
			return tx.EndAttempt(ctx, second, noon)
		})
		got, err := db.Channel(ctx, c.ID)
		if err != nil || got.Waiting != 0 || got.Dead != 1 {
			t.Errorf("%+v, %v", got, err)
		}
		storetest.Update(t, db, func(ctx context.Context, tx *store.Tx) error {
			n, err := tx.RetryDead(ctx, c.ID, noon.Add(time.Hour))
			if n != 1 {
				t.Errorf("%d revived", n)
			}
			if n, err := tx.RetryDead(ctx, "", noon); err != nil || n != 0 {
				t.Errorf("%d revived again, %v", n, err)
			}
			if _, err := tx.OpenMessage(ctx, c.ID, "r", false); !errors.Is(err, store.ErrNotFound) {
				t.Errorf("what was tried takes events in: %v", err)
			}
			return err
		})
		if m, err := db.Message(ctx, second.ID); err != nil || m.State != store.MessagePending || !m.TriedAt.IsZero() || !m.EndedAt.IsZero() {
			t.Errorf("%+v, %v", m, err)
		}
		storetest.Update(t, db, func(ctx context.Context, tx *store.Tx) error {
			if n, err := tx.PruneOutbox(ctx, noon, 10); err != nil || n != 0 {
				t.Errorf("%d went, %v", n, err)
			}
			n, err := tx.PruneOutbox(ctx, noon.Add(time.Second), 10)
			if n != 1 {
				t.Errorf("%d went", n)
			}
			return err
		})
	})
}

func mustOpen(t *testing.T, tx *store.Tx, c store.Channel) store.Message {
	t.Helper()
	m, err := tx.OpenMessage(t.Context(), c.ID, "r", false)
	if err != nil {
		t.Fatal(err)
	}
	return m
}

// Acceptance test 29 in spirit: what somebody has yet to be told is never deleted, however old.
func TestPruneLeavesWhatIsYetToBeTold(t *testing.T) {
	storetest.Both(t, func(t *testing.T, db *store.DB) {
		c := aChannel(t, db, "ops")
		storetest.Update(t, db, func(ctx context.Context, tx *store.Tx) error {
			for range 6 {
				if err := tx.Emit(ctx, store.Event{Time: noon, Severity: store.SeverityWarn, Kind: "x.y"}); err != nil {
					return err
				}
			}
			return nil
		})
		waits, sent := aMessage(t, db, c, 1), aMessage(t, db, c, 2)
		sent.State, waits.State = store.MessageSent, store.MessageDead
		rule := store.NotifyRule{ID: store.NewID(), Name: "all", Enabled: true, Channels: []string{c.ID}, Revision: 1}
		storetest.Update(t, db, func(ctx context.Context, tx *store.Tx) error {
			for _, m := range []store.Message{waits, sent} {
				if err := tx.ClaimMessage(ctx, m.ID, noon, noon); err != nil {
					return err
				}
				if err := tx.EndAttempt(ctx, m, noon); err != nil {
					return err
				}
			}
			return tx.InsertNotifyRule(ctx, rule)
		})
		storetest.Update(t, db, func(ctx context.Context, tx *store.Tx) error {
			return tx.Emit(ctx, store.Event{Time: noon, Severity: store.SeverityWarn, Kind: "x.y"}) // which the rule has not seen
		})
		prune := func() {
			storetest.Update(t, db, func(ctx context.Context, tx *store.Tx) error {
				_, err := tx.PruneEvents(ctx, noon.Add(time.Hour), 100)
				return err
			})
		}
		left := func() (ids []int64) {
			evs, err := db.EventsAfter(t.Context(), 0, 100)
			if err != nil {
				t.Fatal(err)
			}
			for _, e := range evs {
				ids = append(ids, e.ID)
			}
			return ids
		}
		prune()
		if got := left(); len(got) != 2 || got[0] != 1 || got[1] != 7 {
			t.Errorf("left: %v", got)
		}
		storetest.Update(t, db, func(ctx context.Context, tx *store.Tx) error {
			if err := tx.DeleteMessage(ctx, waits.ID); err != nil {
				return err
			}
			return tx.RuleHasSeen(ctx, rule.ID, 7)
		})
		prune()
		if got := left(); len(got) != 0 {
			t.Errorf("left for ever: %v", got)
		}
	})
}
