package api

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/tiny-forge/docker-watcher/client"
	"github.com/tiny-forge/docker-watcher/internal/backup"
	"github.com/tiny-forge/docker-watcher/internal/schedule"
	"github.com/tiny-forge/docker-watcher/internal/store"
	"github.com/tiny-forge/docker-watcher/internal/store/storetest"
)

func TestFound(t *testing.T) {
	for _, tt := range []struct {
		c        checkJSON
		wrong    string
		severity string
		ok       bool
	}{
		{checkJSON{OK: true}, findError, findOK, true},
		{checkJSON{OK: true, Detail: "well"}, findWarn, findOK, true},
		{checkJSON{OK: true, Hint: "make one"}, findError, findInfo, true},
		{checkJSON{Detail: "gone", Hint: "put it back"}, findError, findError, false},
		{checkJSON{Detail: "gone"}, findWarn, findWarn, false},
	} {
		if got := found(tt.c, tt.wrong); got.Severity != tt.severity || got.OK != tt.ok || got.Hint != tt.c.Hint || got.Detail != tt.c.Detail {
			t.Errorf("%+v: %+v", tt, got)
		}
	}
}

// TestTheDoctorLooksOnceAtATime: who asks meanwhile is told so and costs nothing, and who asks after is answered.
func TestTheDoctorLooksOnceAtATime(t *testing.T) {
	b := newBed(t)
	s := &server{d: b.deps, log: b.deps.Log}
	s.examining.Lock()
	found, err := s.examine(t.Context(), nil)
	p, refused := errors.AsType[*Problem](err)
	if !refused || p.Status != http.StatusConflict || p.Code != codeBusy || p.Hint == "" || found != nil {
		t.Errorf("meanwhile: %+v, %v", found, err)
	}
	s.examining.Unlock()
	for range 2 {
		if found, err := s.examine(t.Context(), nil); err != nil || len(found.Body.Findings) == 0 {
			t.Errorf("after: %+v, %v", found, err)
		}
	}
}

// TestOnlyDamageAsksForABackup: whoever puts one back because a check was called off loses what was written since.
func TestOnlyDamageAsksForABackup(t *testing.T) {
	if c := databaseCheck(fmt.Errorf("check the database: %w", store.ErrCorrupt), func(file string) string { return "server restore " + file }); c.OK || !strings.Contains(c.Hint, "server restore") {
		t.Errorf("damaged: %+v", c)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	s := &server{d: Deps{DB: storetest.Open(t)}}
	if c := s.checkDatabase(ctx); c.OK || strings.Contains(c.Hint, "restore") || !strings.Contains(c.Detail, "could not be checked") || !strings.Contains(c.Detail, "canceled") {
		t.Errorf("called off: %+v", c)
	}
	if c := s.checkDatabase(t.Context()); !c.OK || c.Hint != "" {
		t.Errorf("well: %+v", c)
	}
}

// TestDoctorSaysHowBadItIs: what is only to be done is not wrong, one failure warns, and three or an engine that is gone are errors.
func TestDoctorSaysHowBadItIs(t *testing.T) {
	b := newBed(t)
	ctx := t.Context()
	b.must(b.deps.Scheduler.Set(schedule.Job{Name: "broken", Spec: "@every 1h", Run: func(context.Context) error { return errors.New("no room") }}))
	b.run("scheduler", b.deps.Scheduler.Run)
	_, err := b.operator.Doctor(ctx)
	wantProblem(t, err, http.StatusForbidden, client.CodeForbidden)
	finding := func(name string) client.Finding {
		t.Helper()
		e, err := b.admin.Doctor(ctx)
		b.must(err)
		wrong := false
		var it client.Finding
		for _, f := range e.Findings {
			wrong = wrong || !f.OK
			if f.OK != (f.Severity == "ok" || f.Severity == "info") || f.OK && f.Severity == "info" != (f.Hint != "") {
				t.Errorf("does not fit together: %+v", f)
			}
			if f.Name == name {
				it = f
			}
		}
		if e.Well == wrong {
			t.Errorf("well is %t: %+v", e.Well, e.Findings)
		}
		return it
	}
	if f := finding("backup"); f.Severity != "info" || f.Hint == "" {
		t.Errorf("without a backup: %+v", f)
	}
	if f := finding("job:broken"); f.Severity != "ok" {
		t.Errorf("before its first run: %+v", f)
	}
	_, err = b.admin.MakeBackup(ctx)
	b.must(err)
	if f := finding("backup"); f.Severity != "ok" || f.Hint != "" {
		t.Errorf("with a backup: %+v", f)
	}
	for failures, want := range []string{"warn", "warn", "error"} {
		eventually(t, "the job begins", func() bool { return b.deps.Scheduler.Trigger("broken") })
		eventually(t, "the job has ended", func() bool { s, _ := b.deps.Scheduler.Status("broken"); return !s.Running })
		if f := finding("job:broken"); f.Severity != want || f.OK || f.Hint == "" {
			t.Errorf("after %d failures: %+v", failures+1, f)
		}
	}
	b.engine.Shutdown()
	if f := finding("engine:local"); f.Severity != "error" || f.Hint == "" {
		t.Errorf("without an engine: %+v", f)
	}
}

// TestDoctorOfWhatTheDaemonStandsOn: what the next start would refuse, and a folder that takes no backup, is told while the daemon runs.
func TestDoctorOfWhatTheDaemonStandsOn(t *testing.T) {
	f := newFrontBed(t)
	o := store.Options{DataDir: t.TempDir()}
	s := &server{d: f.deps, log: f.deps.Log}
	s.d.DB = storetest.With(t, o)
	f.must(s.d.DB.Update(t.Context(), func(tx *store.Tx) error { return tx.InsertHost(t.Context(), f.host) }))
	finding := func(name string) findingJSON {
		t.Helper()
		found, err := s.examine(t.Context(), nil)
		f.must(err)
		for _, it := range found.Body.Findings {
			if it.Name == name {
				return it
			}
		}
		t.Fatalf("nobody looked at the %s: %+v", name, found.Body.Findings)
		return findingJSON{}
	}
	key := filepath.Join(o.DataDir, "docker-watcher.key")
	if it := finding("key file"); !it.OK {
		t.Errorf("%+v", it)
	}
	f.must(os.Chmod(key, 0o644))
	if it := finding("key file"); it.Severity != findError || !strings.Contains(it.Detail, "does not start again") {
		t.Errorf("a key that others can read: %+v", it)
	}
	f.must(os.Rename(key, key+".away"))
	if it := finding("key file"); it.Severity != findError || !strings.Contains(it.Hint, "put back the key file") {
		t.Errorf("without a key: %+v", it)
	}
	if it := finding("engine:local"); !it.OK || !strings.Contains(it.Detail, "API 1.") {
		t.Errorf("the engine: %+v", it)
	}
	if it := finding("port of routes"); !it.OK {
		t.Errorf("the port: %+v", it)
	}
	if it := finding("backup"); it.Severity != findInfo {
		t.Errorf("without a backup: %+v", it)
	}
	s.d.Backups = backup.New(s.d.DB, backup.Options{Folder: "/proc/nope", Data: o.DataDir, Keep: 2}, f.deps.Log)
	if it := finding("backup"); it.OK || !strings.Contains(it.Hint, "--backup-dir") {
		t.Errorf("where no backup can be: %+v", it)
	}
	s.d.Routes.Listen = "127.0.0.1:1"
	if it := finding("port of routes"); it.Severity != findError {
		t.Errorf("where nobody listens: %+v", it)
	}
	f.engine.SetClock(5 * time.Minute)
	if it := finding("engine:local"); it.OK || !strings.Contains(it.Hint, "NTP") {
		t.Errorf("an engine whose clock is off: %+v", it)
	}
}
