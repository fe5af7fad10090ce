package caddy

import (
	"encoding/base64"
	"maps"
	"net/url"
	"regexp"
	"strconv"
	"strings"

	"github.com/tiny-forge/docker-watcher/internal/proxy"
)

// plain writes a text so that Caddy puts nothing into it: {...} stands for something there, such as the environment. A text without {
// it leaves as it is.
func plain(text string) string {
	if !strings.Contains(text, "{") {
		return text
	}
	return strings.NewReplacer("{", `\{`, "}", `\}`).Replace(text)
}

// quoted is a pattern for a text as it is.
func quoted(text string) string { return regexp.QuoteMeta(text) }

// failing ends a request by an error, for which failures has the page.
func failing(status int) list {
	return list{object{"handler": "error", "status_code": strconv.Itoa(status)}}
}

// failures are the pages for errors. A status without one is answered empty, as Caddy does.
func failures() object {
	var routes list
	for _, a := range proxy.ErrorAnswers() {
		routes = append(routes, answering(object{"vars": object{"{http.error.status_code}": list{strconv.Itoa(a.Status)}}}, a)...)
	}
	return object{"routes": append(routes, object{"handle": list{object{"handler": "static_response", "status_code": "{http.error.status_code}"}}})}
}

// answering gives a page to those requests that match; nil: to all. People get it as HTML, programs as a problem.
func answering(match object, a proxy.Answer) list {
	head := func(kind string) object {
		h := object{"Cache-Control": list{"no-store"}, "X-Content-Type-Options": list{"nosniff"}, "Content-Type": list{kind}}
		if a.Retry != "" {
			h["Retry-After"] = list{a.Retry}
		}
		return h
	}
	people := object{"header": object{"Accept": list{"*text/html*"}}}
	maps.Copy(people, match)
	html := head("text/html; charset=utf-8")
	html["Content-Security-Policy"] = list{proxy.PagePolicy}
	programs := object{"handle": list{object{"handler": "static_response", "status_code": a.Status, "headers": head("application/problem+json"), "body": plain(a.Problem)}}}
	if match != nil {
		programs["match"] = list{match}
	}
	return list{
		object{"match": list{people}, "handle": list{object{"handler": "static_response", "status_code": a.Status, "headers": html, "body": plain(a.HTML)}}, "terminal": true},
		programs,
	}
}

func redirect(code int, to string) list {
	return list{object{"handler": "static_response", "status_code": code, "headers": object{"Location": list{to}}}}
}

// destination is where a rule redirects to: where it names only a host, the path of the request follows.
func destination(to string) string {
	if u, err := url.Parse(to); err == nil && u.Path == "" && u.RawQuery == "" {
		return plain(to) + "{http.request.uri}"
	}
	return plain(to)
}

// signIn lets in who knows a password. What was right is remembered, so that it is not hashed with each request.
func signIn(people []proxy.Credential) object {
	var accounts list
	for _, c := range people {
		accounts = append(accounts, object{"username": c.User, "password": base64.StdEncoding.EncodeToString([]byte(c.Hash))})
	}
	return object{"handler": "authentication", "providers": object{"http_basic": object{
		"hash": object{"algorithm": "bcrypt"}, "accounts": accounts, "realm": "site", "hash_cache": object{},
	}}}
}

// hsts tells clients that came over TLS to come so again, whatever the answer is.
func (w writer) hsts(seconds int) object {
	return object{"match": w.secure(), "handle": list{object{"handler": "headers", "response": object{
		"deferred": true, "set": object{"Strict-Transport-Security": list{"max-age=" + strconv.Itoa(seconds)}},
	}}}}
}
