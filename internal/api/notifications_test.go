package api

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"os"
	"reflect"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/tiny-forge/docker-watcher/client"
	"github.com/tiny-forge/docker-watcher/internal/docker"
	"github.com/tiny-forge/docker-watcher/internal/docker/dockertest"
	"github.com/tiny-forge/docker-watcher/internal/notify"
	"github.com/tiny-forge/docker-watcher/internal/proxy"
	"github.com/tiny-forge/docker-watcher/internal/store"
	"github.com/tiny-forge/docker-watcher/internal/store/storetest"
)

// inbox is a webhook at the other end.
type inbox struct {
	*httptest.Server
	mu     sync.Mutex
	status int
	bodies [][]byte
	header []http.Header
	came   chan struct{}
}

func newInbox(t *testing.T) *inbox {
	t.Helper()
	in := &inbox{status: http.StatusOK, came: make(chan struct{}, 1000)}
	in.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		in.mu.Lock()
		defer in.mu.Unlock()
		in.bodies, in.header = append(in.bodies, body), append(in.header, r.Header)
		w.WriteHeader(in.status)
		_, _ = io.WriteString(w, "the path is "+r.URL.Path)
		in.came <- struct{}{}
	}))
	t.Cleanup(in.Close)
	return in
}

const tokenInURL = "c4n4ry-in-the-url"

func TestChannels(t *testing.T) {
	b, in := newBed(t), newInbox(t)
	ctx := t.Context()
	made, err := b.admin.CreateChannel(ctx, client.NewChannel{Name: "ops", URL: in.URL + "/" + tokenInURL})
	b.must(err)
	if made.Kind != "webhook" || !made.Enabled || !made.SecretSet || len(made.Secret) < 20 || made.Revision != 1 || made.LastTest != nil || !strings.HasSuffix(made.Shown, "/***") {
		t.Errorf("made %+v", made)
	}
	test, err := b.admin.TestChannel(ctx, "ops")
	if err != nil || !test.OK || !strings.HasPrefix(test.Answer, "200 the path is") || test.By == "" {
		t.Errorf("%+v, %v", test, err)
	}
	if got := in.header[0].Get(notify.HeaderSignature); got != notify.Sign(made.Secret, in.header[0].Get(notify.HeaderTimestamp), in.bodies[0]) {
		t.Errorf("signed by %q", got)
	}
	in.status = http.StatusForbidden
	test, err = b.admin.TestChannel(ctx, "ops")
	if err != nil || test.OK || !strings.Contains(test.Error, "403") {
		t.Errorf("%+v, %v", test, err)
	}
	in.status = http.StatusOK
	other := "told-by-others"
	got, err := b.admin.UpdateChannel(ctx, "ops", client.ChannelChange{Secret: &other, Title: new("{{.Count}} things"), Revision: 1})
	if err != nil || got.Secret != "" || !got.SecretSet || got.Revision != 2 || got.Title == "" || got.LastTest != nil {
		t.Errorf("%+v, %v", got, err)
	}
	_, err = b.admin.UpdateChannel(ctx, "ops", client.ChannelChange{Title: new(""), Revision: 1})
	wantProblem(t, err, http.StatusPreconditionFailed, client.CodeRevision)
	if to, err := b.db.ChannelAddress(ctx, made.ID); err != nil || to.Secret != other || !strings.HasSuffix(to.URL, tokenInURL) {
		t.Errorf("%+v, %v", to, err)
	}
	// A secret is one of a webhook: another kind of URL takes it away.
	if got, err = b.admin.UpdateChannel(ctx, "ops", client.ChannelChange{URL: new("ntfy://ntfy.sh/" + tokenInURL)}); err != nil || got.SecretSet || got.Kind != "ntfy" {
		t.Errorf("%+v, %v", got, err)
	}
	_, err = b.admin.CreateChannel(ctx, client.NewChannel{Name: "ops", URL: in.URL})
	if p := problemIn(t, err, http.StatusConflict, client.CodeConflict); p.Errors[0].Location != "body.name" {
		t.Errorf("%+v", p)
	}
	test, err = b.admin.TryChannel(ctx, client.NewChannel{URL: in.URL + "/" + tokenInURL, Body: "{{.First.Message}}"})
	if err != nil || !test.OK {
		t.Errorf("%+v, %v", test, err)
	}
	kinds, err := b.viewer.ChannelKinds(ctx)
	if err != nil || len(kinds) < 10 || kinds[0].Kind != "webhook" {
		t.Errorf("%+v, %v", kinds, err)
	}
	all, err := b.viewer.Channels(ctx)
	b.must(err)
	evs, err := b.admin.Events(ctx, client.EventFilter{}, client.Page{})
	b.must(err)
	said, err := json.Marshal([]any{all, evs, got})
	b.must(err)
	if strings.Contains(string(said), tokenInURL) || strings.Contains(string(said), other) || strings.Contains(b.logs.String(), tokenInURL) {
		t.Errorf("a secret got out: %s\n%s", said, b.logs)
	}
	b.must(b.admin.DeleteChannel(ctx, "ops"))
	_, err = b.viewer.Channel(ctx, made.ID)
	wantProblem(t, err, http.StatusNotFound, client.CodeNotFound)
	for _, kind := range []string{"channel.created", "channel.tested", "channel.updated", "channel.removed"} {
		if e := b.event(kind); e.Actor == "" || e.Data["addr"] == nil {
			t.Errorf("%+v", e)
		}
	}
}

func TestChannelsThatAreRefused(t *testing.T) {
	b := newBed(t)
	for where, n := range map[string]client.NewChannel{
		"body.url":    {Name: "ops", URL: "ftp://" + tokenInURL},
		"body.secret": {Name: "ops", URL: "ntfy://ntfy.sh/x", Secret: "12345678"},
		"body.title":  {Name: "ops", URL: "ntfy://ntfy.sh/x", Title: "{{.Nothing}}"},
		"body.body":   {Name: "ops", URL: "ntfy://ntfy.sh/x", Body: "{{range 1000000}}{{end}}"},
		"body.name":   {Name: "Ops!", URL: "ntfy://ntfy.sh/x"},
	} {
		_, err := b.admin.CreateChannel(t.Context(), n)
		p := problemIn(t, err, http.StatusUnprocessableEntity, client.CodeInvalid)
		if p.Errors[0].Location != where || strings.Contains(err.Error(), tokenInURL) {
			t.Errorf("%s: %+v", where, p)
		}
	}
	if all, err := b.viewer.Channels(t.Context()); err != nil || len(all) != 0 {
		t.Errorf("%+v, %v", all, err)
	}
}

func TestNotifyRules(t *testing.T) {
	b := newBed(t)
	ctx := t.Context()
	_, err := b.admin.CreateChannel(ctx, client.NewChannel{Name: "ops", URL: "ntfy://ntfy.sh/x"})
	b.must(err)
	project, err := b.admin.CreateProject(ctx, client.NewProject{Name: "shop", Image: "r.example/shop"})
	b.must(err)
	made, err := b.admin.CreateNotifyRule(ctx, client.NotifyRuleChange{
		Name: new("nights"), Channels: &[]string{"ops", "ops"}, Severities: &[]string{"warn", "error"}, Projects: &[]string{"shop"}, Kinds: &[]string{"deploy.*", "instance.stale"},
		Quiet: &client.QuietHours{From: "22:00", To: "07:00", Zone: "Europe/Berlin"},
	})
	b.must(err)
	if !made.Enabled || made.GatherMinutes != 5 || len(made.Channels) != 1 || made.Channels[0].Name != "ops" || made.Projects[0] != (client.Named{ID: project.ID, Name: "shop"}) || made.Quiet.Zone != "Europe/Berlin" {
		t.Errorf("%+v", made)
	}
	got, err := b.admin.UpdateNotifyRule(ctx, "nights", client.NotifyRuleChange{NoQuiet: true, GatherMinutes: new(0), Revision: 1})
	if err != nil || got.Quiet != nil || got.GatherMinutes != 0 || len(got.Kinds) != 2 || got.Revision != 2 {
		t.Errorf("%+v, %v", got, err)
	}
	for where, change := range map[string]client.NotifyRuleChange{
		"body.channels[0]": {Channels: &[]string{"nowhere"}},
		"body.projects[0]": {Projects: &[]string{"nowhere"}},
		"body.kinds[1]":    {Kinds: &[]string{"*", "drop table"}},
		"body.quiet":       {Quiet: &client.QuietHours{From: "22:00", To: "22:00"}},
		"body.severities":  {Severities: &[]string{"fatal"}},
	} {
		_, err := b.admin.UpdateNotifyRule(ctx, "nights", change)
		p := problemIn(t, err, http.StatusUnprocessableEntity, client.CodeInvalid)
		if !strings.HasPrefix(p.Errors[0].Location, where) {
			t.Errorf("%s: %+v", where, p)
		}
	}
	_, err = b.admin.CreateNotifyRule(ctx, client.NotifyRuleChange{Name: new("nights")})
	wantProblem(t, err, http.StatusConflict, client.CodeConflict)
	_, err = b.admin.CreateNotifyRule(ctx, client.NotifyRuleChange{})
	wantProblem(t, err, http.StatusUnprocessableEntity, client.CodeInvalid)
	if all, err := b.viewer.NotifyRules(ctx); err != nil || len(all) != 1 {
		t.Errorf("%+v, %v", all, err)
	}
	b.must(b.admin.DeleteNotifyRule(ctx, made.ID))
	_, err = b.viewer.NotifyRule(ctx, "nights")
	wantProblem(t, err, http.StatusNotFound, client.CodeNotFound)
}

func TestPreview(t *testing.T) {
	b := newBed(t)
	ctx := t.Context()
	p, err := b.admin.PreviewMessage(ctx, client.PreviewRequest{})
	if err != nil || p.Events != 0 || !strings.Contains(p.Text, "test message") {
		t.Errorf("%+v, %v", p, err)
	}
	for range 3 {
		b.update(func(tx *store.Tx) error { return tx.Emit(ctx, sampleEvent()) })
	}
	p, err = b.admin.PreviewMessage(ctx, client.PreviewRequest{Title: "{{.Count}}", Body: "{{range .Events}}{{.Kind}} {{end}}", Count: 2})
	if err != nil || p.Events != 2 || p.Title != "2" || p.Text != "instance.stale instance.stale" {
		t.Errorf("%+v, %v", p, err)
	}
	_, err = b.admin.PreviewMessage(ctx, client.PreviewRequest{Body: "{{"})
	wantProblem(t, err, http.StatusUnprocessableEntity, client.CodeInvalid)
	_, err = b.admin.PreviewMessage(ctx, client.PreviewRequest{Rule: "none"})
	wantProblem(t, err, http.StatusUnprocessableEntity, client.CodeInvalid)
}

// The story: a channel, a rule, something happens; the target refuses it, and takes it when somebody says so.
func TestOutbox(t *testing.T) {
	b, in := newBed(t), newInbox(t)
	ctx := t.Context()
	in.status = http.StatusBadRequest
	_, err := b.admin.CreateChannel(ctx, client.NewChannel{Name: "ops", URL: in.URL})
	b.must(err)
	_, err = b.admin.CreateNotifyRule(ctx, client.NotifyRuleChange{Name: new("all"), Channels: &[]string{"ops"}, Kinds: &[]string{"instance.*"}, GatherMinutes: new(0)})
	b.must(err)
	b.run("notifier", b.deps.Notifier.Run)
	b.update(func(tx *store.Tx) error { return tx.Emit(ctx, sampleEvent()) })
	dead := b.message("dead")
	if dead.Channel != "ops" || dead.Rule != "all" || dead.Count != 1 || !strings.Contains(dead.Error, "400") || dead.Title == "" {
		t.Errorf("%+v", dead)
	}
	if m, err := b.viewer.Message(ctx, dead.ID); err != nil || len(m.Events) != 1 || m.Events[0].Kind != "instance.stale" {
		t.Errorf("%+v, %v", m, err)
	}
	in.mu.Lock()
	in.status = http.StatusOK
	in.mu.Unlock()
	if n, err := b.admin.RetryOutbox(ctx, "ops"); err != nil || n != 1 {
		t.Errorf("%d, %v", n, err)
	}
	sent := b.message("sent")
	if sent.ID != dead.ID || sent.EndedAt.IsZero() || sent.Error != "" {
		t.Errorf("%+v", sent)
	}
	in.mu.Lock()
	first, last := in.header[0].Get("Idempotency-Key"), in.header[len(in.header)-1].Get("Idempotency-Key")
	in.mu.Unlock()
	if first != dead.ID || last != dead.ID {
		t.Errorf("keys %q and %q", first, last)
	}
	_, err = b.admin.RetryMessage(ctx, sent.ID)
	wantProblem(t, err, http.StatusConflict, client.CodeWrongState)
	_, err = b.viewer.Outbox(ctx, client.MessageFilter{Channel: "none"}, client.Page{})
	wantProblem(t, err, http.StatusUnprocessableEntity, client.CodeInvalid)
	b.must(b.admin.DeleteMessage(ctx, sent.ID))
	if l, err := b.viewer.Outbox(ctx, client.MessageFilter{}, client.Page{}); err != nil || len(l.Items) != 0 {
		t.Errorf("%+v, %v", l, err)
	}
}

// message waits for the first message in a state.
func (b *bed) message(state string) client.Message {
	b.t.Helper()
	deadline := time.Now().Add(patience)
	for tick := time.Tick(20 * time.Millisecond); time.Now().Before(deadline); <-tick {
		l, err := b.viewer.Outbox(b.t.Context(), client.MessageFilter{State: state}, client.Page{})
		b.must(err)
		if len(l.Items) > 0 {
			return l.Items[0]
		}
	}
	b.t.Fatalf("no message is %s", state)
	return client.Message{}
}

const schemaFile = "../../docs/notify-webhook.schema.json"

// TestWebhookSchema compares the schema that receivers build on with what is sent, and tries it on a real message.
func TestWebhookSchema(t *testing.T) {
	registry := huma.NewMapRegistry("#/$defs/", huma.DefaultSchemaNamer)
	root := registry.Schema(reflect.TypeFor[notify.Payload](), false, "")
	now, err := json.MarshalIndent(map[string]any{
		"$schema": "https://json-schema.org/draft/2020-12/schema", "title": "A message of docker-watcher to a webhook",
		"$ref": "#/$defs/Payload", "$defs": registry.Map(),
	}, "", "  ")
	if err != nil || root == nil {
		t.Fatal(err)
	}
	now = append(now, '\n')
	if *update {
		if err := os.WriteFile(schemaFile, now, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	then, err := os.ReadFile(schemaFile)
	if err != nil || !slices.Equal(now, then) {
		t.Errorf("docs/notify-webhook.schema.json is not what is sent: run go test ./internal/api -run TestWebhookSchema -update (%v)", err)
	}

	b, in := newBed(t), newInbox(t)
	_, err = b.admin.TryChannel(t.Context(), client.NewChannel{URL: in.URL})
	b.must(err)
	valid := func(edit func(map[string]any)) []error {
		var body map[string]any
		if err := json.Unmarshal(in.bodies[0], &body); err != nil {
			t.Fatal(err)
		}
		edit(body)
		result := &huma.ValidateResult{}
		huma.Validate(registry, registry.Map()["Payload"], huma.NewPathBuffer(nil, 0), huma.ModeWriteToServer, body, result)
		return result.Errors
	}
	if errs := valid(func(map[string]any) {}); len(errs) > 0 {
		t.Errorf("%s: %v", in.bodies[0], errs)
	}
	for name, edit := range map[string]func(map[string]any){
		"without its id":     func(b map[string]any) { delete(b, "id") },
		"a strange severity": func(b map[string]any) { b["severity"] = "fatal" },
		"no list of events":  func(b map[string]any) { b["events"] = "many" },
		"something else":     func(b map[string]any) { b["url"] = "x" },
	} {
		if errs := valid(edit); len(errs) == 0 {
			t.Errorf("%s is valid", name)
		}
	}
}

// TestAChannelToWhereNothingIsDialledIsNotSaved: an address that is written out is refused with its field; a name is not looked up, and one that
// was saved before can still be changed and switched off.
func TestAChannelToWhereNothingIsDialledIsNotSaved(t *testing.T) {
	pretend := dockertest.New(t, dockertest.Options{})
	var refuses proxy.Policy
	b := newBedOn(t, docker.Options{Endpoint: pretend.Endpoint(), Dial: pretend.Dial}, func(b *bed) {
		refuse := func(_ context.Context, at netip.AddrPort) error { return refuses.Check(at) }
		b.deps.Notifier = notify.New(b.db, b.bus, notify.Options{Refuse: refuse, Version: "test", Log: b.deps.Log})
	})
	refused := func(url string, err error) {
		t.Helper()
		p := problemIn(t, err, http.StatusUnprocessableEntity, client.CodeInvalid)
		if len(p.Errors) != 1 || p.Errors[0].Location != "body.url" || !strings.Contains(p.Errors[0].Message, "no message is sent there: ") || strings.Contains(p.Errors[0].Message, tokenInURL) {
			t.Errorf("%s: %+v", url, p)
		}
	}
	for _, url := range []string{
		"http://169.254.169.254/" + tokenInURL, "https://[fe80::1]:8443/" + tokenInURL, "http://[::ffff:169.254.169.254]/x", "http://0.0.0.0/x",
		"ntfy://169.254.169.254/" + tokenInURL + "?scheme=http", "gotify://169.254.169.254/" + tokenInURL, "matrix://:" + tokenInURL + "@169.254.169.254/?rooms=!a:b",
		"smtp://169.254.169.254/?from=a@b.c&to=a@b.c", "mattermost://169.254.169.254/" + tokenInURL,
	} {
		_, err := b.admin.CreateChannel(t.Context(), client.NewChannel{Name: "ops", URL: url})
		refused(url, err)
		_, err = b.admin.TryChannel(t.Context(), client.NewChannel{URL: url})
		refused("a try of "+url, err)
	}
	if all, err := b.admin.Channels(t.Context()); err != nil || len(all) > 0 {
		t.Errorf("saved: %+v, %v", all, err)
	}
	for name, url := range map[string]string{
		"name": "https://nothing.invalid/x", "there": "http://10.0.0.7/x", "here": "http://127.0.0.1:1/x", "mail": "smtp://mail.invalid/?from=a@b.c&to=a@b.c",
		"discord": "discord://" + tokenInURL + "@169", "slack": "slack://hook:A-B-C@webhook",
	} {
		if _, err := b.admin.CreateChannel(t.Context(), client.NewChannel{Name: name, URL: url}); err != nil {
			t.Errorf("%s: %v", url, err)
		}
	}
	_, err := b.admin.UpdateChannel(t.Context(), "there", client.ChannelChange{URL: new("http://169.254.169.254/x")})
	refused("changed", err)
	refuses.Refused = []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8")}
	_, err = b.admin.UpdateChannel(t.Context(), "name", client.ChannelChange{URL: new("http://10.0.0.8/x")})
	refused("by the setting", err)
	if c, err := b.admin.UpdateChannel(t.Context(), "there", client.ChannelChange{Enabled: new(false)}); err != nil || c.Enabled {
		t.Errorf("switched off: %+v, %v", c, err)
	}
}

// TestWhatAChannelWouldPassOver: it is refused where a URL is written, and let be where one stands.
func TestWhatAChannelWouldPassOver(t *testing.T) {
	b := newBed(t)
	const former, url = "ntfy://127.0.0.1:1/alerts?priority=max", "ntfy://127.0.0.1:1/alerts?disabletls=yes"
	refused := func(err error) {
		t.Helper()
		p := problemIn(t, err, http.StatusUnprocessableEntity, client.CodeInvalid)
		if len(p.Errors) != 1 || p.Errors[0].Location != "body.url" || !strings.Contains(p.Errors[0].Message, "disabletls") || strings.Contains(p.Errors[0].Message, "priority") {
			t.Errorf("%+v", p)
		}
	}
	_, err := b.admin.CreateChannel(t.Context(), client.NewChannel{Name: "ops", URL: former})
	refused(err)
	_, err = b.admin.TryChannel(t.Context(), client.NewChannel{URL: former})
	refused(err)
	_, err = b.admin.CreateChannel(t.Context(), client.NewChannel{Name: "ops", URL: url})
	b.must(err)
	_, err = b.admin.UpdateChannel(t.Context(), "ops", client.ChannelChange{URL: new(former)})
	refused(err)
	b.must(b.db.Update(t.Context(), func(tx *store.Tx) error { // as one of before
		c, err := tx.ChannelByName(t.Context(), "ops")
		if err != nil {
			return err
		}
		return tx.UpdateChannel(t.Context(), c, &store.ChannelAddress{URL: former})
	}))
	if c, err := b.admin.UpdateChannel(t.Context(), "ops", client.ChannelChange{Name: new("phone")}); err != nil || c.Name != "phone" {
		t.Errorf("%+v, %v", c, err)
	}
	// As who writes the whole channel each time does.
	if c, err := b.admin.UpdateChannel(t.Context(), "phone", client.ChannelChange{URL: new(former), Enabled: new(false)}); err != nil || c.Enabled {
		t.Errorf("%+v, %v", c, err)
	}
	_, err = b.admin.UpdateChannel(t.Context(), "phone", client.ChannelChange{URL: new(former + "&scheme=http")})
	refused(err)
}

// TestWhatAnAddressWouldPassOver is as what stands behind its ?.
func TestWhatAnAddressWouldPassOver(t *testing.T) {
	b := newBed(t)
	for former, url := range map[string]string{
		"discord://tok@123/raw": "discord://tok@123", "slack://xoxb:1-2-3@C001/x": "slack://xoxb:1-2-3@C001", "slack://hook:A-B-C@webhook/x/y": "slack://hook:A-B-C@webhook",
		"telegram://1:AA@telegram?chats=@a:b": "telegram://1:AA@telegram?chats=@a", "ntfy://h/a?disabletls=yes;x": "ntfy://h/a",
		"smtp://h/me?from=a@b.c&to=d@e.f": "smtp://h/?from=a@b.c&to=d@e.f", "pushover://x:tok@usr/phone": "pushover://x:tok@usr/?devices=phone", "mattermost://h/t/town/x": "mattermost://h/t/town",
	} {
		_, err := b.admin.CreateChannel(t.Context(), client.NewChannel{Name: "ops", URL: former})
		if p := problemIn(t, err, http.StatusUnprocessableEntity, client.CodeInvalid); len(p.Errors) != 1 || p.Errors[0].Location != "body.url" {
			t.Errorf("%s: %+v", former, p)
		}
		c, err := b.admin.CreateChannel(t.Context(), client.NewChannel{Name: "ops", URL: url})
		b.must(err)
		b.must(b.db.Update(t.Context(), func(tx *store.Tx) error { // as one of before
			kept, err := tx.Channel(t.Context(), c.ID)
			if err != nil {
				return err
			}
			return tx.UpdateChannel(t.Context(), kept, &store.ChannelAddress{URL: former})
		}))
		if c, err := b.admin.UpdateChannel(t.Context(), "ops", client.ChannelChange{Name: new(c.Kind)}); err != nil {
			t.Errorf("%s: %+v, %v", former, c, err)
		}
		b.must(b.admin.DeleteChannel(t.Context(), c.ID))
	}
}

// TestAChannelWhoseAddressIsLostIsSetAnew, as it is told to be, with the secret of a webhook; and it can be switched off meanwhile.
func TestAChannelWhoseAddressIsLostIsSetAnew(t *testing.T) {
	d, dir := newBed(t).deps, storetest.Dir(t)
	d.DB = storetest.With(t, store.Options{DataDir: dir})
	s, ctx := &server{d: d, log: d.Log}, t.Context()
	add := &createChannelIn{}
	add.Body.Name, add.Body.URL, add.Body.Secret = "ops", "https://ops.example/hook", "former secret"
	made, err := s.createChannel(ctx, add)
	if err != nil {
		t.Fatal(err)
	}
	storetest.SpoilChannels(t, dir)
	change := func(url, secret *string, on *bool) error {
		in := &updateChannelIn{ByID: ByID{ID: "ops"}}
		in.Body.URL, in.Body.Enabled = url, on
		if secret != nil {
			in.Body.Secret = optional[string]{set: true, value: *secret}
		}
		_, err := s.updateChannel(ctx, in)
		return err
	}
	if err := change(nil, nil, new(false)); err != nil {
		t.Errorf("it cannot be switched off: %v", err)
	}
	if c, err := d.DB.Channel(ctx, made.Body.ID); err != nil || c.Enabled || c.Kind != "webhook" || c.Shown == "" {
		t.Errorf("it is %+v, %v", c, err)
	}
	url, secret := "https://ops.example/other", "another secret"
	for field, err := range map[string]error{"body.url": change(nil, &secret, nil), "body.secret": change(&url, nil, nil)} {
		p, refused := errors.AsType[*Problem](err)
		if !refused || p.Status != http.StatusUnprocessableEntity || len(p.Errors) != 1 || p.Errors[0].Location != field {
			t.Errorf("a half of it: %v", err)
		}
	}
	if err := change(&url, &secret, new(true)); err != nil {
		t.Fatal(err)
	}
	if to, err := d.DB.ChannelAddress(ctx, made.Body.ID); err != nil || to.URL != url || to.Secret != secret {
		t.Errorf("it leads to %+v, %v", to, err)
	}
}
