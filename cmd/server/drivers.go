package main

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net"
	"net/netip"
	"net/url"
	"os"
	"path/filepath"
	"strings"

	"github.com/tiny-forge/docker-watcher/internal/api"
	"github.com/tiny-forge/docker-watcher/internal/caddy"
	"github.com/tiny-forge/docker-watcher/internal/config"
	"github.com/tiny-forge/docker-watcher/internal/docker"
	"github.com/tiny-forge/docker-watcher/internal/events"
	"github.com/tiny-forge/docker-watcher/internal/proxy"
	"github.com/tiny-forge/docker-watcher/internal/routing"
	"github.com/tiny-forge/docker-watcher/internal/store"
	"github.com/tiny-forge/docker-watcher/internal/traefik"
)

const (
	// tokenFile in the data folder is what Traefik has to show, unless a flag names another file.
	tokenFile     = "traefik-token"
	shortestToken = 32
)

var errTraefikToken = errors.New("the token of Traefik cannot be used")

// driver has a program that somebody runs beside us answer by a table.
type driver interface {
	routing.Proxy
	api.Driver
	Run(ctx context.Context) error
}

// another is a proxy that is a program of its own.
type another struct {
	name   config.ProxyDriver
	driver driver
	fetch  *api.Fetching // nil: it is told, and does not ask
	labels *traefik.Site // nil: it has none
	at     string        // where it serves routes, as far as we know
	line   string        // for the person at the terminal
}

// newAnotherFront joins such a proxy and what keeps it in step. The policy that it returns says beside what the proxy cannot do.
func newAnotherFront(ctx context.Context, cfg config.Config, policy proxy.Policy, db *store.DB, fleet *docker.Fleet, bus *events.Bus, log *slog.Logger) (*front, proxy.Policy, error) {
	f := &front{}
	turned := func(t proxy.Turn, why string) { f.router.Turned(ctx, t, why) }
	var err error
	if cfg.ProxyDriver == config.DriverTraefik {
		f.another, err = newTraefik(cfg, &policy, turned, log)
	} else {
		f.another, err = newCaddy(cfg, &policy, turned, log)
	}
	if err != nil {
		return nil, policy, err
	}
	f.router = routing.New(db, fleet, bus, f.another.driver, policy, log)
	return f, policy, nil
}

func newCaddy(cfg config.Config, policy *proxy.Policy, turned func(proxy.Turn, string), log *slog.Logger) (*another, error) {
	if own, ok := listensAt(cfg.ProxyHTTP); ok {
		policy.Own = append(policy.Own, own)
	}
	o := caddy.Options{
		Admin: cfg.Caddy.Admin, Site: caddy.Site{Server: cfg.Caddy.Server, Listen: cfg.ProxyHTTP, Admin: adminAt(cfg.Caddy.Admin)},
		File: filepath.Join(cfg.Data, tableFile), Policy: *policy, Mend: cfg.Mend, Turned: turned, Log: log,
	}
	d, err := caddy.New(o)
	if err != nil {
		return nil, err
	}
	policy.Fits = d.Fits
	at := cfg.ProxyHTTP
	if cfg.Caddy.Server != "" {
		at = "server " + cfg.Caddy.Server
	}
	return &another{name: cfg.ProxyDriver, driver: d, at: at, line: fmt.Sprintf("Caddy serves routes at %s, told by %s\n", at, cfg.Caddy.Admin)}, nil
}

func newTraefik(cfg config.Config, policy *proxy.Policy, turned func(proxy.Turn, string), log *slog.Logger) (*another, error) {
	file := cfg.Traefik.TokenFile
	if file == "" {
		file = filepath.Join(cfg.Data, tokenFile)
		if err := makeToken(file); err != nil {
			return nil, fmt.Errorf("%w: %w", errTraefikToken, err)
		}
	}
	secret, err := os.ReadFile(file)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", errTraefikToken, err)
	}
	token := strings.TrimSpace(string(secret))
	if len(token) < shortestToken {
		return nil, fmt.Errorf("%w: %s holds fewer than %d characters", errTraefikToken, file, shortestToken)
	}
	site := traefik.Site{Resolver: cfg.Traefik.Resolver}
	d := traefik.New(traefik.Options{Site: site, Interval: cfg.Traefik.Interval, File: filepath.Join(cfg.Data, tableFile), Policy: *policy, Turned: turned, Log: log})
	policy.Fits = d.Fits
	return &another{
		name: cfg.ProxyDriver, driver: d, fetch: &api.Fetching{Token: token, Fetch: d.Fetch}, labels: &site, at: "the entry points of Traefik",
		line: fmt.Sprintf("Traefik may ask for routes at %s with the token in %s\n", api.TraefikPath, file),
	}, nil
}

// makeToken makes the file of a token, unless it is there.
func makeToken(file string) error {
	f, err := os.OpenFile(file, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if errors.Is(err, fs.ErrExist) {
		return nil
	}
	if err != nil {
		return err
	}
	_, err = f.WriteString("dwt_" + rand.Text() + rand.Text() + "\n")
	return errors.Join(err, f.Close())
}

// listensAt is where a host:port without a name listens; false: nobody knows.
func listensAt(hostPort string) (netip.AddrPort, bool) {
	if strings.HasPrefix(hostPort, ":") {
		hostPort = "0.0.0.0" + hostPort
	}
	at, err := netip.ParseAddrPort(hostPort)
	return at, err == nil
}

// adminAt is where an admin API listens, as host:port; empty: not on the network.
func adminAt(address string) string {
	u, err := url.Parse(address)
	if err != nil || u.Scheme == "unix" {
		return ""
	}
	port := u.Port()
	if port == "" {
		port = map[string]string{"http": "80", "https": "443"}[u.Scheme]
	}
	return net.JoinHostPort(u.Hostname(), port)
}

// routes are what the API shows and changes the routes by.
func (a *another) routes(cfg config.Config, router *routing.Router, policy proxy.Policy) api.Routes {
	return api.Routes{
		Policy: policy, Router: router, Proxy: a.driver, Listen: a.at, DriverName: string(a.name), Driver: a.driver, Fetching: a.fetch, Labels: a.labels,
		Folder: certificateFolder(cfg),
	}
}
