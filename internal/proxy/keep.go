package proxy

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
)

// keep writes a table that is in force, for the next start.
func (s *Server) keep(c *compiled) error {
	if s.file == "" {
		return nil
	}
	return writeTable(s.file, c.text())
}

// text is the table as JSON, of what was written of it already.
func (c *compiled) text() []byte {
	rest := bytes.TrimPrefix(c.head, []byte(emptyRules))
	var b bytes.Buffer
	b.WriteString(`{"rules":[`)
	for n, r := range c.table.Rules {
		if n > 0 {
			b.WriteByte(',')
		}
		b.Write(c.byID[r.ID].text)
	}
	b.WriteByte(']')
	b.Write(rest)
	return b.Bytes()
}

// emptyRules is how a table without rules begins as JSON.
const emptyRules = `{"rules":null`

// writeTable writes a table to a file whole.
func writeTable(file string, text []byte) error {
	f, err := os.CreateTemp(filepath.Dir(file), ".proxy-table-*") // 0600
	if err != nil {
		return fmt.Errorf("write the last good table: %w", err)
	}
	_, err = f.Write(text)
	if err == nil {
		err = f.Sync()
	}
	err = errors.Join(err, f.Close())
	if err == nil {
		err = os.Rename(f.Name(), file)
	}
	if err != nil {
		return errors.Join(fmt.Errorf("write the last good table: %w", err), os.Remove(f.Name()))
	}
	if err := syncFolder(filepath.Dir(file)); err != nil {
		return fmt.Errorf("write the last good table: %w", err)
	}
	return nil
}

// syncFolder makes a new name last through a power cut.
func syncFolder(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
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
