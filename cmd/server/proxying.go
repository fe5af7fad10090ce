package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"path/filepath"
	"slices"

	"github.com/tiny-forge/docker-watcher/internal/api"
	"github.com/tiny-forge/docker-watcher/internal/config"
	"github.com/tiny-forge/docker-watcher/internal/deploy"
	"github.com/tiny-forge/docker-watcher/internal/docker"
	"github.com/tiny-forge/docker-watcher/internal/events"
	"github.com/tiny-forge/docker-watcher/internal/proxy"
	"github.com/tiny-forge/docker-watcher/internal/routing"
	"github.com/tiny-forge/docker-watcher/internal/store"
)

// tableFile in the data folder is the last good table of the proxy.
const tableFile = "proxy-table.json"

// errProxyListen is that the port of the proxy cannot be had.
var errProxyListen = errors.New("the proxy cannot listen")

// front is the built-in proxy with what keeps it in step, or another one; nil without a listener or another one.
type front struct {
	listener net.Listener  // nil: of another proxy
	server   *proxy.Server // nil: another proxy
	another  *another
	router   *routing.Router
}

// listenProxy takes the port of the proxy; nil: none is wanted.
func listenProxy(ctx context.Context, cfg config.Config) (net.Listener, error) {
	if cfg.ProxyHTTP == "" || cfg.ProxyDriver != config.DriverBuiltin {
		return nil, nil //nolint:nilnil // no proxy is no error
	}
	l, err := listen(ctx, cfg.ProxyHTTP)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", errProxyListen, err)
	}
	return l, nil
}

// proxyPolicy refuses targets that lead back to our own listeners; l may be nil.
func proxyPolicy(listeners ...net.Listener) proxy.Policy {
	p := proxy.Policy{Local: isLocal}
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
func newFront(ctx context.Context, cfg config.Config, l net.Listener, policy proxy.Policy, db *store.DB, fleet *docker.Fleet, bus *events.Bus, log *slog.Logger) *front {
	if l == nil {
		return nil
	}
	f := &front{listener: l}
	f.server = proxy.NewServer(proxy.ServerOptions{
		File: filepath.Join(cfg.Data, tableFile), Policy: policy, Log: log,
		Flipped: func(flip proxy.Flip) { f.router.Flipped(ctx, flip) },
		Missed:  func(ref string) { f.router.Missed(ref) },
	})
	if err := f.server.Resume(); err != nil {
		log.Warn("the last good table of the proxy cannot be used: nothing is served until a new one is made", "error", err)
	}
	f.router = routing.New(db, fleet, bus, f.server, policy, log)
	return f
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
func (f *front) routes(policy proxy.Policy) api.Routes {
	if f == nil {
		return api.Routes{Policy: policy}
	}
	if f.another != nil {
		return f.another.routes(f.router, policy)
	}
	return api.Routes{Policy: policy, Router: f.router, Proxy: f.server, Listen: f.listener.Addr().String()}
}

// parts are what runs as long as the daemon.
func (f *front) parts() []func(context.Context) error {
	if f == nil {
		return nil
	}
	if f.another != nil {
		return []func(context.Context) error{f.another.driver.Run, f.router.Run}
	}
	serve := func(ctx context.Context) error { return f.server.Serve(ctx, f.listener, drainTimeout) }
	return []func(context.Context) error{serve, f.server.Run, f.router.Run}
}

// proxyLine says where routes are served, for the person at the terminal.
func (f *front) proxyLine() string {
	if f == nil {
		return ""
	}
	if f.another != nil {
		return f.another.line
	}
	return fmt.Sprintf("docker-watcher serves routes at %s\n", baseURL(f.listener.Addr()))
}
