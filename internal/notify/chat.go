package notify

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
)

// The longest texts that targets take, in bytes; a little below, for what they count otherwise.
const (
	mostDiscord  = 1900
	mostTelegram = 4000
	mostPushover = 1000
	mostNtfy     = 3900
	mostChat     = 8000
)

// request is what is sent for a letter, but to Matrix, where each room has requests of its own.
func (p post) request(ctx context.Context, a address, secret string, l Letter) (*http.Request, error) {
	u := a.url
	switch a.kind {
	case "webhook":
		return p.webhook(ctx, u, secret, l)
	case "ntfy":
		return ntfy(ctx, u, l)
	case "gotify":
		parts := segments(u)
		base := web(u, said(u, "disabletls"), pathOf(append(slices.Clone(parts[:len(parts)-1]), "message")), "")
		r, err := asJSON(ctx, http.MethodPost, base, map[string]any{"title": l.Title, "message": cut(l.Text, mostChat), "priority": gotifyPriority(l.View.Severity)})
		if err == nil {
			r.Header.Set("X-Gotify-Key", parts[len(parts)-1])
		}
		return r, err
	case "slack":
		return slack(ctx, u, l)
	case "discord":
		at := "https://discord.com/api/webhooks/" + url.PathEscape(u.Host) + "/" + url.PathEscape(u.User.Username())
		if thread := param(u, "thread_id"); thread != "" {
			at += "?" + url.Values{"thread_id": {thread}}.Encode()
		}
		return asJSON(ctx, http.MethodPost, at, map[string]any{
			"content": cut("**"+l.Title+"**\n"+l.Text, mostDiscord), "allowed_mentions": map[string]any{"parse": []string{}},
		})
	case "telegram":
		return telegram(ctx, u, l)
	case "teams":
		return asJSON(ctx, http.MethodPost, web(u, false, strings.TrimPrefix(u.EscapedPath(), "/"), u.RawQuery), card(l))
	case "mattermost":
		return mattermost(ctx, u, l)
	case "googlechat":
		return asJSON(ctx, http.MethodPost, web(u, false, strings.TrimPrefix(u.EscapedPath(), "/"), u.RawQuery), map[string]any{"text": cut(joined(l), mostNtfy)})
	case "pushover":
		token, _ := u.User.Password()
		form := url.Values{"token": {token}, "user": {u.Host}, "title": {l.Title}, "message": {cut(l.Text, mostPushover)}}
		if devices := listed(u, "devices"); len(devices) > 0 {
			form.Set("device", strings.Join(devices, ","))
		}
		return asForm(ctx, "https://api.pushover.net/1/messages.json", form)
	}
	return nil, errNoKind
}

// joined is a letter for targets that know no titles.
func joined(l Letter) string { return l.Title + "\n" + l.Text }

// pathOf is a path of parts as it is written in a URL.
func pathOf(parts []string) string {
	out := make([]string, len(parts))
	for i, part := range parts {
		out[i] = url.PathEscape(part)
	}
	return strings.Join(out, "/")
}

// web is the URL of a target that is spoken to by http.
func web(u *url.URL, plain bool, path, query string) string {
	scheme := "https"
	if plain {
		scheme = "http"
	}
	at := scheme + "://" + u.Host + "/" + path
	if query != "" {
		at += "?" + query
	}
	return at
}

func asJSON(ctx context.Context, method, at string, body any) (*http.Request, error) {
	text, err := json.Marshal(body)
	if err != nil {
		return nil, fmt.Errorf("write the message: %w", err)
	}
	r, err := http.NewRequestWithContext(ctx, method, at, bytes.NewReader(text))
	if err != nil {
		return nil, err
	}
	r.Header.Set("Content-Type", "application/json")
	return r, nil
}

func asForm(ctx context.Context, at string, form url.Values) (*http.Request, error) {
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, at, strings.NewReader(form.Encode()))
	if err != nil {
		return nil, err
	}
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	return r, nil
}

// ntfy publishes as JSON, which takes titles in any script.
func ntfy(ctx context.Context, u *url.URL, l Letter) (*http.Request, error) {
	parts := segments(u)
	priority := 3
	switch l.View.Severity {
	case "warn":
		priority = 4
	case "error":
		priority = 5
	}
	r, err := asJSON(ctx, http.MethodPost, web(u, strings.EqualFold(param(u, "scheme"), "http") || said(u, "disabletls"), pathOf(parts[:len(parts)-1]), ""), map[string]any{
		"topic": parts[len(parts)-1], "title": l.Title, "message": cut(l.Text, mostNtfy), "priority": priority,
	})
	if err != nil || u.User == nil {
		return r, err
	}
	if password, _ := u.User.Password(); u.User.Username() == "" {
		r.Header.Set("Authorization", "Bearer "+password)
	} else {
		r.SetBasicAuth(u.User.Username(), password)
	}
	return r, nil
}

func gotifyPriority(severity string) int {
	switch severity {
	case "warn":
		return 5
	case "error":
		return 8
	}
	return 2
}

func slack(ctx context.Context, u *url.URL, l Letter) (*http.Request, error) {
	token, _ := u.User.Password()
	// Nobody is called by what stands in a message.
	text := strings.NewReplacer("&", "&amp;", "<", "&lt;", ">", "&gt;").Replace("*" + l.Title + "*\n" + cut(l.Text, mostChat))
	body := map[string]any{"text": text}
	if bot := param(u, "botname", "username"); bot != "" {
		body["username"] = bot
	}
	if thread := param(u, "thread_ts"); thread != "" {
		body["thread_ts"] = thread
	}
	if u.Host != "webhook" {
		body["channel"] = u.Host
	}
	if u.User.Username() == "hook" {
		return asJSON(ctx, http.MethodPost, "https://hooks.slack.com/services/"+strings.ReplaceAll(token, "-", "/"), body)
	}
	r, err := asJSON(ctx, http.MethodPost, "https://slack.com/api/chat.postMessage", body)
	if err == nil {
		r.Header.Set("Authorization", "Bearer "+u.User.Username()+"-"+token)
	}
	return r, err
}

func telegram(ctx context.Context, u *url.URL, l Letter) (*http.Request, error) {
	token := u.User.Username()
	if rest, is := u.User.Password(); is {
		token += ":" + rest
	}
	body := map[string]any{"chat_id": chats(u)[0], "text": cut(joined(l), mostTelegram), "disable_web_page_preview": true}
	chat, thread, _ := strings.Cut(chats(u)[0], ":")
	if id, err := strconv.Atoi(thread); err == nil {
		body["chat_id"], body["message_thread_id"] = chat, id
	}
	if denied(u, "notification") {
		body["disable_notification"] = true
	}
	return asJSON(ctx, http.MethodPost, "https://api.telegram.org/bot"+url.PathEscape(token)+"/sendMessage", body)
}

func mattermost(ctx context.Context, u *url.URL, l Letter) (*http.Request, error) {
	parts := segments(u)
	body := map[string]any{"text": "**" + l.Title + "**\n" + cut(l.Text, mostChat)}
	if u.User.Username() != "" {
		body["username"] = u.User.Username()
	}
	if len(parts) > 1 {
		body["channel"] = parts[1]
	}
	return asJSON(ctx, http.MethodPost, web(u, said(u, "disabletls"), "hooks/"+url.PathEscape(parts[0]), ""), body)
}

// card is what a workflow of Teams takes.
func card(l Letter) any {
	block := func(text string, more map[string]any) map[string]any {
		b := map[string]any{"type": "TextBlock", "text": text, "wrap": true}
		maps.Copy(b, more)
		return b
	}
	return map[string]any{"type": "message", "attachments": []any{map[string]any{
		"contentType": "application/vnd.microsoft.card.adaptive",
		"content": map[string]any{
			"$schema": "http://adaptivecards.io/schemas/adaptive-card.json", "type": "AdaptiveCard", "version": "1.4",
			"body": []any{
				block(l.Title, map[string]any{"weight": "Bolder"}),
				block(strings.ReplaceAll(cut(l.Text, mostChat), "\n", "\n\n"), nil),
			},
		},
	}}}
}

// longestFirst sorts texts so that none is a part of one that comes later.
func longestFirst(texts []string) []string {
	out := slices.Clone(texts)
	slices.SortFunc(out, func(a, b string) int { return cmp.Or(len(b)-len(a), strings.Compare(a, b)) })
	return out
}
