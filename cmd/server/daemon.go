package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/tiny-forge/docker-watcher/internal/adopt"
	"github.com/tiny-forge/docker-watcher/internal/api"
	"github.com/tiny-forge/docker-watcher/internal/auth"
	"github.com/tiny-forge/docker-watcher/internal/config"
	"github.com/tiny-forge/docker-watcher/internal/deploy"
	"github.com/tiny-forge/docker-watcher/internal/docker"
	"github.com/tiny-forge/docker-watcher/internal/doctor"
	"github.com/tiny-forge/docker-watcher/internal/events"
	"github.com/tiny-forge/docker-watcher/internal/guard"
	"github.com/tiny-forge/docker-watcher/internal/hosts"
	"github.com/tiny-forge/docker-watcher/internal/poll"
	"github.com/tiny-forge/docker-watcher/internal/reclaim"
	"github.com/tiny-forge/docker-watcher/internal/registry"
	"github.com/tiny-forge/docker-watcher/internal/schedule"
	"github.com/tiny-forge/docker-watcher/internal/sso"
	"github.com/tiny-forge/docker-watcher/internal/stale"
	"github.com/tiny-forge/docker-watcher/internal/store"
	"github.com/tiny-forge/docker-watcher/internal/usage"
	"github.com/tiny-forge/docker-watcher/web"
)

// recoverTimeout bounds how long the start waits for an engine while it ends what a crash left half done.
const recoverTimeout = 20 * time.Second

// run wires the daemon and runs it until ctx ends. What is opened first is closed last. The sites go on when the database turns out to be damaged.
func run(ctx context.Context, cfg config.Config, sites *sites, log *slog.Logger, stdout io.Writer) (err error) {
	log.Info("starting", "version", buildVersion(), "config", cfg)

	listener, err := listen(ctx, cfg.Listen)
	if err != nil {
		return err
	}
	defer listener.Close() // in the ordinary course the server has closed it
	if err := sites.listen(ctx, cfg); err != nil {
		return err
	}

	if err := checkFolder(cfg.Data); err != nil {
		return err
	}
	db, err := store.Open(ctx, store.Options{URL: cfg.Store, DataDir: cfg.Data, Log: log, Free: doctor.FreeIn})
	if err != nil {
		return fmt.Errorf("open the store: %w", err)
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	goOnLooking, err := lookForDamage(ctx, db, log)
	if err != nil {
		return err
	}

	bus := events.New(log)
	db.OnCommit(bus.Committed)

	host, err := ensureHost(ctx, db, cfg.DockerHost)
	if err != nil {
		return err
	}
	fleet := docker.NewFleet()
	keeper := hosts.New(db, fleet, log)
	if err := keeper.Open(ctx); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, keeper.Close()) }()

	scanner := stale.NewScanner(db, fleet, log)
	cleaner := stale.NewCleaner(db, fleet, log)
	deployer := deploy.New(db, fleet, bus, log)
	reclaimer := reclaim.New(db, fleet, log)
	adopter := adopt.New(db, fleet, adopt.Hands{
		FirstLook: stale.FirstLook, CheckSpec: deploy.ValidateSpec, CheckReference: deploy.ValidateReference, Dangerous: deploy.Dangerous,
		Differing: deploy.Differing, Follow: scanner.Follow, Claim: deployer.Claim,
	}, docker.Self(), log)
	cleaner.ClaimBy(deployer.Claim)
	registries, login := registry.New(accessFrom(db)), loginFrom(db)
	deployer.LogInBy(login)
	deployer.MeasureBy(measureBy(registries))
	cleaner.LookUpTagsBy(tagsOf(registries))
	cleaner.LendHands(stale.Hands{Stop: deployer.StopInstance, Start: deployer.StartInstance, Options: deployer.Options, GoodOnes: deployer.GoodOnes, LogIn: login})
	policy := proxyPolicy(listener, sites.listener, sites.secure)
	front := newFront(ctx, cfg, sites, policy, db, fleet, bus, log)
	if cfg.ProxyDriver != config.DriverBuiltin {
		if front, policy, err = newAnotherFront(ctx, cfg, policy, db, fleet, bus, log); err != nil {
			return err
		}
	}
	front.serveDeploys(deployer)
	front.hearEngines(scanner)
	sealRoutes(ctx, db, log)
	looker := poll.NewLooker(asked{registries})
	poller := poll.New(db, looker, deployTag(deployer), log)
	meter := usage.New(db, fleet, log)
	notifier := newNotifier(db, bus, policy, log)
	jobs := schedule.New(log)
	accounts := auth.New(db, log)
	accounts.VouchedBy(sso.InForce)
	keeps := newBackups(db, cfg, log)
	clearRestores(keeps, log)

	watch := newSelfWatch(db, jobs, log)
	scans := newScans(scanner, fleet, jobs, deployer.KeepForRollback, watch, log)
	cleaner.ScanBy(scans.fresh)
	auto, cleanups := automaticCleanup(cleaner, fleet, watch, log)
	err = errors.Join(scans.schedule(ctx), setAll(
		jobs, retention(db, paceOf(jobs, retentionJob), log), auto, sizes(cleaner), tagCheck(cleaner), polling(poller, watch), previews(deployer), archiveExpiry(cleaner, log), backups(keeps),
	))
	if err != nil {
		return err
	}
	recoverAll := func(ctx context.Context) error {
		return guard.Do(log, "recover", func() error { return errors.Join(cleaner.Recover(ctx), reclaimer.Recover(ctx)) })
	}
	recoverCleanups(ctx, recoverAll, log)
	if err := ensureAdminToken(ctx, cfg.AdminTokenFile, accounts); err != nil {
		return err
	}
	if err := ensureAdminPassword(ctx, cfg.AdminPasswordFile, accounts); err != nil {
		return err
	}
	setupCode, err := accounts.SetupCode(ctx)
	if err != nil {
		return err
	}

	stopping, cut := make(chan struct{}), make(chan struct{})
	refusals := api.NewRefusals(bus)
	handler := api.New(api.Deps{
		DB: db, Bus: bus, Refusals: refusals, Fleet: fleet, Hosts: keeper, Scanner: scanner, Cleaner: cleaner, Deployer: deployer,
		Reclaimer: reclaimer, Adopter: adopter, Registries: registries, Auth: accounts, SSO: sso.NewFlows().Hide(cfg.Data), Scheduler: jobs, HostWorks: watch.hostWorks, Looker: looker, Meter: meter, Backups: keeps, DataDir: cfg.Data,
		Notifier:          notifier,
		Routes:            front.routes(cfg, policy),
		ThresholdsChanged: scans.thresholdsChanged, Web: web.Handler(), Stopping: stopping, Cut: cut, Version: buildVersion(), Log: log,
	})
	srv := newServer(ctx, listener, stopping, cut, handler, log)
	engines := newEngineWatches(db, fleet, recoverAll, log)

	if err := tellStarted(ctx, db, host); err != nil {
		return err
	}
	stopKeeping := background(ctx, events.NewPersister(bus, db, log).Run)
	defer func() { err = errors.Join(err, stopKeeping()) }()

	group, running := errgroup.WithContext(ctx)
	parts := append([]func(context.Context) error{
		srv.Run, deployer.Run, poller.Run, scanner.Watch, jobs.Run, scans.Run, cleanups.Run,
		engines.Run, engines.Finish, meter.Run, notifier.Run, leader(db), giveBackMemory(db.GiveBackMemory, log), watch.Run, goOnLooking, db.WatchDamage, refusals.Run, accounts.Run,
	}, front.parts(ctx)...)
	for _, part := range parts {
		group.Go(func() error { return part(running) })
	}
	tell(stdout, "%s\n%s", readyLine(baseURL(listener.Addr()), setupCode), front.proxyLine())
	err = group.Wait()
	refusals.Settle() // nobody serves any more, and what is told now is still kept
	accounts.Settle(ctx)
	if ctx.Err() != nil && errors.Is(err, context.Canceled) {
		err = nil
	}
	log.Info("stopped")
	return err
}

// background runs a part that must outlive the others: stop ends it and waits for it.
func background(ctx context.Context, part func(context.Context) error) (stop func() error) {
	ctx, cancel := context.WithCancel(context.WithoutCancel(ctx))
	done := make(chan error, 1)
	go func() { done <- part(ctx) }()
	return func() error {
		cancel()
		return <-done
	}
}

// leader ends the daemon when the store's leader lock is lost: another may hold it by now.
func leader(db *store.DB) func(context.Context) error {
	return func(ctx context.Context) error {
		select {
		case <-db.Lost():
			return store.ErrLockLost
		case <-ctx.Done():
			return nil
		}
	}
}

// checkFolder makes the data folder, and tells early when it cannot be written.
func checkFolder(dir string) error {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return fmt.Errorf("%w: %w", errFolder, err)
	}
	probe, err := os.CreateTemp(dir, ".probe-*")
	if err != nil {
		return fmt.Errorf("%w: %w", errFolder, err)
	}
	if err := errors.Join(probe.Close(), os.Remove(probe.Name())); err != nil {
		return fmt.Errorf("%w: %w", errFolder, err)
	}
	return nil
}

// recoverCleanups ends what a crash left half done. An engine that is down is no
// reason not to start: it is tried again when the engine answers.
func recoverCleanups(ctx context.Context, recoverAll func(context.Context) error, log *slog.Logger) {
	ctx, cancel := context.WithTimeout(ctx, recoverTimeout)
	defer cancel()
	if err := recoverAll(ctx); err != nil {
		log.Warn("a cleanup that was left half done waits for its engine", "error", err)
	}
}

var errAdminToken = errors.New("the admin token file cannot be used")

func ensureAdminToken(ctx context.Context, file string, accounts *auth.Service) error {
	if file == "" {
		return nil
	}
	secret, err := os.ReadFile(file)
	if err != nil {
		return fmt.Errorf("%w: %w", errAdminToken, err)
	}
	if err := accounts.EnsureAdminToken(ctx, string(secret)); err != nil {
		return fmt.Errorf("%w (%s): %w", errAdminToken, file, err)
	}
	return nil
}

var errAdminPassword = errors.New("the admin password file cannot be used")

// ensureAdminPassword makes the first admin of an unattended install. Once there is a user the file is not even read.
func ensureAdminPassword(ctx context.Context, file string, accounts *auth.Service) error {
	if file == "" {
		return nil
	}
	err := accounts.EnsureAdmin(ctx, func() (string, error) {
		text, err := os.ReadFile(file)
		return string(text), err
	})
	if err != nil {
		return fmt.Errorf("%w (%s): %w", errAdminPassword, file, err)
	}
	return nil
}

func tellStarted(ctx context.Context, db *store.DB, host store.Host) error {
	err := db.Update(ctx, func(tx *store.Tx) error {
		return tx.Emit(ctx, store.Event{
			Time: time.Now().UTC(), Severity: store.SeverityInfo, Source: store.SourceSystem, Kind: "system.started", Actor: "system",
			Message: "docker-watcher " + buildVersion() + " started", HostID: host.ID, Data: map[string]any{"version": buildVersion()},
		})
	})
	if err != nil {
		return fmt.Errorf("write the start to the event log: %w", err)
	}
	return nil
}

// readyLine is the one line that a person at the terminal needs. The code is behind a # so that no server or proxy ever logs it.
func readyLine(url, setupCode string) string {
	if setupCode == "" {
		return "docker-watcher is ready: open " + url
	}
	return "docker-watcher is ready: open " + url + "/setup#code=" + setupCode + " to make the first admin (works once, within 24 hours)"
}
