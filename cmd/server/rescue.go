package main

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/tiny-forge/docker-watcher/internal/api"
	"github.com/tiny-forge/docker-watcher/internal/backup"
	"github.com/tiny-forge/docker-watcher/internal/config"
	"github.com/tiny-forge/docker-watcher/internal/store"
)

// firstLook is how long the start waits for the check of the database. What takes longer goes on beside the work.
const firstLook = 100 * time.Millisecond

// nextLook is how long after a check that failed the next one begins.
const nextLook = 10 * time.Minute

// lookForDamage checks the database before anything is done with it. Where that takes long, goOn does it whole.
func lookForDamage(ctx context.Context, db *store.DB, log *slog.Logger) (goOn func(context.Context) error, err error) {
	first, cancel := context.WithTimeout(ctx, firstLook)
	defer cancel()
	err = db.Check(first)
	switch {
	case err == nil:
		return func(context.Context) error { return nil }, nil
	case errors.Is(err, store.ErrCorrupt):
		return nil, err
	}
	return func(ctx context.Context) error { return lookToTheEnd(ctx, db.Check, nextLook, log) }, nil
}

// lookToTheEnd checks until a check comes to its end, and returns what damage it found. One that fails for another reason, such as a
// database that does not answer, is told and done again.
func lookToTheEnd(ctx context.Context, check func(context.Context) error, pause time.Duration, log *slog.Logger) error {
	for {
		err := check(ctx)
		if err == nil || errors.Is(err, store.ErrCorrupt) {
			return err
		}
		if ctx.Err() != nil {
			return nil //nolint:nilerr // the daemon ends, and that is why
		}
		log.WarnContext(ctx, "the database could not be checked for damage, it is tried again", "error", err, "in", pause.String())
		select {
		case <-time.After(pause):
		case <-ctx.Done():
			return nil
		}
	}
}

// runOrRescue is the daemon; when its database turns out to be damaged, or holds a value without which it cannot go on, it tells the way out and serves the routes as they last were until it is
// ended. It touches neither the database nor an engine then.
func runOrRescue(ctx context.Context, cfg config.Config, log *slog.Logger, stdout io.Writer) error {
	ctx, end := context.WithCancel(ctx)
	defer end()
	routes := &sites{}
	defer routes.close()
	err := run(ctx, cfg, routes, log, stdout)
	if !errors.Is(err, store.ErrCorrupt) && !errors.Is(err, store.ErrUnreadable) {
		return err
	}
	if ctx.Err() != nil { // it is ended already: only what visitors have under way is waited for
		return errors.Join(err, routes.leave(ctx))
	}
	if errors.Is(err, store.ErrCorrupt) {
		log.Error("the database is damaged: only the way out is told", "error", err)
	} else {
		log.Error("a value in the database cannot be read: only the way out is told", "error", err)
	}
	if failed := tellWayOut(ctx, cfg, err, routes, log, stdout); failed != nil {
		return errors.Join(err, failed)
	}
	return nil
}

// tellWayOut serves the page with the way out, and the routes, until ctx ends. Where the page cannot be served the log tells it: no site is taken
// down for that.
func tellWayOut(ctx context.Context, cfg config.Config, why error, routes *sites, log *slog.Logger, stdout io.Writer) error {
	defer keepFiles(ctx, cfg, log)()
	salvage := api.NewSalvage(func(ctx context.Context) (store.Salvaged, error) { return store.Salvage(ctx, storeOptions(cfg, log)) })
	listener, err := listen(ctx, cfg.Listen)
	served := routes.goAlone(ctx, cfg, log, listener)
	rescue := wayOut(cfg, why)
	rescue.Routes, rescue.Salvage = routes.rescued(cfg), salvage
	unseen := func(err error) error {
		if err == nil || !served {
			return err
		}
		log.Error("the page with the way out cannot be served, routes are", "error", err, "wrong", rescue.Wrong, "steps", rescue.Steps)
		return nil
	}
	group, running := errgroup.WithContext(ctx)
	if err == nil {
		defer listener.Close() // in the ordinary course the server has closed it
		srv := newServer(ctx, listener, make(chan struct{}), make(chan struct{}), rescue.Handler(), log)
		which := "a value of which cannot be read"
		if errors.Is(why, store.ErrCorrupt) {
			which = "which is damaged"
		}
		tell(stdout, "docker-watcher cannot use its database, %s: open %s for the way out\n", which, baseURL(listener.Addr()))
		tell(stdout, "what can still be read of it is shown at (works once):\n%s%s\n", baseURL(listener.Addr()), salvage.Path())
		group.Go(func() error { return unseen(srv.Run(running)) })
	} else if err := unseen(err); err != nil {
		return err
	}
	if served {
		tell(stdout, "%s", routes.line())
		group.Go(func() error { return routes.wait(running) })
	}
	return group.Wait()
}

// keepFiles keeps the data folder, with a store that is a file and the certificates that are renewed meanwhile, from a restore until release is
// called: the daemon is to be stopped first.
func keepFiles(ctx context.Context, cfg config.Config, log *slog.Logger) (release func()) {
	hold, err := takeFiles(ctx, cfg)
	if err != nil {
		log.Warn("the store is not kept from others meanwhile", "error", err)
		return func() {}
	}
	if err := hold.ReadBeside(); err != nil {
		log.Warn("server salvage will not read beside", "error", err)
	}
	return func() {
		if err := hold.Close(); err != nil {
			log.Warn("the store is kept from others still", "error", err)
		}
	}
}

func takeFiles(ctx context.Context, cfg config.Config) (*store.Hold, error) {
	if strings.Contains(cfg.Store, "://") {
		return store.TakeFolder(cfg.Data) // a restore takes an empty database, and server salvage is to read this one
	}
	return store.Take(ctx, store.Options{URL: cfg.Store, DataDir: cfg.Data})
}

// rescued says what becomes of the routes meanwhile, in a sentence without its end.
func (s *sites) rescued(cfg config.Config) string {
	switch {
	case s.unusable != nil && (s.server == nil || s.server.Hash() == ""): // else another table was made since
		return "No routes are served: " + s.unusable.Error()
	case s.listener != nil:
		return "Routes are served as they last were, at " + s.listener.Addr().String()
	case cfg.ProxySocket != "":
		return "Routes are served by the data plane as they last were"
	case cfg.ProxyDriver != config.DriverBuiltin:
		return "Routes are served by the other proxy as it was last told"
	default:
		return "No routes are served by it"
	}
}

// wayOut says what to do about a database that is damaged, or holds a value that cannot be read. Whoever comes to the page sees it, so that
// it says nothing of that value.
func wayOut(cfg config.Config, err error) api.Rescue {
	r := api.Rescue{Version: buildVersion()}
	if !errors.Is(err, store.ErrCorrupt) {
		r.Wrong = "A value in the database cannot be read"
		r.Steps = []string{
			"Stop docker-watcher", "See in its log which value it is, and by server doctor whether more is wrong",
			"Mend that value (a row of the settings that is removed is as at first), or put a backup back:", "$ " + restoreCommand(cfg),
			"Start docker-watcher again",
		}
		return r
	}
	if strings.Contains(cfg.Store, "://") {
		r.Wrong = "The PostgreSQL database is damaged"
		r.Steps = []string{"Stop docker-watcher", "Restore the database from the backup of its server", "Start docker-watcher again: it looks at every host anew before it judges anything"}
		return r
	}
	r.Wrong = "The database in the data folder " + cfg.Data + " is damaged"
	r.Steps = []string{"Stop docker-watcher", "Keep a copy of the damaged data folder"}
	if newest := newestBackup(backupFolder(cfg), time.Now()); newest != "" {
		r.Steps = append(r.Steps, "Put the newest backup back:", "$ "+backup.RestoreCommand(newest, cfg.Data, cfg.Store))
	} else {
		r.Steps = append(r.Steps, "There is no backup in "+backupFolder(cfg)+". Put one from elsewhere back:",
			"$ "+backup.RestoreCommand("BACKUP.tar.gz", cfg.Data, cfg.Store),
			"Without any backup, see what can still be read, such as which images removed containers are kept by; it does so while docker-watcher runs, too:",
			"$ "+backup.SalvageCommand(cfg.Data, cfg.Store),
			"Save what can be read into a new file, and put that in the place of the damaged one, without the -wal and -shm that lie beside it:",
			"$ sqlite3 "+backup.Quoted(databaseFile(cfg))+" .recover | sqlite3 recovered.db")
	}
	r.Steps = append(r.Steps, "Start docker-watcher again: it looks at every host anew before it judges anything")
	return r
}

func databaseFile(cfg config.Config) string {
	if cfg.Store != "" {
		return cfg.Store
	}
	return filepath.Join(cfg.Data, "docker-watcher.db")
}

// newestBackup is by name, which holds the moment; one that is dated ahead is not believed while there is another. Empty: there is none.
func newestBackup(folder string, now time.Time) string {
	names, err := filepath.Glob(filepath.Join(folder, "docker-watcher-*.tar.gz"))
	if err != nil || len(names) == 0 {
		return ""
	}
	newest := slices.Max(names)
	if dated := slices.DeleteFunc(names, func(name string) bool { return filepath.Base(name) > backup.NameAt(now.Add(time.Hour)) }); len(dated) > 0 {
		newest = slices.Max(dated)
	}
	if whole, err := filepath.Abs(newest); err == nil {
		return whole // the shell of who reads it is elsewhere
	}
	return newest
}
