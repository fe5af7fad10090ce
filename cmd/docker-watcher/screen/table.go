package screen

import (
	"strings"
	"unicode/utf8"
)

// Tone is what a cell says beside its text; it becomes a colour on a terminal.
type Tone int

// The tones.
const (
	Plain Tone = iota
	Good
	Warn
	Bad
	Faint
	Blue
	Purple
	Cyan
)

// Cell is one text of a table.
type Cell struct {
	Text string
	Tone Tone
}

// Text makes a plain cell.
func Text(s string) Cell { return Cell{Text: s} }

// Table is rows under a head.
type Table struct {
	Head []string
	Rows [][]Cell
}

// Add appends a row.
func (t *Table) Add(cells ...Cell) { t.Rows = append(t.Rows, cells) }

// Print writes a table with columns as wide as their widest cell. Line breaks and control
// characters of a cell are shown as blanks: a name of an image cannot paint the screen.
func (s *Screen) Print(t Table) {
	head := make([]Cell, len(t.Head))
	for i, h := range t.Head {
		head[i] = Cell{strings.ToUpper(h), Faint}
	}
	rows := append([][]Cell{head}, t.Rows...)
	widths := make([]int, len(t.Head))
	for _, row := range rows {
		for i := range row {
			row[i].Text = tame(row[i].Text)
			widths[i] = max(widths[i], utf8.RuneCountInString(row[i].Text))
		}
	}
	for _, row := range rows {
		var line strings.Builder
		for i, c := range row {
			line.WriteString(s.Paint(c))
			if i < len(row)-1 {
				line.WriteString(strings.Repeat(" ", widths[i]-utf8.RuneCountInString(c.Text)+2))
			}
		}
		s.Printf("%s\n", strings.TrimRight(line.String(), " "))
	}
}

// Paint gives a cell its colour, if there are colours.
func (s *Screen) Paint(c Cell) string {
	code := map[Tone]string{Good: "32", Warn: "33", Bad: "31", Faint: "2", Blue: "34", Purple: "35", Cyan: "36"}[c.Tone]
	if !s.Colour || code == "" || c.Text == "" {
		return c.Text
	}
	return "\x1b[" + code + "m" + c.Text + "\x1b[0m"
}

// Tame keeps what comes from elsewhere from steering the terminal, but leaves its line breaks.
func Tame(text string) string {
	lines := strings.Split(text, "\n")
	for i := range lines {
		lines[i] = tame(lines[i])
	}
	return strings.Join(lines, "\n")
}

func tame(text string) string {
	return strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f || r >= 0x80 && r < 0xa0 {
			return ' '
		}
		return r
	}, text)
}
