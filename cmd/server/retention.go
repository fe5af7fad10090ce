package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/tiny-forge/docker-watcher/internal/schedule"
	"github.com/tiny-forge/docker-watcher/internal/store"
)

const (
	retentionJob     = "event-retention"
	retentionSpec    = "@every 1h" // so often that what one run holds back for the clock's sake the next one may do
	retentionTimeout = time.Hour
	outboxRetention  = 30 * 24 * time.Hour // of messages that were sent
	retentionBatch   = 5000                // events in one transaction, so that nobody waits long for the writer
)

// retention deletes events past their time, messages that were sent, and counts of requests, in small transactions. What it deletes is gone, and
// a clock that runs ahead makes all of it look old: so nothing is deleted while the calendar is in doubt.
func retention(db *store.DB, pace func() schedule.Pace, log *slog.Logger) schedule.Job {
	return schedule.Job{Name: retentionJob, Spec: retentionSpec, Timeout: retentionTimeout, Run: func(ctx context.Context) error {
		settings, err := db.Settings(ctx)
		if err != nil {
			return fmt.Errorf("read settings: %w", err)
		}
		now := time.Now().UTC()
		doubt, err := doubtful(ctx, db, settings, pace().Awake, now)
		if err != nil {
			return err
		}
		if doubt != "" {
			log.Info("nothing old is deleted for now", "reason", doubt)
			return nil
		}
		return deleteOld(ctx, db, settings, now, log)
	}}
}

// paceOf reads the pace of a job, and whether the clock leapt.
func paceOf(jobs *schedule.Scheduler, name string) func() schedule.Pace {
	return func() schedule.Pace {
		st, _ := jobs.Status(name)
		return st.Pace
	}
}

// doubtful says why the calendar is not to be believed; empty: it is. It leapt within a warm-up, or the log does not vouch for it.
func doubtful(ctx context.Context, db *store.DB, settings store.Settings, awake, now time.Time) (why string, err error) {
	if !awake.IsZero() && now.Sub(awake) < settings.AutoWarmUp {
		return "the clock leapt at " + awake.Format(time.RFC3339), nil
	}
	return db.CalendarDoubt(ctx, time.Duration(settings.EventRetentionDays)*24*time.Hour, now)
}

// deleteOld deletes what is past its time at a moment.
func deleteOld(ctx context.Context, db *store.DB, settings store.Settings, now time.Time, log *slog.Logger) error {
	// First what was sent: its events are then as old as others.
	sent, sentErr := prune(ctx, "sent messages", now.Add(-outboxRetention), db, (*store.Tx).PruneOutbox)
	if sent > 0 {
		log.Info("sent messages deleted", "messages", sent)
	}
	before := now.AddDate(0, 0, -settings.EventRetentionDays)
	deleted, err := prune(ctx, "events", before, db, (*store.Tx).PruneEvents)
	if deleted > 0 {
		log.Info("old events deleted", "events", deleted, "before", before)
	}
	return errors.Join(sentErr, err, db.Update(ctx, func(tx *store.Tx) error {
		_, err := tx.PruneRequestCounts(ctx, before)
		return err
	}))
}

// prune deletes what is older than a moment, in small transactions.
func prune(ctx context.Context, what string, before time.Time, db *store.DB,
	some func(*store.Tx, context.Context, time.Time, int) (int, error),
) (deleted int, err error) {
	for {
		var n int
		err := db.Update(ctx, func(tx *store.Tx) (err error) {
			n, err = some(tx, ctx, before, retentionBatch)
			return err
		})
		deleted += n
		if err != nil {
			return deleted, fmt.Errorf("delete %s before %s: %w", what, before.Format(time.DateOnly), err)
		}
		if n < retentionBatch {
			return deleted, nil
		}
	}
}
