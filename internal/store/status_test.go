package store

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

var update = flag.Bool("update", false, "write the golden files anew")

// TestLifecycleGolden keeps docs/lifecycle.md what the table says.
func TestLifecycleGolden(t *testing.T) {
	file := filepath.Join("..", "..", "docs", "lifecycle.md")
	want := lifecycle()
	if *update {
		if err := os.WriteFile(file, []byte(want), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	got, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if string(got) != want {
		t.Errorf("%s is not what status.go says: run `make golden`", file)
	}
}

func lifecycle() string {
	var b strings.Builder
	b.WriteString(`# The life of an instance

<!-- Written by ` + "`make golden`" + ` from internal/store/status.go. Do not edit. -->

An instance moves only along this table, by compare-and-set, with its event in the same
transaction. Being stale is not a status: it is a fact beside it, so a container that comes
back needs no special case.

| from | may become |
| --- | --- |
`)
	for _, from := range Statuses() {
		var to []string
		for _, s := range Statuses() {
			if from.CanBecome(s) {
				to = append(to, string(s))
			}
		}
		fmt.Fprintf(&b, "| %s | %s |\n", from, strings.Join(to, ", "))
	}
	b.WriteString(`
A removal ends with the row deleted, or is taken back: then the instance returns to the status
that it had before, and to no other.
`)
	return b.String()
}

func TestTransitionTableIsClosed(t *testing.T) {
	if len(transitions) != len(Statuses()) {
		t.Errorf("%d statuses have transitions, %d are listed", len(transitions), len(Statuses()))
	}
	for from, to := range transitions {
		if !slices.Contains(Statuses(), from) {
			t.Errorf("%s is not listed", from)
		}
		for _, s := range to {
			if !slices.Contains(Statuses(), s) {
				t.Errorf("%s may become %s, which is not listed", from, s)
			}
			if s == from {
				t.Errorf("%s may become itself: that is no move", from)
			}
		}
	}
}

func TestTransitions(t *testing.T) {
	for _, c := range []struct {
		from, to Status
		want     bool
	}{
		{StatusPending, StatusPulling, true},
		{StatusStarting, StatusRunning, true},
		{StatusStarting, StatusFailed, true},
		{StatusStopped, StatusRunning, true},
		{StatusMissing, StatusRunning, true}, // it came back
		{StatusPending, StatusRunning, false},
		{StatusRunning, StatusFailed, false}, // only a deploy fails
		{StatusRunning, StatusPending, false},
		{StatusRunning, StatusRunning, false},
		{"", StatusRunning, false},
		{StatusRunning, "", false},
	} {
		if got := c.from.CanBecome(c.to); got != c.want {
			t.Errorf("%s to %s: %v", c.from, c.to, got)
		}
	}
	for _, s := range Statuses() {
		if s == StatusRemoving {
			continue
		}
		if !s.CanBecome(StatusRemoving) || !StatusRemoving.CanBecome(s) {
			t.Errorf("%s cannot be removed and taken back", s)
		}
	}
}
