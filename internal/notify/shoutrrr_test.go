package notify

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/mail"
	"net/url"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/tiny-forge/docker-watcher/internal/peertest"
	"github.com/tiny-forge/docker-watcher/internal/store"
)

// asked is what tools/peers/shoutrrr answers: what shoutrrr's own code makes of a URL.
type asked struct {
	Error    string
	Requests []outgoing
	Mail     *struct {
		Host           string
		Port           int
		User, Password string
		From           string
		FromName       string `json:"from_name"`
		To             []string
		Encryption     string
		Required       bool
		Client         string
	}
}

// outgoing is a request that would go out.
type outgoing struct {
	Method, URL   string
	Authorization string
	GotifyKey     string `json:"gotify_key"`
	Body          string
}

// caught takes what we send, and answers as the other program does.
type caught struct{ all []outgoing }

func (c *caught) RoundTrip(r *http.Request) (*http.Response, error) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return nil, err
	}
	c.all = append(c.all, outgoing{Method: r.Method, URL: r.URL.String(), Authorization: r.Header.Get("Authorization"), GotifyKey: r.Header.Get("X-Gotify-Key"), Body: string(body)})
	if _, alias, found := strings.Cut(r.URL.Path, "/join/#"); found {
		return answered(http.StatusOK, fmt.Sprintf(`{"room_id":%q}`, "!of-"+alias)), nil
	}
	return answered(http.StatusOK, `{"ok":true}`), nil
}

// reading is what was read of a URL: what goes where, and by which right.
type reading map[string]string

// readOf tells by what is sent how a URL was read, whichever of the ways of the target to say it was taken.
func readOf(t *testing.T, kind string, sent []outgoing) reading {
	t.Helper()
	out := reading{}
	for i, o := range sent {
		u, err := url.Parse(o.URL)
		if err != nil {
			t.Fatal(err)
		}
		q, body := u.Query(), map[string]any{}
		_ = json.Unmarshal([]byte(o.Body), &body) // where it is JSON
		text := func(names ...string) {
			for _, name := range names {
				if value, is := body[name]; is {
					out[name] = strings.TrimSuffix(fmt.Sprint(value), ".0")
				}
			}
		}
		u.RawQuery, u.RawPath = "", ""
		switch kind {
		case "ntfy":
			if topic, is := body["topic"].(string); is { // else it stands in the path
				u.Path = strings.TrimSuffix(u.Path, "/") + "/" + topic
			}
		case "gotify":
			out["token"] = o.GotifyKey + q.Get("token")
			u.Path = strings.ReplaceAll(u.Path, "//", "/") // shoutrrr writes two where there is a folder
		case "slack":
			text("channel", "username", "thread_ts")
		case "discord":
			out["thread"] = q.Get("thread_id")
		case "telegram":
			text("chat_id", "message_thread_id")
			out["silent"] = fmt.Sprint(body["disable_notification"] == true)
		case "matrix":
			_, rest, _ := strings.Cut(u.Path, "/_matrix/client/")
			_, rest, _ = strings.Cut(rest, "/") // its version
			if room, found := strings.CutPrefix(rest, "join/"); found {
				if strings.HasPrefix(room, "#") { // rooms by their ids are joined by one of both only
					out["joined"] += room + " "
				}
				continue
			}
			room, _, _ := strings.Cut(strings.TrimPrefix(rest, "rooms/"), "/send/")
			out["rooms"] += room + " "
			u.Path, i = "/", 0
			if token := q.Get("access_token"); token != "" {
				o.Authorization = "Bearer " + token
			}
		case "mattermost":
			text("username", "channel")
		case "googlechat":
			out["key"], out["token"] = q.Get("key"), q.Get("token")
		case "pushover":
			form, err := url.ParseQuery(o.Body)
			if err != nil {
				t.Fatal(err)
			}
			out["token"], out["user"], out["device"] = form.Get("token"), form.Get("user"), form.Get("device")
		}
		if rest, is := strings.CutPrefix(o.Authorization, "Basic "); is {
			plain, err := base64.StdEncoding.DecodeString(rest)
			if err != nil {
				t.Fatal(err)
			}
			o.Authorization = string(plain)
		} else if token, is := strings.CutPrefix(o.Authorization, "Bearer "); is {
			o.Authorization = ":" + token
		}
		if i == 0 {
			out["to"], out["by"] = u.String(), o.Authorization
		} else {
			out["more"] += o.Method + " " + u.String() + " "
		}
	}
	return out
}

// mailOf is what is read of the URL of a mail.
func mailOf(host, port, user, password, from, fromName string, to []string, encryption, client string) reading {
	return reading{
		"host": host, "port": port, "user": user, "password": password, "from": from, "from name": fromName, "to": strings.Join(to, " "),
		"encryption": strings.TrimSuffix(strings.ToLower(encryption), "tls"), "client": client,
	}
}

// theirs is how shoutrrr reads a URL.
func theirs(t *testing.T, kind string, a asked) reading {
	t.Helper()
	m := a.Mail
	if m == nil {
		return readOf(t, kind, a.Requests)
	}
	how := m.Encryption
	if m.Required {
		how = "explicit" // which is how we say it
	}
	return mailOf(m.Host, fmt.Sprint(m.Port), m.User, m.Password, m.From, m.FromName, m.To, how, m.Client)
}

// ours is how we read it.
func ours(t *testing.T, text string) (reading, error) {
	t.Helper()
	a, err := parse(text)
	if err == nil {
		err = Unread(text)
	}
	if err != nil {
		return nil, err
	}
	if a.kind != "smtp" {
		to := &caught{}
		if _, failure := newPost(Options{Transport: to}).send(t.Context(), store.ChannelAddress{URL: text}, sample()); failure != nil {
			return nil, fmt.Errorf("it was not sent: %s", failure.Text)
		}
		return readOf(t, a.kind, to.all), nil
	}
	password, _ := a.url.User.Password()
	bare := func(text string) string {
		at, err := mail.ParseAddress(text)
		if err != nil {
			t.Fatalf("%s: %v", text, err)
		}
		return at.Address
	}
	var to []string
	for _, each := range recipients(a.url) {
		to = append(to, bare(each))
	}
	client, err := clientHost(a.url)
	if err != nil {
		return nil, err
	}
	if client == "" {
		client = "localhost" // as net/smtp says it
	}
	return mailOf(a.url.Hostname(), mailPort(a.url), a.url.User.Username(), password, bare(sender(a.url)), param(a.url, "fromname"), to, encryption(a.url), client), nil
}

// tricky are values that one of two readers could take for something else, as they are written in a URL.
var tricky = []string{
	"plain", "p%40ss", "a%2Fb", "a%3Ab", "a:b", "a%3Fb", "a%23b", "a%25b", "a%2525", "a+b", "a%2Bb", "a%20b", "%C3%BC", "ü", "a%26b", "a%3Db", "a=b", "$a", "a'b", "a,b", "a%2Cb", "!a", "a~b",
	"a*b", "(a)", "a;b", "a%3Bb", "a%E2%80%A8b", "%22a%22", "a%5Cb", "-", "a.b",
}

const (
	slackHook   = "T00000000-B00000000-abcdefghijklmnopqrstuvwx"
	gotifyToken = "A.bcdefghij-klm"
	teleToken   = "123456789:AAbb-cc_DD"
)

// forms are URLs that both read.
func forms() (all []string) {
	each := func(form string, but ...string) {
		for _, value := range tricky {
			if !slices.ContainsFunc(but, func(s string) bool { return strings.Contains(value, s) }) {
				all = append(all, strings.ReplaceAll(form, "{}", value))
			}
		}
	}
	const mail = "smtp://mail.example/?from=me@example.com&to=you@example.com"
	each("smtp://u{}:{}@mail.example:587/?from=me@example.com&to=you@example.com", "a:b", "ü") // a user ends there
	each("smtp://anna:a{}b@mail.example:587/?from=me@example.com&to=you@example.com", "ü")
	each(mail+"&fromname={}", "a;b")
	all = append(all, mail, mail+"&encryption=auto", mail+"&encryption=None", mail+"&encryption=ExplicitTLS", mail+"&encryption=implicittls", mail+"&requirestarttls=yes",
		mail+"&Encryption=implicitTLS", mail+"&usestarttls=Yes&starttls=1&usehtml=No&skiptlsverify=no&auth=Unknown", mail+"&clienthost=watcher.example", mail+"&auth=plain",
		"smtp://mail.example:465/?from=me@example.com&to=you@example.com", "smtp://[fd00::5]:2525/?from=me@example.com&to=you@example.com", "smtp://[::1]/?from=me@example.com&to=you@example.com",
		"smtp://10.0.0.7/?fromaddress=me@example.com&toaddresses=a@example.com,b@example.com", "smtp://h/?FROM=me@example.com&To=a@example.com", "smtp://h/?fromAddress=me@example.com&toAddresses=a@example.com",
		"smtp://h/?from=me+tag@example.com&to=a+1@example.com,b%2B2@example.com", "smtp://h/?from=+4917112@sms.example&to=+491711234567@sms.example,+1555%40sms.example,%2B1777@sms.example", "smtp://anna@h/?from=me@example.com&to=a@example.com", "smtp://:pw@h/?from=me@example.com&to=a@example.com",
		"smtp://me%40example.com:pw@mail.example:587?from=me@example.com&to=you@example.com")

	each("ntfy://anna:{}@ntfy.example/alerts", "ü")
	each("ntfy://u{}:pw@ntfy.example/alerts", "a:b", "ü")
	each("ntfy://:{}@ntfy.example/alerts", "ü")
	each("ntfy://ntfy.example/b{}/alerts", "%2F")
	each("ntfy://ntfy.example/a{}", ";", "%2F", "?", "#")
	all = append(all, "ntfy://ntfy.sh/alerts", "ntfy://10.0.0.7:8080/alerts?scheme=http", "ntfy://h/base/alerts", "ntfy://[::1]:8080/alerts?disabletls=yes", "ntfy://h/a?disableTLS=1&cache=yes&firebase=Yes&disabletlsverification=no",
		"ntfy://h/a?disabletls=no", "ntfy://h/a?scheme=https", "ntfy://h/a?scheme=HTTP", "ntfy://anna@h/a")

	all = append(all, "gotify://push.example/"+gotifyToken, "gotify://push.example:8443/"+gotifyToken+"/", "gotify://push.example/base/"+gotifyToken, "gotify://push.example/a/b/"+gotifyToken, "gotify://[fd00::5]:80/"+gotifyToken+"?disabletls=y",
		"gotify://push.example/"+gotifyToken+"?DisableTLS=True", "gotify://h/"+gotifyToken+"?useheader=yes", "gotify://h/"+gotifyToken+"?disabletls=0&insecureskipverify=no")
	each("gotify://push.example/a{}/"+gotifyToken, "%2F")

	commas := strings.ReplaceAll(slackHook, "-", ",")
	all = append(all, "slack://hook:"+slackHook+"@webhook", "slack://xoxb:123456789-123456789012-abcdefghijklmnopqrstuvwx@C001", "slack://xoxp:123456789-123456789012-abcdefghijklmnopqrstuvwx@ops", "slack://hook:"+slackHook+"@general",
		"slack://hook:"+commas+"@webhook", "slack://"+slackHook+"@webhook", "slack://hook-"+slackHook+"@webhook", "slack://xoxb-123456789-123456789012-abcdefghijklmnopqrstuvwx@C001", "slack://xoxa:123456789-123456789012-abcdefghijklmnopqrstuvwx@C001",
		"slack://"+strings.ReplaceAll(slackHook, "-", "/"), "slack://bot@"+strings.ReplaceAll(slackHook, "-", "/"), "slack://hook:"+slackHook+"@webhook?botname=Dock%20Watcher&thread_ts=1503435956.000247",
		"slack://xoxb:123456789-123456789012-abcdefghijklmnopqrstuvwx@C001?username=ann&thread_ts=1.2", "slack://hook:"+slackHook+"@webhook/")

	all = append(all, "discord://to-ken_1@1234567890", "discord://to-ken_1@1234567890?thread_id=987654321", "discord://tok@123?splitlines=no&json=No")

	each("telegram://"+teleToken+"@telegram?chats=@a{}", ";", "#", "a,b", "%2C", "a&b", "a:b", "%3A", "a%20b")
	all = append(all, "telegram://"+teleToken+"@telegram?chats=@ops", "telegram://"+teleToken+"@telegram/?channels=-1001234567890", "telegram://"+teleToken+"@telegram?Chats=-100123:77", "telegram://"+teleToken+"@telegram?chats=@ops&notification=no",
		"telegram://"+teleToken+"@telegram?chats=@ops&notification=yes&preview=No&parsemode=None")

	each("matrix://:{}@m.example/?rooms=!a:m.example", "ü")
	each("matrix://:tok@m.example/?rooms=!{}:m.example", ";", "a,b", "%2C", "%2F", "%3F")
	each("matrix://:tok@m.example/?rooms={}:m.example", ";", "a,b", "%2C", "%2F", "%3F", "!", "#", "%23")
	all = append(all, "matrix://:tok@m.example/?rooms=!a:m.example,!b:m.example", "matrix://:tok@m.example:8448/?rooms=%23ops:m.example", "matrix://:tok@m.example?room=!a:m.example", "matrix://:tok@[fd00::5]:8008/?rooms=!a:b&disableTLS=yes",
		"matrix://:tok@m.example/?rooms=!abc,ops:m.example,%23dev:m.example", "matrix://:tok@m.example/?Rooms=!a:b&disabletls=Yes")

	each("mattermost://u{}@chat.example/hook1/town", "ü")
	each("mattermost://bot@chat.example/hook1/t{}", "%2F")
	all = append(all, "mattermost://chat.example/hook1", "mattermost://bot@chat.example:8065/hook1?disabletls=yes", "mattermost://chat.example/hook1/@anna", "mattermost://[::1]:8065/hook1/town/?DisableTLS=1", "mattermost://bot:pw@chat.example/hook1")

	const chat = "googlechat://chat.googleapis.com/v1/spaces/S/messages"
	each(chat+"?key=k{}&token=t{}", ";")
	all = append(all, chat+"?token=T&key=K", "googlechat://chat.example:8443/v1/spaces/S%20x/messages?key=K&token=T%3D")

	each("pushover://shoutrrr:a{}@usr/", "ü")
	each("pushover://shoutrrr:tok@usr/?devices={}", ";")
	all = append(all, "pushover://shoutrrr:tok@usr/", "pushover://:tok@usr", "pushover://x:tok@usr/?devices=phone,desk&priority=0", "pushover://x:tok@usr/?Devices=phone")
	return all
}

// unsaid is what becomes of a parameter with a ; or a % of its own, and of what stands behind a host where nothing is read.
const unsaid = "it would be passed over without a word"

// otherwise are URLs that are read otherwise on purpose: why, and whether we refuse them.
var otherwise = map[string]struct {
	why     string
	refused bool
}{
	"smtp://h/?from=me@example.com&to=a@example.com&to=b@example.com":                 {"all recipients are told, not only the first parameter's", false},
	"smtp://h/?from=me@example.com&to=a@example.com,%20b@example.com":                 {"a blank after a comma is none of an address", false},
	"smtp://h/?from=me@example.com%20&to=a@example.com":                               {"a blank beside an address is none of it", false},
	"smtp://h/?from=me@example.com&to=a@example.com&fromname=a;b":                     {unsaid, true},
	"smtp://h/?from=me@example.com&to=a@example.com&requirestarttls=yes;clienthost=x": {unsaid, true},
	"smtp://h/?from=me@example.com&to=a@example.com&encryption=implicit%":             {unsaid, true},
	"gotify://h/" + gotifyToken + "?disabletls=yes;x":                                 {unsaid, true},
	"slack://hook:" + slackHook + "@webhook?thread_ts=1.2;x":                          {unsaid, true},
	"discord://tok@123?thread_id=1;x":                                                 {unsaid, true},
	"telegram://" + teleToken + "@telegram?chats=@a&notification=no;x":                {unsaid, true},
	"matrix://:tok@m.example/?rooms=!a:m.example&disabletls=yes;x":                    {unsaid, true},
	"mattermost://chat.example/hook1?disabletls=yes;x":                                {unsaid, true},
	"pushover://x:tok@usr/?devices=phone;desk":                                        {unsaid, true},
	"smtp://h/?from=me@example.com&to=a@example.com&subject=Hello":                    {"a template makes it", true},
	"smtp://h/?from=me@example.com&to=a@example.com&skiptlsverify=yes":                {"certificates are checked", true},
	"smtp://h/?from=me@example.com&to=a@example.com&usestarttls=no":                   {"TLS is spoken where it is offered; without: encryption=none", true},
	"smtp://h/?from=me@example.com&to=a@example.com&auth=CRAMMD5":                     {"there is one way to log in", true},
	"smtp://h/?from=me&to=a@example.com":                                              {"that is no address", true},
	"ntfy://h/a?priority=max":                                                         {"the severity makes it", true},
	"ntfy://h/a?scheme=ftp":                                                           {"nothing is sent by that", true},
	"gotify://h/" + gotifyToken + "?priority=5":                                       {"the severity makes it", true},
	"discord://tok@123/raw":                                                           {"a message is no JSON of Discord's", true},
	"smtp://h/me@example.com?from=me@example.com&to=a@example.com":                    {unsaid, true},
	"telegram://" + teleToken + "@telegram/ops?chats=@a":                              {unsaid, true},
	"matrix://:tok@m.example/base?rooms=!a:m.example":                                 {unsaid, true},
	"mattermost://chat.example/hook1/town/more":                                       {unsaid, true},
	"mattermost://chat.example/hook1/a%2Fb":                                           {unsaid, true},
	"pushover://x:tok@usr/phone":                                                      {unsaid, true},
	"discord://tok@123?splitlines=yes":                                                {"a message is one text", true},
	"telegram://" + teleToken + "@telegram?chats=@a,@b":                               {"each chat is a channel of its own", true},
	"telegram://" + teleToken + "@telegram?chats=@a:b":                                {"that is no thread", true},
	"telegram://" + teleToken + "@telegram?chats=@a&parsemode=HTML":                   {"a message is a text", true},
	"matrix://:tok@m.example/":                                                        {"not all rooms are told that the account is in", true},
	"slack://token:" + slackHook + "@webhook":                                         {"there are no such tokens", true},
	"slack://hook:" + slackHook + "@webhook?color=good":                               {"a message is a text", true},
	"mattermost://chat.example/hook1?icon=smile":                                      {"it has the icon of the webhook", true},
	"pushover://x:tok@usr/?priority=1":                                                {"no message shouts", true},
	"teams://0c0ffee0-0000-4000-8000-000000000001@0c0ffee0-0000-4000-8000-000000000002/" + strings.Repeat("0", 32) + "/0c0ffee0-0000-4000-8000-000000000003/extra?host=acme.webhook.office.com": {"Microsoft ended these connectors", true},
}

// nobody takes these.
var nobody = []string{
	"smtp://h/?from=me@example.com", "smtp://h/?to=me@example.com", "smtp://h/?from=a@b.c&to=d@e.f&encryption=rot13", "smtp://h/?from=a@b.c&to=d@e.f&nothing=1", "smtp://h/?from=a@b.c&to=d@e.f&requirestarttls=maybe",
	"ntfy://h/", "ntfy://h/a?disabletls=maybe", "ntfy://h/a?disabletls=yes;x", "ntfy://h/a?priority=max;x", "gotify://h/" + gotifyToken + "?nothing=1", "slack://hook:A-B@webhook", "slack://webhook", "discord://123", "discord://tok@123/other",
	"slack://hook:" + slackHook + "@webhook/x/y", "telegram://" + teleToken + "@telegram?chats=@a;b", "telegram://" + teleToken + "@telegram", "telegram://telegram?chats=1", "matrix://:tok@h/?rooms=", "matrix://:tok@h/?nothing=1&rooms=!a:b", "mattermost://h", "mattermost://h/", "mattermost://h/t?nothing=1", "pushover://usr", "pushover://x:tok@usr/?nothing=1",
}

// TestShoutrrrReadsItAlike has shoutrrr's own code read what our documentation says of URLs of channels, and values that are easily misread.
func TestShoutrrrReadsItAlike(t *testing.T) {
	both := forms()
	on := slices.Sorted(maps.Keys(otherwise))
	answers := peertest.Ask[string, asked](t, peertest.Build(t, "peers", "./shoutrrr"), slices.Concat(both, on, nobody))
	kinds := map[string]int{}
	for i, text := range both {
		kind, _, _ := strings.Cut(text, ":")
		kinds[kind]++
		a := answers[i]
		if a.Error != "" {
			t.Errorf("%s: shoutrrr refuses it: %s", text, a.Error)
			continue
		}
		got, err := ours(t, text)
		if err != nil {
			t.Errorf("%s: we refuse it: %v", text, err)
			continue
		}
		if diff := cmp.Diff(theirs(t, kind, a), got); diff != "" {
			t.Errorf("%s: it is read otherwise (- by shoutrrr, + by us)\n%s", text, diff)
		}
	}
	for _, k := range Kinds() {
		if kinds[k.Scheme] == 0 && k.Scheme != "webhook" && k.Scheme != "teams" { // the form of which is our own
			t.Errorf("nothing is compared of %s", k.Scheme)
		}
	}
	for i, text := range on {
		kind, _, _ := strings.Cut(text, ":")
		a, want := answers[len(both)+i], otherwise[text]
		got, err := ours(t, text)
		if (err != nil) != want.refused {
			t.Errorf("%s (%s): %v", text, want.why, err)
		} else if err == nil && cmp.Equal(theirs(t, kind, a), got) || err != nil && a.Error != "" {
			t.Errorf("%s (%s): shoutrrr does the same now: %s", text, want.why, a.Error)
		}
	}
	for i, text := range nobody {
		if a := answers[len(both)+len(on)+i]; a.Error == "" {
			t.Errorf("%s: shoutrrr takes it: %+v", text, a)
		}
		if got, err := ours(t, text); err == nil {
			t.Errorf("%s: we take it: %v", text, got)
		}
	}
	t.Logf("%d URLs are read alike, %d otherwise on purpose, %d by nobody", len(both), len(on), len(nobody))
}
