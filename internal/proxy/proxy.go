// Package proxy leads requests to instances by a table of routes. The table is applied whole: a request is led by one table from its
// begin to its end, and what is under way goes on when another comes. Where an instance listens is asked when a connection to it is
// made, so that one that was started again elsewhere is found. Nothing here knows the store or an engine, and nothing starts by itself.
package proxy

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/http/httputil"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"time"
)

const (
	dialWithin = 5 * time.Second
	idleFor    = 90 * time.Second
	mostIdle   = 64 // connections to one instance
)

// Route leads what is below a path of a domain to a port of an instance.
type Route struct {
	Domain   string // lower case
	Path     string // it begins with /; the longest that fits counts
	Instance string // its id
	Port     int    // of the container
}

// Find tells at which addresses a port of an instance may be reached, the best first.
type Find func(ctx context.Context, instance string, port int) ([]string, error)

// Dial makes a TCP connection.
type Dial func(ctx context.Context, network, addr string) (net.Conn, error)

// Proxy is the handler of all requests.
type Proxy struct {
	find  Find
	dial  Dial
	table atomic.Pointer[table]
	lead  *httputil.ReverseProxy
}

// New is a proxy that leads nowhere yet.
func New(find Find, dial Dial, log *slog.Logger) *Proxy {
	p := &Proxy{find: find, dial: dial}
	p.table.Store(newTable(nil))
	p.lead = &httputil.ReverseProxy{
		Rewrite: p.rewrite,
		Transport: &http.Transport{
			DialContext: p.connect, DisableCompression: true, IdleConnTimeout: idleFor, MaxIdleConnsPerHost: mostIdle, Proxy: nil,
		},
		ErrorHandler: func(w http.ResponseWriter, r *http.Request, err error) {
			if !errors.Is(err, context.Canceled) {
				log.DebugContext(r.Context(), "a request was not led to its end", "domain", domainOf(r), "error", err)
			}
			say(w, http.StatusBadGateway, "what this leads to does not answer")
		},
		ErrorLog: slog.NewLogLogger(log.Handler(), slog.LevelDebug),
	}
	return p
}

// Apply takes a table in place of the former one. Requests that come after it are led by it.
func (p *Proxy) Apply(routes []Route) { p.table.Store(newTable(routes)) }

// Reach tells whether a connection to a port of an instance can be made.
func (p *Proxy) Reach(ctx context.Context, instance string, port int) error {
	conn, err := p.connect(ctx, "tcp", keyOf(instance, port))
	if err != nil {
		return fmt.Errorf("reach port %d: %w", port, err)
	}
	return conn.Close()
}

// ServeHTTP leads one request.
func (p *Proxy) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	to, led := p.table.Load().route(domainOf(r), r.URL.Path)
	if !led {
		say(w, http.StatusNotFound, "nothing is led to by this address")
		return
	}
	p.lead.ServeHTTP(w, r.WithContext(context.WithValue(r.Context(), toKey{}, to)))
}

// toKey is where the route of a request stands in its context.
type toKey struct{}

// rewrite sends a request to its instance. It keeps the domain that was asked for, and says who asks.
func (p *Proxy) rewrite(r *httputil.ProxyRequest) {
	if to, ok := r.In.Context().Value(toKey{}).(Route); ok {
		r.Out.URL.Scheme, r.Out.URL.Host = "http", keyOf(to.Instance, to.Port)
	}
	r.Out.Host = r.In.Host
	r.SetXForwarded()
}

// connect makes a connection to an instance by its key, at the first of its addresses where one can be made.
func (p *Proxy) connect(ctx context.Context, network, key string) (net.Conn, error) {
	instance, text, err := net.SplitHostPort(key)
	if err != nil {
		return nil, err
	}
	port, err := strconv.Atoi(text)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, dialWithin)
	defer cancel()
	addrs, err := p.find(ctx, instance, port)
	if err != nil {
		return nil, err
	}
	failed := []error{errors.New("it has no address")}
	for _, addr := range addrs {
		conn, err := p.dial(ctx, network, addr)
		if err == nil {
			return conn, nil
		}
		failed = append(failed[min(1, len(failed)):], err)
	}
	return nil, errors.Join(failed...)
}

// keyOf stands for an instance and its port where an address is wanted.
func keyOf(instance string, port int) string { return net.JoinHostPort(instance, strconv.Itoa(port)) }

// domainOf is what a request asks for, without a port.
func domainOf(r *http.Request) string {
	host := r.Host
	if name, _, err := net.SplitHostPort(host); err == nil {
		host = name
	}
	return strings.TrimSuffix(strings.ToLower(host), ".")
}

func say(w http.ResponseWriter, status int, text string) {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	w.Header().Set("X-Content-Type-Options", "nosniff")
	w.WriteHeader(status)
	_, _ = fmt.Fprintln(w, text) // who has gone is told nothing
}

// table is the routes by their domain, the longest path first.
type table struct{ byDomain map[string][]Route }

func newTable(routes []Route) *table {
	t := &table{byDomain: map[string][]Route{}}
	for _, r := range routes {
		t.byDomain[r.Domain] = append(t.byDomain[r.Domain], r)
	}
	for _, list := range t.byDomain {
		slices.SortFunc(list, func(a, b Route) int { return len(b.Path) - len(a.Path) })
	}
	return t
}

func (t *table) route(domain, path string) (Route, bool) {
	for _, r := range t.byDomain[domain] {
		below := strings.TrimSuffix(r.Path, "/")
		if path == below || strings.HasPrefix(path, below+"/") {
			return r, true
		}
	}
	return Route{}, false
}
