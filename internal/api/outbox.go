package api

import (
	"context"
	"errors"
	"strconv"
	"time"

	"github.com/tiny-forge/docker-watcher/internal/store"
)

type messageJSON struct {
	ID           string      `json:"id" doc:"what a target tells doubles by"`
	ChannelID    string      `json:"channel_id"`
	Channel      string      `json:"channel"`
	RuleID       string      `json:"rule_id"`
	Rule         string      `json:"rule" doc:"empty: it is gone"`
	State        string      `json:"state" enum:"pending,sending,sent,dead"`
	Severity     string      `json:"severity" enum:"info,warn,error" doc:"the worst of its events"`
	Count        int         `json:"count" doc:"how many events it tells of"`
	Title        string      `json:"title,omitempty" doc:"as it was last tried"`
	Error        string      `json:"error,omitempty" doc:"of the last attempt"`
	Attempts     int         `json:"attempts"`
	NextAt       moment      `json:"next_at" doc:"the next attempt; null: there will be none, or not while its channel is off"`
	CreatedAt    stamp       `json:"created_at"`
	FirstTriedAt moment      `json:"first_tried_at" doc:"null: it was not tried yet"`
	EndedAt      moment      `json:"ended_at" doc:"when it was sent or given up"`
	Events       []eventJSON `json:"events,omitempty" doc:"only of one message that is asked for by itself; the first 50"`
}

// outboxNames are what messages are shown with.
type outboxNames struct {
	channels map[string]store.Channel
	rules    map[string]string
}

func (s *server) outboxNames(ctx context.Context) (n outboxNames, err error) {
	n = outboxNames{channels: map[string]store.Channel{}, rules: map[string]string{}}
	channels, err := s.d.DB.Channels(ctx)
	if err != nil {
		return n, err
	}
	for _, c := range channels {
		n.channels[c.ID] = c
	}
	rules, err := s.d.DB.NotifyRules(ctx)
	for _, r := range rules {
		n.rules[r.ID] = r.Name
	}
	return n, err
}

func (n outboxNames) messageOf(m store.Message) messageJSON {
	c := n.channels[m.ChannelID]
	j := messageJSON{
		ID: m.ID, ChannelID: m.ChannelID, Channel: c.Name, RuleID: m.RuleID, Rule: n.rules[m.RuleID], State: string(m.State), Severity: string(m.Severity),
		Count: m.Events, Title: m.Title, Error: m.Error, Attempts: m.Attempts, CreatedAt: stamp(m.CreatedAt), FirstTriedAt: moment(m.TriedAt), EndedAt: moment(m.EndedAt),
	}
	if m.State == store.MessagePending && c.Enabled {
		next := m.DueAt
		if c.RetryAt.After(next) {
			next = c.RetryAt
		}
		j.NextAt = moment(next)
	}
	return j
}

type listOutboxIn struct {
	PageQuery
	State   string `query:"state" enum:"pending,sending,sent,dead"`
	Channel string `query:"channel" maxLength:"100" doc:"id or name"`
}

func (s *server) listOutbox(ctx context.Context, in *listOutboxIn) (*out[list[messageJSON]], error) {
	f := store.MessageFilter{State: store.MessageState(in.State)}
	var err error
	if f.ChannelID, err = s.channelFilter(ctx, "query.channel", in.Channel); err != nil {
		return nil, err
	}
	items, next, err := s.d.DB.Messages(ctx, f, in.page())
	if err != nil {
		return nil, err
	}
	names, err := s.outboxNames(ctx)
	if err != nil {
		return nil, err
	}
	return answer(listOf(items, next, names.messageOf)), nil
}

// channelFilter is the id of the channel that a filter names.
func (s *server) channelFilter(ctx context.Context, location, idOrName string) (string, error) {
	if idOrName == "" {
		return "", nil
	}
	c, err := s.findChannel(ctx, idOrName)
	if errors.Is(err, store.ErrNotFound) {
		return "", invalid(location, "there is no channel "+idOrName)
	}
	return c.ID, err
}

func (s *server) getMessage(ctx context.Context, in *ByID) (*out[messageJSON], error) {
	m, err := s.d.DB.Message(ctx, in.ID)
	if err != nil {
		return nil, err
	}
	names, err := s.outboxNames(ctx)
	if err != nil {
		return nil, err
	}
	evs, err := s.d.DB.MessageEvents(ctx, m.ID, 50)
	if err != nil {
		return nil, err
	}
	j := names.messageOf(m)
	for _, e := range evs {
		j.Events = append(j.Events, eventOf(e))
	}
	return answer(j), nil
}

// retryMessage has a message sent again now, be it given up or waiting for its next attempt.
func (s *server) retryMessage(ctx context.Context, in *ByID) (*out[messageJSON], error) {
	err := s.d.DB.Update(ctx, func(tx *store.Tx) error {
		m, err := tx.Message(ctx, in.ID)
		if err != nil {
			return err
		}
		if err := tx.RetryMessage(ctx, in.ID, time.Now()); err != nil {
			return err
		}
		return tx.Emit(ctx, messageEvent(ctx, m, "message.retried", "a message is to be sent again"))
	})
	if err != nil {
		return nil, err
	}
	return s.getMessage(ctx, in)
}

type retryOutboxIn struct {
	Body *struct {
		Channel string `json:"channel,omitempty" maxLength:"100" doc:"id or name; absent: all"`
	}
}

type retriedJSON struct {
	Retried int `json:"retried" doc:"how many messages that were given up are to be sent again"`
}

// retryOutbox has all messages that were given up sent again.
func (s *server) retryOutbox(ctx context.Context, in *retryOutboxIn) (*out[retriedJSON], error) {
	channel := ""
	if in.Body != nil {
		var err error
		if channel, err = s.channelFilter(ctx, "body.channel", in.Body.Channel); err != nil {
			return nil, err
		}
	}
	n := 0
	err := s.d.DB.Update(ctx, func(tx *store.Tx) (err error) {
		if n, err = tx.RetryDead(ctx, channel, time.Now()); err != nil {
			return err
		}
		e := apiEvent(ctx, "message.retried", "messages that were given up are to be sent again: "+strconv.Itoa(n))
		e.Data["messages"] = n
		return tx.Emit(ctx, e)
	})
	if err != nil {
		return nil, err
	}
	return answer(retriedJSON{Retried: n}), nil
}

func (s *server) deleteMessage(ctx context.Context, in *ByID) (*none, error) {
	return nil, s.d.DB.Update(ctx, func(tx *store.Tx) error {
		m, err := tx.Message(ctx, in.ID)
		if err != nil {
			return err
		}
		if err := tx.DeleteMessage(ctx, in.ID); err != nil {
			return err
		}
		return tx.Emit(ctx, messageEvent(ctx, m, "message.deleted", "a message of the outbox was deleted"))
	})
}

func messageEvent(ctx context.Context, m store.Message, kind, message string) store.Event {
	e := apiEvent(ctx, kind, message)
	e.Data["message_id"], e.Data["channel_id"], e.Data["state"], e.Data["events"] = m.ID, m.ChannelID, string(m.State), m.Events
	return e
}
