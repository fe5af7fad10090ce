package traefik

import (
	"net/http"
	"net/netip"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/tiny-forge/docker-watcher/internal/proxy"
)

// Site is what the static configuration of Traefik has that a table has not.
type Site struct {
	// Resolver is the name of the certificate resolver; empty: there is none.
	Resolver string
}

// basePriority is that of the shortest path. Where two rules match, Traefik takes the one with the higher priority.
const basePriority = 100

// Translate writes a table as Traefik's dynamic configuration. What of a table cannot be said is told by Fits, not here.
func Translate(t proxy.Table, at Site) Document {
	if len(t.Rules) == 0 {
		return Document{}
	}
	h := &HTTP{Routers: map[string]Router{}, Services: map[string]Service{}, Middlewares: map[string]Middleware{}, Transports: map[string]Transport{}}
	for _, r := range t.Rules {
		h.add(r, t.Trusted, at)
	}
	return Document{HTTP: h}
}

// nameOf is what the parts of a rule are called.
func nameOf(r proxy.Rule) string {
	return "dw-" + strings.Map(func(c rune) rune {
		if c >= 'a' && c <= 'z' || c >= '0' && c <= '9' {
			return c
		}
		return '-'
	}, strings.ToLower(r.ID))
}

func (h *HTTP) add(r proxy.Rule, trusted []netip.Prefix, at Site) {
	name, o := nameOf(r), r.Options
	service := name
	if o.RedirectTo != "" {
		service = "noop@internal"
	} else {
		h.Services[name] = Service{h.balancer(name, r)}
	}
	for n, prefix := range prefixesOf(r) {
		router := Router{Rule: ruleText(r, prefix), Priority: basePriority + len(prefix), Middlewares: h.chain(name, r, trusted, o.RedirectHTTPS), Service: service}
		own := name
		if n > 0 {
			own += "-" + prefixName(n)
		}
		if o.TLS.On() {
			secure := router
			secure.TLS, secure.Middlewares = &TLS{at.Resolver}, h.chain(name, r, trusted, false)
			h.Routers[own+"-tls"] = secure
		}
		h.Routers[own] = router
	}
}

func prefixName(n int) string { return string(rune('a' + n%26)) }

// prefixesOf are the path prefixes of a rule: mostly one.
func prefixesOf(r proxy.Rule) (out []string) {
	for _, a := range r.Addresses {
		if !slices.Contains(out, a.PathPrefix) {
			out = append(out, a.PathPrefix)
		}
	}
	return out
}

// ruleText is what a router matches. PathPrefix alone would match /apix for /api.
func ruleText(r proxy.Rule, prefix string) string {
	var hosts []string
	for _, a := range r.Addresses {
		if a.PathPrefix == prefix {
			hosts = append(hosts, "Host(`"+a.Domain+"`)")
		}
	}
	text := strings.Join(hosts, " || ")
	if prefix == "/" {
		return text
	}
	if len(hosts) > 1 {
		text = "(" + text + ")"
	}
	return text + " && (Path(`" + prefix + "`) || PathPrefix(`" + prefix + "/`))"
}

// chain are the middlewares of a rule, in the order of the built-in proxy, where who comes over http is sent to https or not.
func (h *HTTP) chain(name string, r proxy.Rule, trusted []netip.Prefix, toHTTPS bool) (names []string) {
	o := r.Options
	add := func(what string, m Middleware) {
		h.Middlewares[name+"-"+what] = m
		names = append(names, name+"-"+what)
	}
	if len(o.AllowIPs) > 0 {
		list := &IPAllowList{SourceRange: o.AllowIPs}
		if len(trusted) > 0 {
			list.Strategy = &IPStrategy{}
			for _, p := range trusted {
				list.Strategy.ExcludedIPs = append(list.Strategy.ExcludedIPs, p.String())
			}
		}
		add("allow", Middleware{IPAllowList: list})
	}
	if toHTTPS {
		add("https", Middleware{RedirectScheme: &RedirectScheme{Scheme: "https", Permanent: true}})
	}
	if len(o.BasicAuth) > 0 {
		auth := &BasicAuth{Realm: "site", RemoveHeader: true}
		for _, c := range o.BasicAuth {
			auth.Users = append(auth.Users, c.User+":"+c.Hash)
		}
		add("auth", Middleware{BasicAuth: auth})
	}
	if o.RedirectTo != "" {
		add("to", Middleware{RedirectRegex: redirect(o)})
	}
	if o.Compress {
		add("compress", Middleware{Compress: &Compress{ExcludedContentTypes: []string{"text/event-stream"}}})
	}
	if headers := (Headers{headersOf(o.RequestHeaders), headersOf(o.ResponseHeaders), o.HSTSSeconds}); len(headers.Request)+len(headers.Response)+headers.STSSeconds > 0 {
		add("headers", Middleware{Headers: &headers})
	}
	if prefixes := slices.DeleteFunc(prefixesOf(r), func(p string) bool { return p == "/" }); o.StripPrefix && len(prefixes) > 0 {
		add("strip", Middleware{StripPrefix: &StripPrefix{prefixes}})
	}
	if base := basePath(r); base != "" {
		add("base", Middleware{AddPrefix: &AddPrefix{base}})
	}
	return names
}

// redirect sends clients elsewhere. Where it names only a host, the path of the request follows.
func redirect(o proxy.Options) *RedirectRegex {
	m := &RedirectRegex{Regex: "^.*$", Replacement: strings.ReplaceAll(o.RedirectTo, "$", "$$"), Permanent: o.RedirectCode == http.StatusMovedPermanently || o.RedirectCode == http.StatusPermanentRedirect}
	if u, err := url.Parse(o.RedirectTo); err == nil && u.Path == "" && u.RawQuery == "" {
		m.Regex, m.Replacement = "^https?://[^/]+(.*)$", m.Replacement+"${1}"
	}
	return m
}

// headersOf are the changes of headers; of several for one the last counts.
func headersOf(rules []proxy.Header) map[string]string {
	out := map[string]string{}
	for _, h := range rules {
		out[http.CanonicalHeaderKey(h.Name)] = h.Value
	}
	return out
}

func reachable(r proxy.Rule) (out []*url.URL) {
	for _, t := range r.Targets {
		if u, err := url.Parse(t.URL); err == nil && t.URL != "" {
			out = append(out, u)
		}
	}
	return out
}

// basePath is the path of the targets, which is one.
func basePath(r proxy.Rule) string {
	for _, u := range reachable(r) {
		return strings.TrimSuffix(u.EscapedPath(), "/")
	}
	return ""
}

func (h *HTTP) balancer(name string, r proxy.Rule) LoadBalancer {
	o := r.Options
	b := LoadBalancer{PassHostHeader: !o.RewriteHost}
	for _, u := range reachable(r) {
		b.Servers = append(b.Servers, Server{u.Scheme + "://" + u.Host})
	}
	if check := o.HealthCheck; check != nil && len(b.Servers) > 0 {
		b.HealthCheck = &HealthCheck{
			Path: basePath(r) + check.Path, Interval: spanOr(check.Interval, proxy.DefaultCheckInterval), Timeout: spanOr(check.Timeout, proxy.DefaultCheckTimeout),
		}
		if !o.RewriteHost {
			b.HealthCheck.Hostname = r.Addresses[0].Domain
		}
	}
	dial, response := spanOr(o.ConnectTimeout, proxy.DefaultConnectTimeout), spanOr(o.ResponseTimeout, proxy.DefaultResponseTimeout)
	b.Transport = "dw-" + unspoken.ReplaceAllString(dial+"-"+response, "-")
	t := Transport{Timeouts: Timeouts{dial, response}, InsecureSkipVerify: o.TargetUnverified}
	if o.TargetCA != "" {
		t.RootCAs = []string{o.TargetCA}
	}
	if o.TargetCA != "" || o.TargetUnverified {
		b.Transport += "-" + name // whom it trusts is a matter of the rule
	}
	h.Transports[b.Transport] = t
	return b
}

// unspoken is what is in a duration and in no name.
var unspoken = regexp.MustCompile(`[^a-z0-9-]`)

func spanOr(s proxy.Span, fallback time.Duration) string {
	if s == 0 {
		return fallback.String()
	}
	return time.Duration(s).String()
}
