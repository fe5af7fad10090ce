package caddy

import (
	"fmt"
	"net"
	"net/netip"
	"net/url"
	"strings"

	"github.com/tiny-forge/docker-watcher/internal/proxy"
)

// Abilities are what not every version of Caddy can do. One that does not know a field refuses it, by which they are found out.
type Abilities struct {
	StreamsStay bool // stream_close_delay, from 2.7 on: WebSockets outlive a change
	CheckCounts bool // passes and fails of a health check, from 2.9 on
}

// All are those of a Caddy of today.
var All = Abilities{StreamsStay: true, CheckCounts: true}

// without takes the ability away that a refusal of Caddy names; false: it names none.
func (a Abilities) without(refusal string) (Abilities, bool) {
	switch {
	case a.StreamsStay && unknown(refusal, "stream_close_delay"):
		a.StreamsStay = false
	case a.CheckCounts && (unknown(refusal, "passes") || unknown(refusal, "fails")):
		a.CheckCounts = false
	default:
		return a, false
	}
	return a, true
}

func unknown(refusal, field string) bool {
	return strings.Contains(refusal, `unknown field "`+field+`"`)
}

// Fits says which fields of a table Caddy cannot do, and why: none is dropped in silence.
func Fits(t proxy.Table, at Site, can Abilities) (wrong []error) {
	for _, r := range t.Rules {
		f := fitting{rule: r.ID}
		f.tls(r, at)
		f.clients(r.Options, len(t.Trusted) > 0)
		f.texts(r)
		f.targets(r, at)
		f.health(r.Options.HealthCheck, can)
		if r.Options.AccessLog {
			f.bad("access_log", "Caddy logs the requests of a whole server: switch it on there (apps.http.servers.NAME.logs)")
		}
		wrong = append(wrong, f.wrong...)
	}
	return wrong
}

type fitting struct {
	rule  string
	wrong []error
}

func (f *fitting) bad(field, format string, args ...any) {
	f.wrong = append(f.wrong, proxy.FieldError{Rule: f.rule, Field: field, Reason: fmt.Sprintf(format, args...)})
}

// caddyLocal are the ends of names for which Caddy has an authority of its own.
var caddyLocal = []string{"localhost", "local", "internal", "home.arpa"}

func (f *fitting) tls(r proxy.Rule, at Site) {
	o := r.Options
	switch {
	case o.TLS.On() && at.Server == "":
		f.bad("tls", "Caddy does this in a server that listens for https: name one by --caddy-server")
	case o.TLS == proxy.TLSOwn:
		f.bad("tls", "own certificates are loaded by Caddy itself (apps.tls.certificates): use auto, it takes those first")
	case o.TLS == proxy.TLSInternal:
		for _, a := range r.Addresses {
			if !localToCaddy(a.Domain) {
				f.bad("tls", "Caddy has an authority of its own for names such as x.localhost, x.local, x.internal and x.home.arpa, not for %s: set an issuer for it in Caddy (apps.tls.automation) and use auto", a.Domain)
				break
			}
		}
	}
}

func localToCaddy(domain string) bool {
	for _, end := range caddyLocal {
		if domain == end || strings.HasSuffix(domain, "."+end) {
			return true
		}
	}
	return false
}

func (f *fitting) clients(o proxy.Options, behind bool) {
	const reason = "behind the proxies of the setting trusted_proxies Caddy does not see who the client is: keep such a list in the first of them, or use the driver builtin"
	if behind && len(o.AllowIPs) > 0 {
		f.bad("allow_ips", reason)
	}
	if behind && len(o.DenyIPs) > 0 {
		f.bad("deny_ips", reason)
	}
}

const bracesReason = "Caddy reads { and } as a place to put something into"

// texts refuses braces where they cannot be written so that Caddy leaves them alone.
func (f *fitting) texts(r proxy.Rule) {
	o := r.Options
	for _, a := range r.Addresses {
		if braced(a.PathPrefix) {
			f.bad("path_prefix", bracesReason)
		}
		if o.RedirectHTTPS && strings.Contains(a.Domain, ":") {
			f.bad("redirect_https", "Caddy cannot send clients of a bare IPv6 address to https: use a name")
		}
	}
	for i, c := range o.BasicAuth {
		if braced(c.User) {
			f.bad(fmt.Sprintf("basic_auth[%d]", i), bracesReason)
		}
	}
	for _, list := range []struct {
		field   string
		headers []proxy.Header
	}{{"request_headers", o.RequestHeaders}, {"response_headers", o.ResponseHeaders}} {
		for i, h := range list.headers {
			at := fmt.Sprintf("%s[%d]", list.field, i)
			switch {
			case strings.Contains(h.Name, "*"):
				f.bad(at, "Caddy reads * as any letters")
			case strings.Contains(h.Value, `\`):
				f.bad(at, `Caddy reads \ as a mark before { and }`)
			case list.field == "response_headers" && o.HSTSSeconds > 0 && strings.EqualFold(h.Name, "Strict-Transport-Security"):
				f.bad(at, "hsts_seconds sets this header already")
			}
		}
	}
}

func braced(text string) bool { return strings.ContainsAny(text, "{}") }

// targets refuses what differs between the targets of one rule and is one thing for all in Caddy.
func (f *fitting) targets(r proxy.Rule, site Site) {
	var first *url.URL
	for i, t := range r.Targets {
		u, err := url.Parse(t.URL)
		if err != nil || t.URL == "" {
			continue // said by others, or nowhere now
		}
		at := fmt.Sprintf("targets[%d]", i)
		if first == nil {
			first = u
		}
		switch {
		case samePlace(dialled(u), site.Admin):
			f.bad(at, "Caddy's admin API listens there, and whoever comes to it commands Caddy")
		case braced(u.Path):
			f.bad(at, bracesReason)
		case u.Scheme != first.Scheme:
			f.bad(at, "in Caddy all targets of a rule are asked by http, or all by https")
		case strings.TrimSuffix(u.EscapedPath(), "/") != strings.TrimSuffix(first.EscapedPath(), "/"):
			f.bad(at, "in Caddy all targets of a rule have the same path")
		}
	}
}

// samePlace tells whether two addresses, as host:port, are one, as far as they say it.
func samePlace(a, b string) bool {
	hostA, portA, errA := net.SplitHostPort(a)
	hostB, portB, errB := net.SplitHostPort(b)
	return errA == nil && errB == nil && portA == portB && (strings.EqualFold(hostA, hostB) || loopback(hostA) && loopback(hostB))
}

func loopback(host string) bool {
	addr, err := netip.ParseAddr(host)
	return err == nil && addr.Unmap().IsLoopback() || strings.EqualFold(strings.TrimSuffix(host, "."), "localhost")
}

func (f *fitting) health(h *proxy.HealthCheck, can Abilities) {
	if h == nil {
		return
	}
	if braced(h.Path) {
		f.bad("health_check.path", bracesReason)
	}
	const reason = "this Caddy takes a target out at the first bad answer and back at the first good one: leave it out, or use Caddy 2.9 or later"
	if !can.CheckCounts && h.Passes > 1 {
		f.bad("health_check.passes", reason)
	}
	if !can.CheckCounts && h.Fails > 1 {
		f.bad("health_check.fails", reason)
	}
}
