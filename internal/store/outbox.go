package store

import (
	"context"
	"fmt"
	"strings"
	"time"
)

// MessageState is how far a message of the outbox has come.
type MessageState string

// The states of a message. One that is pending and was never tried still takes events in.
const (
	MessagePending MessageState = "pending"
	MessageSending MessageState = "sending" // somebody has it in hand until its lease ends
	MessageSent    MessageState = "sent"
	MessageDead    MessageState = "dead" // given up: somebody has to say what becomes of it
)

// MessageStates are all of them.
func MessageStates() []MessageState {
	return []MessageState{MessagePending, MessageSending, MessageSent, MessageDead}
}

// Message is one message of the outbox. Its id is what a target tells doubles by.
type Message struct {
	ID         string
	ChannelID  string
	RuleID     string // it may be gone
	State      MessageState
	Urgent     bool // not gathered, not held back by quiet hours
	Severity   Severity
	Events     int
	FirstEvent int64
	DueAt      time.Time
	LeaseUntil time.Time
	Attempts   int
	TriedAt    time.Time // first; zero: never
	Error      string    // of the last attempt
	Title      string    // as it was last tried
	CreatedAt  time.Time
	EndedAt    time.Time // sent or given up
}

const messageColumns = `id, channel_id, rule_id, state, urgent, severity, events, first_event, due_at, lease_until, attempts, tried_at,
	error, title, created_at, ended_at`

func scanMessage(r row) (m Message, err error) {
	err = r.Scan(&m.ID, &m.ChannelID, &m.RuleID, &m.State, truth{&m.Urgent}, &m.Severity, &m.Events, &m.FirstEvent, at{&m.DueAt},
		at{&m.LeaseUntil}, &m.Attempts, at{&m.TriedAt}, &m.Error, &m.Title, at{&m.CreatedAt}, at{&m.EndedAt})
	return m, err
}

// Message returns one message.
func (q queries) Message(ctx context.Context, id string) (Message, error) {
	return one(ctx, q, "read message "+id, scanMessage, `SELECT `+messageColumns+` FROM notify_messages WHERE id = $1`, id)
}

// MessageFilter selects messages; zero fields do not filter.
type MessageFilter struct {
	State     MessageState
	ChannelID string
}

// Messages returns a page of the outbox, newest first.
func (q queries) Messages(ctx context.Context, f MessageFilter, p Page) ([]Message, string, error) {
	c, found, err := parseCursor(p.Cursor, "outbox", 1, 1)
	if err != nil {
		return nil, "", err
	}
	var a arguments
	var w where
	if f.State != "" {
		w.and(`state = ` + a.add(string(f.State)))
	}
	if f.ChannelID != "" {
		w.and(`channel_id = ` + a.add(f.ChannelID))
	}
	if found {
		w.and(`(created_at, id) < (` + a.add(c.Numbers[0]) + `, ` + a.add(c.Texts[0]) + `)`)
	}
	items, err := list(ctx, q, "list the outbox", scanMessage,
		`SELECT `+messageColumns+` FROM notify_messages`+w.String()+` ORDER BY created_at DESC, id DESC LIMIT `+a.add(p.limit()+1), a...)
	if err != nil {
		return nil, "", err
	}
	items, next := cut(items, p.limit(), func(m Message) cursor {
		return cursor{List: "outbox", Numbers: []int64{m.CreatedAt.UnixMilli()}, Texts: []string{m.ID}}
	})
	return items, next, nil
}

// MessageEvents returns the events that a message tells of, oldest first.
func (q queries) MessageEvents(ctx context.Context, id string, limit int) ([]Event, error) {
	return list(ctx, q, "read the events of message "+id, scanEvent, `SELECT `+eventColumns+` FROM event_log WHERE id IN
		(SELECT event_id FROM notify_message_events WHERE message_id = $1) ORDER BY id LIMIT $2`, id, limit)
}

// OpenMessage returns the message of a channel and rule that still takes events in; ErrNotFound: there is none.
func (tx *Tx) OpenMessage(ctx context.Context, channelID, ruleID string, urgent bool) (Message, error) {
	return one(ctx, tx.queries, "look for an open message", scanMessage, `SELECT `+messageColumns+` FROM notify_messages
		WHERE channel_id = $1 AND state = 'pending' AND rule_id = $2 AND urgent = $3 AND attempts = 0 ORDER BY first_event DESC LIMIT 1`,
		channelID, ruleID, bit(urgent))
}

// InsertMessage puts a message without events into the outbox.
func (tx *Tx) InsertMessage(ctx context.Context, m Message) error {
	_, err := tx.exec(ctx, "put a message into the outbox", `INSERT INTO notify_messages (`+messageColumns+`)
		VALUES ($1, $2, $3, $4, $5, $6, 0, $7, $8, NULL, 0, NULL, '', '', $9, NULL)`,
		m.ID, m.ChannelID, m.RuleID, string(MessagePending), bit(m.Urgent), string(m.Severity), m.FirstEvent, millis(m.DueAt), orNow(m.CreatedAt, now()))
	return err
}

// AddToMessage adds events to an open message, which is at least as bad as severity from then on. An event that its channel
// is told of already is left out. It returns how many came in; a message that is left without any is taken out of the outbox.
func (tx *Tx) AddToMessage(ctx context.Context, m Message, severity Severity, events []int64) (int, error) {
	const what = "add to a message"
	added := 0
	for len(events) > 0 {
		n := min(len(events), 100)
		var a arguments
		rows := make([]string, n)
		for i, id := range events[:n] {
			rows[i] = `(` + a.add(id) + `, ` + a.add(m.ChannelID) + `, ` + a.add(m.ID) + `)`
		}
		came, err := tx.exec(ctx, what, `INSERT INTO notify_message_events (event_id, channel_id, message_id) VALUES `+strings.Join(rows, `, `)+` ON CONFLICT DO NOTHING`, a...)
		if err != nil {
			return 0, err
		}
		added, events = added+came, events[n:]
	}
	if m.Events+added == 0 {
		_, err := tx.exec(ctx, what, `DELETE FROM notify_messages WHERE id = $1`, m.ID)
		return 0, err
	}
	return added, tx.execOne(ctx, what, ErrNotFound, `UPDATE notify_messages SET events = events + $1, severity = $2 WHERE id = $3`,
		added, string(severity), m.ID)
}

// Line is when the next message of a channel may be tried.
type Line struct {
	ChannelID string
	DueAt     time.Time
}

// Lines returns the channels that are on and have something to send, and when.
func (q queries) Lines(ctx context.Context) ([]Line, error) {
	type front struct {
		Line
		retry, lease time.Time
	}
	fronts, err := list(ctx, q, "read the outbox", func(r row) (f front, err error) {
		return f, r.Scan(&f.ChannelID, at{&f.DueAt}, at{&f.retry}, at{&f.lease})
	}, `SELECT m.channel_id, MIN(CASE WHEN m.state = 'pending' THEN m.due_at ELSE m.lease_until END), c.retry_at,
			MAX(CASE WHEN m.state = 'sending' THEN m.lease_until END)
		FROM notify_messages m JOIN notify_channels c ON c.id = m.channel_id
		WHERE c.enabled = 1 AND m.state IN ('pending', 'sending') GROUP BY m.channel_id, c.retry_at ORDER BY m.channel_id`)
	lines := make([]Line, len(fronts))
	for i, f := range fronts {
		lines[i] = f.Line
		for _, not := range []time.Time{f.retry, f.lease} { // before
			if not.After(lines[i].DueAt) {
				lines[i].DueAt = not
			}
		}
	}
	return lines, err
}

// NextMessage returns the message of a channel whose turn it is: the oldest that is due, or whose lease ended. ErrNotFound: none.
func (tx *Tx) NextMessage(ctx context.Context, channelID string, when time.Time) (Message, error) {
	return one(ctx, tx.queries, "look for a message that is due", scanMessage, `SELECT `+messageColumns+` FROM notify_messages
		WHERE channel_id = $1 AND ((state = 'pending' AND due_at <= $2) OR (state = 'sending' AND lease_until <= $3)) ORDER BY first_event, id LIMIT 1`,
		channelID, millis(when), millis(when))
}

// ClaimMessage takes a message in hand: it takes no more events in.
func (tx *Tx) ClaimMessage(ctx context.Context, id string, when, until time.Time) error {
	return tx.execOne(ctx, "take message "+id+" in hand", ErrNotFound, `UPDATE notify_messages SET state = 'sending', attempts = attempts + 1,
		tried_at = COALESCE(tried_at, $1), lease_until = $2 WHERE id = $3 AND state IN ('pending', 'sending')`, millis(when), millis(until), id)
}

// HoldMessage puts a message off.
func (tx *Tx) HoldMessage(ctx context.Context, id string, until time.Time) error {
	return tx.execOne(ctx, "hold message "+id+" back", ErrNotFound,
		`UPDATE notify_messages SET state = 'pending', due_at = $1, lease_until = NULL WHERE id = $2 AND state IN ('pending', 'sending')`, millis(until), id)
}

// EndAttempt writes what became of an attempt: sent, dead, or pending again. A message that somebody deleted meanwhile is let go.
func (tx *Tx) EndAttempt(ctx context.Context, m Message, when time.Time) error {
	var ended any
	if m.State != MessagePending {
		ended = millis(when)
	}
	_, err := tx.exec(ctx, "end an attempt", `UPDATE notify_messages SET state = $1, error = $2, title = $3, ended_at = $4, lease_until = NULL
		WHERE id = $5 AND state = 'sending'`, string(m.State), clean(m.Error), clean(m.Title), ended, m.ID)
	return err
}

// ReleaseMessages gives back what a former daemon had in hand: there is one at a time. It returns how many there were.
func (tx *Tx) ReleaseMessages(ctx context.Context) (int, error) {
	return tx.exec(ctx, "release the outbox", `UPDATE notify_messages SET state = 'pending', lease_until = NULL WHERE state = 'sending'`)
}

// RetryMessage has a message tried at once, be it dead or waiting for its next attempt; ErrBadTransition when it is neither.
func (tx *Tx) RetryMessage(ctx context.Context, id string, when time.Time) error {
	m, err := tx.Message(ctx, id)
	if err != nil {
		return err
	}
	what := "retry message " + id
	if m.State != MessageDead && m.State != MessagePending {
		return fmt.Errorf("%s, which is %s: %w", what, m.State, ErrBadTransition)
	}
	if m.State == MessageDead {
		if err := tx.execOne(ctx, what, ErrNotFound, revive+` WHERE id = $2 AND state = 'dead'`, millis(when), id); err != nil {
			return err
		}
	}
	_, err = tx.exec(ctx, what, `UPDATE notify_channels SET retry_at = NULL WHERE id = $1`, m.ChannelID)
	return err
}

// revive begins the time of a dead message anew. It was tried, so that it takes no more events in.
const revive = `UPDATE notify_messages SET state = 'pending', due_at = $1, attempts = 1, tried_at = NULL, ended_at = NULL`

// RetryDead has all dead messages tried again, or those of one channel, and returns how many.
func (tx *Tx) RetryDead(ctx context.Context, channelID string, when time.Time) (int, error) {
	const what = "retry the dead letters"
	if channelID == "" {
		if _, err := tx.exec(ctx, what, `UPDATE notify_channels SET retry_at = NULL`); err != nil {
			return 0, err
		}
		return tx.exec(ctx, what, revive+` WHERE state = 'dead'`, millis(when))
	}
	if _, err := tx.exec(ctx, what, `UPDATE notify_channels SET retry_at = NULL WHERE id = $1`, channelID); err != nil {
		return 0, err
	}
	return tx.exec(ctx, what, revive+` WHERE state = 'dead' AND channel_id = $2`, millis(when), channelID)
}

// DeleteMessage takes a message out of the outbox; ErrBadTransition while it is being sent.
func (tx *Tx) DeleteMessage(ctx context.Context, id string) error {
	m, err := tx.Message(ctx, id)
	if err != nil {
		return err
	}
	if m.State == MessageSending {
		return fmt.Errorf("delete message %s, which is being sent: %w", id, ErrBadTransition)
	}
	return tx.execOne(ctx, "delete message "+id, ErrNotFound, `DELETE FROM notify_messages WHERE id = $1`, id)
}

// PruneOutbox forgets at most limit messages that were sent before a moment, and returns how many.
func (tx *Tx) PruneOutbox(ctx context.Context, before time.Time, limit int) (int, error) {
	return tx.exec(ctx, "prune the outbox", `DELETE FROM notify_messages WHERE id IN
		(SELECT id FROM notify_messages WHERE state = 'sent' AND ended_at < $1 ORDER BY id LIMIT $2)`, before.UnixMilli(), limit)
}
