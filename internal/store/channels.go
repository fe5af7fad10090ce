package store

import (
	"context"
	"fmt"
	"time"
)

// Channel is where events are sent to. Its URL and its secret are not in it, so that they get nowhere by accident: see
// ChannelAddress.
type Channel struct {
	ID         string
	Name       string
	Kind       string // the scheme of its URL
	Shown      string // the URL without what is secret
	SecretSet  bool   // what it sends is signed
	Title      string // template of the title; empty: the usual one
	Body       string // template of the text; empty: the usual one
	Enabled    bool   // off: what is for it waits
	RetryAt    time.Time
	Failing    time.Time // since when nothing gets through; zero: it does
	LastError  string
	LastSentAt time.Time
	LastTest   ChannelTest
	Waiting    int // messages that are not sent yet
	Dead       int // messages that were given up
	CreatedAt  time.Time
	UpdatedAt  time.Time
	Revision   int64
}

// ChannelTest is what became of a test message.
type ChannelTest struct {
	At     time.Time     `json:"at,omitzero"` // zero: it was never tried
	By     string        `json:"by,omitempty"`
	Error  string        `json:"error,omitempty"` // empty: it was taken
	Answer string        `json:"answer,omitempty"`
	Took   time.Duration `json:"took,omitempty"`
}

// ChannelAddress is where the messages of a channel go, opened.
type ChannelAddress struct{ URL, Secret string }

const channelColumns = `id, name, kind, shown, title, body, enabled, retry_at, failing_since, last_error, last_sent_at, last_test,
	created_at, updated_at, revision`

const selectChannel = `SELECT ` + channelColumns + `, CASE WHEN secret IS NULL THEN 0 ELSE 1 END,
	(SELECT COUNT(*) FROM notify_messages m WHERE m.channel_id = notify_channels.id AND m.state IN ('pending', 'sending')),
	(SELECT COUNT(*) FROM notify_messages m WHERE m.channel_id = notify_channels.id AND m.state = 'dead') FROM notify_channels`

func scanChannel(r row) (c Channel, err error) {
	err = r.Scan(&c.ID, &c.Name, &c.Kind, &c.Shown, &c.Title, &c.Body, truth{&c.Enabled}, at{&c.RetryAt}, at{&c.Failing}, &c.LastError,
		at{&c.LastSentAt}, fromJSON{&c.LastTest}, at{&c.CreatedAt}, at{&c.UpdatedAt}, &c.Revision, truth{&c.SecretSet}, &c.Waiting, &c.Dead)
	return c, err
}

// Channel returns one channel.
func (q queries) Channel(ctx context.Context, id string) (Channel, error) {
	return one(ctx, q, "read channel "+id, scanChannel, selectChannel+` WHERE id = $1`, id)
}

// ChannelByName returns one channel.
func (q queries) ChannelByName(ctx context.Context, name string) (Channel, error) {
	return one(ctx, q, "read channel "+name, scanChannel, selectChannel+` WHERE name = $1`, clean(name))
}

// Channels returns all channels, by name.
func (q queries) Channels(ctx context.Context) ([]Channel, error) {
	return list(ctx, q, "list the channels", scanChannel, selectChannel+` ORDER BY name`)
}

// ChannelAddress opens where a channel leads.
func (q queries) ChannelAddress(ctx context.Context, id string) (ChannelAddress, error) {
	type sealed struct{ target, secret []byte }
	what := "open the address of channel " + id
	s, err := one(ctx, q, what, func(r row) (s sealed, err error) { return s, r.Scan(&s.target, &s.secret) },
		`SELECT target, secret FROM notify_channels WHERE id = $1`, id)
	if err != nil {
		return ChannelAddress{}, err
	}
	target, err := q.seal.open(s.target, place("notify_channels", id, "target"))
	if err != nil {
		return ChannelAddress{}, fmt.Errorf("%s: %w", what, err)
	}
	if s.secret == nil {
		return ChannelAddress{URL: string(target)}, nil
	}
	secret, err := q.seal.open(s.secret, place("notify_channels", id, "secret"))
	if err != nil {
		return ChannelAddress{}, fmt.Errorf("%s: %w", what, err)
	}
	return ChannelAddress{URL: string(target), Secret: string(secret)}, nil
}

// InsertChannel adds a channel; ErrConflict when its name is taken.
func (tx *Tx) InsertChannel(ctx context.Context, c Channel, to ChannelAddress) error {
	if err := ValidName(c.Name); err != nil {
		return err
	}
	stamp := now()
	_, err := tx.exec(ctx, "add channel "+c.Name, `INSERT INTO notify_channels (id, name, kind, target, secret, shown, title, body, enabled,
		last_error, last_test, created_at, updated_at, revision) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, '', '', $10, $11, $12)`,
		c.ID, c.Name, clean(c.Kind), tx.sealTarget(c.ID, to.URL), tx.sealSigning(c.ID, to.Secret), clean(c.Shown), clean(c.Title), clean(c.Body),
		bit(c.Enabled), orNow(c.CreatedAt, stamp), stamp, c.Revision)
	return err
}

func (q queries) sealTarget(id, url string) any {
	return q.seal.close([]byte(url), place("notify_channels", id, "target"))
}

// sealSigning is how the secret of a webhook is kept; an empty one is none.
func (q queries) sealSigning(id, secret string) any {
	if secret == "" {
		return nil
	}
	return q.seal.close([]byte(secret), place("notify_channels", id, "secret"))
}

// UpdateChannel writes a channel if its revision is still the one given; the revision rises by one. An address of nil stays.
// Whoever changes a channel wants it tried: what waits for its next attempt waits no longer, and
// is given up no sooner than what comes now.
func (tx *Tx) UpdateChannel(ctx context.Context, c Channel, to *ChannelAddress) error {
	if err := ValidName(c.Name); err != nil {
		return err
	}
	what := "update channel " + c.Name
	if _, err := tx.Channel(ctx, c.ID); err != nil {
		return err
	}
	n, err := tx.exec(ctx, what, `UPDATE notify_channels SET name = $1, kind = $2, shown = $3, title = $4, body = $5, enabled = $6,
		retry_at = NULL, updated_at = $7, revision = revision + 1 WHERE id = $8 AND revision = $9`,
		c.Name, clean(c.Kind), clean(c.Shown), clean(c.Title), clean(c.Body), bit(c.Enabled), now(), c.ID, c.Revision)
	if err != nil {
		return err
	}
	if n == 0 {
		return fmt.Errorf("%s: changed meanwhile: %w", what, ErrConflict)
	}
	if _, err := tx.exec(ctx, what, `UPDATE notify_messages SET tried_at = NULL WHERE channel_id = $1 AND state = 'pending'`, c.ID); err != nil {
		return err
	}
	if to == nil {
		return nil
	}
	return tx.execOne(ctx, what, ErrNotFound, `UPDATE notify_channels SET target = $1, secret = $2, last_test = '' WHERE id = $3`,
		tx.sealTarget(c.ID, to.URL), tx.sealSigning(c.ID, to.Secret), c.ID)
}

// SetChannelTested notes what became of a test message. No revision moves by it.
func (tx *Tx) SetChannelTested(ctx context.Context, id string, test ChannelTest) error {
	what := "note the test of channel " + id
	found, err := jsonOf(what, test)
	if err != nil {
		return err
	}
	return tx.execOne(ctx, what, ErrNotFound, `UPDATE notify_channels SET last_test = $1 WHERE id = $2`, clean(found), id)
}

// DeleteChannel forgets a channel, its address, and all that waits for it.
func (tx *Tx) DeleteChannel(ctx context.Context, id string) error {
	return tx.execOne(ctx, "forget channel "+id, ErrNotFound, `DELETE FROM notify_channels WHERE id = $1`, id)
}

// ChannelSent notes that a message got through.
func (tx *Tx) ChannelSent(ctx context.Context, id string, when time.Time) error {
	return tx.execOne(ctx, "note that channel "+id+" works", ErrNotFound,
		`UPDATE notify_channels SET last_sent_at = $1, retry_at = NULL, failing_since = NULL, last_error = '' WHERE id = $2`, millis(when), id)
}

// ChannelFailed notes that a message did not get through, and when the next attempt may be made.
func (tx *Tx) ChannelFailed(ctx context.Context, id, why string, when, retryAt time.Time) error {
	return tx.execOne(ctx, "note that channel "+id+" fails", ErrNotFound,
		`UPDATE notify_channels SET retry_at = $1, failing_since = COALESCE(failing_since, $2), last_error = $3 WHERE id = $4`,
		millis(retryAt), millis(when), clean(why), id)
}
