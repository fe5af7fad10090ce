package store

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
)

// leaderLock lets one daemon a store.
type leaderLock interface {
	release() error
	lost() <-chan struct{}
}

// folderLock is the file by which a data folder is kept from others, whatever its store is in.
func folderLock(dataDir string) string { return filepath.Join(dataDir, "docker-watcher.lock") }

// lockFolder takes the lock of a data folder whose store is on a server; nil: the store is a file, whose lock is that of the folder too.
func lockFolder(base database, dataDir string) (*fileLock, error) {
	if _, file := base.(*sqliteDatabase); file {
		return nil, nil //nolint:nilnil // it has it already
	}
	return lockFile(folderLock(dataDir))
}

// fileLock is an flock: the kernel releases it when the process ends, however it ends.
type fileLock struct{ file *os.File }

// lockFile takes the lock, or says who has it. The file stays: removing it would
// let two daemons hold a lock of the same name.
func lockFile(name string) (*fileLock, error) {
	f, err := os.OpenFile(name, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, fmt.Errorf("open the lock file: %w", err)
	}
	err = syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
	if errors.Is(err, syscall.EWOULDBLOCK) {
		said, _ := io.ReadAll(io.LimitReader(f, 64)) // who has it is told as far as it can be read
		who := holder(said)
		if syscall.Flock(int(f.Fd()), syscall.LOCK_SH|syscall.LOCK_NB) == nil { // then nobody has it but who reads
			who = "server salvage reads it and will soon end"
		}
		err = fmt.Errorf("%w (%s; lock file %s)", ErrLocked, who, name)
	}
	if err == nil {
		err = sign(f, "")
	}
	if err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return &fileLock{f}, nil
}

// mayReadBeside is the second line of a lock file whose holder lets others read.
const mayReadBeside = "read beside\n"

// lockBeside takes the lock together with others who read, and makes no file: nil where there is none, or where its holder lets others read.
func lockBeside(name string) (*fileLock, error) {
	f, err := os.Open(name)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil //nolint:nilnil // nobody has the lock, and nobody needs it
	}
	if err != nil {
		return nil, fmt.Errorf("open the lock file: %w", err)
	}
	err = syscall.Flock(int(f.Fd()), syscall.LOCK_SH|syscall.LOCK_NB)
	if errors.Is(err, syscall.EWOULDBLOCK) {
		said, readErr := io.ReadAll(io.LimitReader(f, 64))
		if readErr == nil && strings.HasSuffix(string(said), "\n"+mayReadBeside) {
			return nil, f.Close()
		}
		err = fmt.Errorf("%w (%s; lock file %s)", ErrLocked, holder(said), name)
	}
	if err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return &fileLock{f}, nil
}

// sign writes our process id into the lock file, for whoever is refused, and what else they are to know.
func sign(f *os.File, more string) error {
	if err := f.Truncate(0); err != nil {
		return fault("write the lock file", err)
	}
	if _, err := f.WriteAt([]byte(strconv.Itoa(os.Getpid())+"\n"+more), 0); err != nil {
		return fault("write the lock file", err)
	}
	return nil
}

// holder says who has the lock by what the file says.
func holder(said []byte) string {
	first, _, _ := strings.Cut(string(said), "\n")
	pid, err := strconv.Atoi(strings.TrimSpace(first))
	if err != nil {
		return "process not known"
	}
	return fmt.Sprintf("process %d", pid)
}

// is says that it is the lock file of that name.
func (l *fileLock) is(name string) bool {
	ours, err := l.file.Stat()
	if err != nil {
		return false
	}
	other, err := os.Stat(name)
	return err == nil && os.SameFile(ours, other)
}

func (l *fileLock) release() error {
	// Given back by name: a process that is being started at this moment has a copy of every open file until it is, and a
	// close alone would leave the lock with that.
	if err := errors.Join(syscall.Flock(int(l.file.Fd()), syscall.LOCK_UN), l.file.Close()); err != nil {
		return fmt.Errorf("release the lock file: %w", err)
	}
	return nil
}

// lost is never closed: the kernel takes an flock from nobody.
func (l *fileLock) lost() <-chan struct{} { return nil }

// locks are held together.
type locks []*fileLock

func (all locks) release() error {
	var errs []error
	for _, l := range all {
		errs = append(errs, l.release())
	}
	return errors.Join(errs...)
}

func (all locks) lost() <-chan struct{} { return nil }
