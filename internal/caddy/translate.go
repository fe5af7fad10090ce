package caddy

import (
	"cmp"
	"slices"
	"strings"

	"github.com/tiny-forge/docker-watcher/internal/proxy"
)

// ID is what our part of Caddy's configuration is called there, and all that is ours in it.
const ID = "docker-watcher"

// Site says where our part is in Caddy.
type Site struct {
	// Server of Caddy that our rules are a route of; empty: they are a server of our own.
	Server string
	// Listen is where our own server listens, as host:port.
	Listen string
	// Admin is where Caddy's admin API listens, as host:port; empty: not on the network.
	Admin string
}

// object and list are JSON.
type (
	object = map[string]any
	list   = []any
)

// Translate writes a table as our part of Caddy's configuration: a server of our own, or a route of another one. Kept are addresses
// that have left the table and that Caddy shall go on counting requests of. What of a table cannot be said is told by Fits, not here.
func Translate(t proxy.Table, at Site, can Abilities, kept []string) any {
	w := writer{table: t, can: can}
	var routes list
	if all := branches(t.Rules); len(all) > 0 {
		routes = append(routes, w.known(all))
	}
	if len(kept) > 0 {
		routes = append(routes, counted(kept))
	}
	if at.Server != "" {
		return w.route(routes)
	}
	routes = append(routes, object{"handle": list{object{"handler": "subroute", "routes": list{object{"handle": failing(404)}}, "errors": failures()}}})
	return object{
		"@id": ID, "listen": list{at.Listen}, "automatic_https": object{"disable": true}, "read_header_timeout": "10s", "idle_timeout": "2m", "max_header_bytes": 64 << 10,
		"routes": routes,
	}
}

// writer writes the rules of one table.
type writer struct {
	table proxy.Table
	can   Abilities
}

// route holds our rules within a server that is not ours. What it does not know goes on to the routes after it. Caddy has certificates
// for the domains that the match of such a route names, so it names those that want one, beside all others.
func (w writer) route(routes list) object {
	r := object{"@id": ID, "handle": list{object{"handler": "subroute", "routes": routes}}}
	var secure []string
	for _, rule := range w.table.Rules {
		if rule.Options.TLS.On() {
			for _, a := range rule.Addresses {
				secure = append(secure, a.Domain)
			}
		}
	}
	if len(secure) > 0 {
		slices.Sort(secure)
		r["match"] = list{object{"host": slices.Compact(secure)}, object{}}
	}
	return r
}

// branch is a rule with those of its domains that have one path prefix.
type branch struct {
	rule    proxy.Rule
	domains []string
	prefix  string
}

// branches are those of all rules, longer prefixes first: Caddy takes the first that matches.
func branches(rules []proxy.Rule) []branch {
	var out []branch
	for _, r := range rules {
		by := map[string][]string{}
		for _, a := range r.Addresses {
			by[a.PathPrefix] = append(by[a.PathPrefix], a.Domain)
		}
		for prefix, domains := range by {
			out = append(out, branch{r, domains, prefix})
		}
	}
	slices.SortStableFunc(out, func(a, b branch) int {
		return cmp.Or(cmp.Compare(len(b.prefix), len(a.prefix)), strings.Compare(a.prefix, b.prefix), strings.Compare(a.rule.ID, b.rule.ID))
	})
	return out
}

// known answers all requests that some rule is for, and no other: neither those of somebody else's routes nor their errors.
func (w writer) known(all []branch) object {
	routes := w.guards()
	for _, b := range all {
		routes = append(routes, object{"match": list{b.match()}, "handle": list{object{"handler": "subroute", "routes": w.steps(b)}}, "terminal": true})
	}
	return object{"match": union(all), "handle": list{object{"handler": "subroute", "routes": routes, "errors": failures()}}, "terminal": true}
}

// match is what the requests of a branch have in common. Unlike the paths of Caddy, those of rules know capitals.
func (b branch) match() object {
	match := object{"host": b.domains}
	if b.prefix != "/" {
		match["path_regexp"] = object{"pattern": "^" + quoted(b.prefix) + "(?:/|$)"}
	}
	return match
}

// union matches what any branch does; the domains of one prefix in one go.
func union(all []branch) (sets list) {
	for n := 0; n < len(all); {
		same := branch{prefix: all[n].prefix}
		for ; n < len(all) && all[n].prefix == same.prefix; n++ {
			same.domains = append(same.domains, all[n].domains...)
		}
		slices.Sort(same.domains)
		sets = append(sets, same.match())
	}
	return sets
}

// steps are what is asked of a request, in the order of the built-in proxy.
func (w writer) steps(b branch) list {
	o := b.rule.Options
	var steps list
	if o.HSTSSeconds > 0 {
		steps = append(steps, w.hsts(o.HSTSSeconds))
	}
	if len(o.DenyIPs) > 0 {
		steps = append(steps, object{"match": list{object{"remote_ip": object{"ranges": o.DenyIPs}}}, "handle": failing(403)})
	}
	if len(o.AllowIPs) > 0 {
		steps = append(steps, object{"match": list{object{"not": list{object{"remote_ip": object{"ranges": o.AllowIPs}}}}}, "handle": failing(403)})
	}
	if o.RedirectHTTPS {
		steps = append(steps, object{"match": list{object{"not": w.secure()}}, "handle": redirect(308, "https://{http.request.host}{http.request.uri}")})
	}
	if len(o.BasicAuth) > 0 {
		steps = append(steps, object{"handle": list{signIn(o.BasicAuth)}})
	}
	if o.Maintenance {
		return append(steps, answering(nil, proxy.MaintenanceAnswer(o.MaintenanceNote))...)
	}
	if o.RedirectTo != "" {
		return append(steps, object{"handle": redirect(cmp.Or(o.RedirectCode, 307), destination(o.RedirectTo))})
	}
	if o.NoWebSockets {
		steps = append(steps, answering(object{"header_regexp": object{"Connection": object{"pattern": `(?i)(?:^|,)\s*upgrade\s*(?:,|$)`}}}, proxy.UpgradeAnswer())...)
	}
	if o.MaxBodyBytes > 0 {
		steps = append(steps, object{"handle": list{object{"handler": "request_body", "max_size": o.MaxBodyBytes}}})
	}
	if o.Compress {
		steps = append(steps, object{"handle": list{compressing()}})
	}
	return append(steps, w.lead(b)...)
}

// compressing makes the same kinds of content smaller as the built-in proxy.
func compressing() object {
	var kinds list
	for _, kind := range proxy.CompressedTypes() {
		kinds = append(kinds, kind+"*") // parameters may follow
	}
	return object{"handler": "encode", "encodings": object{"gzip": object{}}, "minimum_length": 1024, "match": object{"headers": object{"Content-Type": kinds}}}
}

// guards refuse what no target is to see, and take away what only we may say.
func (w writer) guards() list {
	g := list{
		object{"match": list{object{"method": list{"CONNECT", "TRACE"}}}, "handle": failing(405)},
		object{"match": list{object{"vars_regexp": object{"{http.request.uri.path}": object{"pattern": `/\.\.?(?:/|$)`}}}}, "handle": failing(400)},
		object{"handle": list{object{"handler": "headers", "request": object{"delete": lookalikes}}}},
		object{
			"match":  list{object{"header_regexp": object{"Upgrade": object{"pattern": `(?i)(?:^|,)\s*h2c\s*(?:,|$)`}}}},
			"handle": list{object{"handler": "headers", "request": object{"delete": list{"Upgrade", "Connection"}}}},
		},
	}
	own := object{"handle": list{object{"handler": "headers", "request": object{
		"delete": list{"X-Forwarded-*"}, "set": object{"X-Real-Ip": list{"{http.request.remote.host}"}},
	}}}}
	if len(w.table.Trusted) > 0 {
		own["match"] = list{object{"not": list{w.trusted()}}}
	}
	return append(g, own)
}

// lookalikes are headers that some servers read as those that only we may set, as they write _ for -, and the wish for a tunnel.
var lookalikes = list{
	"Forwarded", "Http2-Settings", "X_Forwarded_*", "X-Forwarded_*", "X_Forwarded-*", "X_Real_Ip", "X-Real_Ip", "X_Real-Ip", "Content_Length", "Transfer_Encoding",
}

// trusted matches requests that come from a proxy that is believed.
func (w writer) trusted() object {
	ranges := make([]string, 0, len(w.table.Trusted))
	for _, p := range w.table.Trusted {
		ranges = append(ranges, p.String())
	}
	return object{"remote_ip": object{"ranges": ranges}}
}

// secure matches requests whose client came over TLS, as far as anybody knows.
func (w writer) secure() list {
	tls := object{"protocol": "https"}
	if len(w.table.Trusted) == 0 {
		return list{tls}
	}
	said, told := w.trusted(), w.trusted()
	told["header"] = object{"X-Forwarded-Proto": list{"https"}}
	said["header"] = object{"X-Forwarded-Proto": list{"*"}}
	tls["not"] = list{said}
	return list{told, tls}
}
