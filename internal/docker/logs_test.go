package docker

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestLineWriter(t *testing.T) {
	cases := []struct {
		name   string
		timed  bool
		chunks []string
		want   []LogLine
	}{
		{"frames end anywhere", false, []string{"on", "e\ntwo\r\nth", "ree"}, []LogLine{{Text: "one"}, {Text: "two"}, {Text: "three"}}},
		{"empty lines stay", false, []string{"\n\na\n"}, []LogLine{{Text: ""}, {Text: ""}, {Text: "a"}}},
		{"nothing", false, nil, nil},
		{"timestamps", true, []string{"2026-11-23T10:00:00.5Z hello world\n"}, []LogLine{{Text: "hello world", Time: time.Date(2026, 11, 23, 10, 0, 0, 5e8, time.UTC)}}},
		{"a line that is no timestamp stays whole", true, []string{"not a time\n"}, []LogLine{{Text: "not a time"}}},
	}
	for _, tc := range cases {
		t.Run(tc.name, func(t *testing.T) {
			var got []LogLine
			w := &lineWriter{sink: &lineSink{timed: tc.timed, line: func(l LogLine) error { got = append(got, l); return nil }}}
			for _, chunk := range tc.chunks {
				if _, err := w.Write([]byte(chunk)); err != nil {
					t.Fatal(err)
				}
			}
			if err := w.flush(); err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tc.want, got); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestLineWriterCutsAnEndlessLine(t *testing.T) {
	longest := 0
	w := &lineWriter{sink: &lineSink{line: func(l LogLine) error { longest = max(longest, len(l.Text)); return nil }}}
	for range 100 {
		if _, err := w.Write([]byte(strings.Repeat("x", 16<<10))); err != nil {
			t.Fatal(err)
		}
	}
	if longest == 0 || longest > 2*longestLine {
		t.Errorf("the longest line has %d bytes", longest)
	}
}

func TestLineWriterStopsAtTheCallersError(t *testing.T) {
	enough := errors.New("enough")
	calls := 0
	w := &lineWriter{sink: &lineSink{line: func(LogLine) error { calls++; return enough }}}
	if _, err := w.Write([]byte("a\nb\n")); !errors.Is(err, enough) || calls != 1 {
		t.Errorf("got %v after %d lines", err, calls)
	}
}
