package doctor

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
)

// Folder looks at the data folder: whether it can be written, or made, and by this user alone.
func Folder(dir string) Finding {
	const name = "data folder"
	info, err := os.Stat(dir)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		if err := makeable(dir); err != nil {
			return ill(name, "%s is not there, and cannot be made: %v", "see who owns the folders above it, or give another with --data", dir, err)
		}
		return well(name, "%s is not there yet: the first start makes it", dir)
	case err != nil:
		return ill(name, "%s cannot be looked at: %v", "see who owns it, and the folders above it", dir, err)
	case !info.IsDir():
		return ill(name, "%s is no folder", "give another with --data", dir)
	}
	if err := writable(dir); err != nil {
		return ill(name, "%s cannot be written: %v", "change its owner, or see whether its file system is read-only or full", dir, err)
	}
	if mode := info.Mode().Perm(); mode&0o022 != 0 {
		return ill(name, "%s may be written by others (mode %04o): they could put another key or database in it", "chmod 700 "+dir, dir, mode)
	}
	return well(name, "%s can be written", dir)
}

// BackupFolder looks whether backups can be written to a folder, or it can be made.
func BackupFolder(dir string) Finding {
	const name, remedy = "backup folder", "change the owner of the folder, see whether its disk is there, writable and not full, or give another with --backup-dir"
	info, err := os.Stat(dir)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		if err := makeable(dir); err != nil {
			return ill(name, "%s is not there, and cannot be made: %v", remedy, dir, err)
		}
		return well(name, "%s is not there yet: the first backup makes it", dir)
	case err != nil:
		return ill(name, "%s cannot be looked at: %v", remedy, dir, err)
	case !info.IsDir():
		return ill(name, "%s is no folder", remedy, dir)
	}
	if err := writable(dir); err != nil {
		return ill(name, "%s cannot be written: %v", remedy, dir, err)
	}
	return well(name, "%s can be written", dir)
}

// writable tries to write into a folder; nothing is left there.
func writable(dir string) error {
	probe, err := os.CreateTemp(dir, ".probe-*")
	if err != nil {
		return err
	}
	return errors.Join(probe.Close(), os.Remove(probe.Name()))
}

// makeable tries to make a folder where the first one that is missing would be; nothing is left there.
func makeable(dir string) error {
	above := filepath.Dir(filepath.Clean(dir))
	for {
		_, err := os.Stat(above)
		if !errors.Is(err, fs.ErrNotExist) || above == filepath.Dir(above) {
			break
		}
		above = filepath.Dir(above)
	}
	probe, err := os.MkdirTemp(above, ".probe-*")
	if err != nil {
		return err
	}
	return os.Remove(probe)
}
