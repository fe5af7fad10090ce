package main

import (
	"context"
	"errors"
	"log/slog"
	"testing"
	"testing/synctest"
	"time"

	"github.com/tiny-forge/docker-watcher/internal/poll"
	"github.com/tiny-forge/docker-watcher/internal/store"
	"github.com/tiny-forge/docker-watcher/internal/store/storetest"
	"github.com/tiny-forge/docker-watcher/internal/tagrule"
)

// TestWhatWasToldIsNotWellByARestart: of a registry that is not due for days, and of a host whose engine cannot be asked, nothing is known after a
// start. That is no mending, until nobody waits for them any more.
func TestWhatWasToldIsNotWellByARestart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		db := storetest.Open(t)
		host, gone := storetest.Host(t, db), storetest.Host(t, db)
		stage := follow(t, db, host, "ghcr.io/acme/shop")
		full := errors.New("the disk is full")
		w := newWatchBed(t, db)
		for range mostFailures {
			for _, id := range []string{host.ID, gone.ID} {
				w.watch.began(scanWork, id)
				w.watch.ended(scanWork, id, full)
			}
			for _, registry := range []string{"ghcr.io", "docker.io"} {
				polled{w.watch}.Began(registry)
				polled{w.watch}.Ended(registry, full)
			}
		}
		w.look()
		w.told("job.failing", 1, scanWork+": it failed 3 times", host.ID)
		w.told("job.failing", 1, scanWork+": it failed 3 times", gone.ID)
		w.told("job.failing", 2, "registry poll of ", "")
		storetest.Update(t, db, func(ctx context.Context, tx *store.Tx) error { return tx.DeleteHost(ctx, gone.ID, time.Now()) })

		w = newWatchBed(t, db) // a restart
		w.look()
		time.Sleep(3 * 24 * time.Hour)
		w.look()
		w.told("job.well", 0, "", host.ID)
		w.told("job.well", 0, "ghcr.io", "")
		w.told("job.well", 1, "registry poll of docker.io is not to be done there any more", "")
		w.told("job.well", 1, "scan is not to be done there any more", gone.ID)
		polled{w.watch}.Began("ghcr.io")
		polled{w.watch}.Ended("ghcr.io", nil)
		w.look()
		w.told("job.well", 1, "registry poll of ghcr.io is done again as it should", "")

		storetest.Update(t, db, func(ctx context.Context, tx *store.Tx) error {
			return errors.Join(tx.DeleteStage(ctx, stage.ID), tx.SetHostDisabled(ctx, host.ID, time.Now()))
		})
		w.look()
		w.told("job.well", 1, "scan is not to be done there any more", host.ID)
	})
}

// TestPollsThatAreFarApart: three failures in a row are three, however long it takes, and what was told is not well because nothing came since.
func TestPollsThatAreFarApart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		db := storetest.Open(t)
		stage := follow(t, db, storetest.Host(t, db), "ghcr.io/acme/shop")
		w := newWatchBed(t, db)
		if err := w.jobs.Set(polling(poll.New(db, nil, nil, slog.New(slog.DiscardHandler)), w.watch)); err != nil {
			t.Fatal(err)
		}
		fail := func() {
			polled{w.watch}.Began("ghcr.io")
			polled{w.watch}.Ended("ghcr.io", errors.New("the disk is full"))
			polled{w.watch}.Began("quay.io") // which nobody follows any more
			polled{w.watch}.Ended("quay.io", nil)
			w.look()
			time.Sleep(24 * time.Hour)
			w.look()
		}
		fail()
		fail()
		w.told("job.failing", 0, "ghcr.io", "")
		fail()
		w.told("job.failing", 1, "registry poll of ghcr.io: it failed 3 times in a row", "")
		w.told("job.well", 0, "ghcr.io", "")
		if len(w.watch.works) != 2 {
			t.Errorf("known of %+v", w.watch.works)
		}
		storetest.Update(t, db, func(ctx context.Context, tx *store.Tx) error { return tx.DeleteStage(ctx, stage.ID) })
		w.look()
		w.told("job.well", 1, "registry poll of ghcr.io is not to be done there any more", "")
		if st, _ := w.jobs.Status("registry-poll"); st.Failures != 0 {
			t.Errorf("of what nobody follows any more it is said: %+v", st)
		}
	})
}

// follow adds a stage that follows a repository.
func follow(t *testing.T, db *store.DB, h store.Host, image string) store.Stage {
	t.Helper()
	p := storetest.Project(t, db, func(p *store.Project) { p.Image = image })
	return storetest.Stage(t, db, h, p, func(s *store.Stage) { s.TagRule = &tagrule.Rule{Kind: tagrule.Glob, Pattern: "v*"} })
}
