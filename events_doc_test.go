package house

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// spelt are the kinds that the code puts together: by the part that is written out, what can follow.
var spelt = map[string][]string{
	"certificate.": {"uploaded", "replaced", "removed"},
	"deploy.":      {"done", "failed", "cancelled", "superseded"},
	"proxy.":       {"created", "updated", "enabled", "disabled", "removed"},
	"route.":       {"created", "updated", "enabled", "disabled", "removed"},
}

// notKinds are texts of the code that look like kinds and are none.
var notKinds = []string{"containerd.sock", "control.sock", "docker.sock", "podman.sock"}

var (
	kind       = regexp.MustCompile(`^[a-z]+\.[a-z_]+$`)
	ticked     = regexp.MustCompile("`([a-z]*\\.[a-z_]+)`")
	aboutEvent = regexp.MustCompile(`(?i)event|emit|kind`)
)

// TestDocsNameEveryKindOfEvent: the table of docs/events.md is that of the kinds which the code emits, no more and no fewer.
func TestDocsNameEveryKindOfEvent(t *testing.T) {
	told := kindsOfTheTable(t)
	nouns := map[string]bool{}
	for k := range told {
		noun, _, _ := strings.Cut(k, ".")
		nouns[noun] = true
	}
	emitted := kindsOfTheCode(t, nouns)
	for _, k := range slices.Sorted(maps.Keys(emitted)) {
		if !told[k] {
			t.Errorf("%s is emitted at %s and not in the table of docs/events.md", k, emitted[k])
		}
	}
	for _, k := range slices.Sorted(maps.Keys(told)) {
		if emitted[k] == "" {
			t.Errorf("%s is in the table of docs/events.md, and nothing emits it", k)
		}
	}
}

// kindsOfTheTable reads the first column; ".stopped" is of the noun of what stands before it.
func kindsOfTheTable(t *testing.T) map[string]bool {
	t.Helper()
	text, err := os.ReadFile("docs/events.md")
	if err != nil {
		t.Fatal(err)
	}
	_, table, found := strings.Cut(string(text), "| kind | when |")
	if !found {
		t.Fatal("docs/events.md has no table of kinds")
	}
	told := map[string]bool{}
	for line := range strings.Lines(table) {
		cell, _, _ := strings.Cut(strings.TrimPrefix(line, "|"), "|")
		noun := ""
		for _, m := range ticked.FindAllStringSubmatch(cell, -1) {
			first, verb, _ := strings.Cut(m[1], ".")
			if first != "" {
				noun = first
			}
			told[noun+"."+verb] = true
		}
	}
	return told
}

// kindsOfTheCode are the texts like a kind of a noun of the table, and those of any noun where an event is made or a kind is named;
// each with a place where it is.
func kindsOfTheCode(t *testing.T, nouns map[string]bool) map[string]string {
	t.Helper()
	found := map[string]string{}
	walkCode(t, func(where func(ast.Node) string, n ast.Node, text string, made bool) {
		noun, _, _ := strings.Cut(text, ".")
		switch {
		case slices.Contains(notKinds, text):
		case spelt[text] != nil:
			for _, verb := range spelt[text] {
				found[text+verb] = where(n)
			}
		case kind.MatchString(text) && (nouns[noun] || made):
			found[text] = where(n)
		}
	})
	return found
}

// walkCode visits every text of the code of the daemon, and says of each whether an event is made or a kind is named there.
func walkCode(t *testing.T, visit func(where func(ast.Node) string, n ast.Node, text string, made bool)) {
	t.Helper()
	for _, root := range []string{"internal", "cmd/server"} {
		err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
			if err != nil || d.IsDir() || !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") || strings.Contains(path, "test/") {
				return err
			}
			files := token.NewFileSet()
			f, err := parser.ParseFile(files, path, nil, parser.SkipObjectResolution)
			if err != nil {
				return err
			}
			where := func(n ast.Node) string { return files.Position(n.Pos()).String() }
			made := map[ast.Node]bool{}
			ast.Inspect(f, func(n ast.Node) bool {
				for _, of := range partsOfAnEvent(n) {
					made[of] = true
				}
				if l, ok := n.(*ast.BasicLit); ok && l.Kind == token.STRING {
					if text, err := strconv.Unquote(l.Value); err == nil {
						visit(where, n, text, made[n])
					}
				}
				return true
			})
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
}

// partsOfAnEvent are what may be a kind in a node that makes an event or names a kind.
func partsOfAnEvent(n ast.Node) (parts []ast.Expr) {
	switch n := n.(type) {
	case *ast.CallExpr:
		name := ""
		switch f := n.Fun.(type) {
		case *ast.Ident:
			name = f.Name
		case *ast.SelectorExpr:
			name = f.Sel.Name
		}
		if aboutEvent.MatchString(name) {
			parts = n.Args
		}
	case *ast.KeyValueExpr:
		if key, ok := n.Key.(*ast.Ident); ok && key.Name == "Kind" {
			parts = []ast.Expr{n.Value}
		}
	case *ast.ValueSpec:
		for _, name := range n.Names {
			if aboutEvent.MatchString(name.Name) {
				parts = n.Values
			}
		}
	}
	return parts
}
