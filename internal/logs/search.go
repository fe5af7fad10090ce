package logs

import (
	"errors"
	"fmt"
	"regexp"
	"regexp/syntax"
	"strings"
)

const (
	// longestSearch bounds what is searched for, in bytes.
	longestSearch = 500
	// mostSteps bounds a regular expression: what it costs grows with its steps times the text.
	mostSteps = 1000
	// longestSearched is how much of a line is looked through, in bytes.
	longestSearched = 64 << 10
)

// ErrSearch is wrapped by what is wrong with a search.
var ErrSearch = errors.New("it cannot be searched for")

// Search is what a line must hold. The zero value matches every line.
type Search struct {
	text string // lower case, if fold
	fold bool
	form *regexp.Regexp
}

// NewSearch makes one of a text or of a regular expression (RE2), which is refused if it is long or costly. Without
// exact, upper and lower case are the same.
func NewSearch(text string, regex, exact bool) (Search, error) {
	if len(text) > longestSearch {
		return Search{}, fmt.Errorf("%w: at most %d bytes", ErrSearch, longestSearch)
	}
	if text == "" {
		return Search{}, nil
	}
	if regex {
		return newForm(text, exact)
	}
	if exact {
		return Search{text: text}, nil
	}
	return Search{text: strings.ToLower(text), fold: true}, nil
}

func newForm(text string, exact bool) (Search, error) {
	if !exact {
		text = "(?i)" + text
	}
	tree, err := syntax.Parse(text, syntax.Perl)
	if err != nil {
		return Search{}, fmt.Errorf("%w: %w", ErrSearch, err)
	}
	steps, err := syntax.Compile(tree.Simplify())
	if err != nil {
		return Search{}, fmt.Errorf("%w: %w", ErrSearch, err)
	}
	if len(steps.Inst) > mostSteps {
		return Search{}, fmt.Errorf("%w: the expression takes %d steps, at most %d are possible: repeat less", ErrSearch, len(steps.Inst), mostSteps)
	}
	form, err := regexp.Compile(text)
	if err != nil {
		return Search{}, fmt.Errorf("%w: %w", ErrSearch, err)
	}
	return Search{form: form}, nil
}

// Match tells whether a line holds it; of a very long one only the beginning is looked through.
func (s Search) Match(line string) bool {
	if len(line) > longestSearched {
		line = line[:longestSearched]
	}
	switch {
	case s.form != nil:
		return s.form.MatchString(line)
	case s.fold:
		return strings.Contains(strings.ToLower(line), s.text)
	}
	return strings.Contains(line, s.text)
}
