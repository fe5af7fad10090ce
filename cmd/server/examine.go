package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"

	"github.com/tiny-forge/docker-watcher/internal/backup"
	"github.com/tiny-forge/docker-watcher/internal/config"
	"github.com/tiny-forge/docker-watcher/internal/doctor"
	"github.com/tiny-forge/docker-watcher/internal/store"
)

var errIll = errors.New("not all is well")

// examine looks at everything that a daemon with these flags would stand on.
func examine(ctx context.Context, cfg config.Config, log *slog.Logger, stdout io.Writer) error {
	findings := []doctor.Finding{
		doctor.Folder(cfg.Data), doctor.Disk(cfg.Data), doctor.BackupFolder(backupFolder(cfg)),
		doctor.Store(ctx, store.Options{URL: cfg.Store, DataDir: cfg.Data, Log: log}, backup.RestoreCommand(cmp.Or(backup.Unfinished(cfg.Data), "FILE"), cfg.Data, cfg.Store)),
		doctor.Engine(ctx, cfg.DockerHost), doctor.Port(ctx, "listen", cfg.Listen),
	}
	for flag, addr := range map[string]string{"proxy-http": cfg.ProxyHTTP, "proxy-https": cfg.ProxyHTTPS} {
		if addr != "" {
			findings = append(findings, doctor.Port(ctx, flag, addr))
		}
	}
	failed := 0
	for _, f := range findings {
		mark := "ok"
		if !f.OK {
			mark = "!!"
			failed++
		}
		tell(stdout, "%s  %-20s %s\n", mark, f.Name, f.Detail)
		if f.Remedy != "" {
			tell(stdout, "    %-20s %s\n", "", f.Remedy)
		}
	}
	if failed > 0 {
		return fmt.Errorf("%w: %d of %d", errIll, failed, len(findings))
	}
	return nil
}
