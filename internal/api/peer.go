package api

import (
	"context"
	"net"
	"net/http"
	"net/netip"
	"slices"
	"sync"
	"time"

	"github.com/tiny-forge/docker-watcher/internal/proxy"
	"github.com/tiny-forge/docker-watcher/internal/store"
)

// peers are the proxies before the page whose word is believed of who comes: the setting trusted_proxies, read once and again when it changes.
type peers struct {
	read  func(context.Context) (store.Settings, error)
	mu    sync.Mutex
	known bool
	nets  []netip.Prefix
}

// peersTimeout bounds the one read of the setting.
const peersTimeout = 2 * time.Second

// trusted are their networks, where a request says something that may be believed; none while the store does not answer.
func (p *peers) trusted(r *http.Request) []netip.Prefix {
	if r.Header.Get("X-Forwarded-For") == "" && r.Header.Get("X-Forwarded-Proto") == "" {
		return nil
	}
	ctx, cancel := context.WithTimeout(r.Context(), peersTimeout)
	defer cancel()
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.known {
		return p.nets
	}
	settings, err := p.read(ctx)
	if err != nil {
		return nil
	}
	nets, err := proxy.ParsePrefixes(settings.TrustedProxies)
	if err != nil {
		return nil // the store holds only what can be read
	}
	p.nets, p.known = nets, true
	return nets
}

// changed has them read anew.
func (p *peers) changed() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.known = false
}

// forwarding are the headers by which a proxy tells of who comes. They tell that there is one, whoever sent them.
var forwarding = []string{"X-Forwarded-For", "X-Forwarded-Proto", "X-Forwarded-Host", "X-Real-Ip", "Forwarded", "Via"}

// newVisit says who sends a request, as a proxy that is believed says, else as we see it.
func newVisit(r *http.Request, trusted []netip.Prefix) visit {
	client, believed, secure := proxy.Origin(r, trusted)
	v := visit{method: r.Method, path: tellable(r.URL.Path), addr: r.RemoteAddr, userAgent: r.UserAgent(), https: secure}
	if host, _, err := net.SplitHostPort(r.RemoteAddr); err == nil {
		v.addr = host
	}
	if client.IsValid() {
		v.addr = client.String()
	}
	says := func(name string) bool { return r.Header.Get(name) != "" }
	local := client.IsLoopback()
	if !believed && local && r.Header.Get("X-Forwarded-Proto") == "https" {
		// What speaks TLS on this machine needs no setting for it: who lies here only makes their own cookie unusable. Where they come from
		// is another matter: a proxy that does not say it itself passes on what its client says.
		v.https = true
	}
	v.local = local && !slices.ContainsFunc(forwarding, says)
	v.unnamed = !believed && (says("X-Forwarded-For") || !v.https && r.Header.Get("X-Forwarded-Proto") == "https")
	return v
}
