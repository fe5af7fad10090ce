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
		{"a long line in frames, each with its time", true, []string{"2026-11-23T10:00:00.5Z one ", "2026-11-23T10:00:00.6Z two\n", "2026-11-23T10:00:01Z three\n"}, []LogLine{
			{Text: "one two", Time: time.Date(2026, 11, 23, 10, 0, 0, 5e8, time.UTC)}, {Text: "three", Time: time.Date(2026, 11, 23, 10, 0, 1, 0, time.UTC)},
		}},
		{"a time within a line is the line's own", true, []string{"2026-11-23T10:00:00.5Z at 2026-11-23T09:00:00Z it began\n"}, []LogLine{{Text: "at 2026-11-23T09:00:00Z it began", Time: time.Date(2026, 11, 23, 10, 0, 0, 5e8, time.UTC)}}},
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
	var got []LogLine
	w := &lineWriter{sink: &lineSink{line: func(l LogLine) error { got = append(got, l); return nil }}}
	const frames = 100
	for range frames {
		if _, err := w.Write([]byte(strings.Repeat("x", 16<<10))); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := w.Write([]byte("end\nnext\n")); err != nil {
		t.Fatal(err)
	}
	size := 0
	for i, l := range got[:len(got)-1] {
		size += len(l.Text)
		if len(l.Text) > 2*longestLine || l.Piece != i || l.More != (i < len(got)-2) {
			t.Errorf("piece %d of %d bytes: %d, more %v", i, len(l.Text), l.Piece, l.More)
		}
	}
	if size != frames*16<<10+3 {
		t.Errorf("all pieces have %d bytes", size)
	}
	if last := got[len(got)-1]; last != (LogLine{Text: "next"}) {
		t.Errorf("the line after it: %+v", last)
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
