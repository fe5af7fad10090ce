package caddy

import (
	"encoding/base64"
	"encoding/pem"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/tiny-forge/docker-watcher/internal/proxy"
)

const (
	streamsStay = "24h" // streams go on so long after a change, where Caddy can do that
	passiveFail = "2s"  // a target that could not be dialled is spared so long
	keepIdle    = "45s"
)

// lead asks the targets of a rule, or says that none can be asked.
func (w writer) lead(b branch) list {
	targets := reachable(b.rule)
	if len(targets) == 0 {
		if t := b.rule.Stopped(); !t.StoppedSince.IsZero() {
			return answering(nil, proxy.StoppedAnswer(t.StoppedSince))
		}
		return answering(nil, proxy.AwayAnswer())
	}
	var steps list
	if b.rule.Options.StripPrefix && b.prefix != "/" {
		steps = append(steps, object{"handle": list{object{"handler": "rewrite", "path_regexp": list{object{"find": "^/+" + spread(b.prefix) + "/*", "replace": "/"}}}}})
	}
	if base := strings.TrimSuffix(targets[0].EscapedPath(), "/"); base != "" {
		steps = append(steps, object{"handle": list{object{"handler": "rewrite", "path_regexp": list{object{"find": "^", "replace": strings.ReplaceAll(base, "$", "$$")}}}}})
	}
	return append(steps, object{"handle": list{w.upstreams(b.rule, targets)}})
}

// spread is a pattern for a prefix however its letters are escaped and its slashes are repeated, without the first slash.
func spread(prefix string) string {
	var b strings.Builder
	for _, c := range []byte(strings.TrimPrefix(prefix, "/")) {
		if c == '/' {
			b.WriteString("/+")
			continue
		}
		b.WriteString("(?:" + quoted(string(rune(c))) + "|%(?i:" + hex(c) + "))")
	}
	return b.String()
}

func hex(c byte) string {
	const digits = "0123456789abcdef"
	return string([]byte{digits[c>>4], digits[c&15]})
}

// reachable are where the targets of a rule are reached now.
func reachable(r proxy.Rule) (out []*url.URL) {
	for _, t := range r.Targets {
		if u, err := url.Parse(t.URL); err == nil && t.URL != "" {
			out = append(out, u)
		}
	}
	return out
}

// dialled is the address of a target.
func dialled(u *url.URL) string {
	port := u.Port()
	if port == "" {
		port = "80"
		if u.Scheme == "https" {
			port = "443"
		}
	}
	return net.JoinHostPort(u.Hostname(), port)
}

func (w writer) upstreams(r proxy.Rule, targets []*url.URL) object {
	o := r.Options
	var upstreams list
	for _, u := range targets {
		upstreams = append(upstreams, object{"dial": dialled(u)})
	}
	h := object{"handler": "reverse_proxy", "upstreams": upstreams, "transport": transport(o, targets[0].Scheme == "https")}
	if len(targets) > 1 {
		h["load_balancing"] = object{"selection_policy": object{"policy": "least_conn"}, "retries": len(targets) - 1, "try_interval": "1ms"}
	}
	if checks := w.checks(r, targets); len(checks) > 0 {
		h["health_checks"] = checks
	}
	if len(w.table.Trusted) > 0 {
		h["trusted_proxies"] = w.trusted()["remote_ip"].(object)["ranges"] //nolint:forcetypeassert // as it is made
	}
	if w.can.StreamsStay {
		h["stream_close_delay"] = streamsStay
	}
	if headers := changes(o, targets); len(headers) > 0 {
		h["headers"] = headers
	}
	return h
}

func transport(o proxy.Options, tls bool) object {
	t := object{
		"protocol": "http", "compression": false, "dial_timeout": spanOr(o.ConnectTimeout, proxy.DefaultConnectTimeout),
		"response_header_timeout": spanOr(o.ResponseTimeout, proxy.DefaultResponseTimeout), "keep_alive": object{"idle_timeout": keepIdle},
	}
	if tls {
		t["tls"] = trusting(o)
	}
	return t
}

// trusting is how Caddy knows its targets over TLS.
func trusting(o proxy.Options) object {
	t := object{}
	if o.TargetUnverified {
		t["insecure_skip_verify"] = true
	}
	var roots list
	for block, rest := pem.Decode([]byte(o.TargetCA)); block != nil; block, rest = pem.Decode(rest) {
		if block.Type == "CERTIFICATE" {
			roots = append(roots, base64.StdEncoding.EncodeToString(block.Bytes))
		}
	}
	if len(roots) > 0 {
		t["root_ca_pool"] = roots
	}
	return t
}

func spanOr(s proxy.Span, fallback time.Duration) string {
	if s == 0 {
		return fallback.String()
	}
	return time.Duration(s).String()
}

// checks are how Caddy finds out that a target is down: by asking it, if the rule says so, and by dialling in vain where another stands in.
func (w writer) checks(r proxy.Rule, targets []*url.URL) object {
	checks := object{}
	if len(targets) > 1 {
		checks["passive"] = object{"fail_duration": passiveFail, "max_fails": 1}
	}
	h := r.Options.HealthCheck
	if h == nil {
		return checks
	}
	host := r.Addresses[0].Domain
	if r.Options.RewriteHost {
		host = targets[0].Host
	}
	active := object{
		"uri": strings.TrimSuffix(targets[0].EscapedPath(), "/") + h.Path, "interval": spanOr(h.Interval, proxy.DefaultCheckInterval),
		"timeout": spanOr(h.Timeout, proxy.DefaultCheckTimeout), "headers": object{"Host": list{host}, "User-Agent": list{"docker-watcher-health"}},
	}
	if w.can.CheckCounts {
		active["passes"], active["fails"] = or(h.Passes, proxy.DefaultPasses), or(h.Fails, proxy.DefaultFails)
	}
	checks["active"] = active
	return checks
}

func or(n, fallback int) int {
	if n == 0 {
		return fallback
	}
	return n
}

// changes are those of the headers of requests and answers. Of several for one header the last counts.
func changes(o proxy.Options, targets []*url.URL) object {
	request := headersOf(o.RequestHeaders)
	if o.RewriteHost {
		host := "{http.reverse_proxy.upstream.hostport}"
		if len(targets) == 1 {
			host = targets[0].Host
		}
		request.set["Host"] = list{host}
	}
	_, set := request.set["Authorization"]
	if len(o.BasicAuth) > 0 && !set {
		request.remove = append(request.remove, "Authorization") // it was for us
	}
	out := object{}
	if ops := request.json(); len(ops) > 0 {
		out["request"] = ops
	}
	if ops := headersOf(o.ResponseHeaders).json(); len(ops) > 0 {
		out["response"] = ops
	}
	return out
}

// ops are what is done to headers.
type ops struct {
	set    object
	remove []string
}

func headersOf(rules []proxy.Header) ops {
	last := map[string]string{}
	for _, h := range rules {
		last[http.CanonicalHeaderKey(h.Name)] = h.Value
	}
	out := ops{set: object{}}
	for name, value := range last {
		switch {
		case value == "" && name == "User-Agent":
			out.set[name] = list{""} // else Caddy says what it is itself
			continue
		case value == "":
			out.remove = append(out.remove, name)
			continue
		}
		out.set[name] = list{plain(value)}
	}
	slices.Sort(out.remove)
	return out
}

func (o ops) json() object {
	out := object{}
	if len(o.set) > 0 {
		out["set"] = o.set
	}
	if len(o.remove) > 0 {
		slices.Sort(o.remove)
		out["delete"] = slices.Compact(o.remove)
	}
	return out
}

// counted has Caddy go on counting the requests that are under way at addresses that nobody is led to any more. Nothing matches it.
func counted(addresses []string) object {
	var upstreams list
	for _, a := range addresses {
		upstreams = append(upstreams, object{"dial": a})
	}
	return object{"match": list{object{"not": list{object{}}}}, "handle": list{object{"handler": "reverse_proxy", "upstreams": upstreams}}}
}
