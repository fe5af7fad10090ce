package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"time"

	"github.com/tiny-forge/docker-watcher/internal/deploy"
	"github.com/tiny-forge/docker-watcher/internal/docker"
	"github.com/tiny-forge/docker-watcher/internal/proxy"
	"github.com/tiny-forge/docker-watcher/internal/store"
)

const (
	// routesEvery is how soon a change of routes that no deploy makes (a cleanup, a restore) is carried out.
	routesEvery = time.Second
	// proxyDrain is for how long requests that are led may go on at a shutdown.
	proxyDrain = 20 * time.Second
)

// errDoor is an address at which routes cannot be served.
var errDoor = errors.New("routes cannot be served")

// openDoor takes the port at which routes are served; nil: they are not.
func openDoor(ctx context.Context, addr string) (net.Listener, error) {
	if addr == "" {
		return nil, nil
	}
	door, err := listen(ctx, addr)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", errDoor, err)
	}
	return door, nil
}

// routeBy has deploys switch the routes that are served behind a door, and returns what is to be run for that. Without a door there is
// nothing.
func routeBy(ctx context.Context, door net.Listener, db *store.DB, fleet *docker.Fleet, deployer *deploy.Deployer, log *slog.Logger) ([]func(context.Context) error, error) {
	if door == nil {
		return nil, nil
	}
	r := newRouting(db, fleet, log)
	if err := r.apply(ctx); err != nil {
		return nil, err
	}
	deployer.SwitchBy(r.Switch)
	return []func(context.Context) error{r.Follow, r.serve(door)}, nil
}

// routing keeps the proxy's table as the store has it.
type routing struct {
	db    *store.DB
	fleet *docker.Fleet
	log   *slog.Logger
	proxy *proxy.Proxy
}

func newRouting(db *store.DB, fleet *docker.Fleet, log *slog.Logger) *routing {
	r := &routing{db: db, fleet: fleet, log: log}
	r.proxy = proxy.New(r.find, (&net.Dialer{}).DialContext, log)
	return r
}

// apply takes over the table of the store.
func (r *routing) apply(ctx context.Context) error {
	led, err := r.db.LedAddresses(ctx)
	if err != nil {
		return err
	}
	routes := make([]proxy.Route, 0, len(led))
	for _, a := range led {
		routes = append(routes, proxy.Route{Domain: a.Domain, Path: a.PathPrefix, Instance: a.InstanceID, Port: a.Port})
	}
	r.proxy.Apply(routes)
	return nil
}

// Switch carries out what a deploy wrote. Nothing is led to an instance whose port cannot be reached.
func (r *routing) Switch(ctx context.Context, _ store.Stage, to store.InstanceView) error {
	led, err := r.db.LedAddresses(ctx)
	if err != nil {
		return err
	}
	for _, a := range led {
		if a.InstanceID != to.ID {
			continue
		}
		if err := r.proxy.Reach(ctx, to.ID, a.Port); err != nil {
			return fmt.Errorf("lead %s to %s: %w", a.Domain, to.Name, err)
		}
	}
	return r.apply(ctx)
}

// find tells where a port of an instance is reached now.
func (r *routing) find(ctx context.Context, instance string, port int) ([]string, error) {
	v, err := r.db.Instance(ctx, instance)
	if err != nil {
		return nil, err
	}
	e, err := r.fleet.Engine(v.HostID)
	if err != nil {
		return nil, fmt.Errorf("host %s: %w", v.Host, err)
	}
	c, err := e.Inspect(ctx, v.ContainerID)
	if err != nil {
		return nil, fmt.Errorf("look where %s listens: %w", v.Name, err)
	}
	return deploy.Addresses(e, c, port), nil
}

// Follow carries out changes of routes until ctx ends.
func (r *routing) Follow(ctx context.Context) error {
	tick := time.NewTicker(routesEvery)
	defer tick.Stop()
	for seen := int64(-1); ; {
		if now := r.db.Commits(); now != seen {
			if err := r.apply(ctx); err == nil {
				seen = now
			} else if ctx.Err() == nil {
				r.log.Error("the routes could not be read: requests are led as before", "error", err)
			}
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return nil
		}
	}
}

// serve leads requests until ctx ends and those under way are over, or their patience.
func (r *routing) serve(listener net.Listener) func(context.Context) error {
	srv := &http.Server{
		Handler: r.proxy, ReadHeaderTimeout: headerTimeout, IdleTimeout: idleTimeout, MaxHeaderBytes: maxHeader,
		ErrorLog: slog.NewLogLogger(r.log.Handler(), slog.LevelDebug),
	}
	return func(ctx context.Context) error {
		ended := context.AfterFunc(ctx, func() {
			ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), proxyDrain)
			defer cancel()
			if srv.Shutdown(ctx) != nil {
				_ = srv.Close() // its connections are cut off
			}
		})
		defer ended()
		if err := srv.Serve(listener); !errors.Is(err, http.ErrServerClosed) {
			return fmt.Errorf("lead requests on %s: %w", listener.Addr(), err)
		}
		return nil
	}
}
