package screen

import (
	"regexp"
	"strings"
	"sync"
	"unicode"
)

// sequences are what steers a terminal: colours and moves (CSI), titles and links (OSC, ended by BEL or ESC \), and the rest of ESC.
var sequences = sync.OnceValue(func() *regexp.Regexp {
	return regexp.MustCompile("\x1b\\[[0-9;:?<=>]*[ -/]*[@-~]|\x1b[\\]P_^X][^\x07\x1b]*(?:\x07|\x1b\\\\)?|\x1b[ -/]*[0-~]?")
})

// colourForm is the one kind of them that only paints.
var colourForm = sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile("^\x1b\\[[0-9;:]*m$") })

// Printable is what a program wrote for a terminal without what would steer ours: moves, titles, and control characters but
// tabs. With colours, colours stay and end with the text.
func Printable(text string, colours bool) string {
	if strings.IndexByte(text, '\x1b') < 0 {
		return strip(text)
	}
	var out strings.Builder
	end, coloured := 0, false
	for _, at := range sequences().FindAllStringIndex(text, -1) {
		out.WriteString(strip(text[end:at[0]]))
		if s := text[at[0]:at[1]]; colours && colourForm().MatchString(s) {
			coloured = true
			out.WriteString(s)
		}
		end = at[1]
	}
	out.WriteString(strip(text[end:]))
	if coloured {
		out.WriteString("\x1b[0m")
	}
	return out.String()
}

// strip leaves control characters out, and those that turn the direction of the text.
func strip(text string) string {
	return strings.Map(func(r rune) rune {
		if r != '\t' && (unicode.IsControl(r) || unicode.Is(unicode.Bidi_Control, r)) {
			return -1
		}
		return r
	}, text)
}
