package api

import (
	"context"
	"errors"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/tiny-forge/docker-watcher/client"
	"github.com/tiny-forge/docker-watcher/internal/backup"
	"github.com/tiny-forge/docker-watcher/internal/docker"
	"github.com/tiny-forge/docker-watcher/internal/docker/dockertest"
	"github.com/tiny-forge/docker-watcher/internal/schedule"
	"github.com/tiny-forge/docker-watcher/internal/store"
	"github.com/tiny-forge/docker-watcher/internal/waittest"
)

func TestWorkState(t *testing.T) {
	for _, tt := range []struct {
		overdue bool
		last    string
		running bool
		ended   bool
		want    string
	}{
		{want: workWaiting},
		{ended: true, want: workWell},
		{running: true, want: workRunning},
		{running: true, ended: true, want: workRunning},
		{last: "no room", ended: true, want: workFailed},
		{last: "no room", running: true, ended: true, want: workFailed}, // until the run that goes on has ended well
		{overdue: true, want: workOverdue},
		{overdue: true, last: "no room", running: true, ended: true, want: workOverdue},
	} {
		if got := workState(tt.overdue, tt.last, tt.running, tt.ended); got != tt.want {
			t.Errorf("%+v: %s", tt, got)
		}
	}
}

func TestScanWork(t *testing.T) {
	now := time.Date(2026, 11, 29, 12, 0, 0, 0, time.UTC)
	ago := func(d time.Duration) time.Time { return now.Add(-d) }
	scan := func(d time.Duration, outcome store.ScanOutcome) store.ScanRun {
		return store.ScanRun{StartedAt: ago(d), FinishedAt: ago(d).Add(2 * time.Second), Outcome: outcome, Error: map[store.ScanOutcome]string{store.ScanBlind: "no answer"}[outcome]}
	}
	for name, tt := range map[string]struct {
		w      HostWork
		newest store.ScanRun
		since  time.Time
		want   string
		last   string
		took   int64 // -1: not known
	}{
		"new, and not yet due":          {since: ago(time.Minute), want: workWaiting, took: -1},
		"new, and long due":             {since: ago(2 * time.Hour), want: workOverdue, took: -1},
		"scanned":                       {newest: scan(30*time.Minute, store.ScanOK), since: ago(100 * time.Hour), want: workWell, took: 2000},
		"late, within the tenth":        {newest: scan(65*time.Minute, store.ScanOK), since: ago(100 * time.Hour), want: workWell, took: 2000},
		"late":                          {newest: scan(67*time.Minute, store.ScanOK), since: ago(100 * time.Hour), want: workOverdue, took: 2000},
		"blind":                         {newest: scan(time.Minute, store.ScanBlind), since: ago(100 * time.Hour), want: workBlind, last: "no answer", took: 2000},
		"long not scanned, blind there": {newest: scan(3*time.Hour, store.ScanBlind), since: ago(100 * time.Hour), want: workOverdue, took: 2000},
		"failed": {
			w: HostWork{LastStart: ago(time.Minute), LastEnd: ago(59 * time.Second), Took: time.Second, LastError: "no room", Failures: 2}, newest: scan(2*time.Hour, store.ScanOK),
			since: ago(100 * time.Hour), want: workFailed, last: "no room", took: 1000,
		},
		"running for long": {w: HostWork{LastStart: ago(20 * time.Minute), Running: true}, newest: scan(80*time.Minute, store.ScanOK), since: ago(100 * time.Hour), want: workRunning, took: -1},
		"hangs":            {w: HostWork{LastStart: ago(2 * time.Hour), Running: true}, newest: scan(3*time.Hour, store.ScanOK), since: ago(100 * time.Hour), want: workOverdue, took: -1},
		"by hand, after a job's": {
			w: HostWork{LastStart: ago(50 * time.Minute), LastEnd: ago(49 * time.Minute), Took: time.Minute}, newest: scan(5*time.Minute, store.ScanOK),
			since: ago(100 * time.Hour), want: workWell, took: 2000,
		},
	} {
		t.Run(name, func(t *testing.T) {
			got := scanWork(tt.w, tt.newest, tt.since, time.Hour, now)
			took := int64(-1)
			if got.DurationMS != nil {
				took = *got.DurationMS
			}
			if got.State != tt.want || got.LastError != tt.last || took != tt.took {
				t.Errorf("%s, %q, %d ms: %+v", got.State, got.LastError, took, got)
			}
		})
	}
}

// TestJobs has one job that fails until it is mended, and one that does not end by itself.
func TestJobs(t *testing.T) {
	b := newBed(t)
	ctx := t.Context()
	var mended atomic.Bool
	release := make(chan struct{})
	b.must(b.deps.Scheduler.Set(schedule.Job{Name: "broken", Spec: "@every 1h", Run: func(context.Context) error {
		if mended.Load() {
			return nil
		}
		return errors.New("no room")
	}}))
	b.must(b.deps.Scheduler.Set(schedule.Job{Name: ScanJob, Spec: "@every 24h", Run: func(ctx context.Context) error {
		select {
		case <-release:
		case <-ctx.Done():
		}
		return nil
	}}))
	b.run("scheduler", b.deps.Scheduler.Run)
	state := func(name string) client.Job {
		t.Helper()
		all, err := b.viewer.Jobs(ctx)
		b.must(err)
		for _, j := range all {
			if j.Name == name {
				return j
			}
		}
		t.Fatalf("no job %s among %+v", name, all)
		return client.Job{}
	}
	if j := state("broken"); j.State != "waiting" || j.DurationMS != nil || j.Schedule != "@every 1h" || j.NextAt.Before(time.Now()) || !j.LastStartedAt.IsZero() || j.Hosts == nil {
		t.Errorf("before its first run: %+v", j)
	}
	for _, c := range []*client.Client{b.viewer, b.operator} {
		_, err := c.RunJob(ctx, "broken")
		wantProblem(t, err, http.StatusForbidden, client.CodeForbidden)
	}
	_, err := b.admin.RunJob(ctx, "none")
	wantProblem(t, err, http.StatusNotFound, client.CodeNotFound)
	if j := state("broken"); j.State != "waiting" {
		t.Errorf("a refused run ran: %+v", j)
	}
	again := func() {
		t.Helper()
		eventually(t, "the job begins", func() bool {
			_, err := b.admin.RunJob(ctx, "broken")
			return err == nil
		})
		eventually(t, "the job ends", func() bool { return !state("broken").Running })
	}
	again()
	again()
	if j := state("broken"); j.State != "failed" || j.Failures != 2 || j.LastError != "no room" || j.DurationMS == nil || j.LastEndedAt.IsZero() {
		t.Errorf("after two failures: %+v", j)
	}
	if e := b.event("job.asked"); e.Actor != "token:admin" || e.Data["job"] != "broken" || e.Data["addr"] == "" {
		t.Errorf("told %+v", e)
	}
	mended.Store(true)
	again()
	if j := state("broken"); j.State != "well" || j.Failures != 0 || j.LastError != "" {
		t.Errorf("when it is mended: %+v", j)
	}

	_, err = b.admin.RunJob(ctx, ScanJob)
	b.must(err)
	if j := state(ScanJob); j.State != "running" || !j.Running {
		t.Errorf("while it runs: %+v", j)
	}
	_, err = b.admin.RunJob(ctx, ScanJob)
	wantProblem(t, err, http.StatusConflict, client.CodeBusy)
	close(release)
}

// TestJobsTellOfHosts: what a job has done on each host stands beneath it, and the scans of a host that is out of use do not.
func TestJobsTellOfHosts(t *testing.T) {
	work := HostWork{Job: "cleaning", LastStart: time.Now().Add(-time.Minute), LastEnd: time.Now(), Took: time.Minute, LastError: "no room", Failures: 3}
	pretend := dockertest.New(t, dockertest.Options{})
	b := newBedOn(t, docker.Options{Endpoint: pretend.Endpoint(), Dial: pretend.Dial}, func(b *bed) {
		b.engine = pretend
		work.HostID = b.host.ID
		b.deps.HostWorks = func() []HostWork { return []HostWork{work, {Job: ScanJob, HostID: "gone", LastError: "never shown"}} }
		for _, name := range []string{ScanJob, "cleaning", "other"} {
			b.must(b.deps.Scheduler.Set(schedule.Job{Name: name, Spec: "@every 24h", Run: func(context.Context) error { return nil }}))
		}
	})
	off := b.host
	off.ID, off.Name, off.DisabledSince = store.NewID(), "off", time.Now()
	b.update(func(tx *store.Tx) error { return tx.InsertHost(t.Context(), off) })
	b.scan()
	all, err := b.viewer.Jobs(t.Context())
	b.must(err)
	if len(all) != 3 {
		t.Fatalf("got %+v", all)
	}
	cleaning, other, scans := all[0], all[1], all[2]
	if len(cleaning.Hosts) != 1 || cleaning.Hosts[0].Host != "local" || cleaning.Hosts[0].State != "failed" || cleaning.Hosts[0].Failures != 3 || *cleaning.Hosts[0].DurationMS != 60_000 {
		t.Errorf("got %+v", cleaning)
	}
	if len(other.Hosts) != 0 {
		t.Errorf("got %+v", other)
	}
	if len(scans.Hosts) != 1 || scans.Hosts[0].HostID != b.host.ID || scans.Hosts[0].State != "well" || scans.Hosts[0].DurationMS == nil {
		t.Errorf("got %+v", scans)
	}
	b.engine.Shutdown()
	_, err = b.operator.Scan(t.Context(), "")
	b.must(err)
	if all, err = b.viewer.Jobs(t.Context()); err != nil || all[2].Hosts[0].State != "blind" || all[2].Hosts[0].LastError == "" {
		t.Errorf("while the engine does not answer: %+v, %v", all[2].Hosts, err)
	}
}

// TestTheJobOfBackupsSaysThatNoneIsDue: whoever asks for one before a risky change must not think that there is one.
func TestTheJobOfBackupsSaysThatNoneIsDue(t *testing.T) {
	b := newBed(t)
	b.deps.Backups = backup.New(b.db, backup.Options{Folder: t.TempDir(), Data: t.TempDir(), Every: 24 * time.Hour, Keep: 3}, b.deps.Log)
	s := &server{d: b.deps, log: b.deps.Log}
	if err := s.nothingToBackUp(BackupJob); err != nil {
		t.Errorf("none is there yet: %v", err)
	}
	_, err := b.deps.Backups.Make(t.Context(), backup.By{Actor: "user:anna"})
	b.must(err)
	p, ok := errors.AsType[*Problem](s.nothingToBackUp(BackupJob))
	if !ok || p.Status != http.StatusConflict || !strings.Contains(p.Hint, "backup make") {
		t.Errorf("%+v", p)
	}
	if err := s.nothingToBackUp("stale-scan"); err != nil {
		t.Error(err)
	}
}

// TestABackupThatIsPutOffIsTriedWhenItsJobIsAskedToRun: others failed, and somebody has mended what made them fail.
func TestABackupThatIsPutOffIsTriedWhenItsJobIsAskedToRun(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file")
	pretend := dockertest.New(t, dockertest.Options{})
	b := newBedOn(t, docker.Options{Endpoint: pretend.Endpoint(), Dial: pretend.Dial}, func(b *bed) {
		b.must(os.WriteFile(file, nil, 0o600))
		b.deps.Backups = backup.New(b.db, backup.Options{Folder: filepath.Join(file, "backups"), Data: t.TempDir(), Every: 24 * time.Hour, Keep: 3}, b.deps.Log)
	})
	if err := b.deps.Backups.IfDue(t.Context()); err == nil || b.deps.Backups.PutOff().IsZero() {
		t.Fatalf("put off until %s, %v", b.deps.Backups.PutOff(), err)
	}
	began := make(chan time.Time, 1)
	b.must(b.deps.Scheduler.Set(schedule.Job{Name: BackupJob, Spec: "@every 10m", Run: func(context.Context) error {
		began <- b.deps.Backups.PutOff()
		return nil
	}}))
	b.run("scheduler", b.deps.Scheduler.Run)
	if _, err := b.admin.RunJob(t.Context(), BackupJob); err != nil {
		t.Fatal(err)
	}
	if until := waittest.Next(t, "its run", began); !until.IsZero() {
		t.Errorf("its run finds it put off until %s", until)
	}
}
