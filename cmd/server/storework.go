package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"path/filepath"
	"strings"
	"time"

	"github.com/tiny-forge/docker-watcher/internal/api"
	"github.com/tiny-forge/docker-watcher/internal/backup"
	"github.com/tiny-forge/docker-watcher/internal/config"
	"github.com/tiny-forge/docker-watcher/internal/doctor"
	"github.com/tiny-forge/docker-watcher/internal/schedule"
	"github.com/tiny-forge/docker-watcher/internal/store"
)

const backupTimeout = 2 * time.Hour

// newBackups keeps backups where the configuration says.
func newBackups(db *store.DB, cfg config.Config, log *slog.Logger) *backup.Keeper {
	return backup.New(db, backup.Options{Folder: backupFolder(cfg), Data: cfg.Data, Store: cfg.Store, Every: cfg.BackupEvery, Keep: cfg.BackupKeep, Version: buildVersion(), Free: doctor.FreeIn}, log)
}

func backupFolder(cfg config.Config) string {
	if cfg.BackupDir != "" {
		return cfg.BackupDir
	}
	return filepath.Join(cfg.Data, "backups")
}

// backups has one made when it is due; how old the newest is counts, not how long this process runs.
func backups(k *backup.Keeper) schedule.Job {
	return schedule.Job{Name: api.BackupJob, Spec: "@every 10m", Timeout: backupTimeout, Run: func(ctx context.Context) error {
		err := k.IfDue(ctx)
		if errors.Is(err, backup.ErrPutOff) {
			return fmt.Errorf("%w: %w", schedule.ErrPutOff, err)
		}
		return err
	}}
}

// clearRestores has no keys lie about that a killed restore has left. Root's may stay: they keep nobody from anything.
func clearRestores(k *backup.Keeper, log *slog.Logger) {
	if err := k.ClearRestores(); err != nil {
		log.Warn("what a restore that was killed left could not be removed, keys may lie open in it", "error", err)
	}
}

// restoreCommand is what puts a backup back into what these flags name, with the program that runs.
func restoreCommand(cfg config.Config) string {
	return backup.RestoreCommand("FILE", cfg.Data, cfg.Store)
}

// finishCommand is restoreCommand with the backup whose restore was cut off, where one was.
func finishCommand(cfg config.Config) string {
	return backup.RestoreCommand(cmp.Or(backup.Unfinished(cfg.Data), "FILE"), cfg.Data, cfg.Store)
}

// restoreFrom puts a backup back.
func restoreFrom(file string) work {
	return func(ctx context.Context, cfg config.Config, log *slog.Logger, stdout io.Writer) (err error) {
		if err := checkFolder(cfg.Data); err != nil {
			return err
		}
		to := store.Options{URL: cfg.Store, DataDir: cfg.Data, Log: log, Free: doctor.FreeIn}
		var r backup.Restored
		defer func() { // also of what has failed half way: its lock must not keep the daemon out
			folders := append([]string{filepath.Join(cfg.Data, "certificates")}, r.Aside...)
			err = errors.Join(err, giveToOwner(cfg.Data, folders, to))
		}()
		r, err = backup.Restore(ctx, file, to, time.Now())
		if err != nil {
			return fmt.Errorf("restore %s: %w", file, err)
		}
		tell(stdout, "restored what docker-watcher %s kept at %s (installation %s)\n", r.Manifest.Version, r.Manifest.At.Format(time.RFC3339), r.Manifest.Installation)
		if len(r.Aside) > 0 {
			tell(stdout, "what was there before is in %s; remove it when all is well\n", strings.Join(r.Aside, " and "))
		}
		tell(stdout, "start the daemon: it looks at every host anew before it judges anything\n")
		at := r.Manifest.At.Format(time.RFC3339)
		return tellByHost(ctx, to, "store.restored", "the command line of the host put back the backup of "+at+": what happened since is not in this log",
			map[string]any{"backup": filepath.Base(file), "made_at": at, "version": r.Manifest.Version})
	}
}

// moveStore copies the store of this configuration into another.
func moveStore(to string) work {
	return func(ctx context.Context, cfg config.Config, log *slog.Logger, stdout io.Writer) (err error) {
		if !strings.Contains(to, "://") && !strings.Contains(cfg.Store, "://") {
			return fmt.Errorf("%w: both stores are files: make a backup of the one and restore it (docker-watcher backup --help)", errUsage)
		}
		source, target := store.Options{URL: cfg.Store, DataDir: cfg.Data, Log: log, Free: doctor.FreeIn}, store.Options{URL: to, DataDir: cfg.Data, Log: log}
		defer func() {
			err = errors.Join(err, giveToOwner(cfg.Data, nil, source, target))
		}()
		from, err := store.Open(ctx, source)
		if err != nil {
			return fmt.Errorf("open the store: %w", err)
		}
		defer func() { err = errors.Join(err, from.Close()) }()
		rows := 0
		err = from.CopyTo(ctx, target, func(table string, n int) {
			rows += n
			tell(stdout, "%-20s %d\n", table, n)
		})
		if err != nil {
			return fmt.Errorf("move the store: %w", err)
		}
		tell(stdout, "%d rows were copied and compared; the former store is as it was\nnext: start the daemon with the same --data and --store %s\n", rows, config.Redacted(to))
		return tellByHost(ctx, target, "store.moved", "the command line of the host moved the store here", map[string]any{"rows": rows, "from": config.Redacted(cfg.Store)})
	}
}
