package main

import (
	"context"
	"errors"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/tiny-forge/docker-watcher/internal/backup"
	"github.com/tiny-forge/docker-watcher/internal/failpoint/failpointtest"
	"github.com/tiny-forge/docker-watcher/internal/store"
	"github.com/tiny-forge/docker-watcher/internal/store/storetest"
)

// bed is a backup of a daemon that has a project "kept" and a certificate, and a data folder into which it is to be put back.
type bed struct {
	t     *testing.T
	live  string // the data folder of that daemon
	file  string // the backup
	data  string // where it comes to, with the same key
	moved time.Time
}

func newBed(t *testing.T) *bed {
	t.Helper()
	b := &bed{t: t, live: storetest.Dir(t), data: t.TempDir(), moved: time.Now()}
	b.file = b.backUp("kept")
	key, err := os.ReadFile(filepath.Join(b.live, "docker-watcher.key"))
	if err != nil {
		t.Fatal(err)
	}
	b.write(filepath.Join(b.data, "docker-watcher.key"), string(key))
	return b
}

func (b *bed) now() time.Time { return b.moved }

// backUp adds a project to the daemon and makes a backup.
func (b *bed) backUp(project string) string {
	b.t.Helper()
	o := store.Options{DataDir: b.live}
	db, err := store.Open(b.t.Context(), o)
	if err != nil {
		b.t.Fatal(err)
	}
	b.insert(db, project)
	b.write(filepath.Join(b.live, "certificates", "shop.pem"), "a certificate")
	folder := filepath.Join(b.t.TempDir(), "made")
	keeper := backup.New(db, backup.Options{Folder: folder, Data: b.live, Keep: 2, Version: "1.2.3"}, slog.New(slog.DiscardHandler))
	made, err := keeper.Make(b.t.Context(), backup.By{Actor: "user:anna"})
	if err := errors.Join(err, db.Close()); err != nil {
		b.t.Fatal(err)
	}
	return filepath.Join(folder, made.Name)
}

func (b *bed) insert(db *store.DB, project string) {
	b.t.Helper()
	storetest.Project(b.t, db, func(p *store.Project) { p.Name = project })
}

// crashed puts a store with a project "last" where the backup is to come, as a kill has left it: what was written last is in its log alone.
// It answers the folder of the file.
func (b *bed) crashed() string {
	b.t.Helper()
	running, elsewhere := b.t.TempDir(), b.t.TempDir()
	db, err := store.Open(b.t.Context(), store.Options{DataDir: b.data, URL: filepath.Join(running, "docker-watcher.db")})
	if err != nil {
		b.t.Fatal(err)
	}
	b.insert(db, "last")
	for _, ending := range []string{"", "-wal", "-shm"} {
		content := read(b.t, filepath.Join(running, "docker-watcher.db"+ending))
		if ending == "-wal" && content == "" {
			b.t.Fatal("its log is empty")
		}
		b.write(filepath.Join(elsewhere, "docker-watcher.db"+ending), content)
	}
	if err := db.Close(); err != nil {
		b.t.Fatal(err)
	}
	b.write(filepath.Join(b.data, "certificates", "shop.pem"), "later")
	return elsewhere
}

// kill begins the restore and kills it at a point.
func (b *bed) kill(command, point string, to store.Options) {
	b.t.Helper()
	failpointtest.Kill(b.t, time.Minute, point, command, b.file, to.DataDir, to.URL)
}

// again runs the same restore to its end.
func (b *bed) again(command string, to store.Options) {
	b.t.Helper()
	if out, err := exec.CommandContext(b.t.Context(), command, b.file, to.DataDir, to.URL).CombinedOutput(); err != nil {
		b.t.Fatalf("once more: %v: %s", err, out)
	}
}

// refused: no daemon takes what is there meanwhile for its store.
func (b *bed) refused(to store.Options) {
	b.t.Helper()
	for name, open := range map[string]func(context.Context, store.Options) (*store.DB, error){"open": store.Open, "open beside": store.OpenBeside} {
		db, err := open(b.t.Context(), to)
		if err == nil {
			err = db.Close()
		}
		if !errors.Is(err, store.ErrHalfRestored) {
			b.t.Errorf("%s before it came to its end: %v", name, err)
		}
	}
}

// wantRestored: all of the backup is there, and nothing of the work.
func (b *bed) wantRestored(to store.Options) {
	b.t.Helper()
	b.wantProject(to, "kept")
	if got := read(b.t, filepath.Join(b.data, "certificates", "shop.pem")); got != "a certificate" {
		b.t.Errorf("the certificate is %q", got)
	}
	for _, shape := range []string{".restoring-*", store.RestoreMark, ".*.restoring-*"} {
		left, err := filepath.Glob(filepath.Join(b.data, shape))
		if err != nil || len(left) > 0 {
			b.t.Errorf("left behind: %v, %v", left, err)
		}
	}
}

// wantLast: what was there before is whole where it was set aside.
func (b *bed) wantLast(aside store.Options) {
	b.t.Helper()
	b.wantProject(aside, "last")
}

func (b *bed) wantProject(at store.Options, name string) {
	b.t.Helper()
	db, err := store.Open(b.t.Context(), at)
	if err != nil {
		b.t.Fatal(err)
	}
	all, _, err := db.Projects(b.t.Context(), store.Page{})
	if err := errors.Join(err, db.Close()); err != nil {
		b.t.Fatal(err)
	}
	if len(all) != 1 || all[0].Name != name {
		b.t.Errorf("projects %+v, want %s alone", all, name)
	}
}

func (b *bed) write(file, text string) {
	b.t.Helper()
	if err := errors.Join(os.MkdirAll(filepath.Dir(file), 0o700), os.WriteFile(file, []byte(text), 0o600)); err != nil {
		b.t.Fatal(err)
	}
}

func read(t *testing.T, file string) string {
	t.Helper()
	content, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	return string(content)
}
