package notify

import (
	"errors"
	"fmt"
	"maps"
	"net/url"
	"slices"
	"strconv"
	"strings"
)

// parameters are what may stand behind the ? of the URL of a kind, in lower case, as shoutrrr reads it, with the values that are possible, where
// that is not any. A kind without has parameters of its target's own.
func parameters(kind string) map[string][]string {
	switch kind {
	case "smtp":
		return map[string][]string{
			"from": nil, "fromaddress": nil, "fromname": nil, "to": nil, "toaddresses": nil, "encryption": nil, "requirestarttls": either, "clienthost": nil,
			"auth": {"unknown", "plain"}, "usestarttls": yes, "starttls": yes, "usehtml": no, "skiptlsverify": no,
		}
	case "ntfy":
		return map[string][]string{"scheme": {"http", "https"}, "disabletls": either, "cache": yes, "firebase": yes, "disabletlsverification": no}
	case "gotify":
		return map[string][]string{"disabletls": either, "useheader": either, "insecureskipverify": no}
	case "slack":
		return map[string][]string{"botname": nil, "username": nil, "thread_ts": nil}
	case "discord":
		return map[string][]string{"thread_id": nil, "splitlines": no, "json": no}
	case "telegram":
		return map[string][]string{"chats": nil, "channels": nil, "notification": either, "preview": no, "parsemode": {"none"}}
	case "matrix":
		return map[string][]string{"rooms": nil, "room": nil, "disabletls": either}
	case "mattermost":
		return map[string][]string{"disabletls": either}
	case "pushover":
		return map[string][]string{"devices": nil, "priority": {"0"}}
	}
	return nil
}

// How yes and no are written.
var (
	yes    = []string{"yes", "true", "1", "y"}
	no     = []string{"no", "false", "0", "n"}
	either = slices.Concat(yes, no)
)

// Unread tells of what stands in the URL of a channel and would be passed over: rather than say less than was asked for, it is refused when it
// is written. One that stands in a channel already is let be.
func Unread(text string) error {
	a, err := parse(text)
	if err != nil {
		return err
	}
	known := parameters(a.kind)
	if known == nil {
		return nil
	}
	// Where another form was made of it, what cannot be read is gone.
	if _, err := url.ParseQuery(a.written.RawQuery); err != nil {
		return errors.New("behind the ? stands something that cannot be read: a % or ; must be written as %25 or %3B there")
	}
	if a.written.Fragment != "" {
		return errors.New("what stands behind a # is not read: it must be written as %23")
	}
	if err := misplaced(a); err != nil {
		return err
	}
	for name, values := range a.url.Query() {
		possible, read := known[strings.ToLower(name)]
		if read && (possible == nil || len(values) == 1 && slices.Contains(possible, strings.ToLower(values[0]))) {
			continue
		}
		return fmt.Errorf("behind the ? stands something that is not done here; what is read there is %s, and title and text are written by the templates of the channel",
			strings.Join(slices.Sorted(maps.Keys(known)), ", "))
	}
	return nil
}

// misplaced tells of what stands in the address of a channel, before the ?, and is not read.
func misplaced(a address) error {
	if most, why := readBehindHost(a.kind); len(segments(a.url)) > most {
		return errors.New(why)
	}
	if a.kind != "telegram" {
		return nil
	}
	if _, thread, is := strings.Cut(chats(a.url)[0], ":"); is {
		if _, err := strconv.Atoi(thread); err != nil {
			return errors.New("the number of the thread behind the chat is none: telegram://TOKEN@telegram?chats=@CHANNEL:THREAD")
		}
	}
	return nil
}

// readBehindHost is how many parts of what stands behind the host are read, and what to write in the place of more.
func readBehindHost(kind string) (most int, instead string) {
	switch kind {
	case "smtp":
		return 0, "nothing can stand behind the host, who a mail is from and to stands behind the ?: smtp://USER:PASSWORD@HOST:587/?from=me@example.com&to=you@example.com"
	case "slack":
		return 0, "nothing can stand behind the channel: slack://hook:A-B-C@webhook"
	case "discord":
		return 0, "nothing can stand behind the id: discord://TOKEN@ID"
	case "telegram":
		return 0, "nothing can stand behind the host, the chat stands behind the ?: telegram://TOKEN@telegram?chats=@CHANNEL"
	case "matrix":
		return 0, "nothing can stand behind the host, rooms stand behind the ?, and a server in a folder is not reached: matrix://:ACCESS_TOKEN@HOST/?rooms=!ID:HOST"
	case "mattermost":
		return 2, "nothing can stand behind the channel, and the token is only what stands behind /hooks/ in the URL of the webhook: mattermost://USER@HOST/TOKEN/CHANNEL"
	case "pushover":
		return 0, "nothing can stand behind the user key, devices stand behind the ?: pushover://shoutrrr:API_TOKEN@USER_KEY/?devices=A,B"
	}
	return MaxURL, ""
}

// values are those of a parameter under any of its names, whose letters may be large or small.
func values(u *url.URL, names ...string) (all []string) {
	query := u.Query()
	for _, key := range slices.Sorted(maps.Keys(query)) {
		if slices.Contains(names, strings.ToLower(key)) {
			all = append(all, query[key]...)
		}
	}
	return all
}

// param is the first value of a parameter; empty where there is none.
func param(u *url.URL, names ...string) string {
	for _, text := range values(u, names...) {
		if text != "" {
			return text
		}
	}
	return ""
}

// listed is a parameter with commas in it.
func listed(u *url.URL, names ...string) (out []string) {
	for _, text := range values(u, names...) {
		for part := range strings.SplitSeq(text, ",") {
			if part = strings.TrimSpace(part); part != "" {
				out = append(out, part)
			}
		}
	}
	return out
}

// said reports whether a parameter says yes.
func said(u *url.URL, name string) bool { return slices.Contains(yes, strings.ToLower(param(u, name))) }

// denied reports whether it says no.
func denied(u *url.URL, name string) bool {
	return slices.Contains(no, strings.ToLower(param(u, name)))
}
