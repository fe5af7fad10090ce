package main

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/tiny-forge/docker-watcher/internal/docker"
	"github.com/tiny-forge/docker-watcher/internal/docker/dockertest"
	"github.com/tiny-forge/docker-watcher/internal/stale"
	"github.com/tiny-forge/docker-watcher/internal/store"
	"github.com/tiny-forge/docker-watcher/internal/store/storetest"
)

// autoWatchBed is a daemon of which only automatic cleanup is there, by its job, over a pretend engine in a bubble.
type autoWatchBed struct {
	*watchBed
	engine  *dockertest.Engine
	adapter *docker.Engine
	fleet   *docker.Fleet
	host    store.Host
	stage   store.Stage
}

// inAutoWatchBed has the job run while the test does, an hour after its start, when it begins to act.
func inAutoWatchBed(t *testing.T, window *store.Window, test func(t *testing.T, b *autoWatchBed)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		time.Sleep(time.Until(time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)))
		db := storetest.Open(t)
		b := &autoWatchBed{watchBed: newWatchBed(t, db), engine: dockertest.New(t, dockertest.Options{}), fleet: docker.NewFleet()}
		b.connect()
		b.allow(window)
		end := b.begin()
		defer func() { end() }()
		test(t, b)
	})
}

func (b *autoWatchBed) connect() {
	b.t.Helper()
	var err error
	b.adapter, err = docker.New(docker.Options{Endpoint: b.engine.Endpoint(), Dial: b.engine.Dial, Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		b.t.Fatal(err)
	}
	b.t.Cleanup(func() { _ = b.adapter.Close() })
	info, err := b.adapter.Info(b.t.Context())
	if err != nil {
		b.t.Fatal(err)
	}
	b.host = storetest.Host(b.t, b.db, func(h *store.Host) {
		h.Endpoint, h.EngineID, h.DataRoot = b.engine.Endpoint(), info.EngineID, info.DataRoot
	})
	b.stage = storetest.Stage(b.t, b.db, b.host, storetest.Project(b.t, b.db))
	b.fleet.Add(b.host.ID, b.adapter)
}

// allow switches automatic cleanup on, and has the stage ask for it.
func (b *autoWatchBed) allow(window *store.Window) {
	b.t.Helper()
	action, grace, many, all := store.ActionCleanup, 24*time.Hour, 500, 100
	storetest.Update(b.t, b.db, func(ctx context.Context, tx *store.Tx) error {
		settings, err := tx.Settings(ctx)
		settings.AutoCleanup = true
		p := store.Policy{Action: &action, CleanupAfter: &grace, Window: window, MaxPerRun: &many, MaxSharePercent: &all}
		return errors.Join(err, tx.SaveSettings(ctx, settings), tx.SetStagePolicy(ctx, b.stage.ID, p, b.stage.Revision))
	})
}

// begin has a process begin, with the job as the daemon has it.
func (b *autoWatchBed) begin() (end func()) {
	b.t.Helper()
	quiet := slog.New(slog.DiscardHandler)
	scanner, cleaner := stale.NewScanner(b.db, b.fleet, quiet), stale.NewCleaner(b.db, b.fleet, quiet)
	cleaner.ScanBy(func(ctx context.Context, hostID string) error {
		_, err := scanner.Scan(ctx, hostID, "automatic")
		return err
	})
	job, cleanups := automaticCleanup(cleaner, b.fleet, b.watch, quiet)
	if err := b.jobs.Set(job); err != nil {
		b.t.Fatal(err)
	}
	return b.run(b.jobs.Run, cleanups.Run)
}

// ripe plants what is to be cleaned up.
func (b *autoWatchBed) ripe(name string) (store.Instance, *dockertest.Container) {
	b.t.Helper()
	ended := b.engine.Now().AddDate(0, 0, -30)
	i := storetest.NewInstance(b.stage, func(i *store.Instance) {
		i.Name, i.EngineID, i.Status, i.Intended = name, b.host.EngineID, store.StatusStopped, store.IntendedStopped
	})
	ct := b.engine.Add(dockertest.Template{
		Name: name, Image: "shop:1.0", State: dockertest.Exited, Created: ended.Add(-2 * time.Hour), Started: ended.Add(-time.Hour), Finished: ended,
		Labels: map[string]string{docker.LabelManaged: "true", docker.LabelInstallation: b.db.InstallationID(), docker.LabelInstance: i.ID},
	})
	i.ContainerID = ct.ID
	seen, err := b.adapter.Inspect(b.t.Context(), ct.ID)
	if err != nil {
		b.t.Fatal(err)
	}
	i = stale.Observe(i, seen, b.adapter.Now())
	warned := time.Now().UTC().Truncate(time.Millisecond).Add(-25 * time.Hour)
	i.LastAliveAt, i.StaleSince, i.WarnedAt = ended.Truncate(time.Millisecond), warned, warned
	storetest.Update(b.t, b.db, func(ctx context.Context, tx *store.Tx) error { return tx.InsertInstance(ctx, i) })
	return i, ct
}

// live lets time go by; self-watch looks as often as in the daemon.
func (b *autoWatchBed) live(d time.Duration) {
	b.t.Helper()
	for end := time.Now().Add(d); time.Now().Before(end); {
		time.Sleep(selfWatchEvery)
		synctest.Wait()
		b.look()
		b.job(cleanupJob, b.failures() >= mostFailures)
	}
}

func (b *autoWatchBed) failures() int {
	b.t.Helper()
	st, _ := b.jobs.Status(cleanupJob)
	return st.Failures
}

// tries wants so many removals to have ended as errors, and so many failures of the job in a row.
func (b *autoWatchBed) tries(i store.Instance, ends, failures int) {
	b.t.Helper()
	events, _, err := b.db.Events(b.t.Context(), store.EventFilter{InstanceID: i.ID}, store.Page{Limit: 100})
	if err != nil {
		b.t.Fatal(err)
	}
	events = slices.DeleteFunc(events, func(e store.Event) bool { return e.Kind != "cleanup.item" })
	if len(events) != ends || b.failures() != failures {
		b.t.Errorf("at %s %d ends and %d failures in a row, want %d and %d", time.Now(), len(events), b.failures(), ends, failures)
	}
	for _, e := range events {
		if e.Severity != store.SeverityWarn || e.Data["result"] != "error" {
			b.t.Errorf("an end: %+v", e)
		}
	}
}

// TestACleanupThatFailsAgainAndAgainIsTold: each try is an hour after the one before, and the runs between, one a minute, remove nothing and hide nothing.
func TestACleanupThatFailsAgainAndAgainIsTold(t *testing.T) {
	const words = "automatic cleanup: it failed 3 times in a row, the last time with: automatic cleanup of host "
	inAutoWatchBed(t, nil, func(t *testing.T, b *autoWatchBed) {
		inst, _ := b.ripe("web")
		heal := b.engine.Fail(dockertest.Fault{On: `^DELETE /containers/`, Status: 500})
		b.live(70 * time.Minute)
		b.tries(inst, 1, 1)
		b.live(62 * time.Minute)
		b.tries(inst, 2, 2)
		b.told("job.failing", 0, "", b.host.ID)
		b.live(62 * time.Minute)
		b.tries(inst, 3, 3)
		b.told("job.failing", 1, words, b.host.ID)
		b.told("job.failing", 1, "nothing could be removed of 1: ", b.host.ID)
		b.live(62 * time.Minute)
		b.tries(inst, 4, 4)
		b.told("job.failing", 1, "", b.host.ID)
		b.told("job.well", 0, "", b.host.ID)
		heal()
		b.live(62 * time.Minute)
		b.told("job.well", 1, "automatic cleanup is done again as it should", b.host.ID)
		b.told("job.failing", 1, "", b.host.ID)
		if st, _ := b.jobs.Status(cleanupJob); st.Failures != 0 || st.LastError != "" {
			t.Errorf("the job is said to be %+v", st)
		}
	})
}

// TestWhatFailsOfManyIsNoFailureOfTheCleanup: that is told of the instance.
func TestWhatFailsOfManyIsNoFailureOfTheCleanup(t *testing.T) {
	inAutoWatchBed(t, nil, func(t *testing.T, b *autoWatchBed) {
		bad, ct := b.ripe("bad")
		b.ripe("good")
		ct.FailRemoval("device or resource busy")
		b.live(70 * time.Minute)
		b.tries(bad, 1, 0)
		b.told("job.failing", 0, "", b.host.ID)
	})
}

// TestACleanupWithNothingToDoIsWell: also while something is announced, or waits for its window, and after somebody else has removed what could not be.
func TestACleanupWithNothingToDoIsWell(t *testing.T) {
	inAutoWatchBed(t, nil, func(t *testing.T, b *autoWatchBed) {
		b.live(time.Hour)
		b.told("job.failing", 0, "", b.host.ID)
		inst, _ := b.ripe("web")
		b.engine.Fail(dockertest.Fault{On: `^DELETE /containers/`, Status: 500})
		b.live(3 * time.Hour)
		b.tries(inst, 3, 3)
		b.told("job.failing", 1, "", b.host.ID)
		storetest.Update(t, b.db, func(ctx context.Context, tx *store.Tx) error {
			i, err := tx.Instance(ctx, inst.ID)
			i.PinnedAt, i.PinnedBy = time.Now().UTC(), "user:anna"
			return errors.Join(err, tx.SetProtection(ctx, i.Instance))
		})
		b.live(2 * time.Minute)
		b.told("job.well", 1, "", b.host.ID)
	})
	inAutoWatchBed(t, &store.Window{From: 2 * 60, Until: 3 * 60}, func(t *testing.T, b *autoWatchBed) {
		b.ripe("web")
		b.live(2 * time.Hour)
		b.told("job.failing", 0, "", b.host.ID)
	})
}
