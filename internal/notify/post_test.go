package notify

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/tiny-forge/docker-watcher/internal/store"
)

// network stands where the internet is.
type network struct {
	mu   sync.Mutex
	got  []string // METHOD URL | headers | body
	gave func(*http.Request) (*http.Response, error)
}

func (n *network) RoundTrip(r *http.Request) (*http.Response, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	body, _ := io.ReadAll(r.Body)
	n.got = append(n.got, r.Method+" "+r.URL.String()+" | "+r.Header.Get("Authorization")+r.Header.Get("X-Gotify-Key")+" | "+string(body))
	if n.gave != nil {
		return n.gave(r)
	}
	return answered(http.StatusOK, "ok"), nil
}

func answered(status int, body string) *http.Response {
	return &http.Response{StatusCode: status, Header: http.Header{}, Body: io.NopCloser(strings.NewReader(body))}
}

func sample() Letter {
	l, err := write(Templates{}, View{ID: "m1", Severity: "warn", Count: 1, Events: []EventView{{
		ID: 7, Time: dawn, Severity: "warn", Kind: "instance.stale", Message: "shop <dev> is stale", Project: "shop", Stage: "dev",
	}}})
	if err != nil {
		panic(err)
	}
	return l
}

func TestWhatEachKindSends(t *testing.T) {
	for url, want := range map[string][]string{
		"ntfy://ntfy.sh/alerts":                                               {`POST https://ntfy.sh/ |  | {`, `"topic":"alerts"`, `"priority":4`},
		"ntfy://:tk_1@10.0.0.7:8080/alerts?scheme=http":                       {`POST http://10.0.0.7:8080/ | Bearer tk_1 |`},
		"ntfy://h/t?scheme=HTTP":                                              {`POST http://h/ |`},
		"ntfy://anna:pw@ntfy.example/a/b":                                     {`POST https://ntfy.example/a | Basic `, `"topic":"b"`},
		"gotify://push.example/base/tok":                                      {`POST https://push.example/base/message | tok |`, `"priority":5`},
		"gotify://push.example:80/tok?disabletls=yes":                         {`POST http://push.example:80/message | tok |`},
		"slack://hook:A-B-C@webhook":                                          {`POST https://hooks.slack.com/services/A/B/C |`, `shop \u0026lt;dev\u0026gt; is stale`},
		"https://hooks.slack.com/services/A/B/C":                              {`POST https://hooks.slack.com/services/A/B/C |`, `"text":"*docker`},
		"slack://xoxb:1-2-3@ops":                                              {`POST https://slack.com/api/chat.postMessage | Bearer xoxb-1-2-3 |`, `"channel":"ops"`},
		"discord://tok@123":                                                   {`POST https://discord.com/api/webhooks/123/tok |`, `"allowed_mentions":{"parse":[]}`},
		"https://discord.com/api/webhooks/123/tok":                            {`POST https://discord.com/api/webhooks/123/tok |`, `"content"`},
		"telegram://1:AA@telegram?chats=@ops":                                 {`POST https://api.telegram.org/bot1:AA/sendMessage |`, `"chat_id":"@ops"`},
		"gotify://push.example/b%3Fc/tok":                                     {`POST https://push.example/b%3Fc/message | tok |`},
		"ntfy://h/b%23c/alerts?disabletls=Y":                                  {`POST http://h/b%23c |  | {`, `"topic":"alerts"`},
		"slack://A/B/C":                                                       {`POST https://hooks.slack.com/services/A/B/C |`},
		"slack://hook:A,B,C@general?botname=dw&thread_ts=1.2":                 {`POST https://hooks.slack.com/services/A/B/C |`, `"channel":"general"`, `"username":"dw"`, `"thread_ts":"1.2"`},
		"slack://xoxb-1-2-3@ops":                                              {`POST https://slack.com/api/chat.postMessage | Bearer xoxb-1-2-3 |`, `"channel":"ops"`},
		"discord://tok@123?thread_id=9":                                       {`POST https://discord.com/api/webhooks/123/tok?thread_id=9 |`},
		"https://discord.com/api/webhooks/123/tok?wait=true&thread_id=9":      {`POST https://discord.com/api/webhooks/123/tok?thread_id=9 |`},
		"telegram://1:AA@telegram?chats=-100:7&notification=no":               {`"chat_id":"-100"`, `"message_thread_id":7`, `"disable_notification":true`},
		"pushover://x:tok@usr?devices=a,b":                                    {`device=a%2Cb`, `user=usr`},
		"matrix://:syt@m.example/?rooms=!a:m.example":                         {`PUT https://m.example/_matrix/client/v3/rooms/%21a:m.example/send/m.room.message/m1-0 | Bearer syt |`},
		"teams://x.logic.azure.com:443/workflows/1/run?sig=S":                 {`POST https://x.logic.azure.com:443/workflows/1/run?sig=S |`, `AdaptiveCard`},
		"mattermost://bot@chat.example/hook1/town":                            {`POST https://chat.example/hooks/hook1 |`, `"username":"bot"`, `"channel":"town"`},
		"googlechat://chat.googleapis.com/v1/spaces/S/messages?key=K&token=T": {`POST https://chat.googleapis.com/v1/spaces/S/messages?key=K&token=T |`, `"text"`},
		"pushover://shoutrrr:tok@usr/":                                        {`POST https://api.pushover.net/1/messages.json |`, `token=tok`, `user=usr`},
		"https://hook.example/in?x=1":                                         {`POST https://hook.example/in?x=1 |`, `"version":1`, `"id":"m1"`, `"project":"shop"`},
	} {
		net := &network{}
		p := newPost(Options{Transport: net})
		if _, failure := p.send(t.Context(), store.ChannelAddress{URL: url}, sample()); failure != nil {
			t.Errorf("%s: %+v", url, failure)
			continue
		}
		got := strings.Join(net.got, "\n")
		for _, part := range append(want, "stale") {
			if !strings.Contains(got, part) && !strings.Contains(got, strings.ReplaceAll(part, " ", "+")) {
				t.Errorf("%s sent\n%s\nwithout %s", url, got, part)
			}
		}
	}
}

func TestWhatIsNoChannel(t *testing.T) {
	for _, url := range []string{
		"", "shop", "ftp://host/x", "webhook://host/x", "https://", "https://anna:pw@host/x", "ntfy://ntfy.sh", "ntfy:///alerts", "gotify://host/",
		"slack://webhook", "slack://hook:A-B@webhook", "slack://token:A-B-C@webhook", "discord://123", "telegram://1:A@telegram", "telegram://telegram?chats=1", "telegram://1:A@telegram?chats=1,2",
		"matrix://anna:pw@host/?rooms=!a:b", "matrix://:t@host/", "pushover://usr", "smtp://host/?from=a@b.c", "smtp://host/?to=a@b.c",
		"smtp://host/?from=me&to=a@b.c", "smtp://host/?from=a@b.c&to=a@b.c&encryption=rot13", "smtp:///?from=a@b.c&to=a@b.c",
		"slack://A/B", "slack://xoxb-1", "slack://A-B@webhook",
		"https://host/a b", "https://host/a\nb", "https://host/" + strings.Repeat("x", MaxURL), "javascript:alert(1)", "file:///etc/passwd",
	} {
		if kind, _, err := Parse(url); err == nil {
			t.Errorf("%q is taken for %s", url, kind)
		}
	}
}

func TestWhatIsPassedOverIsRefused(t *testing.T) {
	for url, refused := range map[string]bool{
		"https://hook.example/in?priority=1": false, "teams://h/w?title=x": false, "googlechat://h/v1?color=x": false, "ntfy://h/a": false, "ntfy://h/a?DisableTLS=yes": false,
		"ntfy://h/a?priority=max": true, "ntfy://h/a?disabletls=maybe": true, "gotify://h/t?" + canary + "=1": true, "smtp://h/?from=a@b.c&to=d@e.f&skiptlsverify=yes": true,
		"smtp://h/?from=a@b.c&to=d@e.f&usehtml=no": false, "smtp://h/?from=a@b.c&to=d@e.f&usehtml=no&usehtml=yes": true, "shop": true,
		"smtp://h/?from=a@b.c&to=d@e.f&fromname=a%3Bb%25": false, "https://hook.example/in?a;b=%": false, "teams://h/w?sig=a;b%": false, "googlechat://h/v1?key=a;b": false,
		"ntfy://h/a#" + canary: true, "matrix://:tok@h/?rooms=!a:h,#b:h": true, "https://hook.example/in#a": false,
	} {
		if err := Unread(url); (err != nil) != refused || err != nil && strings.Contains(err.Error(), canary) {
			t.Errorf("%s: %v", url, err)
		}
	}
	for _, url := range []string{
		"smtp://h/?from=a@b.c&to=d@e.f&requirestarttls=yes;clienthost=x", "smtp://h/?from=a@b.c&to=d@e.f&encryption=implicit%", "ntfy://h/t?priority=max;x", "ntfy://h/t?disabletls=yes;" + canary,
		"gotify://h/t?disabletls=yes%zz", "discord://tok@123?thread_id=1;x", "https://discord.com/api/webhooks/123/tok?wait=true&thread_id=9;x", "slack://hook:A-B-C@webhook?thread_ts=1.2;x", "slack://A/B/C?botname=%",
		"telegram://1:AA@telegram?chats=@a&notification=no;x", "matrix://:tok@h/?rooms=!a:h&rooms=!b;c:h", "mattermost://h/t?disabletls=yes;x", "pushover://x:tok@usr/?devices=phone;desk",
	} {
		if err := Unread(url); err == nil || !strings.Contains(err.Error(), "%25 or %3B") || strings.Contains(err.Error(), canary) {
			t.Errorf("%s: %v", url, err)
		}
	}
}

// TestWhatStandsBehindTheHost is read, or refused with what to write instead. A / at the end is nothing.
func TestWhatStandsBehindTheHost(t *testing.T) {
	for url, instead := range map[string]string{
		"smtp://h/" + canary + "?from=a@b.c&to=d@e.f": "/?from=", "smtp://h:25/a/b?from=a@b.c&to=d@e.f": "/?from=", "smtp://h/%20?from=a@b.c&to=d@e.f": "/?from=", "smtp://h//?from=a@b.c&to=d@e.f": "",
		"telegram://1:AA@telegram/" + canary + "?chats=@a": "?chats=", "telegram://1:AA@telegram/?chats=@a": "",
		"matrix://:tok@h/" + canary + "/?rooms=!a:h": "?rooms=", "matrix://:tok@h/?rooms=!a:h": "", "matrix://:tok@h?rooms=!a/b:h": "",
		"mattermost://h/" + canary + "/hooks/t": "/hooks/", "mattermost://h/t/a%2Fb": "/TOKEN/CHANNEL", "mattermost://h/t/town/": "", "mattermost://h/t": "",
		"pushover://x:tok@usr/" + canary: "?devices=", "pushover://x:tok@usr/?devices=a": "", "discord://tok@123/" + canary: "discord://TOKEN@ID", "slack://hook:A-B-C@webhook/" + canary: "slack://hook:A-B-C@webhook",
		"ntfy://h/a/b/c/d": "", "gotify://h/a/b/c/d": "", "googlechat://h/a/b/c/d": "", "teams://h/a/b/c/d": "", "https://h/a/b/c/d": "",
	} {
		err := Unread(url)
		if (err != nil) != (instead != "") || err != nil && (!strings.Contains(err.Error(), instead) || strings.Contains(err.Error(), canary)) {
			t.Errorf("%s: %v", url, err)
		}
		if _, _, err := Parse(url); err != nil {
			t.Errorf("%s cannot be sent to any more: %v", url, err)
		}
	}
}

// TestWhatStandsIsSentAsBefore: what is refused when it is written is no reason to silence a channel that has it already.
func TestWhatStandsIsSentAsBefore(t *testing.T) {
	for url, want := range map[string]string{
		"discord://tok@123/raw":                  `POST https://discord.com/api/webhooks/123/tok |  | {`,
		"discord://tok@123?thread_id=1;x":        `POST https://discord.com/api/webhooks/123/tok |  | {`,
		"slack://xoxb:1-2-3@C001/x":              `POST https://slack.com/api/chat.postMessage | Bearer xoxb-1-2-3 | {"channel":"C001"`,
		"slack://hook:A-B-C@webhook/x/y":         `POST https://hooks.slack.com/services/A/B/C |  | {"text"`,
		"telegram://1:AA@telegram?chats=@a:b":    `POST https://api.telegram.org/bot1:AA/sendMessage |  | {"chat_id":"@a:b","disable_web_page_preview":true,"text"`,
		"ntfy://h/t?priority=max&disabletls=yes": `POST http://h/ |`,
		"ntfy://h/t#x":                           `POST https://h/ |`,
		"telegram://1:AA@telegram/ops?chats=@a":  `POST https://api.telegram.org/bot1:AA/sendMessage |  | {"chat_id":"@a"`,
		"matrix://:tok@h/base?rooms=!a:h":        `PUT https://h/_matrix/client/v3/rooms/%21a:h/send/`,
		"mattermost://h/t/town/x":                `POST https://h/hooks/t |  | {"channel":"town"`,
		"pushover://x:tok@usr/phone":             `POST https://api.pushover.net/1/messages.json |  | message=`,
	} {
		net := &network{}
		if _, failure := newPost(Options{Transport: net}).send(t.Context(), store.ChannelAddress{URL: url}, sample()); failure != nil || len(net.got) != 1 || !strings.HasPrefix(net.got[0], want) {
			t.Errorf("%s: %+v, %q", url, failure, net.got)
		}
		if err := Unread(url); err == nil {
			t.Errorf("%s can be written", url)
		}
	}
}

// TestABlankBesideAnAddress is none of it; one within was a +.
func TestABlankBesideAnAddress(t *testing.T) {
	for text, want := range map[string]string{
		"me@example.com%20": "me@example.com", "%20me@example.com": "me@example.com", "me+dw@example.com%20": "me+dw@example.com", "me@example.com+": "me@example.com",
		"me@example.com%20(a%20b)": "me@example.com (a b)", "A%20B%20<me@example.com>%20": "A B <me@example.com>",
		"+491711234567@sms.example": "+491711234567@sms.example", "%2B49171@sms.example": "+49171@sms.example", "+49171%40sms.example": "+49171@sms.example",
		"%2049171@sms.example": "49171@sms.example", "+me@example.com": "me@example.com", "+49171@sms.example+": "+49171@sms.example", "me+49171@sms.example": "me+49171@sms.example",
	} {
		a, err := parse("smtp://h/?from=" + text + "&to=" + text + ",you@example.com%2C" + text)
		if err != nil {
			t.Errorf("%s: %v", text, err)
		} else if to := recipients(a.url); sender(a.url) != want || len(to) != 3 || to[0] != want || to[2] != want {
			t.Errorf("%s: %q to %q", text, sender(a.url), to)
		}
	}
}

// canary stands in every place of a URL where something secret may stand.
const canary = "c4n4ry-t0ken-xyz"

// Nothing that anybody can read may hold a part of a URL that is secret, whatever a target or a library says of it.
func TestNoSecretGetsOut(t *testing.T) {
	for _, url := range []string{
		"https://hook.example/" + canary, "https://hook.example/in?key=" + canary, "ntfy://anna:" + canary + "@ntfy.example/alerts", "ntfy://ntfy.sh/" + canary,
		"gotify://push.example/" + canary, "slack://hook:A1b2-" + strings.ReplaceAll(canary, "-", "") + "-C3d4@webhook", "discord://" + canary + "@123456",
		"telegram://123:" + canary + "@telegram?chats=42", "matrix://:" + canary + "@m.example/?rooms=!a:b", "teams://x.example/w?sig=" + canary,
		"mattermost://chat.example/" + canary, "pushover://shoutrrr:" + canary + "@usr", "smtp://anna:" + canary + "@mail.example:25/?from=a@b.c&to=d@e.f",
		"https://hook.example/%63anary%2F" + canary, "matrix://:" + canary + "@m.example/?rooms=ops:b", "slack://bot@A1b2/" + strings.ReplaceAll(canary, "-", "") + "/C3d4",
		"slack://xoxb-A1b2-" + strings.ReplaceAll(canary, "-", "") + "-C3d4@ops", "https://discord.com/api/webhooks/123456/" + canary + "?thread_id=7",
	} {
		echo := &network{gave: func(r *http.Request) (*http.Response, error) {
			body := fmt.Sprintf("no such %s of %s with %v", r.URL, r.URL.Path, r.Header)
			return answered(http.StatusForbidden, body), nil
		}}
		broken := &network{gave: func(r *http.Request) (*http.Response, error) {
			return nil, fmt.Errorf("dial %s: %w", r.URL, errors.New("no route to "+r.URL.String()))
		}}
		for _, net := range []*network{echo, broken} {
			b := newBed(t, func(o *Options) { o.Transport = net })
			b.n.post.dialer = &noNet
			c := b.channel("ops", url)
			b.rule("all", []store.Channel{c})
			b.happens(stale(1)...)
			b.pass(dawn)
			test := b.n.Try(t.Context(), store.ChannelAddress{URL: url, Secret: canary}, Templates{})
			if test.Error == "" {
				t.Fatalf("%s was to fail", url)
			}
			evs, err := b.db.EventsAfter(t.Context(), 0, 100)
			b.must(err)
			now, err := b.db.Channel(t.Context(), c.ID)
			b.must(err)
			said := fmt.Sprintf("%+v %+v %+v %+v %s", test, evs, now, b.outbox(""), b.logs)
			for _, secret := range []string{canary, strings.ReplaceAll(canary, "-", "")} {
				if strings.Contains(said, secret) {
					t.Errorf("%s: it got out: %s", url, said)
				}
			}
			if now.LastError == "" && len(b.outbox(store.MessageDead)) == 0 {
				t.Errorf("%s: nothing is told of the failure", url)
			}
		}
	}
}

// TestNoSecretIsCutInTwo: what a target says is cut, and of a secret that stands where it is cut nothing may be left either.
func TestNoSecretIsCutInTwo(t *testing.T) {
	for before := range shownAnswer + 1 {
		for _, status := range []int{http.StatusOK, http.StatusForbidden} {
			for _, begin := range []string{"", `{"ok": false, "error": "`} {
				net := &network{gave: func(*http.Request) (*http.Response, error) {
					return answered(status, begin+strings.Repeat("-", max(before-len(begin), 0))+canary+"!"), nil
				}}
				answer, failure := newPost(Options{Transport: net}).send(t.Context(), store.ChannelAddress{URL: "https://hook.example/" + canary}, sample())
				if said := fmt.Sprintf("%s %+v", answer, failure); strings.Contains(said, canary[:3]) {
					t.Fatalf("%d before it: %s", before, said)
				}
			}
		}
	}
	for n := range len(canary) + 1 { // where the answer is read no further
		net := &network{gave: func(*http.Request) (*http.Response, error) {
			return answered(http.StatusForbidden, "refused"+strings.Repeat("\n", mostAnswer-len("refused")-n)+canary), nil
		}}
		_, failure := newPost(Options{Transport: net}).send(t.Context(), store.ChannelAddress{URL: "https://hook.example/" + canary}, sample())
		if failure == nil || !strings.Contains(failure.Text, "refused") || strings.Contains(failure.Text, canary[:3]) {
			t.Fatalf("%d of it are read: %+v", n, failure)
		}
	}
}

// noNet dials nothing.
var noNet = net.Dialer{ControlContext: nil, Deadline: time.Unix(1, 0)}

func TestWhatMayNotBeDialled(t *testing.T) {
	at := newTarget(t)
	asked := 0
	refuse := func(_ context.Context, to netip.AddrPort) error {
		asked++
		if to.Addr().IsLoopback() || to.Addr().IsLinkLocalUnicast() {
			return errors.New(to.String() + " is refused")
		}
		return nil
	}
	p := newPost(Options{Refuse: refuse})
	for _, url := range []string{
		at.URL, strings.Replace(at.URL, "127.0.0.1", "localhost", 1), "http://169.254.169.254/latest", "http://[fe80::1]/", "http://[::ffff:127.0.0.1]:1/",
		"smtp://127.0.0.1:1/?from=a@b.c&to=a@b.c",
	} {
		if _, failure := p.send(t.Context(), store.ChannelAddress{URL: url}, sample()); failure == nil || !strings.Contains(failure.Text, "refused") || failure.Permanent {
			t.Errorf("%s: %+v", url, failure)
		}
	}
	if len(at.all) != 0 || asked < 6 {
		t.Errorf("%d requests came through, %d addresses were looked at", len(at.all), asked)
	}
}

func TestRedirectsAreNotFollowed(t *testing.T) {
	elsewhere, at := newTarget(t), newTarget(t)
	at.does(func(w http.ResponseWriter, _ Payload) {
		w.Header().Set("Location", elsewhere.URL)
		w.WriteHeader(http.StatusTemporaryRedirect)
	})
	_, failure := newPost(Options{}).send(t.Context(), store.ChannelAddress{URL: at.URL}, sample())
	if failure == nil || !strings.Contains(failure.Text, "307") || len(elsewhere.all) != 0 {
		t.Errorf("%+v, %d", failure, len(elsewhere.all))
	}
}

func TestWebhookIsSigned(t *testing.T) {
	at := newTarget(t)
	if _, failure := newPost(Options{Version: "9"}).send(t.Context(), store.ChannelAddress{URL: at.URL + "/in", Secret: "s3cret"}, sample()); failure != nil {
		t.Fatal(failure)
	}
	h := at.got()[0]
	stamp := h.header.Get(HeaderTimestamp)
	if h.header.Get(HeaderSignature) != Sign("s3cret", stamp, h.body) || h.header.Get(HeaderSignature) == Sign("other", stamp, h.body) ||
		h.header.Get("Idempotency-Key") != "m1" || h.header.Get("User-Agent") != "docker-watcher/9" || h.path != "/in" {
		t.Errorf("%+v", h.header)
	}
	// The figures of docs/notifications.md.
	if got := Sign("secret", "1767225600", []byte(`{"version":1}`)); got != "sha256=5daf639bdec87ba17a08d46e4aea4ab04024b30a518327578ec858741bcfbcd6" {
		t.Error(got)
	}
	if _, failure := newPost(Options{}).send(t.Context(), store.ChannelAddress{URL: at.URL}, sample()); failure != nil || at.got()[1].header.Get(HeaderSignature) != "" {
		t.Error("it is signed without a secret")
	}
}

func TestFailures(t *testing.T) {
	for status, want := range map[int]Failure{
		400: {Permanent: true}, 413: {Permanent: true}, 422: {Permanent: true},
		401: {}, 404: {}, 408: {}, 429: {After: 90 * time.Second}, 500: {}, 302: {},
	} {
		net := &network{gave: func(*http.Request) (*http.Response, error) {
			resp := answered(status, "no\x1b[31m\n\n thanks")
			if status == 429 {
				resp.Header.Set("Retry-After", "90")
			}
			return resp, nil
		}}
		_, f := newPost(Options{Transport: net}).send(t.Context(), store.ChannelAddress{URL: "https://hook.example/in"}, sample())
		if f == nil || f.Permanent != want.Permanent || f.After != want.After || !strings.HasSuffix(f.Text, ": no [31m thanks") {
			t.Errorf("%d: %+v", status, f)
		}
	}
	net := &network{gave: func(*http.Request) (*http.Response, error) {
		return answered(200, `{"ok": false, "error": "not_in_channel"}`), nil
	}}
	if _, f := newPost(Options{Transport: net}).send(t.Context(), store.ChannelAddress{URL: "slack://xoxb:1-2-3@ops"}, sample()); f == nil || !strings.Contains(f.Text, "not_in_channel") {
		t.Errorf("%+v", f)
	}
	if retryAfter("99999999", dawn) != time.Hour || retryAfter("-3", dawn) != 0 || retryAfter("soon", dawn) != 0 ||
		retryAfter(dawn.Add(time.Minute).Format(http.TimeFormat), dawn) != time.Minute {
		t.Error("Retry-After")
	}
}

// mailServer is a small SMTP server at the other end of a real connection.
type mailServer struct {
	addr   string
	refuse string // the answer to the end of the message
	mu     sync.Mutex
	said   []string
}

func newMailServer(t *testing.T) *mailServer {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := &mailServer{addr: l.Addr().String()}
	var under sync.WaitGroup
	under.Go(func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			under.Go(func() { s.talk(conn) })
		}
	})
	t.Cleanup(func() { _ = l.Close(); under.Wait() })
	return s
}

func (s *mailServer) talk(conn net.Conn) {
	defer conn.Close()
	_ = conn.SetDeadline(time.Now().Add(time.Minute)) // who does not leave by then is waited for in vain
	say := func(text string) { _, _ = io.WriteString(conn, text+"\r\n") }
	say("220 test")
	in, data := bufio.NewScanner(conn), false
	for in.Scan() {
		line := in.Text()
		s.mu.Lock()
		s.said = append(s.said, line)
		refuse := s.refuse
		s.mu.Unlock()
		verb, _, _ := strings.Cut(strings.ToUpper(line), " ")
		switch {
		case data && line == ".":
			data = false
			if refuse != "" {
				say(refuse)
			} else {
				say("250 taken")
			}
		case data:
		case verb == "EHLO":
			say("250-test\r\n250 AUTH PLAIN")
		case verb == "AUTH":
			say("235 welcome")
		case verb == "DATA":
			data = true
			say("354 go on")
		case verb == "QUIT":
			say("221 bye")
			return
		default:
			say("250 fine")
		}
	}
}

func (s *mailServer) heard() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return strings.Join(s.said, "\n")
}

func TestMail(t *testing.T) {
	server := newMailServer(t)
	b := newBed(t)
	b.rule("all", []store.Channel{b.channel("mail", "smtp://anna:pw%2F1@"+server.addr+"/?from=watcher+dw@example.com&to=a@example.com,b%2B1@example.com&fromname=The%20watcher&clienthost=watcher.example")})
	b.happens(stale(40)...)
	b.pass(dawn)
	b.pass(dawn.Add(time.Hour))
	heard := server.heard()
	for _, part := range []string{
		"EHLO watcher.example", "MAIL FROM:<watcher+dw@example.com>", "RCPT TO:<a@example.com>", "RCPT TO:<b+1@example.com>", `From: "The watcher" <watcher+dw@example.com>`, "Subject: docker-watcher: 40 events, the worst is warn",
		"To: <a@example.com>, <b+1@example.com>", "Message-ID: <" + b.outbox(store.MessageSent)[0].ID + "@example.com>", "Auto-Submitted: auto-generated", "shop-dev is stale",
	} {
		if !strings.Contains(heard, part) {
			t.Errorf("without %s:\n%s", part, heard)
		}
	}
	if strings.Count(heard, "DATA") != 1 {
		t.Error("more than one mail")
	}
	server.mu.Lock()
	server.refuse = "451 later"
	server.mu.Unlock()
	b.happens(stale(1)...)
	b.pass(dawn.Add(2 * time.Hour))
	if m := b.outbox(store.MessagePending); len(m) != 1 || !strings.Contains(m[0].Error, "451") {
		t.Errorf("%+v", m)
	}
	server.mu.Lock()
	server.refuse = "552 too large"
	server.mu.Unlock()
	b.pass(dawn.Add(3 * time.Hour))
	if m := b.outbox(store.MessageDead); len(m) != 1 {
		t.Errorf("%+v", b.outbox(""))
	}
}

func TestMailWantsTLS(t *testing.T) {
	server := newMailServer(t)
	p := newPost(Options{})
	for _, how := range []string{"encryption=explicit", "requirestarttls=yes", "encryption=None&RequireStartTLS=1"} {
		_, f := p.send(t.Context(), store.ChannelAddress{URL: "smtp://" + server.addr + "/?from=a@b.c&to=d@e.f&" + how}, sample())
		if f == nil || !strings.Contains(f.Text, "STARTTLS") || strings.Contains(server.heard(), "DATA") {
			t.Errorf("%s: %+v", how, f)
		}
	}
}
