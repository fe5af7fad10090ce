package store

import (
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"
	"syscall"
)

// leaderLock lets one daemon a store.
type leaderLock interface {
	release() error
	lost() <-chan struct{}
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
		err = fmt.Errorf("%w (%s; lock file %s)", ErrLocked, holder(f), name)
	}
	if err == nil {
		err = sign(f)
	}
	if err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return &fileLock{f}, nil
}

// sign writes our process id into the lock file, for whoever is refused.
func sign(f *os.File) error {
	if err := f.Truncate(0); err != nil {
		return fault("write the lock file", err)
	}
	if _, err := f.WriteAt([]byte(strconv.Itoa(os.Getpid())+"\n"), 0); err != nil {
		return fault("write the lock file", err)
	}
	return nil
}

func holder(f *os.File) string {
	b, err := io.ReadAll(io.LimitReader(f, 32))
	pid, bad := strconv.Atoi(strings.TrimSpace(string(b)))
	if err != nil || bad != nil {
		return "process not known"
	}
	return fmt.Sprintf("process %d", pid)
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
