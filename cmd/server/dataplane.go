package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"

	"golang.org/x/sync/errgroup"

	"github.com/tiny-forge/docker-watcher/internal/certs"
	"github.com/tiny-forge/docker-watcher/internal/config"
	"github.com/tiny-forge/docker-watcher/internal/plane"
	"github.com/tiny-forge/docker-watcher/internal/proxy"
)

// startProxy is start for server proxy.
func startProxy(args []string, getenv func(string) string, stdout, stderr io.Writer) int {
	cfg, err := config.LoadProxy(args, getenv)
	switch {
	case errors.Is(err, config.ErrHelp):
		tell(stdout, "%s", config.ProxyHelp())
		return exitOK
	case errors.Is(err, config.ErrVersion):
		tell(stdout, "docker-watcher server proxy %s\n", buildVersion())
		return exitOK
	case err != nil:
		tell(stderr, "server proxy: %v\nhint: server proxy --help explains every flag\n", err)
		return exitUsage
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	context.AfterFunc(ctx, stop) // a second signal ends the process at once
	if err := runProxy(ctx, cfg, getenv, newLog(cfg, stderr), stdout); err != nil {
		tellEnd("server proxy", err, cfg, stderr)
		return exitFault
	}
	return exitOK
}

// runProxy serves until ctx ends, or until another process has taken the place and nothing is open in this one.
func runProxy(ctx context.Context, cfg config.Config, getenv func(string) string, log *slog.Logger, stdout io.Writer) error {
	log.Info("starting", "version", buildVersion(), "proxy_http", cfg.ProxyHTTP, "data", cfg.Data, "proxy_socket", cfg.ProxySocket)
	again := make(chan os.Signal, 1)
	signal.Notify(again, syscall.SIGHUP)
	defer signal.Stop(again)
	if err := checkFolder(cfg.Data); err != nil {
		return err
	}
	p, err := openPlane(ctx, cfg, getenv, log)
	if err != nil {
		return err
	}
	ctx, end := context.WithCancel(ctx)
	defer end()
	group, ctx := errgroup.WithContext(ctx)
	group.Go(func() error {
		defer end()
		return p.Run(ctx, func() {
			tell(stdout, "docker-watcher serves routes at %s (data plane, pid %d)\n", placesOf(p.Hello()), os.Getpid())
			if err := tellSystemd(ctx, getenv("NOTIFY_SOCKET"), fmt.Sprintf("MAINPID=%d\nREADY=1\n", os.Getpid())); err != nil {
				log.Warn("systemd was not told that this process serves", "error", err)
			}
		})
	})
	group.Go(func() error { return startSuccessors(ctx, again, p, log) })
	group.Go(func() error { return giveBackMemory(func(context.Context) error { return nil }, log)(ctx) })
	err = group.Wait()
	log.Info("stopped")
	return err
}

// openPlane takes the place of the data plane that runs, if that is wanted and there is one, else opens everything itself.
func openPlane(ctx context.Context, cfg config.Config, getenv func(string) string, log *slog.Logger) (*plane.Plane, error) {
	activated, err := fromSystemd(getenv)
	if err != nil {
		return nil, err
	}
	keep := certificateOptions(cfg, log)
	folder, err := filepath.Abs(string(keep.Folder)) // the daemon compares it with its own
	if err != nil {
		return nil, fmt.Errorf("find the folder of the certificates: %w", err)
	}
	keep.Folder = certs.Folder(folder)
	o := plane.Options{
		Proxy:  proxy.ServerOptions{File: filepath.Join(cfg.Data, tableFile), Policy: proxy.Policy{Local: isLocal}, Log: log},
		Socket: cfg.ProxySocket, HTTP: cfg.ProxyHTTP, HTTPS: cfg.ProxyHTTPS, Patience: cfg.ProxyPatience, Version: buildVersion(), Log: log,
		Certs: keep,
		Open: func(ctx context.Context, _, address string) (net.Listener, error) {
			if l := activated.take(address); l != nil {
				return l, nil
			}
			return listenProxy(ctx, address)
		},
	}
	defer activated.close()
	if cfg.ProxyTakeOver {
		if p, err := plane.Take(ctx, o); !errors.Is(err, plane.ErrNobody) {
			return p, err
		}
		log.Info("no data plane runs whose place could be taken")
	}
	return plane.New(ctx, o)
}

// placesOf is where a browser on this machine finds what is served.
func placesOf(h plane.Hello) string {
	var places []string
	for _, l := range h.Listeners {
		at, err := net.ResolveTCPAddr("tcp", l.At)
		if err != nil {
			places = append(places, l.At)
			continue
		}
		places = append(places, l.Name+strings.TrimPrefix(baseURL(at), "http"))
	}
	return strings.Join(places, " and ")
}
