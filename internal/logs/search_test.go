package logs

import (
	"errors"
	"strings"
	"testing"
	"time"
)

func TestSearch(t *testing.T) {
	cases := []struct {
		text         string
		regex, exact bool
		line         string
		want         bool
	}{
		{"", false, false, "anything", true},
		{"Error", false, false, "an ERROR came", true},
		{"Error", false, true, "an ERROR came", false},
		{"Error", false, true, "an Error came", true},
		{"größe", false, false, "die GRÖSSE", false},
		{"größe", false, false, "die GRÖßE", true},
		{"a.c", false, false, "abc", false},
		{"a.c", true, false, "xABCx", true},
		{"a.c", true, true, "xABCx", false},
		{"^a$", true, false, "ab", false},
		{`\bcode=(5\d\d)\b`, true, false, "code=503", true},
		{"x", false, false, strings.Repeat(" ", longestSearched) + "x", false},
		{"", false, false, strings.Repeat(" ", 2*longestSearched), true},
	}
	for _, c := range cases {
		s, err := NewSearch(c.text, c.regex, c.exact)
		if err != nil || s.Match(c.line) != c.want {
			t.Errorf("%q (regex %v, exact %v) in %.40q: %v, want %v (%v)", c.text, c.regex, c.exact, c.line, !c.want, c.want, err)
		}
	}
}

func TestSearchIsBounded(t *testing.T) {
	for _, text := range []string{"(", "[", "a**", `\p{Nothing}`, "(a{500}){2}b{500}", "((a{100}){100}){100}", "(?P<x", strings.Repeat("x", longestSearch+1), `(?=x)`} {
		if _, err := NewSearch(text, true, false); !errors.Is(err, ErrSearch) {
			t.Errorf("%.40q: %v", text, err)
		}
	}
	// The worst that is let through ends soon.
	s, err := NewSearch("(x+x+)+y{200}[a-z]{200}", true, false)
	if err != nil {
		t.Fatal(err)
	}
	begin := time.Now()
	s.Match(strings.Repeat("x", 1<<20))
	if took := time.Since(begin); took > 20*time.Second {
		t.Errorf("one line took %s", took)
	}
}
