package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/tiny-forge/docker-watcher/internal/api"
	"github.com/tiny-forge/docker-watcher/internal/deploy"
	"github.com/tiny-forge/docker-watcher/internal/docker"
	"github.com/tiny-forge/docker-watcher/internal/guard"
	"github.com/tiny-forge/docker-watcher/internal/schedule"
	"github.com/tiny-forge/docker-watcher/internal/stale"
)

const (
	ringTimeout    = time.Minute // of what only asks others to begin
	scanTimeout    = 30 * time.Minute
	cleanupTimeout = 2 * time.Hour // a plan of many with large layers to be copied
	tagTimeout     = 30 * time.Minute
	sizesTimeout   = 30 * time.Minute
	expiryTimeout  = time.Hour
	previewTimeout = 30 * time.Minute

	cleanupJob = "automatic-cleanup"
	// What is done on each host and each registry, in words.
	scanWork    = "scan"
	cleanupWork = "automatic cleanup"
	pollWork    = "registry poll"
)

// scans has hosts scanned: on schedule, at the interval that the settings ask for now, and soon after a threshold changed.
type scans struct {
	scanner *stale.Scanner
	jobs    *schedule.Scheduler
	keep    func(context.Context) error // marks anew what stages keep for a rollback
	lanes   *lanes
	asked   chan struct{} // for both, by a change of settings
	// elsewhere tells how the scans of the hosts do.
	elsewhere func(schedule.Pace) schedule.Work
	log       *slog.Logger
}

func newScans(scanner *stale.Scanner, fleet *docker.Fleet, jobs *schedule.Scheduler, keep func(context.Context) error, watch *selfWatch, log *slog.Logger) *scans {
	scan := func(ctx context.Context, hostID, why string) error {
		_, err := scanner.Scan(ctx, hostID, why)
		return err
	}
	return &scans{
		scanner: scanner, jobs: jobs, keep: keep, lanes: newLanes(scanWork, fleet, scanTimeout, scan, watch, log),
		asked: make(chan struct{}, 1), elsewhere: watch.elsewhere(scanWork), log: log,
	}
}

// schedule sets the job at the interval now in force.
func (s *scans) schedule(ctx context.Context) error {
	interval, err := s.scanner.Interval(ctx)
	if err != nil {
		return fmt.Errorf("work out the scan interval: %w", err)
	}
	return s.jobs.Set(schedule.Job{
		Name: api.ScanJob, Spec: "@every " + interval.String(), Timeout: ringTimeout,
		Run: func(ctx context.Context) error {
			s.lanes.ring("schedule")
			return s.scanner.ForgetRemoved(ctx)
		},
		Elsewhere: s.elsewhere,
	})
}

// thresholdsChanged sets the job anew, and asks for what is kept by the policies to be marked and for a scan, without waiting for it.
func (s *scans) thresholdsChanged(ctx context.Context) error {
	select {
	case s.asked <- struct{}{}:
	default: // one is asked for already
	}
	return s.schedule(ctx)
}

// Run marks what is kept, and scans, when asked, until ctx ends.
func (s *scans) Run(ctx context.Context) error {
	group, running := errgroup.WithContext(ctx)
	group.Go(func() error { return s.lanes.Run(running) })
	group.Go(func() error {
		for {
			select {
			case <-s.asked:
				if err := guard.Do(s.log, "mark what is kept", func() error { return s.keep(running) }); err != nil && running.Err() == nil {
					s.log.ErrorContext(running, "mark what is kept after a change of settings", "error", err)
				}
				s.lanes.ring("settings")
			case <-running.Done():
				return nil
			}
		}
	})
	return group.Wait()
}

// fresh scans a host because something is about to be decided on what was found.
func (s *scans) fresh(ctx context.Context, hostID string) error {
	_, err := s.scanner.Scan(ctx, hostID, "automatic")
	return err
}

// setAll sets jobs.
func setAll(jobs *schedule.Scheduler, all ...schedule.Job) error {
	var errs []error
	for _, j := range all {
		errs = append(errs, jobs.Set(j))
	}
	return errors.Join(errs...)
}

// automaticCleanup plans and applies what policies ask for, on each host by itself.
func automaticCleanup(cleaner *stale.Cleaner, fleet *docker.Fleet, watch *selfWatch, log *slog.Logger) (schedule.Job, *lanes) {
	clean := func(ctx context.Context, hostID, _ string) error {
		err := cleaner.RunAutomaticOn(ctx, hostID)
		if errors.Is(err, stale.ErrNotYet) {
			return fmt.Errorf("%w: %w", schedule.ErrPutOff, err)
		}
		return err
	}
	on := newLanes(cleanupWork, fleet, cleanupTimeout, clean, watch, log)
	return schedule.Job{Name: cleanupJob, Spec: "@every 1m", Timeout: ringTimeout, Elsewhere: watch.elsewhere(cleanupWork), Run: func(context.Context) error {
		on.ring("schedule")
		return nil
	}}, on
}

// sizes measures what newly stale containers hold.
func sizes(cleaner *stale.Cleaner) schedule.Job {
	return schedule.Job{Name: "stale-sizes", Spec: "@every 30s", Timeout: sizesTimeout, Run: cleaner.MeasureSizes}
}

// tagCheck looks for the tags of what is stale.
func tagCheck(cleaner *stale.Cleaner) schedule.Job {
	return schedule.Job{Name: "tag-check", Spec: "@every 1h", Timeout: tagTimeout, Run: cleaner.CheckTags}
}

// previews stops previews that nobody needs any more.
func previews(deployer *deploy.Deployer) schedule.Job {
	return schedule.Job{Name: "preview-retirement", Spec: "@every 1m", Timeout: previewTimeout, Run: func(ctx context.Context) error {
		_, err := deployer.RetirePreviews(ctx, deploy.GoneFor)
		return err
	}}
}

// archiveExpiry deletes the archives whose time is over.
func archiveExpiry(cleaner *stale.Cleaner, log *slog.Logger) schedule.Job {
	return schedule.Job{Name: "archive-expiry", Spec: "@every 1h", Timeout: expiryTimeout, Run: func(ctx context.Context) error {
		deleted, err := cleaner.ExpireArchives(ctx)
		if deleted > 0 {
			log.Info("old archives deleted", "archives", deleted)
		}
		return err
	}}
}
