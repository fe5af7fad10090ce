package store

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
)

// salvagePrefix begins the name of a folder in which a damaged file is opened together with its log.
const salvagePrefix = ".salvage-"

// makeSalvageFolder makes one that clearSalvages leaves alone while held is open, or until this process ends.
func makeSalvageFolder(in string) (name string, held *os.File, err error) {
	for range 5 { // who clears at this very moment may take it for one that nobody holds
		if name, err = os.MkdirTemp(in, salvagePrefix); err != nil {
			return "", nil, err
		}
		held, err = lockSalvageFolder(name, syscall.LOCK_SH)
		if err == nil {
			return name, held, nil
		}
		if !errors.Is(err, fs.ErrNotExist) && !errors.Is(err, syscall.EWOULDBLOCK) {
			return "", nil, errors.Join(err, os.Remove(name))
		}
	}
	return "", nil, err
}

// lockSalvageFolder answers a folder that is there, and locked, until it is closed.
func lockSalvageFolder(name string, how int) (*os.File, error) {
	f, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	err = syscall.Flock(int(f.Fd()), how|syscall.LOCK_NB)
	if err == nil {
		_, err = os.Lstat(name)
	}
	if err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return f, nil
}

// clearSalvages removes what salvages that were killed have left in a folder: the second name of a database keeps all of its room when that is long
// gone. One that somebody holds stays.
func clearSalvages(folder string) error {
	entries, err := os.ReadDir(folder)
	if err != nil {
		return fmt.Errorf("look for what a salvage left: %w", err)
	}
	var errs []error
	for _, e := range entries {
		if e.IsDir() && strings.HasPrefix(e.Name(), salvagePrefix) {
			errs = append(errs, clearSalvage(filepath.Join(folder, e.Name())))
		}
	}
	return errors.Join(errs...)
}

func clearSalvage(name string) error {
	held, err := lockSalvageFolder(name, syscall.LOCK_EX)
	switch {
	case errors.Is(err, syscall.EWOULDBLOCK), errors.Is(err, fs.ErrNotExist):
		return nil // somebody's, or gone
	case err == nil:
		err = errors.Join(os.RemoveAll(name), held.Close())
	}
	if err != nil {
		return fmt.Errorf("remove what a salvage left: %w", err)
	}
	return nil
}
