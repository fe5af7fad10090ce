package main

import (
	"log/slog"
	"net"
	"path/filepath"

	"github.com/tiny-forge/docker-watcher/internal/certs"
	"github.com/tiny-forge/docker-watcher/internal/config"
	"github.com/tiny-forge/docker-watcher/internal/store"
)

// certificatesFolder in the data folder holds certificates, their keys, and our accounts at authorities.
const certificatesFolder = "certificates"

func certificateFolder(cfg config.Config) certs.Folder {
	return certs.Folder(filepath.Join(cfg.Data, certificatesFolder))
}

// newCertificates is what keeps certificates; nil without a listener over TLS.
func newCertificates(cfg config.Config, secure net.Listener, told func(certs.Event), log *slog.Logger) *certs.Keeper {
	if secure == nil {
		return nil
	}
	o := certificateOptions(cfg, log)
	o.Told = told
	return certs.New(o)
}

// certificateOptions are the same in the daemon and in the data plane.
func certificateOptions(cfg config.Config, log *slog.Logger) certs.Options {
	return certs.Options{Folder: certificateFolder(cfg), OverHTTP: true, Open: store.OpenerOf(cfg.Data), Log: log}
}

// portOf is the port of a listener; 0: there is none.
func portOf(l net.Listener) int {
	if l == nil {
		return 0
	}
	if at, ok := l.Addr().(*net.TCPAddr); ok {
		return at.Port
	}
	return 0
}

// proxyAddresses are where the proxy is to listen, for people.
func proxyAddresses(cfg config.Config) string {
	if cfg.ProxyHTTPS == "" {
		return cfg.ProxyHTTP
	}
	return cfg.ProxyHTTP + " or " + cfg.ProxyHTTPS
}
