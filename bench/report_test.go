//go:build bench

// Package bench measures the budgets of the design against their floors, in one and the same run.
package bench

import (
	"cmp"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

// figure is one line of the report.
type figure struct {
	what, measured, floor, ratio, budget string
	ok                                   bool
}

var report struct {
	mu      sync.Mutex
	figures []figure
}

// note writes a figure down, and fails the test when it is over its budget.
func note(t *testing.T, f figure) {
	t.Helper()
	report.mu.Lock()
	report.figures = append(report.figures, f)
	report.mu.Unlock()
	if !f.ok {
		t.Errorf("over budget: %s: %s against %s (%s), budget %s", f.what, f.measured, f.floor, f.ratio, f.budget)
	}
}

// ratio notes what is allowed to cost so many times its floor.
func ratio(t *testing.T, what string, measured, floor time.Duration, budget float64) {
	t.Helper()
	times := float64(measured) / float64(floor)
	note(t, figure{what, short(measured), short(floor), fmt.Sprintf("%.2f", times), fmt.Sprintf("<= %.2f x", budget), times <= budget})
}

// most notes a value that has an upper limit and no floor.
func most[T cmp.Ordered](t *testing.T, what string, measured, budget T, show func(T) string) {
	t.Helper()
	note(t, figure{what, show(measured), "", "", "<= " + show(budget), measured <= budget})
}

// least notes a value that has a lower limit.
func least[T cmp.Ordered](t *testing.T, what string, measured, budget T, show func(T) string) {
	t.Helper()
	note(t, figure{what, show(measured), "", "", ">= " + show(budget), measured >= budget})
}

func short(d time.Duration) string {
	switch {
	case d < time.Millisecond:
		return fmt.Sprintf("%.0f µs", float64(d)/float64(time.Microsecond))
	case d < time.Second:
		return fmt.Sprintf("%.1f ms", float64(d)/float64(time.Millisecond))
	}
	return fmt.Sprintf("%.2f s", d.Seconds())
}

func count(n int) string { return fmt.Sprint(n) }

func mib(n int64) string { return fmt.Sprintf("%.1f MiB", float64(n)/(1<<20)) }

func percent(p float64) string { return fmt.Sprintf("%.2f %%", p) }

// typical is the first quartile: what a thing costs when nothing else of the machine comes between.
func typical(takes []time.Duration) time.Duration {
	s := slices.Clone(takes)
	slices.Sort(s)
	return s[len(s)/4]
}

// inTurn measures two things alternately, so that both meet the same moods of the machine.
func inTurn(t *testing.T, rounds int, measured, floor func() error) (m, f time.Duration) {
	t.Helper()
	var ms, fs []time.Duration
	for i := range rounds + 1 {
		took, base := timed(t, measured), timed(t, floor)
		if i > 0 { // the first round only warms up
			ms, fs = append(ms, took), append(fs, base)
		}
	}
	return typical(ms), typical(fs)
}

func timed(t *testing.T, f func() error) time.Duration {
	t.Helper()
	began := time.Now()
	if err := f(); err != nil {
		t.Fatal(err)
	}
	return time.Since(began)
}

func TestMain(m *testing.M) {
	if role := os.Getenv(roleVariable); role != "" {
		if err := play(role); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	code := m.Run()
	if err := publish(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		code = 1
	}
	os.Exit(code)
}

const (
	begin = "<!-- figures: written by `make bench` -->"
	end   = "<!-- end of figures -->"
)

// publish prints the table and puts it into README.md; lines that were not measured this time stay.
func publish() error {
	report.mu.Lock()
	defer report.mu.Unlock()
	if len(report.figures) == 0 {
		return nil
	}
	var lines []string
	for _, f := range report.figures {
		yes := "yes"
		if !f.ok {
			yes = "**no**"
		}
		lines = append(lines, fmt.Sprintf("| %s | %s | %s | %s | %s | %s |", f.what, f.measured, f.floor, f.ratio, f.budget, yes))
	}
	fmt.Println(strings.Join(append([]string{"", head}, lines...), "\n"))
	path := filepath.Join("README.md")
	text, err := os.ReadFile(path)
	if err != nil {
		return fmt.Errorf("read the report: %w", err)
	}
	before, rest, ok := strings.Cut(string(text), begin)
	old, after, ok2 := strings.Cut(rest, end)
	if !ok || !ok2 {
		return fmt.Errorf("%s has lost its marks", path)
	}
	table := strings.Join(append([]string{begin, machine(), "", head}, merge(old, lines)...), "\n")
	return os.WriteFile(path, []byte(before+table+"\n"+end+after), 0o644) //nolint:gosec // it is for everybody to read
}

const head = "| what | measured | floor | ratio | budget | ok |\n| --- | --- | --- | --- | --- | --- |"

// machine is named by its size only.
func machine() string {
	memory := "?"
	if text, err := os.ReadFile("/proc/meminfo"); err == nil {
		var kb int64
		if _, err := fmt.Sscanf(string(text), "MemTotal: %d kB", &kb); err == nil {
			memory = fmt.Sprintf("%.0f GiB", float64(kb)/(1<<20))
		}
	}
	return fmt.Sprintf("Measured on %d cores, %s.", runtime.NumCPU(), memory)
}

// merge replaces the lines of the old table that were measured again.
func merge(old string, lines []string) []string {
	name := func(line string) string {
		cells := strings.SplitN(line, "|", 3)
		return strings.TrimSpace(cells[1])
	}
	var merged []string
	for line := range strings.Lines(old) {
		line = strings.TrimSpace(line)
		if !strings.HasPrefix(line, "| ") || strings.HasPrefix(line, "| what") || strings.HasPrefix(line, "| ---") {
			continue
		}
		if i := slices.IndexFunc(lines, func(l string) bool { return name(l) == name(line) }); i >= 0 {
			line = lines[i]
			lines = slices.Delete(slices.Clone(lines), i, i+1)
		}
		merged = append(merged, line)
	}
	return append(merged, lines...)
}
