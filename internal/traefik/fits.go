package traefik

import (
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"unicode"

	"github.com/tiny-forge/docker-watcher/internal/proxy"
)

// Fits says which fields of a table Traefik cannot do, and why: none is dropped in silence.
func Fits(t proxy.Table, at Site) (wrong []error) {
	for _, r := range t.Rules {
		f := fitting{rule: r.ID}
		f.tls(r.Options, at)
		f.options(r)
		f.targets(r)
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

func (f *fitting) tls(o proxy.Options, at Site) {
	switch {
	case o.TLS == proxy.TLSOwn || o.TLS == proxy.TLSInternal:
		f.bad("tls", "Traefik has certificates by its resolvers: use auto, or put the certificate into its own configuration")
	case o.TLS == proxy.TLSAuto && at.Resolver == "":
		f.bad("tls", "say by --traefik-resolver which certificate resolver of Traefik is meant")
	}
}

// parts is the letter by which Traefik's reader parts the texts of a list, also where it is in one of them.
const parts = "║"

// options refuses what Traefik has nothing for.
func (f *fitting) options(r proxy.Rule) {
	o := r.Options
	if len(o.DenyIPs) > 0 {
		f.bad("deny_ips", "Traefik only has lists of who is let in: use allow_ips")
	}
	if o.NoWebSockets {
		f.bad("websockets", "Traefik cannot refuse them")
	}
	if o.Maintenance {
		f.bad("maintenance", "Traefik has no pages of its own: lead the rule to something that answers with one")
	}
	if o.MaxBodyBytes > 0 {
		f.bad("max_body_bytes", "Traefik can only do this by holding whole requests and answers back, which would end streams")
	}
	if o.AccessLog {
		f.bad("access_log", "Traefik logs the requests of all routers or none: switch it on there (accessLog)")
	}
	if o.RedirectCode == http.StatusSeeOther {
		f.bad("redirect_code", "Traefik sends 302 or 307, and 301 or 308 for good: not 303")
	}
	if h := o.HealthCheck; h != nil && h.Passes > 1 {
		f.bad("health_check.passes", "Traefik brings a target back at the first good answer")
	}
	if h := o.HealthCheck; h != nil && h.Fails > 1 {
		f.bad("health_check.fails", "Traefik takes a target out at the first bad answer")
	}
	for i, h := range o.ResponseHeaders {
		if o.HSTSSeconds > 0 && strings.EqualFold(h.Name, "Strict-Transport-Security") {
			f.bad(fmt.Sprintf("response_headers[%d]", i), "hsts_seconds sets this header already")
		}
	}
	for i, c := range o.BasicAuth {
		if strings.Contains(c.User, parts) || strings.TrimLeftFunc(c.User, unicode.IsSpace) != c.User {
			f.bad(fmt.Sprintf("basic_auth[%d]", i), "Traefik cannot hold a name with the letter %s, or with a space before it", parts)
		}
	}
	for _, a := range r.Addresses {
		if strings.ContainsAny(a.PathPrefix, "`"+parts) {
			f.bad("path_prefix", "Traefik cannot hold the letters ` and %s", parts)
		}
	}
}

// targets refuses what differs between the targets of one rule and is one thing for all in Traefik.
func (f *fitting) targets(r proxy.Rule) {
	var first *url.URL
	for i, t := range r.Targets {
		u, err := url.Parse(t.URL)
		if err != nil || t.URL == "" {
			continue // said by others, or nowhere now
		}
		if first == nil {
			first = u
		}
		if u.EscapedPath() != u.Path {
			f.bad(fmt.Sprintf("targets[%d]", i), "Traefik cannot put a path before that of the request which has letters that are written as %%.. in it")
			continue
		}
		if strings.TrimSuffix(u.EscapedPath(), "/") != strings.TrimSuffix(first.EscapedPath(), "/") {
			f.bad(fmt.Sprintf("targets[%d]", i), "in Traefik all targets of a rule have the same path")
		}
	}
}
