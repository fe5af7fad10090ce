package backup

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/tiny-forge/docker-watcher/internal/store"
)

// Restored is what a restore has done.
type Restored struct {
	Manifest Manifest
	// Aside is where the former files are now; empty: there were none.
	Aside string
}

// Restore puts a backup back into a data folder that no daemon uses; its key file must be there already. What was in its place is
// moved aside, not removed. A database on a server must be an empty one.
func Restore(ctx context.Context, file string, to store.Options, now time.Time) (r Restored, err error) {
	work, err := os.MkdirTemp(to.DataDir, ".restoring-*")
	if err != nil {
		return r, fmt.Errorf("restore: %w", err)
	}
	defer func() { err = errors.Join(err, os.RemoveAll(work)) }()
	unpacked := filepath.Join(work, "backup")
	if r.Manifest, err = Unpack(ctx, file, unpacked); err != nil {
		return r, err
	}
	if err := openFiles(filepath.Join(unpacked, certificates), to.DataDir); err != nil {
		return r, err
	}
	moves := []move{{filepath.Join(unpacked, certificates), filepath.Join(to.DataDir, certificates)}}
	if !strings.Contains(to.URL, "://") { // a file: made beside the one that it is to be, under the lock of the data folder
		target := to.URL
		if target == "" {
			target = filepath.Join(to.DataDir, databaseName)
		}
		beside, err := os.MkdirTemp(filepath.Dir(target), ".restoring-*")
		if err != nil {
			return r, fmt.Errorf("restore: %w", err)
		}
		defer os.RemoveAll(beside) // empty by then, or an attempt that failed
		to.URL = filepath.Join(beside, databaseName)
		moves = append(moves, move{to.URL, target})
	}
	if err := store.Restore(ctx, filepath.Join(unpacked, databaseName), to); err != nil {
		return r, err
	}
	r.Aside = filepath.Join(to.DataDir, "before-restore-"+now.UTC().Format(stamp))
	moved := false
	for _, m := range moves {
		did, err := m.run(r.Aside)
		if err != nil {
			return r, err
		}
		moved = moved || did
	}
	if !moved {
		r.Aside = ""
	}
	return r, nil
}

// openFiles writes the plain content into every file of an unpacked folder, which may not be there.
func openFiles(dir, dataDir string) error {
	return filepath.WalkDir(dir, func(file string, e fs.DirEntry, err error) error {
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		if err != nil || !e.Type().IsRegular() {
			return err
		}
		rel, err := filepath.Rel(filepath.Dir(dir), file)
		if err != nil {
			return err
		}
		sealed, err := os.ReadFile(file)
		if err != nil {
			return err
		}
		plain, err := store.OpenFile(dataDir, filepath.ToSlash(rel), sealed)
		if err != nil {
			return err
		}
		return os.WriteFile(file, plain, 0o600)
	})
}

// move is one thing that comes into its place.
type move struct{ from, to string }

// run moves aside what is there, and says whether there was anything.
func (m move) run(aside string) (bool, error) {
	if _, err := os.Lstat(m.from); errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	moved := false
	// What SQLite keeps beside a database belongs to it: beside another one it would spoil that.
	for _, name := range []string{m.to, m.to + "-wal", m.to + "-shm"} {
		if _, err := os.Lstat(name); errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err := os.MkdirAll(aside, 0o700); err != nil {
			return moved, fmt.Errorf("move the former files aside: %w", err)
		}
		if err := os.Rename(name, filepath.Join(aside, filepath.Base(name))); err != nil {
			return moved, fmt.Errorf("move the former files aside: %w", err)
		}
		moved = true
	}
	if err := os.Rename(m.from, m.to); err != nil {
		return moved, fmt.Errorf("put the restored files in their place (the former ones are in %s): %w", aside, err)
	}
	return moved, nil
}
