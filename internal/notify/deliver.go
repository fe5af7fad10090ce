package notify

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/tiny-forge/docker-watcher/internal/failpoint"
	"github.com/tiny-forge/docker-watcher/internal/guard"
	"github.com/tiny-forge/docker-watcher/internal/store"
)

const (
	// sendTimeout bounds one attempt.
	sendTimeout = 20 * time.Second
	// lease is how long a message stays in hand of whoever took it and was not heard of since.
	lease = sendTimeout + 20*time.Second
	// atOnce is how many channels are sent to at a time.
	atOnce = 4
	// writeTimeout bounds how long the end waits for what became of an attempt to be written.
	writeTimeout = 5 * time.Second
	// endGrace is how long an attempt may still take after the daemon was told to stop.
	endGrace = 3 * time.Second
)

// delivering sends what is due until ctx ends. A channel that is slow holds up no other.
func (n *Notifier) delivering(ctx context.Context) error {
	n.releaseAll(ctx)
	var under sync.WaitGroup
	defer under.Wait()
	busy, done := map[string]bool{}, make(chan string, atOnce)
	var looked time.Time
	for {
		if looked.IsZero() || time.Since(looked) >= lookEvery {
			looked = time.Now()
			if err := n.bringNear(ctx, looked.UTC()); err != nil && ctx.Err() == nil {
				n.log.Error("it is not known whether the outbox waits for too long: the store does not answer", "error", err)
			}
		}
		due, wake := n.due(ctx, busy)
		for _, channel := range due[:min(len(due), atOnce-len(busy))] {
			busy[channel] = true
			under.Go(func() { n.tryAndTell(ctx, channel); done <- channel })
		}
		timer := time.NewTimer(wake)
		select {
		case channel := <-done:
			delete(busy, channel)
		case <-n.poked:
		case <-timer.C:
		case <-ctx.Done():
			timer.Stop()
			return nil
		}
		timer.Stop()
	}
}

// releaseAll gives back what a former daemon had in hand, as soon as the store lets it.
func (n *Notifier) releaseAll(ctx context.Context) {
	for ctx.Err() == nil {
		err := n.release(ctx)
		if err == nil {
			return
		}
		n.log.Error("the outbox waits: the store does not answer", "error", err)
		pause(ctx, afterFault)
	}
}

func (n *Notifier) release(ctx context.Context) error {
	return n.db.Update(ctx, func(tx *store.Tx) error {
		_, err := tx.ReleaseMessages(ctx)
		return err
	})
}

// due are the idle channels that can be sent to now, and how long it is until another can be, or until it is to be asked again.
func (n *Notifier) due(ctx context.Context, busy map[string]bool) (channels []string, wake time.Duration) {
	lines, err := n.db.Lines(ctx)
	if err != nil {
		if ctx.Err() == nil {
			n.log.Error("the outbox waits: the store does not answer", "error", err)
		}
		return nil, afterFault
	}
	now := time.Now()
	wake = lookEvery
	for _, l := range lines {
		switch wait := l.DueAt.Sub(now); {
		case busy[l.ChannelID]: // its end is heard of
		case wait <= 0:
			channels = append(channels, l.ChannelID)
		default:
			wake = min(wake, wait+time.Millisecond)
		}
	}
	return channels, wake
}

func (n *Notifier) tryAndTell(ctx context.Context, channel string) {
	if err := guard.Do(n.log, "deliver", func() error { return n.try(ctx, channel, time.Now().UTC()) }); err != nil && ctx.Err() == nil {
		n.log.Error("a message waits in the outbox", "error", err)
		pause(ctx, afterFault)
	}
}

// try makes one attempt at the message of a channel whose turn it is at now. An error is one of the store: that a target
// refuses is written down.
func (n *Notifier) try(ctx context.Context, channelID string, now time.Time) error {
	m, c, err := n.claim(ctx, channelID, now)
	if err != nil || m.ID == "" {
		return err
	}
	failpoint.Here("claimed")
	// It goes on for a moment when the daemon is told to stop: most are done by then, and need not be sent again.
	sending, cancel := context.WithTimeout(context.WithoutCancel(ctx), sendTimeout)
	defer cancel()
	stop := context.AfterFunc(ctx, func() { time.AfterFunc(endGrace, cancel) })
	defer stop()
	title, failure, err := n.send(sending, m, c)
	if err != nil {
		return err // it stays in hand until its lease ends
	}
	failpoint.Here("sent")
	writing, cancelWrite := context.WithTimeout(context.WithoutCancel(ctx), writeTimeout)
	defer cancelWrite()
	m.Title = title
	return n.end(writing, m, c, failure, now)
}

// claim takes the next message of a channel in hand, or puts off what has come into quiet hours. No id: there is none.
func (n *Notifier) claim(ctx context.Context, channelID string, now time.Time) (m store.Message, c store.Channel, err error) {
	err = n.db.Update(ctx, func(tx *store.Tx) error {
		found, err := tx.NextMessage(ctx, channelID, now)
		if err != nil {
			return err
		}
		if c, err = tx.Channel(ctx, channelID); err != nil {
			return err
		}
		until, err := heldNow(ctx, tx, found, now)
		if err != nil {
			return err
		}
		if until.After(now) {
			return tx.HoldMessage(ctx, found.ID, until)
		}
		if !c.Enabled || c.RetryAt.After(now) {
			return nil
		}
		if err := tx.ClaimMessage(ctx, found.ID, now, now.Add(lease)); err != nil {
			return err
		}
		m, err = tx.Message(ctx, found.ID)
		return err
	})
	if errors.Is(err, store.ErrNotFound) {
		return store.Message{}, c, nil
	}
	if err != nil {
		return store.Message{}, c, fmt.Errorf("take a message for channel %s in hand: %w", channelID, err)
	}
	return m, c, nil
}

// heldNow says until when a message is held back by the quiet hours of its rule, as they are now.
func heldNow(ctx context.Context, tx *store.Tx, m store.Message, now time.Time) (time.Time, error) {
	r, err := tx.NotifyRule(ctx, m.RuleID)
	if errors.Is(err, store.ErrNotFound) {
		return now, nil
	}
	return Held(r.Quiet, m.Severity, now), err
}

// send makes the attempt. The failure is the target's, or one of the template.
func (n *Notifier) send(ctx context.Context, m store.Message, c store.Channel) (title string, failure *Failure, err error) {
	to, err := n.db.ChannelAddress(ctx, c.ID)
	if errors.Is(err, store.ErrUnreadable) {
		return m.Title, &Failure{Text: "its address cannot be opened: set it anew"}, nil
	}
	if err != nil {
		return "", nil, err
	}
	view, err := n.view(ctx, m)
	if err != nil {
		return "", nil, err
	}
	l, err := write(Templates{Title: c.Title, Body: c.Body}, view)
	if err != nil {
		// Not to be told for a template that was good for other events: the usual one is.
		if l, err = write(Templates{}, view); err != nil {
			return "", nil, err
		}
	}
	_, failure = n.post.send(ctx, to, l)
	return l.Title, failure, nil
}

// end writes what became of an attempt.
func (n *Notifier) end(ctx context.Context, m store.Message, c store.Channel, failure *Failure, now time.Time) error {
	m.State, m.Error = store.MessageSent, ""
	if failure != nil {
		m.State, m.Error = store.MessagePending, failure.Text
		if failure.Permanent || GivenUp(m.TriedAt, now) {
			m.State = store.MessageDead
		}
	}
	err := n.db.Update(ctx, func(tx *store.Tx) error {
		if err := tx.EndAttempt(ctx, m, now); err != nil {
			return err
		}
		switch {
		case failure == nil:
			if err := tx.ChannelSent(ctx, c.ID, now); err != nil {
				return err
			}
		case failure.Permanent: // it is the message that is refused
		default:
			if err := tx.ChannelFailed(ctx, c.ID, failure.Text, now, now.Add(max(Backoff(m.Attempts), failure.After))); err != nil {
				return err
			}
		}
		return tx.Emit(ctx, told(m, c, failure)...)
	})
	if errors.Is(err, store.ErrNotFound) {
		return nil // the channel was removed meanwhile, with all that was for it
	}
	if err != nil {
		return fmt.Errorf("write what became of message %s: %w", m.ID, err)
	}
	n.tried.count(c.ID, m.State)
	return nil
}

// told are the events of an attempt: that a channel fails is told once, as is that it works again, and each dead letter.
func told(m store.Message, c store.Channel, failure *Failure) (evs []store.Event) {
	event := func(severity store.Severity, kind, message string) {
		evs = append(evs, store.Event{
			Severity: severity, Source: store.SourceNotifier, Kind: kind, Message: message, Actor: "system",
			Data: map[string]any{"channel_id": c.ID, "channel": c.Name, "message_id": m.ID, "events": m.Events},
		})
	}
	switch {
	case failure == nil && !c.Failing.IsZero():
		event(store.SeverityInfo, "channel.recovered", "channel "+c.Name+" takes messages again")
	case failure != nil && !failure.Permanent && c.Failing.IsZero():
		event(store.SeverityWarn, "channel.failing", "channel "+c.Name+" does not take messages, they wait: "+failure.Text)
	}
	if m.State == store.MessageDead {
		event(store.SeverityError, "message.dead", fmt.Sprintf("a message of %s to channel %s was given up: %s; look into the outbox, and have it sent again or delete it",
			eventsOf(m.Events), c.Name, failure.Text))
	}
	return evs
}

func eventsOf(n int) string {
	if n == 1 {
		return "1 event"
	}
	return fmt.Sprintf("%d events", n)
}
