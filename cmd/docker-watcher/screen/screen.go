// Package screen writes for people: tables, times, sizes, progress and questions. It knows whether it
// writes to a terminal and keeps colours and redrawn lines away from pipes.
package screen

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"
)

// Screen is where a command reads and writes.
type Screen struct {
	In  io.Reader
	Out io.Writer
	Err io.Writer
	// Terminal, InputTerminal: Err (where progress goes) and In belong to a person.
	Terminal      bool
	InputTerminal bool
	OutTerminal   bool // Out belongs to a person as well
	Colour        bool // only on a terminal, and not with NO_COLOR
	Width         int  // columns of the terminal
	Now           func() time.Time
	lines         *bufio.Reader
	failed        error
}

// Printf writes what was asked for. The first error is kept for Failed.
func (s *Screen) Printf(format string, args ...any) {
	if _, err := fmt.Fprintf(s.Out, format, args...); err != nil && s.failed == nil {
		s.failed = fmt.Errorf("write the answer: %w", err)
	}
}

// Failed is the first error of Printf: an answer that did not arrive whole.
func (s *Screen) Failed() error { return s.failed }

// Notef writes what goes beside it, so that a pipe gets only what was asked for.
func (s *Screen) Notef(format string, args ...any) {
	_, _ = fmt.Fprintf(s.Err, format, args...) // there is nowhere left to tell
}

// JSON writes a value indented.
func (s *Screen) JSON(v any) error {
	enc := json.NewEncoder(s.Out)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", "  ")
	return enc.Encode(v)
}

// Line reads one line of input, without its end.
func (s *Screen) Line() (string, error) {
	if s.lines == nil {
		s.lines = bufio.NewReader(s.In)
	}
	text, err := s.lines.ReadString('\n')
	if err != nil && (text == "" || !errors.Is(err, io.EOF)) {
		return "", fmt.Errorf("read an answer: %w", err)
	}
	return strings.TrimRight(text, "\r\n"), nil
}

// Ask asks a yes or no question; only a clear yes is one.
func (s *Screen) Ask(question string) (bool, error) {
	s.Notef("%s [y/N] ", question)
	answer, err := s.Line()
	if errors.Is(err, io.EOF) {
		s.Notef("\n")
		return false, nil
	}
	if err != nil {
		return false, err
	}
	switch strings.ToLower(strings.TrimSpace(answer)) {
	case "y", "yes":
		return true, nil
	}
	return false, nil
}
