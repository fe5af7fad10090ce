package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/spf13/cobra"
)

// TestEveryCommandHasAManualPage: they are written by the program, of the help that help.golden keeps.
func TestEveryCommandHasAManualPage(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "man1")
	a, out, complaint := newApp(t, "")
	if code := a.run(t.Context(), []string{"man", dir}); code != 0 || out.Len() > 0 || complaint.Len() > 0 {
		t.Fatalf("exit code %d: %s%s", code, out, complaint)
	}
	root, want := a.root(false), map[string]bool{}
	root.InitDefaultCompletionCmd() // cobra adds it when something is run
	walk(root, func(c *cobra.Command) {
		if !c.IsAvailableCommand() && c.HasParent() {
			return
		}
		name := strings.ReplaceAll(c.CommandPath(), " ", "-") + ".1"
		want[name] = true
		text, err := os.ReadFile(filepath.Join(dir, name))
		if err != nil {
			t.Error(err)
			return
		}
		if page := string(text); !strings.Contains(page, `"docker-watcher 1.2.3"`) || !strings.Contains(page, ".SH SYNOPSIS") {
			t.Errorf("%s says\n%s", name, page)
		}
	})
	files, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range files {
		if !want[f.Name()] {
			t.Errorf("%s is of a command that there is not", f.Name())
		}
	}
	if len(want) < 2 {
		t.Errorf("only %v", want)
	}
}
