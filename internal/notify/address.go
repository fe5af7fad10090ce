package notify

import (
	"errors"
	"net/url"
	"slices"
	"strings"
)

// Kind is one kind of channel: what its URL looks like.
type Kind struct {
	Scheme string
	Title  string
	URL    string // how it is written
	Hint   string
	check  func(u *url.URL) error
	open   bool // its host is no secret
}

// Kinds are all of them, in the order in which they are offered. The forms are those of shoutrrr, where that has one.
func Kinds() []Kind {
	return []Kind{
		{"webhook", "Webhook", "https://HOST/PATH", "JSON, signed with a secret if there is one", checkHost, true},
		{"smtp", "Mail", "smtp://USER:PASSWORD@HOST:587/?from=me@example.com&to=you@example.com", "encryption=auto, implicit, explicit or none; with several to, commas between them", checkMail, true},
		{"ntfy", "ntfy", "ntfy://HOST/TOPIC", "with a token: ntfy://:TOKEN@HOST/TOPIC; without TLS: ?disabletls=yes", checkPath(1), true},
		{"gotify", "Gotify", "gotify://HOST/TOKEN", "the token of an application; without TLS: ?disabletls=yes", checkPath(1), true},
		{"slack", "Slack", "slack://hook:A-B-C@webhook", "or the URL of the incoming webhook as Slack shows it, or slack://xoxb:1-2-3@CHANNEL", checkSlack, false},
		{"discord", "Discord", "discord://TOKEN@ID", "or the URL of the webhook as Discord shows it; into a thread: ?thread_id=ID", checkDiscord, false},
		{"telegram", "Telegram", "telegram://TOKEN@telegram?chats=@CHANNEL", "the token of a bot, and the one chat that it is to write to, by name or number, with :THREAD behind it where it has threads", checkTelegram, false},
		{"matrix", "Matrix", "matrix://:ACCESS_TOKEN@HOST/?rooms=!ID:HOST", "rooms by id or alias; without TLS: ?disableTLS=yes", checkMatrix, true},
		{"teams", "Microsoft Teams", "teams://HOST/PATH?QUERY", "the URL of the workflow \"when a Teams webhook request is received\", with teams in the place of https", checkHost, true},
		{"mattermost", "Mattermost", "mattermost://USER@HOST/TOKEN/CHANNEL", "user and channel may be left out; without TLS: ?disabletls=yes", checkPath(1), true},
		{"googlechat", "Google Chat", "googlechat://chat.googleapis.com/v1/spaces/SPACE/messages?key=KEY&token=TOKEN", "the URL of the webhook, with googlechat in the place of https", checkPath(1), true},
		{"pushover", "Pushover", "pushover://shoutrrr:API_TOKEN@USER_KEY/", "to some devices only: ?devices=A,B", checkPushover, false},
	}
}

// MaxURL is how long the URL of a channel may be, in bytes.
const MaxURL = 4 << 10

// address is a URL of a channel, read.
type address struct {
	kind    string
	url     *url.URL
	written *url.URL // before ours was made of another form
}

var errNoKind = errors.New("there is no such kind of channel: the URL must begin with https://, smtp://, ntfy://, gotify://, slack://, discord://, telegram://, matrix://, teams://, mattermost://, googlechat:// or pushover://")

// Parse checks the URL of a channel, and tells its kind and what may be shown of it. No error repeats any of it.
func Parse(text string) (kind, shown string, err error) {
	a, err := parse(text)
	if err != nil {
		return "", "", err
	}
	return a.kind, a.shown(), nil
}

func parse(text string) (address, error) {
	if len(text) > MaxURL || strings.ContainsAny(text, "\r\n\x00 ") {
		return address{}, errors.New("it is no URL: it is too long, or there are blanks in it")
	}
	written, err := url.Parse(text)
	if err != nil {
		return address{}, errors.New("it is no URL: what has a special meaning in it (: / ? # @ %) must be written as %3A %2F %3F %23 %40 %25 in passwords")
	}
	u := known(written)
	kind := u.Scheme
	if kind == "http" || kind == "https" {
		kind = "webhook"
	}
	kinds := Kinds()
	i := slices.IndexFunc(kinds, func(k Kind) bool { return k.Scheme == kind })
	if i < 0 || u.Scheme == "webhook" {
		return address{}, errNoKind
	}
	if err := kinds[i].check(u); err != nil {
		return address{}, err
	}
	return address{kind: kind, url: u, written: written}, nil
}

// known turns the URLs that services show, and the other ways to write ours, into ours.
func known(u *url.URL) *url.URL {
	if u.Scheme == "slack" {
		return knownSlack(u)
	}
	if u.Scheme != "https" {
		return u
	}
	parts := segments(u)
	switch {
	case u.Host == "hooks.slack.com" && len(parts) == 4 && parts[0] == "services":
		return &url.URL{Scheme: "slack", User: url.UserPassword("hook", strings.Join(parts[1:], "-")), Host: "webhook"}
	case (u.Host == "discord.com" || u.Host == "discordapp.com") && len(parts) == 4 && parts[1] == "webhooks":
		to := &url.URL{Scheme: "discord", User: url.User(parts[3]), Host: parts[2]}
		if thread := param(u, "thread_id"); thread != "" {
			to.RawQuery = url.Values{"thread_id": {thread}}.Encode()
		}
		return to
	}
	return u
}

// knownSlack reads the ways to write a token: with its kind before a - or without one, with / or commas between its parts, and, as it once was,
// in the place of host and path, with the name of the bot before it.
func knownSlack(u *url.URL) *url.URL {
	to, query := *u, u.Query()
	token, isToken := u.User.Password()
	kind := u.User.Username()
	if parts := segments(u); len(parts) > 0 && !isToken {
		if bot := u.User.Username(); bot != "" {
			query.Set("botname", bot)
		}
		kind, token, to.Host, to.Path, to.RawPath = "hook", u.Hostname()+"-"+strings.Join(parts, "-"), "webhook", "", ""
	} else if !isToken {
		kind, token = "hook", u.User.Username()
		if before, rest, found := strings.Cut(token, "-"); found && (before == "hook" || slackAPI(before)) {
			kind, token = before, rest
		}
	}
	to.User, to.RawQuery = url.UserPassword(kind, strings.ReplaceAll(token, ",", "-")), query.Encode()
	return &to
}

// slackAPI tells the kinds of tokens that are used at Slack's API.
func slackAPI(kind string) bool { return len(kind) == 4 && strings.HasPrefix(kind, "xox") }

func segments(u *url.URL) []string {
	return strings.FieldsFunc(u.Path, func(r rune) bool { return r == '/' })
}

// shown is the URL without what is secret.
func (a address) shown() string {
	i := slices.IndexFunc(Kinds(), func(k Kind) bool { return k.Scheme == a.kind })
	switch {
	case a.kind == "smtp":
		return "smtp://" + a.url.Host + " to " + strings.Join(recipients(a.url), ", ")
	case Kinds()[i].open:
		return a.url.Scheme + "://" + a.url.Host + "/***"
	}
	return a.url.Scheme + "://***"
}

// secrets are the parts of the URL that no text may hold.
func (a address) secrets() (parts []string) {
	add := func(texts ...string) {
		for _, t := range texts {
			if len(t) >= 3 {
				parts = append(parts, t, url.PathEscape(t), url.QueryEscape(t))
			}
		}
	}
	add(a.url.String())
	if a.url.User != nil {
		password, _ := a.url.User.Password()
		add(password)
		if a.kind != "smtp" {
			add(a.url.User.Username())
		}
		add(strings.Split(password, "-")...)
	}
	if a.kind == "smtp" {
		return parts
	}
	add(a.url.RawQuery, strings.TrimPrefix(a.url.Path, "/"))
	add(segments(a.url)...)
	for _, values := range a.url.Query() {
		for _, list := range values {
			add(list)
			add(strings.Split(list, ",")...)
		}
	}
	if a.kind == "discord" || a.kind == "pushover" {
		add(a.url.Host)
	}
	return parts
}

func checkHost(u *url.URL) error {
	if u.Hostname() == "" {
		return errors.New("the host is missing")
	}
	if u.User != nil && (u.Scheme == "http" || u.Scheme == "https" || u.Scheme == "teams") {
		return errors.New("a user and a password are not possible here: the secret signs")
	}
	return nil
}

func checkPath(least int) func(*url.URL) error {
	return func(u *url.URL) error {
		if u.Hostname() == "" || len(segments(u)) < least {
			return errors.New("the host, or what stands behind it, is missing")
		}
		return nil
	}
}

func checkSlack(u *url.URL) error {
	token, _ := u.User.Password()
	switch kind := u.User.Username(); {
	case token == "":
		return errors.New("the token is missing: slack://hook:A-B-C@webhook")
	case kind == "hook" && len(strings.Split(token, "-")) != 3:
		return errors.New("the token of a webhook has three parts: slack://hook:A-B-C@webhook")
	case kind != "hook" && !slackAPI(kind):
		return errors.New("the token is of no known kind, it begins with hook, xoxb or xoxp: slack://hook:A-B-C@webhook")
	case u.Hostname() == "":
		return errors.New("the channel is missing: slack://xoxb:1-2-3@CHANNEL")
	}
	return nil
}

func checkDiscord(u *url.URL) error {
	if u.User.Username() == "" || u.Hostname() == "" {
		return errors.New("token or id is missing: discord://TOKEN@ID")
	}
	return nil
}

func checkTelegram(u *url.URL) error {
	// It cannot be told that a message was sent to it before: where one of several chats fails, the others would get it each time.
	if u.User == nil || len(chats(u)) != 1 {
		return errors.New("a token and one chat are expected, and a channel for each chat: telegram://TOKEN@telegram?chats=@CHANNEL")
	}
	return nil
}

func checkMatrix(u *url.URL) error {
	if token, _ := u.User.Password(); token == "" || u.Hostname() == "" || len(rooms(u)) == 0 {
		return errors.New("access token, host or rooms are missing: matrix://:ACCESS_TOKEN@HOST/?rooms=!ID:HOST")
	}
	if u.User.Username() != "" {
		return errors.New("an access token is expected in the place of user and password: matrix://:ACCESS_TOKEN@HOST/")
	}
	return nil
}

func checkPushover(u *url.URL) error {
	if token, _ := u.User.Password(); token == "" || u.Hostname() == "" {
		return errors.New("token or user key is missing: pushover://shoutrrr:API_TOKEN@USER_KEY/")
	}
	return nil
}

// chats are those of Telegram, each a chat and the thread in it, if any.
func chats(u *url.URL) []string { return listed(u, "chats", "channels") }

// rooms are those of Matrix, by id or alias.
func rooms(u *url.URL) []string {
	all := listed(u, "rooms", "room")
	for i, room := range all {
		if room[0] != '!' && room[0] != '#' {
			all[i] = "#" + room
		}
	}
	return all
}

// recipients are those of a mail.
func recipients(u *url.URL) []string {
	all := listed(numbered(u), "to", "toaddresses")
	for i, text := range all {
		all[i] = plused(text)
	}
	return all
}

// numbered is a URL whose + before a telephone number, by which some gateways are written to, is one; it would be a blank beside an address.
func numbered(u *url.URL) *url.URL {
	to, parts := *u, strings.Split(u.RawQuery, "+")
	to.RawQuery = parts[0]
	for i, after := range parts[1:] {
		plus := "+"
		if beginsNumber(parts[i], after) {
			plus = "%2B"
		}
		to.RawQuery += plus + after
	}
	return &to
}

// beginsNumber tells whether an address of nothing but digits is between two parts of a query.
func beginsNumber(before, after string) bool {
	before, rest := strings.ToUpper(before), strings.TrimLeft(after, "0123456789")
	begins := strings.HasSuffix(before, "=") || strings.HasSuffix(before, ",") || strings.HasSuffix(before, "%2C")
	return begins && len(rest) < len(after) && (strings.HasPrefix(rest, "@") || strings.HasPrefix(rest, "%40"))
}

// plused is an address as it was meant: in a query a + is a blank, which no address has but beside it.
func plused(text string) string {
	text = strings.TrimSpace(text)
	if strings.ContainsAny(text, "<\"(") {
		return text // a name is before it, or behind it
	}
	return strings.ReplaceAll(text, " ", "+")
}
