package main

import (
	"bytes"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

var update = flag.Bool("update", false, "write the golden files anew")

// usedSo is how the help says that a command is called.
var usedSo = regexp.MustCompile(`(?m)^(?:Usage:  |        )server((?: [a-z]+)*)`)

// TestHelpGolden keeps every help text of the program: of each command that the help itself names, and of its first word alone.
func TestHelpGolden(t *testing.T) {
	help := func(words []string) string {
		t.Helper()
		var out, complaint bytes.Buffer
		if code := start(append(slices.Clone(words), "--help"), func(string) string { return "" }, &out, &complaint); code != exitOK || complaint.Len() > 0 {
			t.Errorf("%v --help: %d %s", words, code, &complaint)
		}
		return out.String()
	}
	whole := help(nil)
	paths := []string{""}
	for _, m := range usedSo.FindAllStringSubmatch(whole, -1) {
		words := strings.Fields(m[1])
		for n := range words {
			paths = append(paths, " "+strings.Join(words[:n+1], " "))
		}
	}
	slices.Sort(paths)
	var all strings.Builder
	for _, path := range slices.Compact(paths) {
		text := help(strings.Fields(path))
		if path != "" && text == whole {
			text = "(what server --help says)\n"
		}
		fmt.Fprintf(&all, "$ server%s --help\n%s\n", path, text)
	}
	golden := filepath.Join("testdata", "help.golden")
	if *update {
		if err := os.WriteFile(golden, []byte(all.String()), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(golden)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), all.String()); diff != "" {
		t.Errorf("the help changed; `make golden` writes it anew (-golden +now):\n%s", diff)
	}
}
