package screen

import (
	"fmt"
	"strings"
	"unicode/utf8"
)

// Progress is one line that is drawn anew as a job goes on. Where nobody watches, only
// new stages of the job are written, a line each.
type Progress struct {
	s     *Screen
	drawn int
	last  string
}

// Progress begins a line of progress on Err.
func (s *Screen) Progress() *Progress { return &Progress{s: s} }

// Step tells the stage that the job is in and how far it is; total 0: not known.
func (p *Progress) Step(stage string, done, total int64, amount string) {
	stage = tame(stage)
	if !p.s.Terminal {
		if stage != p.last {
			p.s.Notef("%s\n", stage)
		}
		p.last = stage
		return
	}
	p.last = stage
	line := stage
	if total > 0 {
		line += " " + bar(done, total, p.room(stage, amount)) + " " + amount
	}
	p.draw(line)
}

// Linef writes a line of its own above the progress.
func (p *Progress) Linef(format string, args ...any) {
	p.Clear()
	p.s.Notef("%s\n", tame(fmt.Sprintf(format, args...)))
}

// Clear takes the line away.
func (p *Progress) Clear() {
	if p.drawn > 0 {
		p.draw("")
		p.s.Notef("\r")
		p.drawn = 0
	}
}

func (p *Progress) draw(line string) {
	if w := p.s.Width - 1; w > 0 && utf8.RuneCountInString(line) > w {
		line = string([]rune(line)[:w])
	}
	n := utf8.RuneCountInString(line)
	p.s.Notef("\r%s%s", line, strings.Repeat(" ", max(0, p.drawn-n)))
	p.drawn = n
}

func (p *Progress) room(stage, amount string) int {
	return min(30, max(10, p.s.Width-utf8.RuneCountInString(stage+amount)-6))
}

func bar(done, total int64, width int) string {
	full := int(min(done, total) * int64(width) / total)
	return "[" + strings.Repeat("=", full) + strings.Repeat(" ", width-full) + "]"
}
