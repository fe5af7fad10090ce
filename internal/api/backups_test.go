package api

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/tiny-forge/docker-watcher/client"
	"github.com/tiny-forge/docker-watcher/internal/backup"
	"github.com/tiny-forge/docker-watcher/internal/schedule"
)

func TestBackups(t *testing.T) {
	b := newBed(t)
	ctx := t.Context()
	made, err := b.admin.MakeBackup(ctx)
	b.must(err)
	all, err := b.admin.Backups(ctx)
	b.must(err)
	if len(all) != 1 || all[0] != made || made.Bytes == 0 {
		t.Errorf("made %+v, listed %+v", made, all)
	}
	var got strings.Builder
	b.must(b.admin.GetBackup(ctx, made.Name, &got))
	if int64(got.Len()) != made.Bytes || !strings.HasPrefix(got.String(), "\x1f\x8b") {
		t.Errorf("%d bytes came, %d were told", got.Len(), made.Bytes)
	}
	for _, name := range []string{"none", "..%2F..%2Fdocker-watcher.key", "docker-watcher-20200101T000000Z.tar.gz"} {
		wantProblem(t, b.admin.GetBackup(ctx, name, &got), http.StatusNotFound, client.CodeNotFound)
	}
	b.must(b.admin.DeleteBackup(ctx, made.Name))
	if all, err = b.admin.Backups(ctx); err != nil || len(all) != 0 {
		t.Errorf("after its removal: %+v, %v", all, err)
	}
}

// TestABackupThatCannotBeWrittenSaysWhy: whoever asks is an admin, and the doctor sends them here for the reason.
func TestABackupThatCannotBeWrittenSaysWhy(t *testing.T) {
	b := newBed(t)
	file := filepath.Join(t.TempDir(), "file")
	b.must(os.WriteFile(file, nil, 0o600))
	b.deps.Backups = backup.New(b.db, backup.Options{Folder: filepath.Join(file, "backups"), Data: t.TempDir(), Keep: 3}, b.deps.Log)
	_, err := (&server{d: b.deps, log: b.deps.Log}).makeBackup(t.Context(), nil)
	p, ok := errors.AsType[*Problem](err)
	if !ok || p.Status != http.StatusServiceUnavailable || p.Code != codeStore {
		t.Fatal(err)
	}
	if !strings.Contains(p.Detail, "not a directory") || !strings.Contains(p.Hint, "--backup-dir") {
		t.Errorf("%+v", p)
	}
}

// TestABackupThatWouldFillTheDiskSaysWhich: it need not be that of the database.
func TestABackupThatWouldFillTheDiskSaysWhich(t *testing.T) {
	b := newBed(t)
	folder := t.TempDir()
	full := backup.Options{Folder: folder, Data: t.TempDir(), Keep: 3, Free: func(string) int64 { return 1 << 20 }}
	b.deps.Backups = backup.New(b.db, full, b.deps.Log)
	_, err := (&server{d: b.deps, log: b.deps.Log}).makeBackup(t.Context(), nil)
	p, ok := errors.AsType[*Problem](err)
	if !ok || p.Status != http.StatusServiceUnavailable || p.Code != codeStore {
		t.Fatal(err)
	}
	if !strings.Contains(p.Detail, "are needed in "+folder+", and 1 are free") || !strings.Contains(p.Hint, "--backup-dir") {
		t.Errorf("%+v", p)
	}
}

func TestNextBackup(t *testing.T) {
	at := func(h int) time.Time { return time.Date(2026, 11, 29, h, 0, 0, 0, time.UTC) }
	none := time.Time{}
	for name, tt := range map[string]struct{ due, putOff, look, want time.Time }{
		"none is made by itself":     {none, none, at(3), none},
		"nobody looks":               {at(3), none, none, none},
		"due, at the next look":      {at(1), none, at(3), at(3)},
		"not due at the next look":   {at(5), none, at(3), at(5)},
		"put off, as others failed":  {at(1), at(6), at(3), at(6)},
		"neither due nor looked for": {none, none, none, none},
	} {
		if got := nextBackup(tt.due, tt.putOff, tt.look); !got.Equal(tt.want) {
			t.Errorf("%s: %s", name, got)
		}
	}
}

// TestBackupsTellWhatIsToCome: the list says when the next one comes, where they are and what puts each back.
func TestBackupsTellWhatIsToCome(t *testing.T) {
	b := newBed(t)
	list := func() (l backupListJSON) {
		t.Helper()
		status, _, text := b.raw(b.admin, get, "/api/backups", "")
		var got struct {
			backupListJSON
			NextAt *time.Time `json:"next_at"`
		}
		if err := json.Unmarshal([]byte(text), &got); err != nil || status != http.StatusOK {
			t.Fatalf("%d %s: %v", status, text, err)
		}
		l = got.backupListJSON
		if got.NextAt != nil {
			l.NextAt = moment(*got.NextAt)
		}
		return l
	}
	if l := list(); l.Making || l.Late || l.Keep != 2 || l.EverySeconds != 0 || !time.Time(l.NextAt).IsZero() || l.Folder != b.deps.Backups.Folder() {
		t.Errorf("none is made by itself here: %+v", l)
	}
	made, err := b.admin.MakeBackup(t.Context())
	b.must(err)
	own, err := os.Executable()
	b.must(err)
	if want := own + " restore " + b.deps.Backups.Folder() + "/" + made.Name + " --data /"; !strings.HasPrefix(made.RestoreCommand, want) {
		t.Errorf("%q does not begin with %q", made.RestoreCommand, want)
	}
	b.deps.Backups = backup.New(b.db, backup.Options{Folder: b.deps.Backups.Folder(), Data: t.TempDir(), Every: 24 * time.Hour, Keep: 3}, b.deps.Log)
	b.must(b.deps.Scheduler.Set(schedule.Job{Name: BackupJob, Spec: "@every 10m", Run: func(context.Context) error { return nil }}))
	s := &server{d: b.deps, log: b.deps.Log}
	o, err := s.listBackups(t.Context(), nil)
	b.must(err)
	if due := time.Time(o.Body.Items[0].At).Add(24 * time.Hour); !time.Time(o.Body.NextAt).Equal(due) || o.Body.EverySeconds != 86400 || len(o.Body.Items) != 1 {
		t.Errorf("the next is due at %s: %+v", due, o.Body)
	}
}
