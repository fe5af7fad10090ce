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

	"github.com/tiny-forge/docker-watcher/internal/failpoint"
	"github.com/tiny-forge/docker-watcher/internal/store"
)

// workPrefix begins the name of a folder with what is unpacked, in which keys lie open.
const workPrefix = ".restoring-"

// ClearRestores removes the folders of work that restores which were killed have left: keys lie open in them. While the store is open none is under
// way, and none waits to be finished.
func (k *Keeper) ClearRestores() error { return clearWork(k.o.Data, k.db.File()) }

// clearWork removes all folders of work: those in the data folder, and those beside the database file where that comes to a place of its own.
func clearWork(data, target string) error {
	err := removeAll(data, workPrefix)
	if target != "" {
		err = errors.Join(err, removeAll(filepath.Dir(target), besidePrefix(target)))
	}
	return err
}

// besidePrefix begins the names of folders beside the database file, where that lies elsewhere than the data folder: others may be there, too.
func besidePrefix(target string) string { return "." + filepath.Base(target) + workPrefix }

// Restored is what a restore has done.
type Restored struct {
	Manifest Manifest
	// Aside are the folders with the former files; empty: there were none.
	Aside []string
}

// Restore puts a backup back into a data folder that no daemon uses; its key file must be there already. What was in its place is
// moved aside, not removed. A database on a server must be an empty one. Nobody else can open the store until all of it is in its
// place; one that was cut off is finished by running it again.
func Restore(ctx context.Context, file string, to store.Options, now time.Time) (r Restored, err error) {
	hold, err := store.Take(ctx, to)
	if err != nil {
		return r, err
	}
	defer func() { err = errors.Join(err, hold.Close()) }()
	data, err := filepath.EvalSymlinks(absolute(to.DataDir)) // the journal is read again from another folder, or by another name
	if err != nil {
		return r, fmt.Errorf("restore: %w", err)
	}
	s := restoring{hold: hold, data: data, target: hold.File()}
	defer func() { err = errors.Join(err, s.clean()) }()
	if err := s.unpack(ctx, file); err != nil {
		return r, err
	}
	r.Manifest = s.manifest
	from, err := store.OpenRestorable(ctx, filepath.Join(s.unpacked, databaseName), to.DataDir)
	if err != nil {
		return r, err
	}
	defer func() { err = errors.Join(err, from.Close()) }()
	if err := openFiles(filepath.Join(s.unpacked, certificates), to.DataDir); err != nil {
		return r, err
	}
	failpoint.Here("opened")
	comes, err := s.comes(ctx, from)
	if err != nil {
		return r, err
	}
	j, err := s.begin(ctx, file, comes, now)
	if err != nil {
		return r, err
	}
	if err := s.fillServer(ctx, from); err != nil {
		return r, err
	}
	for _, c := range comes {
		if err := j.bring(c); err != nil {
			return r, err
		}
	}
	r.Aside = j.aside()
	failpoint.Here("all in place")
	return r, j.end(data)
}

// restoring is one restore under way.
type restoring struct {
	hold     *store.Hold
	data     string
	target   string // where the database file comes to; empty: the store is on a server
	unpacked string
	manifest Manifest
}

// clean removes all folders of work: our own, and what one that was killed has left.
func (s *restoring) clean() error { return clearWork(s.data, s.target) }

func (s *restoring) unpack(ctx context.Context, file string) error {
	if err := s.clean(); err != nil {
		return err
	}
	work, err := os.MkdirTemp(s.data, workPrefix+"*")
	if err != nil {
		return fmt.Errorf("restore: %w", err)
	}
	s.unpacked = filepath.Join(work, "backup")
	s.manifest, err = Unpack(ctx, file, s.unpacked)
	return err
}

// comes is what comes into its place: the database first, for which the rest is of use.
func (s *restoring) comes(ctx context.Context, from *store.Restorable) ([]arrival, error) {
	var all []arrival
	if s.target != "" {
		dir, err := os.MkdirTemp(filepath.Dir(s.target), besidePrefix(s.target)+"*") // of the same disk
		if err != nil {
			return nil, fmt.Errorf("restore: %w", err)
		}
		made := filepath.Join(dir, databaseName)
		if err := from.IntoFile(ctx, made); err != nil {
			return nil, err
		}
		all = append(all, arrival{made, s.target})
	}
	folder := filepath.Join(s.unpacked, certificates)
	if _, err := os.Stat(folder); err == nil {
		all = append(all, arrival{folder, filepath.Join(s.data, certificates)})
	}
	return all, nil
}

// begin goes on with the journal of a restore that was cut off, or writes one. A store on a server must be empty then.
func (s *restoring) begin(ctx context.Context, file string, comes []arrival, now time.Time) (*journal, error) {
	j := &journal{Backup: absolute(file), Digest: s.manifest.Files[databaseName], Target: s.target}
	former, err := readJournal(s.data)
	if err != nil {
		return nil, err
	}
	if former != nil {
		if former.Digest != j.Digest || former.Target != j.Target {
			return nil, fmt.Errorf("%w: it was of %s; only with that, and into the same store, it comes to its end", store.ErrHalfRestored, former.Backup)
		}
		return former, nil
	}
	if s.target == "" {
		if id, err := s.hold.Installation(ctx); err != nil {
			return nil, err
		} else if id != "" {
			return nil, fmt.Errorf("%w, by installation %s: give one that is new", store.ErrInUse, id)
		}
	}
	for _, c := range comes {
		if err := j.expect(c.to, now); err != nil {
			return nil, err
		}
	}
	return j, j.write(s.data)
}

// fillServer copies the rows, all or none, unless that was done before the restore was cut off: the store was empty when its journal was begun,
// and has been kept from daemons since. Where nothing has come of it the journal goes again.
func (s *restoring) fillServer(ctx context.Context, from *store.Restorable) error {
	if s.target != "" {
		return nil
	}
	id, err := s.hold.Installation(ctx)
	if err != nil || id == s.manifest.Installation {
		return err
	}
	err = from.Into(ctx, s.hold)
	if err == nil {
		failpoint.Here("rows are there")
		return nil
	}
	if id, asked := s.hold.Installation(context.WithoutCancel(ctx)); asked == nil && id == "" {
		err = errors.Join(err, (&journal{}).end(s.data))
	}
	return err
}

// openFiles writes the plain content into every file of an unpacked folder, which may not be there, and has it on the disk.
func openFiles(dir, dataDir string) error {
	return filepath.WalkDir(dir, func(file string, e fs.DirEntry, err error) error {
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		if err != nil {
			return err
		}
		if e.IsDir() {
			return syncName(file)
		}
		if !e.Type().IsRegular() {
			return nil
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
		if err := os.WriteFile(file, plain, 0o600); err != nil {
			return err
		}
		return syncName(file)
	})
}

// removeAll removes what lies in a folder under names that begin so.
func removeAll(folder, prefix string) error {
	entries, err := os.ReadDir(folder)
	if err != nil {
		return fmt.Errorf("remove what was left of the work: %w", err)
	}
	for _, e := range entries {
		if strings.HasPrefix(e.Name(), prefix) {
			if err := os.RemoveAll(filepath.Join(folder, e.Name())); err != nil {
				return fmt.Errorf("remove what was left of the work: %w", err)
			}
		}
	}
	return nil
}

// syncName has a file, or the names in a folder, on the disk before it returns.
func syncName(name string) error {
	f, err := os.Open(name)
	if err != nil {
		return err
	}
	return errors.Join(f.Sync(), f.Close())
}
