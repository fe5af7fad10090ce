package api

import (
	"context"
	"errors"
	"net/http"

	"github.com/tiny-forge/docker-watcher/internal/hook"
	"github.com/tiny-forge/docker-watcher/internal/notify"
	"github.com/tiny-forge/docker-watcher/internal/proxy"
	"github.com/tiny-forge/docker-watcher/internal/store"
)

type channelJSON struct {
	ID           string                    `json:"id"`
	Name         string                    `json:"name"`
	Kind         string                    `json:"kind"`
	Shown        string                    `json:"shown" doc:"its URL without what is secret; the URL itself is never answered"`
	SecretSet    bool                      `json:"secret_set" doc:"what it sends is signed"`
	Secret       string                    `json:"secret,omitempty" doc:"what it signs with, only in the answer that made it"`
	Title        string                    `json:"title" doc:"template of the title; empty: the usual one"`
	Body         string                    `json:"body" doc:"template of the text; empty: the usual one"`
	Enabled      bool                      `json:"enabled" doc:"while it is off what is for it waits, and comes as one message"`
	FailingSince moment                    `json:"failing_since" doc:"nothing gets through since; null: it does, or nothing was sent"`
	LastError    string                    `json:"last_error,omitempty" doc:"why not"`
	RetryAt      moment                    `json:"retry_at" doc:"the next attempt; null: as soon as there is something"`
	LastSentAt   moment                    `json:"last_sent_at" doc:"null: never"`
	LastTest     nullable[channelTestJSON] `json:"last_test" doc:"null: it was never tried as it is"`
	Waiting      int                       `json:"waiting" doc:"messages that are not sent yet"`
	Dead         int                       `json:"dead" doc:"messages that were given up"`
	CreatedAt    stamp                     `json:"created_at"`
	UpdatedAt    stamp                     `json:"updated_at"`
	Revision     int64                     `json:"revision"`
}

type channelTestJSON struct {
	At     stamp  `json:"at"`
	By     string `json:"by"`
	OK     bool   `json:"ok"`
	TookMS int64  `json:"took_ms"`
	Answer string `json:"answer,omitempty" doc:"what the target said"`
	Error  string `json:"error,omitempty" doc:"what went wrong"`
}

type channelKindJSON struct {
	Kind  string `json:"kind"`
	Title string `json:"title"`
	URL   string `json:"url" doc:"how its URL is written"`
	Hint  string `json:"hint,omitempty"`
}

func channelOf(c store.Channel) channelJSON {
	j := channelJSON{
		ID: c.ID, Name: c.Name, Kind: c.Kind, Shown: c.Shown, SecretSet: c.SecretSet, Title: c.Title, Body: c.Body, Enabled: c.Enabled,
		FailingSince: moment(c.Failing), LastError: c.LastError, RetryAt: moment(c.RetryAt), LastSentAt: moment(c.LastSentAt),
		Waiting: c.Waiting, Dead: c.Dead, CreatedAt: stamp(c.CreatedAt), UpdatedAt: stamp(c.UpdatedAt), Revision: c.Revision,
	}
	if !c.LastTest.At.IsZero() {
		test := channelTestOf(c.LastTest)
		j.LastTest.value = &test
	}
	return j
}

func channelTestOf(t store.ChannelTest) channelTestJSON {
	return channelTestJSON{At: stamp(t.At), By: t.By, OK: t.Error == "", TookMS: t.Took.Milliseconds(), Answer: t.Answer, Error: t.Error}
}

func (s *server) listChannelKinds(context.Context, *none) (*out[list[channelKindJSON]], error) {
	return answer(listOf(notify.Kinds(), "", func(k notify.Kind) channelKindJSON {
		return channelKindJSON{Kind: k.Scheme, Title: k.Title, URL: k.URL, Hint: k.Hint}
	})), nil
}

func (s *server) listChannels(ctx context.Context, _ *none) (*out[list[channelJSON]], error) {
	rows, err := s.d.DB.Channels(ctx)
	if err != nil {
		return nil, err
	}
	return answer(listOf(rows, "", channelOf)), nil
}

func (s *server) getChannel(ctx context.Context, in *ByID) (*versioned[channelJSON], error) {
	c, err := s.findChannel(ctx, in.ID)
	if err != nil {
		return nil, err
	}
	return atRevision(channelOf(c), c.Revision), nil
}

func (s *server) findChannel(ctx context.Context, idOrName string) (store.Channel, error) {
	return byIDOrName(ctx, idOrName, s.d.DB.Channel, s.d.DB.ChannelByName)
}

type createChannelIn struct {
	Body struct {
		Name    string `json:"name" pattern:"^[a-z0-9][a-z0-9-]{0,62}$" doc:"unique"`
		URL     string `json:"url" minLength:"1" maxLength:"4096" writeOnly:"true" doc:"as /api/notifications/kinds writes it; sent, never answered"`
		Secret  string `json:"secret,omitempty" minLength:"8" maxLength:"200" writeOnly:"true" doc:"what a webhook signs with; absent: one is made, and told once"`
		Title   string `json:"title,omitempty" maxLength:"4096" doc:"template; empty: the usual one"`
		Body    string `json:"body,omitempty" maxLength:"4096" doc:"template; empty: the usual one"`
		Enabled *bool  `json:"enabled,omitempty" doc:"default true"`
	}
}

func (s *server) createChannel(ctx context.Context, in *createChannelIn) (*versioned[channelJSON], error) {
	b := in.Body
	c := store.Channel{ID: store.NewID(), Name: b.Name, Title: b.Title, Body: b.Body, Enabled: true, Revision: 1}
	setIf(&c.Enabled, b.Enabled)
	to := store.ChannelAddress{URL: b.URL, Secret: b.Secret}
	made := ""
	if err := checkChannel(&c, &to, true); err != nil {
		return nil, err
	}
	if err := s.mayDial(ctx, to.URL); err != nil {
		return nil, err
	}
	if c.Kind == kindWebhook && to.Secret == "" {
		made = hook.NewSecret()
		to.Secret = made
	}
	err := s.d.DB.Update(ctx, func(tx *store.Tx) error {
		if err := tx.InsertChannel(ctx, c, to); err != nil {
			return err
		}
		return tx.Emit(ctx, channelEvent(ctx, c, "channel.created", "channel "+c.Name+" ("+c.Shown+") was set up", nil))
	})
	if err != nil {
		return nil, nameTaken(err, "channel", c.Name)
	}
	shown, err := s.getChannel(ctx, &ByID{ID: c.ID})
	if err == nil {
		shown.Body.Secret = made
	}
	return shown, err
}

const kindWebhook = "webhook"

// checkChannel says of every field what is wrong with it, and reads the kind from the URL; given is that the URL is a new one.
func checkChannel(c *store.Channel, to *store.ChannelAddress, given bool) error {
	p := invalidRequest()
	kind, shown, err := notify.Parse(to.URL)
	if err == nil && given {
		err = notify.Unread(to.URL)
	}
	if err != nil {
		p = p.field("body.url", err.Error())
	}
	c.Kind, c.Shown = kind, shown
	if err == nil && kind != kindWebhook && to.Secret != "" {
		p = p.field("body.secret", "only webhooks are signed")
	}
	return checkTemplates(p, *c)
}

// checkTemplates adds what is wrong with the texts of a channel to what else is.
func checkTemplates(p *Problem, c store.Channel) error {
	if where, err := notify.ValidTemplates(notify.Templates{Title: c.Title, Body: c.Body}); err != nil {
		p = p.field("body."+where, err.Error())
	}
	if len(p.Errors) > 0 {
		return p
	}
	return nil
}

// mayDial refuses a URL with an address in it that is not dialled, such as that of the metadata of a cloud: no message would ever get there.
func (s *server) mayDial(ctx context.Context, url string) error {
	err := s.d.Notifier.MayDial(ctx, url)
	if refused, ok := errors.AsType[proxy.RefusedError](err); ok {
		return invalid("body.url", "no message is sent there: "+refused.Reason)
	}
	return err
}

// nameTaken says of a conflict, in words, that another has the name.
func nameTaken(err error, what, name string) error {
	if errors.Is(err, store.ErrConflict) {
		return newProblem(http.StatusConflict, codeConflict, "there is a "+what+" "+name+" already").field("body.name", "it is taken")
	}
	return err
}

type updateChannelIn struct {
	ByID
	Match
	Body struct {
		Name    *string          `json:"name,omitempty" pattern:"^[a-z0-9][a-z0-9-]{0,62}$"`
		URL     *string          `json:"url,omitempty" minLength:"1" maxLength:"4096" writeOnly:"true" doc:"absent: it stays"`
		Secret  optional[string] `json:"secret,omitzero" minLength:"8" maxLength:"200" doc:"sent, never answered; absent: it stays, null: nothing is signed"`
		Title   *string          `json:"title,omitempty" maxLength:"4096" doc:"empty: the usual one"`
		Body    *string          `json:"body,omitempty" maxLength:"4096" doc:"empty: the usual one"`
		Enabled *bool            `json:"enabled,omitempty"`
	}
}

func (s *server) updateChannel(ctx context.Context, in *updateChannelIn) (*versioned[channelJSON], error) {
	former, err := s.findChannel(ctx, in.ID)
	if err != nil {
		return nil, err
	}
	if err := in.check(former.Revision); err != nil {
		return nil, err
	}
	was, err := s.d.DB.ChannelAddress(ctx, former.ID)
	lost := errors.Is(err, store.ErrUnreadable)
	if err != nil && !lost {
		return nil, err
	}
	change := in.change
	if lost {
		change = in.replace
	}
	c, to, err := change(former, was)
	if err != nil {
		return nil, err
	}
	if to.URL != was.URL { // one that is refused since can still be changed otherwise, or switched off
		if err := s.mayDial(ctx, to.URL); err != nil {
			return nil, err
		}
	}
	var moved *store.ChannelAddress
	if to != was {
		moved = &to
	}
	err = s.d.DB.Update(ctx, func(tx *store.Tx) error {
		if err := tx.UpdateChannel(ctx, c, moved); err != nil {
			return err
		}
		e := channelEvent(ctx, c, "channel.updated", "channel "+c.Name+" was changed", channelChanges(former, c, was, to))
		d := differenceOf(channelOf(former), channelOf(c), "name", "kind", "shown", "title", "body", "enabled")
		d.NoteSecret("url", was.URL != to.URL)
		d.NoteSecret("secret", was.Secret != to.Secret)
		e.Differ(d)
		return tx.Emit(ctx, e)
	})
	if err != nil {
		return nil, s.channelTaken(ctx, c, err)
	}
	return s.getChannel(ctx, &ByID{ID: c.ID})
}

// change is a channel as it is to become, and where it leads then.
func (in *updateChannelIn) change(c store.Channel, to store.ChannelAddress) (store.Channel, store.ChannelAddress, error) {
	setIf(&c.Name, in.Body.Name)
	setIf(&c.Title, in.Body.Title)
	setIf(&c.Body, in.Body.Body)
	setIf(&c.Enabled, in.Body.Enabled)
	former, given := c.Kind, in.Body.URL != nil && *in.Body.URL != to.URL // who writes what stands there changes nothing
	if in.Body.URL != nil {
		to.URL = *in.Body.URL
		if kind, _, err := notify.Parse(to.URL); err == nil && kind != former {
			to.Secret = "" // it was one of a webhook
		}
	}
	if in.Body.Secret.set {
		to.Secret = in.Body.Secret.value // empty where it is null
	}
	return c, to, checkChannel(&c, &to, given)
}

// replace is change of a channel whose address cannot be opened any more: it can be set anew, with the secret of a webhook; and without that the
// channel can be named, written and switched off all the same.
func (in *updateChannelIn) replace(c store.Channel, none store.ChannelAddress) (store.Channel, store.ChannelAddress, error) {
	if in.Body.URL != nil {
		c, to, err := in.change(c, none)
		if err == nil && c.Kind == kindWebhook && !in.Body.Secret.set {
			err = invalid("body.secret", "the one that is kept cannot be opened: give it anew, or null where nothing is to be signed")
		}
		return c, to, err
	}
	if in.Body.Secret.set {
		return c, none, invalid("body.url", "the one that is kept cannot be opened: give it anew, with the secret")
	}
	setIf(&c.Name, in.Body.Name)
	setIf(&c.Title, in.Body.Title)
	setIf(&c.Body, in.Body.Body)
	setIf(&c.Enabled, in.Body.Enabled)
	return c, none, checkTemplates(invalidRequest(), c)
}

// channelChanges names the fields that a change touched.
func channelChanges(former, c store.Channel, was, to store.ChannelAddress) (changed []string) {
	for _, field := range []struct {
		name  string
		moved bool
	}{
		{"name", former.Name != c.Name},
		{"url", was.URL != to.URL},
		{"secret", was.Secret != to.Secret},
		{"title", former.Title != c.Title},
		{"body", former.Body != c.Body},
		{"enabled", former.Enabled != c.Enabled},
	} {
		if field.moved {
			changed = append(changed, field.name)
		}
	}
	return changed
}

// channelTaken says of a conflict that another channel has the name, if that is what it is.
func (s *server) channelTaken(ctx context.Context, c store.Channel, err error) error {
	if other, lookErr := s.d.DB.ChannelByName(ctx, c.Name); lookErr == nil && other.ID != c.ID {
		return nameTaken(err, "channel", c.Name)
	}
	return err
}

func channelEvent(ctx context.Context, c store.Channel, kind, message string, changed []string) store.Event {
	e := apiEvent(ctx, kind, message)
	e.Data["channel_id"], e.Data["channel"] = c.ID, c.Name
	if len(changed) > 0 {
		e.Data["changed"] = changed
	}
	return e
}

func (s *server) deleteChannel(ctx context.Context, in *Seen) (*none, error) {
	c, err := s.findChannel(ctx, in.ID)
	if err != nil {
		return nil, err
	}
	return nil, s.d.DB.Update(ctx, func(tx *store.Tx) error {
		if c, err = tx.Channel(ctx, c.ID); err != nil {
			return err
		}
		if err := in.check(c.Revision); err != nil {
			return err
		}
		if err := tx.DeleteChannel(ctx, c.ID); err != nil {
			return err
		}
		e := channelEvent(ctx, c, "channel.removed", "channel "+c.Name+" was removed", nil)
		if lost := c.Waiting + c.Dead; lost > 0 {
			e.Severity, e.Data["lost"] = store.SeverityWarn, lost
			e.Message += ", with messages that were not sent"
		}
		return tx.Emit(ctx, e)
	})
}

// testChannel sends a test message now. That the target refuses it is an answer, and no problem of ours.
func (s *server) testChannel(ctx context.Context, in *ByID) (*out[channelTestJSON], error) {
	c, err := s.findChannel(ctx, in.ID)
	if err != nil {
		return nil, err
	}
	to, err := s.d.DB.ChannelAddress(ctx, c.ID)
	if err != nil {
		return nil, err
	}
	test := s.d.Notifier.Try(ctx, to, notify.Templates{Title: c.Title, Body: c.Body})
	if ctx.Err() != nil {
		return nil, ctx.Err() // it was not the target that gave up
	}
	test.By = actorOf(ctx)
	err = s.d.DB.Update(ctx, func(tx *store.Tx) error {
		if err := tx.SetChannelTested(ctx, c.ID, test); err != nil {
			return err
		}
		e := channelEvent(ctx, c, "channel.tested", "channel "+c.Name+" was tried: it takes messages", nil)
		if test.Error != "" {
			e.Message = "channel " + c.Name + " was tried: " + test.Error
			e.Data["error"] = test.Error
		}
		return tx.Emit(ctx, e)
	})
	if err != nil {
		return nil, err
	}
	return answer(channelTestOf(test)), nil
}

type tryChannelIn struct {
	Body struct {
		URL    string `json:"url" minLength:"1" maxLength:"4096" writeOnly:"true"`
		Secret string `json:"secret,omitempty" minLength:"8" maxLength:"200" writeOnly:"true"`
		Title  string `json:"title,omitempty" maxLength:"4096"`
		Body   string `json:"body,omitempty" maxLength:"4096"`
	}
}

// tryChannel sends a test message to a channel that is yet to be made. Somebody made us send something: it is an event.
func (s *server) tryChannel(ctx context.Context, in *tryChannelIn) (*out[channelTestJSON], error) {
	c := store.Channel{Title: in.Body.Title, Body: in.Body.Body}
	to := store.ChannelAddress{URL: in.Body.URL, Secret: in.Body.Secret}
	if err := checkChannel(&c, &to, true); err != nil {
		return nil, err
	}
	if err := s.mayDial(ctx, to.URL); err != nil {
		return nil, err
	}
	test := s.d.Notifier.Try(ctx, to, notify.Templates{Title: c.Title, Body: c.Body})
	if ctx.Err() != nil {
		return nil, ctx.Err()
	}
	test.By = actorOf(ctx)
	err := s.d.DB.Update(ctx, func(tx *store.Tx) error {
		return tx.Emit(ctx, apiEvent(ctx, "channel.tested", "a channel that is not saved ("+c.Shown+") was tried"))
	})
	if err != nil {
		return nil, err
	}
	return answer(channelTestOf(test)), nil
}

type previewIn struct {
	Body struct {
		Title string `json:"title,omitempty" maxLength:"4096" doc:"template; empty: the usual one"`
		Body  string `json:"body,omitempty" maxLength:"4096" doc:"template; empty: the usual one"`
		Rule  string `json:"rule,omitempty" maxLength:"100" doc:"id or name: of events that it wants; absent: of warnings and errors"`
		Count int    `json:"count,omitempty" minimum:"1" maximum:"50" doc:"of how many events; default 1"`
	}
}

type previewJSON struct {
	Title  string `json:"title"`
	Text   string `json:"text"`
	Events int    `json:"events" doc:"how many real events it was made of; 0: there was none, and it is what a test would send"`
}

// mostLooked is how many events a preview looks at to find some.
const mostLooked = 1000

func (s *server) previewMessage(ctx context.Context, in *previewIn) (*out[previewJSON], error) {
	t := notify.Templates{Title: in.Body.Title, Body: in.Body.Body}
	if where, err := notify.ValidTemplates(t); err != nil {
		return nil, invalid("body."+where, err.Error())
	}
	wants := store.NotifyWants{Severities: []store.Severity{store.SeverityWarn, store.SeverityError}}
	if in.Body.Rule != "" {
		r, err := s.findRule(ctx, in.Body.Rule)
		if errors.Is(err, store.ErrNotFound) {
			return nil, invalid("body.rule", "there is no rule "+in.Body.Rule)
		}
		if err != nil {
			return nil, err
		}
		wants = r.NotifyWants
	}
	evs, err := s.recent(ctx, wants, max(in.Body.Count, 1))
	if err != nil {
		return nil, err
	}
	l, err := s.d.Notifier.Preview(ctx, t, evs)
	if err != nil {
		return nil, invalid("body", err.Error())
	}
	return answer(previewJSON{Title: l.Title, Text: l.Text, Events: len(evs)}), nil
}

// recent are the newest events that a rule would want, oldest first.
func (s *server) recent(ctx context.Context, wants store.NotifyWants, count int) (evs []store.Event, err error) {
	newest, _, err := s.d.DB.Events(ctx, store.EventFilter{Severities: wants.Severities, Sources: wants.Sources}, store.Page{Limit: mostLooked})
	if err != nil {
		return nil, err
	}
	for _, e := range newest {
		if len(evs) < count && notify.Concerns(wants, e) {
			evs = append([]store.Event{e}, evs...)
		}
	}
	return evs, nil
}
