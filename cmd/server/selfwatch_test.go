package main

import (
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/tiny-forge/docker-watcher/internal/api"
	"github.com/tiny-forge/docker-watcher/internal/backup"
	"github.com/tiny-forge/docker-watcher/internal/schedule"
	"github.com/tiny-forge/docker-watcher/internal/store"
	"github.com/tiny-forge/docker-watcher/internal/store/storetest"
)

func TestTroubleOf(t *testing.T) {
	at := time.Date(2026, 11, 29, 3, 0, 0, 0, time.UTC)
	for _, tt := range []struct {
		st   schedule.Status
		want string
	}{
		{schedule.Status{}, ""},
		{schedule.Status{Failures: 2, LastError: "no"}, ""},
		{schedule.Status{Failures: 3, LastError: "no"}, "it failed 3 times in a row, the last time with: no"},
		{schedule.Status{Overdue: true}, "a run that was due did not come"},
		{schedule.Status{Overdue: true, Running: true, LastStart: at}, "it has not ended since 2026-11-29T03:00:00Z"},
		{schedule.Status{Running: true}, ""},
	} {
		if got := troubleOf(tt.st); got != tt.want {
			t.Errorf("%+v: %q, want %q", tt.st, got, tt.want)
		}
	}
}

// TestSelfWatch has the work on a host fail again and again: that is told once, and once that it is well again.
func TestSelfWatch(t *testing.T) {
	db := storetest.Open(t)
	host := storetest.Host(t, db)
	jobs := schedule.New(slog.New(slog.DiscardHandler))
	w := newSelfWatch(db, jobs, slog.New(slog.DiscardHandler))
	told := func() (all []string) {
		t.Helper()
		events, _, err := db.Events(t.Context(), store.EventFilter{}, store.Page{Limit: 100})
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range events {
			if strings.HasPrefix(e.Kind, "job.") {
				all = append(all, e.Kind+" "+e.Message)
			}
		}
		return all
	}
	look := func(want int) {
		t.Helper()
		if err := w.look(t.Context()); err != nil {
			t.Fatal(err)
		}
		if got := told(); len(got) != want {
			t.Errorf("told %d times, want %d: %q", len(got), want, got)
		}
	}
	broken := errors.New("the disk is full")
	look(0)
	if all := w.hostWorks(); len(all) != 0 {
		t.Errorf("before anything was done: %+v", all)
	}
	w.began(scanWork, host.ID)
	if all := w.hostWorks(); len(all) != 1 || !all[0].Running || all[0].Job != api.ScanJob || all[0].HostID != host.ID || all[0].LastStart.IsZero() || !all[0].LastEnd.IsZero() {
		t.Errorf("while it is done: %+v", all)
	}
	for range 2 {
		w.ended("scan", host.ID, broken)
	}
	look(0)
	w.ended("scan", host.ID, broken)
	look(1)
	w.ended("scan", host.ID, broken)
	look(1)
	if all := w.hostWorks(); len(all) != 1 || all[0].Running || all[0].Failures != 4 || all[0].LastError != broken.Error() || all[0].LastEnd.IsZero() {
		t.Errorf("after four failures: %+v", all)
	}
	w.ended("scan", host.ID, nil)
	if all := w.hostWorks(); len(all) != 1 || all[0].Failures != 0 || all[0].LastError != "" {
		t.Errorf("when it is well again: %+v", all)
	}
	look(2)
	look(2)
	if got := told(); !strings.Contains(strings.Join(got, "\n"), "scan: it failed 3 times in a row, the last time with: the disk is full; docker-watcher doctor says more") {
		t.Errorf("told %q", got)
	}
}

// TestABackupThatIsPutOffIsNoFailure: three tries that failed are told, and not two with what was put off after them; nor is it well by that.
func TestABackupThatIsPutOffIsNoFailure(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		db := storetest.Open(t)
		w := newWatchBed(t, db)
		folder := filepath.Join(t.TempDir(), "made")
		if err := os.WriteFile(folder, []byte("a file in its place"), 0o600); err != nil {
			t.Fatal(err)
		}
		keeps := backup.New(db, backup.Options{Folder: folder, Data: t.TempDir(), Every: 24 * time.Hour, Keep: 3}, slog.New(slog.DiscardHandler))
		if err := w.jobs.Set(backups(keeps)); err != nil {
			t.Fatal(err)
		}
		end := w.run(w.jobs.Run)
		defer end()
		for _, step := range []struct {
			after                time.Duration
			mend                 bool
			failures, told, well int
		}{
			{after: 35 * time.Minute, failures: 2}, // the third run is put off
			{after: 10 * time.Minute, failures: 3, told: 1},
			{after: 30 * time.Minute, failures: 3, told: 1},
			{after: 10 * time.Minute, mend: true, told: 1, well: 1},
		} {
			if step.mend {
				if err := os.Remove(folder); err != nil {
					t.Fatal(err)
				}
			}
			time.Sleep(step.after)
			synctest.Wait()
			w.look()
			st, _ := w.jobs.Status(api.BackupJob)
			if st.Failures != step.failures || (st.LastError == "") != step.mend {
				t.Errorf("after %+v: %+v", step, st)
			}
			w.told("job.failing", step.told, "backup: it failed 3 times in a row, the last time with: ", "")
			w.told("job.well", step.well, "", "")
		}
	})
}
