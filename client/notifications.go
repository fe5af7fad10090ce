package client

import (
	"context"
	"net/http"
	"net/url"
	"time"
)

// Channel is where events are sent to. Its URL and its secret are never told.
type Channel struct {
	ID           string       `json:"id"`
	Name         string       `json:"name"`
	Kind         string       `json:"kind"`
	Shown        string       `json:"shown"` // the URL without what is secret
	SecretSet    bool         `json:"secret_set"`
	Secret       string       `json:"secret,omitempty"` // only in the answer that made it
	Title        string       `json:"title"`            // template; empty: the usual one
	Body         string       `json:"body"`             // template; empty: the usual one
	Enabled      bool         `json:"enabled"`
	FailingSince time.Time    `json:"failing_since,omitzero"` // zero: it works, or nothing was sent
	LastError    string       `json:"last_error,omitempty"`
	RetryAt      time.Time    `json:"retry_at,omitzero"`
	LastSentAt   time.Time    `json:"last_sent_at,omitzero"`
	LastTest     *ChannelTest `json:"last_test"` // nil: it was never tried as it is
	Waiting      int          `json:"waiting"`   // messages
	Dead         int          `json:"dead"`      // messages

	CreatedAt time.Time `json:"created_at"`
	UpdatedAt time.Time `json:"updated_at"`
	Revision  int64     `json:"revision"`
}

// ChannelTest is what became of a test message.
type ChannelTest struct {
	At     time.Time `json:"at"`
	By     string    `json:"by"`
	OK     bool      `json:"ok"`
	TookMS int64     `json:"took_ms"`
	Answer string    `json:"answer,omitempty"`
	Error  string    `json:"error,omitempty"`
}

// ChannelKind says how the URL of a kind of channel is written.
type ChannelKind struct {
	Kind  string `json:"kind"`
	Title string `json:"title"`
	URL   string `json:"url"`
	Hint  string `json:"hint,omitempty"`
}

// NewChannel asks for a channel.
type NewChannel struct {
	Name    string `json:"name"`
	URL     string `json:"url"`
	Secret  string `json:"secret,omitempty"` // of a webhook; empty: one is made
	Title   string `json:"title,omitempty"`
	Body    string `json:"body,omitempty"`
	Enabled *bool  `json:"enabled,omitempty"`
}

// ChannelChange changes what is not nil. An empty Secret takes it away.
type ChannelChange struct {
	Name     *string
	URL      *string
	Secret   *string
	Title    *string
	Body     *string
	Enabled  *bool
	Revision int64 // the one that was seen; 0: whatever it is now
}

// Named is an id with the name that people know it by.
type Named struct {
	ID   string `json:"id"`
	Name string `json:"name"`
}

// NotifyRule says which events go to which channels, and when. An empty list wants all.
type NotifyRule struct {
	ID            string      `json:"id"`
	Name          string      `json:"name"`
	Enabled       bool        `json:"enabled"`
	Channels      []Named     `json:"channels"`
	Severities    []string    `json:"severities"`
	Sources       []string    `json:"sources"`
	Kinds         []string    `json:"kinds"`
	Projects      []Named     `json:"projects"`
	GatherMinutes int         `json:"gather_minutes"`
	GatherErrors  bool        `json:"gather_errors"`
	Quiet         *QuietHours `json:"quiet"` // nil: none

	CreatedAt time.Time `json:"created_at"`
	UpdatedAt time.Time `json:"updated_at"`
	Revision  int64     `json:"revision"`
}

// QuietHours are a part of each day in which nothing is sent.
type QuietHours struct {
	From       string `json:"from"` // 22:00
	To         string `json:"to"`
	Zone       string `json:"zone,omitempty"` // empty: UTC
	HoldErrors bool   `json:"hold_errors,omitempty"`
}

// NotifyRuleChange makes or changes a rule: what is not nil. Channels and projects are ids or names.
type NotifyRuleChange struct {
	Name          *string     `json:"name,omitempty"`
	Enabled       *bool       `json:"enabled,omitempty"`
	Channels      *[]string   `json:"channels,omitempty"`
	Severities    *[]string   `json:"severities,omitempty"`
	Sources       *[]string   `json:"sources,omitempty"`
	Kinds         *[]string   `json:"kinds,omitempty"`
	Projects      *[]string   `json:"projects,omitempty"`
	GatherMinutes *int        `json:"gather_minutes,omitempty"`
	GatherErrors  *bool       `json:"gather_errors,omitempty"`
	Quiet         *QuietHours `json:"quiet,omitempty"`
	NoQuiet       bool        `json:"-"` // takes the quiet hours away
	Revision      int64       `json:"-"` // the one that was seen; 0: whatever it is now
}

// Message is one message of the outbox.
type Message struct {
	ID           string    `json:"id"`
	ChannelID    string    `json:"channel_id"`
	Channel      string    `json:"channel"`
	RuleID       string    `json:"rule_id"`
	Rule         string    `json:"rule"` // empty: it is gone
	State        string    `json:"state"`
	Severity     string    `json:"severity"`
	Count        int       `json:"count"` // of events
	Title        string    `json:"title,omitempty"`
	Error        string    `json:"error,omitempty"`
	Attempts     int       `json:"attempts"`
	NextAt       time.Time `json:"next_at,omitzero"`
	CreatedAt    time.Time `json:"created_at"`
	FirstTriedAt time.Time `json:"first_tried_at,omitzero"`
	EndedAt      time.Time `json:"ended_at,omitzero"`
	Events       []Event   `json:"events,omitempty"` // only of one that is asked for by itself
}

// MessageFilter selects messages; empty fields do not filter.
type MessageFilter struct{ State, Channel string }

// Preview is what templates make of real events.
type Preview struct {
	Title  string `json:"title"`
	Text   string `json:"text"`
	Events int    `json:"events"` // 0: there was none, and it is what a test would send
}

// PreviewRequest asks for a preview.
type PreviewRequest struct {
	Title string `json:"title,omitempty"`
	Body  string `json:"body,omitempty"`
	Rule  string `json:"rule,omitempty"`
	Count int    `json:"count,omitempty"`
}

const notifications = "/api/notifications"

// ChannelKinds says how the URL of each kind of channel is written.
func (c *Client) ChannelKinds(ctx context.Context) ([]ChannelKind, error) {
	var l List[ChannelKind]
	err := c.do(ctx, call{method: http.MethodGet, path: notifications + "/kinds"}, &l)
	return l.Items, err
}

// Channels lists the channels by name.
func (c *Client) Channels(ctx context.Context) ([]Channel, error) {
	var l List[Channel]
	err := c.do(ctx, call{method: http.MethodGet, path: notifications + "/channels"}, &l)
	return l.Items, err
}

// Channel returns one by id or by name.
func (c *Client) Channel(ctx context.Context, idOrName string) (Channel, error) {
	var ch Channel
	err := c.do(ctx, call{method: http.MethodGet, path: notifications + "/channels/" + part(idOrName)}, &ch)
	return ch, err
}

// CreateChannel sets up a channel. The secret of a webhook that was made for it is in the answer, and in no other.
func (c *Client) CreateChannel(ctx context.Context, n NewChannel) (Channel, error) {
	var ch Channel
	err := c.do(ctx, call{method: http.MethodPost, path: notifications + "/channels", body: n}, &ch)
	return ch, err
}

// UpdateChannel changes a channel.
func (c *Client) UpdateChannel(ctx context.Context, id string, change ChannelChange) (Channel, error) {
	body := map[string]any{}
	put(body, "name", change.Name)
	put(body, "url", change.URL)
	putOrNull(body, "secret", change.Secret)
	put(body, "title", change.Title)
	put(body, "body", change.Body)
	put(body, "enabled", change.Enabled)
	var ch Channel
	err := c.do(ctx, call{
		method: http.MethodPatch, path: notifications + "/channels/" + part(id), body: body, header: ifMatch(change.Revision),
	}, &ch)
	return ch, err
}

// DeleteChannel removes a channel, and what waits for it.
func (c *Client) DeleteChannel(ctx context.Context, id string) error {
	return c.do(ctx, call{method: http.MethodDelete, path: notifications + "/channels/" + part(id)}, nil)
}

// TestChannel sends a test message now. That the target refuses it is told by the answer and is no error.
func (c *Client) TestChannel(ctx context.Context, id string) (ChannelTest, error) {
	var t ChannelTest
	err := c.do(ctx, call{method: http.MethodPost, path: notifications + "/channels/" + part(id) + "/test"}, &t)
	return t, err
}

// TryChannel is TestChannel for one that is not saved; of it only URL, secret and templates count.
func (c *Client) TryChannel(ctx context.Context, n NewChannel) (ChannelTest, error) {
	body := map[string]any{"url": n.URL}
	for name, text := range map[string]string{"secret": n.Secret, "title": n.Title, "body": n.Body} {
		if text != "" {
			body[name] = text
		}
	}
	var t ChannelTest
	err := c.do(ctx, call{method: http.MethodPost, path: notifications + "/channels/test", body: body}, &t)
	return t, err
}

// PreviewMessage says what templates make of real events.
func (c *Client) PreviewMessage(ctx context.Context, r PreviewRequest) (Preview, error) {
	var p Preview
	err := c.do(ctx, call{method: http.MethodPost, path: notifications + "/preview", body: r}, &p)
	return p, err
}

// NotifyRules lists the rules by name.
func (c *Client) NotifyRules(ctx context.Context) ([]NotifyRule, error) {
	var l List[NotifyRule]
	err := c.do(ctx, call{method: http.MethodGet, path: notifications + "/rules"}, &l)
	return l.Items, err
}

// NotifyRule returns one by id or by name.
func (c *Client) NotifyRule(ctx context.Context, idOrName string) (NotifyRule, error) {
	var r NotifyRule
	err := c.do(ctx, call{method: http.MethodGet, path: notifications + "/rules/" + part(idOrName)}, &r)
	return r, err
}

// CreateNotifyRule makes a rule.
func (c *Client) CreateNotifyRule(ctx context.Context, n NotifyRuleChange) (NotifyRule, error) {
	var r NotifyRule
	err := c.do(ctx, call{method: http.MethodPost, path: notifications + "/rules", body: n}, &r)
	return r, err
}

// UpdateNotifyRule changes a rule.
func (c *Client) UpdateNotifyRule(ctx context.Context, id string, change NotifyRuleChange) (NotifyRule, error) {
	var body any = change
	if change.NoQuiet {
		body = struct {
			NotifyRuleChange
			Quiet *QuietHours `json:"quiet"`
		}{NotifyRuleChange: change}
	}
	var r NotifyRule
	err := c.do(ctx, call{
		method: http.MethodPatch, path: notifications + "/rules/" + part(id), body: body, header: ifMatch(change.Revision),
	}, &r)
	return r, err
}

// DeleteNotifyRule removes a rule. What it put into the outbox is sent.
func (c *Client) DeleteNotifyRule(ctx context.Context, id string) error {
	return c.do(ctx, call{method: http.MethodDelete, path: notifications + "/rules/" + part(id)}, nil)
}

// Outbox returns a page of the messages, newest first.
func (c *Client) Outbox(ctx context.Context, f MessageFilter, p Page) (List[Message], error) {
	q := url.Values{}
	setText(q, "state", f.State)
	setText(q, "channel", f.Channel)
	p.addTo(q)
	var l List[Message]
	err := c.do(ctx, call{method: http.MethodGet, path: notifications + "/outbox", query: q}, &l)
	return l, err
}

// Message returns a message and the events that it tells of.
func (c *Client) Message(ctx context.Context, id string) (Message, error) {
	var m Message
	err := c.do(ctx, call{method: http.MethodGet, path: notifications + "/outbox/" + part(id)}, &m)
	return m, err
}

// RetryMessage has a message sent again now.
func (c *Client) RetryMessage(ctx context.Context, id string) (Message, error) {
	var m Message
	err := c.do(ctx, call{method: http.MethodPost, path: notifications + "/outbox/" + part(id) + "/retry"}, &m)
	return m, err
}

// RetryOutbox has all messages that were given up sent again, or those of one channel, and tells how many.
func (c *Client) RetryOutbox(ctx context.Context, channel string) (int, error) {
	body := map[string]any{}
	if channel != "" {
		body["channel"] = channel
	}
	var done struct {
		Retried int `json:"retried"`
	}
	err := c.do(ctx, call{method: http.MethodPost, path: notifications + "/outbox/retry", body: body}, &done)
	return done.Retried, err
}

// DeleteMessage takes a message out of the outbox.
func (c *Client) DeleteMessage(ctx context.Context, id string) error {
	return c.do(ctx, call{method: http.MethodDelete, path: notifications + "/outbox/" + part(id)}, nil)
}
