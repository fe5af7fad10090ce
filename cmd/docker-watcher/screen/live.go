package screen

import (
	"bytes"
	"slices"
	"strings"
	"unicode/utf8"
)

// Live draws on the whole terminal, and gives it back as it was.
type Live struct {
	s *Screen
	// Size tells columns and rows.
	Size func() (width, height int)
}

// Live takes the terminal over until Close.
func (s *Screen) Live(size func() (width, height int)) *Live {
	s.Printf("\x1b[?1049h\x1b[?25l\x1b[2J")
	return &Live{s: s, Size: size}
}

// Close gives it back. It may be called again.
func (l *Live) Close() {
	if l.s != nil {
		l.s.Printf("\x1b[?25h\x1b[?1049l")
		l.s = nil
	}
}

// Draw shows lines of text and a table under them, and says how many rows had no room.
func (l *Live) Draw(head []string, t Table) {
	var text bytes.Buffer
	paper := &Screen{Out: &text, Colour: l.s.Colour}
	paper.Print(t)
	width, height := l.Size()
	lines := append(slices.Clip(head), strings.Split(strings.TrimRight(text.String(), "\n"), "\n")...)
	if len(lines) > height {
		lines = lines[:max(0, height)]
	}
	var out strings.Builder
	out.WriteString("\x1b[H")
	for i, line := range lines {
		if i > 0 {
			out.WriteString("\r\n")
		}
		out.WriteString(clip(line, width) + "\x1b[K")
	}
	out.WriteString("\x1b[J")
	l.s.Printf("%s", out.String())
}

// clip cuts a line that may have colours to so many columns.
func clip(line string, width int) string {
	var out strings.Builder
	coloured := false
	for len(line) > 0 {
		if rest, ok := strings.CutPrefix(line, "\x1b["); ok {
			end := strings.IndexByte(rest, 'm') + 1
			out.WriteString(line[:2+end])
			line, coloured = rest[end:], true
			continue
		}
		_, size := utf8.DecodeRuneInString(line)
		if width > 0 {
			out.WriteString(line[:size])
			width--
		}
		line = line[size:]
	}
	if coloured {
		out.WriteString("\x1b[0m")
	}
	return out.String()
}
