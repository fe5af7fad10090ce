package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"syscall"

	"github.com/tiny-forge/docker-watcher/internal/store"
)

// giveToOwner gives what root has written for a daemon to the owner of its data folder, who could not read it: all files of the stores, and all
// of the folders. What belongs to somebody else than root stays theirs. Nothing is done for who is not root, and where the folder is root's.
func giveToOwner(data string, folders []string, stores ...store.Options) error {
	if os.Geteuid() != 0 {
		return nil
	}
	owner, err := ownerOf(data)
	if errors.Is(err, fs.ErrNotExist) || err == nil && owner.Uid == 0 {
		return nil
	}
	if err != nil {
		return err
	}
	names := slices.Clone(folders)
	for _, o := range stores {
		files, err := store.Files(o)
		if err != nil {
			return fmt.Errorf("find the files of the store: %w", err)
		}
		names = append(names, files...)
	}
	var errs []error
	for _, name := range names {
		if err := giveAll(name, owner); err != nil {
			errs = append(errs, fmt.Errorf("give %s to the owner of %s: %w", name, data, err))
		}
	}
	return errors.Join(errs...)
}

func ownerOf(folder string) (*syscall.Stat_t, error) {
	info, err := os.Stat(folder)
	if err != nil {
		return nil, fmt.Errorf("look whose the data folder is: %w", err)
	}
	return systemStat(info)
}

func systemStat(info fs.FileInfo) (*syscall.Stat_t, error) {
	s, ok := info.Sys().(*syscall.Stat_t)
	if !ok {
		return nil, fmt.Errorf("the owner of %s is not told here", info.Name())
	}
	return s, nil
}

// giveAll gives one name, which may not be there, and what lies within it. The owner of the folder may write there meanwhile: no link is
// followed, out of the folder least of all, and a file that has another name elsewhere is left alone.
func giveAll(name string, to *syscall.Stat_t) (err error) {
	root, err := os.OpenRoot(filepath.Dir(name))
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, root.Close()) }()
	info, err := root.Lstat(filepath.Base(name))
	if errors.Is(err, fs.ErrNotExist) || err == nil && info.Mode()&fs.ModeSymlink != 0 {
		return nil
	}
	if err != nil {
		return err
	}
	return fs.WalkDir(root.FS(), filepath.Base(name), func(at string, _ fs.DirEntry, err error) error {
		if err == nil {
			err = give(root, at, to)
		}
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		return err
	})
}

func give(root *os.Root, at string, to *syscall.Stat_t) error {
	info, err := root.Lstat(at)
	if err != nil {
		return err
	}
	is, err := systemStat(info)
	if err != nil || is.Uid != 0 || info.Mode().IsRegular() && is.Nlink > 1 {
		return err
	}
	return root.Lchown(at, int(to.Uid), int(to.Gid))
}
