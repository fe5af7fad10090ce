package store

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
)

// ErrHalfRestored is a store into which a backup was being put when that was cut off.
var ErrHalfRestored = errors.New("a restore of this store did not come to its end: run it again")

// RestoreMark is the name of a file in the data folder, which is there while a backup takes the place of what was there before. A store is not
// opened meanwhile: a part of the one and a part of the other, or nothing at all, would be taken for all there is.
const RestoreMark = "docker-watcher.restoring"

func refuseHalfRestored(dataDir string) error {
	mark := filepath.Join(dataDir, RestoreMark)
	_, err := os.Lstat(mark)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("look whether a restore came to its end: %w", err)
	}
	return fmt.Errorf("%w (%s is there until then)", ErrHalfRestored, mark)
}

// Hold keeps a store from everybody else and does not open it.
type Hold struct {
	base    database
	dataDir string
	lock    leaderLock
	folder  *fileLock // see lockFolder
}

// Take takes the lock of a store, and of its data folder. ErrLocked.
func Take(ctx context.Context, o Options) (*Hold, error) {
	base, err := connect(o)
	if err != nil {
		return nil, err
	}
	h := &Hold{base: base, dataDir: o.DataDir}
	if h.lock, err = base.lock(ctx); err == nil {
		h.folder, err = lockFolder(base, o.DataDir)
	}
	if err != nil {
		return nil, errors.Join(err, h.Close())
	}
	return h, nil
}

// TakeFolder takes the lock of a data folder alone: its store, on a server, stays free for all. ErrLocked.
func TakeFolder(dataDir string) (*Hold, error) {
	l, err := lockFile(folderLock(dataDir))
	if err != nil {
		return nil, err
	}
	return &Hold{folder: l}, nil
}

// ReadBeside lets others read meanwhile, as SalvageBeside does: whoever holds it promises not to write.
func (h *Hold) ReadBeside() error {
	var errs []error
	if files, ok := h.lock.(locks); ok { // a server is not held for it
		for _, l := range files {
			errs = append(errs, sign(l.file, mayReadBeside))
		}
	}
	return errors.Join(errs...)
}

// Close lets go of the store.
func (h *Hold) Close() error {
	var errs []error
	if h.base != nil {
		errs = append(errs, h.base.close())
	}
	if h.folder != nil {
		errs = append(errs, h.folder.release())
	}
	if h.lock != nil {
		errs = append(errs, h.lock.release())
	}
	return errors.Join(errs...)
}

// File is where the database is, behind links; empty: on a server.
func (h *Hold) File() string { return fileOf(h.base) }

// File is as that of a Hold.
func (db *DB) File() string { return fileOf(db.base) }

func fileOf(base database) string {
	if d, ok := base.(*sqliteDatabase); ok {
		return d.file
	}
	return ""
}

// Installation is whose the store on a server is; empty: nobody's yet.
func (h *Hold) Installation(ctx context.Context) (string, error) { return ownerOf(ctx, h.base) }

// Restorable is a SQLite file that is to be put back into a store. Its schema was brought up to ours, in place: give a copy of its own.
type Restorable struct{ from *sqliteDatabase }

// OpenRestorable opens one. The key file of the data folder must be the one that it was sealed with: else ErrWrongKey or ErrBadKeyFile.
func OpenRestorable(ctx context.Context, file, dataDir string) (*Restorable, error) {
	from, err := openFile(ctx, file)
	if err != nil {
		return nil, err
	}
	if err := errors.Join(from.prove(ctx, dataDir), from.leaveNumbers(ctx)); err != nil {
		return nil, errors.Join(err, from.close())
	}
	return &Restorable{from}, nil
}

// toldSince is more than the events that are told between a backup and its restore.
const toldSince = 1_000_000_000

// leaveNumbers has events go on above the numbers of all that were told since: whoever knows those, as a page that is open does, takes only a
// higher one for new.
func (d *sqliteDatabase) leaveNumbers(ctx context.Context) error {
	_, err := d.writer.ExecContext(ctx, `UPDATE sequences SET value = value + $1 WHERE name = 'event'`, toldSince)
	return fault("number the events on", err)
}

// Close ends the reading.
func (r *Restorable) Close() error { return r.from.close() }

// Into copies all rows into a store that is held, and new: else ErrInUse.
func (r *Restorable) Into(ctx context.Context, h *Hold) error { return fill(ctx, r.from, h.base, nil) }

// IntoFile copies all rows into a new SQLite file, which is whole and on the disk when it returns.
func (r *Restorable) IntoFile(ctx context.Context, file string) error {
	to, err := newSQLite(file, filepath.Dir(file))
	if err != nil {
		return err
	}
	err = fill(ctx, r.from, to, nil)
	if err := errors.Join(err, to.close()); err != nil {
		return err
	}
	if rest, err := sizeOf(file + "-wal"); err != nil || rest > 0 {
		return errors.Join(err, fmt.Errorf("restore the database: %d bytes of %s are not in it", rest, file+"-wal"))
	}
	if err := syncFile(file); err != nil {
		return fmt.Errorf("restore the database: %w", err)
	}
	return nil
}
