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
// Requests that come while it is read wait for the same read, each as long as whoever sent it.
type peers struct {
	read func(context.Context) (store.Settings, error)

	mu      sync.Mutex // never held while it is read
	known   bool
	nets    []netip.Prefix
	reading chan struct{} // closed when the read that goes on has ended; nil: none does
	changes int           // a read that began before the last one counts no more
	failed  time.Time     // when the last read came to nothing
}

const (
	// peersTimeout bounds the one read of the setting.
	peersTimeout = 2 * time.Second
	// peersPause is how long nobody asks again a store that did not answer.
	peersPause = 3 * time.Second
)

// trusted are their networks, where a request says something that may be believed; none while the store does not answer.
func (p *peers) trusted(r *http.Request) []netip.Prefix {
	if r.Header.Get("X-Forwarded-For") == "" && r.Header.Get("X-Forwarded-Proto") == "" {
		return nil
	}
	for {
		nets, wait := p.ask(r.Context())
		if wait == nil {
			return nets
		}
		select {
		case <-wait:
		case <-r.Context().Done():
			return nil
		}
	}
}

// ask says what is known, or begins a read where one is needed and says what to wait for.
func (p *peers) ask(ctx context.Context) (nets []netip.Prefix, wait <-chan struct{}) {
	p.mu.Lock()
	defer p.mu.Unlock()
	switch {
	case p.known:
		return p.nets, nil
	case time.Since(p.failed) < peersPause:
		return nil, nil
	case p.reading == nil:
		p.reading = make(chan struct{})
		go p.learn(context.WithoutCancel(ctx), p.reading, p.changes) // it ends by its own limit: others wait for it too
	}
	return nil, p.reading
}

// learn reads the setting, and tells who waits for it.
func (p *peers) learn(ctx context.Context, done chan struct{}, changes int) {
	ctx, cancel := context.WithTimeout(ctx, peersTimeout)
	defer cancel()
	nets, err := p.now(ctx)
	p.mu.Lock()
	defer p.mu.Unlock()
	close(done)
	if p.changes != changes {
		return // another read counts
	}
	p.reading = nil
	if err != nil {
		p.failed = time.Now()
		return
	}
	p.nets, p.known = nets, true
}

func (p *peers) now(ctx context.Context) ([]netip.Prefix, error) {
	settings, err := p.read(ctx)
	if err != nil {
		return nil, err
	}
	return proxy.ParsePrefixes(settings.TrustedProxies)
}

// changed has them read anew.
func (p *peers) changed() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.known, p.reading, p.failed = false, nil, time.Time{}
	p.changes++
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
