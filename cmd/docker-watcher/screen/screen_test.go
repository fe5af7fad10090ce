package screen

import (
	"bytes"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func on(terminal bool) (*Screen, *bytes.Buffer, *bytes.Buffer) {
	out, beside := &bytes.Buffer{}, &bytes.Buffer{}
	return &Screen{Out: out, Err: beside, Terminal: terminal, Width: 60}, out, beside
}

func TestTable(t *testing.T) {
	table := Table{Head: []string{"name", "state", "n"}}
	table.Add(Text("shop"), Cell{"running", Good}, Text("1"))
	table.Add(Text("größer-als"), Cell{"", Bad}, Text("22"))
	table.Add(Text("evil\x1b[2J\nname"), Cell{"x", Warn}, Text(""))
	s, out, _ := on(false)
	s.Print(table)
	want := "" +
		"NAME           STATE    N\n" +
		"shop           running  1\n" +
		"größer-als              22\n" +
		"evil [2J name  x\n"
	if diff := cmp.Diff(want, out.String()); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	s.Colour = true
	out.Reset()
	s.Print(table)
	if !strings.Contains(out.String(), "\x1b[32mrunning\x1b[0m  1\n") || strings.Contains(out.String(), "\x1b[2J") {
		t.Errorf("in colours: %q", out)
	}
}

func TestAgo(t *testing.T) {
	now := time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)
	for d, want := range map[time.Duration]string{
		0: "just now", 500 * time.Millisecond: "just now", time.Second: "1 second ago", 119 * time.Second: "119 seconds ago",
		2 * time.Minute: "2 minutes ago", 119 * time.Minute: "119 minutes ago", 3 * time.Hour: "3 hours ago", 47 * time.Hour: "47 hours ago",
		48 * time.Hour: "2 days ago", 59 * 24 * time.Hour: "59 days ago", 61 * 24 * time.Hour: "2 months ago", 800 * 24 * time.Hour: "2 years ago",
		-3 * time.Minute: "in 3 minutes",
	} {
		if got := Ago(now.Add(-d), now); got != want {
			t.Errorf("%s: %q, want %q", d, got, want)
		}
	}
	if got := Ago(time.Time{}, now); got != Never {
		t.Errorf("a moment that is not known: %q", got)
	}
	if got := Exact(time.Date(2026, 11, 23, 13, 0, 0, 5e6, time.FixedZone("", 3600))); got != "2026-11-23T12:00:00.005Z" {
		t.Errorf("exact: %s", got)
	}
}

func TestBytes(t *testing.T) {
	for n, want := range map[int64]string{
		-1: "-", 0: "0 B", 1023: "1023 B", 1024: "1.00 KiB", 12_345_678: "11.8 MiB", 1<<20 - 1: "1.00 MiB", 1_288_490_188: "1.20 GiB", 512 << 20: "512 MiB",
		1023 << 20: "1023 MiB", 10*1024 - 1: "10.0 KiB", 1 << 62: "4096 PiB",
	} {
		if got := Bytes(n); got != want {
			t.Errorf("%d: %q, want %q", n, got, want)
		}
	}
}

func TestProgress(t *testing.T) {
	t.Run("on a terminal one line is drawn anew", func(t *testing.T) {
		s, out, beside := on(true)
		p := s.Progress()
		p.Step("pulling 1.0", 5, 10, "5 B of 10 B")
		p.Step("up", 0, 0, "")
		p.Clear()
		p.Clear()
		lines := strings.Split(beside.String(), "\r")
		if !strings.HasPrefix(lines[1], "pulling 1.0 [=====") || !strings.Contains(lines[1], "5 B of 10 B") || strings.TrimSpace(lines[3]) != "" {
			t.Errorf("%q", lines)
		}
		if len(lines[1]) != len(lines[2]) || strings.Contains(beside.String(), "\n") || out.Len() > 0 {
			t.Errorf("the rest of the longer line is left: %q", lines)
		}
	})
	t.Run("a pipe gets a line for each stage", func(t *testing.T) {
		s, out, beside := on(false)
		p := s.Progress()
		for n := range int64(5) {
			p.Step("pulling 1.0", n, 5, "")
		}
		p.Step("starting", 0, 0, "")
		p.Clear()
		if beside.String() != "pulling 1.0\nstarting\n" || out.Len() > 0 {
			t.Errorf("%q, %q", beside, out)
		}
	})
	t.Run("no line is wider than the terminal", func(t *testing.T) {
		s, _, beside := on(true)
		s.Progress().Step(strings.Repeat("x", 200), 1, 2, "1 of 2")
		if got := len(strings.TrimPrefix(beside.String(), "\r")); got > 59 {
			t.Errorf("%d columns of 60", got)
		}
	})
}

func TestPrintable(t *testing.T) {
	for text, want := range map[string][2]string{ // without and with colours
		"plain\ttext":                       {"plain\ttext", "plain\ttext"},
		"\x1b[31mred\x1b[0m":                {"red", "\x1b[31mred\x1b[0m\x1b[0m"},
		"\x1b[38;5;1mopen":                  {"open", "\x1b[38;5;1mopen\x1b[0m"},
		"a\x1b[2Jb\x1b[10;10Hc\x1b[?25ld":   {"abcd", "abcd"},
		"\x1b]0;title\x07x\x1b]8;;u\x1b\\y": {"xy", "xy"},
		"\x1bPq#0\x1b\\z\x1bcz\x1b(B":       {"zz", "zz"},
		"bell\a back\b cr\rover":            {"bell back crover", "bell back crover"},
		"c1\u009b31m":                       {"c131m", "c131m"},
		"right\u202eleft":                   {"rightleft", "rightleft"},
		"\x1b":                              {"", ""},
		"\x1b[":                             {"", ""},
		"größe ✓":                           {"größe ✓", "größe ✓"},
	} {
		for i, colours := range []bool{false, true} {
			got := Printable(text, colours)
			if got != want[i] {
				t.Errorf("%q, colours %v: %q, want %q", text, colours, got, want[i])
			}
		}
	}
}

func FuzzPrintable(f *testing.F) {
	f.Add("\x1b[31mred\x1b]0;t\x07\x1b")
	f.Fuzz(func(t *testing.T, text string) {
		if got := Printable(text, false); strings.ContainsAny(got, "\x1b\a\b\r\n\x00\x7f") {
			t.Errorf("%q: %q", text, got)
		}
		for i, part := range strings.Split(Printable(text, true), "\x1b") {
			if i > 0 && !strings.HasPrefix(strings.TrimLeft(part, "[0123456789;:"), "m") {
				t.Errorf("%q: %q", text, part)
			}
		}
	})
}
