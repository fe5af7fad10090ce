package proxy

import (
	"cmp"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"slices"
	"strconv"
	"strings"
)

// malformed says why a request is answered by nobody; zero: it may go on.
func malformed(r *http.Request) (status int, why string) {
	switch {
	case r.Method == http.MethodConnect || r.Method == http.MethodTrace:
		return http.StatusMethodNotAllowed, "the method " + r.Method + " is not served"
	case r.URL.IsAbs() && (r.URL.Scheme != "http" && r.URL.Scheme != "https" || r.URL.Host == "") || r.URL.User != nil:
		return http.StatusBadRequest, "the address of the request is not one of http"
	case !strings.HasPrefix(r.URL.Path, "/"):
		return http.StatusBadRequest, "the request has no path"
	case hasDots(r.URL.Path):
		// Targets read x/../y as y: a rule of its own for y would be got round.
		return http.StatusBadRequest, "the path must not hold . or .. as a part"
	case strings.Contains(r.URL.Path, "\x00"):
		return http.StatusBadRequest, "the path must not hold a zero byte"
	}
	return 0, ""
}

// mostHops is by how many proxies a request may have come: even a circle of others that forget us comes to an end.
const mostHops = 20

// circles tells that a request was here before, or goes round elsewhere.
func (s *Server) circles(h http.Header) bool {
	hops := 0
	for _, via := range h["Via"] {
		if strings.Contains(via, s.name) {
			return true
		}
		hops += 1 + strings.Count(via, ",")
	}
	return hops > mostHops
}

// Origin says who sent a request: the client's address and whether it came over TLS, as a proxy that we believe says, else as we see it.
func Origin(r *http.Request, trusted []netip.Prefix) (client netip.Addr, believed, secure bool) {
	client, secure = addrOf(r.RemoteAddr), r.TLS != nil
	if len(trusted) == 0 || !within(trusted, client) {
		return client, false, secure
	}
	if proto := r.Header.Get("X-Forwarded-Proto"); proto != "" {
		secure = strings.EqualFold(proto, "https")
	}
	return farthest(client, r.Header["X-Forwarded-For"], trusted), true, secure
}

// farthest walks from the nearest proxy to the first address that is none of those we believe.
func farthest(client netip.Addr, forwarded []string, trusted []netip.Prefix) netip.Addr {
	hops := strings.Split(strings.Join(forwarded, ","), ",")
	for _, hop := range slices.Backward(hops) {
		hop = strings.TrimSpace(hop)
		addr, err := netip.ParseAddr(strings.Trim(hop, "[]"))
		if err != nil {
			if addr = addrOf(hop); !addr.IsValid() {
				return client
			}
		}
		client = addr.Unmap().WithZone("")
		if !within(trusted, client) {
			return client
		}
	}
	return client
}

// upgrades tells that a request wants another protocol, as a WebSocket does.
func upgrades(r *http.Request) bool {
	for _, v := range r.Header["Connection"] {
		for token := range strings.SplitSeq(v, ",") {
			if strings.EqualFold(strings.TrimSpace(token), "upgrade") {
				return true
			}
		}
	}
	return false
}

// sayHSTS tells a client that came over TLS to come so again.
func (o Options) sayHSTS(h http.Header) {
	if o.HSTSSeconds > 0 {
		h.Set("Strict-Transport-Security", "max-age="+strconv.Itoa(o.HSTSSeconds))
	}
}

// secureURL is the address of a request over TLS; port 0 is the usual one.
func secureURL(r *http.Request, port int) string {
	host := r.Host
	if name, _, err := net.SplitHostPort(host); err == nil {
		host = name
		if strings.Contains(name, ":") {
			host = "[" + name + "]"
		}
	}
	if port != 0 && port != 443 {
		host += ":" + strconv.Itoa(port)
	}
	return (&url.URL{Scheme: "https", Host: host, Path: r.URL.Path, RawPath: r.URL.RawPath, RawQuery: r.URL.RawQuery}).String()
}

// redirectURL is where a rule sends a request: one that names only a host is followed by the path of the request.
func (o Options) redirectURL(r *http.Request) (string, int) {
	to := o.RedirectTo
	if u, err := url.Parse(to); err == nil && u.Path == "" && u.RawQuery == "" {
		u.Path, u.RawPath, u.RawQuery = r.URL.Path, r.URL.RawPath, r.URL.RawQuery
		to = u.String()
	}
	return to, cmp.Or(o.RedirectCode, http.StatusTemporaryRedirect)
}
