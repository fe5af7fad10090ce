package main

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// typed are the command lines of a page: lines of code that begin with the program, and code within a line that does.
var typed = regexp.MustCompile("(?m)(?:^    |^#   |\x60)docker-watcher ([a-z][^\x60#\n]*)")

// TestDocsNameCommandsThatThereAre: every command line in a page is one of a command that there is, with flags that it has.
func TestDocsNameCommandsThatThereAre(t *testing.T) {
	pages, err := filepath.Glob("../../docs/*.md")
	if err != nil {
		t.Fatal(err)
	}
	examples, err := filepath.Glob("../../packaging/examples/*")
	if err != nil || len(examples) == 0 {
		t.Fatal(examples, err)
	}
	asked := 0
	for _, page := range append(append(pages, "../../README.md"), examples...) {
		text, err := os.ReadFile(page)
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range typed.FindAllStringSubmatch(string(text), -1) {
			asked++
			a, _, _ := newApp(t, "")
			line := upTo(m[1], "<", ">", "|", ";", "&&", " ...", ",")
			root := a.root(false)
			root.InitDefaultCompletionCmd()
			command, _, err := root.Find(strings.Fields(line))
			if err != nil || !command.HasParent() {
				t.Errorf("%s: `docker-watcher %s`: no such command (%v)", page, m[1], err)
				continue
			}
			if _, rest, _ := strings.Cut(line, " "); command.HasSubCommands() && !command.Runnable() && strings.TrimSpace(rest) != "" {
				t.Errorf("%s: `docker-watcher %s` is no whole command", page, m[1])
			}
			command.InitDefaultHelpFlag()
			for word := range strings.FieldsSeq(line) {
				name, isFlag := strings.CutPrefix(word, "--")
				if !isFlag {
					continue
				}
				name = upTo(name, "=", "]", ")", "/")
				if command.Flag(name) == nil && command.InheritedFlags().Lookup(name) == nil {
					t.Errorf("%s: `docker-watcher %s`: there is no --%s", page, m[1], name)
				}
			}
		}
	}
	if asked < 100 {
		t.Errorf("only %d command lines were found", asked)
	}
}

// upTo is a text up to the first of some marks.
func upTo(text string, marks ...string) string {
	for _, mark := range marks {
		text, _, _ = strings.Cut(text, mark)
	}
	return text
}
