// Package house holds the laws of the house as tests: which package may import
// which, and what every file must keep to.
package house

import (
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

const module = "github.com/tiny-forge/docker-watcher"

// allowed is the map of the house: a package and the packages of ours that it may
// import. Arrows point down. An unlisted package fails.
var allowed = map[string][]string{
	"internal/config":    {},
	"internal/store":     {"internal/tagrule", "internal/failpoint"},
	"internal/docker":    {},
	"internal/guard":     {},
	"internal/schedule":  {"internal/guard"},
	"internal/failpoint": {},
	"internal/events":    {"internal/store"},
	"internal/auth":      {"internal/store"},
	"internal/sso":       {"internal/store"},
	"internal/registry":  {},
	"internal/hook":      {},
	"internal/tagrule":   {},
	"internal/compose":   {"internal/store"},
	"internal/certs":     {"internal/guard"},
	"internal/proxy":     {"internal/certs"},
	"internal/plane":     {"internal/proxy", "internal/certs"},
	"internal/routing":   {"internal/store", "internal/docker", "internal/proxy", "internal/events", "internal/certs"},
	"internal/caddy":     {"internal/proxy"},
	"internal/traefik":   {"internal/proxy"},
	"internal/poll":      {"internal/store", "internal/tagrule", "internal/guard"},
	"internal/reclaim":   {"internal/store", "internal/docker", "internal/guard"},
	"internal/adopt":     {"internal/store", "internal/docker", "internal/guard"},
	"internal/hosts":     {"internal/store", "internal/docker"},
	"internal/backup":    {"internal/store", "internal/failpoint"},
	"internal/doctor":    {"internal/store", "internal/docker"},
	"internal/stale":     {"internal/store", "internal/docker", "internal/events", "internal/failpoint", "internal/guard"},
	"internal/deploy":    {"internal/store", "internal/docker", "internal/events", "internal/failpoint", "internal/guard"},
	"internal/logs":      {"internal/docker", "internal/events"},
	"internal/notify":    {"internal/store", "internal/events", "internal/failpoint", "internal/guard", "internal/notify/template"},
	"internal/usage":     {"internal/store", "internal/docker"},
	"internal/api": {
		"internal/store", "internal/docker", "internal/events", "internal/schedule",
		"internal/auth", "internal/hosts", "internal/stale", "internal/reclaim", "internal/adopt", "internal/deploy", "internal/registry",
		"internal/poll", "internal/tagrule", "internal/hook", "internal/compose", "internal/logs", "internal/usage", "internal/proxy",
		"internal/routing", "internal/backup", "internal/doctor", "internal/certs", "internal/traefik", "internal/notify", "internal/sso", "internal/guard",
	},
	"internal/notify/template": {},
	"client":                   {},
	"web":                      {},
	"cmd/server": {
		"internal/config", "internal/store", "internal/docker", "internal/schedule", "internal/events",
		"internal/auth", "internal/hosts", "internal/stale", "internal/reclaim", "internal/adopt", "internal/registry", "internal/deploy",
		"internal/poll", "internal/api", "web", "internal/usage", "internal/proxy", "internal/routing", "internal/backup", "internal/doctor",
		"internal/certs", "internal/plane", "internal/caddy", "internal/traefik", "internal/notify", "internal/sso", "internal/guard",
	},
	"cmd/docker-watcher":        {"client", "cmd/docker-watcher/screen"},
	"cmd/docker-watcher/screen": {},

	// What tests, the demo and the benchmarks stand on.
	"internal/store/storetest":           {"internal/store"},
	"internal/canarytest":                {"internal/store"},
	"internal/docker/dockertest":         {},
	"internal/loopbacktest":              {},
	"internal/waittest":                  {},
	"internal/caddy/caddytest":           {"internal/loopbacktest"},
	"internal/peertest":                  {},
	"internal/failpoint/failpointtest":   {},
	"internal/proxy/proxytest":           {"internal/proxy"},
	"internal/docker/enginetest":         {"internal/docker", "internal/loopbacktest"},
	"internal/docker/enginetest/app":     {},
	"internal/docker/enginetest/answers": {"internal/docker"},
	"internal/docker/enginetest/figures": {"internal/docker", "internal/docker/enginetest"},
	"demo":                               {"client", "internal/docker", "internal/docker/enginetest"},
}

// free may import anything: nothing imports them.
var free = []string{"bench", "internal/stale/killtest", "internal/deploy/killtest", "internal/notify/killtest", "internal/backup/killtest"}

func TestArrowsPointDown(t *testing.T) {
	for dir, imports := range ourImports(t) {
		if slices.Contains(free, dir) {
			continue
		}
		may, listed := allowed[dir]
		if !listed {
			t.Errorf("package %s is not on the map: add it to house_test.go with what it may import", dir)
			continue
		}
		for _, imp := range imports {
			if !slices.Contains(may, imp) {
				t.Errorf("%s must not import %s", dir, imp)
			}
		}
	}
}

func TestMapHasNoGhosts(t *testing.T) {
	found := ourImports(t)
	for dir := range allowed {
		if _, ok := found[dir]; !ok {
			t.Errorf("the map lists %s, which does not exist", dir)
		}
	}
}

func TestNoPackageIsCalledUtil(t *testing.T) {
	for dir := range ourImports(t) {
		switch path.Base(dir) {
		case "util", "utils", "common", "helpers", "types", "misc":
			t.Errorf("%s: a package is called after what it is for", dir)
		}
	}
}

// TestNothingLeftToDo keeps notes to self out of the tree: they belong in an issue.
func TestNothingLeftToDo(t *testing.T) {
	words := []string{"TO" + "DO", "FIX" + "ME", "t.Skip" + "(", "t.Skip" + "Now(", "t.Skip" + "f("}
	eachGoFile(t, func(name string, src []byte) {
		for _, w := range words {
			if strings.Contains(string(src), w) {
				t.Errorf("%s says %s", name, w)
			}
		}
	})
}

// ourImports maps each package folder to the packages of ours that its non-test
// files import.
func ourImports(t *testing.T) map[string][]string {
	t.Helper()
	found := map[string][]string{}
	fset := token.NewFileSet()
	eachGoFile(t, func(name string, src []byte) {
		if strings.HasSuffix(name, "_test.go") {
			return
		}
		file, err := parser.ParseFile(fset, name, src, parser.ImportsOnly)
		if err != nil {
			t.Fatalf("parse %s: %v", name, err)
		}
		dir := path.Dir(name)
		found[dir] = append(found[dir], []string{}...)
		for _, spec := range file.Imports {
			imp := strings.Trim(spec.Path.Value, `"`)
			if rest, ours := strings.CutPrefix(imp, module+"/"); ours && !slices.Contains(found[dir], rest) {
				found[dir] = append(found[dir], rest)
			}
		}
	})
	return found
}

func eachGoFile(t *testing.T, visit func(name string, src []byte)) {
	t.Helper()
	err := filepath.WalkDir(".", func(name string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() && (d.Name() == "tools" || d.Name() == "node_modules" || name != "." && strings.HasPrefix(d.Name(), ".")) {
			return filepath.SkipDir
		}
		if d.IsDir() || !strings.HasSuffix(name, ".go") {
			return nil
		}
		src, err := os.ReadFile(name)
		if err != nil {
			return err
		}
		visit(filepath.ToSlash(name), src)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}
