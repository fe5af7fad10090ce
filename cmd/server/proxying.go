package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"slices"

	"github.com/tiny-forge/docker-watcher/internal/api"
	"github.com/tiny-forge/docker-watcher/internal/certs"
	"github.com/tiny-forge/docker-watcher/internal/config"
	"github.com/tiny-forge/docker-watcher/internal/deploy"
	"github.com/tiny-forge/docker-watcher/internal/docker"
	"github.com/tiny-forge/docker-watcher/internal/events"
	"github.com/tiny-forge/docker-watcher/internal/plane"
	"github.com/tiny-forge/docker-watcher/internal/proxy"
	"github.com/tiny-forge/docker-watcher/internal/routing"
	"github.com/tiny-forge/docker-watcher/internal/stale"
	"github.com/tiny-forge/docker-watcher/internal/store"
)

// tableFile in the data folder is the last good table of the proxy.
const tableFile = "proxy-table.json"

// errProxyListen is that the port of the proxy cannot be had.
var errProxyListen = errors.New("the proxy cannot listen")

// front is the built-in proxy with what keeps it in step, or another one; nil without a listener or another one. The built-in one serves by itself, or has
// another process serve.
type front struct {
	*sites                // nil: another process or another proxy serves
	plane   *plane.Client // nil: it serves by itself
	another *another      // nil: the built-in one
	router  *routing.Router
	counter *routing.Counter
}

// listenProxy takes a port of the proxy; nil: none is wanted.
func listenProxy(ctx context.Context, addr string) (net.Listener, error) {
	if addr == "" {
		return nil, nil //nolint:nilnil // no proxy is no error
	}
	l, err := listen(ctx, addr)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", errProxyListen, err)
	}
	return l, nil
}

// proxyPolicy refuses targets that lead back to our own listeners; l may be nil.
func proxyPolicy(listeners ...net.Listener) proxy.Policy {
	p := proxy.Policy{Local: isLocal, Names: &proxy.Names{}}
	for _, l := range listeners {
		if l == nil {
			continue
		}
		if at, err := netip.ParseAddrPort(l.Addr().String()); err == nil {
			p.Own = append(p.Own, at)
		}
	}
	return p
}

// isLocal tells whether an address is one of this machine. In doubt it is none: the header Via ends a circle too.
func isLocal(addr netip.Addr) bool {
	all, err := net.InterfaceAddrs()
	return err == nil && slices.ContainsFunc(all, func(a net.Addr) bool {
		p, err := netip.ParsePrefix(a.String())
		return err == nil && p.Addr().Unmap() == addr
	})
}

// newFront joins the proxy and what keeps it in step. It answers by the last good table until the first one is made.
func newFront(ctx context.Context, cfg config.Config, s *sites, policy proxy.Policy, db *store.DB, fleet *docker.Fleet, bus *events.Bus, log *slog.Logger) *front {
	if cfg.ProxySocket != "" {
		return newApart(ctx, cfg, policy, db, fleet, bus, log)
	}
	if s.listener == nil {
		return nil
	}
	f := &front{sites: s}
	s.build(cfg, policy, hears{
		flipped:     func(flip proxy.Flip) { f.router.Flipped(ctx, flip) },
		missed:      func(ref string) { f.router.Missed(ref) },
		certificate: func(e certs.Event) { f.router.Certificate(ctx, e) },
	}, log)
	f.router = routing.New(db, fleet, bus, f.server, policy, log)
	f.counter = routing.NewCounter(db, f.server, log)
	return f
}

// hearEngines has the proxy know at once when a container comes or goes that somebody named.
func (f *front) hearEngines(scanner *stale.Scanner) {
	if f == nil {
		return
	}
	scanner.OverhearBy(f.router.Overhear)
}

// sealRoutes seals what routes of former versions say openly. One that cannot be written is tried at the next start: all works meanwhile.
func sealRoutes(ctx context.Context, db *store.DB, log *slog.Logger) {
	sealed, err := routing.SealOptions(ctx, db)
	if err != nil {
		log.WarnContext(ctx, "the secrets of routes are not sealed yet", "error", err)
	} else if sealed > 0 {
		log.InfoContext(ctx, "the secrets of routes were sealed", "routes", sealed)
	}
}

// serveDeploys lets deploys switch and drain by the proxy.
func (f *front) serveDeploys(d *deploy.Deployer) {
	if f == nil {
		return
	}
	d.SwitchBy(f.router.Switch)
	d.DrainBy(f.router.Drained)
}

// routes are what the API shows and changes the routes by.
func (f *front) routes(cfg config.Config, policy proxy.Policy) api.Routes {
	if f == nil {
		return api.Routes{Policy: policy, Folder: certificateFolder(cfg)}
	}
	if f.another != nil {
		return f.another.routes(cfg, f.router, policy)
	}
	if f.plane != nil {
		return api.Routes{
			Policy: f.knowing(policy), Router: f.router, Proxy: f.plane, Apart: f.apart, Counter: f.counter, Certificates: f.plane, Folder: certificateFolder(cfg),
		}
	}
	r := api.Routes{
		Policy: policy, Router: f.router, Proxy: f.server, Counter: f.counter, Listen: f.listener.Addr().String(), Certificates: f.server, Folder: certificateFolder(cfg),
	}
	if f.secure != nil {
		r.ListenHTTPS = f.secure.Addr().String()
	}
	return r
}

// parts are what runs as long as the daemon. The sites, which may outlive it, go on until ctx ends.
func (f *front) parts(ctx context.Context) []func(context.Context) error {
	if f == nil {
		return nil
	}
	if f.another != nil {
		return []func(context.Context) error{f.another.driver.Run, f.router.Run}
	}
	if f.plane != nil {
		return []func(context.Context) error{f.plane.Run, f.router.Run, f.counter.Run}
	}
	f.begin(ctx)
	return []func(context.Context) error{f.serve, f.router.Run, f.counter.Run}
}

// serve ends the sites with the daemon. When it ends because its database is damaged, they are left as they are: nobody visits the database.
func (f *front) serve(running context.Context) error {
	select {
	case <-f.over:
	case <-running.Done():
		if errors.Is(context.Cause(running), store.ErrCorrupt) {
			f.alone.Store(true)
			return nil
		}
	}
	err := f.wait(running)
	return errors.Join(err, f.counter.Keep(running)) // of those who came last
}

// proxyLine says where routes are served, for the person at the terminal.
func (f *front) proxyLine() string {
	if f == nil {
		return ""
	}
	if f.another != nil {
		return f.another.line
	}
	if f.plane != nil {
		return f.apartLine()
	}
	return f.line()
}
