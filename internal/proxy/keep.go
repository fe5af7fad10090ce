package proxy

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
)

// keep writes the table that is in force, for the next start. A crash leaves the former one or this one, never half of one.
func (s *Server) keep(t Table) error {
	if s.file == "" {
		return nil
	}
	text, err := json.Marshal(t)
	if err != nil {
		return fmt.Errorf("write the last good table: %w", err)
	}
	f, err := os.CreateTemp(filepath.Dir(s.file), ".proxy-table-*") // 0600
	if err != nil {
		return fmt.Errorf("write the last good table: %w", err)
	}
	_, err = f.Write(text)
	if err == nil {
		err = f.Sync()
	}
	err = errors.Join(err, f.Close())
	if err == nil {
		err = os.Rename(f.Name(), s.file)
	}
	if err != nil {
		return errors.Join(fmt.Errorf("write the last good table: %w", err), os.Remove(f.Name()))
	}
	return nil
}

// Resume answers by the table that was kept, until another is applied. Without one all stays as it is.
func (s *Server) Resume() error {
	if s.file == "" {
		return nil
	}
	text, err := os.ReadFile(s.file)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("read the last good table: %w", err)
	}
	t, err := ReadTable(text)
	if err != nil {
		return fmt.Errorf("read the last good table: %w", err)
	}
	s.applying.Lock()
	defer s.applying.Unlock()
	former := s.current.Load()
	next, err := s.compile(t, former)
	if err != nil {
		return fmt.Errorf("use the last good table: %w", err)
	}
	s.swap(former, next)
	return nil
}
